#include "resize_linear.h"

#define FRACTION_BITS 11
#define ONE (1 << FRACTION_BITS)

void qmcu_resize_linear(const qmcu_resize_linear_params *layer, const uint8_t *input, uint8_t *output)
{
    const int32_t row_bytes = layer->input_width * layer->channels;
    for (int32_t y = 0; y < layer->output_height; y++) {
        const uint8_t *top = input + layer->low_rows[y] * row_bytes;
        const uint8_t *bottom = input + layer->high_rows[y] * row_bytes;
        const int32_t fy = layer->row_fractions[y];
        for (int32_t x = 0; x < layer->output_width; x++) {
            const int32_t left = layer->low_columns[x] * layer->channels;
            const int32_t right = layer->high_columns[x] * layer->channels;
            const int32_t fx = layer->column_fractions[x];
            const int32_t top_left = (ONE - fy) * (ONE - fx), top_right = (ONE - fy) * fx;
            const int32_t bottom_left = fy * (ONE - fx), bottom_right = fy * fx;
            for (int32_t c = 0; c < layer->channels; c++) {
                /* The weights sum to 2^22: at most 255 * 2^22 + 2^21, below 2^31. */
                const int32_t sum = top_left * top[left + c] + top_right * top[right + c] + bottom_left * bottom[left + c]
                                    + bottom_right * bottom[right + c];
                *output++ = (uint8_t)((sum + (1 << (2 * FRACTION_BITS - 1))) >> (2 * FRACTION_BITS));
            }
        }
    }
}

#include "movement.h"

void qmcu_copy(const uint8_t *input, uint8_t *output, int32_t bytes)
{
    if (output != input)
        __builtin_memcpy(output, input, (size_t)bytes);
}

void qmcu_fill(uint8_t *output, int32_t value, int32_t bytes)
{
    __builtin_memset(output, value, (size_t)bytes);
}

void qmcu_copy_box(const qmcu_copy_box_params *layer, const uint8_t *input, uint8_t *output)
{
    const int32_t last = layer->rank - 1;
    const int32_t input_step = layer->input_strides[last], output_step = layer->output_strides[last];
    int32_t index[QMCU_MAX_RANK] = {0};
    do {
        const uint8_t *from = input + qmcu_row_offset(index, layer->input_strides, layer->rank);
        uint8_t *to = output + qmcu_row_offset(index, layer->output_strides, layer->rank);
        for (int32_t i = 0; i < layer->counts[last]; i++) {
            if (layer->element_bytes == 1)
                *to = *from;
            else
                __builtin_memcpy(to, from, (size_t)layer->element_bytes);
            from += input_step;
            to += output_step;
        }
    } while (qmcu_next_row(index, layer->counts, layer->rank));
}

void qmcu_gather(const qmcu_gather_params *layer, const uint8_t *input, uint8_t *output)
{
    for (int32_t y = 0; y < layer->output_height; y++) {
        const uint8_t *row = input + layer->rows[y] * layer->row_bytes;
        for (int32_t x = 0; x < layer->output_width; x++) {
            __builtin_memcpy(output, row + layer->columns[x] * layer->pixel_bytes, (size_t)layer->pixel_bytes);
            output += layer->pixel_bytes;
        }
    }
}

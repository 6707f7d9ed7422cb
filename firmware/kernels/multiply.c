#include "multiply.h"

#include "requantize.h"

void qmcu_multiply(const qmcu_multiply_params *layer, const uint8_t *a, const uint8_t *b, uint8_t *output)
{
    const int32_t last = layer->rank - 1;
    const int32_t a_step = layer->a_strides[last], b_step = layer->b_strides[last];
    const int32_t output_step = layer->output_strides[last];
    int32_t index[QMCU_MAX_RANK] = {0};
    do {
        const uint8_t *left = a + qmcu_row_offset(index, layer->a_strides, layer->rank);
        const uint8_t *right = b + qmcu_row_offset(index, layer->b_strides, layer->rank);
        uint8_t *to = output + qmcu_row_offset(index, layer->output_strides, layer->rank);
        for (int32_t i = 0; i < layer->counts[last]; i++) {
            const int32_t product = (*left - layer->a_zero_point) * (*right - layer->b_zero_point);
            *to = qmcu_requantize(product, layer->multiplier, layer->shift, layer->zero_point, layer->low, layer->high);
            left += a_step;
            right += b_step;
            to += output_step;
        }
    } while (qmcu_next_row(index, layer->counts, layer->rank));
}

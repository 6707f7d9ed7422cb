#include "linear.h"

#include "requantize.h"

/* A right shift of a negative number rounds down with every compiler that we build with. */
static uint8_t linear_code(const qmcu_linear_params *layer, int32_t sum)
{
    return (uint8_t)qmcu_clamp(sum >> layer->shift, layer->low, layer->high);
}

void qmcu_linear(const qmcu_linear_params *layer, const uint8_t *a, uint8_t *output)
{
    const int32_t last = layer->rank - 1;
    const int32_t a_step = layer->a_strides[last], output_step = layer->output_strides[last];
    int32_t index[QMCU_MAX_RANK] = {0};
    do {
        const uint8_t *from = a + qmcu_row_offset(index, layer->a_strides, layer->rank);
        uint8_t *to = output + qmcu_row_offset(index, layer->output_strides, layer->rank);
        for (int32_t i = 0; i < layer->counts[last]; i++) {
            *to = linear_code(layer, layer->constant + layer->multiplier_a * *from);
            from += a_step;
            to += output_step;
        }
    } while (qmcu_next_row(index, layer->counts, layer->rank));
}

void qmcu_linear2(const qmcu_linear_params *layer, const uint8_t *a, const uint8_t *b, uint8_t *output)
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
            *to = linear_code(layer, layer->constant + layer->multiplier_a * *left + layer->multiplier_b * *right);
            left += a_step;
            right += b_step;
            to += output_step;
        }
    } while (qmcu_next_row(index, layer->counts, layer->rank));
}

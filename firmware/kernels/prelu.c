#include "prelu.h"

#include "requantize.h"

void qmcu_prelu(const qmcu_prelu_params *layer, const uint8_t *input, uint8_t *output)
{
    for (int32_t pixel = 0; pixel < layer->pixels; pixel++) {
        for (int32_t channel = 0; channel < layer->channels; channel++) {
            const int32_t acc = *input++ - layer->input_zero_point;
            const int32_t multiplier = layer->multiplier[acc < 0 ? 1 + channel : 0];
            *output++ = qmcu_requantize(acc, multiplier, layer->shift, layer->zero_point, layer->low, layer->high);
        }
    }
}

#include "clamp.h"
#include "prelu_dsp.h"

/* One channel. */
static void prelu_channel(const uint8_t *from, uint8_t *to, int32_t pixels, int32_t step, int32_t input_zero_point,
                          int32_t shift, int32_t positive, int32_t negative, int32_t zero_point)
{
    for (; pixels > 0; pixels--, from += step, to += step) {
        const int32_t value = *from - input_zero_point;
        const int32_t multiplier = value < 0 ? negative : positive;
        *to = (uint8_t)dsp_usat8(dsp_smmlar(value * (1 << shift), multiplier, zero_point));
    }
}

void qmcu_prelu_dsp(const qmcu_prelu_params *layer, const uint8_t *input, uint8_t *output)
{
    for (int32_t channel = 0; channel < layer->channels; channel++)
        prelu_channel(input + channel, output + channel, layer->pixels, layer->channels, layer->input_zero_point,
                      layer->shift, layer->multiplier[0], layer->multiplier[1 + channel], layer->zero_point);
    qmcu_clamp_codes(output, layer->pixels * layer->channels, layer->low, layer->high);
}

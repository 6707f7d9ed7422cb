#include "multiply_dsp.h"

#include "clamp.h"

void qmcu_multiply_dsp(const qmcu_multiply_dsp_params *layer, const uint8_t *a, const uint8_t *b, uint8_t *output)
{
    const int32_t a_zero_point = layer->a_zero_point, b_zero_point = layer->b_zero_point;
    const int32_t multiplier = layer->multiplier, shift = layer->shift, zero_point = layer->zero_point;
    const int32_t elements = layer->pixels * layer->channels;
    uint8_t *to = output;
    for (int32_t i = 0; i < elements; i++) {
        const int32_t product = (*a++ - a_zero_point) * ((*b++ - b_zero_point) * (1 << shift));
        *to++ = (uint8_t)dsp_usat8(dsp_smmlar(product, multiplier, zero_point));
    }
    qmcu_clamp_codes(output, elements, layer->low, layer->high);
}

/* One channel: (code - zero point) * gate, as code * gate + offset. */
static void multiply_channel(const uint8_t *from, uint8_t *to, int32_t pixels, int32_t step, int32_t gate, int32_t offset,
                             int32_t multiplier, int32_t zero_point)
{
    for (; pixels >= 2; pixels -= 2) {
        const int32_t code0 = from[0], code1 = from[step];
        from += 2 * step;
        to[0] = (uint8_t)dsp_usat8(dsp_smmlar(code0 * gate + offset, multiplier, zero_point));
        to[step] = (uint8_t)dsp_usat8(dsp_smmlar(code1 * gate + offset, multiplier, zero_point));
        to += 2 * step;
    }
    if (pixels > 0)
        *to = (uint8_t)dsp_usat8(dsp_smmlar(*from * gate + offset, multiplier, zero_point));
}

void qmcu_multiply_gate_dsp(const qmcu_multiply_dsp_params *layer, const uint8_t *map, const uint8_t *gate, uint8_t *output)
{
    for (int32_t channel = 0; channel < layer->channels; channel++) {
        const int32_t factor = (gate[channel] - layer->b_zero_point) * (1 << layer->shift);
        multiply_channel(map + channel, output + channel, layer->pixels, layer->channels, factor,
                         -layer->a_zero_point * factor, layer->multiplier, layer->zero_point);
    }
    qmcu_clamp_codes(output, layer->pixels * layer->channels, layer->low, layer->high);
}

#include "dsp.h"
#include "outliers.h"

/* Ones in the bytes of `codes` that lie outside of the bounds: a difference that does not saturate to 0 sets, with
 * 127 added, the highest bit. */
DSP_INLINE uint32_t outside(uint32_t codes, uint32_t low, uint32_t high)
{
    const uint32_t distance = dsp_uqsub8(low, codes) | dsp_uqsub8(codes, high);
    return (dsp_uqadd8(distance, 0x7f7f7f7fu) & 0x80808080u) >> 7;
}

void qmcu_detect_outliers_dsp(const qmcu_outliers_params *layer, const uint8_t *input, uint8_t *output)
{
    const uint32_t low = dsp_four(layer->low), high = dsp_four(layer->high), limit = layer->limit;
    uint32_t outliers = 0, left = layer->elements;
    for (; left >= 16 && outliers <= limit; left -= 16, input += 16) { /* no byte of the sum exceeds 4 */
        uint32_t ones = outside(dsp_load(input), low, high);
        ones += outside(dsp_load(input + 4), low, high);
        ones += outside(dsp_load(input + 8), low, high);
        ones += outside(dsp_load(input + 12), low, high);
        outliers += (ones * 0x01010101u) >> 24;
    }
    for (; left > 0 && outliers <= limit; left--, input++) {
        outliers += *input < layer->low || *input > layer->high;
    }
    *output = outliers > limit;
}

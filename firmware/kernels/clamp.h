/* Clamping codes after kernels that saturate to 0 .. 255 only. */
#ifndef QMCU_CLAMP_H
#define QMCU_CLAMP_H

#include "requantize.h"

/* Clamps codes, which start at a multiple of 4, to low .. high where that is narrower than 0 .. 255. */
static inline void qmcu_clamp_codes(uint8_t *codes, int32_t elements, int32_t low, int32_t high)
{
    if (low <= 0 && high >= 255)
        return;
    const uint32_t lows = dsp_four((uint32_t)low), highs = dsp_four((uint32_t)high);
    for (; elements >= 4; elements -= 4, codes += 4)
        dsp_store(codes, qmcu_clamp_bytes(dsp_load(codes), lows, highs));
    for (; elements > 0; elements--, codes++)
        *codes = (uint8_t)qmcu_clamp(*codes, low, high);
}

#endif

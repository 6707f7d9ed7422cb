/* Requantization: from an int32 accumulator to a code (docs/numerics.md).
 *
 *     code = clamp(zero_point + ((saturate(acc) << shift) * multiplier + 2^31 >> 32), low, high)
 *
 * with a 64-bit product and an arithmetic right shift. saturate() limits the accumulator to 32 - shift bits.
 */
#ifndef QMCU_REQUANTIZE_H
#define QMCU_REQUANTIZE_H

#include <stdint.h>

#include "dsp.h"

static inline int32_t qmcu_clamp(int32_t value, int32_t low, int32_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* Plain C, any shift and any accumulator. */
static inline uint8_t qmcu_requantize(int32_t acc, int32_t multiplier, int32_t shift, int32_t zero_point, int32_t low,
                                      int32_t high)
{
    const int32_t limit = INT32_MAX >> shift;
    const int32_t shifted = (int32_t)((uint32_t)qmcu_clamp(acc, -limit - 1, limit) << shift);
    const int64_t product = (int64_t)shifted * multiplier + INT64_C(0x80000000);
    return (uint8_t)qmcu_clamp(zero_point + (int32_t)(product >> 32), low, high);
}

/* One SMMLAR (and a shift): for accumulators that are proved not to saturate. Not clamped yet: clamp one value by USAT
 * (dsp_usat8), four by dsp_pack_saturated where each fits 16 bits, and where low .. high is narrower than 0 .. 255
 * with qmcu_clamp_bytes. */
static inline int32_t qmcu_requantize_unclamped(int32_t acc, int32_t multiplier, int32_t shift, int32_t zero_point)
{
    return dsp_smmlar((int32_t)((uint32_t)acc << shift), multiplier, zero_point);
}

/* Four codes clamped to low .. high, each given four times (dsp_four). */
static inline uint32_t qmcu_clamp_bytes(uint32_t codes, uint32_t low, uint32_t high)
{
    return dsp_max_bytes(dsp_min_bytes(codes, high), low);
}

#endif

/* What unsigned 4-bit weights add to the sums of every channel. See matmul.h, nibble scheme. */
#include "dsp.h"
#include "matmul.h"

/* Any number of codes at any address. */
static uint32_t sum_bytes(const uint8_t *codes, int32_t bytes)
{
    uint32_t sum = 0;
    for (; bytes > 0 && ((uintptr_t)codes & 3u) != 0; bytes--) {
        sum += *codes++;
    }
    for (; bytes >= 4; bytes -= 4, codes += 4) {
        sum = dsp_sum_bytes(dsp_load(codes), sum);
    }
    for (; bytes > 0; bytes--) {
        sum += *codes++;
    }
    return sum;
}

/* Whole words. */
DSP_INLINE uint32_t sum_words(const uint8_t *codes, int32_t bytes)
{
    uint32_t sum = 0;
    for (const uint8_t *const end = codes + (bytes & ~15); codes != end; codes += 16) {
        const uint32_t a = dsp_load(codes), b = dsp_load(codes + 4);
        const uint32_t c = dsp_load(codes + 8), d = dsp_load(codes + 12);
        sum = dsp_sum_bytes(d, dsp_sum_bytes(c, dsp_sum_bytes(b, dsp_sum_bytes(a, sum))));
    }
    for (const uint8_t *const end = codes + (bytes & 12); codes != end; codes += 4) {
        sum = dsp_sum_bytes(dsp_load(codes), sum);
    }
    return sum;
}

void qmcu_matmul_correct(int32_t *corrections, const uint8_t *codes, int32_t bytes, int32_t step, int32_t count)
{
    const int is_aligned = (((uint32_t)(uintptr_t)codes | (uint32_t)bytes | (uint32_t)step) & 3u) == 0;
    if (is_aligned) {
        for (; count > 0; count--, codes += step) {
            *corrections++ = -128 * (int32_t)sum_words(codes, bytes);
        }
    } else if (bytes == 3) {
        for (; count > 0; count--, codes += step) {
            *corrections++ = -128 * (codes[0] + codes[1] + codes[2]);
        }
    } else {
        for (; count > 0; count--, codes += step) {
            *corrections++ = -128 * (int32_t)sum_bytes(codes, bytes);
        }
    }
}

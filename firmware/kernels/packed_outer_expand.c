/* Expands dense weights to words of two weights. See packed_outer.h. */
#include "dsp.h"
#include "packed_outer.h"

enum { HEADER_WORDS = 5, CONSTANT_WORDS = 8, AT_ONCE = 8 };

static void copy(uint32_t *target, const uint32_t *source, int32_t words)
{
    for (; words > 0; words--) {
        *target++ = *source++;
    }
}

/* `bits` of a weight, a constant: a word holds 32 / (2 bits) pairs; rotated right by 2 `bits` times its number, each has the
 * weight for the upper register in the highest bits, and in the lowest ones the other weight, plus 2^(bits - 1). */
DSP_INLINE uint32_t *expand(uint32_t *target, const uint32_t **dense, int32_t inputs, int32_t bits)
{
    const uint32_t middle = 1u << (bits - 1), mask = (2 * middle - 1u) | ~0u << (32 - bits);
    const uint32_t *source = *dense;
    while (inputs > 0) {
        const int32_t part = (int32_t)(source[0] / 8u);
        copy(target, source, HEADER_WORDS);
        target += HEADER_WORDS;
        source += HEADER_WORDS;
        for (uint32_t *const end = target + 2 * part; target != end; target += AT_ONCE) {
            const uint32_t first = source[0], second = bits == 4 ? source[1] : first;
            uint32_t pairs[AT_ONCE];
            source += bits / 2;
#pragma GCC unroll 8
            for (int32_t i = 0; i < AT_ONCE; i++) {
                const uint32_t word = i < 16 / bits ? first : second, right = (uint32_t)(2 * bits * i) % 32u;
                pairs[i] = ((right == 0 ? word : dsp_rotate(word, right)) & mask) - middle;
            }
#pragma GCC unroll 8
            for (int32_t i = 0; i < AT_ONCE; i++)
                target[i] = pairs[i];
        }
        inputs -= part;
    }
    copy(target, source, CONSTANT_WORDS);
    *dense = source + CONSTANT_WORDS;
    return target + CONSTANT_WORDS;
}

uint32_t *qmcu_packed_outer_expand_w4(uint32_t *target, const uint32_t **dense, int32_t inputs)
{
    return expand(target, dense, inputs, 4);
}

uint32_t *qmcu_packed_outer_expand_w2(uint32_t *target, const uint32_t **dense, int32_t inputs)
{
    return expand(target, dense, inputs, 2);
}

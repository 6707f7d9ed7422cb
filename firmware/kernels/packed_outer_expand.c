/* Expands dense weights to words of two weights. See packed_outer.h. */
#include "dsp.h"
#include "packed_outer.h"

enum { START_WORDS = 4, CONSTANT_WORDS = 8 };

static const uint32_t *copy(uint32_t *target, const uint32_t *source, int32_t words)
{
    for (; words > 0; words--) {
        *target++ = *source++;
    }
    return source;
}

/* `bits` of a weight, a constant: a word holds 32 / (2 bits) pairs, the weight for the upper register in the lower bits. */
DSP_INLINE const uint32_t *expand(uint32_t *target, const uint32_t *dense, int32_t parts, int32_t inputs, int32_t bits)
{
    for (; parts > 0; parts--) {
        dense = copy(target, dense, START_WORDS);
        target += START_WORDS;
        for (uint32_t *const end = target + 2 * inputs; target != end; target += 16 / bits) {
            const uint32_t word = *dense++;
#pragma GCC unroll 8
            for (int32_t i = 0; i < 16 / bits; i++) {
                const uint32_t pair = word << (32 - 2 * bits * (i + 1)); /* in the highest bits */
                target[i] = (uint32_t)((int32_t)pair >> (32 - bits)) + (pair << bits & ~0u << (32 - bits));
            }
        }
    }
    return copy(target, dense, CONSTANT_WORDS);
}

const uint32_t *qmcu_packed_outer_expand_w4(uint32_t *target, const uint32_t *dense, int32_t parts, int32_t inputs)
{
    return expand(target, dense, parts, inputs, 4);
}

const uint32_t *qmcu_packed_outer_expand_w2(uint32_t *target, const uint32_t *dense, int32_t parts, int32_t inputs)
{
    return expand(target, dense, parts, inputs, 2);
}

/* Packs the codes of two or three pixels into the words of the tile. See packed_outer.h. */
#include "dsp.h"
#include "packed_outer.h"

DSP_INLINE uint32_t rotate_left(uint32_t x, int32_t bits)
{
    return bits == 0 ? x : dsp_rotate(x, (unsigned)(32 - bits));
}

/* One half of the tile: the words of `fields` pixels. The second pixel is rotated to the distance of the fields, and the third
 * twice as far; for byte i of each, their bits are put together in one word, of which a rotation and a mask take one code of
 * each pixel. All but the first three arguments are constants. */
DSP_INLINE void fill_half(uint32_t *tile, const uint8_t *const *pixels, int32_t words, int32_t bits, int32_t weight_bits,
                          int32_t fields)
{
    const int32_t distance = (32 - weight_bits) / fields;
    const uint32_t code = ((1u << bits) - 1u) << weight_bits;
    const uint32_t mask = code | code << distance | (fields > 2 ? code << 2 * distance : 0u);
    const uint8_t *a = pixels[0], *b = pixels[1], *c = pixels[fields - 1];
    for (; words > 0; words--, a += 4, b += 4, c += 4, tile += 2 * (32 / bits)) {
        const uint32_t x = dsp_load(a), second = x ^ rotate_left(dsp_load(b), distance);
        const uint32_t third = fields > 2 ? x ^ rotate_left(dsp_load(c), 2 * distance) : 0u;
#pragma GCC unroll 4
        for (int32_t i = 0; i < 4; i++) {
            const uint32_t byte = 0xffu << 8 * i;
            const uint32_t bytes = x ^ (second & rotate_left(byte, distance)) ^ (third & rotate_left(byte, 2 * distance));
#pragma GCC unroll 4
            for (int32_t j = 0; j < 8 / bits; j++) {
                const int32_t left = (weight_bits - 8 * i - bits * j) & 31;
                tile[2 * (8 / bits * i + j)] = rotate_left(bytes, left) & mask;
            }
        }
    }
}

#define DEFINE_FILL(bits, weight_bits, fields)                                                                         \
    uint32_t *qmcu_packed_outer_fill_x##bits##_w##weight_bits##_##fields(uint32_t *tile, const uint8_t *const *pixels, \
                                                                         int32_t words)                                \
    {                                                                                                                  \
        fill_half(tile, pixels, words, bits, weight_bits, fields);                                                     \
        fill_half(tile + 1, pixels + fields, words, bits, weight_bits, fields);                                        \
        return tile + 2 * (32 / bits) * words;                                                                         \
    }

DEFINE_FILL(8, 2, 2)
DEFINE_FILL(8, 4, 2)
DEFINE_FILL(4, 2, 2)
DEFINE_FILL(4, 2, 3)
DEFINE_FILL(4, 4, 2)
DEFINE_FILL(2, 2, 2)
DEFINE_FILL(2, 2, 3)
DEFINE_FILL(2, 4, 2)
DEFINE_FILL(2, 4, 3)

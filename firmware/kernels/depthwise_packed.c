/* Depthwise convolution of packed maps: from packed codes into the tile, and from outputs to packed codes. See depthwise.h.
 *
 * Four codes of the upper row and four of the lower one share a word: a mask takes one channel's two codes out of it, each
 * at its place in the half-words of the tile.
 */
#include "depthwise.h"
#include "dsp.h"

#if defined(__arm__) && defined(__ARM_FEATURE_DSP)

#define COLUMN(load, bits)                                                                                             \
    load " r8, [r0]\n" load " r9, [r0, r1]\n"                                                                          \
    "add.w r0, r0, r2\n"                                                                                               \
    "orr.w r8, r8, r9, lsl #16\n"                                                                                      \
    "and.w r9, lr, r8\n"                                                                                               \
    "and.w r11, lr, r8, lsr #" #bits "\n"                                                                              \
    "and.w r12, lr, r8, lsr #(2 * " #bits ")\n"                                                                        \
    "and.w r8, lr, r8, lsr #(3 * " #bits ")\n"                                                                         \
    "str.w r9, [r4], #4\n"                                                                                             \
    "str.w r11, [r5], #4\n"                                                                                            \
    "str.w r12, [r6], #4\n"                                                                                            \
    "str.w r8, [r7], #4\n"

/* r0: pixel, r1: row_bytes, r2: pixel_bytes, r3: columns left, r4 to r7: planes, r10: fill, lr: mask. */
#define DEFINE_FILL(name, load, bits, mask)                                                                            \
    __attribute__((naked)) static void name(qmcu_depthwise_fill *fill __attribute__((unused)))                         \
    {                                                                                                                  \
        __asm volatile("push {r4-r11, lr}\n"                                                                           \
                       "mov.w r10, r0\n"                                                                               \
                       "ldr.w r0, [r10]\n"                                                                             \
                       "ldr.w r1, [r10, #4]\n"                                                                         \
                       "ldr.w r2, [r10, #8]\n"                                                                         \
                       "ldr.w r4, [r10, #16]\n"                                                                        \
                       "ldr.w r12, [r10, #20]\n"                                                                       \
                       "mov.w lr, #" mask "\n"                                                                         \
                       "add.w r5, r4, r12\n"                                                                           \
                       "add.w r6, r5, r12\n"                                                                           \
                       "add.w r7, r6, r12\n"                                                                           \
                       "1: @ a row pair\n"                                                                             \
                       "ldr.w r3, [r10, #12]\n"                                                                        \
                       "subs.w r3, r3, #2\n"                                                                           \
                       "blt.n 3f\n"                                                                                    \
                       ".balign 4\n"                                                                                   \
                       "2: @ two columns\n" COLUMN(load, bits) COLUMN(load, bits) "subs.w r3, r3, #2\n"               \
                       "bge.w 2b\n"                                                                                    \
                       "3:\n"                                                                                          \
                       "adds.w r3, r3, #1\n"                                                                           \
                       "blt.w 4f\n" COLUMN(load, bits) "4:\n"                                                         \
                       "ldr.w r12, [r10, #24]\n"                                                                       \
                       "ldr.w r3, [r10, #28]\n"                                                                        \
                       "add.w r0, r0, r1\n"                                                                            \
                       "add.w r4, r4, r12\n"                                                                           \
                       "add.w r5, r5, r12\n"                                                                           \
                       "add.w r6, r6, r12\n"                                                                           \
                       "add.w r7, r7, r12\n"                                                                           \
                       "subs.w r3, r3, #1\n"                                                                           \
                       "str.w r3, [r10, #28]\n"                                                                        \
                       "bne.w 1b\n"                                                                                    \
                       "pop {r4-r11, pc}\n");                                                                          \
    }

DEFINE_FILL(fill_4, "ldrh.w", 4, "0x000f000f")
DEFINE_FILL(fill_2, "ldrb.w", 2, "0x00030003")

#else

DSP_INLINE void fill_portable(qmcu_depthwise_fill *fill, uint32_t bits)
{
    const uint32_t mask = dsp_two((1u << bits) - 1u);
    const int32_t plane_words = fill->plane_bytes / 4;
    uint32_t *to = fill->tile;
    for (const uint8_t *pixel = fill->pixel; fill->pairs > 0; fill->pairs--) {
        for (int32_t x = 0; x < fill->columns; x++, to++, pixel += fill->pixel_bytes) {
            const uint8_t *const lower = pixel + fill->row_bytes;
            uint32_t both = pixel[0] | (uint32_t)lower[0] << 16;
            if (bits == 4)
                both |= (uint32_t)pixel[1] << 8 | (uint32_t)lower[1] << 24;
            for (uint32_t plane = 0; plane < QMCU_DEPTHWISE_PLANES; plane++)
                to[(int32_t)plane * plane_words] = both >> (plane * bits) & mask;
        }
        pixel += fill->row_bytes;
        to += fill->skip_bytes / 4;
    }
}

static void fill_4(qmcu_depthwise_fill *fill)
{
    fill_portable(fill, 4);
}

static void fill_2(qmcu_depthwise_fill *fill)
{
    fill_portable(fill, 2);
}

#endif

DSP_INLINE void fill_half(const qmcu_depthwise_fill *fill, uint32_t padding, int32_t upper_is_padding, uint32_t bits)
{
    const uint32_t mask = dsp_two((1u << bits) - 1u), shift = upper_is_padding ? 16 : 0;
    const uint32_t other = upper_is_padding ? padding & 0xffffu : padding & 0xffff0000u;
    const int32_t plane_words = fill->plane_bytes / 4;
    const uint8_t *pixel = fill->pixel;
    uint32_t *to = fill->tile;
    for (int32_t x = fill->columns; x > 0; x--, to++, pixel += fill->pixel_bytes) {
        const uint32_t four = (bits == 4 ? pixel[0] | (uint32_t)pixel[1] << 8 : pixel[0]) << shift;
        to[0] = (four & mask) | other;
        to[plane_words] = (four >> bits & mask) | other;
        to[2 * plane_words] = (four >> 2 * bits & mask) | other;
        to[3 * plane_words] = (four >> 3 * bits & mask) | other;
    }
}

static void fill_half_4(const qmcu_depthwise_fill *fill, uint32_t padding, int32_t upper_is_padding)
{
    fill_half(fill, padding, upper_is_padding, 4);
}

static void fill_half_2(const qmcu_depthwise_fill *fill, uint32_t padding, int32_t upper_is_padding)
{
    fill_half(fill, padding, upper_is_padding, 2);
}

const qmcu_depthwise_input qmcu_depthwise_input_4 = {fill_4, fill_half_4};
const qmcu_depthwise_input qmcu_depthwise_input_2 = {fill_2, fill_half_2};

DSP_INLINE uint32_t pack_four_4(uint32_t four)
{
    four = dsp_uxtb16(four | four >> 4);
    return four | four >> 8;
}

DSP_INLINE void store_half(uint8_t *output, uint32_t value)
{
    const uint16_t half = (uint16_t)value;
    __builtin_memcpy(__builtin_assume_aligned(output, 2), &half, sizeof half);
}

void qmcu_depthwise_pack_4(const uint32_t *codes, uint8_t *output, int32_t pixels, int32_t pixel_bytes)
{
    for (; pixels >= 4; pixels -= 4, codes += 4) {
        const uint32_t a = codes[0], b = codes[1], c = codes[2], d = codes[3];
        store_half(output, pack_four_4(a));
        output += pixel_bytes;
        store_half(output, pack_four_4(b));
        output += pixel_bytes;
        store_half(output, pack_four_4(c));
        output += pixel_bytes;
        store_half(output, pack_four_4(d));
        output += pixel_bytes;
    }
    for (; pixels > 0; pixels--, output += pixel_bytes)
        store_half(output, pack_four_4(*codes++));
}

void qmcu_depthwise_pack_2(const uint32_t *codes, uint8_t *output, int32_t pixels, int32_t pixel_bytes)
{
    for (; pixels > 0; pixels--, output += pixel_bytes) {
        uint32_t four = *codes++;
        four |= four >> 6;
        *output = (uint8_t)(four | four >> 12);
    }
}

/* Widens codes into the tile of the matrix product kernels. See matmul.h. */
#include <stddef.h>

#include "dsp.h"
#include "matmul.h"

DSP_INLINE uint32_t first_plain(uint32_t codes)
{
    return dsp_uxtb16(codes);
}

DSP_INLINE uint32_t second_plain(uint32_t codes)
{
    return dsp_uxtb16_ror8(codes);
}

DSP_INLINE uint32_t first_half(uint32_t codes)
{
    return dsp_uxtb16_ror8(~codes);
}

DSP_INLINE uint32_t second_half(uint32_t codes)
{
    return dsp_rev16(codes) ^ 0x7f007f00u;
}

DSP_INLINE uint32_t first_nibble(uint32_t codes)
{
    return dsp_uxtb16_ror8(codes);
}

DSP_INLINE uint32_t second_nibble(uint32_t codes)
{
    return dsp_ssub16(dsp_uxtb16(codes) << 4, dsp_uxtb16_ror8(codes));
}

/* Less than four codes, or codes at any address. */
DSP_INLINE uint32_t load_codes(const uint8_t *codes, int32_t bytes)
{
    uint32_t word = 0;
    for (int32_t i = 0; i < bytes; i++) {
        word |= (uint32_t)codes[i] << (8 * i);
    }
    return word;
}

/* Codes at an odd address are put together from the two words that they lie in. */
#define DEFINE_WIDENING(scheme, correct)                                                                                \
    DSP_INLINE void store_##scheme(uint32_t *tile, uint32_t codes, int32_t interleave)                                 \
    {                                                                                                                  \
        tile[0] = first_##scheme(codes);                                                                               \
        tile[interleave] = second_##scheme(codes);                                                                     \
    }                                                                                                                  \
    DSP_INLINE void widen_##scheme(uint32_t *tile, const uint8_t *codes, int32_t bytes, int32_t interleave)            \
    {                                                                                                                  \
        const int32_t step = 2 * interleave;                                                                           \
        const uint32_t misplaced = (uint32_t)((uintptr_t)codes & 3u);                                                  \
        if (misplaced == 0) {                                                                                          \
            for (; bytes >= 16; bytes -= 16, codes += 16, tile += 4 * step) {                                          \
                const uint32_t a = dsp_load(codes), b = dsp_load(codes + 4);                                           \
                const uint32_t c = dsp_load(codes + 8), d = dsp_load(codes + 12);                                      \
                store_##scheme(tile, a, interleave);                                                                   \
                store_##scheme(tile + step, b, interleave);                                                            \
                store_##scheme(tile + 2 * step, c, interleave);                                                        \
                store_##scheme(tile + 3 * step, d, interleave);                                                        \
            }                                                                                                          \
            for (; bytes >= 4; bytes -= 4, codes += 4, tile += step) {                                                 \
                store_##scheme(tile, dsp_load(codes), interleave);                                                     \
            }                                                                                                          \
        } else if (bytes >= 8) {                                                                                       \
            uint32_t word = dsp_load(codes - misplaced);                                                               \
            for (; bytes >= 8; bytes -= 4, codes += 4, tile += step) {                                                 \
                const uint32_t next = dsp_load(codes - misplaced + 4);                                                 \
                store_##scheme(tile, word >> (8 * misplaced) | next << (32 - 8 * misplaced), interleave);              \
                word = next;                                                                                           \
            }                                                                                                          \
        }                                                                                                              \
        for (; bytes > 0; bytes -= 4, codes += 4, tile += step) {                                                      \
            store_##scheme(tile, load_codes(codes, bytes < 4 ? bytes : 4), interleave);                                \
        }                                                                                                              \
    }                                                                                                                  \
    static void run_##scheme(uint32_t *tile, const uint8_t *codes, int32_t bytes, int32_t interleave)                  \
    {                                                                                                                  \
        if (interleave == 1) {                                                                                         \
            widen_##scheme(tile, codes, bytes, 1);                                                                     \
        } else {                                                                                                       \
            widen_##scheme(tile, codes, bytes, interleave);                                                            \
        }                                                                                                              \
    }                                                                                                                  \
    static void narrow_##scheme(uint32_t *tile, const uint8_t *codes, int32_t bytes, int32_t count)                    \
    {                                                                                                                  \
        if (bytes == 3 && ((uintptr_t)codes & 3u) == 0) { /* four columns in three words */                            \
            for (; count >= 4; count -= 4, codes += 12, tile += 8) {                                                   \
                const uint32_t a = dsp_load(codes), b = dsp_load(codes + 4), c = dsp_load(codes + 8);                  \
                store_##scheme(tile, a, 1);                                                                            \
                store_##scheme(tile + 2, a >> 24 | b << 8, 1);                                                         \
                store_##scheme(tile + 4, b >> 16 | c << 16, 1);                                                        \
                store_##scheme(tile + 6, c >> 8, 1);                                                                   \
            }                                                                                                          \
        }                                                                                                              \
        for (; count > 0; count--, codes += bytes, tile += 2) {                                                        \
            const uint32_t second = bytes > 1 ? codes[1] : 0u, third = bytes > 2 ? codes[2] : 0u;                      \
            store_##scheme(tile, codes[0] | second << 8 | third << 16, 1);                                             \
        }                                                                                                              \
    }                                                                                                                  \
    DSP_INLINE void widen_pixels_##scheme(uint32_t *tile, const uint8_t *codes, int32_t bytes, int32_t step,           \
                                          int32_t interleave)                                                          \
    {                                                                                                                  \
        const uint8_t *p1 = codes + step, *p2 = p1 + step, *p3 = p2 + (interleave > 3 ? step : 0);                     \
        for (const uint8_t *const end = codes + bytes; codes != end; codes += 4, tile += 2 * interleave) {             \
            const uint32_t a = dsp_load(codes), b = dsp_load(p1), c = dsp_load(p2), d = dsp_load(p3);                  \
            p1 += 4, p2 += 4, p3 += 4;                                                                                 \
            store_##scheme(tile, a, interleave);                                                                       \
            store_##scheme(tile + 1, b, interleave);                                                                   \
            store_##scheme(tile + 2, c, interleave);                                                                   \
            if (interleave > 3) {                                                                                      \
                store_##scheme(tile + 3, d, interleave);                                                               \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    static void pixels_##scheme(uint32_t *tile, const uint8_t *codes, int32_t bytes, int32_t step, int32_t interleave) \
    {                                                                                                                  \
        if (interleave == 3) {                                                                                         \
            widen_pixels_##scheme(tile, codes, bytes, step, 3);                                                        \
        } else {                                                                                                       \
            widen_pixels_##scheme(tile, codes, bytes, step, 4);                                                        \
        }                                                                                                              \
    }                                                                                                                  \
    const qmcu_matmul_widening qmcu_matmul_##scheme = {run_##scheme, narrow_##scheme, pixels_##scheme, correct};

DEFINE_WIDENING(plain, NULL)
DEFINE_WIDENING(half, NULL)
DEFINE_WIDENING(nibble, qmcu_matmul_correct)

/* Widens codes into the tile of the matrix product kernels. See matmul.h. */
#include "dsp.h"
#include "matmul.h"

DSP_INLINE void store_plain(uint32_t *tile, uint32_t codes, int32_t interleave)
{
    tile[0] = dsp_uxtb16(codes);
    tile[interleave] = dsp_uxtb16_ror8(codes);
}

DSP_INLINE void store_half(uint32_t *tile, uint32_t codes, int32_t interleave)
{
    const uint32_t swapped = (codes << 8 & 0xff00ff00u) | (codes >> 8 & 0x00ff00ffu);
    tile[0] = dsp_uxtb16_ror8(~codes);
    tile[interleave] = swapped ^ 0x7f007f00u;
}

static uint32_t load_codes(const uint8_t *codes, int32_t bytes)
{
    uint32_t word = 0;
    for (int32_t i = 0; i < bytes; i++) {
        word |= (uint32_t)codes[i] << (8 * i);
    }
    return word;
}

/* Four words at a time where the codes are aligned. */
#define DEFINE_WIDEN(scheme)                                                                                           \
    DSP_INLINE void widen_##scheme(uint32_t *tile, const uint8_t *codes, int32_t bytes, int32_t interleave)            \
    {                                                                                                                  \
        const int32_t step = 2 * interleave;                                                                           \
        if (((uintptr_t)codes & 3u) == 0) {                                                                            \
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
        }                                                                                                              \
        for (; bytes > 0; bytes -= 4, codes += 4, tile += step) {                                                      \
            store_##scheme(tile, load_codes(codes, bytes < 4 ? bytes : 4), interleave);                                \
        }                                                                                                              \
    }                                                                                                                  \
    void qmcu_matmul_widen_##scheme(uint32_t *tile, const uint8_t *codes, int32_t bytes, int32_t interleave)           \
    {                                                                                                                  \
        if (interleave == 1) {                                                                                         \
            widen_##scheme(tile, codes, bytes, 1);                                                                     \
        } else {                                                                                                       \
            widen_##scheme(tile, codes, bytes, 4);                                                                     \
        }                                                                                                              \
    }

DEFINE_WIDEN(plain)
DEFINE_WIDEN(half)

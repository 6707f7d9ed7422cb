/* The Armv7E-M DSP instructions that the kernels use, as functions with the instructions' names.
 *
 * On an Arm core with the DSP extension each is one instruction. Elsewhere it is the same computation in C (Arm v7-M
 * Architecture Reference Manual, chapter A7.7), so that the very same kernels run on the host under sanitizers.
 * Words hold four bytes or two half-words, lowest address in the lowest bits (little-endian).
 */
#ifndef QMCU_DSP_H
#define QMCU_DSP_H

#include <stdint.h>

#define DSP_INLINE static inline __attribute__((always_inline, unused))

/* Words in memory. The address must be a multiple of 4; memcpy keeps the aliasing rules of C. */
DSP_INLINE uint32_t dsp_load(const void *address)
{
    uint32_t word;
    __builtin_memcpy(&word, __builtin_assume_aligned(address, 4), 4);
    return word;
}

DSP_INLINE void dsp_store(void *address, uint32_t word)
{
    __builtin_memcpy(__builtin_assume_aligned(address, 4), &word, 4);
}

/* The same byte, or the same half-word, in every lane. */
DSP_INLINE uint32_t dsp_four(uint32_t byte)
{
    return (byte & 0xffu) * 0x01010101u;
}

DSP_INLINE uint32_t dsp_two(uint32_t half)
{
    return (half & 0xffffu) * 0x00010001u;
}

/* Rotation to the right by 1 .. 31 bits. */
DSP_INLINE uint32_t dsp_rotate(uint32_t x, unsigned bits)
{
    return (x >> bits) | (x << (32u - bits));
}

/* acc + a product of half-words: bb bottom x bottom, bt bottom x top, ... ; compilers turn them into SMLAxy. */
DSP_INLINE int32_t dsp_smlabb(uint32_t x, uint32_t y, int32_t acc)
{
    return acc + (int32_t)(int16_t)x * (int16_t)y;
}

DSP_INLINE int32_t dsp_smlabt(uint32_t x, uint32_t y, int32_t acc)
{
    return acc + (int32_t)(int16_t)x * (int16_t)(y >> 16);
}

DSP_INLINE int32_t dsp_smlatb(uint32_t x, uint32_t y, int32_t acc)
{
    return acc + (int32_t)(int16_t)(x >> 16) * (int16_t)y;
}

DSP_INLINE int32_t dsp_smlatt(uint32_t x, uint32_t y, int32_t acc)
{
    return acc + (int32_t)(int16_t)(x >> 16) * (int16_t)(y >> 16);
}

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP

#include <arm_acle.h>

#define DSP_BINARY(name, shift)                                                                                        \
    DSP_INLINE uint32_t dsp_##name(uint32_t x, uint32_t y)                                                             \
    {                                                                                                                  \
        uint32_t result;                                                                                               \
        __asm(#name " %0, %1, %2" shift : "=r"(result) : "r"(x), "r"(y));                                              \
        return result;                                                                                                 \
    }

/* The two bytes of each half-word exchanged. */
DSP_INLINE uint32_t dsp_rev16(uint32_t x)
{
    uint32_t result;
    __asm("rev16 %0, %1" : "=r"(result) : "r"(x));
    return result;
}

DSP_BINARY(uqadd8, "")
DSP_BINARY(uqsub8, "")
DSP_BINARY(uadd8, "")
DSP_BINARY(sadd16, "")
DSP_BINARY(ssub16, "")
DSP_BINARY(qadd16, "")

/* clang optimises the intrinsics and stops at inline assembly (no unrolling); GCC 12 does not fold the rotation of
 * an intrinsic's operand into the instruction. So: intrinsics for clang, assembly for GCC. */
#ifdef __clang__

DSP_INLINE uint32_t dsp_pkhbt(uint32_t bottom, uint32_t top)
{
    return (bottom & 0xffffu) | top << 16;
}

DSP_INLINE uint32_t dsp_pkhtb(uint32_t top, uint32_t bottom)
{
    return (top & 0xffff0000u) | bottom >> 16;
}

/* The bottom half of one word and the top half of another one, each where it is. */
DSP_INLINE uint32_t dsp_halves(uint32_t bottom, uint32_t top)
{
    return (bottom & 0xffffu) | (top & 0xffff0000u);
}

#define DSP_EXTEND(name)                                                                                               \
    DSP_INLINE uint32_t dsp_##name(uint32_t x)                                                                         \
    {                                                                                                                  \
        return (uint32_t)__##name((int8x4_t)x);                                                                        \
    }                                                                                                                  \
    DSP_INLINE uint32_t dsp_##name##_ror8(uint32_t x)                                                                  \
    {                                                                                                                  \
        return (uint32_t)__##name((int8x4_t)dsp_rotate(x, 8));                                                         \
    }

DSP_EXTEND(uxtb16)
DSP_EXTEND(sxtb16)

DSP_INLINE uint32_t dsp_uxtab16(uint32_t sum, uint32_t x)
{
    return (uint32_t)__uxtab16((int16x2_t)sum, (int8x4_t)x);
}

DSP_INLINE uint32_t dsp_uxtab16_ror8(uint32_t sum, uint32_t x)
{
    return dsp_uxtab16(sum, dsp_rotate(x, 8));
}

DSP_INLINE int32_t dsp_smlad(uint32_t x, uint32_t y, int32_t acc)
{
    return __smlad((int16x2_t)x, (int16x2_t)y, acc);
}
DSP_INLINE int32_t dsp_smladx(uint32_t x, uint32_t y, int32_t acc)
{
    return __smladx((int16x2_t)x, (int16x2_t)y, acc);
}

#else

#define DSP_UNARY(name, instruction, rotation)                                                                         \
    DSP_INLINE uint32_t dsp_##name(uint32_t x)                                                                         \
    {                                                                                                                  \
        uint32_t result;                                                                                               \
        __asm(instruction " %0, %1" rotation : "=r"(result) : "r"(x));                                                 \
        return result;                                                                                                 \
    }
#define DSP_EXTEND_ADD(name, instruction, rotation)                                                                    \
    DSP_INLINE uint32_t dsp_##name(uint32_t sum, uint32_t x)                                                           \
    {                                                                                                                  \
        uint32_t result;                                                                                               \
        __asm(instruction " %0, %1, %2" rotation : "=r"(result) : "r"(sum), "r"(x));                                   \
        return result;                                                                                                 \
    }
#define DSP_MULTIPLY_ADD(name)                                                                                         \
    DSP_INLINE int32_t dsp_##name(uint32_t x, uint32_t y, int32_t acc)                                                 \
    {                                                                                                                  \
        int32_t result;                                                                                                \
        __asm(#name " %0, %1, %2, %3" : "=r"(result) : "r"(x), "r"(y), "r"(acc));                                      \
        return result;                                                                                                 \
    }

/* Two half-words as a word. */
DSP_BINARY(pkhbt, ", lsl #16")
DSP_BINARY(pkhtb, ", asr #16")

/* The bottom half of one word and the top half of another one, each where it is. */
DSP_INLINE uint32_t dsp_halves(uint32_t bottom, uint32_t top)
{
    uint32_t result;
    __asm("pkhbt %0, %1, %2" : "=r"(result) : "r"(bottom), "r"(top));
    return result;
}
DSP_UNARY(uxtb16, "uxtb16", "")
DSP_UNARY(uxtb16_ror8, "uxtb16", ", ror #8")
DSP_UNARY(sxtb16, "sxtb16", "")
DSP_UNARY(sxtb16_ror8, "sxtb16", ", ror #8")
DSP_EXTEND_ADD(uxtab16, "uxtab16", "")
DSP_EXTEND_ADD(uxtab16_ror8, "uxtab16", ", ror #8")
DSP_MULTIPLY_ADD(smlad)
DSP_MULTIPLY_ADD(smladx)

#endif

/* (acc << 32) + x * y, rounded to the nearest multiple of 2^32, shifted right by 32. */
DSP_INLINE int32_t dsp_smmlar(int32_t x, int32_t y, int32_t acc)
{
    int32_t result;
    __asm("smmlar %0, %1, %2, %3" : "=r"(result) : "r"(x), "r"(y), "r"(acc));
    return result;
}

DSP_INLINE int64_t dsp_smlal(int32_t x, int32_t y, int64_t acc)
{
    return acc + (int64_t)x * y;
}

/* Unsigned saturation to 8 bits, of a word and of two signed half-words. */
DSP_INLINE uint32_t dsp_usat8(int32_t x)
{
    uint32_t result;
    __asm("usat %0, #8, %1" : "=r"(result) : "r"(x));
    return result;
}

DSP_INLINE uint32_t dsp_usat16_8(uint32_t x)
{
    uint32_t result;
    __asm("usat16 %0, #8, %1" : "=r"(result) : "r"(x));
    return result;
}

/* Sum of the four bytes, added to acc (USADA8 against zero). */
DSP_INLINE uint32_t dsp_sum_bytes(uint32_t x, uint32_t acc)
{
    uint32_t result;
    __asm("usada8 %0, %1, %2, %3" : "=r"(result) : "r"(x), "r"(0), "r"(acc));
    return result;
}

#else /* the same in C */

/* Two half-words as a word. */
DSP_INLINE uint32_t dsp_pkhbt(uint32_t bottom, uint32_t top)
{
    return (bottom & 0xffffu) | top << 16;
}

DSP_INLINE uint32_t dsp_pkhtb(uint32_t top, uint32_t bottom)
{
    return (top & 0xffff0000u) | bottom >> 16;
}

/* The bottom half of one word and the top half of another one, each where it is. */
DSP_INLINE uint32_t dsp_halves(uint32_t bottom, uint32_t top)
{
    return (bottom & 0xffffu) | (top & 0xffff0000u);
}

#define DSP_LANES(name, count, bits, type, expression)                                                                 \
    DSP_INLINE uint32_t dsp_##name(uint32_t x, uint32_t y)                                                             \
    {                                                                                                                  \
        uint32_t result = 0;                                                                                           \
        for (unsigned lane = 0; lane < (count); lane++) {                                                              \
            const int32_t a = (type)(x >> (lane * (bits)));                                                            \
            const int32_t b = (type)(y >> (lane * (bits)));                                                            \
            result |= ((uint32_t)(expression) & ((1u << (bits)) - 1u)) << (lane * (bits));                             \
        }                                                                                                              \
        return result;                                                                                                 \
    }

DSP_LANES(uqadd8, 4u, 8u, uint8_t, a + b > 255 ? 255 : a + b)
DSP_LANES(uqsub8, 4u, 8u, uint8_t, a < b ? 0 : a - b)
DSP_LANES(uadd8, 4u, 8u, uint8_t, a + b)
DSP_LANES(sadd16, 2u, 16u, int16_t, a + b)
DSP_LANES(ssub16, 2u, 16u, int16_t, a - b)
DSP_LANES(qadd16, 2u, 16u, int16_t, a + b > 32767 ? 32767 : a + b < -32768 ? -32768 : a + b)

DSP_INLINE uint32_t dsp_rev16(uint32_t x)
{
    return (x << 8 & 0xff00ff00u) | (x >> 8 & 0x00ff00ffu);
}

DSP_INLINE uint32_t dsp_uxtb16(uint32_t x)
{
    return x & 0x00ff00ffu;
}

DSP_INLINE uint32_t dsp_uxtb16_ror8(uint32_t x)
{
    return dsp_uxtb16(dsp_rotate(x, 8));
}

DSP_INLINE uint32_t dsp_sxtb16(uint32_t x)
{
    return dsp_pkhbt((uint32_t)(int32_t)(int8_t)x, (uint32_t)(int32_t)(int8_t)(x >> 16));
}

DSP_INLINE uint32_t dsp_sxtb16_ror8(uint32_t x)
{
    return dsp_sxtb16(dsp_rotate(x, 8));
}

DSP_INLINE uint32_t dsp_uxtab16(uint32_t sum, uint32_t x)
{
    return dsp_sadd16(sum, dsp_uxtb16(x));
}

DSP_INLINE uint32_t dsp_uxtab16_ror8(uint32_t sum, uint32_t x)
{
    return dsp_sadd16(sum, dsp_uxtb16_ror8(x));
}

DSP_INLINE int32_t dsp_smlad(uint32_t x, uint32_t y, int32_t acc)
{
    const int64_t sum = (int64_t)dsp_smlabb(x, y, 0) + dsp_smlatt(x, y, 0) + acc;
    return (int32_t)(uint32_t)sum;
}

DSP_INLINE int32_t dsp_smladx(uint32_t x, uint32_t y, int32_t acc)
{
    return dsp_smlad(x, dsp_rotate(y, 16), acc);
}

DSP_INLINE int32_t dsp_smmlar(int32_t x, int32_t y, int32_t acc)
{
    const int64_t product = (int64_t)x * y + INT64_C(0x80000000);
    return (int32_t)(uint32_t)((uint64_t)(product >> 32) + (uint64_t)(int64_t)acc);
}

DSP_INLINE int64_t dsp_smlal(int32_t x, int32_t y, int64_t acc)
{
    return acc + (int64_t)x * y;
}

DSP_INLINE uint32_t dsp_usat8(int32_t x)
{
    return x < 0 ? 0u : x > 255 ? 255u : (uint32_t)x;
}

DSP_INLINE uint32_t dsp_usat16_8(uint32_t x)
{
    return dsp_pkhbt(dsp_usat8((int16_t)x), dsp_usat8((int16_t)(x >> 16)));
}

DSP_INLINE uint32_t dsp_sum_bytes(uint32_t x, uint32_t acc)
{
    return acc + (x & 0xffu) + (x >> 8 & 0xffu) + (x >> 16 & 0xffu) + (x >> 24);
}

#endif

/* Larger and smaller of four unsigned bytes: saturation drops what the other one does not exceed. */
DSP_INLINE uint32_t dsp_max_bytes(uint32_t x, uint32_t y)
{
    return dsp_uqadd8(dsp_uqsub8(x, y), y);
}

DSP_INLINE uint32_t dsp_min_bytes(uint32_t x, uint32_t y)
{
    return x - dsp_uqsub8(x, y);
}

/* Four codes in 0 .. 255 from four signed results that fit 16 bits, lane 0 lowest. */
DSP_INLINE uint32_t dsp_pack_saturated(int32_t r0, int32_t r1, int32_t r2, int32_t r3)
{
    const uint32_t even = dsp_usat16_8(dsp_pkhbt((uint32_t)r0, (uint32_t)r2));
    const uint32_t odd = dsp_usat16_8(dsp_pkhbt((uint32_t)r1, (uint32_t)r3));
    return even | odd << 8;
}

#endif

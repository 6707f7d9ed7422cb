#include "packed.h"

#include "dsp.h"

static int32_t code_at(const uint8_t *pixel, int32_t index, int32_t bits)
{
    const int32_t bit = index * bits;
    return (pixel[bit >> 3] >> (bit & 7)) & ((1 << bits) - 1);
}

/* Four codes from 16 bits, the low bytes of the half-words of `bytes`. */
DSP_INLINE uint32_t four_of_4(uint32_t bytes)
{
    return (bytes | bytes << 4) & 0x0f0f0f0fu;
}

/* Four codes from the low byte. */
DSP_INLINE uint32_t four_of_2(uint32_t byte)
{
    const uint32_t pairs = (byte | byte << 12) & 0x000f000fu;
    return (pairs | pairs << 6) & 0x03030303u;
}

DSP_INLINE void store_eight(uint8_t *codes, uint32_t word)
{
    const uint32_t even = dsp_uxtb16(word), odd = dsp_uxtb16_ror8(word);
    dsp_store(codes, four_of_4(dsp_pkhbt(even, odd)));
    dsp_store(codes + 4, four_of_4(dsp_pkhtb(odd, even)));
}

/* Whole words of packed codes; both addresses are multiples of 4. Returns how many codes that were. */
static int32_t unpack_words(const uint8_t *packed, uint8_t *codes, int32_t count, int32_t bits)
{
    const int32_t whole = bits == 4 ? count & ~7 : count & ~15;
    if (bits == 4) {
        for (const uint8_t *const end = codes + (whole & ~31); codes != end; codes += 32, packed += 16) {
            const uint32_t a = dsp_load(packed), b = dsp_load(packed + 4);
            const uint32_t c = dsp_load(packed + 8), d = dsp_load(packed + 12);
            store_eight(codes, a);
            store_eight(codes + 8, b);
            store_eight(codes + 16, c);
            store_eight(codes + 24, d);
        }
        for (const uint8_t *const end = codes + (whole & 31); codes != end; codes += 8, packed += 4)
            store_eight(codes, dsp_load(packed));
    } else {
        for (const uint8_t *const end = codes + whole; codes != end; codes += 16, packed += 4) {
            const uint32_t word = dsp_load(packed);
            dsp_store(codes, four_of_2(word & 255u));
            dsp_store(codes + 4, four_of_2(word >> 8 & 255u));
            dsp_store(codes + 8, four_of_2(word >> 16 & 255u));
            dsp_store(codes + 12, four_of_2(word >> 24));
        }
    }
    return whole;
}

void qmcu_unpack(const uint8_t *pixel, int32_t first, int32_t count, int32_t bits, uint8_t *codes)
{
    int32_t done = 0;
    if (bits == 8) {
        __builtin_memcpy(codes, pixel + first, (size_t)count);
        return;
    }
    if ((first * bits & 7) == 0) {
        const uint8_t *byte = pixel + first * bits / 8;
        if ((((uint32_t)(uintptr_t)byte | (uint32_t)(uintptr_t)codes) & 3u) == 0) {
            done = unpack_words(byte, codes, count, bits);
            byte += done * bits / 8;
        }
        if (bits == 4) {
            for (; done + 2 <= count; done += 2, byte++) {
                codes[done] = *byte & 15;
                codes[done + 1] = *byte >> 4;
            }
        } else {
            for (; done + 4 <= count; done += 4, byte++) {
                codes[done] = *byte & 3;
                codes[done + 1] = *byte >> 2 & 3;
                codes[done + 2] = *byte >> 4 & 3;
                codes[done + 3] = *byte >> 6;
            }
        }
    }
    for (; done < count; done++)
        codes[done] = (uint8_t)code_at(pixel, first + done, bits);
}

void qmcu_unpack_signed(const uint8_t *row, int32_t first, int32_t count, int32_t bits, int8_t *weights)
{
    const int32_t sign = 1 << (bits - 1);
    qmcu_unpack(row, first, count, bits, (uint8_t *)weights);
    if (bits == 8)
        return;
    for (int32_t i = 0; i < count; i++)
        weights[i] = (int8_t)((weights[i] ^ sign) - sign);
}

DSP_INLINE uint32_t word_of_eight(uint32_t low, uint32_t high)
{
    low = dsp_uxtb16(low | low >> 4);
    high = dsp_uxtb16(high | high >> 4);
    return dsp_pkhbt(low | low >> 8, high | high >> 8);
}

DSP_INLINE uint32_t byte_of_four(uint32_t four)
{
    four |= four >> 6;
    return (four | four >> 12) & 255u;
}

/* Whole words of packed codes; both addresses are multiples of 4. Returns how many codes that were. */
static int32_t pack_words(const uint8_t *codes, uint8_t *packed, int32_t count, int32_t bits)
{
    const int32_t whole = bits == 4 ? count & ~7 : count & ~15;
    if (bits == 4) {
        for (const uint8_t *const end = codes + (whole & ~15); codes != end; codes += 16, packed += 8) {
            const uint32_t a = dsp_load(codes), b = dsp_load(codes + 4);
            const uint32_t c = dsp_load(codes + 8), d = dsp_load(codes + 12);
            dsp_store(packed, word_of_eight(a, b));
            dsp_store(packed + 4, word_of_eight(c, d));
        }
        for (const uint8_t *const end = codes + (whole & 15); codes != end; codes += 8, packed += 4)
            dsp_store(packed, word_of_eight(dsp_load(codes), dsp_load(codes + 4)));
    } else {
        for (const uint8_t *const end = codes + whole; codes != end; codes += 16, packed += 4) {
            const uint32_t a = dsp_load(codes), b = dsp_load(codes + 4);
            const uint32_t c = dsp_load(codes + 8), d = dsp_load(codes + 12);
            dsp_store(packed, byte_of_four(a) | byte_of_four(b) << 8 | byte_of_four(c) << 16 | byte_of_four(d) << 24);
        }
    }
    return whole;
}

void qmcu_pack(const uint8_t *codes, int32_t count, int32_t bits, uint8_t *packed)
{
    const int32_t in_byte = 8 / bits;
    int32_t first = 0;
    if (bits < 8 && (((uint32_t)(uintptr_t)codes | (uint32_t)(uintptr_t)packed) & 3u) == 0) {
        first = pack_words(codes, packed, count, bits);
        packed += first / in_byte;
    }
    for (; first < count; first += in_byte) {
        int32_t byte = 0;
        for (int32_t i = 0; i < in_byte && first + i < count; i++)
            byte |= codes[first + i] << (i * bits);
        *packed++ = (uint8_t)byte;
    }
}

void qmcu_unpack_map(const uint8_t *map, uint8_t *codes, int32_t pixels, int32_t channels, int32_t bits)
{
    if (channels * bits % 8 == 0) { /* no spare bits */
        qmcu_unpack(map, 0, pixels * channels, bits, codes);
        return;
    }
    for (int32_t pixel = 0; pixel < pixels; pixel++) {
        qmcu_unpack(map, 0, channels, bits, codes);
        map += qmcu_packed_bytes(channels, bits);
        codes += channels;
    }
}

void qmcu_pack_map(const uint8_t *codes, uint8_t *map, int32_t pixels, int32_t channels, int32_t bits)
{
    if (channels * bits % 8 == 0) {
        qmcu_pack(codes, pixels * channels, bits, map);
        return;
    }
    for (int32_t pixel = 0; pixel < pixels; pixel++) {
        qmcu_pack(codes, channels, bits, map);
        map += qmcu_packed_bytes(channels, bits);
        codes += channels;
    }
}

#include "packed.h"

static int32_t code_at(const uint8_t *pixel, int32_t index, int32_t bits)
{
    const int32_t bit = index * bits;
    return (pixel[bit >> 3] >> (bit & 7)) & ((1 << bits) - 1);
}

void qmcu_unpack(const uint8_t *pixel, int32_t first, int32_t count, int32_t bits, uint8_t *codes)
{
    int32_t done = 0;
    if (bits == 8) {
        __builtin_memcpy(codes, pixel + first, (size_t)count);
        return;
    }
    if (bits == 4 && (first & 1) == 0) {
        const uint8_t *byte = pixel + first / 2;
        for (; done + 2 <= count; done += 2, byte++) {
            codes[done] = *byte & 15;
            codes[done + 1] = *byte >> 4;
        }
    } else if (bits == 2 && (first & 3) == 0) {
        const uint8_t *byte = pixel + first / 4;
        for (; done + 4 <= count; done += 4, byte++) {
            codes[done] = *byte & 3;
            codes[done + 1] = *byte >> 2 & 3;
            codes[done + 2] = *byte >> 4 & 3;
            codes[done + 3] = *byte >> 6;
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

void qmcu_pack(const uint8_t *codes, int32_t count, int32_t bits, uint8_t *packed)
{
    const int32_t in_byte = 8 / bits;
    for (int32_t first = 0; first < count; first += in_byte) {
        int32_t byte = 0;
        for (int32_t i = 0; i < in_byte && first + i < count; i++)
            byte |= codes[first + i] << (i * bits);
        *packed++ = (uint8_t)byte;
    }
}

void qmcu_unpack_map(const uint8_t *map, uint8_t *codes, int32_t pixels, int32_t channels, int32_t bits)
{
    for (int32_t pixel = 0; pixel < pixels; pixel++) {
        qmcu_unpack(map, 0, channels, bits, codes);
        map += qmcu_packed_bytes(channels, bits);
        codes += channels;
    }
}

void qmcu_pack_map(const uint8_t *codes, uint8_t *map, int32_t pixels, int32_t channels, int32_t bits)
{
    for (int32_t pixel = 0; pixel < pixels; pixel++) {
        qmcu_pack(codes, channels, bits, map);
        map += qmcu_packed_bytes(channels, bits);
        codes += channels;
    }
}

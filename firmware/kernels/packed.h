/* Codes of 8, 4 and 2 bits: packed densely along the channels, lowest bits first, each pixel from a new byte (docs/numerics.md).
 * Weights are packed alike, as two's complement. */
#ifndef QMCU_PACKED_H
#define QMCU_PACKED_H

#include <stddef.h>
#include <stdint.h>

/* Channels that kernels of packed maps unpack at once: whole bytes of any width. */
#define QMCU_PACKED_BLOCK 32

/* Bytes of `count` codes. */
static inline int32_t qmcu_packed_bytes(int32_t count, int32_t bits)
{
    return (count * bits + 7) / 8;
}

/* Unpacks codes first .. first + count - 1 of a pixel. */
void qmcu_unpack(const uint8_t *pixel, int32_t first, int32_t count, int32_t bits, uint8_t *codes);

/* The same for weights: sign-extended. */
void qmcu_unpack_signed(const uint8_t *row, int32_t first, int32_t count, int32_t bits, int8_t *weights);

/* Packs `count` codes from a whole byte on; spare high bits of the last byte become 0. Codes may be where they are packed
 * to. */
void qmcu_pack(const uint8_t *codes, int32_t count, int32_t bits, uint8_t *packed);

/* A whole map, from and to one byte a code. */
void qmcu_unpack_map(const uint8_t *map, uint8_t *codes, int32_t pixels, int32_t channels, int32_t bits);
void qmcu_pack_map(const uint8_t *codes, uint8_t *map, int32_t pixels, int32_t channels, int32_t bits);

#endif

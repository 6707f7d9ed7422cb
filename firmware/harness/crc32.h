/* CRC-32 as in zlib, PNG and Ethernet (ISO/IEC 13239: polynomial 0x04C11DB7, reflected, initial and final ~0). */
#ifndef QUANTMCU_CRC32_H
#define QUANTMCU_CRC32_H

#include <stdint.h>

#define CRC32_START 0xFFFFFFFFu

/* The state after one more byte. The checksum of a message is the complement of its last state. */
uint32_t crc32_update(uint32_t state, uint8_t byte);

#endif

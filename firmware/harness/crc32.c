#include "crc32.h"

/* Remainders of the 16 half-bytes: 64 bytes of flash, and fast enough for any UART. */
static const uint32_t half_byte_remainder[16] = {
    0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u, 0x4DB26158u, 0x5005713Cu,
    0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu, 0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu,
};

uint32_t crc32_update(uint32_t state, uint8_t byte)
{
    state ^= byte;
    state = (state >> 4) ^ half_byte_remainder[state & 15u];
    return (state >> 4) ^ half_byte_remainder[state & 15u];
}

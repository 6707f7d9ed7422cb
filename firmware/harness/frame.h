/* Frames: COBS (Cheshire and Baker, "Consistent Overhead Byte Stuffing", 1999) with a CRC-32, over port_write.
 *
 * COBS leaves no 0x00 inside a frame, so a receiver finds the next frame after any noise. Frames are received
 * byte by byte into one buffer and sent through one block buffer, so an answer may be of any length.
 */
#ifndef QUANTMCU_FRAME_H
#define QUANTMCU_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A received frame. The payload is valid until the next byte is received; handlers may use it as scratch memory. */
typedef struct {
    uint8_t type;
    uint8_t sequence;
    uint8_t *payload;
    size_t length;
    uint32_t check; /* its CRC-32 */
} frame;

typedef struct {
    uint32_t received;
    uint32_t dropped; /* too long, not COBS, or with a wrong CRC-32 */
} frame_counters;

/* Takes one byte from the line. True when it completes a good frame, which *received then describes. */
bool frame_receive(uint8_t byte, frame *received);

const frame_counters *frame_count(void);

/* Sends a frame: begin, any number of puts, end. */
void frame_begin(uint8_t type, uint8_t sequence);
void frame_put_u8(uint8_t value);
void frame_put_u16(uint16_t value);
void frame_put_u32(uint32_t value);
void frame_put_u64(uint64_t value);
void frame_put_bytes(const uint8_t *data, size_t length);
void frame_put_string(const char *text);
void frame_end(void);

#endif

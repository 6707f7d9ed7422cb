#include "frame.h"

#include "crc32.h"
#include "port.h"
#include "protocol.h"

enum {
    HEAD_BYTES = 2, /* type, sequence */
    CHECK_BYTES = 4,
    ARGUMENT_BYTES = 8, /* at most, before the data of a chunk */
    RECEIVE_BYTES = HEAD_BYTES + ARGUMENT_BYTES + PROTOCOL_CHUNK_BYTES + CHECK_BYTES,
    BLOCK_DATA_BYTES = 254 /* of a COBS block: its code is at most 255 */
};

static struct {
    uint8_t data[RECEIVE_BYTES];
    size_t length;
    uint8_t code;      /* of the current COBS block; 0 before the first */
    uint8_t remaining; /* bytes of it still to come */
    bool too_long;
} receiver;

static struct {
    uint8_t block[1 + BLOCK_DATA_BYTES + 1]; /* code, data, room for the delimiter */
    size_t length;                           /* of its data */
    uint32_t crc;
} sender;

static frame_counters counters;

/* -- receiving ---------------------------------------------------------------------------------------------------- */

static void receive_decoded(uint8_t byte)
{
    if (receiver.length == RECEIVE_BYTES) {
        receiver.too_long = true;
        return;
    }
    receiver.data[receiver.length++] = byte;
}

static void receive_encoded(uint8_t byte)
{
    if (receiver.remaining > 0) {
        receiver.remaining--;
        receive_decoded(byte);
        return;
    }
    /* A new block. Every block but a full one stands for its data and a zero. */
    if (receiver.code != 0 && receiver.code != 255) {
        receive_decoded(0);
    }
    receiver.code = byte;
    receiver.remaining = (uint8_t)(byte - 1);
}

static bool check_is_right(uint32_t *check)
{
    if (receiver.too_long || receiver.remaining > 0 || receiver.length < HEAD_BYTES + CHECK_BYTES) {
        return false;
    }
    const size_t checked = receiver.length - CHECK_BYTES;
    uint32_t state = CRC32_START;
    for (size_t i = 0; i < checked; i++) {
        state = crc32_update(state, receiver.data[i]);
    }
    const uint8_t *sent = &receiver.data[checked];
    *check = (uint32_t)sent[0] | (uint32_t)sent[1] << 8 | (uint32_t)sent[2] << 16 | (uint32_t)sent[3] << 24;
    return *check == ~state;
}

bool frame_receive(uint8_t byte, frame *received)
{
    if (byte != 0) {
        receive_encoded(byte);
        return false;
    }
    const bool empty = receiver.code == 0; /* between two frames */
    const bool good = !empty && check_is_right(&received->check);
    if (good) {
        received->type = receiver.data[0];
        received->sequence = receiver.data[1];
        received->payload = &receiver.data[HEAD_BYTES];
        received->length = receiver.length - HEAD_BYTES - CHECK_BYTES;
        counters.received++;
    } else if (!empty) {
        counters.dropped++;
    }
    receiver.length = 0;
    receiver.code = 0;
    receiver.remaining = 0;
    receiver.too_long = false;
    return good;
}

const frame_counters *frame_count(void)
{
    return &counters;
}

/* -- sending ------------------------------------------------------------------------------------------------------ */

static void send_block(void)
{
    sender.block[0] = (uint8_t)(sender.length + 1);
    port_write(sender.block, sender.length + 1);
    sender.length = 0;
}

static void send_decoded(uint8_t byte)
{
    if (byte == 0) {
        send_block();
        return;
    }
    sender.block[++sender.length] = byte;
    if (sender.length == BLOCK_DATA_BYTES) {
        send_block();
    }
}

void frame_begin(uint8_t type, uint8_t sequence)
{
    /* A delimiter in front too: whatever noise or text came before is no part of this frame. */
    static const uint8_t delimiter = 0;
    port_write(&delimiter, 1);
    sender.length = 0;
    sender.crc = CRC32_START;
    frame_put_u8(type);
    frame_put_u8(sequence);
}

void frame_put_u8(uint8_t value)
{
    sender.crc = crc32_update(sender.crc, value);
    send_decoded(value);
}

void frame_put_u16(uint16_t value)
{
    frame_put_u8((uint8_t)value);
    frame_put_u8((uint8_t)(value >> 8));
}

void frame_put_u32(uint32_t value)
{
    frame_put_u16((uint16_t)value);
    frame_put_u16((uint16_t)(value >> 16));
}

void frame_put_u64(uint64_t value)
{
    frame_put_u32((uint32_t)value);
    frame_put_u32((uint32_t)(value >> 32));
}

void frame_put_bytes(const uint8_t *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        frame_put_u8(data[i]);
    }
}

void frame_put_string(const char *text)
{
    size_t length = 0;
    while (text[length] != '\0' && length < UINT16_MAX) {
        length++;
    }
    frame_put_u16((uint16_t)length);
    frame_put_bytes((const uint8_t *)text, length);
}

void frame_end(void)
{
    const uint32_t check = ~sender.crc;
    for (unsigned shift = 0; shift < 32; shift += 8) {
        send_decoded((uint8_t)(check >> shift));
    }
    const size_t length = sender.length + 1;
    sender.block[0] = (uint8_t)length;
    sender.block[length] = 0;
    port_write(sender.block, length + 1);
}

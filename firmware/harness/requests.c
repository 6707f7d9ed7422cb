#include "requests.h"

#include <string.h>

#include "handler.h"
#include "port.h"
#include "protocol.h"
#include "quantmcu.h"

static struct {
    bool asking;
    bool abandoned;
    uint8_t sequence; /* of the RUN request */
    uint32_t number;  /* of the part asked for, since reset */
} state;

static void ask(size_t index, const quantmcu_rectangle *part, size_t offset, size_t length)
{
    frame_begin(FRAME_NEED_INPUT, state.sequence);
    frame_put_u32(state.number);
    frame_put_u16((uint16_t)index);
    frame_put_u32(part->row);
    frame_put_u32(part->column);
    frame_put_u32(part->rows);
    frame_put_u32(part->columns);
    frame_put_u32((uint32_t)offset);
    frame_put_u16((uint16_t)length);
    frame_end();
}

/* Waits for a chunk. A lost question or answer makes the host repeat RUN, upon which the question is repeated. A chunk that comes
 * twice has an old number. Any other request means that the host has given up. */
static void receive(size_t index, const quantmcu_rectangle *part, size_t offset, size_t length, uint8_t *target)
{
    enum { NUMBER_BYTES = 4 };
    state.number++;
    ask(index, part, offset, length);
    while (!state.abandoned) {
        const int byte = port_read_byte();
        frame received;
        if (byte < 0 || !frame_receive((uint8_t)byte, &received)) {
            continue;
        }
        if (received.type == FRAME_INPUT_PART) {
            if (received.length == NUMBER_BYTES + length && get_u32(received.payload) == state.number) {
                memcpy(target, received.payload + NUMBER_BYTES, length);
                return;
            }
        } else if (received.type == FRAME_RUN && received.sequence == state.sequence) {
            ask(index, part, offset, length);
        } else {
            state.abandoned = true;
        }
    }
}

static size_t pixel_bytes(const quantmcu_tensor *tensor)
{
    return tensor->bytes / ((size_t)tensor->shape[1] * (size_t)tensor->shape[2]);
}

static void read_part(void *context, const quantmcu_rectangle *part, uint8_t *target)
{
    const quantmcu_tensor *tensor = context;
    size_t index = 0;
    while (quantmcu_input(index) != tensor) {
        index++;
    }
    const size_t total = (size_t)part->rows * part->columns * pixel_bytes(tensor);
    for (size_t offset = 0; state.asking && offset < total; offset += PROTOCOL_CHUNK_BYTES) {
        const size_t left = total - offset;
        receive(index, part, offset, left < PROTOCOL_CHUNK_BYTES ? left : PROTOCOL_CHUNK_BYTES, target + offset);
    }
}

void requests_init(void)
{
    for (size_t index = 0; index < quantmcu_model_info.input_count; index++) {
        quantmcu_set_reader(index, read_part, (void *)(uintptr_t)quantmcu_input(index));
    }
}

bool requests_possible(void)
{
    for (size_t index = 0; index < quantmcu_model_info.input_count; index++) {
        if (quantmcu_input(index)->data == NULL) {
            return true;
        }
    }
    return false;
}

void requests_begin(const frame *run)
{
    state.asking = run != NULL;
    state.abandoned = false;
    state.sequence = run != NULL ? run->sequence : 0;
}

bool requests_end(void)
{
    state.asking = false;
    return !state.abandoned;
}

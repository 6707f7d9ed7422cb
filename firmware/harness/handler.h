/* What carries out one request of the host. */
#ifndef QUANTMCU_HANDLER_H
#define QUANTMCU_HANDLER_H

#include <stdint.h>

#include "frame.h"
#include "protocol.h"

/* Sends the answer to `request`, or sends nothing and returns why not. Its payload is as long as commands.c asks for. */
typedef protocol_error request_handler(const frame *request);

static inline uint16_t get_u16(const uint8_t *data)
{
    return (uint16_t)(data[0] | data[1] << 8);
}

static inline uint32_t get_u32(const uint8_t *data)
{
    return (uint32_t)get_u16(data) | (uint32_t)get_u16(data + 2) << 16;
}

static inline void answer_begin(const frame *request)
{
    frame_begin((uint8_t)(request->type | FRAME_ANSWER), request->sequence);
}

static inline protocol_error answer_empty(const frame *request)
{
    answer_begin(request);
    frame_end();
    return ERROR_NONE;
}

#endif

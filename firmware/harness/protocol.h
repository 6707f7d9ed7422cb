/* The serial protocol between the QuantMCU firmware and its host (README.md beside this file explains it).
 *
 * A frame on the line is 0x00, the COBS encoding of
 *
 *     type u8 | sequence u8 | payload | CRC-32 (zlib's, over all before it) u32
 *
 * and 0x00. All numbers are little-endian. The host asks, the device answers; only the greeting comes unasked.
 * An answer carries the request's type + FRAME_ANSWER and its sequence number.
 */
#ifndef QUANTMCU_PROTOCOL_H
#define QUANTMCU_PROTOCOL_H

#define PROTOCOL_VERSION 1u

/* Bounds of one request, so that the harness needs little memory. */
#define PROTOCOL_CHUNK_BYTES 1024u  /* of an input, an output or an echo */
#define PROTOCOL_RUNS 32u           /* runs of one RUN request */
#define PROTOCOL_PROFILE_STEPS 256u /* steps whose cycles one PROFILE request returns */

/* Types of frames. Payloads: request -> answer. "str" is a length u16 and that many bytes of UTF-8. */
enum {
    /* -> protocol u8, API u8, flags u8, core clock u32 Hz, counts of inputs, outputs, steps u16 each,
     *    board str, model str, SHA-256 of the model str */
    FRAME_IDENTIFY = 0x01,
    /* kind u8 (0 input, 1 output), index u16 -> bits u8, on demand u8, rank u8, shape i32 * rank, bytes u32, scale f32,
     *    zero point i32, name str */
    FRAME_DESCRIBE_TENSOR = 0x02,
    /* index u16 -> name str */
    FRAME_DESCRIBE_STEP = 0x03,
    /* input u16, offset u32, data (1 to PROTOCOL_CHUNK_BYTES) -> nothing. From input 0, offset 0 on, without gaps */
    FRAME_LOAD_INPUT = 0x04,
    /* fresh u8 (1: refuse unless all inputs are loaded), count u8 (1 to PROTOCOL_RUNS)
     *    -> fresh u8 (the first of these runs saw freshly loaded inputs), number of the first run since reset u32,
     *       overhead u32, cycles u64 * count. FRAME_BUSY comes after each run but the last. */
    FRAME_RUN = 0x05,
    /* first step u16, count u16 (1 to PROTOCOL_PROFILE_STEPS)
     *    -> number of the run since reset u32, overhead u32, cycles of the whole run u64, cycles u32 * count */
    FRAME_PROFILE = 0x06,
    /* output u16, offset u32, length u16 (1 to PROTOCOL_CHUNK_BYTES) -> data */
    FRAME_READ_OUTPUT = 0x07,
    /* -> greatest stack use u32, stack size u32, arena u32; bytes */
    FRAME_MARKS = 0x08,
    /* -> valid u8, then cause, pc, lr, sp, CFSR, HFSR, address u32 each (0 when not valid) */
    FRAME_READ_FAULT = 0x09,
    /* -> nothing */
    FRAME_CLEAR_FAULT = 0x0A,
    /* data -> the same data */
    FRAME_ECHO = 0x0B,
    /* -> frames received, frames dropped, requests repeated u32 each, since reset */
    FRAME_COUNTERS = 0x0C,
    /* -> nothing; then the chip resets and greets */
    FRAME_RESET = 0x0D,
    /* number u32, data; answers FRAME_NEED_INPUT during a run. Not answered itself. */
    FRAME_INPUT_PART = 0x0E,

    /* Sent unasked at reset, sequence 0: protocol u8, flags u8, SHA-256 of the model str */
    FRAME_GREETING = 0x40,
    /* "Still at work on this request": no payload */
    FRAME_BUSY = 0x41,
    /* "A run needs a part of an input on demand", with the sequence number of RUN: number u32, input u16, row u32,
     * column u32, rows u32, columns u32, offset u32 and length u16 (1 to PROTOCOL_CHUNK_BYTES) in that rectangle */
    FRAME_NEED_INPUT = 0x42,

    FRAME_ANSWER = 0x80,
    /* In place of the answer: error u8, type of the request u8 */
    FRAME_ERROR = 0xFF
};

/* Flags of the greeting and of IDENTIFY. */
enum { FLAG_CYCLE_COUNTER = 1, FLAG_FAULT_RECORDED = 2 };

typedef enum {
    ERROR_NONE = 0,
    ERROR_UNKNOWN_REQUEST = 1,
    ERROR_LENGTH = 2,           /* the payload is not as long as this request's */
    ERROR_INDEX = 3,            /* no such input, output or step */
    ERROR_RANGE = 4,            /* offset and length lie outside the tensor, or a count is out of bounds */
    ERROR_LOAD_ORDER = 5,       /* chunks before this one are missing: start again at input 0, offset 0 */
    ERROR_INPUTS_NOT_LOADED = 6,
    ERROR_OUTPUTS_NOT_VALID = 7 /* no single run of freshly loaded inputs came just before */
} protocol_error;

#endif

#include "commands.h"

#include <string.h>

#include "measure.h"
#include "port.h"
#include "protocol.h"
#include "quantmcu.h"
#include "requests.h"

/* How far the host has come with one inference. Inputs share memory with later feature maps, so a run consumes
 * them, and a load destroys the outputs: the states below make sure that no stale data passes for a result. */
static struct {
    size_t next_input;  /* all inputs before it are loaded, and of itself */
    size_t next_offset; /* the bytes before this; all are loaded when next_input is the input count */
    bool outputs_valid;
    uint32_t runs; /* since reset */
} inference;

/* The last request, to recognise its repetition, and what is needed to answer a repeated RUN. */
static struct {
    bool done; /* without an error */
    uint8_t type;
    uint8_t sequence;
    uint32_t check;
    uint32_t repeated; /* how often that happened, for FRAME_COUNTERS */
} last_request;

static struct {
    bool fresh;
    uint32_t first_run;
    uint64_t cycles[PROTOCOL_RUNS];
} last_runs;

/* -- payloads ----------------------------------------------------------------------------------------------------- */

static uint16_t get_u16(const uint8_t *data)
{
    return (uint16_t)(data[0] | data[1] << 8);
}

static uint32_t get_u32(const uint8_t *data)
{
    return (uint32_t)get_u16(data) | (uint32_t)get_u16(data + 2) << 16;
}

static void begin_answer(const frame *request)
{
    frame_begin((uint8_t)(request->type | FRAME_ANSWER), request->sequence);
}

static uint8_t flags(void)
{
    const unsigned counter = measure_has_counter() ? FLAG_CYCLE_COUNTER : 0;
    const unsigned fault = port_last_fault() != NULL ? FLAG_FAULT_RECORDED : 0;
    return (uint8_t)(counter | fault);
}

/* -- what the firmware is ----------------------------------------------------------------------------------------- */

void commands_greet(void)
{
    frame_begin(FRAME_GREETING, 0);
    frame_put_u8(PROTOCOL_VERSION);
    frame_put_u8(flags());
    frame_put_string(quantmcu_model_info.sha256);
    frame_end();
}

static protocol_error identify(const frame *request)
{
    if (request->length != 0) {
        return ERROR_LENGTH;
    }
    begin_answer(request);
    frame_put_u8(PROTOCOL_VERSION);
    frame_put_u8(QUANTMCU_API_VERSION);
    frame_put_u8(flags());
    frame_put_u32(port_clock_hz);
    frame_put_u16((uint16_t)quantmcu_model_info.input_count);
    frame_put_u16((uint16_t)quantmcu_model_info.output_count);
    frame_put_u16((uint16_t)quantmcu_model_info.step_count);
    frame_put_string(port_board_id);
    frame_put_string(quantmcu_model_info.name);
    frame_put_string(quantmcu_model_info.sha256);
    frame_end();
    return ERROR_NONE;
}

static protocol_error describe_tensor(const frame *request)
{
    if (request->length != 3) {
        return ERROR_LENGTH;
    }
    const size_t index = get_u16(request->payload + 1);
    const quantmcu_tensor *tensor = request->payload[0] == 0 ? quantmcu_input(index) : quantmcu_output(index);
    if (tensor == NULL) {
        return ERROR_INDEX;
    }
    uint32_t scale_bits;
    memcpy(&scale_bits, &tensor->scale, sizeof scale_bits);
    begin_answer(request);
    frame_put_u8(tensor->bits);
    frame_put_u8(tensor->data == NULL);
    frame_put_u8(tensor->rank);
    for (size_t axis = 0; axis < tensor->rank; axis++) {
        frame_put_u32((uint32_t)tensor->shape[axis]);
    }
    frame_put_u32((uint32_t)tensor->bytes);
    frame_put_u32(scale_bits);
    frame_put_u32((uint32_t)tensor->zero_point);
    frame_put_string(tensor->name);
    frame_end();
    return ERROR_NONE;
}

static protocol_error describe_step(const frame *request)
{
    if (request->length != 2) {
        return ERROR_LENGTH;
    }
    const size_t index = get_u16(request->payload);
    if (index >= quantmcu_model_info.step_count) {
        return ERROR_INDEX;
    }
    begin_answer(request);
    frame_put_string(quantmcu_model_info.step_names[index]);
    frame_end();
    return ERROR_NONE;
}

/* -- inference ---------------------------------------------------------------------------------------------------- */

static protocol_error answer_empty(const frame *request)
{
    begin_answer(request);
    frame_end();
    return ERROR_NONE;
}

/* Inputs on demand need no loading. */
static void skip_inputs_on_demand(void)
{
    const quantmcu_tensor *tensor;
    while ((tensor = quantmcu_input(inference.next_input)) != NULL && tensor->data == NULL) {
        inference.next_input++;
    }
}

static bool inputs_fresh(void)
{
    skip_inputs_on_demand();
    return inference.next_input == quantmcu_model_info.input_count;
}

static void consume_inputs(void)
{
    inference.next_input = 0;
    inference.next_offset = 0;
    inference.outputs_valid = false;
}

static bool first_chunk(size_t index, size_t offset)
{
    for (size_t earlier = 0; earlier < index; earlier++) {
        if (quantmcu_input(earlier)->data != NULL) {
            return false;
        }
    }
    return offset == 0;
}

/* Chunks come in order. One that was loaded already, because its answer was lost, is written again; a gap, as after a
 * reset that the host has not noticed, is refused. */
static protocol_error load_input(const frame *request)
{
    enum { ARGUMENTS = 6 };
    if (request->length <= ARGUMENTS || request->length > ARGUMENTS + PROTOCOL_CHUNK_BYTES) {
        return ERROR_LENGTH;
    }
    const size_t index = get_u16(request->payload);
    const size_t offset = get_u32(request->payload + 2);
    const size_t length = request->length - ARGUMENTS;
    const quantmcu_tensor *tensor = quantmcu_input(index);
    if (tensor == NULL || tensor->data == NULL) {
        return ERROR_INDEX;
    }
    if (offset > tensor->bytes || length > tensor->bytes - offset) {
        return ERROR_RANGE;
    }
    if (first_chunk(index, offset)) {
        consume_inputs(); /* a new inference; forget what was loaded */
    }
    skip_inputs_on_demand();
    if (index > inference.next_input || (index == inference.next_input && offset > inference.next_offset)) {
        return ERROR_LOAD_ORDER;
    }
    memcpy((uint8_t *)tensor->data + offset, request->payload + ARGUMENTS, length);
    if (index == inference.next_input && offset + length > inference.next_offset) {
        inference.next_offset = offset + length;
    }
    if (index == inference.next_input && inference.next_offset == tensor->bytes) {
        inference.next_input++;
        inference.next_offset = 0;
    }
    return answer_empty(request);
}

static void answer_runs(const frame *request, size_t count)
{
    begin_answer(request);
    frame_put_u8(last_runs.fresh);
    frame_put_u32(last_runs.first_run);
    frame_put_u32(measure_overhead());
    for (size_t run = 0; run < count; run++) {
        frame_put_u64(last_runs.cycles[run]);
    }
    frame_end();
}

static protocol_error run(const frame *request, bool repeated)
{
    if (request->length != 2) {
        return ERROR_LENGTH;
    }
    const bool must_be_fresh = request->payload[0] != 0;
    const size_t count = request->payload[1];
    if (count == 0 || count > PROTOCOL_RUNS) {
        return ERROR_RANGE;
    }
    if (repeated) {
        answer_runs(request, count);
        return ERROR_NONE;
    }
    if (must_be_fresh && !inputs_fresh()) {
        return ERROR_INPUTS_NOT_LOADED;
    }
    /* Inputs on demand are asked for when results are wanted; when only time is, nobody delivers them. */
    last_runs.fresh = inputs_fresh() && (must_be_fresh || !requests_possible());
    last_runs.first_run = inference.runs;
    consume_inputs();
    requests_begin(must_be_fresh ? request : NULL);
    for (size_t index = 0; index < count; index++) {
        if (index > 0) {
            frame_begin(FRAME_BUSY, request->sequence);
            frame_end();
        }
        last_runs.cycles[index] = measure_run();
        inference.runs++;
    }
    if (!requests_end()) {
        return ERROR_INPUTS_NOT_LOADED;
    }
    inference.outputs_valid = last_runs.fresh && count == 1;
    answer_runs(request, count);
    return ERROR_NONE;
}

/* Runs the network once and keeps the cycles of a window of steps, in the memory of the request itself. */
static protocol_error profile(const frame *request)
{
    if (request->length != 4) {
        return ERROR_LENGTH;
    }
    const size_t first = get_u16(request->payload);
    const size_t count = get_u16(request->payload + 2);
    const size_t steps = quantmcu_model_info.step_count;
    if (count == 0 || count > PROTOCOL_PROFILE_STEPS || first > steps || count > steps - first) {
        return ERROR_RANGE;
    }
    consume_inputs();
    requests_begin(NULL);
    const uint32_t overhead = measure_overhead();
    uint64_t total = 0;
    memset(request->payload, 0, count * sizeof(uint32_t));
    for (size_t part = 0; part < quantmcu_model_info.part_count; part++) {
        const uint32_t measured = measure_part(part);
        const uint32_t cycles = measured > overhead ? measured - overhead : 0;
        const size_t step = quantmcu_part_step(part);
        total += cycles;
        if (step >= first && step - first < count) {
            uint8_t *place = request->payload + (step - first) * sizeof cycles;
            uint32_t sum;
            memcpy(&sum, place, sizeof sum);
            sum += cycles;
            memcpy(place, &sum, sizeof sum);
        }
    }
    begin_answer(request);
    frame_put_u32(inference.runs++);
    frame_put_u32(overhead);
    frame_put_u64(total);
    frame_put_bytes(request->payload, count * sizeof(uint32_t)); /* the cores are little-endian, as the line is */
    frame_end();
    return ERROR_NONE;
}

static protocol_error read_output(const frame *request)
{
    if (request->length != 8) {
        return ERROR_LENGTH;
    }
    const quantmcu_tensor *tensor = quantmcu_output(get_u16(request->payload));
    const size_t offset = get_u32(request->payload + 2);
    const size_t length = get_u16(request->payload + 6);
    if (tensor == NULL) {
        return ERROR_INDEX;
    }
    if (length == 0 || length > PROTOCOL_CHUNK_BYTES || offset > tensor->bytes || length > tensor->bytes - offset) {
        return ERROR_RANGE;
    }
    if (!inference.outputs_valid) {
        return ERROR_OUTPUTS_NOT_VALID;
    }
    begin_answer(request);
    frame_put_bytes((const uint8_t *)tensor->data + offset, length);
    frame_end();
    return ERROR_NONE;
}

/* -- the machine -------------------------------------------------------------------------------------------------- */

static protocol_error marks(const frame *request)
{
    if (request->length != 0) {
        return ERROR_LENGTH;
    }
    begin_answer(request);
    frame_put_u32((uint32_t)port_stack_used());
    frame_put_u32((uint32_t)port_stack_size());
    frame_put_u32((uint32_t)quantmcu_model_info.arena_bytes);
    frame_end();
    return ERROR_NONE;
}

static protocol_error read_fault(const frame *request)
{
    static const port_fault_record none;
    if (request->length != 0) {
        return ERROR_LENGTH;
    }
    const port_fault_record *last = port_last_fault();
    const port_fault_record *fault = last != NULL ? last : &none;
    begin_answer(request);
    frame_put_u8(last != NULL);
    frame_put_u32(fault->cause);
    frame_put_u32(fault->pc);
    frame_put_u32(fault->lr);
    frame_put_u32(fault->sp);
    frame_put_u32(fault->cfsr);
    frame_put_u32(fault->hfsr);
    frame_put_u32(fault->address);
    frame_end();
    return ERROR_NONE;
}

static protocol_error clear_fault(const frame *request)
{
    if (request->length != 0) {
        return ERROR_LENGTH;
    }
    port_clear_fault();
    return answer_empty(request);
}

static protocol_error echo(const frame *request)
{
    begin_answer(request);
    frame_put_bytes(request->payload, request->length);
    frame_end();
    return ERROR_NONE;
}

static protocol_error read_counters(const frame *request)
{
    if (request->length != 0) {
        return ERROR_LENGTH;
    }
    begin_answer(request);
    frame_put_u32(frame_count()->received);
    frame_put_u32(frame_count()->dropped);
    frame_put_u32(last_request.repeated);
    frame_end();
    return ERROR_NONE;
}

static protocol_error reset(const frame *request)
{
    if (request->length != 0) {
        return ERROR_LENGTH;
    }
    answer_empty(request);
    port_flush();
    port_reset();
}

/* -- dispatch ----------------------------------------------------------------------------------------------------- */

static protocol_error carry_out(const frame *request, bool repeated)
{
    switch (request->type) {
    case FRAME_IDENTIFY:
        return identify(request);
    case FRAME_DESCRIBE_TENSOR:
        return describe_tensor(request);
    case FRAME_DESCRIBE_STEP:
        return describe_step(request);
    case FRAME_LOAD_INPUT:
        return load_input(request);
    case FRAME_RUN:
        return run(request, repeated);
    case FRAME_PROFILE:
        return profile(request);
    case FRAME_READ_OUTPUT:
        return read_output(request);
    case FRAME_MARKS:
        return marks(request);
    case FRAME_READ_FAULT:
        return read_fault(request);
    case FRAME_CLEAR_FAULT:
        return clear_fault(request);
    case FRAME_ECHO:
        return echo(request);
    case FRAME_COUNTERS:
        return read_counters(request);
    case FRAME_RESET:
        return reset(request);
    default:
        return ERROR_UNKNOWN_REQUEST;
    }
}

void commands_answer(const frame *request)
{
    const bool repeated = last_request.done && request->type == last_request.type
                          && request->sequence == last_request.sequence && request->check == last_request.check;
    last_request.type = request->type;
    last_request.sequence = request->sequence;
    last_request.check = request->check;
    last_request.repeated += repeated;

    const protocol_error error = carry_out(request, repeated);
    last_request.done = error == ERROR_NONE;
    if (error != ERROR_NONE) {
        frame_begin(FRAME_ERROR, request->sequence);
        frame_put_u8((uint8_t)error);
        frame_put_u8(request->type);
        frame_end();
    }
}

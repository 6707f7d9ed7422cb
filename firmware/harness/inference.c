#include "inference.h"

#include <string.h>

#include "commands.h"
#include "measure.h"
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

/* The last RUN or PROFILE, to answer it again. */
static struct {
    bool fresh;
    uint32_t first_run;
    uint32_t overhead;
    uint64_t total; /* of the steps */
    union {
        uint64_t by_run[PROTOCOL_RUNS];
        uint32_t by_step[PROTOCOL_PROFILE_STEPS];
    } cycles;
} timing;

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
protocol_error inference_load(const frame *request)
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

static protocol_error answer_runs(const frame *request, size_t count)
{
    answer_begin(request);
    frame_put_u8(timing.fresh);
    frame_put_u32(timing.first_run);
    frame_put_u32(timing.overhead);
    for (size_t run = 0; run < count; run++) {
        frame_put_u64(timing.cycles.by_run[run]);
    }
    frame_end();
    return ERROR_NONE;
}

protocol_error inference_run(const frame *request)
{
    const bool must_be_fresh = request->payload[0] != 0;
    const size_t count = request->payload[1];
    if (count == 0 || count > PROTOCOL_RUNS) {
        return ERROR_RANGE;
    }
    if (commands_repeated()) {
        return answer_runs(request, count);
    }
    if (must_be_fresh && !inputs_fresh()) {
        return ERROR_INPUTS_NOT_LOADED;
    }
    /* Inputs on demand are asked for when results are wanted; when only time is, nobody delivers them. */
    timing.fresh = inputs_fresh() && (must_be_fresh || !requests_possible());
    timing.first_run = inference.runs;
    timing.overhead = measure_overhead();
    consume_inputs();
    requests_begin(must_be_fresh ? request : NULL);
    for (size_t index = 0; index < count; index++) {
        if (index > 0) {
            frame_begin(FRAME_BUSY, request->sequence);
            frame_end();
        }
        timing.cycles.by_run[index] = measure_run();
        inference.runs++;
    }
    if (!requests_end()) {
        return ERROR_INPUTS_NOT_LOADED;
    }
    inference.outputs_valid = timing.fresh && count == 1;
    return answer_runs(request, count);
}

/* Runs the network once and keeps the cycles of a window of steps. */
static void time_steps(size_t first, size_t count)
{
    timing.first_run = inference.runs++;
    timing.overhead = measure_overhead();
    timing.total = 0;
    memset(timing.cycles.by_step, 0, count * sizeof timing.cycles.by_step[0]);
    for (size_t part = 0; part < quantmcu_model_info.part_count; part++) {
        const uint32_t measured = measure_part(part);
        const uint32_t cycles = measured > timing.overhead ? measured - timing.overhead : 0;
        const size_t step = quantmcu_part_step(part);
        timing.total += cycles;
        if (step >= first && step - first < count) {
            timing.cycles.by_step[step - first] += cycles;
        }
    }
}

protocol_error inference_profile(const frame *request)
{
    const size_t first = get_u16(request->payload);
    const size_t count = get_u16(request->payload + 2);
    const size_t steps = quantmcu_model_info.step_count;
    if (count == 0 || count > PROTOCOL_PROFILE_STEPS || first > steps || count > steps - first) {
        return ERROR_RANGE;
    }
    if (!commands_repeated()) {
        consume_inputs();
        requests_begin(NULL);
        time_steps(first, count);
    }
    answer_begin(request);
    frame_put_u32(timing.first_run);
    frame_put_u32(timing.overhead);
    frame_put_u64(timing.total);
    for (size_t step = 0; step < count; step++) {
        frame_put_u32(timing.cycles.by_step[step]);
    }
    frame_end();
    return ERROR_NONE;
}

protocol_error inference_read_output(const frame *request)
{
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
    answer_begin(request);
    frame_put_bytes((const uint8_t *)tensor->data + offset, length);
    frame_end();
    return ERROR_NONE;
}

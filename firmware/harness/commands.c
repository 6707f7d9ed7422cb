#include "commands.h"

#include "handler.h"
#include "identity.h"
#include "inference.h"
#include "machine.h"
#include "protocol.h"

enum { ANY_LENGTH = -1 };

static const struct {
    uint8_t type;
    int16_t length; /* of the payload */
    request_handler *carry_out;
} known[] = {
    {FRAME_IDENTIFY, 0, identity_tell},
    {FRAME_DESCRIBE_TENSOR, 3, identity_describe_tensor},
    {FRAME_DESCRIBE_STEP, 2, identity_describe_step},
    {FRAME_LOAD_INPUT, ANY_LENGTH, inference_load},
    {FRAME_RUN, 2, inference_run},
    {FRAME_PROFILE, 4, inference_profile},
    {FRAME_READ_OUTPUT, 8, inference_read_output},
    {FRAME_MARKS, 0, machine_marks},
    {FRAME_READ_FAULT, 0, machine_read_fault},
    {FRAME_CLEAR_FAULT, 0, machine_clear_fault},
    {FRAME_ECHO, ANY_LENGTH, machine_echo},
    {FRAME_COUNTERS, 0, machine_counters},
    {FRAME_RESET, 0, machine_reset},
};

/* The last request, to recognise its repetition. */
static struct {
    bool done; /* without an error */
    bool repeated;
    uint8_t type;
    uint8_t sequence;
    uint32_t check;
    uint32_t repetitions; /* of all requests since reset */
} last;

static bool is_repetition(const frame *request)
{
    return last.done && request->type == last.type && request->sequence == last.sequence
           && request->check == last.check;
}

static protocol_error carry_out(const frame *request)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (request->type == known[i].type) {
            const bool fits = known[i].length == ANY_LENGTH || request->length == (size_t)known[i].length;
            return fits ? known[i].carry_out(request) : ERROR_LENGTH;
        }
    }
    return ERROR_UNKNOWN_REQUEST;
}

void commands_answer(const frame *request)
{
    last.repeated = is_repetition(request);
    last.type = request->type;
    last.sequence = request->sequence;
    last.check = request->check;
    last.repetitions += last.repeated;

    const protocol_error error = carry_out(request);
    last.done = error == ERROR_NONE;
    if (error != ERROR_NONE) {
        frame_begin(FRAME_ERROR, request->sequence);
        frame_put_u8((uint8_t)error);
        frame_put_u8(request->type);
        frame_end();
    }
}

bool commands_repeated(void)
{
    return last.repeated;
}

uint32_t commands_repetitions(void)
{
    return last.repetitions;
}

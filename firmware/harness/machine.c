#include "machine.h"

#include "commands.h"
#include "port.h"
#include "quantmcu.h"

protocol_error machine_marks(const frame *request)
{
    answer_begin(request);
    frame_put_u32((uint32_t)port_stack_used());
    frame_put_u32((uint32_t)port_stack_size());
    frame_put_u32((uint32_t)quantmcu_model_info.arena_bytes);
    frame_end();
    return ERROR_NONE;
}

protocol_error machine_read_fault(const frame *request)
{
    static const port_fault_record none;
    const port_fault_record *last = port_last_fault();
    const port_fault_record *fault = last != NULL ? last : &none;
    answer_begin(request);
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

protocol_error machine_clear_fault(const frame *request)
{
    port_clear_fault();
    return answer_empty(request);
}

protocol_error machine_echo(const frame *request)
{
    answer_begin(request);
    frame_put_bytes(request->payload, request->length);
    frame_end();
    return ERROR_NONE;
}

protocol_error machine_counters(const frame *request)
{
    answer_begin(request);
    frame_put_u32(frame_count()->received);
    frame_put_u32(frame_count()->dropped);
    frame_put_u32(commands_repetitions());
    frame_end();
    return ERROR_NONE;
}

protocol_error machine_reset(const frame *request)
{
    answer_empty(request);
    port_flush();
    port_reset();
}

#include "identity.h"

#include <string.h>

#include "measure.h"
#include "port.h"
#include "quantmcu.h"

static uint8_t flags(void)
{
    const unsigned counter = measure_has_counter() ? FLAG_CYCLE_COUNTER : 0;
    const unsigned fault = port_last_fault() != NULL ? FLAG_FAULT_RECORDED : 0;
    return (uint8_t)(counter | fault);
}

void identity_greet(void)
{
    frame_begin(FRAME_GREETING, 0);
    frame_put_u8(PROTOCOL_VERSION);
    frame_put_u8(flags());
    frame_put_string(quantmcu_model_info.sha256);
    frame_end();
}

protocol_error identity_tell(const frame *request)
{
    answer_begin(request);
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

protocol_error identity_describe_tensor(const frame *request)
{
    const size_t index = get_u16(request->payload + 1);
    const quantmcu_tensor *tensor = request->payload[0] == 0 ? quantmcu_input(index) : quantmcu_output(index);
    if (tensor == NULL) {
        return ERROR_INDEX;
    }
    uint32_t scale_bits;
    memcpy(&scale_bits, &tensor->scale, sizeof scale_bits);
    answer_begin(request);
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

protocol_error identity_describe_step(const frame *request)
{
    const size_t index = get_u16(request->payload);
    if (index >= quantmcu_model_info.step_count) {
        return ERROR_INDEX;
    }
    answer_begin(request);
    frame_put_string(quantmcu_model_info.step_names[index]);
    frame_end();
    return ERROR_NONE;
}

#include "network.h"

#include "eembc_config.h"
#include "output.h"
#include "quantmcu.h"
#include "stopwatch.h"

#include <string.h>

/* The codes of all inputs, one behind the other: the network's own buffers are used again during a run. */
static uint8_t codes[EEMBC_INPUT_BYTES];
static size_t stored;

static size_t expected;
static size_t missing;
static bool from_floats;
static uint8_t float_bytes[sizeof(float)];

static size_t elements(const quantmcu_tensor *tensor)
{
    size_t count = 1;
    for (size_t axis = 0; axis < tensor->rank; axis++) {
        count *= (size_t)tensor->shape[axis];
    }
    return count;
}

/* Delivers a rectangle of an input on demand; `context` are its codes. */
static void read_part(void *context, const quantmcu_rectangle *part, uint8_t *target)
{
    const uint8_t *image = context;
    const quantmcu_tensor *input = quantmcu_input(0);
    const size_t pixel = (size_t)input->shape[3];
    const size_t line = (size_t)input->shape[2] * pixel;
    for (size_t row = 0; row < part->rows; row++) {
        memcpy(target, image + (part->row + row) * line + part->column * pixel, part->columns * pixel);
        target += part->columns * pixel;
    }
}

void network_init(void)
{
    quantmcu_init();
    quantmcu_set_reader(0, read_part, codes);
}

size_t network_code_bytes(void)
{
    size_t bytes = 0;
    for (size_t i = 0; i < quantmcu_model_info.input_count; i++) {
        bytes += quantmcu_input(i)->bytes;
    }
    return bytes;
}

size_t network_float_bytes(void)
{
    size_t bytes = 0;
    for (size_t i = 0; i < quantmcu_model_info.input_count; i++) {
        if (quantmcu_input(i)->bits != 8) {
            return 0;
        }
        bytes += elements(quantmcu_input(i)) * sizeof(float);
    }
    return bytes;
}

bool network_expect(size_t bytes)
{
    from_floats = bytes != network_code_bytes();
    const bool known = !from_floats || bytes == network_float_bytes();
    expected = missing = known ? bytes : 0;
    stored = 0;
    return known;
}

size_t network_expected(void)
{
    return expected;
}

size_t network_missing(void)
{
    return missing;
}

/* The input that code `index` of all codes belongs to. */
static const quantmcu_tensor *input_of(size_t index)
{
    size_t input = 0;
    while (index >= quantmcu_input(input)->bytes) {
        index -= quantmcu_input(input)->bytes;
        input++;
    }
    return quantmcu_input(input);
}

/* round(value / scale) + zero point, halves to the even, within 0 .. 255. */
static uint8_t quantized(float value, const quantmcu_tensor *tensor)
{
    const float lowest = (float)-tensor->zero_point, highest = (float)(255 - tensor->zero_point);
    const float scaled = value / tensor->scale;
    if (!(scaled > lowest)) {
        return 0; /* NaN too */
    }
    if (scaled >= highest) {
        return 255;
    }
    const float magic = 12582912.0f; /* 1.5 * 2^23: a sum with it has no fraction */
    volatile float rounded = scaled + magic;
    return (uint8_t)((int32_t)(rounded - magic) + tensor->zero_point);
}

void network_take(uint8_t byte)
{
    if (!from_floats) {
        codes[stored++] = byte;
    } else {
        const size_t place = (expected - missing) % sizeof(float);
        float_bytes[place] = byte;
        if (place == sizeof(float) - 1) {
            float value;
            memcpy(&value, float_bytes, sizeof value);
            codes[stored] = quantized(value, input_of(stored));
            stored++;
        }
    }
    missing--;
}

uint8_t network_stored_code(size_t index)
{
    return codes[index];
}

size_t network_stored(void)
{
    return stored;
}

void network_run(void)
{
    const uint8_t *source = codes;
    for (size_t i = 0; i < quantmcu_model_info.input_count; i++) {
        const quantmcu_tensor *input = quantmcu_input(i);
        if (input->data != NULL) {
            memcpy(input->data, source, input->bytes);
        }
        source += input->bytes;
    }
    for (size_t part = 0; part < quantmcu_model_info.part_count; part++) {
        quantmcu_run_part(part);
        stopwatch_look();
    }
}

/* Code `index` of an output of 8, 4 or 2 bits, whose last axis begins at a byte; or a number of 32 bits. */
static int32_t code_at(const quantmcu_tensor *tensor, size_t index)
{
    const uint8_t *data = tensor->data;
    if (tensor->bits == 32) {
        int32_t value;
        memcpy(&value, data + index * sizeof value, sizeof value);
        return value;
    }
    const size_t last = tensor->rank == 0 ? 1 : (size_t)tensor->shape[tensor->rank - 1];
    const size_t row_bytes = (last * tensor->bits + 7) / 8;
    const size_t bit = index % last * tensor->bits;
    const unsigned mask = (1u << tensor->bits) - 1u;
    return (int32_t)(data[index / last * row_bytes + bit / 8] >> bit % 8 & mask);
}

void network_print_results(void)
{
    const char *separator = "";
    for (size_t i = 0; i < quantmcu_model_info.output_count; i++) {
        const quantmcu_tensor *output = quantmcu_output(i);
        for (size_t element = 0; element < elements(output); element++) {
            print(separator);
            print_real(output->scale * (float)(code_at(output, element) - output->zero_point));
            separator = ",";
        }
    }
}

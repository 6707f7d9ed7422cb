#include "packed_elementwise.h"

#include "packed.h"
#include "requantize.h"

static int32_t block_of(int32_t first, int32_t channels)
{
    return channels - first < QMCU_PACKED_BLOCK ? channels - first : QMCU_PACKED_BLOCK;
}

/* One block of channels; `b` is null for a form of one input. A right shift of a negative number rounds down. */
static void linear_block(const qmcu_packed_linear_params *layer, const uint8_t *a, const uint8_t *b, int32_t first,
                         int32_t count, uint8_t *codes)
{
    uint8_t left[QMCU_PACKED_BLOCK], right[QMCU_PACKED_BLOCK] = {0};
    qmcu_unpack(a, first, count, layer->a_bits, left);
    if (b)
        qmcu_unpack(b, first, count, layer->b_bits, right);
    for (int32_t c = 0; c < count; c++) {
        const int32_t sum = layer->constant + layer->multiplier_a * left[c] + layer->multiplier_b * right[c];
        codes[c] = (uint8_t)qmcu_clamp(sum >> layer->shift, layer->low, layer->high);
    }
}

void qmcu_packed_linear2(const qmcu_packed_linear_params *layer, const uint8_t *a, const uint8_t *b, uint8_t *output)
{
    uint8_t codes[QMCU_PACKED_BLOCK];
    for (int32_t pixel = 0; pixel < layer->pixels; pixel++) {
        for (int32_t first = 0; first < layer->channels; first += QMCU_PACKED_BLOCK) {
            const int32_t count = block_of(first, layer->channels);
            linear_block(layer, a, b, first, count, codes);
            qmcu_pack(codes, count, layer->output_bits, output);
            output += qmcu_packed_bytes(count, layer->output_bits);
        }
        a += qmcu_packed_bytes(layer->channels, layer->a_bits);
        if (b)
            b += qmcu_packed_bytes(layer->channels, layer->b_bits);
    }
}

void qmcu_packed_linear(const qmcu_packed_linear_params *layer, const uint8_t *a, uint8_t *output)
{
    qmcu_packed_linear2(layer, a, 0, output);
}

void qmcu_packed_lookup(const qmcu_packed_lookup_params *layer, const uint8_t *input, uint8_t *output)
{
    uint8_t codes[QMCU_PACKED_BLOCK];
    for (int32_t pixel = 0; pixel < layer->pixels; pixel++) {
        for (int32_t first = 0; first < layer->channels; first += QMCU_PACKED_BLOCK) {
            const int32_t count = block_of(first, layer->channels);
            qmcu_unpack(input, first, count, layer->input_bits, codes);
            for (int32_t c = 0; c < count; c++)
                codes[c] = layer->table[codes[c]];
            qmcu_pack(codes, count, layer->output_bits, output);
            output += qmcu_packed_bytes(count, layer->output_bits);
        }
        input += qmcu_packed_bytes(layer->channels, layer->input_bits);
    }
}

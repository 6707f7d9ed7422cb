#include "softmax.h"

static int32_t index_of_largest(const uint8_t *row, int32_t length)
{
    int32_t largest = 0;
    for (int32_t i = 1; i < length; i++)
        if (row[i] > row[largest])
            largest = i;
    return largest;
}

void qmcu_softmax(const qmcu_softmax_params *layer, const uint8_t *input, uint8_t *output)
{
    for (int32_t r = 0; r < layer->rows; r++) {
        const uint8_t largest = input[index_of_largest(input, layer->length)];
        uint32_t sum = 0;
        for (int32_t i = 0; i < layer->length; i++)
            sum += layer->exponentials[largest - input[i]];
        for (int32_t i = 0; i < layer->length; i++) {
            /* floor((256 e + s / 2) / s) without leaving 32 bits: round the quotient by the remainder. */
            const uint32_t scaled = layer->exponentials[largest - input[i]] * 256u;
            const uint32_t code = scaled / sum + (scaled % sum >= sum - sum / 2u);
            output[i] = (uint8_t)(code > 255u ? 255u : code);
        }
        input += layer->length;
        output += layer->length;
    }
}

void qmcu_argmax(const qmcu_argmax_params *layer, const uint8_t *input, int32_t *output)
{
    for (int32_t r = 0; r < layer->rows; r++)
        output[r] = index_of_largest(input + r * layer->length, layer->length);
}

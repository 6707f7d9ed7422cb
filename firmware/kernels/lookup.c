#include "lookup.h"

void qmcu_lookup(const qmcu_lookup_params *layer, const uint8_t *input, uint8_t *output)
{
    const uint8_t *table = layer->table;
    int32_t left = layer->elements;
    for (; left >= 4; left -= 4, input += 4, output += 4) { /* loads side by side are faster than one after the other */
        const uint8_t a = input[0], b = input[1], c = input[2], d = input[3];
        const uint8_t e = table[a], f = table[b], g = table[c], h = table[d];
        output[0] = e;
        output[1] = f;
        output[2] = g;
        output[3] = h;
    }
    for (; left > 0; left--)
        *output++ = table[*input++];
}

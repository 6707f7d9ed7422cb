#include "lookup.h"

void qmcu_lookup(const qmcu_lookup_params *layer, const uint8_t *input, uint8_t *output)
{
    const uint8_t *table = layer->table;
    for (int32_t i = 0; i < layer->elements; i++)
        output[i] = table[input[i]];
}

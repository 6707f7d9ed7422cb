#include "outliers.h"

void qmcu_detect_outliers(const qmcu_outliers_params *layer, const uint8_t *input, uint8_t *output)
{
    const uint8_t low = layer->low, high = layer->high;
    const uint32_t limit = layer->limit;
    uint32_t outliers = 0;
    for (uint32_t i = 0; i < layer->elements && outliers <= limit; i++) {
        outliers += input[i] < low || input[i] > high;
    }
    *output = outliers > limit;
}

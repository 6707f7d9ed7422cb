/* PRelu: one multiplier for values from zero on, one a channel for negative ones. 8 bits. */
#ifndef QMCU_PRELU_H
#define QMCU_PRELU_H

#include <stdint.h>

typedef struct {
    int32_t pixels, channels;
    int32_t input_zero_point;
    const int32_t *multiplier; /* [1 + channels]: of values from zero on, then of negative ones in each channel */
    int32_t shift, zero_point, low, high; /* requantize.h */
} qmcu_prelu_params;

/* The output may be the input. */
void qmcu_prelu(const qmcu_prelu_params *layer, const uint8_t *input, uint8_t *output);

#endif

/* Product of two maps, or of a map and a gate. 8 bits.
 *
 *     code = requantize((a - a_zero_point) * (b - b_zero_point)) */
#ifndef QMCU_MULTIPLY_H
#define QMCU_MULTIPLY_H

#include "strided.h"

typedef struct {
    int32_t rank; /* strided.h */
    int32_t counts[QMCU_MAX_RANK];
    int32_t a_strides[QMCU_MAX_RANK];
    int32_t b_strides[QMCU_MAX_RANK];
    int32_t output_strides[QMCU_MAX_RANK];
    int32_t a_zero_point, b_zero_point;
    int32_t multiplier, shift, zero_point, low, high; /* requantize.h */
} qmcu_multiply_params;

/* The output may be an input that is not broadcast. */
void qmcu_multiply(const qmcu_multiply_params *layer, const uint8_t *a, const uint8_t *b, uint8_t *output);

#endif

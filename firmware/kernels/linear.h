/* Linear combinations of codes: Add, Sub, a change of scale. 8 bits.
 *
 *     code = clamp((constant + multiplier_a * a + multiplier_b * b) >> shift, low, high)
 *
 * The compiler has proved that no sum leaves 32 bits. */
#ifndef QMCU_LINEAR_H
#define QMCU_LINEAR_H

#include "strided.h"

typedef struct {
    int32_t rank; /* strided.h */
    int32_t counts[QMCU_MAX_RANK];
    int32_t a_strides[QMCU_MAX_RANK];
    int32_t b_strides[QMCU_MAX_RANK]; /* zeros for one input */
    int32_t output_strides[QMCU_MAX_RANK];
    int32_t constant, multiplier_a, multiplier_b, shift, low, high;
} qmcu_linear_params;

/* Of one input. The output may be the input. */
void qmcu_linear(const qmcu_linear_params *layer, const uint8_t *a, uint8_t *output);

/* Of two inputs. The output may be an input that is not broadcast. */
void qmcu_linear2(const qmcu_linear_params *layer, const uint8_t *a, const uint8_t *b, uint8_t *output);

#endif

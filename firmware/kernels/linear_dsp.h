/* Add, Sub and changes of scale of dense arrays with DSP instructions. 8 bits.
 *
 *     code = clamp((constant + multiplier_a * a + multiplier_b * b) >> shift, low, high)
 *
 * The right shift is part of USAT, which takes it as a constant: hence one function for each shift, generated. */
#ifndef QMCU_LINEAR_DSP_H
#define QMCU_LINEAR_DSP_H

#include "clamp.h"

/* Generated assembly reads the first four fields by their order. */
typedef struct {
    int32_t elements;
    int32_t constant, multiplier_a, multiplier_b; /* multiplier_b: 0 for one input */
    int32_t low, high;
} qmcu_linear_dsp_params;

#endif

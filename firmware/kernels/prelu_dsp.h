/* PRelu with DSP instructions. 8 bits. */
#ifndef QMCU_PRELU_DSP_H
#define QMCU_PRELU_DSP_H

#include "prelu.h"

/* The output may be the input. Products that don't saturate. */
void qmcu_prelu_dsp(const qmcu_prelu_params *layer, const uint8_t *input, uint8_t *output);

#endif

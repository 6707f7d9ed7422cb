/* Maximum and average over windows with DSP instructions, four channels at a time. 8 bits; channels in multiples of 4. */
#ifndef QMCU_POOL_DSP_H
#define QMCU_POOL_DSP_H

#include "pool.h"

void qmcu_max_pool_dsp(const qmcu_max_pool_params *layer, const uint8_t *input, uint8_t *output);

/* Sums that don't saturate. */
void qmcu_average_pool_dsp(const qmcu_average_pool_params *layer, const uint8_t *input, uint8_t *output);

#endif

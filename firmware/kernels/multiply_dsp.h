/* Product of two maps of one shape, or of a map and a gate of one code a channel, with DSP instructions. 8 bits. */
#ifndef QMCU_MULTIPLY_DSP_H
#define QMCU_MULTIPLY_DSP_H

#include <stdint.h>

typedef struct {
    int32_t pixels, channels;
    int32_t a_zero_point, b_zero_point;
    int32_t multiplier, shift, zero_point, low, high; /* requantize.h; products that don't saturate */
} qmcu_multiply_dsp_params;

/* a, b: [pixels][channels]. The output may be one of them. */
void qmcu_multiply_dsp(const qmcu_multiply_dsp_params *layer, const uint8_t *a, const uint8_t *b, uint8_t *output);

/* map: [pixels][channels], its zero point a_zero_point; gate: [channels]. The output may be the map. */
void qmcu_multiply_gate_dsp(const qmcu_multiply_dsp_params *layer, const uint8_t *map, const uint8_t *gate,
                            uint8_t *output);

#endif

/* Linear combinations and tables over packed maps of equal shape. See packed.h for the packing. */
#ifndef QMCU_PACKED_ELEMENTWISE_H
#define QMCU_PACKED_ELEMENTWISE_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    int32_t pixels, channels;
    int32_t a_bits, b_bits, output_bits;
    int32_t constant, multiplier_a, multiplier_b, shift, low, high; /* linear.h */
} qmcu_packed_linear_params;

void qmcu_packed_linear(const qmcu_packed_linear_params *layer, const uint8_t *a, uint8_t *output);
void qmcu_packed_linear2(const qmcu_packed_linear_params *layer, const uint8_t *a, const uint8_t *b, uint8_t *output);

typedef struct {
    int32_t pixels, channels;
    int32_t input_bits, output_bits;
    const uint8_t *table; /* output code of each input code */
} qmcu_packed_lookup_params;

void qmcu_packed_lookup(const qmcu_packed_lookup_params *layer, const uint8_t *input, uint8_t *output);

#endif

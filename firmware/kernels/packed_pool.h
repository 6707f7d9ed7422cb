/* Maximum and average over windows of packed maps. See packed.h for the packing. */
#ifndef QMCU_PACKED_POOL_H
#define QMCU_PACKED_POOL_H

#include "pool.h"

typedef struct {
    int32_t input_height, input_width, channels;
    int32_t output_height, output_width;
    int32_t kernel_height, kernel_width;
    int32_t stride_y, stride_x;
    int32_t dilation_y, dilation_x;
    int32_t pad_top, pad_left;
    int32_t bits;
} qmcu_packed_max_pool_params;

/* Input and output have the same bits. Padding never wins. */
void qmcu_packed_max_pool(const qmcu_packed_max_pool_params *layer, const uint8_t *input, uint8_t *output);

typedef struct {
    int32_t input_height, input_width, channels;
    int32_t output_height, output_width;
    int32_t kernel_height, kernel_width;
    int32_t stride_y, stride_x;
    int32_t pad_top, pad_left;
    int32_t input_bits, output_bits;
    int32_t input_zero_point;
    int32_t multiplier_count; /* 1, or one for each number of elements of a window inside the map */
    const int32_t *multiplier;
    int32_t shift, zero_point, low, high; /* requantize.h */
} qmcu_packed_average_pool_params;

/* Mean of what lies inside the map of each window; the division is in the multiplier. */
void qmcu_packed_average_pool(const qmcu_packed_average_pool_params *layer, const uint8_t *input, uint8_t *output);

#endif

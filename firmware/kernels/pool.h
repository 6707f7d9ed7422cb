/* Maximum and average over windows. Maps are NHWC, 8 bits. */
#ifndef QMCU_POOL_H
#define QMCU_POOL_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    int32_t input_height, input_width, channels;
    int32_t output_height, output_width;
    int32_t kernel_height, kernel_width;
    int32_t stride_y, stride_x;
    int32_t dilation_y, dilation_x;
    int32_t pad_top, pad_left;
} qmcu_max_pool_params;

/* Largest code of each window. Padding never wins; a window wholly outside of the map gives 0. */
void qmcu_max_pool(const qmcu_max_pool_params *layer, const uint8_t *input, uint8_t *output);

typedef struct {
    int32_t input_height, input_width, channels;
    int32_t output_height, output_width;
    int32_t kernel_height, kernel_width;
    int32_t stride_y, stride_x;
    int32_t pad_top, pad_left;
    int32_t input_zero_point;
    int32_t multiplier_count; /* 1, or one for each number of elements of a window inside the map */
    const int32_t *multiplier;
    int32_t shift, zero_point, low, high; /* requantize.h */
} qmcu_average_pool_params;

/* Mean of what lies inside the map of each window; the division is in the multiplier. */
void qmcu_average_pool(const qmcu_average_pool_params *layer, const uint8_t *input, uint8_t *output);

/* first .. last - 1: the taps of a kernel at `start` on an axis that lie inside a map of `size`. */
static inline void qmcu_taps_inside(int32_t start, int32_t taps, int32_t dilation, int32_t size, int32_t *first,
                                    int32_t *last)
{
    *first = 0;
    *last = taps;
    while (*first < taps && start + *first * dilation < 0)
        ++*first;
    while (*last > *first && start + (*last - 1) * dilation >= size)
        --*last;
}

#endif

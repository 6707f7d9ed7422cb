/* Bilinear interpolation with fractions of 11 bits. Maps are NHWC, 8 bits. */
#ifndef QMCU_RESIZE_LINEAR_H
#define QMCU_RESIZE_LINEAR_H

#include <stdint.h>

typedef struct {
    int32_t input_width, channels;
    int32_t output_height, output_width;
    const int32_t *low_rows; /* the rows that each output row reads [output_height] */
    const int32_t *high_rows;
    const int32_t *row_fractions; /* weight of the high row, in 2^-11 */
    const int32_t *low_columns; /* the same of columns [output_width] */
    const int32_t *high_columns;
    const int32_t *column_fractions;
} qmcu_resize_linear_params;

void qmcu_resize_linear(const qmcu_resize_linear_params *layer, const uint8_t *input, uint8_t *output);

#endif

/* Moving codes: copying boxes (slices, transpositions, concatenations, padding), repeating rows and columns. */
#ifndef QMCU_MOVEMENT_H
#define QMCU_MOVEMENT_H

#include "strided.h"

/* Copies `bytes` bytes; nothing happens where the output is the input. */
void qmcu_copy(const uint8_t *input, uint8_t *output, int32_t bytes);

/* Writes `value` to `bytes` bytes. */
void qmcu_fill(uint8_t *output, int32_t value, int32_t bytes);

typedef struct {
    int32_t rank; /* strided.h */
    int32_t counts[QMCU_MAX_RANK];
    int32_t input_strides[QMCU_MAX_RANK];
    int32_t output_strides[QMCU_MAX_RANK];
    int32_t element_bytes; /* contiguous bytes that are moved together; the strides are in bytes */
} qmcu_copy_box_params;

/* Copies a box of elements from one strided array to another one. */
void qmcu_copy_box(const qmcu_copy_box_params *layer, const uint8_t *input, uint8_t *output);

typedef struct {
    int32_t output_height, output_width;
    int32_t row_bytes, pixel_bytes; /* of the input */
    const int32_t *rows;            /* [output_height] */
    const int32_t *columns;         /* [output_width] */
} qmcu_gather_params;

/* output[y][x] = input[rows[y]][columns[x]] for pixels of pixel_bytes. */
void qmcu_gather(const qmcu_gather_params *layer, const uint8_t *input, uint8_t *output);

#endif

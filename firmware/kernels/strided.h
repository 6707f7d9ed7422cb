/* Walking over the rows of strided boxes: broadcasts, slices, transpositions, concatenations.
 *
 * A box has `rank` axes (1 .. QMCU_MAX_RANK) of `counts` elements; an array has one stride, in elements, for each.
 * The last axis is the row, which kernels walk themselves; an odometer walks over the other axes. */
#ifndef QMCU_STRIDED_H
#define QMCU_STRIDED_H

#include <stddef.h>
#include <stdint.h>

#define QMCU_MAX_RANK 6

/* Steps `index` (starts as zeros) to the next row. Returns 0 after the last one. */
static inline int qmcu_next_row(int32_t *index, const int32_t *counts, int32_t rank)
{
    for (int32_t axis = rank - 2; axis >= 0; axis--) {
        index[axis]++;
        if (index[axis] < counts[axis])
            return 1;
        index[axis] = 0;
    }
    return 0;
}

/* Offset of the row at `index` in an array of these strides. */
static inline int32_t qmcu_row_offset(const int32_t *index, const int32_t *strides, int32_t rank)
{
    int32_t offset = 0;
    for (int32_t axis = 0; axis < rank - 1; axis++)
        offset += index[axis] * strides[axis];
    return offset;
}

#endif

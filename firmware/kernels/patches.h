/* Patch-based inference: rectangles of maps, and rows that one cell leaves for the next. */
#ifndef QMCU_PATCHES_H
#define QMCU_PATCHES_H

#include <stdint.h>

/* A rectangle to copy; all in bytes except rows. */
typedef struct {
    uint32_t source;
    uint32_t source_stride;
    uint32_t target;
    uint32_t target_stride;
    uint32_t rows;
    uint32_t row_bytes;
} qmcu_rectangle;

/* Rows of a cell's map that the cell above has computed and where they lie, and those that the cell below will need and
 * where they begin; in bytes. */
typedef struct {
    uint32_t carried;
    uint32_t taken_from;
    uint32_t kept;
    uint32_t kept_from;
} qmcu_carry;

void qmcu_copy_rectangle(const qmcu_rectangle *part, const uint8_t *source, uint8_t *target);

/* Puts the rows that are carried at the top of the cell's map. `store` may be the map: the rows are moved up. */
void qmcu_take_rows(const qmcu_carry *carry, const uint8_t *store, uint8_t *map);

/* Keeps the last rows of the cell's map. */
void qmcu_keep_rows(const qmcu_carry *carry, const uint8_t *map, uint8_t *store);

#endif

/* Packed maps, a band of rows at a time by a kernel for bytes: the rows that the band needs are unpacked, with rows of padding
 * above and below the map among them, the kernel computes, its outputs are packed. All bands have the same form. */
#ifndef QMCU_BANDS_H
#define QMCU_BANDS_H

#include "packed.h"

/* A map as the bands see it. */
typedef struct {
    int32_t bits, channels;
    int32_t row_pixels;
    int32_t height;  /* rows of the map */
    int32_t rows;    /* rows of a band */
    int32_t step;    /* rows from a band to the next */
    int32_t before;  /* rows of padding before the map */
    int32_t padding; /* its code */
    int32_t place;   /* of the band in scratch memory, bytes; -1: bands are where they are in the map */
} qmcu_band_map;

typedef struct {
    int32_t bands;
    int32_t inputs; /* 1 or 2 */
    qmcu_band_map maps[2];
    qmcu_band_map output;
    int32_t scratch; /* place of the kernel's own scratch memory */
} qmcu_bands;

/* Computes a band by the kernel. */
typedef void (*qmcu_band_function)(const void *layer, const uint8_t *a, const uint8_t *b, uint8_t *output, void *scratch);

void qmcu_run_bands(const qmcu_bands *bands, const void *layer, const uint8_t *a, const uint8_t *b, uint8_t *output,
                    void *scratch, qmcu_band_function compute);

#endif

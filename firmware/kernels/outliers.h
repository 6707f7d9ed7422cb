/* VDPC: whether a patch holds values far from the mean, so that it has to run with 8 bits. 8 bits. */
#ifndef QMCU_OUTLIERS_H
#define QMCU_OUTLIERS_H

#include <stdint.h>

typedef struct {
    uint32_t elements;
    uint32_t limit;    /* so many outliers are allowed */
    uint8_t low, high; /* codes outside of low .. high are outliers */
} qmcu_outliers_params;

/* Writes one byte: 1 where more than `limit` codes are outliers, else 0. Stops as soon as that is sure. */
void qmcu_detect_outliers(const qmcu_outliers_params *layer, const uint8_t *input, uint8_t *output);

/* The same, four codes at a time, with DSP instructions; input aligned to 4 bytes. */
void qmcu_detect_outliers_dsp(const qmcu_outliers_params *layer, const uint8_t *input, uint8_t *output);

#endif

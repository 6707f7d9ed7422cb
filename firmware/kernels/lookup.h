/* Any function of one code, as a table. 8 bits. */
#ifndef QMCU_LOOKUP_H
#define QMCU_LOOKUP_H

#include <stdint.h>

typedef struct {
    int32_t elements;
    const uint8_t *table; /* [256] */
} qmcu_lookup_params;

/* The output may be the input. */
void qmcu_lookup(const qmcu_lookup_params *layer, const uint8_t *input, uint8_t *output);

#endif

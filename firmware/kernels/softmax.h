/* Softmax and ArgMax over the last axis. 8 bits. */
#ifndef QMCU_SOFTMAX_H
#define QMCU_SOFTMAX_H

#include <stdint.h>

typedef struct {
    int32_t rows, length;
    const uint32_t *exponentials; /* [256]: of the distance to the row's largest code */
} qmcu_softmax_params;

/* code = min(255, (256 * e + s / 2) / s), s the sum of the row's exponentials. The output may be the input. */
void qmcu_softmax(const qmcu_softmax_params *layer, const uint8_t *input, uint8_t *output);

typedef struct {
    int32_t rows, length;
} qmcu_argmax_params;

/* Index of each row's largest code, the first one on a tie. */
void qmcu_argmax(const qmcu_argmax_params *layer, const uint8_t *input, int32_t *output);

#endif

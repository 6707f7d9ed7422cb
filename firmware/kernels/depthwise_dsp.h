/* Depthwise convolution with DSP instructions: square kernel, equal strides, one output channel for each input channel.
 * Maps are NHWC, 8 bits.
 *
 * Four channels at a time (one word of each pixel) are copied into a planar tile with the padding around them, a strip of
 * rows after the other; the rows that two strips share stay in the tile. Hence at stride 1 the output may be the input.
 */
#ifndef QMCU_DEPTHWISE_DSP_H
#define QMCU_DEPTHWISE_DSP_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    int32_t input_height, input_width, channels;
    int32_t output_height, output_width;
    int32_t pad_top, pad_left;
    int32_t strip_rows;        /* output rows computed from one filling of the tile */
    int32_t tile_width;        /* bytes of a row of the tile, a multiple of 4 */
    const int8_t *weight;      /* [channel][ky][kx] */
    const int32_t *bias;       /* [channel], with the input's zero point folded in */
    const int32_t *multiplier; /* [channel] */
    int32_t input_zero_point;  /* what padding inserts */
    int32_t shift, zero_point, low, high; /* requantize.h; accumulators that don't saturate */
} qmcu_depthwise_dsp_params;

/* tile: 4 * ((strip_rows - 1) * stride + kernel) * tile_width bytes. */
typedef void qmcu_depthwise_dsp(const qmcu_depthwise_dsp_params *layer, const uint8_t *input, uint8_t *output,
                                uint8_t *tile);

qmcu_depthwise_dsp qmcu_depthwise_3x3_s1_dsp, qmcu_depthwise_3x3_s2_dsp;
qmcu_depthwise_dsp qmcu_depthwise_5x5_s1_dsp, qmcu_depthwise_5x5_s2_dsp;
qmcu_depthwise_dsp qmcu_depthwise_7x7_s1_dsp, qmcu_depthwise_7x7_s2_dsp;

#endif

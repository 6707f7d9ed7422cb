/* Convolution of any shape in plain C: kernel, strides, dilations, padding, groups. Maps are NHWC, 8 bits. */
#ifndef QMCU_CONV2D_H
#define QMCU_CONV2D_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    int32_t input_height, input_width, input_channels;
    int32_t output_height, output_width, output_channels;
    int32_t kernel_height, kernel_width;
    int32_t stride_y, stride_x;
    int32_t dilation_y, dilation_x;
    int32_t pad_top, pad_left;
    int32_t groups;
    const int8_t *weight;      /* qmcu_conv2d: [output channel][ky][kx][input channel of the group];
                                  qmcu_depthwise_conv2d: [ky][kx][output channel] */
    const int32_t *bias;       /* [output channel], with the input's zero point folded in */
    const int32_t *multiplier; /* [output channel] */
    int32_t input_zero_point;  /* what padding inserts */
    int32_t shift, zero_point, low, high; /* requantize.h */
} qmcu_conv2d_params;

/* Any convolution. patch: one receptive field, kernel_height * kernel_width * input_channels / groups bytes; not used by
 * 1x1 kernels without padding. */
void qmcu_conv2d(const qmcu_conv2d_params *layer, const uint8_t *input, uint8_t *output, uint8_t *patch);

/* One input channel a group, output_channels / groups output channels for each. */
void qmcu_depthwise_conv2d(const qmcu_conv2d_params *layer, const uint8_t *input, uint8_t *output);

#endif

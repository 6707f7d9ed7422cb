/* Convolutions whose input, weights and output have 8, 4 or 2 bits, in any mix. See packed.h for the packing. */
#ifndef QMCU_PACKED_CONV2D_H
#define QMCU_PACKED_CONV2D_H

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
    int32_t input_bits, weight_bits, output_bits;
    int32_t tile_pixels;       /* qmcu_packed_conv2d: output pixels for which a row of weights is unpacked once */
    const uint8_t *weight;     /* packed rows. qmcu_packed_conv2d: a row for each output channel, [ky][kx][input channel of the
                                  group]; qmcu_packed_depthwise: a row for each tap [ky][kx], of all output channels; qmcu_packed_conv2d_dsp: see there */
    const int32_t *bias;       /* [output channel], with the input's zero point folded in */
    const int32_t *multiplier; /* [output channel] */
    int32_t input_zero_point;  /* what padding inserts */
    int32_t shift, zero_point, low, high; /* requantize.h */
} qmcu_packed_conv2d_params;

/* Any convolution. scratch, with n = weights of an output channel:
 * tile_pixels * n codes, n weights, tile_pixels * output_channels codes. */
void qmcu_packed_conv2d(const qmcu_packed_conv2d_params *layer, const uint8_t *input, uint8_t *output, uint8_t *scratch);

/* Unpacks what the kernel sees of group `group` for output pixel (y, x). */
void qmcu_packed_gather(const qmcu_packed_conv2d_params *layer, const uint8_t *input, int32_t y, int32_t x, int32_t group,
                        uint8_t *field);

/* The same by DSP instructions, without groups. weight: for each output channel whole words, the weights plus
 * 2^(weight_bits - 1) as unsigned codes, lowest bits first, padded with zeros. scratch, with N = n rounded up to the weights of a
 * word: tile_pixels * N / 2 + tile_pixels words, N bytes, tile_pixels * output_channels codes. */
void qmcu_packed_conv2d_dsp(const qmcu_packed_conv2d_params *layer, const uint8_t *input, uint8_t *output, void *scratch);

/* One input channel a group, one output channel for each. */
void qmcu_packed_depthwise(const qmcu_packed_conv2d_params *layer, const uint8_t *input, uint8_t *output);

#endif

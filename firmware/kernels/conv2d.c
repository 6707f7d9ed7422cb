#include "conv2d.h"

#include "requantize.h"

/* Channels that the depthwise kernel sums at once. */
#define CHANNEL_BLOCK 32

static int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static int32_t dot_product(const int8_t *weight, const uint8_t *code, int32_t length)
{
    int32_t sum = 0;
    for (int32_t i = 0; i < length; i++)
        sum += weight[i] * code[i];
    return sum;
}

/* Copies what the kernel sees at (top, left) of the padded map, of `length` channels from `channel` on. */
static void gather_patch(const qmcu_conv2d_params *layer, const uint8_t *input, int32_t top, int32_t left,
                         int32_t channel, int32_t length, uint8_t *patch)
{
    for (int32_t ky = 0; ky < layer->kernel_height; ky++) {
        const int32_t y = top + ky * layer->dilation_y;
        for (int32_t kx = 0; kx < layer->kernel_width; kx++) {
            const int32_t x = left + kx * layer->dilation_x;
            if (y < 0 || y >= layer->input_height || x < 0 || x >= layer->input_width)
                __builtin_memset(patch, layer->input_zero_point, (size_t)length);
            else
                __builtin_memcpy(patch, input + (y * layer->input_width + x) * layer->input_channels + channel,
                                 (size_t)length);
            patch += length;
        }
    }
}

void qmcu_conv2d(const qmcu_conv2d_params *layer, const uint8_t *input, uint8_t *output, uint8_t *patch)
{
    const int32_t group_inputs = layer->input_channels / layer->groups;
    const int32_t group_outputs = layer->output_channels / layer->groups;
    const int32_t taps = layer->kernel_height * layer->kernel_width;
    const int in_input = taps == 1 && layer->pad_top == 0 && layer->pad_left == 0
                         && (layer->output_height - 1) * layer->stride_y < layer->input_height
                         && (layer->output_width - 1) * layer->stride_x < layer->input_width;
    for (int32_t y = 0; y < layer->output_height; y++) {
        for (int32_t x = 0; x < layer->output_width; x++) {
            const int32_t top = y * layer->stride_y - layer->pad_top;
            const int32_t left = x * layer->stride_x - layer->pad_left;
            for (int32_t group = 0; group < layer->groups; group++) {
                const uint8_t *seen = patch;
                if (in_input)
                    seen = input + (top * layer->input_width + left) * layer->input_channels + group * group_inputs;
                else
                    gather_patch(layer, input, top, left, group * group_inputs, group_inputs, patch);
                for (int32_t o = group * group_outputs; o < (group + 1) * group_outputs; o++) {
                    const int8_t *weight = layer->weight + o * taps * group_inputs;
                    const int32_t acc = layer->bias[o] + dot_product(weight, seen, taps * group_inputs);
                    *output++ = qmcu_requantize(acc, layer->multiplier[o], layer->shift, layer->zero_point, layer->low,
                                                layer->high);
                }
            }
        }
    }
}

/* Adds weight * code for `count` channels; `repeats` output channels read the same input channel. */
static void add_tap(int32_t *acc, const int8_t *weight, const uint8_t *code, int32_t first, int32_t count,
                    int32_t repeats)
{
    if (repeats == 1) {
        for (int32_t c = 0; c < count; c++)
            acc[c] += weight[c] * code[first + c];
    } else {
        for (int32_t c = 0; c < count; c++)
            acc[c] += weight[c] * code[(first + c) / repeats];
    }
}

/* acc: of `count` output channels from `first` on, at output position (y, x). */
static void depthwise_sums(const qmcu_conv2d_params *layer, const uint8_t *input, int32_t y, int32_t x, int32_t first,
                           int32_t count, int32_t *acc)
{
    const int32_t repeats = layer->output_channels / layer->groups;
    for (int32_t c = 0; c < count; c++)
        acc[c] = layer->bias[first + c];
    for (int32_t ky = 0; ky < layer->kernel_height; ky++) {
        const int32_t row = y * layer->stride_y - layer->pad_top + ky * layer->dilation_y;
        for (int32_t kx = 0; kx < layer->kernel_width; kx++) {
            const int32_t column = x * layer->stride_x - layer->pad_left + kx * layer->dilation_x;
            const int8_t *weight = layer->weight + (ky * layer->kernel_width + kx) * layer->output_channels + first;
            if (row < 0 || row >= layer->input_height || column < 0 || column >= layer->input_width) {
                for (int32_t c = 0; c < count; c++)
                    acc[c] += weight[c] * layer->input_zero_point;
            } else {
                const uint8_t *code = input + (row * layer->input_width + column) * layer->input_channels;
                add_tap(acc, weight, code, first, count, repeats);
            }
        }
    }
}

void qmcu_depthwise_conv2d(const qmcu_conv2d_params *layer, const uint8_t *input, uint8_t *output)
{
    int32_t acc[CHANNEL_BLOCK];
    for (int32_t y = 0; y < layer->output_height; y++) {
        for (int32_t x = 0; x < layer->output_width; x++) {
            for (int32_t first = 0; first < layer->output_channels; first += CHANNEL_BLOCK) {
                const int32_t count = smaller(CHANNEL_BLOCK, layer->output_channels - first);
                depthwise_sums(layer, input, y, x, first, count, acc);
                for (int32_t c = 0; c < count; c++)
                    *output++ = qmcu_requantize(acc[c], layer->multiplier[first + c], layer->shift, layer->zero_point,
                                                layer->low, layer->high);
            }
        }
    }
}

#include "packed_conv2d.h"

#include "packed.h"
#include "requantize.h"

static int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

void qmcu_packed_gather(const qmcu_packed_conv2d_params *layer, const uint8_t *input, int32_t y, int32_t x, int32_t group,
                        uint8_t *field)
{
    const int32_t channels = layer->input_channels / layer->groups;
    const int32_t pixel_bytes = qmcu_packed_bytes(layer->input_channels, layer->input_bits);
    for (int32_t ky = 0; ky < layer->kernel_height; ky++) {
        const int32_t row = y * layer->stride_y - layer->pad_top + ky * layer->dilation_y;
        for (int32_t kx = 0; kx < layer->kernel_width; kx++, field += channels) {
            const int32_t column = x * layer->stride_x - layer->pad_left + kx * layer->dilation_x;
            if (row < 0 || row >= layer->input_height || column < 0 || column >= layer->input_width)
                __builtin_memset(field, layer->input_zero_point, (size_t)channels);
            else
                qmcu_unpack(input + (row * layer->input_width + column) * pixel_bytes, group * channels, channels,
                            layer->input_bits, field);
        }
    }
}

/* Output channels of one group for `pixels` pixels whose receptive fields are in `fields`. */
static void multiply_group(const qmcu_packed_conv2d_params *layer, int32_t group, int32_t pixels, int32_t length,
                           const uint8_t *fields, int8_t *weight, uint8_t *codes)
{
    const int32_t outputs = layer->output_channels / layer->groups;
    const int32_t row_bytes = qmcu_packed_bytes(length, layer->weight_bits);
    for (int32_t o = group * outputs; o < (group + 1) * outputs; o++) {
        qmcu_unpack_signed(layer->weight + o * row_bytes, 0, length, layer->weight_bits, weight);
        for (int32_t pixel = 0; pixel < pixels; pixel++) {
            const uint8_t *field = fields + pixel * length;
            int32_t acc = layer->bias[o];
            for (int32_t i = 0; i < length; i++)
                acc += weight[i] * field[i];
            codes[pixel * layer->output_channels + o] = qmcu_requantize(acc, layer->multiplier[o], layer->shift,
                                                                        layer->zero_point, layer->low, layer->high);
        }
    }
}

void qmcu_packed_conv2d(const qmcu_packed_conv2d_params *layer, const uint8_t *input, uint8_t *output, uint8_t *scratch)
{
    const int32_t length = layer->kernel_height * layer->kernel_width * (layer->input_channels / layer->groups);
    const int32_t pixels = layer->output_height * layer->output_width;
    const int32_t pixel_bytes = qmcu_packed_bytes(layer->output_channels, layer->output_bits);
    uint8_t *const fields = scratch;
    int8_t *const weight = (int8_t *)(fields + layer->tile_pixels * length);
    uint8_t *const codes = (uint8_t *)weight + length;
    for (int32_t first = 0; first < pixels; first += layer->tile_pixels) {
        const int32_t count = smaller(layer->tile_pixels, pixels - first);
        for (int32_t group = 0; group < layer->groups; group++) {
            for (int32_t i = 0; i < count; i++)
                qmcu_packed_gather(layer, input, (first + i) / layer->output_width, (first + i) % layer->output_width,
                                   group, fields + i * length);
            multiply_group(layer, group, count, length, fields, weight, codes);
        }
        for (int32_t i = 0; i < count; i++, output += pixel_bytes)
            qmcu_pack(codes + i * layer->output_channels, layer->output_channels, layer->output_bits, output);
    }
}

/* acc += weight * code for the channels of a block; `pixel` is null on padding. */
static void add_tap(const qmcu_packed_conv2d_params *layer, const uint8_t *pixel, const uint8_t *weights, int32_t first,
                    int32_t count, int32_t *acc)
{
    uint8_t codes[QMCU_PACKED_BLOCK];
    int8_t weight[QMCU_PACKED_BLOCK];
    qmcu_unpack_signed(weights, first, count, layer->weight_bits, weight);
    if (pixel)
        qmcu_unpack(pixel, first, count, layer->input_bits, codes);
    else
        __builtin_memset(codes, layer->input_zero_point, (size_t)count);
    for (int32_t c = 0; c < count; c++)
        acc[c] += weight[c] * codes[c];
}

/* Codes of `count` channels from `first` on, at output pixel (y, x). */
static void depthwise_block(const qmcu_packed_conv2d_params *layer, const uint8_t *input, int32_t y, int32_t x,
                            int32_t first, int32_t count, uint8_t *codes)
{
    const int32_t pixel_bytes = qmcu_packed_bytes(layer->input_channels, layer->input_bits);
    const uint8_t *weights = layer->weight;
    int32_t acc[QMCU_PACKED_BLOCK];
    for (int32_t c = 0; c < count; c++)
        acc[c] = layer->bias[first + c];
    for (int32_t ky = 0; ky < layer->kernel_height; ky++) {
        const int32_t row = y * layer->stride_y - layer->pad_top + ky * layer->dilation_y;
        for (int32_t kx = 0; kx < layer->kernel_width; kx++) {
            const int32_t column = x * layer->stride_x - layer->pad_left + kx * layer->dilation_x;
            const int inside = row >= 0 && row < layer->input_height && column >= 0 && column < layer->input_width;
            add_tap(layer, inside ? input + (row * layer->input_width + column) * pixel_bytes : 0, weights, first, count,
                    acc);
            weights += qmcu_packed_bytes(layer->output_channels, layer->weight_bits);
        }
    }
    for (int32_t c = 0; c < count; c++)
        codes[c] = qmcu_requantize(acc[c], layer->multiplier[first + c], layer->shift, layer->zero_point, layer->low,
                                   layer->high);
}

void qmcu_packed_depthwise(const qmcu_packed_conv2d_params *layer, const uint8_t *input, uint8_t *output)
{
    uint8_t codes[QMCU_PACKED_BLOCK];
    for (int32_t y = 0; y < layer->output_height; y++) {
        for (int32_t x = 0; x < layer->output_width; x++) {
            for (int32_t first = 0; first < layer->output_channels; first += QMCU_PACKED_BLOCK) {
                const int32_t count = smaller(QMCU_PACKED_BLOCK, layer->output_channels - first);
                depthwise_block(layer, input, y, x, first, count, codes);
                qmcu_pack(codes, count, layer->output_bits, output);
                output += qmcu_packed_bytes(count, layer->output_bits);
            }
        }
    }
}

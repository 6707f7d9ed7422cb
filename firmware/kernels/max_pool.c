#include "pool.h"

static void take_larger(uint8_t *largest, const uint8_t *codes, int32_t count)
{
    for (int32_t i = 0; i < count; i++)
        largest[i] = codes[i] > largest[i] ? codes[i] : largest[i];
}

void qmcu_max_pool(const qmcu_max_pool_params *layer, const uint8_t *input, uint8_t *output)
{
    const int32_t channels = layer->channels;
    for (int32_t y = 0; y < layer->output_height; y++) {
        const int32_t top = y * layer->stride_y - layer->pad_top;
        int32_t ky_first, ky_last;
        qmcu_taps_inside(top, layer->kernel_height, layer->dilation_y, layer->input_height, &ky_first, &ky_last);
        for (int32_t x = 0; x < layer->output_width; x++) {
            const int32_t left = x * layer->stride_x - layer->pad_left;
            int32_t kx_first, kx_last;
            qmcu_taps_inside(left, layer->kernel_width, layer->dilation_x, layer->input_width, &kx_first, &kx_last);
            __builtin_memset(output, 0, (size_t)channels);
            for (int32_t ky = ky_first; ky < ky_last; ky++) {
                const uint8_t *row = input + (top + ky * layer->dilation_y) * layer->input_width * channels;
                for (int32_t kx = kx_first; kx < kx_last; kx++)
                    take_larger(output, row + (left + kx * layer->dilation_x) * channels, channels);
            }
            output += channels;
        }
    }
}

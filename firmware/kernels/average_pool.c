#include "pool.h"

#include "requantize.h"

/* Channels that are summed at once. */
#define CHANNEL_BLOCK 32

/* Sums `count` channels over a box of the map, which starts at `corner`. */
static void sum_box(const qmcu_average_pool_params *layer, const uint8_t *corner, int32_t rows, int32_t columns,
                    int32_t count, int32_t *sums)
{
    for (int32_t c = 0; c < count; c++)
        sums[c] = 0;
    for (int32_t row = 0; row < rows; row++) {
        for (int32_t column = 0; column < columns; column++) {
            const uint8_t *codes = corner + (row * layer->input_width + column) * layer->channels;
            for (int32_t c = 0; c < count; c++)
                sums[c] += codes[c];
        }
    }
}

void qmcu_average_pool(const qmcu_average_pool_params *layer, const uint8_t *input, uint8_t *output)
{
    int32_t sums[CHANNEL_BLOCK];
    for (int32_t y = 0; y < layer->output_height; y++) {
        const int32_t top = y * layer->stride_y - layer->pad_top;
        int32_t ky_first, ky_last;
        qmcu_taps_inside(top, layer->kernel_height, 1, layer->input_height, &ky_first, &ky_last);
        for (int32_t x = 0; x < layer->output_width; x++) {
            const int32_t left = x * layer->stride_x - layer->pad_left;
            int32_t kx_first, kx_last;
            qmcu_taps_inside(left, layer->kernel_width, 1, layer->input_width, &kx_first, &kx_last);
            const int32_t rows = ky_last - ky_first, columns = kx_last - kx_first, inside = rows * columns;
            const int32_t multiplier = layer->multiplier[layer->multiplier_count == 1 || inside == 0 ? 0 : inside - 1];
            for (int32_t first = 0; first < layer->channels; first += CHANNEL_BLOCK) {
                const int32_t count = layer->channels - first < CHANNEL_BLOCK ? layer->channels - first : CHANNEL_BLOCK;
                const int32_t pixel = inside == 0 ? 0 : (top + ky_first) * layer->input_width + left + kx_first;
                sum_box(layer, input + pixel * layer->channels + first, rows, columns, count, sums);
                for (int32_t c = 0; c < count; c++)
                    *output++ = qmcu_requantize(sums[c] - inside * layer->input_zero_point, multiplier, layer->shift,
                                                layer->zero_point, layer->low, layer->high);
            }
        }
    }
}

#include "packed_pool.h"

#include "packed.h"
#include "requantize.h"

/* The taps of a window that lie inside the map: a box of pixels at distances row_step and column_step. */
typedef struct {
    const uint8_t *corner;
    int32_t rows, columns;
    int32_t row_step, column_step;
} window;

static int32_t block_of(int32_t first, int32_t channels)
{
    return channels - first < QMCU_PACKED_BLOCK ? channels - first : QMCU_PACKED_BLOCK;
}

static void largest_codes(const window *seen, int32_t first, int32_t count, int32_t bits, uint8_t *codes)
{
    uint8_t tap[QMCU_PACKED_BLOCK];
    __builtin_memset(codes, 0, (size_t)count);
    for (int32_t row = 0; row < seen->rows; row++) {
        for (int32_t column = 0; column < seen->columns; column++) {
            qmcu_unpack(seen->corner + row * seen->row_step + column * seen->column_step, first, count, bits, tap);
            for (int32_t c = 0; c < count; c++)
                codes[c] = codes[c] > tap[c] ? codes[c] : tap[c];
        }
    }
}

static void sum_codes(const window *seen, int32_t first, int32_t count, int32_t bits, int32_t *sums)
{
    uint8_t tap[QMCU_PACKED_BLOCK];
    for (int32_t c = 0; c < count; c++)
        sums[c] = 0;
    for (int32_t row = 0; row < seen->rows; row++) {
        for (int32_t column = 0; column < seen->columns; column++) {
            qmcu_unpack(seen->corner + row * seen->row_step + column * seen->column_step, first, count, bits, tap);
            for (int32_t c = 0; c < count; c++)
                sums[c] += tap[c];
        }
    }
}

void qmcu_packed_max_pool(const qmcu_packed_max_pool_params *layer, const uint8_t *input, uint8_t *output)
{
    const int32_t pixel_bytes = qmcu_packed_bytes(layer->channels, layer->bits), row_bytes = layer->input_width * pixel_bytes;
    uint8_t codes[QMCU_PACKED_BLOCK];
    for (int32_t y = 0; y < layer->output_height; y++) {
        const int32_t top = y * layer->stride_y - layer->pad_top;
        int32_t ky, ky_end;
        qmcu_taps_inside(top, layer->kernel_height, layer->dilation_y, layer->input_height, &ky, &ky_end);
        for (int32_t x = 0; x < layer->output_width; x++) {
            const int32_t left = x * layer->stride_x - layer->pad_left;
            int32_t kx, kx_end;
            qmcu_taps_inside(left, layer->kernel_width, layer->dilation_x, layer->input_width, &kx, &kx_end);
            window seen = {input, ky_end - ky, kx_end - kx, layer->dilation_y * row_bytes, layer->dilation_x * pixel_bytes};
            if (seen.rows > 0 && seen.columns > 0)
                seen.corner += (top + ky * layer->dilation_y) * row_bytes + (left + kx * layer->dilation_x) * pixel_bytes;
            for (int32_t first = 0; first < layer->channels; first += QMCU_PACKED_BLOCK) {
                const int32_t count = block_of(first, layer->channels);
                largest_codes(&seen, first, count, layer->bits, codes);
                qmcu_pack(codes, count, layer->bits, output);
                output += qmcu_packed_bytes(count, layer->bits);
            }
        }
    }
}

void qmcu_packed_average_pool(const qmcu_packed_average_pool_params *layer, const uint8_t *input, uint8_t *output)
{
    const int32_t pixel_bytes = qmcu_packed_bytes(layer->channels, layer->input_bits);
    const int32_t row_bytes = layer->input_width * pixel_bytes;
    uint8_t codes[QMCU_PACKED_BLOCK];
    int32_t sums[QMCU_PACKED_BLOCK];
    for (int32_t y = 0; y < layer->output_height; y++) {
        const int32_t top = y * layer->stride_y - layer->pad_top;
        int32_t ky, ky_end;
        qmcu_taps_inside(top, layer->kernel_height, 1, layer->input_height, &ky, &ky_end);
        for (int32_t x = 0; x < layer->output_width; x++) {
            const int32_t left = x * layer->stride_x - layer->pad_left;
            int32_t kx, kx_end;
            qmcu_taps_inside(left, layer->kernel_width, 1, layer->input_width, &kx, &kx_end);
            window seen = {input, ky_end - ky, kx_end - kx, row_bytes, pixel_bytes};
            const int32_t inside = seen.rows * seen.columns;
            const int32_t multiplier = layer->multiplier[layer->multiplier_count == 1 || inside == 0 ? 0 : inside - 1];
            if (inside > 0)
                seen.corner += (top + ky) * row_bytes + (left + kx) * pixel_bytes;
            for (int32_t first = 0; first < layer->channels; first += QMCU_PACKED_BLOCK) {
                const int32_t count = block_of(first, layer->channels);
                sum_codes(&seen, first, count, layer->input_bits, sums);
                for (int32_t c = 0; c < count; c++)
                    codes[c] = qmcu_requantize(sums[c] - inside * layer->input_zero_point, multiplier, layer->shift,
                                               layer->zero_point, layer->low, layer->high);
                qmcu_pack(codes, count, layer->output_bits, output);
                output += qmcu_packed_bytes(count, layer->output_bits);
            }
        }
    }
}

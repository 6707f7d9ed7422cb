#include "clamp.h"
#include "pool_dsp.h"

/* Half-words hold the sum of so many codes. */
#define MOST_CODES (65535 / 255)

/* Sums of four channels. */
typedef struct {
    uint32_t channel[4];
} four_sums;

/* Adds `columns` pixels, `step` bytes apart, of up to MOST_CODES. */
static void add_pixels(const uint8_t *pixel, int32_t columns, int32_t step, uint32_t *even, uint32_t *odd)
{
    uint32_t sum02 = *even, sum13 = *odd;
    for (; columns >= 2; columns -= 2, pixel += 2 * step) {
        const uint32_t a = dsp_load(pixel), b = dsp_load(pixel + step);
        sum02 = dsp_uxtab16(dsp_uxtab16(sum02, a), b);
        sum13 = dsp_uxtab16_ror8(dsp_uxtab16_ror8(sum13, a), b);
    }
    if (columns > 0) {
        const uint32_t a = dsp_load(pixel);
        sum02 = dsp_uxtab16(sum02, a);
        sum13 = dsp_uxtab16_ror8(sum13, a);
    }
    *even = sum02;
    *odd = sum13;
}

static void flush(uint32_t *even, uint32_t *odd, four_sums *sums)
{
    sums->channel[0] += *even & 0xffffu;
    sums->channel[1] += *odd & 0xffffu;
    sums->channel[2] += *even >> 16;
    sums->channel[3] += *odd >> 16;
    *even = *odd = 0;
}

/* Sums of a box of the map, of the four channels at `corner`. */
static four_sums sum_box(const uint8_t *corner, int32_t rows, int32_t columns, int32_t row_bytes, int32_t channels)
{
    if (columns * channels == row_bytes) { /* whole rows: one run of pixels */
        columns *= rows;
        rows = 1;
    }
    four_sums sums = {{0, 0, 0, 0}};
    uint32_t even = 0, odd = 0;
    int32_t room = MOST_CODES; /* codes that the half-words still hold */
    for (; rows > 0; rows--, corner += row_bytes) {
        const uint8_t *pixel = corner;
        for (int32_t left = columns; left > 0;) {
            const int32_t count = left < room ? left : room;
            add_pixels(pixel, count, channels, &even, &odd);
            pixel += count * channels;
            left -= count;
            room -= count;
            if (room == 0) {
                flush(&even, &odd, &sums);
                room = MOST_CODES;
            }
        }
    }
    flush(&even, &odd, &sums);
    return sums;
}

static uint8_t mean(const qmcu_average_pool_params *layer, uint32_t sum, int32_t offset, int32_t multiplier)
{
    return (uint8_t)dsp_usat8(
        qmcu_requantize_unclamped((int32_t)sum - offset, multiplier, layer->shift, layer->zero_point));
}

/* All channels of one window; `inside` elements of it lie inside the map. */
static void average_window(const qmcu_average_pool_params *layer, const uint8_t *corner, int32_t rows, int32_t columns,
                           uint8_t *output)
{
    const int32_t inside = rows * columns, offset = inside * layer->input_zero_point;
    const int32_t multiplier = layer->multiplier[layer->multiplier_count == 1 || inside == 0 ? 0 : inside - 1];
    for (int32_t c = 0; c < layer->channels; c += 4) {
        const four_sums sums = sum_box(corner + c, rows, columns, layer->input_width * layer->channels, layer->channels);
        for (int32_t i = 0; i < 4; i++)
            output[c + i] = mean(layer, sums.channel[i], offset, multiplier);
    }
}

void qmcu_average_pool_dsp(const qmcu_average_pool_params *layer, const uint8_t *input, uint8_t *output)
{
    uint8_t *to = output;
    for (int32_t y = 0; y < layer->output_height; y++) {
        const int32_t top = y * layer->stride_y - layer->pad_top;
        int32_t ky_first, ky_last;
        qmcu_taps_inside(top, layer->kernel_height, 1, layer->input_height, &ky_first, &ky_last);
        for (int32_t x = 0; x < layer->output_width; x++, to += layer->channels) {
            const int32_t left = x * layer->stride_x - layer->pad_left;
            int32_t kx_first, kx_last;
            qmcu_taps_inside(left, layer->kernel_width, 1, layer->input_width, &kx_first, &kx_last);
            const int32_t rows = ky_last - ky_first, columns = kx_last - kx_first;
            const int32_t pixel = rows > 0 && columns > 0 ? (top + ky_first) * layer->input_width + left + kx_first : 0;
            average_window(layer, input + pixel * layer->channels, rows, columns, to);
        }
    }
    qmcu_clamp_codes(output, layer->output_height * layer->output_width * layer->channels, layer->low, layer->high);
}

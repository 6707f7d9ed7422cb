#include "dsp.h"
#include "pool_dsp.h"

/* The part of a window that lies inside the map: rows and columns of pixels, and the bytes between them. */
typedef struct {
    int32_t rows, columns;
    int32_t row_step, column_step;
} window;

/* Largest codes of four channels. */
static uint32_t largest(const uint8_t *corner, window seen)
{
    uint32_t result = 0;
    for (int32_t row = seen.rows; row > 0; row--, corner += seen.row_step) {
        const uint8_t *pixel = corner;
        int32_t column = seen.columns;
        for (; column >= 3; column -= 3, pixel += 3 * seen.column_step) {
            const uint32_t a = dsp_load(pixel), b = dsp_load(pixel + seen.column_step);
            const uint32_t c = dsp_load(pixel + 2 * seen.column_step);
            result = dsp_max_bytes(dsp_max_bytes(result, a), dsp_max_bytes(b, c));
        }
        for (; column > 0; column--, pixel += seen.column_step)
            result = dsp_max_bytes(result, dsp_load(pixel));
    }
    return result;
}

/* The windows of 2x2 neighbours that most networks use. */
static void largest_of_four(const uint8_t *corner, window seen, int32_t channels, uint8_t *output)
{
    const uint8_t *below = corner + seen.row_step;
    for (; channels > 0; channels -= 4, corner += 4, below += 4, output += 4) {
        const uint32_t a = dsp_load(corner), b = dsp_load(corner + seen.column_step);
        const uint32_t c = dsp_load(below), d = dsp_load(below + seen.column_step);
        dsp_store(output, dsp_max_bytes(dsp_max_bytes(a, b), dsp_max_bytes(c, d)));
    }
}

void qmcu_max_pool_dsp(const qmcu_max_pool_params *layer, const uint8_t *input, uint8_t *output)
{
    const int32_t channels = layer->channels, row_bytes = layer->input_width * channels;
    window seen = {.row_step = layer->dilation_y * row_bytes, .column_step = layer->dilation_x * channels};
    for (int32_t y = 0; y < layer->output_height; y++) {
        const int32_t top = y * layer->stride_y - layer->pad_top;
        int32_t ky_first, ky_last;
        qmcu_taps_inside(top, layer->kernel_height, layer->dilation_y, layer->input_height, &ky_first, &ky_last);
        seen.rows = ky_last - ky_first;
        for (int32_t x = 0; x < layer->output_width; x++, output += channels) {
            const int32_t left = x * layer->stride_x - layer->pad_left;
            int32_t kx_first, kx_last;
            qmcu_taps_inside(left, layer->kernel_width, layer->dilation_x, layer->input_width, &kx_first, &kx_last);
            seen.columns = kx_last - kx_first;
            const int32_t row = top + ky_first * layer->dilation_y, column = left + kx_first * layer->dilation_x;
            const uint8_t *corner = seen.rows > 0 && seen.columns > 0 ? input + row * row_bytes + column * channels : input;
            if (seen.rows == 2 && seen.columns == 2)
                largest_of_four(corner, seen, channels, output);
            else
                for (int32_t c = 0; c < channels; c += 4)
                    dsp_store(output + c, largest(corner + c, seen));
        }
    }
}

/* Drivers of the matrix product kernels: they fill the tile and call the block function. See matmul.h. */
#include "matmul.h"

#include <stddef.h>

#include "dsp.h"

static uint32_t load_codes(const uint8_t *codes, int32_t bytes)
{
    uint32_t word = 0;
    for (int32_t i = 0; i < bytes; i++) {
        word |= (uint32_t)codes[i] << (8 * i);
    }
    return word;
}

DSP_INLINE void store_plain(uint32_t *tile, uint32_t codes)
{
    tile[0] = dsp_uxtb16(codes);
    tile[1] = dsp_uxtb16_ror8(codes);
}

DSP_INLINE void store_half(uint32_t *tile, uint32_t codes)
{
    const uint32_t swapped = (codes << 8 & 0xff00ff00u) | (codes >> 8 & 0x00ff00ffu);
    tile[0] = dsp_uxtb16_ror8(~codes);
    tile[1] = swapped ^ 0x7f007f00u;
}

/* Reads whole words where the codes are aligned. */
#define DEFINE_WIDEN(name, store)                                                                                      \
    void name(uint32_t *tile, const uint8_t *codes, int32_t bytes)                                                     \
    {                                                                                                                  \
        if (((uintptr_t)codes & 3u) == 0) {                                                                            \
            for (; bytes >= 16; bytes -= 16, codes += 16, tile += 8) {                                                 \
                const uint32_t a = dsp_load(codes), b = dsp_load(codes + 4);                                           \
                const uint32_t c = dsp_load(codes + 8), d = dsp_load(codes + 12);                                      \
                store(tile, a);                                                                                        \
                store(tile + 2, b);                                                                                    \
                store(tile + 4, c);                                                                                    \
                store(tile + 6, d);                                                                                    \
            }                                                                                                          \
            for (; bytes >= 4; bytes -= 4, codes += 4, tile += 2) {                                                    \
                store(tile, dsp_load(codes));                                                                          \
            }                                                                                                          \
        }                                                                                                              \
        for (; bytes > 0; bytes -= 4, codes += 4, tile += 2) {                                                         \
            store(tile, load_codes(codes, bytes < 4 ? bytes : 4));                                                     \
        }                                                                                                              \
    }

DEFINE_WIDEN(qmcu_matmul_widen_plain, store_plain)
DEFINE_WIDEN(qmcu_matmul_widen_half, store_half)

static int32_t groups_of_four(int32_t channels)
{
    return (channels + 3) / 4;
}

static qmcu_matmul_job job_of(const qmcu_matmul_params *layer, const uint32_t *const *runs)
{
    return (qmcu_matmul_job){
        .runs = runs,
        .weights = layer->weights,
        .channels = layer->output_channels,
        .shift = layer->shift,
        .zero_point = layer->zero_point,
        .low = layer->low,
        .high = layer->high,
    };
}

/* Puts `pixels` pixels, `step` bytes apart, into the tile: part by part, in each part pixel by pixel. */
static void widen_pixels(const qmcu_matmul_params *layer, uint32_t *tile, const uint8_t *input, int32_t pixels,
                         int32_t step, qmcu_matmul_widen widen)
{
    const int32_t part = layer->input_channels / layer->run_count;
    const int32_t words = 2 * groups_of_four(part);
    if (layer->run_count == 1 && step == part && part % 4 == 0) {
        widen(tile, input, pixels * part);
        return;
    }
    for (int32_t run = 0; run < layer->run_count; run++) {
        uint32_t *target = tile + run * layer->tile_pixels * words;
        for (int32_t i = 0; i < pixels; i++, target += words) {
            widen(target, input + i * step + run * part, part);
        }
    }
}

void qmcu_matmul_drive_pixels(const qmcu_matmul_params *layer, const uint8_t *input, uint8_t *output, void *scratch,
                              qmcu_matmul_widen widen, qmcu_matmul_block block)
{
    uint32_t *tile = scratch;
    const uint32_t *runs[QMCU_MATMUL_MAX_RUNS];
    const int32_t step = layer->stride_x * layer->input_channels;
    qmcu_matmul_job job = job_of(layer, runs);
    job.run_count = layer->run_count;
    job.run_words = 2 * groups_of_four(layer->input_channels / layer->run_count);
    job.pixel_words = job.run_words;
    for (int32_t run = 0; run < layer->run_count; run++) {
        runs[run] = tile + run * layer->tile_pixels * job.run_words;
    }
    for (int32_t y = 0; y < layer->output_height; y++) {
        const uint8_t *row = input + y * layer->stride_y * layer->input_width * layer->input_channels;
        for (int32_t x = 0; x < layer->output_width; x += layer->tile_pixels) {
            const int32_t left = layer->output_width - x;
            job.pixels = left < layer->tile_pixels ? left : layer->tile_pixels;
            widen_pixels(layer, tile, row + x * step, job.pixels, step, widen);
            job.output = output + (y * layer->output_width + x) * layer->output_channels;
            block(&job);
        }
    }
}

typedef struct {
    uint32_t *tile;
    int32_t rows;         /* kernel height with dilation */
    int32_t columns;      /* of a row: padding and map */
    int32_t column_words; /* words of a column */
    int32_t left;         /* columns of padding before the map */
    int32_t inside;       /* columns of the map */
    uint32_t padding[2];  /* the group of four padding codes */
} row_ring;

static row_ring ring_of(const qmcu_matmul_params *layer, void *scratch, qmcu_matmul_widen widen)
{
    const uint32_t padding = dsp_four((uint32_t)layer->input_zero_point);
    row_ring ring = {.tile = scratch, .left = layer->pad_left};
    ring.rows = (layer->kernel_height - 1) * layer->dilation_y + 1;
    ring.columns = (layer->output_width - 1) * layer->stride_x + (layer->kernel_width - 1) * layer->dilation_x + 1;
    ring.column_words = 2 * groups_of_four(layer->input_channels);
    if (ring.left > ring.columns) {
        ring.left = ring.columns;
    }
    ring.inside = ring.columns - ring.left < layer->input_width ? ring.columns - ring.left : layer->input_width;
    widen(ring.padding, (const uint8_t *)&padding, 4);
    return ring;
}

static uint32_t *ring_row(const row_ring *ring, int32_t row)
{
    return ring->tile + row % ring->rows * ring->columns * ring->column_words;
}

static uint32_t *fill_columns(const row_ring *ring, uint32_t *target, int32_t columns)
{
    for (int32_t i = columns * ring->column_words / 2; i > 0; i--, target += 2) {
        target[0] = ring->padding[0];
        target[1] = ring->padding[1];
    }
    return target;
}

/* Widens one row of the padded map into the ring. */
static void widen_row(const qmcu_matmul_params *layer, const row_ring *ring, int32_t row, const uint8_t *input,
                      qmcu_matmul_widen widen)
{
    uint32_t *target = ring_row(ring, row);
    const int32_t y = row - layer->pad_top;
    const int32_t channels = layer->input_channels;
    if (y < 0 || y >= layer->input_height) {
        fill_columns(ring, target, ring->columns);
        return;
    }
    const uint8_t *codes = input + y * layer->input_width * channels;
    target = fill_columns(ring, target, ring->left);
    if (channels % 4 == 0) {
        widen(target, codes, ring->inside * channels);
        target += ring->inside * ring->column_words;
    } else {
        for (int32_t x = 0; x < ring->inside; x++, codes += channels, target += ring->column_words) {
            widen(target, codes, channels);
        }
    }
    fill_columns(ring, target, ring->columns - ring->left - ring->inside);
}

/* Where the runs of an output row's first pixel start: one run a kernel row, or one a tap when columns are dilated. */
static int32_t find_runs(const qmcu_matmul_params *layer, const row_ring *ring, int32_t first_row, const uint32_t **runs)
{
    const int32_t taps = layer->dilation_x == 1 ? 1 : layer->kernel_width;
    int32_t count = 0;
    for (int32_t ky = 0; ky < layer->kernel_height; ky++) {
        const uint32_t *row = ring_row(ring, first_row + ky * layer->dilation_y);
        for (int32_t kx = 0; kx < taps; kx++) {
            runs[count++] = row + kx * layer->dilation_x * ring->column_words;
        }
    }
    return count;
}

void qmcu_matmul_drive_rows(const qmcu_matmul_params *layer, const uint8_t *input, uint8_t *output, void *scratch,
                            qmcu_matmul_widen widen, qmcu_matmul_block block)
{
    const row_ring ring = ring_of(layer, scratch, widen);
    const uint32_t *runs[QMCU_MATMUL_MAX_RUNS];
    qmcu_matmul_job job = job_of(layer, runs);
    job.pixels = layer->output_width;
    job.run_words = (layer->dilation_x == 1 ? layer->kernel_width : 1) * ring.column_words;
    job.pixel_words = layer->stride_x * ring.column_words;
    int32_t widened = 0; /* rows of the padded map before this one are in the ring, or not needed any more */
    for (int32_t y = 0; y < layer->output_height; y++) {
        const int32_t first = y * layer->stride_y;
        for (widened = widened < first ? first : widened; widened < first + ring.rows; widened++) {
            widen_row(layer, &ring, widened, input, widen);
        }
        job.run_count = find_runs(layer, &ring, first, runs);
        job.output = output + y * layer->output_width * layer->output_channels;
        block(&job);
    }
}

/* Drivers of the matrix product kernels: they fill the tile and call the block function. See matmul.h. */
#include <stddef.h>

#include "dsp.h"
#include "matmul.h"
#include "requantize.h"

typedef const uint32_t *piece_list[QMCU_MATMUL_MAX_PIECES + 1];

static int32_t groups_of_four(int32_t channels)
{
    return (channels + 3) / 4;
}

static qmcu_matmul_job job_of(const qmcu_matmul_params *layer, const uint32_t **pieces)
{
    return (qmcu_matmul_job){
        .pieces = pieces,
        .weights = layer->weights,
        .pitch = layer->output_channels,
        .zero_point = layer->zero_point,
        .shift = layer->shift,
        .piece_groups = layer->piece_groups,
        .interleave = layer->interleave,
        .channels = layer->output_channels,
        .block_words = layer->block_words,
    };
}

/* Adds the pieces of the run that starts at `run`. */
static const uint32_t **add_pieces(const qmcu_matmul_params *layer, const uint32_t **pieces, const uint32_t *run)
{
    for (int32_t i = layer->run_pieces; i > 0; i--, run += 2 * layer->interleave * layer->piece_groups) {
        *pieces++ = run;
    }
    return pieces;
}

/* An activation narrower than the codes' range. */
static void clamp(const qmcu_matmul_params *layer, uint8_t *codes, int32_t count)
{
    if (layer->low > 0 || layer->high < 255) {
        for (int32_t i = 0; i < count; i++) {
            codes[i] = (uint8_t)qmcu_clamp(codes[i], layer->low, layer->high);
        }
    }
}

/* Puts `pixels` pixels, `step` bytes apart, into the tile. */
static void widen_pixels(const qmcu_matmul_params *layer, uint32_t *tile, const uint8_t *input, int32_t pixels,
                         int32_t step, qmcu_matmul_widen widen)
{
    const int32_t channels = layer->input_channels;
    const int32_t interleave = layer->interleave;
    if (interleave == 1 && step == channels && channels == 4 * layer->run_pieces * layer->piece_groups) {
        widen(tile, input, pixels * channels, 1);
        return;
    }
    const int32_t group_words = 2 * interleave * layer->run_pieces * layer->piece_groups;
    for (int32_t i = 0; i < pixels; i += interleave, tile += group_words) {
        for (int32_t j = 0; j < interleave && i + j < pixels; j++, input += step) {
            widen(tile + j, input, channels, interleave);
        }
    }
}

void qmcu_matmul_drive_pixels(const qmcu_matmul_params *layer, const uint8_t *input, uint8_t *output, void *scratch,
                              qmcu_matmul_widen widen, qmcu_matmul_block block)
{
    uint32_t *tile = scratch;
    piece_list pieces;
    const int32_t step = layer->stride_x * layer->input_channels;
    qmcu_matmul_job job = job_of(layer, pieces);
    job.pixel_words = layer->interleave > 1 ? 1 : 2 * layer->run_pieces * layer->piece_groups;
    for (int32_t y = 0; y < layer->output_height; y++) {
        const uint8_t *row = input + y * layer->stride_y * layer->input_width * layer->input_channels;
        for (int32_t x = 0; x < layer->output_width; x += layer->tile_pixels) {
            const int32_t left = layer->output_width - x;
            job.pixels = left < layer->tile_pixels ? left : layer->tile_pixels;
            widen_pixels(layer, tile, row + x * step, job.pixels, step, widen);
            *add_pieces(layer, pieces, tile) = NULL;
            job.output = output + (y * layer->output_width + x) * layer->output_channels;
            block(&job);
            clamp(layer, job.output, job.pixels * layer->output_channels);
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
    widen(ring.padding, (const uint8_t *)&padding, 4, 1);
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
        widen(target, codes, ring->inside * channels, 1);
        target += ring->inside * ring->column_words;
    } else {
        for (int32_t x = 0; x < ring->inside; x++, codes += channels, target += ring->column_words) {
            widen(target, codes, channels, 1);
        }
    }
    fill_columns(ring, target, ring->columns - ring->left - ring->inside);
}

/* The pieces of an output row's first pixel: a run is a kernel row, or a tap when columns are dilated. */
static void find_pieces(const qmcu_matmul_params *layer, const row_ring *ring, int32_t first_row,
                        const uint32_t **pieces)
{
    const int32_t taps = layer->dilation_x == 1 ? 1 : layer->kernel_width;
    for (int32_t ky = 0; ky < layer->kernel_height; ky++) {
        const uint32_t *row = ring_row(ring, first_row + ky * layer->dilation_y);
        for (int32_t kx = 0; kx < taps; kx++) {
            pieces = add_pieces(layer, pieces, row + kx * layer->dilation_x * ring->column_words);
        }
    }
    *pieces = NULL;
}

void qmcu_matmul_drive_rows(const qmcu_matmul_params *layer, const uint8_t *input, uint8_t *output, void *scratch,
                            qmcu_matmul_widen widen, qmcu_matmul_block block)
{
    const row_ring ring = ring_of(layer, scratch, widen);
    const int32_t row_codes = layer->output_width * layer->output_channels;
    piece_list pieces;
    qmcu_matmul_job job = job_of(layer, pieces);
    job.pixels = layer->output_width;
    job.pixel_words = layer->stride_x * ring.column_words;
    int32_t widened = 0; /* rows of the padded map before this one are in the ring, or not needed any more */
    for (int32_t y = 0; y < layer->output_height; y++, output += row_codes) {
        const int32_t first = y * layer->stride_y;
        for (widened = widened < first ? first : widened; widened < first + ring.rows; widened++) {
            widen_row(layer, &ring, widened, input, widen);
        }
        find_pieces(layer, &ring, first, pieces);
        job.output = output;
        block(&job);
        clamp(layer, output, row_codes);
    }
}

static void all_channels(qmcu_matmul_job *job, int32_t channels, qmcu_matmul_block block)
{
    const int32_t left_over = job->channels % channels;
    uint8_t *const output = job->output;
    const uint32_t *const weights = job->weights;
    job->weights_end = weights + job->channels / channels * job->block_words;
    block(job);
    if (left_over > 0) {
        for (const uint32_t **piece = job->pieces; *piece != NULL; piece++) {
            *piece -= job->groups * job->step / 4;
        }
        job->weights = job->weights_end;
        job->weights_end += job->block_words;
        job->output = output + job->channels - channels;
        block(job);
        job->weights = weights;
        job->output = output;
    }
}

void qmcu_matmul_split(const qmcu_matmul_job *job, const qmcu_matmul_blocks *blocks)
{
    const int32_t left_over = job->pixels % blocks->pixels;
    qmcu_matmul_job part = *job;
    const int32_t group_words = 2 * job->interleave * job->piece_groups;
    part.groups = job->pixels / blocks->pixels;
    part.step = 4 * blocks->pixels * job->pixel_words;
    if (job->interleave > 1) {
        int32_t pieces = 0;
        while (job->pieces[pieces] != NULL) {
            pieces++;
        }
        part.step = 4 * pieces * group_words;
    }
    if (part.groups > 0) {
        all_channels(&part, blocks->channels, blocks->whole);
    }
    if (left_over > 0) {
        part.output += part.groups * blocks->pixels * job->pitch;
        part.groups = 1;
        all_channels(&part, blocks->channels, blocks->rest);
    }
}

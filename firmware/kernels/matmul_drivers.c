/* Drivers of the matrix product kernels: they fill the tile and call the block function. See matmul.h. */
#include <stddef.h>

#include "clamp.h"
#include "dsp.h"
#include "matmul.h"
#include "requantize.h"

typedef const uint32_t *piece_list[QMCU_MATMUL_MAX_PIECES + 1];

static int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static qmcu_matmul_job job_of(const qmcu_matmul_params *layer, const uint32_t **pieces, uint32_t *tile)
{
    return (qmcu_matmul_job){
        .pieces = pieces,
        .weights = layer->weights,
        .pitch = layer->output_channels,
        .step = layer->step,
        .zero_point = layer->zero_point,
        .corrections = (int32_t *)tile + layer->tile_words,
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

/* An activation, or codes, narrower than 8 bits. */
static void clamp(const qmcu_matmul_params *layer, uint8_t *codes, int32_t count)
{
    if (layer->low > 0 || layer->high < 255) {
        for (; count > 0 && ((uintptr_t)codes & 3u) != 0; count--, codes++) {
            *codes = (uint8_t)qmcu_clamp(*codes, layer->low, layer->high);
        }
        qmcu_clamp_codes(codes, count, layer->low, layer->high);
    }
}

/* Kernel 1x1 */

/* Puts `pixels` pixels, `step` bytes apart, into the tile. */
static void widen_pixels(const qmcu_matmul_params *layer, uint32_t *tile, const uint8_t *input, int32_t pixels,
                         int32_t step, const qmcu_matmul_widening *widening)
{
    const int32_t channels = layer->input_channels;
    const int32_t interleave = layer->interleave;
    const int32_t group_words = 2 * interleave * layer->run_pieces * layer->piece_groups;
    if (interleave == 1 && step == channels && 2 * channels == 4 * group_words) {
        widening->run(tile, input, pixels * channels, 1);
        return;
    }
    for (int32_t i = 0; i < pixels; i += interleave, tile += group_words) {
        if (interleave > 1 && i + interleave <= pixels && channels % 4 == 0) {
            widening->pixels(tile, input, channels, step, interleave);
            input += interleave * step;
            continue;
        }
        for (int32_t j = 0; j < smaller(interleave, pixels - i); j++, input += step) {
            widening->run(tile + j, input, channels, interleave);
        }
    }
}

void qmcu_matmul_drive_pixels(const qmcu_matmul_params *layer, const uint8_t *input, uint8_t *output, void *scratch,
                              const qmcu_matmul_widening *widening, qmcu_matmul_block block)
{
    uint32_t *tile = scratch;
    piece_list pieces;
    const int32_t step = layer->stride_x * layer->input_channels;
    qmcu_matmul_job job = job_of(layer, pieces, tile);
    const int32_t row_chunks = (layer->output_width + layer->tile_pixels - 1) / layer->tile_pixels;
    const int32_t chunks = layer->output_height * row_chunks;
    for (int32_t i = 0; i < chunks; i++) {
        const int32_t chunk = layer->backwards ? chunks - 1 - i : i;
        const int32_t y = chunk / row_chunks, x = chunk % row_chunks * layer->tile_pixels;
        const uint8_t *codes = input + y * layer->stride_y * layer->input_width * layer->input_channels + x * step;
        job.pixels = smaller(layer->output_width - x, layer->tile_pixels);
        widen_pixels(layer, tile, codes, job.pixels, step, widening);
        if (widening->correct != NULL) {
            widening->correct(job.corrections, codes, layer->input_channels, step, job.pixels);
        }
        *add_pieces(layer, pieces, tile) = NULL;
        job.output = output + (y * layer->output_width + x) * layer->output_channels;
        block(&job);
        clamp(layer, job.output, job.pixels * layer->output_channels);
    }
}

/* Other kernels */

typedef struct {
    const qmcu_matmul_params *layer;
    const qmcu_matmul_widening *widening;
    uint32_t *tile;
    int32_t *corrections; /* of the columns, if the scheme needs them */
    int32_t rows;    /* kernel height with dilation */
    int32_t columns; /* of the padded map that are needed */
    int32_t left;    /* of these, columns of padding before the map */
    int32_t inside;  /* and columns of the map */
} row_ring;

static row_ring ring_of(const qmcu_matmul_params *layer, void *scratch, const qmcu_matmul_widening *widening)
{
    row_ring ring = {.layer = layer, .widening = widening, .tile = scratch};
    ring.rows = (layer->kernel_height - 1) * layer->dilation_y + 1;
    ring.columns = (layer->output_width - 1) * layer->stride_x + (layer->kernel_width - 1) * layer->dilation_x + 1;
    ring.left = smaller(layer->pad_left, ring.columns);
    ring.inside = smaller(layer->input_width, ring.columns - ring.left);
    ring.corrections = (int32_t *)ring.tile + layer->tile_words + layer->output_width;
    return ring;
}

static uint32_t *ring_row(const row_ring *ring, int32_t row)
{
    const int32_t copies = ring->layer->phases > 0 ? ring->layer->phases : 1;
    return ring->tile + row % ring->rows * copies * ring->layer->row_words;
}

/* Words of a column whose channels are padded to groups of four. */
static int32_t column_words(const qmcu_matmul_params *layer)
{
    return 2 * ((layer->input_channels + 3) / 4);
}

static uint32_t *fill_with_padding(const row_ring *ring, uint32_t *target, int32_t words)
{
    const uint32_t codes = dsp_four((uint32_t)ring->layer->input_zero_point);
    uint32_t padding[2];
    ring->widening->run(padding, (const uint8_t *)&codes, 4, 1);
    for (uint32_t *const end = target + words; target != end; target += 2) {
        target[0] = padding[0];
        target[1] = padding[1];
    }
    return target;
}

/* A row of columns of padded channels. */
static void widen_columns(const row_ring *ring, uint32_t *target, const uint8_t *codes)
{
    const int32_t channels = ring->layer->input_channels;
    const int32_t words = column_words(ring->layer);
    target = fill_with_padding(ring, target, ring->left * words);
    if (channels % 4 == 0) {
        ring->widening->run(target, codes, ring->inside * channels, 1);
        target += ring->inside * words;
    } else if (channels < 4) {
        ring->widening->narrow(target, codes, channels, ring->inside);
        target += ring->inside * words;
    } else {
        for (int32_t x = 0; x < ring->inside; x++, codes += channels, target += words) {
            ring->widening->run(target, codes, channels, 1);
        }
    }
    fill_with_padding(ring, target, (ring->columns - ring->left - ring->inside) * words);
}

/* The group of four codes from `first` on, of a row of `count` codes with padding on both sides. */
static void widen_edge(const row_ring *ring, uint32_t *target, const uint8_t *codes, int32_t first, int32_t count)
{
    uint32_t word = 0;
    for (int32_t i = 0; i < 4; i++) {
        const int32_t place = first + i;
        const int32_t code = place >= 0 && place < count ? codes[place] : ring->layer->input_zero_point;
        word |= (uint32_t)code << (8 * i);
    }
    ring->widening->run(target, (const uint8_t *)&word, 4, 1);
}

/* A row without gaps, in the copy whose groups start at code `shift` of the padded row. */
static void widen_sequence(const row_ring *ring, uint32_t *target, const uint8_t *codes, int32_t shift)
{
    const int32_t count = ring->inside * ring->layer->input_channels;
    const uint32_t *const end = target + ring->layer->row_words;
    int32_t place = shift - ring->left * ring->layer->input_channels;
    for (; place < 0 && target != end; place += 4, target += 2) {
        widen_edge(ring, target, codes, place, count);
    }
    const int32_t whole = smaller((count - place) / 4, (int32_t)(end - target) / 2);
    if (whole > 0) {
        ring->widening->run(target, codes + place, 4 * whole, 1);
        place += 4 * whole;
        target += 2 * whole;
    }
    for (; target != end; place += 4, target += 2) {
        widen_edge(ring, target, codes, place, count);
    }
}

static int32_t *corrections_of_row(const row_ring *ring, int32_t row)
{
    return ring->corrections + row % ring->rows * ring->columns;
}

/* Corrections of the columns of one row of the padded map; `codes` is NULL where it is padding. */
static void correct_columns(const row_ring *ring, int32_t row, const uint8_t *codes)
{
    const int32_t channels = ring->layer->input_channels;
    int32_t *const target = corrections_of_row(ring, row);
    const uint8_t padding = (uint8_t)ring->layer->input_zero_point;
    int32_t of_padding;
    ring->widening->correct(&of_padding, &padding, 1, 0, 1);
    for (int32_t x = 0; x < ring->columns; x++) {
        target[x] = of_padding * channels;
    }
    if (codes != NULL) {
        ring->widening->correct(target + ring->left, codes, channels, channels, ring->inside);
    }
}

/* Corrections of the pixels of an output row: those of the columns in their receptive fields. */
static void correct_pixels(const row_ring *ring, int32_t first_row, int32_t *corrections)
{
    const qmcu_matmul_params *const layer = ring->layer;
    int32_t *const sums = ring->corrections + ring->rows * ring->columns;
    __builtin_memcpy(sums, corrections_of_row(ring, first_row), (size_t)ring->columns * sizeof *sums);
    for (int32_t ky = 1; ky < layer->kernel_height; ky++) {
        const int32_t *const row = corrections_of_row(ring, first_row + ky * layer->dilation_y);
        for (int32_t x = 0; x < ring->columns; x++) {
            sums[x] += row[x];
        }
    }
    const int32_t *first = sums;
    for (int32_t x = 0; x < layer->output_width; x++, first += layer->stride_x) {
        int32_t sum = 0;
        for (int32_t kx = 0; kx < layer->kernel_width; kx++) {
            sum += first[kx * layer->dilation_x];
        }
        corrections[x] = sum;
    }
}

/* Widens one row of the padded map into the ring. */
static void widen_row(const row_ring *ring, int32_t row, const uint8_t *input)
{
    const qmcu_matmul_params *const layer = ring->layer;
    const int32_t y = row - layer->pad_top;
    const uint8_t *codes = input + y * layer->input_width * layer->input_channels;
    uint32_t *target = ring_row(ring, row);
    if (ring->widening->correct != NULL) {
        correct_columns(ring, row, y < 0 || y >= layer->input_height ? NULL : codes);
    }
    if (y < 0 || y >= layer->input_height) {
        fill_with_padding(ring, target, (layer->phases > 0 ? layer->phases : 1) * layer->row_words);
    } else if (layer->phases == 0) {
        widen_columns(ring, target, codes);
    } else {
        for (int32_t phase = 0; phase < layer->phases; phase++, target += layer->row_words) {
            widen_sequence(ring, target, codes, phase * layer->stride_x * layer->input_channels % 4);
        }
    }
}

/* The pieces of an output row's first pixel: a run is a kernel row, or a tap when columns are dilated. */
static void find_pieces(const row_ring *ring, int32_t first_row, const uint32_t **pieces)
{
    const qmcu_matmul_params *const layer = ring->layer;
    const int32_t taps = layer->dilation_x == 1 ? 1 : layer->kernel_width;
    for (int32_t ky = 0; ky < layer->kernel_height; ky++) {
        const uint32_t *row = ring_row(ring, first_row + ky * layer->dilation_y);
        for (int32_t kx = 0; kx < taps; kx++) {
            pieces = add_pieces(layer, pieces, row + kx * layer->dilation_x * column_words(layer));
        }
    }
    *pieces = NULL;
}

void qmcu_matmul_drive_rows(const qmcu_matmul_params *layer, const uint8_t *input, uint8_t *output, void *scratch,
                            const qmcu_matmul_widening *widening, qmcu_matmul_block block)
{
    const row_ring ring = ring_of(layer, scratch, widening);
    const int32_t row_codes = layer->output_width * layer->output_channels;
    piece_list pieces;
    qmcu_matmul_job job = job_of(layer, pieces, ring.tile);
    job.pixels = layer->output_width;
    int32_t widened = 0; /* rows of the padded map before this one are in the ring, or not needed any more */
    for (int32_t y = 0; y < layer->output_height; y++, output += row_codes) {
        const int32_t first = y * layer->stride_y;
        for (widened = widened < first ? first : widened; widened < first + ring.rows; widened++) {
            widen_row(&ring, widened, input);
        }
        find_pieces(&ring, first, pieces);
        if (widening->correct != NULL) {
            correct_pixels(&ring, first, job.corrections);
        }
        job.output = output;
        block(&job);
        clamp(layer, output, row_codes);
    }
}

/* Division of a job among block functions */

static void all_channels(const qmcu_matmul_job *job, int32_t channels, qmcu_matmul_block block)
{
    qmcu_matmul_job part = *job;
    part.weights_end = job->weights + job->channels / channels * job->block_words;
    block(&part);
    if (job->channels % channels > 0) { /* the last block overlaps the one before it */
        part.weights = part.weights_end;
        part.weights_end += job->block_words;
        part.output = job->output + job->channels - channels;
        block(&part);
    }
}

void qmcu_matmul_split(const qmcu_matmul_job *job, const qmcu_matmul_blocks *blocks)
{
    qmcu_matmul_job part = *job;
    part.groups = job->pixels / blocks->pixels;
    if (part.groups > 0) {
        all_channels(&part, blocks->channels, blocks->whole);
    }
    if (job->pixels % blocks->pixels > 0) {
        for (const uint32_t **piece = job->pieces; *piece != NULL; piece++) {
            *piece += part.groups * (job->step / 4);
        }
        part.output += part.groups * blocks->pixels * job->pitch;
        part.corrections += part.groups * blocks->pixels;
        part.groups = 1;
        all_channels(&part, blocks->channels, blocks->rest);
    }
}

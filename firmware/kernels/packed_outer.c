/* Driver of packed multiplication: fills the tile for one group of pixels after the other. See packed_outer.h. */
#include "packed_outer.h"

#include "packed.h"
#include "requantize.h"

typedef struct {
    const qmcu_packed_outer_params *layer;
    const uint8_t *input;
    int32_t pixels;      /* in a group */
    int32_t pixel_bytes; /* whole words that hold an input pixel */
    uint32_t *tile;
    uint8_t *padding; /* a pixel */
    uint8_t *aligned; /* copies of pixels that are no whole words */
    uint8_t *staged;  /* output */
    int32_t pitch;    /* bytes of a pixel in `staged` */
} state;

static int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static state start(const qmcu_packed_outer_params *layer, const uint8_t *input, void *scratch, int32_t pixels)
{
    state s = {.layer = layer, .input = input, .pixels = pixels, .tile = scratch};
    s.pixel_bytes = (layer->input_bytes + 3) & ~3;
    s.padding = (uint8_t *)(s.tile + 2 * layer->parts * layer->part_inputs);
    s.aligned = s.padding + s.pixel_bytes;
    s.staged = s.aligned + (layer->input_bytes & 3 ? pixels * s.pixel_bytes : 0);
    s.pitch = layer->whole_pixels ? qmcu_packed_bytes(layer->output_channels, layer->output_bits) : 4 * layer->blocks;
    __builtin_memset(s.padding, layer->padding, (size_t)s.pixel_bytes);
    return s;
}

/* Adds one tap of every pixel of the group to the tile. */
static uint32_t *fill_tap(const state *s, uint32_t *tile, const uint8_t **taps, qmcu_packed_outer_fill fill)
{
    if (s->layer->input_bytes & 3) {
        for (int32_t i = 0; i < s->pixels; i++) {
            uint8_t *const copy = s->aligned + i * s->pixel_bytes;
            __builtin_memcpy(copy, taps[i], (size_t)s->layer->input_bytes);
            taps[i] = copy;
        }
    }
    return fill(tile, taps, s->pixel_bytes / 4);
}

/* The tile of a kernel 1x1 at stride 1. Pixels behind the last one repeat it. */
static void fill_neighbours(const state *s, int32_t first, int32_t count, qmcu_packed_outer_fill fill)
{
    const uint8_t *taps[QMCU_PACKED_OUTER_MAX_PIXELS], *pixel = s->input + first * s->layer->input_bytes;
    for (int32_t i = 0; i < s->pixels; i++) {
        taps[i] = pixel;
        pixel += i + 1 < count ? s->layer->input_bytes : 0;
    }
    fill_tap(s, s->tile, taps, fill);
}

/* The tile of any kernel. */
static void fill_fields(const state *s, int32_t first, int32_t count, qmcu_packed_outer_fill fill)
{
    const qmcu_packed_outer_params *const layer = s->layer;
    const uint8_t *taps[QMCU_PACKED_OUTER_MAX_PIXELS];
    int32_t rows[QMCU_PACKED_OUTER_MAX_PIXELS], columns[QMCU_PACKED_OUTER_MAX_PIXELS];
    uint32_t *tile = s->tile;
    int32_t y = first / layer->output_width, x = first % layer->output_width;
    for (int32_t i = 0; i < s->pixels; i++) {
        rows[i] = y * layer->stride_y - layer->pad_top;
        columns[i] = x * layer->stride_x - layer->pad_left;
        if (i + 1 < count && ++x == layer->output_width) {
            x = 0;
            y++;
        }
    }
    for (int32_t ky = 0; ky < layer->kernel_height; ky++) {
        for (int32_t kx = 0; kx < layer->kernel_width; kx++) {
            for (int32_t i = 0; i < s->pixels; i++) {
                const int32_t row = rows[i] + ky * layer->dilation_y, column = columns[i] + kx * layer->dilation_x;
                const int inside = row >= 0 && row < layer->input_height && column >= 0 && column < layer->input_width;
                taps[i] = inside ? s->input + (row * layer->input_width + column) * layer->input_bytes : s->padding;
            }
            tile = fill_tap(s, tile, taps, fill);
        }
    }
}

/* Brings `count` pixels from where the block function stored them to the map. */
static void unstage(const state *s, uint8_t *output, int32_t count)
{
    const qmcu_packed_outer_params *const layer = s->layer;
    uint8_t *staged = s->staged;
    if (layer->whole_pixels) {
        __builtin_memcpy(output, staged, (size_t)(count * s->pitch));
        return;
    }
    for (; count > 0; count--, staged += s->pitch) {
        for (int32_t c = 0; c < layer->output_channels; c++) {
            staged[c] = (uint8_t)qmcu_clamp(staged[c], layer->low, layer->high);
        }
        qmcu_pack(staged, layer->output_channels, layer->output_bits, output);
        output += qmcu_packed_bytes(layer->output_channels, layer->output_bits);
    }
}

void qmcu_packed_outer(const qmcu_packed_outer_params *layer, const uint8_t *input, uint8_t *output, void *scratch,
                       int32_t fields, qmcu_packed_outer_fill fill, void (*block)(const qmcu_packed_outer_job *job))
{
    const state s = start(layer, input, scratch, 2 * fields);
    const int32_t all = layer->output_height * layer->output_width, groups = (all + s.pixels - 1) / s.pixels;
    const int32_t output_bytes = qmcu_packed_bytes(layer->output_channels, layer->output_bits);
    const int neighbours = layer->kernel_height * layer->kernel_width * layer->stride_y * layer->stride_x == 1 &&
                           all == layer->input_height * layer->input_width;
    qmcu_packed_outer_job job = {
        .tile = s.tile,
        .tile_end = s.tile + 2 * layer->parts * layer->part_inputs,
        .weights = layer->weights,
        .weights_end = layer->weights + layer->blocks * layer->block_words,
        .pitch = s.pitch,
        .part_bytes = 8 * layer->part_inputs,
        .zero_point = layer->zero_point,
    };
    for (int32_t i = 0; i < groups; i++) {
        const int32_t first = (layer->backwards ? groups - 1 - i : i) * s.pixels, count = smaller(s.pixels, all - first);
        uint8_t *const place = output + first * output_bytes;
        const int direct = layer->whole_pixels && count == s.pixels;
        if (neighbours) {
            fill_neighbours(&s, first, count, fill);
        } else {
            fill_fields(&s, first, count, fill);
        }
        job.output = direct ? place : s.staged;
        block(&job);
        if (!direct) {
            unstage(&s, place, count);
        }
    }
}

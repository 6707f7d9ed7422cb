/* Driver of packed multiplication: fills the tile for one group of pixels after the other. See packed_outer.h. */
#include "packed_outer.h"

#include "packed.h"
#include "requantize.h"

typedef struct {
    const qmcu_packed_outer_params *layer;
    const uint8_t *input;
    const qmcu_packed_outer_scheme *scheme;
    int32_t pixels;      /* in a group */
    int32_t all;         /* pixels */
    int32_t pixel_bytes; /* whole words that hold an input pixel */
    uint32_t *tiles;
    int32_t tile_words;
    uint32_t *weights; /* expanded */
    uint8_t *padding;  /* a pixel */
    uint8_t *aligned;  /* copies of pixels that are no whole words */
    uint8_t *staged;   /* output */
    int32_t pitch;     /* bytes of a pixel in `staged`, and of the output */
    int32_t output_bytes;
    int neighbours; /* kernel 1x1, stride 1 */
} state;

static int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static state start(const qmcu_packed_outer_params *layer, const uint8_t *input, void *scratch,
                   const qmcu_packed_outer_scheme *scheme)
{
    state s = {.layer = layer, .input = input, .scheme = scheme, .pixels = 2 * scheme->fields, .tiles = scratch};
    s.all = layer->output_height * layer->output_width;
    s.neighbours = layer->kernel_height * layer->kernel_width * layer->stride_y * layer->stride_x == 1 &&
                   s.all == layer->input_height * layer->input_width;
    s.pixel_bytes = (layer->input_bytes + 3) & ~3;
    s.tile_words = 2 * layer->inputs;
    s.weights = s.tiles + layer->groups_at_once * s.tile_words;
    s.padding = (uint8_t *)(s.weights + (scheme->expand ? layer->blocks_at_once * layer->block_words : 0));
    s.aligned = s.padding + s.pixel_bytes;
    s.staged = s.aligned + (layer->input_bytes & 3 ? s.pixels * s.pixel_bytes : 0);
    s.output_bytes = qmcu_packed_bytes(layer->output_channels, layer->output_bits);
    s.pitch = layer->whole_pixels ? s.output_bytes : 4 * layer->blocks;
    __builtin_memset(s.padding, layer->padding, (size_t)s.pixel_bytes);
    return s;
}

/* Adds one tap of every pixel of the group to the tile. */
static uint32_t *fill_tap(const state *s, uint32_t *tile, const uint8_t **taps)
{
    if (s->layer->input_bytes & 3) {
        for (int32_t i = 0; i < s->pixels; i++) {
            uint8_t *const copy = s->aligned + i * s->pixel_bytes;
            __builtin_memcpy(copy, taps[i], (size_t)s->layer->input_bytes);
            taps[i] = copy;
        }
    }
    return s->scheme->fill(tile, taps, s->pixel_bytes / 4);
}

/* The tile of a kernel 1x1 at stride 1. Pixels behind the last one repeat it. */
static void fill_neighbours(const state *s, uint32_t *tile, int32_t first, int32_t count)
{
    const uint8_t *taps[QMCU_PACKED_OUTER_MAX_PIXELS], *pixel = s->input + first * s->layer->input_bytes;
    for (int32_t i = 0; i < s->pixels; i++) {
        taps[i] = pixel;
        pixel += i + 1 < count ? s->layer->input_bytes : 0;
    }
    fill_tap(s, tile, taps);
}

/* The tile of any kernel. */
static void fill_fields(const state *s, uint32_t *tile, int32_t first, int32_t count)
{
    const qmcu_packed_outer_params *const layer = s->layer;
    const uint8_t *taps[QMCU_PACKED_OUTER_MAX_PIXELS];
    int32_t rows[QMCU_PACKED_OUTER_MAX_PIXELS], columns[QMCU_PACKED_OUTER_MAX_PIXELS];
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
            tile = fill_tap(s, tile, taps);
        }
    }
}

/* Brings `count` pixels from where the block function stored them to the map. */
static void unstage(const state *s, uint8_t *staged, uint8_t *output, int32_t count)
{
    const qmcu_packed_outer_params *const layer = s->layer;
    if (layer->whole_pixels) {
        __builtin_memcpy(output, staged, (size_t)(count * s->pitch));
        return;
    }
    for (; count > 0; count--, staged += s->pitch) {
        for (int32_t c = 0; c < layer->output_channels; c++) {
            staged[c] = (uint8_t)qmcu_clamp(staged[c], layer->low, layer->high);
        }
        qmcu_pack(staged, layer->output_channels, layer->output_bits, output);
        output += s->output_bytes;
    }
}

/* Puts the weights of so many blocks into the job: where they are in flash, or expanded. */
static void find_weights(const state *s, qmcu_packed_outer_job *job, int32_t blocks, const uint32_t **stored)
{
    if (s->scheme->expand) {
        uint32_t *end = s->weights;
        for (int32_t i = 0; i < blocks; i++)
            end = s->scheme->expand(end, stored, s->layer->inputs);
        job->weights = s->weights;
        job->weights_end = end;
    } else { /* all blocks */
        job->weights = *stored;
        job->weights_end = *stored + s->layer->weight_words;
    }
}

/* All channels of some groups, the first of which starts at pixel `first`; `direct` of them are stored where they belong. */
static void run_groups(const state *s, uint8_t *output, int32_t first, int32_t groups, int32_t direct)
{
    const qmcu_packed_outer_params *const layer = s->layer;
    const uint32_t *stored = layer->weights;
    const int32_t group_bytes = s->pixels * s->pitch;
    qmcu_packed_outer_job job = {.pitch = s->pitch, .zero_point = layer->zero_point};
    for (int32_t i = 0; i < groups; i++) {
        const int32_t pixel = first + i * s->pixels;
        (s->neighbours ? fill_neighbours : fill_fields)(s, s->tiles + i * s->tile_words, pixel, s->all - pixel);
    }
    for (int32_t block = 0; block < layer->blocks; block += layer->blocks_at_once) {
        uint8_t *place = output + block * s->scheme->stored_bits / 2, *staged = s->staged + (place - output);
        find_weights(s, &job, smaller(layer->blocks_at_once, layer->blocks - block), &stored);
        job.tile_end = s->tiles;
        for (int32_t i = 0; i < groups; i++) {
            job.tile = job.tile_end;
            job.tile_end += s->tile_words;
            job.output = i < direct ? place : staged;
            place += group_bytes;
            staged += i < direct ? 0 : group_bytes;
            s->scheme->block(&job);
        }
    }
    for (int32_t i = direct; i < groups; i++) {
        const int32_t pixel = first + i * s->pixels;
        unstage(s, s->staged + (i - direct) * group_bytes, output + i * s->pixels * s->output_bytes,
                smaller(s->pixels, s->all - pixel));
    }
}

void qmcu_packed_outer(const qmcu_packed_outer_params *layer, const uint8_t *input, uint8_t *output, void *scratch,
                       const qmcu_packed_outer_scheme *scheme)
{
    const state s = start(layer, input, scratch, scheme);
    const int32_t step = layer->groups_at_once * s.pixels, chunks = (s.all + step - 1) / step;
    for (int32_t i = 0; i < chunks; i++) {
        const int32_t first = (layer->backwards ? chunks - 1 - i : i) * step, left = s.all - first;
        const int32_t whole = left >= step ? layer->groups_at_once : left / s.pixels;
        const int32_t groups = whole + (left < step && whole * s.pixels < left);
        run_groups(&s, output + first * s.output_bytes, first, groups, layer->whole_pixels ? whole : 0);
    }
}

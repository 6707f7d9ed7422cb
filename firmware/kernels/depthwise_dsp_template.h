/* Body of depthwise_<KERNEL>x<KERNEL>_s<STRIDE>_dsp.c, which define KERNEL, STRIDE and FUNCTION.
 *
 * A row of the tile is read by words of four codes x0 .. x3, which UXTB16 widens to (x0, x2) and (x1, x3). So the taps t and
 * t + 2 of a kernel row meet in one SMLAD; where the two codes lie in neighbouring words, PKHBT joins them in swapped order and
 * SMLADX multiplies crosswise.
 */
#include "depthwise_dsp.h"
#include "requantize.h"

#define INLINE static inline __attribute__((always_inline))
/* Inner loops get a function, and so the registers, of their own. */
#define NEVER_INLINE __attribute__((noinline))
#define UNROLL _Pragma("GCC unroll 16")

enum {
    PLANES = 4,
    BLOCK = 4, /* outputs of one row that are computed together */
    WEIGHT_WORDS = KERNEL / 4 * 2 + (KERNEL % 4 < 2 ? KERNEL % 4 : 2), /* of a kernel row */
    CODE_WORDS = ((BLOCK - 1) * STRIDE + KERNEL + 3) / 4,
    SHARED_ROWS = KERNEL > STRIDE ? KERNEL - STRIDE : 0 /* of consecutive strips */
};

typedef struct {
    uint32_t words[KERNEL * WEIGHT_WORDS];
} plane_weights;

/* Codes of a tile row, widened: even = (x0, x2), (x4, x6), ... ; odd = (x1, x3), (x5, x7), ... */
typedef struct {
    uint32_t even[CODE_WORDS];
    uint32_t odd[CODE_WORDS];
} widened;

/* Weights of a kernel row as half-words: taps (0, 2), (1, 3), (4, 6), (5, 7), ... without what lies beyond the kernel. */
static void widen_weights(const int8_t *weight, plane_weights *to)
{
    uint32_t *word = to->words;
    for (int ky = 0; ky < KERNEL; ky++, weight += KERNEL)
        for (int tap = 0; tap < KERNEL; tap++)
            if (tap % 4 < 2)
                *word++ = dsp_pkhbt((uint32_t)(int32_t)weight[tap], tap + 2 < KERNEL ? (uint32_t)(int32_t)weight[tap + 2] : 0u);
}

/* acc + taps `tap` and, where the kernel has it, `tap` + 2 of a row, for the output whose window starts at code `start`. */
INLINE int32_t add_taps(const widened *codes, int start, int tap, uint32_t weight, int32_t acc)
{
    const int place = start + tap;
    const uint32_t *lanes = place % 2 ? codes->odd : codes->even;
    const int word = place / 4;
    if (tap + 2 < KERNEL)
        return place % 4 < 2 ? dsp_smlad(lanes[word], weight, acc)
                             : dsp_smladx(dsp_halves(lanes[word + 1], lanes[word]), weight, acc);
    return place % 4 < 2 ? dsp_smlabb(lanes[word], weight, acc) : dsp_smlatb(lanes[word], weight, acc);
}

/* acc[i] += kernel row * codes, for `count` outputs. */
INLINE void add_row(const uint8_t *row, const uint32_t *weights, int count, int32_t *acc)
{
    widened codes;
    const int words = ((count - 1) * STRIDE + KERNEL + 3) / 4;
    UNROLL for (int i = 0; i < words; i++) {
        const uint32_t four = dsp_load(row + 4 * i);
        codes.even[i] = dsp_uxtb16(four);
        codes.odd[i] = dsp_uxtb16_ror8(four);
    }
    int word = 0;
    UNROLL for (int tap = 0; tap < KERNEL; tap++) {
        if (tap % 4 >= 2)
            continue;
        const uint32_t weight = weights[word++];
        UNROLL for (int i = 0; i < count; i++)
            acc[i] = add_taps(&codes, i * STRIDE, tap, weight, acc[i]);
    }
}

/* What the outputs of a channel have in common. Local copies: stores of codes could change any other memory, as far as the
 * compiler knows. */
typedef struct {
    const uint32_t *weights;
    int32_t tile_width;
    int32_t bias, multiplier, shift, zero_point;
    int32_t channels; /* distance of neighbouring outputs */
} channel_facts;

/* `count` neighbouring outputs of a channel, of which `stored` are stored. */
INLINE void output_block(const uint8_t *window, channel_facts facts, int count, int32_t stored, uint8_t *output)
{
    int32_t acc[BLOCK];
    UNROLL for (int i = 0; i < count; i++)
        acc[i] = facts.bias;
    UNROLL for (int ky = 0; ky < KERNEL; ky++)
        add_row(window + ky * facts.tile_width, facts.weights + ky * WEIGHT_WORDS, count, acc);
    UNROLL for (int i = 0; i < count; i++)
        acc[i] = qmcu_requantize_unclamped(acc[i], facts.multiplier, facts.shift, facts.zero_point);
    UNROLL for (int i = 0; i < count; i++) {
        if (i < stored)
            output[i * facts.channels] = (uint8_t)dsp_usat8(acc[i]);
    }
}

/* One row of outputs of a channel. */
NEVER_INLINE static void output_row(const channel_facts *channel, const uint8_t *row, int32_t left, uint8_t *output)
{
    const channel_facts facts = *channel;
    for (; left >= BLOCK; left -= BLOCK) {
        output_block(row, facts, BLOCK, BLOCK, output);
        row += BLOCK * STRIDE;
        output += BLOCK * facts.channels;
    }
    if (left > 2)
        output_block(row, facts, BLOCK, left, output);
    else if (left > 0)
        output_block(row, facts, 2, left, output);
}

/* Copies `count` pixels of four channels into four planes. */
NEVER_INLINE static void spread_words(const uint8_t *from, int32_t channels, int32_t count, uint8_t *plane0, int32_t plane_bytes)
{
    uint8_t *plane1 = plane0 + plane_bytes, *plane2 = plane1 + plane_bytes, *plane3 = plane2 + plane_bytes;
    for (; count > 0; count--) {
        const uint32_t four = dsp_load(from);
        from += channels;
        *plane0++ = (uint8_t)four;
        *plane1++ = (uint8_t)(four >> 8);
        *plane2++ = (uint8_t)(four >> 16);
        *plane3++ = (uint8_t)(four >> 24);
    }
}

/* Copies `count` pixels of up to four channels at any address into planes. */
NEVER_INLINE static void spread_bytes(const uint8_t *from, int32_t channels, int32_t count, uint8_t *plane0, int32_t plane_bytes,
                               int32_t planes)
{
    for (int32_t plane = 0; plane < planes; plane++)
        for (int32_t x = 0; x < count; x++)
            plane0[plane * plane_bytes + x] = from[x * channels + plane];
}

/* Copies `rows` rows of the map from row `y` on into the planes, from their row `tile_row` on; rows outside of the map
 * become padding. */
static void fill_rows(const qmcu_depthwise_dsp_params *layer, const uint8_t *input, int32_t planes, int32_t plane_bytes,
                      int32_t y, int32_t tile_row, int32_t rows, uint8_t *tile)
{
    for (int32_t i = 0; i < rows; i++, y++) {
        uint8_t *to = tile + (tile_row + i) * layer->tile_width + layer->pad_left;
        const uint8_t *from = input + y * layer->input_width * layer->channels;
        if (y < 0 || y >= layer->input_height) {
            for (int32_t plane = 0; plane < planes; plane++)
                __builtin_memset(to + plane * plane_bytes, layer->input_zero_point, (size_t)layer->input_width);
        } else if (layer->channels % 4 == 0) {
            spread_words(from, layer->channels, layer->input_width, to, plane_bytes);
        } else {
            spread_bytes(from, layer->channels, layer->input_width, to, plane_bytes, planes);
        }
    }
}

/* Clamps `planes` channels of the output to low .. high. */
static void clamp_channels(const qmcu_depthwise_dsp_params *layer, int32_t planes, uint8_t *output)
{
    for (int32_t i = layer->output_height * layer->output_width; i > 0; i--, output += layer->channels)
        for (int32_t plane = 0; plane < planes; plane++)
            output[plane] = (uint8_t)qmcu_clamp(output[plane], layer->low, layer->high);
}

/* A group of up to four channels, the first of which is `channel`. */
static void output_channels(const qmcu_depthwise_dsp_params *layer, const uint8_t *input, int32_t channel, int32_t planes,
                            uint8_t *output, uint8_t *tile)
{
    const int32_t tile_rows = (layer->strip_rows - 1) * STRIDE + KERNEL;
    const int32_t plane_bytes = tile_rows * layer->tile_width;
    plane_weights weights[PLANES];
    for (int32_t plane = 0; plane < planes; plane++)
        widen_weights(layer->weight + (channel + plane) * KERNEL * KERNEL, &weights[plane]);
    int32_t kept = 0; /* rows at the top of the tile that the strip before has filled */
    for (int32_t y = 0; y < layer->output_height; y += layer->strip_rows) {
        const int32_t left = layer->output_height - y;
        const int32_t rows = left < layer->strip_rows ? left : layer->strip_rows;
        const int32_t needed = (rows - 1) * STRIDE + KERNEL;
        fill_rows(layer, input, planes, plane_bytes, y * STRIDE - layer->pad_top + kept, kept, needed - kept, tile);
        for (int32_t plane = 0; plane < planes; plane++) {
            uint8_t *top = tile + plane * plane_bytes;
            const channel_facts facts = {
                .weights = weights[plane].words,
                .tile_width = layer->tile_width,
                .bias = layer->bias[channel + plane],
                .multiplier = layer->multiplier[channel + plane],
                .shift = layer->shift,
                .zero_point = layer->zero_point,
                .channels = layer->channels,
            };
            for (int32_t row = 0; row < rows; row++)
                output_row(&facts, top + row * STRIDE * layer->tile_width, layer->output_width,
                           output + (y + row) * layer->output_width * layer->channels + plane);
            for (int32_t row = 0; row < SHARED_ROWS; row++) /* the rows differ: no overlap in one copy */
                __builtin_memcpy(top + row * layer->tile_width, top + (row + rows * STRIDE) * layer->tile_width,
                                 (size_t)layer->tile_width);
        }
        kept = SHARED_ROWS;
    }
    if (layer->low > 0 || layer->high < 255)
        clamp_channels(layer, planes, output);
}

void FUNCTION(const qmcu_depthwise_dsp_params *layer, const uint8_t *input, uint8_t *output, uint8_t *tile)
{
    const int32_t tile_rows = (layer->strip_rows - 1) * STRIDE + KERNEL;
    /* Padding at the left and right of every row, which no filling of the tile overwrites. */
    __builtin_memset(tile, layer->input_zero_point, (size_t)(PLANES * tile_rows * layer->tile_width));
    for (int32_t channel = 0; channel < layer->channels; channel += PLANES) {
        const int32_t left = layer->channels - channel;
        output_channels(layer, input + channel, channel, left < PLANES ? left : PLANES, output + channel, tile);
    }
}

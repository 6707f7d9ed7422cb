/* Weights are widened on the fly: masking a word of unsigned codes gives two of them in half-words, as SMLAD takes them. Codes of
 * the map are widened once a pixel, in the order of the weights. With w = u - h, u unsigned and h half of their range:
 * sum(w * x) = sum(u * x) - h * sum(x). */
#include "dsp.h"
#include "packed.h"
#include "packed_conv2d.h"
#include "requantize.h"

typedef struct {
    uint32_t *fields; /* [pixel][words of a field] */
    int32_t *sums;    /* [pixel]: sum of the codes */
    uint8_t *codes;   /* [pixel][output channel] */
    int32_t field_words, weight_words;
} tile;

static int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

/* Codes of a pixel to half-words, in the order in which the weights of a word come out. Returns their sum. */
static int32_t widen(const uint8_t *codes, int32_t words, int32_t pairs, uint32_t *field)
{
    int32_t sum = 0;
    for (int32_t word = 0; word < words; word++, codes += 2 * pairs) {
        for (int32_t i = 0; i < pairs; i++) {
            *field++ = codes[i] | (uint32_t)codes[i + pairs] << 16;
            sum += codes[i] + codes[i + pairs];
        }
    }
    return sum;
}

/* Products of two channels with two pixels: acc = { c0 p0, c0 p1, c1 p0, c1 p1 }. */
DSP_INLINE void dot_products(const uint32_t *w0, const uint32_t *w1, const uint32_t *x0, const uint32_t *x1, int32_t words,
                             int32_t bits, int32_t *acc)
{
    const uint32_t mask = dsp_two((1u << bits) - 1u);
    int32_t a = 0, b = 0, c = 0, d = 0;
    for (; words > 0; words--) {
        const uint32_t u = *w0++, v = *w1++;
#pragma GCC unroll 8
        for (int32_t i = 0; i < 16 / bits; i++) {
            const uint32_t p = *x0++, q = *x1++, us = u >> (i * bits) & mask, vs = v >> (i * bits) & mask;
            a = dsp_smlad(us, p, a);
            b = dsp_smlad(us, q, b);
            c = dsp_smlad(vs, p, c);
            d = dsp_smlad(vs, q, d);
        }
    }
    acc[0] = a;
    acc[1] = b;
    acc[2] = c;
    acc[3] = d;
}

static void products_8(const uint32_t *w0, const uint32_t *w1, const uint32_t *x0, const uint32_t *x1, int32_t words,
                       int32_t *acc)
{
    dot_products(w0, w1, x0, x1, words, 8, acc);
}

static void products_4(const uint32_t *w0, const uint32_t *w1, const uint32_t *x0, const uint32_t *x1, int32_t words,
                       int32_t *acc)
{
    dot_products(w0, w1, x0, x1, words, 4, acc);
}

static void products_2(const uint32_t *w0, const uint32_t *w1, const uint32_t *x0, const uint32_t *x1, int32_t words,
                       int32_t *acc)
{
    dot_products(w0, w1, x0, x1, words, 2, acc);
}

/* Output channels o0 and o1 (which may be the same one) of `count` pixels. */
static void multiply_channels(const qmcu_packed_conv2d_params *layer, const tile *t, int32_t o0, int32_t o1, int32_t count)
{
    const uint32_t *weights = (const uint32_t *)(const void *)layer->weight;
    const int32_t half = 1 << (layer->weight_bits - 1), channels[2] = {o0, o1};
    for (int32_t pixel = 0; pixel < count; pixel += 2) {
        const int32_t pixels[2] = {pixel, smaller(pixel + 1, count - 1)};
        const uint32_t *x0 = t->fields + pixels[0] * t->field_words, *x1 = t->fields + pixels[1] * t->field_words;
        const uint32_t *w0 = weights + o0 * t->weight_words, *w1 = weights + o1 * t->weight_words;
        int32_t acc[4];
        if (layer->weight_bits == 4)
            products_4(w0, w1, x0, x1, t->weight_words, acc);
        else if (layer->weight_bits == 2)
            products_2(w0, w1, x0, x1, t->weight_words, acc);
        else
            products_8(w0, w1, x0, x1, t->weight_words, acc);
        for (int32_t i = 0; i < 4; i++) {
            const int32_t o = channels[i / 2], p = pixels[i % 2];
            t->codes[p * layer->output_channels + o] =
                qmcu_requantize(layer->bias[o] + acc[i] - half * t->sums[p], layer->multiplier[o], layer->shift,
                                layer->zero_point, layer->low, layer->high);
        }
    }
}

void qmcu_packed_conv2d_dsp(const qmcu_packed_conv2d_params *layer, const uint8_t *input, uint8_t *output, void *scratch)
{
    const int32_t length = layer->kernel_height * layer->kernel_width * layer->input_channels;
    const int32_t pairs = 16 / layer->weight_bits, words = (length + 2 * pairs - 1) / (2 * pairs);
    const int32_t pixels = layer->output_height * layer->output_width;
    const int32_t pixel_bytes = qmcu_packed_bytes(layer->output_channels, layer->output_bits);
    tile t = {.fields = scratch, .field_words = words * pairs, .weight_words = words};
    t.sums = (int32_t *)(t.fields + layer->tile_pixels * t.field_words);
    uint8_t *const staged = (uint8_t *)(t.sums + layer->tile_pixels);
    t.codes = staged + 2 * words * pairs;
    __builtin_memset(staged + length, 0, (size_t)(2 * words * pairs - length));
    for (int32_t first = 0; first < pixels; first += layer->tile_pixels) {
        const int32_t count = smaller(layer->tile_pixels, pixels - first);
        for (int32_t i = 0; i < count; i++) {
            const int32_t y = (first + i) / layer->output_width, x = (first + i) % layer->output_width;
            qmcu_packed_gather(layer, input, y, x, 0, staged);
            t.sums[i] = widen(staged, words, pairs, t.fields + i * t.field_words);
        }
        for (int32_t o = 0; o < layer->output_channels; o += 2)
            multiply_channels(layer, &t, o, smaller(o + 1, layer->output_channels - 1), count);
        for (int32_t i = 0; i < count; i++, output += pixel_bytes)
            qmcu_pack(t.codes + i * layer->output_channels, layer->output_channels, layer->output_bits, output);
    }
}

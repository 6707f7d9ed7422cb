/* Convolutions without groups whose weights have 4 or 2 bits, by packed multiplication: one SMLAL multiplies two weights with
 * two or three codes and adds all products to as many sums.
 *
 * With b bits of weights, n pixels in a word and fields of f = (32 - b) / n bits:
 *     word of weights  w + w' 2^(32 - b)                                two channels
 *     word of pixels   (x0 + x1 2^f + x2 2^2f) 2^b                      n pixels, one input
 *     sum of products  (sum w x0 + sum w x1 2^f + ...) 2^b              lower register: channel of w
 *                      + (sum w' x0 + sum w' x1 2^f + ...) 2^32         upper register: channel of w'
 * Every sum starts with -(sum of the negative w) times the largest code, so that no field ever becomes negative, and the
 * compiler proves from the weights that none passes 2^f. Where that fails the inputs are divided into parts, after each of
 * which the fields are added to 32-bit totals. Weights lie in -(2^(b - 1) - 1) .. 2^(b - 1) - 1.
 *
 * Tile: what one group of 2n pixels sees (im2col); for each input the word of the first n pixels and that of the others.
 * Inputs: [ky][kx][channel], the channels of a tap filled up to whole words of the map; these meet weights of 0.
 *
 * Weights: blocks of four channels 0 1 2 3, in the order 0 2 1 3, as word 0 holds channels 0 and 2. A block: for each part the
 * bytes of its inputs in the tile, four words of start values (lower and upper register for word 0, then for word 1), and for
 * each input words 0 and 1; then four biases, less the start values and shifted left as the requantization says; then four
 * multipliers. How the inputs are divided depends on the block.
 *
 * Dense weights: the same, but the two weights of a word take 2b bits (packed_outer_expand.c); a part has a multiple of
 * four inputs. Some blocks at a time are expanded in scratch memory, and used for the pixels of several groups. */
#ifndef QMCU_PACKED_OUTER_H
#define QMCU_PACKED_OUTER_H

#include <stdint.h>

typedef struct {
    const uint32_t *weights;
    int32_t input_height, input_width;
    int32_t output_height, output_width, output_channels;
    int32_t kernel_height, kernel_width;
    int32_t stride_y, stride_x;
    int32_t dilation_y, dilation_x;
    int32_t pad_top, pad_left;
    int32_t input_bytes;  /* of a pixel */
    int32_t padding;      /* a byte of codes of the input's zero point */
    int32_t output_bits;
    int32_t whole_pixels; /* 1: the block function stores pixels as the map has them; 0: as bytes of four channels a block, which
                             are clamped and packed then: for channels that are no multiple of four, and narrow activations */
    int32_t backwards;    /* from the last pixels to the first, so that a larger output may run in place */
    int32_t blocks;       /* of channels */
    int32_t block_words;  /* words of the weights of the largest block */
    int32_t weight_words; /* and of all of them, unless weights are dense */
    int32_t inputs;       /* in the tile; more than the map has meet weights of 0 */
    int32_t groups_at_once; /* of pixels, each with a tile of its own */
    int32_t blocks_at_once; /* of channels; all of them unless weights are dense */
    int32_t zero_point, low, high;
} qmcu_packed_outer_params;

/* What a block function has to do: all channels of one group of pixels. Generated ones know the fields by their place. */
typedef struct {
    const uint32_t *tile;
    const uint32_t *tile_end;
    const uint32_t *weights;
    const uint32_t *weights_end;
    uint8_t *output; /* codes of four channels a block, packed */
    int32_t pitch;   /* bytes from an output pixel to the next */
    int32_t zero_point;
} qmcu_packed_outer_job;

/* Packs `words` words of each of 2n pixels, at multiples of 4, into the tile; returns where the tile goes on. */
typedef uint32_t *(*qmcu_packed_outer_fill)(uint32_t *tile, const uint8_t *const *pixels, int32_t words);

#define QMCU_PACKED_OUTER_MAX_PIXELS 6

/* Writes the weights of a block of `inputs` inputs to `target`, where a block function reads them; returns their end there.
 * Moves `dense` to what follows them. */
typedef uint32_t *(*qmcu_packed_outer_expand)(uint32_t *target, const uint32_t **dense, int32_t inputs);

typedef struct {
    int32_t fields;
    int32_t stored_bits; /* of the codes that the block function stores */
    qmcu_packed_outer_fill fill;
    qmcu_packed_outer_expand expand; /* 0: weights are not dense */
    void (*block)(const qmcu_packed_outer_job *job);
} qmcu_packed_outer_scheme;

/* scratch: tiles; where weights are dense, expanded blocks; a pixel of padding, and where pixels are no whole words copies of
 * 2n of them, each of whole words; 2n pixels of output, as the block function stores them, unless `whole_pixels` for each group.
 * Output in place of the input: kernel 1x1, stride 1, no padding. */
void qmcu_packed_outer(const qmcu_packed_outer_params *layer, const uint8_t *input, uint8_t *output, void *scratch,
                       const qmcu_packed_outer_scheme *scheme);

uint32_t *qmcu_packed_outer_expand_w4(uint32_t *target, const uint32_t **dense, int32_t inputs);
uint32_t *qmcu_packed_outer_expand_w2(uint32_t *target, const uint32_t **dense, int32_t inputs);

/* x<bits of the map>_w<bits of the weights>_<n> */
uint32_t *qmcu_packed_outer_fill_x8_w2_2(uint32_t *tile, const uint8_t *const *pixels, int32_t words);
uint32_t *qmcu_packed_outer_fill_x8_w4_2(uint32_t *tile, const uint8_t *const *pixels, int32_t words);
uint32_t *qmcu_packed_outer_fill_x4_w2_2(uint32_t *tile, const uint8_t *const *pixels, int32_t words);
uint32_t *qmcu_packed_outer_fill_x4_w2_3(uint32_t *tile, const uint8_t *const *pixels, int32_t words);
uint32_t *qmcu_packed_outer_fill_x4_w4_2(uint32_t *tile, const uint8_t *const *pixels, int32_t words);
uint32_t *qmcu_packed_outer_fill_x2_w2_2(uint32_t *tile, const uint8_t *const *pixels, int32_t words);
uint32_t *qmcu_packed_outer_fill_x2_w2_3(uint32_t *tile, const uint8_t *const *pixels, int32_t words);
uint32_t *qmcu_packed_outer_fill_x2_w4_2(uint32_t *tile, const uint8_t *const *pixels, int32_t words);
uint32_t *qmcu_packed_outer_fill_x2_w4_3(uint32_t *tile, const uint8_t *const *pixels, int32_t words);

/* A block function in portable C, for generated kernels on other computers. */
void qmcu_packed_outer_portable(const qmcu_packed_outer_job *job, int32_t weight_bits, int32_t fields, int32_t stored_bits,
                                int32_t shift);

#endif

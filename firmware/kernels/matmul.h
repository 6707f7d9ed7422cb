/* Convolutions without groups, and dense layers, as products of a tile of widened pixels with the weights.
 *
 * A driver (matmul_drivers.c) widens codes to 16 bits, once each, into a tile in scratch memory. A block function then
 * computes output pixels from the tile: the one in matmul_dsp.c, or one generated for the shape and the core.
 *
 * Tile. A pixel's channels are padded to groups of four; a group is two words of two 16-bit lanes:
 *     plain scheme:           { x0, x2 }                                { x1, x3 }
 *     half-extension scheme:  { 255 - x1, 255 - x3 }                    { 256 (127 - x0) + x1, 256 (127 - x2) + x3 }
 * The receptive field of an output pixel is one run of words in each of `run_count` places (one for each kernel row, for
 * instance); runs of neighbouring pixels overlap.
 *
 * Weights. A stream of blocks of output channels. A block of m channels: m biases, then for each group of four inputs the
 * weights of each of the m channels, then m multipliers. Weights of one channel and group:
 *     plain scheme:           one word of int8 { w0, w1, w2, w3 }
 *     half-extension scheme:  one word of int16 { -(256 w1 + w0), -(256 w3 + w2) }
 *                             (the accumulator comes out 256 times too large: bias and multiplier are made for that)
 */
#ifndef QMCU_MATMUL_H
#define QMCU_MATMUL_H

#include <stdint.h>

#define QMCU_MATMUL_MAX_RUNS 64

typedef struct {
    const uint32_t *weights;
    int32_t input_height;
    int32_t input_width;
    int32_t input_channels;
    int32_t output_height;
    int32_t output_width;
    int32_t output_channels;
    int32_t kernel_height;
    int32_t kernel_width;
    int32_t stride_y;
    int32_t stride_x;
    int32_t dilation_y;
    int32_t dilation_x;
    int32_t pad_top;
    int32_t pad_left;
    int32_t input_zero_point;
    int32_t shift; /* requantization, see requantize.h */
    int32_t zero_point;
    int32_t low;
    int32_t high;
    int32_t tile_pixels; /* kernel 1x1: pixels in the tile */
    int32_t run_count;   /* kernel 1x1: parts in which the channels lie in the tile */
} qmcu_matmul_params;

/* What a block function has to do: `pixels` output pixels, all channels. */
struct qmcu_matmul_job {
    const uint32_t *const *runs; /* the first pixel's runs in the tile */
    int32_t run_count;
    int32_t run_words;   /* words of a run */
    int32_t pixel_words; /* words from a pixel's runs to the next pixel's */
    const uint32_t *weights;
    uint8_t *output;
    int32_t pixels;
    int32_t channels;
    int32_t shift, zero_point, low, high;
};
typedef struct qmcu_matmul_job qmcu_matmul_job;

typedef void (*qmcu_matmul_block)(const qmcu_matmul_job *job);

/* Widens `bytes` codes to 4 * ceil(bytes / 4) lanes. */
typedef void (*qmcu_matmul_widen)(uint32_t *tile, const uint8_t *codes, int32_t bytes);

void qmcu_matmul_widen_plain(uint32_t *tile, const uint8_t *codes, int32_t bytes);
void qmcu_matmul_widen_half(uint32_t *tile, const uint8_t *codes, int32_t bytes);

/* Kernel 1x1 without padding, any stride. Input and output may start at the same address when no output pixel lies
 * behind the input pixel that it is computed from. */
void qmcu_matmul_drive_pixels(const qmcu_matmul_params *layer, const uint8_t *input, uint8_t *output, void *scratch,
                              qmcu_matmul_widen widen, qmcu_matmul_block block);

/* Any kernel: the tile is a ring of widened input rows. */
void qmcu_matmul_drive_rows(const qmcu_matmul_params *layer, const uint8_t *input, uint8_t *output, void *scratch,
                            qmcu_matmul_widen widen, qmcu_matmul_block block);

/* The two drivers with a block function of DSP instructions for blocks of two channels, plain scheme. */
void qmcu_matmul_pixels_dsp(const qmcu_matmul_params *layer, const uint8_t *input, uint8_t *output, void *scratch);
void qmcu_matmul_rows_dsp(const qmcu_matmul_params *layer, const uint8_t *input, uint8_t *output, void *scratch);

#endif

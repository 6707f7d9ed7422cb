/* Convolutions without groups, and dense layers, as products of a tile of widened pixels with the weights.
 *
 * A driver (matmul_drivers.c) widens codes to 16 bits, once each, into a tile in scratch memory. A block function then
 * computes output pixels from the tile: the one in matmul_dsp.c, or one generated for the shape and the core.
 *
 * Tile. A pixel's channels are padded to groups of four; a group is two words of two 16-bit lanes:
 *     plain scheme:           { x0, x2 }                                { x1, x3 }
 *     half-extension scheme:  { 255 - x1, 255 - x3 }                    { 256 (127 - x0) + x1, 256 (127 - x2) + x3 }
 *     nibble scheme:          { x1, x3 }                                { 16 x0 - x1, 16 x2 - x3 }
 * The inputs of an output pixel, its receptive field, are a list of pieces of equal size in the tile. Pieces of neighbouring
 * pixels lie at a fixed distance and may overlap. The words of `interleave` pixels alternate (kernel 1x1 only).
 *
 * Few channels would leave most of a group empty. With `phases` the codes of a row lie in one sequence without gaps instead,
 * and as a run must start with a group there are several copies: in copy i the groups start where pixel i's run starts.
 *
 * Weights. A stream of blocks of output channels. A block of m channels: m biases, then for each group of four inputs the
 * weights of each of the m channels, then m multipliers. Weights of one channel and group:
 *     plain scheme:           one word of int8 { w0, w1, w2, w3 }
 *     wide scheme:            two words of int16 { w0, w2 } and { w1, w3 }, first those of all m channels for the first; the
 *                             tile is plain, and the left shift of the requantization is in the weights and the bias
 *     half-extension scheme:  one word of int16 { -(256 w1 + w0), -(256 w3 + w2) }; the sum comes out 256 times too large:
 *                             bias and multiplier are made for that, the left shift included
 *     restored scheme:        as the half-extension; of each sum its least possible value is taken away, so that it lies in
 *                             0 .. 2^32 - 1; divided by 256, it gets the least value back, which stands before the multipliers
 *     nibble scheme:          weights of 4 bits, one word for the groups of two channels: bytes n0 + 16 n1 and n2 + 16 n3 of
 *                             the even channel, in the places 0 and 2, and of the odd one, in 1 and 3; n = w + 8, or 0 in
 *                             places that no code is in. The sum comes out 16 times too large, and by 128 times the sum of
 *                             the codes too large: the same for all channels, so it is computed once for each pixel, its
 *                             correction
 * Where the number of channels is no multiple of m, the last block overlaps the one before it.
 */
#ifndef QMCU_MATMUL_H
#define QMCU_MATMUL_H

#include <stdint.h>

#define QMCU_MATMUL_MAX_PIECES 64

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
    int32_t shift; /* requantization, see requantize.h; 0 where the weights contain it */
    int32_t zero_point;
    int32_t low;
    int32_t high;
    int32_t tile_pixels;  /* kernel 1x1: pixels in the tile, a multiple of interleave */
    int32_t backwards;    /* kernel 1x1: from the last pixels to the first, so that a larger output may run in place */
    int32_t interleave;   /* 1, 3 or 4 */
    int32_t phases;       /* other kernels: copies of a row, or 0: see below */
    int32_t row_words;    /* words of a row, or of one of its copies */
    int32_t run_pieces;   /* pieces of a run of neighbouring inputs: of a pixel, a kernel row, or a tap when dilated */
    int32_t piece_groups; /* groups of four inputs in a piece */
    int32_t step;         /* bytes in the tile from a group of pixels, or a pixel, to the next */
    int32_t block_words;  /* words of the weights of a block of channels */
    int32_t tile_words;   /* nibble scheme: words of scratch memory before the corrections of a job's pixels, and the columns' */
} qmcu_matmul_params;

/* What a block function has to do. Generated ones know the first fields by their place. */
struct qmcu_matmul_job {
    const uint32_t **pieces; /* of the first pixel; a null pointer ends the list */
    const uint32_t *weights;
    const uint32_t *weights_end;
    uint8_t *output;
    int32_t groups; /* of pixels */
    int32_t pitch;  /* bytes from an output pixel to the next */
    int32_t step;   /* as in the parameters */
    int32_t zero_point;
    int32_t *corrections; /* of the pixels, nibble scheme */
    /* Known to generated block functions: */
    int32_t shift;
    int32_t piece_groups;
    int32_t interleave;
    /* For qmcu_matmul_split: */
    int32_t pixels;
    int32_t channels;
    int32_t block_words;
};
typedef struct qmcu_matmul_job qmcu_matmul_job;

typedef void (*qmcu_matmul_block)(const qmcu_matmul_job *job);

/* How codes are widened. */
typedef struct {
    /* `bytes` codes to 4 * ceil(bytes / 4) lanes */
    void (*run)(uint32_t *tile, const uint8_t *codes, int32_t bytes, int32_t interleave);
    /* `count` columns of `bytes` codes each, `bytes` at most 3; what else is in a group meets weights of 0 */
    void (*narrow)(uint32_t *tile, const uint8_t *codes, int32_t bytes, int32_t count);
    /* 3 or 4 pixels of `bytes` codes each, `step` bytes apart, interleaved; all addresses and sizes are multiples of 4 */
    void (*pixels)(uint32_t *tile, const uint8_t *codes, int32_t bytes, int32_t step, int32_t interleave);
    /* Corrections for `count` columns of `bytes` codes each, `step` bytes apart. NULL: the scheme needs none. */
    void (*correct)(int32_t *corrections, const uint8_t *codes, int32_t bytes, int32_t step, int32_t count);
} qmcu_matmul_widening;

extern const qmcu_matmul_widening qmcu_matmul_plain;
extern const qmcu_matmul_widening qmcu_matmul_half;
extern const qmcu_matmul_widening qmcu_matmul_nibble;

void qmcu_matmul_correct(int32_t *corrections, const uint8_t *codes, int32_t bytes, int32_t step, int32_t count);

/* Kernel 1x1 without padding, any stride. Input and output may start at the same address when no output pixel lies on
 * an input pixel that is read later. */
void qmcu_matmul_drive_pixels(const qmcu_matmul_params *layer, const uint8_t *input, uint8_t *output, void *scratch,
                              const qmcu_matmul_widening *widening, qmcu_matmul_block block);

/* Any kernel: the tile is a ring of widened input rows. */
void qmcu_matmul_drive_rows(const qmcu_matmul_params *layer, const uint8_t *input, uint8_t *output, void *scratch,
                            const qmcu_matmul_widening *widening, qmcu_matmul_block block);

/* Block functions for blocks of a fixed number of channels and pixels. */
typedef struct {
    int32_t channels;
    int32_t pixels;
    qmcu_matmul_block whole; /* for groups of `pixels` pixels */
    qmcu_matmul_block rest;  /* for one group of the pixels left over */
} qmcu_matmul_blocks;

/* Divides a job of any number of pixels and channels among them. */
void qmcu_matmul_split(const qmcu_matmul_job *job, const qmcu_matmul_blocks *blocks);

/* Block functions in portable C, for generated kernels on other computers. pixel_words: in the tile, from the first pixel to
 * each. */
void qmcu_matmul_portable_half(const qmcu_matmul_job *job, int32_t channels, int32_t pixels,
                               const int32_t *pixel_words);
void qmcu_matmul_portable_restored(const qmcu_matmul_job *job, int32_t channels, int32_t pixels,
                                   const int32_t *pixel_words);
void qmcu_matmul_portable_plain(const qmcu_matmul_job *job, int32_t channels, int32_t pixels,
                                const int32_t *pixel_words);
void qmcu_matmul_portable_wide(const qmcu_matmul_job *job, int32_t channels, int32_t pixels,
                               const int32_t *pixel_words);
/* right_shift: of the sums before they are multiplied. */
void qmcu_matmul_portable_nibble(const qmcu_matmul_job *job, int32_t channels, int32_t pixels,
                                 const int32_t *pixel_words, int32_t right_shift);

/* The two drivers with a block function of DSP instructions for blocks of two channels, plain scheme. */
void qmcu_matmul_pixels_dsp(const qmcu_matmul_params *layer, const uint8_t *input, uint8_t *output, void *scratch);
void qmcu_matmul_rows_dsp(const qmcu_matmul_params *layer, const uint8_t *input, uint8_t *output, void *scratch);

#endif

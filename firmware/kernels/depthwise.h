/* Depthwise convolution with DSP instructions: one output channel for each input channel, no dilation. Maps are NHWC, of 8
 * bits, or packed (packed.h) where the channels are a multiple of four.
 *
 * Four channels at a time (one word of each pixel) are copied into a tile of four planes with the padding around them. A word
 * of a plane is one column of two rows: the code of the upper row in its low half, that of the lower row in its high half. The
 * tile holds a few of these row pairs. A step computes one or two rows of outputs; after all steps that the tile suffices
 * for, the pairs that the next ones share are moved to its front and further ones are copied in. Hence at stride 1 the
 * output may be the input.
 *
 * Functions that are generated for the kernel's size compute a row of blocks of outputs, channel after channel, from
 * streams of weight words: two weights as half-words, in the order of the generated products.
 */
#ifndef QMCU_DEPTHWISE_H
#define QMCU_DEPTHWISE_H

#include <stddef.h>
#include <stdint.h>

#define QMCU_DEPTHWISE_PLANES 4

typedef struct {
    int32_t input_height, input_width, channels;
    int32_t output_height, output_width;
    int32_t pad_top, pad_left;
    int32_t stride_x;
    int32_t rows, columns;  /* of a block of outputs */
    int32_t pairs;          /* row pairs that a step reads */
    int32_t pairs_per_step; /* row pairs from a step to the next */
    int32_t tile_columns;   /* words of a row pair */
    int32_t tile_pairs;     /* row pairs that a plane holds */
    int32_t input_bits, output_bits;
    int32_t words;          /* weight words of a channel, an even number */
    const int8_t *weight;      /* [channel][word][low half, high half], at an address that is a multiple of 4 */
    const int32_t *bias;       /* [channel], with the input's zero point folded in, shifted left by `shift` */
    const int32_t *multiplier; /* [channel] */
    int32_t input_zero_point;  /* what padding inserts */
    int32_t shift;             /* left shift of the weights, which replaces that of the sums */
    int32_t zero_point, low, high; /* requantize.h; sums that don't saturate */
} qmcu_depthwise_params;

/* Rows of the map that are copied into the tile in pairs; assembly reads it by the order of its fields. */
typedef struct {
    const uint8_t *pixel; /* of the first row, first of four channels, at a multiple of 4 codes */
    int32_t row_bytes, pixel_bytes;
    int32_t columns;
    uint32_t *tile;
    int32_t plane_bytes; /* of the tile, from a channel to the next */
    int32_t skip_bytes;  /* of the tile, from the end of a row pair to the next one */
    int32_t pairs;       /* at least 1; counts down */
} qmcu_depthwise_fill;

/* How four channels of the map get into the tile, by its bits. */
typedef struct {
    void (*pairs)(qmcu_depthwise_fill *fill);
    /* One row; the other one of the pair, whose code `padding` holds in both halves, is padding. */
    void (*half)(const qmcu_depthwise_fill *fill, uint32_t padding, int32_t upper_is_padding);
} qmcu_depthwise_input;

extern const qmcu_depthwise_input qmcu_depthwise_input_8;
extern const qmcu_depthwise_input qmcu_depthwise_input_4;
extern const qmcu_depthwise_input qmcu_depthwise_input_2;

/* Packs the codes of `pixels` pixels, four of each in a word; pixel_bytes: of the output. */
void qmcu_depthwise_pack_4(const uint32_t *codes, uint8_t *output, int32_t pixels, int32_t pixel_bytes);
void qmcu_depthwise_pack_2(const uint32_t *codes, uint8_t *output, int32_t pixels, int32_t pixel_bytes);

/* A few steps of up to four channels; generated assembly reads it by the order of its fields. */
typedef struct {
    const uint32_t *tile;    /* first row pair of the first channel */
    uint8_t *output;         /* first output of the first channel */
    const uint32_t *stream;  /* for each channel: bias, multiplier, weight words */
    int32_t channels;        /* 1 to 4 */
    int32_t steps;           /* each a row of blocks of outputs */
    int32_t plane_bytes;     /* of the tile, from a channel to the next */
    int32_t row_bytes;       /* of the output, from a row to the next */
    int32_t second_row;      /* bytes from the first row of a block to the second one */
    int32_t last_second_row; /* the same in the last step; 0 where the map ends with the first row */
    int32_t last;            /* bytes of the tile before the last block of a row */
    int32_t step_back;       /* bytes of the output that a last block which is not whole is moved back */
    int32_t zero_point;
} qmcu_depthwise_job;

/* The generated products of a block, for cores without DSP instructions: adds to the sums [rows][columns]. */
typedef struct {
    int32_t rows, columns, stride_x, words, pixel_bytes;
    int32_t highest_code;
    int32_t step_words; /* of the tile, from a step to the next */
    void (*sum)(const uint32_t *tile, const uint32_t *weights, int32_t *sum);
} qmcu_depthwise_block;

void qmcu_depthwise_run_blocks(const qmcu_depthwise_job *job, const qmcu_depthwise_block *block);

/* What is made for a layer's form. */
typedef struct {
    void (*run_blocks)(const qmcu_depthwise_job *job);
    const qmcu_depthwise_input *input;
    void (*pack)(const uint32_t *codes, uint8_t *output, int32_t pixels, int32_t pixel_bytes); /* NULL: output of 8 bits */
} qmcu_depthwise_functions;

/* Computes a layer. scratch: qmcu_depthwise_params.tile_pairs * tile_columns words of each of four planes, then the stream of
 * four channels: 4 * (2 + words) words; where the output is packed, a word for each pixel that the tile suffices for. */
void qmcu_depthwise_drive(const qmcu_depthwise_params *layer, const uint8_t *input, uint8_t *output, void *scratch,
                          const qmcu_depthwise_functions *functions);

#endif

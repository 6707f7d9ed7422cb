#include "depthwise.h"

#include "requantize.h"

/* Inner loops get a function, and so the registers, of their own. */
#define NEVER_INLINE __attribute__((noinline))
#define INLINE static inline __attribute__((always_inline))

typedef struct {
    const uint8_t *pixel;
    int32_t step; /* bytes to the next pixel; 0 repeats padding */
} pixel_row;

static int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

#if defined(__arm__) && defined(__ARM_FEATURE_DSP)

/* One column of two rows, of four channels, in words. GCC needs a third more cycles for the loop. */
#define COLUMN                                                                                                         \
    "ldr.w r8, [r0]\n"                                                                                                 \
    "ldr.w r9, [r0, r1]\n"                                                                                             \
    "add.w r0, r0, r2\n"                                                                                               \
    "uxtb16 r12, r8\n"                                                                                                 \
    "uxtb16 r8, r8, ror #8\n"                                                                                          \
    "uxtb16 lr, r9\n"                                                                                                  \
    "uxtb16 r9, r9, ror #8\n"                                                                                          \
    "pkhtb r11, lr, r12, asr #16\n"                                                                                    \
    "pkhbt r12, r12, lr, lsl #16\n"                                                                                    \
    "str.w r11, [r6], #4\n"                                                                                            \
    "str.w r12, [r4], #4\n"                                                                                            \
    "pkhbt r12, r8, r9, lsl #16\n"                                                                                     \
    "pkhtb r9, r9, r8, asr #16\n"                                                                                      \
    "str.w r12, [r5], #4\n"                                                                                            \
    "str.w r9, [r7], #4\n"

/* r0: pixel, r1: row_bytes, r2: pixel_bytes, r3: columns left, r4 to r7: planes, r10: job. */
__attribute__((naked)) static void fill_words(qmcu_depthwise_fill *job __attribute__((unused)))
{
    __asm volatile("push {r4-r11, lr}\n"
                   "mov.w r10, r0\n"
                   "ldr.w r0, [r10]\n"
                   "ldr.w r1, [r10, #4]\n"
                   "ldr.w r2, [r10, #8]\n"
                   "ldr.w r4, [r10, #16]\n"
                   "ldr.w r12, [r10, #20]\n"
                   "add.w r5, r4, r12\n"
                   "add.w r6, r5, r12\n"
                   "add.w r7, r6, r12\n"
                   "1: @ a row pair\n"
                   "ldr.w r3, [r10, #12]\n"
                   "subs.w r3, r3, #2\n"
                   "blt.n 3f\n"
                   ".balign 4\n"
                   "2: @ two columns\n" COLUMN COLUMN "subs.w r3, r3, #2\n"
                   "bge.w 2b\n"
                   "3:\n"
                   "adds.w r3, r3, #1\n"
                   "blt.w 4f\n" COLUMN "4:\n"
                   "ldr.w r12, [r10, #24]\n"
                   "ldr.w r3, [r10, #28]\n"
                   "add.w r0, r0, r1\n"
                   "add.w r4, r4, r12\n"
                   "add.w r5, r5, r12\n"
                   "add.w r6, r6, r12\n"
                   "add.w r7, r7, r12\n"
                   "subs.w r3, r3, #1\n"
                   "str.w r3, [r10, #28]\n"
                   "bne.w 1b\n"
                   "pop {r4-r11, pc}\n");
}

#else

static void fill_words(qmcu_depthwise_fill *job)
{
    const int32_t plane_words = job->plane_bytes / 4;
    uint32_t *to = job->tile;
    for (const uint8_t *pixel = job->pixel; job->pairs > 0; job->pairs--) {
        for (int32_t x = 0; x < job->columns; x++, to++, pixel += job->pixel_bytes) {
            const uint32_t a = dsp_load(pixel), b = dsp_load(pixel + job->row_bytes);
            to[0] = dsp_pkhbt(dsp_uxtb16(a), dsp_uxtb16(b));
            to[plane_words] = dsp_pkhbt(dsp_uxtb16_ror8(a), dsp_uxtb16_ror8(b));
            to[2 * plane_words] = dsp_pkhtb(dsp_uxtb16(b), dsp_uxtb16(a));
            to[3 * plane_words] = dsp_pkhtb(dsp_uxtb16_ror8(b), dsp_uxtb16_ror8(a));
        }
        pixel += job->row_bytes;
        to += job->skip_bytes / 4;
    }
}

#endif

/* The same of up to four channels at any address. */
NEVER_INLINE static void fill_bytes(pixel_row upper, pixel_row lower, int32_t count, uint32_t *to, int32_t plane_words,
                                    int32_t planes)
{
    for (int32_t plane = 0; plane < planes; plane++)
        for (int32_t x = 0; x < count; x++)
            to[plane * plane_words + x] = (uint32_t)upper.pixel[x * upper.step + plane]
                                          | (uint32_t)lower.pixel[x * lower.step + plane] << 16;
}

/* Copies one row of four channels in words; the other row of the pair is padding. */
INLINE void fill_half(const qmcu_depthwise_fill *fill, uint32_t padding, int upper_is_padding)
{
    uint32_t *plane0 = fill->tile, *plane1 = plane0 + fill->plane_bytes / 4, *plane2 = plane1 + fill->plane_bytes / 4;
    uint32_t *plane3 = plane2 + fill->plane_bytes / 4;
    const uint8_t *pixel = fill->pixel;
    for (int32_t count = fill->columns; count > 0; count--, pixel += fill->pixel_bytes) {
        const uint32_t four = dsp_load(pixel), even = dsp_uxtb16(four), odd = dsp_uxtb16_ror8(four);
        *plane0++ = upper_is_padding ? dsp_pkhbt(padding, even) : dsp_halves(even, padding);
        *plane1++ = upper_is_padding ? dsp_pkhbt(padding, odd) : dsp_halves(odd, padding);
        *plane2++ = upper_is_padding ? dsp_halves(padding, even) : dsp_pkhtb(padding, even);
        *plane3++ = upper_is_padding ? dsp_halves(padding, odd) : dsp_pkhtb(padding, odd);
    }
}

static void fill_half_words(const qmcu_depthwise_fill *fill, uint32_t padding, int32_t upper_is_padding)
{
    if (upper_is_padding)
        fill_half(fill, padding, 1);
    else
        fill_half(fill, padding, 0);
}

const qmcu_depthwise_input qmcu_depthwise_input_8 = {fill_words, fill_half_words};

static void fill_padding(int32_t count, uint32_t padding, uint32_t *plane0, int32_t plane_words)
{
    for (int32_t plane = 0; plane < QMCU_DEPTHWISE_PLANES; plane++)
        for (int32_t x = 0; x < count; x++)
            plane0[plane * plane_words + x] = padding;
}

/* Codes of a row, or NULL where the map has no such row. */
static const uint8_t *row_at(const qmcu_depthwise_params *layer, const uint8_t *input, int32_t y)
{
    const int32_t pixel_bytes = layer->channels * layer->input_bits / 8;
    return y < 0 || y >= layer->input_height ? NULL : input + y * layer->input_width * pixel_bytes;
}

static pixel_row or_padding(const uint8_t *row, int32_t step, const uint32_t *padding)
{
    return row == NULL ? (pixel_row){.pixel = (const uint8_t *)padding, .step = 0} : (pixel_row){row, step};
}

/* The pair of rows y and y + 1, one of which at least is padding, or whose channels don't come in words. */
static void fill_pair(const qmcu_depthwise_params *layer, const qmcu_depthwise_input *how, const uint8_t *input, int32_t y,
                      int32_t channels, qmcu_depthwise_fill *fill)
{
    const uint32_t zero_point = (uint32_t)layer->input_zero_point, padding = dsp_four(zero_point);
    const int32_t plane_words = fill->plane_bytes / 4;
    const uint8_t *const upper = row_at(layer, input, y), *const lower = row_at(layer, input, y + 1);
    if (upper == NULL && lower == NULL)
        fill_padding(layer->input_width, dsp_two(zero_point), fill->tile, plane_words);
    else if (layer->channels % 4 != 0)
        fill_bytes(or_padding(upper, layer->channels, &padding), or_padding(lower, layer->channels, &padding),
                   layer->input_width, fill->tile, plane_words, channels);
    else {
        fill->pixel = upper == NULL ? lower : upper;
        how->half(fill, dsp_two(zero_point), upper == NULL);
    }
}

/* Copies `count` row pairs from the map's row y on into the tile. */
static void fill_pairs(const qmcu_depthwise_params *layer, const qmcu_depthwise_input *how, const uint8_t *input,
                       int32_t y, int32_t count, int32_t channels, uint32_t *to)
{
    const int32_t pixel_bytes = layer->channels * layer->input_bits / 8;
    const int32_t row_bytes = layer->input_width * pixel_bytes;
    to += layer->pad_left;
    while (count > 0) {
        int32_t pairs = layer->channels % 4 == 0 && y >= 0 ? smaller((layer->input_height - y) >> 1, count) : 0;
        qmcu_depthwise_fill fill = {
            .pixel = input + (pairs > 0 ? y : 0) * row_bytes,
            .row_bytes = row_bytes,
            .pixel_bytes = pixel_bytes,
            .columns = layer->input_width,
            .tile = to,
            .plane_bytes = 4 * layer->tile_pairs * layer->tile_columns,
            .skip_bytes = 4 * (layer->tile_columns - layer->input_width),
            .pairs = pairs,
        };
        if (pairs > 0) { /* wholly inside the map */
            how->pairs(&fill);
        } else {
            pairs = 1;
            fill_pair(layer, how, input, y, channels, &fill);
        }
        count -= pairs;
        y += 2 * pairs;
        to += pairs * layer->tile_columns;
    }
}

/* Moves `count` row pairs from `first` on to the front of each plane. */
static void move_pairs(const qmcu_depthwise_params *layer, int32_t first, int32_t count, uint32_t *tile)
{
    const int32_t columns = layer->tile_columns;
    for (int32_t plane = 0; plane < QMCU_DEPTHWISE_PLANES; plane++, tile += layer->tile_pairs * columns)
        for (int32_t pair = 0; pair < count; pair++)
            __builtin_memcpy(tile + pair * columns, tile + (first + pair) * columns, (size_t)columns * 4);
}

/* Two weight words of { low, high, low, high }. */
INLINE void widen_weights(uint32_t four, int32_t shift, uint32_t *to)
{
    const uint32_t low = dsp_sxtb16(four), high = dsp_sxtb16_ror8(four);
    to[0] = dsp_pkhbt(low << shift, high << shift);
    to[1] = dsp_pkhbt(low >> 16 << shift, high >> 16 << shift);
}

/* Bias, multiplier and weight words of each channel. */
static void make_stream(const qmcu_depthwise_params *layer, int32_t channel, int32_t channels, uint32_t *stream)
{
    const int8_t *weight = layer->weight + channel * layer->words * 2;
    const int32_t words = layer->words, shift = layer->shift;
    for (int32_t i = channel; i < channel + channels; i++) {
        *stream++ = (uint32_t)layer->bias[i];
        *stream++ = (uint32_t)layer->multiplier[i];
        for (int32_t word = words; word > 0; word -= 2, weight += 4, stream += 2)
            widen_weights(dsp_load(weight), shift, stream);
    }
}

/* Clamps `planes` channels of the output to low .. high. */
static void clamp_channels(const qmcu_depthwise_params *layer, int32_t planes, uint8_t *output)
{
    for (int32_t i = layer->output_height * layer->output_width; i > 0; i--, output += layer->channels)
        for (int32_t plane = 0; plane < planes; plane++)
            output[plane] = (uint8_t)qmcu_clamp(output[plane], layer->low, layer->high);
}

/* Clamps the codes of `count` words. */
static void clamp_words(const qmcu_depthwise_params *layer, uint32_t *codes, int32_t count)
{
    const uint32_t low = dsp_four((uint32_t)layer->low), high = dsp_four((uint32_t)layer->high);
    for (; count > 0; count--, codes++)
        *codes = dsp_max_bytes(dsp_min_bytes(*codes, high), low);
}

/* Outputs of a few steps on their way to the packed map. */
static void pack_rows(const qmcu_depthwise_params *layer, const qmcu_depthwise_functions *functions, uint32_t *codes,
                      uint8_t *output, int32_t rows)
{
    const int32_t pixels = rows * layer->output_width;
    if (layer->low > 0 || layer->high < (1 << layer->output_bits) - 1)
        clamp_words(layer, codes, pixels);
    functions->pack(codes, output, pixels, layer->channels * layer->output_bits / 8);
}

/* A group of up to four channels; `input` and `output` point to the first one's first pixel. */
static void drive_group(const qmcu_depthwise_params *layer, const uint8_t *input, int32_t channel, int32_t channels,
                        uint8_t *output, uint32_t *tile, const qmcu_depthwise_functions *functions)
{
    uint32_t *const stream = tile + QMCU_DEPTHWISE_PLANES * layer->tile_pairs * layer->tile_columns;
    uint32_t *const outputs = stream + QMCU_DEPTHWISE_PLANES * (2 + layer->words); /* unless they go where they belong */
    const int32_t pixel_bytes = functions->pack == NULL ? layer->channels : QMCU_DEPTHWISE_PLANES;
    const int32_t row_bytes = layer->output_width * pixel_bytes;
    const int32_t whole = layer->output_width / layer->columns * layer->columns;
    const int32_t most_steps = (layer->tile_pairs - layer->pairs) / layer->pairs_per_step + 1;
    const int32_t shared = layer->pairs - layer->pairs_per_step; /* row pairs of neighbouring steps */
    qmcu_depthwise_job job = {
        .tile = tile,
        .output = functions->pack == NULL ? output : (uint8_t *)outputs,
        .stream = stream,
        .channels = channels,
        .plane_bytes = 4 * layer->tile_pairs * layer->tile_columns,
        .row_bytes = row_bytes,
        .second_row = row_bytes,
        .last_second_row = row_bytes,
        .last = 4 * (layer->output_width - layer->columns) * layer->stride_x,
        .step_back = (whole + layer->columns - layer->output_width) * pixel_bytes,
        .zero_point = layer->zero_point,
    };
    make_stream(layer, channel, channels, stream);
    int32_t kept = 0; /* row pairs at the front of the tile */
    int32_t next = -layer->pad_top; /* row of the map that is copied next */
    int32_t y = 0; /* row of outputs that is computed next */
    int32_t left = (layer->output_height + layer->rows - 1) / layer->rows;
    while (left > 0) {
        job.steps = smaller(left, most_steps);
        left -= job.steps;
        if (left == 0 && layer->output_height % layer->rows != 0)
            job.last_second_row = 0;
        const int32_t used = job.steps * layer->pairs_per_step; /* that no later step reads */
        const int32_t filled = used + shared - kept;
        fill_pairs(layer, functions->input, input, next, filled, channels, tile + kept * layer->tile_columns);
        next += 2 * filled;
        functions->run_blocks(&job);
        if (left > 0)
            move_pairs(layer, used, shared, tile);
        kept = shared;
        const int32_t rows = smaller(job.steps * layer->rows, layer->output_height - y);
        if (functions->pack == NULL)
            job.output += rows * row_bytes;
        else
            pack_rows(layer, functions, outputs,
                      output + y * layer->output_width * layer->channels * layer->output_bits / 8, rows);
        y += rows;
    }
    if (functions->pack == NULL && (layer->low > 0 || layer->high < 255))
        clamp_channels(layer, channels, output);
}

void qmcu_depthwise_drive(const qmcu_depthwise_params *layer, const uint8_t *input, uint8_t *output, void *scratch,
                          const qmcu_depthwise_functions *functions)
{
    uint32_t *tile = scratch;
    /* The padding at the left and right of every row, which no filling of the tile overwrites. */
    for (int32_t i = 0; i < QMCU_DEPTHWISE_PLANES * layer->tile_pairs * layer->tile_columns; i++)
        tile[i] = dsp_two((uint32_t)layer->input_zero_point);
    for (int32_t channel = 0; channel < layer->channels; channel += QMCU_DEPTHWISE_PLANES) {
        const int32_t channels = smaller(layer->channels - channel, QMCU_DEPTHWISE_PLANES);
        drive_group(layer, input + channel * layer->input_bits / 8, channel, channels,
                    output + channel * layer->output_bits / 8, tile, functions);
    }
}

/* One block in portable C. */
static void run_block(const qmcu_depthwise_job *job, const qmcu_depthwise_block *block, const uint32_t *tile,
                      const uint32_t *stream, int32_t second_row, uint8_t *output)
{
    int32_t sum[4];
    for (int32_t i = 0; i < 4; i++)
        sum[i] = (int32_t)stream[0];
    block->sum(tile, stream + 2, sum);
    for (int32_t row = block->rows - 1; row >= 0; row--) /* the second row first: it may be at the first one's place */
        for (int32_t column = 0; column < block->columns; column++)
            output[row * second_row + column * block->pixel_bytes] = (uint8_t)qmcu_clamp(
                dsp_smmlar(sum[row * block->columns + column], (int32_t)stream[1], job->zero_point), 0,
                block->highest_code);
}

/* One step of one channel. */
static void run_step(const qmcu_depthwise_job *job, const qmcu_depthwise_block *block, const uint32_t *tile,
                     const uint32_t *stream, int32_t second_row, uint8_t *output)
{
    const int32_t step = block->columns * block->stride_x, last = job->last / 4;
    int32_t start = 0;
    for (; start <= last; start += step, output += block->columns * block->pixel_bytes)
        run_block(job, block, tile + start, stream, second_row, output);
    if (start != last + step)
        run_block(job, block, tile + last, stream, second_row, output - job->step_back);
}

void qmcu_depthwise_run_blocks(const qmcu_depthwise_job *job, const qmcu_depthwise_block *block)
{
    for (int32_t channel = 0; channel < job->channels; channel++) {
        const uint32_t *tile = job->tile + channel * (job->plane_bytes / 4);
        const uint32_t *stream = job->stream + channel * (2 + block->words);
        for (int32_t step = 0; step < job->steps; step++) {
            const int32_t second_row = step == job->steps - 1 ? job->last_second_row : job->second_row;
            run_step(job, block, tile + step * block->step_words, stream, second_row,
                     job->output + channel + step * block->rows * job->row_bytes);
        }
    }
}

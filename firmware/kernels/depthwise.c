#include "depthwise.h"

#include "requantize.h"

/* Inner loops get a function, and so the registers, of their own. */
#define NEVER_INLINE __attribute__((noinline))

typedef struct {
    const uint8_t *pixel;
    int32_t step; /* bytes to the next pixel; 0 repeats padding */
} pixel_row;

static int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

/* Copies `count` columns of two rows, of four channels in words, into four planes. */
NEVER_INLINE static void fill_words(pixel_row upper, pixel_row lower, int32_t count, uint32_t *to, int32_t plane_words)
{
    uint32_t *plane1 = to + plane_words, *plane2 = plane1 + plane_words, *plane3 = plane2 + plane_words;
    for (; count > 0; count--) {
        const uint32_t a = dsp_load(upper.pixel), b = dsp_load(lower.pixel);
        const uint32_t even_a = dsp_uxtb16(a), even_b = dsp_uxtb16(b);
        const uint32_t odd_a = dsp_uxtb16_ror8(a), odd_b = dsp_uxtb16_ror8(b);
        upper.pixel += upper.step;
        lower.pixel += lower.step;
        *to++ = dsp_pkhbt(even_a, even_b);
        *plane1++ = dsp_pkhbt(odd_a, odd_b);
        *plane2++ = dsp_pkhtb(even_b, even_a);
        *plane3++ = dsp_pkhtb(odd_b, odd_a);
    }
}

/* The same of up to four channels at any address. */
NEVER_INLINE static void fill_bytes(pixel_row upper, pixel_row lower, int32_t count, uint32_t *to, int32_t plane_words,
                                    int32_t planes)
{
    for (int32_t plane = 0; plane < planes; plane++)
        for (int32_t x = 0; x < count; x++)
            to[plane * plane_words + x] = (uint32_t)upper.pixel[x * upper.step + plane]
                                          | (uint32_t)lower.pixel[x * lower.step + plane] << 16;
}

/* A row of the map, or of padding where the map has no such row. */
static pixel_row row_at(const qmcu_depthwise_params *layer, const uint8_t *input, int32_t y, const uint32_t *padding)
{
    if (y < 0 || y >= layer->input_height)
        return (pixel_row){.pixel = (const uint8_t *)padding, .step = 0};
    return (pixel_row){.pixel = input + y * layer->input_width * layer->channels, .step = layer->channels};
}

static void fill_pair(const qmcu_depthwise_params *layer, const uint8_t *input, int32_t pair, int32_t planes, uint32_t *to)
{
    const uint32_t padding = dsp_four((uint32_t)layer->input_zero_point);
    const int32_t y = 2 * pair - layer->pad_top;
    const pixel_row upper = row_at(layer, input, y, &padding), lower = row_at(layer, input, y + 1, &padding);
    const int32_t plane_words = layer->tile_pairs * layer->tile_columns;
    if (layer->channels % 4 == 0)
        fill_words(upper, lower, layer->input_width, to + layer->pad_left, plane_words);
    else
        fill_bytes(upper, lower, layer->input_width, to + layer->pad_left, plane_words, planes);
}

/* Moves the row pairs from `first` on to the front of each plane. */
static void move_pairs(const qmcu_depthwise_params *layer, int32_t first, int32_t count, uint32_t *tile)
{
    for (int32_t plane = 0; plane < QMCU_DEPTHWISE_PLANES; plane++, tile += layer->tile_pairs * layer->tile_columns)
        for (int32_t i = 0; i < count * layer->tile_columns; i++)
            tile[i] = tile[first * layer->tile_columns + i];
}

/* Bias, multiplier and weight words of each channel. */
static void make_stream(const qmcu_depthwise_params *layer, int32_t channel, int32_t planes, uint32_t *stream)
{
    const int8_t *weight = layer->weight + channel * layer->words * 2;
    for (int32_t plane = 0; plane < planes; plane++) {
        *stream++ = (uint32_t)layer->bias[channel + plane];
        *stream++ = (uint32_t)layer->multiplier[channel + plane];
        for (int32_t i = 0; i < layer->words; i++, weight += 2)
            *stream++ = dsp_pkhbt((uint32_t)weight[0] << layer->shift, (uint32_t)weight[1] << layer->shift);
    }
}

/* Clamps `planes` channels of the output to low .. high. */
static void clamp_channels(const qmcu_depthwise_params *layer, int32_t planes, uint8_t *output)
{
    for (int32_t i = layer->output_height * layer->output_width; i > 0; i--, output += layer->channels)
        for (int32_t plane = 0; plane < planes; plane++)
            output[plane] = (uint8_t)qmcu_clamp(output[plane], layer->low, layer->high);
}

/* A group of up to four channels; `input` and `output` point to the first one's first pixel. */
static void drive_group(const qmcu_depthwise_params *layer, const uint8_t *input, int32_t channel, int32_t planes,
                        uint8_t *output, uint32_t *tile, void (*run_blocks)(const qmcu_depthwise_job *job))
{
    const int32_t row_bytes = layer->output_width * layer->channels;
    const int32_t whole = layer->output_width / layer->columns * layer->columns;
    uint32_t *stream = tile + QMCU_DEPTHWISE_PLANES * layer->tile_pairs * layer->tile_columns;
    qmcu_depthwise_job job = {
        .stream = stream,
        .planes = planes,
        .plane_bytes = 4 * layer->tile_pairs * layer->tile_columns,
        .last = 4 * (layer->output_width - layer->columns) * layer->stride_x,
        .step_back = (whole + layer->columns - layer->output_width) * layer->channels,
        .zero_point = layer->zero_point,
    };
    int32_t first = 0, kept = 0, filled = 0; /* pair of the step; pair at the front of the tile; pairs copied so far */
    make_stream(layer, channel, planes, stream);
    for (int32_t y = 0; y < layer->output_height; y += layer->rows, first += layer->pairs_per_step) {
        if (first + layer->pairs - kept > layer->tile_pairs) {
            move_pairs(layer, first - kept, filled > first ? filled - first : 0, tile);
            kept = first;
        }
        for (; filled < first + layer->pairs; filled++)
            fill_pair(layer, input, filled, planes, tile + (filled - kept) * layer->tile_columns);
        job.tile = tile + (first - kept) * layer->tile_columns;
        job.output = output + y * row_bytes;
        job.second_row = smaller(layer->output_height - y, layer->rows) == 2 ? row_bytes : 0;
        run_blocks(&job);
    }
    if (layer->low > 0 || layer->high < 255)
        clamp_channels(layer, planes, output);
}

void qmcu_depthwise_drive(const qmcu_depthwise_params *layer, const uint8_t *input, uint8_t *output, void *scratch,
                          void (*run_blocks)(const qmcu_depthwise_job *job))
{
    uint32_t *tile = scratch;
    /* The padding at the left and right of every row, which no filling of the tile overwrites. */
    for (int32_t i = 0; i < QMCU_DEPTHWISE_PLANES * layer->tile_pairs * layer->tile_columns; i++)
        tile[i] = dsp_two((uint32_t)layer->input_zero_point);
    for (int32_t channel = 0; channel < layer->channels; channel += QMCU_DEPTHWISE_PLANES) {
        const int32_t planes = smaller(layer->channels - channel, QMCU_DEPTHWISE_PLANES);
        drive_group(layer, input + channel, channel, planes, output + channel, tile, run_blocks);
    }
}

/* One block in portable C; `second_row` as in the job. */
static void run_block(const qmcu_depthwise_job *job, const qmcu_depthwise_block *block, const uint32_t *tile,
                      const uint32_t *stream, uint8_t *output)
{
    int32_t sum[4];
    for (int32_t i = 0; i < 4; i++)
        sum[i] = (int32_t)stream[0];
    block->sum(tile, stream + 2, sum);
    for (int32_t row = block->rows - 1; row >= 0; row--)
        for (int32_t column = 0; column < block->columns; column++)
            output[row * job->second_row + column * block->pixel_bytes] = (uint8_t)dsp_usat8(
                dsp_smmlar(sum[row * block->columns + column], (int32_t)stream[1], job->zero_point));
}

void qmcu_depthwise_run_blocks(const qmcu_depthwise_job *job, const qmcu_depthwise_block *block)
{
    const int32_t step = block->columns * block->stride_x, last = job->last / 4;
    for (int32_t plane = 0; plane < job->planes; plane++) {
        const uint32_t *tile = job->tile + plane * (job->plane_bytes / 4);
        const uint32_t *stream = job->stream + plane * (2 + block->words);
        uint8_t *output = job->output + plane;
        int32_t start = 0;
        for (; start <= last; start += step, output += block->columns * block->pixel_bytes)
            run_block(job, block, tile + start, stream, output);
        if (start != last + step)
            run_block(job, block, tile + last, stream, output - job->step_back);
    }
}

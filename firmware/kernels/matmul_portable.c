/* The generated block functions in portable C, bit-exact. See matmul.h. */
#include "dsp.h"
#include "matmul.h"

/* The sum of one output: `sum` starts with the bias, wraps around on the way, and ends in range. */
typedef int32_t (*add_group)(int32_t sum, const uint32_t *first, int32_t interleave, const uint32_t *weights,
                             int32_t channels);

static int32_t add_half(int32_t sum, const uint32_t *x, int32_t interleave, const uint32_t *weights, int32_t channels)
{
    (void)channels;
    sum = dsp_smlad(weights[0], x[0], sum);
    return dsp_smlad(dsp_sxtb16(weights[0]), x[interleave], sum);
}

static int32_t add_wide(int32_t sum, const uint32_t *x, int32_t interleave, const uint32_t *weights, int32_t channels)
{
    sum = dsp_smlad(weights[0], x[0], sum);
    return dsp_smlad(weights[channels], x[interleave], sum);
}

static void block_portable(const qmcu_matmul_job *job, int32_t channels, int32_t pixels, int32_t weight_words,
                           add_group add)
{
    const int32_t group_words = 2 * job->interleave;
    for (int32_t group = 0; group < job->groups; group++) {
        uint8_t *output = job->output + group * pixels * job->pitch;
        for (const uint32_t *block = job->weights; block != job->weights_end; output += channels) {
            const uint32_t *weights = block + channels;
            int32_t groups = 0;
            for (const uint32_t **piece = job->pieces; *piece != 0; piece++) {
                groups += job->piece_groups;
            }
            const uint32_t *multipliers = weights + groups * channels * weight_words;
            for (int32_t i = 0; i < channels * pixels; i++) {
                const int32_t channel = i % channels, pixel = i / channels;
                const uint32_t *w = weights + channel;
                int32_t sum = (int32_t)block[channel];
                for (const uint32_t **piece = job->pieces; *piece != 0; piece++) {
                    const uint32_t *x = *piece + pixel * job->pixel_words;
                    for (int32_t k = 0; k < job->piece_groups; k++, x += group_words, w += channels * weight_words) {
                        sum = add(sum, x, job->interleave, w, channels);
                    }
                }
                const int32_t value = dsp_smmlar(sum, (int32_t)multipliers[channel], job->zero_point);
                output[pixel * job->pitch + channel] = (uint8_t)dsp_usat8(value);
            }
            block = multipliers + channels;
        }
        for (const uint32_t **piece = job->pieces; *piece != 0; piece++) {
            *piece += job->step / 4;
        }
    }
}

void qmcu_matmul_portable_half(const qmcu_matmul_job *job, int32_t channels, int32_t pixels)
{
    block_portable(job, channels, pixels, 1, add_half);
}

void qmcu_matmul_portable_wide(const qmcu_matmul_job *job, int32_t channels, int32_t pixels)
{
    block_portable(job, channels, pixels, 2, add_wide);
}

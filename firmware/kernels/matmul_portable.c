/* The generated block functions in portable C, bit-exact. See matmul.h. */
#include <stdbool.h>
#include <stddef.h>

#include "dsp.h"
#include "matmul.h"

/* Adds the products of one group of four inputs; `weights` are those of all channels of the block. The sum wraps around, and
 * ends in range. */
typedef int32_t (*add_group)(int32_t sum, uint32_t x0, uint32_t x1, const uint32_t *weights, int32_t channel,
                             int32_t channels);

static int32_t add_half(int32_t sum, uint32_t x0, uint32_t x1, const uint32_t *weights, int32_t channel,
                        int32_t channels)
{
    (void)channels;
    return dsp_smlad(dsp_sxtb16(weights[channel]), x1, dsp_smlad(weights[channel], x0, sum));
}

static int32_t add_plain(int32_t sum, uint32_t x0, uint32_t x1, const uint32_t *weights, int32_t channel,
                         int32_t channels)
{
    (void)channels;
    return dsp_smlad(dsp_sxtb16_ror8(weights[channel]), x1, dsp_smlad(dsp_sxtb16(weights[channel]), x0, sum));
}

static int32_t add_wide(int32_t sum, uint32_t x0, uint32_t x1, const uint32_t *weights, int32_t channel,
                        int32_t channels)
{
    return dsp_smlad(weights[channels + channel], x1, dsp_smlad(weights[channel], x0, sum));
}

static int32_t add_nibble(int32_t sum, uint32_t x0, uint32_t x1, const uint32_t *weights, int32_t channel,
                          int32_t channels)
{
    (void)channels;
    const uint32_t word = weights[channel / 2];
    const uint32_t pairs = channel % 2 == 0 ? dsp_uxtb16(word) : dsp_uxtb16_ror8(word);
    return dsp_smlad(pairs & 0x000f000fu, x1, dsp_smlad(pairs, x0, sum));
}

/* How a scheme stores weights, and what becomes of the sums. */
typedef struct {
    add_group add;
    int32_t group_words; /* of the weights of a group, all channels of a block */
    bool is_corrected;
    bool is_restored;
    int32_t right_shift;
} scheme;

/* The sum of one output; `words` from the pieces of the job to those of its pixel. */
static int32_t sum_of(const qmcu_matmul_job *job, int32_t words, int32_t sum, const uint32_t *weights, int32_t channel,
                      int32_t channels, const scheme *how)
{
    for (const uint32_t **piece = job->pieces; *piece != NULL; piece++) {
        const uint32_t *x = *piece + words;
        for (int32_t i = 0; i < job->piece_groups; i++, x += 2 * job->interleave, weights += how->group_words) {
            sum = how->add(sum, x[0], x[job->interleave], weights, channel, channels);
        }
    }
    return sum;
}

static void block_portable(const qmcu_matmul_job *job, int32_t channels, int32_t pixels, const int32_t *pixel_words,
                           const scheme *how)
{
    for (int32_t group = 0; group < job->groups; group++) {
        uint8_t *output = job->output + group * pixels * job->pitch;
        for (const uint32_t *block = job->weights; block != job->weights_end; block += job->block_words) {
            const uint32_t *multipliers = block + job->block_words - channels;
            for (int32_t i = 0; i < channels * pixels; i++) {
                const int32_t channel = i % channels, pixel = i / channels;
                const int32_t words = group * (job->step / 4) + pixel_words[pixel];
                const uint32_t correction = how->is_corrected ? (uint32_t)job->corrections[group * pixels + pixel] : 0;
                const int32_t start = (int32_t)(block[channel] + correction);
                int32_t sum = sum_of(job, words, start, block + channels, channel, channels, how) >> how->right_shift;
                if (how->is_restored) {
                    sum = (int32_t)((uint32_t)sum >> 8) + (int32_t)multipliers[channel - channels];
                }
                const int32_t value = dsp_smmlar(sum, (int32_t)multipliers[channel], job->zero_point);
                output[pixel * job->pitch + channel] = (uint8_t)dsp_usat8(value);
            }
            output += channels;
        }
    }
}

void qmcu_matmul_portable_half(const qmcu_matmul_job *job, int32_t channels, int32_t pixels, const int32_t *pixel_words)
{
    const scheme how = {.add = add_half, .group_words = channels};
    block_portable(job, channels, pixels, pixel_words, &how);
}

void qmcu_matmul_portable_restored(const qmcu_matmul_job *job, int32_t channels, int32_t pixels,
                                   const int32_t *pixel_words)
{
    const scheme how = {.add = add_half, .group_words = channels, .is_restored = true};
    block_portable(job, channels, pixels, pixel_words, &how);
}

void qmcu_matmul_portable_plain(const qmcu_matmul_job *job, int32_t channels, int32_t pixels, const int32_t *pixel_words)
{
    const scheme how = {.add = add_plain, .group_words = channels};
    block_portable(job, channels, pixels, pixel_words, &how);
}

void qmcu_matmul_portable_wide(const qmcu_matmul_job *job, int32_t channels, int32_t pixels, const int32_t *pixel_words)
{
    const scheme how = {.add = add_wide, .group_words = 2 * channels};
    block_portable(job, channels, pixels, pixel_words, &how);
}

void qmcu_matmul_portable_nibble(const qmcu_matmul_job *job, int32_t channels, int32_t pixels,
                                 const int32_t *pixel_words, int32_t right_shift)
{
    const scheme how = {
        .add = add_nibble, .group_words = (channels + 1) / 2, .is_corrected = true, .right_shift = right_shift};
    block_portable(job, channels, pixels, pixel_words, &how);
}

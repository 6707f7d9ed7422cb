/* The generated block functions in portable C, bit-exact. See matmul.h. */
#include <stdbool.h>
#include <stddef.h>

#include "dsp.h"
#include "matmul.h"

/* Adds the products of one group of four inputs. The sum starts with the bias, wraps around, and ends in range. */
typedef int32_t (*add_group)(int32_t sum, uint32_t x0, uint32_t x1, const uint32_t *weights, int32_t channels);

static int32_t add_half(int32_t sum, uint32_t x0, uint32_t x1, const uint32_t *weights, int32_t channels)
{
    (void)channels;
    return dsp_smlad(dsp_sxtb16(weights[0]), x1, dsp_smlad(weights[0], x0, sum));
}

static int32_t add_plain(int32_t sum, uint32_t x0, uint32_t x1, const uint32_t *weights, int32_t channels)
{
    (void)channels;
    return dsp_smlad(dsp_sxtb16_ror8(weights[0]), x1, dsp_smlad(dsp_sxtb16(weights[0]), x0, sum));
}

static int32_t add_wide(int32_t sum, uint32_t x0, uint32_t x1, const uint32_t *weights, int32_t channels)
{
    return dsp_smlad(weights[channels], x1, dsp_smlad(weights[0], x0, sum));
}

/* The sum of one output; `words` from the pieces of the job to those of its pixel. */
static int32_t sum_of(const qmcu_matmul_job *job, int32_t words, int32_t sum, const uint32_t *weights, int32_t channels,
                      int32_t weight_words, add_group add)
{
    for (const uint32_t **piece = job->pieces; *piece != NULL; piece++) {
        const uint32_t *x = *piece + words;
        for (int32_t i = 0; i < job->piece_groups; i++, x += 2 * job->interleave, weights += channels * weight_words) {
            sum = add(sum, x[0], x[job->interleave], weights, channels);
        }
    }
    return sum;
}

static void block_portable(const qmcu_matmul_job *job, int32_t channels, int32_t pixels, const int32_t *pixel_words,
                           int32_t weight_words, bool is_restored, add_group add)
{
    for (int32_t group = 0; group < job->groups; group++) {
        uint8_t *output = job->output + group * pixels * job->pitch;
        for (const uint32_t *block = job->weights; block != job->weights_end; block += job->block_words) {
            const uint32_t *multipliers = block + job->block_words - channels;
            for (int32_t i = 0; i < channels * pixels; i++) {
                const int32_t channel = i % channels, pixel = i / channels;
                const int32_t words = group * (job->step / 4) + pixel_words[pixel];
                int32_t sum = sum_of(job, words, (int32_t)block[channel], block + channels + channel, channels,
                                     weight_words, add);
                if (is_restored) {
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
    block_portable(job, channels, pixels, pixel_words, 1, false, add_half);
}

void qmcu_matmul_portable_restored(const qmcu_matmul_job *job, int32_t channels, int32_t pixels,
                                   const int32_t *pixel_words)
{
    block_portable(job, channels, pixels, pixel_words, 1, true, add_half);
}

void qmcu_matmul_portable_plain(const qmcu_matmul_job *job, int32_t channels, int32_t pixels, const int32_t *pixel_words)
{
    block_portable(job, channels, pixels, pixel_words, 1, false, add_plain);
}

void qmcu_matmul_portable_wide(const qmcu_matmul_job *job, int32_t channels, int32_t pixels, const int32_t *pixel_words)
{
    block_portable(job, channels, pixels, pixel_words, 2, false, add_wide);
}

/* Matrix product by DSP instructions: two channels x two pixels at a time, weights widened on the fly. See matmul.h. */
#include <stdbool.h>

#include "dsp.h"
#include "matmul.h"
#include "requantize.h"

typedef struct {
    int32_t a0, a1, b0, b1; /* pixel a and b, channel 0 and 1 */
} sums;

/* Adds the products of one run; returns the weights after it. */
DSP_INLINE const uint32_t *add_run_pair(sums *s, const uint32_t *a, const uint32_t *b, const uint32_t *w, int32_t words)
{
    int32_t a0 = s->a0, a1 = s->a1, b0 = s->b0, b1 = s->b1;
    for (int32_t i = words / 2; i > 0; i--, a += 2, b += 2, w += 2) {
        const uint32_t w0 = w[0], w1 = w[1];
        const uint32_t xa = a[0], xb = b[0], ya = a[1], yb = b[1];
        const uint32_t even0 = dsp_sxtb16(w0), even1 = dsp_sxtb16(w1);
        a0 = dsp_smlad(xa, even0, a0);
        a1 = dsp_smlad(xa, even1, a1);
        b0 = dsp_smlad(xb, even0, b0);
        b1 = dsp_smlad(xb, even1, b1);
        const uint32_t odd0 = dsp_sxtb16_ror8(w0), odd1 = dsp_sxtb16_ror8(w1);
        a0 = dsp_smlad(ya, odd0, a0);
        a1 = dsp_smlad(ya, odd1, a1);
        b0 = dsp_smlad(yb, odd0, b0);
        b1 = dsp_smlad(yb, odd1, b1);
    }
    *s = (sums){a0, a1, b0, b1};
    return w;
}

DSP_INLINE const uint32_t *add_run_single(sums *s, const uint32_t *a, const uint32_t *w, int32_t words)
{
    int32_t a0 = s->a0, a1 = s->a1;
    for (int32_t i = words / 2; i > 0; i--, a += 2, w += 2) {
        const uint32_t w0 = w[0], w1 = w[1], xa = a[0], ya = a[1];
        a0 = dsp_smlad(xa, dsp_sxtb16(w0), a0);
        a1 = dsp_smlad(xa, dsp_sxtb16(w1), a1);
        a0 = dsp_smlad(ya, dsp_sxtb16_ror8(w0), a0);
        a1 = dsp_smlad(ya, dsp_sxtb16_ror8(w1), a1);
    }
    s->a0 = a0;
    s->a1 = a1;
    return w;
}

DSP_INLINE uint8_t finish(const qmcu_matmul_job *job, int32_t sum, uint32_t multiplier)
{
    const int32_t value = qmcu_requantize_unclamped(sum, (int32_t)multiplier, job->shift, job->zero_point);
    const int32_t code = (int32_t)dsp_usat8(value);
    return (uint8_t)qmcu_clamp(code, job->low, job->high);
}

static void block_dsp(const qmcu_matmul_job *job)
{
    for (int32_t pixel = 0; pixel < job->pixels; pixel += 2) {
        const bool pair = pixel + 1 < job->pixels;
        const uint32_t *w = job->weights;
        uint8_t *out = job->output + pixel * job->channels;
        for (int32_t left = job->channels; left > 0; left -= 2, out += 2) {
            sums s = {(int32_t)w[0], (int32_t)w[1], (int32_t)w[0], (int32_t)w[1]};
            w += 2;
            for (int32_t run = 0; run < job->run_count; run++) {
                const uint32_t *a = job->runs[run] + pixel * job->pixel_words;
                w = pair ? add_run_pair(&s, a, a + job->pixel_words, w, job->run_words)
                         : add_run_single(&s, a, w, job->run_words);
            }
            out[0] = finish(job, s.a0, w[0]);
            if (left > 1) {
                out[1] = finish(job, s.a1, w[1]);
            }
            if (pair) {
                out[job->channels] = finish(job, s.b0, w[0]);
                if (left > 1) {
                    out[job->channels + 1] = finish(job, s.b1, w[1]);
                }
            }
            w += 2;
        }
    }
}

void qmcu_matmul_pixels_dsp(const qmcu_matmul_params *layer, const uint8_t *input, uint8_t *output, void *scratch)
{
    qmcu_matmul_drive_pixels(layer, input, output, scratch, qmcu_matmul_widen_plain, block_dsp);
}

void qmcu_matmul_rows_dsp(const qmcu_matmul_params *layer, const uint8_t *input, uint8_t *output, void *scratch)
{
    qmcu_matmul_drive_rows(layer, input, output, scratch, qmcu_matmul_widen_plain, block_dsp);
}

/* Matrix product by DSP instructions: two channels x two pixels at a time, weights widened on the fly. See matmul.h. */
#include <stddef.h>

#include "dsp.h"
#include "matmul.h"
#include "requantize.h"

typedef struct {
    int32_t a0, a1, b0, b1; /* pixel a and b, channel 0 and 1 */
} sums;

/* Adds the products of a run of a pair of pixels, `between` bytes apart; returns the weights after it. */
#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP && defined(__OPTIMIZE__)

/* Compilers keep too many addresses here and run out of registers; the order of the instructions lets Cortex-M4 load in
 * bursts and Cortex-M7 issue two at a time. */
DSP_INLINE const uint32_t *add_run_pair(sums *s, const uint32_t *pixels, int32_t between, const uint32_t *w,
                                        int32_t words)
{
    const uint32_t *const end = w + words;
    int32_t a0 = s->a0, a1 = s->a1, b0 = s->b0, b1 = s->b1;
    uint32_t w0, w1, xa, xb, t;
    __asm volatile(".balign 4\n"
                   "1:\n\t"
                   "ldr.w %[w1], [%[w], #4]\n\t"
                   "ldr.w %[w0], [%[w]], #8\n\t"
                   "ldr.w %[xb], [%[x], %[between]]\n\t"
                   "ldr.w %[xa], [%[x]], #4\n\t"
                   "sxtb16 %[t], %[w0]\n\t"
                   "smlad %[b0], %[xb], %[t], %[b0]\n\t"
                   "sxtb16 %[w0], %[w0], ror #8\n\t"
                   "smlad %[a0], %[xa], %[t], %[a0]\n\t"
                   "sxtb16 %[t], %[w1]\n\t"
                   "smlad %[b1], %[xb], %[t], %[b1]\n\t"
                   "smlad %[a1], %[xa], %[t], %[a1]\n\t"
                   "ldr.w %[xb], [%[x], %[between]]\n\t"
                   "ldr.w %[xa], [%[x]], #4\n\t"
                   "sxtb16 %[w1], %[w1], ror #8\n\t"
                   "cmp.w %[w], %[end]\n\t"
                   "smlad %[b0], %[xb], %[w0], %[b0]\n\t"
                   "smlad %[b1], %[xb], %[w1], %[b1]\n\t"
                   "smlad %[a0], %[xa], %[w0], %[a0]\n\t"
                   "smlad %[a1], %[xa], %[w1], %[a1]\n\t"
                   "bne.n 1b"
                   : [a0] "+r"(a0), [a1] "+r"(a1), [b0] "+r"(b0), [b1] "+r"(b1), [x] "+r"(pixels), [w] "+r"(w),
                     [w0] "=&r"(w0), [w1] "=&r"(w1), [xa] "=&r"(xa), [xb] "=&r"(xb), [t] "=&r"(t)
                   : [between] "r"(between), [end] "r"(end)
                   : "cc", "memory");
    *s = (sums){a0, a1, b0, b1};
    return w;
}

#else

DSP_INLINE const uint32_t *add_run_pair(sums *s, const uint32_t *pixels, int32_t between, const uint32_t *w,
                                        int32_t words)
{
    const uint32_t *a = pixels, *b = pixels + between / 4;
    for (int32_t i = 0; i < words; i += 2, w += 2) {
        s->a0 = dsp_smlad(a[i], dsp_sxtb16(w[0]), s->a0);
        s->a1 = dsp_smlad(a[i], dsp_sxtb16(w[1]), s->a1);
        s->b0 = dsp_smlad(b[i], dsp_sxtb16(w[0]), s->b0);
        s->b1 = dsp_smlad(b[i], dsp_sxtb16(w[1]), s->b1);
        s->a0 = dsp_smlad(a[i + 1], dsp_sxtb16_ror8(w[0]), s->a0);
        s->a1 = dsp_smlad(a[i + 1], dsp_sxtb16_ror8(w[1]), s->a1);
        s->b0 = dsp_smlad(b[i + 1], dsp_sxtb16_ror8(w[0]), s->b0);
        s->b1 = dsp_smlad(b[i + 1], dsp_sxtb16_ror8(w[1]), s->b1);
    }
    return w;
}

#endif

DSP_INLINE const uint32_t *add_run_single(sums *s, const uint32_t *x, const uint32_t *w, int32_t words)
{
    int32_t a0 = s->a0, a1 = s->a1;
    for (int32_t i = 0; i < words; i += 2, x += 2, w += 2) {
        const uint32_t w0 = w[0], w1 = w[1];
        a0 = dsp_smlad(x[0], dsp_sxtb16(w0), a0);
        a1 = dsp_smlad(x[0], dsp_sxtb16(w1), a1);
        a0 = dsp_smlad(x[1], dsp_sxtb16_ror8(w0), a0);
        a1 = dsp_smlad(x[1], dsp_sxtb16_ror8(w1), a1);
    }
    s->a0 = a0;
    s->a1 = a1;
    return w;
}

DSP_INLINE uint8_t finish(const qmcu_matmul_job *job, int32_t sum, uint32_t multiplier)
{
    const int32_t value = qmcu_requantize_unclamped(sum, (int32_t)multiplier, job->shift, job->zero_point);
    return (uint8_t)dsp_usat8(value);
}

/* The pair of pixels at `offset` words in the tile; all channels. */
static void pixel_pair(const qmcu_matmul_job *job, int32_t offset, uint8_t *out)
{
    const uint32_t *w = job->weights;
    const int32_t channels = job->channels;
    for (int32_t left = channels; left > 0; left -= 2, out += 2) {
        sums s = {(int32_t)w[0], (int32_t)w[1], (int32_t)w[0], (int32_t)w[1]};
        w += 2;
        for (const uint32_t **run = job->pieces; *run != NULL; run++) {
            w = add_run_pair(&s, *run + offset, job->step, w, 2 * job->piece_groups);
        }
        const uint8_t a0 = finish(job, s.a0, w[0]), a1 = finish(job, s.a1, w[1]);
        const uint8_t b0 = finish(job, s.b0, w[0]), b1 = finish(job, s.b1, w[1]);
        out[0] = a0;
        out[channels] = b0;
        if (left > 1) {
            out[1] = a1;
            out[channels + 1] = b1;
        }
        w += 2;
    }
}

static void single_pixel(const qmcu_matmul_job *job, int32_t offset, uint8_t *out)
{
    const uint32_t *w = job->weights;
    for (int32_t left = job->channels; left > 0; left -= 2, out += 2) {
        sums s = {.a0 = (int32_t)w[0], .a1 = (int32_t)w[1]};
        w += 2;
        for (const uint32_t **run = job->pieces; *run != NULL; run++) {
            w = add_run_single(&s, *run + offset, w, 2 * job->piece_groups);
        }
        const uint8_t a0 = finish(job, s.a0, w[0]), a1 = finish(job, s.a1, w[1]);
        out[0] = a0;
        if (left > 1) {
            out[1] = a1;
        }
        w += 2;
    }
}

static void block_dsp(const qmcu_matmul_job *job)
{
    int32_t pixel = 0;
    for (; pixel + 1 < job->pixels; pixel += 2) {
        pixel_pair(job, pixel * (job->step / 4), job->output + pixel * job->channels);
    }
    if (pixel < job->pixels) {
        single_pixel(job, pixel * (job->step / 4), job->output + pixel * job->channels);
    }
}

void qmcu_matmul_pixels_dsp(const qmcu_matmul_params *layer, const uint8_t *input, uint8_t *output, void *scratch)
{
    qmcu_matmul_drive_pixels(layer, input, output, scratch, &qmcu_matmul_plain, block_dsp);
}

void qmcu_matmul_rows_dsp(const qmcu_matmul_params *layer, const uint8_t *input, uint8_t *output, void *scratch)
{
    qmcu_matmul_drive_rows(layer, input, output, scratch, &qmcu_matmul_plain, block_dsp);
}

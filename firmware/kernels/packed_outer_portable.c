/* The generated block functions of packed multiplication in portable C, bit-exact. See packed_outer.h. */
#include "dsp.h"
#include "packed_outer.h"
#include "requantize.h"

#define CHANNELS 4
#define HEADER_WORDS 5

typedef struct {
    int32_t weight_bits, fields, stored_bits, shift;
} scheme;

/* Adds the sums of one word of weights with one word of pixels, over a part of the inputs, to the totals of two channels. */
static void add_part(const uint32_t *tile, const uint32_t *weights, int32_t word, int32_t half, const scheme *s,
                     int32_t totals[CHANNELS][QMCU_PACKED_OUTER_MAX_PIXELS])
{
    const int32_t distance = (32 - s->weight_bits) / s->fields;
    const uint32_t *start = weights + 1 + 2 * word;
    const int32_t words = (int32_t)weights[0] / 4;
    int64_t sum = (int64_t)((uint64_t)start[1] << 32 | start[0]);
    weights += HEADER_WORDS;
    for (int32_t i = 0; i < words; i += 2) {
        sum += (int64_t)(int32_t)weights[i + word] * (int32_t)tile[i + half];
    }
    for (int32_t i = 0; i < s->fields; i++) {
        const int32_t pixel = half * s->fields + i;
        const uint64_t fields = (uint64_t)sum >> (i * distance), mask = (1u << distance) - 1u;
        totals[word][pixel] += (int32_t)(fields >> s->weight_bits & mask);
        totals[word + 2][pixel] += (int32_t)(fields >> 32 & mask);
    }
}

/* Requantizes, packs and stores four channels of each pixel. */
static void store(const qmcu_packed_outer_job *job, uint8_t *output, const uint32_t *constants, const scheme *s,
                  int32_t totals[CHANNELS][QMCU_PACKED_OUTER_MAX_PIXELS])
{
    static const int32_t places[CHANNELS] = {0, 2, 1, 3}; /* of the constants, by channel */
    const int32_t highest = (1 << s->stored_bits) - 1;
    for (int32_t pixel = 0; pixel < 2 * s->fields; pixel++, output += job->pitch) {
        uint32_t codes = 0;
        for (int32_t c = 0; c < CHANNELS; c++) {
            const uint32_t sum = constants[places[c]] + ((uint32_t)totals[c][pixel] << s->shift);
            const int32_t multiplier = (int32_t)constants[CHANNELS + places[c]];
            const int32_t value = dsp_smmlar((int32_t)sum, multiplier, job->zero_point);
            codes |= (uint32_t)qmcu_clamp(value, 0, highest) << (c * s->stored_bits);
        }
        for (int32_t i = 0; i < CHANNELS * s->stored_bits / 8; i++) {
            output[i] = (uint8_t)(codes >> (8 * i));
        }
    }
}

void qmcu_packed_outer_portable(const qmcu_packed_outer_job *job, int32_t weight_bits, int32_t fields, int32_t stored_bits,
                                int32_t shift)
{
    const scheme s = {weight_bits, fields, stored_bits, shift};
    const uint32_t *weights = job->weights;
    for (uint8_t *output = job->output; weights != job->weights_end; output += CHANNELS * stored_bits / 8) {
        int32_t totals[CHANNELS][QMCU_PACKED_OUTER_MAX_PIXELS] = {{0}};
        for (const uint32_t *tile = job->tile; tile != job->tile_end;) {
            const int32_t words = (int32_t)weights[0] / 4; /* of the part */
            for (int32_t i = 0; i < 4; i++) {
                add_part(tile, weights, i / 2, i % 2, &s, totals);
            }
            tile += words;
            weights += HEADER_WORDS + words;
        }
        store(job, output, weights, &s, totals);
        weights += 2 * CHANNELS;
    }
}

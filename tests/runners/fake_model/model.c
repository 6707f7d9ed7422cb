/* A small network behind quantmcu.h, for tests of all that surrounds a network.
 *
 * Inputs: x, uint8 [1, H, 3, 5]; y, 4-bit codes [1, H, 3, 5] (3 bytes a pixel).
 * Steps:  sum:    s = (x + 3 * y) mod 256, over x (so the input is consumed, as in a real network)
 *         reduce: t = s / 64, 2-bit codes [1, H, 3, 5] (2 bytes a pixel), and the int32 sum of all s
 * Outputs: s is 8 bit [1, H, 3, 5]; t; total, int32 [1].
 * An x of 255 in the first element misbehaves as y's first code says (FAULT_*), to test what catches that.
 */
#include <string.h>

#include "quantmcu.h"

#define FAKE_HEIGHT 2

enum { PIXELS = 3 * FAKE_HEIGHT, CHANNELS = 5, Y_PIXEL_BYTES = 3, T_PIXEL_BYTES = 2 };
enum { FAULT_WRITE = 1, FAULT_OVERFLOW = 2, FAULT_ENDLESS = 3, FAULT_ARENA = 4, FAULT_SLOW = 5 };
enum { SLOW_LOOPS = 300000000 }; /* tenths of a second on a host */

static _Alignas(8) uint8_t arena[PIXELS * CHANNELS];
static uint8_t y[PIXELS * Y_PIXEL_BYTES];
static uint8_t t[PIXELS * T_PIXEL_BYTES];
static int32_t total;
static volatile int initialized;

static const quantmcu_tensor inputs[2] = {
    {.name = "x", .data = arena, .bytes = sizeof arena, .bits = 8, .rank = 4, .shape = {1, FAKE_HEIGHT, 3, 5}, .scale = 0.5f, .zero_point = 128},
    {.name = "y", .data = y, .bytes = sizeof y, .bits = 4, .rank = 4, .shape = {1, FAKE_HEIGHT, 3, 5}, .scale = 0.25f, .zero_point = 7},
};
static const quantmcu_tensor outputs[3] = {
    {.name = "sum", .data = arena, .bytes = sizeof arena, .bits = 8, .rank = 4, .shape = {1, FAKE_HEIGHT, 3, 5}, .scale = 1.0f, .zero_point = 0},
    {.name = "quarter", .data = t, .bytes = sizeof t, .bits = 2, .rank = 4, .shape = {1, FAKE_HEIGHT, 3, 5}, .scale = 64.0f, .zero_point = 0},
    {.name = "total", .data = &total, .bytes = sizeof total, .bits = 32, .rank = 1, .shape = {1}, .scale = 1.0f, .zero_point = 0},
};
static const char *const step_names[2] = {"sum", "reduce"};

const quantmcu_model quantmcu_model_info = {
    .name = "fake",
    .sha256 = "f00df00df00df00df00df00df00df00df00df00df00df00df00df00df00df00d",
    .input_count = 2,
    .output_count = 3,
    .step_count = 2,
    .step_names = step_names,
    .part_count = 2,
    .arena_bytes = sizeof arena,
};

static void misbehave(unsigned fault)
{
    static volatile int32_t largest = INT32_MAX;
    volatile size_t past_the_end = sizeof arena;
    if (fault == FAULT_WRITE) {
        volatile uint32_t *volatile nowhere = (volatile uint32_t *)0x60000000; /* on the boards and on a host */
        *nowhere = 1;
    } else if (fault == FAULT_OVERFLOW) {
        largest = largest + 1;
    } else if (fault == FAULT_ENDLESS) {
        for (;;) {
            initialized = 1;
        }
    } else if (fault == FAULT_SLOW) {
        for (volatile int loop = 0; loop < SLOW_LOOPS; loop++) {
        }
    } else if (fault == FAULT_ARENA) {
        uint8_t *volatile pointer = arena; /* so that only AddressSanitizer can see it */
        pointer[past_the_end] = 1;
    }
}

static void sum(void)
{
    if (arena[0] == 255) {
        misbehave(y[0] & 15u);
    }
    for (size_t pixel = 0; pixel < PIXELS; pixel++) {
        for (size_t channel = 0; channel < CHANNELS; channel++) {
            const uint8_t *row = &y[pixel * Y_PIXEL_BYTES];
            const unsigned code = (unsigned)(row[channel / 2] >> (channel % 2 * 4)) & 15u;
            uint8_t *x = &arena[pixel * CHANNELS + channel];
            *x = (uint8_t)(*x + 3 * code);
        }
    }
}

static void reduce(void)
{
    memset(t, 0, sizeof t);
    total = 0;
    for (size_t pixel = 0; pixel < PIXELS; pixel++) {
        for (size_t channel = 0; channel < CHANNELS; channel++) {
            const unsigned value = arena[pixel * CHANNELS + channel];
            t[pixel * T_PIXEL_BYTES + channel / 4] |= (uint8_t)((value / 64) << (channel % 4 * 2));
            total += (int32_t)value;
        }
    }
}

void quantmcu_init(void)
{
    initialized = 1;
}

void quantmcu_run_part(size_t part)
{
    if (!initialized) {
        return;
    }
    if (part == 0) {
        sum();
    } else {
        reduce();
    }
}

void quantmcu_run(void)
{
    quantmcu_run_part(0);
    quantmcu_run_part(1);
}

size_t quantmcu_part_step(size_t part)
{
    return part;
}

void quantmcu_set_reader(size_t index, quantmcu_reader reader, void *context)
{
    (void)index;
    (void)reader;
    (void)context;
}

const quantmcu_tensor *quantmcu_input(size_t index)
{
    return index < 2 ? &inputs[index] : NULL;
}

const quantmcu_tensor *quantmcu_output(size_t index)
{
    return index < 3 ? &outputs[index] : NULL;
}

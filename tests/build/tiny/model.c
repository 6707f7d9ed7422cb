/* A network of one step, output = 255 - input: stands for a generated one in tests of boards and builds. */
#include "quantmcu.h"
#include "tiny_config.h" /* TINY_REGION, TINY_ARENA_BYTES, TINY_STACK_BYTES: written by the test */

#define BYTES 16

static _Alignas(16) uint8_t arena[TINY_ARENA_BYTES] __attribute__((section(".arena." TINY_REGION)));

static const char *const step_names[] = {"invert"};
static const quantmcu_tensor input = {"x", arena, BYTES, 8, 2, {1, BYTES}, 1.0f, 0};
static const quantmcu_tensor output = {"y", arena + BYTES, BYTES, 8, 2, {1, BYTES}, 1.0f, 0};

const quantmcu_model quantmcu_model_info = {
    .name = "tiny",
    .sha256 = "0000000000000000000000000000000000000000000000000000000000000000",
    .input_count = 1,
    .output_count = 1,
    .step_count = 1,
    .step_names = step_names,
    .part_count = 1,
    .arena_bytes = sizeof arena,
};

__attribute__((section(".hot_text"), noinline)) static void invert(const uint8_t *in, uint8_t *out)
{
    for (int i = 0; i < BYTES; i++)
        out[i] = (uint8_t)~in[i];
}

/* Which of the troubles below quantmcu_init() runs into. Tests write another number into the built firmware. */
enum trouble { NONE = 1, STACK_OVERFLOW, FORBIDDEN_WRITE, MISSING_READ, MISSING_WRITE, MISSING_CODE, UNDEFINED };
extern volatile const uint32_t tiny_trouble;
volatile const uint32_t tiny_trouble = NONE;

__attribute__((noinline)) static void overflow_the_stack(void)
{
    uint8_t large[TINY_STACK_BYTES + 900];
    large[0] = 1;
    __asm__ volatile("" : : "r"(large) : "memory");
}

void quantmcu_init(void)
{
    /* extra */
    switch (tiny_trouble) {
    case STACK_OVERFLOW:
        overflow_the_stack();
        break;
    case FORBIDDEN_WRITE:
        *(volatile int *)0x60000000 = 1;
        break;
    case MISSING_READ:
        (void)*(volatile int *)0x10000000;
        break;
    case MISSING_WRITE:
        *(volatile int *)0xa0000000 = 1;
        break;
    case MISSING_CODE:
        ((void (*)(void))0xa0000001)();
        break;
    case UNDEFINED:
        __asm__ volatile("udf 0");
        break;
    }
}

void quantmcu_run(void)
{
    quantmcu_run_part(0);
}

void quantmcu_run_part(size_t part)
{
    if (part == 0)
        invert(arena, arena + BYTES);
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
    return index == 0 ? &input : 0;
}

const quantmcu_tensor *quantmcu_output(size_t index)
{
    return index == 0 ? &output : 0;
}

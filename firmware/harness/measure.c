#include "measure.h"

#include "port.h"
#include "quantmcu.h"

enum { OVERHEAD_TRIALS = 8, COUNTER_TRIAL_LOOPS = 1000 };

/* Through a volatile pointer, so that the network's steps and the empty one are called in the same way. */
typedef void (*step_function)(size_t step);

static void empty_step(size_t step)
{
    (void)step;
}

static uint32_t time_call(step_function function, size_t step)
{
    step_function volatile callee = function;
    const uint32_t start = port_cycles();
    callee(step);
    return port_cycles() - start;
}

uint32_t measure_step(size_t step)
{
    return time_call(quantmcu_run_step, step);
}

uint64_t measure_run(void)
{
    const uint32_t overhead = measure_overhead();
    uint64_t cycles = 0;
    for (size_t step = 0; step < quantmcu_model_info.step_count; step++) {
        const uint32_t step_cycles = measure_step(step);
        cycles += step_cycles > overhead ? step_cycles - overhead : 0;
    }
    return cycles;
}

uint32_t measure_overhead(void)
{
    /* The least of a few: the first calls fetch this code into the caches. */
    uint32_t least = UINT32_MAX;
    for (int trial = 0; trial < OVERHEAD_TRIALS; trial++) {
        const uint32_t cycles = time_call(empty_step, 0);
        least = cycles < least ? cycles : least;
    }
    return least;
}

int measure_has_counter(void)
{
    const uint32_t start = port_cycles();
    for (volatile int loop = 0; loop < COUNTER_TRIAL_LOOPS; loop++) {
    }
    return port_cycles() != start;
}

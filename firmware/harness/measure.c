#include "measure.h"

#include "port.h"
#include "quantmcu.h"

enum { OVERHEAD_TRIALS = 8, COUNTER_TRIAL_LOOPS = 1000 };

/* Through a volatile pointer, so that the network's parts and the empty one are called in the same way. */
typedef void (*part_function)(size_t part);

static void empty_part(size_t part)
{
    (void)part;
}

static uint32_t time_call(part_function function, size_t part)
{
    part_function volatile callee = function;
    const uint32_t start = port_cycles();
    callee(part);
    return port_cycles() - start;
}

uint32_t measure_part(size_t part)
{
    return time_call(quantmcu_run_part, part);
}

uint64_t measure_run(void)
{
    const uint32_t overhead = measure_overhead();
    uint64_t cycles = 0;
    for (size_t part = 0; part < quantmcu_model_info.part_count; part++) {
        const uint32_t part_cycles = measure_part(part);
        cycles += part_cycles > overhead ? part_cycles - overhead : 0;
    }
    return cycles;
}

uint32_t measure_overhead(void)
{
    /* The least of a few: the first calls fetch this code into the caches. */
    uint32_t least = UINT32_MAX;
    for (int trial = 0; trial < OVERHEAD_TRIALS; trial++) {
        const uint32_t cycles = time_call(empty_part, 0);
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

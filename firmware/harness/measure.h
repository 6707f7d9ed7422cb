/* Timed runs of the network. */
#ifndef QUANTMCU_MEASURE_H
#define QUANTMCU_MEASURE_H

#include <stddef.h>
#include <stdint.h>

/* Cycles of one step, as read; includes measure_overhead(). A step must take fewer than 2^32 cycles. */
uint32_t measure_step(size_t step);

/* Runs all steps. Returns their cycles with the overhead taken off. */
uint64_t measure_run(void);

/* Cycles that timing an empty step shows, which are no work of the network. */
uint32_t measure_overhead(void);

/* Whether the cycle counter of this machine counts at all. */
int measure_has_counter(void);

#endif

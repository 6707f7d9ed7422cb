/* Timed runs of the network. */
#ifndef QUANTMCU_MEASURE_H
#define QUANTMCU_MEASURE_H

#include <stddef.h>
#include <stdint.h>

/* Cycles of one part of a run, as read; includes measure_overhead(). A part must take fewer than 2^32 cycles. */
uint32_t measure_part(size_t part);

/* Runs all parts. Returns their cycles with the overhead taken off. */
uint64_t measure_run(void);

/* Cycles that timing an empty part shows, which are no work of the network. */
uint32_t measure_overhead(void);

/* Whether the cycle counter of this machine counts at all. */
int measure_has_counter(void);

#endif

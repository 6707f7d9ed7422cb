/* Time since reset. */
#ifndef EEMBC_STOPWATCH_H
#define EEMBC_STOPWATCH_H

#include <stdint.h>

/* To be called more often than the cycle counter wraps (2^32 cycles: 8 s at 480 MHz). */
void stopwatch_look(void);

uint64_t stopwatch_microseconds(void);

#endif

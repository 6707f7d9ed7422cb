#include "stopwatch.h"

#include "port.h"

enum { MICROSECONDS_PER_SECOND = 1000000 };

static uint64_t cycles;
static uint32_t last;

void stopwatch_look(void)
{
    const uint32_t now = port_cycles();
    cycles += now - last;
    last = now;
}

uint64_t stopwatch_microseconds(void)
{
    stopwatch_look();
    return cycles / (port_clock_hz / MICROSECONDS_PER_SECOND);
}

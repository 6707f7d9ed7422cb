/* Arm MPS2 boards as QEMU models them (mps2-an386, mps2-an500): fixed clock, no pins to set. */
#include "system.h"

void memory_clocks_enable(void)
{
    /* all RAM is on after reset */
}

void console_connect(void)
{
    /* the UART owns its pins */
}

void clock_init(void)
{
    /* the clock is fixed */
}

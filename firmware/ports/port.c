/* The part of port.h that is the same on every board. */
#include "port.h"

#include "board_config.h"
#include "cortex_m.h"
#include "system.h"

#include <string.h>

const char port_board_id[] = BOARD_ID;
const uint32_t port_clock_hz = BOARD_CLOCK_CORE_HZ;

#define CLOCK_WAIT_LOOPS 1000000u /* at least 10 ms on every board; the slowest source needs 2 ms */

void port_init(void)
{
    stack_guard_enable();
    caches_enable();
    console_connect();
    clock_init();
    console_init(BOARD_CONSOLE_CLOCK_HZ);
    cycle_counter_enable();
}

void clock_wait(volatile uint32_t *address, uint32_t mask, uint32_t value, const char *what)
{
    for (uint32_t i = 0; i < CLOCK_WAIT_LOOPS; i++)
        if ((*address & mask) == value)
            return;
    clock_failed(what);
}

_Noreturn void clock_failed(const char *what)
{
    console_init(BOARD_CLOCK_RESET_HZ);
    print_text("\r\nQUANTMCU CLOCK: ");
    print_text(what);
    print_text(" on " BOARD_ID "; halted\r\n");
    port_flush();
    for (;;)
        __asm__ volatile("wfi");
}

void print_text(const char *text)
{
    port_write((const uint8_t *)text, strlen(text));
}

void print_hex(uint32_t value)
{
    uint8_t text[10] = "0x";
    for (int i = 0; i < 8; i++)
        text[2 + i] = (uint8_t) "0123456789abcdef"[(value >> (28 - 4 * i)) & 15u];
    port_write(text, sizeof text);
}

/* Weak: a chip family in which this resets the core alone brings its own. */
__attribute__((weak, noreturn)) void port_reset(void)
{
    barrier();
    SCB_AIRCR = AIRCR_KEY | AIRCR_SYSRESETREQ;
    barrier();
    for (;;)
        ;
}

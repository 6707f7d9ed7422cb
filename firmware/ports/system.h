/* What the common start-up and the chip families' ports offer each other. Applications use port.h. */
#ifndef QUANTMCU_SYSTEM_H
#define QUANTMCU_SYSTEM_H

#include <stdint.h>

/* Chip family (stm32f7.c, ...). Clock and supply to the speed of board_config.h; does not return when that fails. */
void clock_init(void);

/* Chip family. Clocks of the RAM regions that have none after reset. Runs before memory is initialised:
 * no static variables. */
void memory_clocks_enable(void);

/* Chip family. Bus clocks and pins of the console UART; called while the chip runs on its reset clock. */
void console_connect(void);

/* Kind of UART (uart_*.c). Baud rate and enable, for the UART's present kernel clock; may be called again. */
void console_init(uint32_t kernel_hz);

/* Waits until the register's bits under `mask` equal `value`; when that takes too long, prints what did not
 * come about and halts: a chip that runs at another clock than promised would report wrong times. */
void clock_wait(volatile uint32_t *address, uint32_t mask, uint32_t value, const char *what);

/* Prints the reason on the console, at the reset clock, and halts. */
_Noreturn void clock_failed(const char *what);

/* Text on the console. */
void print_text(const char *text);
void print_hex(uint32_t value);

/* The bottom of the stack from here on faults on access. */
void stack_guard_enable(void);

/* Instruction and data cache on, where the core has them. */
void caches_enable(void);

/* Starts the cycle counter at zero. A chip family whose core has none (Armv6-M) brings this and port_cycles itself. */
void cycle_counter_enable(void);

#endif

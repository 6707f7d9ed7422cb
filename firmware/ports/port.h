/* What the harness needs from a board. One port per chip family implements it. */
#ifndef QUANTMCU_PORT_H
#define QUANTMCU_PORT_H

#include <stddef.h>
#include <stdint.h>

/* Board facts, from the manifest (boards/<id>.json) through the generated board_config.h. */
extern const char port_board_id[];

/* Core clock in hertz, as set up by port_init; all cycle figures are of this clock. */
extern const uint32_t port_clock_hz;

/* Clock tree to full speed, flash wait states, caches, FPU, console UART, cycle counter.
 * Called by the reset handler before main(). */
void port_init(void);

/* One received byte, or -1 when none has come yet. Never waits. */
int port_read_byte(void);

/* Sends the bytes, waiting for the transmitter. */
void port_write(const uint8_t *data, size_t length);

/* Waits until the last byte has left the transmitter. */
void port_flush(void);

/* Free-running cycle counter, wraps at 2^32. Reads 0 forever where the machine has none (QEMU). */
uint32_t port_cycles(void);

/* Resets the chip. Does not return. */
_Noreturn void port_reset(void);

/* Greatest stack use since reset, in bytes (the stack is painted at reset), and its size. */
size_t port_stack_used(void);
size_t port_stack_size(void);

/* The last fault, kept over a reset in memory that start-up does not clear. */
typedef struct {
    uint32_t magic;  /* PORT_FAULT_MAGIC when the record is valid */
    uint32_t cause;  /* exception number: 3 HardFault, 4 MemManage, 5 BusFault, 6 UsageFault */
    uint32_t pc; /* pc and lr are 0 where the stack had no room left to keep them */
    uint32_t lr;
    uint32_t sp;
    uint32_t cfsr;
    uint32_t hfsr;
    uint32_t address; /* BFAR or MMFAR where CFSR says that it is valid, else 0 */
} port_fault_record;

#define PORT_FAULT_MAGIC 0x46415551u

/* The record of the last fault, or a null pointer; clearing forgets it. */
const port_fault_record *port_last_fault(void);
void port_clear_fault(void);

#endif

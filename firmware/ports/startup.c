/* From reset to main(): vector table, memory, then port_init. */
#include "board_config.h"
#include "cortex_m.h"
#include "port.h"
#include "system.h"

#include <string.h>

/* Made by the linker script (templates/linker.ld.j2). */
extern uint32_t stack_bottom[], stack_top[];
typedef struct {
    uint32_t *from, *to;
    uint32_t bytes;
} copy_entry; /* initialised data and code that runs from RAM */
typedef struct {
    uint32_t *start;
    uint32_t bytes;
} zero_entry;
extern const copy_entry copy_table[], copy_table_end[];
extern const zero_entry zero_table[], zero_table_end[];

#define STACK_PAINT 0xA5A5A5A5u

int main(void);
void Reset_Handler(void);
void fault_entry(void);
_Noreturn void startup(void);

/* The stack pointer is set again because a boot loader may have left its own; the whole stack is painted before
 * its first use; the FPU comes on before a compiler may save its registers. Without the FPU: instructions of Armv6-M. */
__attribute__((naked, used)) void Reset_Handler(void)
{
    __asm__ volatile("cpsid i\n\t"
                     "ldr   r0, =stack_top\n\t"
                     "mov   sp, r0\n\t"
                     "ldr   r1, =stack_bottom\n\t"
                     "ldr   r2, =0xA5A5A5A5\n" /* STACK_PAINT */
                     "1:\n\t"
                     "str   r2, [r1]\n\t"
                     "adds  r1, r1, #4\n\t"
                     "cmp   r1, r0\n\t"
                     "blo   1b\n\t"
#if BOARD_HAS_FPU
                     "ldr   r0, =0xE000ED88\n\t" /* CPACR: full access to coprocessors 10 and 11 */
                     "ldr   r1, [r0]\n\t"
                     "orr   r1, r1, #0xF00000\n\t"
                     "str   r1, [r0]\n\t"
                     "dsb\n\t"
                     "isb\n\t"
#endif
                     "ldr   r0, =startup\n\t"
                     "bx    r0\n\t"
                     ".ltorg");
}

/* No interrupt is used; one that comes all the same is reported like a fault. */
__attribute__((section(".vectors"), used)) static const void *const vector_table[16 + BOARD_IRQ_COUNT] = {
    stack_top,
    (const void *)Reset_Handler,
    [2 ... 6] = (const void *)fault_entry, /* NMI, HardFault, MemManage, BusFault, UsageFault */
    [11 ... 12] = (const void *)fault_entry, /* SVCall, DebugMonitor */
    [14 ... 15 + BOARD_IRQ_COUNT] = (const void *)fault_entry, /* PendSV, SysTick, interrupts */
};

/* Leftovers of a boot loader: vectors, timer and interrupts. */
static void interrupts_reset(void)
{
    SCB_VTOR = (uint32_t)vector_table;
    SYST_CSR = 0;
    for (uint32_t bank = 0; bank < (BOARD_IRQ_COUNT + 31u) / 32u; bank++) {
        NVIC_ICER(bank) = ~0u;
        NVIC_ICPR(bank) = ~0u;
    }
#if CORE_HAS_FAULT_STATUS
    SCB_SHCSR |= SHCSR_MEMFAULTENA | SHCSR_BUSFAULTENA | SHCSR_USGFAULTENA;
#endif
    barrier();
    __asm__ volatile("cpsie i" ::: "memory");
}

static void memory_init(void)
{
    for (const copy_entry *entry = copy_table; entry < copy_table_end; entry++)
        memcpy(entry->to, entry->from, entry->bytes);
    for (const zero_entry *entry = zero_table; entry < zero_table_end; entry++)
        memset(entry->start, 0, entry->bytes);
    barrier(); /* the copied code may be executed from here on */
}

_Noreturn void startup(void)
{
    interrupts_reset();
    memory_clocks_enable();
    memory_init();
    port_init();
    main();
    port_reset();
}

size_t port_stack_size(void)
{
    return (size_t)((uintptr_t)stack_top - (uintptr_t)stack_bottom);
}

size_t port_stack_used(void)
{
    const volatile uint32_t *word = stack_bottom;
    while (word < stack_top && *word == STACK_PAINT)
        word++;
    return (size_t)((uintptr_t)stack_top - (uintptr_t)word);
}

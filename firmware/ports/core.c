/* Core features: memory protection, caches, cycle counter. */
#include "board_config.h"
#include "cortex_m.h"
#include "port.h"
#include "system.h"

#define GUARD_LOG2_BYTES 12u

extern uint32_t stack_bottom[];

/* The stack begins at the bottom of its RAM, so an overflow leaves the RAM; the guard makes that a precise fault also
 * where something is mapped below. */
#if CORE_HAS_STACK_LIMIT
void stack_guard_enable(void)
{
    __asm__ volatile("msr msplim, %0" : : "r"(stack_bottom));
}
#else
/* No-access region of 2^log2_bytes bytes; all other addresses keep the default memory map. */
static void forbid(uint32_t region, uint32_t address, uint32_t log2_bytes)
{
    MPU_RNR = region;
    MPU_RBAR = address;
    MPU_RASR = MPU_RASR_NO_ACCESS | MPU_RASR_XN | MPU_RASR_SIZE(log2_bytes) | MPU_RASR_ENABLE;
}

void stack_guard_enable(void)
{
    if (MPU_TYPE == 0)
        return; /* the MPU is optional in Cortex-M; the end of the RAM remains as the guard */
    MPU_CTRL = 0;
    for (uint32_t region = 0; region < MPU_TYPE_REGIONS(MPU_TYPE); region++) {
        MPU_RNR = region;
        MPU_RASR = 0; /* a boot loader's region may forbid what this program does */
    }
    forbid(0, (uint32_t)stack_bottom - (1u << GUARD_LOG2_BYTES), GUARD_LOG2_BYTES);
#if BOARD_CACHES_DCACHE_BYTES
    /* Cortex-M7 reads ahead in normal memory; the external memory controllers that own 0x60000000-0x9fffffff are
     * off and such a read can stall the bus (ST AN4861, section 4.2). */
    forbid(1, 0x60000000u, 29);
    forbid(2, 0x80000000u, 29);
#endif
    MPU_CTRL = MPU_CTRL_ENABLE | MPU_CTRL_PRIVDEFENA;
    barrier();
}
#endif

void caches_enable(void)
{
#if BOARD_CACHES_ICACHE_BYTES
    barrier();
    SCB_ICIALLU = 0;
    barrier();
    SCB_CCR |= CCR_ICACHE;
    barrier();
#endif
#if BOARD_CACHES_DCACHE_BYTES
    if (SCB_CCR & CCR_DCACHE)
        return; /* a boot loader has enabled it: what was written since must not be thrown away */
    /* After reset the tags are random: invalidate every set and way. Four ways (Cortex-M7 TRM, DDI 0489, 5.2);
     * the way stands in the topmost bits of the operand, the set from the line size's bit on. */
    enum { WAYS = 4, SETS = BOARD_CACHES_DCACHE_BYTES / (WAYS * BOARD_CACHES_LINE_BYTES) };
    SCB_CSSELR = 0;
    barrier();
    for (uint32_t set = 0; set < SETS; set++)
        for (uint32_t way = 0; way < WAYS; way++)
            SCB_DCISW = way << 30 | set * BOARD_CACHES_LINE_BYTES;
    barrier();
    SCB_CCR |= CCR_DCACHE;
    barrier();
#endif
}

__attribute__((weak)) void cycle_counter_enable(void)
{
    DEMCR |= DEMCR_TRCENA;
    DWT_LAR = DWT_LAR_UNLOCK; /* Cortex-M7 locks the unit; no effect elsewhere */
    DWT_CYCCNT = 0;
    DWT_CTRL |= DWT_CTRL_CYCCNTENA;
}

__attribute__((weak)) uint32_t port_cycles(void)
{
    return DWT_CYCCNT;
}

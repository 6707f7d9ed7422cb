/* Registers of the Arm Cortex-M core that start-up uses.
 * Source: Armv7-M Architecture Reference Manual (DDI 0403E), chapter B3 and C1. Armv8-M (DDI 0553) has them too, but for
 * the memory protection unit; Armv6-M (DDI 0419) lacks the fault status registers, the trace unit and its counter. */
#ifndef QUANTMCU_CORTEX_M_H
#define QUANTMCU_CORTEX_M_H

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define BIT(n) (1u << (n))

#define CORE_HAS_FAULT_STATUS (__ARM_ARCH >= 7)
#define CORE_HAS_STACK_LIMIT (__ARM_ARCH >= 8)

/* System timer: 24 bits, counts down. */
#define SYST_CSR REGISTER(0xE000E010u)
#define SYST_RVR REGISTER(0xE000E014u)
#define SYST_CVR REGISTER(0xE000E018u)
#define SYST_CSR_ENABLE BIT(0)
#define SYST_CSR_CORE_CLOCK BIT(2)

/* Interrupt controller: clear-enable and clear-pending banks of 32 interrupts. */
#define NVIC_ICER(bank) REGISTER(0xE000E180u + 4u * (bank))
#define NVIC_ICPR(bank) REGISTER(0xE000E280u + 4u * (bank))

/* System control block. */
#define SCB_VTOR REGISTER(0xE000ED08u)
#define SCB_AIRCR REGISTER(0xE000ED0Cu)
#define SCB_CCR REGISTER(0xE000ED14u)
#define SCB_SHCSR REGISTER(0xE000ED24u)
#define SCB_CFSR REGISTER(0xE000ED28u)
#define SCB_HFSR REGISTER(0xE000ED2Cu)
#define SCB_MMFAR REGISTER(0xE000ED34u)
#define SCB_BFAR REGISTER(0xE000ED38u)
#define SCB_CSSELR REGISTER(0xE000ED84u)
#define SCB_CPACR 0xE000ED88u /* address: written in assembly before any C code runs */

#define AIRCR_KEY (0x05FAu << 16)
#define AIRCR_SYSRESETREQ BIT(2)
#define CCR_DCACHE BIT(16)
#define CCR_ICACHE BIT(17)
#define SHCSR_MEMFAULTENA BIT(16)
#define SHCSR_BUSFAULTENA BIT(17)
#define SHCSR_USGFAULTENA BIT(18)
#define CFSR_IACCVIOL BIT(0)
#define CFSR_MUNSTKERR BIT(3)
#define CFSR_MSTKERR BIT(4)
#define CFSR_MLSPERR BIT(5)
#define CFSR_MMARVALID BIT(7)
#define CFSR_IBUSERR BIT(8)
#define CFSR_PRECISERR BIT(9)
#define CFSR_IMPRECISERR BIT(10)
#define CFSR_STKERR BIT(12)
#define CFSR_LSPERR BIT(13)
#define CFSR_BFARVALID BIT(15)
#define CFSR_UNDEFINSTR BIT(16)
#define CFSR_INVSTATE BIT(17)
#define CFSR_NOCP BIT(19)
#define CFSR_STKOF BIT(20)
#define CFSR_UNALIGNED BIT(24)
#define CFSR_DIVBYZERO BIT(25)

/* Cache maintenance (Cortex-M7). */
#define SCB_ICIALLU REGISTER(0xE000EF50u)
#define SCB_DCISW REGISTER(0xE000EF60u)

/* Memory protection unit of Armv6-M and Armv7-M. */
#define MPU_TYPE REGISTER(0xE000ED90u)
#define MPU_CTRL REGISTER(0xE000ED94u)
#define MPU_RNR REGISTER(0xE000ED98u)
#define MPU_RBAR REGISTER(0xE000ED9Cu)
#define MPU_RASR REGISTER(0xE000EDA0u)

#define MPU_TYPE_REGIONS(type) ((type) >> 8 & 0xFFu)
#define MPU_CTRL_ENABLE BIT(0)
#define MPU_CTRL_PRIVDEFENA BIT(2)
#define MPU_RASR_ENABLE BIT(0)
#define MPU_RASR_SIZE(log2_bytes) (((log2_bytes) - 1u) << 1)
#define MPU_RASR_NO_ACCESS (0u << 24)
#define MPU_RASR_XN BIT(28)

/* Debug and the cycle counter. */
#define DHCSR REGISTER(0xE000EDF0u)
#define DHCSR_C_DEBUGEN BIT(0)
#define DEMCR REGISTER(0xE000EDFCu)
#define DEMCR_TRCENA BIT(24)
#define DWT_CTRL REGISTER(0xE0001000u)
#define DWT_CTRL_CYCCNTENA BIT(0)
#define DWT_CYCCNT REGISTER(0xE0001004u)
#define DWT_LAR REGISTER(0xE0001FB0u)
#define DWT_LAR_UNLOCK 0xC5ACCE55u

static inline void barrier(void)
{
    __asm__ volatile("dsb\n\tisb" ::: "memory");
}

static inline void set_bits(volatile uint32_t *address, uint32_t mask)
{
    *address |= mask;
}

/* Replaces the bits of `mask` by those of `value`. */
static inline void change_bits(volatile uint32_t *address, uint32_t mask, uint32_t value)
{
    *address = (*address & ~mask) | value;
}

#endif

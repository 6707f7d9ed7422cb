/* Clock of STM32F4 and F7 from an external source through the PLL: reset and clock controller, power controller and
 * flash interface (RM0383 sections 3.8, 5.4, 6.3; RM0390 sections 3.8, 5.4, 6.3; RM0410 sections 3.7, 4.4, 5.3). */
#ifndef QUANTMCU_STM32F4_F7_CLOCK_H
#define QUANTMCU_STM32F4_F7_CLOCK_H

#include "board_config.h"
#include "cortex_m.h"
#include "system.h"

#define GPIOA_BASE 0x40020000u

#define RCC_BASE 0x40023800u
#define RCC_CR REGISTER(RCC_BASE + 0x00u)
#define RCC_PLLCFGR REGISTER(RCC_BASE + 0x04u)
#define RCC_CFGR REGISTER(RCC_BASE + 0x08u)
#define RCC_AHB1ENR_OFFSET 0x30u
#define RCC_APB1ENR REGISTER(RCC_BASE + 0x40u)

#define CR_HSEON BIT(16)
#define CR_HSERDY BIT(17)
#define CR_HSEBYP BIT(18)
#define CR_PLLON BIT(24)
#define CR_PLLRDY BIT(25)
#define PLLCFGR_SOURCE_HSE BIT(22)
#define PLLCFGR_RESERVED BIT(29) /* set after reset on F4; PLLR = 2 on F7 */
#define CFGR_SW_MASK 3u
#define CFGR_SW_PLL 2u
#define CFGR_SWS_MASK (3u << 2)
#define CFGR_SWS_PLL (2u << 2)
#define APB1ENR_PWREN BIT(28)

#define PWR_CR REGISTER(0x40007000u)
#define PWR_CSR REGISTER(0x40007004u)
#define PWR_CR_VOS_SCALE1 (3u << 14)
#define PWR_CR_ODEN BIT(16)
#define PWR_CR_ODSWEN BIT(17)
#define PWR_CSR_VOSRDY BIT(14)
#define PWR_CSR_ODRDY BIT(16)
#define PWR_CSR_ODSWRDY BIT(17)

#define FLASH_ACR REGISTER(0x40023C00u)
#define FLASH_ACR_LATENCY_MASK 15u
#define FLASH_ACR_PRFTEN BIT(8)

/* Code of an APB prescaler of 1, 2 or 4 in RCC_CFGR. */
#define APB_PRESCALER(divider) ((divider) == 1 ? 0u : (divider) == 2 ? 4u : 5u)

#define PLLCFGR_VALUE                                                                                              \
    (PLLCFGR_RESERVED | BOARD_CLOCK_PLL_Q << 24 | PLLCFGR_SOURCE_HSE | (BOARD_CLOCK_PLL_P / 2u - 1u) << 16 |        \
     BOARD_CLOCK_PLL_N << 6 | BOARD_CLOCK_PLL_M)
#define CFGR_PRESCALERS (APB_PRESCALER(BOARD_CLOCK_APB2_DIV) << 13 | APB_PRESCALER(BOARD_CLOCK_APB1_DIV) << 10)

_Static_assert(BOARD_CLOCK_HSE_HZ / BOARD_CLOCK_PLL_M * BOARD_CLOCK_PLL_N / BOARD_CLOCK_PLL_P == BOARD_CLOCK_CORE_HZ,
               "the PLL recipe in the board's manifest gives another clock than core_hz");

/* The fastest clocks need over-drive: RM0410 and RM0390, section "Entering Over-drive mode", give this order. */
static inline void over_drive_on(void)
{
#if BOARD_CLOCK_OVER_DRIVE
    PWR_CR |= PWR_CR_ODEN;
    clock_wait(&PWR_CSR, PWR_CSR_ODRDY, PWR_CSR_ODRDY, "over-drive not ready");
    PWR_CR |= PWR_CR_ODSWEN;
    clock_wait(&PWR_CSR, PWR_CSR_ODSWRDY, PWR_CSR_ODSWRDY, "over-drive not switched on");
#endif
}

/* flash_features: bits of FLASH_ACR beside the wait states, which differ between the families. */
static inline void clock_start(uint32_t flash_features)
{
    RCC_APB1ENR |= APB1ENR_PWREN;
    barrier();
    PWR_CR |= PWR_CR_VOS_SCALE1; /* takes effect once the PLL is on */

    if (BOARD_CLOCK_HSE_BYPASS)
        RCC_CR |= CR_HSEBYP;
    RCC_CR |= CR_HSEON;
    clock_wait(&RCC_CR, CR_HSERDY, CR_HSERDY, "no external clock (HSE)");

    RCC_PLLCFGR = PLLCFGR_VALUE;
    RCC_CR |= CR_PLLON;
    over_drive_on();
    clock_wait(&RCC_CR, CR_PLLRDY, CR_PLLRDY, "the PLL does not lock");
    clock_wait(&PWR_CSR, PWR_CSR_VOSRDY, PWR_CSR_VOSRDY, "voltage scale 1 not reached");

    FLASH_ACR = flash_features | BOARD_CLOCK_FLASH_WAIT_STATES;
    clock_wait(&FLASH_ACR, FLASH_ACR_LATENCY_MASK, BOARD_CLOCK_FLASH_WAIT_STATES, "flash wait states not taken");

    RCC_CFGR = CFGR_PRESCALERS;
    RCC_CFGR = CFGR_PRESCALERS | CFGR_SW_PLL;
    clock_wait(&RCC_CFGR, CFGR_SWS_MASK, CFGR_SWS_PLL, "no switch to the PLL");
}

#endif

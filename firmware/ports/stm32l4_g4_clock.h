/* Clock of STM32L4+ and STM32G4 through the PLL in voltage range 1 boost, from the internal 16 MHz oscillator or an
 * external source (RM0432 sections 3.3.3, 5.1.8, 6.2, 6.4; RM0440 sections 3.3.3, 6.1.5, 7.2, 7.4: the registers are
 * the same). */
#ifndef QUANTMCU_STM32L4_G4_CLOCK_H
#define QUANTMCU_STM32L4_G4_CLOCK_H

#include "board_config.h"
#include "cortex_m.h"
#include "system.h"

#define GPIOA_BASE 0x48000000u

#define RCC_BASE 0x40021000u
#define RCC_CR REGISTER(RCC_BASE + 0x00u)
#define RCC_CFGR REGISTER(RCC_BASE + 0x08u)
#define RCC_PLLCFGR REGISTER(RCC_BASE + 0x0Cu)
#define RCC_AHB2ENR_OFFSET 0x4Cu
#define RCC_APB1ENR1 REGISTER(RCC_BASE + 0x58u)

#define CR_HSION BIT(8)
#define CR_HSIRDY BIT(10)
#define CR_HSEON BIT(16)
#define CR_HSERDY BIT(17)
#define CR_HSEBYP BIT(18)
#define CR_PLLON BIT(24)
#define CR_PLLRDY BIT(25)
#define PLLCFGR_SOURCE_HSI 2u
#define PLLCFGR_SOURCE_HSE 3u
#define PLLCFGR_PLLREN BIT(24)
#define CFGR_SW_PLL 3u
#define CFGR_SWS_MASK (3u << 2)
#define CFGR_SWS_PLL (3u << 2)
#define CFGR_HPRE_DIV2 (8u << 4)
#define APB1ENR1_PWREN BIT(28)

#define PWR_SR2 REGISTER(0x40007014u)
#define PWR_CR5 REGISTER(0x40007080u)
#define PWR_SR2_VOSF BIT(10)
#define PWR_CR5_R1MODE BIT(8)

#define FLASH_ACR REGISTER(0x40022000u)
#define FLASH_ACR_LATENCY_MASK 15u
#define FLASH_ACR_PRFTEN BIT(8)
#define FLASH_ACR_ICEN BIT(9)
#define FLASH_ACR_DCEN BIT(10)

#ifdef BOARD_CLOCK_HSE_HZ
#define PLL_SOURCE PLLCFGR_SOURCE_HSE
#define PLL_SOURCE_HZ BOARD_CLOCK_HSE_HZ
#else
#define PLL_SOURCE PLLCFGR_SOURCE_HSI
#define PLL_SOURCE_HZ BOARD_CLOCK_HSI_HZ
#endif

#define PLLCFGR_VALUE                                                                                              \
    ((BOARD_CLOCK_PLL_R / 2u - 1u) << 25 | PLLCFGR_PLLREN | BOARD_CLOCK_PLL_N << 8 | (BOARD_CLOCK_PLL_M - 1u) << 4 |  \
     PLL_SOURCE)

_Static_assert(PLL_SOURCE_HZ / BOARD_CLOCK_PLL_M * BOARD_CLOCK_PLL_N / BOARD_CLOCK_PLL_R == BOARD_CLOCK_CORE_HZ,
               "the PLL recipe in the board's manifest gives another clock than core_hz");

static inline void pll_source_start(void)
{
#ifdef BOARD_CLOCK_HSE_HZ
    if (BOARD_CLOCK_HSE_BYPASS)
        RCC_CR |= CR_HSEBYP;
    RCC_CR |= CR_HSEON;
    clock_wait(&RCC_CR, CR_HSERDY, CR_HSERDY, "no external clock (HSE)");
#else
    RCC_CR |= CR_HSION;
    clock_wait(&RCC_CR, CR_HSIRDY, CR_HSIRDY, "the 16 MHz oscillator (HSI16) does not start");
#endif
}

/* The range 1 boost mode must be on, and the step through AHB/2 taken, above 80 MHz (G4: 150 MHz). */
static inline void clock_start(void)
{
    RCC_APB1ENR1 |= APB1ENR1_PWREN;
    barrier();
    PWR_CR5 &= ~PWR_CR5_R1MODE;
    clock_wait(&PWR_SR2, PWR_SR2_VOSF, 0, "voltage range 1 not reached");
    pll_source_start();

    RCC_PLLCFGR = PLLCFGR_VALUE;
    RCC_CR |= CR_PLLON;
    clock_wait(&RCC_CR, CR_PLLRDY, CR_PLLRDY, "the PLL does not lock");

    /* G4 keeps the debugger's access in this register too (RM0440, section 3.7.1) */
    change_bits(&FLASH_ACR, FLASH_ACR_LATENCY_MASK,
                FLASH_ACR_ICEN | FLASH_ACR_DCEN | FLASH_ACR_PRFTEN | BOARD_CLOCK_FLASH_WAIT_STATES);
    clock_wait(&FLASH_ACR, FLASH_ACR_LATENCY_MASK, BOARD_CLOCK_FLASH_WAIT_STATES, "flash wait states not taken");

    RCC_CFGR = CFGR_HPRE_DIV2 | CFGR_SW_PLL;
    clock_wait(&RCC_CFGR, CFGR_SWS_MASK, CFGR_SWS_PLL, "no switch to the PLL");
    for (volatile uint32_t i = 0; i < 60; i++)
        ; /* at least 1 us at half the clock */
    RCC_CFGR = CFGR_SW_PLL;
}

#endif

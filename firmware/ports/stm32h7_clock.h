/* Clock of STM32H7 from an external source through PLL1: what STM32H742 to H757 (RM0433, RM0399: chapters "Power
 * control", "Reset and clock control", "Embedded flash memory") and STM32H7A3 to H7B3 (RM0455) have in common. */
#ifndef QUANTMCU_STM32H7_CLOCK_H
#define QUANTMCU_STM32H7_CLOCK_H

#include "board_config.h"
#include "cortex_m.h"
#include "system.h"

#define GPIOA_BASE 0x58020000u

#define RCC_BASE 0x58024400u
#define RCC_CR REGISTER(RCC_BASE + 0x00u)
#define RCC_CFGR REGISTER(RCC_BASE + 0x10u)
#define RCC_D1CFGR REGISTER(RCC_BASE + 0x18u) /* the domains are called CD and SRD in STM32H7A3 */
#define RCC_D2CFGR REGISTER(RCC_BASE + 0x1Cu)
#define RCC_D3CFGR REGISTER(RCC_BASE + 0x20u)
#define RCC_PLLCKSELR REGISTER(RCC_BASE + 0x28u)
#define RCC_PLLCFGR REGISTER(RCC_BASE + 0x2Cu)
#define RCC_PLL1DIVR REGISTER(RCC_BASE + 0x30u)

#define CR_HSION BIT(0)
#define CR_HSIRDY BIT(2)
#define CR_HSIDIV_MASK (3u << 3)
#define CR_HSEON BIT(16)
#define CR_HSERDY BIT(17)
#define CR_HSEBYP BIT(18)
#define CR_PLL1ON BIT(24)
#define CR_PLL1RDY BIT(25)
#define CFGR_SW_MASK 7u
#define CFGR_SW_PLL1 3u
#define CFGR_SWS_MASK (7u << 3)
#define CFGR_SWS_PLL1 (3u << 3)
#define PLLCKSELR_SOURCE_HSE 2u
#define PLLCFGR_DIVP1EN BIT(16)

#define PWR_CSR1 REGISTER(0x58024804u)
#define PWR_CR3 REGISTER(0x5802480Cu)
#define PWR_D3CR REGISTER(0x58024818u) /* SRDCR in STM32H7A3 */
#define PWR_CSR1_ACTVOSRDY BIT(13)
#define PWR_CR3_SUPPLY_MASK 0x3Fu
#define PWR_D3CR_VOSRDY BIT(13)
#define PWR_D3CR_VOS_HIGHEST (3u << 14) /* scale 1; scale 0 in STM32H7A3 */

#define FLASH_ACR REGISTER(0x52002000u)
#define FLASH_ACR_MASK 0x3Fu
#define FLASH_ACR_VALUE (BOARD_CLOCK_FLASH_PROGRAMMING_DELAY << 4 | BOARD_CLOCK_FLASH_WAIT_STATES)

#define PLL_INPUT_HZ (BOARD_CLOCK_HSE_HZ / BOARD_CLOCK_PLL_M)
#define PLLCFGR_PLL1RGE ((PLL_INPUT_HZ >= 8000000u ? 3u : PLL_INPUT_HZ >= 4000000u ? 2u : 1u) << 2)

_Static_assert(PLL_INPUT_HZ * BOARD_CLOCK_PLL_N / BOARD_CLOCK_PLL_P == BOARD_CLOCK_CORE_HZ,
               "the PLL recipe in the board's manifest gives another clock than core_hz");
_Static_assert(PLL_INPUT_HZ >= 2000000u && PLL_INPUT_HZ <= 16000000u, "the PLL's wide range takes 2 to 16 MHz");
_Static_assert(BOARD_CLOCK_AHB_DIV == 1 || BOARD_CLOCK_AHB_DIV == 2, "this port halves the bus clock, or not");
_Static_assert(BOARD_CLOCK_APB_DIV == 2, "this port halves the peripherals' clocks");

#define D1CFGR_HPRE (BOARD_CLOCK_AHB_DIV == 2 ? 8u : 0u)
#define D1CFGR_D1PPRE_DIV2 (4u << 4)
#define D2CFGR_DIV2 (4u << 8 | 4u << 4)
#define D3CFGR_DIV2 (4u << 4)

/* What feeds the core can be chosen once after power-up; a boot loader may have done so, equally. Then the highest
 * voltage (RM0433 sections 6.4.1, 6.6.2; RM0455 sections 6.4.1, 6.6.2). */
static inline void supply_init(void)
{
    change_bits(&PWR_CR3, PWR_CR3_SUPPLY_MASK, BOARD_CLOCK_SUPPLY_CONFIG);
    clock_wait(&PWR_CSR1, PWR_CSR1_ACTVOSRDY, PWR_CSR1_ACTVOSRDY, "the core supply is not ready");
    PWR_D3CR |= PWR_D3CR_VOS_HIGHEST;
    clock_wait(&PWR_D3CR, PWR_D3CR_VOSRDY, PWR_D3CR_VOSRDY, "highest core voltage not reached");
}

/* A boot loader may have left the core on the PLL, which cannot be set while it runs. */
static inline void return_to_reset_clock(void)
{
    RCC_CR |= CR_HSION;
    clock_wait(&RCC_CR, CR_HSIRDY, CR_HSIRDY, "the internal oscillator (HSI) does not start");
    RCC_CFGR &= ~CFGR_SW_MASK;
    clock_wait(&RCC_CFGR, CFGR_SWS_MASK, 0, "no switch to the internal oscillator (HSI)");
    RCC_CR &= ~(CR_PLL1ON | CR_HSIDIV_MASK);
    clock_wait(&RCC_CR, CR_PLL1RDY, 0, "the PLL does not stop");
}

static inline void clock_start(void)
{
    return_to_reset_clock();
    if (BOARD_CLOCK_HSE_BYPASS)
        RCC_CR |= CR_HSEBYP;
    RCC_CR |= CR_HSEON;
    clock_wait(&RCC_CR, CR_HSERDY, CR_HSERDY, "no external clock (HSE)");

    RCC_PLLCKSELR = BOARD_CLOCK_PLL_M << 4 | PLLCKSELR_SOURCE_HSE;
    RCC_PLLCFGR = PLLCFGR_DIVP1EN | PLLCFGR_PLL1RGE;
    RCC_PLL1DIVR = (BOARD_CLOCK_PLL_P - 1u) << 9 | (BOARD_CLOCK_PLL_N - 1u);
    RCC_CR |= CR_PLL1ON;
    clock_wait(&RCC_CR, CR_PLL1RDY, CR_PLL1RDY, "the PLL does not lock");

    FLASH_ACR = FLASH_ACR_VALUE;
    clock_wait(&FLASH_ACR, FLASH_ACR_MASK, FLASH_ACR_VALUE, "flash wait states not taken");

    RCC_D1CFGR = D1CFGR_D1PPRE_DIV2 | D1CFGR_HPRE;
    RCC_D2CFGR = D2CFGR_DIV2;
    RCC_D3CFGR = D3CFGR_DIV2;
    RCC_CFGR = CFGR_SW_PLL1;
    clock_wait(&RCC_CFGR, CFGR_SWS_MASK, CFGR_SWS_PLL1, "no switch to the PLL");
}

#endif

/* STM32L4+: clock from the internal 16 MHz oscillator through the PLL, voltage range 1 boost
 * (RM0432, chapters 3, 5 and 6). */
#include "stm32_console.h"
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
#define CR_PLLON BIT(24)
#define CR_PLLRDY BIT(25)
#define PLLCFGR_SOURCE_HSI 2u
#define PLLCFGR_PLLREN BIT(24)
#define CFGR_SW_PLL 3u
#define CFGR_SWS_MASK (3u << 2)
#define CFGR_SWS_PLL (3u << 2)
#define CFGR_HPRE_DIV2 (8u << 4)
#define APB1ENR1_PWREN BIT(28)

#define PWR_CR2 REGISTER(0x40007004u)
#define PWR_SR2 REGISTER(0x40007014u)
#define PWR_CR5 REGISTER(0x40007080u)
#define PWR_CR2_IOSV BIT(9)
#define PWR_SR2_VOSF BIT(10)
#define PWR_CR5_R1MODE BIT(8)

#define FLASH_ACR REGISTER(0x40022000u)
#define FLASH_ACR_LATENCY_MASK 15u
#define FLASH_ACR_PRFTEN BIT(8)
#define FLASH_ACR_ICEN BIT(9)
#define FLASH_ACR_DCEN BIT(10)

#define PLLCFGR_VALUE                                                                                              \
    ((BOARD_CLOCK_PLL_R / 2u - 1u) << 25 | PLLCFGR_PLLREN | BOARD_CLOCK_PLL_N << 8 | (BOARD_CLOCK_PLL_M - 1u) << 4 |  \
     PLLCFGR_SOURCE_HSI)

_Static_assert(BOARD_CLOCK_HSI_HZ / BOARD_CLOCK_PLL_M * BOARD_CLOCK_PLL_N / BOARD_CLOCK_PLL_R == BOARD_CLOCK_CORE_HZ,
               "the PLL recipe in the board's manifest gives another clock than core_hz");

void memory_clocks_enable(void)
{
    /* all RAM is on after reset */
}

void console_connect(void)
{
    RCC_APB1ENR1 |= APB1ENR1_PWREN;
    barrier();
    PWR_CR2 |= PWR_CR2_IOSV; /* pins PG2 to PG15 have a supply of their own, to be declared valid */
    stm32_console_connect(RCC_BASE, RCC_AHB2ENR_OFFSET, GPIOA_BASE);
}

/* Range 1 boost and the step through AHB/2 above 80 MHz: RM0432, sections 5.1.8 and 6.2.10. */
void clock_init(void)
{
    PWR_CR5 &= ~PWR_CR5_R1MODE;
    clock_wait(&PWR_SR2, PWR_SR2_VOSF, 0, "voltage range 1 not reached");

    RCC_CR |= CR_HSION;
    clock_wait(&RCC_CR, CR_HSIRDY, CR_HSIRDY, "the 16 MHz oscillator (HSI16) does not start");

    RCC_PLLCFGR = PLLCFGR_VALUE;
    RCC_CR |= CR_PLLON;
    clock_wait(&RCC_CR, CR_PLLRDY, CR_PLLRDY, "the PLL does not lock");

    FLASH_ACR = FLASH_ACR_ICEN | FLASH_ACR_DCEN | FLASH_ACR_PRFTEN | BOARD_CLOCK_FLASH_WAIT_STATES;
    clock_wait(&FLASH_ACR, FLASH_ACR_LATENCY_MASK, BOARD_CLOCK_FLASH_WAIT_STATES, "flash wait states not taken");

    RCC_CFGR = CFGR_HPRE_DIV2 | CFGR_SW_PLL;
    clock_wait(&RCC_CFGR, CFGR_SWS_MASK, CFGR_SWS_PLL, "no switch to the PLL");
    for (volatile uint32_t i = 0; i < 60; i++)
        ; /* at least 1 us at 60 MHz */
    RCC_CFGR = CFGR_SW_PLL;
}

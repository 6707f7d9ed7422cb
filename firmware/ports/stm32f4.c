/* STM32F4: clock from an external 8 MHz source through the PLL (RM0383, chapters 3, 5 and 6). */
#include "stm32_console.h"
#include "stm32f4_f7_rcc.h"
#include "system.h"

#define FLASH_ACR_ICEN BIT(9)
#define FLASH_ACR_DCEN BIT(10)

void memory_clocks_enable(void)
{
    /* all RAM is on after reset */
}

void console_connect(void)
{
    stm32_console_connect(RCC_BASE, RCC_AHB1ENR_OFFSET, GPIOA_BASE);
}

void clock_init(void)
{
    RCC_APB1ENR |= APB1ENR_PWREN;
    barrier();
    PWR_CR |= PWR_CR_VOS_SCALE1; /* takes effect once the PLL is on */

    RCC_CR |= CR_HSEBYP;
    RCC_CR |= CR_HSEON;
    clock_wait(&RCC_CR, CR_HSERDY, CR_HSERDY, "no external clock (HSE)");

    RCC_PLLCFGR = PLLCFGR_VALUE;
    RCC_CR |= CR_PLLON;
    clock_wait(&RCC_CR, CR_PLLRDY, CR_PLLRDY, "the PLL does not lock");
    clock_wait(&PWR_CSR, PWR_CSR_VOSRDY, PWR_CSR_VOSRDY, "voltage scale 1 not reached");

    FLASH_ACR = FLASH_ACR_ICEN | FLASH_ACR_DCEN | FLASH_ACR_PRFTEN | BOARD_CLOCK_FLASH_WAIT_STATES;
    clock_wait(&FLASH_ACR, FLASH_ACR_LATENCY_MASK, BOARD_CLOCK_FLASH_WAIT_STATES, "flash wait states not taken");

    RCC_CFGR = CFGR_PRESCALERS;
    RCC_CFGR = CFGR_PRESCALERS | CFGR_SW_PLL;
    clock_wait(&RCC_CFGR, CFGR_SWS_MASK, CFGR_SWS_PLL, "no switch to the PLL");
}

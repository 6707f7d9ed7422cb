/* STM32F7: clock from an external 8 MHz source through the PLL, with over-drive (RM0410, chapters 3, 4 and 5). */
#include "stm32_console.h"
#include "stm32f4_f7_rcc.h"
#include "system.h"

#define PWR_CR_ODEN BIT(16)
#define PWR_CR_ODSWEN BIT(17)
#define PWR_CSR_ODRDY BIT(16)
#define PWR_CSR_ODSWRDY BIT(17)

void memory_clocks_enable(void)
{
    /* all RAM is on after reset */
}

void console_connect(void)
{
    stm32_console_connect(RCC_BASE, RCC_AHB1ENR_OFFSET, GPIOA_BASE);
}

/* The order is that of RM0410, section 4.1.4, "Entering Over-drive mode". */
void clock_init(void)
{
    RCC_APB1ENR |= APB1ENR_PWREN;
    barrier();
    PWR_CR |= PWR_CR_VOS_SCALE1;

    RCC_CR |= CR_HSEBYP;
    RCC_CR |= CR_HSEON;
    clock_wait(&RCC_CR, CR_HSERDY, CR_HSERDY, "no external clock (HSE)");

    RCC_PLLCFGR = PLLCFGR_VALUE;
    RCC_CR |= CR_PLLON;

    PWR_CR |= PWR_CR_ODEN;
    clock_wait(&PWR_CSR, PWR_CSR_ODRDY, PWR_CSR_ODRDY, "over-drive not ready");
    PWR_CR |= PWR_CR_ODSWEN;
    clock_wait(&PWR_CSR, PWR_CSR_ODSWRDY, PWR_CSR_ODSWRDY, "over-drive not switched on");

    FLASH_ACR = FLASH_ACR_PRFTEN | BOARD_CLOCK_FLASH_WAIT_STATES;
    clock_wait(&FLASH_ACR, FLASH_ACR_LATENCY_MASK, BOARD_CLOCK_FLASH_WAIT_STATES, "flash wait states not taken");

    clock_wait(&RCC_CR, CR_PLLRDY, CR_PLLRDY, "the PLL does not lock");
    RCC_CFGR = CFGR_PRESCALERS;
    RCC_CFGR = CFGR_PRESCALERS | CFGR_SW_PLL;
    clock_wait(&RCC_CFGR, CFGR_SWS_MASK, CFGR_SWS_PLL, "no switch to the PLL");
}

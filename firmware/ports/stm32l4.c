/* STM32L4+ (RM0432, chapters 3, 5 and 6). */
#include "stm32_console.h"
#include "stm32l4_g4_clock.h"
#include "system.h"

#define PWR_CR2 REGISTER(0x40007004u)
#define PWR_CR2_IOSV BIT(9)

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

void clock_init(void)
{
    clock_start();
}

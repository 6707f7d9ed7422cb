/* STM32F7 (RM0385, RM0410: chapters 3, 4 and 5). */
#include "stm32_console.h"
#include "stm32f4_f7_clock.h"
#include "system.h"

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
    clock_start(FLASH_ACR_PRFTEN); /* the core's own caches serve code and data */
}

/* STM32F4 (RM0383, RM0390: chapters 3, 5 and 6). */
#include "stm32_console.h"
#include "stm32f4_f7_clock.h"
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
    clock_start(FLASH_ACR_PRFTEN | FLASH_ACR_ICEN | FLASH_ACR_DCEN);
}

/* STM32G4 (RM0440, chapters 3, 6 and 7). */
#include "stm32_console.h"
#include "stm32l4_g4_clock.h"
#include "system.h"

void memory_clocks_enable(void)
{
    /* all RAM is on after reset; the CCM SRAM also follows SRAM2 at 0x20018000 (section 2.4) */
}

void console_connect(void)
{
    stm32_console_connect(RCC_BASE, RCC_AHB2ENR_OFFSET, GPIOA_BASE);
}

void clock_init(void)
{
    clock_start();
}

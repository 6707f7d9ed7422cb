/* STM32H7A3, H7B0, H7B3 (RM0455: chapters 4, 6, 8 and 11). */
#include "stm32_console.h"
#include "stm32h7_clock.h"
#include "system.h"

#define RCC_AHB2ENR REGISTER(RCC_BASE + 0x13Cu)
#define RCC_AHB4ENR_OFFSET 0x140u
#define RCC_AHB4ENR REGISTER(RCC_BASE + RCC_AHB4ENR_OFFSET)
#define AHB2ENR_AHB_SRAM (3u << 29)
#define AHB4ENR_SRD_SRAM BIT(29)

/* The SRAM of the domains CD and SRD beyond the AXI bus (RM0455, sections 8.7.40 and 8.7.41). */
void memory_clocks_enable(void)
{
    RCC_AHB2ENR |= AHB2ENR_AHB_SRAM;
    RCC_AHB4ENR |= AHB4ENR_SRD_SRAM;
    (void)RCC_AHB4ENR;
    barrier();
}

void console_connect(void)
{
    stm32_console_connect(RCC_BASE, RCC_AHB4ENR_OFFSET, GPIOA_BASE);
}

void clock_init(void)
{
    supply_init();
    clock_start();
}

/* STM32H742 to H757, the Cortex-M7 (RM0433: chapters 4, 6, 8 and 12; RM0399: the same of dual-core chips). */
#include "stm32_console.h"
#include "stm32h7_clock.h"
#include "system.h"

#define RCC_AHB2ENR REGISTER(RCC_BASE + 0xDCu)
#define RCC_AHB4ENR_OFFSET 0xE0u
#define RCC_AHB4ENR REGISTER(RCC_BASE + RCC_AHB4ENR_OFFSET)
#define RCC_APB4ENR REGISTER(RCC_BASE + 0xF4u)
#define AHB2ENR_D2_SRAM (7u << 29)
#define APB4ENR_SYSCFGEN BIT(1)

#define SYSCFG_PWRCR REGISTER(0x5800042Cu)
#define SYSCFG_PWRCR_ODEN BIT(0)

#define DBGMCU_IDC REGISTER(0x5C001000u)
#define REVISION_V 0x2003u

/* SRAM1 to SRAM3 of domain D2 (RM0433, section 8.7.40). */
void memory_clocks_enable(void)
{
    RCC_AHB2ENR |= AHB2ENR_D2_SRAM;
    (void)RCC_AHB2ENR;
    barrier();
}

void console_connect(void)
{
    stm32_console_connect(RCC_BASE, RCC_AHB4ENR_OFFSET, GPIOA_BASE);
}

/* Voltage scale 0, for more than 400 MHz (RM0433, section 6.6.2). */
static void voltage_scale_0(void)
{
#if BOARD_CLOCK_VOLTAGE_SCALE == 0
    if (DBGMCU_IDC >> 16 < REVISION_V)
        clock_failed("480 MHz needs silicon revision V, this chip is older (its limit is 400 MHz)");
    RCC_APB4ENR |= APB4ENR_SYSCFGEN;
    (void)RCC_APB4ENR;
    SYSCFG_PWRCR |= SYSCFG_PWRCR_ODEN;
    barrier();
    clock_wait(&PWR_D3CR, PWR_D3CR_VOSRDY, PWR_D3CR_VOSRDY, "voltage scale 0 not reached");
#endif
}

/* Some boards switch their external oscillator by a pin. */
static void oscillator_power(void)
{
#ifdef BOARD_CLOCK_HSE_ENABLE_PORT
    set_bits(&RCC_AHB4ENR, BIT(BOARD_CLOCK_HSE_ENABLE_PORT));
    (void)RCC_AHB4ENR;
    gpio_high(GPIOA_BASE + GPIO_PORT_BYTES * BOARD_CLOCK_HSE_ENABLE_PORT, BOARD_CLOCK_HSE_ENABLE_PIN);
#endif
}

void clock_init(void)
{
    supply_init();
    voltage_scale_0();
    oscillator_power();
    clock_start();
}

/* STM32U5: clock from the internal 16 MHz oscillator through PLL1, voltage range 1 with the booster, instruction cache
 * (RM0456: chapters 7 "Flash", 8 "ICACHE", 10 "PWR", 11 "RCC"). TrustZone is off (TZEN = 0, as delivered). */
#include "stm32_console.h"
#include "system.h"

#define GPIOA_BASE 0x42020000u

#define RCC_BASE 0x46020C00u
#define RCC_CR REGISTER(RCC_BASE + 0x00u)
#define RCC_CFGR1 REGISTER(RCC_BASE + 0x1Cu)
#define RCC_PLL1CFGR REGISTER(RCC_BASE + 0x28u)
#define RCC_PLL1DIVR REGISTER(RCC_BASE + 0x34u)
#define RCC_AHB2ENR1_OFFSET 0x8Cu
#define RCC_AHB3ENR REGISTER(RCC_BASE + 0x94u)

#define CR_HSION BIT(8)
#define CR_HSIRDY BIT(10)
#define CR_PLL1ON BIT(24)
#define CR_PLL1RDY BIT(25)
#define CFGR1_SW_PLL1 3u
#define CFGR1_SWS_MASK (3u << 2)
#define CFGR1_SWS_PLL1 (3u << 2)
#define PLL1CFGR_SOURCE_HSI16 2u /* PLL1RGE 0: 4 to 8 MHz; PLL1MBOOST 0: the booster gets the 16 MHz undivided */
#define PLL1CFGR_PLL1REN BIT(18)
#define AHB3ENR_PWREN BIT(2)

#define PWR_VOSR REGISTER(0x4602080Cu)
#define VOSR_BOOSTRDY BIT(14)
#define VOSR_VOSRDY BIT(15)
#define VOSR_RANGE_1 (3u << 16)
#define VOSR_BOOSTEN BIT(18)

#define FLASH_ACR REGISTER(0x40022000u)
#define FLASH_ACR_LATENCY_MASK 15u
#define FLASH_ACR_PRFTEN BIT(8)

#define ICACHE_CR REGISTER(0x40030400u)
#define ICACHE_SR REGISTER(0x40030404u)
#define ICACHE_CR_EN BIT(0)
#define ICACHE_SR_BUSYF BIT(0)

#define PLL_INPUT_HZ (BOARD_CLOCK_HSI_HZ / BOARD_CLOCK_PLL_M)

_Static_assert(PLL_INPUT_HZ * BOARD_CLOCK_PLL_N / BOARD_CLOCK_PLL_R == BOARD_CLOCK_CORE_HZ,
               "the PLL recipe in the board's manifest gives another clock than core_hz");
_Static_assert(PLL_INPUT_HZ >= 4000000u && PLL_INPUT_HZ < 8000000u, "this port sets the PLL's input range to 4-8 MHz");

void memory_clocks_enable(void)
{
    /* all RAM is on after reset */
}

void console_connect(void)
{
    stm32_console_connect(RCC_BASE, RCC_AHB2ENR1_OFFSET, GPIOA_BASE);
}

/* Above 55 MHz the core's supply needs the booster, whose clock is PLL1's source (RM0456, section 10.5.4). */
static void supply_init(void)
{
    RCC_AHB3ENR |= AHB3ENR_PWREN;
    (void)RCC_AHB3ENR;
    PWR_VOSR |= VOSR_RANGE_1;
    clock_wait(&PWR_VOSR, VOSR_VOSRDY, VOSR_VOSRDY, "voltage range 1 not reached");
    PWR_VOSR |= VOSR_BOOSTEN;
    clock_wait(&PWR_VOSR, VOSR_BOOSTRDY, VOSR_BOOSTRDY, "the supply's booster is not ready");
}

void clock_init(void)
{
    RCC_CR |= CR_HSION;
    clock_wait(&RCC_CR, CR_HSIRDY, CR_HSIRDY, "the 16 MHz oscillator (HSI16) does not start");
    RCC_PLL1CFGR = (BOARD_CLOCK_PLL_M - 1u) << 8 | PLL1CFGR_SOURCE_HSI16;
    supply_init();

    RCC_PLL1DIVR = (BOARD_CLOCK_PLL_R - 1u) << 24 | 1u << 16 | 1u << 9 | (BOARD_CLOCK_PLL_N - 1u);
    RCC_CR |= CR_PLL1ON;
    clock_wait(&RCC_CR, CR_PLL1RDY, CR_PLL1RDY, "the PLL does not lock");
    RCC_PLL1CFGR |= PLL1CFGR_PLL1REN;

    change_bits(&FLASH_ACR, FLASH_ACR_LATENCY_MASK, FLASH_ACR_PRFTEN | BOARD_CLOCK_FLASH_WAIT_STATES);
    clock_wait(&FLASH_ACR, FLASH_ACR_LATENCY_MASK, BOARD_CLOCK_FLASH_WAIT_STATES, "flash wait states not taken");

    change_bits(&RCC_CFGR1, 3u, CFGR1_SW_PLL1);
    clock_wait(&RCC_CFGR1, CFGR1_SWS_MASK, CFGR1_SWS_PLL1, "no switch to the PLL");

    /* after reset the cache clears itself, and may be enabled only then (RM0456, section 8.4.2) */
    clock_wait(&ICACHE_SR, ICACHE_SR_BUSYF, 0, "the instruction cache stays busy");
    ICACHE_CR |= ICACHE_CR_EN;
}

/* STM32H742/743/753: clock from an external 8 MHz source through PLL1 (RM0433, chapters 4, 6, 8 and 12). */
#include "stm32_console.h"
#include "system.h"

#define GPIOA_BASE 0x58020000u

#define RCC_BASE 0x58024400u
#define RCC_CR REGISTER(RCC_BASE + 0x00u)
#define RCC_CFGR REGISTER(RCC_BASE + 0x10u)
#define RCC_D1CFGR REGISTER(RCC_BASE + 0x18u)
#define RCC_D2CFGR REGISTER(RCC_BASE + 0x1Cu)
#define RCC_D3CFGR REGISTER(RCC_BASE + 0x20u)
#define RCC_PLLCKSELR REGISTER(RCC_BASE + 0x28u)
#define RCC_PLLCFGR REGISTER(RCC_BASE + 0x2Cu)
#define RCC_PLL1DIVR REGISTER(RCC_BASE + 0x30u)
#define RCC_AHB2ENR REGISTER(RCC_BASE + 0xDCu)
#define RCC_AHB4ENR_OFFSET 0xE0u
#define RCC_APB4ENR REGISTER(RCC_BASE + 0xF4u)

#define CR_HSEON BIT(16)
#define CR_HSERDY BIT(17)
#define CR_HSEBYP BIT(18)
#define CR_PLL1ON BIT(24)
#define CR_PLL1RDY BIT(25)
#define CFGR_SW_PLL1 3u
#define CFGR_SWS_MASK (7u << 3)
#define CFGR_SWS_PLL1 (3u << 3)
#define PLLCKSELR_SOURCE_HSE 2u
#define PLLCFGR_PLL1RGE_2_4_MHZ (1u << 2)
#define PLLCFGR_DIVP1EN BIT(16)
#define AHB2ENR_D2_SRAM (7u << 29)
#define APB4ENR_SYSCFGEN BIT(1)

#define PWR_CSR1 REGISTER(0x58024804u)
#define PWR_CR3 REGISTER(0x5802480Cu)
#define PWR_D3CR REGISTER(0x58024818u)
#define PWR_CSR1_ACTVOSRDY BIT(13)
#define PWR_CR3_LDOEN BIT(1)
#define PWR_CR3_SUPPLY_MASK 7u
#define PWR_D3CR_VOSRDY BIT(13)
#define PWR_D3CR_VOS_SCALE1 (3u << 14)

#define SYSCFG_PWRCR REGISTER(0x5800042Cu)
#define SYSCFG_PWRCR_ODEN BIT(0)

#define FLASH_ACR REGISTER(0x52002000u)
#define FLASH_ACR_MASK 0x3Fu
#define FLASH_ACR_VALUE (BOARD_CLOCK_FLASH_PROGRAMMING_DELAY << 4 | BOARD_CLOCK_FLASH_WAIT_STATES)

#define DBGMCU_IDC REGISTER(0x5C001000u)
#define REVISION_V 0x2003u

_Static_assert(BOARD_CLOCK_HSE_HZ / BOARD_CLOCK_PLL_M * BOARD_CLOCK_PLL_N / BOARD_CLOCK_PLL_P == BOARD_CLOCK_CORE_HZ,
               "the PLL recipe in the board's manifest gives another clock than core_hz");
_Static_assert(BOARD_CLOCK_AHB_DIV == 2 && BOARD_CLOCK_APB_DIV == 2, "this port halves the bus clocks");
_Static_assert(BOARD_CLOCK_HSE_HZ / BOARD_CLOCK_PLL_M == 2000000, "this port sets the PLL's input range to 2-4 MHz");

#define D1CFGR_HPRE_DIV2 8u
#define D1CFGR_D1PPRE_DIV2 (4u << 4)
#define D2CFGR_DIV2 (4u << 8 | 4u << 4)
#define D3CFGR_DIV2 (4u << 4)

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

/* Supply from the LDO, then voltage scale 1 and, for more than 400 MHz, 0: RM0433, sections 6.4.1 and 6.6.2. */
static void supply_init(void)
{
    change_bits(&PWR_CR3, PWR_CR3_SUPPLY_MASK, PWR_CR3_LDOEN);
    clock_wait(&PWR_CSR1, PWR_CSR1_ACTVOSRDY, PWR_CSR1_ACTVOSRDY, "the core supply (LDO) is not ready");
    PWR_D3CR |= PWR_D3CR_VOS_SCALE1;
    clock_wait(&PWR_D3CR, PWR_D3CR_VOSRDY, PWR_D3CR_VOSRDY, "voltage scale 1 not reached");
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

void clock_init(void)
{
    supply_init();

    RCC_CR |= CR_HSEBYP;
    RCC_CR |= CR_HSEON;
    clock_wait(&RCC_CR, CR_HSERDY, CR_HSERDY, "no external clock (HSE)");

    RCC_PLLCKSELR = BOARD_CLOCK_PLL_M << 4 | PLLCKSELR_SOURCE_HSE;
    RCC_PLLCFGR = PLLCFGR_DIVP1EN | PLLCFGR_PLL1RGE_2_4_MHZ;
    RCC_PLL1DIVR = (BOARD_CLOCK_PLL_P - 1u) << 9 | (BOARD_CLOCK_PLL_N - 1u);
    RCC_CR |= CR_PLL1ON;
    clock_wait(&RCC_CR, CR_PLL1RDY, CR_PLL1RDY, "the PLL does not lock");

    FLASH_ACR = FLASH_ACR_VALUE;
    clock_wait(&FLASH_ACR, FLASH_ACR_MASK, FLASH_ACR_VALUE, "flash wait states not taken");

    RCC_D1CFGR = D1CFGR_D1PPRE_DIV2 | D1CFGR_HPRE_DIV2;
    RCC_D2CFGR = D2CFGR_DIV2;
    RCC_D3CFGR = D3CFGR_DIV2;
    RCC_CFGR = CFGR_SW_PLL1;
    clock_wait(&RCC_CFGR, CFGR_SWS_MASK, CFGR_SWS_PLL1, "no switch to the PLL");
}

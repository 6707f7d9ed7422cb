/* RP2040: clock from the 12 MHz crystal through PLL_SYS (RP2040 data sheet, chapter 2; section numbers below are its). */
#include "board_config.h"
#include "cortex_m.h"
#include "port.h"
#include "rp2040_boot2.h"
#include "system.h"

/* Sections 2.14, 2.15, 2.16, 2.18 */
#define RESETS_RESET REGISTER(0x4000C000u)
#define RESETS_DONE REGISTER(0x4000C008u)
#define RESET_IO_BANK0 BIT(5)
#define RESET_PADS_BANK0 BIT(8)
#define RESET_PLL_SYS BIT(12)
#define RESET_TIMER BIT(21)
#define RESET_UART0 BIT(22)

#define CLK_REF_CTRL REGISTER(0x40008030u)
#define CLK_REF_SELECTED REGISTER(0x40008038u)
#define CLK_SYS_CTRL REGISTER(0x4000803Cu)
#define CLK_SYS_SELECTED REGISTER(0x40008044u)
#define CLK_PERI_CTRL REGISTER(0x40008048u)
#define CLK_REF_SOURCE_XOSC 2u
#define CLK_SYS_SOURCE_AUX BIT(0) /* whose source 0 is PLL_SYS */
#define CLK_PERI_ENABLE BIT(11)   /* its source 0 is the system clock */

#define XOSC_CTRL REGISTER(0x40024000u)
#define XOSC_STATUS REGISTER(0x40024004u)
#define XOSC_STARTUP REGISTER(0x4002400Cu)
#define XOSC_CTRL_1_15_MHZ 0xAA0u
#define XOSC_CTRL_ENABLE (0xFABu << 12)
#define XOSC_STATUS_STABLE BIT(31)

#define PLL_CS REGISTER(0x40028000u)
#define PLL_PWR REGISTER(0x40028004u)
#define PLL_FBDIV REGISTER(0x40028008u)
#define PLL_PRIM REGISTER(0x4002800Cu)
#define PLL_CS_LOCK BIT(31)
#define PLL_PWR_PD BIT(0)
#define PLL_PWR_POSTDIVPD BIT(3)
#define PLL_PWR_VCOPD BIT(5)

/* Sections 2.13, 2.19, 4.6, 4.7 */
#define PSM_WDSEL REGISTER(0x40010008u)
#define PSM_ALL_BUT_OSCILLATORS 0x1FFFCu
#define WATCHDOG_CTRL REGISTER(0x40058000u)
#define WATCHDOG_SCRATCH4 REGISTER(0x4005801Cu)
#define WATCHDOG_TICK REGISTER(0x4005802Cu)
#define WATCHDOG_CTRL_TRIGGER BIT(31)
#define WATCHDOG_TICK_ENABLE BIT(9)
#define TIMER_MICROSECONDS REGISTER(0x40054028u)
#define GPIO_CTRL(pin) REGISTER(0x40014004u + 8u * (pin))
#define GPIO_FUNCTION_UART 2u
#define PAD(pin) REGISTER(0x4001C004u + 4u * (pin))
#define PAD_PULL_UP_INPUT 0x5Au /* 4 mA, pull-up, Schmitt trigger, input enabled: the reset value with the pull turned */

#define MICROSECONDS_PER_SECOND 1000000u
#define CYCLES_PER_MICROSECOND (BOARD_CLOCK_CORE_HZ / MICROSECONDS_PER_SECOND)

_Static_assert(BOARD_CLOCK_XOSC_HZ / BOARD_CLOCK_PLL_REFDIV * BOARD_CLOCK_PLL_FBDIV / BOARD_CLOCK_PLL_POSTDIV1 /
                       BOARD_CLOCK_PLL_POSTDIV2 ==
                   BOARD_CLOCK_CORE_HZ,
               "the PLL recipe in the board's manifest gives another clock than core_hz");
_Static_assert(BOARD_CLOCK_CORE_HZ % MICROSECONDS_PER_SECOND == 0, "port_cycles needs whole cycles per microsecond");

static void release_reset(uint32_t blocks)
{
    RESETS_RESET &= ~blocks;
    while ((RESETS_DONE & blocks) != blocks)
        ;
}

void memory_clocks_enable(void)
{
    /* all RAM is on after reset */
}

void console_connect(void)
{
    release_reset(RESET_IO_BANK0 | RESET_PADS_BANK0 | RESET_UART0 | RESET_TIMER);
    CLK_PERI_CTRL = CLK_PERI_ENABLE;
    PAD(BOARD_CONSOLE_RX_PIN) = PAD_PULL_UP_INPUT; /* a floating RX would read noise */
    GPIO_CTRL(BOARD_CONSOLE_TX_PIN) = GPIO_FUNCTION_UART;
    GPIO_CTRL(BOARD_CONSOLE_RX_PIN) = GPIO_FUNCTION_UART;
}

/* The system clock leaves the PLL first: a debugger's reset is one of the core alone. */
void clock_init(void)
{
    XOSC_CTRL = XOSC_CTRL_1_15_MHZ;
    XOSC_STARTUP = (BOARD_CLOCK_XOSC_HZ / 1000u + 128u) / 256u; /* 1 ms (2.16.3) */
    XOSC_CTRL = XOSC_CTRL_1_15_MHZ | XOSC_CTRL_ENABLE;
    clock_wait(&XOSC_STATUS, XOSC_STATUS_STABLE, XOSC_STATUS_STABLE, "the 12 MHz crystal does not start");

    CLK_SYS_CTRL &= ~CLK_SYS_SOURCE_AUX;
    clock_wait(&CLK_SYS_SELECTED, BIT(1), 0, "no switch to the reference clock");
    CLK_REF_CTRL = CLK_REF_SOURCE_XOSC;
    clock_wait(&CLK_REF_SELECTED, BIT(CLK_REF_SOURCE_XOSC), BIT(CLK_REF_SOURCE_XOSC), "no switch to the crystal");

    RESETS_RESET |= RESET_PLL_SYS;
    release_reset(RESET_PLL_SYS);
    PLL_CS = BOARD_CLOCK_PLL_REFDIV;
    PLL_FBDIV = BOARD_CLOCK_PLL_FBDIV;
    PLL_PWR &= ~(PLL_PWR_PD | PLL_PWR_VCOPD);
    clock_wait(&PLL_CS, PLL_CS_LOCK, PLL_CS_LOCK, "the PLL does not lock");
    PLL_PRIM = BOARD_CLOCK_PLL_POSTDIV1 << 16 | BOARD_CLOCK_PLL_POSTDIV2 << 12;
    PLL_PWR &= ~PLL_PWR_POSTDIVPD;

    CLK_SYS_CTRL = 0;
    CLK_SYS_CTRL = CLK_SYS_SOURCE_AUX;
    clock_wait(&CLK_SYS_SELECTED, BIT(1), BIT(1), "no switch to the PLL");
    WATCHDOG_TICK = WATCHDOG_TICK_ENABLE | BOARD_CLOCK_XOSC_HZ / MICROSECONDS_PER_SECOND; /* the timer's microseconds */
}

/* Cortex-M0+ has no cycle counter. The system timer counts cycles, but wraps after 2^24; the microsecond timer, driven
 * by the same crystal, tells how often it has. */
#define SYST_MASK 0xFFFFFFu
static uint32_t first_microsecond;

void cycle_counter_enable(void)
{
    SYST_RVR = SYST_MASK;
    SYST_CVR = 0;
    SYST_CSR = SYST_CSR_ENABLE | SYST_CSR_CORE_CLOCK;
    first_microsecond = TIMER_MICROSECONDS;
}

uint32_t port_cycles(void)
{
    uint32_t coarse = (TIMER_MICROSECONDS - first_microsecond) * CYCLES_PER_MICROSECOND;
    uint32_t fine = 0u - SYST_CVR; /* right in its lower 24 bits */
    uint32_t ahead = (fine - coarse) & SYST_MASK;
    return coarse + (ahead ^ BIT(23)) - BIT(23); /* by up to 2^23 in either direction */
}

/* All blocks but the oscillators; SYSRESETREQ would reset the cores alone (2.13.2). RAM keeps its contents. */
_Noreturn void port_reset(void)
{
    WATCHDOG_SCRATCH4 = 0; /* boot from flash */
    PSM_WDSEL = PSM_ALL_BUT_OSCILLATORS;
    WATCHDOG_CTRL = WATCHDOG_CTRL_TRIGGER;
    for (;;)
        ;
}

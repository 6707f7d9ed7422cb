/* nRF52840: the core always runs at 64 MHz; the crystal makes that exact (PS v1.8, sections 4.3.6 and 5.4). */
#include "board_config.h"
#include "cortex_m.h"
#include "system.h"

#define CLOCK_HFCLKSTART REGISTER(0x40000000u)
#define CLOCK_HFCLKSTARTED REGISTER(0x40000100u)
#define CLOCK_HFCLKSTAT REGISTER(0x4000040Cu)
#define HFCLKSTAT_RUNNING_CRYSTAL (BIT(16) | BIT(0))
#define NVMC_ICACHECNF REGISTER(0x4001E540u)
#define ICACHECNF_CACHEEN BIT(0)

#define GPIO_BASE(port) (0x50000000u + 0x300u * (port))
#define GPIO_OUTSET(port) REGISTER(GPIO_BASE(port) + 0x508u)
#define GPIO_PIN_CNF(port, pin) REGISTER(GPIO_BASE(port) + 0x700u + 4u * (pin))
#define PIN_CNF_OUTPUT 3u        /* output, input buffer off */
#define PIN_CNF_INPUT_PULLUP 0xCu /* a floating RX would read noise */

void memory_clocks_enable(void)
{
    /* all RAM is on after reset */
}

/* The UART takes its pins from its own registers; idle levels as PS section 6.33.2 asks. */
void console_connect(void)
{
    GPIO_OUTSET(BOARD_CONSOLE_TX_PORT) = BIT(BOARD_CONSOLE_TX_PIN);
    GPIO_PIN_CNF(BOARD_CONSOLE_TX_PORT, BOARD_CONSOLE_TX_PIN) = PIN_CNF_OUTPUT;
    GPIO_PIN_CNF(BOARD_CONSOLE_RX_PORT, BOARD_CONSOLE_RX_PIN) = PIN_CNF_INPUT_PULLUP;
}

void clock_init(void)
{
    CLOCK_HFCLKSTARTED = 0;
    CLOCK_HFCLKSTART = 1;
    clock_wait(&CLOCK_HFCLKSTARTED, 1u, 1u, "the 32 MHz crystal does not start");
    clock_wait(&CLOCK_HFCLKSTAT, HFCLKSTAT_RUNNING_CRYSTAL, HFCLKSTAT_RUNNING_CRYSTAL, "no switch to the crystal");
    NVMC_ICACHECNF = ICACHECNF_CACHEEN;
}

/* Console on the UART of Arm's CMSDK, as in the MPS2 boards (Arm DDI 0479, section 4.3). */
#include "board_config.h"
#include "cortex_m.h"
#include "port.h"
#include "system.h"

#define UART_DATA REGISTER(BOARD_CONSOLE_BASE + 0x00u)
#define UART_STATE REGISTER(BOARD_CONSOLE_BASE + 0x04u)
#define UART_CTRL REGISTER(BOARD_CONSOLE_BASE + 0x08u)
#define UART_BAUDDIV REGISTER(BOARD_CONSOLE_BASE + 0x10u)

#define STATE_TX_FULL BIT(0)
#define STATE_RX_FULL BIT(1)
#define CTRL_TX_ENABLE BIT(0)
#define CTRL_RX_ENABLE BIT(1)

void console_init(uint32_t kernel_hz)
{
    UART_BAUDDIV = (kernel_hz + BOARD_CONSOLE_BAUD / 2u) / BOARD_CONSOLE_BAUD;
    UART_CTRL = CTRL_TX_ENABLE | CTRL_RX_ENABLE;
}

int port_read_byte(void)
{
    return UART_STATE & STATE_RX_FULL ? (int)(UART_DATA & 0xFFu) : -1;
}

void port_write(const uint8_t *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        while (UART_STATE & STATE_TX_FULL)
            ;
        UART_DATA = data[i];
    }
}

void port_flush(void)
{
    while (UART_STATE & STATE_TX_FULL)
        ;
}

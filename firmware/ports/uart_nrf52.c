/* Console on the UART without DMA of the nRF52 (nRF52840 PS v1.8, section 6.33). */
#include "board_config.h"
#include "cortex_m.h"
#include "port.h"
#include "system.h"

#define UART(offset) REGISTER(BOARD_CONSOLE_BASE + (offset))
#define UART_STARTRX UART(0x000u)
#define UART_STARTTX UART(0x008u)
#define UART_RXDRDY UART(0x108u)
#define UART_TXDRDY UART(0x11Cu)
#define UART_ENABLE UART(0x500u)
#define UART_PSEL_RTS UART(0x508u)
#define UART_PSEL_TXD UART(0x50Cu)
#define UART_PSEL_CTS UART(0x510u)
#define UART_PSEL_RXD UART(0x514u)
#define UART_RXD UART(0x518u)
#define UART_TXD UART(0x51Cu)
#define UART_BAUDRATE UART(0x524u)
#define UART_CONFIG UART(0x56Cu)

#define PSEL(port, pin) ((port) << 5 | (pin))
#define PSEL_DISCONNECTED 0xFFFFFFFFu
#define ENABLE_ON 4u

/* TXDRDY tells that a byte has left; so it stands for "free" only after a first byte. */
static int sending;

/* The baud rate is a register constant: this UART always runs on 16 MHz. */
void console_init(uint32_t kernel_hz)
{
    (void)kernel_hz;
    UART_PSEL_TXD = PSEL(BOARD_CONSOLE_TX_PORT, BOARD_CONSOLE_TX_PIN);
    UART_PSEL_RXD = PSEL(BOARD_CONSOLE_RX_PORT, BOARD_CONSOLE_RX_PIN);
    UART_PSEL_RTS = PSEL_DISCONNECTED;
    UART_PSEL_CTS = PSEL_DISCONNECTED;
    UART_BAUDRATE = BOARD_CONSOLE_BAUD_REGISTER;
    UART_CONFIG = 0; /* no parity, one stop bit, no flow control */
    UART_ENABLE = ENABLE_ON;
    UART_RXDRDY = 0;
    UART_TXDRDY = 0;
    UART_STARTRX = 1;
    UART_STARTTX = 1;
}

int port_read_byte(void)
{
    if (!UART_RXDRDY)
        return -1;
    UART_RXDRDY = 0;
    return (int)(UART_RXD & 0xFFu);
}

void port_flush(void)
{
    if (!sending)
        return;
    while (!UART_TXDRDY)
        ;
    UART_TXDRDY = 0;
    sending = 0;
}

void port_write(const uint8_t *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        port_flush();
        UART_TXD = data[i];
        sending = 1;
    }
}

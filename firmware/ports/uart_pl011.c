/* Console on Arm's PrimeCell UART PL011 (Arm DDI 0183, chapter 3; RP2040 data sheet, section 4.2). */
#include "board_config.h"
#include "cortex_m.h"
#include "port.h"
#include "system.h"

#define UART_DR REGISTER(BOARD_CONSOLE_BASE + 0x00u)
#define UART_FR REGISTER(BOARD_CONSOLE_BASE + 0x18u)
#define UART_IBRD REGISTER(BOARD_CONSOLE_BASE + 0x24u)
#define UART_FBRD REGISTER(BOARD_CONSOLE_BASE + 0x28u)
#define UART_LCR_H REGISTER(BOARD_CONSOLE_BASE + 0x2Cu)
#define UART_CR REGISTER(BOARD_CONSOLE_BASE + 0x30u)

#define FR_BUSY BIT(3)
#define FR_RX_EMPTY BIT(4)
#define FR_TX_FULL BIT(5)
#define LCR_H_FIFO BIT(4)
#define LCR_H_8_BITS (3u << 5)
#define CR_ENABLE BIT(0)
#define CR_TX_ENABLE BIT(8)
#define CR_RX_ENABLE BIT(9)

/* The baud rate is kernel_hz / 16 / (IBRD + FBRD / 64), so the divider in 1/64 is 4 * kernel_hz / baud; it takes effect
 * with the write to LCR_H. */
void console_init(uint32_t kernel_hz)
{
    uint32_t divider = (4u * kernel_hz + BOARD_CONSOLE_BAUD / 2u) / BOARD_CONSOLE_BAUD;
    UART_CR = 0;
    UART_IBRD = divider >> 6;
    UART_FBRD = divider & 63u;
    UART_LCR_H = LCR_H_8_BITS | LCR_H_FIFO;
    UART_CR = CR_ENABLE | CR_TX_ENABLE | CR_RX_ENABLE;
}

int port_read_byte(void)
{
    return UART_FR & FR_RX_EMPTY ? -1 : (int)(UART_DR & 0xFFu);
}

void port_write(const uint8_t *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        while (UART_FR & FR_TX_FULL)
            ;
        UART_DR = data[i];
    }
}

void port_flush(void)
{
    while (UART_FR & FR_BUSY)
        ;
}

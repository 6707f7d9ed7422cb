/* Console on the USART of STM32F4 (RM0383 section 19.6). */
#include "board_config.h"
#include "cortex_m.h"
#include "port.h"
#include "system.h"

#define UART_SR REGISTER(BOARD_CONSOLE_BASE + 0x00u)
#define UART_DR REGISTER(BOARD_CONSOLE_BASE + 0x04u)
#define UART_BRR REGISTER(BOARD_CONSOLE_BASE + 0x08u)
#define UART_CR1 REGISTER(BOARD_CONSOLE_BASE + 0x0Cu)

#define SR_RXNE BIT(5)
#define SR_TC BIT(6)
#define SR_TXE BIT(7)
#define CR1_RE BIT(2)
#define CR1_TE BIT(3)
#define CR1_UE BIT(13)

void console_init(uint32_t kernel_hz)
{
    UART_CR1 = 0;
    UART_BRR = (kernel_hz + BOARD_CONSOLE_BAUD / 2u) / BOARD_CONSOLE_BAUD;
    UART_CR1 = CR1_UE | CR1_RE | CR1_TE;
}

/* Reading the data register after the status register also clears an overrun. */
int port_read_byte(void)
{
    return UART_SR & SR_RXNE ? (int)(UART_DR & 0xFFu) : -1;
}

void port_write(const uint8_t *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        while (!(UART_SR & SR_TXE))
            ;
        UART_DR = data[i];
    }
}

void port_flush(void)
{
    while (!(UART_SR & SR_TC))
        ;
}

/* Console on the USART or LPUART of STM32F7, H7 and L4 (RM0410 section 34.8, RM0432 section 51.7). */
#include "board_config.h"
#include "cortex_m.h"
#include "port.h"
#include "system.h"

#define UART_CR1 REGISTER(BOARD_CONSOLE_BASE + 0x00u)
#define UART_BRR REGISTER(BOARD_CONSOLE_BASE + 0x0Cu)
#define UART_ISR REGISTER(BOARD_CONSOLE_BASE + 0x1Cu)
#define UART_ICR REGISTER(BOARD_CONSOLE_BASE + 0x20u)
#define UART_RDR REGISTER(BOARD_CONSOLE_BASE + 0x24u)
#define UART_TDR REGISTER(BOARD_CONSOLE_BASE + 0x28u)

#define CR1_UE BIT(0)
#define CR1_RE BIT(2)
#define CR1_TE BIT(3)
#define ISR_ORE BIT(3)
#define ISR_RXNE BIT(5)
#define ISR_TC BIT(6)
#define ISR_TXE BIT(7)

/* An LPUART counts the baud rate in 1/256 of its kernel clock, a USART in whole cycles. */
#ifndef BOARD_CONSOLE_DIVIDER_SCALE
#define BOARD_CONSOLE_DIVIDER_SCALE 1u
#endif

/* kernel_hz * scale / baud, rounded, in 32 bits. */
static uint32_t divider(uint32_t kernel_hz)
{
    uint32_t whole = kernel_hz / BOARD_CONSOLE_BAUD, rest = kernel_hz % BOARD_CONSOLE_BAUD;
    return whole * BOARD_CONSOLE_DIVIDER_SCALE +
           (rest * BOARD_CONSOLE_DIVIDER_SCALE + BOARD_CONSOLE_BAUD / 2u) / BOARD_CONSOLE_BAUD;
}

void console_init(uint32_t kernel_hz)
{
    UART_CR1 = 0;
    UART_BRR = divider(kernel_hz);
    UART_CR1 = CR1_UE | CR1_RE | CR1_TE;
}

int port_read_byte(void)
{
    uint32_t status = UART_ISR;
    if (status & ISR_ORE)
        UART_ICR = ISR_ORE; /* an overrun blocks nothing, but would stay set; the protocol's checksum sees the gap */
    return status & ISR_RXNE ? (int)(UART_RDR & 0xFFu) : -1;
}

void port_write(const uint8_t *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        while (!(UART_ISR & ISR_TXE))
            ;
        UART_TDR = data[i];
    }
}

void port_flush(void)
{
    while (!(UART_ISR & ISR_TC))
        ;
}

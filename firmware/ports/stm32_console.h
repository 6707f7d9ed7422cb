/* Bus clocks and pins of the console on STM32: the same steps, at each family's addresses. */
#ifndef QUANTMCU_STM32_CONSOLE_H
#define QUANTMCU_STM32_CONSOLE_H

#include "board_config.h"
#include "stm32_gpio.h"

/* rcc: base of the reset and clock controller; gpio_enable: offset of its GPIO clock enable register;
 * gpio: address of GPIO port A. The UART's enable register is a fact of the board. */
static inline void stm32_console_connect(uint32_t rcc, uint32_t gpio_enable, uint32_t gpio)
{
    set_bits(&REGISTER(rcc + gpio_enable), BIT(BOARD_CONSOLE_TX_PORT) | BIT(BOARD_CONSOLE_RX_PORT));
    set_bits(&REGISTER(rcc + BOARD_CONSOLE_ENABLE_REGISTER), BIT(BOARD_CONSOLE_ENABLE_BIT));
    barrier(); /* a peripheral answers only some cycles after its clock came on (e.g. RM0410, section 5.2.12) */
    (void)REGISTER(rcc + BOARD_CONSOLE_ENABLE_REGISTER);
    gpio_alternate(gpio + GPIO_PORT_BYTES * BOARD_CONSOLE_TX_PORT, BOARD_CONSOLE_TX_PIN, BOARD_CONSOLE_ALTERNATE_FUNCTION);
    gpio_alternate(gpio + GPIO_PORT_BYTES * BOARD_CONSOLE_RX_PORT, BOARD_CONSOLE_RX_PIN, BOARD_CONSOLE_ALTERNATE_FUNCTION);
}

#endif

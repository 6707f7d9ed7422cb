/* GPIO of the STM32 families F4, F7, G4, H7, L4 and U5, which is the same in all of them (e.g. RM0410, section 6.4). */
#ifndef QUANTMCU_STM32_GPIO_H
#define QUANTMCU_STM32_GPIO_H

#include "cortex_m.h"

#define GPIO_MODER 0x00u
#define GPIO_OSPEEDR 0x08u
#define GPIO_BSRR 0x18u
#define GPIO_AFRL 0x20u
#define GPIO_MODE_OUTPUT 1u
#define GPIO_MODE_ALTERNATE 2u
#define GPIO_PORT_BYTES 0x400u
#define GPIO_SPEED_MEDIUM 1u

/* Gives pin `pin` (0-15) of the port at `base` to alternate function `function`. */
static inline void gpio_alternate(uint32_t base, uint32_t pin, uint32_t function)
{
    change_bits(&REGISTER(base + GPIO_AFRL + 4u * (pin / 8u)), 15u << (4u * (pin % 8u)), function << (4u * (pin % 8u)));
    change_bits(&REGISTER(base + GPIO_OSPEEDR), 3u << (2u * pin), GPIO_SPEED_MEDIUM << (2u * pin));
    change_bits(&REGISTER(base + GPIO_MODER), 3u << (2u * pin), GPIO_MODE_ALTERNATE << (2u * pin));
}

/* Pin `pin` of the port at `base` becomes an output that is high. */
static inline void gpio_high(uint32_t base, uint32_t pin)
{
    REGISTER(base + GPIO_BSRR) = BIT(pin);
    change_bits(&REGISTER(base + GPIO_MODER), 3u << (2u * pin), GPIO_MODE_OUTPUT << (2u * pin));
}

#endif

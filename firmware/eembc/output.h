/* Text on the console. */
#ifndef EEMBC_OUTPUT_H
#define EEMBC_OUTPUT_H

#include <stdint.h>

void print(const char *text);
void print_unsigned(uint64_t value);

/* Two hexadecimal digits. */
void print_hex_byte(uint8_t value);

/* With three decimals, rounded to the nearest; values beyond +-9e15 are cut to that. */
void print_real(float value);

#endif

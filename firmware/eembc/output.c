#include "output.h"

#include "port.h"

#include <string.h>

void print(const char *text)
{
    port_write((const uint8_t *)text, strlen(text));
}

void print_unsigned(uint64_t value)
{
    char digits[21];
    char *first = &digits[sizeof digits - 1];
    *first = '\0';
    do {
        *--first = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    print(first);
}

void print_hex_byte(uint8_t value)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t text[2] = {(uint8_t)digits[value >> 4], (uint8_t)digits[value & 15]};
    port_write(text, sizeof text);
}

void print_real(float value)
{
    const double limit = 9e15;
    double size = value < 0 ? -(double)value : (double)value;
    size = size < limit ? size : limit;
    const uint64_t thousandths = (uint64_t)(size * 1000 + 0.5);
    if (value < 0 && thousandths > 0) {
        print("-");
    }
    print_unsigned(thousandths / 1000);
    const uint32_t rest = (uint32_t)(thousandths % 1000);
    const char decimals[] = {'.', (char)('0' + rest / 100), (char)('0' + rest / 10 % 10), (char)('0' + rest % 10), '\0'};
    print(decimals);
}

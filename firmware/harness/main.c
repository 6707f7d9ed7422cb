/* The firmware's main program: greets, then answers the host for ever. */
#include "commands.h"
#include "frame.h"
#include "identity.h"
#include "port.h"
#include "protocol.h"
#include "quantmcu.h"
#include "requests.h"

static void print(const char *text)
{
    size_t length = 0;
    while (text[length] != '\0') {
        length++;
    }
    port_write((const uint8_t *)text, length);
}

static void print_number(uint32_t value)
{
    char digits[11];
    char *first = &digits[sizeof digits - 1];
    *first = '\0';
    do {
        *--first = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    print(first);
}

/* For a person who opens the port in a terminal. */
static void print_banner(void)
{
    print("\r\nQuantMCU: ");
    print(quantmcu_model_info.name);
    print(" on ");
    print(port_board_id);
    print(" at ");
    print_number(port_clock_hz);
    print(" Hz. This port speaks the QuantMCU protocol ");
    print_number(PROTOCOL_VERSION);
    print("; ask it with: quantmcu measure --on device\r\n");
}

int main(void)
{
    print_banner();
    quantmcu_init();
    requests_init();
    identity_greet();
    for (;;) {
        const int byte = port_read_byte();
        frame request;
        if (byte >= 0 && frame_receive((uint8_t)byte, &request)) {
            commands_answer(&request);
        }
    }
}

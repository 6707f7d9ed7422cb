/* Main program of the benchmark's firmware. */
#include "commands.h"
#include "network.h"
#include "port.h"
#include "stopwatch.h"

int main(void)
{
    network_init();
    commands_begin();
    for (;;) {
        const int byte = port_read_byte();
        stopwatch_look();
        if (byte >= 0) {
            commands_receive((char)byte);
        }
    }
}

/* The benchmark's commands: see README.md. */
#ifndef EEMBC_COMMANDS_H
#define EEMBC_COMMANDS_H

/* What the runner waits for after a reset. */
void commands_begin(void);

/* The next character from the runner; `%` carries out the command before it. */
void commands_receive(char character);

#endif

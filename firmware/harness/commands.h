/* Answers to the host's requests (protocol.h). */
#ifndef QUANTMCU_COMMANDS_H
#define QUANTMCU_COMMANDS_H

#include "frame.h"

/* Carries out one request and sends its answer, or an error. A request that comes again, because its answer was
 * lost or the line doubled it, is answered again; runs are not carried out a second time. */
void commands_answer(const frame *request);

/* Whether the host has sent the present request before, and it was done then. */
bool commands_repeated(void);

/* How many requests came again since reset. */
uint32_t commands_repetitions(void);

#endif

/* Answers to the host's requests (protocol.h). */
#ifndef QUANTMCU_COMMANDS_H
#define QUANTMCU_COMMANDS_H

#include "frame.h"

/* Sends the frame that tells the host of a reset. */
void commands_greet(void);

/* Carries out one request and sends its answer, or an error. A request that comes again, because its answer was
 * lost or the line doubled it, is answered again; a run is not carried out a second time. */
void commands_answer(const frame *request);

#endif

/* Inputs on demand: asks the host for the parts that a run needs. */
#ifndef QUANTMCU_REQUESTS_H
#define QUANTMCU_REQUESTS_H

#include <stdbool.h>

#include "frame.h"

/* Becomes the reader of all inputs. */
void requests_init(void);

/* Whether the network has inputs on demand. */
bool requests_possible(void);

/* From now on parts are asked for on behalf of the request `run`; NULL: nobody delivers, the network computes on whatever lies
 * in its memory. */
void requests_begin(const frame *run);

/* Ends that. False when the host turned to something else in the middle, so that the results are void. */
bool requests_end(void);

#endif

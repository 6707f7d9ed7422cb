/* Requests about what the firmware is: board, network, its tensors and steps. */
#ifndef QUANTMCU_IDENTITY_H
#define QUANTMCU_IDENTITY_H

#include "handler.h"

/* Sends the frame that tells the host of a reset. */
void identity_greet(void);

request_handler identity_tell;
request_handler identity_describe_tensor;
request_handler identity_describe_step;

#endif

/* Requests that load inputs, run the network, time it and read its outputs. */
#ifndef QUANTMCU_INFERENCE_H
#define QUANTMCU_INFERENCE_H

#include "handler.h"

request_handler inference_load;
request_handler inference_run;
request_handler inference_profile;
request_handler inference_read_output;

#endif

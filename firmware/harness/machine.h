/* Requests about the machine: memory marks, faults, the line, reset. */
#ifndef QUANTMCU_MACHINE_H
#define QUANTMCU_MACHINE_H

#include "handler.h"

request_handler machine_marks;
request_handler machine_read_fault;
request_handler machine_clear_fault;
request_handler machine_echo;
request_handler machine_counters;
request_handler machine_reset;

#endif

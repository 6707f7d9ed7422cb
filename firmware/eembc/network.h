/* The network between the benchmark's bytes and real numbers. */
#ifndef EEMBC_NETWORK_H
#define EEMBC_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void network_init(void);

/* Bytes of all inputs together as codes, and as floats; the latter is 0 where an input does not have 8 bits. */
size_t network_code_bytes(void);
size_t network_float_bytes(void);

/* Announces data of so many bytes; false when it is neither of the two. */
bool network_expect(size_t bytes);

/* How many bytes were announced, and how many of them are missing. */
size_t network_expected(void);
size_t network_missing(void);

/* Takes the next byte. Nothing must be missing no more. */
void network_take(uint8_t byte);

/* Code `index` of the data taken so far, of network_stored() ones. */
uint8_t network_stored_code(size_t index);
size_t network_stored(void);

/* One inference on the data. */
void network_run(void);

/* Prints all outputs as real numbers, with commas between. */
void network_print_results(void);

#endif

/* The port to a POSIX process: the harness natively, for tests and for sanitizers.
 *
 * The console is standard input and output (a pipe or a pseudo-terminal); the clock is a nanosecond counter that wraps
 * as a board's cycle counter does; a reset, or a fault, starts the program anew, as it does on a board.
 */
#define _POSIX_C_SOURCE 200809L /* beside strict C11 */

#include "port.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef QUANTMCU_BOARD_ID
#define QUANTMCU_BOARD_ID "posix"
#endif

/* GCC defines __SANITIZE_ADDRESS__, clang answers __has_feature. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif

const char port_board_id[] = QUANTMCU_BOARD_ID;
const uint32_t port_clock_hz = 1000000000u;

enum { POLL_MILLISECONDS = 20 };

/* The record survives a reset in an unlinked file, whose descriptor the environment names. */
static const char fault_variable[] = "QUANTMCU_FAULT_FILE";
static int fault_file = -1;
static port_fault_record fault;
static char **arguments;

static _Noreturn void start_anew(void)
{
    execv(arguments[0], arguments);
    _exit(127);
}

#ifndef __SANITIZE_ADDRESS__
/* A sanitized build leaves faults to the sanitizer's report. */
static void record_fault(int signal_number, siginfo_t *information, void *context)
{
    (void)context;
    const int bad_instruction = signal_number == SIGILL;
    const port_fault_record record = {
        .magic = PORT_FAULT_MAGIC,
        .cause = bad_instruction ? 6 : 5,
        .address = bad_instruction ? 0 : (uint32_t)(uintptr_t)information->si_addr,
        .pc = bad_instruction ? (uint32_t)(uintptr_t)information->si_addr : 0,
    };
    if (pwrite(fault_file, &record, sizeof record, 0) != (ssize_t)sizeof record) {
        _exit(126);
    }
    start_anew();
}

static void catch_faults(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = record_fault;
    action.sa_flags = SA_SIGINFO | SA_NODEFER; /* the signal must not stay blocked in the new program */
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGILL, &action, NULL);
}
#else
static void catch_faults(void)
{
}
#endif

static void open_fault_file(void)
{
    const char *inherited = getenv(fault_variable);
    if (inherited != NULL) {
        fault_file = atoi(inherited);
    } else {
        FILE *file = tmpfile();
        char number[12];
        if (file == NULL) {
            perror("QuantMCU: cannot create a temporary file");
            exit(126);
        }
        fault_file = dup(fileno(file)); /* without close-on-exec */
        snprintf(number, sizeof number, "%d", fault_file);
        setenv(fault_variable, number, 1);
    }
    if (pread(fault_file, &fault, sizeof fault, 0) != (ssize_t)sizeof fault) {
        fault.magic = 0;
    }
}

void port_init(void)
{
    open_fault_file();
    catch_faults();
}

/* There is no reset handler here; the C start-up calls this before main, with main's arguments on Linux and macOS. */
__attribute__((constructor)) static void start(int count, char **values)
{
    (void)count;
    arguments = values;
    port_init();
}

int port_read_byte(void)
{
    static uint8_t buffer[4096];
    static ssize_t length, next;
    if (next < length) {
        return buffer[next++];
    }
    /* A board polls its UART; a process must not burn the processor meanwhile. */
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    if (poll(&input, 1, POLL_MILLISECONDS) <= 0) {
        return -1;
    }
    next = 0;
    length = read(STDIN_FILENO, buffer, sizeof buffer);
    if (length == 0 || (length < 0 && errno != EINTR && errno != EAGAIN)) {
        exit(0); /* the host has gone */
    }
    return length > 0 ? buffer[next++] : -1;
}

void port_write(const uint8_t *data, size_t length)
{
    while (length > 0) {
        const ssize_t written = write(STDOUT_FILENO, data, length);
        if (written < 0 && errno != EINTR && errno != EAGAIN) {
            exit(0);
        }
        const size_t advance = written > 0 ? (size_t)written : 0;
        data += advance;
        length -= advance;
    }
}

void port_flush(void)
{
}

uint32_t port_cycles(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
}

_Noreturn void port_reset(void)
{
    start_anew();
}

size_t port_stack_used(void)
{
    return 0; /* the operating system's stack is not painted */
}

size_t port_stack_size(void)
{
    return 0;
}

const port_fault_record *port_last_fault(void)
{
    return fault.magic == PORT_FAULT_MAGIC ? &fault : NULL;
}

void port_clear_fault(void)
{
    memset(&fault, 0, sizeof fault);
    if (pwrite(fault_file, &fault, sizeof fault, 0) != (ssize_t)sizeof fault) {
        _exit(126);
    }
}

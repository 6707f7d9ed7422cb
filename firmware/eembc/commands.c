#include "commands.h"

#include "eembc_config.h"
#include "network.h"
#include "output.h"
#include "stopwatch.h"

#include <stdbool.h>
#include <string.h>

enum { COMMAND_BYTES = 80, DEFAULT_WARMUPS = 10, BYTES_PER_LINE = 8 };

static const char terminator = '%';
static const char firmware_version[] = "ULPMark for tinyML Firmware V0.0.1"; /* by which the runners know a device */
static const char vendor[] = "QuantMCU";

static char command[COMMAND_BYTES + 1];
static size_t length;
static char *rest;       /* of the command, behind the words that were taken */
static bool has_results; /* a run was the last thing that happened to the network's memory */

/* The next word of the command; NULL at its end. */
static const char *next_word(void)
{
    while (*rest == ' ') {
        rest++;
    }
    if (*rest == '\0') {
        return NULL;
    }
    char *word = rest;
    while (*rest != ' ' && *rest != '\0') {
        rest++;
    }
    if (*rest == ' ') {
        *rest++ = '\0';
    }
    return word;
}

static bool is(const char *word, const char *name)
{
    const size_t size = strlen(name) + 1;
    return strlen(word) + 1 == size && memcmp(word, name, size) == 0;
}

/* A whole number of at most nine digits; -1 for anything else. */
static int32_t number(const char *word)
{
    int32_t value = 0;
    const size_t digits = strlen(word);
    for (size_t i = 0; i < digits; i++) {
        if (word[i] < '0' || word[i] > '9') {
            return -1;
        }
        value = value * 10 + (word[i] - '0');
    }
    return digits >= 1 && digits <= 9 ? value : -1;
}

static int hex_digit(char character)
{
    if (character >= '0' && character <= '9') {
        return character - '0';
    }
    const char lower = (char)(character | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static void print_line(const char *start, uint64_t value, const char *end)
{
    print(start);
    print_unsigned(value);
    print(end);
}

static void timestamp(void)
{
    print_line("m-lap-us-", stopwatch_microseconds(), "\r\n");
}

static void name(void)
{
    print("m-name-dut-[");
    print(vendor);
    print("]\r\n");
}

static void profile(void)
{
    print("m-profile-[");
    print(firmware_version);
    print("]\r\nm-model-[");
    print(EEMBC_MODEL);
    print("]\r\n");
}

static void help(void)
{
    print(firmware_version);
    print("\r\n\r\n"
          "help         : Print this\r\n"
          "name         : Print the name of the device\r\n"
          "profile      : Print the profile and the model\r\n"
          "timestamp    : Print the time since reset in microseconds\r\n"
          "db SUBCMD    : Manipulate the buffer of the input\r\n"
          "  load N     : Expect N bytes\r\n"
          "  HH[HH]*    : Load hexadecimal bytes until N have come\r\n"
          "  print      : Print the codes that were loaded\r\n"
          "infer N [W]  : Run N inferences after W warm-up ones (default 1 and 10)\r\n"
          "results      : Print the outputs as real numbers\r\n");
}

static void results(void)
{
    if (!has_results) {
        print("e-[There are no results: infer first]\r\n");
        return;
    }
    print("m-results-[");
    network_print_results();
    print("]\r\n");
}

static void load(void)
{
    const char *word = next_word();
    if (word == NULL) {
        print("e-[Command 'db load' requires the # of bytes]\r\n");
        return;
    }
    const int32_t bytes = number(word);
    if (bytes <= 0) {
        print("e-[Command 'db load' must be >0 bytes]\r\n");
        return;
    }
    if (network_expect((size_t)bytes)) {
        print_line("m-[Expecting ", (uint64_t)bytes, " bytes]\r\n");
        return;
    }
    print_line("e-[The input takes ", network_code_bytes(), " bytes");
    if (network_float_bytes() != 0) {
        print_line(", or ", network_float_bytes(), " bytes of floats");
    }
    print("]\r\n");
}

static void print_buffer(void)
{
    const size_t count = network_stored();
    for (size_t i = 0; i < count; i++) {
        print(i % BYTES_PER_LINE == 0 ? "m-buffer-" : "-");
        print_hex_byte(network_stored_code(i));
        if ((i + 1) % BYTES_PER_LINE == 0 || i + 1 == count) {
            print("\r\n");
        }
    }
}

static void take_hex(const char *word)
{
    if (strlen(word) % 2 != 0) {
        print("e-[Insufficent number of hex digits]\r\n");
        return;
    }
    if (network_missing() == 0) {
        print("e-[Command 'db load' must come first]\r\n");
        return;
    }
    for (; *word != '\0' && network_missing() > 0; word += 2) {
        const int high = hex_digit(word[0]), low = hex_digit(word[1]);
        if (high < 0 || low < 0) {
            const char digits[] = {word[0], word[1], '\0'};
            print("e-[Invalid hex digit '");
            print(digits);
            print("']\r\n");
            return;
        }
        network_take((uint8_t)(high << 4 | low));
    }
    if (network_missing() == 0) {
        print("m-load-done\r\n"); /* what is left of the digits is disregarded */
    }
}

static void buffer(void)
{
    const char *word = next_word();
    if (word == NULL) {
        print("e-[Command 'db' requires a subcommand]\r\n");
    } else if (is(word, "load")) {
        load();
    } else if (is(word, "print")) {
        print_buffer();
    } else {
        take_hex(word);
    }
}

static void run_timed(int32_t inferences, int32_t warmups)
{
    print_line("m-warmup-start-", (uint64_t)warmups, "\r\n");
    for (int32_t i = 0; i < warmups; i++) {
        network_run();
    }
    print("m-warmup-done\r\n");
    print_line("m-infer-start-", (uint64_t)inferences, "\r\n");
    timestamp();
    for (int32_t i = 0; i < inferences; i++) {
        network_run();
    }
    timestamp();
    print("m-infer-done\r\n");
    has_results = true;
    results();
}

static void infer(void)
{
    const char *count = next_word();
    const char *before = count == NULL ? NULL : next_word();
    const int32_t inferences = count == NULL ? 1 : number(count);
    const int32_t warmups = before == NULL ? DEFAULT_WARMUPS : number(before);
    if (inferences <= 0) {
        print("e-[Inference iterations must be >0]\r\n");
    } else if (warmups < 0) {
        print("e-[Inference warmup must be >=0]\r\n");
    } else if (network_expected() == 0 || network_missing() > 0) {
        print_line("e-[The input is not loaded: ", network_missing(), " bytes are missing]\r\n");
    } else {
        run_timed(inferences, warmups);
    }
}

static void carry_out(void)
{
    static const struct {
        const char *name;
        void (*action)(void);
    } known[] = {
        {"name", name}, {"timestamp", timestamp}, {"profile", profile}, {"help", help},
        {"db", buffer}, {"infer", infer},         {"results", results},
    };
    rest = command;
    const char *word = next_word();
    if (word == NULL) {
        return; /* a lone terminator makes sure that the next command is read from its start */
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (is(word, known[i].name)) {
            known[i].action();
            return;
        }
    }
    print("e-[Unknown command: ");
    print(word);
    print("]\r\n");
}

void commands_begin(void)
{
    print("m-timestamp-mode-performance\r\n");
    timestamp();
    print("m-init-done\r\nm-ready\r\n");
}

void commands_receive(char character)
{
    if (character == terminator) {
        command[length] = '\0';
        carry_out();
        length = 0;
        print("m-ready\r\n");
    } else if (character != '\r' && character != '\n' && length < COMMAND_BYTES) {
        command[length++] = character;
    }
}

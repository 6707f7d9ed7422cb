/* Runs single kernels on the host: reads memory blocks and calls from standard input, writes the output block back.
 * Each block is an allocation of its exact size, so that AddressSanitizer sees every access outside of it.
 * KERNEL_FUNCTIONS is defined by the test as X(name) X(name) ... */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define X(name) extern void name(void);
KERNEL_FUNCTIONS
#undef X
#define X(name) name,
static void (*const functions[])(void) = {KERNEL_FUNCTIONS};
#undef X

typedef void (*Kernel)(uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t);

static int64_t number(void)
{
    int64_t value;
    if (fread(&value, sizeof value, 1, stdin) != 1)
        exit(0);
    return value;
}

int main(void)
{
    for (;;) {
        const size_t block_count = (size_t)number();
        const size_t output = (size_t)number();
        char **blocks = calloc(block_count, sizeof *blocks);
        size_t *sizes = calloc(block_count, sizeof *sizes);
        for (size_t i = 0; i < block_count; i++) {
            sizes[i] = (size_t)number();
            blocks[i] = malloc(sizes[i]);
            if (fread(blocks[i], 1, sizes[i], stdin) != sizes[i])
                return 1;
        }
        for (int64_t count = number(); count > 0; count--) { /* pointers inside blocks */
            const int64_t block = number(), offset = number(), target = number(), target_offset = number();
            *(char **)(void *)(blocks[block] + offset) = blocks[target] + target_offset;
        }
        for (int64_t count = number(); count > 0; count--) {
            const int64_t function = number();
            uintptr_t arguments[8] = {0};
            const int64_t argument_count = number();
            for (int64_t i = 0; i < argument_count; i++) {
                const int64_t block = number(), value = number(); /* block -1: an integer */
                arguments[i] = block < 0 ? (uintptr_t)value : (uintptr_t)(blocks[block] + value);
            }
            ((Kernel)functions[function])(arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
                                          arguments[5], arguments[6], arguments[7]);
        }
        fwrite(blocks[output], 1, sizes[output], stdout);
        fflush(stdout);
        for (size_t i = 0; i < block_count; i++)
            free(blocks[i]);
        free(blocks);
        free(sizes);
    }
}

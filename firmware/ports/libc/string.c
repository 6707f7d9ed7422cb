/* What compilers call by themselves; the copies go by words. */
#include "string.h"

#include <stdint.h>

#if defined(__GNUC__) && !defined(__clang__)
/* else GCC turns the loops below into calls of the functions that they define */
#pragma GCC optimize("no-tree-loop-distribute-patterns")
#endif

typedef uint32_t __attribute__((may_alias)) word;

#define ALIGNED(pointer) (((uintptr_t)(pointer) & 3u) == 0)

/* From the lowest address upwards: right where the target does not begin inside the source. */
static void copy_upwards(uint8_t *out, const uint8_t *in, size_t bytes)
{
    for (; bytes && !ALIGNED(out); bytes--)
        *out++ = *in++;
    unsigned before = (uintptr_t)in & 3u; /* bytes of the word around `in` that come before it */
    if (before == 0) {
        for (; bytes >= 16; bytes -= 16, out += 16, in += 16) {
            word a = ((const word *)in)[0], b = ((const word *)in)[1];
            word c = ((const word *)in)[2], d = ((const word *)in)[3];
            ((word *)out)[0] = a;
            ((word *)out)[1] = b;
            ((word *)out)[2] = c;
            ((word *)out)[3] = d;
        }
        for (; bytes >= 4; bytes -= 4, out += 4, in += 4)
            *(word *)out = *(const word *)in;
    } else if (bytes >= 8) { /* each word from two of the source (little-endian), none of which reaches beyond its end */
        word held = 0;
        for (unsigned i = 0; i < 4 - before; i++)
            held |= (word)in[i] << (8 * i);
        const word *next = (const word *)(in + (4 - before));
        for (; bytes >= 8 - before; bytes -= 4, out += 4, in += 4) {
            word fresh = *next++;
            *(word *)out = held | fresh << (8 * (4 - before));
            held = fresh >> (8 * before);
        }
    }
    while (bytes--)
        *out++ = *in++;
}

/* Without `restrict`: clang would join neighbouring bytes to words, at addresses that are not multiples of 4. */
void *memcpy(void *to, const void *from, size_t bytes)
{
    copy_upwards(to, from, bytes);
    return to;
}

void *memmove(void *to, const void *from, size_t bytes)
{
    uint8_t *out = to;
    const uint8_t *in = from;
    if ((uintptr_t)out - (uintptr_t)in >= bytes) {
        copy_upwards(out, in, bytes);
        return to;
    }
    out += bytes;
    in += bytes;
    if (ALIGNED(out) && ALIGNED(in))
        for (; bytes >= 4; bytes -= 4)
            *(word *)(out -= 4) = *(const word *)(in -= 4);
    while (bytes--)
        *--out = *--in;
    return to;
}

void *memset(void *to, int value, size_t bytes)
{
    uint8_t *out = to;
    for (; bytes && !ALIGNED(out); bytes--)
        *out++ = (uint8_t)value;
    word pattern = (uint8_t)value * 0x01010101u;
    for (; bytes >= 4; bytes -= 4, out += 4)
        *(word *)out = pattern;
    while (bytes--)
        *out++ = (uint8_t)value;
    return to;
}

int memcmp(const void *a, const void *b, size_t bytes)
{
    const uint8_t *left = a, *right = b;
    for (; bytes--; left++, right++)
        if (*left != *right)
            return *left - *right;
    return 0;
}

size_t strlen(const char *text)
{
    size_t length = 0;
    while (text[length])
        length++;
    return length;
}

#include "patches.h"

#include <string.h>

void qmcu_copy_rectangle(const qmcu_rectangle *part, const uint8_t *source, uint8_t *target)
{
    source += part->source;
    target += part->target;
    for (uint32_t row = 0; row < part->rows; row++) {
        memcpy(target, source, part->row_bytes);
        source += part->source_stride;
        target += part->target_stride;
    }
}

void qmcu_take_rows(const qmcu_carry *carry, const uint8_t *store, uint8_t *map)
{
    memmove(map, store + carry->taken_from, carry->carried);
}

void qmcu_keep_rows(const qmcu_carry *carry, const uint8_t *map, uint8_t *store)
{
    if (carry->kept > 0) {
        memcpy(store, map + carry->kept_from, carry->kept);
    }
}

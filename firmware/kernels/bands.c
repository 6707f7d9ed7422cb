#include "bands.h"

static int32_t row_bytes(const qmcu_band_map *map)
{
    return map->row_pixels * qmcu_packed_bytes(map->channels, map->bits);
}

static int32_t clip(int32_t row, int32_t height)
{
    return row < 0 ? 0 : row > height ? height : row;
}

/* The codes of a band of an input. */
static const uint8_t *read_band(const qmcu_band_map *map, int32_t band, const uint8_t *codes, uint8_t *scratch)
{
    const int32_t first = band * map->step - map->before;
    if (map->place < 0)
        return codes + first * row_bytes(map);
    const int32_t row_codes = map->row_pixels * map->channels;
    const int32_t from = clip(first, map->height), to = clip(first + map->rows, map->height);
    uint8_t *const target = scratch + map->place;
    const size_t above = (size_t)((from - first) * row_codes), inside = (size_t)((to - from) * row_codes);
    const size_t below = (size_t)(map->rows * row_codes) - above - inside;
    if (above > 0)
        __builtin_memset(target, map->padding, above);
    qmcu_unpack_map(codes + from * row_bytes(map), target + above, (to - from) * map->row_pixels, map->channels, map->bits);
    if (below > 0)
        __builtin_memset(target + above + inside, map->padding, below);
    return target;
}

void qmcu_run_bands(const qmcu_bands *bands, const void *layer, const uint8_t *a, const uint8_t *b, uint8_t *output,
                    void *scratch, qmcu_band_function compute)
{
    const qmcu_band_map *const result = &bands->output;
    uint8_t *const memory = scratch;
    for (int32_t band = 0; band < bands->bands; band++) {
        uint8_t *const rows = output + band * result->step * row_bytes(result);
        uint8_t *const codes = result->place < 0 ? rows : memory + result->place;
        const uint8_t *const first = read_band(&bands->maps[0], band, a, memory);
        const uint8_t *const second = bands->inputs < 2 ? NULL : read_band(&bands->maps[1], band, b, memory);
        compute(layer, first, second, codes, memory + bands->scratch);
        if (result->place >= 0)
            qmcu_pack_map(codes, rows, result->rows * result->row_pixels, result->channels, result->bits);
    }
}

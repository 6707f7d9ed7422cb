/* The public interface of a network compiled by QuantMCU.
 *
 *     quantmcu_init();
 *     memcpy(quantmcu_input(0)->data, image, quantmcu_input(0)->bytes);
 *     quantmcu_run();
 *     const uint8_t *scores = quantmcu_output(0)->data;
 *
 * No heap, no libc beyond memcpy/memset, not reentrant: one network, one set of static buffers.
 * The input buffer shares its memory with later feature maps: write it anew before each run.
 *
 * A network compiled with --input-on-demand has no input buffer (data is a null pointer). It asks for the parts that it
 * needs while it runs, some of them more than once:
 *
 *     static void read_image(void *camera, const quantmcu_rectangle *part, uint8_t *target) { ... }
 *     quantmcu_set_reader(0, read_image, &camera);
 *     quantmcu_run();
 */
#ifndef QUANTMCU_H
#define QUANTMCU_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QUANTMCU_API_VERSION 1
#define QUANTMCU_MAX_RANK 6

/* An input or output of the network. Real value of a code q: scale * (q - zero_point).
 * Codes of 4 and 2 bits are packed densely along the last axis, lowest bits first. */
typedef struct {
    const char *name;
    void *data; /* a null pointer: an input on demand */
    size_t bytes;
    uint8_t bits; /* 8, 4 or 2: unsigned codes; 32: int32 values (scale 1, zero point 0) */
    uint8_t rank;
    int32_t shape[QUANTMCU_MAX_RANK]; /* images are NHWC, the batch (1) included */
    float scale;
    int32_t zero_point;
} quantmcu_tensor;

/* What the network is; constant, for logs, checks and profilers. */
typedef struct {
    const char *name;
    const char *sha256; /* of the compiled program: 64 hexadecimal digits */
    size_t input_count;
    size_t output_count;
    size_t step_count;
    const char *const *step_names; /* step_count layer names */
    size_t part_count;             /* a run is so many parts: a step of a patch stage has one for each patch */
    size_t arena_bytes; /* static memory of feature maps and scratch, over all memory regions */
} quantmcu_model;

extern const quantmcu_model quantmcu_model_info;

/* Prepares the network. Call once before the first run. */
void quantmcu_init(void);

/* Runs the network, from the input buffers to the output buffers. */
void quantmcu_run(void);

/* Runs one part, 0 <= part < part_count. A run is all parts in order; profilers time each. */
void quantmcu_run_part(size_t part);

/* The step that a part belongs to, 0 <= step < step_count. */
size_t quantmcu_part_step(size_t part);

/* A rectangle of an input, in pixels; a pixel has all channels. */
typedef struct {
    uint32_t row;
    uint32_t column;
    uint32_t rows;
    uint32_t columns;
} quantmcu_rectangle;

/* Writes a rectangle of an input to `target`, row after row without gaps, as codes of the input's tensor. */
typedef void (*quantmcu_reader)(void *context, const quantmcu_rectangle *part, uint8_t *target);

/* Says who delivers an input on demand. To be called before the first run; does nothing for other inputs. */
void quantmcu_set_reader(size_t index, quantmcu_reader reader, void *context);

/* Descriptor of an input or output; a null pointer when the index is out of range. */
const quantmcu_tensor *quantmcu_input(size_t index);
const quantmcu_tensor *quantmcu_output(size_t index);

#ifdef __cplusplus
}
#endif

#endif

/* Callbacks that Unicorn calls from inside the emulation, where Python would be ten times too slow.
 *
 * Compiled position-independent and without relocations (build.py), and shipped as machine code, so that users need no
 * compiler. It therefore calls nothing by name: functions of Unicorn and of Python come as pointers in the structures,
 * which quantmcu/emulator/hook/__init__.py mirrors with ctypes.
 */
#include <stdint.h>

typedef struct uc_engine uc_engine;

/* One way through the program: the block `to` executed directly after the block `from`. Block and edge costs are
 * computed once, when the edge is first taken. */
typedef struct {
    uint32_t from;
    uint32_t to;
    uint16_t from_size; /* bytes */
    uint16_t to_size;
    uint32_t half_cycles;  /* cost of one pass, without misprediction */
    uint32_t instructions; /* in the block `to` */
    uint32_t reserved;
    uint64_t count; /* 0: free slot */
    uint64_t mispredicted;
    uint64_t stall_cycles; /* of the memory model, in the block `to` */
} edge_t;

/* A cache with least-recently-used replacement. Without ways, every access misses. */
typedef struct {
    uint32_t *lines;  /* by set and way: number of the line that is held, plus one; 0: empty */
    uint32_t *used;   /* by set and way: when it was used last */
    uint32_t set_mask; /* sets - 1, a power of two less one */
    uint32_t ways;
    uint32_t line_shift; /* log2 of the bytes of a line */
    uint32_t now;
    uint32_t latest; /* the line of the access before, plus one */
    uint32_t reserved;
    uint64_t misses;
} cache_t;

/* Memory with wait states: what a missing line costs. */
typedef struct {
    uint32_t origin;
    uint32_t size;
    uint32_t fetch_cycles;
    uint32_t read_cycles;
} slow_memory_t;

enum { SLOW_MEMORIES = 4 };

typedef struct {
    cache_t instructions;
    cache_t data;
    slow_memory_t memories[SLOW_MEMORIES]; /* of size 0: none */
    uint64_t stall_cycles;
    uint64_t *stall_cycles_of_block; /* the current block's share */
    int (*write_register)(uc_engine *engine, int id, const void *value);
    int32_t epsr_id; /* UC_ARM_REG_EPSR */
    uint32_t write_type; /* UC_MEM_WRITE */
} memory_model_t;

/* Two-bit saturating counter and last target of the branch that ends the block at `block`. */
typedef struct {
    uint32_t block;
    uint32_t target;
    uint32_t counter;
} prediction_t;

typedef struct {
    uc_engine *engine;
    edge_t *edges; /* hash table with linear probing */
    prediction_t *predictions;
    void (*cost_of_edge)(edge_t *edge);  /* fills in half_cycles and instructions */
    int (*stop)(uc_engine *engine);      /* uc_emu_stop */
    uint64_t half_cycles;
    uint64_t instructions;
    uint64_t instruction_limit;
    uint32_t edge_mask;       /* slots - 1, a power of two less one */
    uint32_t edges_used;
    uint32_t prediction_mask;
    uint32_t misprediction_half_cycles;
    uint32_t previous;      /* address of the block before; its size is 0 after a reset or an exception */
    uint32_t previous_size;
    uint32_t stop_requested; /* set from outside: stop before the next block */
    uint32_t stopped;        /* why the hook stopped the emulation: STOPPED_... */
    memory_model_t *memory;  /* or null: memory without wait states */
} block_counter_t;

enum { STOPPED_NOT = 0, STOPPED_AT_LIMIT = 1, STOPPED_TABLE_FULL = 2, STOPPED_ON_REQUEST = 3 };

static uint32_t mispredicted(block_counter_t *counter, uint32_t address) {
    prediction_t *p = &counter->predictions[(counter->previous >> 1) & counter->prediction_mask];
    uint32_t miss = 0;
    if (p->block != counter->previous) {
        p->block = counter->previous;
        p->counter = 0;
    }
    if (address != counter->previous + counter->previous_size) {
        miss = p->counter < 2 || p->target != address;
        if (p->counter < 3) {
            p->counter++;
        }
        p->target = address;
    } else {
        miss = p->counter >= 2;
        if (p->counter > 0) {
            p->counter--;
        }
    }
    return miss;
}

static void stop(block_counter_t *counter, uint32_t reason) {
    counter->stopped = reason;
    counter->stop(counter->engine);
}

/* Whether the line is missing; it is held afterwards. */
static uint32_t cache_misses(cache_t *cache, uint32_t line) {
    if (cache->latest == line + 1) {
        return 0;
    }
    if (cache->ways == 0) {
        cache->misses++;
        return 1;
    }
    const uint32_t first = (line & cache->set_mask) * cache->ways;
    uint32_t *lines = &cache->lines[first];
    uint32_t *used = &cache->used[first];
    uint32_t oldest = 0;
    cache->latest = line + 1;
    cache->now++;
    for (uint32_t way = 0; way < cache->ways; way++) {
        if (lines[way] == line + 1) {
            used[way] = cache->now;
            return 0;
        }
        if (used[way] < used[oldest]) {
            oldest = way;
        }
    }
    lines[oldest] = line + 1;
    used[oldest] = cache->now;
    cache->misses++;
    return 1;
}

static const slow_memory_t *slow_memory_at(const memory_model_t *memory, uint32_t address) {
    for (int i = 0; i < SLOW_MEMORIES; i++) {
        if (address - memory->memories[i].origin < memory->memories[i].size) {
            return &memory->memories[i];
        }
    }
    return 0;
}

static void fetch_block(memory_model_t *memory, uint32_t address, uint32_t size) {
    const slow_memory_t *slow = slow_memory_at(memory, address);
    if (slow == 0 || size == 0) {
        return;
    }
    const uint32_t last = (address + size - 1) >> memory->instructions.line_shift;
    uint64_t stalls = 0;
    for (uint32_t line = address >> memory->instructions.line_shift; line <= last; line++) {
        stalls += cache_misses(&memory->instructions, line) * slow->fetch_cycles;
    }
    memory->stall_cycles += stalls;
    *memory->stall_cycles_of_block += stalls;
}

static void clear_it_state(uc_engine *engine, int (*write_register)(uc_engine *, int, const void *), int epsr_id) {
    /* Unicorn 2.1 leaves a stale ITSTATE behind when a memory hook runs inside an IT block. */
    const uint32_t epsr_thumb = 1u << 24;
    write_register(engine, epsr_id, &epsr_thumb);
}

/* UC_HOOK_MEM_READ, UC_HOOK_MEM_WRITE. A write fetches its line, but nothing waits for it. */
void time_access(uc_engine *engine, uint32_t type, uint64_t address64, int size, int64_t value, memory_model_t *memory) {
    (void)value;
    clear_it_state(engine, memory->write_register, memory->epsr_id);
    const uint32_t address = (uint32_t)address64;
    const slow_memory_t *slow = slow_memory_at(memory, address);
    if (slow == 0 || size <= 0) {
        return;
    }
    const uint32_t cycles = type == memory->write_type ? 0 : slow->read_cycles;
    const uint32_t last = (address + (uint32_t)size - 1) >> memory->data.line_shift;
    for (uint32_t line = address >> memory->data.line_shift; line <= last; line++) {
        const uint32_t stalls = cache_misses(&memory->data, line) * cycles;
        memory->stall_cycles += stalls;
        *memory->stall_cycles_of_block += stalls;
    }
}

/* UC_HOOK_BLOCK. This is the one place that stops the emulation: here, nothing of the block has been executed or
 * counted, and it can go on later as if nothing had happened. A stop from within a memory-mapped register's callback
 * would execute the access a second time. */
void count_block(uc_engine *engine, uint64_t address64, uint32_t size, block_counter_t *counter) {
    (void)engine;
    if (counter->stop_requested != 0) {
        stop(counter, STOPPED_ON_REQUEST);
        return;
    }
    if (counter->instructions >= counter->instruction_limit) {
        stop(counter, STOPPED_AT_LIMIT);
        return;
    }
    const uint32_t address = (uint32_t)address64;
    uint32_t miss = 0;
    if (counter->previous_size != 0) {
        miss = mispredicted(counter, address);
    }
    uint32_t slot = (counter->previous * 0x9E3779B1u) ^ (address * 0x85EBCA6Bu);
    slot ^= slot >> 15;
    edge_t *edge;
    for (;; slot++) {
        edge = &counter->edges[slot & counter->edge_mask];
        if (edge->count == 0) {
            if (counter->edges_used > counter->edge_mask / 2) {
                stop(counter, STOPPED_TABLE_FULL);
                return;
            }
            counter->edges_used++;
            edge->from = counter->previous;
            edge->from_size = (uint16_t)counter->previous_size;
            edge->to = address;
            edge->to_size = (uint16_t)size;
            counter->cost_of_edge(edge);
            break;
        }
        if (edge->to == address && edge->from == counter->previous && edge->to_size == size &&
            edge->from_size == counter->previous_size) {
            break;
        }
    }
    if (counter->memory != 0) {
        counter->memory->stall_cycles_of_block = &edge->stall_cycles;
        fetch_block(counter->memory, address, size);
    }
    edge->count++;
    edge->mispredicted += miss;
    counter->half_cycles += edge->half_cycles + (miss ? counter->misprediction_half_cycles : 0);
    counter->instructions += edge->instructions;
    counter->previous = address;
    counter->previous_size = size;
}

typedef struct {
    const uint8_t *allowed; /* one byte for each byte of the region: 1 where access is allowed */
    int (*stop)(uc_engine *engine);
    int (*read_register)(uc_engine *engine, int id, void *value);
    int (*write_register)(uc_engine *engine, int id, const void *value);
    uint64_t unaligned; /* accesses that are not aligned to their size (to 4 bytes where longer) */
    uint32_t base;
    uint32_t size;
    uint32_t unaligned_is_error;
    int32_t pc_id;   /* UC_ARM_REG_PC */
    int32_t epsr_id; /* UC_ARM_REG_EPSR */
    uint32_t violation; /* VIOLATION_..., the first one; the fields below describe it */
    uint32_t address;
    uint32_t access_size;
    uint32_t access_type; /* uc_mem_type */
    uint32_t pc;
} access_guard_t;

enum { VIOLATION_NONE = 0, VIOLATION_OUTSIDE = 1, VIOLATION_UNALIGNED = 2 };

/* UC_HOOK_MEM_READ, UC_HOOK_MEM_WRITE */
void check_access(uc_engine *engine, uint32_t type, uint64_t address64, int size, int64_t value, access_guard_t *guard) {
    (void)value;
    const uint32_t address = (uint32_t)address64;
    const uint32_t offset = address - guard->base;
    const uint32_t alignment = size > 4 ? 4 : (uint32_t)size;
    clear_it_state(engine, guard->write_register, guard->epsr_id);

    uint32_t violation = VIOLATION_NONE;
    if ((address & (alignment - 1)) != 0) {
        guard->unaligned++;
        if (guard->unaligned_is_error) {
            violation = VIOLATION_UNALIGNED;
        }
    }
    for (int i = 0; i < size; i++) {
        if (offset + (uint32_t)i < guard->size && !guard->allowed[offset + (uint32_t)i]) {
            violation = VIOLATION_OUTSIDE;
        }
    }
    if (violation != VIOLATION_NONE && guard->violation == VIOLATION_NONE) {
        guard->violation = violation;
        guard->address = address;
        guard->access_size = (uint32_t)size;
        guard->access_type = type;
        guard->read_register(engine, guard->pc_id, &guard->pc);
        guard->stop(engine);
    }
}

/* One register that tells whether the UART has received or can send. */
typedef struct {
    uint32_t offset;
    uint32_t always;   /* bits that read 1: room to send */
    uint32_t received; /* bits that change while a byte waits */
} console_status_t;

/* The console UART within its page of peripheral registers; all other registers of the page go to Python. */
typedef struct {
    uint64_t (*read_other)(uint32_t offset, uint32_t size);
    void (*write_other)(uint32_t offset, uint32_t size, uint64_t value);
    uint32_t *stop_requested; /* of the block counter */
    const uint8_t *received;
    uint8_t *sent;
    uint32_t received_next;
    uint32_t received_end;
    uint32_t sent_end;
    uint32_t sent_size;
    console_status_t status[2];
    uint32_t receive_offset;
    uint32_t send_offset;
    uint32_t idle_polls;      /* consecutive looks at an empty receiver */
    uint32_t idle_poll_limit; /* after so many the emulation stops: nothing will come while it runs */
    uint32_t idle;
    uint32_t sent_full;
} console_t;

static uint32_t console_status(console_t *console, const console_status_t *status) {
    uint32_t value = status->always;
    if (status->received != 0) {
        if (console->received_next < console->received_end) {
            console->idle_polls = 0;
            value ^= status->received;
        } else if (++console->idle_polls >= console->idle_poll_limit) {
            console->idle = 1;
            console->idle_polls = 0;
            *console->stop_requested = 1;
        }
    }
    return value;
}

/* uc_cb_mmio_read_t */
uint64_t console_read(uc_engine *engine, uint64_t offset64, unsigned size, console_t *console) {
    (void)engine;
    const uint32_t offset = (uint32_t)offset64;
    for (int i = 0; i < 2; i++) {
        if (offset == console->status[i].offset) {
            return console_status(console, &console->status[i]);
        }
    }
    if (offset == console->receive_offset) {
        return console->received_next < console->received_end ? console->received[console->received_next++] : 0;
    }
    return console->read_other(offset, size);
}

/* uc_cb_mmio_write_t */
void console_write(uc_engine *engine, uint64_t offset64, unsigned size, uint64_t value, console_t *console) {
    (void)engine;
    const uint32_t offset = (uint32_t)offset64;
    if (offset != console->send_offset) {
        console->write_other(offset, size, value);
        return;
    }
    console->idle_polls = 0;
    if (console->sent_end < console->sent_size) {
        console->sent[console->sent_end++] = (uint8_t)value;
    }
    /* The rest of the buffer takes what is still sent before the emulation stops. */
    if (console->sent_end >= console->sent_size / 2) {
        console->sent_full = 1;
        *console->stop_requested = 1;
    }
}

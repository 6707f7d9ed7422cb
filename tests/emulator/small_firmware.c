/* A firmware of one page for the emulator's tests: obeys one-letter commands on its console. */
#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define STATUS_RX REGISTER(UART + RX_STATUS)
#define STATUS_TX REGISTER(UART + TX_STATUS)

extern uint32_t stack_top[];
void Reset_Handler(void);
int main(void);
void fault_handler(void);
void svc_handler(void);
void report(const uint32_t *frame, uint32_t exc_return);

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    stack_top, (const void *)Reset_Handler, [3 ... 6] = (const void *)fault_handler, [11] = (const void *)svc_handler,
};

static uint32_t starts __attribute__((section(".noinit")));
static uint32_t fault_stack[128] __attribute__((section(".noinit"), used, aligned(8)));
static volatile uint32_t svc_calls;

__attribute__((noinline)) static void put(uint8_t byte) {
    while (TX_FULL_MEANS_WAIT ? (STATUS_TX & TX_BIT) : !(STATUS_TX & TX_BIT)) {
    }
    REGISTER(UART + TX_DATA) = byte;
}

static void text(const char *s) {
    while (*s) {
        put((uint8_t)*s++);
    }
}

static void hex(const char *name, uint32_t value) {
    text(name);
    for (int shift = 28; shift >= 0; shift -= 4) {
        put((uint8_t) "0123456789abcdef"[value >> shift & 15]);
    }
}

__attribute__((naked)) void Reset_Handler(void) {
    __asm__ volatile("ldr r0, =stack_bottom\n ldr r1, =stack_top\n ldr r2, =0xA5A5A5A5\n"
                     "1: str r2, [r0], #4\n cmp r0, r1\n blo 1b\n b main\n .ltorg");
}

__attribute__((naked)) void fault_handler(void) {
    __asm__ volatile("mrs r0, msp\n mov r1, lr\n ldr r2, =fault_stack + 512\n msr msp, r2\n b report\n .ltorg");
}

void report(const uint32_t *frame, uint32_t exc_return) {
    uint32_t ipsr;
    __asm__ volatile("mrs %0, ipsr" : "=r"(ipsr));
    const uint32_t cfsr = REGISTER(0xE000ED28);
    const int stacked = (cfsr & (1u << 4 | 1u << 12)) == 0;
    hex("fault=", ipsr);
    hex(" cfsr=", cfsr);
    hex(" hfsr=", REGISTER(0xE000ED2C));
    hex(" bfar=", REGISTER(0xE000ED38));
    hex(" mmfar=", REGISTER(0xE000ED34));
    hex(" pc=", stacked ? frame[6] : 0);
    hex(" r3=", stacked ? frame[3] : 0);
    hex(" return=", exc_return);
    text("\n");
    REGISTER(0xE000ED0C) = 0x05FA0004;
    for (;;) {
    }
}

void svc_handler(void) {
    svc_calls++;
}

__attribute__((noinline)) static int overflow(int depth) {
    volatile int local[16];
    local[depth & 15] = depth;
    return overflow(depth + 1) + local[depth & 15];
}

static void enable_fpu(void) {
    REGISTER(0xE000ED88) |= 0xF00000;
    __asm__ volatile("dsb\n isb");
}

__attribute__((noinline)) static void use_fpu(void) {
    __asm__ volatile("vmov.f32 s0, #1.0\n vadd.f32 s0, s0, s0" ::: "s0");
}

static void forbid_below_stack(void) {
    extern uint32_t stack_bottom[];
    REGISTER(0xE000ED98) = 0;
    REGISTER(0xE000ED9C) = (uint32_t)stack_bottom - 4096;
    REGISTER(0xE000EDA0) = 1u << 28 | 11u << 1 | 1u;
    REGISTER(0xE000ED94) = 5;
}

__attribute__((noinline)) static void time_loop(void) {
    REGISTER(0xE000EDFC) |= 1u << 24;
    REGISTER(0xE0001FB0) = 0xC5ACCE55;
    REGISTER(0xE0001004) = 0;
    hex("stopped=", REGISTER(0xE0001004));
    REGISTER(0xE0001000) |= 1;
    const uint32_t start = REGISTER(0xE0001004);
    __asm__ volatile("mov r0, #1000\n 1: subs r0, r0, #1\n bne 1b" ::: "r0", "cc");
    const uint32_t end = REGISTER(0xE0001004);
    REGISTER(0xE0001000) &= ~1u;
    hex(" cycles=", end - start);
    const uint32_t frozen = REGISTER(0xE0001004);
    text(REGISTER(0xE0001004) == frozen ? " frozen\n" : " running\n");
}

__attribute__((noinline)) void read_apart(const uint8_t *bytes);
void read_apart(const uint8_t *bytes) {
    hex("word=", *(const volatile uint32_t *)bytes);
    text("\n");
}

__attribute__((noinline)) static void obey(uint8_t command) {
    switch (command) {
    case 'r':
        (void)REGISTER(0x70000000);
        break;
    case 'w':
        REGISTER(FLASH + 0x100) = 1;
        break;
    case 'x':
        ((void (*)(void))0x70000001u)();
        break;
    case 'e':
        ((void (*)(void))(FLASH + 0x40u))();
        break;
    case 'u':
        __asm__ volatile("mov r3, #77\n udf #1");
        break;
    case 'b':
        __asm__ volatile("bkpt #0");
        break;
    case 'o':
        hex("", (uint32_t)overflow(0));
        break;
    case 'g':
        forbid_below_stack();
        break;
    case 'H': /* MemManage, BusFault and UsageFault have handlers of their own */
        REGISTER(0xE000ED24) |= 7u << 16;
        break;
    case 'l': /* the same unaligned word outside of a function and inside */
        hex("", *(const volatile uint32_t *)((const uint8_t *)vectors + 2));
        read_apart((const uint8_t *)vectors + 2);
        break;
    case 's':
        __asm__ volatile("svc #1");
        hex("svc=", svc_calls);
        text("\n");
        break;
    case 'f':
        use_fpu();
        text("fpu\n");
        break;
    case 'F':
        enable_fpu();
        break;
    case 'c':
        time_loop();
        break;
    case 'm': /* a register that no rule knows */
        hex("register=", REGISTER(0x40010010));
        REGISTER(0x40010010) = 0x12345678;
        *(volatile uint8_t *)0x40010011 = 0xAA;
        hex(" ", REGISTER(0x40010010));
        text("\n");
        break;
    case 'k': /* waits for a clock */
        REGISTER(0x40023800) |= 1u << 16;
        while (!(REGISTER(0x40023800) & 1u << 17)) {
        }
        text("ready\n");
        break;
    case 'h':
        __asm__ volatile("wfi");
        text("awake\n");
        break;
    case 'n':
        __asm__ volatile("wfe");
        text("event\n");
        break;
    case 'z':
        for (;;) {
        }
    default:
        put(command);
    }
}

int main(void) {
    if (TX_FULL_MEANS_WAIT) { /* CMSDK, which QEMU models to the letter */
        REGISTER(UART + 0x10) = 16;
        REGISTER(UART + 0x08) = 3;
    }
    svc_calls = 0;
    starts = starts > 1000 ? 1 : starts + 1;
    hex("start ", starts);
    text("\n");
    for (;;) {
        if (STATUS_RX & RX_BIT) {
            obey((uint8_t)REGISTER(UART + RX_DATA));
        }
    }
}

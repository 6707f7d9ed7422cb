/* Faults: kept in memory that start-up does not clear, printed on the console, then the board restarts. */
#include "board_config.h"
#include "cortex_m.h"
#include "port.h"
#include "system.h"

extern uint32_t stack_bottom[], stack_top[];

static port_fault_record record __attribute__((section(".noinit")));

/* The handler runs on a stack of its own: the cause may be an overflow of the main one. */
#define FAULT_STACK_WORDS 96
uint32_t fault_stack[FAULT_STACK_WORDS] __attribute__((section(".noinit"), aligned(8), used));

/* What the core pushes on exception entry (Armv7-M ARM, B1.5.6). */
typedef struct {
    uint32_t r0, r1, r2, r3, r12, lr, pc, xpsr;
} exception_frame;

void fault_entry(void);
_Noreturn void fault_handle(const exception_frame *frame);

__attribute__((naked, used)) void fault_entry(void)
{
    __asm__ volatile("cpsid i\n\t"
                     "mrs   r0, msp\n\t"
                     "mov   r1, lr\n\t"
                     "lsls  r1, r1, #29\n\t" /* EXC_RETURN, bit 2: which stack the frame is on */
                     "bpl   1f\n\t"
                     "mrs   r0, psp\n"
                     "1:\n\t"
                     "ldr   r1, =fault_stack + 384\n\t" /* 4 * FAULT_STACK_WORDS */
                     "msr   msp, r1\n\t"
                     "ldr   r1, =fault_handle\n\t"
                     "bx    r1\n\t"
                     ".ltorg");
}
_Static_assert(FAULT_STACK_WORDS * 4 == 384, "fault_entry names the end of the fault stack");

/* A frame outside the stack was never written; nor one that would have passed the stack limit, which the core leaves
 * at the very bottom (Armv8-M ARM, DDI 0553, stack limit checks). */
static int frame_is_valid(const exception_frame *frame, uint32_t cfsr)
{
    if (cfsr & (CFSR_MSTKERR | CFSR_STKERR))
        return 0;
    if (cfsr & CFSR_STKOF && (uintptr_t)frame == (uintptr_t)stack_bottom)
        return 0;
    return (uintptr_t)frame >= (uintptr_t)stack_bottom && (uintptr_t)(frame + 1) <= (uintptr_t)stack_top;
}

#if CORE_HAS_FAULT_STATUS
static uint32_t fault_status(void)
{
    return SCB_CFSR;
}

static uint32_t hard_fault_status(void)
{
    return SCB_HFSR;
}

static uint32_t fault_address(uint32_t cfsr)
{
    return cfsr & CFSR_MMARVALID ? SCB_MMFAR : cfsr & CFSR_BFARVALID ? SCB_BFAR : 0;
}

static int debugger_attached(void)
{
    return (DHCSR & DHCSR_C_DEBUGEN) != 0;
}
#else
/* Armv6-M knows only HardFault and records no cause. */
static uint32_t fault_status(void)
{
    return 0;
}

static uint32_t hard_fault_status(void)
{
    return 0;
}

static uint32_t fault_address(uint32_t cfsr)
{
    (void)cfsr;
    return 0;
}

static int debugger_attached(void)
{
    return 0; /* software cannot read it (DDI 0419, section C1.5) */
}
#endif

static void fill_record(const exception_frame *frame)
{
    uint32_t exception, cfsr = fault_status();
    __asm__ volatile("mrs %0, ipsr" : "=r"(exception));
    int valid = frame_is_valid(frame, cfsr);
    record.cause = exception;
    record.pc = valid ? frame->pc : 0;
    record.lr = valid ? frame->lr : 0;
    record.sp = (uint32_t)frame;
    record.cfsr = cfsr;
    record.hfsr = hard_fault_status();
    record.address = fault_address(cfsr);
    record.magic = PORT_FAULT_MAGIC;
}

static const char *exception_name(uint32_t exception)
{
    static const char *const names[] = {"NMI", "HardFault", "MemManage", "BusFault", "UsageFault"};
    return exception >= 2 && exception <= 6 ? names[exception - 2] : "unexpected interrupt";
}

/* The first reason that the status register gives. */
static const char *reason(const port_fault_record *fault)
{
    static const struct {
        uint32_t bits;
        const char *text;
    } reasons[] = {
        {CFSR_MSTKERR | CFSR_STKERR | CFSR_MLSPERR | CFSR_LSPERR | CFSR_STKOF, "stack overflow"},
        {CFSR_IACCVIOL, "execution of memory that is not code"},
        {CFSR_IBUSERR, "execution of memory that does not exist"},
        {CFSR_MMARVALID, "access to forbidden memory"},
        {CFSR_PRECISERR, "access to memory that does not exist"},
        {CFSR_IMPRECISERR, "write to memory that does not exist, some instructions before pc"},
        {CFSR_UNDEFINSTR, "undefined instruction"},
        {CFSR_INVSTATE, "jump to an even address"},
        {CFSR_NOCP, "FPU instruction while the FPU is off"},
        {CFSR_UNALIGNED, "unaligned access"},
        {CFSR_DIVBYZERO, "division by zero"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (fault->cfsr & reasons[i].bits)
            return reasons[i].text;
    if (fault->sp < (uint32_t)stack_bottom)
        return "stack overflow";
    return CORE_HAS_FAULT_STATUS ? "no cause recorded" : "this core records no cause";
}

static void print_field(const char *name, uint32_t value)
{
    print_text(name);
    print_hex(value);
}

static void print_record(const port_fault_record *fault)
{
    print_text("\r\nQUANTMCU FAULT: ");
    print_text(exception_name(fault->cause));
    print_text(" (");
    print_text(reason(fault));
    print_field(") exception=", fault->cause);
    print_field(" pc=", fault->pc);
    print_field(" address=", fault->address);
    print_field(" lr=", fault->lr);
    print_field(" sp=", fault->sp);
    print_field(" cfsr=", fault->cfsr);
    print_field(" hfsr=", fault->hfsr);
    print_text("\r\n");
    port_flush();
}

/* Prints, waits about two seconds so that a reader or a debugger can see the state, and resets: the board answers
 * again, and port_last_fault() tells what happened. */
_Noreturn void fault_handle(const exception_frame *frame)
{
    fill_record(frame);
    print_record(&record);
    if (debugger_attached())
        __asm__ volatile("bkpt 0");
    for (volatile uint32_t i = 0; i < BOARD_CLOCK_CORE_HZ / 4u; i++)
        ;
    port_reset();
}

const port_fault_record *port_last_fault(void)
{
    return record.magic == PORT_FAULT_MAGIC ? &record : 0;
}

void port_clear_fault(void)
{
    record.magic = 0;
}

"""Single functions on an emulated core: arguments, results, memory checks, limits."""

from __future__ import annotations

import struct

import pytest
from assembly import HEADER, function

from quantmcu.emulator.faults import EmulatedFaultError, EmulationLimitError
from quantmcu.emulator.function import FunctionMachine
from quantmcu.emulator.objects import compile_for_core, compilers
from quantmcu.errors import ToolError, UsageError

SOURCE = """
#include <stdint.h>
int initialised = 7;
int zero[4];
int32_t sum(const int8_t *x, int n) { int32_t s = 0; for (int i = 0; i < n; i++) s += x[i]; return s; }
int64_t six(int a, int b, int c, int d, int e, int f) { return (int64_t)a * b * c * d * e * f; }
int globals(void) { zero[1]++; return initialised++ * 100 + zero[1]; }
void store(int32_t *p, int i, int v) { p[i] = v; }
int load16(const char *p) { return ((const struct __attribute__((packed)) { short v; } *)p)->v; }
int deep(int n) { int a[8]; a[0] = n; __asm volatile("" : : "r"(a) : "memory"); return n ? deep(n - 1) + a[0] : 0; }
void forever(void) { for (;;) __asm volatile(""); }
void breakpoint(void) { __asm volatile("bkpt 0"); }
int divide(int a, int b) { return a / b; }
float scale(float *x, int n) { float s = 0; for (int i = 0; i < n; i++) { x[i] *= 0.5f; s += x[i]; } return s; }
"""
CORES = ("cortex-m0plus", "cortex-m4", "cortex-m7", "cortex-m33")


@pytest.fixture(scope="module")
def elf():
    return compile_for_core([SOURCE], "cortex-m7")


@pytest.fixture
def machine(elf):
    return FunctionMachine(elf)


@pytest.fixture
def guarded(elf):
    return FunctionMachine(elf, guard=True, aligned=True)


@pytest.mark.parametrize("compiler", compilers())
@pytest.mark.parametrize("core", CORES)
def test_every_core_and_compiler_gives_the_same_results(core, compiler):
    machine = FunctionMachine(compile_for_core([SOURCE], core, compiler=compiler), core)
    x = machine.allocate(bytes(range(0, 200)))
    assert machine.call("sum", x, 200).r0 == sum(b - 256 * (b > 127) for b in range(200))
    wide = machine.call("six", -2, 3, 5, 7, 11, 1 << 20)
    assert (wide.r1 << 32 | wide.r0) - (1 << 64) == -2 * 3 * 5 * 7 * 11 * (1 << 20)
    assert [machine.call("globals").r0 for _ in range(2)] == [701, 802]
    floats = machine.allocate(struct.pack("<3f", 1, 2, 3))
    machine.call("scale", floats, 3)
    assert struct.unpack("<3f", machine.read(floats, 12)) == (0.5, 1, 1.5)


def test_counts_are_of_the_call_alone(machine):
    x = machine.allocate(1000)
    first = machine.call("sum", x, 1000)
    again = machine.call("sum", x, 1000)
    assert first.instructions == again.instructions
    assert again.cycles <= first.cycles  # branches are predicted better
    assert machine.call("sum", x, 500).instructions < first.instructions


def test_stack_use_is_measured(machine):
    few, many = machine.call("deep", 1), machine.call("deep", 101)
    assert few.stack_bytes >= 2 * 32
    assert many.stack_bytes - few.stack_bytes >= 100 * 32  # the array of each level


def test_allocations_are_aligned_apart_and_can_be_dropped(machine):
    a = machine.allocate(b"abc", align=64)
    b = machine.allocate(10, align=256)
    assert (a % 64, b % 256) == (0, 0)
    assert b >= a + 3
    assert machine.read(a, 3) == b"abc"
    machine.free_all()
    assert machine.allocate(b"abc", align=64) == a


def test_memory_that_is_too_much_is_refused(machine):
    with pytest.raises(UsageError) as error:
        machine.allocate(1 << 20)
    assert "has no room for 1,048,576 more bytes" in str(error.value)


@pytest.mark.parametrize("index", [-1, 4])
def test_the_guard_finds_writes_next_to_a_buffer(guarded, index):
    buffer = guarded.allocate(16)
    assert guarded.call("store", buffer, 3, 5).unaligned == 0
    with pytest.raises(EmulatedFaultError) as error:
        guarded.call("store", buffer, index, 5)
    fault = error.value.fault
    assert fault.what == "write of 4 bytes outside any buffer"
    assert fault.address == buffer + 4 * index
    assert fault.function.split("(")[1].startswith("store")
    assert guarded.elf.function_at(fault.pc).name == "store"


def test_the_guard_is_exact_to_the_byte(guarded):
    buffer = guarded.allocate(13)
    guarded.call("sum", buffer, 13)
    with pytest.raises(EmulatedFaultError) as error:
        guarded.call("sum", buffer, 14)
    assert error.value.fault.address == buffer + 13
    guarded.free_all()
    with pytest.raises(EmulatedFaultError):
        guarded.call("sum", buffer, 1)


def test_the_guard_lets_globals_and_the_stack_be_used(guarded):
    assert guarded.call("globals").r0 == 701
    assert guarded.call("deep", 20).r0 == 210


def test_unaligned_accesses_are_found_where_asked_for(elf, guarded):
    buffer = guarded.allocate(8)
    with pytest.raises(EmulatedFaultError) as error:
        guarded.call("load16", buffer + 1)
    assert error.value.fault.what == "read of 2 bytes unaligned"
    lenient = FunctionMachine(elf, guard=True)
    buffer = lenient.allocate(8)
    assert lenient.call("load16", buffer + 1).unaligned == 1
    assert lenient.call("load16", buffer + 2).unaligned == 0


def test_the_guard_does_not_disturb_conditional_instructions():
    """Unicorn's memory hooks leave a stale IT state behind."""
    body = "cmp r1, #0\nitte ne\nldrne r2, [r0]\nstrne r2, [r0, #4]\nmoveq r2, #9\nldr r3, [r0]\nadds r0, r2, r3\nbx lr"
    elf = compile_for_core([HEADER + function("pick", body)], "cortex-m7", flags=())
    for guard in (False, True):
        machine = FunctionMachine(elf, guard=guard)
        x = machine.allocate(struct.pack("<2I", 5, 0))
        for _ in range(3):
            assert machine.call("pick", x, 1).r0 == 10
            assert machine.call("pick", x, 0).r0 == 14
        assert machine.read(x + 4, 4) == struct.pack("<I", 5)


def test_faults_are_named_with_address_and_function(machine):
    with pytest.raises(EmulatedFaultError) as error:
        machine.call("sum", 0x70000000, 1)
    assert "read from unmapped memory of 1 bytes at 0x70000000, by the instruction at 0x0800" in str(error.value)
    assert "(sum" in str(error.value)
    with pytest.raises(EmulatedFaultError) as error:
        machine.call("store", 0x08000000, 0, 1)
    assert "write to read-only memory of 4 bytes at 0x08000000" in str(error.value)
    with pytest.raises(EmulatedFaultError) as error:
        machine.call("breakpoint")
    assert error.value.fault.what == "BKPT"


def test_the_machine_goes_on_after_a_fault(machine):
    with pytest.raises(EmulatedFaultError):
        machine.call("sum", 0x70000000, 1)
    assert machine.call("divide", 42, 6).r0 == 7


def test_a_call_that_does_not_return_meets_the_limit(machine):
    with pytest.raises(EmulationLimitError) as error:
        machine.call("forever", limit=100_000)
    assert "has not finished after 100,000 instructions" in str(error.value)
    assert "(forever" in error.value.why
    assert machine.call("divide", 42, 6).r0 == 7


def test_unknown_names_are_refused(machine, elf):
    with pytest.raises(UsageError) as error:
        machine.call("nothing")
    assert "there is no symbol nothing" in str(error.value)
    with pytest.raises(UsageError) as error:
        FunctionMachine(elf, "cortex-m55")
    assert "the emulator has no core cortex-m55" in str(error.value)


def test_code_outside_of_the_memories_is_refused():
    sections = "SECTIONS { .text 0x60000000 : { KEEP(*(.text .text.*)) } :code /DISCARD/ : { *(.ARM*) *(.comment) } }"
    script = "PHDRS { code PT_LOAD; } " + sections
    elf = compile_for_core(["int f(void) { return 1; }"], "cortex-m7", linker_script=script)
    with pytest.raises(UsageError) as error:
        FunctionMachine(elf)
    assert "a segment at 0x60000000" in str(error.value)
    assert "outside the emulated memories" in str(error.value)


def test_compiler_errors_are_shown():
    with pytest.raises(ToolError) as error:
        compile_for_core(["int f(void) { return undeclared; }"], "cortex-m7")
    assert "the cortex-m7 compiler rejects the sources" in str(error.value)
    assert "undeclared" in error.value.why
    with pytest.raises(UsageError) as error:
        compile_for_core(["int x;"], "cortex-m7", compiler="tcc")
    assert "unknown compiler tcc" in str(error.value)
    with pytest.raises(UsageError) as error:
        compile_for_core(["int x;"], "cortex-a9")
    assert "no compiler flags are known for the core cortex-a9" in str(error.value)


def test_a_missing_compiler_is_an_error_with_a_remedy(monkeypatch):
    monkeypatch.setattr("quantmcu.emulator.objects.compilers", lambda: ())
    with pytest.raises(ToolError) as error:
        compile_for_core(["int x;"], "cortex-m7")
    assert "no compiler for Arm is installed" in str(error.value)
    assert "quantmcu[zig]" in error.value.hint

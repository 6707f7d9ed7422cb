"""The C callbacks of the emulator as machine code, and the structures that they share with Python.

`count_block` counts every way from one basic block to the next, adds up its cost, and keeps the branch predictor;
`time_access` adds the wait states of the memory model; `check_access` checks each data access against a map of allowed
bytes; `console_read` and `console_write` are the
console UART. See `hook.c`.
"""

from __future__ import annotations

import ctypes
import io
import mmap
import platform
import sys
from functools import cache
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile

from quantmcu.errors import ToolError

FOLDER = Path(__file__).resolve().parent
MACHINES = ("x86_64", "aarch64")
_MACHINE_NAMES = {"AMD64": "x86_64", "arm64": "aarch64"}

NO_LIMIT = 2**64 - 1
STOPPED_NOT, STOPPED_AT_LIMIT, STOPPED_TABLE_FULL, STOPPED_ON_REQUEST = 0, 1, 2, 3
VIOLATION_NONE, VIOLATION_OUTSIDE, VIOLATION_UNALIGNED = 0, 1, 2


class Edge(ctypes.Structure):
    """`edge_t` of `hook.c`: block `to` executed directly after block `from_`."""

    _fields_ = (
        ("from_", ctypes.c_uint32),
        ("to", ctypes.c_uint32),
        ("from_size", ctypes.c_uint16),
        ("to_size", ctypes.c_uint16),
        ("half_cycles", ctypes.c_uint32),
        ("instructions", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("count", ctypes.c_uint64),
        ("mispredicted", ctypes.c_uint64),
        ("stall_cycles", ctypes.c_uint64),
    )


class Prediction(ctypes.Structure):
    """`prediction_t` of `hook.c`."""

    _fields_ = (("block", ctypes.c_uint32), ("target", ctypes.c_uint32), ("counter", ctypes.c_uint32))


COST_OF_EDGE = ctypes.CFUNCTYPE(None, ctypes.POINTER(Edge))


class BlockCounterState(ctypes.Structure):
    """`block_counter_t` of `hook.c`."""

    _fields_ = (
        ("engine", ctypes.c_void_p),
        ("edges", ctypes.c_void_p),
        ("predictions", ctypes.c_void_p),
        ("cost_of_edge", COST_OF_EDGE),
        ("stop", ctypes.c_void_p),
        ("half_cycles", ctypes.c_uint64),
        ("instructions", ctypes.c_uint64),
        ("instruction_limit", ctypes.c_uint64),
        ("edge_mask", ctypes.c_uint32),
        ("edges_used", ctypes.c_uint32),
        ("prediction_mask", ctypes.c_uint32),
        ("misprediction_half_cycles", ctypes.c_uint32),
        ("previous", ctypes.c_uint32),
        ("previous_size", ctypes.c_uint32),
        ("stop_requested", ctypes.c_uint32),
        ("stopped", ctypes.c_uint32),
        ("memory", ctypes.c_void_p),
    )


class CacheState(ctypes.Structure):
    """`cache_t` of `hook.c`."""

    _fields_ = (
        ("lines", ctypes.c_void_p),
        ("used", ctypes.c_void_p),
        ("set_mask", ctypes.c_uint32),
        ("ways", ctypes.c_uint32),
        ("line_shift", ctypes.c_uint32),
        ("now", ctypes.c_uint32),
        ("latest", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("misses", ctypes.c_uint64),
    )


class SlowMemory(ctypes.Structure):
    """`slow_memory_t` of `hook.c`."""

    _fields_ = (
        ("origin", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("fetch_cycles", ctypes.c_uint32),
        ("read_cycles", ctypes.c_uint32),
    )


SLOW_MEMORIES = 4


class MemoryModelState(ctypes.Structure):
    """`memory_model_t` of `hook.c`."""

    _fields_ = (
        ("instructions", CacheState),
        ("data", CacheState),
        ("memories", SlowMemory * SLOW_MEMORIES),
        ("stall_cycles", ctypes.c_uint64),
        ("stall_cycles_of_block", ctypes.c_void_p),
        ("write_register", ctypes.c_void_p),
        ("epsr_id", ctypes.c_int32),
        ("write_type", ctypes.c_uint32),
    )


class ConsoleStatus(ctypes.Structure):
    """`console_status_t` of `hook.c`."""

    _fields_ = (("offset", ctypes.c_uint32), ("always", ctypes.c_uint32), ("received", ctypes.c_uint32))


READ_REGISTER = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_uint32, ctypes.c_uint32)
WRITE_REGISTER = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint64)


class ConsoleState(ctypes.Structure):
    """`console_t` of `hook.c`."""

    _fields_ = (
        ("read_other", READ_REGISTER),
        ("write_other", WRITE_REGISTER),
        ("stop_requested", ctypes.c_void_p),
        ("received", ctypes.c_void_p),
        ("sent", ctypes.c_void_p),
        ("received_next", ctypes.c_uint32),
        ("received_end", ctypes.c_uint32),
        ("sent_end", ctypes.c_uint32),
        ("sent_size", ctypes.c_uint32),
        ("status", ConsoleStatus * 2),
        ("receive_offset", ctypes.c_uint32),
        ("send_offset", ctypes.c_uint32),
        ("idle_polls", ctypes.c_uint32),
        ("idle_poll_limit", ctypes.c_uint32),
        ("idle", ctypes.c_uint32),
        ("sent_full", ctypes.c_uint32),
    )


class AccessGuardState(ctypes.Structure):
    """`access_guard_t` of `hook.c`."""

    _fields_ = (
        ("allowed", ctypes.c_void_p),
        ("stop", ctypes.c_void_p),
        ("read_register", ctypes.c_void_p),
        ("write_register", ctypes.c_void_p),
        ("unaligned", ctypes.c_uint64),
        ("base", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("unaligned_is_error", ctypes.c_uint32),
        ("pc_id", ctypes.c_int32),
        ("epsr_id", ctypes.c_int32),
        ("violation", ctypes.c_uint32),
        ("address", ctypes.c_uint32),
        ("access_size", ctypes.c_uint32),
        ("access_type", ctypes.c_uint32),
        ("pc", ctypes.c_uint32),
    )


def machine_name() -> str:
    """This computer's processor as `MACHINES` names it.

    Raises:
        ToolError: there is no machine code for this computer.
    """
    name = _MACHINE_NAMES.get(platform.machine(), platform.machine())
    if name not in MACHINES or sys.platform == "win32":
        raise ToolError(
            f"the emulator does not run on this computer ({sys.platform}, {platform.machine()})",
            why=f"its block counter is machine code for Linux and macOS on {' and '.join(MACHINES)}",
            hint="use one of these (on Windows: the Windows Subsystem for Linux), or measure on the board",
        )
    return name


@cache
def callback_addresses() -> dict[str, int]:
    """Addresses of the callbacks, by name, in this process's executable memory."""
    elf = ELFFile(io.BytesIO((FOLDER / f"hook_{machine_name()}.o").read_bytes()))
    text: Any = elf.get_section_by_name(".text")
    symbols: Any = elf.get_section_by_name(".symtab")
    memory = mmap.mmap(-1, mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ | mmap.PROT_WRITE)
    memory.write(text.data())
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    # Writable first and executable afterwards, never both: hardened systems refuse both at once, and on Arm the change
    # of protection is also what makes the kernel synchronize the instruction cache.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mprotect(ctypes.c_void_p(start), ctypes.c_size_t(mmap.PAGESIZE), mmap.PROT_READ | mmap.PROT_EXEC) != 0:
        raise ToolError(
            "the emulator may not make its block counter executable",
            why=f"mprotect failed with error {ctypes.get_errno()}",
            hint="allow executable anonymous memory for this process (SELinux: execmem)",
        )
    _KEPT.append(memory)
    return {
        symbol.name: start + symbol["st_value"]
        for symbol in symbols.iter_symbols()
        if symbol["st_info"]["type"] == "STT_FUNC"
    }


_KEPT: list[mmap.mmap] = []

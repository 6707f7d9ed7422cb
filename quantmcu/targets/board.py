"""What is known of a board: cores, memory, clock, console, as read from its manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class MemoryRegion:
    """One region of physical memory.

    Attributes:
        name: as in section names (`.arena.<name>`) and reports.
        kind: `flash` or `ram`.
        origin: first address.
        size: bytes.
        roles: what the linker script may place here: `stack`, `data`, `arena`, `code`. Flash has none: it holds
            the program and all constants.
        zero_wait: the core reads it without wait states, past any cache.
        ecc: must be written as whole words before it is read.
    """

    name: str
    kind: str
    origin: int
    size: int
    roles: tuple[str, ...] = ()
    zero_wait: bool = False
    ecc: bool = False

    @property
    def end(self) -> int:
        """First address behind the region."""
        return self.origin + self.size

    def contains(self, address: int) -> bool:
        """Whether the byte at `address` lies here."""
        return self.origin <= address < self.end


@dataclass(frozen=True)
class Caches:
    """Cache sizes in bytes; 0 where the core has none."""

    icache_bytes: int
    dcache_bytes: int
    line_bytes: int


@dataclass(frozen=True)
class Console:
    """The UART that the firmware talks on.

    Attributes:
        peripheral: its name in the reference manual.
        kind: register layout; `firmware/ports/uart_<kind>.c` drives it (dashes become underscores).
        base: address of its registers.
        baud: bits per second; 8 data bits, no parity, 1 stop bit.
        clock_hz: kernel clock, from which the baud rate is divided.
        tx: transmitting pin, e.g. `PD8` or `P1.03`; None where the UART owns its pins.
        rx: receiving pin.
        note: where a user finds it.
        settings: further facts of its registers, by their manifest key.
    """

    peripheral: str
    kind: str
    base: int
    baud: int
    clock_hz: int
    tx: str | None
    rx: str | None
    note: str
    settings: Mapping[str, int] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class UsbId:
    """USB vendor and product number of the board's serial port."""

    vid: int
    pid: int


@dataclass(frozen=True)
class Board:
    """One board (`boards/<id>.json`).

    Attributes:
        id: name of the manifest, as in `--board`.
        name: full name.
        vendor: who makes it.
        url: the maker's page.
        mcu: part number.
        core: `cortex-m0plus`, `cortex-m3`, `cortex-m4`, `cortex-m7` or `cortex-m33`.
        fpu: GCC's name of the FPU (`-mfpu`), or None.
        clock_hz: core clock after start-up.
        memory: regions, in order of preference for hot data.
        stack_bytes: size of the stack, at the bottom of the region with role `stack`.
        caches: sizes.
        console: the UART.
        usb: what the board's serial port looks like on the host; empty where it has none.
        port: `firmware/ports/<port>.c`.
        irq_count: entries of the vector table behind the 16 of the core.
        vector_offset: bytes of the flash before the vector table, which the chip's boot ROM claims.
        clock: recipe of the clock tree, by manifest key.
        platformio_platform: the official platform with this board, or None.
        platformio_board: the board's id there, or None.
        qemu_machine: `qemu-system-arm -machine`, or None.
        emulator: registers for the emulator (see `quantmcu.emulator`).
        cycle_model: timing model and its band (see `quantmcu.emulator`).
        manifest: the whole file.
    """

    id: str
    name: str
    vendor: str
    url: str
    mcu: str
    core: str
    fpu: str | None
    clock_hz: int
    memory: tuple[MemoryRegion, ...]
    stack_bytes: int
    caches: Caches
    console: Console
    usb: tuple[UsbId, ...]
    port: str
    irq_count: int
    vector_offset: int
    clock: Mapping[str, int | str] = field(hash=False)
    platformio_platform: str | None
    platformio_board: str | None
    qemu_machine: str | None
    emulator: Mapping[str, Any] = field(hash=False, repr=False)
    cycle_model: Mapping[str, Any] = field(hash=False, repr=False)
    manifest: Mapping[str, Any] = field(hash=False, repr=False)

    @property
    def has_dsp(self) -> bool:
        """Whether the core has the Armv7E-M DSP instructions (SMLAD, SXTB16, SMMLAR, USAT16)."""
        return self.core in ("cortex-m4", "cortex-m7", "cortex-m33")

    @property
    def flash_bytes(self) -> int:
        """Flash for program and constants, in bytes."""
        return sum(region.size for region in self.memory if region.kind == "flash")

    @property
    def ram_bytes(self) -> int:
        """RAM for stack, data and arenas, in bytes; RAM that only holds code is not counted."""
        return sum(region.size for region in self.memory if set(region.roles) & {"stack", "data", "arena"})

    def region(self, name: str) -> MemoryRegion:
        """The region called `name`.

        Raises:
            KeyError: the board has none of that name.
        """
        for region in self.memory:
            if region.name == name:
                return region
        raise KeyError(name)

    def regions_for(self, role: str) -> tuple[MemoryRegion, ...]:
        """The regions with `role`, in order of preference."""
        return tuple(region for region in self.memory if role in region.roles)

    @property
    def vector_table(self) -> int:
        """Address of the vector table."""
        return self.flash.origin + self.vector_offset

    @property
    def flash(self) -> MemoryRegion:
        """The region that holds program and constants."""
        return next(region for region in self.memory if region.kind == "flash")

    def region_of(self, address: int) -> MemoryRegion | None:
        """The region that holds `address`, or None."""
        return next((region for region in self.memory if region.contains(address)), None)

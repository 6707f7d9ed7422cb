"""What of a board's memory the network may use, and the error when it needs more."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from quantmcu.errors import QuantMCUError, UsageError
from quantmcu.memory.buffers import Buffer, tenants_at
from quantmcu.memory.describe import describe_array
from quantmcu.memory.planner import ALIGNMENT, ArenaRegion, DoesNotFitError
from quantmcu.memory.timeline import Timeline
from quantmcu.targets import Board

# Variables of harness, ports and runtime (receive buffers, times by step, ...), checked against the linked ELF after
# the build.
FIRMWARE_DATA_BYTES = 4096
# Code of harness, ports and kernels that is assumed before the linker knows better.
FIRMWARE_CODE_BYTES = 24 * 1024
# The same with code of kernels that all shapes share, patch stages, parameters and names of steps: what a network needs
# besides its constants and the code that is generated for it. MobileNetV2 on nucleo-f767: 30 to 64 KiB, the most with
# patches of two classes. Where it is more than assumed, the linker says so and the network is planned again.
SHARED_CODE_BYTES = 52 * 1024
CODE_SHARE = 24
"""Choices that may take more or less flash leave one part of so many for the code of kernels.

MobileNetV2 on nucleo-f767 has 76 to 102 KiB of code and tables in all, the most with patch stages and maps of several
bits. The budget counts 24 KiB; a 24th of the flash is 85 KiB more. Less room for code would cost more cycles than the
weights of another layer with 4 bits do.
"""

_NAMED_ARRAYS = 4


@dataclass(frozen=True)
class Budget:
    """Bytes that the network may use.

    Attributes:
        regions: for feature maps and scratch, in order of preference.
        constant_bytes: for weights and other constants in flash.
        ram_bytes, flash_bytes: the limits behind them (the board's, or --ram and --flash-size).
        shared_code_bytes: of flash, for all but constants and generated code.
    """

    regions: tuple[ArenaRegion, ...]
    constant_bytes: int
    ram_bytes: int
    flash_bytes: int
    shared_code_bytes: int = SHARED_CODE_BYTES

    @property
    def arena_bytes(self) -> int:
        """All regions together."""
        return sum(region.capacity for region in self.regions)

    @property
    def safe_constant_bytes(self) -> int:
        """For weights and other constants, with room for much code."""
        return self.constant_bytes - self.flash_bytes // CODE_SHARE - (self.shared_code_bytes - SHARED_CODE_BYTES)

    @property
    def network_bytes(self) -> int:
        """For weights, other constants and generated code together."""
        return self.constant_bytes - (self.shared_code_bytes - FIRMWARE_CODE_BYTES)

    def with_less_flash(self, missing: int) -> Budget:
        """What is left for the network where the linker misses so many bytes."""
        return replace(self, shared_code_bytes=self.shared_code_bytes + missing)


def check_limits(board: Board, *, ram: int | None = None, flash: int | None = None) -> None:
    """Returns when `board` has as much memory as was asked for.

    Raises:
        UsageError: it has less.
    """
    limits = (("--ram", "RAM", ram, board.ram_bytes), ("--flash-size", "flash", flash, board.flash_bytes))
    for option, kind, asked, there in limits:
        if asked is not None and asked > there:
            raise UsageError(
                f"{asked:,} bytes are more than {board.id} has: {there:,} bytes of {kind}",
                option,
                hint=f"leave out {option}; a board with more memory wants a manifest of its own "
                "(docs/adding-a-board.md)",
            )


def budget_of(board: Board, *, ram: int | None = None, flash: int | None = None) -> Budget:
    """The budget on `board`, with `ram` or `flash` bytes in place of its own where given.

    Stack and the firmware's own variables are taken off the regions that hold them.
    """
    regions = []
    left = None if ram is None else max(0, ram - board.stack_bytes - FIRMWARE_DATA_BYTES)
    for region in board.memory:
        if "arena" not in region.roles:
            continue
        size = region.size
        size -= board.stack_bytes if region in board.regions_for("stack")[:1] else 0
        size -= FIRMWARE_DATA_BYTES if region in board.regions_for("data")[:1] else 0
        if left is not None:
            size = min(size, left)
            left -= size
        if size > 0:
            regions.append(ArenaRegion(region.name, size // ALIGNMENT * ALIGNMENT))
    flash_bytes = board.flash_bytes if flash is None else flash
    return Budget(
        tuple(regions),
        max(0, flash_bytes - FIRMWARE_CODE_BYTES),
        board.ram_bytes if ram is None else ram,
        flash_bytes,
    )


def ram_error(
    timeline: Timeline,
    buffers: Sequence[Buffer],
    problem: DoesNotFitError,
    budget: Budget,
    board: Board,
    stages: Collection[str] = (),
) -> QuantMCUError:
    """The feature maps don't fit: names the peak step, what lives there, the bytes over, and what would help.

    `stages` are the names of the patch stages.
    """
    slot = timeline.slots[problem.peak_step]
    live = tenants_at(buffers, problem.peak_step)
    parts = [f"{describe_array(tenant.name, stages)} {tenant.nbytes:,}" for tenant in live[:_NAMED_ARRAYS]]
    if live[_NAMED_ARRAYS:]:
        parts.append(f"and {sum(tenant.nbytes for tenant in live[_NAMED_ARRAYS:]):,} bytes of smaller arrays")
    over = problem.needed - budget.arena_bytes
    if over > 0:
        what = f"the feature maps need {problem.needed:,} bytes of RAM, {over:,} more than {board.id} has for them"
    else:
        what = (
            f"the feature maps ({problem.needed:,} bytes at once) can't be arranged in the memory regions of {board.id}"
        )
    return QuantMCUError(
        what,
        where=f"step {problem.peak_step} ({slot.name})",
        why=f"alive at once: {', '.join(parts)}; {_room(budget, board)}",
        hint="a smaller input, a narrower network, or a board with more RAM (`quantmcu boards`)",
    )


def _room(budget: Budget, board: Board) -> str:
    """What there is for feature maps, and where it went if there is none."""
    if not budget.regions:
        return (
            f"of {budget.ram_bytes:,} bytes of RAM the stack takes {board.stack_bytes:,} and the firmware's variables "
            f"{FIRMWARE_DATA_BYTES:,}: nothing is left"
        )
    pieces = ", ".join(f"{region.name} {region.capacity:,}" for region in budget.regions)
    return f"there is room for {budget.arena_bytes:,} ({pieces})"


def flash_error(
    stored: Mapping[str, int], room: int, budget: Budget, board: Board, *, fewest_bits: bool = False
) -> QuantMCUError:
    """The weights don't fit: names the layers that take the most, the bytes over, and what would help.

    Args:
        stored: bytes of weights and tables by layer.
        room: bytes of flash that are there for them.
        budget: the limits.
        board: to run on.
        fewest_bits: fewer bits don't help, weights have the fewest already.
    """
    needed, room = sum(stored.values()), max(0, room)
    largest = sorted(stored.items(), key=lambda item: -item[1])
    parts = [f"{name} {nbytes:,}" for name, nbytes in largest[:_NAMED_ARRAYS]]
    if largest[_NAMED_ARRAYS:]:
        parts.append(f"and {sum(nbytes for _, nbytes in largest[_NAMED_ARRAYS:]):,} bytes of other layers")
    limited = budget.flash_bytes < board.flash_bytes
    hints = [f"a larger --flash-size ({board.id} has {board.flash_bytes:,} bytes)"] if limited else []
    hints += [] if fewest_bits else ["weights of 4 bits where they cost least (`--weight-bits auto`)"]
    hints += ["a narrower network", "or a board with more flash (`quantmcu boards`)"]
    even = " even with the fewest bits" if fewest_bits else ""
    return QuantMCUError(
        f"the weights and tables need {needed:,} bytes of flash{even}, {needed - room:,} more than there are for them",
        where="--flash-size" if limited else f"flash of {board.id}",
        why=f"the most is taken by {', '.join(parts)}; of {budget.flash_bytes:,} bytes of flash, code takes its part "
        f"first and {room:,} are left",
        hint=", ".join(hints),
    )

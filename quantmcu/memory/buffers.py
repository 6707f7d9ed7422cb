"""Which values share a buffer, and how long each buffer lives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quantmcu.program import steps
from quantmcu.program.program import Program


@dataclass(frozen=True)
class StepMemory:
    """What the planner must know of a step: `in_place` inputs may hand their buffer to the output; scratch in bytes."""

    in_place: tuple[int, ...] = ()
    scratch_bytes: int = 0


@dataclass(frozen=True)
class Buffer:
    """Memory that one or several values occupy in turn.

    Attributes:
        values: the values in it, in the order of their creation; empty for scratch memory.
        nbytes: the largest of them.
        first, last: steps between which it lives, both included. The network's inputs live from step 0 on, its outputs up to
            the last step.
        scratch_of: index of the step whose scratch memory it is, or None.
    """

    values: tuple[str, ...]
    nbytes: int
    first: int
    last: int
    scratch_of: int | None = None

    def overlaps(self, other: Buffer) -> bool:
        """Whether both live during some step."""
        return self.first <= other.last and other.first <= self.last


def collect_buffers(program: Program, memory: Sequence[StepMemory]) -> list[Buffer]:
    """The buffers of `program`: values joined where a step runs in place or only renames, plus scratch memory.

    Args:
        memory: one entry a step.
    """
    last_use = _last_use(program)
    owner: dict[str, str] = {}  # value -> the first value of its buffer
    for index, step in enumerate(program.steps):
        owner[step.output] = step.output
        allowed = (0,) if isinstance(step, steps.Reshape) else memory[index].in_place
        for position in allowed:
            source = step.inputs[position]
            if _may_take_over(program, source, index, last_use, step.inputs):
                owner[step.output] = owner.get(source, source)
                break
    return _join(program, owner, last_use) + _scratch(memory)


def _last_use(program: Program) -> dict[str, int]:
    """The last step at which each value must be intact."""
    last: dict[str, int] = {name: 0 for name in program.inputs}
    for index, step in enumerate(program.steps):
        last[step.output] = index
        for name in step.inputs:
            last[name] = index
    for name in program.outputs:
        last[name] = len(program.steps) - 1
    return last


def _may_take_over(
    program: Program, source: str, index: int, last_use: Mapping[str, int], operands: tuple[str, ...]
) -> bool:
    """Whether nothing needs `source` any more once step `index` has read it, and it is no constant."""
    if program.values[source].data is not None or source in program.outputs:
        return False
    return last_use[source] == index and operands.count(source) == 1


def _join(program: Program, owner: Mapping[str, str], last_use: Mapping[str, int]) -> list[Buffer]:
    """One buffer for each owner."""
    created = {name: 0 for name in program.inputs} | {step.output: index for index, step in enumerate(program.steps)}
    members: dict[str, list[str]] = {}
    for name in created:
        members.setdefault(owner.get(name, name), []).append(name)
    return [
        Buffer(
            values=tuple(names),
            nbytes=max(program.values[name].nbytes for name in names),
            first=min(created[name] for name in names),
            last=max(last_use[name] for name in names),
        )
        for names in members.values()
    ]


def _scratch(memory: Sequence[StepMemory]) -> list[Buffer]:
    return [
        Buffer((), step.scratch_bytes, index, index, scratch_of=index)
        for index, step in enumerate(memory)
        if step.scratch_bytes
    ]


def live_bytes(buffers: Sequence[Buffer], step_count: int, align: int) -> list[int]:
    """Bytes that live during each step, sizes rounded up to `align`: no placement needs less than their maximum."""
    live = [0] * step_count
    for buffer in buffers:
        for index in range(buffer.first, buffer.last + 1):
            live[index] += -(-buffer.nbytes // align) * align
    return live

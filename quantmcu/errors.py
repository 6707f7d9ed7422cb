"""The one kind of error that a user of QuantMCU sees."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class ExitStatus(IntEnum):
    """Exit status of the command line (design: `cli-and-results`)."""

    DONE = 0
    CANNOT_COMPILE = 1
    USAGE = 2
    TOOLS = 3


@dataclass
class QuantMCUError(Exception):
    """A problem that the user can do something about.

    Attributes:
        what: what went wrong, one sentence.
        where: the node, file, line or option concerned; empty when it is the whole request.
        why: the rule or limit behind it, with the figures.
        hint: what to do about it.
        status: exit status of the command line for this error.
    """

    what: str
    where: str = ""
    why: str = ""
    hint: str = ""
    status: ExitStatus = ExitStatus.CANNOT_COMPILE

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.why:
            parts.append(f"  why:  {self.why}")
        if self.hint:
            parts.append(f"  hint: {self.hint}")
        return "\n".join(parts)


class UsageError(QuantMCUError):
    """The request itself is wrong: an unknown option value, board or file."""

    def __init__(self, what: str, where: str = "", why: str = "", hint: str = "") -> None:
        super().__init__(what, where, why, hint, ExitStatus.USAGE)


class ToolError(QuantMCUError):
    """A compiler, PlatformIO, the emulator or a device did not do its part."""

    def __init__(self, what: str, where: str = "", why: str = "", hint: str = "") -> None:
        super().__init__(what, where, why, hint, ExitStatus.TOOLS)


class ProblemListError(QuantMCUError):
    """Several independent problems, reported at once."""

    def __init__(self, what: str, problems: list[QuantMCUError], hint: str = "") -> None:
        super().__init__(what, hint=hint, status=max((p.status for p in problems), default=ExitStatus.CANNOT_COMPILE))
        self.problems = problems

    def __str__(self) -> str:
        count = len(self.problems)
        lines = [f"{self.what}: {count} problem{'s' if count != 1 else ''}"]
        lines += [f"- {problem}" for problem in self.problems]
        if self.hint:
            lines.append(f"hint: {self.hint}")
        return "\n".join(lines)

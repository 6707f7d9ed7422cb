"""Terminal tables of what is there: boards, operators, tools."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from quantmcu.build.doctor import Check
from quantmcu.frontend.registry import OperatorSupport
from quantmcu.report.tables import plain_table
from quantmcu.report.text import frequency, size
from quantmcu.targets import Board


def boards_table(boards: Sequence[Board]) -> Table:
    """One row a board."""
    table = plain_table("=Board", "Name", "=Cortex", ">Clock", ">Flash", ">RAM")
    for board in boards:
        table.add_row(
            board.id,
            board.name,
            board.core.removeprefix("cortex-").upper().replace("PLUS", "+"),
            frequency(board.clock_hz),
            size(board.flash_bytes),
            size(board.ram_bytes),
        )
    return table


def operators_table(operators: Sequence[OperatorSupport]) -> Table:
    """One row an operator."""
    table = plain_table("=Operator", "=Opset", "Attributes", "Limits")
    for row in operators:
        table.add_row(row.operator, f"{row.oldest_opset}-{row.newest_opset}", ", ".join(row.attributes), row.limits)
    return table


def checks_table(checks: Sequence[Check]) -> Table:
    """One row a check."""
    table = plain_table("=", "=What", "Found, or what to do")
    for check in checks:
        mark = "ok" if check.ok else "MISSING" if check.required else "-"
        found = check.detail if check.ok or not check.hint else f"{check.detail}: {check.hint}"
        table.add_row(mark, check.name, found)
    return table

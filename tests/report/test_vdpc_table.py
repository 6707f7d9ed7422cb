"""The tables of VDPC in the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from quantmcu.report.vdpc_table import vdpc_tables


def rendered(result: dict[str, Any]) -> str:
    console = Console(width=80, color_system=None)
    with console.capture() as captured:
        console.print(*vdpc_tables(result), sep="\n")
    return captured.get()


def result_of(mode: str) -> dict[str, Any]:
    row = {"samples": 32, "agreement": 0.75}
    comparison = [
        {"patches": "all", "share": 1.0, "sqnr_db": 12.34, **row},
        {"patches": "vdpc", "share": 0.25, "sqnr_db": 8.0, **row},
        {"patches": "random", "share": 0.25, "sqnr_db": None, **row},
        {"patches": "none", "share": 0.0, "sqnr_db": 5.0, **row | {"agreement": None}},
    ]
    return {
        "plan": {
            "vdpc": {"mode": mode, "cells": 9, "outlier_cells": 2.25, "comparison": comparison},
            "cycles": 2_000_000,
            "average_cycles": 1_500_000,
        },
        "bitops": {"total": 64_000_000, "average": 40_000_000},
    }


def test_worst_case_average_and_random_patches() -> None:
    lines = [line.split("  ") for line in rendered(result_of("dynamic")).splitlines()]
    rows = {cells[0]: [cell.strip() for cell in cells[1:] if cell.strip()] for cells in lines}
    assert rows["VDPC, dynamic"] == ["At worst", "On average"]
    assert rows["Patches at 8 bits, of 9"] == ["9", "2.25"]
    assert rows["BitOPs"] == ["64.0 M", "40.0 M"]
    assert rows["Predicted cycles"] == ["2.00 M", "1.50 M"]
    assert rows["those of VDPC"] == ["25 %", "8.0 dB", "75.0 %"]
    assert rows["as many at random"] == ["25 %", "-", "75.0 %"]
    assert rows["none of them"] == ["0 %", "5.0 dB", "-"]
    assert "Class of float, 32 samples" in rendered(result_of("dynamic"))


def test_by_position_nothing_changes_from_input_to_input() -> None:
    assert "Patches at 8 bits, of 9      2.25        2.25" in rendered(result_of("static"))


def test_without_classes_there_is_no_table() -> None:
    assert vdpc_tables({"plan": {"vdpc": None}}) == []

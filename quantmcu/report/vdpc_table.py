"""What VDPC did, in the terminal: classes of patches, worst case and average, and random patches beside it."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from quantmcu.report.tables import plain_table
from quantmcu.report.text import count, percent

_CHOICES = {
    "all": "all of them",
    "vdpc": "those of VDPC",
    "random": "as many at random",
    "none": "none of them",
}


def vdpc_tables(result: dict[str, Any]) -> list[Table]:
    """Tables for a result with patches of two classes; none for others."""
    return [_costs(result), _comparison(result["plan"]["vdpc"])] if result["plan"].get("vdpc") else []


def _costs(result: dict[str, Any]) -> Table:
    plan, bitops = result["plan"], result["bitops"]
    table = plain_table(f"VDPC, {plan['vdpc']['mode']}", ">At worst", ">On average")
    cells, outliers = plan["vdpc"]["cells"], plan["vdpc"]["outlier_cells"]
    at_worst = cells if plan["vdpc"]["mode"] == "dynamic" else outliers
    table.add_row(f"Patches at 8 bits, of {cells}", f"{at_worst:g}", f"{outliers:.3g}")
    table.add_row("BitOPs", count(bitops["total"]), count(bitops["average"]))
    table.add_row("Predicted cycles", count(plan["cycles"]), count(plan["average_cycles"]))
    return table


def _comparison(vdpc: dict[str, Any]) -> Table:
    samples = vdpc["comparison"][0]["samples"]
    table = plain_table("Patches at 8 bits", ">Share", ">SQNR", f">Class of float, {samples} samples")
    for row in vdpc["comparison"]:
        noise = "-" if row["sqnr_db"] is None else f"{row['sqnr_db']:.1f} dB"
        table.add_row(_CHOICES[row["patches"]], percent(row["share"], 0), noise, percent(row["agreement"]))
    return table

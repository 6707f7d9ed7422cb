"""The measurements as tables in the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

UNDECIDED = 0.10
"""A lead over silicon below this is no win: the model's error is of that size."""


def show(report: dict[str, Any], figures: dict[str, Any], console: Console, *, layers: bool) -> None:
    """Prints what was measured, the comparison with goals and published figures, and what was skipped."""
    for name, text in report["conditions"].items():
        if isinstance(text, str):
            console.print(f"[dim]{name}: {text}[/dim]", highlight=False)
    _measurements(report, figures, console)
    _baseline(report, figures, console)
    _silicon(report, figures, console)
    if layers:
        _layers(report, console)
    for entry in report["skipped"]:
        console.print(f"[yellow]skipped[/yellow] {entry['network']} ({entry['what']}): {entry['why']}", highlight=False)


def best(network: dict[str, Any], core: str) -> dict[str, Any] | None:
    """The measurement with the fewest cycles on a core."""
    rows = [row for row in network["quantmcu"] if row["core"] == core]
    return min(rows, key=lambda row: float(row["cycles"]), default=None)


def silicon_of(figures: dict[str, Any], core: str, network: str) -> list[tuple[dict[str, Any], float]]:
    """Published figures: entries and cycles of an inference, fewest first."""
    rows = [entry for entry in figures["silicon"] if entry["core"] == core and network in entry["ms"]]
    return sorted(((r, r["ms"][network] * 1e-3 * r["clock_hz"]) for r in rows), key=lambda pair: pair[1])


def _measurements(report: dict[str, Any], figures: dict[str, Any], console: Console) -> None:
    cycles = Table(title="One inference: cycles per MAC of the published network")
    memory = Table(title="Memory in bytes (limits in brackets), and compile time")
    for table in (cycles, memory):
        for column in ("network", "board", "with"):
            table.add_column(column)
    for column in ("cycles", "core only", "goal", "with memory", "CMSIS-NN"):
        cycles.add_column(column, justify="right")
    for column in ("RAM", "flash", "network's code", "seconds"):
        memory.add_column(column, justify="right")
    for network in report["networks"]:
        for row in network["quantmcu"]:
            head = (network["id"], row["board"], row["toolchain"])
            cycles.add_row(*head, *_cycle_cells(network, row, figures))
            memory.add_row(
                *head,
                _limited(row["arena_bytes"], figures["goals"]["ram_bytes"].get(network["id"])),
                _limited(row["flash_bytes"], figures["flash_bytes"]["bytes"].get(network["id"])),
                f"{row['network_code_bytes']:,}",
                f"{row['compile_seconds']:.1f}",
            )
    console.print(cycles)
    console.print(memory)
    console.print(
        "[dim]RAM: feature maps and scratch, input included; flash: the whole firmware.[/dim]", highlight=False
    )


def _cycle_cells(network: dict[str, Any], row: dict[str, Any], figures: dict[str, Any]) -> tuple[str, ...]:
    macs, core = network["macs"], row["core"]
    baseline = next((entry for entry in network["cmsis_nn"] if entry["core"] == core), None)
    goal = figures["goals"]["cycles_per_mac"].get(core, {}).get(network["id"])
    per_mac = row["cycles"] / macs
    return (
        f"{row['cycles']:,.0f}",
        f"{per_mac:.3f}",
        "" if goal is None else f"{goal:.2f} {_verdict(per_mac <= goal)}",
        f"{row['cycles_with_memory_model'] / macs:.3f}",
        "" if baseline is None else f"{baseline['cycles'] / macs:.3f}",
    )


def _baseline(report: dict[str, Any], figures: dict[str, Any], console: Console) -> None:
    """CMSIS-NN here, and as measured for the design from other versions of its sources."""
    table = Table(title="CMSIS-NN in this emulator, core only: cycles per MAC")
    for column in ("network", "core", "level"):
        table.add_column(column)
    versions = ("current", "January 2022")
    for column in ("4.0.0, here", *versions):
        table.add_column(column, justify="right")
    for network in report["networks"]:
        for row in network["cmsis_nn"]:
            others = figures["cmsis_nn"]["cycles_per_mac"][row["core"]]
            found = [others[version].get(network["id"]) for version in versions]
            cells = ["" if value is None else f"{value:.2f}" for value in found]
            table.add_row(network["id"], row["core"], row["level"], f"{row['cycles'] / network['macs']:.3f}", *cells)
    if table.row_count:
        console.print(table)
        text = "4.0.0 without Add and Softmax, which bakenn does not carry; the other columns: data/published.json"
        console.print(f"[dim]{text}[/dim]", highlight=False)


def _limited(value: int, limit: int | None) -> str:
    return f"{value:,}" if limit is None else f"{value:,} {_verdict(value <= limit)} ({limit:,})"


def _verdict(met: bool) -> str:
    return "[green]met[/green]" if met else "[red]missed[/red]"


def _silicon(report: dict[str, Any], figures: dict[str, Any], console: Console) -> None:
    table = Table(title="With the memory model, beside published silicon (cycles per MAC)")
    for column in ("network", "board"):
        table.add_column(column)
    for column in ("QuantMCU", "fastest published", "ratio"):
        table.add_column(column, justify="right")
    table.add_column("verdict")
    for network in report["networks"]:
        for core in ("cortex-m4", "cortex-m7"):
            row, others = best(network, core), silicon_of(figures, core, network["id"])
            if row is None or not others:
                continue
            entry, cycles = others[0]
            ratio = row["cycles_with_memory_model"] / cycles
            table.add_row(
                network["id"],
                row["board"],
                f"{row['cycles_with_memory_model'] / network['macs']:.3f}",
                f"{cycles / network['macs']:.3f} ({entry['stack']}, {entry['chip']})",
                f"{ratio:.2f}",
                "faster" if ratio < 1 - UNDECIDED else "slower" if ratio > 1 else "undecided",
            )
    console.print(table)
    console.print("[dim]undecided: a lead of less than 10 %, the size of the model's error[/dim]", highlight=False)


def _layers(report: dict[str, Any], console: Console) -> None:
    for network in report["networks"]:
        for row in network["quantmcu"]:
            table = Table(title=f"{network['title']} on {row['board']}, {row['toolchain']}")
            for column in ("operator", "kernel", "shape"):
                table.add_column(column)
            for column in ("MACs", "cycles", "per MAC", "with memory"):
                table.add_column(column, justify="right")
            for layer in row["layers"]:
                table.add_row(
                    layer["operator"],
                    layer["kernel"],
                    "x".join(map(str, layer["shape"] or ())),
                    f"{layer['macs']:,}",
                    f"{layer['cycles']:,.0f}",
                    f"{layer['cycles'] / layer['macs']:.3f}" if layer["macs"] else "",
                    f"{layer['cycles_with_memory_model']:,.0f}",
                )
            console.print(table)

"""The measurements as tables in the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

_LEAST_MACS = 10_000

UNDECIDED = 0.10
"""A lead over silicon below this is no win: the model's error is of that size."""


def show(report: dict[str, Any], figures: dict[str, Any], console: Console, *, layers: bool) -> None:
    """Prints what was measured, the comparison with goals and published figures, and what was skipped."""
    for name, text in report["conditions"].items():
        if isinstance(text, str):
            console.print(f"[dim]{name}: {text}[/dim]", highlight=False)
    for table in (*summary(report, figures), *(layer_tables(report) if layers else ())):
        console.print(table)
        if table.caption:
            console.print()
    for entry in report["skipped"]:
        console.print(f"[yellow]skipped[/yellow] {entry['network']} ({entry['what']}): {entry['why']}", highlight=False)


def summary(report: dict[str, Any], figures: dict[str, Any]) -> list[Table]:
    """Cycles, memory, the baseline and published silicon figures."""
    return [
        _cycles(report, figures),
        _memory(report, figures),
        *_baseline(report, figures),
        _kinds(report),
        _silicon(report, figures),
    ]


def markdown(table: Table) -> str:
    """The table with its title and caption, as in a document."""
    rows = [[Text.from_markup(str(cell)).plain.replace("\n", " ") for cell in column.cells] for column in table.columns]
    rules = ["--:" if column.justify == "right" else "---" for column in table.columns]
    heads = [str(column.header).replace("\n", " ") for column in table.columns]
    lines = ["| " + " | ".join(cells) + " |" for cells in (heads, rules, *zip(*rows, strict=True))]
    caption = [f"\n{table.caption}"] if table.caption else []
    return "\n".join([f"**{table.title}**\n", *lines, *caption]) + "\n"


def best(network: dict[str, Any], core: str) -> dict[str, Any] | None:
    """The measurement with the fewest cycles on a core."""
    rows = [row for row in network["quantmcu"] if row["core"] == core]
    return min(rows, key=lambda row: float(row["cycles"]), default=None)


def silicon_of(figures: dict[str, Any], core: str, network: str) -> list[tuple[dict[str, Any], float]]:
    """Published figures: entries and cycles of an inference, fewest first."""
    rows = [entry for entry in figures["silicon"] if entry["core"] == core and network in entry["ms"]]
    return sorted(((r, r["ms"][network] * 1e-3 * r["clock_hz"]) for r in rows), key=lambda pair: pair[1])


def _cycles(report: dict[str, Any], figures: dict[str, Any]) -> Table:
    table = Table(title="One inference: cycles per MAC of the published network")
    for column in ("network", "board", "with"):
        table.add_column(column)
    for column in ("cycles", "core only", "goal", "with memory", "CMSIS-NN"):
        table.add_column(column, justify="right")
    for network in report["networks"]:
        for row in network["quantmcu"]:
            table.add_row(network["id"], row["board"], row["toolchain"], *_cycle_cells(report, network, row, figures))
    return table


def _memory(report: dict[str, Any], figures: dict[str, Any]) -> Table:
    table = Table(title="Memory in bytes (limits in brackets), and compile time")
    table.caption = "RAM: feature maps and scratch, input included; flash: the whole firmware"
    for column in ("network", "board", "with"):
        table.add_column(column)
    for column in ("RAM", "stack at most", "flash", "network's code", "seconds"):
        table.add_column(column, justify="right")
    for network in report["networks"]:
        for row in network["quantmcu"]:
            table.add_row(
                network["id"],
                row["board"],
                row["toolchain"],
                _limited(row["arena_bytes"], figures["goals"]["ram_bytes"].get(network["id"])),
                f"{row['stack_need_bytes']:,}",
                _limited(row["flash_bytes"], _flash_limit(figures, network, row)),
                f"{row['network_code_bytes']:,}",
                f"{row['compile_seconds']:.1f}",
            )
    return table


def _flash_limit(figures: dict[str, Any], network: dict[str, Any], row: dict[str, Any]) -> int | None:
    """The published firmware, where it is for the same board."""
    published = figures["flash_bytes"]
    limit: int | None = published["bytes"].get(network["published"]) if row["board"] == published["board"] else None
    return limit


def baseline_of(report: dict[str, Any], network: dict[str, Any], core: str) -> dict[str, Any] | None:
    """CMSIS-NN on the network, or on the one that it is a variant of."""
    rows = [
        row
        for other in report["networks"]
        if other["published"] == network["published"]
        for row in other["cmsis_nn"]
        if row["core"] == core
    ]
    return rows[0] if rows else None


def _cycle_cells(
    report: dict[str, Any], network: dict[str, Any], row: dict[str, Any], figures: dict[str, Any]
) -> tuple[str, ...]:
    macs, core = network["macs"], row["core"]
    baseline = baseline_of(report, network, core)
    goal = figures["goals"]["cycles_per_mac"].get(core, {}).get(network["published"])
    per_mac = row["cycles"] / macs
    return (
        f"{row['cycles']:,.0f}",
        f"{per_mac:.3f}",
        "" if goal is None else f"{goal:.2f} {_verdict(per_mac <= goal)}",
        f"{row['cycles_with_memory_model'] / macs:.3f}",
        "" if baseline is None else f"{baseline['cycles'] / macs:.3f}",
    )


def _baseline(report: dict[str, Any], figures: dict[str, Any]) -> list[Table]:
    """CMSIS-NN here, and as measured for the design from other versions of its sources."""
    table = Table(title="CMSIS-NN in this emulator, core only: cycles per MAC")
    table.caption = (
        "4.0.0 without Add and Softmax, which bakenn does not carry; its convolution kernel is older than that of "
        "current sources. The other columns: data/published.json"
    )
    for column in ("network", "core", "level"):
        table.add_column(column)
    versions = ("current", "January 2022")
    for column in ("4.0.0, here", *versions):
        table.add_column(column, justify="right")
    for network in report["networks"]:
        for row in network["cmsis_nn"]:
            others = figures["cmsis_nn"]["cycles_per_mac"][row["core"]]
            found = [others[version].get(network["published"]) for version in versions]
            cells = ["" if value is None else f"{value:.2f}" for value in found]
            table.add_row(network["id"], row["core"], row["level"], f"{row['cycles'] / network['macs']:.3f}", *cells)
    return [table] if table.row_count else []


def _kinds(report: dict[str, Any]) -> Table:
    """By kind of layer, over all networks: each stack's cycles by its own MACs."""
    table = Table(title="By kind of layer, core only: cycles per MAC, lowest to highest (all of the kind together)")
    table.caption = "GCC; layers of 10,000 MACs and more; CMSIS-NN 4.0.0 by the MACs before channels are removed"
    for column in ("kind", "core"):
        table.add_column(column)
    for column in ("layers", "QuantMCU", "CMSIS-NN"):
        table.add_column(column, justify="right")
    for core in ("cortex-m4", "cortex-m7"):
        own: dict[str, list[tuple[float, int]]] = {}
        others: dict[str, list[tuple[float, int]]] = {}
        for network in report["networks"]:
            rows = [row for row in network["quantmcu"] if row["core"] == core and row["toolchain"] == "gcc"]
            for layer in (layer for row in rows for layer in row["layers"] if layer["macs"] >= _LEAST_MACS):
                own.setdefault(layer["kind"], []).append((layer["cycles"], layer["macs"]))
            for row in (row for row in network["cmsis_nn"] if row["core"] == core):
                for layer in (layer for layer in row["layers"] if layer["macs"] >= _LEAST_MACS):
                    others.setdefault(layer["kind"], []).append((layer["cycles"], layer["macs"]))
        for kind, layers in own.items():
            table.add_row(kind, core, str(len(layers)), _spread(layers), _spread(others.get(kind, [])))
    return table


def _spread(layers: list[tuple[float, int]]) -> str:
    if not layers:
        return ""
    ratios = [cycles / macs for cycles, macs in layers]
    whole = sum(cycles for cycles, _ in layers) / sum(macs for _, macs in layers)
    return f"{min(ratios):.2f} to {max(ratios):.2f} ({whole:.2f})"


def _limited(value: int, limit: int | None) -> str:
    return f"{value:,}" if limit is None else f"{value:,} {_verdict(value <= limit)} ({limit:,})"


def _verdict(met: bool) -> str:
    return "[green]met[/green]" if met else "[red]missed[/red]"


def _silicon(report: dict[str, Any], figures: dict[str, Any]) -> Table:
    table = Table(title="With the memory model, beside published silicon (cycles per MAC)")
    for column in ("network", "board"):
        table.add_column(column)
    for column in ("QuantMCU", "fastest published", "ratio"):
        table.add_column(column, justify="right")
    table.add_column("verdict")
    for network in report["networks"]:
        for core in ("cortex-m4", "cortex-m7"):
            row, others = best(network, core), silicon_of(figures, core, network["published"])
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
    table.caption = "undecided: a lead of less than 10 %, the size of the model's error"
    return table


def missed(report: dict[str, Any], figures: dict[str, Any]) -> list[Table]:
    """Cycles by layer of each network that misses a goal, or is slower than published silicon."""
    found = []
    for network in report["networks"]:
        for core in ("cortex-m4", "cortex-m7"):
            row, others = best(network, core), silicon_of(figures, core, network["published"])
            goal = figures["goals"]["cycles_per_mac"].get(core, {}).get(network["published"])
            if row is None:
                continue
            over = goal is not None and row["cycles"] > goal * network["macs"]
            if over or (others and row["cycles_with_memory_model"] > others[0][1]):
                found.append(_layers(network, row))
    return found


def layer_tables(report: dict[str, Any]) -> list[Table]:
    """Cycles by layer of everything measured."""
    return [_layers(network, row) for network in report["networks"] for row in network["quantmcu"]]


def _layers(network: dict[str, Any], row: dict[str, Any]) -> Table:
    table = Table(title=f"{network['title']} on {row['board']}, {row['toolchain']}: cycles by layer")
    for column in ("operator", "kernel", "shape"):
        table.add_column(column)
    for column in ("MACs", "cycles", "per MAC", "with memory", "per MAC"):
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
            f"{layer['cycles_with_memory_model'] / layer['macs']:.3f}" if layer["macs"] else "",
        )
    return table

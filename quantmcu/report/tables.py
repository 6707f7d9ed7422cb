"""Terminal tables of a result; right at 80 columns and in a pipe."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from quantmcu.report import charts
from quantmcu.report.comparison import ComparedFigure, ComparedLayer, Difference
from quantmcu.report.shortened import Shortened
from quantmcu.report.text import conditions, cost_of_bits, count, expectation, figure, milliseconds, percent, size
from quantmcu.report.verdict import verdict
from quantmcu.results import Result

if TYPE_CHECKING:
    from quantmcu.demonstration import DemoImage


def plain_table(*columns: str) -> Table:
    """A table with these headings; `>` before one aligns its column to the right, `=` keeps its cells on one line."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for column in columns:
        right, whole = column.startswith(">"), column.startswith((">", "="))
        table.add_column(column.lstrip(">="), justify="right" if right else "left", no_wrap=whole, overflow="fold")
    return table


def facts_table(facts: Sequence[tuple[str, str]]) -> Table:
    """Names and what is known of them."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, fact in facts:
        table.add_row(name, Text(fact))
    return table


def summary(result: dict[str, Any]) -> RenderableType:
    """What it comes to: whether it fits, RAM and flash, peak."""
    judged = verdict(result)
    memory_facts, board, model = result["memory"], result["board"], result["model"]
    flash = memory_facts["flash_total_bytes"]
    parts = (
        f" (arena {size(memory_facts['arena_bytes'])}, stack {size(memory_facts['stack_bytes'])})"
        if memory_facts["arena_bytes"]
        else ""
    )
    facts = [
        ("model", f"{model['name']}: {count(model['parameters'])} parameters, {count(model['macs'])} MACs"),
        ("board", f"{board.get('name', board['id'])} ({board['id']})"),
        ("verdict", judged.summary),
        ("RAM", f"{_of(memory_facts['ram_total_bytes'], board['ram_bytes'])}{parts}"),
        ("peak", f"in {memory_facts['peak_step']}"),
    ]
    plan = result["plan"]
    facts += [
        ("patches", f"{stage['grid'][0]}x{stage['grid'][1]} up to {stage['split_at']}, halo: {stage['halo_mode']}")
        for stage in plan.get("stages", [])
    ]
    if plan.get("stages"):
        facts.append(("", f"{plan['mac_factor']:.3f} x the MACs of running layer by layer"))
    narrow = charts.bit_rows(result)
    if narrow:
        facts.append(("bits", "; ".join(f"{row.label}: {_counts(row.counts)}" for row in narrow)))
        bitops = result["bitops"]
        fewer = f"{bitops['average_reduction_vs_uniform8_patched']:.2f} x fewer than 8 bits with halos computed again"
        facts.append(("BitOPs", f"{count(bitops['average'])}, {fewer}"))
    learned = result.get("search", {}).get("reconstruction")
    if learned is not None and learned["improved"]:
        gained = f"outputs {learned['sqnr_db_before']:.1f} dB before, {learned['sqnr_db_after']:.1f} dB after"
        facts.append(("trained", f"weights and biases for these bits: {gained}"))
    measured = result.get("search", {}).get("measured")
    if measured is not None:
        facts.append(("lost", cost_of_bits(measured)))
    if flash is None:
        facts.append(("weights", f"{_of(memory_facts['weights_bytes'], board['flash_bytes'])}; not built"))
    else:
        weights, code = size(memory_facts["weights_bytes"]), size(memory_facts["code_bytes"])
        facts.append(("flash", f"{_of(flash, board['flash_bytes'])} (weights {weights}, code {code})"))
    if "input_format" in model:
        facts.append(("input", model["input_format"]))
    return facts_table(facts)


def memory(result: dict[str, Any]) -> Table:
    """Use of every memory region."""
    table = plain_table("=Region", ">Used", ">Arena", ">Capacity for arenas")
    facts = result["memory"]
    linked, arenas = facts.get("regions", {}), facts.get("arena_by_region", {})
    capacities = facts.get("arena_capacity_by_region", {})
    for name in linked or capacities:
        table.add_row(
            name,
            size(linked.get(name)) if name in linked else "-",
            size(arenas.get(name)) if name in arenas else "",
            size(capacities.get(name)) if name in capacities else "",
        )
    return table


def layers(result: dict[str, Any]) -> Table:
    """One row a step: MACs, cycles (measured or predicted), distance from the least possible.

    Bits have a column where not all are 8. Kernels are in result.json and on the page: here the names of the layers
    need the room.
    """
    rows = charts.layers(result)
    mixed = any(layer.narrow for layer in rows)
    bits = ["=Bits"] if mixed else []
    cycles = ">Cycles" if charts.cycles_are_measured(result) else ">Predicted"
    table = plain_table("Layer", *bits, ">MACs", cycles, ">/MAC", ">x bound", ">Share")
    table.caption = "/MAC: cycles a multiply-accumulate; x bound: times the least that its core allows"
    table.caption_justify = "left"
    for layer in rows:
        table.add_row(
            Shortened(layer.name),
            *([layer.bits] if mixed else []),
            count(layer.macs) if layer.macs else "",
            f"{layer.cycles:,}" if layer.cycles is not None else "-",
            f"{layer.cycles_per_mac:.2f}" if layer.cycles_per_mac else "",
            f"{layer.cycles / layer.bound:.2f}" if layer.cycles and layer.bound else "",
            percent(layer.share) if layer.cycles is not None else "",
        )
    return table


def latency_summary(result: dict[str, Any]) -> RenderableType:
    """The latency with its conditions, and the stack's mark."""
    latency = result["latency"]
    how = "estimated" if latency["source"] == "emulator" else "measured"
    facts = [("latency", f"{milliseconds(latency['ms'])} {how}: {latency['cycles']:,} cycles")]
    if expectation(latency):
        facts.append(("", expectation(latency)))
    facts += [("conditions" if index == 0 else "", line) for index, line in enumerate(conditions(result))]
    used = result["memory"].get("stack_used_bytes")
    if used is not None:
        need = result["memory"].get("stack_need_bytes")
        bound = f"; the code needs {need} at most" if need is not None else ""
        facts.append(("stack", f"{used} of {result['memory']['stack_bytes']} bytes used{bound}"))
    return facts_table(facts)


def accuracy(result: dict[str, Any]) -> RenderableType:
    """Accuracy and bit-exactness."""
    found, validation = result["accuracy"], result["validation"]
    facts = []
    if found["quantized"] is not None:
        right = f"{percent(found['quantized'])} right ({found['metric']}), float {percent(found['float'])}"
        facts.append(("accuracy", f"{right}, on {found['n']} samples"))
    if found["agreement"] is not None:
        facts.append(("agreement", f"{percent(found['agreement'])} same class as the float model"))
    facts += [
        (
            "outputs" if index == 0 else "",
            f"{output['name']}: mean cosine {output['cosine']:.5f}, largest error {output['largest_error']:.3g}",
        )
        for index, output in enumerate(found["outputs"])
    ]
    compared = f"{validation['reference_samples']} of {validation['samples']} samples"
    facts += [
        (
            "bit-exact",
            f"{compared}: {validation['bytes_compared']:,} output bytes, {validation['differing_bytes']} differ",
        ),
        ("data", f"{validation['data']}, on {validation['runner']}"),
    ]
    return facts_table(facts)


def compared(left: Result, right: Result) -> Table:
    """Which result is A, and which B."""
    return facts_table(
        [
            (letter, f"{result.folder}: {result.model_name} on {result.board_id}, {verdict(result.data).summary}")
            for letter, result in (("A", left), ("B", right))
        ]
    )


def comparison(rows: Sequence[ComparedFigure]) -> Table:
    """Figures of two results side by side."""
    table = plain_table("=Figure", ">A", ">B", ">Change")
    for row in rows:
        shown = percent if row.is_share else figure
        table.add_row(row.name, shown(row.left), shown(row.right), row.change)
    return table


def compared_conditions(rows: Sequence[Difference]) -> Table:
    """The conditions in which two results differ."""
    table = plain_table("=Differs", "A", "B")
    for row in rows:
        table.add_row(row.name, Text(row.left), Text(row.right))
    return table


def compared_layers(rows: Sequence[ComparedLayer]) -> Table:
    """Cycles of two results by layer; `!` marks layers with other bits, kernels or shapes."""
    table = plain_table("Layer", "=", ">A", ">B", ">Ratio")
    for row in rows:
        cycles = [figure(layer.cycles) if layer is not None else "-" for layer in (row.left, row.right)]
        ratio = f"{row.ratio:.2f}" if row.ratio is not None else ""
        table.add_row(Shortened(row.name), "!" if row.differs else "", *cycles, ratio)
    return table


def recognised(images: Sequence[DemoImage]) -> Table:
    """What the firmware saw in each photograph."""
    table = plain_table("Photograph", "Recognised", ">Score", "")
    for image in images:
        mark = "" if image.shown == image.recognised else "wrong"
        table.add_row(f"{image.shown}/{image.name}", image.recognised, percent(image.score, 0), mark)
    return table


def next_steps(result: Result, *more: tuple[str, str]) -> RenderableType:
    """Where everything is, and what to do with it; `more` are commands with their purpose."""
    folder = shlex.quote(str(result.folder))
    steps = []
    if result.flash_bytes is not None and "latency" not in result.data:
        steps.append((f"quantmcu measure {folder}", "latency in the emulator"))
    if "accuracy" not in result.data:
        steps.append((f"quantmcu validate {folder} --data PATH", "accuracy"))
    if result.flash_bytes is not None and result.board.qemu_machine is None:
        steps.append((f"quantmcu flash {folder}", "upload to the board"))
    written = "report.html, result.json, quantized.onnx, the PlatformIO project"
    firmware = "" if result.flash_bytes is None else "firmware.elf, "
    return Group(
        Text(f"{folder} holds {firmware}{written}. Next:"),
        *(Text(f"  {command}   ({purpose})") for command, purpose in (*steps, *more)),
    )


def _counts(counts: dict[int, int]) -> str:
    return ", ".join(f"{number} of {bits} bits" for bits, number in counts.items())


def _of(used: int, limit: int) -> str:
    return f"{size(used)} of {size(limit)}, {percent(used / limit)}"

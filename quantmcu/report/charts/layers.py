"""The table of layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Layer:
    """A row of the table of layers.

    Attributes:
        bits: of inputs, weights and output.
        narrow: some of them are below 8.
        patches: of its stage; None outside of patch stages. The shape is that in the first one.
        bound: cycles that no kernel goes below; None where unknown.
        cycles: measured; predicted by the kernel's cost model where nothing was measured; None where unknown.
        share: of all cycles, 0 to 1.
        macs_share: of all MACs, 0 to 1.
        bar, macs_bar: lengths of the bars, 100 for the largest share of the table.
    """

    name: str
    operator: str
    kernel: str
    shape: list[int]
    patches: int | None
    bits: str
    narrow: bool
    macs: int
    cycles: int | None
    cycles_per_mac: float | None
    bound: int | None
    share: float
    macs_share: float
    bar: float
    macs_bar: float


def cycles_are_measured(result: dict[str, Any]) -> bool:
    """Whether `Layer.cycles` are those of a run, and not the predictions of the kernels' cost models."""
    return bool((result.get("latency") or {}).get("by_layer"))


def layers(result: dict[str, Any]) -> list[Layer]:
    """One row a step."""
    steps = result["steps"]
    if cycles_are_measured(result):
        measured = {row["name"]: row["cycles"] for row in result["latency"]["by_layer"]}
        cycles = [measured.get(step["name"]) for step in steps]
    else:
        cycles = [step.get("predicted_cycles") for step in steps]
    total = sum(value or 0 for value in cycles) or 1
    macs = sum(step["macs"] for step in steps) or 1
    shares = [((value or 0) / total, step["macs"] / macs) for step, value in zip(steps, cycles, strict=True)]
    longest = max((max(pair) for pair in shares), default=0) or 1
    return [
        Layer(
            step["name"],
            step["operator"],
            step["kernel"],
            step["shape"],
            step["patches"],
            _bits(step),
            min(*step["input_bits"], step["weight_bits"] or 8, step["output_bits"]) < 8,
            step["macs"],
            value,
            value / step["macs"] if value and step["macs"] else None,
            step.get("theoretical_cycles"),
            share,
            macs_share,
            100 * share / longest,
            100 * macs_share / longest,
        )
        for step, value, (share, macs_share) in zip(steps, cycles, shares, strict=True)
    ]


def _bits(step: dict[str, Any]) -> str:
    """`8·w4→8`: input, weights, output."""
    inputs = "+".join(str(bits) for bits in step["input_bits"])
    weights = f"·w{step['weight_bits']}" if step["weight_bits"] else ""
    return f"{inputs}{weights}→{step['output_bits']}"

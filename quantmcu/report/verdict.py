"""What a result comes to, in a few sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from quantmcu.report.text import expectation, frequency, milliseconds, percent, size


@dataclass(frozen=True)
class Verdict:
    """The few sentences, and four figures.

    Attributes:
        good: nothing speaks against using this result.
        summary: first sentence.
        notes: warnings and decisions of the compilation.
        tiles: label, figure, and a line below it.
    """

    good: bool
    summary: str
    notes: tuple[str, ...]
    tiles: tuple[tuple[str, str, str], ...]


def verdict(result: dict[str, Any]) -> Verdict:
    """The verdict on a result.json's content."""
    memory, board = result["memory"], result["board"]
    flash = memory["flash_total_bytes"]
    flash_known = flash if flash is not None else memory["weights_bytes"]
    fits = memory["ram_total_bytes"] <= board["ram_bytes"] and flash_known <= board["flash_bytes"]
    where = f"{board.get('name', board['id'])}"
    if not fits:
        summary = f"does not fit {where}"
    elif flash is None:
        summary = f"planned for {where}; not built"
    else:
        summary = f"fits {where}"
    calibrated = "random inputs" not in result["calibration"]["data"]
    if not calibrated:
        summary += "; calibrated with random inputs"
    return Verdict(
        fits and calibrated,
        summary,
        tuple(result["compile"]["notes"]),
        (_latency(result), _ram(memory, board), _flash(flash, memory, board), _accuracy(result)),
    )


def _latency(result: dict[str, Any]) -> tuple[str, str, str]:
    latency = result.get("latency")
    if latency is None:
        return "one inference", "not measured", "quantmcu measure"
    clock = frequency(latency["conditions"]["clock_hz"])
    how = "estimated by the emulator" if latency["source"] == "emulator" else "measured on the device"
    return "one inference", milliseconds(latency["ms"]), expectation(latency) or f"{how} at {clock}"


def _ram(memory: dict[str, Any], board: dict[str, Any]) -> tuple[str, str, str]:
    used, limit = memory["ram_total_bytes"], board["ram_bytes"]
    return "RAM", size(used), f"{percent(used / limit)} of {size(limit)}"


def _flash(flash: int | None, memory: dict[str, Any], board: dict[str, Any]) -> tuple[str, str, str]:
    limit = board["flash_bytes"]
    if flash is None:
        return "flash, weights only", size(memory["weights_bytes"]), f"of {size(limit)}; not built"
    return "flash", size(flash), f"{percent(flash / limit)} of {size(limit)}"


def _accuracy(result: dict[str, Any]) -> tuple[str, str, str]:
    accuracy = result.get("accuracy")
    if accuracy is None:
        return "accuracy", "not validated", "quantmcu validate --data"
    if accuracy["quantized"] is not None:
        below = f"float {percent(accuracy['float'])}, on {accuracy['n']} samples"
        return f"accuracy ({accuracy['metric']})", percent(accuracy["quantized"]), below
    if accuracy["agreement"] is not None:
        return "agreement with float", percent(accuracy["agreement"]), f"on {accuracy['n']} samples without labels"
    cosine = min(output["cosine"] for output in accuracy["outputs"])
    return "likeness to float", f"{cosine:.4f}", f"least mean cosine of an output, on {accuracy['n']} samples"

"""Figures as people read them; the same in the terminal and on the page."""

from __future__ import annotations

from typing import Any

KIB = 1024


def size(count: int | None) -> str:
    """Bytes: `834 B`, `12.3 KiB`, `1.25 MiB`; a dash for None."""
    if count is None:
        return "-"
    if count < KIB:
        return f"{count} B"
    if count < KIB**2:
        return f"{count / KIB:.1f} KiB"
    return f"{count / KIB**2:.2f} MiB"


def count(number: float | None) -> str:
    """A large number with a metric suffix: `834`, `12.3 k`, `9.35 M`; a dash for None."""
    if number is None:
        return "-"
    for suffix, unit in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= unit:
            return f"{_three_digits(number / unit)} {suffix}"
    return f"{number:.0f}"


def milliseconds(value: float) -> str:
    """`0.0123 ms`, `1.23 ms`, `123 ms`."""
    return f"{_three_digits(value)} ms"


def frequency(hertz: int) -> str:
    """`216 MHz`."""
    return f"{hertz / 1e6:g} MHz"


def percent(share: float | None, digits: int = 1) -> str:
    """`12.3 %` of a share from 0 to 1; a dash for None."""
    return "-" if share is None else f"{100 * share:.{digits}f} %"


def figure(value: float | None) -> str:
    """A number of unknown kind: whole ones in full, others with four digits; a dash for None."""
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def shape(dimensions: list[int]) -> str:
    """`96x96x3`, without the batch of 1."""
    return "x".join(str(dimension) for dimension in (dimensions[1:] if len(dimensions) > 1 else dimensions))


def ending(name: str, width: int) -> str:
    """The end of a long name: that is what tells layers apart."""
    return name if len(name) <= width else f"…{name[1 - width :]}"


def sentence(text: str, end: str = ".") -> str:
    """With a capital letter in front and `end` behind, unless it has an end of its own."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '?', '!')) else end}"


def conditions(result: dict[str, Any]) -> list[str]:
    """What the latency depends on, one sentence a line."""
    latency = result["latency"]
    facts = latency["conditions"]
    caches = facts["icache_bytes"] or facts["dcache_bytes"]
    cached = (
        f"caches on ({size(facts['icache_bytes'])} instructions, {size(facts['dcache_bytes'])} data)"
        if caches
        else "no caches"
    )
    waits = facts["flash_wait_states"]
    flash = "" if waits is None else f", {waits} flash wait states"
    lines = [f"{facts['board']} ({facts['core']}) at {frequency(facts['clock_hz'])}, {cached}{flash}"]
    if latency["source"] == "device":
        lines.append(f"measured on {facts['runner']}")
    else:
        lines.append(f"estimated: the exact firmware.elf on {facts['runner']}, cycle model {facts['cycle_model']}")
        lines.append(facts["note"])
    optimization = " ".join(flag for flag in facts["flags"] or [] if flag.startswith("-O"))
    lines.append(f"compiler: {facts['compiler']}, {optimization}")
    lines.append(
        f"{latency['runs']} runs: first {latency['first_cycles']:,}, then {latency['min_cycles']:,} to "
        f"{latency['max_cycles']:,} cycles; input: {facts['input']}"
    )
    commit = f", commit {facts['commit']}" if facts["commit"] else ""
    lines.append(f"QuantMCU {facts['quantmcu']}{commit}")
    return lines


def expectation(latency: dict[str, Any]) -> str:
    """Where a board is expected, for an estimate whose error is known; else empty."""
    if latency["band_ms"] is None:
        return ""
    low, high = latency["band_ms"]
    least, most = latency["conditions"]["band_percent"]
    error = f"error of estimates: {least} to +{most} %"
    return f"expect {_three_digits(low)} to {milliseconds(high)} on a board ({error})"


def _three_digits(value: float) -> str:
    if value >= 100:
        return f"{value:.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 1 else f"{value:.3g}"


def cost_of_bits(measured: dict[str, Any]) -> str:
    """What fewer bits than 8 cost (`search.measured` of result.json), in a sentence."""
    noise = f"signal to noise of the outputs {_decibels(measured['sqnr_db'])}"
    parts = [f"{noise} (8 bits: {_decibels(measured['sqnr_db_of_8_bits'])})"]
    if measured["agreement"] is not None:
        equal, eight = percent(measured["agreement"]), percent(measured["agreement_of_8_bits"])
        parts.append(f"{equal} same class as the float model (8 bits: {eight})")
    return f"{', '.join(parts)}, on {measured['samples']} calibration samples"


def _decibels(value: float | None) -> str:
    return "without noise" if value is None else f"{value:.1f} dB"

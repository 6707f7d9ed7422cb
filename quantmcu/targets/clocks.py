"""Clock arithmetic of a manifest: the recipe of the clock tree gives the clock that is claimed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from quantmcu.targets.board import Board

Clock = Mapping[str, int]

_BAUD_TOLERANCE = 0.02  # of a UART receiver (RM0410, section 34.5.5)
_NRF52_UART_HZ = 16_000_000


def _pll(source: str, divider: str) -> Callable[[Clock], int]:
    return lambda clock: clock[source] // clock["pll_m"] * clock["pll_n"] // clock[divider]


def _rp2040(clock: Clock) -> int:
    oscillator = clock["xosc_hz"] // clock["pll_refdiv"] * clock["pll_fbdiv"]
    return oscillator // clock["pll_postdiv1"] // clock["pll_postdiv2"]


# The core clock that a port sets up, by port; the others run at a fixed one.
_CORE_CLOCK: dict[str, Callable[[Clock], int]] = {
    "stm32f4": _pll("hse_hz", "pll_p"),
    "stm32f7": _pll("hse_hz", "pll_p"),
    "stm32g4": _pll("hse_hz", "pll_r"),
    "stm32h7": _pll("hse_hz", "pll_p"),
    "stm32h7a": _pll("hse_hz", "pll_p"),
    "stm32l4": _pll("hsi_hz", "pll_r"),
    "stm32u5": _pll("hsi_hz", "pll_r"),
    "rp2040": _rp2040,
}


def clock_problems(board: Board) -> list[tuple[str, str]]:
    """Manifest key and complaint for each contradiction between recipe, core clock, console clock and baud rate."""
    return [*_core(board), *_console_clock(board), *_baud(board)]


def _integers(board: Board) -> dict[str, int]:
    return {key: value for key, value in board.clock.items() if isinstance(value, int)}


def _core(board: Board) -> Iterator[tuple[str, str]]:
    if board.port in _CORE_CLOCK:
        result = _CORE_CLOCK[board.port](_integers(board))
        if result != board.clock_hz:
            yield "quantmcu.clock", f"the recipe gives {result:,} Hz, but core_hz is {board.clock_hz:,} Hz"


def _console_clock(board: Board) -> Iterator[tuple[str, str]]:
    """The UART's kernel clock must be one of those that the recipe's bus dividers give."""
    if not board.port.startswith("stm32"):
        return
    clock = _integers(board)
    bus = board.clock_hz // clock.get("ahb_div", 1)
    dividers = {clock[key] for key in ("apb_div", "apb1_div", "apb2_div") if key in clock} or {1}
    if board.console.clock_hz not in {bus // divider for divider in dividers}:
        found = " or ".join(f"{bus // divider:,}" for divider in sorted(dividers))
        yield "quantmcu.console.clock_hz", f"is {board.console.clock_hz:,} Hz, but the bus runs at {found} Hz"


def _baud(board: Board) -> Iterator[tuple[str, str]]:
    console = board.console
    if "baud_register" in console.settings:  # nRF52840 PS v1.8, section 6.33.8
        actual = console.settings["baud_register"] * _NRF52_UART_HZ / 2**32
    else:
        # a PL011 divides a sixteenth of its clock in steps of 1/64
        scale = 4 if console.kind == "pl011" else console.settings.get("divider_scale", 1)
        steps = round(console.clock_hz * scale / console.baud)
        actual = console.clock_hz * scale / steps if steps else 0.0
    if abs(actual - console.baud) > _BAUD_TOLERANCE * console.baud:
        yield "quantmcu.console.baud", f"is {console.baud:,}, but the nearest that the UART can do is {actual:,.0f}"

"""Processor time of a compilation by stage: calibration, measured losses, the searches for bits and for plans."""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import quantmcu
from quantmcu.results import Result

REQUESTS: Mapping[str, Mapping[str, object]] = {
    "maps of 8 bits": {"bits": "8"},
    "VDQS": {"bits": "mixed"},
    "VDQS, saving cycles": {"bits": "mixed", "objective": "latency"},
    "weights and maps together, 2.2": {"bits": "mixed", "bitops_reduction": 2.2},
}


class StageTimes:
    """Processor seconds of this process and its children by stage."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._name, self._since = "", _processor_seconds()

    def stage(self, name: str) -> None:
        """See Progress."""
        now = _processor_seconds()
        self.seconds[self._name] += now - self._since
        self._name, self._since = name, now

    def advance(self, done: int, total: int) -> None:
        """See Progress."""

    def note(self, text: str) -> None:
        """See Progress."""


def _processor_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def measure(arguments: argparse.Namespace, request: Mapping[str, object]) -> tuple[Mapping[str, float], Result, float]:
    """Processor seconds by stage, the result, and the seconds in all, of one compilation without a build."""
    times, start = StageTimes(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        result = quantmcu.compile(
            arguments.model,
            arguments.board,
            calibration=str(arguments.images),
            calibration_limit=arguments.limit,
            preprocess=arguments.preprocess,
            out=Path(folder) / "out",
            build=False,
            progress=times,
            reconstruct=arguments.reconstruct,
            **request,
        )
    times.stage("")
    return times.seconds, result, time.perf_counter() - start


def main() -> None:
    """Prints a table; a column a request."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path, help="to calibrate with")
    parser.add_argument("--board", default="nucleo-f767")
    parser.add_argument("--preprocess", default="imagenet-crop")
    parser.add_argument("--limit", type=int, default=100, help="images that calibration takes (100)")
    parser.add_argument("--reconstruct", default="off", help="training of weights, which is no search (off)")
    parser.add_argument("--only", choices=REQUESTS, action="append", help="one of the requests; repeatable")
    arguments = parser.parse_args()
    cores, load = os.cpu_count(), os.getloadavg()[0]
    print(f"{arguments.model.name}, {arguments.limit} images, {arguments.board}, without build")
    print(f"Python {platform.python_version()}, {cores} cores, load {load:.1f} before; processor seconds (seconds)")
    for label in arguments.only or REQUESTS:
        seconds, result, elapsed = measure(arguments, REQUESTS[label])
        by_stage = result.data["compile"]["seconds_by_stage"]
        parts = [f"{name} {seconds[name]:.1f} ({by_stage[name]:.1f})" for name in by_stage]
        print(f"{label}: {sum(seconds.values()):.1f} ({elapsed:.1f}): {', '.join(parts)}", flush=True)


if __name__ == "__main__":
    main()

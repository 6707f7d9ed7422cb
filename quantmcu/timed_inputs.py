"""What the network is given while it is timed: random codes, or samples of data.

Its time depends on the input only where patches choose their branch by it (VDPC, dynamic). A run leaves anything in the
input's memory, so there the input is loaded anew for each run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx

from quantmcu.data import Source
from quantmcu.device import Profile, RunTimes
from quantmcu.errors import UsageError
from quantmcu.frontend import load_onnx
from quantmcu.program.serialize import load_program
from quantmcu.results import Result
from quantmcu.runner import Codes, TensorInfo
from quantmcu.validation import quantized_inputs, samples_of

_RANDOM = "random codes (seed 0)"
_UNDELIVERED = "on demand, its delivery not timed"
_UNKNOWN_CLASSES = "; patches take the branch of what lies in memory"


@dataclass(frozen=True)
class TimedInputs:
    """Inputs of the runs.

    Attributes:
        description: for the conditions of the figure.
        samples: inputs to take in turn; one for all runs where the time does not depend on it.
        each_run: load one of them for each run; else once.
    """

    description: str
    samples: Sequence[Sequence[Codes]]
    each_run: bool

    def run(self, count: int, run: Callable[[int, Sequence[Codes]], RunTimes]) -> RunTimes:
        """Times of `count` runs by `run`, which takes their number and the inputs."""
        if not self.each_run:
            return run(count, self.samples[0])
        return _joined([run(1, self.samples[index % len(self.samples)]) for index in range(count)])

    def profile(self, count: int, profile: Callable[[int, Sequence[Codes]], Profile]) -> Profile:
        """The same by step."""
        if not self.each_run:
            return profile(count, self.samples[0])
        parts = [profile(1, self.samples[index % len(self.samples)]) for index in range(count)]
        by_step = zip(*(part.steps for part in parts), strict=True)
        return Profile(parts[0].names, tuple(_joined(times) for times in by_step), _joined([p.whole for p in parts]))


def timed_inputs(
    result: Result, tensors: Sequence[TensorInfo], runs: int, data: Source | None, preprocess: str | Path | None
) -> TimedInputs:
    """The inputs of `runs` runs.

    Args:
        result: a compiled network.
        tensors: its inputs, as the firmware says.
        runs: how many; so many samples are taken, spread over the data.
        data: samples; None: random codes.
        preprocess: for images; None: as at the compilation.

    Raises:
        UsageError: the data does not fit the network, or its input is on demand.
    """
    plan = result.data["plan"]
    on_demand = bool(plan.get("input_on_demand"))
    dynamic = (plan.get("vdpc") or {}).get("mode") == "dynamic"
    if data is None:
        if on_demand:
            description = _UNDELIVERED + (_UNKNOWN_CLASSES if dynamic else "")
        else:
            description = _RANDOM + (", loaded for each run" if dynamic else "")
        return TimedInputs(description, [[random_codes(tensor) for tensor in tensors]], dynamic and not on_demand)
    if on_demand:
        why = "its delivery is the application's, so measure times the network without it"
        raise UsageError("the network takes its input on demand", "--data", why, "leave out --data")
    graph = load_onnx(onnx.load(str(result.folder / "float.onnx")))
    program = load_program(result.folder / "program.npz")
    dataset = samples_of(result, graph, data, preprocess, None)
    samples = [list(quantized_inputs(program, sample.inputs).values()) for sample in dataset.take(runs)]
    taken = f"{len(samples)} of {len(dataset)} samples, one a run: {dataset.description}"
    return TimedInputs(taken, samples, each_run=True)


def random_codes(tensor: TensorInfo) -> Codes:
    """Any input that the network accepts, the same one every time."""
    codes = np.random.default_rng(0).integers(0, 2 ** min(tensor.bits, 8), tensor.shape, np.uint8)
    return codes if tensor.bits <= 8 else codes.astype(np.int32)


def _joined(parts: Sequence[RunTimes]) -> RunTimes:
    return replace(parts[0], cycles=tuple(cycles for part in parts for cycles in part.cycles))

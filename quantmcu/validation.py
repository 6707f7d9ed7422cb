"""Validates a compiled network: bit-exact against the reference, and accuracy against the float model."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from quantmcu.data import Dataset, InputSpec, Preprocess, Source, input_specs, load_preprocess, open_dataset
from quantmcu.errors import QuantMCUError, UsageError
from quantmcu.frontend import load_onnx
from quantmcu.ir import Graph
from quantmcu.program.program import Program, Value
from quantmcu.program.serialize import load_program
from quantmcu.progress import Progress, SilentProgress
from quantmcu.quant.accuracy import AccuracyReport, compare, is_classifier
from quantmcu.reference import execute
from quantmcu.report import write_report
from quantmcu.results import Result
from quantmcu.runner import Codes, Runner, RunnerInfo, TensorInfo
from quantmcu.runners import open_runner

VALIDATED_ON = ("host", "emulator", "qemu", "device", "reference")
REFERENCE_LIMIT = 100


@dataclass(frozen=True, eq=False)
class SampleOutcome:
    """What both networks made of one sample; outputs in the ONNX model's order and layout, real values.

    Attributes:
        index: of the sample.
        label: its class, where known.
        float_outputs: of the float model in ONNX Runtime.
        outputs: of the compiled network, dequantized.
    """

    index: int
    label: int | None
    float_outputs: Sequence[NDArray[np.generic]]
    outputs: Sequence[NDArray[np.generic]]


def validate_result(
    result: Result,
    *,
    data: Source,
    on: str = "host",
    port: str | None = None,
    preprocess: str | Path | None = None,
    limit: int | None = None,
    reference_limit: int = REFERENCE_LIMIT,
    progress: Progress | None = None,
    on_sample: Callable[[SampleOutcome], None] = lambda outcome: None,
) -> Result:
    """Runs data through the network, adds `validation` and `accuracy` to result.json, draws report.html anew.

    Arguments and errors are those of `quantmcu.validate`, with the result itself in place of its folder.
    """
    progress = progress or SilentProgress()
    if reference_limit < 1:
        raise UsageError("at least one sample must be compared with the reference", "--reference-limit")
    program = load_program(result.folder / "program.npz")
    graph = load_onnx(onnx.load(str(result.folder / "float.onnx")))
    classifier = is_classifier(graph)
    dataset = samples_of(result, graph, data, preprocess, limit)
    if dataset.warning:
        progress.note(dataset.warning)
    progress.stage(f"start {on}")
    with closing(_open(result, program, on, port)) as runner:
        progress.stage(f"validate {len(dataset)} samples on {on}")
        check = ReferenceCheck(program, runner.info.runner, _spread(len(dataset), reference_limit))
        outcomes = _outcomes(result, program, dataset, runner, check, progress, on_sample)
        accuracy = _accuracy(outcomes, program, dataset, classifier=classifier)
        result.data["validation"] = {
            "on": on,
            "runner": runner.info.runner,
            "data": dataset.description,
            "samples": len(dataset),
            "reference_samples": len(check.chosen),
            "bytes_compared": check.bytes_compared,
            "differing_bytes": 0,
        }
    result.data["accuracy"] = accuracy.as_json()
    result.save()
    write_report(result)
    return result


def quantized_inputs(program: Program, inputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.uint8]]:
    """Codes in the firmware's layout, by input name, of float inputs in the ONNX model's layout."""
    codes = {}
    for name, layout in _with_layouts(program.inputs, program.input_layouts):
        value = program.values[name]
        assert value.qparams is not None
        ours = inputs[name] if layout is None else inputs[name].transpose(layout)
        codes[name] = value.qparams.quantize(ours.reshape(value.shape))
    return codes


def dequantized_outputs(program: Program, outputs: Sequence[Codes]) -> list[NDArray[np.generic]]:
    """Real values in the ONNX model's layout, of codes in the firmware's."""
    values: list[NDArray[np.generic]] = []
    for (name, layout), codes in zip(_with_layouts(program.outputs, program.output_layouts), outputs, strict=True):
        qparams = program.values[name].qparams
        real: NDArray[np.generic] = codes if qparams is None else qparams.dequantize(codes)
        values.append(real if layout is None else real.transpose(np.argsort(layout)))
    return values


class ReferenceRunner:
    """The reference itself as a Runner."""

    def __init__(self, program: Program, sha256: str) -> None:
        self._program = program
        tensors = [
            tuple(_tensor_info(program.values[name]) for name in names) for names in (program.inputs, program.outputs)
        ]
        self.info = RunnerInfo("reference (NumPy)", program.name, sha256, *tensors)

    def infer(self, inputs: Sequence[Codes]) -> list[Codes]:
        """See Runner."""
        named = {name: codes.astype(np.uint8) for name, codes in zip(self._program.inputs, inputs, strict=True)}
        outputs = execute(self._program, named)
        return [outputs[name] for name in self._program.outputs]

    def close(self) -> None:
        """Nothing to close."""


class ReferenceCheck:
    """Compares outputs with the reference, byte for byte.

    Attributes:
        chosen: indices of the samples that are compared.
        bytes_compared: output bytes so far.
    """

    def __init__(self, program: Program, runner: str, chosen: frozenset[int]) -> None:
        self._program, self._runner = program, runner
        self.chosen = chosen
        self.bytes_compared = 0

    def check(self, sample: int, inputs: Mapping[str, NDArray[np.uint8]], outputs: Sequence[Codes]) -> None:
        """Compares one sample, if it is among the chosen.

        Raises:
            QuantMCUError: something differs.
        """
        if sample not in self.chosen:
            return
        wanted = execute(self._program, inputs)
        for name, got in zip(self._program.outputs, outputs, strict=True):
            self.bytes_compared += self._program.values[name].nbytes
            differing = np.flatnonzero(wanted[name].ravel() != got.ravel())
            if differing.size:
                self._report(sample, name, wanted[name], got, differing)

    def _report(self, sample: int, name: str, wanted: Codes, got: Codes, differing: NDArray[np.integer[Any]]) -> None:
        first = int(differing[0])
        place = [int(index) for index in np.unravel_index(first, wanted.shape)]
        raise QuantMCUError(
            f"{differing.size} of {wanted.size} values differ from the reference",
            f"sample {sample}, output {name}, on {self._runner}",
            f"the first is at {place}: {int(got.ravel()[first])} in place of {int(wanted.ravel()[first])}",
            "this is a mistake in QuantMCU, or of the memory of a board: validate on another place "
            "(--on host, --on emulator) to tell them apart, and report it with the model",
        )


def samples_of(
    result: Result, graph: Graph, data: Source, preprocess: str | Path | None, limit: int | None
) -> Dataset:
    """At most `limit` samples of `data`, spread over it, for the float `graph` of a result.

    Raises:
        UsageError: the data does not fit the network.
    """
    specs = input_specs(graph)
    classes = graph.tensor(graph.outputs[0]).elements if is_classifier(graph) else None
    if classes == 1:
        classes = None  # the output is the index of a class: nothing says how many there are
    return open_dataset(data, specs, _preprocess(result, specs, preprocess), classes=classes).take(limit)


def _preprocess(result: Result, specs: Sequence[InputSpec], given: str | Path | None) -> Preprocess | None:
    saved = result.folder / "preprocess.toml"
    if given is None and not saved.is_file():
        return None
    return load_preprocess(given or saved, specs[0])


def _open(result: Result, program: Program, on: str, port: str | None) -> Runner:
    if on == "reference":
        return ReferenceRunner(program, result.program_sha256)
    return open_runner(result, on, port)


def _outcomes(
    result: Result,
    program: Program,
    dataset: Dataset,
    runner: Runner,
    check: ReferenceCheck,
    progress: Progress,
    on_sample: Callable[[SampleOutcome], None],
) -> Iterator[SampleOutcome]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only: what it optimizes away is no news to the user
    path = str(result.folder / "float.onnx")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    progress.advance(0, len(dataset))
    for index, sample in enumerate(dataset):
        codes = quantized_inputs(program, sample.inputs)
        outputs = runner.infer([codes[name] for name in program.inputs])
        check.check(index, codes, outputs)
        floats = session.run(list(program.outputs), dict(sample.inputs))
        real = [
            mine.reshape(theirs.shape)
            for mine, theirs in zip(dequantized_outputs(program, outputs), floats, strict=True)
        ]
        outcome = SampleOutcome(index, sample.label, floats, real)
        on_sample(outcome)
        progress.advance(index + 1, len(dataset))
        yield outcome


def _accuracy(
    outcomes: Iterator[SampleOutcome], program: Program, dataset: Dataset, *, classifier: bool
) -> AccuracyReport:
    """Both sides are drawn from the same outcomes in step, so that no more than one is kept."""
    left, right = itertools.tee(outcomes)
    labels = None if dataset.labels is None else (int(label) for label in dataset.labels)
    return compare(
        (outcome.float_outputs for outcome in left),
        (outcome.outputs for outcome in right),
        program.outputs,
        labels=labels,
        classifier=classifier,
    )


def _spread(count: int, limit: int) -> frozenset[int]:
    """At most `limit` of `count` indices, evenly."""
    chosen = min(count, limit)
    return frozenset(index * count // chosen for index in range(chosen))


def _with_layouts(
    names: tuple[str, ...], layouts: tuple[tuple[int, ...] | None, ...]
) -> list[tuple[str, tuple[int, ...] | None]]:
    return list(zip(names, layouts or (None,) * len(names), strict=True))


def _tensor_info(value: Value) -> TensorInfo:
    scale, zero_point = (value.qparams.scale, value.qparams.zero_point) if value.qparams else (1.0, 0)
    return TensorInfo(value.name, value.bits, value.shape, value.nbytes, scale, zero_point)

"""The float network behind one of its activations: how far the outputs move when that activation changes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from quantmcu.data import Dataset
from quantmcu.export import export_onnx
from quantmcu.ir import Graph, QParams, ops
from quantmcu.quant.calibrate import in_ir_layout

FloatArray = NDArray[np.float32]
Values = dict[str, FloatArray]


@dataclass(frozen=True, eq=False)
class Tail:
    """What follows the activation `name`.

    Attributes:
        samples: by sample, all activations that live right after `name` was computed.
        before: by sample, those that lived right before: what its operator reads is among them.
    """

    name: str
    samples: Sequence[Values]
    before: Sequence[Values]
    _run: Callable[[Values], list[FloatArray]]
    _wanted: Sequence[list[FloatArray]]

    def movement(self, change: Callable[[int], FloatArray]) -> float:
        """Noise to signal ratio of the outputs (their mean) with `change(sample)` as the activation."""
        noise = np.zeros(len(self._wanted[0]))
        signal = np.zeros(len(noise))
        for index, (values, wanted) in enumerate(zip(self.samples, self._wanted, strict=True)):
            got = self._run({**values, self.name: change(index)})
            noise += [float(np.sum((a - b) ** 2, dtype=np.float64)) for a, b in zip(got, wanted, strict=True)]
            signal += [float(np.sum(b**2, dtype=np.float64)) for b in wanted]
        return float(np.mean(noise / np.maximum(signal, np.finfo(np.float64).tiny)))

    def movement_when(self, qparams: QParams) -> float:
        """The movement when the activation is rounded to codes."""
        return self.movement(lambda sample: qparams.dequantize(qparams.quantize(self.samples[sample][self.name])))


def tails(graph: Graph, dataset: Dataset, names: Collection[str]) -> Iterator[Tail]:
    """The tails behind the activations `names` of the float `graph`, in the order of their computation.

    Memory: what lives at one moment, of all samples.
    """
    graph = _measured(graph)
    live = [{name: _input(graph, name, sample.inputs[name]) for name in graph.inputs} for sample in dataset]
    wanted = [section_runner(graph, graph.ops, graph.outputs)(values) for values in live]
    for name in graph.inputs:
        if name in names:
            yield Tail(name, live, live, section_runner(graph, graph.ops, graph.outputs), wanted)
    for index, op in enumerate(graph.ops):
        rest = graph.ops[index + 1 :]
        needed = {name for later in rest for name in later.inputs} | set(graph.outputs)
        before = live
        step = section_runner(graph, (op,), op.outputs)
        live = [_kept(values, needed) | dict(zip(op.outputs, step(values), strict=True)) for values in live]
        if op.outputs[0] in names:
            yield Tail(op.outputs[0], live, before, section_runner(graph, rest, graph.outputs), wanted)


def _kept(values: Values, needed: Collection[str]) -> Values:
    return {name: value for name, value in values.items() if name in needed}


def section_runner(
    graph: Graph, section: Sequence[ops.Op], outputs: Sequence[str]
) -> Callable[[Values], list[FloatArray]]:
    """Runs some consecutive operators: from the activations that live before them to `outputs`, in the IR's shapes.

    Outputs that lived before are passed on.
    """
    produced = {name for op in section for name in op.outputs}
    computed = tuple(name for name in outputs if name in produced)
    read = [name for op in section for name in op.inputs]
    inputs = tuple(n for n in dict.fromkeys(read) if n not in produced and graph.tensor(n).data is None)
    if not computed:
        return lambda values: [values[name] for name in outputs]
    part = replace(graph, inputs=inputs, outputs=computed, input_layouts=(), output_layouts=()).with_ops(section)
    session = short_lived_session(part)

    def run(values: Values) -> list[FloatArray]:
        results = dict(zip(computed, session.run(computed, {name: values[name] for name in inputs}), strict=True))
        return [results[name] if name in results else values[name] for name in outputs]

    return run


def short_lived_session(graph: Graph) -> onnxruntime.InferenceSession:
    """A session of a graph for some runs; where tensors have quantization parameters it rounds to their codes."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    model = export_onnx(graph, qdq=True)
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _measured(graph: Graph) -> Graph:
    """The float graph without quantization parameters, and up to the scores where a Softmax or ArgMax follows them.

    Probabilities saturate: they hide how far the scores move.
    """
    graph = graph.with_tensors(replace(t, qparams=None) for t in graph.tensors.values() if t.qparams is not None)
    outputs = []
    for name in graph.outputs:
        writer = graph.producers.get(name)
        while isinstance(writer, ops.Softmax | ops.ArgMax):
            name = writer.inputs[0]
            writer = graph.producers.get(name)
        outputs.append(name)
    needed = set(outputs)
    kept: list[ops.Op] = []
    for op in reversed(graph.ops):
        if needed & set(op.outputs):
            kept.append(op)
            needed |= set(op.inputs)
    return replace(graph, outputs=tuple(dict.fromkeys(outputs)), output_layouts=()).with_ops(kept[::-1])


def _input(graph: Graph, name: str, value: FloatArray) -> FloatArray:
    return np.ascontiguousarray(in_ir_layout(graph, name, value))

"""What a model consists of: operators, shapes, work, parameters and memory by layer, and what is unsupported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx

from quantmcu.errors import QuantMCUError
from quantmcu.frontend import import_model, read_network
from quantmcu.frontend.structure import opset_of
from quantmcu.ir.graph import Graph
from quantmcu.ir.macs import graph_macs, graph_parameters, op_macs, op_parameters
from quantmcu.ir.ops import Reshape
from quantmcu.ir.tensor import Tensor
from quantmcu.passes import simplify


@dataclass(frozen=True)
class TensorReport:
    """A network input or output: its shape in the firmware, and the permutation from ONNX's axes if that differs."""

    name: str
    shape: tuple[int, ...]
    layout: tuple[int, ...] | None


@dataclass(frozen=True)
class LayerReport:
    """One operator of the simplified network.

    Attributes:
        name, operator: of the layer.
        output_shape: maps are NHWC.
        macs, parameters: multiply-accumulates of one inference; weights, biases and constants.
        output_bytes: of its result at 8 bits.
        live_bytes: of all feature maps that exist while it runs, at 8 bits, its inputs and outputs included.
    """

    name: str
    operator: str
    output_shape: tuple[int, ...]
    macs: int
    parameters: int
    output_bytes: int
    live_bytes: int


@dataclass(frozen=True)
class Inspection:
    """Everything about a model that is known without a board or calibration data.

    Attributes:
        name, opset: of the ONNX model.
        operators: ONNX operators and how often each occurs.
        inputs, outputs, layers: of the simplified network; empty when something is unsupported.
        macs, parameters: of the network as the model has it.
        simplified_macs, simplified_parameters: after simplification, which is what the firmware computes.
        peak_bytes, peak_layer: largest live_bytes and the first layer that has them.
        problems: what stands in the way of a compilation.
    """

    name: str
    opset: int
    operators: Mapping[str, int]
    inputs: tuple[TensorReport, ...] = ()
    outputs: tuple[TensorReport, ...] = ()
    layers: tuple[LayerReport, ...] = ()
    macs: int = 0
    parameters: int = 0
    simplified_macs: int = 0
    simplified_parameters: int = 0
    peak_bytes: int = 0
    peak_layer: str = ""
    problems: tuple[Mapping[str, str], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def inspect_model(model: Path | onnx.ModelProto) -> Inspection:
    """Inspects a model; unsupported parts are reported, not raised.

    Raises:
        UsageError: the file is missing or no model.
        QuantMCUError: the structure of the model is broken.
    """
    proto = model if isinstance(model, onnx.ModelProto) else read_network(Path(model))
    operators = dict(sorted(Counter(node.op_type for node in proto.graph.node).items()))
    imported = import_model(proto)
    if imported.graph is None:
        problems = tuple(_problem(problem) for problem in imported.problems)
        return Inspection(proto.graph.name, opset_of(proto), operators, problems=problems)
    graph = simplify(imported.graph)
    layers = _layers(graph)
    peak = max(layers, key=lambda layer: layer.live_bytes, default=None)
    return Inspection(
        proto.graph.name,
        opset_of(proto),
        operators,
        _tensors(graph, graph.inputs, graph.input_layouts),
        _tensors(graph, graph.outputs, graph.output_layouts),
        layers,
        graph_macs(imported.graph),
        graph_parameters(imported.graph),
        graph_macs(graph),
        graph_parameters(graph),
        peak.live_bytes if peak else 0,
        peak.name if peak else "",
    )


def live_bytes(graph: Graph) -> list[int]:
    """Bytes, at 8 bits, of the feature maps that exist during each step; a Reshape shares its input's memory."""
    owner: dict[str, str] = {}
    for op in graph.ops:
        if isinstance(op, Reshape):
            owner[op.output] = owner.get(op.inputs[0], op.inputs[0])
    last: dict[str, int] = {owner.get(name, name): len(graph.ops) for name in graph.outputs}
    first = dict.fromkeys(graph.inputs, 0)
    for step, op in enumerate(graph.ops):
        for name in (*op.inputs, op.output):
            root = owner.get(name, name)
            if graph.tensor(root).data is None:
                first.setdefault(root, step)
                last[root] = max(last.get(root, 0), step)
    return [
        sum(_bytes(graph.tensor(name)) for name in first if first[name] <= step <= last.get(name, -1))
        for step in range(len(graph.ops))
    ]


def _bytes(tensor: Tensor) -> int:
    return tensor.elements * (4 if tensor.is_index else 1)


def _layers(graph: Graph) -> tuple[LayerReport, ...]:
    return tuple(
        LayerReport(
            op.name,
            type(op).__name__,
            graph.tensor(op.output).shape,
            op_macs(op, graph),
            op_parameters(op, graph),
            _bytes(graph.tensor(op.output)),
            live,
        )
        for op, live in zip(graph.ops, live_bytes(graph), strict=True)
    )


def _tensors(
    graph: Graph, names: tuple[str, ...], layouts: tuple[tuple[int, ...] | None, ...]
) -> tuple[TensorReport, ...]:
    return tuple(
        TensorReport(name, graph.tensor(name).shape, layout) for name, layout in zip(names, layouts, strict=True)
    )


def _problem(problem: QuantMCUError) -> dict[str, str]:
    return {"where": problem.where, "what": problem.what, "why": problem.why, "hint": problem.hint}

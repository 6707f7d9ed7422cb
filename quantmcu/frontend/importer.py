"""ONNX model -> graph: walks the nodes in order, folds what is constant, and hands the rest to the handlers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
import onnx.inliner
from onnx.reference import ReferenceEvaluator

import quantmcu.frontend.operators  # noqa: F401  fills the registry
from quantmcu.errors import ProblemListError, QuantMCUError
from quantmcu.frontend.builder import Builder, channels_last, inverse
from quantmcu.frontend.layout import input_permutation
from quantmcu.frontend.node import Constant, Node, Value, View, attribute_values
from quantmcu.frontend.registry import UnsupportedError, find
from quantmcu.frontend.structure import describe_node, input_shape, node_name, opset_of, sorted_nodes
from quantmcu.ir import ops
from quantmcu.ir.graph import Graph
from quantmcu.ir.tensor import Tensor

_QUANTIZED = (
    "QuantizeLinear",
    "DequantizeLinear",
    "DynamicQuantizeLinear",
    "QLinearConv",
    "QLinearMatMul",
    "ConvInteger",
    "MatMulInteger",
)
_INDEX_OPERATORS = (
    "Shape",
    "Size",
    "Identity",
    "Cast",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Flatten",
    "Transpose",
    "Slice",
)
_RANDOM = ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial")


_REMEDIES = {
    "GRU": "use convolutions over time",
    "InstanceNormalization": "train with BatchNormalization, which is folded into the weights",
    "LayerNormalization": "train with BatchNormalization, which is folded into the weights",
    "LogSoftmax": "use Softmax, or take the logits as output",
    "LSTM": "use convolutions over time",
    "NonMaxSuppression": "cut the model before it; select the boxes in the application",
    "TopK": "take the scores as output, or ArgMax",
}


def _unknown(operator: str) -> UnsupportedError:
    remedy = _REMEDIES.get(operator)
    table = "see `quantmcu ops` for the operators that are"
    return UnsupportedError("the operator is not supported", f"{remedy}; {table}" if remedy else table)


@dataclass(frozen=True)
class Imported:
    """Result of an import: the graph, or what stands in its way."""

    graph: Graph | None
    problems: list[QuantMCUError]


def import_model(model: onnx.ModelProto) -> Imported:
    """Imports a model, collecting the problems of all nodes.

    Raises:
        QuantMCUError: the model's structure is broken (opset, cycle, dangling values).
    """
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    return _Importer(model).run()


class _Importer:
    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.opset = opset_of(model)
        self.nodes = sorted_nodes(model.graph)
        self.builder = Builder()
        self.problems: list[QuantMCUError] = []
        self.inputs: list[str] = []
        self.input_layouts: list[tuple[int, ...] | None] = []

    def run(self) -> Imported:
        graph = self.model.graph
        self.builder.reserve([name for _, node in self.nodes for name in node.output])
        self._read_initializers(graph)
        self._read_inputs(graph)
        if not self.problems:
            for index, node in self.nodes:
                self._import_node(index, node)
        if self.problems:
            return Imported(None, self.problems)
        return Imported(self._graph(), [])

    def _read_initializers(self, graph: onnx.GraphProto) -> None:
        for tensor in graph.initializer:
            try:
                self.builder.values[tensor.name] = onnx.numpy_helper.to_array(tensor)
            except (ValueError, TypeError) as error:
                self.problems.append(
                    QuantMCUError(
                        "its values cannot be read", f"initializer {tensor.name}", str(error), "export the model again"
                    )
                )
        for sparse in graph.sparse_initializer:
            self.problems.append(
                QuantMCUError(
                    "it is sparse",
                    f"initializer {sparse.values.name}",
                    "sparse tensors are not supported",
                    "store it as a dense tensor",
                )
            )

    def _read_inputs(self, graph: onnx.GraphProto) -> None:
        initialized = {tensor.name for tensor in graph.initializer}
        for value in graph.input:
            if value.name in initialized:
                continue
            try:
                shape = input_shape(value)
            except QuantMCUError as error:
                self.problems.append(error)
                continue
            permutation = input_permutation(graph, value.name, len(shape))
            layout = inverse(permutation)
            stored = tuple(shape[axis] for axis in layout)
            self.builder.tensors[value.name] = Tensor(value.name, stored)
            self.builder.values[value.name] = View(value.name, permutation)
            self.inputs.append(value.name)
            self.input_layouts.append(None if layout == tuple(range(len(shape))) else layout)
        if not self.inputs and not self.problems:
            self.problems.append(QuantMCUError("the model has no inputs", graph.name or "graph"))

    def _import_node(self, index: int, proto: onnx.NodeProto) -> None:
        try:
            self._dispatch(index, proto)
        except UnsupportedError as error:
            node = f"opset {self.opset}" + (f", {error.attribute}" if error.attribute else "")
            self.problems.append(
                QuantMCUError(error.reason, f"{describe_node(proto, index)}, {node}", hint=error.remedy)
            )

    def _dispatch(self, index: int, proto: onnx.NodeProto) -> None:
        known = self.builder.values
        if proto.domain not in ("", "ai.onnx"):
            raise UnsupportedError(
                f"the operator belongs to the domain {proto.domain!r}",
                "export to operators of the standard ONNX domain",
            )
        if proto.op_type in _QUANTIZED:
            raise UnsupportedError(
                "the model is already quantized", "export the float model; quantmcu quantizes it itself"
            )
        if any(name and name not in known for name in proto.input):
            self._check_operator(proto)  # an input failed before: only say whether the operator itself is known
            return
        values = tuple(known[name] if name else None for name in proto.input)
        node = Node(
            node_name(proto, index),
            proto.op_type,
            self.opset,
            values,
            tuple(proto.input),
            tuple(proto.output),
            attribute_values(proto),
        )
        if not any(isinstance(value, View) for value in values) and proto.op_type not in _RANDOM:
            for output, folded in enumerate(self._fold(proto, values)):
                self.builder.set(node, folded, output)
        else:
            self._handle(node, proto)

    def _check_operator(self, proto: onnx.NodeProto) -> None:
        if find(proto.op_type) is None:
            constant = all(
                name in self.builder.values and not isinstance(self.builder.values[name], View) for name in proto.input
            )
            if not constant:
                raise _unknown(proto.op_type)

    def _handle(self, node: Node, proto: onnx.NodeProto) -> None:
        registration = find(proto.op_type)
        if registration is None:
            raise _unknown(proto.op_type)
        unknown = sorted(set(node.attributes) - set(registration.support.attributes))
        if unknown:
            raise UnsupportedError(
                "the attribute is not supported",
                "export the model again",
                ", ".join(f"{name} = {node.attributes[name]}" for name in unknown),
            )
        if proto.op_type not in _INDEX_OPERATORS and any(
            value is not None and self.builder.is_index(value) for value in node.values
        ):
            raise UnsupportedError("it computes with the result of ArgMax", "make the indices an output of the model")
        registration.handler(node, self.builder)

    def _fold(self, proto: onnx.NodeProto, values: tuple[Value | None, ...]) -> list[Constant]:
        """The outputs of a node whose inputs are all constant."""
        feeds = {name: value for name, value in zip(proto.input, values, strict=True) if name}
        opsets = {entry.domain: entry.version for entry in self.model.opset_import}
        try:
            results = ReferenceEvaluator(proto, opsets=opsets).run(None, feeds)
        except Exception as error:  # the evaluator raises whatever its operators raise
            raise UnsupportedError(
                f"its constant inputs cannot be evaluated ({error})", "fold constants when exporting"
            ) from error
        return [np.asarray(result) for result in results]

    # -- the finished graph ---------------------------------------------------------------------------------------

    def _graph(self) -> Graph:
        outputs: list[str] = []
        layouts: list[tuple[int, ...] | None] = []
        for value in self.model.graph.output:
            known = self.builder.values[value.name]
            if not isinstance(known, View):
                raise QuantMCUError(
                    "it is a constant",
                    f"output {value.name}",
                    "it does not depend on any input",
                    "remove the output from the model",
                )
            tensor, layout = self._output(value.name, known)
            outputs.append(tensor)
            layouts.append(layout)
        graph = Graph(
            self.model.graph.name or "model",
            tuple(self.inputs),
            tuple(outputs),
            (),
            self.builder.tensors,
            tuple(self.input_layouts),
            tuple(layouts),
        )
        return graph.with_ops(self.builder.ops)

    def _output(self, name: str, view: View) -> tuple[str, tuple[int, ...] | None]:
        """The tensor that holds an output under the output's own name, and its layout."""
        node = Node(f"{name}_output", "Identity", self.opset, (view,), (name,), (name,), {})
        rank = len(view.permutation)
        natural = tuple(range(rank))
        if view.permutation != natural and view.permutation != channels_last(rank):
            view = View(self.builder.stored(node, view, natural), natural)
        if view.tensor != name:
            if name in self.builder.tensors:  # in the layout that other operators read
                self.builder.rename(name, f"{name}_stored")
            is_index = self.builder.tensors[view.tensor].is_index
            copied = self.builder.emit(
                ops.Reshape, node, [view.tensor], shape=self.builder.stored_shape(view), is_index=is_index
            )
            view = View(copied, view.permutation)
        return view.tensor, None if view.permutation == natural else inverse(view.permutation)


def load_model(model: onnx.ModelProto) -> Graph:
    """The graph of a model.

    Raises:
        QuantMCUError: the model cannot be compiled; a ProblemListError where several nodes are concerned.
    """
    result = import_model(model)
    if result.graph is None:
        raise ProblemListError(
            f"the model {model.graph.name or 'given'} cannot be compiled",
            result.problems,
            "see `quantmcu ops` for what is supported",
        )
    return result.graph

"""Checks of a model's structure that come before its operators: opset, inputs, order of the nodes."""

from __future__ import annotations

import graphlib

import onnx

from quantmcu.errors import QuantMCUError
from quantmcu.frontend.registry import NEWEST_OPSET, OLDEST_OPSET

_DEFAULT_DOMAINS = ("", "ai.onnx")


def node_name(node: onnx.NodeProto, index: int) -> str:
    """The node's name, or `<Op>_<index>` where it has none."""
    return node.name or f"{node.op_type}_{index}"


def describe_node(node: onnx.NodeProto, index: int) -> str:
    """How messages call a node."""
    if node.name:
        return f"node {node.name} ({node.op_type})"
    return f"node {index} ({node.op_type}, output {next(iter(node.output), '?')})"


def opset_of(model: onnx.ModelProto) -> int:
    """Version of the default operator set.

    Raises:
        QuantMCUError: too old or too new.
    """
    versions: list[int] = [entry.version for entry in model.opset_import if entry.domain in _DEFAULT_DOMAINS]
    if not versions:
        raise QuantMCUError(
            "the model imports no standard ONNX operators",
            "opset_import",
            "only operators of the default domain (ai.onnx) are supported",
            "export to standard ONNX",
        )
    (version,) = versions[:1]
    if version < OLDEST_OPSET:
        raise QuantMCUError(
            f"the model uses ONNX opset {version}",
            "opset_import",
            f"opsets {OLDEST_OPSET} to {NEWEST_OPSET} are supported",
            f"export with opset_version=17, or use onnx.version_converter.convert_version(model, {OLDEST_OPSET})",
        )
    if version > NEWEST_OPSET:
        raise QuantMCUError(
            f"the model uses ONNX opset {version}",
            "opset_import",
            f"the installed onnx {onnx.__version__} knows opsets up to {NEWEST_OPSET}",
            "update onnx, or export with opset_version=17",
        )
    return version


def sorted_nodes(graph: onnx.GraphProto) -> list[tuple[int, onnx.NodeProto]]:
    """Nodes with their indices in an order in which every value is computed before it is used.

    Raises:
        QuantMCUError: a cycle, a value that nothing computes, or one that two nodes compute.
    """
    known = {
        *(value.name for value in graph.input),
        *(tensor.name for tensor in graph.initializer),
        *(tensor.values.name for tensor in graph.sparse_initializer),
        "",
    }
    writers: dict[str, int] = {}
    for index, node in enumerate(graph.node):
        for name in filter(None, node.output):
            if name in writers or name in known:
                raise QuantMCUError(
                    f"it writes {name}, which is an input, an initializer or another node's output",
                    describe_node(node, index),
                    "every value of a graph has one source",
                    "export the model again",
                )
            writers[name] = index
    order = graphlib.TopologicalSorter[int]()
    for index, node in enumerate(graph.node):
        dangling = [name for name in node.input if name not in known and name not in writers]
        if dangling:
            raise QuantMCUError(
                f"it reads {', '.join(dangling)}, which nothing computes",
                describe_node(node, index),
                "the graph is incomplete",
                "export the model again",
            )
        order.add(index, *(writers[name] for name in node.input if name in writers))
    missing = [value.name for value in graph.output if value.name not in known and value.name not in writers]
    if missing:
        raise QuantMCUError(
            f"nothing computes the outputs {', '.join(missing)}",
            "graph outputs",
            "the graph is incomplete",
            "export the model again",
        )
    try:
        # ready nodes are taken in the order of the file, so the result does not depend on hashing
        return [(index, graph.node[index]) for index in _stable(order)]
    except graphlib.CycleError as error:
        cycle = " -> ".join(node_name(graph.node[index], index) for index in error.args[1])
        raise QuantMCUError(
            "the graph has a cycle",
            cycle,
            "each node needs the result of the one before it",
            "unroll the loop or export the model again",
        ) from error


def _stable(order: graphlib.TopologicalSorter[int]) -> list[int]:
    order.prepare()
    result: list[int] = []
    ready: set[int] = set()
    while order.is_active():
        ready.update(order.get_ready())
        first = min(ready)
        ready.remove(first)
        result.append(first)
        order.done(first)
    return result


def input_shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    """Shape of a model input, the batch fixed to 1.

    Raises:
        QuantMCUError: not a float32 tensor, another batch, or a dimension that is not a number.
    """
    where = f"input {value.name}"
    if not value.type.HasField("tensor_type"):
        raise QuantMCUError("it is not a tensor", where, "only tensors are supported", "replace sequences by tensors")
    tensor_type = value.type.tensor_type
    if tensor_type.elem_type != onnx.TensorProto.FLOAT:
        kind = onnx.TensorProto.DataType.Name(tensor_type.elem_type).lower()
        raise QuantMCUError(
            f"it has the type {kind}",
            where,
            "network inputs are float32; quantization is ours to do",
            "export the float32 model",
        )
    if not tensor_type.HasField("shape"):
        raise QuantMCUError("its shape is unknown", where, "buffers are planned at compile time", _fix_hint(value, 1))
    dims = tensor_type.shape.dim
    shape: list[int] = []
    for axis, dim in enumerate(dims):
        if dim.HasField("dim_value") and (dim.dim_value > 0 or axis > 0):
            shape.append(dim.dim_value)
        elif axis == 0:
            shape.append(1)
        else:
            raise QuantMCUError(
                f"axis {axis} is dynamic ({dim.dim_param or 'no size given'})",
                where,
                "buffers are planned at compile time; only the batch (axis 0) may be open",
                _fix_hint(value, axis),
            )
    if not shape:
        raise QuantMCUError("it is a scalar", where, "inputs have a batch axis", "give the input the shape [1, 1]")
    if 0 in shape or min(shape) < 0:
        raise QuantMCUError(
            f"its shape {shape} has no elements",
            where,
            "every axis has at least size 1",
            _fix_hint(value, shape.index(min(shape))),
        )
    if shape[0] != 1:
        raise QuantMCUError(
            f"its batch (axis 0) is {shape[0]}",
            where,
            "firmware computes one input at a time",
            "export with batch 1 or with a dynamic batch",
        )
    return tuple(shape)


def _fix_hint(value: onnx.ValueInfoProto, axis: int) -> str:
    return (
        f"export with fixed sizes, or fix it: python -m onnxruntime.tools.make_dynamic_shape_fixed --input_name "
        f"{value.name} --input_shape 1,... model.onnx fixed.onnx (axis {axis})"
    )

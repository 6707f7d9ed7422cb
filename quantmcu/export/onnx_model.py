"""A graph as an ONNX model that ONNX Runtime runs."""

from __future__ import annotations

import json

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from quantmcu.export.narrow_types import IR_VERSIONS, needed_opset
from quantmcu.export.operators import write_op
from quantmcu.export.quantize import quantize_dequantize
from quantmcu.export.writer import Writer, onnx_shape, to_onnx_layout
from quantmcu.ir.graph import Graph
from quantmcu.ir.ops import Conv2D, Dense

Layout = tuple[int, ...] | None
BITS_PROPERTY, WEIGHT_BITS_PROPERTY = "quantmcu.activation_bits", "quantmcu.weight_bits"


def export_onnx(graph: Graph, *, qdq: bool = False) -> onnx.ModelProto:
    """The graph as an ONNX model.

    Inputs and outputs have the layout and the names of the imported model. Every other tensor of the graph is a value
    of the same name, maps of four axes in NCHW (`from_onnx_layout` turns a fetched value into our layout).

    Args:
        graph: what to export.
        qdq: with QuantizeLinear and DequantizeLinear behind every tensor that has quantization parameters, and with
            the integer weights and biases of the operators that have them. Codes of activations are UINT8, UINT4 or
            UINT2, weights INT8, INT4 or INT2, by their bits; the narrow ones are cast to 8 bits, since ONNX Runtime's
            integer operators take no others. Where the installed ONNX Runtime does not know a type (2 bits need opset
            25), 8-bit codes in the range of fewer bits stand for it. The metadata properties
            `quantmcu.activation_bits` and `quantmcu.weight_bits` list, as JSON, the tensors and operators that have
            fewer than 8 bits. Biases are int32. Tensors without parameters stay float.
    """
    maps, weights = _narrow_bits(graph) if qdq else ({}, {})
    opset = max(needed_opset(bits) for bits in {8, *maps.values(), *weights.values()})
    writer = Writer(graph, opset)
    inputs = [
        _input(writer, name, layout, qdq=qdq) for name, layout in _with_layouts(graph.inputs, graph.input_layouts)
    ]
    for tensor in graph.tensors.values():
        if tensor.data is not None:
            writer.initializers.append(
                numpy_helper.from_array(np.ascontiguousarray(to_onnx_layout(tensor.data)), tensor.name)
            )
            if qdq:
                quantize_dequantize(writer, tensor)
    outputs = _with_layouts(graph.outputs, graph.output_layouts)
    for name, layout in outputs:
        quantized = qdq and graph.tensor(name).qparams is not None
        if quantized or _permutation(writer, name, layout) is not None:
            writer.write_to(name, writer.fresh(f"{name}_computed"))
    for op in graph.ops:
        write_op(op, writer, qdq=qdq)
        if qdq:
            quantize_dequantize(writer, graph.tensor(op.output))
    declared = [_output(writer, name, layout) for name, layout in outputs]
    model = helper.make_model(
        helper.make_graph(writer.nodes, graph.name, inputs, declared, writer.initializers),
        opset_imports=[helper.make_opsetid("", opset)],
        producer_name="quantmcu",
        ir_version=IR_VERSIONS[opset],
    )
    for key, narrow in ((BITS_PROPERTY, maps), (WEIGHT_BITS_PROPERTY, weights)):
        if narrow:
            model.metadata_props.add(key=key, value=json.dumps(narrow))
    return model


def _narrow_bits(graph: Graph) -> tuple[dict[str, int], dict[str, int]]:
    """Bits below 8, of activations by tensor and of weights by operator."""
    maps = {t.name: t.qparams.bits for t in graph.tensors.values() if t.qparams is not None and t.qparams.bits < 8}
    layers = {op.name: op.quantized for op in graph.ops if isinstance(op, (Conv2D, Dense))}
    weights = {name: found.bits for name, found in layers.items() if found is not None and found.bits < 8}
    return maps, weights


def _with_layouts(names: tuple[str, ...], layouts: tuple[Layout, ...]) -> list[tuple[str, Layout]]:
    """Names with their layouts; a graph without layouts has those of the model."""
    return list(zip(names, layouts or [None] * len(names), strict=True))


def _permutation(writer: Writer, name: str, layout: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """From the axes of the imported model to those of the exported value; None where they agree."""
    natural = tuple(range(len(writer.shape(name))))
    permutation = onnx_shape(layout or natural)
    return None if permutation == natural else permutation


def _value_info(writer: Writer, name: str, layout: tuple[int, ...] | None) -> onnx.ValueInfoProto:
    """Declaration of an input or output, in the layout of the imported model."""
    shape = writer.shape(name)
    natural = tuple(range(len(shape)))
    kind = TensorProto.INT64 if writer.graph.tensor(name).is_index else TensorProto.FLOAT
    return helper.make_tensor_value_info(name, kind, [shape[axis] for axis in np.argsort(layout or natural)])


def _input(writer: Writer, name: str, layout: tuple[int, ...] | None, *, qdq: bool) -> onnx.ValueInfoProto:
    permutation = _permutation(writer, name, layout)
    if permutation is not None:
        moved = writer.node("Transpose", [name], writer.fresh(f"{name}_nchw"), f"{name}_layout", perm=permutation)
        writer.alias(name, moved)
    if qdq:
        quantize_dequantize(writer, writer.graph.tensor(name))
    return _value_info(writer, name, layout)


def _output(writer: Writer, name: str, layout: tuple[int, ...] | None) -> onnx.ValueInfoProto:
    permutation = _permutation(writer, name, layout)
    value = writer.read(name)
    if permutation is not None:
        back = tuple(int(axis) for axis in np.argsort(permutation))
        writer.node("Transpose", [value], name, f"{name}_layout", perm=back)
    elif value != name:
        writer.node("Identity", [value], name, f"{name}_output")
    return _value_info(writer, name, layout)

"""Computes at compile time what depends on constants only."""

from __future__ import annotations

import numpy as np
import onnxruntime

from quantmcu.export import export_onnx
from quantmcu.ir.graph import Graph
from quantmcu.ir.ops import Op
from quantmcu.ir.tensor import FloatArray, Tensor
from quantmcu.passes.rewrite import Rewrite, apply_rewrite


def fold_constants(graph: Graph) -> Graph:
    """Replaces operators whose inputs are all constant by their results."""
    for op in graph.ops:
        constant = all(graph.tensor(name).data is not None for name in op.inputs)
        if constant and op.output not in graph.outputs and not graph.tensor(op.output).is_index:
            values = evaluate(graph, op)
            graph = apply_rewrite(graph, Rewrite((op,), tensors=(Tensor(op.output, values.shape, values),)))
    return graph


def evaluate(graph: Graph, op: Op) -> FloatArray:
    """The result of an operator that reads constants only, computed by ONNX Runtime."""
    single = Graph("constant", (), (op.output,), (), graph.tensors).with_ops([op])
    session = onnxruntime.InferenceSession(export_onnx(single).SerializeToString(), providers=["CPUExecutionProvider"])
    (values,) = session.run(None, {})
    assert values.shape == graph.tensor(op.output).shape, "a graph without layouts has its own"
    return np.ascontiguousarray(values, np.float32)

"""Fully connected layers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantmcu.frontend.builder import Builder
from quantmcu.frontend.node import Node, View
from quantmcu.frontend.registry import UnsupportedError, operator
from quantmcu.ir import ops

_TWO_ACTIVATIONS = "the product of two activations is not supported"
_ONE_CONSTANT = "one operand has to be a constant; attention needs a different model"


@operator("Gemm", attributes=("alpha", "beta", "transA", "transB"), limits="B constant")
def gemm(node: Node, builder: Builder) -> None:
    """Gemm -> Dense; alpha and beta are folded into weight and bias."""
    x = node.activation()
    if isinstance(node.value(1), View):
        raise UnsupportedError(_TWO_ACTIVATIONS, _ONE_CONSTANT, f"input 1 ({node.input_names[1]})")
    weight = node.floats(1, "matrix B") * np.float32(node.attribute("alpha", 1.0))
    weight = weight if node.attribute("transB", 0) else weight.T
    if node.attribute("transA", 0):
        x = View(x.tensor, x.permutation[::-1])
    addend = node.value(2) if node.has(2) else None
    if addend is None or isinstance(addend, View):
        bias = np.zeros(len(weight), np.float32)
    else:
        values = node.floats(2, "addend C") * np.float32(node.attribute("beta", 1.0))
        if values.ndim == 2 and values.shape[0] > 1:
            raise UnsupportedError(
                f"C has the shape {list(values.shape)}", "add a vector of one value per column instead"
            )
        bias = np.ascontiguousarray(np.broadcast_to(values.reshape(-1), len(weight)), np.float32)
    view = _dense(node, builder, x, weight, bias, output=None if isinstance(addend, View) else 0)
    if isinstance(addend, View):
        view = _add_activation(node, builder, view, addend)
    builder.set(node, view)


def _add_activation(node: Node, builder: Builder, view: View, addend: View) -> View:
    if node.attribute("beta", 1.0) != 1.0:
        raise UnsupportedError(
            "C is computed by the network", "only beta = 1 is supported then", f"beta = {node.attribute('beta')}"
        )
    other = builder.with_rank(node, addend, 2)
    total = builder.emit(ops.Add, node, [view.tensor, builder.stored(node, other, view.permutation)])
    return View(total, view.permutation)


@operator("MatMul", limits="one operand constant, a matrix")
def matmul(node: Node, builder: Builder) -> None:
    """MatMul -> Dense over the last axis, or over the last but one where the constant stands on the left."""
    left, right = node.value(0), node.value(1)
    if isinstance(left, View) and isinstance(right, View):
        raise UnsupportedError(_TWO_ACTIVATIONS, _ONE_CONSTANT, ", ".join(node.input_names[:2]))
    if isinstance(left, View):
        weight = _matrix(node, 1).T
        builder.set(node, _dense(node, builder, left, weight, np.zeros(len(weight), np.float32)))
        return
    weight = _matrix(node, 0)
    x = _swapped(node.activation(1))
    builder.set(node, _swapped(_dense(node, builder, x, weight, np.zeros(len(weight), np.float32))))


def _matrix(node: Node, index: int) -> NDArray[np.float32]:
    values = node.floats(index, "matrix")
    if values.ndim < 2 or values.size != values.shape[-1] * values.shape[-2]:
        raise UnsupportedError(
            f"the constant has the shape {list(values.shape)}",
            "only a single matrix is supported",
            f"input {index} ({node.input_names[index]})",
        )
    return values.reshape(values.shape[-2:])


def _swapped(view: View) -> View:
    """The view with its last two axes exchanged."""
    if len(view.permutation) < 2:
        raise UnsupportedError("a vector is multiplied", "give the vector a second axis")
    *rest, a, b = view.permutation
    return View(view.tensor, (*rest, b, a))


def _dense(
    node: Node,
    builder: Builder,
    x: View,
    weight: NDArray[np.float32],
    bias: NDArray[np.float32],
    output: int | None = 0,
) -> View:
    view = builder.with_last(node, x, len(x.permutation) - 1)
    tensor = builder.emit(ops.Dense, node, [view.tensor], output=output, weight=np.ascontiguousarray(weight), bias=bias)
    return View(tensor, view.permutation)

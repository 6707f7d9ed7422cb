"""Operators of one or two operands that treat every element alike."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from quantmcu.frontend.builder import Builder
from quantmcu.frontend.node import Node, Value, View, finite_float32
from quantmcu.frontend.registry import UnsupportedError, operator
from quantmcu.ir import ops
from quantmcu.ir.ops import Op


def _unary(node: Node, builder: Builder, function: str, alpha: float = 0.0, beta: float = 0.0) -> None:
    x = node.activation()
    tensor = builder.emit(ops.Unary, node, [x.tensor], function=function, alpha=alpha, beta=beta)
    builder.set(node, View(tensor, x.permutation))


@operator("Relu")
def relu(node: Node, builder: Builder) -> None:
    """max(0, x)."""
    _unary(node, builder, "clamp", 0.0, math.inf)


@operator("Clip", limits="bounds constant")
def clip(node: Node, builder: Builder) -> None:
    """min(max(x, low), high)."""
    low, high = (
        float(node.constant(index, what)) if node.has(index) else default
        for index, what, default in ((1, "lower bound", -math.inf), (2, "upper bound", math.inf))
    )
    if not low <= high:
        raise UnsupportedError("the bounds are not in order", "export the model again", f"min = {low}, max = {high}")
    _unary(node, builder, "clamp", low, high)


@operator("LeakyRelu", attributes=("alpha",))
def leaky_relu(node: Node, builder: Builder) -> None:
    """x, or alpha x below 0."""
    _unary(node, builder, "leaky_relu", node.attribute("alpha", 0.01))


@operator("HardSigmoid", attributes=("alpha", "beta"))
def hard_sigmoid(node: Node, builder: Builder) -> None:
    """max(0, min(1, alpha x + beta))."""
    _unary(node, builder, "hard_sigmoid", node.attribute("alpha", 0.2), node.attribute("beta", 0.5))


@operator("Elu", attributes=("alpha",))
def elu(node: Node, builder: Builder) -> None:
    """x, or alpha (exp(x) - 1) below 0."""
    _unary(node, builder, "elu", node.attribute("alpha", 1.0))


@operator("Selu", attributes=("alpha", "gamma"))
def selu(node: Node, builder: Builder) -> None:
    """gamma x, or gamma alpha (exp(x) - 1) below 0."""
    alpha = node.attribute("alpha", 1.67326319217681884765625)
    _unary(node, builder, "selu", alpha, node.attribute("gamma", 1.05070102214813232421875))


@operator("Celu", attributes=("alpha",), oldest=12)
def celu(node: Node, builder: Builder) -> None:
    """x, or alpha (exp(x / alpha) - 1) below 0."""
    alpha = node.attribute("alpha", 1.0)
    if not alpha > 0:
        raise UnsupportedError("alpha has to be positive", "export the model again", f"alpha = {alpha}")
    _unary(node, builder, "celu", alpha)


@operator("ThresholdedRelu", attributes=("alpha",))
def thresholded_relu(node: Node, builder: Builder) -> None:
    """x where it is above alpha, else 0."""
    _unary(node, builder, "thresholded_relu", node.attribute("alpha", 1.0))


@operator("Pow", limits="exponent a constant whole number from 1 on, or 0.5")
def power(node: Node, builder: Builder) -> None:
    """x to a constant power."""
    exponent = node.floats(1, "exponent")
    value = float(exponent.reshape(-1)[0]) if exponent.size == 1 else -1.0
    if value == 0.5:
        _unary(node, builder, "sqrt")
    elif value >= 1 and value == int(value):
        _unary(node, builder, "power", value)
    else:
        raise UnsupportedError(
            f"the exponent is {exponent.reshape(-1)[:4].tolist()}", "use one whole number from 1 on, or 0.5", "input 1"
        )


@operator("Min", "Max", limits="one activation and constants of one value")
def bound(node: Node, builder: Builder) -> None:
    """A bound on one side, as Clip."""
    activations = [value for value in node.values if isinstance(value, View)]
    if len(activations) != 1:
        raise UnsupportedError(
            f"{len(activations)} operands are computed by the network", "only one may be, the others constant bounds"
        )
    bounds = []
    for index, value in enumerate(node.values):
        if not isinstance(value, View):
            constant = node.floats(index, "bound")
            if constant.size != 1:
                raise UnsupportedError(
                    f"the bound has the shape {list(constant.shape)}", "use one value", f"input {index}"
                )
            bounds.append(float(constant.reshape(())))
    low, high = (max(bounds), math.inf) if node.operator == "Max" else (-math.inf, min(bounds))
    x = activations[0]
    tensor = builder.emit(ops.Unary, node, [x.tensor], function="clamp", alpha=low, beta=high)
    builder.set(node, View(tensor, x.permutation))


@operator("Gelu", attributes=("approximate",), limits="approximate = none", oldest=20)
def gelu(node: Node, builder: Builder) -> None:
    """x (1 + erf(x / sqrt 2)) / 2."""
    node.require("approximate", "none", ("none",), "export with approximate='none'")
    _unary(node, builder, "gelu")


_FUNCTIONS = {
    "HardSwish": "hard_swish",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Exp": "exp",
    "Abs": "abs",
    "Neg": "neg",
    "Sqrt": "sqrt",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Erf": "erf",
    "Mish": "mish",
}
_LATER = {"HardSwish": 14, "Mish": 18}


@operator(*(name for name in _FUNCTIONS if name not in _LATER))
@operator("HardSwish", oldest=_LATER["HardSwish"])
@operator("Mish", oldest=_LATER["Mish"])
def function(node: Node, builder: Builder) -> None:
    """A function without attributes."""
    _unary(node, builder, _FUNCTIONS[node.operator])


@operator("PRelu", limits="slope constant, one value or one per channel")
def prelu(node: Node, builder: Builder) -> None:
    """x, or slope x below 0."""
    x = node.activation()
    shape = builder.shape(x)
    slope = node.floats(1, "slope")
    if slope.size == 1:
        _unary(node, builder, "leaky_relu", float(slope.reshape(())))
        return
    full = slope.reshape((1,) * (len(shape) - slope.ndim) + slope.shape)
    axis = int(np.argmax(full.shape))
    if full.size != full.shape[axis] or full.shape[axis] != shape[axis]:
        raise UnsupportedError(
            f"the slope has the shape {list(slope.shape)}",
            "use one slope, or one per channel",
            f"input 1 ({node.input_names[1]})",
        )
    view = builder.with_last(node, x, axis)
    tensor = builder.emit(ops.PRelu, node, [view.tensor], slope=slope.reshape(-1))
    builder.set(node, View(tensor, view.permutation))


def _operand(node: Node, index: int) -> Value:
    """An operand: an activation, or a constant of finite float32 values."""
    value = node.value(index)
    return (
        value
        if isinstance(value, View)
        else finite_float32(value, f"input {index} ({node.input_names[index]})", "constant")
    )


def _binary(node: Node, builder: Builder, kind: type[Op], a: Value, b: Value) -> None:
    shapes = [builder.shape(a), builder.shape(b)]
    rank = max(len(shape) for shape in shapes)
    try:
        np.broadcast_shapes(*shapes)
    except ValueError as error:
        raise UnsupportedError(
            f"{list(shapes[0])} and {list(shapes[1])} cannot be broadcast", "export the model again"
        ) from error
    operands = [builder.with_rank(node, value, rank) for value in (a, b)]
    views = [value for value in operands if isinstance(value, View)]
    # the larger operand stays as it is in memory; the other, often a gate, follows
    permutation = max(views, key=lambda view: math.prod(builder.shape(view))).permutation
    tensors = [
        builder.stored(node, value, permutation)
        if isinstance(value, View)
        else builder.constant(np.transpose(value, np.argsort(permutation)), node.input_names[index])
        for index, value in enumerate(operands)
    ]
    builder.set(node, View(builder.emit(kind, node, tensors), permutation))


_BINARY: dict[str, Any] = {"Add": ops.Add, "Sub": ops.Sub, "Mul": ops.Mul}


@operator(*_BINARY, limits="float32; an operand may be constant")
def binary(node: Node, builder: Builder) -> None:
    """Addition, subtraction, multiplication, broadcast as in NumPy."""
    _binary(node, builder, _BINARY[node.operator], _operand(node, 0), _operand(node, 1))


@operator("Div", limits="divisor constant")
def div(node: Node, builder: Builder) -> None:
    """Division by a constant: multiplication by its reciprocal."""
    divisor = node.floats(1, "divisor")
    if not divisor.all():
        raise UnsupportedError("the divisor contains 0", "export the model again", f"input 1 ({node.input_names[1]})")
    _binary(node, builder, ops.Mul, node.activation(), (1.0 / divisor.astype(np.float64)).astype(np.float32))


@operator("Identity")
@operator("Dropout", attributes=("ratio", "seed"), limits="inference only")
def identity(node: Node, builder: Builder) -> None:
    """The input itself."""
    training = node.values[2] if node.operator == "Dropout" and node.has(2) else None
    if training is not None and (isinstance(training, View) or bool(training)):
        raise UnsupportedError(
            "it is in training mode", "export the model in inference mode (model.eval())", "training_mode"
        )
    builder.set(node, node.value(0))


_FLOAT, _INT32, _INT64 = 1, 6, 7


@operator(
    "Cast",
    attributes=("to", "saturate", "round_mode"),
    limits="float to float, indices to integers; others only on constants",
)
def cast(node: Node, builder: Builder) -> None:
    """A cast that changes nothing here."""
    x = node.activation()
    allowed = (_INT32, _INT64) if builder.is_index(x) else (_FLOAT,)
    node.require("to", None, allowed, "remove the Cast; the network computes in float32 (type 1)")
    builder.set(node, x)

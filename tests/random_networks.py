"""Random small networks of the operators that move, mix and compute, for comparing the import with ONNX Runtime."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st

from tests.onnx_models import make_model, node

OPSETS = (13, 17, 21)


class Network:
    """A network under construction: nodes, constants and the values that can still be used, with their shapes."""

    def __init__(self, draw: st.DrawFn, opset: int) -> None:
        self.draw = draw
        self.opset = opset
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray[Any, Any]] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}

    def pick(self, *choices: Any) -> Any:
        """One of the choices."""
        return self.draw(st.sampled_from(choices))

    def constant(self, values: Any, dtype: Any = np.float32) -> str:
        """Adds an initializer."""
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(values, dtype)
        return name

    def normal(self, *shape: int) -> str:
        """Adds an initializer of random values, a part of which are zero."""
        values = self.rng.normal(size=shape)
        if values.ndim and self.draw(st.booleans()):
            values[self.rng.random(len(values)) < 0.5] = 0
        return self.constant(values)

    def add(self, operator: str, inputs: list[str], shape: tuple[int, ...], **attributes: Any) -> str:
        """Adds a node with one output of the given shape."""
        name = f"v{len(self.nodes)}"
        self.nodes.append(node(operator, inputs, name, **attributes))
        self.shapes[name] = shape
        return name


def conv(net: Network, x: str) -> str | None:
    """Grouped, depthwise or full convolution."""
    shape = net.shapes[x]
    if len(shape) not in (3, 4):
        return None
    channels, spatial = shape[1], shape[2:]
    groups = net.pick(1, 1, channels)
    outputs = groups * net.pick(1, 2, 3) if groups > 1 else net.pick(1, 3, 4)
    kernel = [net.pick(1, 2, 3) for _ in spatial]
    pads = [net.pick(0, 0, 1) for _ in range(2 * len(spatial))]
    sizes = [size + pads[i] + pads[i + len(spatial)] - kernel[i] + 1 for i, size in enumerate(spatial)]
    if min(sizes) < 1:
        return None
    return net.add(
        "Conv",
        [x, net.normal(outputs, channels // groups, *kernel), net.normal(outputs)],
        (1, outputs, *sizes),
        pads=pads,
        group=groups,
    )


def batch_norm(net: Network, x: str) -> str | None:
    """Batch normalization of axis 1."""
    shape = net.shapes[x]
    if len(shape) < 2:
        return None
    variance = net.constant(net.rng.uniform(0.5, 2, shape[1]))
    parameters = [net.normal(shape[1]) for _ in range(3)]
    return net.add("BatchNormalization", [x, *parameters, variance], shape)


def activation(net: Network, x: str) -> str:
    """An element-wise function."""
    return net.add(net.pick("Relu", "LeakyRelu", "Sigmoid", "Neg", "Tanh", "HardSigmoid"), [x], net.shapes[x])


def prelu(net: Network, x: str) -> str | None:
    """PRelu by channel."""
    shape = net.shapes[x]
    return net.add("PRelu", [x, net.normal(shape[1], *[1] * (len(shape) - 2))], shape) if len(shape) > 1 else None


def scale(net: Network, x: str) -> str:
    """A constant operand of any broadcastable shape."""
    shape = net.shapes[x]
    operand = tuple(size if net.pick(True, False) else 1 for size in shape)
    operand = operand[net.draw(st.integers(0, len(operand))) :]
    operands = [x, net.normal(*operand)]
    operator = net.pick("Add", "Sub", "Mul")
    return net.add(operator, operands if net.pick(True, False) else operands[::-1], shape)


def join(net: Network, x: str) -> str | None:
    """A binary operator of two activations of broadcastable shapes."""
    fits = [
        name
        for name, shape in net.shapes.items()
        if len(shape) <= len(net.shapes[x])
        and all(a in (b, 1) for a, b in zip(shape[::-1], net.shapes[x][::-1], strict=False))
    ]
    return net.add(net.pick("Add", "Sub", "Mul"), [x, net.pick(*fits)], net.shapes[x])


def concat(net: Network, x: str) -> str | None:
    """Joins with another value or a constant."""
    shape = net.shapes[x]
    if len(shape) < 2:
        return None
    axis = net.draw(st.integers(1, len(shape) - 1))
    fits = [n for n, s in net.shapes.items() if s[:axis] == shape[:axis] and s[axis + 1 :] == shape[axis + 1 :]]
    fits = [name for name in fits if len(net.shapes[name]) == len(shape)]
    other = net.pick(*fits)
    size = net.shapes[other][axis]
    if net.pick(True, False):
        size = net.pick(1, 2)
        values = (*shape[:axis], size, *shape[axis + 1 :])
        other = net.constant(np.full(values, 0.5)) if net.pick(True, False) else net.normal(*values)
    operands = [x, other] if net.pick(True, False) else [other, x]
    return net.add("Concat", operands, (*shape[:axis], shape[axis] + size, *shape[axis + 1 :]), axis=axis)


def transpose(net: Network, x: str) -> str:
    """A permutation that keeps the batch first."""
    shape = net.shapes[x]
    permutation = [0, *net.draw(st.permutations(range(1, len(shape))))] if len(shape) > 1 else [0]
    return net.add("Transpose", [x], tuple(shape[axis] for axis in permutation), perm=permutation)


def reshape(net: Network, x: str) -> str:
    """Another shape: axes merged, an axis divided, or everything flattened."""
    shape = list(net.shapes[x])
    for _ in range(net.draw(st.integers(1, 2))):
        if len(shape) > 2 and net.pick(True, False):
            axis = net.draw(st.integers(1, len(shape) - 2))
            shape[axis : axis + 2] = [shape[axis] * shape[axis + 1]]
        elif len(shape) < 5:
            axis = net.draw(st.integers(1, len(shape) - 1)) if len(shape) > 1 else 0
            divisors = [d for d in range(1, shape[axis] + 1) if shape[axis] % d == 0]
            divisor = net.pick(*divisors)
            shape[axis : axis + 1] = [divisor, shape[axis] // divisor]
    return net.add("Reshape", [x, net.constant(shape, np.int64)], tuple(shape))


def flatten(net: Network, x: str) -> str:
    """Flatten to [1, n]."""
    return net.add("Flatten", [x], (1, math.prod(net.shapes[x])))


def dense(net: Network, x: str) -> str | None:
    """MatMul over the last axis."""
    shape = net.shapes[x]
    if len(shape) < 2:
        return None
    outputs = net.pick(1, 3)
    return net.add("MatMul", [x, net.normal(shape[-1], outputs)], (*shape[:-1], outputs))


def slice_(net: Network, x: str) -> str | None:
    """A part of one axis."""
    shape = net.shapes[x]
    axis = net.draw(st.integers(0, len(shape) - 1))
    start = net.draw(st.integers(0, shape[axis] - 1))
    end = net.draw(st.integers(start + 1, shape[axis]))
    step = net.pick(1, 1, 2)
    size = -(-(end - start) // step)
    bounds = [net.constant([value], np.int64) for value in (start, end, axis, step)]
    return net.add("Slice", [x, *bounds], (*shape[:axis], size, *shape[axis + 1 :]))


def pad(net: Network, x: str) -> str:
    """Constant padding of all axes but the batch."""
    shape = net.shapes[x]
    before = [0, *(net.pick(0, 0, 1) for _ in shape[1:])]
    after = [0, *(net.pick(0, 0, 2) for _ in shape[1:])]
    amounts = net.constant([*before, *after], np.int64)
    value = net.constant(net.pick(0.0, 0.0, 0.5))
    return net.add("Pad", [x, amounts, value], tuple(b + s + a for b, s, a in zip(before, shape, after, strict=True)))


def pool(net: Network, x: str) -> str | None:
    """Pooling by 2."""
    shape = net.shapes[x]
    if len(shape) not in (3, 4) or min(shape[2:]) < 2:
        return None
    spatial = tuple(size // 2 for size in shape[2:])
    attributes = {"kernel_shape": [2] * len(spatial), "strides": [2] * len(spatial)}
    return net.add(net.pick("MaxPool", "AveragePool"), [x], (*shape[:2], *spatial), **attributes)


def global_pool(net: Network, x: str) -> str | None:
    """Mean over the spatial axes."""
    shape = net.shapes[x]
    if len(shape) not in (3, 4):
        return None
    return net.add("GlobalAveragePool", [x], (*shape[:2], *[1] * (len(shape) - 2)))


def reduce_mean(net: Network, x: str) -> str | None:
    """Mean over some axes."""
    shape = net.shapes[x]
    axes = sorted(net.draw(st.sets(st.integers(1, len(shape) - 1), min_size=1))) if len(shape) > 1 else []
    if not axes:
        return None
    keep = net.pick(0, 1)
    result = tuple(1 if a in axes else s for a, s in enumerate(shape) if keep or a not in axes)
    if net.opset >= 18:
        return net.add("ReduceMean", [x, net.constant(axes, np.int64)], result, keepdims=keep)
    return net.add("ReduceMean", [x], result, axes=axes, keepdims=keep)


def softmax(net: Network, x: str) -> str:
    """Softmax over any axis."""
    return net.add("Softmax", [x], net.shapes[x], axis=net.draw(st.integers(0, len(net.shapes[x]) - 1)))


def resize(net: Network, x: str) -> str | None:
    """Twice the height and width."""
    shape = net.shapes[x]
    if len(shape) != 4 or max(shape[2:]) > 8:
        return None
    inputs = [x, "", net.constant([1, 1, 2, 2])]
    mode = net.pick("nearest", "linear")
    return net.add("Resize", inputs, (*shape[:2], 2 * shape[2], 2 * shape[3]), mode=mode)


STEPS: tuple[Callable[[Network, str], str | None], ...] = (
    conv, conv, conv, batch_norm, activation, activation, prelu, scale, join, concat, transpose, transpose, reshape,
    flatten, dense, slice_, pad, pool, global_pool, reduce_mean, softmax, resize,
)  # fmt: skip


@st.composite
def networks(draw: st.DrawFn, steps: int = 8) -> onnx.ModelProto:
    """A random network with one or two inputs and outputs."""
    net = Network(draw, draw(st.sampled_from(OPSETS)))
    inputs: dict[str, tuple[int, ...]] = {}
    for index in range(draw(st.integers(1, 2))):
        rank = draw(st.sampled_from((4, 4, 3, 2)))
        inputs[f"x{index}"] = (1, *(draw(st.integers(1, 5)) for _ in range(rank - 1)))
    net.shapes.update(inputs)
    for _ in range(draw(st.integers(1, steps))):
        step = draw(st.sampled_from(STEPS))
        recent = list(net.shapes)[-3:]
        step(net, draw(st.sampled_from(recent)))
    read = {name for made in net.nodes for name in made.input}
    outputs = [made.output[0] for made in net.nodes if made.output[0] not in read]
    if not outputs:
        outputs = [net.add("Relu", ["x0"], inputs["x0"])]
    extra = draw(st.sampled_from([*(made.output[0] for made in net.nodes)]))
    names = list(dict.fromkeys([*outputs, *([extra] if draw(st.booleans()) else [])]))
    model = make_model(net.nodes, inputs, names, net.constants, net.opset)
    return model

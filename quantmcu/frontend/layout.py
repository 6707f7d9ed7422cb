"""Decides in which order a network input is stored."""

from __future__ import annotations

import onnx

from quantmcu.frontend.builder import channels_last

_CHANNELS_FIRST = frozenset(
    (
        "AveragePool",
        "BatchNormalization",
        "Conv",
        "ConvTranspose",
        "DepthToSpace",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "MaxPool",
        "Resize",
        "SpaceToDepth",
        "Upsample",
    )
)
_ANY_ORDER = frozenset(
    (
        "Abs",
        "Add",
        "Cast",
        "Celu",
        "Clip",
        "Concat",
        "Div",
        "Dropout",
        "Elu",
        "Erf",
        "Exp",
        "Gelu",
        "HardSigmoid",
        "HardSwish",
        "Identity",
        "LeakyRelu",
        "Max",
        "Min",
        "Mish",
        "Mul",
        "Neg",
        "PRelu",
        "Pad",
        "Pow",
        "Relu",
        "Selu",
        "Sigmoid",
        "Slice",
        "Softplus",
        "Softsign",
        "Split",
        "Sqrt",
        "Sub",
        "Tanh",
        "ThresholdedRelu",
    )
)


def input_permutation(graph: onnx.GraphProto, name: str, rank: int) -> tuple[int, ...]:
    """The permutation through which ONNX sees the input `name` in our memory.

    Channels are stored last where the input reaches, through operators that do not mind the order, one that has its
    channels in axis 1; else the input is stored as in ONNX.
    """
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for read in node.input:
            readers.setdefault(read, []).append(node)
    reached, seen = [name], {name}
    while rank in (3, 4) and reached:
        for node in readers.get(reached.pop(0), []):
            if node.op_type in _CHANNELS_FIRST:
                return channels_last(rank)
            if node.op_type in _ANY_ORDER:
                fresh = [output for output in node.output if output not in seen]
                seen.update(fresh)
                reached += fresh
    return tuple(range(rank))

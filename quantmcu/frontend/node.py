"""A node of the ONNX model as its handler sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from quantmcu.frontend.registry import UnsupportedError


@dataclass(frozen=True)
class View:
    """An activation of the ONNX model: a tensor of ours and the order in which ONNX sees its axes.

    ONNX's value is numpy.transpose(tensor, permutation). So a feature map that ONNX has as NCHW is stored as NHWC and
    seen through (0, 3, 1, 2), and an ONNX Transpose costs nothing until something depends on the order in memory.
    """

    tensor: str
    permutation: tuple[int, ...]


Constant = NDArray[Any]
Value = View | Constant


@dataclass(frozen=True)
class Node:
    """One ONNX node with its inputs resolved.

    Attributes:
        name: of the node, or `<Op>_<index>` where it has none.
        operator, opset: ONNX operator and the version of the operator set that the model uses.
        values: the inputs; None where an optional input is absent.
        input_names, outputs: names in the ONNX model; empty where absent.
        attributes: as given in the model.
    """

    name: str
    operator: str
    opset: int
    values: tuple[Value | None, ...]
    input_names: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def has(self, index: int) -> bool:
        """Whether the optional input `index` is present."""
        return index < len(self.values) and self.values[index] is not None

    def value(self, index: int) -> Value:
        """Input `index`, activation or constant."""
        value = self.values[index] if index < len(self.values) else None
        if value is None:
            raise UnsupportedError(f"input {index} is missing", "the model is malformed; export it again")
        return value

    def activation(self, index: int = 0) -> View:
        """Input `index`, which has to be an activation."""
        value = self.value(index)
        if not isinstance(value, View):
            raise UnsupportedError(
                "its input is a constant where an activation is expected",
                "fold constants when exporting",
                f"input {index}",
            )
        return value

    def constant(self, index: int, what: str) -> Constant:
        """Input `index`, which has to be known at compile time; `what` names it in the message."""
        value = self.value(index)
        if isinstance(value, View):
            raise UnsupportedError(
                f"the {what} is computed by the network",
                f"make the {what} a constant (an initializer) when exporting",
                f"input {index} ({self.input_names[index]})",
            )
        return value

    def floats(self, index: int, what: str) -> NDArray[np.float32]:
        """Constant input `index` as float32 with finite values."""
        return finite_float32(self.constant(index, what), f"input {index} ({self.input_names[index]})", what)

    def integers(self, index: int, what: str) -> list[int]:
        """Constant input `index` as a list of integers."""
        return [int(item) for item in np.ravel(self.constant(index, what))]

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute's value, or `default` where the node does not give it."""
        return self.attributes.get(name, default)

    def require(self, name: str, default: Any, allowed: tuple[Any, ...], remedy: str) -> Any:
        """An attribute that must have one of the `allowed` values."""
        value = self.attribute(name, default)
        if value not in allowed:
            choices = ", ".join(map(str, allowed))
            raise UnsupportedError(
                f"only {choices} supported" if len(allowed) > 1 else f"only {choices} is supported",
                remedy,
                f"{name} = {value}",
            )
        return value


def finite_float32(values: Constant, where: str, what: str) -> NDArray[np.float32]:
    """`values`, checked to be float32 without NaN or infinity.

    Raises:
        UnsupportedError: another data type, or values that are not finite.
    """
    if values.dtype != np.float32:
        raise UnsupportedError(
            f"the {what} has the type {values.dtype}", "convert the model to float32 before compiling", where
        )
    bad = values.size - int(np.count_nonzero(np.isfinite(values)))
    if bad:
        raise UnsupportedError(
            f"{bad} of {values.size} values of the {what} are NaN or infinite",
            "train or export the model again; such weights have no meaning",
            where,
        )
    return values


def attribute_values(proto: onnx.NodeProto) -> dict[str, Any]:
    """Attributes of a node as Python values, strings decoded."""
    values: dict[str, Any] = {}
    for attribute in proto.attribute:
        value = onnx.helper.get_attribute_value(attribute)
        values[attribute.name] = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return values

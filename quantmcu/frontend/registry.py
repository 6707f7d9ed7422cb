"""The registry of ONNX operators: which can be imported, and by which handler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx

if TYPE_CHECKING:
    from quantmcu.frontend.builder import Builder
    from quantmcu.frontend.node import Node

OLDEST_OPSET = 11
NEWEST_OPSET: int = onnx.defs.onnx_opset_version()


class UnsupportedError(Exception):
    """Raised by a handler: something about this node cannot be compiled.

    Attributes:
        reason: the rule that the node breaks.
        remedy: what the user can do.
        attribute: the attribute or input concerned, with its value; empty when it is the whole node.
    """

    def __init__(self, reason: str, remedy: str = "", attribute: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy
        self.attribute = attribute


@dataclass(frozen=True)
class OperatorSupport:
    """What is supported of one ONNX operator (a row of `quantmcu ops`)."""

    operator: str
    oldest_opset: int
    newest_opset: int
    attributes: tuple[str, ...]
    limits: str


Handler = Callable[["Node", "Builder"], None]


@dataclass(frozen=True)
class Registration:
    """An operator's facts and its handler."""

    support: OperatorSupport
    handler: Handler


_REGISTRY: dict[str, Registration] = {}
_FOLDED: dict[str, OperatorSupport] = {}


def operator(
    *names: str, attributes: tuple[str, ...] = (), limits: str = "", oldest: int = OLDEST_OPSET
) -> Callable[[Handler], Handler]:
    """Registers a handler for the ONNX operators `names`.

    Args:
        names: operators of the default ONNX domain.
        attributes: every attribute that the handler understands; any other is reported to the user.
        limits: what is not supported, for the table of operators.
        oldest: first opset that has the operator.
    """

    def register(handler: Handler) -> Handler:
        for name in names:
            support = OperatorSupport(name, max(oldest, OLDEST_OPSET), NEWEST_OPSET, attributes, limits)
            _REGISTRY[name] = Registration(support, handler)
        return handler

    return register


def folded(*names: str, limits: str) -> None:
    """Lists operators that are supported only where all their inputs are constant: computed at compile time."""
    for name in names:
        _FOLDED[name] = OperatorSupport(name, OLDEST_OPSET, NEWEST_OPSET, (), limits)


def find(op_type: str) -> Registration | None:
    """The registration of an operator, if it is supported."""
    return _REGISTRY.get(op_type)


def supported_operators() -> list[OperatorSupport]:
    """What can be imported, in alphabetical order."""
    rows = [registration.support for registration in _REGISTRY.values()]
    return sorted([*rows, *_FOLDED.values()], key=lambda row: row.operator)

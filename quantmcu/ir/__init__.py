"""Intermediate representation: tensors, operators, graph, verifier and text dump."""

from quantmcu.ir.graph import Graph, sort_ops
from quantmcu.ir.tensor import QParams, QuantizedWeights, Tensor

__all__ = ["Graph", "QParams", "QuantizedWeights", "Tensor", "sort_ops"]

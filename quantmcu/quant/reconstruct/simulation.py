"""A quantized network in real numbers, with derivatives: what its integers compute, within one code a layer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from quantmcu.ir import Graph, QParams, ops
from quantmcu.quant.reconstruct.convolution import apply_layer
from quantmcu.quant.reconstruct.derivatives import apply, has_derivative
from quantmcu.quant.reconstruct.parameters import LayerParameters
from quantmcu.quant.reconstruct.rounding import Rounding
from quantmcu.quant.tails import section_runner

Array = NDArray[np.float32]
Values = dict[str, Array]
"""Activations by tensor: [samples, ...], the IR's shape with samples in place of the batch of 1."""

Derivative = Callable[[Array], Sequence[Array | None]]
Record = tuple[ops.Op, Rounding, Derivative]
LayerGradients = tuple[LayerParameters, Array, Array]
"""Of real weights and biases."""


@dataclass(frozen=True, eq=False)
class Pass:
    """One run.

    Attributes:
        reals: the wanted activations before they are rounded, their activation function applied.
        tape: what the derivative needs of every operator, in the order of execution.
        found: gradients of the layers' parameters, as far as the derivative has come.
    """

    reals: Values
    tape: list[Record]
    found: list[LayerGradients]


class Simulation:
    """The quantized network with parameters in place of its weights and biases.

    Operators without a derivative are run by ONNX Runtime; gradients end there.
    """

    def __init__(self, graph: Graph, parameters: Mapping[str, LayerParameters]) -> None:
        """graph: quantized, all activations have a batch of 1; parameters: of every layer, by name."""
        self.graph, self.parameters = graph, parameters
        float_graph = graph.with_tensors(replace(tensor, qparams=None) for tensor in graph.tensors.values())
        self._foreign = {
            op.name: section_runner(float_graph, (op,), op.outputs) for op in graph.ops if not has_derivative(op)
        }
        constants = [tensor for tensor in graph.tensors.values() if tensor.data is not None]
        self._constants = {t.name: _rounded(np.asarray(t.data), t.qparams) for t in constants}
        self._last_reader = {name: op.name for op in graph.ops for name in op.inputs}

    def run(self, inputs: Values, wanted: Collection[str], *, learn: bool) -> Pass:
        """Runs several samples at once.

        Args:
            inputs: real values of the graph's inputs.
            wanted: outputs of operators with a derivative, whose values shall be returned.
            learn: whether `gradients` will be called.
        """
        tensors = self.graph.tensors
        values = {name: _rounded(inputs[name], tensors[name].qparams) for name in self.graph.inputs} | self._constants
        done = Pass({}, [], [])
        for op in self.graph.ops:
            operands = [values[name] for name in op.inputs]
            if op.name in self._foreign:
                values[op.output] = self._run_foreign(op, operands)
            else:
                real, derivative = self._apply(op, operands, done.found)
                activation: ops.Clamp | None = getattr(op, "activation", None)
                rounding = Rounding(real, _known(tensors[op.output].qparams), activation, wanted=op.output in wanted)
                values[op.output] = rounding.rounded
                if rounding.activated is not None:
                    done.reals[op.output] = rounding.activated
                if learn:
                    done.tape.append((op, rounding, derivative))
            for name in op.inputs:
                if self._last_reader[name] == op.name:
                    values.pop(name, None)
        return done

    def gradients(self, done: Pass, gradients: Mapping[str, Array]) -> Sequence[LayerGradients]:
        """Of the parameters, from those of `done.reals`; uses up the tape, to free memory. Changes no parameter."""
        flowing: Values = {}
        while done.tape:
            op, rounding, derivative = done.tape.pop()
            gradient = rounding.gradient(flowing.pop(op.output, None), gradients.get(op.output))
            if gradient is None:
                continue
            for name, part in zip(op.inputs, derivative(gradient), strict=True):
                if part is not None and name in self.graph.producers:
                    flowing[name] = flowing[name] + part if name in flowing else part
        return done.found

    def quantized(self) -> Graph:
        """The graph with the integer weights and biases that the parameters stand for."""
        return self.graph.with_ops(
            replace(op, quantized=self.parameters[op.name].quantized())
            if isinstance(op, ops.Conv2D | ops.Dense)
            else op
            for op in self.graph.ops
        )

    def _apply(
        self, op: ops.Op, operands: Sequence[Array], found: list[LayerGradients]
    ) -> tuple[Array, Derivative]:
        """The output before it is rounded; the derivative appends the gradients of weight and bias to `found`."""
        if not isinstance(op, ops.Conv2D | ops.Dense):
            return apply(op, operands, self.graph.tensor(op.output).shape)
        layer = self.parameters[op.name]
        y, backward = apply_layer(op, operands[0], layer.weight())
        y += layer.bias_values()
        wanted = op.inputs[0] in self.graph.producers

        def derivative(dy: Array) -> Sequence[Array | None]:
            dx, dweight = backward(dy, wanted)
            found.append((layer, dweight, dy.reshape(-1, dy.shape[-1]).sum(axis=0)))
            return (dx,)

        return y, derivative

    def _run_foreign(self, op: ops.Op, operands: Sequence[Array]) -> Array:
        """One sample after another."""
        named = dict(zip(op.inputs, operands, strict=True))
        samples = max(len(x) for name, x in named.items() if name not in self._constants)
        parts = [
            {name: x if name in self._constants else np.ascontiguousarray(x[i : i + 1]) for name, x in named.items()}
            for i in range(samples)
        ]
        results = np.concatenate([self._foreign[op.name](part)[0] for part in parts])
        return _rounded(results, self.graph.tensor(op.output).qparams)


def _known(qparams: QParams | None) -> QParams:
    if qparams is None:
        raise ValueError("every activation of the graph has to be quantized")
    return qparams


def _rounded(values: Array, qparams: QParams | None) -> Array:
    return values if qparams is None else qparams.dequantize(qparams.quantize(values))

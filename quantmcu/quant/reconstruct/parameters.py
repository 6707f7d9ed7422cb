"""What training moves: integer weights by their real-valued latent forms, their scales, and biases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from quantmcu.ir import QParams, QuantizedWeights, ops

Array = NDArray[np.float32]
Layer = ops.Conv2D | ops.Dense

_DECAYS = (0.9, 0.99)
"""Of Adam's running means: there are too few steps for the customary 0.999."""

_EPSILON = 1e-12

_MARGIN = 0.3
_TOWARDS_FLOAT = 0.6
"""Latent weights start at the code that was chosen, this share of the way to the float weight and never nearer than
0.5 - _MARGIN to the next code: one noisy gradient must not move thousands of weights at once."""

_BIAS_LEVELS = 255
"""A unit of a bias is this part of its output's range: one code of 8 bits."""


class Parameter:
    """Values that follow their gradient by Adam (Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015).

    Attributes:
        values: float32; updated in place.
        rate: largest change of a step.
    """

    def __init__(self, values: Array, rate: float) -> None:
        self.values, self.rate = values, np.float32(rate)
        self._gradient = np.zeros_like(values)
        self._mean = np.zeros_like(values)
        self._square = np.zeros_like(values)
        self._steps = 0

    def add_gradient(self, gradient: Array) -> None:
        """Of some samples; those of several calls add up until the next step."""
        self._gradient += gradient

    def step(self, share: float) -> None:
        """Moves the values against the gradient by `share` of the rate, and forgets the gradient."""
        self._steps += 1
        first, second = (np.float32(decay) for decay in _DECAYS)
        self._mean += (1 - first) * (self._gradient - self._mean)
        np.square(self._gradient, out=self._gradient)
        self._square += (1 - second) * (self._gradient - self._square)
        size = np.sqrt(self._square / (1 - second**self._steps))
        size += np.float32(_EPSILON)
        self.values -= self.rate * np.float32(share) / (1 - first**self._steps) * (self._mean / size)
        self._gradient.fill(0)


class LayerParameters:
    """The weights and the bias of a layer.

    Weights are rounded and limited in the forward pass; gradients pass that as if it were not there (straight-through).

    Attributes:
        latent: weights in units of their scales.
        gain: what is added to 1 to give the factor of a channel's scale.
        bias: what is added to the bias, in codes of 8 bits of the output.
    """

    def __init__(self, op: Layer, output: QParams, *, weight_rate: float, gain_rate: float, bias_rate: float) -> None:
        if op.quantized is None:
            raise ValueError(f"{op.name} is not quantized")
        self._quantized = op.quantized
        self._limit = 2 ** (op.quantized.bits - 1) - 1
        self._scales = op.quantized.scales.reshape(-1, *[1] * (op.weight.ndim - 1)).astype(np.float32)
        self._unit = np.float32(output.scale * output.highest_code / _BIAS_LEVELS)
        codes = op.quantized.codes.astype(np.float32)
        away = np.clip(_TOWARDS_FLOAT * (op.weight / self._scales - codes), -_MARGIN, _MARGIN)
        self.latent = Parameter((codes + away).astype(np.float32), weight_rate)
        self.gain = Parameter(np.zeros((len(codes), *[1] * (codes.ndim - 1)), np.float32), gain_rate)
        self.bias = Parameter(np.zeros(len(codes), np.float32), bias_rate)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """All of them."""
        return self.latent, self.gain, self.bias

    def weight(self) -> Array:
        """The real values of the integer weights."""
        return np.asarray(self._codes() * (self._scales * (1 + self.gain.values)), np.float32)

    def bias_values(self) -> Array:
        """The real values of the bias."""
        return np.asarray(self._quantized.bias + self._unit * self.bias.values, np.float32)

    def add_gradients(self, weight: Array, bias: Array) -> None:
        """Of real weights and biases."""
        by_code = weight * self._scales
        self.latent.add_gradient(by_code)
        by_code *= self._codes()
        self.gain.add_gradient(by_code.reshape(len(by_code), -1).sum(axis=1).reshape(self.gain.values.shape))
        self.bias.add_gradient(bias * self._unit)

    def quantized(self) -> QuantizedWeights:
        """As the kernels use them, with the same bits."""
        bias = self._quantized.bias + np.float64(self._unit) * self.bias.values.astype(np.float64)
        scales = self._quantized.scales * (1 + self.gain.values.astype(np.float64).ravel())
        return replace(self._quantized, codes=self._codes().astype(np.int8), scales=scales, bias=bias)

    def _codes(self) -> Array:
        return np.clip(np.rint(self.latent.values), -self._limit, self._limit)

"""Functions of one value in real numbers, as ONNX defines them; the lowering tabulates them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from quantmcu.ir.ops import Unary

Reals = NDArray[np.float64]


def evaluate(op: Unary, x: Reals) -> Reals:
    """The function of `op` at each x."""
    match op.function:
        case "clamp":
            return np.clip(x, op.alpha, op.beta)
        case "leaky_relu":
            return np.where(x >= 0, x, op.alpha * x)
        case "hard_swish":
            return x * np.clip(x / 6 + 0.5, 0, 1)
        case "hard_sigmoid":
            return np.clip(op.alpha * x + op.beta, 0, 1)
        case "sigmoid":
            return _sigmoid(x)
        case "silu":
            return x * _sigmoid(x)
        case "tanh":
            return np.tanh(x)
        case "exp":
            return np.exp(x)
        case "abs":
            return np.abs(x)
        case "neg":
            return np.negative(x)
        case "sqrt":
            return np.sqrt(np.maximum(x, 0))
        case "elu":
            return np.where(x >= 0, x, op.alpha * np.expm1(np.minimum(x, 0)))
        case "softplus":
            return np.logaddexp(0, x)
        case "gelu":
            return 0.5 * x * (1 + _erf(x / math.sqrt(2)))
        case "erf":
            return _erf(x)
        case "selu":
            return op.beta * np.where(x >= 0, x, op.alpha * np.expm1(np.minimum(x, 0)))
        case "celu":
            return np.where(x >= 0, x, op.alpha * np.expm1(np.minimum(x, 0) / op.alpha))
        case "softsign":
            quotient: Reals = x / (1 + np.abs(x))
            return quotient
        case "mish":
            return x * np.tanh(np.logaddexp(0, x))
        case "thresholded_relu":
            return np.where(x > op.alpha, x, 0)
        case "power":
            return np.power(x, op.alpha)


def _erf(x: Reals) -> Reals:
    return np.array([math.erf(value) for value in x.ravel()], np.float64).reshape(x.shape)


def _sigmoid(x: Reals) -> Reals:
    return 0.5 * (1 + np.tanh(0.5 * x))

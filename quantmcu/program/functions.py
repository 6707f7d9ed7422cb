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
            error_function: Reals = np.array([math.erf(value) for value in x / math.sqrt(2)], np.float64)
            return 0.5 * x * (1 + error_function)


def _sigmoid(x: Reals) -> Reals:
    return 0.5 * (1 + np.tanh(0.5 * x))

"""Rounding of weights that minimizes the error of a layer's output instead of that of each weight.

Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers" (2023), algorithm 1:
the weights are rounded one after another, and each time the rest make up for the error as well as the inputs' second
moments allow. The moments here are central (the covariance), since bias correction removes the mean error exactly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_DAMPING = 0.01
"""Added to the diagonal, as a share of its mean: keeps the inverse stable where inputs depend on each other."""

_BLOCK = 64
"""Weights of a block; those behind it are updated once a block, by a matrix product (there, "lazy batch updates")."""


def round_by_covariance(
    weight: NDArray[np.float64], scales: NDArray[np.float64], limit: int, covariance: NDArray[np.float64]
) -> NDArray[np.int8]:
    """Codes within -limit .. limit of `weight`, such that the layer's output varies least from that of `weight`.

    Args:
        weight: [groups, output channels of a group, n].
        scales: [groups, output channels of a group].
        limit: largest code.
        covariance: of the inputs, [groups, n, n].

    Returns:
        int8, the shape of `weight`.
    """
    order = np.argsort(-np.einsum("gii->gi", covariance).sum(axis=0), kind="stable")
    rest = weight[..., order]
    inverse = _inverse_factor(covariance[:, order][:, :, order])
    codes = np.zeros(weight.shape, np.int8)
    for first in range(0, len(order), _BLOCK):
        last = min(first + _BLOCK, len(order))
        errors = np.zeros((*weight.shape[:2], last - first))
        for index in range(first, last):
            column = rest[..., index]
            code = np.clip(np.rint(column / scales), -limit, limit)
            codes[..., order[index]] = code
            error = (column - code * scales) / inverse[:, index, index, None]
            errors[..., index - first] = error
            rest[..., index + 1 : last] -= error[..., None] * inverse[:, None, index, index + 1 : last]
        rest[..., last:] -= errors @ inverse[:, first:last, last:]
    return codes


def _inverse_factor(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Upper Cholesky factor of the damped inverse: row i says how later weights make up for an error of weight i."""
    size = covariance.shape[-1]
    mean = np.einsum("gii->g", covariance) / size
    damping = np.where(mean > 0, mean * _DAMPING, 1.0)
    inverse = np.linalg.inv(covariance + damping[:, None, None] * np.eye(size))
    lower = np.linalg.cholesky((inverse + inverse.transpose(0, 2, 1)) / 2)
    return np.asarray(lower.transpose(0, 2, 1), np.float64)


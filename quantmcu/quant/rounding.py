"""Rounding of weights that minimizes the error of a layer's output instead of that of each weight.

Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers" (2023), algorithm 1:
the weights are rounded one after another, and each time the rest make up for the error as well as the inputs' second
moments allow. The moments here are central (the covariance), since bias correction removes the mean error exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_DAMPING = 0.01
"""Added to the diagonal, as a share of its mean: keeps the inverse stable where inputs depend on each other."""

_BLOCK = 64
"""Weights of a block; those behind it are updated once a block, by a matrix product (there, "lazy batch updates")."""


_SMALL = 48
"""Matrices of so few rows are left to LAPACK."""


@dataclass(frozen=True, eq=False)
class Compensation:
    """How weights that are rounded later make up for the errors of those before.

    Attributes:
        order: int [n], in which the n weights are rounded: those that meet the largest variance first.
        factor: float64 [groups, n, n], upper Cholesky factor of the damped inverse of the covariance in that order:
            row i says how later weights make up for an error of weight i.
    """

    order: NDArray[np.intp]
    factor: NDArray[np.float64]

    @classmethod
    def of(cls, covariance: NDArray[np.float64]) -> Compensation:
        """covariance: of the inputs, [groups, n, n]."""
        order = np.argsort(-np.einsum("gii->gi", covariance).sum(axis=0), kind="stable")
        return cls(order, np.stack([_inverse_factor(one[order][:, order]) for one in covariance]))


def round_by_covariance(
    weight: NDArray[np.float64], scales: NDArray[np.float64], limit: int, compensation: Compensation
) -> NDArray[np.int8]:
    """Codes within -limit .. limit of `weight`, such that the layer's output varies least from that of `weight`.

    Args:
        weight: [groups, output channels of a group, n].
        scales: [groups, output channels of a group].
        limit: largest code.
        compensation: of the inputs' covariance.

    Returns:
        int8, the shape of `weight`.
    """
    order, inverse = compensation.order, compensation.factor
    rest = weight[..., order]
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
    """The upper triangle U with U.T @ U = the inverse of the damped covariance.

    With rows and columns in reverse, the covariance is L @ L.T of a lower triangle: its inverse, reversed, is U.
    """
    mean = float(np.trace(covariance)) / len(covariance)
    damped = covariance + (mean * _DAMPING if mean > 0 else 1.0) * np.eye(len(covariance))
    return _factor_and_inverse(damped[::-1, ::-1])[1][::-1, ::-1]


def _factor_and_inverse(matrix: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The lower Cholesky factor of a matrix, and the inverse of that factor; by halves, nearly all of it products."""
    size = len(matrix)
    if size <= _SMALL:
        triangle = np.asarray(np.linalg.cholesky(matrix), np.float64)
        return triangle, np.asarray(np.linalg.inv(triangle), np.float64)
    half = size // 2
    factor, inverse = np.zeros((size, size)), np.zeros((size, size))
    factor[:half, :half], inverse[:half, :half] = _factor_and_inverse(matrix[:half, :half])
    factor[half:, :half] = below = matrix[half:, :half] @ inverse[:half, :half].T
    factor[half:, half:], inverse[half:, half:] = _factor_and_inverse(matrix[half:, half:] - below @ below.T)
    inverse[half:, :half] = -inverse[half:, half:] @ (below @ inverse[:half, :half])
    return factor, inverse

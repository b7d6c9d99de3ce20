"""Anderson's extrapolation of an iteration that converges linearly."""

from __future__ import annotations

from collections import deque

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

__all__ = ["Extrapolation"]

Floats = NDArray[np.float64]
REGULARISATION = 1e-10
"""Of the small least-squares system, relative to its trace: differences become parallel near the limit."""


class Extrapolation:
    """The affine combination of the last iterates whose differences cancel best [Bertrand and Massias 2021].

    Each iterate is a predictor ``(K, D)`` with its slope ``V G - c``; the slope is affine in V, so that both
    extrapolate with the same coefficients and no product with G is needed.
    """

    def __init__(self, memory: int) -> None:
        self.iterates: deque[tuple[Floats, Floats]] = deque(maxlen=memory + 1)

    def add(self, values: Floats, slope: Floats) -> None:
        """Remember an iterate."""
        self.iterates.append((values.copy(), slope.copy()))

    @property
    def full(self) -> bool:
        """Whether enough iterates are known."""
        return len(self.iterates) == self.iterates.maxlen

    def restart(self) -> None:
        """Forget all iterates."""
        self.iterates.clear()

    def combine(self) -> tuple[Floats, Floats] | None:
        """The extrapolated predictor and slope; None where the differences say nothing."""
        points = np.array([values.ravel() for values, _ in self.iterates])
        differences = np.diff(points, axis=0)
        system = differences @ differences.T
        scale = float(np.trace(system))
        if not scale > 0.0:
            return None
        system[np.diag_indices_from(system)] += REGULARISATION * scale
        weights = scipy.linalg.solve(system, np.ones(len(system)), assume_a="pos", check_finite=False)
        if not (np.isfinite(weights).all() and weights.sum() != 0.0):
            return None
        weights /= weights.sum()
        shape = self.iterates[-1][0].shape
        slopes = np.array([slope.ravel() for _, slope in list(self.iterates)[1:]])
        return (weights @ points[1:]).reshape(shape), (weights @ slopes).reshape(shape)

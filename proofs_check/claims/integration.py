"""The flow of two layers in pixel space, by extrapolation of the midpoint rule: nothing of lineardyn's integrators."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from proofs_check.claims.pixel_space import gradient

__all__ = ["extrapolated", "pixel_flow"]

Floats = NDArray[np.float64]

SEQUENCE = (2, 4, 6, 8, 10, 12)
"""Substeps of the midpoint rule; its error has even powers of the step alone, so that the order is 12."""


def extrapolated(slope: Callable[[Floats], Floats], start: Floats, horizon: Floats, *, steps: int) -> Floats:
    """Solution ``(n, ...)`` of ``y' = slope(y)`` at the times ``horizon`` ``(n,)``: Gragg, Bulirsch and Stoer."""
    y = start
    step = (horizon / steps).reshape(-1, *[1] * (start.ndim - 1))
    for _ in range(steps):
        first = slope(y)
        row: list[Floats] = []
        for i, count in enumerate(SEQUENCE):
            entry = _midpoint(slope, y, first, step / count, count)
            for j in range(i):  # Neville's scheme in the square of the step, at 0
                ratio = (count / SEQUENCE[i - 1 - j]) ** 2
                row[j], entry = entry, entry + (entry - row[j]) / (ratio - 1)
            row.append(entry)
        y = row[-1]
    return y


def _midpoint(slope: Callable[[Floats], Floats], y: Floats, first: Floats, step: Floats, count: int) -> Floats:
    """``count`` steps of the midpoint rule, from one of Euler."""
    before, now = y, y + step * first
    for _ in range(count - 1):
        before, now = now, before + 2 * step * slope(now)
    return now


def pixel_flow(
    shifts: Floats, targets: Floats, kernel: Floats, dense: Floats, horizon: Floats, *, steps: int
) -> tuple[Floats, Floats]:
    """Kernels ``(n, P)`` and dense layers ``(n, K, P)`` at the times ``horizon`` ``(n,)``; shifts ``(n, N, P, P)``."""

    def slope(state: Floats) -> Floats:
        to_kernel, to_dense = gradient(shifts, targets, state[:, 0], state[:, 1:])
        return -np.concatenate([to_kernel[:, None], to_dense], axis=1)

    end = extrapolated(slope, np.concatenate([kernel[:, None], dense], axis=1), horizon, steps=steps)
    return end[:, 0], end[:, 1:]

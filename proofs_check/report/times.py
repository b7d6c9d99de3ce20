"""When a mode is learned, and quadratic time grids."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["crossing_times", "dense_early", "median_times"]

Floats = NDArray[np.float64]


def crossing_times(t: Floats, b: Floats, s: Floats, share: float = 0.5) -> Floats:
    """First time at which each mode has ``share`` of its singular value, NaN where it never has: ``(R,)``.

    ``b`` is ``(T, R)``. Between two times the logit of b/s is interpolated, which is exact on a sigmoid.

    >>> t = np.linspace(0, 9, 4)
    >>> crossing_times(t, 1 / (1 + np.exp(5 - 2 * t))[:, None], np.ones(1)).round(12)
    array([2.5])
    """
    times = np.full(len(s), np.nan)
    for a, goal in enumerate(s):
        reached = np.flatnonzero(b[:, a] >= share * goal)
        if len(reached):
            i = int(reached[0])
            times[a] = t[0] if i == 0 else _between(t[i - 1 : i + 1], b[i - 1 : i + 1, a] / goal, share)
    return times


def _between(t: Floats, value: Floats, level: float) -> float:
    if value[0] > 0 and value[1] < 1:
        value, level = np.log(value / (1 - value)), float(np.log(level / (1 - level)))
    return float(t[0] + (t[1] - t[0]) * (level - value[0]) / (value[1] - value[0]))


def dense_early(t_end: float, n: int) -> Floats:
    """``n`` times from 0 to ``t_end``, closer together at the start, where the first modes are learned."""
    grid: Floats = t_end * np.linspace(0.0, 1.0, n) ** 2
    return grid


def median_times(times: Floats) -> Floats:
    """Median over runs of ``(n_runs, R)``, where NaN (never) counts as the latest; NaN if the median run never does.

    >>> median_times(np.array([[1.0, np.nan], [2.0, np.nan], [np.nan, 5.0]])).tolist()
    [2.0, nan]
    """
    filled = np.sort(np.where(np.isnan(times), np.inf, times), axis=0)
    middle = len(filled) // 2
    low = filled[middle - 1] if len(filled) % 2 == 0 else filled[middle]
    with np.errstate(invalid="ignore"):
        both: Floats = 0.5 * (low + filled[middle])
    return np.where(np.isfinite(both), both, np.nan)

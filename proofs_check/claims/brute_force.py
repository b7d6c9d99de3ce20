"""Minimisation by looking everywhere: grids that zoom in, over batches of functions of one variable.

No derivative and no formula is used; a minimum is found to round-off, where it lies to its root.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["lowest", "lowest_from_zero"]

Floats = NDArray[np.float64]
Heights = Callable[[Floats], Floats]

ZOOM = 33
"""Points of a grid that zooms: each is 16 times finer than the one before."""
ROUNDS = 8


def lowest(heights: Heights, low: Floats, high: Floats, *, points: int = 129) -> tuple[Floats, Floats]:
    """Where and how low: minima ``(n,)`` of functions over ``[low, high]``, each of one basin on the first grid.

    ``heights`` takes points ``(n, m)``.

    >>> import numpy as np
    >>> x, value = lowest(lambda x: (x - 0.3) ** 2, np.zeros(1), np.ones(1))
    >>> round(float(x[0]), 6)
    0.3
    """
    grid = low[:, None] + (high - low)[:, None] * np.linspace(0.0, 1.0, points)
    for _ in range(ROUNDS):
        best = heights(grid).argmin(axis=1)[:, None]
        last = grid.shape[1] - 1
        left = np.take_along_axis(grid, np.maximum(best - 1, 0), axis=1)
        right = np.take_along_axis(grid, np.minimum(best + 1, last), axis=1)
        grid = left + (right - left) * np.linspace(0.0, 1.0, ZOOM)
    values = heights(grid)
    best = values.argmin(axis=1)[:, None]
    return np.take_along_axis(grid, best, axis=1)[:, 0], np.take_along_axis(values, best, axis=1)[:, 0]


def lowest_from_zero(heights: Heights, high: Floats, *, points: int = 257) -> tuple[Floats, Floats]:
    """The same over ``[0, high]`` for functions with two basins, one of them at 0 or next to it: both are looked into.

    >>> import numpy as np
    >>> h = lambda x: 0.5 * (x - 1.0) ** 2 + 0.1 * np.sqrt(x)
    >>> x, value = lowest_from_zero(h, np.ones(1))
    >>> bool(value[0] < h(0.0)), round(float(x[0]), 3)
    (True, 0.949)
    """
    grid = high[:, None] * np.linspace(0.0, 1.0, points)
    values = heights(grid)
    inner = values[:, 1:-1]
    basin = (inner <= values[:, :-2]) & (inner <= values[:, 2:])
    best = 1 + np.where(basin, inner, np.inf).argmin(axis=1)
    best = np.where(basin.any(axis=1), best, points - 2)[:, None]
    low, top = (np.take_along_axis(grid, best + step, axis=1)[:, 0] for step in (-1, 1))
    x, value = lowest(heights, low, top, points=ZOOM)
    first, height = lowest(heights, grid[:, 0], grid[:, 1], points=ZOOM)
    return np.where(height <= value, first, x), np.minimum(height, value)

"""What the figures of several solutions share: the magnitudes of their coefficients, and colours by radius."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lineardyn.errors import ArgumentError
from lineardyn.fourier import half_spectrum, radius
from lineardyn.validation import shown
from solvers.result import Solution

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["check_solutions", "draw_magnitudes", "magnitudes", "ring_means"]

Floats = NDArray[np.float64]
PALEST = 0.92
"""Of the colour map: beyond, it is too pale for lines on white."""


def check_solutions(name: str, value: Sequence[Solution]) -> list[Solution]:
    """Return ``value`` as a list of at least one solution, all of predictors of one shape."""
    try:
        solutions = list(value)
    except TypeError:
        raise ArgumentError(f"{name} is {shown(value)}, expected solutions: what path or solve returned") from None
    if not solutions:
        raise ArgumentError(f"{name} is empty, expected at least one solution")
    for i, solution in enumerate(solutions):
        if not isinstance(solution, Solution):
            raise ArgumentError(f"{name}[{i}] is {shown(solution)}, expected a Solution, as solve and path return it")
        if solution.predictor.shape != solutions[0].predictor.shape:
            raise ArgumentError(
                f"{name}[{i}] has a predictor of shape {solution.predictor.shape}, expected "
                f"{solutions[0].predictor.shape}, as {name}[0]: solutions on the same data"
            )
    return solutions


def magnitudes(solution: Solution) -> Floats:
    """``(H, W)``: ‖v̂_f‖, the sensitivity to each frequency."""
    return np.asarray(np.linalg.norm(solution.predictor, axis=(2, 3)))


def ring_means(values: Floats) -> tuple[Floats, Floats]:
    """Radii from 1 on, and the mean of ``values (H, W)`` over the frequencies nearest to each."""
    rings = np.rint(radius(values.shape)).astype(int).ravel()
    counts = np.bincount(rings)
    means = np.bincount(rings, weights=values.ravel()) / np.maximum(counts, 1)
    there = np.flatnonzero(counts[1:]) + 1
    return there.astype(float), means[there]


def draw_magnitudes(ax: Axes, x: Floats, solutions: Sequence[Solution], *, marker: str = "") -> Any:
    """‖v̂_f‖ over ``x``, a line for each frequency of one half of the plane, coloured by its radius.

    Returns what a colour bar is made of.
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import LineCollection
    from matplotlib.colors import ListedColormap, Normalize

    shape = solutions[0].predictor.shape[:2]
    half = half_spectrum(shape).indices
    radii = radius(shape).ravel()[half]
    values = np.array([magnitudes(s).ravel()[half] for s in solutions])
    order = np.argsort(-radii, kind="stable")  # low frequencies, the fewest, on top
    order = order[values.max(axis=0)[order] > 0]
    furthest = max(float(radii[order].max(initial=0.0)), 1.0)
    colours = ScalarMappable(Normalize(0, furthest), ListedColormap(colormaps["viridis"](np.linspace(0, PALEST, 256))))
    lines = LineCollection(
        [np.column_stack([x, values[:, f]]) for f in order],
        colors=colours.to_rgba(radii[order]),
        linewidths=1.1 if len(order) <= 60 else 0.7,
        rasterized=len(order) > 60,
    )
    ax.add_collection(lines)
    if marker or len(x) == 1:
        for f in order:
            ax.plot(x, values[:, f], marker or "o", color=colours.to_rgba(radii[f]), markersize=3, mew=0, linestyle="")
    ax.set_ylim(0, 1.06 * float(values.max(initial=0.0)) or 1.0)
    return colours

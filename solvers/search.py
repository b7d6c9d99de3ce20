"""The best of many descents, for problems with many local minima (depth ≥ 3, or the rank bounded)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from lineardyn.errors import Status
from solvers.coordinate import Coordinate
from solvers.iterate import Iterate
from solvers.local_search import LocalSearch
from solvers.problem import RegularizedProblem

__all__ = ["descend", "search"]

Floats = NDArray[np.float64]
ROUGH = 1e-5
"""Tolerance of the descents that compete; the winner goes on to the one asked for."""
SAME = 1e-9
"""Relative difference of objectives that does not count as better."""


def descend(problem: RegularizedProblem, start: Floats | None, *, tol: float) -> Iterate:
    """Coordinate descent, then changes of single frequencies as long as they lead lower."""
    rough = Coordinate(polish=False).solve(problem, start, tol=max(tol, ROUGH))
    return LocalSearch().solve(problem, rough.values, tol=tol)


def search(
    problem: RegularizedProblem,
    starts: Iterable[tuple[str, Floats]],
    *,
    tol: float,
    progress: Callable[[float], None] | None = None,
) -> Iterate:
    """The lowest of the descents from all ``starts``, named in the message."""
    best, height, origin, n_sweeps = None, np.inf, "", 0
    heights = []
    for n, (name, start) in enumerate(starts, 1):
        end = descend(problem, start, tol=max(tol, ROUGH))
        n_sweeps += end.n_iterations
        heights.append(problem.objective_of(end.values))
        if best is None or heights[-1] < height - SAME * abs(height):
            best, height, origin = end, heights[-1], name
        if progress is not None:
            progress(n)
    assert best is not None
    if tol < ROUGH:
        best = descend(problem, best.values, tol=tol)
        n_sweeps += best.n_iterations
    hits = sum(h <= height * (1 + 1e-6) for h in heights)
    message = f"the lowest of {len(heights)} descents, from {origin} ({hits} ended there); {best.message}"
    return Iterate(best.values, n_sweeps, Status(best.status), message, {"objectives": heights})

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
from solvers.starts import least_squares

__all__ = ["descend", "search"]

Floats = NDArray[np.float64]
ROUGH = 1e-5
"""Tolerance of the descents that compete; the winner goes on to the one asked for."""
SEARCHED = 6
"""Descents, the lowest of different heights, from which a local search goes on."""
KICKS, LARGEST_KICKED = 3, 1000
"""Kicks for each start; entries of the predictor up to which there are any: a search then takes milliseconds."""
AGREE = 1e-6
"""Relative difference of objectives of what counts as the same minimum."""
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
    rng: np.random.Generator,
    progress: Callable[[float], None] | None = None,
) -> Iterate:
    """The lowest of the descents from all ``starts``, named in the message.

    Local searches go on from the lowest few. Where the predictor is small, the best of them is kicked (a few
    frequencies changed at random) and searched again, ``KICKS`` times for each start.
    """
    _ = problem.quadratic.gram  # least squares needs it; formed first, a second search finds the same bits
    ends: list[tuple[float, str, Iterate]] = []
    for n, (name, start) in enumerate(starts, 1):
        end = Coordinate(polish=False).solve(problem, start, tol=max(tol, ROUGH))
        ends.append((problem.objective_of(end.values), name, end))
        if progress is not None:
            progress(n)
    n_sweeps = sum(end.n_iterations for _, _, end in ends)
    best, height, origin, found = None, np.inf, "", []
    for _, name, end in _distinct(ends)[:SEARCHED]:
        lower = LocalSearch().solve(problem, end.values, tol=tol)
        n_sweeps += lower.n_iterations
        found.append(problem.objective_of(lower.values))
        if best is None or found[-1] < height * (1 - SAME):
            best, height, origin = lower, found[-1], name
    assert best is not None
    if problem.quadratic.cross.size <= LARGEST_KICKED and height < problem.quadratic.target_power:
        kicked = _kick(problem, best, height, KICKS * len(ends), tol, rng)
        if kicked is not best:
            best, height, origin = kicked, problem.objective_of(kicked.values), f"a kick of {origin}"
    hits = sum(h <= height * (1 + AGREE) for h in found)
    message = (
        f"the lowest of {len(ends)} descents, from {origin}; {hits} of {len(found)} searches end there; {best.message}"
    )
    return Iterate(
        best.values, n_sweeps, Status(best.status), message, {"objectives": [h for h, _, _ in ends], "searched": found}
    )


def _kick(
    problem: RegularizedProblem, best: Iterate, height: float, n: int, tol: float, rng: np.random.Generator
) -> Iterate:
    """The best after ``n`` random changes of one to three frequencies, each followed by a local search."""
    fit, columns = least_squares(problem), problem.coordinates.block_of_column
    alive = np.flatnonzero(problem.quadratic.curvatures > 0)
    for _ in range(n):
        values = best.values.copy()
        for b in rng.choice(alive, min(int(rng.integers(1, 4)), len(alive)), replace=False):
            inside = columns == b
            dropped = values[:, inside].any() and rng.random() < 0.5
            values[:, inside] = 0.0 if dropped else fit[:, inside] * np.exp(1.0 + 1.5 * rng.standard_normal())
        end = descend(problem, values, tol=tol)
        reached = problem.objective_of(end.values)
        if reached < height * (1 - SAME):
            best, height = end, reached
    return best


def _distinct(ends: list[tuple[float, str, Iterate]]) -> list[tuple[float, str, Iterate]]:
    """One of each height, the lowest first."""
    kept: list[tuple[float, str, Iterate]] = []
    for end in sorted(ends, key=lambda e: e[0]):
        if not kept or end[0] > kept[-1][0] + AGREE * abs(kept[-1][0]):
            kept.append(end)
    return kept

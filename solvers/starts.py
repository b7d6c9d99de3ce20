"""Where descents start when h has many local minima."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from solvers.coordinate import Coordinate
from solvers.irls import Reweighted
from solvers.problem import RegularizedProblem

__all__ = ["starts"]

Floats = NDArray[np.float64]
SPREAD = 1.5
"""Of the logarithms by which random starts change each frequency of the ridge solution."""


def starts(problem: RegularizedProblem, rng: np.random.Generator, n: int) -> Iterator[tuple[str, Floats]]:
    """``n`` of them, the most promising first, each with its name."""
    made = 0
    for name, make in (
        ("continuation in depth", deepened),
        ("zero", _zero),
        ("least squares", least_squares),
        ("reweighted least squares", _reweighted),
    ):
        if made < n:
            yield name, make(problem)
        made += 1
    ridge = least_squares(problem) if made < n else None
    for _ in range(made, n):
        assert ridge is not None
        factors = np.exp(SPREAD * rng.standard_normal(problem.coordinates.n_blocks))
        yield "random rescaling", ridge * factors[problem.coordinates.block_of_column]


def deepened(problem: RegularizedProblem) -> Floats:
    """The convex problem of depth 2, then depths 3, 4, .. up to one below the problem's, each from the last."""
    values: Floats | None = None
    free = problem if not problem.bounds_rank else problem.__class__(problem.moments, depth=2, lam=problem.lam)
    for depth in range(2, problem.depth):
        step = free.with_depth(depth) if depth == 2 else problem.with_depth(depth)
        values = Coordinate().solve(step, values, tol=1e-4).values
    return Coordinate().solve(free.with_depth(2), tol=1e-4).values if values is None else values


def _zero(problem: RegularizedProblem) -> Floats:
    return np.zeros_like(problem.quadratic.cross)


def least_squares(problem: RegularizedProblem) -> Floats:
    """The predictor of least norm that fits best, eigenvalues of Σ^xx under 1e-10 of the largest left out."""
    eigenvalues, vectors = np.linalg.eigh(problem.quadratic.gram)
    kept = eigenvalues > 1e-10 * eigenvalues[-1]
    basis = vectors[:, kept]
    return np.asarray(((problem.quadratic.cross @ basis) / eigenvalues[kept]) @ basis.T)


def _reweighted(problem: RegularizedProblem) -> Floats:
    return Reweighted().solve(problem).values

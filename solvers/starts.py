"""Where descents start when h has many local minima."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from solvers.coordinate import Coordinate
from solvers.factorized import train_factorized
from solvers.irls import Reweighted
from solvers.problem import RegularizedProblem

__all__ = ["starts"]

Floats = NDArray[np.float64]
LARGEST_ELIMINATION = 1200
"""Columns up to which frequencies are eliminated one by one: D³ operations, not in products of matrices."""
ELIMINATION_RIDGE = 1e-10
"""Of the inverse of Σ^xx, relative to its trace."""
NETWORKS = 12
"""Trained for one start."""
LARGEST_NETWORK = 1000
"""Entries of the predictor up to which networks are trained."""
SPREAD = 1.5
"""Of the logarithms by which random starts change each frequency of the ridge solution."""


def starts(problem: RegularizedProblem, rng: np.random.Generator, n: int) -> Iterator[tuple[str, Floats]]:
    """``n`` of them, the most promising first, each with its name."""
    made = 0
    for name, make in (
        ("continuation in depth", deepened),
        ("zero", _zero),
        ("least squares", least_squares),
        ("backward elimination", eliminated),
        ("reweighted least squares", _reweighted),
    ):
        if made < n:
            yield name, make(problem)
        made += 1
    if made < n and _trains(problem):
        yield "a trained network", problem.pack(train_factorized(problem, n_starts=NETWORKS, rng=rng).predictor)
        made += 1
    if made < n:
        fit = least_squares(problem)
        for i in range(n - made):
            if i % 2:
                yield "random rescaling", _rescaled(problem, fit, rng)
            else:
                yield "random reweighting", _reweighted_at_random(problem, fit, rng)


def _trains(problem: RegularizedProblem) -> bool:
    """Whether the network itself finds more, and soon: ranks that no descent of the predictor changes in one block."""
    matrices = min(problem.n_outputs, problem.image_shape[0]) > 1
    return matrices and problem.depth > 1 and problem.quadratic.cross.size <= LARGEST_NETWORK


def _rescaled(problem: RegularizedProblem, values: Floats, rng: np.random.Generator) -> Floats:
    factors = np.exp(SPREAD * rng.standard_normal(problem.coordinates.n_blocks))
    return np.asarray(values * factors[problem.coordinates.block_of_column])


def _reweighted_at_random(problem: RegularizedProblem, values: Floats, rng: np.random.Generator) -> Floats:
    """A first ε below the blocks of the start, so that it is not forgotten."""
    solver = Reweighted(first=float(10.0 ** -rng.uniform(0.0, 4.0)))
    return solver.solve(problem, _rescaled(problem, values, rng)).values


def deepened(problem: RegularizedProblem) -> Floats:
    """The convex problem of depth 2, then depths 3, 4, .. up to one below the problem's, each from the last."""
    values: Floats | None = None
    free = problem if not problem.bounds_rank else problem.__class__(problem.moments, depth=2, lam=problem.lam)
    for depth in range(2, problem.depth):
        step = free.with_depth(depth) if depth == 2 else problem.with_depth(depth)
        values = Coordinate().solve(step, values, tol=1e-4).values
    return Coordinate().solve(free.with_depth(2), tol=1e-4).values if values is None else values


def eliminated(problem: RegularizedProblem) -> Floats:
    """Least squares, from which frequencies are dropped one by one, at each step the one whose loss costs least.

    With ``H = (G + ridge)⁻¹`` on the frequencies left, dropping block b raises half the loss by ``½⟨Z_b H_bb⁻¹, Z_b⟩``
    and saves its penalty; V and H follow by one elimination step. The best of all sizes is returned.
    """
    quadratic, starts = problem.quadratic, problem.coordinates.starts
    ridge = ELIMINATION_RIDGE * float(np.trace(quadratic.gram))
    if not ridge > 0.0 or problem.coordinates.size > LARGEST_ELIMINATION:
        return np.zeros_like(quadratic.cross)
    inverse = np.linalg.inv(quadratic.gram + ridge * np.eye(problem.coordinates.size))
    values = quadratic.cross @ inverse
    left = list(range(problem.coordinates.n_blocks))
    height = best = problem.half_objective(values, quadratic.gradient(values))
    found = values.copy()
    while left:
        penalties = problem.thresholds * (problem.coordinates.singular_values(values) ** problem.power).sum(axis=1)
        costs = [_cost(values, np.asarray(inverse), starts[b], starts[b + 1]) - penalties[b] for b in left]
        b = left.pop(int(np.argmin(costs)))
        part = slice(starts[b], starts[b + 1])
        solved = np.linalg.solve(inverse[part, part], inverse[part])
        values = values - values[:, part] @ solved
        inverse -= inverse[:, part] @ solved
        values[:, part] = 0.0
        height = problem.half_objective(values, quadratic.gradient(values))
        if height < best:
            best, found = height, values.copy()
    return found


def _cost(values: Floats, inverse: Floats, first: int, last: int) -> float:
    """What half the loss rises by where these columns are dropped and the others adapt."""
    block = values[:, first:last]
    return 0.5 * float(np.vdot(np.linalg.solve(inverse[first:last, first:last], block.T), block.T))


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

r"""Iteratively reweighted least squares: the penalty, smoothed by ε and majorised by a ridge, again and again.

``u tr (Z^H Z + ε²)^{p/2}`` is concave in ``Z^H Z``; its tangent gives the ridge ``½ u p ⟨Z M, Z⟩`` with
``M = (Z^H Z + ε²)^{p/2 - 1}``, C×C at each frequency and common to all outputs. Each iteration is one linear solve,
``V (G + u p M) = c``; ε falls from the size of the least-squares solution to round-off.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from lineardyn.errors import Status
from lineardyn.validation import check_count
from solvers.iterate import Iterate, check_call, starting_point
from solvers.problem import RegularizedProblem

__all__ = ["Reweighted"]

Floats = NDArray[np.float64]
SMALLEST = 1e-9
"""Of ε, relative to the largest singular value at the start: blocks below are zero to the coordinate descent after."""


@dataclass(frozen=True)
class Reweighted:
    """IRLS with a geometric fall of ε; it forms Σ^xx and factorises it once an iteration.

    Its limit has small blocks, not zero ones: a descent of another solver from there gives the minimum.

    Parameters
    ----------
    n_iterations : int
        Linear solves.
    first : float
        First ε, relative to the largest singular value at the start: from 1 on the start is forgotten.
    """

    n_iterations: int = 60
    first: float = 1.0

    def __post_init__(self) -> None:
        check_count("n_iterations", self.n_iterations)

    def solve(self, problem: RegularizedProblem, start: Floats | None = None, *, tol: float = 1e-8) -> Iterate:
        """From coordinates ``(K, D)``, from ridge (ε = ∞) if none are given; ``tol`` is not used."""
        check_call(problem, tol)
        values = starting_point(problem, start)
        if not values.any():
            values = _ridge(problem)
        size = float(problem.coordinates.singular_values(values).max())
        if not size > 0.0:
            return self._end(values, 0)
        for epsilon in size * np.geomspace(self.first, SMALLEST, self.n_iterations):
            values = _solve(problem, _weights(problem, values, epsilon))
        return self._end(values, self.n_iterations)

    def _end(self, values: Floats, n: int) -> Iterate:
        return Iterate(values, n, Status.SUCCESS, f"iteratively reweighted least squares, {n} linear solves")


def _ridge(problem: RegularizedProblem) -> Floats:
    """The start: a ridge of the size of the data's mean power, small enough to keep what they say."""
    quadratic = problem.quadratic
    size = problem.coordinates.size
    ridge = 1e-6 * float(np.trace(quadratic.gram)) / size
    if not ridge > 0.0:
        return np.zeros_like(quadratic.cross)
    return _divide(quadratic.cross, quadratic.gram + ridge * np.eye(size))


def _weights(problem: RegularizedProblem, values: Floats, epsilon: float) -> NDArray[np.complex128]:
    """``u p M`` ``(F, C, C)``."""
    blocks = problem.coordinates.blocks(values)
    eigenvalues, vectors = np.linalg.eigh(blocks.conj().transpose(0, 2, 1) @ blocks)
    powers = (np.maximum(eigenvalues, 0.0) + epsilon**2) ** (problem.power / 2 - 1)
    weights = (vectors * powers[:, None, :]) @ vectors.conj().transpose(0, 2, 1)
    return np.asarray(problem.power * problem.thresholds[:, None, None] * weights)


def _solve(problem: RegularizedProblem, weights: NDArray[np.complex128]) -> Floats:
    """``c (G + M)⁻¹`` with M acting on the columns of each block."""
    starts, channels = problem.coordinates.starts, problem.image_shape[0]
    system = problem.quadratic.gram.copy()
    for b, weight in enumerate(weights):
        first, last = starts[b], starts[b + 1]
        real = weight.real
        if last - first > channels:
            real = np.block([[weight.real, weight.imag], [-weight.imag, weight.real]])
        system[first:last, first:last] += real
    return _divide(problem.quadratic.cross, system)


def _divide(cross: Floats, system: Floats) -> Floats:
    """``cross system⁻¹``; system is overwritten."""
    try:
        factor = scipy.linalg.cho_factor(system, check_finite=False)
    except scipy.linalg.LinAlgError:  # directions that no image has, with a weight below round-off
        system[np.diag_indices_from(system)] += len(system) * np.finfo(float).eps * float(np.trace(system))
        factor = scipy.linalg.cho_factor(system, overwrite_a=True, check_finite=False)
    solution: Floats = scipy.linalg.cho_solve(factor, cross.T, check_finite=False).T
    return np.ascontiguousarray(solution)

r"""Which frequencies are worth exchanging, to second order, before any is tried.

At a local minimum let H be the Hessian of h on the support, ``M = H^{-1}``. Block b goes to zero and the others follow,
their penalties to second order and its own exactly: they move by ``-M_{·b} M_bb^{-1} Z_b``, and h rises by

    ``½⟨M_bb^{-1} Z_b, Z_b⟩ - (1-p)(1-p/2) u_b ‖Z_b‖^p``,

since ``-slope_b = u_b p ‖Z_b‖^{p-2} Z_b`` there. Where they have moved, the prox of a silent block j says what it
gains, of the curvature ``ℓ_j (1 - R_j²)`` that is left when the support follows it: R_j² is the share of G_j that
``G_jS M G_Sj`` explains.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from solvers._prox_kernels import shrink_array
from solvers.newton import support_columns, support_hessian
from solvers.problem import RegularizedProblem

__all__ = ["forecast"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
LARGEST = 1500
"""Unknowns of the support up to which there is a forecast: it inverts a matrix of that size."""
LEAST = 0.05
"""Of ℓ_j: curvature that is left of a silent block at least; where a forecast has less, it is not to be trusted."""


def forecast(
    problem: RegularizedProblem, values: Floats, slope: Floats, active: Integers, silent: Integers
) -> Floats | None:
    """``(n,)``: the change of h where one of ``active (n,)`` is dropped and one of ``silent`` raised, over its penalty.

    None where there is no second order to go by: blocks are matrices, the support is empty or large, or this is no
    local minimum.
    """
    columns = problem.coordinates
    if min(problem.n_outputs, problem.image_shape[0]) > 1:
        return None
    norms = columns.singular_values(values)[:, 0]
    support = support_columns(problem, values, norms)
    if not 0 < problem.n_outputs * len(support) <= LARGEST:
        return None
    inverse = _inverse(support_hessian(problem, values))
    if inverse is None:
        return None
    costs, moves = _dropped(problem, values, inverse, support, active, norms)
    gains = _raised(problem, slope, inverse, support, moves, silent)
    return np.asarray((costs + gains) / (problem.thresholds[active] * norms[active] ** problem.power))


def _inverse(matrix: Floats) -> Floats | None:
    """Of a symmetric matrix, which is overwritten; None where it is not positive definite."""
    factor, failed = scipy.linalg.lapack.dpotrf(matrix.T, lower=True, overwrite_a=True)  # by columns: no copy
    if failed:
        return None
    lower, _ = scipy.linalg.lapack.dpotri(factor, lower=True, overwrite_c=True)
    half = np.tril(lower)
    inverse: Floats = half + half.T
    inverse[np.diag_indices_from(inverse)] *= 0.5
    return inverse


def _dropped(
    problem: RegularizedProblem, values: Floats, inverse: Floats, support: Integers, active: Integers, norms: Floats
) -> tuple[Floats, Floats]:
    """What dropping each active block costs ``(n,)``, and how the support moves ``(n, K, size)``."""
    p, outputs, size = problem.power, problem.n_outputs, len(support)
    z = values[:, support].ravel()
    blocks = problem.coordinates.block_of_column[support]
    first = np.searchsorted(blocks, active)
    widths = np.searchsorted(blocks, active, side="right") - first
    costs, moves = np.empty(len(active)), np.empty((len(active), outputs * size))
    for width in np.unique(widths):
        some = np.flatnonzero(widths == width)
        places = np.arange(outputs)[:, None] * size + np.arange(width)
        inside = first[some, None] + places.ravel()  # the entries of each block
        own = inverse[inside[:, :, None], inside[:, None, :]]
        pulled = np.linalg.solve(own, z[inside][:, :, None])[:, :, 0]
        costs[some] = 0.5 * np.sum(z[inside] * pulled, axis=1)
        moves[some] = -np.einsum("nw,nwm->nm", pulled, inverse[inside])
    costs -= (1.0 - p) * (1.0 - 0.5 * p) * problem.thresholds[active] * norms[active] ** p
    return costs, moves.reshape(len(active), outputs, size)


def _raised(
    problem: RegularizedProblem, slope: Floats, inverse: Floats, support: Integers, moves: Floats, silent: Integers
) -> Floats:
    """What the best of the silent blocks gains after each of the moves ``(n,)``, not above 0."""
    quadratic, starts = problem.quadratic, problem.coordinates.starts
    if not len(silent):
        return np.zeros(len(moves))
    outputs, size = moves.shape[1:]
    widths = quadratic.lines.widths[silent]
    ends = np.concatenate([[0], np.cumsum(widths)])
    columns = np.repeat(starts[:-1][silent] - ends[:-1], widths) + np.arange(ends[-1])
    lines = quadratic.lines.lines[np.ix_(support, columns)]
    square = np.sum((slope[:, columns] + moves @ lines) ** 2, axis=1)
    pull = np.sqrt(np.add.reduceat(square, ends[:-1], axis=1))
    mean = inverse.reshape(outputs, size, outputs, size).trace(axis1=0, axis2=2) / outputs
    explained = np.add.reduceat(np.einsum("sj,sj->j", lines, mean @ lines), ends[:-1])
    power = np.add.reduceat(quadratic.lines.powers[columns], ends[:-1])
    left = quadratic.curvatures[silent] * np.maximum(1.0 - explained / power, LEAST)
    thresholds = np.broadcast_to(problem.thresholds[silent], pull.shape)
    reach, to = pull / left, np.empty(pull.shape)
    shrink_array(reach.ravel(), (thresholds / left).ravel(), problem.depth, to.reshape(-1))  # a view
    gains = left * to * (0.5 * to - reach) + thresholds * to**problem.power
    return np.asarray(gains.min(axis=1))

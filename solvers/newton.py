r"""Newton's method on the support, where h is smooth: the last digits of a solution found by coordinate descent.

For blocks whose entries share one norm (K = 1 or C = 1) the penalty ``u‖z‖^p`` of a block that is not zero has the
gradient ``u p ‖z‖^{p-2} z`` and the Hessian ``u p ‖z‖^{p-2} (1 + (p - 2) ẑẑᵀ)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from solvers.problem import RegularizedProblem

__all__ = ["LARGEST_SYSTEM", "newton_step", "support_columns", "support_hessian"]

Floats = NDArray[np.float64]
LARGEST_SYSTEM = 3000
"""Unknowns up to which a step is taken: a factorisation of that size takes half a second."""
HALVINGS = 4


@dataclass(frozen=True)
class Support:
    """The entries of V in blocks that are not zero, output by output."""

    columns: NDArray[np.int64]
    norms: Floats
    thresholds: Floats
    entries: Floats


def support_columns(problem: RegularizedProblem, values: Floats, norms: Floats) -> NDArray[np.int64]:
    """Those of blocks that are not zero; where no image has anything in one, as under a symmetry, it stays at zero."""
    alive = norms[problem.coordinates.block_of_column] > 0
    return np.flatnonzero(alive & (problem.quadratic.lines.seen | values.any(axis=0)))


def _support(problem: RegularizedProblem, values: Floats) -> Support:
    norms = problem.coordinates.singular_values(values)[:, 0]
    columns = support_columns(problem, values, norms)
    inside = problem.coordinates.block_of_column[columns]
    return Support(columns, norms[inside], problem.thresholds[inside], values[:, columns])


def support_hessian(problem: RegularizedProblem, values: Floats) -> Floats:
    """Second derivative of h in the entries ``(k, column)`` of the support, k the slow index."""
    on, p = _support(problem, values), problem.power
    outputs, size = on.entries.shape
    gram = problem.quadratic.lines.lines[np.ix_(on.columns, on.columns)]
    slopes = on.thresholds * p * on.norms ** (p - 2)
    block = problem.coordinates.block_of_column[on.columns]
    directions = on.entries / on.norms
    hessian = np.zeros((outputs, size, outputs, size))
    for k in range(outputs):
        hessian[k, :, k] = gram
        hessian[k, np.arange(size), k, np.arange(size)] += slopes
    rows, columns = _within(block)
    outer = directions[:, None, rows] * directions[None, :, columns] * ((p - 2) * slopes[rows])
    hessian[:, rows, :, columns] += outer.transpose(2, 0, 1)
    return hessian.reshape(outputs * size, -1)


def _within(block: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All pairs of places with the same number in ``block``, which ascends."""
    first = np.searchsorted(block, block)
    widths = np.searchsorted(block, block, side="right") - first
    rows = np.repeat(np.arange(len(block)), widths)
    return rows, np.repeat(first - np.cumsum(widths) + widths, widths) + np.arange(len(rows))


def newton_step(problem: RegularizedProblem, values: Floats, slope: Floats) -> tuple[Floats, Floats] | None:
    """The predictor and slope after one step, if it lowers h; None where it cannot be taken.

    The step is halved until h falls; a block that it would carry through zero stays as it is.
    """
    on, p = _support(problem, values), problem.power
    outputs, size = on.entries.shape
    if not 0 < outputs * size <= LARGEST_SYSTEM:
        return None
    gradient = slope[:, on.columns] + on.thresholds * p * on.norms ** (p - 2) * on.entries
    try:
        factor = scipy.linalg.cho_factor(support_hessian(problem, values), overwrite_a=True, check_finite=False)
    except scipy.linalg.LinAlgError:
        return None
    step = scipy.linalg.cho_solve(factor, gradient.ravel(), check_finite=False).reshape(gradient.shape)
    change = problem.quadratic.lines.lines[on.columns]
    before, share = problem.half_objective(values, slope), 1.0
    for _ in range(HALVINGS):
        moved = values.copy()
        moved[:, on.columns] -= share * step
        new_slope = slope - share * (step @ change)
        if np.isfinite(moved).all() and problem.half_objective(moved, new_slope) <= before:
            return moved, new_slope
        share *= 0.5
    return None

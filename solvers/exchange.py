"""Exchanges of one frequency for another, where coordinate descent has come to rest in a local minimum (K = C = 1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lineardyn.errors import Status
from solvers._coordinate_kernels import best_exchange
from solvers.coordinate import Coordinate
from solvers.iterate import Iterate
from solvers.problem import RegularizedProblem

__all__ = ["Exchange"]

WORTH = 1e-12
"""Smallest gain that counts, relative to ⟨‖y‖²⟩: below is round-off."""


@dataclass(frozen=True)
class Exchange:
    """Drop an active frequency, raise a silent one in its place, descend again, as long as h falls.

    Parameters
    ----------
    max_exchanges : int
        Exchanges before it stops.
    """

    max_exchanges: int = 100

    def solve(self, problem: RegularizedProblem, start: Iterate, *, tol: float = 1e-8) -> Iterate:
        """From a local minimum to one from which no exchange leads down."""
        quadratic, best, descent = problem.quadratic, start, Coordinate()
        slope = quadratic.gradient(best.values)
        height = problem.half_objective(best.values, slope)
        for n in range(self.max_exchanges):
            dropped, raised, gain = best_exchange(
                best.values,
                slope,
                quadratic.lines.lines,
                problem.coordinates.starts,
                quadratic.curvatures,
                problem.thresholds,
                problem.depth,
            )
            if not -gain > WORTH * quadratic.target_power:
                return Iterate(best.values, best.n_iterations, Status.SUCCESS, f"{start.message}, {n} exchanges")
            values = best.values.copy()
            values[:, _columns(problem, dropped)] = 0.0
            if raised >= 0:
                place = _columns(problem, raised)
                direction = -(quadratic.gradient(values)[:, place])
                values[:, place] = direction / quadratic.curvatures[raised]
            after = descent.solve(problem, values, tol=tol)
            new_slope = quadratic.gradient(after.values)
            new_height = problem.half_objective(after.values, new_slope)
            if not new_height < height - WORTH * quadratic.target_power:
                return Iterate(best.values, best.n_iterations, Status.SUCCESS, f"{start.message}, {n} exchanges")
            best = Iterate(after.values, best.n_iterations + after.n_iterations, after.status, after.message)
            slope, height = new_slope, new_height
        return Iterate(
            best.values, best.n_iterations, Status.SUCCESS, f"{start.message}, {self.max_exchanges} exchanges"
        )


def _columns(problem: RegularizedProblem, block: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    starts = problem.coordinates.starts
    return np.arange(starts[block], starts[block + 1])

"""Block coordinate descent on second moments, any depth, with or without a rank constraint."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineardyn.errors import Status
from lineardyn.validation import check_count
from solvers._coordinate_kernels import sweep
from solvers.extrapolation import Extrapolation
from solvers.iterate import Iterate, check_call, starting_point
from solvers.newton import newton_step
from solvers.problem import RegularizedProblem

__all__ = ["Coordinate"]

Floats = NDArray[np.float64]
LOOK, CLOSER_LOOK = 10, 3
"""Sweeps between looks at the gap, and where it may be small enough: a look costs as much as a sweep and more."""
AT_ONCE = 16
"""Lines of Σ^xx are computed for this many frequencies at a time, or for half as many as have them."""
SETTLED = 0.1
"""A non-convex descent has settled where the sweeps to come would move less than this share of the tolerance."""
CLOSE = 1e-3
"""Newton's method is tried where a sweep moves less than this share of the tolerance."""
SLOWEST = 0.9999
"""Rate of convergence, of the moves of two sweeps, that is taken for no convergence at all."""
STILL = 64 * float(np.finfo(float).eps) ** 2
"""Of ⟨‖y‖²⟩: a sweep that moves less is round-off. Where λ is too, no gap is ever known to the tolerance."""
POLISHES = 12
POLISHED = 1e-9
"""Relative change of a step of Newton's method after which the next one, about its square, would be round-off."""


@dataclass(frozen=True)
class Coordinate:
    """Each frequency in turn goes to the minimum of a majoriser; extrapolated, and polished by Newton's method.

    Of Σ^xx the lines of frequencies that are ever kept are formed. h never rises. At depth 2 without a rank
    constraint it ends with the duality gap below ``tol`` of the objective, else (and where λ is too small for any gap
    to be known that well) where a sweep moves nothing more.

    Parameters
    ----------
    max_sweeps : int
        Visits to all blocks before it gives up.
    memory : int
        Sweeps that the extrapolation looks back on.
    polish : bool
        End with Newton's method, where blocks are vectors.
    """

    max_sweeps: int = 100_000
    memory: int = 8
    polish: bool = True

    def __post_init__(self) -> None:
        check_count("max_sweeps", self.max_sweeps)
        check_count("memory", self.memory, minimum=0)

    def solve(self, problem: RegularizedProblem, start: Floats | None = None, *, tol: float = 1e-8) -> Iterate:
        """Descend from coordinates ``(K, D)``, from zero if none are given."""
        check_call(problem, tol)
        return _Descent(problem, start, tol, self).run()


class _Descent:
    """One descent: the iterate, its slope, and what is remembered of the way."""

    def __init__(self, problem: RegularizedProblem, start: Floats | None, tol: float, solver: Coordinate) -> None:
        quadratic = problem.quadratic
        self.problem, self.tol, self.solver = problem, tol, solver
        self.values = starting_point(problem, start)
        self.values[:, quadratic.curvatures[problem.coordinates.block_of_column] == 0] = 0.0
        self.slope = quadratic.gradient(self.values) if self.values.any() else -quadratic.cross
        self.lines, self.wanted = quadratic.lines, np.zeros(problem.coordinates.n_blocks)
        self.form(problem.coordinates.singular_values(self.values).max(axis=1))
        self.sweeps, self.before = 0, np.inf
        self.vectors = min(problem.n_outputs, problem.image_shape[0]) == 1

    def run(self) -> Iterate:
        memory = Extrapolation(self.solver.memory)
        scale = 0.5 * self.problem.quadratic.target_power
        while self.sweeps < self.solver.max_sweeps:
            moved = self.sweep()
            if self.form(self.wanted):
                continue
            left = self.left(moved)
            settled = left <= SETTLED * self.tol * scale
            every = LOOK if not settled else CLOSER_LOOK if self.problem.convex else 1
            if moved == 0.0 or self.sweeps % every == 0 or self.sweeps == self.solver.max_sweeps:
                if self.vectors and self.solver.polish and (settled or moved <= CLOSE * self.tol * scale):
                    self.polish()
                scale = self.scale
                if self.done(left, scale):
                    return self.end(Status.SUCCESS)
            memory.add(self.values, self.slope)
            if memory.full:
                self.extrapolate(memory)
        return self.end(Status.MAX_ITERATIONS)

    def sweep(self) -> float:
        """Visit all blocks once; Σ ℓ‖move‖²."""
        problem, quadratic = self.problem, self.problem.quadratic
        moved = sweep(
            self.values,
            self.slope,
            self.lines.lines,
            problem.coordinates.starts,
            quadratic.curvatures,
            problem.thresholds,
            problem.jumps,
            problem.depth,
            problem.max_rank,
            problem.image_shape[0],
            self.lines.formed,
            self.wanted,
        )
        self.sweeps += 1
        return float(moved)

    def form(self, wanted: Floats) -> bool:
        """Compute lines of G where a block is wanted that has none; False where all are there.

        Those wanted most come first, then those nearest to being wanted: a few at once cost little more than one.
        """
        missing = ~self.lines.formed
        if not np.any(wanted[missing] > 0):
            return False
        steep = self.problem.coordinates.singular_values(self.slope).max(axis=1) / self.problem.thresholds
        order = np.lexsort((-steep, -wanted))
        chosen = order[missing[order]][: max(AT_ONCE, np.count_nonzero(self.lines.formed) // 2)]
        self.lines.form(chosen)
        return True

    @property
    def scale(self) -> float:
        """Half the objective, which h + ½⟨‖y‖²⟩ is."""
        return self.problem.half_objective(self.values, self.slope) + 0.5 * self.problem.quadratic.target_power

    def left(self, moved: float) -> float:
        """Σ ℓ‖move‖² of all sweeps to come, at the rate of the last two; infinite after the first."""
        before, self.before = self.before, moved
        if before == np.inf:
            return np.inf if moved > 0 else 0.0
        return moved / (1.0 - min(moved / before, SLOWEST)) if before > 0 else 0.0

    def done(self, left: float, scale: float) -> bool:
        """Whether the tolerance is met."""
        if self.problem.convex:
            power = self.problem.quadratic.target_power
            gap = self.problem.half_gap(self.values, self.slope)
            return gap <= max(self.tol * scale, np.finfo(float).eps * power) or left <= STILL * power
        return left <= SETTLED * self.tol * scale

    def extrapolate(self, memory: Extrapolation) -> None:
        """Jump ahead where that lowers h."""
        ahead = memory.combine()
        memory.restart()
        if ahead is None or self.problem.bounds_rank:
            return
        if self.problem.half_objective(*ahead) < self.problem.half_objective(self.values, self.slope):
            self.values, self.slope = ahead
            self.before = np.inf

    def polish(self) -> None:
        """Newton's method on the support, as long as it moves."""
        for _ in range(POLISHES):
            after = newton_step(self.problem, self.values, self.slope)
            if after is None:
                return
            change = float(np.abs(after[0] - self.values).max())
            self.values, self.slope = after
            if change <= POLISHED * float(np.abs(self.values).max()):
                return

    def end(self, status: Status) -> Iterate:
        return Iterate(self.values, self.sweeps, status, f"block coordinate descent, {self.sweeps} sweeps")

"""Accelerated proximal gradient in the metric of the blocks; Σ^xx is applied, never formed unless it is there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineardyn.errors import Status
from lineardyn.validation import check_count
from solvers._prox_kernels import shrink_blocks
from solvers.iterate import Iterate, check_call, starting_point
from solvers.problem import RegularizedProblem

__all__ = ["Proximal", "prox_map"]

Floats = NDArray[np.float64]
LOOK = 10
POWER_STEPS = 20
MARGIN = 1.05
"""On the largest eigenvalue, which the power iteration approaches from below; doubled where a step shows it too low."""
SETTLED = 1e-3
STILL = 64 * float(np.finfo(float).eps) ** 2
"""Of ⟨‖y‖²⟩: a step that moves less is round-off. Where λ is too, no gap is ever known to the tolerance."""


def prox_map(problem: RegularizedProblem, values: Floats, curvatures: Floats) -> Floats:
    """``argmin Σ_b ½ℓ_b‖Z_b - Y_b‖² + u_b‖Z_b‖_p^p`` of coordinates Y ``(K, D)``; zero where ℓ_b = 0."""
    alive = curvatures > 0
    ratios = np.where(alive, problem.thresholds / np.where(alive, curvatures, 1.0), np.inf)
    blocks = problem.coordinates.blocks(values)
    shrunk = np.zeros_like(blocks)
    out = np.empty_like(blocks[alive])
    shrink_blocks(np.ascontiguousarray(blocks[alive]), ratios[alive], problem.depth, problem.max_rank, out)
    shrunk[alive] = out
    return problem.coordinates.from_blocks(shrunk)


@dataclass(frozen=True)
class Proximal:
    """FISTA with restarts where it is convex, plain proximal gradient where it is not.

    The step of block b is ``1/(κ ℓ_b)``, ℓ_b the largest eigenvalue of Σ^xx within the block, κ that of Σ^xx in the
    metric of the ℓ_b: natural images, whose powers span many orders, have a small κ.

    Parameters
    ----------
    max_iterations : int
        Products with Σ^xx before it gives up.
    """

    max_iterations: int = 50_000

    def __post_init__(self) -> None:
        check_count("max_iterations", self.max_iterations)

    def solve(self, problem: RegularizedProblem, start: Floats | None = None, *, tol: float = 1e-8) -> Iterate:
        """Descend from coordinates ``(K, D)``, from zero if none are given."""
        check_call(problem, tol)
        quadratic = problem.quadratic
        values = starting_point(problem, start)
        curvatures = quadratic.curvatures * _condition(problem)
        columns = curvatures[problem.coordinates.block_of_column]
        values[:, columns == 0] = 0.0
        inverse = np.divide(1.0, columns, out=np.zeros_like(columns), where=columns > 0)
        slope = quadratic.gradient(values)
        ahead, ahead_slope, momentum = values, slope, 1.0
        best = problem.half_objective(values, slope)
        for n in range(1, self.max_iterations + 1):
            new = prox_map(problem, ahead - ahead_slope * inverse, curvatures)
            new_slope = quadratic.gradient(new)
            height = problem.half_objective(new, new_slope)
            step = new - ahead
            if 0.5 * float(np.vdot(step, new_slope - ahead_slope)) > 0.5 * float(((step**2) @ columns).sum()) * 1.0001:
                curvatures, columns, inverse = 2 * curvatures, 2 * columns, inverse / 2
                continue
            if height > best and ahead is not values:  # the momentum carried too far: from the last iterate, without
                ahead, ahead_slope, momentum = values, slope, 1.0
                continue
            moved = float((((new - values) ** 2) @ columns).sum())
            scale = height + 0.5 * quadratic.target_power
            if self._done(problem, new, new_slope, moved, scale, tol, n):
                return Iterate(new, n, Status.SUCCESS, f"accelerated proximal gradient, {n} steps")
            following = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * momentum**2)) if problem.convex else 1.0
            share = (momentum - 1.0) / following
            ahead, ahead_slope = new, new_slope
            if share > 0:
                ahead, ahead_slope = new + share * (new - values), new_slope + share * (new_slope - slope)
            values, slope, momentum, best = new, new_slope, following, height
        return Iterate(values, n, Status.MAX_ITERATIONS, f"accelerated proximal gradient, {n} steps")

    def _done(
        self,
        problem: RegularizedProblem,
        values: Floats,
        slope: Floats,
        moved: float,
        scale: float,
        tol: float,
        n: int,
    ) -> bool:
        if not problem.convex:
            return moved <= SETTLED * tol * scale
        power = problem.quadratic.target_power
        gap_known = n % LOOK == 0 and problem.half_gap(values, slope) <= max(tol * scale, np.finfo(float).eps * power)
        return gap_known or moved <= STILL * power


def _condition(problem: RegularizedProblem) -> float:
    """κ, the largest eigenvalue of Σ^xx in the metric of its blocks, by power iteration from a fixed start."""
    columns = problem.quadratic.curvatures[problem.coordinates.block_of_column]
    inverse = np.divide(1.0, np.sqrt(columns), out=np.zeros_like(columns), where=columns > 0)
    vector = np.random.default_rng(0).standard_normal((1, len(columns))) * (inverse > 0)
    kappa = 1.0
    for _ in range(POWER_STEPS):
        norm = float(np.linalg.norm(vector))
        if not norm > 0:
            return 1.0
        vector = problem.quadratic.apply(vector * (inverse / norm)) * inverse
        kappa = max(kappa, float(np.linalg.norm(vector)))
    return MARGIN * kappa

"""The certified global minimum of small problems, by branch and bound over the frequencies (K = C = 1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineardyn.errors import ArgumentError, Status
from solvers.exhaustive import MAX_BLOCKS, minimise_globally
from solvers.iterate import Iterate
from solvers.problem import RegularizedProblem

__all__ = ["Exhaustive"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Exhaustive:
    """Branch and bound: the global minimum, with a lower bound that proves it.

    For one output, one channel, depth ≥ 2 and up to 26 frequencies (a conjugate pair counts as one). Where time runs
    out, the best point known and the gap that is left are returned, with ``Status.TIME_LIMIT``.

    Parameters
    ----------
    time_limit : float
        Seconds.
    max_nodes : int
        Nodes of the tree.

    Examples
    --------
    >>> from lineardyn import SecondMoments, power_law_images
    >>> images = power_law_images((3, 4), 50, exponent=1.0, rng=0)
    >>> moments = SecondMoments.from_data(images, images[:, 0, 0, :1] ** 2)
    >>> problem = RegularizedProblem(moments, depth=4, lam=0.01 * moments.target_power)
    >>> end = Exhaustive().solve(problem)
    >>> gap = problem.objective_of(end.values) - end.stats["lower_bound"]
    >>> end.status.name, gap < 1e-7 * moments.target_power
    ('SUCCESS', True)
    """

    time_limit: float = 60.0
    max_nodes: int = 2_000_000

    def solve(
        self,
        problem: RegularizedProblem,
        start: Floats | None = None,
        *,
        tol: float = 1e-8,
        progress: Callable[[float], None] | None = None,
    ) -> Iterate:
        """The minimum to ``tol`` of ⟨‖y‖²⟩; ``stats`` has ``lower_bound``, of the objective."""
        check_small(problem)
        quadratic, power = problem.quadratic, problem.quadratic.target_power
        alive = _alive(problem)  # images with a symmetry have nothing in half of the columns
        values = np.zeros_like(quadratic.cross)
        if not alive.any() or not power > 0:
            return Iterate(values, 0, Status.SUCCESS, "nothing to learn", {"lower_bound": power})
        blocks, widths = np.unique(problem.coordinates.block_of_column[alive], return_counts=True)
        bounds = minimise_globally(
            quadratic.gram[np.ix_(alive, alive)],
            quadratic.cross[0, alive],
            np.concatenate([[0], np.cumsum(widths)]),
            problem.thresholds[blocks],
            problem.depth,
            scale=power,
            tol=max(tol, TIGHTEST),
            max_nodes=self.max_nodes,
            time_limit=self.time_limit,
            start=None if start is None else start[0, alive],
            progress=None if progress is None else lambda lower, upper, n: progress(n),
        )
        values[0, alive] = bounds.x
        closed = bounds.status == "closed"
        words = "proven" if closed else f"not proven to {tol:g}, {bounds.status}"
        return Iterate(
            values,
            bounds.n_nodes,
            Status.SUCCESS if closed else Status.TIME_LIMIT,
            f"branch and bound, {bounds.n_nodes} nodes, {words}",
            {"lower_bound": power + 2.0 * bounds.lower},
        )


SILENT = 1e-14
"""Share of tr Σ^xx below which a column holds round-off alone."""
TIGHTEST = 1e-9
"""Gap, relative to ⟨‖y‖²⟩, below which the margins for round-off keep a search from closing."""


def _alive(problem: RegularizedProblem) -> NDArray[np.bool_]:
    """``(D,)``: the columns in which the data have any power, round-off aside."""
    powers = problem.quadratic.lines.powers
    return np.asarray(powers > SILENT * powers.sum())


def check_small(problem: RegularizedProblem) -> None:
    """Refuse what the search is not for, or cannot finish."""
    if problem.n_outputs != 1 or problem.image_shape[0] != 1:
        raise ArgumentError(
            f"method is 'exhaustive' for {problem.n_outputs} outputs and {problem.image_shape[0]} channels, expected "
            f"one of each: take method='search'"
        )
    if problem.depth < 2:
        raise ArgumentError("method is 'exhaustive' at depth 1, expected depth >= 2: ridge has a closed form")
    alive = count_alive(problem)
    if alive > MAX_BLOCKS:
        raise ArgumentError(
            f"method is 'exhaustive' for {alive} frequencies, expected at most {MAX_BLOCKS}: every second one doubles "
            f"the time, here about 2^{(alive - 24) // 2} times the seconds to minutes of 24; take method='search'"
        )


def count_alive(problem: RegularizedProblem) -> int:
    """Frequencies (a conjugate pair counts as one) in which the data have any power."""
    return len(np.unique(problem.coordinates.block_of_column[_alive(problem)]))

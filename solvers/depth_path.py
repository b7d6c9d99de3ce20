"""The verb for many depths: each solution starts from that of the next shallower network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lineardyn.errors import ArgumentError
from lineardyn.progress import progress_bar
from lineardyn.validation import Rng, as_generator, check_count, shown
from solvers.problem import RegularizedProblem, check_problem
from solvers.result import PathResult, Solution
from solvers.solve import solve

__all__ = ["depth_path"]


def depth_path(
    problem: RegularizedProblem,
    depths: Sequence[int],
    *,
    n_starts: int = 4,
    rng: Rng = 0,
    tol: float = 1e-8,
    progress: bool = False,
    throw: bool = True,
) -> PathResult:
    r""":func:`solvers.solve` at every depth, the weight decay λ kept, each from the solution of the next smaller one.

    Parameters
    ----------
    problem : RegularizedProblem
        Its own depth is not used.
    depths : sequence of int
        L ≥ 1, in any order.
    n_starts
        Descents beside the one from the shallower solution, at depth ≥ 3.
    rng, tol, progress, throw
        As for :func:`solvers.solve`.

    Returns
    -------
    PathResult
        One solution for each depth, in the order of ``depths``; ``plot()`` draws the coefficients over the depth.

    Raises
    ------
    ArgumentError
        No depth, or one that is no integer ≥ 1.
    ComputationError
        A solver stopped before ``tol``, and ``throw``.

    Notes
    -----
    Godfrey et al. theorem 4.9, corrected (theory section 3): at one λ the penalty is ``λ L P^{-(L-1)/L} Σ‖v̂_f‖^{2/L}``.

    Examples
    --------
    >>> from lineardyn import SecondMoments, natural_patches
    >>> moments = SecondMoments.from_data(*natural_patches(4, 200, rng=0))
    >>> result = depth_path(RegularizedProblem(moments, depth=1, lam=0.02), [1, 2, 4])
    >>> [(solution.depth, int(solution.active.sum())) for solution in result]
    [(1, 16), (2, 16), (4, 3)]
    """
    check_problem(problem)
    try:
        wanted = [check_count(f"depths[{i}]", depth) for i, depth in enumerate(depths)]
    except TypeError:
        raise ArgumentError(f"depths is {shown(depths)}, expected a list of integers >= 1") from None
    if not wanted:
        raise ArgumentError("depths is empty, expected at least one depth")
    generator = as_generator(rng)
    found: dict[int, Solution] = {}
    before: NDArray[np.complex128] | None = None
    with progress_bar("depths", len(set(wanted)), shown=progress) as report:
        for depth in sorted(set(wanted)):
            step = problem.with_depth(depth)
            found[depth] = solve(step, n_starts=n_starts, rng=generator, tol=tol, start=before, throw=throw)
            before = found[depth].predictor
            if report is not None:
                report(len(found))
    return PathResult(tuple(found[depth] for depth in wanted))

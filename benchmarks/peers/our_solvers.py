"""Our side of the regressions, from raw images to predictors: statistics are always in the time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmarks.peers.regression_problems import Complexes, Floats, Regression

if TYPE_CHECKING:
    from lineardyn import SecondMoments
    from solvers import RegularizedProblem


def statistics(problem: Regression, form: str = "auto", *, copy: bool = True) -> SecondMoments:
    """Made anew: nothing is kept from one timed call to the next."""
    from lineardyn import SecondMoments

    return SecondMoments.from_data(problem.images, problem.targets, form=form, copy=copy)


def problem_from_images(problem: Regression, depth: int, lam: float) -> RegularizedProblem:
    """The same problem for us."""
    from solvers import RegularizedProblem

    return RegularizedProblem(statistics(problem), depth=depth, lam=lam)


def path_from_images(
    problem: Regression, depth: int, lams: Floats, *, tol: float, warm: bool = True
) -> Sequence[Complexes]:
    """One predictor for each λ: ``solvers.path``, or each λ alone from zero."""
    from solvers import RegularizedProblem, path, solve

    # of the samples form only that part of Σ^xx is computed that sparse predictors use; a convex path reads the images
    # a few times where they are, as the peers read their columns; λ by λ, transformed images are read more often
    in_place = depth == 2 and warm
    given = RegularizedProblem(statistics(problem, "samples", copy=not in_place), depth=depth, lam=float(lams[0]))
    if warm:
        return [solution.predictor for solution in path(given, lams, tol=tol, throw=False)]
    return [solve(given.with_lam(float(lam)), tol=tol, throw=False).predictor for lam in lams]


def ridge_path_from_images(problem: Regression, lams: Floats) -> Sequence[Complexes]:
    """One predictor for each λ, L = 1."""
    from solvers import ridge_path

    return [solution.predictor for solution in ridge_path(statistics(problem), lams)]

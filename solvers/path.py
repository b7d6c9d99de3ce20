"""The verb for many λ: each solution starts from its neighbour."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError
from lineardyn.progress import progress_bar
from lineardyn.validation import Rng, as_generator, check_array, check_number, shown
from solvers.closed_form import ridge_path
from solvers.iterate import Iterate
from solvers.problem import RegularizedProblem
from solvers.result import PathResult, Solution
from solvers.search import descend
from solvers.solve import RUN, Settings, choose, to_solution

__all__ = ["path"]

Floats = NDArray[np.float64]


def path(
    problem: RegularizedProblem,
    lams: ArrayLike,
    *,
    rng: Rng = 0,
    tol: float = 1e-8,
    progress: bool = False,
    throw: bool = True,
) -> PathResult:
    """:func:`solvers.solve` at every λ of ``lams``, each from the solution of the next larger one.

    At depth 1 all come from one factorisation. Non-convex problems go down the path from large λ, up again from small
    λ, and down once more, each λ keeping the lowest point that any of the three, or the convex problem of depth 2,
    leads to.

    Parameters
    ----------
    problem : RegularizedProblem
        Its own λ is not used.
    lams : (n,)
        λ > 0, in any order.
    rng, tol, progress, throw
        As for :func:`solvers.solve`.

    Returns
    -------
    PathResult
        One solution for each λ, in the order of ``lams``.

    Examples
    --------
    >>> from lineardyn import SecondMoments, natural_patches
    >>> from solvers import RegularizedProblem, lambda_max
    >>> moments = SecondMoments.from_data(*natural_patches(4, 200, rng=0))
    >>> problem = RegularizedProblem(moments, depth=2, lam=1.0)
    >>> result = path(problem, lambda_max(problem) / np.array([1.0, 10.0, 100.0]))
    >>> [int(solution.active.sum()) for solution in result]
    [0, 1, 11]
    """
    if not isinstance(problem, RegularizedProblem):
        raise ArgumentError(
            f"problem is {shown(problem)}, expected a RegularizedProblem: make one with "
            f"RegularizedProblem(moments, depth=2, lam=1.0)"
        )
    values = check_array("lams", lams, shape=(None,), why="a list of λ")
    for i, lam in enumerate(values):
        check_number(f"lams[{i}]", lam, minimum=0.0, strict=True)
    check_number("tol", tol, minimum=0.0, strict=True)
    generator = as_generator(rng)
    if problem.depth == 1:
        return ridge_path(problem.moments, values)
    order = np.argsort(-values, kind="stable")
    problems = [problem.with_lam(float(values[i])) for i in order]
    with progress_bar("path", len(problems), shown=progress) as report:
        settings = Settings(1, generator, tol, None, False)
        found: list[Solution] = []
        for n, solution in enumerate(_solutions(problems, settings, throw), 1):
            found.append(solution)
            if report is not None:
                report(n)
    places = np.argsort(order, kind="stable")
    return PathResult(tuple(found[i] for i in places))


def _solutions(problems: list[RegularizedProblem], settings: Settings, throw: bool) -> Iterator[Solution]:
    """In descending order of λ."""
    if problems and choose(problems[-1])[0] == "search":
        yield from _there_and_back(problems, settings, throw)
        return
    start: Floats | None = None
    for problem in problems:
        begin = time.perf_counter()
        name = choose(problem)[0]
        end = RUN[name](problem, Settings(settings.n_starts, settings.rng, settings.tol, start, False))
        start = end.values
        yield to_solution(problem, end, f"path, {name}", time.perf_counter() - begin, throw=throw)


def _there_and_back(problems: list[RegularizedProblem], settings: Settings, throw: bool) -> Iterator[Solution]:
    """Down, up and down the path, each λ from its neighbour's best."""
    begin = time.perf_counter()
    best: list[Iterate | None] = [None] * len(problems)
    heights = np.full(len(problems), np.inf)

    def improve(i: int, start: Floats) -> None:
        end = descend(problems[i], start, tol=settings.tol)
        height = problems[i].objective_of(end.values)
        if height < heights[i]:
            best[i], heights[i] = end, height

    zero = np.zeros_like(problems[0].quadratic.cross)
    convex = zero
    down, up = range(len(problems)), range(len(problems) - 2, -1, -1)
    for i in down:
        convex = RUN["coordinate"](_free(problems[i]), Settings(1, settings.rng, 1e-4, convex, False)).values
        improve(i, zero)
        improve(i, convex)
    for i in (*up, *down):
        for neighbour in (i - 1, i + 1):
            if 0 <= neighbour < len(problems):
                end = best[neighbour]
                assert end is not None
                improve(i, end.values)
    seconds = (time.perf_counter() - begin) / len(problems)
    for problem, end in zip(problems, best, strict=True):
        assert end is not None
        yield to_solution(problem, end, "path, down and up and down", seconds, throw=throw)


def _free(problem: RegularizedProblem) -> RegularizedProblem:
    """The convex problem of depth 2 at the same λ, without a bound on the rank."""
    return RegularizedProblem(problem.moments, depth=2, lam=problem.lam)

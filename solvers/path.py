"""The verb for many λ: each solution starts from its neighbour."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import takewhile

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError
from lineardyn.progress import progress_bar
from lineardyn.validation import Rng, as_generator, check_array, check_number
from solvers.closed_form import ridge_path
from solvers.coordinate import Coordinate
from solvers.iterate import Iterate
from solvers.lasso_path import lasso_path, suits
from solvers.problem import RegularizedProblem, check_problem
from solvers.result import PathResult, Solution
from solvers.search import ROUGH, SAME, descend
from solvers.solve import RUN, Settings, choose, to_solution

__all__ = ["path"]

Floats = NDArray[np.float64]
DENSER, DENSE = 10.0, 1e-3
"""The way back starts from the convex problem of depth 2 at a λ smaller by this, solved to this tolerance."""


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

    At depth 1 all come from one factorisation. At depth 2, on the samples form with at least two images for each
    coefficient, all λ share a working set and passes over the data (:mod:`solvers.lasso_path`); least work is
    ``SecondMoments.from_data(images, targets, form="samples", copy=False)``, which leaves the images where they are.
    Non-convex problems are searched from large λ down, single frequencies dropped and raised; then up and down once
    more, each λ taking over what leads lower from its neighbours; their certificates are made when first asked for.

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
    check_problem(problem)
    values = check_array("lams", lams, shape=(None,), why="a list of λ")
    if not len(values):
        raise ArgumentError("lams is empty, expected at least one λ")
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
    n_zero = len(list(takewhile(lambda problem: choose(problem)[0] == "zero", problems)))
    for problem in problems[:n_zero]:
        method = f"path, zero ({choose(problem)[1]})"
        yield to_solution(problem, RUN["zero"](problem, settings), method, 0.0, throw=throw)
    learning = problems[n_zero:]
    if not learning:
        return
    name, _ = choose(learning[-1])
    if name == "search":
        yield from _there_and_back(learning, settings, throw)
        return
    if name == "coordinate" and suits(learning[0]):
        begin = time.perf_counter()
        ends = lasso_path(learning, tol=settings.tol)
        seconds = (time.perf_counter() - begin) / len(learning)
        for problem, end in zip(learning, ends, strict=True):
            solution = to_solution(problem, end, "path, all λ together", seconds, throw=throw)
            _ = solution.certificate  # at little cost: what it is made of is known, and no images are held on to
            yield solution
        return
    start: Floats | None = None
    for problem in learning:
        begin = time.perf_counter()
        end = RUN[name](problem, Settings(settings.n_starts, settings.rng, settings.tol, start, False))
        start = end.values
        yield to_solution(problem, end, f"path, {name}", time.perf_counter() - begin, throw=throw)


def _there_and_back(problems: list[RegularizedProblem], settings: Settings, throw: bool) -> Iterator[Solution]:
    """Down the path with a search at each λ; then from a dense start up, and down again, where that leads lower."""
    begin = time.perf_counter()
    best: list[Iterate] = []
    heights: list[float] = []

    def offer(i: int, end: Iterate) -> None:
        height = problems[i].objective_of(end.values)
        if height < heights[i] * (1 - SAME):
            best[i], heights[i] = end, height

    def improve(i: int, neighbour: int) -> None:
        end = Coordinate(polish=False).solve(problems[i], best[neighbour].values, tol=ROUGH)
        if problems[i].objective_of(end.values) < heights[i] * (1 - SAME):
            offer(i, descend(problems[i], end.values, tol=settings.tol))

    _ = problems[0].quadratic.gram  # the dense start moves nearly every frequency: all lines at once are half the work
    for problem in problems:
        best.append(descend(problem, best[-1].values if best else None, tol=settings.tol))
        heights.append(problem.objective_of(best[-1].values))
    dense = RegularizedProblem(problems[-1].moments, depth=2, lam=problems[-1].lam / DENSER)
    start = Coordinate(polish=False).solve(dense, best[-1].values, tol=DENSE).values
    offer(len(problems) - 1, descend(problems[-1], start, tol=settings.tol))
    for i in range(len(problems) - 2, -1, -1):
        improve(i, i + 1)
    for i in range(1, len(problems)):
        improve(i, i - 1)
    seconds = (time.perf_counter() - begin) / max(len(problems), 1)
    for problem, end in zip(problems, best, strict=True):
        yield to_solution(problem, end, "path, down and up and down", seconds, throw=throw)

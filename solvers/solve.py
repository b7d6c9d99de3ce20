"""The verb: the regularised minimiser, by the method that suits the problem."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError, ComputationError, Status
from lineardyn.progress import progress_bar
from lineardyn.validation import Rng, as_generator, check_choice, check_count, check_number
from solvers.bounds import lambda_max, leaves_zero
from solvers.certificates import certify, certify_point
from solvers.closed_form import diagonal, ridge
from solvers.closed_form.diagonal import is_diagonal
from solvers.conic import Conic
from solvers.coordinate import Coordinate
from solvers.irls import Reweighted
from solvers.iterate import Iterate
from solvers.oracle import Exhaustive, count_alive
from solvers.problem import RegularizedProblem, check_problem
from solvers.proximal import Proximal
from solvers.quadratic import LARGEST_GRAM
from solvers.result import Certificate, Solution
from solvers.search import descend, search
from solvers.starts import starts
from solvers.stationarity import Point

__all__ = ["METHODS", "choose", "solve", "to_solution"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
CERTIFIED = 12
"""Frequencies up to which "auto" proves its answer."""
PATIENCE = 10.0
"""Seconds that it takes for that at most."""
METHODS = ("auto", "ridge", "diagonal", "coordinate", "proximal", "irls", "conic", "search", "exhaustive")


def solve(
    problem: RegularizedProblem,
    *,
    method: str = "auto",
    n_starts: int = 16,
    rng: Rng = 0,
    tol: float = 1e-8,
    start: ArrayLike | None = None,
    progress: bool = False,
    throw: bool = True,
) -> Solution:
    r"""The predictor that weight decay on L layers prefers, with a certificate.

    .. math:: \min_{\hat v} \; \frac1N \sum \|y - \sum_f \hat v_f \hat x_f\|^2
              + λ L P^{-(L-1)/L} \sum_f \|\hat v_f\|_{S_{2/L}}^{2/L}

    Parameters
    ----------
    problem : RegularizedProblem
    method : str
        "auto" picks and says why in ``message``: "ridge" at depth 1, "diagonal" where the statistics have a closed
        form, "coordinate" or "proximal" (larger images, no Σ^xx formed) where the problem is convex, else "search",
        followed by a proof where there are at most 12 frequencies. "exhaustive" is branch and bound alone (one output
        and channel, up to 26 frequencies); "irls" and "conic" (cvxpy, small problems) are there for comparison.
    n_starts : int
        Descents of "search": continuation in depth, zero, least squares, backward elimination, reweighted least
        squares, a trained network where matrices are penalised, then random ones.
    rng : int or numpy.random.Generator
        For the random starts.
    tol : float
        Relative, on the objective.
    start : (H, W, K, C), optional
        A predictor near the solution; for "search" it is one more start.
    progress : bool
        Show a bar while "search" is at work.
    throw : bool
        Raise :class:`lineardyn.errors.ComputationError`, which holds the solution so far, where the tolerance was not
        reached; False: return it.

    Returns
    -------
    Solution

    Raises
    ------
    ArgumentError
        An unknown method, or one that does not apply; numbers out of range.
    ComputationError
        The solver stopped before ``tol``, and ``throw``.

    Notes
    -----
    Godfrey et al. theorem 4.9, corrected (theory section 3). At depth ≥ 3 the problem is NP-hard in the worst case;
    ``certificate.kind`` says whether the answer is proven.

    Examples
    --------
    >>> from lineardyn import SecondMoments, natural_patches
    >>> moments = SecondMoments.from_data(*natural_patches(4, 200, rng=0))
    >>> solution = solve(RegularizedProblem(moments, depth=2, lam=0.1))
    >>> round(solution.objective, 6), solution.certificate.kind
    (0.738428, 'global')
    """
    check_problem(problem)
    name = check_choice("method", method, METHODS)
    settings = Settings(
        check_count("n_starts", n_starts),
        as_generator(rng),
        check_number("tol", tol, minimum=0.0, strict=True),
        None if start is None else problem.pack(start, name="start"),
        progress,
    )
    begin = time.perf_counter()
    reason = "asked for"
    if name == "auto":
        name, reason = choose(problem)
    end = RUN[name](problem, settings)
    solution = to_solution(problem, end, f"{name} ({reason})", time.perf_counter() - begin, throw=throw)
    _ = solution.certificate  # nothing holds on to the statistics then
    return solution


@dataclass(frozen=True)
class Settings:
    """What a method is given beside the problem."""

    n_starts: int
    rng: np.random.Generator
    tol: float
    start: Floats | None
    progress: bool


def choose(problem: RegularizedProblem) -> tuple[str, str]:
    """The method that "auto" takes, and why."""
    if problem.depth == 1:
        return "ridge", "a single layer has a closed form"
    if not leaves_zero(problem) and problem.lam >= lambda_max(problem):
        return "zero", "λ ≥ lambda_max(problem): the predictor 0 is the minimum"
    if problem.quadratic.moments.dense and is_diagonal(problem):
        return "diagonal", "Σ^xx is diagonal in frequency, which has a closed form"
    if problem.coordinates.size > LARGEST_GRAM:
        return "proximal", f"more than {LARGEST_GRAM} coefficients: Σ^xx is applied, not formed"
    if problem.convex:
        return "coordinate", "the problem is convex"
    if problem.n_outputs == problem.image_shape[0] == 1 and count_alive(problem) <= CERTIFIED:
        return "certified", f"at most {CERTIFIED} frequencies: the global minimum can be proven"
    return "search", "the problem has many local minima"


def to_solution(problem: RegularizedProblem, end: Iterate, method: str, seconds: float, *, throw: bool) -> Solution:
    """The solution; raises where the solver did not reach its end."""
    predictor, penalty = problem.unpack(end.values), problem.penalty_of(end.values)
    stats: dict[str, Any] = {"n_iterations": end.n_iterations, "seconds": seconds} | end.stats
    solution = Solution(
        predictor=predictor,
        objective=problem.quadratic.loss(end.values, end.slope) + penalty,
        penalty=penalty,
        prove=partial(_prove, problem, predictor, end, stats.pop("lower_bound", None)),
        status=end.status,
        message=f"{method}: {end.message}",
        depth=problem.depth,
        lam=problem.lam,
        rank=problem.rank,
        stats=stats,
    )
    if throw and end.status is not Status.SUCCESS:
        raise ComputationError(end.status, f"{end.status.value} [{solution.message}]", solution)
    return solution


def _prove(problem: RegularizedProblem, predictor: Complexes, end: Iterate, lower_bound: float | None) -> Certificate:
    """The certificate; what passes over the data have already given is not computed again."""
    if end.slope is None:
        return certify(problem, predictor, lower_bound=lower_bound)
    return certify_point(Point.of(problem, end.values, slope=end.slope, curvatures=end.curvatures), lower_bound)


def _certified(problem: RegularizedProblem, settings: Settings) -> Iterate:
    """Search, then a proof as far as ten seconds lead."""
    best = _search(problem, settings)
    proof = Exhaustive(time_limit=PATIENCE).solve(problem, best.values, tol=settings.tol)
    better = proof if problem.objective_of(proof.values) < problem.objective_of(best.values) else best
    message = f"{best.message}; {proof.message}"
    return Iterate(better.values, best.n_iterations, best.status, message, best.stats | proof.stats)


def _exhaustive(problem: RegularizedProblem, settings: Settings) -> Iterate:
    return Exhaustive().solve(problem, settings.start, tol=settings.tol)


def _zero(problem: RegularizedProblem, settings: Settings) -> Iterate:
    message, cross = "nothing is learned at this weight decay", problem.quadratic.cross
    unknown = np.full(problem.coordinates.n_blocks, np.nan)
    return Iterate(np.zeros_like(cross), 0, Status.SUCCESS, message, slope=-cross, curvatures=unknown)


def _ridge(problem: RegularizedProblem, settings: Settings) -> Iterate:
    if problem.depth != 1:
        raise ArgumentError(f"method is 'ridge' at depth {problem.depth}, expected depth 1: take method='auto'")
    return Iterate(problem.pack(ridge(problem.moments, problem.lam)), 1, Status.SUCCESS, "one linear system")


def _diagonal(problem: RegularizedProblem, settings: Settings) -> Iterate:
    return Iterate(problem.pack(diagonal(problem)), 1, Status.SUCCESS, "one prox for each frequency")


def _coordinate(problem: RegularizedProblem, settings: Settings) -> Iterate:
    return Coordinate().solve(problem, settings.start, tol=settings.tol)


def _proximal(problem: RegularizedProblem, settings: Settings) -> Iterate:
    return Proximal().solve(problem, settings.start, tol=settings.tol)


def _irls(problem: RegularizedProblem, settings: Settings) -> Iterate:
    rough = Reweighted().solve(problem, settings.start, tol=settings.tol)
    end = descend(problem, rough.values, tol=settings.tol)
    return Iterate(end.values, rough.n_iterations + end.n_iterations, end.status, f"{rough.message}; {end.message}")


def _conic(problem: RegularizedProblem, settings: Settings) -> Iterate:
    return Conic().solve(problem, settings.start)


def _search(problem: RegularizedProblem, settings: Settings) -> Iterate:
    given = [] if settings.start is None else [("the start given", settings.start)]
    total = settings.n_starts + len(given)
    with progress_bar("solve", total, shown=settings.progress) as report:
        made = (s for group in (given, starts(problem, settings.rng, settings.n_starts)) for s in group)
        return search(problem, made, tol=settings.tol, rng=settings.rng, progress=report)


RUN: dict[str, Callable[[RegularizedProblem, Settings], Iterate]] = {
    "zero": _zero,
    "ridge": _ridge,
    "diagonal": _diagonal,
    "coordinate": _coordinate,
    "proximal": _proximal,
    "irls": _irls,
    "conic": _conic,
    "search": _search,
    "certified": _certified,
    "exhaustive": _exhaustive,
}

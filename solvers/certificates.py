r"""What can be proven of a predictor, by code that did not compute it.

Convex problems: a duality gap. Others: a lower bound from elsewhere, or three tests of a local minimum that no single
frequency can improve on. Nothing here is shared with the solvers but the problem itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from lineardyn.errors import ArgumentError
from lineardyn.validation import check_number
from solvers.bounds import lambda_max, leaves_zero
from solvers.curvature import Curvature, curvature
from solvers.duality import duality_gap
from solvers.problem import RegularizedProblem, check_problem
from solvers.result import Certificate
from solvers.stationarity import Point

__all__ = ["certify", "certify_point"]

CLOSE = 1e-5
"""Gap, relative to the objective, up to which a predictor is called the global minimum."""
STATIONARY = 1e-4
"""Residual up to which a predictor is called stationary: what there is to gain is of the order of its square."""
GAIN = 1e-8
"""Relative to the objective: what one frequency alone must be able to gain to count."""
ROUND_OFF = 64 * float(np.finfo(float).eps)
"""Of ⟨‖y‖²⟩ and the objective: no gap is known better than that."""


def certify(problem: RegularizedProblem, predictor: ArrayLike, *, lower_bound: float | None = None) -> Certificate:
    r"""How far a predictor is proven to be the minimum.

    Parameters
    ----------
    problem
        The regularised problem.
    predictor : (H, W, K, C)
        v̂, conjugate symmetric. Singular values up to 64 ε of the largest are round-off and count as 0.
    lower_bound
        A proven lower bound of the minimum, as the exhaustive search gives.

    Returns
    -------
    Certificate
        ``kind`` is

        "global"
            the gap is at most 1e-5 of the objective. At depths 1 and 2 it is a duality gap (with the rank bounded too:
            a bound only adds to the minimum), else objective minus ``lower_bound``; the predictor 0 is proven without
            one from :func:`solvers.lambda_max` on.
        "local"
            a local minimum that no single frequency can improve on: the predictor is stationary and a fixed point of
            the prox map of every block (residual ≤ 1e-4), h is convex to second order along blocks of the same ranks,
            and no block that descends alone, from zero or from its least-squares value, gains 1e-8 of the objective.
        "none"
            neither; ``status`` names the test that failed, with its figures.

        ``gap`` is absolute, never below the round-off of the objective, None where no lower bound is known.

    Raises
    ------
    ArgumentError
        A predictor of another shape, not finite or not conjugate symmetric; a lower bound above its objective.

    Notes
    -----
    Theory section 3. At depth ≥ 3 the predictor 0 is a local minimum at every λ, and stationary for every rule that
    looks at derivatives; only the third test says anything of blocks that are 0. That test is one-sided: a gain is
    certain, its absence is certain where the block's own Σ^xx is a multiple of the identity. The tests stand in
    ``solvers.duality``, ``solvers.stationarity`` and ``solvers.curvature``, with their derivations.

    Examples
    --------
    >>> import numpy as np
    >>> from lineardyn import SecondMoments, natural_patches
    >>> from solvers import RegularizedProblem, ridge
    >>> moments = SecondMoments.from_data(*natural_patches(4, 200, rng=0))
    >>> problem = RegularizedProblem(moments, depth=1, lam=0.1)
    >>> certify(problem, ridge(moments, 0.1)).kind
    'global'
    >>> certify(problem, 0 * ridge(moments, 0.1)).kind
    'none'
    """
    check_problem(problem)
    return certify_point(Point.of(problem, problem.pack(predictor)), lower_bound)


def certify_point(point: Point, lower_bound: float | None = None) -> Certificate:
    """:func:`certify` of a predictor that is known to be one of the problem."""
    problem = point.problem
    residual, value = point.residual, point.objective
    off = _beyond_rank(point)
    if off:  # no predictor of the problem: its objective may be below the minimum
        return Certificate("none", None, residual, off)
    gap = _gap(point, lower_bound)
    if gap is not None and gap <= max(CLOSE * value, _round_off(point)):
        return Certificate("global", gap, residual, f"a global minimum to {gap:.2g}, of an objective of {value:.4g}")
    known = "" if gap is None else f"; at most {gap:.2g} above the global minimum, of an objective of {value:.4g}"
    if problem.convex:
        return Certificate("none", gap, residual, f"residual {residual:.2g}: not proven to be the minimum{known}")
    kind, status = _judged(point, residual)
    return Certificate(kind, gap, residual, status + known)


def _gap(point: Point, lower_bound: float | None) -> float | None:
    """Objective minus the best lower bound."""
    problem, slack = point.problem, _round_off(point)
    gaps = []
    if lower_bound is not None:
        bound = check_number("lower_bound", lower_bound)
        if bound > point.objective + max(1e-9 * point.size, slack):
            raise ArgumentError(
                f"lower_bound is {bound:.12g}, expected at most the objective {point.objective:.12g} of the predictor: "
                f"is it a bound of another problem (λ, depth, data)?"
            )
        gaps.append(point.objective - bound)
    if problem.depth <= 2:
        gaps.append(duality_gap(point))
    elif not point.ranks.any() and not leaves_zero(problem) and problem.lam >= lambda_max(problem):
        gaps.append(0.0)
    return max(min(gaps), slack) if gaps else None


def _round_off(point: Point) -> float:
    return ROUND_OFF * max(point.objective, point.size)


def _beyond_rank(point: Point) -> str:
    """What breaks the rank constraint, or nothing."""
    problem = point.problem
    if int(point.ranks.max(initial=0)) <= problem.max_rank:
        return ""
    block = int(np.argmax(point.ranks))
    return f"frequency {_frequency(point, block)} has rank {point.ranks[block]}, allowed {problem.max_rank}"


def _judged(point: Point, residual: float) -> tuple[str, str]:
    """Kind and status by the tests of a local minimum, the cheapest first."""
    slope = point.slope_on_support
    if slope > STATIONARY:
        return "none", f"residual {residual:.2g}, slope on the support {slope:.2g}: not a stationary point"
    bend = curvature(point, exact=False)
    if not bend.convex:
        return "none", f"the Hessian on the support has the eigenvalue {bend.lowest:.3g}: a saddle"
    gains, places = point.gains()
    block = int(np.argmax(gains))
    if gains[block] > GAIN * max(point.objective, point.size * ROUND_OFF):
        return "none", _leap(point, block, bool(places[block].any()), float(gains[block]))
    if residual > STATIONARY:
        return "none", f"residual {residual:.2g}: not a fixed point of the prox map"
    return "local", _local(point, bend)


def _leap(point: Point, block: int, ends_live: bool, gain: float) -> str:
    where = f"frequency {_frequency(point, block)}"
    if point.problem.depth > 2:  # stationary, no negative curvature, and what is zero is held by an infinite slope
        where = f"a local minimum, but {where}"
    if not point.ranks[block]:
        return f"{where} wants to leave zero: alone it lowers the objective by {gain:.2g}"
    way = "has a lower place" if ends_live else "is better off at zero"
    return f"{where} {way}: alone it lowers the objective by {gain:.2g}"


def _local(point: Point, bend: Curvature) -> str:
    """What was found of a local minimum, and how."""
    kept = int((point.ranks > 0).sum())
    if not kept:
        return "a local minimum, zero: no frequency alone can leave it"
    how = f"the Hessian on the {bend.n_directions} directions of the support has no negative eigenvalue"
    if not bend.certain:
        how = f"Lanczos iterations found no negative curvature along the {bend.n_directions} directions of the support"
    return f"a local minimum of {kept} of {len(point.ranks)} frequencies: {how}; no frequency alone can improve on it"


def _frequency(point: Point, block: int) -> tuple[int, int]:
    half = point.problem.coordinates.half
    u, v = divmod(int(half.indices[block]), half.shape[1])
    return u, v

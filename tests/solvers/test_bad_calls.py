"""A table of bad calls of the solvers: each ends with one error naming the argument, what came, what is needed.

The tables of closed forms, certificates, factors and the estimator stand beside their tests.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lineardyn import SecondMoments, natural_patches
from lineardyn.errors import ArgumentError
from solvers import (
    Conic,
    PathResult,
    RegularizedProblem,
    Solution,
    certify,
    factorize,
    lambda_max,
    path,
    ridge,
    solve,
)
from tests import strategies as own

DATA = own.make_data("incoherent", (2, 3, 4), 3, 0)
MOMENTS = SecondMoments.from_data(DATA.images, DATA.targets)
DENSE = SecondMoments.from_data(DATA.images, DATA.targets, form="dense")
SHAPE = (3, 4, 3, 2)  # (H, W, K, C)


def problem(depth=2, lam=0.1, moments=MOMENTS, **options):
    return RegularizedProblem(moments, depth=depth, lam=lam, **options)


def dense(matrix):
    """The dense moments with another Σ^xx, in packed coordinates."""
    return replace(DENSE, statistics=DENSE.statistics._replace(matrix=matrix))


GRAM = DENSE.statistics.matrix
NEGATIVE = GRAM - 0.3 * np.trace(GRAM) / len(GRAM) * np.eye(len(GRAM))
HOLE = np.where(np.eye(len(GRAM), dtype=bool), np.nan, GRAM)
BAD = {
    "lam zero": (lambda: problem(lam=0), r"lam is 0, expected a number > 0"),
    "lam negative": (lambda: problem(lam=-1.0), r"lam is -1, expected a number > 0"),
    "lam nan": (lambda: problem(lam=np.nan), r"lam is nan, expected a finite number"),
    "lam a word": (lambda: problem(lam="much"), r"lam is 'much', expected a number"),
    "lam none": (lambda: problem(lam=None), r"lam is None, expected a number"),
    "depth zero": (lambda: problem(depth=0), r"depth is 0, expected an integer >= 1"),
    "depth half": (lambda: problem(depth=1.5), r"depth is 1\.5, expected an integer"),
    "depth bool": (lambda: problem(depth=True), r"depth is True, expected an integer"),
    "rank zero": (lambda: problem(rank=0), r"rank is 0, expected an integer >= 1"),
    "rank of one layer": (
        lambda: problem(depth=1, rank=1),
        r"rank is 1 at depth 1, expected None: a single layer has no hidden width",
    ),
    "moments images": (
        lambda: problem(moments=DATA.images),
        r"moments is a ndarray, expected SecondMoments: make them with",
    ),
    "moments modes": (lambda: problem(moments=MOMENTS.modes()), r"moments is a Modes, expected SecondMoments"),
    "moments nan": (lambda: problem(moments=dense(HOLE)), r"moments hold NaN or infinity in Σ\^xx, expected finite"),
    "another lam": (lambda: problem().with_lam(-2.0), r"lam is -2, expected a number > 0"),
    "solve moments": (lambda: solve(MOMENTS), r"problem is .*, expected a RegularizedProblem: make one with"),
    "solve none": (lambda: solve(None), r"problem is None, expected a RegularizedProblem"),
    "path moments": (lambda: path(MOMENTS, [1.0]), r"problem is .*, expected a RegularizedProblem"),
    "lambda_max none": (lambda: lambda_max(None), r"problem is .*None.*, expected"),
    "certify none": (lambda: certify(None, np.zeros(SHAPE)), r"problem is .*None.*, expected"),
    "method unknown": (
        lambda: solve(problem(), method="cordinate"),
        r"method is 'cordinate', expected one of 'auto', .*: did you mean 'coordinate'\?",
    ),
    "method none": (lambda: solve(problem(), method=None), r"method is None, expected one of 'auto'"),
    "method of depth one": (
        lambda: solve(problem(), method="ridge"),
        r"method is 'ridge' at depth 2, expected depth 1: take method='auto'",
    ),
    "method of no correlation": (
        lambda: solve(problem(), method="diagonal"),
        r"off-diagonal entry .* between the coefficients .* expected none; use solve\(problem\)",
    ),
    "n_starts zero": (lambda: solve(problem(3), n_starts=0), r"n_starts is 0, expected an integer >= 1"),
    "tol zero": (lambda: solve(problem(), tol=0.0), r"tol is 0, expected a number > 0"),
    "tol of a path": (lambda: path(problem(), [1.0], tol=-1.0), r"tol is -1, expected a number > 0"),
    "rng": (lambda: solve(problem(3), rng="seed"), r"rng is 'seed', expected a seed"),
    "rng of a path": (lambda: path(problem(3), [1.0], rng=None), r"rng is None, expected a seed"),
    "start of other outputs": (
        lambda: solve(problem(), start=np.zeros((3, 4, 2, 2))),
        r"start has shape \(3, 4, 2, 2\) and dtype float64, expected numbers \(3, 4, 3, 2\)",
    ),
    "start of other channels": (
        lambda: solve(problem(), start=np.zeros((3, 4, 3, 1))),
        r"start has shape \(3, 4, 3, 1\)",
    ),
    "start nan": (lambda: solve(problem(), start=np.full(SHAPE, np.nan)), r"start holds NaN or infinity"),
    "start of no real function": (
        lambda: solve(problem(), start=np.arange(72.0).reshape(SHAPE)),
        r"start breaks the conjugate symmetry v̂\[f\*\] = conj\(v̂\[f\]\) by .*, expected that of a real function",
    ),
    "certify other outputs": (
        lambda: certify(problem(), np.zeros((3, 4, 2, 2))),
        r"predictor has shape \(3, 4, 2, 2\) and dtype float64, expected numbers \(3, 4, 3, 2\): \(H, W, K, C\)",
    ),
    "certify other channels": (lambda: certify(problem(), np.zeros((3, 4, 3, 1))), r"predictor has shape"),
    "certify words": (lambda: certify(problem(), np.full(SHAPE, "a")), r"predictor has shape .* dtype <U1"),
    "certify a bound above": (
        lambda: certify(problem(), np.zeros(SHAPE), lower_bound=1e3),
        r"lower_bound is 1000, expected at most the objective",
    ),
    "objective of an image": (lambda: problem().objective(np.zeros((3, 4))), r"predictor has shape \(3, 4\)"),
    "lams empty": (lambda: path(problem(), []), r"lams is empty, expected at least one λ"),
    "lams empty at depth one": (lambda: path(problem(1), []), r"lams is empty, expected at least one λ"),
    "lams a number": (lambda: path(problem(), 0.1), r"lams has shape \(\), expected \(any,\): a list of λ"),
    "lams a table": (lambda: path(problem(), [[0.1, 0.2]]), r"lams has shape \(1, 2\), expected \(any,\)"),
    "lams zero": (lambda: path(problem(), [1.0, 0.0]), r"lams\[1\] is 0, expected a number > 0"),
    "lams negative at depth one": (lambda: path(problem(1), [-1.0]), r"lams\[0\] is -1, expected a number > 0"),
    "lams nan": (lambda: path(problem(), [1.0, np.nan]), r"lams holds nan at index \(1,\), expected finite"),
    "lams words": (lambda: path(problem(), ["a"]), r"lams has dtype <U1, expected real numbers"),
    "images of others": (
        lambda: solve(problem(1)).predict(np.zeros((5, 2, 4, 3))),
        r"images has shape \(5, 2, 4, 3\), expected \(any, 2, 3, 4\)",
    ),
    "images without channels": (lambda: solve(problem(1)).predict(np.zeros((5, 3, 4))), r"images has shape"),
    "images nan": (
        lambda: solve(problem(1)).predict(np.full((1, 2, 3, 4), np.nan)),
        r"images holds nan at index \(0, 0, 0, 0\)",
    ),
    "widths of another depth": (
        lambda: factorize(solve(problem(2)), (3, 3)),
        r"widths is \(3, 3\), expected 1 hidden widths: the solution is of depth 2",
    ),
    "save nowhere": (lambda: solve(problem(1)).save(""), r"path is '', expected the path of a file"),
    "load none": (lambda: Solution.load(None), r"path is None, expected the path of a file"),
    "load a path of none": (lambda: PathResult.load(None), r"path is None, expected the path of a file"),
    "conic of a bounded rank": (
        lambda: solve(problem(rank=1), method="conic"),
        r"rank is 1, expected None: with blocks of bounded rank",
    ),
    "conic by number": (lambda: Conic(solver=3), r"solver is 3, expected the name of one of cvxpy's solvers"),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_bad_call_is_named(name):
    call, text = BAD[name]
    with pytest.raises(ArgumentError, match=text) as caught:
        call()
    assert str(caught.value).count("\n") == 0  # one clear sentence
    assert "0x" not in str(caught.value)  # no addresses of objects


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_negative_eigenvalue_is_named(depth):
    lowest = np.linalg.eigvalsh(_weighted(NEGATIVE))[0]
    assert lowest < -1e-3
    with pytest.raises(ArgumentError, match=r"expected a positive semidefinite matrix") as caught:
        problem(depth, moments=dense(NEGATIVE))
    assert f"moments have the eigenvalue {lowest:.3g} of Σ^xx" in str(caught.value)


def _weighted(matrix):
    """Σ^xx in orthonormal coordinates: √m on both sides, and the columns that are no numbers left out."""
    roots = np.sqrt(np.asarray(MOMENTS.weights))
    whole = roots[:, None] * matrix * roots
    return whole[np.ix_(roots > 0, roots > 0)]


def test_round_off_is_no_negative_eigenvalue():
    """Nine images in 24 dimensions: Σ^xx has fifteen eigenvalues that are round-off of either sign."""
    assert np.linalg.eigvalsh(_weighted(GRAM))[0] < 1e-14
    solve(problem(3, moments=DENSE), n_starts=1)


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("rank", [None, 2])
def test_targets_that_are_all_zero_are_answered_by_zero(depth, rank):
    moments = SecondMoments.from_data(DATA.images, 0 * DATA.targets, form="dense")
    zero = problem(depth, moments=moments, rank=rank)
    for solution in (solve(zero), *path(zero, [0.1, 1.0])):
        assert not solution.predictor.any()
        assert (solution.objective, solution.penalty) == (0.0, 0.0)
    assert lambda_max(zero) == 0.0


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_from_lambda_max_on_zero_is_the_answer_and_is_said(depth, factor):
    strong = problem(depth, lam=factor * lambda_max(problem(depth)))
    solution = solve(strong)
    assert not solution.predictor.any()
    assert solution.certificate.kind == "global"
    assert "λ ≥ lambda_max(problem): the predictor 0 is the minimum" in solution.message
    (along,) = path(strong, [strong.lam])
    assert not along.predictor.any()
    assert along.certificate.kind == "global"


@pytest.mark.parametrize("depth", [2, 3])
def test_a_path_is_zero_down_to_lambda_max(depth):
    """Zero, and not the round-off that a descent leaves where the first frequency is about to enter."""
    natural = problem(depth, moments=SecondMoments.from_data(*natural_patches(16, 400, rng=0), center=True))
    top = lambda_max(natural)
    result = path(natural, [0.1 * top, top, 3 * top])
    assert [bool(solution.active.any()) for solution in result] == [True, False, False]
    assert [solution.certificate.kind for solution in result[1:]] == ["global", "global"]


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_lambda_max_does_not_depend_on_the_problems_own(depth):
    """To the last bit: else a path that starts there is not proven to start at the minimum."""
    top = lambda_max(problem(depth))
    assert all(lambda_max(problem(depth, lam=lam)) == top for lam in (top, 0.3, 7e-5, 1e9))


@pytest.mark.parametrize("rank", [3, 100])
def test_a_rank_that_excludes_nothing_is_no_constraint(rank):
    """min(C, K) = 2."""
    assert not problem(rank=rank).bounds_rank
    assert solve(problem(1, rank=rank)).objective == ridge_objective()


def ridge_objective():
    return problem(1).objective(ridge(MOMENTS, 0.1))


def test_what_is_required_must_be_given():
    with pytest.raises(TypeError, match="depth"):
        RegularizedProblem(MOMENTS, lam=1.0)
    with pytest.raises(TypeError, match="lam"):
        RegularizedProblem(MOMENTS, depth=2)
    with pytest.raises(TypeError, match="lams"):
        path(problem())

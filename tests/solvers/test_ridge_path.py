"""The ridge path against one solve for each λ, exact arithmetic and an independent library.

``TOLERANCE``: the condition ``s/λ`` is at most 1e4 here, times 2.2e-16 and a factor of 50 for the size.
"""

from __future__ import annotations

from dataclasses import replace

import mpmath
import numpy as np
import pytest

from lineardyn.errors import ArgumentError
from lineardyn.moments import SecondMoments
from solvers import RegularizedProblem, ridge, ridge_path
from solvers.closed_form.tridiagonal import tridiagonal
from tests import oracles
from tests import strategies as own

TOLERANCE = 1e-10
LAMS = [0.3, 1e-3, 20.0, 1e-2]


def draw(n=30, image_shape=(2, 3, 4), k=3, seed=0):
    rng = np.random.default_rng(seed)
    return own.DataSet(rng.standard_normal((n, *image_shape)), rng.standard_normal((n, k)), "incoherent", seed)


def moments_of(data, form="dense"):
    return SecondMoments.from_data(data.images, data.targets, form=form)


@pytest.mark.parametrize("form", ["dense", "samples"])
@pytest.mark.parametrize("n", [5, 60])  # fewer and more samples than the 24 coordinates: dual and primal
@pytest.mark.parametrize("shape", [(2, 3, 4), (1, 1, 1), (1, 1, 2), (3, 2, 2)])
def test_path_is_one_ridge_for_each_lambda(form, n, shape):
    moments = moments_of(draw(n, shape), form)
    result = ridge_path(moments, LAMS)
    assert result.lams.tolist() == LAMS
    for solution, lam in zip(result, LAMS, strict=True):
        assert oracles.error(solution.predictor, ridge(moments, lam)) <= TOLERANCE


def test_path_in_the_modes_form():
    moments = moments_of(own.make_data("coherent", (2, 3, 4), 3, 1), "auto")
    assert moments.form == "modes"
    for solution in ridge_path(moments, LAMS):
        assert oracles.error(solution.predictor, ridge(moments, solution.lam)) <= TOLERANCE


@pytest.mark.parametrize("form", ["dense", "samples"])
def test_objective_and_penalty_are_those_of_the_problem(form):
    moments = moments_of(draw(5), form)
    for solution in ridge_path(moments, LAMS):
        problem = RegularizedProblem(moments, depth=1, lam=solution.lam)
        assert solution.objective == pytest.approx(problem.objective(solution.predictor), rel=1e-12)  # sums of 24 terms
        assert solution.penalty == pytest.approx(problem.penalty(solution.predictor), rel=1e-12)
        assert (solution.depth, solution.rank) == (1, None)


def ill_conditioned(n=40, size=12, condition=1e8):
    """Images whose Σ^xx has eigenvalues from 1 to 1/condition."""
    rng = np.random.default_rng(4)
    left, right = np.linalg.qr(rng.standard_normal((n, size)))[0], np.linalg.qr(rng.standard_normal((size, size)))[0]
    images = np.sqrt(n) * (left * condition ** (-0.5 * np.linspace(0, 1, size))) @ right.T
    return own.DataSet(images.reshape(n, 1, 3, 4), rng.standard_normal((n, 2)), "incoherent", 4)


def test_path_against_exact_arithmetic_at_condition_1e8():
    moments, lam = moments_of(ill_conditioned()), 1e-8
    problem = RegularizedProblem(moments, depth=1, lam=lam)
    solution = ridge_path(moments, [lam])[0]
    with mpmath.workdps(50):
        gram, cross = mpmath.matrix(problem.quadratic.gram.tolist()), problem.quadratic.cross
        system = gram + mpmath.mpf(lam) * mpmath.eye(12)
        exact = [mpmath.lu_solve(system, mpmath.matrix(row.tolist())) for row in cross]
        rest = sum((mpmath.matrix(row.tolist()).T * v)[0] for row, v in zip(cross, exact, strict=True))
        optimum = float(mpmath.mpf(moments.target_power) - rest)
    wanted = problem.coordinates.unpack(np.array([[float(x) for x in v] for v in exact]))
    # backward stable: eps·condition = 2e-8 is the bound, of which the Gram's own round-off is a part
    assert oracles.error(solution.predictor, wanted) <= 2e-8
    # the objective is flat at its minimum: its error is the round-off of ⟨vΣ^xx, v⟩, with s = 1
    assert abs(solution.objective - optimum) <= 2.2e-16 * np.linalg.norm(wanted) ** 2


@pytest.mark.parametrize("form", ["dense", "samples"])
def test_gap_bounds_the_distance_to_the_minimum(form):
    """By the gradient at a wrong predictor, which certifies itself with its own gap."""
    from solvers.closed_form.ridge_path import certified, normal_form
    from solvers.quadratic import quadratic

    moments = moments_of(draw(5), form)
    normal = normal_form(quadratic(moments))
    best = ridge_path(moments, LAMS)
    assert max(s.certificate.gap for s in best) <= 1e-13  # no gap is known better than the round-off of ⟨‖y‖²⟩
    wrong = np.random.default_rng(0).standard_normal((len(LAMS) * 3, 24))
    for solution, optimum in zip(certified(normal, np.array(LAMS), wrong, 0.0), best, strict=True):
        assert 0 < solution.objective - optimum.objective <= solution.certificate.gap


def test_lambda_under_the_cutoff_leaves_directions_without_data_at_zero():
    moments = moments_of(draw(5))
    assert oracles.error(ridge_path(moments, [1e-30])[0].predictor, ridge(moments, 0.0)) <= TOLERANCE


def test_scikit_learn_agrees_along_the_path():
    linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed (extra: sklearn)")
    data = draw(60)
    for solution in ridge_path(moments_of(data), LAMS):
        peer = linear_model.Ridge(alpha=solution.lam * 60, fit_intercept=False).fit(
            data.images.reshape(60, -1), data.targets
        )
        assert oracles.error(solution.image.reshape(3, -1), peer.coef_) <= TOLERANCE


@pytest.mark.parametrize("size", [1, 2, 3, 70])
def test_reduction_is_orthogonal_and_tridiagonal(size):
    x = np.random.default_rng(size).standard_normal((size, size))
    gram = x @ x.T
    reduced = tridiagonal(gram)
    basis = reduced.into(np.eye(size))
    t = np.diag(reduced.diagonal) + np.diag(reduced.off_diagonal[: size - 1], 1)
    t += np.diag(reduced.off_diagonal[: size - 1], -1)
    slack = 1e-14 * size * np.linalg.norm(gram)  # one rounding for each reflection
    assert np.abs(basis @ basis.T - np.eye(size)).max() <= 1e-14 * size
    assert np.abs(basis.T @ gram @ basis - t).max() <= slack
    assert np.abs(reduced.back(basis.T @ np.eye(size)) - basis.T @ basis.T).max() <= 1e-14 * size


def with_gram(moments, matrix):
    return replace(moments, statistics=moments.statistics._replace(matrix=matrix))


@pytest.mark.parametrize(
    ("change", "lams", "text"),
    [
        (None, [], "lams is empty"),
        (None, [1.0, -2.0], r"lams\[1\] is -2, expected numbers > 0"),
        (None, [0.0], r"ridge\(moments, 0\)"),
        (None, [[1.0]], "lams has shape"),
        (None, [float("nan")], "lams holds nan"),
        (-1.0, [1.0], "eigenvalue -1 of"),
        (float("nan"), [1.0], "NaN or infinity in"),
    ],
)
def test_bad_input(change, lams, text):
    moments = moments_of(draw(30, (1, 1, 1)))
    if change is not None:
        moments = with_gram(moments, np.full((2, 2), change) * np.array([[1.0, 0.0], [0.0, 0.0]]))
    with pytest.raises(ArgumentError, match=text):
        ridge_path(moments, lams)


def test_no_moments():
    with pytest.raises(ArgumentError, match="moments is a ndarray"):
        ridge_path(np.eye(2), [1.0])

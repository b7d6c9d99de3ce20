"""FrequencyRegressor: scikit-learn's own checks, what it reduces to, and the tools of scikit-learn around it."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import Lasso, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from lineardyn import SecondMoments
from lineardyn.errors import ArgumentError, Status
from solvers import FrequencyRegressor, RegularizedProblem, solve


def regression(n, n_features, k=1, seed=0):
    """Rows, and targets that depend on them by random coefficients, with noise."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((n, n_features))
    targets = rows @ rng.standard_normal((n_features, k)) / np.sqrt(n_features) + 0.3 * rng.standard_normal((n, k))
    return rows, targets


@parametrize_with_checks(
    [FrequencyRegressor(), FrequencyRegressor(depth=1), FrequencyRegressor(depth=3, alpha=0.1, rank=1)]
)
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("k", [1, 3])
def test_depth_one_is_ridge_with_n_times_alpha(k):
    rows, targets = regression(40, 12, k)
    ours = FrequencyRegressor(depth=1, alpha=0.05, image_shape=(1, 3, 4)).fit(rows, targets)
    theirs = Ridge(alpha=40 * 0.05, fit_intercept=False, solver="cholesky").fit(rows, targets)
    # both solve a system of condition ~10: round-off
    np.testing.assert_allclose(ours.coef_, np.atleast_2d(theirs.coef_), rtol=0, atol=1e-13)
    assert ours.score(rows, targets) == pytest.approx(theirs.score(rows, targets), abs=1e-12)


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_one_frequency_is_ridge_with_a_penalty_of_its_own_norm(depth):
    """``α L ‖w‖^{2/L}`` has the gradient ``2α ‖w‖^{2/L-2} w``."""
    rows, targets = regression(60, 7)
    ours = FrequencyRegressor(depth=depth, alpha=0.02, image_shape=(7, 1, 1)).fit(rows, targets[:, 0])
    norm = np.linalg.norm(ours.coef_)
    assert norm > 0.1
    theirs = Ridge(alpha=60 * 0.02 * norm ** (2 / depth - 2), fit_intercept=False).fit(rows, targets[:, 0])
    # the solver stops at 1e-8 of the objective, the coefficients at about its root
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=0, atol=1e-4)
    penalty = 0.02 * depth * norm ** (2 / depth)
    assert ours.solution_.penalty == pytest.approx(penalty, rel=1e-12)


def test_one_frequency_and_many_outputs_is_the_nuclear_norm():
    """Depth 2: ``Σ^xx W - Σ^xy`` is ``-α U Vᵀ`` on the singular vectors of W, and no larger elsewhere."""
    rows, targets = regression(80, 6, 4)
    alpha = 0.6
    w = FrequencyRegressor(depth=2, alpha=alpha, image_shape=(6, 1, 1)).fit(rows, targets).coef_
    u, s, vt = np.linalg.svd(w, full_matrices=False)
    rank = int((s > 1e-9).sum())
    assert 0 < rank < 4
    slope = (w @ rows.T @ rows - targets.T @ rows) / 80
    held = u[:, :rank] @ vt[:rank]
    np.testing.assert_allclose(u[:, :rank].T @ slope @ vt[:rank].T, -alpha * np.eye(rank), atol=1e-4)
    assert np.linalg.norm(slope + alpha * held, 2) <= alpha * (1 + 1e-4)  # the tolerance of the solver, as above


def test_even_signals_are_a_lasso_in_cosines():
    """Coefficients of even signals are real: ``μ Σ_f |v̂_f|``, μ = 2α/√P, over both frequencies of each pair."""
    n, p = 50, 8
    rng = np.random.default_rng(0)
    distance = np.minimum(np.arange(p), p - np.arange(p))
    signals = rng.standard_normal((n, p // 2 + 1))[:, distance]  # x[i] = x[-i]
    waves = np.cos(2 * np.pi * np.outer([0, 1, 3], np.arange(p)) / p)
    targets = signals @ waves.T @ [0.5, 1.0, -1.0] + 0.3 * rng.standard_normal(n)
    alpha = 1.0
    ours = FrequencyRegressor(alpha=alpha).fit(signals, targets)
    spectra = np.fft.fft(signals, norm="ortho").real
    pairs = np.array([1.0, 2.0, 2.0, 2.0, 1.0])
    # f(x) = Σ_{half} m v̂ x̂, the penalty Σ_{half} m |v̂|: columns x̂ of the unknowns m v̂
    theirs = Lasso(alpha=alpha / np.sqrt(p), fit_intercept=False, tol=1e-12).fit(spectra[:, : p // 2 + 1], targets)
    found = ours.solution_.predictor[0, : p // 2 + 1, 0, 0]
    np.testing.assert_array_equal(found == 0, theirs.coef_ == 0)
    assert 0 < (found == 0).sum() < p // 2
    np.testing.assert_allclose(found, theirs.coef_ / pairs, rtol=0, atol=1e-6)  # gap 1e-8, as above


@pytest.mark.parametrize("shape", [(1, 3, 4), (2, 2, 3), (3, 4, 1)])
def test_images_and_their_rows_are_the_same_data(shape):
    rows, targets = regression(30, 12, 2)
    images = rows.reshape(-1, *shape)
    of_images = FrequencyRegressor(alpha=0.1).fit(images, targets)
    of_rows = FrequencyRegressor(alpha=0.1, image_shape=shape).fit(rows, targets)
    assert of_images.image_shape_ == of_rows.image_shape_ == shape
    assert of_images.n_features_in_ == of_rows.n_features_in_ == 12
    np.testing.assert_array_equal(of_images.coef_, of_rows.coef_)
    np.testing.assert_array_equal(of_images.predict(images), of_rows.predict(rows))
    np.testing.assert_allclose(of_images.predict(rows), of_images.solution_.predict(images), rtol=0, atol=1e-14)
    direct = solve(RegularizedProblem(SecondMoments.from_data(images, targets, form="dense"), depth=2, lam=0.1))
    np.testing.assert_allclose(of_rows.solution_.predictor, direct.predictor, rtol=0, atol=1e-12)
    assert of_rows.score(images, targets) == of_rows.score(rows, targets)


def test_rows_without_a_shape_are_signals():
    rows, targets = regression(20, 9)
    assert FrequencyRegressor().fit(rows, targets).image_shape_ == (1, 1, 9)
    assert FrequencyRegressor().fit(rows.tolist(), targets.tolist()).image_shape_ == (1, 1, 9)


def test_predictions_have_the_shape_of_the_targets():
    rows, targets = regression(30, 8, 2)
    flat, column, both = (FrequencyRegressor().fit(rows, y) for y in (targets[:, 0], targets[:, :1], targets))
    assert flat.coef_.shape == (8,)
    assert column.coef_.shape == (1, 8)
    assert both.coef_.shape == (2, 8)
    assert flat.predict(rows).shape == (30,)
    assert column.predict(rows).shape == (30, 1)
    assert both.predict(rows).shape == (30, 2)
    np.testing.assert_allclose(both.predict(rows), rows @ both.coef_.T + both.intercept_, rtol=0, atol=1e-14)


def test_a_path_is_the_fits_one_by_one_and_fits_nothing():
    rows, targets = regression(40, 10)
    alphas = [0.01, 1.0, 0.1]
    model = FrequencyRegressor(depth=2, alpha=7.0)
    result = model.path(rows, targets, alphas)
    assert list(result.lams) == alphas
    for alpha, solution in zip(alphas, result, strict=True):
        alone = clone(model).set_params(alpha=alpha).fit(rows, targets)
        assert solution.objective == pytest.approx(alone.solution_.objective, rel=2e-8)  # each within 1e-8
    with pytest.raises(NotFittedError):
        model.predict(rows)


def test_pipelines_and_searches_take_it():
    rows, targets = regression(60, 12)
    model = make_pipeline(StandardScaler(), FrequencyRegressor(image_shape=(1, 3, 4)))
    grid = {"frequencyregressor__alpha": [1e-3, 10.0], "frequencyregressor__depth": [1, 2]}
    search = GridSearchCV(model, grid, cv=3).fit(rows, targets[:, 0])
    assert search.best_params_["frequencyregressor__alpha"] == 1e-3  # 10 leaves nothing
    assert search.best_score_ > 0.5
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(again.predict(rows), search.predict(rows))
    copy = clone(search.best_estimator_[-1])
    assert copy.get_params() == search.best_estimator_[-1].get_params()
    assert not hasattr(copy, "coef_")


def test_targets_that_are_all_zero_are_predicted():
    rows, _ = regression(10, 6)
    model = FrequencyRegressor().fit(rows, np.zeros(10))
    assert not model.predict(rows).any()


def test_a_solver_that_stopped_early_warns(monkeypatch):
    def early(problem, **options):
        return replace(solve(problem, **options), status=Status.MAX_ITERATIONS)

    monkeypatch.setattr("solvers.estimator.solve", early)
    rows, targets = regression(20, 5)
    with pytest.warns(ConvergenceWarning, match="raise tol"):
        FrequencyRegressor().fit(rows, targets)


ROWS, TARGETS = regression(20, 6)
FITTED = FrequencyRegressor().fit(ROWS.reshape(20, 1, 2, 3), TARGETS)
BAD = {
    "alpha zero": (lambda: FrequencyRegressor(alpha=0).fit(ROWS, TARGETS), r"alpha is 0, expected a number > 0"),
    "alpha a word": (lambda: FrequencyRegressor(alpha="small").fit(ROWS, TARGETS), r"alpha is 'small', expected"),
    "depth": (lambda: FrequencyRegressor(depth=0).fit(ROWS, TARGETS), r"depth is 0, expected an integer >= 1"),
    "rank": (lambda: FrequencyRegressor(rank=0).fit(ROWS, TARGETS), r"rank is 0, expected an integer >= 1"),
    "shape of two": (
        lambda: FrequencyRegressor(image_shape=(2, 3)).fit(ROWS, TARGETS),
        r"image_shape is \(2, 3\), expected \(C, H, W\)",
    ),
    "shape of more pixels": (
        lambda: FrequencyRegressor(image_shape=(1, 3, 3)).fit(ROWS, TARGETS),
        r"image_shape is \(1, 3, 3\), expected C·H·W = 6",
    ),
    "shape of other images": (
        lambda: FrequencyRegressor(image_shape=(1, 3, 2)).fit(ROWS.reshape(20, 1, 2, 3), TARGETS),
        r"image_shape is \(1, 3, 2\), expected \(1, 2, 3\)",
    ),
    "no channels": (lambda: FrequencyRegressor().fit(ROWS.reshape(20, 2, 3), TARGETS), r"add the channel axis"),
    "channels last": (
        lambda: FrequencyRegressor().fit(np.ones((4, 5, 6, 3)), np.ones(4)),
        r"looks like channels-last",
    ),
    "other images": (
        lambda: FITTED.predict(ROWS.reshape(20, 1, 3, 2)),
        r"X holds images of shape \(1, 3, 2\), expected \(1, 2, 3\), as in fit",
    ),
    "alphas of a path": (lambda: FITTED.path(ROWS, TARGETS, [1.0, 0.0]), r"alphas\[1\] is 0, expected a number > 0"),
    "no alphas": (lambda: FITTED.path(ROWS, TARGETS, []), r"is empty, expected at least one"),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_bad_call_is_named(name):
    call, text = BAD[name]
    with pytest.raises(ArgumentError, match=text):
        call()


def test_without_scikit_learn_it_says_how_to_get_it():
    code = (
        "import sys; sys.modules['sklearn'] = None; import solvers\n"
        "try: solvers.FrequencyRegressor\n"
        "except ImportError as error: assert \"pip install 'lineardyn[sklearn]'\" in str(error), error\n"
        "else: raise SystemExit('it was there')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_it_is_loaded_when_asked_for():
    code = (
        "import sys, solvers; assert 'sklearn' not in sys.modules; assert 'FrequencyRegressor' in dir(solvers); "
        "solvers.FrequencyRegressor(); assert 'sklearn' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    import solvers

    with pytest.raises(AttributeError, match="no attribute 'Regressor'"):
        solvers.Regressor  # noqa: B018

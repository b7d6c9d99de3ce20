"""Ridge against the normal equations in pixel space, an independent library, and its limits.

Round-off of a solve is condition·eps relative: images here are Gaussian, λ ≥ 1e-2 and Σ^xx of order 1, so that the
condition is at most 1e3 and ``TOLERANCE`` = 1e-11 leaves a factor of 40 and more.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineardyn.errors import ArgumentError
from lineardyn.moments import SecondMoments
from solvers import ridge, ridge_diagonal, ridge_power_law
from tests import oracles
from tests import strategies as own

TOLERANCE = 1e-11
FORMS = ["dense", "samples"]


def to_pixels(predictor):
    """The layer ``(K, C·H·W)`` in pixel space whose predictor is ``(H, W, K, C)``: v̂ is the conjugate of its DFT."""
    height, width = predictor.shape[:2]
    rows = np.conj(oracles.dft_matrix(height)), np.conj(oracles.dft_matrix(width))
    spectrum = np.conj(predictor.transpose(2, 3, 0, 1))
    image = rows[0] @ spectrum @ rows[1]
    assert np.abs(image.imag).max() <= 1e-12 * max(1.0, np.abs(image).max())  # real weights
    return image.real.reshape(len(image), -1)


def pixel_ridge(data, lam):
    yx, xx, _ = oracles.second_moments(data.images, data.targets)
    return np.linalg.solve(xx + lam * np.eye(len(xx)), yx.T).T


def draw(seed=0, n=30, image_shape=(2, 3, 4), k=3):
    rng = np.random.default_rng(seed)
    return own.DataSet(rng.standard_normal((n, *image_shape)), rng.standard_normal((n, k)), "incoherent", seed)


@pytest.mark.parametrize("form", FORMS)
@given(
    kind=st.sampled_from(own.KINDS),
    shape=own.shapes,
    c=own.channels,
    k=own.outputs,
    seed=own.seeds,
    lam=st.sampled_from([1e-2, 1.0, 30.0]),
)
def test_normal_equations(form, kind, shape, c, k, seed, lam):
    data = own.make_data(kind, (c, *shape), k, seed)
    moments = SecondMoments.from_data(data.images, data.targets, form=form)
    got, wanted = to_pixels(ridge(moments, lam)), pixel_ridge(data, lam)
    assert np.abs(got - wanted).max() <= TOLERANCE * max(1.0, np.abs(wanted).max())


@pytest.mark.parametrize("lam", [1e-2, 3.0])
@pytest.mark.parametrize("kind", ["coherent", "tied"])
def test_modes_form_is_exact_for_coherent_classes(kind, lam):
    data = own.make_data(kind, (2, 3, 4), 3, seed=5)
    moments = SecondMoments.from_data(data.images, data.targets)
    assert moments.form == "modes"
    assert oracles.error(to_pixels(ridge(moments, lam)), pixel_ridge(data, lam)) <= TOLERANCE


def test_modes_form_by_name_is_the_diagonal_approximation():
    data = draw()
    moments = SecondMoments.from_data(data.images, data.targets, form="modes")
    yx, xx, _ = oracles.second_moments(data.images, data.targets)
    u, s, vt = np.linalg.svd(yx, full_matrices=False)
    d = np.einsum("rd,de,re->r", vt, xx, vt)
    assert oracles.error(to_pixels(ridge(moments, 0.5)), (u * (s / (d + 0.5))) @ vt) <= TOLERANCE


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("n", [5, 60])  # fewer and more samples than the 24 coordinates: dual and primal
def test_gradient_vanishes(form, n):
    data, lam = draw(n=n), 0.3
    w = to_pixels(ridge(SecondMoments.from_data(data.images, data.targets, form=form), lam))
    flat = data.images.reshape(n, -1)
    gradient = (w @ flat.T - data.targets.T) @ flat / n + lam * w
    assert np.abs(gradient).max() <= TOLERANCE


@pytest.mark.parametrize("n", [5, 60])
def test_scikit_learn_agrees(n):
    linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed (extra: sklearn)")
    data, lam = draw(n=n), 0.7
    peer = linear_model.Ridge(alpha=lam * n, fit_intercept=False).fit(data.images.reshape(n, -1), data.targets)
    got = to_pixels(ridge(SecondMoments.from_data(data.images, data.targets), lam))
    assert oracles.error(got, peer.coef_) <= 1e-10


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("n", [5, 60])
def test_lambda_zero_is_least_squares_of_minimal_norm(form, n):
    data = draw(n=n)
    wanted = np.linalg.lstsq(data.images.reshape(n, -1), data.targets, rcond=None)[0].T
    moments = SecondMoments.from_data(data.images, data.targets, form=form)
    assert oracles.error(to_pixels(ridge(moments, 0.0)), wanted) <= 1e-10
    # λ/(smallest non-zero eigenvalue, above 0.05 here) = 2e-6, and round-off eps·(largest eigenvalue)/λ = 2e-8
    assert oracles.error(to_pixels(ridge(moments, 1e-7)), wanted) <= 1e-5


def test_large_lambda_is_the_correlation_over_lambda():
    data, lam = draw(), 1e8
    moments = SecondMoments.from_data(data.images, data.targets)
    got = lam * to_pixels(ridge(moments, lam))
    # w = Σ^yx/λ (1 - Σ^xx/λ + ..), ‖Σ^xx‖ ≤ 10
    assert oracles.error(got, moments.sigma_yx.reshape(3, -1)) <= 1e-6


def uncorrelated(shape=(3, 4)):
    """Each Fourier coefficient on its own: a cosine and a sine at every frequency, amplitudes all different."""
    height, width = shape
    rng = np.random.default_rng(3)
    images, targets = [], []
    for u, v in np.ndindex(shape):
        pair = (-u % height, -v % width)
        if (u, v) > pair:
            continue
        angle = 2 * np.pi * (u * np.arange(height)[:, None] / height + v * np.arange(width) / width)
        amplitude = rng.uniform(0.3, 3.0)
        waves = [np.cos(angle)] if (u, v) == pair else [np.cos(angle), np.sin(angle)]
        images += [amplitude * wave for wave in waves]
        targets += [rng.standard_normal(2) for _ in waves]
    return np.array(images)[:, None], np.array(targets)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("lam", [0.0, 0.1, 10.0])
def test_diagonal_form_equals_ridge_where_nothing_correlates(form, lam):
    moments = SecondMoments.from_data(*uncorrelated(), form=form)
    assert oracles.error(ridge_diagonal(moments, lam), ridge(moments, lam)) <= TOLERANCE


def test_diagonal_form_shrinks_each_coefficient():
    moments = SecondMoments.from_data(*uncorrelated())
    least, tau, lam = ridge_diagonal(moments, 0.0), moments.power_spectrum(), 0.4
    factor = (tau / (lam + tau)).transpose(1, 2, 0)[:, :, None, :]
    assert oracles.error(ridge_diagonal(moments, lam), least * factor) <= TOLERANCE


def test_diagonal_form_is_zero_where_there_is_no_power():
    wave = np.cos(2 * np.pi * np.arange(6) / 6)[None, None, None, :]
    predictor = ridge_diagonal(SecondMoments.from_data(wave, [[1.0]]), 0.0)
    assert np.flatnonzero(np.abs(predictor[0, :, 0, 0]) > 1e-12).tolist() == [1, 5]


def test_power_law_is_the_diagonal_form_with_that_spectrum():
    rng = np.random.default_rng(1)
    least = rng.standard_normal((4, 5, 2, 1)) + 1j * rng.standard_normal((4, 5, 2, 1))
    u, v = np.array([0, 1, 2, 1]), np.array([0, 1, 2, 2, 1])
    denominator = u[:, None] ** 2.0 + v**1.5
    denominator[0, 0] = 1e-300  # all but DC
    tau = (0.7 / denominator)[:, :, None, None]
    got = ridge_power_law(least, 0.3, gamma=0.7, alpha=2.0, beta=1.5)
    assert oracles.error(got, least / (0.3 / tau + 1)) <= 1e-14
    assert got[0, 0, 0, 0] == least[0, 0, 0, 0]  # τ = ∞ at DC
    assert np.array_equal(ridge_power_law(least, 0.0, gamma=0.7, alpha=2.0), least)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda m: ridge(m, -1.0), "lam is -1"),
        (lambda m: ridge_diagonal(m, float("nan")), "lam is nan"),
        (lambda m: ridge(np.eye(2), 1.0), "moments is a ndarray, expected SecondMoments"),
        (lambda m: ridge_power_law(np.ones(3), 1.0, gamma=1.0, alpha=2.0), "least_squares has shape"),
        (lambda m: ridge_power_law(np.ones((1, 2, 1, 1)), 1.0, gamma=0.0, alpha=2.0), "gamma is 0"),
        (lambda m: ridge_power_law(np.full((1, 2, 1, 1), np.nan), 1.0, gamma=1.0, alpha=2.0), "holds nan"),
    ],
)
def test_bad_input_names_the_argument(call, text):
    moments = SecondMoments.from_data(*uncorrelated())
    with pytest.raises(ArgumentError, match=text):
        call(moments)

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineardyn.closed_form import learning_time, sigmoid
from lineardyn.errors import ArgumentError
from lineardyn.fourier import multiplicity
from lineardyn.moments import SecondMoments
from lineardyn.networks import LinearCNN, LinearFCN
from tests import oracles
from tests.lineardyn.problems import cosine_images

PRECISION = 60


def exact_sigmoid(t: float, s: float, b0: float, n_pixels: int, m: int) -> mpmath.mpf:
    with mpmath.workdps(PRECISION):
        t, s, b0 = map(mpmath.mpf, (t, s, b0))
        return s / (1 + (s / b0 - 1) * mpmath.exp(-2 * mpmath.sqrt(n_pixels) * s * t / mpmath.sqrt(m)))


@given(
    log_s=st.floats(-8, 8),
    log_ratio=st.floats(-300, 5),  # b0/s from 1e-130 to 150, both sides of s
    exponent=st.floats(0, 700),
    n_pixels=st.integers(1, 2**14),
    m=st.integers(1, 2),
)
def test_sigmoid_has_full_precision_at_every_rate(log_s, log_ratio, exponent, n_pixels, m):
    s, b0 = float(np.exp(log_s)), float(np.exp(log_s + log_ratio))
    t = exponent / (2 * np.sqrt(n_pixels / m) * s)
    got = sigmoid(t, s=s, b0=b0, n_pixels=n_pixels, multiplicity=m)
    # about ten roundings of half a unit each (1.1e-16); 4e-16 seen. A plain exponent would lose 700 units.
    assert abs(got / exact_sigmoid(t, s, b0, n_pixels, m) - 1) <= 1.2e-15


@pytest.mark.parametrize("b0", [1e-300, 1e-8, 0.3, 1.7, 40.0])
def test_sigmoid_limits_are_exact(b0):
    mode = {"s": 1.7, "b0": b0, "n_pixels": 64, "multiplicity": 2}
    assert sigmoid(0.0, **mode) == b0
    assert sigmoid(np.inf, **mode) == 1.7
    assert sigmoid(1e308, **mode) == 1.7


def test_sigmoid_stays_at_its_fixed_points():
    t = np.array([0.0, 1e-3, 1.0, 1e9, np.inf])
    assert (sigmoid(t, s=2.0, b0=0.0, n_pixels=4, multiplicity=1) == 0).all()
    np.testing.assert_allclose(sigmoid(t, s=2.0, b0=2.0, n_pixels=4, multiplicity=1), 2.0, rtol=4e-16)


def test_sigmoid_at_the_ends_of_float64():
    """No overflow, no NaN, no warning (warnings are errors here)."""
    t = np.array([0.0, 5e-324, 1e-300, 1.0, 1e300, np.inf])[:, None, None]
    s = np.array([1e-300, 1.0, 1e300])[:, None]
    b0 = np.array([0.0, 5e-324, 1e-300, 1.0, 1e300])
    b = sigmoid(t, s=s, b0=b0, n_pixels=10**6, multiplicity=2)
    assert b.shape == (6, 3, 5)
    assert np.isfinite(b).all()
    assert (b >= np.minimum(s, b0) * (1 - 1e-15)).all()
    assert (b <= np.maximum(s, b0) * (1 + 1e-15)).all()


def test_sigmoid_broadcasts_and_equals_its_loop():
    t, s, m = np.linspace(0, 2, 5), np.array([[0.5], [2.0]]), np.array([[1], [2]])
    table = sigmoid(t, s=s, b0=0.01, n_pixels=16, multiplicity=m)
    loop = [[sigmoid(x, s=a, b0=0.01, n_pixels=16, multiplicity=k) for x in t] for a, k in [(0.5, 1), (2.0, 2)]]
    np.testing.assert_array_equal(table, loop)
    assert isinstance(sigmoid(0.3, s=1, b0=0.1, n_pixels=4, multiplicity=1), float)


def test_sigmoid_restarts_midway():
    mode = {"s": 0.8, "n_pixels": 25, "multiplicity": 2}
    half = sigmoid(0.7, b0=1e-3, **mode)
    # two calls of a few 1e-16 each; the error of the first is not amplified beyond s/b
    assert sigmoid(0.9, b0=half, **mode) == pytest.approx(sigmoid(1.6, b0=1e-3, **mode), rel=2e-15)


@pytest.mark.parametrize("frequency", [(0, 0), (2, 0), (0, 1), (1, 1), (2, 1)])
def test_sigmoid_is_the_flow_of_a_pure_cosine(frequency):
    """b(t) of a network integrated in pixel space; on a 4×3 grid (2, 0) and DC are self-conjugate, the others not."""
    shape, a = (4, 3), 0.9
    images, targets = cosine_images(shape, [frequency], [a]), np.ones((1, 1))
    moments = SecondMoments.from_data(images, targets)
    modes, network = moments.modes(), LinearCNN((1, *shape), n_outputs=1)
    m = multiplicity(frequency, shape)
    s = a * np.sqrt(12 / m)
    assert modes.s[0] == pytest.approx(s, rel=1e-14)  # a√P/(√m K)
    start = network.init_balanced(moments, 0.05, rng=3)
    b0 = modes.d[0] * np.sqrt(12) * np.sqrt(m) * 0.05**2  # d √P Σ |q||κ|², |q| = 1/√m on m frequencies
    t = np.array([0.0, 0.1, 0.3, 0.6])
    states = oracles.flow(start, images, targets, t, rtol=1e-12)
    b = [float(oracles.predict(w, images)[0, 0] * s) for w in states]  # Σ^ŷx v = f(x)·|x|
    # the reference's rtol 1e-12, amplified by at most the 4 e-folds of b
    np.testing.assert_allclose(b, sigmoid(t, s=s, b0=b0, n_pixels=12, multiplicity=m), rtol=1e-10)


def test_fully_connected_network_is_one_pixel_of_multiplicity_one():
    images, targets = cosine_images((3, 4), [(1, 1)], [0.7]), np.ones((1, 1))
    moments = SecondMoments.from_data(images, targets)
    network = LinearFCN((1, 3, 4), widths=(3,), n_outputs=1)
    start = network.init_balanced(moments, 0.1, rng=0)
    s, t = moments.modes().s[0], np.array([0.0, 0.5, 1.5])
    b = [float(oracles.predict(w, images)[0, 0] * s) for w in oracles.flow(start, images, targets, t, rtol=1e-12)]
    np.testing.assert_allclose(b, sigmoid(t, s=s, b0=b[0], n_pixels=1, multiplicity=1), rtol=1e-10)


@given(log_s=st.floats(-5, 5), log_ratio=st.floats(-60, 3), place=st.floats(1e-9, 1 - 1e-9), m=st.integers(1, 2))
def test_learning_time_has_full_precision_on_both_sides(log_s, log_ratio, place, m):
    s, b0 = float(np.exp(log_s)), float(np.exp(log_s + log_ratio))
    b = b0 + (s - b0) * place
    if b in (b0, s):
        return  # exact cases, tested below
    with mpmath.workdps(PRECISION):
        s_, b0_, b_ = map(mpmath.mpf, (s, b0, b))
        exact = mpmath.log(b_ * (s_ - b0_) / (b0_ * (s_ - b_))) / (2 * mpmath.sqrt(mpmath.mpf(49) / m) * s_)
    got = learning_time(b, s=s, b0=b0, n_pixels=49, multiplicity=m)
    assert abs(got / exact - 1) <= 2e-15  # the differences are exact to half a unit; 5e-16 seen


def test_learning_time_inverts_the_sigmoid():
    mode = {"s": 1.3, "b0": 1e-4, "n_pixels": 100, "multiplicity": 2}
    t = np.linspace(0, 0.8, 9)
    # b is known to 4e-16, and t = t(b) is amplified by at most s/(s - b) near the end
    np.testing.assert_allclose(learning_time(sigmoid(t, **mode), **mode), t, rtol=1e-11, atol=1e-16)


def test_learning_time_at_the_ends():
    assert learning_time(1.0, s=1.0, b0=0.1, n_pixels=4, multiplicity=1) == np.inf
    assert learning_time(1.0, s=1.0, b0=3.0, n_pixels=4, multiplicity=1) == np.inf
    assert learning_time(0.1, s=1.0, b0=0.1, n_pixels=4, multiplicity=1) == 0.0
    assert learning_time(1.0, s=1.0, b0=1.0, n_pixels=4, multiplicity=1) == 0.0
    assert learning_time(0.0, s=1.0, b0=0.0, n_pixels=4, multiplicity=1) == 0.0
    assert learning_time(0.5, s=1.0, b0=0.0, n_pixels=4, multiplicity=1) == np.inf
    assert np.isfinite(learning_time(0.5, s=1.0, b0=5e-324, n_pixels=4, multiplicity=1))


@pytest.mark.parametrize(("b", "b0"), [(0.05, 0.1), (1.1, 0.1), (0.9, 2.0), (2.1, 2.0), (0.5, 1.0), (2.0, 1.0)])
def test_learning_time_refuses_values_that_are_not_passed(b, b0):
    with pytest.raises(ArgumentError, match=r"^b holds .*expected a value between b0 = .* and s = 1"):
        learning_time(b, s=1.0, b0=b0, n_pixels=4, multiplicity=1)


def test_learning_time_broadcasts():
    times = learning_time([0.2, 0.5, 1.0], s=[[1.0], [2.0]], b0=0.1, n_pixels=4, multiplicity=1)
    assert times.shape == (2, 3)
    assert times[0, 2] == np.inf
    assert (np.diff(times, axis=1) > 0).all()

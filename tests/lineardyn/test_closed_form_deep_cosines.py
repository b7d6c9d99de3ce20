"""Pure cosines at every depth: the separable equation, its elementary time, and the exact steps of descent."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lineardyn.closed_form import (
    ModeClock,
    clock_recursion,
    cosine_recursion,
    learning_time,
    sgd_recursion,
    sigmoid,
    stable_learning_rate,
)
from lineardyn.flow.gradient_flow import gradient_flow
from lineardyn.fourier import fft2, multiplicity
from lineardyn.moments import SecondMoments
from lineardyn.networks import LinearCNN, LinearFCN
from tests import oracles
from tests.lineardyn.disjoint_modes import balanced_problem
from tests.lineardyn.problems import cosine_images

# --- Continuous time -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 3, 4, 5])
@pytest.mark.parametrize("frequency", [(0, 0), (1, 2)])
def test_deep_sigmoid_is_the_flow_of_a_pure_cosine(frequency, depth):
    shape, a = (4, 3), 0.9
    images, targets = cosine_images(shape, [frequency], [a]), np.ones((1, 1))
    moments = SecondMoments.from_data(images, targets)
    modes, network = moments.modes(), LinearCNN((1, *shape), widths=(2,) * (depth - 1), n_outputs=1)
    start = network.init_balanced(moments, 0.3, rng=3)
    mode = {"s": modes.s[0], "d": modes.d[0], "n_pixels": 12, "multiplicity": multiplicity(frequency, shape)}
    b0 = float(oracles.predict(start, images)[0, 0] * modes.s[0])
    t = np.array([0.05, 0.1, 0.3])
    states = oracles.flow(start, images, targets, t, rtol=1e-12)
    b = [float(oracles.predict(w, images)[0, 0] * modes.s[0]) for w in states]
    # the reference's rtol 1e-12 and its polynomial between steps
    np.testing.assert_allclose(sigmoid(t, b0=b0, depth=depth, **mode), b, rtol=1e-8)
    np.testing.assert_allclose(sigmoid(t[-1], b0=b0, depth=depth, **mode), b[-1], rtol=1e-10)


@pytest.mark.parametrize("depth", [1, 3, 4])
def test_fully_connected_network_is_one_pixel_at_every_depth(depth):
    images, targets = cosine_images((3, 4), [(1, 1)], [0.7]), np.ones((1, 1))
    moments = SecondMoments.from_data(images, targets)
    modes, network = moments.modes(), LinearFCN((1, 3, 4), widths=(3,) * (depth - 1), n_outputs=1)
    start = network.init_balanced(moments, 0.4, rng=0)
    b = [float(oracles.predict(w, images)[0, 0] * modes.s[0]) for w in [start]]
    end = oracles.flow(start, images, targets, np.array([0.8]), rtol=1e-12)[-1]
    got = sigmoid(0.8, s=modes.s[0], d=modes.d[0], b0=b[0], n_pixels=1, multiplicity=1, depth=depth)
    assert got == pytest.approx(float(oracles.predict(end, images)[0, 0] * modes.s[0]), rel=1e-10)


@given(
    depth=st.integers(1, 9),
    log_s=st.floats(-5, 5),
    log_ratio=st.floats(-60, 3),
    place=st.floats(1e-9, 1 - 1e-9),
    log_d=st.floats(-3, 3),
)
@settings(max_examples=40)
@example(depth=3, log_s=0.0, log_ratio=1.0, place=1e-9, log_d=0.0)  # numpy's complex log1p lost eight digits here
def test_elementary_learning_time_against_sixty_digits(depth, log_s, log_ratio, place, log_d):
    s, b0, d = float(np.exp(log_s)), float(np.exp(log_s + log_ratio)), float(np.exp(log_d))
    b = b0 + (s - b0) * place
    if b in (b0, s):
        return
    with mpmath.workdps(60):
        y, y0 = ((mpmath.mpf(x) / mpmath.mpf(s)) ** (mpmath.mpf(1) / depth) for x in (b, b0))

        def primitive(x):
            roots = [mpmath.exp(2j * mpmath.pi * k / depth) for k in range(depth)]
            total = -sum(w**2 * mpmath.log(1 - x / w) for w in roots) / depth
            return total + (mpmath.log(x) if depth == 2 else x ** (2 - depth) / (2 - depth))

        if depth == 1:
            exact = mpmath.log((1 - y0) / (1 - y)) / d
        else:
            a = mpmath.mpf(24.5) ** (1 - mpmath.mpf(1) / depth) * mpmath.mpf(d) ** (mpmath.mpf(2) / depth - 1)
            exact = mpmath.re(primitive(y) - primitive(y0)) / (a * mpmath.mpf(s) ** (2 - mpmath.mpf(2) / depth))
    got = learning_time(b, s=s, b0=b0, n_pixels=49, multiplicity=2, depth=depth, d=d)
    # terms of size 1 leave (s/b)^{2-2/L} from above s: up to e^6; 1e-14 seen from below
    assert abs(got / exact - 1) <= 5e-14 * max(1.0, (b0 / s) ** 2)


@given(depth=st.integers(1, 6), log_b0=st.floats(-25, 3), place=st.floats(0.02, 0.98))
def test_deep_sigmoid_inverts_the_learning_time(depth, log_b0, place):
    mode = {"s": 1.4, "n_pixels": 36, "multiplicity": 2, "depth": depth, "d": 0.6, "b0": float(np.exp(log_b0))}
    b = mode["b0"] + (mode["s"] - mode["b0"]) * place
    t = learning_time(b, **mode)
    slope = (learning_time(b * (1 + 1e-6 * np.sign(1.4 - b)), **mode) - t) / 1e-6 if place < 0.97 else np.inf
    # t is known to 1e-14; b = b(t) amplifies that by t db/dt/b
    assert abs(sigmoid(t, **mode) / b - 1) <= 1e-12 + 3e-14 * t / max(slope, 1e-300) if np.isfinite(slope) else True


@pytest.mark.parametrize("depth", [1, 3, 4, 6])
@pytest.mark.parametrize("b0", [1e-12, 0.3, 1.7, 40.0])
def test_deep_sigmoid_limits_are_exact(depth, b0):
    mode = {"s": 1.7, "b0": b0, "n_pixels": 64, "multiplicity": 2, "depth": depth, "d": 0.5}
    assert sigmoid(0.0, **mode) == b0
    assert sigmoid(np.inf, **mode) == 1.7
    assert learning_time(b0, **mode) == 0.0
    assert learning_time(1.7, **mode) == (0.0 if b0 == 1.7 else np.inf)
    assert (sigmoid([0.0, 1.0, np.inf], **{**mode, "b0": 0.0}) == 0.0).all() == (depth > 1)


def test_deep_sigmoid_broadcasts_and_equals_its_loop():
    t, s, d = np.linspace(0, 2, 5), np.array([[0.5], [2.0]]), np.array([[1.0], [0.3]])
    table = sigmoid(t, s=s, d=d, b0=0.01, n_pixels=16, multiplicity=1, depth=3)
    loop = [
        [sigmoid(x, s=a, d=e, b0=0.01, n_pixels=16, multiplicity=1, depth=3) for x in t]
        for a, e in [(0.5, 1.0), (2.0, 0.3)]
    ]
    np.testing.assert_array_equal(table, loop)


def test_plateau_of_depth_three_and_more_grows_as_a_power_of_the_start():
    """From b(0) = ε to s/2: ln(1/ε) with two layers, ε^{2/L-1} with more."""
    for depth in (3, 4, 6):
        times = [
            learning_time(0.5, s=1.0, b0=b0, n_pixels=4, multiplicity=1, depth=depth, d=1.0) for b0 in (1e-12, 1e-14)
        ]
        # the rest of T(y) is a constant, 1e-4 of the first term at worst
        assert np.log(times[1] / times[0]) / np.log(100) == pytest.approx(1 - 2 / depth, abs=1e-3)


def test_two_layers_with_weight_decay_follow_the_sigmoid_of_a_smaller_singular_value():
    """s - λ√(m/P) for s: the note in the docstring of sigmoid."""
    shape, decay = (3, 4), 0.4
    images, targets = cosine_images(shape, [(1, 1)], [0.9]), np.ones((1, 1))
    moments = SecondMoments.from_data(images, targets)
    network, modes = LinearCNN((1, *shape), n_outputs=1), moments.modes()
    start = network.init_balanced(moments, 0.1, rng=3)
    t = np.array([0.0, 0.2, 0.6])
    run = gradient_flow(network, moments, start, t, weight_decay=decay, method="dop853", rtol=1e-11, atol=1e-14)
    b = run.effective_singular_values[:, 0, 0]
    wanted = sigmoid(t, s=modes.s[0] - decay * np.sqrt(2 / 12), b0=b[0], n_pixels=12, multiplicity=2)
    np.testing.assert_allclose(b, wanted, rtol=1e-9)  # the flow's rtol over about 100 steps


# --- Discrete time ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["cnn", "fcn"])
@pytest.mark.parametrize("depth", [1, 3, 4])
@pytest.mark.parametrize("share", [0.05, 0.8])  # of the largest stable learning rate
def test_deep_recursion_is_gradient_descent_in_pixel_space(kind, depth, share):
    shape, f = (4, 5), (1, 2)
    images, targets = cosine_images(shape, [f], [0.8]), np.ones((1, 1))
    moments = SecondMoments.from_data(images, targets)
    network = {"cnn": LinearCNN, "fcn": LinearFCN}[kind]((1, *shape), widths=(1,) * (depth - 1), n_outputs=1)
    start = network.init_balanced(moments, 0.15 if kind == "cnn" else 0.4, rng=1)  # b(0) below s
    modes = moments.modes()
    pixels = {"n_pixels": 20, "multiplicity": 2} if kind == "cnn" else {"n_pixels": 1, "multiplicity": 1}
    mode = {"s": float(modes.s[0]), "d": float(modes.d[0]), "depth": depth, **pixels}
    rate = share * stable_learning_rate(**mode)
    states = oracles.descend(start, images, targets, learning_rate=rate, batches=[None] * 40)
    b = [float(oracles.predict(w, images)[0, 0] * np.linalg.norm(images)) for w in states]
    got = cosine_recursion(40, b0=b[0], learning_rate=rate, **mode)
    np.testing.assert_allclose(got, b, rtol=1e-11)  # 40 steps of round-off, amplified by the growth of b


@pytest.mark.parametrize("depth", [1, 3, 4])
def test_deep_clock_recursion_is_gradient_descent_in_pixel_space(depth):
    network, moments, start, images, targets = balanced_problem("cnn", (1,) * (depth - 1), (1, 4, 3), 2, scale=0.3)
    modes = moments.modes()
    clock = ModeClock(modes, network, start)
    rate = 0.3 * clock.stable_learning_rates().min()
    states = oracles.descend(start, images, targets, learning_rate=rate, batches=[None] * 40)
    direct = np.array([np.linalg.norm(fft2(np.moveaxis(w[0], -1, 1)), axis=(0, 1)) for w in states])
    for r in range(2):
        mine = np.abs(modes.q[r, 0]) > 1e-9
        path = clock_recursion(
            40, s=modes.s[r], d=modes.d[r], q=modes.q[r, 0][mine], kappa0=direct[0][mine],
            n_pixels=12, learning_rate=rate, depth=depth,
        )  # fmt: skip
        np.testing.assert_allclose(path, direct[:, mine], rtol=1e-11)  # as above


@given(depth=st.integers(1, 6), s=st.floats(0.1, 5), d=st.floats(0.1, 5), n_pixels=st.integers(1, 100))
@settings(max_examples=25)
def test_deep_fixed_point_is_stable_below_the_limit_and_not_above(depth, s, d, n_pixels):
    mode = {"s": s, "d": d, "n_pixels": n_pixels, "multiplicity": 1, "depth": depth}
    limit = stable_learning_rate(**mode)
    below = cosine_recursion(3000, b0=s * (1 + 1e-6), learning_rate=0.99 * limit, **mode)
    above = cosine_recursion(2000, b0=s * (1 + 1e-6), learning_rate=1.01 * limit, **mode)
    assert abs(below[-1] / s - 1) < 1e-12  # 0.98^3000
    assert np.abs(above / s - 1)[-100:].max() > 1e-4  # 1.02^n, from 1e-6, until other terms matter
    kappa = (s / (np.sqrt(n_pixels) ** (depth - 1) * d)) ** (1 / depth)
    fixed = clock_recursion(1, s=s, d=d, q=[1.0], kappa0=[kappa], n_pixels=n_pixels, learning_rate=limit, depth=depth)
    np.testing.assert_allclose(fixed[1], kappa, rtol=1e-13)


def test_deep_sgd_depends_on_the_count_alone():
    """Two classes, three layers, one sample a step in pixel space."""
    shape, frequencies, rate = (3, 4), [(0, 0), (1, 1)], 0.02
    images = cosine_images(shape, frequencies, [0.6, 1.1])
    moments = SecondMoments.from_data(images, np.eye(2))
    network, modes = LinearCNN((1, *shape), widths=(1, 1), n_outputs=2), moments.modes()
    start = network.init_balanced(moments, 0.4, rng=4)
    draws = np.random.default_rng(0).integers(0, 2, 60)
    states = oracles.descend(start, images, np.eye(2), learning_rate=rate, batches=[np.array([k]) for k in draws])
    for k, f in enumerate(frequencies):
        r = int(np.abs(modes.u[k]).argmax())
        b = np.array([oracles.predict(w, images)[k, k] * np.linalg.norm(images[k]) / 2 for w in states])
        counts = np.concatenate([[0], np.cumsum(draws == k)])
        wanted = sgd_recursion(
            counts, s=modes.s[r], d=modes.d[r], b0=b[0], n_pixels=12, multiplicity=multiplicity(f, shape),
            n_classes=2, learning_rate=rate, depth=3,
        )  # fmt: skip
        np.testing.assert_allclose(b, wanted, rtol=1e-11)

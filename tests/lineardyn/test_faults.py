"""Impossible tolerances, enormous horizons, diverging descent: each ends soon, with a status and the part computed."""

from __future__ import annotations

import signal
import time

import numpy as np
import pytest

from lineardyn import LinearCNN, SecondMoments, gradient_descent, gradient_flow, max_learning_rate, steady_state
from lineardyn.errors import ComputationError, Status
from lineardyn.flow.rest import rest_of
from tests.lineardyn.problems import METHODS, PROBLEMS, cosine_images, solve

SOON = 20.0  # CPU seconds: compilation apart each takes one or two; a hang takes for ever


def timed(*args, **options):
    solve(*args[:2], [0.0, 1e-3], throw=False)  # compiles
    start = time.process_time()
    run = solve(*args, throw=False, **options)
    assert time.process_time() - start < SOON
    return run


# --- tolerances ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rtol", [1e-16, 1e-18, 1e-300])
@pytest.mark.parametrize("method", METHODS)
def test_a_tolerance_finer_than_float64_is_refused_at_once(method, rtol):
    run = timed("cnn-dense-channels", method, [0.0, 1.0], rtol=rtol, atol=1e-300)
    assert run.status is Status.STEP_TOO_SMALL
    assert "tolerances ask for more" in run.message
    assert len(run) == 1
    assert run.stats["n_steps"] == 0


@pytest.mark.parametrize("method", METHODS)
def test_a_tiny_rtol_beside_an_atol_that_can_be_met_is_none(method):
    run = timed("cnn-dense-channels", method, [0.0, 0.1], rtol=1e-30, atol=1e-7)
    assert run.status is Status.SUCCESS


# --- horizons --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("horizon", [1e12, 1e300])
@pytest.mark.parametrize("name", ["cnn-modes", "cnn-dense-channels", "cnn-decay", "cnn-one-layer", "fcn-modes"])
@pytest.mark.parametrize("method", METHODS)
def test_an_enormous_horizon_ends_where_nothing_moves(name, method, horizon):
    run = timed(name, method, [0.5, 1e6, horizon], rtol=1e-6, atol=1e-9)
    assert run.status is Status.SUCCESS
    assert len(run) == 3
    assert 10.0 < run.stats["t_rest"] < horizon
    p = PROBLEMS[name]
    gradient = p.network.gradient(run.weights(-1), p.moments, weight_decay=p.decay)
    assert max(np.abs(g).max() for g in gradient) <= 1e-12
    # the same as shortly after learning, to the tolerance of that run: 100 times rtol
    early = solve(name, "dop853", [300.0], rtol=1e-10).loss[-1]
    assert run.loss[-1] == pytest.approx(early, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_a_saddle_is_no_rest(method):
    """The second mode waits at 1e-14 of the first, with a gradient below round-off of the whole: it is still learned.

    ``ln(s/b0)/(2√(P/m) s)`` is 9e3 for it, 2e4 steps of the explicit methods or more: they are looked at in between.
    """
    images = cosine_images((4, 6), [(1, 2), (0, 1)], [1.0, 5e-4])
    moments = SecondMoments.from_data(images, np.eye(2))
    network = LinearCNN((1, 4, 6), n_outputs=2)
    weights = network.init_balanced(moments, 1e-14, rng=0)
    run = gradient_flow(
        network, moments, weights, [4e3, 1e8], rtol=1e-4, atol=1e-30, method=method, max_steps=10**6, throw=False
    )
    b, s = np.diagonal(run.effective_singular_values, axis1=1, axis2=2), moments.modes().s
    assert b[0, 0] == pytest.approx(s[0], rel=1e-3)
    assert b[0, 1] < 1e-3 * s[1]
    assert b[-1] == pytest.approx(s, rel=1e-2)
    assert run.stats["t_rest"] > 8e3


@pytest.mark.parametrize(("method", "max_steps"), [("rkc", 700), ("tsit5", 30_000), ("dop853", 30_000)])
def test_what_is_slow_is_no_rest(method, max_steps):
    """One layer, powers 1 and 1e-10: the gradient soon is 1e-10 of ``λ_max ‖w‖``, and all of it real."""
    images = np.array([[[[1.0, 0.0]]], [[[0.0, 1e-5]]]])
    moments = SecondMoments.from_data(images, np.array([[1.0], [1e-5]]), form="dense")
    network = LinearCNN((1, 1, 2), widths=(), n_outputs=1)
    run = gradient_flow(
        network, moments, [np.zeros((1, 1, 2, 1))], [0.0, 1e12], method=method, max_steps=max_steps, throw=False
    )
    assert run.status is Status.MAX_STEPS


def test_rest_is_a_minimum_or_a_gradient_of_zero():
    """Two cosines learned; the same with the second at 1e-14 of that, a saddle with a gradient below round-off."""
    moments = SecondMoments.from_data(cosine_images((4, 6), [(1, 2), (0, 1)], [1.0, 0.5]), np.eye(2))
    network = LinearCNN((1, 4, 6), n_outputs=2)
    learned = steady_state(network, moments, network.init_balanced(moments, 0.1, rng=0)).weights
    saddle = [w.copy() for w in learned]
    for w in saddle:
        spectrum = np.fft.fft2(w, axes=(1, 2))
        spectrum[:, 0, [1, 5]] *= 1e-14
        w[...] = np.fft.ifft2(spectrum, axes=(1, 2)).real
    rest = rest_of(network, moments, 0.0)
    end = rest(network.pack([w * (1 + 1e-10) for w in learned]))
    assert end is not None
    assert all(np.abs(a - b).max() <= 1e-9 for a, b in zip(network.unpack(end), learned, strict=True))
    assert max(np.abs(g).max() for g in network.gradient(network.unpack(end), moments)) <= 1e-13
    assert rest(network.pack(saddle)) is None
    zero = np.zeros(end.size)
    assert np.array_equal(rest(zero), zero)


def test_a_slow_direction_is_no_rest():
    """One layer, powers 1 and 1e-10, the first learned: what is left of the gradient is 1e-10, and all of it real."""
    images = np.array([[[[1.0, 0.0]]], [[[0.0, 1e-5]]]])
    moments = SecondMoments.from_data(images, np.array([[1.0], [1e-5]]), form="dense")
    network = LinearCNN((1, 1, 2), widths=(), n_outputs=1)
    assert rest_of(network, moments, 0.0)(network.pack([np.array([[[[1.0], [0.0]]]])])) is None
    assert rest_of(network, moments, 0.0)(network.pack([np.array([[[[1.0], [1.0]]]])])) is not None


@pytest.mark.parametrize("method", METHODS)
def test_what_does_not_move_at_all_ends_at_once(method):
    p = PROBLEMS["cnn-dense-channels"]
    run = timed("cnn-dense-channels", method, [1.0, 1e300], weights=[0.0 * w for w in p.weights])
    assert run.status is Status.SUCCESS
    assert run.stats["n_rhs"] < 1000
    assert not run.states.any()


@pytest.mark.parametrize("method", METHODS)
def test_few_steps_of_a_long_way_give_the_part(method):
    run = timed("cnn-dense-channels", method, np.linspace(0, 1e12, 5), max_steps=50)
    assert run.status is Status.MAX_STEPS
    assert len(run) == 1
    assert run.stats["n_steps"] <= 50
    assert np.isfinite(run.loss).all()


@pytest.mark.parametrize("method", METHODS)
def test_overflow_ends_with_what_was_finite(method):
    p = PROBLEMS["cnn-dense-channels"]
    run = timed("cnn-dense-channels", method, [0.0, 1.0], weights=[1e160 * w for w in p.weights])
    assert run.status in (Status.NON_FINITE, Status.STEP_TOO_SMALL)
    assert np.isfinite(run.states).all()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers")
@pytest.mark.parametrize("method", METHODS)
def test_ctrl_c_is_heard(method):
    """A flow that would take minutes: tiny weights of three layers grow after t = 1e9, with ρ ≈ 3."""
    p = PROBLEMS["cnn-samples-deep"]
    weights = [1.0 * p.weights[0], *(1e-9 * w for w in p.weights[1:])]
    options = {"weights": weights, "rtol": 1e-13 if method in ("bs32", "rkc") else 1e-6, "atol": 1e-30}
    solve("cnn-samples-deep", method, [1e-9], **options)  # compiles

    def interrupt(*_):
        raise KeyboardInterrupt

    def again_and_again():
        while True:  # a method that is done sooner begins again
            solve("cnn-samples-deep", method, [1e5], throw=False, **options)

    before = signal.signal(signal.SIGALRM, interrupt)
    start = time.process_time()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(KeyboardInterrupt):
            again_and_again()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    assert time.process_time() - start < SOON


# --- descent ---------------------------------------------------------------------------------------------------------


def test_divergence_says_the_limit():
    """The limit where learning ends, 1/(√P/√m s) of the strongest cosine [theory section 2.3], to the digits shown."""
    images = cosine_images((4, 6), [(1, 2), (2, 3)], [1.0, 0.3])
    moments = SecondMoments.from_data(images, np.eye(2))
    network = LinearCNN((1, 4, 6), n_outputs=2)
    weights = network.init_balanced(moments, 0.1, rng=0)
    s, root = moments.modes().s, np.sqrt(24 / np.array([2, 1]))
    limit = 1 / (root * s).max()
    at_start = max_learning_rate(network, moments, weights)
    with pytest.raises(ComputationError) as caught:
        gradient_descent(network, moments, weights, learning_rate=20 * limit, n_steps=1000)
    message = str(caught.value)
    assert caught.value.status is Status.DIVERGED
    assert f"learning_rate is {20 * limit:g}" in message
    assert f"{at_start:.3g} at the start" in message
    said = float(message.split(" at the start and ")[1].split(" where learning ends")[0])
    assert said == pytest.approx(limit, rel=0.03)  # three digits; learned to 1e-3 of the loss
    gradient_descent(network, moments, weights, learning_rate=0.9 * said, n_steps=3000, record_every=3000)


@pytest.mark.parametrize("name", ["cnn-dense-channels", "cnn-samples-deep", "fcn-samples-deep-decay"])
def test_a_rate_below_what_the_message_says_converges(name):
    p = PROBLEMS[name]
    data = (p.data.images, p.data.targets)
    with pytest.raises(ComputationError, match="the limit 2/λ_max") as caught:
        gradient_descent(p.network, data, p.weights, learning_rate=50.0, n_steps=200, weight_decay=p.decay)
    words = str(caught.value).split("is ")[-1]
    rate = 0.9 * min(float(words.split(" at the start")[0]), float(words.split("start and ")[1].split(" ")[0]))
    run = gradient_descent(p.network, data, p.weights, learning_rate=rate, n_steps=5000, weight_decay=p.decay)
    assert run.status is Status.SUCCESS
    assert run.loss[-1] <= run.loss[0]


def test_divergence_of_batches_says_that_they_bear_less():
    p = PROBLEMS["cnn-dense-channels"]
    data = (p.data.images, p.data.targets)
    with pytest.raises(ComputationError, match="steps of 2 images bear less"):
        gradient_descent(p.network, data, p.weights, learning_rate=50.0, n_steps=200, batch_size=2, rng=0)


def test_divergence_from_weights_that_overflow_is_still_told():
    p = PROBLEMS["cnn-dense-channels"]
    huge = [1e160 * w for w in p.weights]
    with pytest.raises(ComputationError, match="the limit is unknown") as caught:
        gradient_descent(p.network, p.moments, huge, learning_rate=0.1, n_steps=10)
    assert caught.value.status is Status.DIVERGED

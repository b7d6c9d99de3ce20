"""The end of learning by theorems, against closed forms in pixel space and long integrations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineardyn import LinearCNN, LinearFCN, ModeClock, SecondMoments, gradient_flow, steady_state
from lineardyn.errors import ArgumentError
from tests import oracles
from tests import strategies as own
from tests.lineardyn.disjoint_modes import problem
from tests.lineardyn.problems import PROBLEMS

LONG = [1e9]  # gradient_flow stops by itself where nothing moves any more
TIGHT = {"rtol": 1e-9, "atol": 1e-12, "method": "rkc", "max_steps": 200_000}


def layers(kind, data, widths=()):
    cls = LinearCNN if kind == "cnn" else LinearFCN
    return cls(data.image_shape, widths=widths, n_outputs=data.n_outputs)


# --- one layer -------------------------------------------------------------------------------------------------------


@given(own.data_sets(), st.sampled_from(["cnn", "fcn"]), st.sampled_from(["dense", "samples"]), st.booleans())
def test_one_layer_ends_at_the_least_squares_nearest_to_its_start(data, kind, form, ridge):
    """``W = Y X⁺ + W_0 (1 - X X⁺)`` by numpy's pseudo-inverse, or ridge; 1e-6: spectra as bad as 1e4 are drawn."""
    network, decay = layers(kind, data), 0.3 * ridge
    moments = SecondMoments.from_data(data.images, data.targets, form=form)
    weights = network.init_small(0.5, rng=data.seed)
    end = steady_state(network, moments, weights, weight_decay=decay)
    x, w0 = data.images.reshape(len(data.images), -1), weights[0]
    start = w0.transpose(0, 3, 1, 2).reshape(data.n_outputs, -1) if kind == "cnn" else w0
    if ridge:
        wanted = np.linalg.solve(x.T @ x / len(x) + decay * np.eye(x.shape[1]), x.T @ data.targets / len(x)).T
    else:
        inverse = np.linalg.pinv(x, rcond=1e-10)
        wanted = (inverse @ data.targets).T + start @ (np.eye(x.shape[1]) - inverse @ x)
    got = end.weights[0].transpose(0, 3, 1, 2).reshape(data.n_outputs, -1) if kind == "cnn" else end.weights[0]
    assert oracles.error(got, wanted) <= 1e-6
    assert end.method == "linear regression"
    assert end.loss == pytest.approx(oracles.loss(end.weights, data.images, data.targets, decay), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("form", ["modes", "dense", "samples"])
def test_one_layer_ends_where_the_flow_ends(form, decay):
    """The diagonal approximation (modes form of incoherent data) has an end of its own, and the flow goes there."""
    data = own.make_data("incoherent", (2, 2, 3), 2, 5)
    network = layers("cnn", data)
    moments = SecondMoments.from_data(data.images, data.targets, form=form)
    weights = network.init_small(1.0, rng=0)
    end = steady_state(network, moments, weights, weight_decay=decay)
    run = gradient_flow(network, moments, weights, LONG, weight_decay=decay, **TIGHT)
    assert oracles.worst(end.weights, run.weights(-1)) <= 1e-7
    assert oracles.error(end.effective_singular_values, run.effective_singular_values[-1]) <= 1e-7
    assert oracles.error(end.predictor, network.effective_predictor(run.weights(-1))) <= 1e-7


# --- P's network -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["auto", "dense", "samples"])
@pytest.mark.parametrize("scale", [1e-3, 0.5])
def test_modes_without_common_frequency_end_where_the_flow_ends(scale, form):
    network, _, weights, images, targets = problem((2, 4, 3), 3, scale=scale, seed=4)
    moments = SecondMoments.from_data(images, targets, form=form)
    end = steady_state(network, moments, weights)
    run = gradient_flow(network, moments, weights, LONG, **TIGHT)
    assert end.method == "mode clock"
    assert oracles.worst(end.weights, run.weights(-1)) <= 1e-6
    assert end.loss <= 1e-15  # of losses near 1, that cancel in the dense form
    assert oracles.error(end.effective_singular_values, np.diag(moments.modes().s)) <= 1e-12
    assert oracles.error(end.predictor, network.effective_predictor(end.weights)) <= 1e-14


def test_a_mode_that_is_never_learned_is_named():
    """``a_f(0) = -κ_f(0)`` on all its frequencies: turn the dense layer against the kernel for mode 1 only."""
    network, moments, _, _, _ = problem((1, 4, 3), 2, scale=0.1, seed=2)
    start = network.init_balanced(moments, 0.3, rng=0)
    modes = moments.modes()
    side = np.einsum("kr,khwc->rhwc", modes.u, start[1])
    side[1] *= -1.0  # A_1f, and with it a_f
    weights = [start[0], np.einsum("kr,rhwc->khwc", modes.u, side)]
    end = steady_state(network, moments, weights)
    assert "Never learned, by this start: mode 1." in end.reason
    s = modes.s
    assert oracles.error(end.effective_singular_values, np.diag([s[0], 0.0])) <= 1e-12
    assert end.loss == pytest.approx(0.5 * s[1] ** 2 / modes.d[1], rel=1e-10)
    assert np.isinf(ModeClock(modes, network, weights).theta(np.inf)[1])


# --- a start that does not move --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cnn-modes", "cnn-samples-deep", "fcn-samples-deep-decay"])
def test_zero_weights_stay(name):
    p = PROBLEMS[name]
    zero = [0.0 * w for w in p.weights]
    end = steady_state(p.network, p.moments, zero, weight_decay=p.decay)
    assert end.method == "critical start"
    assert all((w == 0).all() for w in end.weights)
    assert end.loss == pytest.approx(0.5 * p.moments.target_power)
    run = gradient_flow(p.network, p.moments, zero, LONG, weight_decay=p.decay)
    assert all((w == 0).all() for w in run.weights(-1))


# --- two layers, unbalanced ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("kind", "widths"), [("cnn", (4,)), ("fcn", (20,))])
def test_wide_random_networks_end_at_least_squares(kind, widths, seed):
    """C + K = 4 hidden channels, D + K = 20 hidden units: unbalanced enough with probability 1."""
    data = own.make_data("incoherent", (2, 3, 3), 2, seed)
    network = layers(kind, data, widths)
    moments = SecondMoments.from_data(data.images, data.targets, form="samples")
    weights = network.init_small(0.3, rng=seed)
    end = steady_state(network, moments, weights)
    run = gradient_flow(network, moments, weights, LONG, **TIGHT)
    x = data.images.reshape(len(data.images), -1)
    residual = data.targets - x @ np.linalg.lstsq(x, data.targets, rcond=None)[0]
    assert end.method == "least squares"
    assert end.weights is None
    assert end.loss == pytest.approx(0.5 * (residual**2).sum() / len(x), abs=1e-12)
    assert run.loss[-1] == pytest.approx(end.loss, abs=1e-10)
    assert oracles.error(run.effective_singular_values[-1], end.effective_singular_values) <= 1e-6


def test_the_predictor_is_given_where_the_data_see_every_image():
    rng = np.random.default_rng(0)
    images, targets = rng.standard_normal((40, 1, 3, 3)), rng.standard_normal((40, 2))
    network = LinearCNN((1, 3, 3), widths=(3,), n_outputs=2)
    moments = SecondMoments.from_data(images, targets, form="dense")
    weights = network.init_small(0.3, rng=1)
    end = steady_state(network, moments, weights)
    run = gradient_flow(network, moments, weights, LONG, **TIGHT)
    assert oracles.error(end.predictor, network.effective_predictor(run.weights(-1))) <= 1e-7


def test_a_large_kernel_and_a_small_dense_layer_are_enough_for_one_channel():
    """|κ_f|² > ‖A_f‖² at every frequency: then κ_f never vanishes."""
    p = PROBLEMS["cnn-modes"]
    data = own.make_data("incoherent", (1, 4, 3), 3, 1)
    moments = SecondMoments.from_data(data.images, data.targets, form="dense")
    network = LinearCNN((1, 4, 3), n_outputs=3)
    kernel = np.zeros((1, 4, 3, 1))
    kernel[0, 0, 0, 0] = 2.0  # flat spectrum 2/√12
    weights = [kernel, 0.01 * p.weights[1]]
    end = steady_state(network, moments, weights)
    assert end.method == "least squares"
    run = gradient_flow(network, moments, weights, LONG, **TIGHT)
    assert run.loss[-1] == pytest.approx(end.loss, abs=1e-9)
    with pytest.raises(ArgumentError, match="not unbalanced enough"):
        steady_state(network, moments, [0.01 * kernel, p.weights[1]])


def test_a_saddle_that_the_theorem_must_not_promise_away():
    """κ = 0, and A orthogonal to the residual: unbalanced at every frequency, the wrong way, and it never moves.

    With tiny noise in place of exact zeros the gradient is not exactly 0, so that it is the theorem that is asked.
    """
    images = np.array([[[[1.0, 2.0, 3.0]]]])
    moments = SecondMoments.from_data(images, np.array([[1.0, 0.0]]), form="dense")
    network = LinearCNN((1, 1, 3), n_outputs=2)
    dense = np.zeros((2, 1, 3, 1))
    dense[1, 0, :, 0] = [1.0, 0.3, -0.2]
    weights = [np.full((1, 1, 3, 1), 1e-30), dense]
    with pytest.raises(ArgumentError, match="not unbalanced enough"):
        steady_state(network, moments, weights)


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "decay", "text"),
    [
        ("cnn-samples-deep", 0.0, "least squares is certain for two layers"),
        ("cnn-dense-channels", 0.1, "weight_decay is 0.1"),
        ("fcn-modes", 0.2, "without weight decay"),
        ("cnn-modes", 0.0, "share the frequency"),
    ],
)
def test_where_no_theorem_is_known_it_says_why_and_what_to_do(name, decay, text):
    p = PROBLEMS[name]
    with pytest.raises(ArgumentError, match=text) as caught:
        steady_state(p.network, p.moments, p.weights, weight_decay=decay)
    assert "Stationary(terminal=True)" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bad_arguments_are_named():
    p = PROBLEMS["cnn-modes"]
    for call, text in [
        (lambda: steady_state(None, p.moments, p.weights), "network is None"),
        (lambda: steady_state(p.network, p.data.images, p.weights), "moments is a ndarray"),
        (lambda: steady_state(p.network, p.moments, p.weights[:1]), "weights has 1 arrays"),
        (lambda: steady_state(p.network, p.moments, p.weights, weight_decay=-1.0), "weight_decay is -1"),
    ]:
        with pytest.raises(ArgumentError, match=text):
            call()

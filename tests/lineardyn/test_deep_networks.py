"""Depths 1-5, channels 1-4, both conventions of the kernels: gradients, packing, and every verb that takes weights.

A correlation with w is the convolution with w mirrored, ``w[-m, -n]``: that, in pixel space, is the reference
throughout. ROUND_OFF: products of at most 5 layers of sums of at most 4·24 terms, relative to the sums of magnitudes.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineardyn.closed_form import ModeClock
from lineardyn.flow.gradient_flow import gradient_flow
from lineardyn.invariants import balance, balance_ratio, invariant_drift
from lineardyn.moments import SecondMoments
from lineardyn.networks import LinearCNN, LinearFCN
from lineardyn.training import gradient_descent, max_learning_rate
from lineardyn.trajectory import Trajectory
from tests import oracles
from tests import strategies as own
from tests.lineardyn.problems import cosine_images

ROUND_OFF = 1e-12
CONVENTIONS = ["convolution", "correlation"]
conventions = st.sampled_from(CONVENTIONS)
shapes = st.sampled_from([s for s in own.SHAPES if s[0] * s[1] <= 12])
hidden = st.lists(st.integers(1, 4), max_size=4).map(tuple)


def mirrored(weights):
    """``w[m, n] -> w[-m, -n]`` of all layers but the last."""

    def turn(w):
        _, height, width, _ = w.shape
        return w[:, -np.arange(height) % height][:, :, -np.arange(width) % width]

    return [*(turn(w) for w in weights[:-1]), weights[-1]]


def as_convolution(network, weights):
    correlates = isinstance(network, LinearCNN) and network.convention == "correlation"
    return mirrored(weights) if correlates else list(weights)


@st.composite
def cases(draw):
    """A network of any depth and width, weights and data for it."""
    kind, shape, channels = draw(st.sampled_from(["cnn", "fcn"])), draw(shapes), draw(st.integers(1, 4))
    data = own.make_data("incoherent", (channels, *shape), draw(own.outputs), draw(own.seeds))
    widths = draw(hidden)
    if kind == "cnn":
        options = {"widths": widths, "n_outputs": data.n_outputs, "convention": draw(conventions)}
        network = LinearCNN(data.image_shape, **options)
    else:
        network = LinearFCN(data.image_shape, widths=widths, n_outputs=data.n_outputs)
    return network, own.random_weights(kind, data.image_shape, widths, data.n_outputs, data.seed), data


def magnitude(network, weights, data):
    """What round-off is relative to: outputs of magnitudes, targets, and the weights that multiply them."""
    outputs = oracles.predict([np.abs(w) for w in as_convolution(network, weights)], np.abs(data.images))
    return max(1.0, float(outputs.max()), float(np.abs(data.targets).max()))


def correlate(weights, images):
    """The network by the definition of the correlation: ``y[i, j] = Σ w[m, n] x[i+m, j+n]``."""
    for w in weights[:-1]:
        images = sum(
            np.einsum("oc,ncij->noij", w[:, m, n], np.roll(images, (-m, -n), (2, 3)))
            for m in range(w.shape[1])
            for n in range(w.shape[2])
        )
    return np.einsum("kijc,ncij->nk", weights[-1], images)


@given(case=cases())
def test_predict_is_the_convolution_or_the_correlation(case):
    network, weights, data = case
    if isinstance(network, LinearCNN) and network.convention == "correlation":
        wanted = correlate(weights, data.images)
    else:
        wanted = oracles.predict(weights, data.images)
    assert np.abs(network.predict(weights, data.images) - wanted).max() <= ROUND_OFF * magnitude(network, weights, data)


@given(case=cases())
def test_packing_goes_there_and_back_and_keeps_the_norm(case):
    network, weights, _ = case
    state = network.pack(weights)
    for got, wanted in zip(network.unpack(state), weights, strict=True):
        assert np.abs(got - wanted).max() <= 1e-14 * max(1.0, np.abs(wanted).max())
    again = network.pack(network.unpack(state))
    assert np.abs(again - state).max() <= 1e-14 * max(1.0, np.abs(state).max())
    assert network.state_weights @ state**2 == pytest.approx(sum((w**2).sum() for w in weights), rel=1e-13)


@given(case=cases(), form=st.sampled_from(["dense", "samples"]), decay=st.sampled_from([0.0, 0.3]))
def test_gradient_is_the_backward_pass_in_pixel_space(case, form, decay):
    network, weights, data = case
    moments = SecondMoments.from_data(data.images, data.targets, form=form)
    got = network.gradient(weights, moments, weight_decay=decay)
    wanted = oracles.gradient(as_convolution(network, weights), data.images, data.targets, decay)
    scale = magnitude(network, weights, data) ** 2
    for a, b in zip(as_convolution(network, got), wanted, strict=True):
        assert np.abs(a - b).max() <= 100 * ROUND_OFF * scale


WIDTHS = [(), (4,), (1, 3), (2, 4, 1), (2, 1, 3, 2)]


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("widths", WIDTHS, ids=len)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_gradient_equals_finite_differences(channels, widths, convention):
    """Of ½⟨‖y - f‖²⟩ + ½λΣ‖w‖² written out here; h = 1e-5: h² times a third derivative ≤ 1e2, eps·loss/h ≤ 1e-9."""
    data = own.make_data("incoherent", (channels, 2, 3), 2, channels)
    network = LinearCNN(data.image_shape, widths=widths, n_outputs=2, convention=convention)
    weights = own.random_weights("cnn", data.image_shape, widths, 2, 1, scale=0.3)
    moments = SecondMoments.from_data(data.images, data.targets)
    forward = correlate if convention == "correlation" else oracles.predict

    def loss(w):
        penalty = 0.1 * sum((a * a).sum() for a in w)
        return 0.5 * ((data.targets - forward(w, data.images)) ** 2).sum(axis=1).mean() + penalty

    rng = np.random.default_rng(0)
    gradient = network.gradient(weights, moments, weight_decay=0.2)
    assert network.loss(weights, moments, weight_decay=0.2) == pytest.approx(loss(weights), rel=ROUND_OFF)
    for layer, slope in enumerate(gradient):  # two random directions and one pixel of each layer
        directions = [*rng.standard_normal((2, *slope.shape)), np.eye(1, slope.size).reshape(slope.shape)]
        for direction in directions:
            step = 1e-5 * direction
            up, down = (
                [*weights[:layer], w, *weights[layer + 1 :]] for w in (weights[layer] + step, weights[layer] - step)
            )
            wanted = (loss(up) - loss(down)) / 2e-5
            assert (slope * direction).sum() == pytest.approx(wanted, rel=1e-6, abs=1e-7)


# --- the correlation, through every verb -----------------------------------------------------------------------------

DATA = own.make_data("incoherent", (2, 3, 4), 3, 6)
MOMENTS = SecondMoments.from_data(DATA.images, DATA.targets)
CONVOLVING = LinearCNN((2, 3, 4), widths=(3, 2), n_outputs=3)
CORRELATING = LinearCNN((2, 3, 4), widths=(3, 2), n_outputs=3, convention="correlation")
START = own.random_weights("cnn", (2, 3, 4), (3, 2), 3, 2, scale=0.2)


def assert_mirrored(correlations, convolutions, tolerance):
    for a, b in zip(mirrored(correlations), convolutions, strict=True):
        assert np.abs(a - b).max() <= tolerance


def test_the_spectra_of_a_correlation_flow_as_those_of_a_convolution():
    """Both are integrated from states that differ by round-off, with the same steps."""
    options = {"rtol": 1e-8, "atol": 1e-10, "weight_decay": 0.1}
    one = gradient_flow(CORRELATING, MOMENTS, START, [0.0, 0.5, 2.0], **options)
    two = gradient_flow(CONVOLVING, MOMENTS, mirrored(START), [0.0, 0.5, 2.0], **options)
    assert np.abs(one.states - two.states).max() <= 1e-10
    assert np.abs(one.kernel_spectrum - two.kernel_spectrum).max() <= 1e-10
    assert_mirrored(one.weights(-1), two.weights(-1), 1e-10)
    assert_mirrored(one.at(0.7), two.at(0.7), 1e-10)


@pytest.mark.parametrize("batch", [None, 1, 3])
def test_descent_of_a_correlation(batch):
    options = {"learning_rate": 0.01, "n_steps": 20, "batch_size": batch, "rng": None if batch is None else 4}
    run = gradient_descent(CORRELATING, (DATA.images, DATA.targets), START, **options)
    draws = np.random.default_rng(4).integers(len(DATA.images), size=(20, batch)) if batch else [None] * 20
    wanted = oracles.descend(mirrored(START), DATA.images, DATA.targets, learning_rate=0.01, batches=draws)
    assert_mirrored(run.weights(-1), wanted[-1], ROUND_OFF)
    assert max_learning_rate(CORRELATING, MOMENTS, START) == pytest.approx(
        max_learning_rate(CONVOLVING, MOMENTS, mirrored(START)), rel=1e-6
    )


def test_balance_of_a_correlation_is_that_of_its_convolution_and_conserved():
    """To what rtol = 1e-9 lets it drift."""
    for one, two in zip(balance(CORRELATING, START), balance(CONVOLVING, mirrored(START)), strict=True):
        assert np.abs(one - two).max() <= ROUND_OFF
    run = gradient_flow(CORRELATING, MOMENTS, START, [0.0, 1.0, 3.0], rtol=1e-9, atol=1e-12)
    assert invariant_drift(run).max() <= 1e-7
    two_layers = LinearCNN((2, 3, 4), widths=(3,), n_outputs=3, convention="correlation")
    start = two_layers.init_balanced(MOMENTS, 0.1, rng=0)
    ratio = balance_ratio(gradient_flow(two_layers, MOMENTS, start, [0.0]))
    assert ratio == pytest.approx(np.ones((1, 3, 4)), rel=1e-9)


def test_mode_clock_of_a_correlation():
    """The closed form in the framework's own kernels, against the flow at rtol 1e-10: 1e-7 of weights of order 0.1."""
    data = np.concatenate([cosine_images((4, 5), [(1, 2), (2, 0)], [2.0, 1.0])] * 2, axis=1), np.eye(2)
    moments = SecondMoments.from_data(*data)
    network = LinearCNN((2, 4, 5), n_outputs=2, convention="correlation")
    start = network.init_balanced(moments, 0.1, rng=0)
    assert np.abs(start[0] - mirrored(start)[0]).max() > 0.01
    clock = ModeClock(moments.modes(), network, start)
    run = gradient_flow(network, moments, start, [0.0, 0.3, 1.0], rtol=1e-10, atol=1e-13)
    for i, t in enumerate(run.t):
        assert oracles.worst(clock.at(t), run.weights(i)) <= 1e-7
    assert oracles.worst([w[1] for w in clock.at(run.t)], run.weights(1)) <= 1e-7


def test_saved_run_keeps_the_convention(tmp_path):
    run = gradient_flow(CORRELATING, MOMENTS, START, [0.0, 0.5])
    run.save(tmp_path / "run.npz")
    again = Trajectory.load(tmp_path / "run.npz")
    assert again.network == CORRELATING
    assert all(np.array_equal(a, b) for a, b in zip(again.weights(-1), run.weights(-1), strict=True))


def test_files_from_before_the_keyword_are_convolutions(tmp_path):
    run = gradient_flow(CONVOLVING, MOMENTS, START, [0.0, 0.5])
    run.save(tmp_path / "run.npz")
    with np.load(tmp_path / "run.npz") as file:
        arrays = dict(file)
    header = json.loads(str(arrays.pop("header")))
    assert header["network"].pop("convention") == "convolution"
    np.savez(tmp_path / "old.npz", header=json.dumps(header), **arrays)
    assert Trajectory.load(tmp_path / "old.npz").network == CONVOLVING

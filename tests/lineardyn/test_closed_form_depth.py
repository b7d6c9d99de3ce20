"""The clock at every depth, for convolutional and fully connected networks, against integration in pixel space."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lineardyn.closed_form import ModeClock, sigmoid, winner_exponents
from lineardyn.closed_form.clock_quadrature import build_deep_clock, position_at
from lineardyn.errors import ArgumentError
from lineardyn.flow.gradient_flow import gradient_flow
from lineardyn.fourier import fft2, ifft2
from lineardyn.moments import SecondMoments
from lineardyn.networks import LinearCNN, LinearFCN
from lineardyn.training import max_learning_rate
from tests import oracles
from tests.lineardyn.disjoint_modes import balanced_problem, disjoint_images
from tests.lineardyn.problems import cosine_images

# kind, hidden widths, (C, H, W), K: depths 1 to 5, odd and even sides, channels of all numbers
CASES = [
    ("cnn", (), (2, 3, 3), 2),
    ("cnn", (3,), (1, 3, 4), 2),
    ("cnn", (2, 2), (2, 3, 3), 2),
    ("cnn", (1, 1), (1, 4, 4), 3),
    ("cnn", (2, 1, 3), (1, 3, 3), 2),
    ("cnn", (1, 1, 1, 1), (1, 1, 5), 2),
    ("fcn", (), (1, 3, 3), 2),
    ("fcn", (4,), (1, 3, 3), 3),
    ("fcn", (4, 3), (2, 2, 3), 3),
    ("fcn", (3, 3, 4), (2, 2, 2), 2),
]
cases = st.sampled_from(CASES)


# --- The clock of deep networks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [0.3, 1.3])  # learned from below, and from far above
@pytest.mark.parametrize("case", CASES)
def test_clock_is_the_flow_at_every_depth(case, scale):
    network, moments, start, images, targets = balanced_problem(*case, scale=scale)
    clock = ModeClock(moments.modes(), network, start)
    times = np.array([0.0, 0.05, 0.2, 1.0])
    got, state = clock.at(times), start
    for i in range(1, len(times)):
        # the end of an integration each: between its steps the reference is a polynomial, 1e-10 off
        state = oracles.flow(state, images, targets, np.diff(times)[i - 1 : i], rtol=1e-13)[-1]
        # the reference's 1e-13 a step, amplified by the growth of b where it is steepest; 2e-13 seen
        assert oracles.worst([w[i] for w in got], state) <= 5e-12


@pytest.mark.parametrize("case", [CASES[2], CASES[4], CASES[8]])
def test_clock_is_gradient_flow_through_a_long_plateau(case):
    network, moments, start, _, _ = balanced_problem(*case, scale=0.08)
    modes = moments.modes()
    clock = ModeClock(modes, network, start)
    t = np.array([0.0, 0.9, 1.0, 1.1]) * clock.learning_time(0.5)[0]
    run = gradient_flow(network, moments, start, t, method="dop853", rtol=1e-11, atol=1e-14)
    # the plateau of length t amplifies a relative error ε of the flow to ε·t·db/dt/b, 10 to 100 ε; 3e-9 allows that
    np.testing.assert_allclose(clock.effective_singular_values(t), run.effective_singular_values, atol=3e-9)


@given(case=cases, seed=st.integers(0, 10**6), log_scale=st.floats(-1.5, 0.3), place=st.floats(0.01, 3))
@settings(max_examples=25)
def test_clock_satisfies_the_differential_equation(case, seed, log_scale, place):
    """The central difference of the weights is minus the gradient, by the oracle in pixel space."""
    network, moments, start, images, targets = balanced_problem(*case, scale=10**log_scale, seed=seed)
    clock = ModeClock(moments.modes(), network, start)
    finite = clock.learning_time(0.5)
    t = place * max(finite.max(), 1.0 / (1.0 / clock.stable_learning_rates()).max())
    rate = 2.0 / clock.stable_learning_rates().min()
    now = clock.at(t)
    gradient = oracles.gradient(now, images, targets)
    slopes = {}
    for h in (2e-3 / rate, 1e-3 / rate):
        before, after = clock.at(max(t - h, 0.0)), clock.at(t + h)
        slopes[h] = [(b - a) / (t + h - max(t - h, 0.0)) for a, b in zip(before, after, strict=True)]
    (coarse, fine), h = slopes.values(), 1e-3 / rate
    size = max(np.abs(w).max() for w in now)
    for a, b, g in zip(coarse, fine, gradient, strict=True):
        # Richardson's estimate of the h² error, doubled; round-off of weights of that size, of t, over h
        noise = size * (1e-14 + 1e-15 * t * rate) / h
        assert np.abs(b + g).max() <= 2 * np.abs(a - b).max() + noise


@given(case=cases, seed=st.integers(0, 10**6), log_scale=st.floats(-2, 0.3))
@settings(max_examples=25)
def test_responses_are_monotone_between_start_and_end_and_restart(case, seed, log_scale):
    network, moments, start, _, _ = balanced_problem(*case, scale=10**log_scale, seed=seed)
    modes = moments.modes()
    clock = ModeClock(modes, network, start)
    last = np.where(np.isfinite(clock.learning_time(0.9)), clock.learning_time(0.9), 0.0).max() + 1.0
    t = np.concatenate([np.linspace(0.0, last, 60), [np.inf]])
    b = np.diagonal(clock.effective_singular_values(t), axis1=1, axis2=2)
    np.testing.assert_allclose(b[-1], modes.s, rtol=1e-12)  # interpolation: Θ(∞) is known to units of round-off
    rise = np.diff(b, axis=0) * np.sign(modes.s - b[0])
    assert (rise >= -1e-12 * modes.s).all()
    middle = clock.at(t[20])
    again = ModeClock(modes, network, middle)
    for x, y in zip(again.at(t[40] - t[20]), clock.at(t[40]), strict=True):
        # round-off 1e-15 of the middle state, amplified by the plateau: t db/dt/b, up to 1e4 here
        np.testing.assert_allclose(x, y, rtol=0, atol=1e-9)
    assert (clock.theta(t)[0] == 0.0).all()


def test_layers_stay_balanced_and_the_rest_of_a_layer_stays_as_it_is():
    """κ_l is one for all layers; a part of a layer that meets neither chain vector does not move."""
    network, moments, start, _, _ = balanced_problem("cnn", (2, 2), (2, 3, 3), 2, scale=0.3)
    clock = ModeClock(moments.modes(), network, start)
    rng = np.random.default_rng(0)
    hidden = np.linalg.svd(fft2(start[1].transpose(0, 3, 1, 2)).transpose(2, 3, 0, 1))
    extra = 0.2 * fft2(rng.standard_normal((3, 3)))[..., None, None] * hidden[0][..., 1:] * hidden[2][..., 1:, :]
    more = [start[0], start[1] + ifft2(extra.transpose(2, 3, 0, 1)).real.transpose(0, 2, 3, 1), start[2]]
    richer = ModeClock(moments.modes(), network, more)
    for i, (a, b) in enumerate(zip(clock.at(2.0), richer.at(2.0), strict=True)):
        np.testing.assert_allclose(b - a, more[i] - start[i], atol=1e-14)
    sizes = [np.linalg.norm(fft2(np.moveaxis(w, -1, 1)), axis=(0, 1)) for w in clock.at(2.0)]
    np.testing.assert_allclose(sizes[1], sizes[0], atol=1e-13)
    np.testing.assert_allclose(sizes[2], sizes[0], atol=1e-13)


@pytest.mark.parametrize(("kind", "widths"), [("cnn", (3,)), ("fcn", (6,))])
def test_unbalanced_two_layers_of_any_width_turn_hyperbolically(kind, widths):
    """k = A_1 h_0 and a = B^H u in any direction, not parallel: cosh and sinh of vectors."""
    shape, rng = (1, 3, 3), np.random.default_rng(5)
    images, targets = disjoint_images(shape, 2, 4)
    moments = SecondMoments.from_data(images, targets)
    modes = moments.modes()
    if kind == "cnn":
        network = LinearCNN(shape, widths=widths, n_outputs=2)
        owner = np.linalg.norm(modes.q, axis=1).argmax(axis=0)
        hidden = fft2(0.3 * rng.standard_normal((3, 3, 3)))
        dense = ifft2(modes.u[:, None, owner].reshape(2, 1, 3, 3) * hidden).real
        start = [0.3 * rng.standard_normal((3, 3, 3, 1)), np.moveaxis(dense, 1, -1)]
    else:
        network = LinearFCN(shape, widths=widths, n_outputs=2)
        planes = np.linalg.qr(rng.standard_normal((6, 6)))[0].reshape(6, 2, 3)
        hidden = np.einsum("hrm,mrc->hrc", planes, 0.4 * rng.standard_normal((3, 2, 2)))  # two vectors in each plane
        other = rng.standard_normal((6, 9))
        other -= other @ modes.v.reshape(2, -1).T @ modes.v.reshape(2, -1)
        start = [hidden[..., 0] @ modes.v.reshape(2, -1) + 0.2 * other, modes.u @ hidden[..., 1].T]
    clock = ModeClock(modes, network, start)
    reference = oracles.flow(start, images, targets, np.array([0.7]), rtol=1e-13)[-1]
    assert oracles.worst(clock.at(0.7), reference) <= 5e-12  # as above


def test_start_in_quadrature_is_accepted_and_frozen():
    """A_γf ≠ 0 at a quarter turn from κ_f and A_αf: no output sees it, ever."""
    images = cosine_images((1, 5), [(0, 1), (0, 2)], [1.0, 0.6])
    moments = SecondMoments.from_data(images, np.eye(2))
    network = LinearCNN((1, 1, 5), n_outputs=2)
    start = network.init_balanced(moments, 0.2, rng=0)
    spectrum = fft2(np.moveaxis(start[1], -1, 1))[:, 0]
    spectrum[1, 0, 1] += 0.4j * spectrum[0, 0, 1]
    spectrum[1, 0, 4] -= 0.4j * spectrum[0, 0, 4]
    start[1] = ifft2(spectrum).real[..., None]
    reference = oracles.flow(start, images, np.eye(2), np.array([2.0]), rtol=1e-13)[-1]
    assert oracles.worst(ModeClock(moments.modes(), network, start).at(2.0), reference) <= 5e-12


def test_a_mode_of_zero_weights_is_never_learned_at_any_depth():
    for widths in [(1,), (1, 1), (2, 2, 2)]:
        network, moments, start, _, _ = balanced_problem("cnn", widths, (1, 3, 3), 2, scale=0.3)
        clock = ModeClock(moments.modes(), network, [0 * w for w in start])
        assert max(np.abs(w).max() for w in clock.at(np.inf)) == 0.0
        assert np.isinf(clock.learning_time(0.5)).all()
        assert clock.learning_order().size == 0
        assert np.isinf(clock.stable_learning_rates()).all()
        np.testing.assert_allclose(clock.theta(2.0), 2.0 * moments.modes().s, rtol=1e-15)


def test_starts_too_small_for_float64_wait_for_ever_without_overflow():
    network, moments, start, _, _ = balanced_problem("cnn", (1, 1, 1, 1), (1, 3, 3), 2, scale=1.0)
    clock = ModeClock(moments.modes(), network, [1e-110 * w for w in start])  # κ^{L-2} underflows
    assert (clock.effective_singular_values([0.0, 1e300]) == 0.0).all()
    assert np.isinf(clock.learning_time(0.5)).all()
    mode = {"s": 1.0, "b0": 1e-320, "n_pixels": 4, "multiplicity": 1, "depth": 60, "d": 1.0}
    assert sigmoid([0.0, 1e300, np.inf], **mode).tolist() == [1e-320, 1e-320, 1.0]


def test_a_small_chain_out_of_balance_is_refused_beside_a_large_one():
    """An error of 1e-3 of a κ that is 1e-9 of the largest."""
    network, moments, start, _, _ = balanced_problem("cnn", (1, 1), (1, 3, 4), 2, scale=0.3)
    mine = np.linalg.norm(moments.modes().q, axis=1).argmax(axis=0) == 1
    factors = [np.where(mine, 1e-9 * x, 1.0) for x in (1.0, 1.0, 1.001)]
    spectra = [fft2(np.moveaxis(w, -1, 1)) * x for w, x in zip(start, factors, strict=True)]
    small = [np.moveaxis(ifft2(s).real, 1, -1) for s in spectra]
    with pytest.raises(ArgumentError, match=r"belongs to mode 1, it is .*one κ for all"):
        ModeClock(moments.modes(), network, small)


def test_learning_order_is_that_of_the_learning_times():
    """A larger head start beats a larger singular value; null modes are left out."""
    images = cosine_images((4, 5), [(0, 1), (1, 2), (0, 0)], [1.0, 0.9, 0.0])
    targets = np.linalg.qr(np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]))[0].T
    moments = SecondMoments.from_data(images[:2], targets)
    network = LinearCNN((1, 4, 5), n_outputs=3)
    start = network.init_balanced(moments, 1e-3, rng=0)
    assert ModeClock(moments.modes(), network, start).learning_order().tolist() == [0, 1]
    ahead = np.abs(moments.modes().q[1, 0]) > 1e-9
    boosted = [ifft2(fft2(np.moveaxis(w, -1, 1)) * (1 + 20 * ahead)).real for w in start]
    clock = ModeClock(moments.modes(), network, [np.moveaxis(w, 1, -1) for w in boosted])
    assert clock.learning_order().tolist() == [1, 0]
    assert clock.learning_time().tolist() == clock.learning_time(0.5).tolist()


@given(
    depth=st.integers(3, 7),
    seed=st.integers(0, 10**6),
    log_b=st.floats(-40, 6),
    log_share=st.floats(-8, 0),
    place=st.floats(1e-3, 1 - 1e-3),
)
@settings(max_examples=12)
@example(depth=3, seed=0, log_b=-40.0, log_share=0.0, place=0.5)
def test_deep_clock_against_forty_digits(depth, seed, log_b, log_share, place):
    """Θ(t) of three frequencies, one of them the lead, with t by mpmath's quadrature."""
    rng = np.random.default_rng(seed)
    share = np.array([1.0, np.exp(log_share), np.exp(log_share * rng.random())])
    log_each = log_b + rng.uniform(-2, 2, 3)
    clock = build_deep_clock(share, log_each, 1.0, depth=depth, horizon=2.5)
    if abs(clock.end) < 1e-3:
        return  # b(0) within a thousandth of s: nothing to measure
    target = place * clock.end
    with mpmath.workdps(40):
        p = mpmath.mpf(depth) / (depth - 2)

        def pace(x):
            fall = [1 - mpmath.mpf(float(r)) * (1 - mpmath.exp(-x)) for r in share]
            b = sum(mpmath.exp(mpmath.mpf(float(e))) * f**-p for e, f in zip(log_each, fall, strict=True))
            return 2.5 * mpmath.exp(-x) / (1 - b)

        time = float(mpmath.quad(pace, [target * i / 8 for i in range(9)]))
    position = position_at([clock], np.array([time]))[0, 0]
    # t carries a few units of its own round-off; X moves by dX/dt times that
    moved = abs(float(1 / pace(mpmath.mpf(target)))) * time
    assert abs(position - target) <= 1e-13 * abs(clock.end) + 2e-14 * moved


@pytest.mark.parametrize("case", [c for c in CASES if c[0] == "cnn"])
def test_stable_learning_rate_is_two_over_the_largest_curvature(case):
    network, moments, start, _, _ = balanced_problem(*case, scale=0.3)
    clock = ModeClock(moments.modes(), network, start)
    wanted = max_learning_rate(network, moments, clock.at(np.inf))
    assert clock.stable_learning_rates().min() == pytest.approx(wanted, rel=1e-7)  # of the eigenvalue, by Lanczos


# --- Winners ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_exponents_are_the_slopes_of_the_clock(depth):
    """ln of |κ_f|/|κ_winner| against ln σ, between two small scales; frequencies 1 > 2 > DC."""
    image = ifft2(np.array([[1.5, 3.0, 2.0, 2.0, 3.0]])).real[None, None]
    moments = SecondMoments.from_data(image, np.ones((1, 1)))
    network = LinearCNN((1, 1, 5), widths=(1,) * (depth - 1), n_outputs=1)
    scales = [1e-5, 1e-7]
    ends = []
    for scale in scales:
        clock = ModeClock(moments.modes(), network, network.init_balanced(moments, scale, rng=0))
        ends.append(clock.kernel_spectrum(np.inf)[0, 0])
        assert clock.winners().tolist() == [[0, 1]]
    slopes = np.log((ends[0] / ends[0][1]) / (ends[1] / ends[1][1])) / np.log(scales[0] / scales[1])
    wanted = winner_exponents(moments.modes(), depth=depth)[0, 0]
    np.testing.assert_allclose(slopes, wanted, atol=2e-3)  # corrections: κ_f² σ^{2e}, e = 1/3 the smallest; 5e-4 seen


def test_deep_networks_remember_their_start():
    """Three layers: the largest r_f ‖q_f‖ wins at every scale, two layers: the largest ‖q_f‖."""
    image = ifft2(np.array([[0.0, 3.0, 2.5, 2.5, 3.0]])).real[None, None]
    moments = SecondMoments.from_data(image, np.ones((1, 1)))
    relative = np.array([[1.0, 1.0, 1.5, 1.5, 1.0]])
    for depth, winner in [(2, 1), (3, 2), (4, 2)]:
        network = LinearCNN((1, 1, 5), widths=(1,) * (depth - 1), n_outputs=1)
        start = network.init_balanced(moments, 1e-7, rng=0)
        start = [np.moveaxis(ifft2(fft2(np.moveaxis(w, -1, 1)) * relative).real, 1, -1) for w in start]
        assert ModeClock(moments.modes(), network, start).winners().tolist() == [[0, winner]]
        assert winner_exponents(moments.modes(), depth=depth, start=relative)[0, 0].argmin() == winner


# --- Refusals --------------------------------------------------------------------------------------------------------


def test_unbalanced_deep_start_is_refused_and_names_the_frequency():
    network, moments, start, _, _ = balanced_problem("cnn", (1, 1), (1, 3, 4), 2, scale=0.3)
    with pytest.raises(
        ArgumentError, match=r"weights\[1\] is not aligned .*at frequency .*one κ for all.*gradient_flow"
    ):
        ModeClock(moments.modes(), network, [start[0], 1.01 * start[1], start[2]])
    network, moments, start, _, _ = balanced_problem("fcn", (3, 3), (1, 3, 4), 2, scale=0.3)
    with pytest.raises(ArgumentError, match=r"is not aligned .*in mode \d.*gradient_flow"):
        ModeClock(moments.modes(), network, [start[0], start[1] + 0.01, start[2]])


def test_fully_connected_start_whose_modes_share_hidden_directions_is_refused():
    network, moments, start, _, _ = balanced_problem("fcn", (4,), (1, 3, 3), 2, scale=0.3)
    modes = moments.modes()
    with pytest.raises(ArgumentError, match=r"weights\[1\] is not aligned"):
        ModeClock(modes, network, network.init_small(0.3, rng=0))
    k = np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])  # W_1 v of the two modes overlap
    with pytest.raises(ArgumentError, match=r"weights\[0\] is not aligned .*right angles"):
        ModeClock(modes, network, [k @ modes.v.reshape(2, -1), 0 * start[1]])
    one = LinearFCN((1, 3, 3), widths=(), n_outputs=2)
    with pytest.raises(ArgumentError, match=r"weights\[0\] is not aligned .*outside the direction u"):
        ModeClock(modes, one, one.init_small(0.3, rng=0))
    with pytest.raises(ArgumentError, match=r"expected a LinearCNN: frequencies compete"):
        ModeClock(modes, network, start).winners()

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineardyn.closed_form import ModeClock, sigmoid
from lineardyn.closed_form.clock_quadrature import build_clock, position_at
from lineardyn.errors import ArgumentError
from lineardyn.fourier import fft2, ifft2
from lineardyn.modes import Modes
from lineardyn.moments import SecondMoments
from lineardyn.networks import LinearCNN
from tests import oracles
from tests.lineardyn.disjoint_modes import aligned_start, owner_of, problem
from tests.lineardyn.problems import cosine_images

# Odd, even, mixed, one row, and several channels: (image_shape, K)
CASES = [((1, 3, 3), 2), ((2, 4, 3), 3), ((1, 4, 4), 3), ((3, 2, 3), 2), ((1, 1, 5), 2), ((2, 5, 1), 3)]


# --- Against integration in pixel space ------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [0.02, 0.5, 3.0])  # b(0) below s, about s, far above s or far below 0
@pytest.mark.parametrize(("image_shape", "n_outputs"), CASES)
def test_clock_is_the_flow_of_the_weights_from_any_aligned_start(image_shape, n_outputs, scale):
    network, moments, start, images, targets = problem(image_shape, n_outputs, scale=scale, seed=1)
    clock = ModeClock(moments.modes(), network, start)
    times = np.array([0.0, 0.1, 0.3, 1.0, 4.0])
    got, state = clock.at(times), start
    for i in range(1, len(times)):
        # each time is the end of an integration: between steps the reference is a polynomial, 1e-10 off
        state = oracles.flow(state, images, targets, np.diff(times)[i - 1 : i], rtol=1e-13)[-1]
        # the reference's 1e-13 a step, amplified by the growth of the smallest starts (1/0.02); 6e-13 seen
        assert oracles.worst([w[i] for w in got], state) <= 5e-12


@given(case=st.sampled_from(CASES), seed=st.integers(0, 10**6), log_scale=st.floats(-4, 0.5), t=st.floats(0, 3))
@settings(max_examples=25)
def test_clock_satisfies_the_differential_equation(case, seed, log_scale, t):
    """The central difference of the weights is minus the gradient, computed by the oracle in pixel space."""
    network, moments, start, images, targets = problem(*case, scale=10**log_scale, seed=seed)
    modes = moments.modes()
    clock = ModeClock(modes, network, start)
    power = sum((w * w).sum() for w in start)
    rate = np.sqrt(network.n_pixels) * (
        modes.s[0] + modes.d.max() * np.sqrt(network.n_pixels) * power
    )  # >= |c (s - b)|
    h = 1e-3 / rate
    before, now, after = (clock.at(t + k * h) for k in (0, 1, 2))
    slope = [(b - a) / (2 * h) for a, b in zip(before, after, strict=True)]
    gradient = oracles.gradient(now, images, targets)
    size = max(np.abs(w).max() for w in now)
    for a, g in zip(slope, gradient, strict=True):
        # central difference: h²/6 of the third derivative (size·rate³), and round-off 1e-15·size / h
        assert np.abs(a + g).max() <= size * (h**2 * rate**3 + 4e-15 / h)


def test_effective_singular_values_and_kernel_spectrum_are_those_of_the_weights():
    network, moments, start, images, _ = problem((2, 3, 4), 3, scale=0.2, seed=4)
    modes = moments.modes()
    clock = ModeClock(modes, network, start)
    t = np.array([0.0, 0.4, 2.0, np.inf])
    weights, b, spectrum = clock.at(t), clock.effective_singular_values(t), clock.kernel_spectrum(t)
    assert b.shape == (4, 3, 3)
    for i in range(4):
        outputs = oracles.predict([w[i] for w in weights], images)
        response = outputs.T @ images.reshape(3, -1) / 3  # Σ^ŷx
        direct = modes.u.T @ response @ modes.v.reshape(3, -1).T
        np.testing.assert_allclose(b[i], direct, atol=1e-13)  # round-off of sums of size about 1
        np.testing.assert_allclose(spectrum[i], np.abs(oracles.dft2(weights[0][i, 0].transpose(2, 0, 1))), atol=1e-14)
    np.testing.assert_allclose(np.diagonal(b[-1]), modes.s, rtol=1e-13)  # interpolation at the end


def test_one_frequency_is_the_sigmoid():
    """Five pure cosines of one run, each to 1e-12 over all 60 decades between start and end."""
    shape = (6, 5)
    frequencies, amplitudes = [(0, 0), (3, 0), (1, 2), (2, 1), (0, 1)], [0.31, 0.9, 1.2, 0.8, 0.5]
    moments = SecondMoments.from_data(cosine_images(shape, frequencies, amplitudes), np.eye(5))
    network, modes = LinearCNN((1, *shape), n_outputs=5), moments.modes()
    clock = ModeClock(modes, network, network.init_balanced(moments, 1e-7, rng=1))
    t = np.concatenate([[0.0], np.geomspace(1e-6, 1e4, 200)])
    b = np.diagonal(clock.effective_singular_values(t), axis1=1, axis2=2)
    for r, s in enumerate(modes.s):
        m = 1 if np.count_nonzero(np.abs(modes.q[r]) > 1e-8) == 1 else 2
        wanted = sigmoid(t, s=s, b0=b[0, r], n_pixels=30, multiplicity=m)
        np.testing.assert_allclose(b[:, r], wanted, rtol=1e-12)  # condition 2c Θ ~ 40 times 1e-16; 1e-14 seen


# --- The scalar clock against 40 digits ------------------------------------------------------------------------------


def exact_time(c, p, n, s, theta):
    with mpmath.workdps(40):
        c, p, n = ([mpmath.mpf(float(x)) for x in a] for a in (c, p, n))

        def pace(x):
            b = sum(w * mpmath.exp(2 * k * x) for k, w in zip(c, p, strict=True))
            return 1 / (s - b + sum(w * mpmath.exp(-2 * k * x) for k, w in zip(c, n, strict=True)))

        return mpmath.quad(pace, [theta * i / 10 for i in range(11)])


SCALAR = {
    "one": ([1.0], [1e-8], [0.0], 1.0),
    "tiny": ([1.0, 0.7, 0.2], [1e-20, 3e-20, 1e-21], [0.0, 0.0, 0.0], 2.0),
    "unbalanced": ([2.0, 1.5, 0.3], [1e-6, 1e-5, 1e-6], [2e-6, 1e-7, 3e-5], 0.7),
    "far above s": ([2.0, 0.5], [1e4, 3.0], [0.0, 2.0], 0.5),
    "far below 0": ([2.0, 0.5], [1e-3, 1e-4], [50.0, 9.0], 0.5),
    "rates far apart": ([30.0, 0.1], [1e-12, 1e-3], [1e-9, 1e-3], 1.0),
    "never": ([1.0, 3.0], [0.0, 0.0], [0.3, 40.0], 0.9),
}


@pytest.mark.parametrize("name", SCALAR)
def test_scalar_clock_against_forty_digits(name):
    c, p, n, s = (np.array(x) for x in SCALAR[name])
    with np.errstate(divide="ignore"):
        clock = build_clock(c, np.log(p), np.log(n), float(s))
    end = clock.end if np.isfinite(clock.end) else 30.0
    for share in (1e-4, 0.03, 0.5, 0.95, 0.9999):
        time = float(exact_time(c, p, n, float(s), end * share))
        theta = position_at([clock], np.array([time]))[0, 0]
        # d ln|κ| = c dΘ; Θ carries a few units of 2e-16 of Θ(∞), c Θ(∞) is 25 to 100; 2e-14 seen
        assert c.max() * abs(theta - end * share) <= 2e-13


def test_root_is_exact_without_overflow():
    """b(Θ(∞)) = s where P and N span 600 decades; N(Θ(∞)) underflows and e^{2cΘ(∞)} overflows."""
    with np.errstate(divide="ignore"):
        clock = build_clock(np.array([0.5, 1.0]), np.log([1e-300, 0.0]), np.log([0.0, 1e300]), 1.0)
    with mpmath.workdps(40):
        x = mpmath.mpf(clock.end)
        b = mpmath.mpf(1e-300) * mpmath.exp(x) - mpmath.mpf(1e300) * mpmath.exp(-2 * x)
    assert abs(float(b - 1)) <= 1e-12  # Θ ~ 690, units of 2e-16
    theta = position_at([clock], np.array([0.0, 1e-300, 1.0, 1e300, np.inf]))[:, 0]
    assert theta[0] == 0.0
    assert theta[-1] == clock.end
    assert (np.diff(theta) >= 0).all()
    # y = Θ - ln(1e300)/2 follows dy/dt = 1 + e^{-2y} from -∞: e^{2y} = e^{2t} - 1
    assert theta[2] == pytest.approx(np.log(1e300) / 2 + np.log(np.expm1(2.0)) / 2, rel=1e-13)


@given(
    seed=st.integers(0, 10**6),
    log_p=st.floats(-60, 12),
    log_n=st.floats(-60, 12),
    spread=st.floats(0, 4),
)
def test_scalar_clock_is_monotone_and_consistent_everywhere(seed, log_p, log_n, spread):
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 6))
    c = np.exp(rng.uniform(-spread, spread, size))
    clock = build_clock(c, log_p + rng.uniform(-3, 3, size), log_n + rng.uniform(-3, 3, size), 1.0)
    last = 2 * clock.times[-1] + 1.0
    t = np.concatenate([[0.0], np.geomspace(last * 1e-12, last, 300), [np.inf]])
    theta = position_at([clock], t)[:, 0]
    scale = abs(clock.end)
    assert np.isfinite(theta).all()
    assert theta[-1] == clock.end
    assert (np.diff(theta) * np.sign(clock.end) >= -1e-14 * scale).all()
    # t(Θ(t)) = t where Θ still moves: z is known to 1e-15 z
    z = -np.log(np.abs(clock.end - theta[1:-1]) + 1e-300)
    moving = np.abs(clock.end - theta[1:-1]) > 1e-3 * scale
    back = np.array([clock.time_of(x) for x in z[moving]])
    pace = clock.seconds(z[moving])
    assert (np.abs(back - t[1:-1][moving]) <= 1e-11 * t[1:-1][moving] + 1e-11 * pace).all()


# --- Limits and structure --------------------------------------------------------------------------------------------


@given(case=st.sampled_from(CASES), seed=st.integers(0, 10**6), share=st.floats(0.05, 0.95))
@settings(max_examples=25)
def test_clock_restarts_midway_and_a_list_equals_its_loop(case, seed, share):
    network, moments, start, _, _ = problem(*case, scale=0.1, seed=seed)
    modes = moments.modes()
    clock = ModeClock(modes, network, start)
    times = np.array([2.5, 0.0, 1.0])  # any order
    together = clock.at(times)
    for i, t in enumerate(times):
        for a, b in zip(clock.at(t), together, strict=True):
            np.testing.assert_allclose(a, b[i], rtol=0, atol=1e-15)
    again = ModeClock(modes, network, clock.at(2.5 * share))
    for a, b in zip(again.at(2.5 * (1 - share)), together, strict=True):
        # the round-off of the middle state (1e-16) grows with e^{cΘ} at most, from 0.1 to about 1
        np.testing.assert_allclose(a, b[0], rtol=0, atol=1e-12)
    assert (clock.theta(0.0) == 0.0).all()
    np.testing.assert_allclose(together[0][1], start[0], rtol=0, atol=0)  # t = 0 is the start itself
    np.testing.assert_allclose(together[1][1], start[1], rtol=0, atol=0)


def test_invariants_per_frequency():
    network, moments, start, _, _ = problem((2, 4, 3), 3, scale=0.3, seed=8)
    clock = ModeClock(moments.modes(), network, start)
    for first, second in [clock.at(0.5), clock.at(np.inf)]:
        balance = [
            (np.abs(fft2(a[0].transpose(2, 0, 1))) ** 2).sum(0) - (np.abs(fft2(b[..., 0])) ** 2).sum(0)
            for a, b in ((first, second), start)
        ]
        np.testing.assert_allclose(balance[0], balance[1], atol=1e-13)  # round-off of squares of size about 1


def test_power_law_of_the_dominant_frequency():
    """|κ_2/κ_1| at the end ∝ σ^(1-|q_2|/|q_1|) as σ → 0, and the winner is the largest |q| (theory 2.2)."""
    image = ifft2(np.array([[0.0, 3.0, 2.0, 2.0, 3.0]])).real[None, None]
    moments = SecondMoments.from_data(image, np.ones((1, 1)))
    network = LinearCNN((1, 1, 5), n_outputs=1)
    ratios, scales = [], [1e-6, 1e-9]
    for scale in scales:
        clock = ModeClock(moments.modes(), network, network.init_balanced(moments, scale, rng=0))
        spectrum = clock.kernel_spectrum(np.inf)[0, 0]
        ratios.append(spectrum[2] / spectrum[1])
        assert clock.winners().tolist() == [[0, 1]]
    slope = np.log(ratios[0] / ratios[1]) / np.log(scales[0] / scales[1])
    assert slope == pytest.approx(1 - 2 / 3, abs=1e-4)  # corrections of the order of the ratio squared, 1e-4


def test_winner_can_be_the_larger_start():
    """Far from small starts the largest |q| need not win."""
    spectrum = np.array([[0.0, 1.1, 1.0, 1.0, 1.1]])
    moments = SecondMoments.from_data(ifft2(spectrum).real[None, None], np.ones((1, 1)))
    network = LinearCNN((1, 1, 5), n_outputs=1)
    kappa = np.array([[0.0, 0.01, 0.3, 0.3, 0.01]])
    w = ifft2(kappa).real
    clock = ModeClock(moments.modes(), network, [w[None, ..., None], w[None, ..., None]])
    assert clock.winners().tolist() == [[0, 2]]


def test_learning_time_is_when_the_mode_passes_the_fraction():
    network, moments, start, _, _ = problem((1, 4, 4), 3, scale=0.01, seed=2)
    modes = moments.modes()
    clock = ModeClock(modes, network, start)
    for fraction in (0.01, 0.5, 0.95, 1 - 1e-9):
        times = clock.learning_time(fraction)
        for r, t in enumerate(times):
            b = clock.effective_singular_values(t)[r, r]
            assert b == pytest.approx(fraction * modes.s[r], rel=1e-11)
    assert (clock.learning_time(1.0) == np.inf).all()
    late = ModeClock(modes, network, clock.at(100.0))
    assert (late.learning_time(0.5) == 0.0).all()


def test_mode_that_is_never_learned():
    """a = -κ on every frequency: κ → 0, Θ → ∞, no overflow at t = ∞; also from weights of zero."""
    network, moments, start, images, targets = problem((1, 3, 4), 2, scale=0.4, seed=6)
    modes = moments.modes()
    owner = owner_of(modes.q)
    kappa = fft2(start[0][0, ..., 0])
    q = np.take_along_axis(modes.q[:, 0], owner[None], axis=0)[0]
    amplitude = np.where(owner == 0, -1.0, 1.0) * (q / np.abs(q) * kappa).conj()  # mode 0: a = -κ; mode 1: a = κ
    dense = ifft2((modes.u[:, owner] * amplitude).conj()).real[..., None]
    clock = ModeClock(modes, network, [start[0], dense])
    t = np.array([0.0, 0.2, 1.0])
    reference = oracles.flow([start[0], dense], images, targets, t, rtol=1e-12)
    for i in range(3):
        # the reference's instability lets its own round-off grow from 1e-16 by e^{cs t}, c s t ~ 10
        assert oracles.worst([w[i] for w in clock.at(t)], reference[i]) <= 1e-9
    end = clock.effective_singular_values([1e9, np.inf])
    assert np.abs(end[:, 0, 0]).max() == 0.0
    np.testing.assert_allclose(end[:, 1, 1], modes.s[1], rtol=1e-13)
    assert clock.theta(np.inf)[0] == np.inf
    assert clock.winners()[0].tolist() == [-1, -1]
    assert clock.learning_time(0.5)[0] == np.inf
    silent = ModeClock(modes, network, [0 * start[0], 0 * dense])
    assert np.abs(silent.at(np.inf)[0]).max() == 0.0
    assert silent.winners().tolist() == [[-1, -1]] * 2


def test_null_modes_are_frozen_and_have_no_clock():
    """Three classes with their mean subtracted have two modes; the third row and column of B is 0."""
    images = cosine_images((4, 5), [(0, 1), (1, 2), (0, 0)], [1.0, 0.6, 0.0])
    targets = np.array([[1.0, 0.0, -1.0], [0.0, 1.0, -1.0], [0.0, 0.0, 0.0]])
    targets = np.linalg.qr(targets[:2].T)[0].T  # two orthonormal rows in three outputs
    moments = SecondMoments.from_data(images[:2], targets)
    modes = moments.modes()
    assert modes.null.tolist() == [False, False, True]
    network = LinearCNN((1, 4, 5), n_outputs=3)
    clock = ModeClock(modes, network, network.init_balanced(moments, 0.01, rng=0))
    b = clock.effective_singular_values([0.0, 1.0, np.inf])
    assert (b[:, 2] == 0).all()
    assert (b[:, :, 2] == 0).all()
    np.testing.assert_allclose(np.diagonal(b[-1])[:2], modes.s[:2], rtol=1e-13)
    assert clock.winners()[2].tolist() == [-1, -1]
    assert clock.theta(1.0)[2] == 0.0
    assert clock.learning_time(0.5)[2] == np.inf


def test_frequencies_in_no_mode_never_move():
    images = cosine_images((4, 4), [(0, 1), (1, 1)], [1.0, 0.5])
    moments = SecondMoments.from_data(images, np.eye(2))
    modes, network = moments.modes(), LinearCNN((1, 4, 4), n_outputs=2)
    rng = np.random.default_rng(0)
    outside = np.linalg.norm(modes.q, axis=(0, 1)) < 1e-10
    start = network.init_balanced(moments, 0.1, rng=0)
    start = [
        start[0] + ifft2(outside * fft2(rng.standard_normal((4, 4)))).real[None, ..., None],
        start[1] + ifft2(outside * fft2(rng.standard_normal((2, 4, 4)))).real[..., None],
    ]
    end = ModeClock(modes, network, start).at(np.inf)
    for a, b in zip(start, end, strict=True):
        difference = fft2(np.moveaxis(b - a, -1, 1))
        assert np.abs(difference[..., outside]).max() <= 1e-15
        assert np.abs(difference[..., ~outside]).max() > 0.1


# --- Bad calls -------------------------------------------------------------------------------------------------------


def test_shared_frequencies_are_refused_with_the_remedy():
    images = np.random.default_rng(0).standard_normal((2, 1, 3, 3))
    moments = SecondMoments.from_data(images, np.eye(2))
    network = LinearCNN((1, 3, 3), n_outputs=2)
    with pytest.raises(ArgumentError, match=r"modes 0 and 1 share the frequency \(0, 0\).*gradient_flow"):
        ModeClock(moments.modes(), network, network.init_small(0.1, rng=0))


def test_ties_are_named_as_such_and_disjoint_ones_accepted():
    images = cosine_images((4, 4), [(0, 1), (1, 1)], [1.0, 1.0])
    flat, turn = images.reshape(2, -1), np.array([[0.6, 0.8], [-0.8, 0.6]])
    v = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    s = np.linalg.norm(flat, axis=1) / 2
    network = LinearCNN((1, 4, 4), n_outputs=2)
    mixed = Modes(u=turn.T, s=s, v=(turn @ v).reshape(2, 1, 4, 4), d=2 * s**2)
    start = aligned_start(network, SecondMoments.from_data(images, np.eye(2)), 0.0, 0)
    with pytest.raises(ArgumentError, match="singular values are equal"):
        ModeClock(mixed, network, start)
    pure = Modes(u=np.eye(2), s=s, v=v.reshape(2, 1, 4, 4), d=2 * s**2)
    assert ModeClock(pure, network, start).theta(1.0) == pytest.approx(s)  # all weights zero: Θ = s t


def test_start_that_couples_modes_is_refused_and_names_the_frequency():
    network, moments, start, _, _ = problem((1, 3, 4), 2, scale=0.1, seed=0)
    modes = moments.modes()
    f = (1, 2)
    spectrum = np.zeros((2, 3, 4), dtype=complex)
    other = modes.u[:, 1 - owner_of(modes.q)[f]]
    spectrum[:, 1, 2] = 1e-3 * other
    spectrum[:, 2, 2] = 1e-3 * other
    bad = [start[0], start[1] + ifft2(spectrum).real[..., None]]
    with pytest.raises(ArgumentError, match=r"at frequency \(1, 2\).*A_γf = 0.*gradient_flow"):
        ModeClock(modes, network, bad)


def test_null_mode_with_image_power_that_is_seen_is_refused():
    images = cosine_images((4, 5), [(0, 1), (1, 2)], [1.0, 0.6])
    v = images.reshape(2, -1) / np.linalg.norm(images.reshape(2, -1), axis=1, keepdims=True)
    modes = Modes(u=np.eye(2), s=np.array([1.0, 0.0]), v=v.reshape(2, 1, 4, 5), d=np.array([1.0, 0.5]))
    network = LinearCNN((1, 4, 5), n_outputs=2)
    rng = np.random.default_rng(0)
    amplitude = fft2(rng.standard_normal((4, 5))) * (np.abs(modes.q[0, 0]) > 1e-9)
    silent = [
        rng.standard_normal((1, 4, 5, 1)),
        (np.eye(2)[0][:, None, None] * ifft2(amplitude.conj()).real)[..., None],
    ]
    assert ModeClock(modes, network, silent).effective_singular_values(np.inf)[0, 0] == pytest.approx(1.0)
    seen = [silent[0], rng.standard_normal((2, 4, 5, 1))]
    with pytest.raises(ArgumentError, match=r"mode 1 is null|not aligned"):
        ModeClock(modes, network, seen)
    other = fft2(rng.standard_normal((4, 5))) * (np.abs(modes.q[1, 0]) > 1e-9)
    seen[1] = silent[1] + (np.ones(2)[:, None, None] * ifft2(other).real)[..., None]
    with pytest.raises(ArgumentError, match=r"modes.d\[1\].*null"):
        ModeClock(modes, network, seen)


def test_the_start_is_not_changed_and_not_kept():
    network, moments, start, _, _ = problem((1, 3, 3), 2, scale=0.1, seed=0)
    copies = [w.copy() for w in start]
    clock = ModeClock(moments.modes(), network, start)
    clock.at([0.0, 1.0])
    for a, b in zip(start, copies, strict=True):
        np.testing.assert_array_equal(a, b)
        a += 1.0
    np.testing.assert_array_equal(clock.at(0.0)[0], copies[0])

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineardyn.closed_form import (
    clock_recursion,
    convert_learning_rate,
    convert_weight_decay,
    cosine_recursion,
    minimal_norm,
    sgd_recursion,
    sigmoid,
    stable_learning_rate,
)
from lineardyn.errors import ArgumentError
from lineardyn.fourier import fft2, half_spectrum, ifft2, multiplicity
from lineardyn.moments import SecondMoments
from lineardyn.networks import LinearCNN
from tests import oracles
from tests.lineardyn.disjoint_modes import disjoint_images
from tests.lineardyn.problems import cosine_images

# --- Discrete time ---------------------------------------------------------------------------------------------------


def responses(states, images):
    """b of one output and one image: f(x)·|x|."""
    return [float(oracles.predict(w, images)[0, 0] * np.linalg.norm(images)) for w in states]


@pytest.mark.parametrize("frequency", [(0, 0), (2, 0), (1, 2), (0, 1)])  # two self-conjugate, two not
@pytest.mark.parametrize("share", [0.05, 0.8])  # of the largest stable learning rate
def test_cosine_recursion_is_gradient_descent_in_pixel_space(frequency, share):
    shape = (4, 5)
    images, targets = cosine_images(shape, [frequency], [0.8]), np.ones((1, 1))
    moments = SecondMoments.from_data(images, targets)
    network, m = LinearCNN((1, *shape), n_outputs=1), multiplicity(frequency, shape)
    start = network.init_balanced(moments, 0.02, rng=1)
    mode = {"s": float(moments.modes().s[0]), "n_pixels": 20, "multiplicity": m}
    rate = share * stable_learning_rate(**mode)
    states = oracles.descend(start, images, targets, learning_rate=rate, batches=[None] * 60)
    b = responses(states, images)
    # 60 steps of round-off 1e-16, amplified by the growth of b (1e3) at most
    np.testing.assert_allclose(cosine_recursion(60, b0=b[0], learning_rate=rate, **mode), b, rtol=2e-12)


@given(m=st.integers(1, 2), n_pixels=st.integers(1, 400), s=st.floats(0.01, 20))
def test_fixed_point_is_stable_below_the_limit_and_not_above(m, n_pixels, s):
    mode = {"s": s, "n_pixels": n_pixels, "multiplicity": m}
    limit = stable_learning_rate(**mode)
    near = s * (1 + 1e-6)
    below = cosine_recursion(3000, b0=near, learning_rate=0.99 * limit, **mode)
    above = cosine_recursion(3000, b0=near, learning_rate=1.01 * limit, **mode)
    assert abs(below[-1] / s - 1) < 1e-12  # 0.98^3000
    assert abs(above[-1] / s - 1) > 1e-3  # 1.02^n until the two-cycle


def test_recursion_approaches_the_sigmoid_at_first_order():
    mode = {"s": 1.2, "b0": 0.01, "n_pixels": 16, "multiplicity": 2}
    errors = [
        abs(cosine_recursion(n, learning_rate=0.9 / n, **mode)[-1] - sigmoid(0.9, **mode)) for n in (400, 800, 1600)
    ]
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(orders, 1.0, atol=0.03)  # next term of the error: 1/400 of the first, times about 5


def test_recursion_beyond_the_limit_ends_in_inf_without_nan():
    path = cosine_recursion(50, s=1.0, b0=30.0, n_pixels=16, multiplicity=1, learning_rate=2.0)
    assert path[-1] == np.inf
    assert not np.isnan(path).any()
    kappa = clock_recursion(50, s=1.0, d=1.0, q=[1.0, 0.5, 0.0], kappa0=[9.0, 0.0, 1.0], n_pixels=16, learning_rate=2.0)
    assert kappa[-1, 0] == np.inf
    assert not np.isnan(kappa).any()


def magnitudes(weights):
    return np.abs(fft2(weights[0][0].transpose(2, 0, 1)))


@pytest.mark.parametrize(("image_shape", "n_outputs"), [((1, 4, 3), 2), ((1, 3, 3), 3), ((1, 2, 4), 2)])
def test_clock_recursion_is_gradient_descent_in_pixel_space(image_shape, n_outputs):
    images, targets = disjoint_images(image_shape, n_outputs, 5)
    moments = SecondMoments.from_data(images, targets)
    network, modes = LinearCNN(image_shape, n_outputs=n_outputs), moments.modes()
    start = network.init_balanced(moments, 0.05, rng=2)
    rate = 0.3 / (np.sqrt(network.n_pixels) * modes.s[0])
    states = oracles.descend(start, images, targets, learning_rate=rate, batches=[None] * 60)
    direct = np.array([magnitudes(w)[0] for w in states])
    for r in range(n_outputs):
        mine = np.abs(modes.q[r, 0]) > 1e-9
        path = clock_recursion(
            60,
            s=modes.s[r],
            d=modes.d[r],
            q=modes.q[r, 0][mine],
            kappa0=direct[0][mine],
            n_pixels=network.n_pixels,
            learning_rate=rate,
        )
        np.testing.assert_allclose(path, direct[:, mine], rtol=2e-12)  # as above


def test_one_sample_sgd_depends_on_the_count_alone():
    """Three classes of pure cosines, drawn at random: b of each is the recursion at its own count."""
    shape, frequencies, rate = (4, 4), [(0, 0), (1, 2), (2, 2)], 0.02
    images = cosine_images(shape, frequencies, [0.6, 1.1, 0.5])
    moments = SecondMoments.from_data(images, np.eye(3))
    network, modes = LinearCNN((1, *shape), n_outputs=3), moments.modes()
    start = network.init_balanced(moments, 0.05, rng=4)
    draws = np.random.default_rng(0).integers(0, 3, 150)
    states = oracles.descend(start, images, np.eye(3), learning_rate=rate, batches=[np.array([k]) for k in draws])
    for k, f in enumerate(frequencies):
        r = int(np.abs(modes.u[k]).argmax())
        b = np.array([oracles.predict(w, images)[k, k] * np.linalg.norm(images[k]) / 3 for w in states])
        counts = np.concatenate([[0], np.cumsum(draws == k)])
        wanted = sgd_recursion(
            counts,
            s=modes.s[r],
            b0=b[0],
            n_pixels=16,
            multiplicity=multiplicity(f, shape),
            n_classes=3,
            learning_rate=rate,
        )
        np.testing.assert_allclose(b, wanted, rtol=2e-12)  # 50 steps, as above


def test_clock_recursion_counts_draws_as_sgd_does():
    mode = {"s": 0.5, "n_pixels": 16, "n_classes": 3, "learning_rate": 0.05}
    path = clock_recursion(40, d=0.75, q=[2**-0.5, 2**-0.5], kappa0=[0.1, 0.1], **mode)
    b = 0.75 * 4 * 2**-0.5 * 2 * path[:, 0] ** 2
    wanted = sgd_recursion(np.arange(41), b0=b[0], multiplicity=2, **mode)
    np.testing.assert_allclose(b, wanted, rtol=1e-13)
    assert isinstance(sgd_recursion(3, b0=0.1, multiplicity=2, **mode), float)


def test_stable_rates():
    assert stable_learning_rate(s=2.0, n_pixels=9, multiplicity=1) == pytest.approx(1 / 6)
    assert stable_learning_rate(s=2.0, n_pixels=9, multiplicity=2, n_classes=4) == pytest.approx(2**0.5 / 24)


# --- Minimal norm ----------------------------------------------------------------------------------------------------


def cone_minimum(modes):
    """min (2/√P) Σ_f ‖v̂_f‖_F with Σ_f v̂_f q_αf = u_α s_α/d_α; the Frobenius norm bounds the nuclear one below."""
    channels, h, w = modes.image_shape
    half = half_spectrum((h, w))
    q = modes.q.reshape(len(modes.s), channels, -1)[:, :, half.indices]
    v = [cp.Variable((modes.n_outputs, 2 * channels)) for _ in half.indices]  # Re | Im
    split = [np.concatenate([q[:, :, f].real, -q[:, :, f].imag], axis=1).T for f in range(half.size)]
    total = sum(m * (x @ z) for m, x, z in zip(half.weights, v, split, strict=True))
    live = ~modes.null
    constraints = [total[:, live] == modes.u[:, live] * (modes.s[live] / modes.d[live])]
    cost = sum(m * cp.norm(x, "fro") for m, x in zip(half.weights, v, strict=True))
    return float(cp.Problem(cp.Minimize(2 / np.sqrt(h * w) * cost), constraints).solve(solver=cp.CLARABEL))


@given(
    case=st.sampled_from([((1, 1, 2), 1), ((1, 3, 3), 2), ((1, 2, 4), 3), ((2, 2, 3), 2), ((3, 1, 4), 2)]),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=15)
def test_minimal_norm_is_the_value_of_the_cone_program(case, seed):
    images, targets = disjoint_images(*case, seed)
    modes = SecondMoments.from_data(images, targets).modes()
    assert minimal_norm(modes).value == pytest.approx(cone_minimum(modes), rel=1e-6)  # the solver's 1e-8, relative


@pytest.mark.parametrize("case", [((1, 3, 4), 2), ((3, 4, 4), 3), ((2, 1, 5), 1)])
def test_minimal_norm_is_attained_by_weights_that_interpolate(case):
    images, targets = disjoint_images(*case, 3)
    modes = SecondMoments.from_data(images, targets).modes()
    channels, h, w = modes.image_shape
    smallest = minimal_norm(modes)
    kernel, dense = np.zeros((channels, h, w), complex), np.zeros((case[1], h, w), complex)
    for r, (u, v) in enumerate(smallest.frequencies):
        m = multiplicity((u, v), (h, w))
        q = modes.q[r, :, u, v]
        size = np.sqrt(modes.s[r] / (m * np.sqrt(h * w) * modes.d[r] * np.linalg.norm(q)))  # P S.73, balanced
        for f, z in (((u, v), q), ((-u % h, -v % w), q.conj())):
            kernel[:, f[0], f[1]] = size * z.conj() / np.linalg.norm(z)
            dense[:, f[0], f[1]] = size * modes.u[:, r]
    weights = [ifft2(kernel).real.transpose(1, 2, 0)[None], ifft2(dense).real[..., None]]
    assert sum((a**2).sum() for a in weights) == pytest.approx(smallest.value, rel=1e-13)
    np.testing.assert_allclose(oracles.predict(weights, images), targets, atol=1e-13)


def test_minimal_norm_of_the_witness_of_erratum_e7():
    image = ifft2(np.array([[0.8, 0.6]])).real[None, None]
    modes = SecondMoments.from_data(image, np.ones((1, 1))).modes()
    smallest = minimal_norm(modes)
    assert smallest.value == pytest.approx(1.767767, abs=5e-7)
    assert smallest.frequencies.tolist() == [[0, 0]]
    # equal |κ| on both satisfies S.73 as well, and costs more: 2·2·κ², √2 (.8 + .6) κ² = 1
    assert 4 / (np.sqrt(2) * 1.4) == pytest.approx(2.020305, abs=5e-7)


def test_minimal_norm_leaves_null_modes_out():
    images = cosine_images((4, 5), [(0, 1), (1, 2)], [1.0, 0.6])
    targets = np.linalg.qr(np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]))[0].T
    modes = SecondMoments.from_data(images, targets).modes()
    assert modes.null.tolist() == [False, False, True]
    smallest = minimal_norm(modes)
    assert smallest.frequencies.tolist() == [[0, 1], [1, 2], [-1, -1]]
    assert smallest.value == pytest.approx(cone_minimum(modes), rel=1e-6)


def test_minimal_norm_refuses_shared_frequencies():
    images = np.random.default_rng(0).standard_normal((2, 1, 3, 3))
    with pytest.raises(ArgumentError, match=r"share the frequency .*cone program"):
        minimal_norm(SecondMoments.from_data(images, np.eye(2)).modes())


# --- The frameworks' units -------------------------------------------------------------------------------------------


def test_units_of_the_frameworks_by_their_own_losses():
    """One step of plain SGD on mse, written out, is a step here at the converted learning rate and decay."""
    rng = np.random.default_rng(0)
    k, lr, setting = 4, 0.3, 0.05
    w, x, y = rng.standard_normal((k, 3)), rng.standard_normal((7, 3)), rng.standard_normal((7, k))
    residual = x @ w.T - y
    mse_gradient = 2 * residual.T @ x / (7 * k)  # d/dw of the mean over samples and outputs
    here = residual.T @ x / 7
    for name, penalty in (("pytorch", setting * w), ("Keras", 2 * setting * w), ("torch", setting * w)):
        theirs = w - lr * (mse_gradient + penalty)
        rate = convert_learning_rate(lr, n_outputs=k, framework=name)
        decay = convert_weight_decay(setting, n_outputs=k, framework=name)
        np.testing.assert_allclose(w - rate * (here + decay * w), theirs, rtol=1e-14, atol=1e-15)

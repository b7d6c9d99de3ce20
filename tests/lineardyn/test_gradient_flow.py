"""Gradient flow: exact solutions, an independent library in pixel space, order, limits, invariants, statuses."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest

from lineardyn.errors import Status
from lineardyn.flow.gradient_flow import gradient_flow
from lineardyn.moments import SecondMoments
from lineardyn.networks import LinearCNN, LinearFCN
from tests import oracles
from tests.lineardyn.problems import METHODS, PROBLEMS, cosine_images, reference, solve

# --- exact solutions -------------------------------------------------------------------------------------------------

# On 6×4: DC and (3, 2) are their own conjugates (m = 1), (1, 2) and (2, 1) are not; the last image is 1×n.
COSINES = {
    "mixed": ((6, 4), [(0, 0), (1, 2), (3, 2), (2, 1)], [1.0, 1.2, 0.5, 0.6]),
    "odd": ((3, 5), [(1, 0), (1, 4)], [1.0, 0.7]),
    "row": ((1, 8), [(0, 1), (0, 4)], [1.0, 0.4]),
}
# The right digits at rtol 1e-10: 1e-8 for the methods of order ≥ 3 (the figure). RKC has order 2: at rtol r a
# step has an error ≤ r and there are about r^(-1/3) of them, so the error is r^(2/3) ≈ 2e-7 at 1e-10: 1e-6 is asked.
SIGMOID = {"bs32": 1e-8, "tsit5": 1e-8, "dop853": 1e-8, "geometric": 1e-8, "auto": 1e-8, "rkc": 1e-6, "rock4": 1e-7}


def sigmoid_error(trajectory, case, kind, b0):
    """Largest deviation of the diagonal of B from P eq 22, relative to each value; and of the rest of B from 0."""
    shape, frequencies, amplitudes = COSINES[case]
    n_pixels, k = shape[0] * shape[1], len(frequencies)
    wanted = []
    for (u, v), a in zip(frequencies, amplitudes, strict=True):
        m = 1 if (2 * u) % shape[0] == 0 and (2 * v) % shape[1] == 0 else 2
        s = a * np.sqrt(n_pixels) / (np.sqrt(m) * k)
        wanted.append((s, n_pixels if kind == "cnn" else 1, m if kind == "cnn" else 1))
    order = np.argsort([-s for s, _, _ in wanted])
    exact = np.array([oracles.sigmoid(trajectory.t, wanted[i][0], b0[n], *wanted[i][1:]) for n, i in enumerate(order)])
    b = trajectory.effective_singular_values
    diagonal = np.einsum("trr->rt", b)
    off = np.abs(b - np.einsum("tr,rq->trq", diagonal.T, np.eye(k))).max()
    return np.abs(diagonal / exact - 1).max(), off


@pytest.mark.parametrize("kind", ["cnn", "fcn"])
@pytest.mark.parametrize("case", sorted(COSINES))
@pytest.mark.parametrize("method", METHODS)
def test_pure_cosines_follow_the_sigmoid(method, case, kind):
    """P eq 22 with ``2√P/√m`` at each frequency (every self-conjugate one is an exception, not DC alone)."""
    shape, frequencies, amplitudes = COSINES[case]
    k = len(frequencies)
    moments = SecondMoments.from_data(cosine_images(shape, frequencies, amplitudes), np.eye(k))
    network = (LinearCNN if kind == "cnn" else LinearFCN)((1, *shape), widths=(1 if kind == "cnn" else k,), n_outputs=k)
    weights = network.init_balanced(moments, 0.03, rng=0)
    times = np.linspace(0, 12 if kind == "fcn" else 6, 13)
    trajectory = gradient_flow(network, moments, weights, times, method=method, rtol=1e-10, atol=1e-14)
    modes = moments.modes()
    b0 = np.diag(modes.u.T @ oracles.predict(weights, modes.v).T * modes.d)
    error, off = sigmoid_error(trajectory, case, kind, b0)
    assert error <= SIGMOID[method]
    assert off <= 1e-10  # aligned for ever: round-off that the flow does not amplify while the modes are learned
    assert np.einsum("trr->tr", trajectory.effective_singular_values)[-1].min() > 0.05  # something was learned


@pytest.mark.parametrize("method", METHODS)
def test_weights_of_one_layer_relax_exponentially(method):
    """L = 1: ``w(t) = w* + (w(0) - w*) exp(-Σ^xx t)``, a linear problem with a matrix exponential for answer."""
    p = PROBLEMS["cnn-one-layer"]
    xx, yx = p.moments.gram(), p.moments.sigma_yx.reshape(p.data.n_outputs, -1)
    rates, basis = np.linalg.eigh(xx)
    start = oracles.layer_matrices(p.weights)[0] @ basis
    pull = yx @ basis
    trajectory = solve("cnn-one-layer", method, [0.0, 0.5, 3.0])
    for i, t in enumerate(trajectory.t):
        # pull·(1 - exp(-rate t))/rate, whose limit at rate 0 is pull·t
        gain = -np.expm1(-rates * t) / np.where(rates > 1e-12, rates, 1.0)
        wanted = start * np.exp(-rates * t) + pull * np.where(rates > 1e-12, gain, t)
        got = oracles.layer_matrices(trajectory.weights(i))[0] @ basis
        assert oracles.error(got, wanted) <= (2e-5 if method == "rkc" else 1e-6)


# --- an independent library ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(PROBLEMS))
@pytest.mark.parametrize("method", METHODS)
def test_states_equal_scipys_in_pixel_space(method, name):
    """rtol 1e-8 a step, some 10² steps of a contracting flow: 1e-6; RKC of order 2 (see above): 2e-5."""
    trajectory = solve(name, method)
    assert trajectory.status is Status.SUCCESS
    for i, wanted in enumerate(reference(name)):
        assert oracles.worst(trajectory.weights(i), wanted) <= (2e-5 if method == "rkc" else 1e-6)


def test_two_layers_equal_pinsons_equations_over_the_full_complex_spectrum():
    """P eq 15-16 as printed, by scipy, against the packed half spectrum."""
    p = PROBLEMS["cnn-modes"]
    modes = p.moments.modes()
    q = modes.q[:, 0].reshape(3, -1)

    def transform(weights):
        kernel, dense = weights
        a = modes.u.T @ oracles.dft2(dense[..., 0]).reshape(3, -1).conj()
        return oracles.dft2(kernel[0, :, :, 0]).ravel(), a

    kappa, a = oracles.textbook_flow(*transform(p.weights), s=modes.s, d=modes.d, q=q, times=np.array(p.times))
    trajectory = solve("cnn-modes", "dop853", rtol=1e-10, atol=1e-13)
    for i in range(len(p.times)):
        got_kappa, got_a = transform(trajectory.weights(i))
        assert oracles.error(got_kappa, kappa[i]) <= 1e-8
        assert oracles.error(got_a, a[i]) <= 1e-8


@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_loss_and_modes_along_the_way_are_those_of_the_states(name):
    """Loss with penalty; ``B = Uᵀ Σ^ŷx V``; kernel spectrum ``(Σ_o |ŵ_1|²)^½``: recomputed from the weights."""
    p = PROBLEMS[name]
    trajectory = solve(name)
    modes, xx = p.moments.modes(), p.moments.gram()
    v = modes.v.reshape(len(modes.s), -1)
    for i in range(len(trajectory)):
        weights = trajectory.weights(i)
        matrix = np.linalg.multi_dot([*oracles.layer_matrices(weights)[::-1], np.eye(len(xx))])
        b = modes.u.T @ matrix @ xx @ v.T
        b[modes.null] = b[:, modes.null] = 0
        assert oracles.error(trajectory.effective_singular_values[i], b) <= 1e-11  # conditioned like the matrix sums
        assert trajectory.loss[i] == pytest.approx(p.network.loss(weights, p.moments, weight_decay=p.decay), rel=1e-11)
        first = weights[0].reshape(-1, *p.data.image_shape) if p.kind == "fcn" else weights[0].transpose(0, 3, 1, 2)
        spectrum = np.sqrt((np.abs(oracles.dft2(first)) ** 2).sum(axis=0))
        assert oracles.error(trajectory.kernel_spectrum[i], spectrum) <= 1e-12


@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_loss_never_grows(name):
    loss = solve(name, times=np.linspace(0, 3, 40)).loss
    assert (np.diff(loss) <= 1e-9 * loss[0]).all()  # the tolerance of a step


# --- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_time_zero_is_the_start(method):
    p = PROBLEMS["cnn-dense-channels"]
    trajectory = solve("cnn-dense-channels", method, [0.0])
    assert trajectory.t.tolist() == [0.0]
    assert oracles.worst(trajectory.weights(0), p.weights) <= 1e-14  # there and back through the transform
    assert trajectory.status is Status.SUCCESS


@pytest.mark.parametrize("method", METHODS)
def test_a_vector_of_times_equals_a_loop(method):
    """The dense output reads the same steps, or nearly so: within a few times the tolerance."""
    times = [0.05, 0.2, 0.9, 2.5]
    together = solve("cnn-dense-channels", method, times, rtol=1e-7, atol=1e-9)
    for i, t in enumerate(times):
        alone = solve("cnn-dense-channels", method, [t], rtol=1e-7, atol=1e-9)
        assert oracles.worst(alone.weights(0), together.weights(i)) <= (1e-4 if method == "rkc" else 1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_a_restart_midway_agrees(method):
    whole = solve("cnn-dense-channels", method, [1.0, 2.0])
    half = solve("cnn-dense-channels", method, [1.0], weights=whole.weights(0))
    assert oracles.worst(half.weights(0), whole.weights(1)) <= (2e-5 if method == "rkc" else 1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_zero_weights_stay(method):
    """A stationary point: zero for ever, no division by it."""
    p = PROBLEMS["cnn-dense-channels"]
    trajectory = solve("cnn-dense-channels", method, [0.0, 10.0], weights=[0 * w for w in p.weights])
    assert all((w == 0).all() for w in trajectory.weights(-1))


@pytest.mark.parametrize("method", ["dop853", "rkc", "auto"])
def test_long_times_reach_the_interpolating_predictor(method):
    """t → ∞: f(x) = y on coherent data; the slowest rate is that of the smallest mode, waited for 40 times over."""
    p = PROBLEMS["cnn-modes"]
    s = p.moments.modes().s
    trajectory = solve("cnn-modes", method, [0.0, 40.0 / s.min()])
    assert np.abs(p.network.predict(trajectory.weights(-1), p.data.images) - p.data.targets).max() <= 1e-5
    b = trajectory.effective_singular_values[-1]
    assert oracles.error(b, np.diag(s)) <= 1e-5


@pytest.mark.parametrize("method", METHODS)
def test_dense_output_between_the_times_asked_for(method):
    """``at(t)`` at times that were not asked for: as good as a solution stopped there, within its own interpolation."""
    times = np.linspace(0, 2, 21)
    trajectory = solve("cnn-dense-channels", method, times)
    for t in (0.0, 0.03, 0.777, 1.95, 2.0):
        wanted = solve("cnn-dense-channels", "dop853", [t], rtol=1e-11, atol=1e-13).weights(0)
        got = trajectory.at(t)
        assert [w.shape for w in got] == [w.shape for w in wanted]
        assert oracles.worst(got, wanted) <= (1e-4 if method == "rkc" else 1e-5)


@pytest.mark.parametrize("scale", [1e-4, 1e-2, 255.0, 1e4])
@pytest.mark.parametrize("method", METHODS)
def test_images_of_any_scale_give_the_same_flow(method, scale):
    """``x → a x`` with ``y → a y`` and ``t → t/a²`` leaves the weights alone: pixels in 0..255 are no exception."""
    p = PROBLEMS["cnn-dense-channels"]
    moments = SecondMoments.from_data(scale * p.data.images, scale * p.data.targets)
    times = np.array(p.times) / scale**2
    run = gradient_flow(p.network, moments, p.weights, times, method=method, rtol=1e-7, atol=1e-10)
    for i, wanted in enumerate(reference("cnn-dense-channels")):
        assert oracles.worst(run.weights(i), wanted) <= (1e-4 if method == "rkc" else 1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_bright_images_are_learned(method):
    """Pixels in 0..255 against targets of order one, over the time in which all modes are learned: no NaN."""
    p = PROBLEMS["cnn-dense-channels"]
    moments = SecondMoments.from_data(255 * p.data.images, p.data.targets)
    run = gradient_flow(p.network, moments, p.weights, [0.0, 0.02], method=method, rtol=1e-3, max_steps=50_000)
    assert run.status is Status.SUCCESS
    assert 0 <= run.loss[-1] <= 1e-3


# --- what the flow keeps ---------------------------------------------------------------------------------------------


def balances(problem, weights):
    """``A_l A_l^H - A_{l+1}^H A_{l+1}`` of each hidden layer (per frequency for kernels), from the definition."""
    if problem.kind == "cnn":
        spectra = [oracles.dft2(w.transpose(0, 3, 1, 2)).transpose(2, 3, 0, 1) for w in weights]
        weights = [*spectra[:-1], spectra[-1].conj()]
    return [a @ np.swapaxes(a, -1, -2).conj() - np.swapaxes(b, -1, -2).conj() @ b for a, b in pairwise(weights)]


@pytest.mark.parametrize("name", [n for n in sorted(PROBLEMS) if PROBLEMS[n].network.depth > 1])
@pytest.mark.parametrize("method", METHODS)
def test_balance_is_conserved_or_decays(method, name):
    """``A_l A_l^H - A_{l+1}^H A_{l+1}`` times ``exp(-2λt)``: within the error of the states."""
    p = PROBLEMS[name]
    trajectory = solve(name, method)
    for i, t in enumerate(trajectory.t):
        weights = trajectory.weights(i)
        size = max(float(np.abs(b).max()) for b in oracles_blocks(p, weights)) ** 2 + 1
        for now, then in zip(balances(p, weights), balances(p, p.weights), strict=True):
            assert np.abs(now - np.exp(-2 * p.decay * t) * then).max() <= (2e-5 if method == "rkc" else 1e-6) * size


def oracles_blocks(problem, weights):
    return [oracles.dft2(w.transpose(0, 3, 1, 2)) for w in weights] if problem.kind == "cnn" else weights


def test_weight_decay_alone_shrinks_the_balance_exponentially():
    """λ = 3 beats every mode: all that is left is decay, measured over two e-foldings of the balance."""
    p = PROBLEMS["cnn-decay"]
    trajectory = solve("cnn-decay", "dop853", [0.0, 1 / 3], weight_decay=3.0, rtol=1e-10, atol=1e-13)
    now, then = (balances(p, trajectory.weights(i))[0] for i in (1, 0))
    assert oracles.error(now, np.exp(-2.0) * then) <= 1e-8


# --- reproducibility -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_runs_are_the_same_bit_for_bit(method):
    one, two = solve("cnn-dense-channels", method), solve("cnn-dense-channels", method)
    assert all(np.array_equal(a, b) for a, b in zip(one.weights(-1), two.weights(-1), strict=True))
    assert np.array_equal(one.loss, two.loss)


def test_threads_do_not_disturb_one_another():
    names = ["cnn-dense-channels", "cnn-modes", "fcn-dense", "cnn-samples-deep"] * 3
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(solve, names))
    for name, run in zip(names, runs, strict=True):
        assert np.array_equal(run.loss, solve(name).loss)


def test_the_callers_weights_are_left_alone():
    p = PROBLEMS["fcn-dense"]
    weights = p.weights
    solve("fcn-dense", weights=weights)
    assert all(np.array_equal(a, b) for a, b in zip(weights, p.weights, strict=True))


def test_method_names_are_read_in_any_case_and_told_back():
    run = solve("fcn-dense", "DOP853")
    assert run.stats["method"] == "dop853"
    assert {"n_steps", "n_rejected", "n_rhs"} <= set(run.stats)
    assert run.stats["n_rhs"] >= run.stats["n_steps"] > 0

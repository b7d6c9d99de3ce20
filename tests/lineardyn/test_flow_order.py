"""The integrators' order, their right-hand side, and what stiffness costs them."""

from __future__ import annotations

import numpy as np
import pytest

from lineardyn.data import planted_modes
from lineardyn.flow import _stabilised_kernels
from lineardyn.flow.arguments import kernel_arguments, right_hand_side
from lineardyn.flow.gradient_flow import gradient_flow
from lineardyn.flow.stepping import fixed_steps
from lineardyn.moments import SecondMoments
from lineardyn.networks import LinearCNN
from tests import oracles
from tests.lineardyn.problems import GROWTH, METHODS, PROBLEMS, hessian, solve

ORDERS = {"bs32": 3, "tsit5": 5, "dop853": 8, "rkc": 2, "rock4": 4, "geometric": 8}

# --- order -----------------------------------------------------------------------------------------------------------


def observed_order(method, name, end, counts, n_stages=4):
    """Slope of the error against the step in log-log; the reference is the same flow at rtol 1e-14."""
    p = {**PROBLEMS, **GROWTH}[name]
    reference = gradient_flow(p.network, p.moments, p.weights, [end], method="dop853", rtol=1e-14, atol=1e-16)
    errors = []
    for n in counts:
        states = fixed_steps(p.network, p.moments, p.weights, [end], method=method, step=end / n, n_stages=n_stages)
        errors.append(oracles.worst(states[-1], reference.weights(0)))
    return np.polyfit(np.log(1 / np.array(counts)), np.log(errors), 1)[0]


# Until when, and how many steps: few enough that errors stay above round-off (1e-14), enough that higher terms are
# small. Tsitouras' coefficients of h⁶ are large beside those of h⁵, which only growing solutions show.
ORDER_CASES = [
    ("bs32", "cnn-dense-channels", 0.1, [40, 80, 160, 320]),
    ("bs32", "cnn-growth", 4.0, [80, 160, 320]),
    ("bs32", "fcn-growth", 8.0, [80, 160, 320]),
    ("tsit5", "fcn-growth", 8.0, [30, 40, 60, 80]),
    ("tsit5", "cnn-growth", 4.0, [60, 80, 120]),
    ("dop853", "cnn-dense-channels", 0.1, [3, 4, 5, 6, 8]),
    ("dop853", "cnn-modes", 0.1, [2, 3, 4, 5, 6]),
    ("dop853", "fcn-dense", 0.5, [2, 3, 4, 5, 6, 8]),
    ("geometric", "cnn-dense-channels", 0.1, [3, 4, 5, 6, 8]),
    ("geometric", "cnn-modes", 0.1, [2, 3, 4, 5, 6]),
    ("geometric", "fcn-dense", 0.5, [2, 3, 4, 5, 6, 8]),
    ("rkc", "cnn-dense-channels", 0.1, [40, 80, 160, 320]),
    ("rkc", "cnn-growth", 4.0, [80, 160, 320]),
    ("rkc", "fcn-growth", 8.0, [80, 160, 320]),
    ("rock4", "cnn-dense-channels", 0.1, [10, 20, 40, 80]),
    ("rock4", "cnn-growth", 4.0, [40, 80, 160]),
    ("rock4", "fcn-growth", 8.0, [40, 80, 160]),
]


@pytest.mark.parametrize(("method", "name", "end", "counts"), ORDER_CASES)
def test_observed_order(method, name, end, counts):
    assert abs(observed_order(method, name, end, counts) - ORDERS[method]) <= 0.2


@pytest.mark.parametrize("n_stages", [2, 3, 7, 12])
def test_chebyshev_is_of_second_order_with_any_number_of_stages(n_stages):
    assert abs(observed_order("rkc", "cnn-dense-channels", 0.1, [40, 80, 160, 320], n_stages) - 2) <= 0.2


@pytest.mark.parametrize("n_stages", [5, 8, 13, 24])
def test_rock_is_of_fourth_order_with_any_number_of_stages(n_stages):
    assert abs(observed_order("rock4", "cnn-dense-channels", 0.1, [10, 20, 40, 80], n_stages) - 4) <= 0.2


# Orders of the dense output: cubic Hermite for bs32, rock4 (3) and rkc (2, the order of its ends), 4 for tsit5, 7 for
# dop853, whose interpolant of order 6 errs by h⁷ inside a step as cubic Hermite errs by h⁴.
DENSE = {"bs32": 3, "tsit5": 4, "dop853": 7, "geometric": 7, "rkc": 2, "rock4": 4}
DENSE_COUNTS = {"dop853": [4, 5, 6, 8], "geometric": [4, 5, 6, 8]}


@pytest.mark.parametrize("method", sorted(DENSE))
def test_observed_order_of_the_dense_output(method):
    """The state 0.37 steps before the end, inside the last step: the order of the interpolant, or better."""
    p, counts, errors = PROBLEMS["cnn-dense-channels"], DENSE_COUNTS.get(method, [20, 30, 40, 60]), []
    for n in counts:
        times = [0.1 * (n - 0.37) / n, 0.1]
        wanted = solve("cnn-dense-channels", "dop853", times, rtol=1e-13, atol=1e-15).weights(0)
        got = fixed_steps(p.network, p.moments, p.weights, times, method=method, step=0.1 / n)[0]
        errors.append(oracles.worst(got, wanted))
    assert np.polyfit(np.log(1 / np.array(counts)), np.log(errors), 1)[0] >= DENSE[method] - 0.2


# --- the kernels -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_right_hand_side_is_minus_the_gradient(name):
    p = PROBLEMS[name]
    arguments = kernel_arguments(p.network, p.moments, p.decay)
    got = p.network.unpack(right_hand_side(arguments, p.network.pack(p.weights)))
    wanted = oracles.gradient(p.weights, p.data.images, p.data.targets, p.decay)
    assert oracles.worst(got, [-g for g in wanted]) <= 1e-12


@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_packing_weights_is_lossless_and_keeps_their_norm(name):
    p = PROBLEMS[name]
    state = p.network.pack(p.weights)
    assert oracles.worst(p.network.unpack(state), p.weights) <= 1e-14
    norm = sum((w**2).sum() for w in p.weights)
    assert (p.network.state_weights * state**2).sum() == pytest.approx(norm, rel=1e-13)


@pytest.mark.parametrize("name", ["cnn-dense-channels", "cnn-decay", "fcn-dense", "cnn-samples-deep"])
def test_spectral_radius_is_that_of_the_hessian(name):
    """From below to some per cent, as promised; the Hessian by differences of the gradient in pixel space."""
    p = PROBLEMS[name]
    largest = np.abs(np.linalg.eigvalsh(hessian(p))).max()
    arguments, state = kernel_arguments(p.network, p.moments, p.decay), p.network.pack(p.weights)
    f = right_hand_side(arguments, state)
    vector, shifted, image = f.copy(), np.empty_like(f), np.empty_like(f)
    radius, _ = _stabilised_kernels.spectral_radius(state, f, vector, shifted, image, 50, *arguments)
    assert 0.9 * largest <= radius <= 1.001 * largest


# --- stiffness -------------------------------------------------------------------------------------------------------


def stiff_problem():
    """Orthogonal class images with singular values 16 : 1, on 8×8: fast modes relax while the slow one is learned."""
    k, rng = 4, np.random.default_rng(0)
    x = np.linalg.qr(rng.standard_normal((64, k)))[0].T * np.geomspace(16, 1, k)[:, None]
    moments = SecondMoments.from_data(x.reshape(k, 1, 8, 8), np.eye(k))
    network = LinearCNN((1, 8, 8), widths=(1,), n_outputs=k)
    return network, moments, network.init_small(1e-3, rng=1)


@pytest.mark.parametrize(("rtol", "end"), [(1e-3, 12.0), (1e-3, 60.0), (1e-6, 12.0), (1e-6, 60.0), (1e-9, 12.0)])
def test_auto_is_never_far_from_the_cheapest_method(rtol, end):
    """Right-hand sides: explicit Runge-Kutta is limited by stability (notes, 2.4), RKC is not; within a factor of 4."""
    network, moments, weights = stiff_problem()
    calls, ends = {}, {}
    for method in METHODS:
        run = gradient_flow(network, moments, weights, [end], method=method, rtol=rtol, atol=1e-3 * rtol)
        calls[method], ends[method] = run.stats["n_rhs"], run.effective_singular_values[-1]
    assert calls["auto"] <= 4 * min(calls.values()), calls
    s = moments.modes().s
    assert np.abs(ends["auto"] - ends["dop853"]).max() <= 20 * rtol ** (2 / 3) * s[0]
    assert ends["auto"][-1, -1] > 0.9 * s[-1]


def test_the_stabilised_method_pays_on_stiff_flows():
    network, moments, weights = stiff_problem()
    calls = {}
    for method in ("dop853", "rkc"):
        calls[method] = gradient_flow(network, moments, weights, [30.0], method=method, rtol=1e-3).stats["n_rhs"]
    assert calls["rkc"] < calls["dop853"] / 10


@pytest.mark.parametrize(
    ("shape", "s", "rtol", "seed"),
    [((8, 8), [2.0, 1.0, 0.5], 1e-5, 0), ((8, 8), [2.0, 1.0, 0.5], 1e-5, 2), ((6, 6), [2.0, 1.0], 1e-9, 3)],
)
def test_recorded_times_between_steps_are_as_good_as_steps(shape, s, rtol, seed):
    """Here stability alone limits DOP853's steps, where an interpolant that does not damp would err: 30 tolerances.

    Seen: 2, 4 and 11. The interpolant of Hairer, Nørsett and Wanner errs by 250, 510 and 120.
    """
    images, targets = planted_modes(shape, s, rng=seed)
    moments = SecondMoments.from_data(images, targets)
    network = LinearCNN((1, *shape), n_outputs=len(s))
    weights = network.init_small(1e-3, rng=seed)
    times = np.linspace(0, 60 / (np.sqrt(np.prod(shape)) * s[-1]), 61)[1:]
    run = gradient_flow(network, moments, weights, times, method="dop853", rtol=rtol, atol=1e-3 * rtol)
    exact = gradient_flow(network, moments, weights, times, method="tsit5", rtol=1e-11, atol=1e-14)
    gap = np.abs(run.effective_singular_values - exact.effective_singular_values).max() / s[0]
    assert gap <= 30 * rtol

"""The geometric method: conservation laws at round-off, with the accuracy and the cost of what lies below it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lineardyn.data import planted_modes
from lineardyn.flow import _kernels, _screened_kernels, stepping
from lineardyn.flow.arguments import flow_arguments, kernel_arguments, right_hand_side
from lineardyn.flow.geometric import ConservationLaws
from lineardyn.flow.gradient_flow import gradient_flow
from lineardyn.flow.stepping import fixed_steps
from lineardyn.moments import SecondMoments
from lineardyn.networks import LinearCNN, LinearFCN
from tests import oracles
from tests import strategies as own
from tests.lineardyn.problems import GROWTH, PROBLEMS

KINDS = {"cnn": LinearCNN, "fcn": LinearFCN}
ROUND_OFF = 1e-13  # what is promised; seen: 1e-15, rounding of sums of a few squares


# --- what is conserved, from its definition --------------------------------------------------------------------------


def layers(network, state):
    """``A_l`` per frequency ``(F, C_l, C_{l-1})``; a fully connected network is one frequency.

    From the packed state: on the way to pixels and back a small frequency takes up the round-off of the large ones.
    """
    conv, blocks = isinstance(network, LinearCNN), []
    scaled = state if conv else state * np.sqrt(network.state_weights)
    for (into, out), part in zip(pairwise(network.sizes), np.split(scaled, network.offsets[1:-1]), strict=True):
        if conv:
            z = part.reshape(out, into, 2, -1)
            blocks.append((z[:, :, 0] + 1j * z[:, :, 1]).transpose(2, 0, 1))
        else:
            blocks.append(part.reshape(1, out, into))
    return blocks


def balances(network, state):
    """``A_l A_l^H - A_{l+1}^H A_{l+1}``, and ``Σ_l ‖A_l‖²``, per frequency."""
    blocks = layers(network, state)
    matrices = [a @ a.conj().swapaxes(1, 2) - b.conj().swapaxes(1, 2) @ b for a, b in pairwise(blocks)]
    return matrices, sum((np.abs(a) ** 2).sum(axis=(1, 2)) for a in blocks)


def drift(network, start, states, times, decay=0.0):
    """Largest ``‖M(t) - exp(-2λt) M(0)‖`` over ``Σ_l ‖A_l‖²`` at that time, frequency by frequency."""
    first, worst = balances(network, start)[0], 0.0
    for t, state in zip(times, states, strict=True):
        now, size = balances(network, state)
        for m, m0 in zip(now, first, strict=True):
            gap = np.linalg.norm(m - np.exp(-2 * decay * t) * m0, axis=(1, 2))
            worst = max(worst, (gap / np.where(size > 0, size, 1.0)).max())
    return worst


def drift_of(run):
    return drift(run.network, run.start, run.states, run.t, run.settings.weight_decay)


# --- the laws hold ---------------------------------------------------------------------------------------------------

# kind, (C, H, W), hidden widths, K, form, initial scale
CASES = {
    "pinson": ("cnn", (1, 6, 5), (1,), 3, "modes", 0.03),
    "pinson-dense": ("cnn", (1, 4, 4), (1,), 2, "dense", 0.03),
    "channels-in": ("cnn", (3, 3, 4), (1,), 2, "samples", 0.1),
    "two-channels": ("cnn", (1, 4, 6), (2,), 3, "modes", 0.03),
    "three-channels": ("cnn", (2, 5, 3), (3,), 2, "dense", 0.1),
    "more-channels-than-rank": ("cnn", (1, 4, 4), (5,), 2, "modes", 0.03),
    "depth-3": ("cnn", (1, 5, 5), (1, 1), 3, "modes", 0.2),
    "depth-3-channels": ("cnn", (2, 4, 3), (2, 3), 2, "dense", 0.2),
    "depth-4": ("cnn", (1, 4, 4), (1, 1, 1), 2, "samples", 0.3),
    "depth-4-channels": ("cnn", (1, 3, 4), (3, 1, 2), 2, "modes", 0.3),
    "fcn": ("fcn", (1, 4, 3), (4,), 2, "modes", 0.03),
    "fcn-wide": ("fcn", (1, 3, 3), (12,), 2, "dense", 0.03),
    "fcn-depth-4": ("fcn", (2, 3, 2), (3, 2, 3), 2, "samples", 0.4),
    "one-layer": ("cnn", (1, 4, 4), (), 2, "modes", 0.1),
}


def solve(name, method="geometric", *, rtol=1e-4, decay=0.0, times=None, ratio=4.0):
    kind, shape, widths, k, form, scale = CASES[name]
    rng = np.random.default_rng(len(name))
    if form == "modes":
        data = planted_modes(shape[1:], np.geomspace(ratio, 1.0, k), rng=3)
    else:
        data = rng.standard_normal((12, *shape)), rng.standard_normal((12, k))
    network = KINDS[kind](shape, widths=widths, n_outputs=k)
    moments, start = SecondMoments.from_data(*data, form=form), network.init_small(scale, rng=rng)
    times = np.linspace(0.0, 8.0, 9) if times is None else times
    options = {"rtol": rtol, "atol": 1e-3 * rtol, "weight_decay": decay}
    return gradient_flow(network, moments, start, times, method=method, **options)


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("rtol", [1e-2, 1e-4, 1e-8])
@pytest.mark.parametrize("name", sorted(CASES))
def test_laws_hold_at_every_frequency_and_recorded_time(name, rtol, decay):
    assert drift_of(solve(name, rtol=rtol, decay=decay)) <= ROUND_OFF


@pytest.mark.parametrize("name", sorted(set(CASES) - {"one-layer"}))
def test_without_restoration_they_drift(name):
    """Else the test above would show nothing."""
    assert drift_of(solve(name, "auto", rtol=1e-4, decay=0.1)) > 1e3 * ROUND_OFF


@given(
    data=own.data_sets(),
    kind=st.sampled_from(sorted(KINDS)),
    form=st.sampled_from(["dense", "samples"]),
    widths=own.widths,
    scale=st.sampled_from([1e-3, 0.1, 0.5]),
    decay=st.sampled_from([0.0, 0.3]),
    rtol=st.sampled_from([0.1, 1e-3, 1e-6]),
)
@example(own.make_data("coherent", (1, 4, 4), 4, 5), "cnn", "dense", (1,), 1e-3, 0.0, 0.1)
def test_laws_hold_for_any_network_and_data(data, kind, form, widths, scale, decay, rtol):
    network = KINDS[kind](data.image_shape, widths=widths, n_outputs=data.n_outputs)
    moments = SecondMoments.from_data(data.images, data.targets, form=form)
    start = own.random_weights(kind, data.image_shape, widths, data.n_outputs, data.seed, scale)
    run = gradient_flow(
        network, moments, start, [0.1, 0.5, 3.0], method="geometric", rtol=rtol, atol=1e-3 * rtol, weight_decay=decay
    )
    assert drift_of(run) <= ROUND_OFF


def stiff(shape=(16, 16), k=4, ratio=16.0, form="modes", widths=(1,), scale=1e-3):
    moments = SecondMoments.from_data(*planted_modes(shape, np.geomspace(ratio, 1.0, k), rng=1), form=form)
    network = LinearCNN((1, *shape), widths=widths, n_outputs=k)
    return network, moments, network.init_small(scale, rng=1)


STIFF = {
    "screened": {},
    "whole": {"shape": (8, 8), "form": "dense"},
    "channels": {"shape": (6, 5), "k": 3, "widths": (2,)},
}


@pytest.mark.parametrize("decay", [0.0, 0.02])
@pytest.mark.parametrize("rtol", [1e-2, 1e-4, 1e-7])
@pytest.mark.parametrize("name", sorted(STIFF))
def test_laws_hold_along_stiff_flows(name, rtol, decay):
    """To long after all is learned, in stabilised steps, and in all steps, not the recorded ones alone."""
    network, moments, weights = stiff(**STIFF[name])
    times = np.linspace(0.0, 100.0 / np.sqrt(network.n_pixels), 31)
    options = {"rtol": rtol, "atol": 1e-3 * rtol, "weight_decay": decay}
    run = gradient_flow(network, moments, weights, times, method="geometric", **options)
    assert drift_of(run) <= ROUND_OFF
    assert "rkc" in run.stats["method"]
    assert ("n_active" in run.stats) == (name == "screened")
    b = np.diagonal(run.effective_singular_values[-1])
    assert (b > 0.8 * moments.modes().s).all() or decay


def steps_of(network, moments, weights, n_steps, method, screened=False):
    """An integration after some steps, none of them recorded."""
    arguments, layout = flow_arguments(network, moments, 0.1)
    start = network.pack(weights)
    run = stepping._Run(arguments, layout, layout.pad(start), np.array([50.0]), method, 1e-4, 1e-7)
    run.begin()
    run.laws = ConservationLaws.of(network, start, 0.1)
    if screened:
        run.screen()
    assert run.advance_all(n_steps, None) == _kernels.MAX_STEPS
    assert run.control[_kernels.TIME] > 0.0
    state = layout.unpad(run.y.copy())
    assert drift(network, start, [state], [run.control[_kernels.TIME]], 0.1) <= ROUND_OFF
    return run


@pytest.mark.parametrize("method", ["bs32", "tsit5", "dop853", "rkc", "rock4"])
@pytest.mark.parametrize("name", ["cnn-modes", "cnn-dense-channels", "cnn-samples-deep", "fcn-dense"])
def test_laws_hold_in_each_step_of_any_integrator(name, method):
    p = PROBLEMS[name]
    steps_of(p.network, p.moments, p.weights, 12, method)


def test_screened_steps_go_on_from_the_restored_state():
    """Their compact copy of the active frequencies follows."""
    run = steps_of(*stiff(), 40, "rkc", screened=True)
    active = run.screening.index[: run.counts[_screened_kernels.ACTIVE]]
    spectra = run.y.reshape(-1, run.screening.index.size)[:, active]
    padded = -(-len(active) // 8) * 8
    compact = run.screening.buffers[run.y.size :][: len(spectra) * padded].reshape(-1, padded)[:, : len(active)]
    assert len(active) > 8
    np.testing.assert_array_equal(compact, spectra)


def test_laws_hold_between_recorded_times():
    """``Trajectory.at`` starts from a recorded state, which is on the right orbit itself."""
    run = solve("pinson", rtol=1e-3, decay=0.1)
    times = [0.7, 3.3, 6.9]
    states = [run.network.pack(run.at(t)) for t in times]
    # the way through pixels costs round-off of the largest frequency; compared with that one
    first = balances(run.network, run.start)[0][0]
    for t, state in zip(times, states, strict=True):
        now, size = balances(run.network, state)
        assert np.abs(now[0] - np.exp(-0.2 * t) * first).max() <= ROUND_OFF * size.max()


# --- the restoration -------------------------------------------------------------------------------------------------


def displaced(name, size, seed=0):
    """A problem's network, its start, and that start moved as flows move it: ``A_l += size (A_L..)^H E (..A_1)^H``."""
    p = PROBLEMS[name]
    rng = np.random.default_rng(seed)
    start = p.network.pack(p.weights)
    width = p.moments.weights.size
    state = start * (1.0 + size * 0.5)
    state += size * p.network.pullback(start, rng.standard_normal((p.network.n_outputs, width)))
    return p, start, state


RESTORED = sorted(set(PROBLEMS) - {"cnn-one-layer"})


@pytest.mark.parametrize("size", [1e-9, 1e-4, 0.1])
@pytest.mark.parametrize("name", RESTORED)
def test_restoration_leaves_the_predictor_alone(name, size):
    p, start, state = displaced(name, size)
    before = p.network.predictors(state[None])
    assert drift(p.network, start, [state], [0.0]) > 1e-3 * size
    ConservationLaws.of(p.network, start, 0.0).restore(state, 0.0)
    assert drift(p.network, start, [state], [0.0]) <= ROUND_OFF
    assert oracles.error(p.network.predictors(state[None]), before) <= 1e-14


@pytest.mark.parametrize("name", RESTORED)
def test_restoration_takes_the_shortest_way(name):
    """To first order, the step of least norm by the Jacobian of the laws; the second is 1e-6 of the step, some tens."""
    p, start, state = displaced(name, 1e-6)
    scale = np.sqrt(p.network.state_weights) if p.kind == "fcn" else np.ones(start.size)  # the metric of the weights

    def laws(x):
        parts = [m.ravel() for m in balances(p.network, x / scale)[0]]
        return np.concatenate([np.concatenate([m.real, m.imag]) for m in parts])

    x = scale * state
    jacobian = np.array([(laws(x + 0.5 * e) - laws(x - 0.5 * e)) for e in np.eye(x.size)]).T  # exact: it is quadratic
    shortest = np.linalg.lstsq(jacobian, laws(scale * start) - laws(x), rcond=1e-10)[0]
    restored = state.copy()
    ConservationLaws.of(p.network, start, 0.0).restore(restored, 0.0)
    assert oracles.error(scale * (restored - state), shortest) <= 1e-4


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("name", RESTORED)
def test_the_gradient_goes_along(name, decay):
    p, start, state = displaced(name, 0.05)
    arguments = kernel_arguments(p.network, p.moments, decay)
    slope = right_hand_side(arguments, state)
    ConservationLaws.of(p.network, start, decay).restore(state, 0.7, slope)
    assert oracles.error(slope, right_hand_side(arguments, state)) <= 1e-12


@given(depth=st.integers(2, 5), c=own.channels, k=own.outputs, seed=own.seeds, size=st.sampled_from([1e-6, 0.1, 1.0]))
def test_numbers_and_matrices_agree(depth, c, k, seed, size):
    """One channel a layer: the root of a polynomial, and Newton's method on the gauge."""
    network, rng = LinearCNN((c, 3, 4), widths=(1,) * (depth - 1), n_outputs=k), np.random.default_rng(seed)
    start = network.pack(network.init_small(1.0, rng=rng))
    state = start * np.exp(size * rng.standard_normal(start.size) / depth)
    laws = ConservationLaws.of(network, start, 0.0)
    as_matrices = replace(laws, values=np.ascontiguousarray(laws.values.T).astype(np.complex128))
    one, two = state.copy(), state.copy()
    laws.restore(one, 0.0)
    as_matrices.restore(two, 0.0)
    assert drift(network, start, [one, two], [0.0, 0.0]) <= ROUND_OFF
    assert oracles.error(one, two) <= 1e-8  # where a layer is small, laws at round-off leave it less well known


@pytest.mark.parametrize("power", [-450, -200, 200, 450])
@pytest.mark.parametrize("name", RESTORED)
def test_units_do_not_matter(name, power):
    """Layers in units of 2^power, with the laws in units of 4^power: the same bits."""
    p, start, state = displaced(name, 0.01)
    unit, scaled = 2.0**power, state * 2.0**power
    ConservationLaws.of(p.network, start, 0.0).restore(state, 0.0)
    ConservationLaws.of(p.network, unit * start, 0.0).restore(scaled, 0.0)
    np.testing.assert_array_equal(scaled, unit * state)


def test_far_from_the_laws_it_still_gets_there():
    """Scales of layers wrong by 1e4 each way: a thousand times more than any step of an integrator."""
    network = LinearCNN((2, 3, 4), widths=(2, 3), n_outputs=2)
    start = network.pack(network.init_small(1.0, rng=0))
    for factor in (1e-2, 1e2):
        state = start.copy()
        state[: network.offsets[1]] *= factor
        before = network.predictors(state[None])
        ConservationLaws.of(network, start, 0.0).restore(state, 0.0)
        assert oracles.error(network.predictors(state[None]), before) <= 1e-12
        assert drift(network, start, [state], [0.0]) <= ROUND_OFF


# --- accuracy --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(CASES))
def test_agrees_with_dop853_at_tight_tolerance(name):
    one = solve(name, rtol=1e-10, decay=0.1, times=[1.0, 4.0])
    two = solve(name, "dop853", rtol=1e-10, decay=0.1, times=[1.0, 4.0])
    assert oracles.error(one.states, two.states) <= 1e-7  # local errors of 1e-10, grown as the modes are


@pytest.mark.parametrize("name", ["cnn-dense-channels", "cnn-growth", "fcn-growth"])
def test_order_of_the_stabilised_method_is_kept(name):
    p = {**PROBLEMS, **GROWTH}[name]
    end, counts, errors = (0.1 if name in PROBLEMS else 4.0), [80, 160, 320], []
    wanted = gradient_flow(p.network, p.moments, p.weights, [end], method="dop853", rtol=1e-13, atol=1e-15).weights(0)
    for n in counts:
        got = fixed_steps(p.network, p.moments, p.weights, [end], method="rkc", step=end / n, conserve=True)
        errors.append(oracles.worst(got[-1], wanted))
    assert abs(np.polyfit(np.log(1 / np.array(counts)), np.log(errors), 1)[0] - 2) <= 0.2


@pytest.mark.parametrize("rtol", [1e-3, 1e-5])
@pytest.mark.parametrize("name", sorted(STIFF))
def test_costs_no_more_right_hand_sides_than_without(name, rtol):
    """Steps differ a little, where the restored state is a little different: a fifth, and the same error."""
    network, moments, weights = stiff(**STIFF[name])
    times, runs = np.linspace(0.0, 60.0 / np.sqrt(network.n_pixels), 11)[1:], {}
    exact = gradient_flow(network, moments, weights, times, method="dop853", rtol=1e-11, atol=1e-14)
    for method in ("auto", "geometric"):
        runs[method] = gradient_flow(network, moments, weights, times, method=method, rtol=rtol, atol=1e-3 * rtol)
    assert runs["geometric"].stats["n_rhs"] <= 1.2 * runs["auto"].stats["n_rhs"]
    gap = np.abs(runs["geometric"].effective_singular_values - exact.effective_singular_values).max()
    assert gap <= 60 * rtol * moments.modes().s[0]  # as in test_screened


def test_same_bits_twice():
    one, two = solve("depth-4-channels"), solve("depth-4-channels")
    np.testing.assert_array_equal(one.states, two.states)

"""The geometric method from starts, and in states, where layers vanish, balance or overflow."""

from __future__ import annotations

import numpy as np
import pytest

from lineardyn.data import pure_cosines
from lineardyn.errors import Status
from lineardyn.flow.geometric import ConservationLaws
from lineardyn.flow.gradient_flow import gradient_flow
from lineardyn.moments import SecondMoments
from lineardyn.networks import LinearCNN
from tests.lineardyn.test_geometric import ROUND_OFF, balances, drift_of, stiff


def pinson_start(change):
    network, moments, (kernel, dense) = stiff((4, 4), 2, 2.0, scale=0.1)
    weights = change(kernel, dense)
    run = gradient_flow(network, moments, weights, [0.0, 1.0, 4.0], method="geometric", rtol=1e-4)
    assert run.status is Status.SUCCESS
    assert np.isfinite(run.states).all()
    return run


def without_some_frequencies(w):
    spectrum = np.fft.fft2(w, axes=(1, 2))
    spectrum[:, 1] = spectrum[:, -1] = 0.0
    return np.fft.ifft2(spectrum, axes=(1, 2)).real


DEGENERATE = {
    "zero kernel": lambda kernel, dense: [0 * kernel, dense],
    "zero dense layer": lambda kernel, dense: [kernel, 0 * dense],
    "kernel without some frequencies": lambda kernel, dense: [without_some_frequencies(kernel), dense],
    "both without them": lambda kernel, dense: [without_some_frequencies(kernel), without_some_frequencies(dense)],
    "small kernel": lambda kernel, dense: [1e-9 * kernel, dense],
    "small dense layer": lambda kernel, dense: [kernel, 1e-9 * dense],
    "squares underflow": lambda kernel, dense: [1e-170 * kernel, 1e-170 * dense],
    "subnormal": lambda kernel, dense: [1e-310 * kernel, dense],
}


@pytest.mark.parametrize("name", sorted(DEGENERATE))
def test_degenerate_starts(name):
    assert drift_of(pinson_start(DEGENERATE[name])) <= ROUND_OFF


def test_zero_weights_stay_zero():
    assert not pinson_start(lambda kernel, dense: [0 * kernel, 0 * dense]).states.any()


@pytest.mark.parametrize("widths", [(1,), (2,), (1, 1), (2, 3)])
def test_balanced_aligned_starts_stay_balanced(widths):
    """M = 0 up to round-off of the start, while layers of rank 1 grow by a factor of 30."""
    network, moments, _ = stiff((4, 4), 2, 2.0, widths=widths)
    start = network.init_balanced(moments, 0.03, rng=0)
    run = gradient_flow(network, moments, start, [0.0, 2.0, 20.0], method="geometric", rtol=1e-4)
    assert drift_of(run) <= ROUND_OFF
    for state in run.states:
        matrices, size = balances(network, state)
        assert max(np.abs(m).max() for m in matrices) <= ROUND_OFF * size.max()


def test_a_start_against_its_mode_decays_and_keeps_the_laws():
    """``A = -conj(κ)`` along the mode: both layers shrink to 0 together [theory 2.2], where no mode is learned."""
    moments = SecondMoments.from_data(*pure_cosines((4, 4), [(0, 0), (1, 2)], [1.0, 0.5]))
    network = LinearCNN((1, 4, 4), n_outputs=2)
    kernel, dense = network.init_balanced(moments, 0.3, rng=0)
    run = gradient_flow(network, moments, [kernel, -dense], [0.0, 0.5, 1.0], method="geometric", rtol=1e-6)
    assert drift_of(run) <= ROUND_OFF
    assert np.abs(run.states[-1]).max() < 0.1 * np.abs(run.start).max()


def test_where_no_gauge_leads_the_state_stays():
    """A dense layer that is exactly 0 cannot be larger than the kernel, whatever its scale."""
    network = LinearCNN((1, 2, 2), n_outputs=2)
    kernel, dense = network.init_small(1.0, rng=0)
    laws = ConservationLaws.of(network, network.pack([0.1 * kernel, dense]), 0.0)
    state = network.pack([kernel, 0 * dense])
    kept = state.copy()
    laws.restore(state, 0.0)
    np.testing.assert_array_equal(state, kept)


@pytest.mark.parametrize("widths", [(1,), (2,), (1, 1)])
def test_numbers_that_are_none_end_and_are_seen(widths):
    network = LinearCNN((1, 3, 3), widths=widths, n_outputs=2)
    state = network.pack(network.init_small(1.0, rng=0))
    laws = ConservationLaws.of(network, state, 0.0)
    state[1] = np.nan
    laws.restore(state, 0.0)
    assert not np.isfinite(state).all()

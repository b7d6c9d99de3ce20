"""The compiled pass over balanced clocks against the adaptive quadrature, which shares no code with it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineardyn.closed_form import ModeClock, sigmoid
from lineardyn.closed_form._kernels import MAX_POINTS
from lineardyn.closed_form.balanced_clocks import balanced_clocks
from lineardyn.closed_form.clock_quadrature import build_clock, position_at
from tests.lineardyn.disjoint_modes import problem


def slow(c, log_p, s, t):
    """b by the adaptive quadrature of Θ and the sum of exponentials."""
    clock = build_clock(c, log_p, np.full_like(c, -np.inf), s)
    theta = position_at([clock], t)
    return np.exp(log_p + 2.0 * c * theta).sum(axis=-1)


@given(
    seed=st.integers(0, 10**6),
    log_p=st.floats(-60, -1),
    spread=st.floats(0, 2),
    log_s=st.floats(-3, 3),
)
@settings(max_examples=60)
def test_both_quadratures_agree_to_round_off(seed, log_p, spread, log_s):
    rng = np.random.default_rng(seed)
    mode = rng.permutation(np.repeat(np.arange(3), rng.integers(1, 7, 3)))
    c = np.exp(rng.uniform(-spread, spread, len(mode)))
    s = np.exp(log_s + rng.uniform(-1, 1, 3))
    logs = log_p - np.log(len(mode)) + np.log(s[mode]) + rng.uniform(-3, 0, len(mode))
    fast = balanced_clocks(c, logs, mode, s)
    assert fast is not None
    last = max(
        build_clock(c[mode == r], logs[mode == r], np.full((mode == r).sum(), -np.inf), s[r]).times[-1]
        for r in range(3)
    )
    t = np.concatenate([[0.0], np.geomspace(last * 1e-6, last, 80), [1e300, np.inf]])
    rng.shuffle(t)  # any order
    got = fast.responses(t)
    for r in range(3):
        mine = mode == r
        wanted = slow(c[mine], logs[mine], s[r], t)
        # Θ carries units of round-off of cΘ(∞), up to 60 here, on both ways; the tables' own 1e-13 of t times db/dt/b
        np.testing.assert_allclose(got[:, r], wanted, rtol=1e-11)


def test_one_frequency_is_the_sigmoid_at_the_ends_too():
    t = np.concatenate([[0.0], np.geomspace(1e-9, 1e3, 400), np.linspace(0.0, 15.0, 300), [1e308, np.inf]])
    for b0 in (1e-12, 1e-3, 0.9, 1.0 - 1e-9):
        fast = balanced_clocks(np.array([0.5 * 8**0.5]), np.log([b0]), np.zeros(1, dtype=int), np.ones(1))
        wanted = sigmoid(t, s=1.0, b0=b0, n_pixels=2, multiplicity=1)
        # rate 2c = 2√P with P = 2; condition 2cΘ ~ 28 times a few 1e-16, and 1e-14 of reading b from its table
        np.testing.assert_allclose(fast.responses(t)[:, 0], wanted, rtol=1e-13)


def test_order_and_number_of_times_do_not_change_a_bit():
    rng = np.random.default_rng(0)
    fast = balanced_clocks(np.array([1.0, 2.0, 0.5]), np.log([1e-4, 1e-6, 1e-3]), np.array([0, 1, 0]), np.ones(2))
    t = np.concatenate([[0.0], rng.uniform(0.0, 2.0 * fast.times.max(), 300), fast.times, [np.inf]])
    mixed = fast.responses(t)
    order = np.argsort(t)
    assert np.array_equal(fast.responses(t[order]), mixed[order])
    assert np.array_equal(np.concatenate([fast.responses(t[i : i + 1]) for i in range(len(t))]), mixed)
    assert (np.diff(mixed[order], axis=0) >= -1e-13).all()  # b increases, to the tables' own error


def test_what_the_compiled_pass_does_not_cover_goes_the_other_way():
    one, zero = np.ones(1), np.zeros(1, dtype=int)
    for above in (1.1, 2.0, 1e6):  # above s: the grid would have a negative length
        assert balanced_clocks(one, np.log([above]), zero, one) is None
    both = np.log([1e-3, 9.0])  # one mode below, one above
    assert balanced_clocks(np.ones(2), both, np.arange(2), np.ones(2)) is None
    assert balanced_clocks(one, np.log([1.0]), zero, one) is None  # at s
    assert balanced_clocks(one, np.array([-np.inf]), zero, one) is None  # of no weight: never learned
    wide = np.array([1.0, 1e-3])
    assert balanced_clocks(wide, np.array([-1e4, -400.0]), np.zeros(2, dtype=int), one) is None  # a grid > MAX_POINTS
    assert MAX_POINTS == 4096


@pytest.mark.parametrize("scale", [1e-6, 0.02])
def test_clock_gives_the_same_by_both_ways(scale):
    network, moments, _, _, _ = problem((1, 6, 5), 3, scale=0.1, seed=3)
    start = network.init_balanced(moments, scale, rng=2)
    clock, other = (ModeClock(moments.modes(), network, start) for _ in range(2))
    assert clock._fast is not None
    other.__dict__["_fast"] = None
    t = np.linspace(0.0, 1.3 * clock.learning_time(0.99).max(), 50)
    np.testing.assert_allclose(
        clock.effective_singular_values(t), other.effective_singular_values(t), rtol=1e-11, atol=0
    )
    assert clock.effective_singular_values(t[3]).shape == (3, 3)
    assert clock.effective_singular_values([]).shape == (0, 3, 3)

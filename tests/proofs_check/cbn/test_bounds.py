"""Lower bounds of the norm: below every network, equal to the cost of the linear one, silent where they do not hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineardyn.errors import ArgumentError
from proofs_check import lower_bound, representation_cost
from proofs_check.cbn import CyclicCNN, linear_network
from tests.proofs_check.cbn import nets as own
from tests.proofs_check.cbn.pixels import blocks_of, mirrored
from tests.proofs_check.cbn.test_cost import maps

# singular values to the power 2/L; those left out below 1e-10 weigh up to (1e-10)^{2/4} of the largest
CLOSE = 1e-10
LEFT_OUT = 1e-4

seeds = st.integers(0, 2**20)


def power_sum(s, depth):
    """``Σ s^{2/L}`` over those that are no round-off."""
    return float((s[s > 1e-10 * s.max(initial=0.0)] ** (2 / depth)).sum())


@given(net=own.nets(), seed=seeds)
def test_the_bound_at_any_image_is_below_the_norm(net, seed):
    x = np.random.default_rng(seed).standard_normal((net.widths[0], *net.grid))
    bound = lower_bound(net, x)
    s = np.linalg.svd(mirrored(net).jacobian(x), compute_uv=False)
    assert bound.jacobian == pytest.approx(net.depth * power_sum(s, net.depth), rel=1e-6, abs=1e-12)
    assert bound.jacobian <= net.norm() * (1 + CLOSE)


@given(net=own.nets(strided=False), seed=seeds)
def test_the_bound_by_frequency_is_between_the_other_and_the_norm(net, seed):
    x = own.image_away_from_kinks(net, seed, constant=True)
    bound = lower_bound(net, x)
    blocks, _ = blocks_of(mirrored(net).jacobian(x), net.grid, net.widths[-1], net.widths[0])
    weight = np.abs(net.pooling) ** (-2 * (net.depth - 1) / net.depth)
    s = np.linalg.svd(blocks, compute_uv=False)
    s[s <= 1e-10 * s.max()] = 0.0
    wanted = net.depth * float((weight[..., None] * s ** (2 / net.depth)).sum())
    assert bound.frequency == pytest.approx(wanted, rel=1e-6, abs=1e-12)
    assert bound.jacobian * (1 - CLOSE) <= bound.frequency <= net.norm() * (1 + CLOSE)
    if (net.pooling == 1.0).all():
        assert bound.jacobian == pytest.approx(bound.frequency, rel=CLOSE)


@given(case=maps())
def test_both_are_tight_for_linear_networks(case):
    blocks, depth, m = case
    net = linear_network(blocks, depth, m)
    bound = lower_bound(net, np.ones((net.widths[0], *net.grid)))
    cost = representation_cost(blocks, depth=depth, pooling=m)
    assert bound.frequency == pytest.approx(cost, rel=1e-8)
    plain = lower_bound(linear_network(blocks, depth), np.ones((net.widths[0], *net.grid)))
    assert plain.jacobian == pytest.approx(representation_cost(blocks, depth=depth), rel=1e-8)


def test_a_strided_network_obeys_the_first_bound_and_has_no_second():
    net = own.make_net(0, (4,), 0.3, "local", depth=3, stride=2)
    bound = lower_bound(net, np.ones((net.widths[0], 4)))
    assert 0 < bound.jacobian <= net.norm()
    assert bound.frequency is None


def test_no_bound_by_frequency_off_constants_and_at_kinks():
    net = CyclicCNN.random((4,), (1, 3, 1), rng=0)
    assert lower_bound(net, [[1.0, 1.0, 1.0, 2.0]]).frequency is None
    assert lower_bound(net, np.zeros((1, 4))).frequency is None  # no biases: all pre-activations are 0
    assert lower_bound(net, np.ones((1, 4))).frequency is not None
    linear = CyclicCNN.random((4,), (1, 3, 1), rng=0, slope=1.0)
    assert lower_bound(linear, np.zeros((1, 4))).frequency is not None


NET = CyclicCNN.random((4,), (1, 3, 1), rng=0)
BAD = {
    "network": (lambda: lower_bound("net", np.ones((1, 4))), r"net is 'net', expected a CyclicCNN: make one with"),
    "shape": (lambda: lower_bound(NET, np.ones((1, 5))), r"x has shape \(1, 5\), expected \(\.\.\., 1, 4\)"),
    "many": (lambda: lower_bound(NET, np.ones((2, 1, 4))), r"x has shape \(2, 1, 4\), expected one image \(1, 4\)"),
    "nan": (lambda: lower_bound(NET, np.full((1, 4), np.nan)), r"x holds nan at index \(0, 0\)"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_calls_name_the_argument(name):
    call, text = BAD[name]
    with pytest.raises(ArgumentError, match=text):
        call()

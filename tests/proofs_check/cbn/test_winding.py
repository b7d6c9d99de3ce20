"""A linear map below the linear cost: the winding code, in pixels, against every bound that does and does not hold."""

from __future__ import annotations

import numpy as np
import pytest

from lineardyn.errors import ArgumentError
from proofs_check.cbn import lower_bound, representation_cost
from proofs_check.cbn.winding import winding_code
from tests.oracles import EPS, dft_matrix, error
from tests.proofs_check.cbn.pixels import mirrored
from tests.proofs_check.cbn.test_construction import in_ball, norm_by_definition

# seven layers with slopes up to 1/sin 12° = 4.8
CLOSE = 1e4 * EPS

F = dft_matrix(5)
PROJECTION = (F.conj().T @ np.diag([0.0, 0.0, 1.0, 1.0, 0.0]) @ F).real
BLOCKS = np.array([0.0, 0.0, 1.0, 1.0, 0.0]).reshape(5, 1, 1)
CODE = winding_code()


def points(count=300, radius=1.0):
    """Of the ball; the rays between the pieces of g among them."""
    x = in_ball(np.random.default_rng(0), count, 1, (5,), radius)
    angles = 2 * np.pi * np.arange(30) / 30
    rays = np.cos(4 * np.pi * np.arange(5) / 5 - angles[:, None])
    x[1:31, 0] = radius * rays / np.linalg.norm(rays, axis=1, keepdims=True)
    return x


def test_h_after_g_is_the_projection_exactly():
    x = points()
    wanted = x[:, 0] @ PROJECTION.T
    g, h = mirrored(CODE.inner), mirrored(CODE.outer)
    pixels = [h.run(g.run(image)[0][-1])[0][-1] for image in x]
    assert error(pixels, wanted) <= CLOSE
    assert error(CODE.outer(CODE.inner(x))[:, 0], wanted) <= CLOSE


def test_the_code_lives_at_dc_and_frequency_one():
    hat = np.fft.fft(CODE.inner(points()), axis=-1)  # (N, channels, 5)
    size = np.abs(hat).max(axis=0)
    assert np.array_equal(size > CLOSE, [[False, True, False, False, True], [True, *[False] * 4], [True, *[False] * 4]])


@pytest.mark.parametrize(("part", "turns"), [("w", 3), ("v", 5)])
def test_the_code_winds(part, turns):
    """Once around the circle of x̂_2, w goes around three times and v five times."""
    angles = np.linspace(0.0, 2 * np.pi, 601)
    hat = np.zeros((601, 1, 5), dtype=complex)
    hat[:, 0, 2], hat[:, 0, 3] = np.exp(1j * angles), np.exp(-1j * angles)
    code = np.fft.fft(CODE.inner(np.fft.ifft(hat).real), axis=-1)
    curve = code[:, 0, 1] if part == "w" else code[:, 1, 0] + 1j * code[:, 2, 0]
    winding = np.diff(np.unwrap(np.angle(curve))).sum() / (2 * np.pi)
    assert winding == pytest.approx(turns, abs=1e-9)


@pytest.mark.parametrize(
    ("m_1", "m_2", "depth", "radius"), [(0.9, 0.5, 600, 3.0), (0.9, 0.1, 60, 1.0), (1.0, -0.3, 150, 1.0)]
)
def test_a_network_computes_a_linear_map_below_the_cost_of_all_linear_networks(m_1, m_2, depth, radius):
    m = np.array([1.0, m_1, m_2, m_2, m_1])
    code = winding_code(m)
    built = code.build(depth, radius=radius)
    net, x = built.network, points(60, radius)
    linear = representation_cost(BLOCKS, depth=depth, pooling=m)
    assert linear == pytest.approx(code.linear_norm(depth))
    assert linear == pytest.approx(depth * 2 * abs(m_2) ** (-2 * (depth - 1) / depth))
    assert norm_by_definition(net) == pytest.approx(net.norm(), rel=1e-12)
    assert net.norm() < linear
    assert built.cost_per_layer == pytest.approx(2.0 / m_1**2 + 2.0)
    # hundreds of layers on an offset some times the signal
    assert np.abs(net(x)[:, 0] - x[:, 0] @ PROJECTION.T).max() <= 1e-10 * radius
    # so the Jacobian is the projection inside every piece, and the bound that holds everywhere does hold
    assert lower_bound(net, x[-1]).jacobian == pytest.approx(2.0 * depth, rel=1e-6)


def test_the_condition_of_the_bound_by_frequency_is_what_fails():
    """At every constant image the hats of x are at their kink, and the bound says nothing there."""
    net = CODE.build(20).network
    for value in (0.0, 0.2, -0.4):
        x = np.full((1, 5), value)
        assert lower_bound(net, x).frequency is None
        assert np.abs(mirrored(net).run(x)[0][0]).max() <= 1e-12


def test_without_pooling_to_gain_from_it_costs_more():
    with pytest.raises(ArgumentError, match="expected 2/m_1² \\+ 2 < 2/m_2²"):
        winding_code(np.ones(5))
    with pytest.raises(ArgumentError, match=r"pooling has shape \(4,\)"):
        winding_code(np.ones(4))
    with pytest.raises(ArgumentError, match="radius is -1"):
        CODE.build(10, radius=-1.0)
    with pytest.raises(ArgumentError, match="depth is 6"):
        CODE.build(6)

"""The gap to the bottleneck: the inequality for every network, the factors it is made of, the case of equality."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineardyn.errors import ArgumentError
from proofs_check import bottleneck_gap
from proofs_check.cbn import CyclicCNN, linear_network
from tests.proofs_check.cbn import nets as own
from tests.proofs_check.cbn.pixels import fourier, mirrored
from tests.proofs_check.cbn.test_cost import maps, random_blocks

# norms of order 1 to 100 minus one another
CLOSE = 1e-10

seeds = st.integers(0, 2**20)


def adjoint(a):
    return a.conj().swapaxes(-1, -2)


def check_inequality(net, x):
    gap = bottleneck_gap(net, x)
    assert gap.layers.sum() <= gap.bound + CLOSE * (1 + net.norm())
    return gap


@given(net=own.nets(strided=False), seed=seeds)
def test_the_inequality_holds_for_every_network(net, seed):
    check_inequality(net, own.image_away_from_kinks(net, seed, constant=True))


@given(case=maps(), seed=seeds, size=st.sampled_from([0.0, 1e-4, 1e-2, 0.3]))
def test_the_inequality_holds_close_to_the_minimum(case, seed, size):
    """Linear networks of least norm of maps with singular values near 1, moved a little: here it has least slack."""
    blocks, depth, m = case
    blocks = blocks / max(np.abs(blocks).max(), 1e-300)
    net = linear_network(blocks, depth, m)
    step = size * np.random.default_rng(seed).standard_normal(net.parameters().shape)
    check_inequality(net.with_parameters(net.parameters() + step), np.ones((net.widths[0], *net.grid)))


@pytest.mark.parametrize("pooling", own.POOLINGS)
@pytest.mark.parametrize("grid", [(1,), (5,), (6,), (2, 3)])
def test_identities_at_one_over_the_pooling_are_their_own_bottleneck(grid, pooling):
    """``Ŵ_l = |m_ω|^{-1} P_ω`` with one projection at each frequency: gap, distances and bound are 0."""
    rng = np.random.default_rng(0)
    m = own.make_pooling(pooling, grid, rng)
    u, _, _ = np.linalg.svd(random_blocks(grid, 2, 1, rng), full_matrices=False)
    blocks = (u @ adjoint(u)) / np.abs(m)[..., None, None]
    filters = np.moveaxis(np.fft.ifftn(blocks, axes=range(len(grid))).real, -2, 0)
    net = CyclicCNN([filters] * 4, pooling=m, slope=1.0)
    gap = bottleneck_gap(net, np.ones((2, *grid)))
    assert net.norm() == pytest.approx(4 * (1 / m**2).sum(), rel=1e-12)
    assert gap.total == pytest.approx(0.0, abs=1e-12 * net.norm())
    assert gap.bound == pytest.approx(0.0, abs=1e-12 * net.norm())
    assert gap.layers == pytest.approx(np.zeros(4), abs=1e-12 * net.norm())
    assert (gap.ranks == 1).all()


def test_the_bound_is_the_printed_expression():
    """A linear network with known Jacobian blocks ``m^{L-1} Π Ŵ``."""
    m = np.array([1.0, -0.5, -0.5])
    w = np.fft.ifft([2.0, 1.5, 1.5]).real.reshape(1, 3, 1)
    net = CyclicCNN([w, w], [[0.1], [0.2]], pooling=m, slope=1.0)
    gap = bottleneck_gap(net, np.ones((1, 3)))
    norm = 2 * (4 + 2 * 2.25) + 3 * (0.01 + 0.04)
    total = norm - 2 * (1 + 4 + 4)
    jacobian = np.array([4.0, 0.5 * 2.25, 0.5 * 2.25])
    assert gap.total == pytest.approx(total, rel=1e-13)
    assert gap.log_volumes == pytest.approx(np.log(jacobian), rel=1e-13)
    assert gap.bound == pytest.approx(
        total - 2 * (np.log(4.0) + 2 * 4 * (np.log(jacobian[1]) + np.log(0.5))), rel=1e-12
    )
    assert gap.weights == pytest.approx([1 + 2 * 0.25] * 2, rel=1e-13)
    assert gap.biases == pytest.approx([0.03, 0.12], rel=1e-13)


@given(net=own.nets(strided=False), seed=seeds)
def test_the_factors_are_what_they_are_called(net, seed):
    x = own.image_away_from_kinks(net, seed, constant=True)
    gap = bottleneck_gap(net, x)
    slopes = mirrored(net).run(x)[2]
    ones = (np.arange(gap.V[0].shape[-1]) < gap.ranks[..., None])[..., None, :] * np.eye(gap.V[0].shape[-1])
    product = gap.P[0]
    for i, blocks in enumerate(net.operator_blocks()):
        for basis in (gap.U[i], gap.V[i]):
            assert np.abs(adjoint(basis) @ basis - ones).max(initial=0.0) <= CLOSE
        scale = 1 + np.abs(blocks).max()
        assert np.abs(blocks @ gap.V[i] - gap.U[i] @ gap.P[i]).max(initial=0.0) <= CLOSE * scale
        assert np.linalg.eigvalsh(gap.P[i]).min(initial=0.0) >= -CLOSE * scale
        if i + 1 < net.depth:
            d = slopes[i].reshape(net.widths[i + 1], -1)[:, :1]  # constant within a channel
            assert np.abs(d * gap.U[i] - gap.V[i + 1] @ gap.Q[i]).max(initial=0.0) <= CLOSE
            assert np.linalg.eigvalsh(gap.Q[i]).min(initial=0.0) >= -CLOSE
            assert np.linalg.eigvalsh(gap.Q[i]).max(initial=0.0) <= 1 + CLOSE
            product = gap.P[i + 1] @ gap.Q[i] @ product
    jacobian = net.jacobian_blocks(x)
    chained = net.pooling[..., None, None] ** (net.depth - 1) * (gap.U[-1] @ product)
    assert np.abs(jacobian @ gap.V[0] - chained).max(initial=0.0) <= CLOSE * (1 + np.abs(jacobian).max())
    # the directions left out are the kernel
    assert np.abs(jacobian - chained @ adjoint(gap.V[0])).max() <= 1e-9 * max(1.0, np.abs(jacobian).max())
    largest = np.linalg.svd(jacobian, compute_uv=False).max()
    assert gap.ranks.tolist() == np.linalg.matrix_rank(jacobian, tol=1e-10 * largest).tolist()


@given(net=own.nets(strided=False), seed=seeds)
def test_distances_are_those_of_real_operators_in_pixels(net, seed):
    """The targets are the blocks of real block-circulant matrices; their Frobenius distance is the sum by frequency."""
    gap = bottleneck_gap(net, own.image_away_from_kinks(net, seed, constant=True))
    f = fourier(net.grid)
    for i, w in enumerate(mirrored(net).matrices):
        target = (gap.U[i] @ adjoint(gap.V[i]) / np.abs(net.pooling)[..., None, None]).reshape(len(f), *w_shape(net, i))
        matrix = np.einsum("pi,poc,pj->oicj", f.conj(), target, f).reshape(w.shape)
        assert np.abs(matrix.imag).max() <= CLOSE
        assert gap.weights[i] == pytest.approx(((w - matrix.real) ** 2).sum(), rel=1e-10, abs=CLOSE)
        assert gap.frequencies[i].sum() == pytest.approx(gap.weights[i], rel=1e-12)


def w_shape(net, i):
    return net.widths[i + 1], net.widths[i]


@pytest.mark.parametrize("tolerance", [0.0, 1e-10, 0.3, 0.9])
def test_the_inequality_holds_at_any_rank_that_is_counted(tolerance):
    for seed in range(30):
        net = own.make_net(seed, (5,), 0.3, "local", depth=3)
        x = own.image_away_from_kinks(net, seed, constant=True)
        gap = bottleneck_gap(net, x, rank_tolerance=tolerance)
        assert gap.layers.sum() <= gap.bound + CLOSE * (1 + net.norm())


def test_a_map_that_is_constant_there_leaves_the_whole_norm():
    """All units off: the Jacobian is 0, every k is 0, and the gap is the norm."""
    net = CyclicCNN([np.ones((2, 3, 1)), np.ones((1, 3, 2))], [[-9.0, -9.0], [1.0]])
    gap = bottleneck_gap(net, np.ones((1, 3)))
    assert gap.ranks.tolist() == [0, 0, 0]
    assert gap.layers.sum() == pytest.approx(net.norm())
    assert gap.bound == pytest.approx(net.norm())


NET = CyclicCNN.random((4,), (1, 3, 1), rng=0)
X = np.ones((1, 4))
BAD = {
    "network": (lambda: bottleneck_gap(NET.weights, X), r"net is \(array.*, expected a CyclicCNN"),
    "strides": (
        lambda: bottleneck_gap(CyclicCNN.random((4,), (1, 2, 1), rng=0, stride=2), X),
        r"strides is \(2, -2\), expected none",
    ),
    "constant": (lambda: bottleneck_gap(NET, [[1, 1, 1, 2]]), r"x is not constant, expected one value in each channel"),
    "kink": (lambda: bottleneck_gap(NET, 0 * X), r"x puts channel 0 of layer 1 on its kink"),
    "many": (lambda: bottleneck_gap(NET, np.ones((2, 1, 4))), r"x has shape \(2, 1, 4\), expected one image \(1, 4\)"),
    "tolerance": (lambda: bottleneck_gap(NET, X, rank_tolerance=2.0), r"rank_tolerance is 2, expected a number <= 1"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_calls_name_the_argument(name):
    call, text = BAD[name]
    with pytest.raises(ArgumentError, match=text):
        call()

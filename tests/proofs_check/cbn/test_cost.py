"""The cost of linear maps: attained, not undercut, expanded in the depth; the same penalty as that of the solvers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from lineardyn.errors import ArgumentError
from proofs_check import cost_expansion, representation_cost
from proofs_check.cbn import CyclicCNN, linear_network
from solvers.penalties import penalty_weight, schatten_power
from tests.oracles import EPS, error
from tests.proofs_check.cbn import nets as own
from tests.proofs_check.cbn.pixels import mirrored

# powers 2/L and -2(L-1)/L of singular values that are right to 1e-14
CLOSE = 1e-11

seeds = st.integers(0, 2**20)


def random_blocks(grid, c_out, c_in, rng, rank=None):
    """Unnormalised DFT of a real filter, of smaller rank at random frequencies where ``rank`` is given."""
    w = rng.standard_normal((*grid, c_out, c_in))
    blocks = np.fft.fftn(w, axes=range(len(grid)))
    if rank is not None:
        u, s, vh = np.linalg.svd(blocks, full_matrices=False)
        cut = rng.random(int(np.prod(grid))) < 0.5
        cut = np.where(np.arange(cut.size) <= own.negated(grid), cut, cut[own.negated(grid)]).reshape(grid)
        s[..., rank:][cut] = 0.0
        blocks = (u * s[..., None, :]) @ vh
    return blocks


@st.composite
def maps(draw):
    """Blocks, depth and pooling."""
    rng = np.random.default_rng(draw(seeds))
    grid = draw(st.sampled_from(own.GRIDS))
    c_out, c_in = (int(c) for c in rng.integers(1, 4, 2))
    blocks = random_blocks(grid, c_out, c_in, rng, draw(st.sampled_from([None, 0, 1])))
    blocks = blocks * 10.0 ** float(rng.uniform(-4, 4))
    return blocks, draw(st.integers(1, 6)), own.make_pooling(draw(st.sampled_from(own.POOLINGS)), grid, rng)


@given(case=maps())
def test_a_linear_network_attains_the_cost(case):
    blocks, depth, m = case
    net = linear_network(blocks, depth, m)
    x = np.random.default_rng(0).standard_normal((net.widths[0], *net.grid))
    axes = tuple(range(1, x.ndim))
    hat = np.einsum("...oc,c...->o...", blocks, np.fft.fftn(x, axes=axes))
    wanted = np.fft.ifftn(hat, axes=axes).real
    scale = max(float(np.abs(blocks).max() * np.abs(x).sum()), 1e-300)
    assert float(np.abs(net(x) - wanted).max()) <= 1e-9 * scale  # singular values under 1e-10 are left out
    assert float(np.abs(mirrored(net).run(x)[0][-1] - wanted.ravel()).max()) <= 1e-9 * scale
    assert net.norm() == pytest.approx(representation_cost(blocks, depth=depth, pooling=m), rel=CLOSE)


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_a_linear_network_undoes_the_sign_of_the_pooling(depth):
    blocks = random_blocks((3,), 2, 2, np.random.default_rng(0))
    net = linear_network(blocks, depth, [1.0, -0.5, -0.5])
    assert error(net.jacobian_blocks(np.ones((2, 3))), blocks) <= 1e4 * EPS


@pytest.mark.parametrize("grid", [(3,), (4,), (1,)])
def test_filters_are_real_where_singular_values_tie(grid):
    """Identities with round-off that breaks the symmetry: each SVD alone would choose a basis of its own."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((*grid, 3, 3)) + 1j * rng.standard_normal((*grid, 3, 3))
    blocks = np.eye(3) + 1e-12 * noise
    net = linear_network(blocks, 3)
    assert error(net.jacobian_blocks(np.ones((3, *grid))), blocks) <= 1e-11
    assert net.norm() == pytest.approx(9 * grid[0], rel=1e-10)


@given(case=maps(), seed=seeds)
def test_no_linear_network_costs_less(case, seed):
    """Neither a random one nor the attaining one after a change of basis of its first hidden layer."""
    wanted, depth, m = case
    rng = np.random.default_rng(seed)
    net = CyclicCNN.random(m.shape, [int(c) for c in rng.integers(1, 4, depth + 1)], rng=rng, slope=1.0, pooling=m)
    blocks = net.jacobian_blocks(np.ones((net.widths[0], *m.shape)))
    assert representation_cost(blocks, depth=depth, pooling=m) <= net.norm() * (1 + CLOSE)
    least = linear_network(wanted, depth, m)
    if depth > 1:
        g = np.eye(least.widths[1]) + 0.1 * rng.standard_normal((least.widths[1],) * 2)
        first = np.tensordot(g, least.weights[0], axes=1)
        second = np.tensordot(least.weights[1], np.linalg.inv(g), axes=1)
        turned = CyclicCNN([first, second, *least.weights[2:]], pooling=m, slope=1.0)
        assert least.norm() <= turned.norm() * (1 + CLOSE)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_two_layers_minimised_over_all_their_factors(sign):
    """``min_X Σ_ω ‖X_ω‖² + ‖Â_ω X_ω^{-1}/m_ω‖²`` over invertible X, by descent from the identity."""
    rng = np.random.default_rng(3)
    blocks = np.fft.fftn(rng.standard_normal((2, 2, 2)), axes=[0]).real  # two pixels: every block is real
    m = np.array([1.0, 0.4 * sign])

    def norm(flat):
        x = flat.reshape(2, 2, 2)
        return (x**2).sum() + ((blocks @ np.linalg.inv(x) / m[:, None, None]) ** 2).sum()

    found = minimize(norm, np.stack([np.eye(2)] * 2).ravel(), method="BFGS", options={"gtol": 1e-9})
    assert representation_cost(blocks, depth=2, pooling=m) == pytest.approx(found.fun, rel=1e-9)


@pytest.mark.parametrize("depth", [1, 2, 3, 7])
def test_the_cost_is_n_times_the_penalty_of_the_regularised_problem(depth):
    blocks = random_blocks((3, 4), 2, 3, np.random.default_rng(0))
    predictor = blocks / np.sqrt(12)
    penalty = penalty_weight(1.0, depth=depth, n_pixels=12) * schatten_power(predictor, depth=depth)
    assert representation_cost(blocks, depth=depth) == pytest.approx(12 * penalty, rel=CLOSE)


def test_pooling_costs_its_power():
    """One frequency pair alone: ``|m|^{-2(L-1)/L}`` times the cost without pooling, of whatever sign m is."""
    blocks = np.zeros((5, 1, 1))
    blocks[[2, 3]] = 0.7
    plain = representation_cost(blocks, depth=4)
    assert plain == pytest.approx(4 * 2 * 0.7**0.5, rel=1e-14)
    for m in (0.5, -0.5):
        pooled = representation_cost(blocks, depth=4, pooling=[1, 0.9, m, m, 0.9])
        assert pooled == pytest.approx(0.5**-1.5 * plain, rel=1e-14)


# --- great depth ----------------------------------------------------------------------------------------------------


@given(case=maps())
def test_the_expansion_is_right_to_second_order_in_the_depth(case):
    """The remainder is ``Σ |m|^{-2} Σ (2 log)³/(6 L²)`` and smaller: four times less at twice the depth."""
    blocks, _, m = case
    blocks = blocks / max(np.abs(blocks).max(), 1e-300)
    expansion = cost_expansion(blocks, pooling=m, rank_tolerance=1e-6)
    s = np.linalg.svd(blocks, compute_uv=False)
    keep = s > 1e-6 * s.max(initial=0.0)
    logs = np.log(np.abs(m)[..., None] * np.where(keep, s, 1.0)) * keep
    third = float(((2 * np.abs(logs)) ** 3 / np.abs(m)[..., None] ** 2).sum()) / 6
    for depth in (500, 1000):
        cost = representation_cost(blocks, depth=depth, pooling=m, rank_tolerance=1e-6)
        # the next term is 2|log|/(4L) of it at most, and round-off of the cost
        allowed = 1.1 * third / depth**2 + 1e-12 * (1 + abs(cost))
        assert abs(cost - expansion.at(depth)) <= allowed


def test_the_remainder_is_of_second_order_and_no_smaller():
    blocks = random_blocks((4,), 2, 2, np.random.default_rng(1))
    m = np.array([1.0, 0.8, -0.5, 0.8])
    expansion = cost_expansion(blocks, pooling=m)
    rest = [representation_cost(blocks, depth=L, pooling=m) - expansion.at(L) for L in (100, 200)]
    assert rest[0] / rest[1] == pytest.approx(4.0, rel=0.05)  # 1/L³ makes it 4 + O(1/L)


def test_ranks_and_the_leading_term():
    blocks = np.zeros((4, 2, 2))
    blocks[0], blocks[2] = np.diag([2.0, 1.0]), np.diag([3.0, 1e-14])
    m = np.array([1.0, 0.9, -0.5, 0.9])
    expansion = cost_expansion(blocks, pooling=m)
    assert expansion.ranks.tolist() == [2, 0, 1, 0]
    assert pytest.approx(2 + 4) == expansion.R0
    assert pytest.approx(2 * np.log(2.0) + 2 * 4 * np.log(1.5)) == expansion.R1
    assert pytest.approx(2 * np.log(2.0) ** 2 + 2 * 4 * np.log(1.5) ** 2) == expansion.R2


def test_the_next_term_is_negative_where_the_map_contracts():
    """n = 1, f = x/2: R1 = -2 log 2, below the absolute value of the logarithm."""
    assert pytest.approx(-2 * np.log(2.0)) == cost_expansion([[[0.5]]]).R1


def test_nothing_costs_nothing():
    zero = np.zeros((3, 2, 1))
    assert representation_cost(zero, depth=3) == 0.0
    assert cost_expansion(zero).at(5) == 0.0
    assert linear_network(zero, 3).norm() == 0.0
    assert linear_network(zero, 3).widths == (1, 1, 1, 2)


def test_round_off_does_not_cost():
    """A rank-one block with round-off in it: at depth 20 a singular value of 1e-16 would count .025."""
    rng = np.random.default_rng(0)
    u, v = rng.standard_normal((6, 1)), rng.standard_normal((1, 6))
    blocks = (u @ v)[None]
    s = float(np.linalg.norm(u) * np.linalg.norm(v))
    assert representation_cost(blocks, depth=20) == pytest.approx(20 * s**0.1, rel=CLOSE)
    assert representation_cost(blocks, depth=20, rank_tolerance=0.0) > 20 * s**0.1 + 0.05


def test_wider_networks_cost_the_same():
    blocks = random_blocks((4,), 2, 2, np.random.default_rng(1))
    wide = linear_network(blocks, 3, width=5)
    assert wide.widths == (2, 5, 5, 2)
    assert wide.norm() == pytest.approx(linear_network(blocks, 3).norm(), rel=1e-13)
    assert error(wide.jacobian_blocks(np.ones((2, 4))), blocks) <= 1e4 * EPS


# --- bad calls ------------------------------------------------------------------------------------------------------

A = np.ones((4, 1, 1))
BAD = {
    "two axes": (lambda: representation_cost(np.ones((4, 1)), depth=2), r"blocks has shape \(4, 1\), expected \(n, C_"),
    "words": (lambda: representation_cost([["a"]], depth=2), r"blocks has dtype <U1, expected complex numbers"),
    "ragged": (lambda: representation_cost([[1], [1, 2]], depth=2), r"blocks is no array"),
    "nan": (lambda: cost_expansion(np.full((4, 1, 1), np.nan)), r"blocks holds nan at index \(0, 0, 0\)"),
    "symmetry": (
        lambda: cost_expansion(np.arange(4.0).reshape(4, 1, 1)),
        r"blocks at frequency \(1,\) is not the conjugate of that at its conjugate frequency \(they differ by 2\)",
    ),
    "symmetry at itself": (lambda: cost_expansion(np.full((1, 1, 1), 1j)), r"blocks at frequency \(0,\) is not the"),
    "depth": (lambda: representation_cost(A, depth=0), r"depth is 0, expected an integer >= 1"),
    "depth of the network": (lambda: linear_network(A, 1.5), r"depth is 1\.5, expected an integer"),
    "pooling": (lambda: representation_cost(A, depth=2, pooling=np.ones(5)), r"pooling has shape \(5,\), expected \(4"),
    "tolerance": (lambda: cost_expansion(A, rank_tolerance=-1), r"rank_tolerance is -1, expected a number >= 0"),
    "width": (
        lambda: linear_network(np.stack([np.eye(2)] * 4), 2, width=1),
        r"width is 1, expected at least 2: the largest rank of a block",
    ),
    "depth of the expansion": (lambda: cost_expansion(A).at(0), r"depth is 0, expected an integer >= 1"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_calls_name_the_argument(name):
    call, text = BAD[name]
    with pytest.raises(ArgumentError, match=text):
        call()

"""Bottlenecks of any depth: the function h∘g, norms by definition, slope and bounded intercept over the depth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lineardyn.errors import ArgumentError
from proofs_check.cbn import CyclicCNN, lower_bound, pooling_eigenvalues, representation_cost
from proofs_check.cbn.balancing import balance
from proofs_check.cbn.construction import build_bottleneck
from tests.oracles import EPS, error
from tests.proofs_check.cbn import nets as own
from tests.proofs_check.cbn.pixels import mirrored

# a layer of the bottleneck divides by m_ω >= 0.2 and multiplies by it: a few roundings of the offset, which is up to
# a thousand times the signal, at each of up to 40 layers
CLOSE = 1e6 * EPS
DEPTHS = (2, 5, 160)

seeds = st.integers(0, 2**20)


def projection(n, frequencies):
    """Blocks ``(n, 1, 1)``."""
    blocks = np.zeros((n, 1, 1))
    blocks[list(frequencies)] = 1.0
    return blocks


def in_ball(rng, count, channels, grid, radius):
    """Points of the ball, a third of them on its surface, one constant image among them."""
    x = rng.standard_normal((count, channels, *grid))
    x[0] = 1.0
    norms = np.sqrt((x**2).reshape(count, -1).sum(axis=1))
    r = np.where(np.arange(count) % 3 == 0, 1.0, rng.random(count)) * radius / norms
    return x * r.reshape(-1, *(1,) * (len(grid) + 1))


def norm_by_definition(net):
    """Sums over the dense matrices, and ``n‖b‖²``."""
    dense = mirrored(net)
    return sum(float((w**2).sum()) for w in dense.matrices) + sum(float((b**2).sum()) for b in dense.biases)


@st.composite
def pairs(draw):
    """g and h of one grid, slope and pooling, of one to three layers."""
    grid = draw(st.sampled_from([grid for grid in own.GRIDS if np.prod(grid) <= 8]))
    slope, kind = draw(st.sampled_from(own.SLOPES)), draw(st.sampled_from(own.POOLINGS))
    rng = np.random.default_rng(draw(seeds))
    m = own.make_pooling(kind, grid, rng)
    width = int(rng.integers(1, 4))
    nets = []
    for ends in ((int(rng.integers(1, 3)), width), (width, int(rng.integers(1, 3)))):
        hidden = [int(c) for c in rng.integers(1, 4, rng.integers(0, 3))]
        nets.append(
            CyclicCNN.random(grid, (ends[0], *hidden, ends[1]), rng=rng, slope=slope, pooling=m, bias_scale=0.3)
        )
    return (*nets, rng)


@given(
    case=pairs(),
    more=st.integers(0, 30),
    radius=st.sampled_from([0.1, 1.0, 4.0]),
    kind=st.sampled_from(["dc", "biases"]),
)
def test_the_network_is_h_after_g_on_the_ball(case, more, radius, kind):
    g, h, rng = case
    built = build_bottleneck(g, h, depth=g.depth + h.depth + more, radius=radius, positivity=kind)
    x = in_ball(rng, 12, g.widths[0], g.grid, radius)
    first, second = mirrored(g), mirrored(h)
    wanted = np.stack([second.run(first.run(image)[0][-1])[0][-1] for image in x])
    assert built.network.depth == g.depth + h.depth + more
    assert error(built.network(x).reshape(len(x), -1), wanted) <= CLOSE
    between = built.network.preactivations(x)[g.depth - 1 : g.depth + more]
    if g.slope != 1.0:  # the identity layers never meet the kink
        assert all(z.min() >= -CLOSE * np.abs(z).max() for z in between)


@given(case=pairs(), more=st.integers(0, 12))
def test_cost_ranks_and_intercept_are_those_of_the_weights(case, more):
    g, h, _ = case
    built = build_bottleneck(g, h, depth=g.depth + h.depth + more)
    net = built.network
    norm = norm_by_definition(net)
    assert net.norm() == pytest.approx(norm, rel=1e-12)
    assert net.norm("filter") == pytest.approx(norm / net.n_pixels, rel=1e-12)
    assert built.intercept == pytest.approx(norm - net.depth * built.cost_per_layer, abs=1e-11 * norm)
    ranks = np.linalg.matrix_rank(h.operator_blocks()[0] @ g.operator_blocks()[-1], tol=1e-9)
    ranks.flat[0] = max(ranks.flat[0], built.positivity == "dc")
    assert np.array_equal(built.ranks, ranks)
    assert built.cost_per_layer == pytest.approx(float((ranks / net.pooling**2).sum()), rel=1e-12)
    for blocks in net.operator_blocks()[g.depth : g.depth + more]:  # m Ŵ is a projection of rank k, up to the amplitude
        s = np.linalg.svd(net.pooling[..., None, None] * blocks, compute_uv=False)
        assert np.array_equal((s > 1e-9).sum(axis=-1), ranks)
        assert np.ptp(s[s > 1e-9]) <= 1e-9 if ranks.any() else True


@pytest.mark.parametrize(
    ("frequencies", "kind", "depths"),
    [
        ((0, 1, 7), "local", (*DEPTHS, 1000)),
        ((1, 7), "global", DEPTHS),
        ((0,), "none", DEPTHS),
        ((4,), "any", DEPTHS),
        (tuple(range(8)), "signed", DEPTHS),
    ],
    ids=str,
)
def test_with_an_offset_on_dc_each_layer_costs_the_rank_exactly(frequencies, kind, depths):
    """‖θ‖² = L Σ |m|^{-2} k + const with the same constant at every depth up to 1000."""
    blocks, rng = projection(8, frequencies), np.random.default_rng(0)
    m = own.make_pooling(kind, (8,), rng)
    built = [build_bottleneck(blocks, blocks, depth=depth, pooling=m, positivity="dc") for depth in depths]
    k = np.zeros(8)
    k[[0, *frequencies]] = 1.0
    assert all(b.cost_per_layer == pytest.approx((k / m**2).sum(), rel=1e-12) for b in built)
    # a sum of 1000 numbers, up to 200 each where m is .2
    assert np.ptp([b.intercept for b in built]) <= 1e-9 * max(1.0, built[-1].network.norm() / 1e3)
    x = in_ball(rng, 20, 1, (8,), 1.0)
    hat = np.fft.fft(x) * blocks[:, 0, 0]
    # 1000 layers
    assert np.abs(built[-1].network(x) - np.fft.ifft(hat).real).max() <= 1e-11


def test_local_pooling_on_eight_pixels_has_the_slope_and_less_than_the_intercept_of_the_theory():
    m = pooling_eigenvalues((8,), "local", 0.3)
    blocks = projection(8, (0, 1, 7))
    built = [build_bottleneck(blocks, blocks, depth=depth, pooling=m) for depth in (5, 160)]
    assert built[0].cost_per_layer == pytest.approx(3.404, abs=5e-4)  # the notes: slope 3.404, intercept 62.7 to 71.0
    assert all(0.0 < b.intercept < 62.7 for b in built)


def intercept_of_biases(depth, m_1, radius):
    """Of the projection on ±1: ``2√(first last) + K (Σ (a_l/a_{l-1})² - L)``, a_l as in the theory.

    The first layer is a times the projection, of norm² 2; its biases are ``radius`` times the norm of a row, so that
    ``n‖b‖² = 2 radius² a_l²``; the last layer is 1/(a m).
    """
    count = depth - 1
    a = np.array([1.0 / min(place, depth - place) for place in range(1, depth)])
    first = 2.0 + 2.0 * radius**2 * float((a**2).sum())
    cost = 2.0 / m_1**2
    return 2.0 * np.sqrt(first * cost) + cost * (float((a[1:] ** 2 / a[:-1] ** 2).sum()) - count - 1)


@pytest.mark.parametrize(("depth", "radius"), [(2, 1.0), (3, 0.1), (20, 1.0), (160, 5.0), (1000, 1.0)])
def test_with_biases_the_intercept_is_that_of_amplitudes_one_over_the_distance_to_the_ends(depth, radius):
    m = pooling_eigenvalues((8,), "local", 0.3)
    blocks = projection(8, (1, 7))
    built = build_bottleneck(blocks, blocks, depth=depth, pooling=m, positivity="biases", radius=radius)
    assert built.positivity == "biases"
    assert built.cost_per_layer == pytest.approx(2.0 / m[1] ** 2)
    # the scale of the ends is found by sweeps to 1e-9 and then exactly
    assert built.intercept == pytest.approx(intercept_of_biases(depth, m[1], radius), rel=1e-8, abs=1e-8)


def test_with_biases_the_intercept_is_bounded():
    """Σ 1/min² ≤ π²/3 and Σ (a_l/a_{l-1})² - L ≤ π²/3 - 1: the bound that no depth exceeds."""
    m = pooling_eigenvalues((8,), "local", 0.3)
    blocks = projection(8, (1, 7))
    cost = 2.0 / m[1] ** 2
    bound = 2.0 * np.sqrt((2.0 + 2.0 * np.pi**2 / 3) * cost) + cost * (np.pi**2 / 3 - 1)
    intercepts = [
        build_bottleneck(blocks, blocks, depth=depth, pooling=m, positivity="biases").intercept
        for depth in (5, 50, 1000)
    ]
    assert max(intercepts) <= bound
    assert bound - intercepts[-1] < 0.1  # and it is sharp


def test_auto_takes_the_cheaper_way():
    """An added dimension of DC is cheaper at first, biases from some depth on."""
    blocks = projection(8, (1, 7))
    found = [build_bottleneck(blocks, blocks, depth=depth) for depth in (3, 10, 100)]
    assert [b.positivity for b in found] == ["dc", "dc", "biases"]
    for built in found:
        both = [
            build_bottleneck(blocks, blocks, depth=built.network.depth, positivity=kind).network.norm()
            for kind in ("dc", "biases")
        ]
        assert built.network.norm() == min(both)


@given(case=pairs(), more=st.integers(0, 5), seed=seeds)
def test_no_construction_is_below_the_bounds_that_hold_for_all_networks(case, more, seed):
    g, h, rng = case
    net = build_bottleneck(g, h, depth=g.depth + h.depth + more).network
    bound = lower_bound(net, in_ball(rng, 2, net.widths[0], net.grid, 1.0)[1])
    assert bound.jacobian <= net.norm() * (1 + 1e-9)
    constant = lower_bound(net, own.image_away_from_kinks(net, seed, constant=True))
    if constant.frequency is not None:
        assert constant.frequency <= net.norm() * (1 + 1e-9)


@pytest.mark.parametrize("depth", [2, 3, 10])
def test_linear_networks_cost_what_linear_networks_cost(depth):
    """Of projections, without an activation: L Σ m^{-2}k + the two ends, at least the cost of the map."""
    m = pooling_eigenvalues((6,), "local", 0.3)
    blocks = projection(6, (0, 1, 5))
    built = build_bottleneck(blocks, blocks, depth=depth, pooling=m, slope=1.0)
    assert built.positivity == "none"
    assert built.network.norm() >= representation_cost(blocks, depth=depth, pooling=m) * (1 - 1e-12)
    plain = build_bottleneck(blocks, blocks, depth=depth, slope=1.0)
    assert plain.network.norm() == pytest.approx(representation_cost(blocks, depth=depth))  # 3 L: nothing to gain


def test_a_better_bound_of_g_lowers_the_intercept_and_keeps_the_function():
    m = pooling_eigenvalues((5,), "global", 0.2)
    g = CyclicCNN.random((5,), (1, 4, 4, 4, 2), rng=0, pooling=m, bias_scale=0.3)
    h = CyclicCNN.random((5,), (2, 3, 1), rng=1, pooling=m)
    x = in_ball(np.random.default_rng(0), 400, 1, (5,), 2.0)
    largest = 1.2 * float(np.sqrt((g(x) ** 2).sum(axis=(1, 2))).max())
    crude = build_bottleneck(g, h, depth=9, radius=2.0)
    better = build_bottleneck(g, h, depth=9, radius=2.0, inner_bound=largest)
    assert better.intercept < 0.8 * crude.intercept
    assert error(better.network(x), h(g(x))) <= CLOSE
    none = build_bottleneck(g, h, depth=9, radius=2.0, inner_bound=1e-3 * largest)
    assert error(none.network(x), h(g(x))) > 1e-2  # a wrong bound meets the kink


def test_the_offset_suffices_for_the_worst_g():
    """Constant images of either sign through DC alone: the norms of the operators are attained but for √2 each."""
    flat = np.full((1, 4, 1), 0.25)
    first = np.concatenate([3.0 * flat, -3.0 * flat])
    last = np.concatenate([flat, -flat], axis=2)
    g, h = CyclicCNN([first, last], [[0.5, 0.0], [0.0]]), CyclicCNN([flat])
    built = build_bottleneck(g, h, depth=9, radius=2.0)
    x = np.stack([np.full((1, 4), value) for value in (-1.0, 1.0)])  # of norm 2
    assert h(g(x))[:, 0, 0] == pytest.approx([-3.0, 3.5])
    assert error(built.network(x), h(g(x))) <= CLOSE
    between = built.network.preactivations(x)[1:8]
    assert 0.0 <= min(z.min() for z in between) <= 0.5 * max(z.max() for z in between)


@pytest.mark.parametrize("kind", ["none", "local"])
def test_the_offset_rides_on_dc_under_channels_that_dc_does_not_use(kind):
    """k_0 = 1, k_{±1} = 2: the two channels of ±1 need an offset each, DC has one dimension for both."""
    rng = np.random.default_rng(0)
    blocks = np.fft.fft(rng.standard_normal((6, 2, 2)), axis=0) * np.isin(np.arange(6), (0, 1, 5))[:, None, None]
    blocks[0, 1] = 0.0
    m = pooling_eigenvalues((6,), kind)
    built = build_bottleneck(blocks, np.tile(np.eye(2), (6, 1, 1)), depth=12, pooling=m, radius=3.0)
    assert built.ranks.tolist() == [1, 2, 0, 0, 0, 2]
    x = in_ball(rng, 50, 2, (6,), 3.0)
    wanted = np.fft.ifft(np.einsum("foc,ncf->nof", blocks, np.fft.fft(x))).real
    assert error(built.network(x), wanted) <= CLOSE
    assert not any(b.any() for b in built.network.biases[1:-1])


def test_a_map_that_is_constant_has_no_bottleneck():
    net = build_bottleneck(np.zeros((4, 2, 1)), CyclicCNN([np.ones((1, 4, 2))], [[3.0]]), depth=5)
    assert net.ranks.sum() <= 1
    assert np.array_equal(net.network(np.ones((1, 4))), np.full((1, 4), 3.0))


# --- balance --------------------------------------------------------------------------------------------------------


@given(net=own.nets(strided=False), seed=seeds)
@example(net=own.make_net(0, (1,), depth=1), seed=0)
def test_balanced_channels_cost_the_same_on_both_sides(net, seed):
    better = balance(net, max_sweeps=2000)
    x = np.random.default_rng(seed).standard_normal((4, net.widths[0], *net.grid))
    assert error(better(x), net(x)) <= CLOSE
    assert better.norm() <= net.norm() * (1 + 1e-12)
    for w, b, after in zip(better.weights[:-1], better.biases[:-1], better.weights[1:], strict=True):
        into = (w**2).reshape(len(w), -1).sum(axis=1) + b**2
        out = (after**2).reshape(-1, after.shape[-1]).sum(axis=0)
        # the last sweep gains 1e-9 of the norm, so the imbalance, of which that is the square, is 1e-4 of it
        assert np.abs(into - out).max() <= 1e-3 * better.norm("filter")


def test_no_other_scale_is_cheaper():
    net = balance(own.make_net(3, (4,), depth=3), max_sweeps=2000)
    rng = np.random.default_rng(0)
    for _ in range(20):
        s = np.exp(0.1 * rng.standard_normal(net.widths[1]))
        weights = [net.weights[0] * s[:, None, None], net.weights[1] / s, net.weights[2]]
        other = CyclicCNN(weights, [net.biases[0] * s, *net.biases[1:]], pooling=net.pooling)
        assert other.norm() > net.norm()


# --- bad calls ------------------------------------------------------------------------------------------------------

BLOCKS = projection(4, (0, 1, 3))
NET = CyclicCNN.random((4,), (1, 2, 1), rng=0)
STRIDED = CyclicCNN.random((4,), (1, 2, 1), rng=0, stride=2)
BAD = {
    "too shallow": (NET, NET, {"depth": 3}, "depth is 3, expected at least 4"),
    "no depth": (NET, NET, {"depth": 4.5}, "depth is 4.5, expected an integer"),
    "other grid": (BLOCKS, projection(5, (0,)), {}, r"outer has grid \(5,\)"),
    "other channels": (BLOCKS, np.ones((4, 1, 2)), {}, "outer takes 2 channels, expected 1"),
    "not real": (1j * BLOCKS, BLOCKS, {}, "inner differs by 2 from its conjugate"),
    "no blocks": (np.ones(4), BLOCKS, {}, r"inner has shape \(4,\)"),
    "text": ("g", BLOCKS, {}, "inner is 'g', expected a CyclicCNN or blocks"),
    "not finite": (np.nan * BLOCKS, BLOCKS, {}, "inner holds"),
    "no radius": (BLOCKS, BLOCKS, {"radius": 0.0}, "radius is 0, expected a number > 0"),
    "other way": (BLOCKS, BLOCKS, {"positivity": "bias"}, "did you mean 'biases'"),
    "other slope": (NET, NET, {"slope": 0.2}, "inner has slope 0, expected 0.2"),
    "other pooling": (NET, NET, {"pooling": [1, 0.5, 1, 0.5]}, "inner has another pooling"),
    "vanishing pooling": (BLOCKS, BLOCKS, {"pooling": [1, 0, 1, 0]}, "vanishes at frequency"),
    "large tol": (BLOCKS, BLOCKS, {"tol": 0.9}, "tol is 0.9"),
    "negative bound": (BLOCKS, BLOCKS, {"inner_bound": -1.0}, "inner_bound is -1"),
    "strided": (STRIDED, BLOCKS, {}, "inner is strided"),
    "strided outside": (BLOCKS, STRIDED, {}, "outer is strided"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_calls_say_what_to_do(case):
    inner, outer, arguments, text = BAD[case]
    with pytest.raises(ArgumentError, match=text):
        build_bottleneck(inner, outer, **{"depth": 9, **arguments})


def test_balance_takes_networks_only():
    with pytest.raises(ArgumentError, match="network is no CyclicCNN"):
        balance(BLOCKS)

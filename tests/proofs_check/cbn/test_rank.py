"""The bottleneck rank from both sides: maps of known rank, both bounds in pixels, thresholds, kinks, finite samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lineardyn.errors import ArgumentError
from proofs_check.cbn import CyclicCNN
from proofs_check.cbn.conjecture import star_map
from proofs_check.cbn.construction import build_bottleneck
from proofs_check.cbn.rank import THRESHOLDS, cbn_rank
from proofs_check.cbn.two_frequencies import two_frequency_factorization
from proofs_check.cbn.winding import winding_code
from tests.proofs_check.cbn import nets as own
from tests.proofs_check.cbn.pixels import fourier, mirrored

seeds = st.integers(0, 2**20)


def interior(rng, count, channels, grid):
    return rng.standard_normal((count, channels, *grid)) / np.sqrt(channels * np.prod(grid))


@given(
    seed=seeds,
    grid=st.sampled_from([(1,), (2,), (5,), (6,), (2, 3), (3, 3)]),
    kind=st.sampled_from(own.POOLINGS),
    channels=st.integers(1, 3),
)
def test_linear_maps_have_the_rank_of_their_blocks(seed, grid, kind, channels):
    """Σ |m_ω|^{-2} rank Â_ω from the output, as a function; Σ rank from below, exactly the same without pooling."""
    rng = np.random.default_rng(seed)
    d, m = len(grid), own.make_pooling(kind, grid, rng)
    a, b = rng.standard_normal((channels, *grid, 1)), rng.standard_normal((1, *grid, channels))
    hat = [np.moveaxis(np.fft.fftn(w, axes=range(1, 1 + d)), 0, -2) for w in (a, b)]
    keep = rng.random(grid) < 0.5
    keep |= keep.ravel()[own.negated(grid)].reshape(grid)
    sizes = [np.linalg.norm(h, axis=(-2, -1), keepdims=True) for h in hat]
    blocks = (hat[0] @ hat[1]) / (sizes[0] * sizes[1]) * keep[..., None, None]  # one singular value 1 where kept
    w = np.moveaxis(np.fft.ifftn(blocks, axes=range(d)).real, -2, 0)
    net, x = CyclicCNN([w], pooling=m), interior(rng, 3 * channels * int(np.prod(grid)) + 3, channels, grid)
    cost = float((keep / m**2).sum())
    for found in (cbn_rank(net, x), cbn_rank(net.__call__, x, pooling=m)):
        assert found.upper == pytest.approx(cost)
        assert found.lower == keep.sum()
        assert found.stable
        assert found.costs["input"] == pytest.approx(cost)
        assert np.array_equal(found.ranks["output"], keep)
    assert cbn_rank(net, x).constant == pytest.approx(cost)


@given(seed=seeds, kind=st.sampled_from(own.POOLINGS))
@example(seed=3960, kind="global")  # every neuron is silent on all samples
def test_a_bottleneck_is_found_in_its_layers(seed, kind):
    """Narrow in the middle only; each layer's spans in pixels, by the definition."""
    rng = np.random.default_rng(seed)
    m = own.make_pooling(kind, (5,), rng)
    g = CyclicCNN.random((5,), (2, 3, 1), rng=rng, pooling=m, bias_scale=0.3)
    h = CyclicCNN.random((5,), (1, 3, 2), rng=rng, pooling=m, bias_scale=0.3)
    net = build_bottleneck(g, h, depth=6).network
    x = interior(rng, 60, 2, (5,))
    found = cbn_rank(net, x)
    f, dense = fourier((5,)), mirrored(net)
    for place in range(6):
        name = "output" if place == 5 else f"layer {place + 1}"
        z = np.stack([dense.run(image)[0][place] for image in x]).reshape(60, -1, 5) @ f.T
        noise = 1e-12 * np.linalg.norm(z)  # 60 × 5 × 2 numbers: a hundred units of round-off and more
        z[..., 0] -= z[..., 0].mean(axis=0)
        s = np.stack([np.linalg.svd(z[..., k].T, compute_uv=False) for k in range(5)])
        assert np.array_equal(found.ranks[name], (s > max(1e-6 * s.max(), noise)).sum(axis=1))
        assert found.costs[name] == pytest.approx(float((found.ranks[name] / m**2).sum()))
    assert found.upper == min(found.costs.values())
    assert found.costs[found.place] == found.upper
    assert all(k <= 1 for k in found.ranks["layer 2"])
    assert found.lower <= sum(found.ranks[found.place])
    assert found.lower <= found.upper


@given(net=own.nets(strided=False), seed=seeds)
def test_jacobian_ranks_are_those_of_the_dense_jacobian_and_below_the_upper_bound(net, seed):
    rng = np.random.default_rng(seed)
    x = interior(rng, 25, net.widths[0], net.grid)
    found = cbn_rank(net, x)
    singular = [np.linalg.svd(mirrored(net).jacobian(image), compute_uv=False) for image in x[:4]]
    assert list(found.jacobian_ranks[:4]) == [int((s > 1e-6 * s.max()).sum()) for s in singular]
    assert found.lower == found.jacobian_ranks.max()


def test_a_function_has_the_ranks_of_the_network_it_is():
    """Central differences against the exact Jacobian, away from kinks; the function shows no hidden layer."""
    net = own.make_net(5, (6,), depth=3)
    x = interior(np.random.default_rng(0), 40, net.widths[0], (6,))
    exact, sampled = cbn_rank(net, x), cbn_rank(lambda images: net(images), x, pooling=net.pooling)
    assert np.array_equal(exact.jacobian_ranks, sampled.jacobian_ranks)
    assert set(sampled.costs) == {"input", "output"}
    for name in sampled.costs:
        assert np.array_equal(sampled.ranks[name], exact.ranks[name])


def test_stars_have_a_gap():
    """Rank one at every x, but no factorisation of one dimension: 1 ≤ Rank_CBN = 2, and what is seen is 3."""
    x = interior(np.random.default_rng(0), 60, 1, (3,))
    found = cbn_rank(star_map, x)
    assert found.lower == 1
    assert found.costs == {"input": 2.0, "output": 3.0}  # it depends on differences: nothing of DC goes in
    assert found.upper == 2.0


def test_a_finite_sample_has_two_dimensions_and_its_interior_has_all():
    """The identity on five pixels: rank 5 in the interior, 2 by a factorisation of the sample alone."""
    x = np.random.default_rng(0).standard_normal((4, 1, 5))
    factors = two_frequency_factorization(x)
    code = np.fft.fft(factors.inner(x), axis=-1)
    assert (np.abs(code).max(axis=(0, 1)) > 1e-6).sum() == 2
    assert cbn_rank(lambda images: images, interior(np.random.default_rng(1), 20, 1, (5,))).lower == 5


def test_the_winding_code_is_an_upper_bound_below_the_ranks_of_the_blocks():
    """Where the bound at constant images would say 8, the identity layers hold 4.47."""
    code = winding_code()
    found = cbn_rank(code.build(9).network, interior(np.random.default_rng(0), 80, 1, (5,)))
    assert found.upper == pytest.approx(2.0 / 0.81 + 2.0)
    assert found.costs["output"] == pytest.approx(8.0)
    assert found.lower == 2
    assert found.constant is None


def test_offsets_do_not_count_at_dc():
    """The biases that keep identity layers from the kink are constants, which may be left to h."""
    blocks = np.zeros((5, 1, 1))
    blocks[[1, 4]] = 1.0
    net = build_bottleneck(blocks, blocks, depth=5, positivity="biases").network
    found = cbn_rank(net, interior(np.random.default_rng(0), 30, 1, (5,)))
    assert all(k.tolist() == [0, 1, 0, 0, 1] for k in found.ranks.values())
    assert found.upper == found.lower == 2


def test_maps_of_nothing_have_rank_nothing():
    for f in (CyclicCNN([np.zeros((1, 4, 1))], [[2.0]]), lambda images: 0.0 * images):
        found = cbn_rank(f, np.zeros((3, 1, 4)))
        assert found.lower == found.upper == 0


def test_ranks_over_thresholds_tell_when_they_are_not_stable():
    """Singular values 1, 1e-3, 1e-6: counted one by one, and no threshold between is safe by two decades."""
    blocks = np.zeros((1, 3, 3))
    blocks[0] = np.diag([1.0, 1e-3, 1e-6])
    x = np.linalg.qr(np.random.default_rng(0).standard_normal((60, 4)))[0][:, 1:, None]
    net = CyclicCNN([blocks.transpose(1, 0, 2)])
    counts = cbn_rank(net, x, threshold=1e-8).counts
    assert set(counts) == set(THRESHOLDS)
    assert counts[1e-2] == 1
    assert counts[1e-5] == 2
    assert counts[1e-8] == 3
    assert cbn_rank(net, x, threshold=1e-10).stable
    assert not cbn_rank(net, x, threshold=1e-6).stable
    assert cbn_rank(net, x, threshold=1e-4).lower == 2


NET = CyclicCNN.random((4,), (1, 2, 1), rng=0)
X = np.random.default_rng(0).standard_normal((5, 1, 4))
BAD = {
    "too few": (
        (CyclicCNN([np.ones((1, 2, 1)) * [[[1.0], [0.0]]]]), X[:1, :, :2]),
        {},
        "samples has 1 points, which span 1",
    ),
    "flat": ((NET, np.ones(4)), {}, r"samples has shape \(4,\), expected \(N, C, n\) or \(N, C, H, W\)"),
    "none": ((NET, X[:0]), {}, r"samples has shape \(0, 1, 4\)"),
    "other channels": ((NET, np.ones((2, 3, 4))), {}, "x has shape"),
    "text": (("f", X), {}, "f is 'f', expected a CyclicCNN or a function"),
    "pooling twice": ((NET, X), {"pooling": np.ones(4)}, "a network has its own"),
    "strided": ((CyclicCNN.random((4,), (1, 2, 1), rng=0, stride=2), X), {}, "f is strided"),
    "no threshold": ((NET, X), {"threshold": 0.0}, "threshold is 0, expected a number > 0"),
    "other grid": ((lambda x: x[..., :2], X), {}, r"f\(samples\) has shape \(5, 1, 2\)"),
    "other pooling": ((lambda x: x, X), {"pooling": np.ones(3)}, r"pooling has shape \(3,\)"),
    "nan": ((lambda x: np.full_like(x, np.nan), X), {}, r"f\(samples\) holds nan"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_calls_say_what_to_do(case):
    arguments, keywords, text = BAD[case]
    with pytest.raises(ArgumentError, match=text):
        cbn_rank(*arguments, **keywords)

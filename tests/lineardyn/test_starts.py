"""Starts: what their spectra, ranks and variances are; small and balanced ones are tried in test_networks.py too.

ROUND_OFF as there. A variance of n draws is off by ``σ² √(κ - 1)/√n`` (one standard error; excess 2 for normal numbers,
0.8 for uniform ones); five of them are allowed, and the seeds are fixed.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineardyn.errors import ArgumentError
from lineardyn.flow.gradient_flow import gradient_flow
from lineardyn.invariants import balance
from lineardyn.moments import SecondMoments
from lineardyn.networks import LinearCNN, LinearFCN
from tests import oracles
from tests import strategies as own
from tests.lineardyn.problems import cosine_images

ROUND_OFF = 1e-12
KINDS = {"cnn": LinearCNN, "fcn": LinearFCN}
kinds = st.sampled_from(sorted(KINDS))
conventions = st.sampled_from(["convolution", "correlation"])
hidden = st.lists(st.integers(1, 4), max_size=4).map(tuple)


def layers(network, weights):
    """``A_1, .., B``: by frequency for kernels, whole for a fully connected network."""
    if isinstance(network, LinearFCN):
        return weights
    spectra = [oracles.dft2(w.transpose(0, 3, 1, 2)).transpose(2, 3, 0, 1) for w in weights]
    return [*(a if network.convention == "convolution" else a.conj() for a in spectra[:-1]), spectra[-1].conj()]


def make(kind, shape, channels, widths, outputs, convention="convolution"):
    options = {"convention": convention} if kind == "cnn" else {}
    return KINDS[kind]((channels, *shape), widths=widths, n_outputs=outputs, **options)


# --- given rank ------------------------------------------------------------------------------------------------------


@given(
    kind=kinds, convention=conventions, shape=own.shapes, channels=st.integers(1, 4), widths=hidden,
    outputs=own.outputs, seed=own.seeds, rank=st.integers(1, 4),
)  # fmt: skip
def test_low_rank_start_has_that_rank_and_is_balanced(kind, convention, shape, channels, widths, outputs, seed, rank):
    network = make(kind, shape, channels, widths, outputs, convention)
    pixels = network.n_pixels if kind == "fcn" else 1
    rank = min(rank, channels * pixels, *widths, outputs)
    weights = network.init_low_rank(rank, 0.7, rng=seed)
    parts = layers(network, weights)
    product = parts[0]
    for upper in parts[1:]:
        product = upper @ product
    for block, size in [*((a, 0.7) for a in parts), (product, 0.7**network.depth)]:
        singular = np.linalg.svd(block, compute_uv=False)
        assert np.abs(singular[..., :rank] - size).max() <= ROUND_OFF
        assert np.abs(singular[..., rank:]).max(initial=0.0) <= ROUND_OFF
    for lower, upper in pairwise(parts):
        gap = lower @ np.swapaxes(lower, -1, -2).conj() - np.swapaxes(upper, -1, -2).conj() @ upper
        assert np.abs(gap).max() <= ROUND_OFF
    if kind == "cnn":
        assert [(w**2).sum() for w in weights] == pytest.approx([network.n_pixels * rank * 0.49] * network.depth)


def test_low_rank_start_is_uniform_over_subspaces():
    """``⟨|Â_ij|²⟩ = scale² rank/(C_l C_{l-1})`` for each of 3×4 entries, over 800 frequencies: 5/√800 of it."""
    network = LinearCNN((4, 40, 40), widths=(3,), n_outputs=3)
    first, _ = layers(network, network.init_low_rank(2, 0.5, rng=2))
    assert (np.abs(first) ** 2).mean(axis=(0, 1)) == pytest.approx(np.full((3, 4), 0.25 * 2 / 12), rel=5 / 800**0.5)
    assert np.abs(first.mean(axis=(0, 1))).max() <= 5 * np.sqrt(0.25 / 6 / 800)  # LAPACK's own signs are not of mean 0


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_gradient_flow_keeps_the_rank(kind, decay):
    """To what rtol = 1e-9 leaves of the exact rank: 1e-6 of the largest singular value."""
    data = own.make_data("incoherent", (3, 3, 4), 3, 5)
    network = KINDS[kind](data.image_shape, widths=(4, 3), n_outputs=3)
    moments = SecondMoments.from_data(data.images, data.targets)
    start = network.init_low_rank(2, 0.6, rng=1)
    end = gradient_flow(network, moments, start, [3.0], weight_decay=decay, rtol=1e-9, atol=1e-12).weights(-1)
    assert max(np.abs(a - b).max() for a, b in zip(start, end, strict=True)) > 0.1
    for block in layers(network, end):
        singular = np.linalg.svd(block, compute_uv=False)
        assert singular[..., 2:].max() <= 1e-6 * singular[..., 0].max()
        assert singular[..., 1].max() >= 1e-2 * singular[..., 0].max()


# --- Glorot and He ---------------------------------------------------------------------------------------------------

VARIANCES = {
    ("cnn", "init_glorot"): [2 / (400 * (2 + 5)), 2 / (400 * (5 + 3)), 2 / (400 * 3 + 7)],
    ("cnn", "init_he"): [2 / (400 * 2), 2 / (400 * 5), 2 / (400 * 3)],
    ("fcn", "init_glorot"): [2 / (800 + 50), 2 / (50 + 60), 2 / (60 + 70)],
    ("fcn", "init_he"): [2 / 800, 2 / 50, 2 / 60],
}
NETWORKS = {
    "cnn": LinearCNN((2, 20, 20), widths=(5, 3), n_outputs=7),
    "fcn": LinearFCN((2, 20, 20), widths=(50, 60), n_outputs=70),
}


@pytest.mark.parametrize(("kind", "name"), list(VARIANCES))
@pytest.mark.parametrize(("distribution", "excess"), [("normal", 2.0), ("uniform", 0.8)])
def test_variance_of_each_layer(kind, name, distribution, excess):
    weights = getattr(NETWORKS[kind], name)(rng=3, gain=0.5, distribution=distribution)
    for w, variance in zip(weights, VARIANCES[kind, name], strict=True):
        sigma = 0.5 * np.sqrt(variance)
        assert abs(w.mean()) <= 5 * sigma / np.sqrt(w.size)
        assert w.var() == pytest.approx(sigma**2, rel=5 * np.sqrt(excess / w.size))
        assert (np.abs(w).max() <= np.sqrt(3) * sigma) == (distribution == "uniform")


def test_spectrum_has_the_variance_of_the_pixels_at_every_frequency():
    """4000 kernels of Glorot's start: ``⟨|ŵ_f|²⟩ = σ²``, to 5√2/√4000 where ŵ is real, closer elsewhere."""
    network = LinearCNN((50, 3, 4), widths=(80,), n_outputs=1)
    first, _ = layers(network, network.init_glorot(rng=0))
    power = (np.abs(first) ** 2).mean(axis=(2, 3))
    assert power == pytest.approx(np.full((3, 4), 2 / (12 * 130)), rel=5 * np.sqrt(2 / 4000))


@pytest.mark.torch
@pytest.mark.parametrize("name", ["init_glorot", "init_he"])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_variance_is_that_of_torch(kind, name):
    """Both are samples of the law: each within 5 standard errors of it, so 10 of one another."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    fill = torch.nn.init.xavier_normal_ if name == "init_glorot" else torch.nn.init.kaiming_normal_
    for i, w in enumerate(getattr(NETWORKS[kind], name)(rng=4)):
        last = w.ndim == 2 or i == 2
        theirs = fill(torch.empty(len(w), w[0].size) if last else torch.empty(len(w), w.shape[3], *w.shape[1:3]))
        assert w.var() == pytest.approx(float(theirs.var()), rel=10 * np.sqrt(2 / w.size))


# --- identity --------------------------------------------------------------------------------------------------------


@given(convention=conventions, shape=own.shapes, channels=st.integers(1, 4), depth=st.integers(2, 5), seed=own.seeds)
def test_identity_start_passes_the_image_on(convention, shape, channels, depth, seed):
    """With a last layer of our own: ``f(x) = scale^(L-1) w_L · x``; and ``Â_l = scale I/√P`` at every frequency."""
    network = make("cnn", shape, channels, (channels,) * (depth - 1), 3, convention)
    weights = network.init_identity(0.5)
    assert not weights[-1].any()
    for block in layers(network, weights)[:-1]:
        assert np.abs(block - 0.5 * np.eye(channels) / np.sqrt(network.n_pixels)).max() <= ROUND_OFF
    rng = np.random.default_rng(seed)
    images, last = rng.standard_normal((2, channels, *shape)), rng.standard_normal(weights[-1].shape)
    wanted = 0.5 ** (depth - 1) * np.einsum("khwc,nchw->nk", last, images)
    assert network.predict([*weights[:-1], last], images) == pytest.approx(wanted, rel=ROUND_OFF, abs=100 * ROUND_OFF)


def test_identity_start_of_a_fully_connected_network_and_of_unequal_widths():
    wide, narrow, last = LinearFCN((1, 2, 2), widths=(5, 3), n_outputs=2).init_identity(2.0)
    assert np.array_equal(wide, 2 * np.eye(5, 4))
    assert np.array_equal(narrow, 2 * np.eye(3, 5))
    assert not last.any()
    first, second, _ = LinearCNN((2, 3, 3), widths=(3, 1), n_outputs=2).init_identity()
    assert np.array_equal(first[:, 0, 0], np.eye(3, 2))
    assert np.array_equal(second[:, 0, 0], np.eye(1, 3))
    assert np.count_nonzero(first) + np.count_nonzero(second) == 3


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_identity_start_takes_noise_in_every_layer(kind):
    network = NETWORKS[kind]
    noise = [w - c for w, c in zip(network.init_identity(noise=0.1, rng=0), network.init_identity(), strict=True)]
    for part in noise:
        assert part.std() == pytest.approx(0.1, rel=5 / np.sqrt(2 * part.size))


# --- balanced --------------------------------------------------------------------------------------------------------


@given(convention=conventions, shape=own.shapes, channels=st.integers(1, 4), widths=hidden, seed=own.seeds)
def test_balanced_start_of_any_depth_and_width(convention, shape, channels, widths, seed):
    data = own.make_data("incoherent", (channels, *shape), 3, seed)
    moments = SecondMoments.from_data(data.images, data.targets)
    for kind in KINDS:
        network = make(kind, shape, channels, widths, 3, convention)
        for gap in balance(network, network.init_balanced(moments, 0.3, rng=seed)):
            assert np.abs(gap).max() <= ROUND_OFF


@pytest.mark.parametrize("convention", ["convolution", "correlation"])
@pytest.mark.parametrize("widths", [(1,), (4,), (2, 3), (3, 1, 4), (2, 2, 2, 2)])
def test_balanced_start_has_diagonal_effective_singular_values(convention, widths):
    """Of modes without common frequency: off the diagonal 0, on it ``d_α P^{(L-1)/2} scale^L Σ_f ‖q_αf‖ > 0``."""
    images = np.concatenate(
        [cosine_images((4, 6), [(1, 2), (2, 0)], [1.0, 0.7]), cosine_images((4, 6), [(1, 2), (2, 0)], [0.4, -0.3])],
        axis=1,
    )
    moments = SecondMoments.from_data(images, np.eye(2))
    modes = moments.modes()
    network = LinearCNN((2, 4, 6), widths=widths, n_outputs=2, convention=convention)
    run = gradient_flow(network, moments, network.init_balanced(moments, 0.3, rng=0), [0.0])
    sizes = np.linalg.norm(modes.q, axis=1).sum(axis=(1, 2))
    wanted = modes.d * 24 ** (len(widths) / 2) * 0.3 ** (len(widths) + 1) * sizes
    assert np.abs(run.effective_singular_values[0] - np.diag(wanted)).max() <= 100 * ROUND_OFF * wanted.max()


# --- all of them -----------------------------------------------------------------------------------------------------

STARTS = {
    "low rank": lambda network, rng: network.init_low_rank(1, 0.1, rng=rng),
    "glorot": lambda network, rng: network.init_glorot(rng=rng),
    "glorot uniform": lambda network, rng: network.init_glorot(rng=rng, distribution="uniform"),
    "he": lambda network, rng: network.init_he(rng=rng),
    "identity": lambda network, rng: network.init_identity(noise=0.1, rng=rng),
}


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("name", list(STARTS))
def test_start_is_reproducible_and_fits_the_network(kind, name):
    network = make(kind, (3, 4), 2, (2, 3), 2)
    start = STARTS[name]
    same = [start(network, 3), start(network, 3), start(network, np.random.default_rng(3))]
    assert [w.shape for w in same[0]] == network.shapes
    assert all(w.dtype == np.float64 and w.flags.c_contiguous for w in same[0])
    assert all(np.array_equal(a, b) for other in same[1:] for a, b in zip(same[0], other, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(same[0], start(network, 4), strict=True))


CNN = LinearCNN((3, 2, 4), widths=(2,), n_outputs=4)
FCN = LinearFCN((1, 2, 4), widths=(4,), n_outputs=3)
BAD = [
    (lambda: CNN.init_low_rank(3, 0.1, rng=0), r"rank is 3, expected at most 2: .*\(3, 2, 4\); lower it"),
    (lambda: FCN.init_low_rank(4, 0.1, rng=0), r"rank is 4, expected at most 3: the smallest of.*\(8, 4, 3\)"),
    (lambda: CNN.init_low_rank(0, 0.1, rng=0), r"rank is 0, expected an integer >= 1"),
    (lambda: CNN.init_low_rank(1, -0.1, rng=0), r"scale is -0.1, expected a number >= 0"),
    (lambda: FCN.init_low_rank(1, 0.1, rng=-1), r"rng is -1, expected a seed"),
    (lambda: CNN.init_glorot(rng=0, gain=-1), r"gain is -1, expected a number >= 0"),
    (lambda: CNN.init_glorot(rng=None), r"rng is None, expected a seed"),
    (lambda: CNN.init_he(rng=0, gain=np.nan), r"gain is nan, expected a finite number"),
    (lambda: CNN.init_he(rng=0, distribution="norm"), r"distribution is 'norm', .*did you mean 'normal'"),
    (lambda: CNN.init_identity(np.inf), r"scale is inf, expected a finite number"),
    (lambda: CNN.init_identity(noise=-1), r"noise is -1, expected a number >= 0"),
    (lambda: CNN.init_identity(noise=0.1), r"rng is None, expected a seed.*noise is 0.1"),
    (lambda: LinearCNN((1, 2, 4), n_outputs=2, convention="conv"), r"convention is 'conv', expected one of"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "text"), BAD, ids=range(len(BAD)))
def test_bad_argument_is_named(call, text):
    with pytest.raises(ArgumentError, match=text):
        call()

"""RKC whose stages are spent on the frequencies that matter: exact on the others, and as accurate as RKC."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from lineardyn.data import planted_modes
from lineardyn.errors import Status
from lineardyn.flow import _screened_kernels
from lineardyn.flow.arguments import flow_arguments
from lineardyn.flow.gradient_flow import gradient_flow
from lineardyn.flow.screening import can_screen
from lineardyn.moments import SecondMoments
from lineardyn.networks import LinearCNN, LinearFCN

N = 16  # frequencies of the rotation tests


def rotate(y, e, h, decay, passive):
    z, scratch = np.full_like(y, np.nan), np.empty((3, N))
    _screened_kernels._rotate(y, z, e, h, decay, passive, *scratch)
    return z


def exact_rotation(y, e, h, decay):
    """``exp(h M)`` frequency by frequency for ``(κ, conj A)' = [[-λ, eᵀ], [conj e, -λ]] (κ, conj A)``."""
    y, e = (x.reshape(-1, 2, N)[:, 0] + 1j * x.reshape(-1, 2, N)[:, 1] for x in (y, e))
    out = np.empty_like(y)
    for f in range(N):
        m = np.diag(np.full(len(y), -decay)).astype(complex)
        m[0, 1:], m[1:, 0] = e[:, f], e[:, f].conj()
        out[:, f] = scipy.linalg.expm(h * m) @ np.append(y[0, f], y[1:, f].conj())
    out[1:] = out[1:].conj()
    return np.stack([out.real, out.imag], axis=1).ravel()


SIZES = [0.0, 1e-9, 1e-4, 1e-3, 0.3, 3.0, 30.0]


@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 5), size=st.sampled_from(SIZES))
def test_rotation_is_the_exact_flow_of_a_frozen_residual(seed, k, size):
    """Round-off grows with the solution, ``e^{h|e|}``; expm itself is good to about 1e-12 at norms of 100."""
    rng = np.random.default_rng(seed)
    y, e = rng.standard_normal((k + 1) * 2 * N), size * rng.standard_normal(k * 2 * N)
    h, decay = rng.uniform(0.1, 2.0), rng.choice([0.0, 0.7])
    exact = exact_rotation(y, e, h, decay)
    assert np.abs(rotate(y, e, h, decay, np.ones(N)) - exact).max() <= 1e-10 * np.abs(exact).max()


def test_rotation_keeps_what_the_flow_conserves_and_active_frequencies():
    rng = np.random.default_rng(0)
    y, e, passive = rng.standard_normal(8 * N), rng.standard_normal(6 * N), np.arange(N) % 2.0
    z = rotate(y, e, 0.8, 0.3, passive)
    before, after = (x.reshape(4, 2, N) ** 2 for x in (y, z))
    np.testing.assert_array_equal(z.reshape(4, 2, N)[:, :, ::2], y.reshape(4, 2, N)[:, :, ::2])
    kept = np.exp(-0.6 * 0.8 * passive)  # weight decay shrinks squares at twice its rate
    conserved = [x[0].sum(axis=0) - x[1:].sum(axis=(0, 1)) for x in (before, after)]
    np.testing.assert_allclose(conserved[1], kept * conserved[0], atol=1e-12 * after.sum(axis=(0, 1)).max())


def stiff(size, k, ratio, seed, start=1e-4):
    moments = SecondMoments.from_data(*planted_modes((size, size), np.geomspace(ratio, 1.0, k), rng=seed))
    network = LinearCNN((1, size, size), n_outputs=k)
    return network, moments, network.init_small(start, rng=seed)


CASES = [(16, 4, 16.0, 0, 0.0), (16, 6, 12.0, 1, 0.0), (12, 3, 20.0, 2, 0.0), (16, 4, 16.0, 3, 0.05)]


@pytest.mark.parametrize(("size", "k", "ratio", "seed", "decay"), CASES)
@pytest.mark.parametrize("rtol", [1e-4, 1e-5])
def test_as_accurate_as_the_tolerance_at_every_recorded_time(size, k, ratio, seed, decay, rtol):
    """A mode that grows by 1e4 carries its early errors along, here and in DOP853: 60 tolerances (seen: 44).

    With ``DRIFT`` 1000 times as large two cases err by 70 and 120.
    """
    network, moments, weights = stiff(size, k, ratio, seed)
    times = np.linspace(0.0, 14.0 / (size * 1.0), 40)[1:] * 4
    settings = {"weight_decay": decay}
    run = gradient_flow(network, moments, weights, times, rtol=rtol, atol=1e-3 * rtol, **settings)
    assert run.stats["method"] == "dop853, then rkc"
    assert 0 < run.stats["n_active"] < moments.half.size
    exact = gradient_flow(network, moments, weights, times, method="tsit5", rtol=1e-10, atol=1e-13, **settings)
    gap = np.abs(run.effective_singular_values - exact.effective_singular_values).max() / moments.modes().s[0]
    assert gap <= 60 * rtol


def test_cheaper_than_the_stages_of_all_frequencies():
    """Few frequencies matter to a kernel that has learned: less than a fifth of those of 32² here."""
    network, moments, weights = stiff(32, 6, 16.0, 0)
    run = gradient_flow(network, moments, weights, [2.0], rtol=1e-4, atol=1e-7)
    assert run.stats["n_active"] < moments.half.size / 5


@pytest.mark.parametrize(
    "network",
    [
        LinearCNN((1, 8, 8), widths=(2,), n_outputs=3),
        LinearCNN((1, 8, 8), widths=(1, 1), n_outputs=3),
        LinearCNN((1, 8, 8), widths=(), n_outputs=3),
        LinearFCN((1, 8, 8), widths=(4,), n_outputs=3),
    ],
)
def test_other_networks_are_left_to_plain_rkc(network):
    moments = SecondMoments.from_data(*planted_modes((8, 8), [16.0, 4.0, 1.0], rng=0))
    assert not can_screen(flow_arguments(network, moments, 0.0)[0])


def test_dense_statistics_are_left_to_plain_rkc():
    rng = np.random.default_rng(0)
    images, labels = rng.standard_normal((400, 1, 8, 8)), rng.integers(3, size=400)
    moments = SecondMoments.from_data(images, labels, form="dense")
    network = LinearCNN((1, 8, 8), n_outputs=3)
    assert not can_screen(flow_arguments(network, moments, 0.0)[0])


def test_stops_at_max_steps_with_what_was_computed():
    network, moments, weights = stiff(16, 4, 16.0, 0)
    times = np.linspace(0.1, 8.0, 20)
    full = gradient_flow(network, moments, weights, times, rtol=1e-4, atol=1e-7)
    steps = full.stats["n_steps"] + full.stats["n_rejected"]
    part = gradient_flow(network, moments, weights, times, rtol=1e-4, atol=1e-7, max_steps=steps - 10, throw=False)
    assert part.status is Status.MAX_STEPS
    assert 0 < len(part) < 20
    np.testing.assert_array_equal(part.states, full.states[: len(part)])


def test_the_same_bits_whatever_is_recorded():
    network, moments, weights = stiff(16, 4, 16.0, 0)
    few, many = ([1.0, 8.0], np.linspace(0.05, 8.0, 160))
    ends = [gradient_flow(network, moments, weights, t, rtol=1e-4, atol=1e-7).states[-1] for t in (few, many)]
    np.testing.assert_array_equal(*ends)


def test_more_rows_of_statistics_than_outputs():
    """Few samples: their rows are more than those of the state, and need not be orthogonal."""
    images = np.geomspace(8.0, 0.5, 12)[:, None, None, None] * np.random.default_rng(0).standard_normal((12, 1, 8, 8))
    moments = SecondMoments.from_data(images, np.arange(12) % 3, form="samples")
    network = LinearCNN((1, 8, 8), n_outputs=3)
    weights, times = network.init_small(1e-3, rng=0), np.linspace(0.0, 20.0, 30)[1:]
    run = gradient_flow(network, moments, weights, times, rtol=1e-4, atol=1e-7)
    assert "n_active" in run.stats
    exact = gradient_flow(network, moments, weights, times, method="tsit5", rtol=1e-9, atol=1e-12)
    assert np.abs(run.loss - exact.loss).max() <= 60 * 1e-4 * run.loss[0]

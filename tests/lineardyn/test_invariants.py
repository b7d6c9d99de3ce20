"""Conserved quantities, balance and alignment, from their definitions in the notes (sections 1 and 2)."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineardyn import invariants
from lineardyn.errors import ArgumentError
from lineardyn.flow.gradient_flow import gradient_flow
from lineardyn.moments import SecondMoments
from lineardyn.networks import LinearCNN, LinearFCN
from tests import oracles
from tests import strategies as own
from tests.lineardyn.problems import PROBLEMS, cosine_images

KINDS = {"cnn": LinearCNN, "fcn": LinearFCN}


def definition(kind, weights):
    """``A_l A_l^H - A_{l+1}^H A_{l+1}``, per frequency for kernels; with the last layer ``B = conj(ŵ_L)``."""
    if kind == "cnn":
        spectra = [oracles.dft2(w.transpose(0, 3, 1, 2)).transpose(2, 3, 0, 1) for w in weights]
        weights = [*spectra[:-1], spectra[-1].conj()]
    return [a @ np.swapaxes(a, -1, -2).conj() - np.swapaxes(b, -1, -2).conj() @ b for a, b in pairwise(weights)]


@given(
    kind=st.sampled_from(sorted(KINDS)),
    shape=own.shapes,
    c=own.channels,
    k=own.outputs,
    widths=own.widths,
    seed=own.seeds,
)
def test_balance_is_its_definition(kind, shape, c, k, widths, seed):
    weights = own.random_weights(kind, (c, *shape), widths, k, seed)
    network = KINDS[kind]((c, *shape), widths=widths, n_outputs=k)
    got, wanted = invariants.balance(network, weights), definition(kind, weights)
    assert len(got) == len(widths)
    assert all(oracles.error(a, b) <= 1e-12 for a, b in zip(got, wanted, strict=True))


def test_balance_of_pinsons_network():
    """``|κ_f|² - Σ_γ |A_γf|²``, with several input channels ``Σ_c |κ_cf|² - ...`` (notes, section 2)."""
    kernel, dense = own.random_weights("cnn", (2, 4, 3), (1,), 3, 0)
    network = LinearCNN((2, 4, 3), widths=(1,), n_outputs=3)
    kappa = oracles.dft2(kernel[0].transpose(2, 0, 1))
    wanted = (np.abs(kappa) ** 2).sum(axis=0) - (np.abs(oracles.dft2(dense[..., 0])) ** 2).sum(axis=0)
    assert oracles.error(invariants.balance(network, [kernel, dense])[0][..., 0, 0], wanted) <= 1e-13


@given(kind=st.sampled_from(sorted(KINDS)), data=own.data_sets(), widths=own.widths)
def test_balanced_starts_have_balance_zero(kind, data, widths):
    network = KINDS[kind](data.image_shape, widths=widths, n_outputs=data.n_outputs)
    moments = SecondMoments.from_data(data.images, data.targets)
    for gap in invariants.balance(network, network.init_balanced(moments, 0.3, rng=0)):
        assert np.abs(gap).max() <= 1e-13


@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_drift_is_the_change_of_the_balance(name):
    """The largest over frequencies and layers, relative to the largest ``Σ_l ‖A_l‖²`` at that time."""
    p = PROBLEMS[name]
    run = gradient_flow(p.network, p.moments, p.weights, p.times, method="bs32", rtol=1e-4, weight_decay=p.decay)
    drift = invariants.invariant_drift(run)
    assert drift.shape == (len(run),)
    assert drift[0] == 0
    if p.network.depth == 1:
        assert (drift == 0).all()
        return
    if p.decay:
        assert drift[-1] > 1e-4  # it decays as exp(-2λt): no invariant
        return
    assert drift.max() <= 1e-3
    start = definition(p.kind, run.weights(0))
    for i in range(1, len(run)):
        weights = run.weights(i)
        change = max(
            float(np.linalg.norm(a - b, axis=(-2, -1)).max())
            for a, b in zip(definition(p.kind, weights), start, strict=True)
        )
        if p.kind == "cnn":
            size = sum((np.abs(oracles.dft2(w.transpose(0, 3, 1, 2))) ** 2).sum(axis=(0, 1)) for w in weights).max()
        else:
            size = sum((w**2).sum() for w in weights)
        assert drift[i] == pytest.approx(change / size, rel=1e-6, abs=1e-13)


@pytest.mark.parametrize("method", ["bs32", "tsit5", "dop853", "rkc", "rock4"])
def test_drift_is_within_the_tolerance_of_the_flow(method):
    """λ = 0: a step of relative error rtol moves the balance by no more than that; some 10² steps."""
    p = PROBLEMS["cnn-samples-deep"]
    run = gradient_flow(p.network, p.moments, p.weights, p.times, method=method, rtol=1e-8, atol=1e-10)
    assert invariants.invariant_drift(run).max() <= (2e-5 if method == "rkc" else 1e-6)


def aligned_run():
    images = cosine_images((4, 6), [(1, 2), (2, 0)], [1.0, 0.7])
    moments = SecondMoments.from_data(images, np.eye(2))
    network = LinearCNN((1, 4, 6), widths=(1,), n_outputs=2)
    return gradient_flow(network, moments, network.init_balanced(moments, 0.1, rng=0), [0.0, 1.0, 4.0])


def test_balance_ratio_is_one_on_balanced_frequencies():
    """S.2: ``‖A_·f‖/‖κ_f‖``; without a kernel at a frequency the ratio has no meaning (documented: NaN)."""
    run = aligned_run()
    ratio = invariants.balance_ratio(run)
    assert ratio.shape == (3, 4, 6)
    live = run.kernel_spectrum[0, 0] > 1e-6
    assert live.sum() == 3
    assert np.abs(ratio[:, live] - 1).max() <= 1e-5
    assert (ratio[np.isfinite(ratio)] >= 0).all()


def test_balance_ratio_is_its_definition():
    p = PROBLEMS["cnn-dense-channels"]
    run = gradient_flow(p.network, p.moments, p.weights, p.times)
    kernel, dense = run.weights(2)
    top = np.sqrt((np.abs(oracles.dft2(dense.transpose(0, 3, 1, 2))) ** 2).sum(axis=(0, 1)))
    bottom = np.sqrt((np.abs(oracles.dft2(kernel.transpose(0, 3, 1, 2))) ** 2).sum(axis=(0, 1)))
    assert oracles.error(invariants.balance_ratio(run)[2], top / bottom) <= 1e-11


def test_off_diagonal_is_its_definition():
    p = PROBLEMS["cnn-modes"]
    run = gradient_flow(p.network, p.moments, p.weights, p.times)
    b = run.effective_singular_values
    wanted = [np.linalg.norm(x - np.diag(np.diag(x))) / p.moments.modes().s[0] for x in b]
    assert oracles.error(invariants.off_diagonal(run), np.array(wanted)) <= 1e-13
    assert invariants.off_diagonal(aligned_run()).max() <= 1e-9


def test_balance_refuses_weights_of_another_network():
    network = LinearCNN((1, 4, 3), widths=(1,), n_outputs=2)
    with pytest.raises(ArgumentError, match=r"weights\[1\] has shape"):
        invariants.balance(network, [np.ones((1, 4, 3, 1)), np.ones((3, 4, 3, 1))])

"""Balance matrices of deep networks, ``A_l A_l^H - A_{l+1}^H A_{l+1}``: what flow conserves and descent does not.

From the definition in the notes, section 1, on spectra taken by a DFT matrix; none of the library's invariants.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from lineardyn import invariants
from lineardyn.flow.gradient_flow import gradient_flow
from lineardyn.moments import SecondMoments
from lineardyn.networks import LinearCNN, LinearFCN
from lineardyn.training import gradient_descent
from tests import oracles
from tests import strategies as own
from tests.lineardyn.problems import METHODS

WIDTHS = {2: (3,), 3: (2, 4), 4: (3, 1, 2), 5: (2, 2, 1, 3)}
TIMES = np.array([0.0, 0.2, 0.5, 1.0])
CONSERVED = {"rkc": 1e-6, "geometric": 1e-13}

depths = pytest.mark.parametrize("depth", sorted(WIDTHS))
kinds = pytest.mark.parametrize("kind", ["cnn", "fcn"])


def problem(kind, depth):
    data = own.make_data("incoherent", (2, 2, 3), 3, 70)
    network = {"cnn": LinearCNN, "fcn": LinearFCN}[kind](data.image_shape, widths=WIDTHS[depth], n_outputs=3)
    weights = own.random_weights(kind, data.image_shape, WIDTHS[depth], 3, 71, 0.3 if kind == "cnn" else 0.7)
    return network, SecondMoments.from_data(data.images, data.targets), weights


def layers(weights):
    """``A_l`` per frequency, the last conjugated: it is a dot product."""
    if weights[0].ndim == 2:
        return weights
    spectra = [oracles.dft2(w.transpose(0, 3, 1, 2)).transpose(2, 3, 0, 1) for w in weights]
    return [*spectra[:-1], spectra[-1].conj()]


def balances(weights):
    return [a @ np.swapaxes(a, -1, -2).conj() - np.swapaxes(b, -1, -2).conj() @ b for a, b in pairwise(layers(weights))]


def size(weights):
    """The largest entry of any ``A_l A_l^H``: what the balance is a difference of."""
    return max(float(np.abs(a @ np.swapaxes(a, -1, -2).conj()).max()) for a in layers(weights))


def change(then, weights, factor=1.0):
    """Largest deviation of the balance from ``factor`` times that of before."""
    return max(float(np.abs(now - factor * b).max()) for now, b in zip(balances(weights), then, strict=True))


@pytest.mark.parametrize("method", METHODS)
@depths
@kinds
def test_flow_conserves_every_balance_matrix(kind, depth, method):
    """To rtol, 1e-9: seen 8e-11. RKC's error is rtol^(2/3) = 1e-6: seen 9e-8. Restored: 1e-13, seen 2e-15."""
    network, moments, weights = problem(kind, depth)
    run = gradient_flow(network, moments, weights, TIMES, method=method, rtol=1e-9, atol=1e-12)
    start = balances(weights)
    for i in range(len(run)):
        assert change(start, run.weights(i)) <= CONSERVED.get(method, 1e-9) * size(run.weights(i))
    moved = oracles.worst(run.weights(-1), weights)
    assert moved > 0.1  # else nothing was put to the test


@depths
@kinds
@pytest.mark.parametrize("decay", [0.3, 1.5])
def test_weight_decay_shrinks_every_balance_matrix_alike(kind, depth, decay):
    """``exp(-2λt)``, whatever the data do (notes, section 1)."""
    network, moments, weights = problem(kind, depth)
    run = gradient_flow(network, moments, weights, TIMES, method="dop853", rtol=1e-10, atol=1e-13, weight_decay=decay)
    start = balances(weights)
    for i, t in enumerate(run.t):
        assert change(start, run.weights(i), np.exp(-2 * decay * t)) <= 1e-9 * size(weights)


@depths
@kinds
def test_descent_drifts_in_proportion_to_the_learning_rate(kind, depth):
    """A step changes the balance by η² of both gradients' squares, and there are t/η steps: O(η) at a fixed time."""
    network, moments, weights = problem(kind, depth)
    start, counts, drifts = balances(weights), np.array([100, 200, 400, 800]), []
    for n in counts:
        run = gradient_descent(network, moments, weights, learning_rate=0.5 / n, n_steps=int(n), record_every=int(n))
        drifts.append(change(start, run.weights(-1)))
    assert drifts[0] > 1e-5
    assert abs(np.polyfit(np.log(0.5 / counts), np.log(drifts), 1)[0] - 1) <= 0.1


@depths
@kinds
def test_drift_of_the_library_is_the_change_of_the_balance(kind, depth):
    """Frobenius norm, largest over layers and frequencies, over the largest ``Σ_l ‖A_l‖²``; on a coarse descent."""
    network, moments, weights = problem(kind, depth)
    run = gradient_descent(network, moments, weights, learning_rate=0.02, n_steps=9, record_every=4)
    drift, start = invariants.invariant_drift(run), balances(weights)
    for i in range(len(run)):
        moved = max(
            float(np.linalg.norm(a - b, axis=(-2, -1)).max())
            for a, b in zip(balances(run.weights(i)), start, strict=True)
        )
        whole = np.max(sum(np.linalg.norm(a, axis=(-2, -1)) ** 2 for a in layers(run.weights(i))))
        assert drift[i] == pytest.approx(moved / whole, rel=1e-9, abs=1e-15)
    assert drift[-1] > 1e-5


@pytest.mark.parametrize("widths", [(3,), (4, 3), (5, 3, 4)])
def test_balanced_start_of_a_fully_connected_network_has_one_singular_value(widths):
    """``scale`` for each mode in every layer, so that ``Uᵀ f(v_α) = scale^L`` along the mode and 0 elsewhere."""
    data = own.make_data("incoherent", (2, 2, 3), 3, 70)
    network = LinearFCN(data.image_shape, widths=widths, n_outputs=3)
    moments = SecondMoments.from_data(data.images, data.targets)
    weights, modes = network.init_balanced(moments, 0.5, rng=0), moments.modes()
    for w in weights:
        singular = np.linalg.svd(w, compute_uv=False)
        assert np.abs(singular - np.where(np.arange(len(singular)) < 3, 0.5, 0.0)).max() <= 1e-14
    along = modes.u.T @ oracles.predict(weights, modes.v).T
    assert np.abs(along - 0.5 ** len(weights) * np.eye(3)).max() <= 1e-14

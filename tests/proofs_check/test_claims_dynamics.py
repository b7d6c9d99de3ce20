"""The claims about how two layers and deeper ones learn: their instances, their integrator, their exact forms."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from lineardyn import LinearCNN, ModeClock, SecondMoments
from proofs_check import Outcome, check, get
from proofs_check.claims import deep, disjoint, integration, norms, pixel_space, stiffness, sums
from proofs_check.symbolic import check_symbolic, sees

CHEAP = [
    "effective-singular-values",
    "two-layer-equations",
    "balance-of-a-frequency",
    "still-frequencies",
    "modes-decouple",
    "sigmoid-equation",
    "learning-time",
    "many-frequency-descent",
    "many-frequency-sgd",
    "symmetric-jacobian",
    "rotations-conserve",
    "kernel-growth",
    "clock-increases",
    "power-law",
    "aligned-response",
    "equal-magnitudes-norm",
    "minimal-norm-bound",
    "other-outputs-let-go",
    "deep-growth",
    "deep-cosine",
    "deep-learning-time",
]
EXACT = [
    "effective-singular-values",
    "two-layer-equations",
    "balance-of-a-frequency",
    "self-conjugate-delay",
    "sigmoid",
    "descent-recursion",
    "sgd-recursion",
    "sigmoid-equation",
    "learning-time",
    "fully-connected-rate",
    "power-enters-at-the-start",
    "decayed-cosine",
    "many-frequency-descent",
    "many-frequency-sgd",
    "stability-limit",
    "sgd-stability-limit",
    "stable-on-one-side",
    "sgd-stable-on-one-side",
    "frozen-rotation",
    "frozen-decay",
    "rotations-conserve",
    "kernel-growth",
    "hyperbolic-clock",
    "clock-increases",
    "never-learned",
    "power-law",
    "clock",
    "minimal-norm",
    "minimal-norm-bound",
    "other-outputs-let-go",
    "deep-growth",
    "deep-cosine",
    "E6",
    "E7",
]


# --- Verdicts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("claim_id", CHEAP)
def test_many_instances_refute_nothing(claim_id):
    verdict = check(claim_id, n=640, rng=12345)
    assert verdict.outcome is Outcome.NOT_REFUTED, verdict.witness.text


@pytest.mark.parametrize("claim_id", EXACT)
def test_the_exact_form_is_zero_and_that_of_each_planted_error_is_not(claim_id):
    claim = get(claim_id)
    assert check_symbolic(claim) is (claim.expected is Outcome.NOT_REFUTED)
    seen = [name for name in claim.mutants if sees(claim, name)]
    assert seen
    assert not any(check_symbolic(claim, mutant=name) for name in seen)


@pytest.mark.parametrize(
    ("module", "function", "wrong", "claim_id"),
    [
        ("cosine_laws", "sigmoid", {"multiplicity": 1}, "sigmoid-equation"),
        ("cosine_laws", "learning_time", {"n_pixels": 4}, "learning-time"),
        ("deep", "learning_time", {"d": 1.0}, "deep-learning-time"),
        ("discrete", "clock_recursion", {"n_classes": 1}, "sgd-counts-draws"),
        ("discrete", "sgd_mean", {"n_classes": 4}, "binomial-count"),
        ("stability", "stable_learning_rate", {"multiplicity": 1}, "stability-limit"),
    ],
)
def test_a_planted_error_in_the_library_is_refuted(monkeypatch, module, function, wrong, claim_id):
    claims = importlib.import_module(f"proofs_check.claims.{module}")
    right = getattr(claims, function)
    monkeypatch.setattr(claims, function, lambda *a, **k: right(*a, **{**k, **wrong}))
    assert check(claim_id, n=64, rng=0).outcome is Outcome.REFUTED


def test_shared_frequencies_cost_less_than_the_formula_of_disjoint_ones():
    witness = check("shared-minimal-norm", n=1, rng=0, mutant="formula of disjoint modes").witness
    assert float(witness.left) == pytest.approx(2 * np.sqrt(2) / (np.sqrt(3) * np.sqrt(0.75)), abs=1e-6)
    assert float(witness.right) == pytest.approx(4 / (np.sqrt(3) * np.sqrt(0.75)), abs=1e-6)


# --- Two sides that do not share their code --------------------------------------------------------------------------


def flow_case(seed, n=4):
    instance = disjoint.draw_unbalanced(np.random.default_rng(seed), n)
    return instance, disjoint.in_pixels(instance)


def test_extrapolation_is_of_order_twelve():
    errors = [
        abs(integration.extrapolated(lambda y: y, np.ones((1, 1)), np.array([4.0]), steps=n)[0, 0] / np.exp(4.0) - 1)
        for n in (4, 8)
    ]
    # steps of 1 and 1/2 see the next orders as well: 11.3; without the last column of Neville's scheme it is 9.3
    assert 11.0 < np.log2(errors[0] / errors[1]) < 12.5


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_pixel_flow_is_scipys(seed):
    _, (shifts, targets, kernel, dense) = flow_case(seed)
    horizon = np.full(4, 0.7)
    found = np.concatenate(
        [z.reshape(4, -1) for z in integration.pixel_flow(*flow_case(seed)[1], horizon, steps=30)], 1
    )
    for i in range(4):

        def slope(_, y, i=i):
            flat = y.reshape(1 + len(targets), -1)
            to_kernel, to_dense = pixel_space.gradient(shifts[i], targets, flat[0], flat[1:])
            return -np.concatenate([to_kernel, to_dense.ravel()])

        start = np.concatenate([kernel[i], dense[i].ravel()])
        reference = solve_ivp(slope, (0, 0.7), start, method="DOP853", rtol=1e-12, atol=1e-14).y[:, -1]
        np.testing.assert_allclose(found[i], reference, rtol=0, atol=1e-9 * np.abs(reference).max())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_networks_along_leading_axes_are_the_networks_one_by_one(seed):
    _, (shifts, targets, kernel, dense) = flow_case(seed)
    to_kernel, to_dense = pixel_space.gradient(shifts, targets, kernel, dense)
    for i in range(4):
        hidden = np.array([x @ kernel[i] for x in shifts[i]])
        error = hidden @ dense[i].T - targets
        by_hand = sum(x.T @ dense[i].T @ e for x, e in zip(shifts[i], error, strict=True)) / len(targets)
        np.testing.assert_allclose(to_kernel[i], by_hand, atol=1e-13)
        np.testing.assert_allclose(to_dense[i], error.T @ hidden / len(targets), atol=1e-13)


@pytest.mark.parametrize("seed", range(6))
def test_the_modes_of_the_instances_are_those_of_the_library(seed):
    instance, _ = flow_case(seed, n=1)
    images = instance["images"][0]
    modes, mine = SecondMoments.from_data(images[:, None], np.eye(len(images))).modes(), disjoint.modes_of(images[None])
    order = np.argsort(-mine.s[0])
    np.testing.assert_allclose(modes.s, mine.s[0][order], rtol=1e-12)
    np.testing.assert_allclose(modes.d, mine.d[0][order], rtol=1e-12)
    np.testing.assert_allclose(np.abs(modes.q).reshape(len(images), -1), np.abs(mine.q[0][order]), atol=1e-12)


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_the_librarys_clock_is_the_flow_in_pixel_space(seed):
    """ModeClock against an integrator and a right-hand side that share nothing with it."""
    instance, pixels = flow_case(seed, n=1)
    images = instance["images"][0]
    network = LinearCNN((1, *images.shape[1:]), widths=(1,), n_outputs=len(images))
    modes = SecondMoments.from_data(images[:, None], np.eye(len(images))).modes()
    weights = pixel_space.two_layer_weights(instance["kernel"][0], instance["dense"][0])
    t = 1.5
    kernel, dense = integration.pixel_flow(*pixels, np.array([t]), steps=60)
    found = ModeClock(modes, network, weights).at(t)
    np.testing.assert_allclose(found[0].ravel(), kernel[0], atol=1e-9)
    np.testing.assert_allclose(found[1].reshape(len(images), -1), dense[0], atol=1e-9)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_deep_gradient_is_the_librarys(seed):
    instance = deep.draw_deep(np.random.default_rng(seed), 2)
    shifts, targets, kernels, dense, shape = deep.aligned(instance)
    to_kernels, to_dense = deep.deep_gradient(shifts, targets, kernels, dense, shape)
    network = LinearCNN((1, *shape[1:]), widths=(1,) * len(kernels), n_outputs=len(targets))
    for i in range(2):
        weights = [k[i].reshape(1, *shape[1:], 1) for k in kernels] + [dense[i].reshape(-1, *shape[1:], 1)]
        moments = SecondMoments.from_data(instance["images"][i][:, None], targets)
        reference = network.gradient(weights, moments)
        # the library's dense layer is the scalar product with the hidden image: W itself
        for mine, theirs in zip([*to_kernels, to_dense], reference, strict=True):
            np.testing.assert_allclose(mine[i].ravel(), theirs.ravel(), atol=1e-12 * np.abs(theirs).max() + 1e-15)


def test_the_hessian_is_that_of_the_loss_by_differences():
    instance = stiffness.draw_samples(np.random.default_rng(3), 2)
    left, right = stiffness.jacobian_sides(instance)
    np.testing.assert_allclose(left, np.swapaxes(left, 1, 2), atol=1e-12)
    shifts = pixel_space.shift_matrices(instance["images"])[0]
    state = np.concatenate([instance["kernel"][0].ravel(), instance["dense"][0].ravel()])
    n_pixels, targets = instance["kernel"][0].size, instance["targets"][0]

    def loss(y):
        outputs = pixel_space.predict(shifts, y[:n_pixels], y[n_pixels:].reshape(targets.shape[1], -1))
        return 0.5 * ((outputs - targets) ** 2).sum() / len(targets)

    step, rng = 1e-4, np.random.default_rng(0)
    for _ in range(5):
        direction = rng.standard_normal(len(state))
        second = (loss(state + step * direction) - 2 * loss(state) + loss(state - step * direction)) / step**2
        # the loss is of degree 4: the error is step²/12 of a fourth derivative, beside ε·loss/step²
        assert second == pytest.approx(-direction @ right[0] @ direction, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_the_dual_bounds_the_least_norm_from_below_for_any_multiplier(seed):
    instance = norms.draw_shared(np.random.default_rng(seed))
    images = instance["images"]
    least = sums.least_norm(images, instance["starts"]) * np.sqrt(images[0].size) / 2
    assert norms.dual_value(images) == pytest.approx(least, rel=1e-7)
    spectra = np.fft.fft2(images, norm="ortho").reshape(len(images), -1)
    rng = np.random.default_rng(seed)
    for _ in range(20):
        multiplier = rng.standard_normal((len(images), len(images)))
        height = np.linalg.norm(multiplier @ spectra.conj(), axis=0).max()
        assert np.trace(multiplier) / height <= least * (1 + 1e-9)

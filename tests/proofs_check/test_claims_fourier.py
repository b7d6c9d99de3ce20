"""What the claims of Fourier space, networks and moments stand on: definitions, instances, extended precision."""

from __future__ import annotations

import importlib
from dataclasses import replace

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from lineardyn import SecondMoments
from proofs_check import Outcome, check, claims
from proofs_check.claim import BATCH, excess
from proofs_check.claims import arithmetic, deep_network, definitions, frameworks, right_hand_side, statistics
from proofs_check.claims.arithmetic import EXACT, EXTENDED, FLOAT
from proofs_check.verdict import instance_size
from tests import oracles
from tests.strategies import seeds, shapes

EPS = oracles.EPS
OURS = {"fourier", "spectra", "frameworks", "networks", "right_hand_side", "statistics"}
BATCHED = [claim for claim in claims() if claim.batched and claim.sides.__module__.rsplit(".", 1)[-1] in OURS]
ATTACKED = [claim for claim in claims() if claim.batched and (claim in BATCHED or claim.symbolic is not None)]
EXTENDED_CLAIMS = [  # identities: both sides of an inequality differ by more than round-off
    claim for claim in claims() if claim.extended is not None and claim.batched and claim.distance is not excess
]


def problem(seed: int) -> dict:
    return {**frameworks.draw_step(np.random.default_rng(seed)), "coherent": False}


# --- The definitions, against the slow references of the tests ------------------------------------------------------


@given(shapes, seeds)
def test_dft_and_shifts_are_their_definitions(shape, seed):
    rng = np.random.default_rng(seed)
    kernel, image = rng.standard_normal((2, *shape, 3)), rng.standard_normal((3, *shape))
    tolerance = 10 * 3 * image[0].size * EPS  # sums of C·P products
    wanted = oracles.dft2(image).reshape(3, -1)
    assert oracles.error(definitions.dft(image), wanted) < tolerance
    assert oracles.error(definitions.spectrum(image), wanted) < tolerance
    convolved = oracles.convolve_loops(kernel, image)
    assert oracles.error(definitions.convolve(kernel[None], image[None])[0], convolved) < tolerance
    matrix = definitions.convolution_matrix(kernel[None])[0].reshape(convolved.size, image.size)
    assert oracles.error(matrix @ image.ravel(), convolved.ravel()) < tolerance
    mirrored = np.roll(kernel[:, ::-1, ::-1], (1, 1), (1, 2))  # w[-q]
    correlated = oracles.convolve_loops(mirrored, image)
    assert oracles.error(definitions.correlate(kernel[None], image[None])[0], correlated) < tolerance


@given(shapes)
def test_conjugates_are_the_negative_frequencies(shape):
    height, width = shape
    wanted = [(-u % height) * width + -v % width for u in range(height) for v in range(width)]
    assert definitions.conjugates(shape).tolist() == wanted


@given(seeds)
def test_the_network_in_pixel_space_is_that_of_the_references(seed):
    instance = problem(seed)
    weights, images, targets = (instance[name] for name in ("weights", "images", "targets"))
    outputs = deep_network.forward([w[None] for w in weights], images[None])[0]
    scale = deep_network.size_of_outputs(weights, images)
    assert np.abs(outputs - oracles.predict(weights, images)).max() < 1e-13 * scale
    moved = [w[None] for w in weights]
    loss = 0.5 * deep_network.squared_error(moved, images, targets) + 0.15 * deep_network.squared_norm(moved)
    assert loss[0] == pytest.approx(oracles.loss(weights, images, targets, 0.3), rel=1e-12)


@given(seeds)
def test_complex_steps_are_the_gradient(seed):
    instance = problem(seed)
    weights, images, targets = (instance[name] for name in ("weights", "images", "targets"))
    found = deep_network.complex_step_gradient(
        lambda w: 0.5 * deep_network.squared_error(w, images, targets) + 0.15 * deep_network.squared_norm(w), weights
    )
    wanted = oracles.gradient(weights, images, targets, 0.3)
    bound = deep_network.size_of_terms(weights, images, targets, 0.3)
    for one, two in zip(found, wanted, strict=True):
        assert np.abs(one - two).max() < 1e-13 * bound


@given(seeds)
def test_rates_of_any_residual_are_the_derivative_of_a_product(seed):
    """``Re tr(Eᴴ δ(A_L ⋯ A_1)) = Re Σ_l tr(Ȧ_lᴴ δA_l)``, by a complex-free central difference."""
    rng = np.random.default_rng(seed)
    instance = right_hand_side.draw_matrices(rng, 1)
    a = [instance[name][0] for name in sorted(instance) if name not in ("complexE", "decay")]
    a = [matrix / np.linalg.norm(matrix) for matrix in a]
    residual = instance["complexE"][0] / max(np.linalg.norm(instance["complexE"]), 1e-300)
    steps = [rng.standard_normal(m.shape) + 1j * rng.standard_normal(m.shape) for m in a]

    def value(h: float) -> float:
        product = np.eye(a[0].shape[1])
        for matrix, step in zip(a, steps, strict=True):
            product = (matrix + h * step) @ product
        return float(np.sum(residual.conj() * product).real)

    h = 1e-5
    rates = deep_network.formula_rates(a, residual, 0.0, 1.0)
    predicted = sum(float(np.sum(rate.conj() * step).real) for rate, step in zip(rates, steps, strict=True))
    size = float(np.prod([1 + np.linalg.norm(step) for step in steps]))
    # third differences of a polynomial of degree ≤ 4 in h, h² size, and round-off ε/h
    assert abs(predicted - (value(h) - value(-h)) / (2 * h)) < size * (h**2 * 10 + EPS / h)


# --- Arithmetics ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 8])
def test_roots_of_unity_in_three_arithmetics(n):
    wanted = np.exp(-2j * np.pi * np.arange(n) / n)
    for kind in (FLOAT, EXTENDED, EXACT):
        assert np.abs(kind.roots(n).astype(complex) - wanted).max() < 4 * EPS
    assert [sympy.expand(root**n - 1) for root in EXACT.roots(n)] == [0] * n
    assert abs(EXTENDED.roots(n)[-1] ** n - 1) < 1e-57


@pytest.mark.parametrize("kind", [FLOAT, EXTENDED, EXACT])
def test_norms_and_powers(kind):
    assert float(kind.power(9, 0.5)) == 3.0
    array = np.array([[3.0, 4.0], [0.0, 0.0]])
    norms = arithmetic.size(array, kind)
    assert norms.tolist() == ([1, 1] if kind is EXACT else [5.0, 1.0])


@pytest.mark.parametrize("claim", EXTENDED_CLAIMS, ids=lambda claim: claim.id)
def test_in_sixty_digits_both_sides_round_to_the_same_number(claim):
    """At a tolerance of 1e-17 float64 refutes the claim, and 60 digits do not; gross differences stay what they are."""
    strict = replace(claim, tolerance=1e-17)
    instances = [claim.instance(len(claim.smallest) + BATCH * batch, 5) for batch in range(12)]
    small = [instance for instance in instances if instance_size(instance) <= 60][:4]
    assert small
    assert max(strict.residual_of(instance) for instance in small) <= EPS / 4
    assert max(replace(strict, extended=None).residual_of(instance) for instance in small) > 1e-17
    for mutant in claim.mutants:
        for instance in small:
            wrong = claim.residual_of(instance, mutant=mutant)
            assert wrong <= 20 * EPS or wrong > claim.tolerance


# --- Batches --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("claim", BATCHED, ids=lambda claim: claim.id)
def test_a_batch_is_its_instances_one_by_one(claim):
    first = len(claim.smallest)
    plain = replace(claim, extended=None)
    together = plain.residuals(range(first, first + BATCH), 3)
    alone = [plain.residual_of(plain.instance(i, 3)) for i in range(first, first + BATCH)]
    # the order of the sums may differ with the shape of the products
    np.testing.assert_allclose([residual for residual, _ in together], alone, rtol=0, atol=20 * EPS)
    mutant = next(iter(claim.mutants))
    wrong = plain.residuals(range(first, first + BATCH), 3, mutant=mutant)
    alone = [plain.residual_of(plain.instance(i, 3), mutant=mutant) for i in range(first, first + BATCH)]
    np.testing.assert_allclose([residual for residual, _ in wrong], alone, rtol=1e-12, atol=20 * EPS)


@pytest.mark.parametrize("claim", ATTACKED, ids=lambda claim: claim.id)
def test_zeros_refute_nothing(claim):
    """What an adversary may move can be moved to 0 or far away: no side is divided by nothing."""
    instance = claim.instance(len(claim.smallest), 1)
    # the sides in any arithmetic divide by the norm first; products of three layers of the others must fit
    for value in (0.0, 1e150 if claim in BATCHED or claim.extended is not None else 1e30):
        moved = {
            name: array * 0 + value if name in claim.attacked and isinstance(array, np.ndarray) else array
            for name, array in instance.items()
        }
        residual = claim.residual_of(moved)
        assert residual <= claim.tolerance or claim.expected is Outcome.REFUTED


# --- Errors planted into the library --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claim_id", "module", "name", "wrong"),
    [
        ("convolution-theorem", "definitions", "fft2", lambda right: lambda x: right(x).conj()),
        ("parseval", "definitions", "fft2", lambda right: lambda x: 1.01 * right(x)),
        ("torch-weight-decay", "frameworks", "convert_weight_decay", lambda right: lambda v, **k: 2 * right(v, **k)),
        ("mse-learning-rate", "frameworks", "convert_learning_rate", lambda right: lambda v, **k: v / k["n_outputs"]),
    ],
)
def test_a_planted_error_in_the_library_is_refuted(monkeypatch, claim_id, module, name, wrong):
    target = importlib.import_module(f"proofs_check.claims.{module}")
    monkeypatch.setattr(target, name, wrong(getattr(target, name)))
    assert check(claim_id, n=40, rng=0).outcome is Outcome.REFUTED


@pytest.mark.parametrize("claim_id", ["predictor-is-conjugate", "predictor-symmetry", "statistics-forms"])
def test_a_planted_error_in_the_network_is_refuted(monkeypatch, claim_id):
    from lineardyn import LinearCNN

    monkeypatch.setattr(LinearCNN, "constant", property(lambda self: float(self.n_pixels ** (self.depth / 2))))
    assert check(claim_id, n=30, rng=0).outcome is Outcome.REFUTED


# --- The instances satisfy the hypotheses ---------------------------------------------------------------------------


@given(seeds)
def test_modes_are_diagonal_and_not_invariant(seed):
    instance = statistics.draw_correlated_modes(np.random.default_rng(seed))
    images, targets, u, v = (instance[name] for name in ("images", "targets", "u", "v"))
    rows, modes = images.reshape(len(images), -1), v.reshape(len(v), -1)
    xx, yx = rows.T @ rows / len(rows), targets.T @ rows / len(rows)
    tolerance = 1e-13 * np.abs(xx).max()  # a Cholesky root of size ≤ 15 and its square
    d = modes @ xx @ modes.T
    assert np.abs(d - np.diag(np.diag(d))).max() < tolerance
    s = u.T @ yx @ modes.T
    assert np.abs(s - np.diag(np.diag(s))).max() < tolerance
    assert np.abs(u @ s @ modes - yx).max() < tolerance
    gap = xx @ modes.T - modes.T @ np.diag(np.diag(d))
    assert np.abs(gap.T - instance["gap"].reshape(len(v), -1)).max() < tolerance


def test_the_counterexample_to_the_diagonal_in_numbers():
    verdict = check("diagonal-is-not-enough", n=1, rng=0, mutant="VᵀΣ^xxV diagonal is enough (G dropped)")
    assert verdict.witness.left == "6"
    assert verdict.witness.right == "5"
    assert "Σ^xx = ((5, 1), (1, 1))" in verdict.witness.text


def test_coherent_classes_of_unequal_size_are_not_diagonal():
    """All images of a class equal, one-hot, but one image against two: (0, 1) and (1, 1) are not orthogonal."""
    images = np.array([[[[1.0, 0.0]]], [[[1.0, 1.0]]], [[[1.0, 1.0]]]])
    assert SecondMoments.from_data(images, np.array([0, 1, 1])).form != "modes"
    assert SecondMoments.from_data(images[:2], np.array([0, 1])).form == "modes"


@given(seeds)
def test_classes_are_in_general_position(seed):
    instance = statistics.draw_classes(np.random.default_rng(seed))
    labels = instance["labels"]
    assert set(labels.tolist()) == set(range(labels.max() + 1))
    means = np.array([instance["images"][labels == k].mean(axis=0).ravel() for k in range(labels.max() + 1)])
    assert np.linalg.matrix_rank(means - means[0]) == min(labels.max(), means.shape[1])


@given(st.integers(0, 2**20))
def test_images_of_every_kind_and_scale(seed):
    images = importlib.import_module("proofs_check.claims.fourier").draw_images(np.random.default_rng(seed), 5, 2, 3, 4)
    assert images.shape == (5, 2, 3, 4)
    assert np.isfinite(images).all()


# --- The frameworks -------------------------------------------------------------------------------------------------


@pytest.mark.torch
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (3, 4), (4, 4), (5, 3), (2, 6)])
def test_correlate_same_is_what_torch_computes(shape):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    kernel, image = rng.standard_normal((2, *shape, 3)), rng.standard_normal((3, *shape))
    layer = torch.nn.Conv2d(3, 2, shape, padding="same", padding_mode="circular", bias=False, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(kernel.transpose(0, 3, 1, 2).copy()))
        wanted = layer(torch.from_numpy(image)[None])[0].numpy()
    found = frameworks.correlate_same(kernel[None], image[None])[0]
    assert oracles.error(found, wanted) < 10 * 3 * image[0].size * EPS


@pytest.mark.torch
@pytest.mark.parametrize(
    ("framework", "loss"), [("torch", "mse"), ("torch", "half"), ("keras", "mse"), ("none", "mse")]
)
def test_a_framework_step_is_what_torch_takes(framework, loss):
    """Keras' penalty is added to the loss by hand; the rest is torch.optim.SGD and torch.nn.functional.mse_loss."""
    torch = pytest.importorskip("torch")
    for seed in range(3):
        instance = problem(seed)
        images, targets, decay = instance["images"], instance["targets"], instance["weight_decay"]
        parameters = [torch.tensor(w, requires_grad=True) for w in instance["weights"]]
        hidden = torch.from_numpy(images)
        for w in parameters[:-1]:
            spectrum = torch.fft.fft2(w.permute(0, 3, 1, 2))
            hidden = torch.fft.ifft2(torch.einsum("ocuv,ncuv->nouv", spectrum, torch.fft.fft2(hidden))).real
        outputs = torch.einsum("khwo,nohw->nk", parameters[-1], hidden)
        gap = outputs - torch.from_numpy(targets)
        total = (gap**2).mean() if loss == "mse" else 0.5 * (gap**2).sum(1).mean()
        if framework == "keras":
            total = total + decay * sum((w**2).sum() for w in parameters)
        option = {"weight_decay": decay} if framework == "torch" else {}
        optimiser = torch.optim.SGD(parameters, lr=instance["lr"], **option)
        total.backward()
        optimiser.step()
        taken = [w - p.detach().numpy() for w, p in zip(instance["weights"], parameters, strict=True)]
        found = frameworks.framework_step(instance, framework=framework, loss=loss)
        bound = instance["lr"] * frameworks.terms_of(instance)
        for one, two, w in zip(found, taken, instance["weights"], strict=True):
            assert np.abs(one - two).max() < 1e-12 * bound + 4 * EPS * np.abs(w).max()

"""Claims about the second moments that drive the learning."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineardyn import SecondMoments
from proofs_check.claim import Claim, absolute_distance
from proofs_check.claims.deep_network import (
    complex_step_gradient,
    draw_problem,
    flat,
    forward,
    size_of_terms,
    squared_error,
    squared_norm,
)
from proofs_check.claims.definitions import delta
from proofs_check.claims.frameworks import network_and_moments
from proofs_check.claims.statistics_exact import coherent_spectrum_exactly, diagonal_exactly
from proofs_check.instances import draw_scale, draw_shape
from proofs_check.verdict import Instance, Outcome

__all__ = ["ORTHONORMAL", "SPECTRUM_REASON", "STATISTICS_CLAIMS", "coherent_spectrum_sides", "draw_coherent_classes"]

Floats = NDArray[np.float64]

ORTHONORMAL = {
    "text": "1×2, K = 2, orthonormal images",
    "images": np.eye(2).reshape(2, 1, 1, 2),
    "copies": 1,
}
SPECTRUM_REASON = (
    "an SVD and an eigenvalue problem of size ≤ 60 in float64, each within 60 ε ≈ 1e-14 of the largest value"
)


def draw_coherent_classes(rng: np.random.Generator) -> Instance:
    """One image a class, seen ``copies`` times; a fifth of them with two equal images (rank deficient)."""
    shape = (int(rng.integers(1, 4)), *draw_shape(rng, min_pixels=2))
    n_classes = int(rng.integers(2, 5))
    images = draw_scale(rng, decades=3.0) * rng.standard_normal((n_classes, *shape))
    if rng.random() < 0.2:
        images[1] = images[0]
    return {"images": images, "copies": int(rng.integers(1, 4))}


def one_hot_data(images: Floats, copies: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Class image k seen ``copies[k]`` times, with one-hot targets."""
    return np.repeat(images, copies, axis=0), np.repeat(np.eye(len(images)), copies, axis=0)


def second_moment(images: Floats) -> Floats:
    """``Σ^xx = ⟨x xᵀ⟩``."""
    rows = images.reshape(len(images), -1)
    product: Floats = rows.T @ rows / len(rows)
    return product


def coherent_spectrum_sides(instance: Instance, *, factor: str, exponent: float = 2.0) -> tuple[Any, Any]:
    """Eigenvalues of Σ^xx, the largest first, and ``factor · s_α^exponent`` of the same data."""
    classes, copies = instance["images"], instance["copies"]
    n_classes = len(classes)
    images, targets = one_hot_data(classes, np.full(n_classes, copies))
    s = SecondMoments.from_data(images, targets).modes().s
    eigenvalues = np.linalg.eigvalsh(second_moment(images))[::-1][: len(s)]
    return eigenvalues, {"K": n_classes, "1": 1, "√K": np.sqrt(n_classes)}[factor] * s**exponent


def coherent_moments_sides(
    instance: Instance, *, sizes: str = "equal", targets: str = "one-hot", exponent: float = 1.0
) -> tuple[Any, Any]:
    """``Σ^xx`` of coherent classes over the samples, and ``V D Vᵀ`` of the library's modes.

    ``sizes``: "equal", or "1, 2, 3, .." samples a class; ``targets``: "one-hot", or "of unequal size" (1, 2, 3, ..).
    """
    n_classes = len(instance["images"])
    counts = np.full(n_classes, instance["copies"]) if sizes == "equal" else np.arange(1, n_classes + 1)
    images, y = one_hot_data(instance["images"], counts)
    if targets != "one-hot":
        y = y * np.arange(1.0, n_classes + 1)
    modes = SecondMoments.from_data(images, y, form="dense").modes()
    v = modes.v.reshape(len(modes.s), -1)
    left = second_moment(images)
    return left, (v.T * np.abs(modes.d) ** exponent) @ v


def draw_samples(rng: np.random.Generator) -> Instance:
    """Any images and targets; a quarter of the targets one-hot, images with a mean of their own."""
    shape = (int(rng.integers(1, 3)), *draw_shape(rng, max_pixels=9))
    n_samples, n_outputs = int(rng.integers(2, 7)), int(rng.integers(1, 5))
    images = draw_scale(rng) * (rng.standard_normal((n_samples, *shape)) + rng.integers(0, 3))
    targets = draw_scale(rng) * rng.standard_normal((n_samples, n_outputs))
    if rng.random() < 0.25:
        targets = np.eye(n_outputs)[np.arange(n_samples) % n_outputs]
    return {"images": images, "targets": targets}


def svd_sides(
    instance: Instance, *, centred: bool = False, count: str = "N", exponent: float = 1.0, shared: float = 0.0
) -> tuple[Any, Any]:
    """``⟨y xᵀ⟩``, sample by sample, and ``U S Vᵀ`` of the library's modes, over ``⟨‖y‖²⟩^½ ⟨‖x‖²⟩^½``; identities.

    ``UᵀU`` and ``VᵀV`` are to be 1, and ``s/s_1`` in descending order, not negative. ``shared``: a power of S that is
    taken out of it and given to U and V.
    """
    images, targets = instance["images"], instance["targets"]
    x = images.reshape(len(images), -1)
    shown = x - x.mean(axis=0) if centred else x
    divisor = len(x) if count == "N" else len(x) - 1
    left = np.sum([np.outer(y, image) for y, image in zip(targets, shown, strict=True)], axis=0) / divisor
    modes = SecondMoments.from_data(images, targets).modes()
    scale = np.sqrt(np.sum(x**2) * np.sum(targets**2)) / len(x)
    spread = (modes.s / modes.s[0]) ** (shared / 2)
    u, v = modes.u * spread, modes.v.reshape(len(modes.s), -1) * spread[:, None]
    s = modes.s**exponent / np.where(spread > 0, spread, 1.0) ** 2
    unit = np.eye(len(s)).ravel()
    found = (left.ravel() / scale, u.T @ u, v @ v.T, s / s[0])
    stated = ((u * s) @ v / scale, unit, unit, np.sort(np.abs(s))[::-1] / s[0])
    return _in_one_row(found), _in_one_row(stated)


def _in_one_row(arrays: tuple[Floats, ...]) -> Floats:
    return np.concatenate([array.ravel() for array in arrays])


def draw_classes(rng: np.random.Generator) -> Instance:
    """Images of 2 to 4 classes of any sizes, and of a common mean."""
    shape = (1, *draw_shape(rng, min_pixels=2, max_pixels=16))
    labels = rng.permutation(np.repeat(np.arange(4)[: int(rng.integers(2, 5))], rng.integers(1, 4)))
    labels = np.append(labels, [0] * int(rng.integers(1, 3)))
    images = draw_scale(rng, decades=3.0) * (rng.standard_normal((len(labels), *shape)) + 1.0)
    return {"images": images, "labels": labels}


def null_mode_sides(instance: Instance, *, mean: str = "of all samples", rank: str = "K-1") -> tuple[Any, Any]:
    """The modes that are not null of images less their per-pixel mean, and ``min(K - 1, P)``.

    ``mean``: "of all samples" (the library's), "of the first half" of them, or "none".
    """
    images, labels = instance["images"], instance["labels"]
    n_classes = int(labels.max()) + 1
    if mean == "of the first half":
        images = images - images[: (len(images) + 1) // 2].mean(axis=0)
    modes = SecondMoments.from_data(images, labels, center=mean == "of all samples").modes()
    count = {"K-1": n_classes - 1, "K": n_classes, "K-2": n_classes - 2}[rank]
    return np.sum(~modes.null), min(count, images[0].size)


def draw_forms(rng: np.random.Generator) -> Instance:
    """A network and data, half of the time of coherent classes."""
    instance = draw_problem(rng, classes=True)
    coherent = np.unique(instance["images"], axis=0).shape[0] <= instance["targets"].shape[1]
    return {**instance, "coherent": bool(coherent and np.isin(instance["targets"], (0.0, 1.0)).all())}


def forms_sides(
    instance: Instance, *, approximate: bool = False, factor: float = 1.0, average: bool = True
) -> tuple[Any, Any]:
    """The library's gradient from each form of the statistics that holds for the data, and by complex steps.

    With ``approximate`` the modes form (Σ^xx taken as diagonal) is asked for whatever the data are.
    """
    images, targets, decay, weights = (instance[name] for name in ("images", "targets", "weight_decay", "weights"))
    forms = ["dense", "samples", *(["modes"] if instance["coherent"] or approximate else [])]
    rows = []
    for form in forms:
        network, moments = network_and_moments(instance, form)
        rows.append(flat(network.gradient(weights, moments, weight_decay=decay)))
    count = 1.0 if average else float(len(images))
    slopes = complex_step_gradient(
        lambda w: 0.5 * count * squared_error(w, images, targets) + 0.5 * decay * squared_norm(w), weights
    )
    scale = size_of_terms(weights, images, targets, decay)
    return np.array(rows) / scale, factor * np.tile(flat(slopes), (len(rows), 1)) / scale


def draw_correlated_modes(rng: np.random.Generator) -> Instance:
    """Samples with ``Σ^xx V = V D + G`` exactly, G orthogonal to V; in a third of them G = 0; and a network.

    The samples are the columns of a root of the joint second moment of targets and images.
    """
    height, width = draw_shape(rng, min_pixels=2, max_pixels=12)
    n_pixels = height * width
    k = int(rng.integers(1, min(4, n_pixels)))
    basis = np.linalg.qr(rng.standard_normal((n_pixels, n_pixels)))[0]
    u, v, others = np.linalg.qr(rng.standard_normal((k, k)))[0], basis[:, :k], basis[:, k:]
    gap = rng.uniform(-1, 1, (k, n_pixels - k)) * float(rng.choice([0.0, 0.3, 1.0]))
    d, s = rng.uniform(2, 4, k) * np.sqrt(n_pixels), rng.uniform(0.5, 1.5, k)
    rest = 4.0 * np.sqrt(n_pixels) * np.eye(n_pixels - k)
    joint = np.block(
        [
            [9.0 * np.eye(k), np.diag(s), np.zeros((k, n_pixels - k))],
            [np.diag(s), np.diag(d), gap],
            [np.zeros((n_pixels - k, k)), gap.T, rest],
        ]
    )
    root = np.linalg.cholesky(joint) * np.sqrt(len(joint))
    # contiguous, as a witness read from a file is: else sums are taken in another order
    return {
        "images": np.ascontiguousarray((basis @ root[k:]).T).reshape(-1, height, width),
        "targets": np.ascontiguousarray((u @ root[:k]).T),
        "u": np.ascontiguousarray(u),
        "v": np.ascontiguousarray(v.T).reshape(k, height, width),
        "gap": np.ascontiguousarray((others @ gap.T).T).reshape(k, height, width),
        "kernel": rng.standard_normal((height, width)),
        "dense": rng.standard_normal((k, height, width)),
    }


def diagonal_sides(
    instance: Instance, *, counted: float = 1.0, power_of_p: float = 0.5, conjugate: bool = True
) -> tuple[Any, Any]:
    """``B = Uᵀ⟨f(x) xᵀ⟩V`` over the samples, and ``√P Σ_f A_αf κ_f q_βf d_β`` plus ``counted`` times ``Uᵀ p G``.

    ``p`` is the predictor in pixel space, ``G = Σ^xx V - V D`` what a diagonal ``VᵀΣ^xxV`` says nothing about. Beside
    both stands a bound on the terms, ``√P ‖k‖‖W‖‖Σ^xx‖``, so that their distance is relative to it: B may cancel.
    """
    images, u, v, kernel, dense = (instance[name] for name in ("images", "u", "v", "kernel", "dense"))
    weights = [kernel[None, None, :, :, None], dense[None, ..., None]]
    rows, modes = images.reshape(len(images), -1), v.reshape(len(v), -1)
    outputs = forward(weights, images[None, :, None])[0]
    left = u.T @ (outputs.T @ rows / len(rows)) @ modes.T
    moment = second_moment(images)
    d = np.einsum("ap,pq,aq->a", modes, moment, modes)
    q, kappa, w = (np.fft.fft2(image, norm="ortho").reshape(-1, modes.shape[1]) for image in (v, kernel, dense))
    a = u.T @ (w.conj() if conjugate else w)
    formula = float(modes.shape[1]) ** power_of_p * (a * kappa) @ (q * d[:, None]).T
    units = np.eye(modes.shape[1]).reshape(1, -1, 1, *kernel.shape)
    predictor = forward(weights, units)[0].T
    right = formula + counted * u.T @ predictor @ instance["gap"].reshape(len(v), -1).T
    bound = np.sqrt(kernel.size) * np.linalg.norm(kernel) * np.linalg.norm(dense) * np.linalg.norm(moment)
    return np.append(left, bound), np.append(right, bound)


COUNTEREXAMPLE = {
    "text": "1×2, K = 1, x = (3, 1), (1, −1), y = 1, 1: Σ^yx = (2, 0), Σ^xx = ((5, 1), (1, 1))",
    "images": np.array([[[3.0, 1.0]], [[1.0, -1.0]]]),
    "targets": np.ones((2, 1)),
    "u": np.eye(1),
    "v": delta((1, 1, 2), (0, 0, 0)),
    "gap": delta((1, 1, 2), (0, 0, 1)),
    "kernel": delta((1, 2), (0, 0)),
    "dense": np.ones((1, 1, 2)),
}

STATISTICS_CLAIMS = (
    Claim(
        id="thin-svd",
        title="The modes are the thin SVD of uncentred moments",
        statement=(
            "Σ^yx = ⟨y xᵀ⟩ = U S Vᵀ, averaged over the N samples, nothing subtracted; UᵀU = VᵀV = 1, s_1 ≥ s_2 ≥ .. ≥ 0"
        ),
        source="Pinson et al. eq 1-2",
        hypotheses=("any images and targets",),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "images centred": {"centred": True},
            "1/(N−1) for 1/N": {"count": "N-1"},
            "exponent 1% off": {"exponent": 1.01},
            "√S given to U and V": {"shared": 1.0},
        },
        tolerance=1e-12,
        tolerance_reason="an SVD of size ≤ 18 in float64, relative to the largest value it may have: 18·ε ≈ 4e-15",
        draw=draw_samples,
        sides=svd_sides,
        distance=absolute_distance,
        quantity="entry of Σ^yx, of UᵀU, of VᵀV, or s",
    ),
    Claim(
        id="coherent-spectrum",
        title="Eigenvalues of Σ^xx for coherent, uniform classes",
        statement="d_α = K s_α²",
        source="Pinson et al. appendix A, corrected: can be read as S² (see E11)",
        hypotheses=("all images of a class equal", "one-hot labels", "classes of equal size"),
        expected=Outcome.NOT_REFUTED,
        mutants={"√K for K": {"factor": "√K"}, "K dropped": {"factor": "1"}, "exponent 1% off": {"exponent": 2.02}},
        tolerance=1e-12,
        tolerance_reason=SPECTRUM_REASON,
        draw=draw_coherent_classes,
        sides=coherent_spectrum_sides,
        formula={"factor": "K"},
        quantity="d_α",
        smallest=(ORTHONORMAL,),
        counterpart="E11",
        symbolic=coherent_spectrum_exactly,
    ),
    Claim(
        id="coherent-classes",
        title="Σ^xx of coherent, uniform classes is diagonal in the modes",
        statement="Σ^xx = V D Vᵀ, V of the thin SVD of Σ^yx, D diagonal",
        source="Pinson et al. eq 3, by appendix A, whose equal classes are needed: §2.1 does not name them",
        hypotheses=("all images of a class equal", "one-hot labels", "classes of equal size"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "classes of unequal size": {"sizes": "1, 2, 3, .."},
            "labels of unequal size": {"targets": "of unequal size"},
            "exponent 1% off": {"exponent": 1.01},
        },
        tolerance=1e-12,
        tolerance_reason=SPECTRUM_REASON,
        draw=draw_coherent_classes,
        sides=coherent_moments_sides,
        quantity="entry of Σ^xx",
        smallest=(ORTHONORMAL,),
    ),
    Claim(
        id="diagonal-is-not-enough",
        title="A diagonal VᵀΣ^xxV is not enough for the effective singular values",
        statement="B_αβ = √P Σ_f A_αf κ_f q_βf d_β + (Uᵀ p G)_αβ, G = Σ^xx V − V D: any G, though VᵀΣ^xxV is diagonal",
        source="Pinson et al. eq 5 and 14, hypothesis corrected: Σ^xx V = V D (G = 0) is needed",
        hypotheses=("VᵀΣ^xxV = D diagonal", "f(x) = W (k ∗ x), p its predictor in pixel space", "A = Uᵀ Ŵ*, κ = k̂"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "VᵀΣ^xxV diagonal is enough (G dropped)": {"counted": 0.0},
            "√2 G": {"counted": float(np.sqrt(2))},
            "√P dropped": {"power_of_p": 0.0},
            "conj(Ŵ) for Ŵ": {"conjugate": False},
        },
        tolerance=1e-12,
        tolerance_reason="a root of moments of size ≤ 15 and ≤ 12 pixels, relative to a bound: 15·12·ε ≈ 4e-14",
        draw=draw_correlated_modes,
        sides=diagonal_sides,
        quantity="B_αβ",
        smallest=(COUNTEREXAMPLE,),
        symbolic=diagonal_exactly,
    ),
    Claim(
        id="centred-null-mode",
        title="Subtracting the per-pixel mean leaves K − 1 modes",
        statement="x ← x − ⟨x⟩ ⇒ Σ_k Σ^yx_k = ⟨x⟩ = 0, and rank Σ^yx = min(K − 1, C·P)",
        source="Pinson et al. figure S.4; the reason: new",
        hypotheses=("one-hot labels, classes of any sizes", "the mean over all samples", "images in general position"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "the mean of half the samples": {"mean": "of the first half"},
            "nothing subtracted": {"mean": "none"},
            "K − 2 modes": {"rank": "K-2"},
        },
        tolerance=0.5,
        tolerance_reason="a count of singular values above 1e-12 of the largest: whole numbers",
        draw=draw_classes,
        sides=null_mode_sides,
        distance=absolute_distance,
        quantity="number of modes",
    ),
    Claim(
        id="statistics-forms",
        title="The forms of the statistics give one gradient",
        statement="∇ℒ over the samples is that from Σ^xx as a matrix, as the samples, and as V D Vᵀ where it is that",
        source="new",
        hypotheses=("any data for dense and samples", "Σ^xx = V D Vᵀ for modes"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "modes of any data": {"approximate": True},
            "1% off": {"factor": 1.01},
            "sum over samples for average": {"average": False},
        },
        tolerance=1e-12,
        tolerance_reason="≤ 4 layers, 8 samples and 18 coordinates, relative to a product of norms: 4·8·18·ε ≈ 1e-13",
        draw=draw_forms,
        sides=forms_sides,
        distance=absolute_distance,
        quantity="entry of ∇ℒ",
    ),
)

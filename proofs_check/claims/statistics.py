"""Claims about the second moments that drive the learning."""

from __future__ import annotations

from typing import Any

import numpy as np

from lineardyn import SecondMoments
from proofs_check.claim import Claim
from proofs_check.instances import draw_scale, draw_shape
from proofs_check.verdict import Instance, Outcome

__all__ = ["ORTHONORMAL", "SPECTRUM_REASON", "STATISTICS_CLAIMS", "coherent_spectrum_sides", "draw_coherent_classes"]

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


def coherent_spectrum_sides(instance: Instance, *, factor: str, exponent: float = 2.0) -> tuple[Any, Any]:
    """Eigenvalues of Σ^xx, the largest first, and ``factor · s_α^exponent`` of the same data."""
    classes, copies = instance["images"], instance["copies"]
    n_classes = len(classes)
    images, targets = np.repeat(classes, copies, axis=0), np.repeat(np.eye(n_classes), copies, axis=0)
    s = SecondMoments.from_data(images, targets).modes().s
    flat = images.reshape(len(images), -1)
    eigenvalues = np.linalg.eigvalsh(flat.T @ flat / len(flat))[::-1][: len(s)]
    return eigenvalues, {"K": n_classes, "1": 1, "√K": np.sqrt(n_classes)}[factor] * s**exponent


STATISTICS_CLAIMS = (
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
    ),
)

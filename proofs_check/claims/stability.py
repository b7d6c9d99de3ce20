"""Claims about the largest stable learning rates of pure cosines, under full-batch descent and one-sample SGD."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineardyn.closed_form import stable_learning_rate
from proofs_check.claim import Claim, absolute_distance, relative_distance
from proofs_check.claims.cosines import CORNERS, HYPOTHESES, class_constants
from proofs_check.claims.pixel_space import (
    balanced_start,
    draw_cosines,
    effective_singular_values,
    gradient,
    shift_matrices,
)
from proofs_check.verdict import Instance, Outcome

__all__ = ["STABILITY_CLAIMS"]

Floats = NDArray[np.float64]


def interpolating(instance: Instance) -> tuple[Floats, Floats, Floats]:
    """Shift matrices, kernel and dense layer of the balanced, aligned weights with b = s for every class."""
    images = instance["images"]
    k, height, width = images.shape
    scale = np.zeros((height, width))
    norms, (_, _, m) = np.linalg.norm(images, axis=(1, 2)), class_constants(instance)
    for (u, v), norm, count in zip(instance["frequencies"], norms, m, strict=True):
        # b = d √(P m) |κ|² = s, so |κ|² = 1/(‖x‖ √(P m))
        scale[u, v] = scale[-u % height, -v % width] = 1.0 / np.sqrt(norm * np.sqrt(height * width * count))
    kernel, dense = balanced_start(images, scale, instance["kernel"])
    return shift_matrices(images), kernel.ravel(), dense.reshape(k, -1)


def largest_curvature(shifts: Floats, kernel: Floats, dense: Floats) -> float:
    """Largest eigenvalue of the Hessian of ``½⟨‖y - f‖²⟩`` where f = y: that of ``⟨JᵀJ⟩``, J over both layers."""
    hidden, k = shifts @ kernel, len(dense)
    by_kernel = dense @ shifts  # (N, K, P)
    by_dense = np.einsum("np,ij->nijp", hidden, np.eye(k)).reshape(len(shifts), k, -1)
    jacobian = np.concatenate([by_kernel, by_dense], axis=-1).reshape(len(shifts) * k, -1)
    return float(np.linalg.norm(jacobian, 2) ** 2 / len(shifts))


def limit_sides(
    instance: Instance, *, one_sample: bool, delay: bool = True, classes: bool = True, factor: float = 1.0
) -> tuple[Any, Any]:
    """``2/λ_max`` of the Hessian at the end of learning, of all samples or of each; ``√m/(√P s)``, over K for SGD."""
    shifts, kernel, dense = interpolating(instance)
    s, _, m = class_constants(instance)
    rates = [
        factor
        * stable_learning_rate(
            s=float(s[a]),
            n_pixels=kernel.size,
            multiplicity=m[a] if delay else 1,
            n_classes=len(s) if one_sample and classes else 1,
        )
        for a in range(len(s))
    ]
    if one_sample:
        return [2 / largest_curvature(shifts[[a]], kernel, dense) for a in range(len(s))], rates
    return 2 / largest_curvature(shifts, kernel, dense), min(rates)


def limit_form(*, one_sample: bool, delay: bool = True, classes: bool = True, factor: float = 1.0) -> list[Any]:
    """Curvature along the mode, ``d m c² · 2κ²`` at ``κ² = s/(d m c)`` (SGD: K times), times the limit is 2."""
    import sympy as sp

    p, m, d, s, k = sp.symbols("P m d s K", positive=True)
    c = sp.sqrt(p / m)
    curvature = d * m * c**2 * 2 * (s / (d * m * c)) * (k if one_sample else 1)
    limit = sp.nsimplify(factor) * sp.sqrt((m if delay else 1) / p) / (s * (k if one_sample and classes else 1))
    return [sp.simplify(curvature * limit - 2)]


def draw_around_limit(rng: np.random.Generator) -> Instance:
    """Up to three cosines, and η as a multiple of the limit: 0.6 to 0.97, or 1.03 to 1.5."""
    instance = draw_cosines(rng)
    multiple = rng.uniform(0.6, 0.97) if rng.random() < 0.5 else rng.uniform(1.03, 1.5)
    return {**instance, "multiple": float(multiple), "mode": int(rng.integers(len(instance["images"])))}


def around_limit(instance: Instance, multiple: float) -> Instance:
    """A corner case at this multiple of the limit."""
    return {**instance, "multiple": multiple, "mode": 0}


def both_sides_sides(
    instance: Instance, *, one_sample: bool = False, limit: float = 1.0, delay: bool = True, classes: bool = True
) -> tuple[Any, Any]:
    """Whether ``|b_α - s_α|`` has grown (1) or shrunk (-1) in 12 steps of descent from 1e-9 s, and should have.

    The learning rate is ``multiple`` times ``√m/(√P s)`` (over K where single samples of the class are drawn).
    """
    shifts, kernel, dense = interpolating(instance)
    s, _, m = class_constants(instance)
    k = len(s)
    # full batch: the class of the smallest limit, as the others may diverge above theirs
    a = instance["mode"] if one_sample else int(np.argmax(s / np.sqrt(m)))
    rate = instance["multiple"] * np.sqrt((m[a] if delay else 1) / kernel.size) / s[a]
    rate /= k if one_sample and classes else 1
    chosen = slice(a, a + 1) if one_sample else slice(None)
    targets = np.eye(k)
    nudge = 1.0 + 5e-10
    kernel, dense = kernel * nudge, dense * nudge
    before = effective_singular_values(shifts, kernel, dense)[a] / s[a] - 1
    for _ in range(12):
        to_kernel, to_dense = gradient(shifts[chosen], targets[chosen], kernel, dense)
        kernel, dense = kernel - rate * to_kernel, dense - rate * to_dense
    after = effective_singular_values(shifts, kernel, dense)[a] / s[a] - 1
    return np.sign(abs(after) - abs(before)), np.sign(instance["multiple"] - limit)


def stability_form(
    *, one_sample: bool = False, limit: float = 1.0, delay: bool = True, classes: bool = True
) -> list[Any]:
    """The derivative of ``b(1 + ηc(s - b))²`` at s is ``1 - 2ηcs``, which is -1 where ηcs is the limit."""
    import sympy as sp

    eta, p, m, s, b, k = sp.symbols("eta P m s b K", positive=True)
    boost = k if one_sample else 1
    c = sp.sqrt(p / m) * boost
    slope = sp.diff(b * (1 + eta * c * (s - b)) ** 2, b).subs(b, s)
    at = sp.nsimplify(limit) * sp.sqrt((m if delay else 1) / p) / (s * (k if one_sample and classes else 1))
    return [sp.simplify(slope - (1 - 2 * eta * c * s)), sp.simplify(slope.subs(eta, at) + 1)]


STABILITY_CLAIMS = (
    Claim(
        id="stability-limit",
        title="The largest stable learning rate of pure cosines",
        statement="2/λ_max(∇²ℒ) at the end of learning = min_α √m/(√P s_α): stable iff η√P s/√m < 1",
        source="new",
        hypotheses=(*HYPOTHESES, "full batch, b = s"),
        expected=Outcome.NOT_REFUTED,
        mutants={"√m dropped": {"delay": False}, "2 for 1": {"factor": 2.0}, "1% off": {"factor": 1.01}},
        tolerance=1e-12,
        tolerance_reason="a singular value of a matrix of ≤ 9×80 in float64: 80·ε ≈ 2e-14",
        draw=draw_cosines,
        sides=limit_sides,
        formula={"one_sample": False},
        distance=relative_distance,
        quantity="2/λ_max",
        smallest=CORNERS,
        symbolic=limit_form,
    ),
    Claim(
        id="sgd-stability-limit",
        title="The largest stable learning rate of one-sample SGD",
        statement="2/λ_max of the loss of one sample of class α at b = s is √m/(K√P s_α): stable iff ηK√P s/√m < 1",
        source="new",
        hypotheses=(*HYPOTHESES, "one sample a step, b = s"),
        expected=Outcome.NOT_REFUTED,
        mutants={"√m dropped": {"delay": False}, "K dropped": {"classes": False}, "1% off": {"factor": 1.01}},
        tolerance=1e-12,
        tolerance_reason="a singular value of a matrix of ≤ 3×80 in float64: 80·ε ≈ 2e-14",
        draw=draw_cosines,
        sides=limit_sides,
        formula={"one_sample": True},
        distance=relative_distance,
        quantity="2/λ_max",
        smallest=CORNERS,
        symbolic=limit_form,
    ),
    Claim(
        id="stable-on-one-side",
        title="Descent returns to the end of learning below the limit and leaves it above",
        statement="|b_α − s_α| shrinks iff η√P s_α/√m < 1, for the class of largest s_α/√m",
        source="new",
        hypotheses=(*HYPOTHESES, "full batch, from b = s(1 + 1e-9)"),
        expected=Outcome.NOT_REFUTED,
        mutants={"√m dropped": {"delay": False}, "2 for 1": {"limit": 2.0}},
        tolerance=0.5,
        tolerance_reason="a sign; 3% off the limit 12 steps change |b − s| by factors of 0.5 and 2 or more",
        draw=draw_around_limit,
        sides=both_sides_sides,
        distance=absolute_distance,
        quantity="grown (1) or shrunk (−1)",
        smallest=tuple(around_limit(corner, multiple) for corner in CORNERS for multiple in (0.9, 1.1)),
        symbolic=stability_form,
    ),
    Claim(
        id="sgd-stable-on-one-side",
        title="One-sample SGD returns to the end of learning below its limit and leaves it above",
        statement="|b − s| shrinks at each draw of the class iff ηK√P s/√m < 1",
        source="new",
        hypotheses=(*HYPOTHESES, "one sample a step, from b = s(1 + 1e-9)"),
        expected=Outcome.NOT_REFUTED,
        mutants={"√m dropped": {"delay": False}, "K dropped": {"classes": False}, "2 for 1": {"limit": 2.0}},
        tolerance=0.5,
        tolerance_reason="a sign; 3% off the limit 12 steps change |b − s| by factors of 0.5 and 2 or more",
        draw=draw_around_limit,
        sides=both_sides_sides,
        formula={"one_sample": True},
        distance=absolute_distance,
        quantity="grown (1) or shrunk (−1)",
        smallest=tuple(around_limit(corner, multiple) for corner in CORNERS for multiple in (0.9, 1.1)),
        symbolic=stability_form,
    ),
)

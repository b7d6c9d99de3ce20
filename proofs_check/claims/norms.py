"""Claims about the norm of interpolating weights (P appendix F): what S.73 says, the least norm, shared frequencies."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from proofs_check.claim import Claim, absolute_distance, excess, relative_distance
from proofs_check.claims.clocks import BALANCED
from proofs_check.claims.disjoint import DISJOINT, draw_balanced, in_pixels, modes_of
from proofs_check.claims.pixel_space import balanced_start, effective_singular_values, predict, shift_matrices
from proofs_check.claims.sums import least_norm
from proofs_check.claims.two_layers import ROUND_OFF, ROUND_OFF_REASON
from proofs_check.instances import cosine, draw_shape
from proofs_check.verdict import Instance, Outcome

__all__ = ["NORM_CLAIMS"]

Floats = NDArray[np.float64]


# --- Balanced, aligned weights ------------------------------------------------------------------------------------


def response_sides(
    instance: Instance, *, power_of_p: float = 0.5, q_power: float = 1.0, d_power: float = 1.0
) -> tuple[Any, Any]:
    """``b_α/s_α`` of balanced, aligned weights in pixel space, and ``(d_α/s_α) √P Σ_f |q_αf||κ_f|²``; over max|·|."""
    shifts, _, kernel, dense = in_pixels(instance)
    modes = modes_of(instance["images"])
    power = np.abs(np.fft.fft2(instance["kernel"], norm="ortho")).reshape(len(kernel), 1, -1) ** 2
    sums = (np.abs(modes.q) ** q_power * power).sum(axis=-1)
    left = effective_singular_values(shifts, kernel, dense) / modes.s
    right = modes.d**d_power / modes.s * kernel.shape[-1] ** power_of_p * sums
    size = np.abs(left).max(axis=1, keepdims=True)
    return left / size, right / size


def equal_sides(
    instance: Instance, *, mean: bool = True, power_of_p: float = -0.5, factor: float = 2.0
) -> tuple[Any, Any]:
    """Norm and outputs of the balanced weights with S.73 and equal |κ_f| on each F_α; and their formula, and one-hot.

    In terms of the images ``s_α/(d_α|q_αf|) = 1/|x̂_αf|``.
    """
    images = instance["images"]
    n, k, height, width = images.shape
    size = np.abs(np.fft.fft2(images, norm="ortho"))
    present = size > 1e-9 * size.max(axis=(2, 3), keepdims=True)
    total, count = (size * present).sum(axis=(2, 3)), present.sum(axis=(2, 3))
    scale = np.sqrt((present / (np.sqrt(height * width) * total)[..., None, None]).sum(axis=1))
    kernel, dense = balanced_start(images, scale, instance["kernel"])
    outputs = predict(*(in_pixels({"images": images, "kernel": kernel, "dense": dense})[i] for i in (0, 2, 3)))
    norm = (kernel**2).sum(axis=(1, 2)) + (dense**2).sum(axis=(1, 2, 3))
    typical = total / count if mean else size.max(axis=(2, 3))
    value = factor * (height * width) ** power_of_p * (1 / typical).sum(axis=1)
    left = np.concatenate([(norm / value)[:, None], outputs.reshape(n, -1)], axis=1)
    right = np.concatenate([np.ones((n, 1)), np.tile(np.eye(k).ravel(), (n, 1))], axis=1)
    return left, right


# --- The least norm ---------------------------------------------------------------------------------------------------


def draw_interpolating(rng: np.random.Generator, n: int) -> Instance:
    """Disjoint modes, and a kernel near the least norm, far from it, or anywhere: noise that sides multiply into it."""
    images = draw_balanced(rng, n)["images"]
    spread = rng.choice([0.0, 0.05, 0.5, 3.0], (n, 1, 1, 1))
    return {"images": images, "noise": spread * rng.standard_normal((n, 2, *images.shape[2:]))}


def bound_sides(
    instance: Instance, *, mean: bool = False, power_of_p: float = -0.5, factor: float = 2.0
) -> tuple[Any, Any]:
    """The formula, and ``‖k‖² + ‖W‖²`` of interpolating weights with the kernel on the modes' frequencies alone."""
    images = instance["images"]
    height, width = images.shape[2:]
    size = np.abs(np.fft.fft2(images, norm="ortho"))
    present = size > 1e-9
    largest = size.max(axis=(2, 3), keepdims=True)
    best = present & (size > (1 - 1e-9) * largest)
    power = best / (np.sqrt(height * width) * largest * best.sum(axis=(2, 3), keepdims=True))
    growth, other = (np.abs(np.fft.fft2(instance["noise"][:, i], norm="ortho")) for i in (0, 1))
    growth = np.minimum(growth, 100.0)  # an adversary's may be any
    scale = np.where(present.any(axis=1), np.sqrt(power.sum(axis=1)) * np.exp(growth) + other, 0.0)
    phase = np.zeros_like(images[:, 0])
    phase[:, 0, 0] = 1.0
    kernel = np.fft.ifft2(scale * np.fft.fft2(phase), norm="ortho").real
    hidden = (shift_matrices(images) @ kernel.reshape(len(kernel), 1, -1, 1))[..., 0]
    gram = hidden @ hidden.swapaxes(1, 2)
    # the smallest dense layer with W h_α = e_α: ‖W‖² = tr (H Hᵀ)^{-1}
    norm = (kernel**2).sum(axis=(1, 2)) + np.trace(np.linalg.inv(gram), axis1=1, axis2=2)
    typical = (size * present).sum(axis=(2, 3)) / present.sum(axis=(2, 3)) if mean else largest[..., 0, 0]
    value = factor * (height * width) ** power_of_p * (1 / typical).sum(axis=1)
    return value, norm


def bound_form(*, mean: bool = False, power_of_p: float = -0.5, factor: float = 2.0) -> list[Any]:
    """``u + 1/(P M² u) = 2/(√P M) + (√u - 1/(√P M √u))²``, u = ‖κ‖² on F_α, M = max |x̂|; mean: ``M = (M + m)/2``."""
    import sympy as sp

    u, p, largest, smaller = sp.symbols("u P M m", positive=True)
    typical = (largest + smaller) / 2 if mean else largest
    square = (sp.sqrt(u) - 1 / (sp.sqrt(p) * largest * sp.sqrt(u))) ** 2
    value = sp.nsimplify(factor) * p ** sp.nsimplify(power_of_p) / typical
    return [sp.simplify(sp.expand(u + 1 / (p * largest**2 * u) - square) - value)]


# --- Shared frequencies -----------------------------------------------------------------------------------------------


def draw_shared(rng: np.random.Generator) -> Instance:
    """Two or three orthogonal images with all frequencies in common, and two starts of the minimisation."""
    shape = draw_shape(rng, min_pixels=2, max_pixels=9)
    n_pixels = shape[0] * shape[1]
    k = int(rng.integers(1, min(3, n_pixels) + 1))
    v = np.linalg.qr(rng.standard_normal((n_pixels, k)))[0].T.reshape(k, *shape)
    return {"images": rng.uniform(0.5, 1.5, (k, 1, 1)) * v, "starts": rng.standard_normal((2, n_pixels))}


def dual_value(images: Floats) -> float:
    """``max tr Λ`` over real Λ ``(K, N)`` with ``‖Λ conj(x̂_f)‖ ≤ 1`` at every f: below ``min Σ_f‖v̂_f‖`` for any Λ.

    As ``min max_f ‖Λ conj(x̂_f)‖²`` over ``tr Λ = 1``, by sequential quadratic programming; the bound it ends with is
    computed from Λ alone.
    """
    k = len(images)
    spectra = np.fft.fft2(images, norm="ortho").reshape(k, -1)
    gram = np.einsum("nf,mf->fnm", spectra, spectra.conj()).real

    def heights(z: Floats) -> Floats:
        multiplier = z[:-1].reshape(k, k)
        rows: Floats = np.einsum("kn,fnm,km->f", multiplier, gram, multiplier)
        return rows

    def slopes(z: Floats) -> Floats:
        moved = -2 * np.einsum("fnm,km->fkn", gram, z[:-1].reshape(k, k)).reshape(gram.shape[0], -1)
        return np.concatenate([moved, np.ones((len(moved), 1))], axis=1)

    start = np.append(np.eye(k).ravel() / k, 0.0)
    start[-1] = heights(start).max()
    trace, last = np.append(np.eye(k).ravel(), 0.0), np.append(np.zeros(k * k), 1.0)
    constraints = [
        {"type": "eq", "fun": lambda z: trace @ z - 1.0, "jac": lambda z: trace},
        {"type": "ineq", "fun": lambda z: z[-1] - heights(z), "jac": slopes},
    ]
    found = minimize(
        lambda z: z[-1], start, jac=lambda z: last, method="SLSQP", constraints=constraints,
        options={"ftol": 1e-14, "maxiter": 300},
    )  # fmt: skip
    return float(trace @ found.x / np.sqrt(heights(found.x).max()))


def shared_sides(instance: Instance, *, formula: str = "cone", factor: float = 2.0) -> tuple[Any, Any]:
    """The least ``‖k‖² + ‖W‖²`` found by descent, and ``(2/√P) min Σ_f ‖v̂_f‖`` by its dual, or another formula."""
    images = instance["images"]
    scale = factor / np.sqrt(images[0].size)
    left = least_norm(images, instance["starts"])
    if formula == "disjoint":
        size = np.abs(np.fft.fft2(images, norm="ortho")).max(axis=(1, 2))
        return left, scale * (1 / size).sum()
    return left, scale * dual_value(images)


SINE_AND_COSINE = {
    "text": "1×3, K = 2, a cosine and a sine of one frequency",
    "images": np.array([cosine((1, 3), (0, 1)), cosine((1, 3), (0, 1), phase=-np.pi / 2)]),
    "starts": np.array([[1.0, 0.4, 0.3], [0.3, 1.0, -0.5]]),
}

NORM_CLAIMS = (
    Claim(
        id="aligned-response",
        title="What balanced, aligned weights answer",
        statement="b_α = d_α √P Σ_{F_α} |q_αf||κ_f|²: they interpolate iff √P Σ |q_αf||κ_f|² = s_α/d_α",
        source="Pinson et al. eq 14, S.73",
        hypotheses=(DISJOINT, BALANCED),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "√P dropped": {"power_of_p": 0.0},
            "|q|² for |q|": {"q_power": 2.0},
            "exponent of |q| 1% off": {"q_power": 1.01},
            "d dropped": {"d_power": 0.0},
        },
        tolerance=ROUND_OFF,
        tolerance_reason=ROUND_OFF_REASON,
        draw=draw_balanced,
        sides=response_sides,
        distance=absolute_distance,
        quantity="b/s",
        batched=True,
    ),
    Claim(
        id="equal-magnitudes-norm",
        title="What the interpolating weights of equal |κ_f| cost: no less than the least norm",
        statement=(
            "|κ_f| equal on F_α and S.73 ⇒ f(x_α) = e_α and ‖k‖² + ‖W‖² = Σ_α 2s_α/(√P d_α mean_f|q_αf|) "
            "≥ Σ_α 2s_α/(√P d_α max_f|q_αf|)"
        ),
        source="new; against Pinson et al. appendix F (see E7)",
        hypotheses=(DISJOINT, "balanced, aligned weights"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "max for mean": {"mean": False},
            "√P dropped": {"power_of_p": 0.0},
            "kernel alone (1 for 2)": {"factor": 1.0},
        },
        tolerance=ROUND_OFF,
        tolerance_reason=ROUND_OFF_REASON,
        draw=draw_balanced,
        sides=equal_sides,
        distance=absolute_distance,
        quantity="‖k‖² + ‖W‖² over the formula, or an output",
        batched=True,
    ),
    Claim(
        id="minimal-norm-bound",
        title="No interpolating weights are smaller",
        statement="W (k ∗ x_α) = e_α, k on ∪F_α ⇒ ‖k‖² + ‖W‖² ≥ Σ_α 2s_α/(√P d_α max_f|q_αf|)",
        source="Pinson et al. appendix F, corrected (see E7)",
        hypotheses=(DISJOINT, "kernel zero off their union"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "√P dropped": {"power_of_p": 0.0},
            "1% more": {"factor": 2.02},
            "mean for max (S.73)": {"mean": True},
        },
        tolerance=ROUND_OFF,
        tolerance_reason="an inverse of a diagonal K×K matrix of ≤ 15 products: 15·K·ε ≈ 1e-14 where it is attained",
        draw=draw_interpolating,
        sides=bound_sides,
        distance=excess,
        quantity="least norm against ‖k‖² + ‖W‖²",
        batched=True,
        attacked=("noise",),
        symbolic=bound_form,
    ),
    Claim(
        id="shared-minimal-norm",
        title="Shared frequencies: the least norm is a cone program, and can be smaller",
        statement="min ‖k‖² + ‖W‖² over interpolating weights = (2/√P) min {Σ_f ‖v̂_f‖ : Σ_f v̂_f x̂_f = y}",
        source="new; what remains of Pinson et al. appendix F where modes share frequencies",
        hypotheses=("two layers, one input and one hidden channel", "orthogonal images, one-hot targets"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "formula of disjoint modes": {"formula": "disjoint"},
            "1% more": {"factor": 2.02},
        },
        tolerance=1e-6,
        tolerance_reason="descent ends within 1e-9 above, the dual within 1e-7 below: a gap of 1e-6 decides",
        draw=draw_shared,
        sides=shared_sides,
        distance=relative_distance,
        quantity="‖k‖² + ‖W‖²",
        smallest=(SINE_AND_COSINE,),
        max_instances=30,
    ),
)

"""Claims about the equations of two layers in Fourier space (P eq 5, 14-16), against pixel space."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofs_check.claim import Claim, absolute_distance
from proofs_check.claims.pixel_space import gradient, predict, shift_matrices
from proofs_check.instances import draw_scale, draw_shape
from proofs_check.verdict import Instance, Outcome

__all__ = [
    "ROUND_OFF",
    "ROUND_OFF_REASON",
    "THREE_PIXELS",
    "TWO_LAYER_CLAIMS",
    "draw_coherent",
    "flat_weights",
    "in_modes",
    "size_of",
    "size_of_gradient",
    "spectra_of",
    "two_layer_rates",
]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

ROUND_OFF = 1e-12
ROUND_OFF_REASON = "sums of ≤ P·K = 60 products in float64, three times: 60·ε·√3 ≈ 2e-14 of the terms' size"


# --- Instances --------------------------------------------------------------------------------------------------------


def draw_coherent(rng: np.random.Generator, n: int, *, max_pixels: int = 15) -> Instance:
    """Any orthonormal V and U, any singular values of both moments, ties and zeros among them, and any weights."""
    shape = draw_shape(rng, max_pixels=max_pixels)
    n_pixels = shape[0] * shape[1]
    k = int(rng.integers(1, min(4, n_pixels) + 1))
    v = np.linalg.qr(rng.standard_normal((n, n_pixels, k)))[0].swapaxes(1, 2).reshape(n, k, *shape)
    norms, goals = rng.uniform(0.3, 2.0, (2, n, k))
    if rng.random() < 0.3:
        norms, goals = np.ones((n, k)), np.repeat(goals[:, :1], k, axis=1)  # equal singular values
    if rng.random() < 0.2:
        goals[:, -1] = 0.0  # a direction of the data that no target asks for
    size = draw_scale(rng, decades=2.0)
    return {
        "images": norms[:, :, None, None] * v,
        "goals": goals,
        "U": np.linalg.qr(rng.standard_normal((n, k, k)))[0],
        "kernel": size * rng.standard_normal((n, *shape)),
        "dense": rng.standard_normal((n, k, *shape)) / size,
    }


# --- The network of one input channel ---------------------------------------------------------------------------------


def spectra_of(kernel: Floats, dense: Floats) -> tuple[Complexes, Complexes]:
    """``κ`` ``(..., P)`` and ``conj(ŵ_γ)`` ``(..., K, P)`` of a kernel and a dense layer, ``(..., [K,] H, W)``."""
    kappa, rows = (np.fft.fft2(w, norm="ortho") for w in (kernel, dense))
    return kappa.reshape(*kappa.shape[:-2], -1), rows.conj().reshape(*rows.shape[:-2], -1)


def two_layer_rates(
    kappa: Complexes, a: Complexes, residual: Floats, q: Complexes, *, power_of_p: float = 0.5
) -> tuple[Complexes, Complexes]:
    """P eq 15-16: ``√P Σ conj(A_γf) E_γβ conj(q_βf)`` and ``√P conj(κ_f) Σ_β E_γβ conj(q_βf)``."""
    drive = kappa.shape[-1] ** power_of_p * (residual @ q.conj())
    return (a.conj() * drive).sum(axis=-2), kappa.conj()[..., None, :] * drive


def response(
    kappa: Complexes, a: Complexes, q: Complexes, d: Floats, *, power_of_p: float = 0.5, d_power: float = 1.0
) -> Floats:
    """P eq 5, 14: ``B_αβ = √P Σ_f A_αf κ_f q_βf d_β``."""
    sums = (a * kappa[..., None, :]) @ np.swapaxes(q, -1, -2)
    b: Floats = kappa.shape[-1] ** power_of_p * sums.real * d[..., None, :] ** d_power
    return b


def in_modes(instance: Instance, *, conjugate: bool = False, n_classes: bool = True) -> tuple[Any, ...]:
    """``κ``, ``A = Uᵀ W Q*``, ``q``, ``s``, ``d``, U and the targets ``y_α = goal_α u_α`` of one image a class."""
    images, u, goals = instance["images"], instance["U"], instance["goals"]
    norms = np.linalg.norm(images, axis=(-2, -1))
    q = np.fft.fft2(images / norms[..., None, None], norm="ortho").reshape(*norms.shape, -1)
    kappa, rows = spectra_of(instance["kernel"], instance["dense"])
    a = np.swapaxes(u, -1, -2) @ rows
    count = norms.shape[-1] if n_classes else 1
    targets = goals[..., :, None] * np.swapaxes(u, -1, -2)
    return kappa, a, q.conj() if conjugate else q, norms * goals / count, norms**2 / count, u, targets


def flat_weights(instance: Instance) -> tuple[Floats, Floats, Floats]:
    """Shift matrices, kernel ``(..., P)`` and dense layer ``(..., K, P)``."""
    kernel, dense = instance["kernel"], instance["dense"]
    return (
        shift_matrices(instance["images"]),
        kernel.reshape(*kernel.shape[:-2], -1),
        dense.reshape(*dense.shape[:-2], -1),
    )


def size_of(*arrays: Any) -> Any:
    """One number for each network of a batch, 1 where all vanishes, with the axes that a matrix needs."""
    total = np.sum([np.linalg.norm(x.reshape(len(x), -1), axis=1) for x in arrays], axis=0)
    return np.where(total > 0, total, 1.0)[:, None, None]


def size_of_gradient(shifts: Floats, targets: Floats, kernel: Floats, dense: Floats) -> Any:
    """``√P‖x‖(‖k‖ + ‖W‖)(√P‖x‖‖k‖‖W‖ + ‖y‖)``: what the round-off of a gradient is of, as its terms may cancel."""
    k, w, y = (size_of(z) for z in (kernel, dense, np.broadcast_to(targets, (len(kernel), *targets.shape[-2:]))))
    moved = size_of(shifts)  # √P‖x‖
    return moved * (k + w) * (moved * k * w + y)


def response_sides(instance: Instance, **formula: Any) -> tuple[Any, Any]:
    """``B = Uᵀ Σ^ŷx V`` from the outputs of the network in pixel space, and the sum over frequencies."""
    conjugate = formula.pop("conjugate", False)
    shifts, kernel, dense = flat_weights(instance)
    kappa, a, q, _, d, u, _ = in_modes(instance, conjugate=conjugate)
    outputs = predict(shifts, kernel, dense)
    x = instance["images"].reshape(*outputs.shape[:2], -1)
    v = x / np.linalg.norm(x, axis=-1, keepdims=True)
    moment = np.swapaxes(outputs, -1, -2) @ x / x.shape[-2]
    scale = np.sqrt(kernel.shape[-1]) * size_of(kappa) * size_of(a) * d.max(axis=-1)[:, None, None]
    left = np.swapaxes(u, -1, -2) @ moment @ np.swapaxes(v, -1, -2)
    return left / scale, response(kappa, a, q, d, **formula) / scale


def gradient_sides(
    instance: Instance, *, power_of_p: float = 0.5, conjugate: bool = False, n_classes: bool = True
) -> tuple[Any, Any]:
    """DFT of minus the pixel-space gradient, the dense layer's in the basis U; and P eq 15-16. Over the terms' size."""
    shifts, kernel, dense = flat_weights(instance)
    kappa, a, q, s, d, u, targets = in_modes(instance, conjugate=conjugate, n_classes=n_classes)
    to_kernel, to_dense = gradient(shifts, targets, kernel, dense)
    kappa_dot, rows = spectra_of(
        -to_kernel.reshape(instance["kernel"].shape), -to_dense.reshape(instance["dense"].shape)
    )
    b = response(kappa, a, q, d)
    goal = s[..., None] * np.eye(s.shape[-1])
    rates = two_layer_rates(kappa, a, goal - b, q, power_of_p=power_of_p)
    terms = np.sqrt(kernel.shape[-1]) * (size_of(goal) + size_of(b))
    left = (kappa_dot[..., None, :] / (terms * size_of(a)), np.swapaxes(u, -1, -2) @ rows / (terms * size_of(kappa)))
    right = (rates[0][..., None, :] / (terms * size_of(a)), rates[1] / (terms * size_of(kappa)))
    return np.concatenate(left, axis=-2), np.concatenate(right, axis=-2)


def _three_pixels() -> tuple[Any, ...]:
    """1×3 pixels in exact numbers: k, w, x, the matrix of x ∗, and κ, A, x̂ by third roots of unity."""
    import sympy as sp

    k, w = (sp.Matrix(sp.symbols(f"{name}:3", real=True)) for name in "kw")
    x = sp.Matrix([*sp.symbols("x:2", real=True), 0])
    root = sp.Rational(-1, 2) - sp.sqrt(3) / 2 * sp.I
    dft = sp.Matrix(3, 3, lambda f, i: root ** (f * i % 3)) / sp.sqrt(3)
    moved = sp.Matrix(3, 3, lambda i, m: x[(i - m) % 3])  # (k * x)_i = Σ_m x_{i-m} k_m
    return k, w, moved, dft, dft * k, (dft * w).conjugate(), dft * x


def response_form(*, power_of_p: float = 0.5, conjugate: bool = False, d_power: float = 1.0) -> list[Any]:
    """1×3 pixels, one class of norm r, D = r²: ``⟨f(x)⟩ r`` less ``√3 d Σ A κ q``."""
    import sympy as sp

    k, w, moved, _, kappa, a, spectrum = _three_pixels()
    r = sp.Symbol("r", positive=True)  # x = r v, x̂ = r q, b = r f(x)
    q = (spectrum.conjugate() if conjugate else spectrum) / r
    terms = sum(a[f] * kappa[f] * q[f] for f in range(3))
    right = 3 ** sp.Rational(power_of_p) * r ** (2 * sp.Rational(d_power)) * terms
    return [sp.expand(r * (w.T * moved * k)[0] - right)]


def gradient_form(*, power_of_p: float = 0.5, conjugate: bool = False, n_classes: bool = True) -> list[Any]:
    """1×3 pixels, one class of weight 1: P eq 15-16 in exact numbers, unitary DFT with third roots of unity."""
    import sympy as sp

    k, w, moved, dft, kappa, a, spectrum = _three_pixels()
    error = sp.Symbol("y", real=True) - (w.T * moved * k)[0]
    if not n_classes:
        error = error + sp.Symbol("y", real=True)  # S without its 1/K, as if there were two classes
    # x̂ = ‖x‖ q, so that E conj(q) is error times conj(x̂)
    drive = 3 ** sp.Rational(power_of_p) * error * (spectrum if conjugate else spectrum.conjugate())
    error = sp.Symbol("y", real=True) - (w.T * moved * k)[0]
    to_kernel = dft * (moved.T * w * error) - a.conjugate().multiply_elementwise(drive)
    to_dense = (dft * (moved * k * error)).conjugate() - kappa.conjugate().multiply_elementwise(drive)
    return [sp.expand(entry) for entry in (*to_kernel, *to_dense)]


TURN = np.array([[0.6, -0.8], [0.8, 0.6]])
THREE_PIXELS = {
    "text": "1×3, K = 2, images (1, −1, 0) and (1, 1, −2)",
    "images": np.array([[[1.0, -1.0, 0.0]], [[1.0, 1.0, -2.0]]]),
    "goals": np.array([1.0, 2.0]),
    "U": TURN,
    "kernel": np.array([[1.0, 2.0, 0.0]]),
    "dense": np.array([[[1.0, 0.0, 0.0]], [[0.0, 1.0, 1.0]]]),
}
HYPOTHESES = ("two layers, one input and one hidden channel, circular convolution", "Σ^xx = V D Vᵀ, Σ^yx = U S Vᵀ")

TWO_LAYER_CLAIMS = (
    Claim(
        id="effective-singular-values",
        title="Effective singular values as a sum over frequencies",
        statement="Uᵀ Σ^ŷx V = B, B_αβ = √P Σ_f A_αf κ_f q_βf d_β, with A = Uᵀ W Q*",
        source="Pinson et al. eq 5, 14",
        hypotheses=HYPOTHESES,
        expected=Outcome.NOT_REFUTED,
        mutants={
            "√P dropped": {"power_of_p": 0.0},
            "P for √P": {"power_of_p": 1.0},
            "conj(q) for q": {"conjugate": True},
            "d dropped": {"d_power": 0.0},
            "exponent of d 1% off": {"d_power": 1.01},
        },
        tolerance=ROUND_OFF,
        tolerance_reason=ROUND_OFF_REASON,
        draw=draw_coherent,
        sides=response_sides,
        distance=absolute_distance,
        quantity="B_αβ",
        smallest=(THREE_PIXELS,),
        batched=True,
        attacked=("kernel", "dense"),
        symbolic=response_form,
    ),
    Claim(
        id="two-layer-equations",
        title="Gradient flow of two layers, frequency by frequency",
        statement=(
            "dκ_f/dt = √P Σ_γβ conj(A_γf) E_γβ conj(q_βf), dA_γf/dt = √P conj(κ_f) Σ_β E_γβ conj(q_βf), E = S − B"
        ),
        source="Pinson et al. eq 15-16",
        hypotheses=(*HYPOTHESES, "gradient flow of ½⟨‖y − f(x)‖²⟩"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "√P dropped": {"power_of_p": 0.0},
            "P for √P": {"power_of_p": 1.0},
            "q for conj(q)": {"conjugate": True},
            "sum over classes for average": {"n_classes": False},
        },
        tolerance=ROUND_OFF,
        tolerance_reason=ROUND_OFF_REASON + "; relative to √P(‖S‖ + ‖B‖) times the other layer, as E may cancel",
        draw=draw_coherent,
        sides=gradient_sides,
        distance=absolute_distance,
        quantity="rate",
        smallest=(THREE_PIXELS,),
        batched=True,
        attacked=("kernel", "dense"),
        symbolic=gradient_form,
    ),
)

"""Claims about the right-hand side of the flow at each frequency: residual, gradient, what it conserves."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofs_check.claim import Claim, absolute_distance
from proofs_check.claims.arithmetic import FLOAT, Arithmetic, exactly, in_extended_precision, unit
from proofs_check.claims.deep_network import (
    adjoint,
    blocks,
    complex_step_gradient,
    draw_problem,
    effective_predictor,
    flat,
    formula_rates,
    forward,
    layers_of,
    size_of_terms,
    squared_error,
    squared_norm,
)
from proofs_check.claims.definitions import dft, spectrum
from proofs_check.claims.networks import LAYERS, NETWORK_CASES, ONE_LAYER, PRODUCT_REASON, draw_samples
from proofs_check.claims.networks_exact import gradient_exactly
from proofs_check.verdict import Instance, Outcome

__all__ = ["RIGHT_HAND_SIDE_CLAIMS"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
HYPOTHESES = ("any data, depth, widths, channels", "A_l = ŵ_l, A_L = B = conj(ŵ_L)")


def residual_sides(
    instance: Instance,
    *,
    order: str = "gf",
    conjugate: bool = True,
    average: bool = True,
    arithmetic: Arithmetic = FLOAT,
) -> tuple[Any, Any]:
    """``⟨(y - f(x)) x̂_f^H⟩`` over the samples, and ``Σ^yx̂_f - Σ_g v̂_g Σ^x̂x̂_gf``; all arrays of norm 1.

    ``order``: "gf", "fg" (the indices exchanged), or "ff" (the diagonal of Σ^x̂x̂ alone).
    """
    weights = [unit(w, arithmetic) for w in layers_of(instance)]
    images, y = unit(instance["images"], arithmetic), unit(instance["targets"], arithmetic)
    n_samples = y.shape[1]
    x = spectrum(images, arithmetic).transpose(0, 3, 2, 1)  # (n, P, C, N)
    gap = (y - forward(weights, images)).swapaxes(1, 2)[:, None]  # (n, 1, K, N)
    left = gap @ adjoint(x) / n_samples  # (n, P, K, C)
    a = blocks(weights, arithmetic)
    v = effective_predictor(a if conjugate else [*a[:-1], a[-1].conj()], arithmetic)
    count = n_samples if average else 1
    moments = x[:, :, None] @ adjoint(x)[:, None] / count  # (n, g, f, C, C)
    if order == "ff":
        product = v @ np.diagonal(moments, axis1=1, axis2=2).transpose(0, 3, 1, 2)
    else:
        pairs = moments if order == "gf" else moments.swapaxes(1, 2)
        product = np.sum(v[:, :, None] @ pairs, axis=1)
    return left, y.swapaxes(1, 2)[:, None] @ adjoint(x) / n_samples - product


def moments_residual(a: Sequence[Complexes], images: Floats, targets: Floats) -> Complexes:
    """``E_f = Σ^yx̂_f - Σ_g v̂_g Σ^x̂x̂_gf`` ``(P, K, C)`` from the second moments of ``(N, C, H, W)``, ``(N, K)``."""
    x = spectrum(images).transpose(2, 1, 0)  # (P, C, N)
    v = effective_predictor(a)[0]
    xx = np.einsum("gcn,fdn->gfcd", x, x.conj(), optimize=True) / len(images)
    yx = np.einsum("nk,fcn->fkc", targets, x.conj(), optimize=True) / len(images)
    residual: Complexes = yx - np.einsum("gkc,gfcd->fkd", v, xx, optimize=True)
    return residual


def gradient_sides(
    instance: Instance, *, power_of_p: float = 0.5, decay_factor: float = 1.0, adjoints: bool = True, half: bool = True
) -> tuple[Any, Any]:
    """The spectra of ``-∇ℒ``, ℒ differentiated by complex steps in pixel space, and ``dA_l/dt`` by the formula.

    Relative to the terms of the formula, of which the rates consist: they may cancel.
    """
    images, targets, decay = instance["images"], instance["targets"], instance["weight_decay"]
    weights = instance["weights"]
    factor = 0.5 if half else 1.0
    slopes = complex_step_gradient(
        lambda w: factor * squared_error(w, images, targets) + 0.5 * decay * squared_norm(w), weights
    )
    left = [-dft(g.transpose(0, 3, 1, 2)).transpose(2, 0, 1) for g in slopes]
    left[-1] = left[-1].conj()
    a = blocks([w[None] for w in weights])
    n_pixels, depth = a[0].shape[1], len(a)
    constant = float(n_pixels) ** (power_of_p * (depth - 1))
    matrices = [matrix[0] for matrix in a]
    right = formula_rates(
        matrices, moments_residual(a, images, targets), decay_factor * decay, constant, adjoints=adjoints
    )
    scale = size_of_terms(weights, images, targets, decay)
    return flat(left) / scale, flat(right) / scale


def draw_matrices(rng: np.random.Generator, n: int) -> Instance:
    """Layers and a residual at one frequency, complex and of no data at all; a weight decay; a tenth of them zero."""
    sizes = rng.integers(1, 4, size=int(rng.integers(2, 5)) + 1)
    instance = {
        f"complex{layer}": _complex(rng, n, out, into)
        for layer, (into, out) in enumerate(pairwise(sizes.tolist()), start=1)
    }
    decay = rng.choice([0.0, 0.3, 2.0], size=n)
    residual = _complex(rng, n, int(sizes[-1]), int(sizes[0]))
    residual[rng.random(n) < 0.1] = 0.0
    return {**instance, "complexE": residual, "decay": decay}


def _complex(rng: np.random.Generator, n: int, *shape: int) -> Complexes:
    scales = np.where(rng.random(n) < 0.5, 1.0, 10.0 ** rng.uniform(-3, 3, n)).reshape(n, *[1] * len(shape))
    values: Complexes = scales * (rng.standard_normal((n, *shape)) + 1j * rng.standard_normal((n, *shape)))
    return values


def balance_sides(
    instance: Instance,
    *,
    decay_factor: int = 2,
    adjoints: bool = True,
    upper: float = 1.0,
    arithmetic: Arithmetic = FLOAT,
) -> tuple[Any, Any]:
    """``d/dt(A_l A_lᴴ) + 2λ A_l A_lᴴ`` and ``d/dt(A_{l+1}ᴴ A_{l+1}) + 2λ A_{l+1}ᴴ A_{l+1}``; matrices of norm 1."""
    names = [name for name in instance if name.startswith("complex") and name != "complexE"]
    a = [unit(instance[name], arithmetic) for name in sorted(names)]
    decay = instance["decay"][:, None, None]
    rates = formula_rates(a, unit(instance["complexE"], arithmetic), decay, 1, adjoints=adjoints)
    left, right = [], []
    for (low, low_dot), (high, high_dot) in pairwise(zip(a, rates, strict=True)):
        moving, above = low_dot @ adjoint(low), adjoint(high) @ high_dot
        left.append(moving + adjoint(moving) + decay_factor * decay * (low @ adjoint(low)))
        kept = above + adjoint(above) + 2 * decay * (adjoint(high) @ high)
        right.append(kept if upper == 1.0 else upper * kept)
    return _in_rows(left), _in_rows(right)


def _in_rows(matrices: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """One row for each instance."""
    return np.concatenate([x.reshape(len(x), -1) for x in matrices], axis=1)


BALANCE_CASES = (
    {"complex1": (1, 2), "complex2": (2, 1), "complexE": (2, 2), "decay": ()},
    {"complex1": (2, 1), "complex2": (1, 2), "complexE": (1, 1), "decay": ()},
    {"complex1": (1, 1), "complex2": (1, 1), "complex3": (1, 1), "complexE": (1, 1), "decay": ()},
)
SCALARS = {
    "text": "L = 2, A_1 = A_2 = E = λ = 1",
    "complex1": np.ones((1, 1), dtype=complex),
    "complex2": np.ones((1, 1), dtype=complex),
    "complexE": np.ones((1, 1), dtype=complex),
    "decay": np.array(1.0),
}
PHASES = {**SCALARS, "text": "L = 2, A_1 = i, A_2 = E = λ = 1", "complex1": np.array([[1j]])}

RIGHT_HAND_SIDE_CLAIMS = (
    Claim(
        id="residual",
        title="The residual of each frequency, from the second moments",
        statement="E_f = ⟨(y − f(x)) x̂_fᴴ⟩ = Σ^yx̂_f − Σ_g v̂_g Σ^x̂x̂_gf, Σ^yx̂_f = ⟨y x̂_fᴴ⟩, Σ^x̂x̂_gf = ⟨x̂_g x̂_fᴴ⟩",
        source="new; for two layers E = S − B of Pinson et al. eq 15-16",
        hypotheses=HYPOTHESES,
        expected=Outcome.NOT_REFUTED,
        mutants={
            "Σ^x̂x̂_fg for Σ^x̂x̂_gf": {"order": "fg"},
            "diagonal of Σ^x̂x̂ alone": {"order": "ff"},
            "conjugate of the last layer dropped": {"conjugate": False},
            "sum over samples for average": {"average": False},
        },
        tolerance=1e-12,
        tolerance_reason=PRODUCT_REASON,
        draw=draw_samples,
        sides=residual_sides,
        distance=absolute_distance,
        quantity="E_f",
        batched=True,
        extended=in_extended_precision(residual_sides),
        attacked=(*LAYERS, "images", "targets"),
        symbolic=exactly(residual_sides, NETWORK_CASES[0], ONE_LAYER),
    ),
    Claim(
        id="frequency-gradient",
        title="Gradient flow at each frequency",
        statement="dA_l/dt = P^{(L−1)/2} (A_L ⋯ A_{l+1})ᴴ E_f (A_{l−1} ⋯ A_1)ᴴ − λ A_l if dw_l/dt = −∂ℒ/∂w_l",
        source="Pinson et al. eq 15-16 (two layers, one channel); any depth, widths, channels, weight decay: new",
        hypotheses=(*HYPOTHESES, "ℒ = ½⟨‖y − f(x)‖²⟩ + ½λ Σ‖w_l‖²"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "√P dropped": {"power_of_p": 0.0},
            "P for √P": {"power_of_p": 1.0},
            "exponent of P 1% off": {"power_of_p": 0.505},
            "2λ for λ": {"decay_factor": 2.0},
            "ᵀ for ᴴ": {"adjoints": False},
            "loss without its ½": {"half": False},
        },
        tolerance=1e-12,
        tolerance_reason="≤ 4 layers, 5 samples and 18 coordinates, relative to a product of norms: 4·5·18·ε ≈ 8e-14",
        draw=draw_problem,
        sides=gradient_sides,
        distance=absolute_distance,
        quantity="dA_l/dt",
        symbolic=gradient_exactly,
    ),
    Claim(
        id="balance-identity",
        title="The conservation law holds for every residual",
        statement="d/dt(A_l A_lᴴ − A_{l+1}ᴴ A_{l+1}) = −2λ (A_l A_lᴴ − A_{l+1}ᴴ A_{l+1}), whatever the matrix E_f is",
        source="new, for any loss of v̂; what keeps the balanced starts of Pinson et al. appendix G balanced",
        hypotheses=(
            "dA_l/dt = c (A_L ⋯ A_{l+1})ᴴ E (A_{l−1} ⋯ A_1)ᴴ − λ A_l",
            "E any complex matrix, of no data at all",
        ),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "λ for 2λ": {"decay_factor": 1},
            "ᵀ for ᴴ": {"adjoints": False},
            "√2 on the upper layer": {"upper": float(np.sqrt(2))},
        },
        tolerance=1e-12,
        tolerance_reason="products of ≤ 5 matrices of norm 1 and size ≤ 3 in float64: 5·3·ε ≈ 4e-15, times λ ≤ 2",
        draw=draw_matrices,
        sides=balance_sides,
        distance=absolute_distance,
        quantity="d/dt of the balance",
        smallest=(SCALARS, PHASES),
        batched=True,
        extended=in_extended_precision(balance_sides),
        attacked=("complex1", "complex2", "complexE"),
        symbolic=exactly(balance_sides, *BALANCE_CASES),
    ),
)

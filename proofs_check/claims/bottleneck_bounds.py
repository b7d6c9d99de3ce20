"""Claims about every cyclic network: lower bounds from Jacobians, and what nearly minimal weights look like.

Theory, section 4, T2, T5, and the first correction (beside E9).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofs_check.cbn import CyclicCNN
from proofs_check.claim import Claim, absolute_distance, excess
from proofs_check.claims.cyclic_space import (
    NETWORK,
    RECONSTRUCTED,
    blocks,
    constant_network,
    dft,
    draw_grid,
    jacobians,
    layer_sizes,
    operator,
    preactivations,
    singular_values,
    squared_norm,
    weighted_cost,
)
from proofs_check.verdict import Instance, Outcome

__all__ = [
    "ACTIVATION",
    "BOUND_CLAIMS",
    "FIRST_REASON",
    "HALVING",
    "KEPT_REASON",
    "STRONGER",
    "correction_sides",
    "draw_scalings",
    "surplus",
]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

ACTIVATION = "leaky ReLU of slope |a| < 1 below zero"
KEPT_REASON = (
    "singular values below 1e-11 of the layers' norms are left out, which only lowers the bound; the others carry at "
    "most 1e-16/1e-11 of relative error, of weight (1e-11)^{2/5}: 1e-9·(2/5)"
)


def surplus(left: Any, right: Any, *, n_instances: int | None = None) -> Any:
    """By how much ``left ≤ right`` fails, in absolute terms: for sides that have a scale of their own."""
    difference = np.maximum(np.asarray(left) - np.asarray(right), 0.0)
    return absolute_distance(difference, np.zeros_like(difference), n_instances=n_instances)


def image_at(instance: Instance, *, ripple: bool) -> Floats:
    """The constant image ``(.., C, n)``, or one near it."""
    level, waves = instance["level"][..., None], instance["ripple"]
    return np.asarray(level + waves if ripple else np.broadcast_to(level, waves.shape))


def jacobian_bound_sides(instance: Instance, *, activation: str = "leaky", **formula: float) -> tuple[Any, Any]:
    """``L Σ_i s_i(Jf(x))^{2/L}`` and ``‖θ‖²``, of dense matrices. ``activation`` "steep": slope 1.5 below zero."""
    network = instance if activation == "leaky" else {**instance, "slope": np.full_like(instance["slope"], 1.5)}
    weights = network["weights"]
    jacobian = jacobians(network, image_at(instance, ripple=True))[0]
    found = singular_values(jacobian, layer_sizes(weights, instance["grid"]))
    cost = weighted_cost(found[..., None, :], np.ones((*found.shape[:-1], 1)), weights.shape[-4], **formula)
    return cost, squared_norm(instance)


def frequency_bound_sides(instance: Instance, **formula: float) -> tuple[Any, Any]:
    """``L Σ_ω |m_ω|^{-2(L-1)/L} Σ_i s_i(Ĵ_ω)^{2/L}`` at the constant image, and ``‖θ‖²``."""
    weights, grid = instance["weights"], instance["grid"]
    jacobian = jacobians(instance, image_at(instance, ripple=False))[0]
    found = singular_values(blocks(jacobian, grid), layer_sizes(weights, grid))
    return weighted_cost(found, instance["pooling"], weights.shape[-4], **formula), squared_norm(instance)


def draw_network(rng: np.random.Generator) -> Instance:
    """One network and its constant image; large biases in some, so that the pre-activations have both signs."""
    batch = constant_network(rng, 1)
    return {name: value[0] if isinstance(value, np.ndarray) else value for name, value in batch.items()}


def as_network(instance: Instance, *, pooled: bool = True) -> CyclicCNN:
    """The library's network of the instance."""
    weights, grid = instance["weights"], tuple(instance["grid"])
    depth, channels = weights.shape[0], weights.shape[1]
    return CyclicCNN(
        list(weights.reshape(depth, channels, *grid, channels)),
        list(instance["biases"]),
        pooling=instance["pooling"].reshape(grid) if pooled else None,
        slope=float(instance["slope"]),
    )


def constant_jacobian_sides(instance: Instance, *, pooled: bool = True, transform: float = 0.0) -> tuple[Any, Any]:
    """``F Jf F^H`` of the dense Jacobian at the constant image, all of it; and the library's blocks, else 0."""
    grid, image = tuple(instance["grid"]), image_at(instance, ripple=False)
    channels, n = image.shape
    split = jacobians(instance, image)[0].reshape(channels, n, channels, n)
    waves = dft(grid)
    left = np.einsum("wi,oicj,vj->wovc", waves, split, waves.conj(), optimize=True)
    right = np.zeros_like(left)
    found = as_network(instance, pooled=pooled).jacobian_blocks(image.reshape(channels, *grid))
    right[range(n), :, range(n), :] = n**transform * found.reshape(n, channels, channels)
    return left, right


def polar(matrices: Complexes, kept: NDArray[np.bool_]) -> Complexes:
    """The partial isometries U of ``U P``, of as many dimensions as are kept; those are the largest."""
    left, _, right = np.linalg.svd(matrices)
    return np.asarray((left * kept[..., None, :]) @ right)


def gap_sides(
    instance: Instance,
    *,
    pooling_power: float = 1.0,
    volume: float = 2.0,
    pooled_volume: float = 1.0,
    layers: float = 0.0,
    biases: float = 1.0,
    turned: bool = True,
) -> tuple[Any, Any]:
    """Squared distance of the weights from partial isometries over |m|, with all that the bound subtracts; ``‖θ‖²``."""
    weights, grid, norm = instance["weights"], tuple(instance["grid"]), squared_norm(instance)
    depth, n = weights.shape[-4], weights.shape[-2]
    image = image_at(instance, ripple=False)
    z = preactivations(instance, image)
    spectra = np.einsum("wi,...loic->l...woc", dft(grid), weights, optimize=True) * np.sqrt(n)
    _, s, right = np.linalg.svd(blocks(jacobians(instance, image)[0], grid))
    kept = s > 1e-9 * layer_sizes(weights, grid)[..., None, None]
    rank, m = kept.sum(axis=-1), np.abs(instance["pooling"])
    # columns that are not kept are 0 from here on: V_0 is an orthonormal basis, filled up with zeros
    frame = np.swapaxes(right, -1, -2).conj() * kept[..., None, :]
    total = biases * n * (instance["biases"] ** 2).sum(axis=(-2, -1))
    for layer in range(depth):
        turn = polar(spectra[layer] @ frame, kept)
        wanted = (turn if turned else frame) @ np.swapaxes(frame, -1, -2).conj() / m[..., None, None] ** pooling_power
        total = total + (np.abs(spectra[layer] - wanted) ** 2).sum(axis=(-3, -2, -1))
        slopes = np.where(z[layer][..., 0] > 0, 1.0, np.asarray(instance["slope"])[..., None])[..., None, :, None]
        frame = polar(slopes * turn, kept)
    volumes = np.log(np.where(kept, s, 1.0)).sum(axis=-1) + pooled_volume * rank * np.log(m)
    return total + (((depth + layers) * rank + volume * volumes) / m**2).sum(axis=-1), norm


def draw_isometric(rng: np.random.Generator, n: int) -> Instance:
    """``n`` networks of one shape, half of them near partial isometries over |m_ω|."""
    return constant_network(rng, n, isometric=True)


def draw_rippled(rng: np.random.Generator, n: int) -> Instance:
    """``n`` networks of one shape, most of them without pooling, where the bound is tight."""
    return constant_network(rng, n, pooled=0.25)


DEPTHS = (4, 8, 16, 32, 64)


def scaling_filters(instance: Instance, depth: int) -> Floats:
    """``(L, C, n, C)``: channel c times ``s_c^{1/L}`` in each layer; to channel ``to[c]``, and moved, in the last."""
    scales, to, shift = instance["scales"], instance["to"], instance["shift"]
    n, channels = int(np.prod(instance["grid"])), len(scales)
    filters = np.zeros((depth, channels, n, channels))
    filters[:, range(channels), 0, range(channels)] = scales ** (1 / depth)
    filters[-1] = 0.0
    filters[-1, to, shift, range(channels)] = scales ** (1 / depth)
    return filters


def correction_sides(instance: Instance, *, absolute: bool, factor: float = 2.0, power: float = 1.0) -> tuple[Any, Any]:
    """``2 log|Jf|_+`` or ``2|log|Jf|_+|`` of the map, and R⁽¹⁾ from the norms of networks of 4 to 64 layers.

    On positive images the map is linear and these ReLU networks compute it at its least norm (A1), so that their norms
    are ``R(f; Ω, L)``; R⁽¹⁾ is extrapolated in powers of 1/L. The Jacobian is taken by differences at a positive image.
    """
    n, channels = int(np.prod(instance["grid"])), len(instance["scales"])
    network: Instance = {
        "grid": instance["grid"],
        "weights": scaling_filters(instance, 2),
        "biases": np.zeros((2, channels)),
        "pooling": np.ones(n),
        "slope": np.zeros(()),
    }
    batch = {
        **network,
        "weights": network["weights"][None],
        "biases": network["biases"][None],
        "pooling": np.ones((1, n)),
    }
    at, basis = np.full((channels, n), 1.5), 0.5 * np.eye(channels * n).reshape(-1, channels, n)
    change = preactivations(batch, at + basis)[-1] - preactivations(batch, at - basis)[-1]
    jacobian = change.reshape(channels * n, channels * n)
    log_volume = float(np.log(np.linalg.svd(jacobian, compute_uv=False)).sum())
    dense = [(operator(scaling_filters(instance, depth), instance["grid"]) ** 2).sum() for depth in DEPTHS]
    table = [value - depth * n * channels for value, depth in zip(dense, DEPTHS, strict=True)]
    for order in range(1, len(DEPTHS)):  # Richardson: each column is free of one more power of 1/L
        table = [(2**order * b - a) / (2**order - 1) for a, b in pairwise(table)]
    claimed = factor * np.sign(log_volume) * abs(log_volume) ** power
    return abs(claimed) if absolute else claimed, table[0]


def draw_scalings(rng: np.random.Generator) -> Instance:
    """Channels scaled by 0.3 to 3, exchanged and moved."""
    grid, channels = draw_grid(rng, max_pixels=4), int(rng.integers(1, 4))
    return {
        "grid": grid,
        "scales": rng.uniform(0.3, 3.0, channels),
        "to": rng.permutation(channels),
        "shift": int(rng.integers(np.prod(grid))),
    }


HALVING = {
    "text": "n = 1, f(x) = x/2 on [1, 2]",
    "grid": (1,),
    "scales": np.array([0.5]),
    "to": np.array([0]),
    "shift": 0,
}
FIRST_REASON = (
    "five depths: what is left is (2 log s)⁶/6! over 4·8·16·32·64 ≈ 1e6: 3e-7; norms of 64 layers in float64, "
    "magnified 30 times: 1e-12"
)


STRONGER = {
    "L + 1 for L": {"layers": 1.0},
    "exponent of s 1% off": {"power": 2.02},
}
POOLED = {"|m|^{-3} for |m|^{-2}": {"pooling_power": 3.0}, "exponent of m 1% off": {"pooling_power": 2.02}}

BOUND_CLAIMS = (
    Claim(
        id="jacobian-bound",
        title="Lower bound of the norm from any Jacobian (A1)",
        statement="‖θ‖² ≥ L Σ_i s_i(Jf(x))^{2/L} at almost every x",
        source=RECONSTRUCTED,
        hypotheses=(ACTIVATION, *NETWORK, "x at no kink (there the slope below is taken: the proof holds for it too)"),
        expected=Outcome.NOT_REFUTED,
        mutants={**STRONGER, "an activation that is no contraction": {"activation": "steep"}},
        tolerance=1e-9,
        tolerance_reason=KEPT_REASON,
        draw=draw_rippled,
        sides=jacobian_bound_sides,
        distance=excess,
        quantity="the bound, and ‖θ‖²:",
        batched=True,
        attacked=("weights", "biases", "level", "ripple"),
    ),
    Claim(
        id="frequency-bound",
        title="Lower bound of the norm at constant images, frequency by frequency (A2)",
        statement="‖θ‖² ≥ L Σ_ω |m_ω|^{-2(L-1)/L} Σ_i s_i(Ĵ_ω)^{2/L}, Ĵ_ω the block of Jf(x̄) at ω",
        source=RECONSTRUCTED,
        hypotheses=(ACTIVATION, *NETWORK, "x̄ constant, no pre-activation 0"),
        expected=Outcome.NOT_REFUTED,
        mutants={**STRONGER, **POOLED},
        tolerance=1e-9,
        tolerance_reason=KEPT_REASON,
        draw=constant_network,
        sides=frequency_bound_sides,
        distance=excess,
        quantity="the bound, and ‖θ‖²:",
        batched=True,
        attacked=("weights", "biases", "level"),
        counterpart="frequency-bound-without-condition",
    ),
    Claim(
        id="constant-jacobian",
        title="At a constant image the Jacobian is diagonal over frequencies",
        statement="F Jf(x̄) F^H = blockdiag_ω(m_ω^{L-1} Ŵ_{L,ω} D_{L-1} Ŵ_{L-1,ω} .. D_1 Ŵ_{1,ω}), D_l = σ'(z_l(x̄))",
        source=RECONSTRUCTED,
        hypotheses=(ACTIVATION, *NETWORK, "x̄ constant, no pre-activation 0"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "pooling dropped": {"pooled": False},
            "unitary DFT": {"transform": -0.5},
            "exponent of n 1% off": {"transform": 0.01},
        },
        tolerance=1e-11,
        tolerance_reason="products of ≤ 9 matrices of size ≤ 27 in float64: 1e-14; a factor 1000 for cancellation",
        draw=draw_network,
        sides=constant_jacobian_sides,
        quantity="entry of F J F^H",
    ),
    Claim(
        id="bottleneck-gap",
        title="Almost minimal norm forces the bottleneck into the weights",
        statement=(
            "Σ_l [Σ_ω ‖Ŵ_{l,ω} - |m_ω|^{-1}U_{l,ω}V_{l-1,ω}^*‖² + n‖b_l‖²] ≤ ‖θ‖² - L Σ k_ω|m_ω|^{-2} - "
            "2Σ|m_ω|^{-2}(log|Ĵ_ω|_+ + k_ω log|m_ω|)"
        ),
        source=RECONSTRUCTED,
        hypotheses=(ACTIVATION, *NETWORK, "x̄ constant, no pre-activation 0", "V_0 an orthonormal basis of (ker Ĵ_ω)^⊥"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "isometries without their turn (V for U)": {"turned": False},
            "|m|^{-2} UV* for |m|^{-1} UV*": {"pooling_power": 2.0},
            "k log|m| dropped": {"pooled_volume": 0.0},
            "L + 1 for L": {"layers": 1.0},
            "4 for 2 before the logarithms": {"volume": 4.0},
            "biases twice": {"biases": 2.0},
        },
        tolerance=1e-9,
        tolerance_reason="relative to ‖θ‖²: polar factors of ≤ 5 layers in float64; it holds for any k kept",
        draw=draw_isometric,
        sides=gap_sides,
        distance=excess,
        quantity="squared distance + L Σ k/m² + 2 Σ (..)/m², and ‖θ‖²:",
        batched=True,
        attacked=("weights", "biases", "level"),
    ),
    Claim(
        id="first-correction",
        title="The first correction may be negative",
        statement="R⁽¹⁾(f) ≥ 2 log|Jf|_+, |J|_+ the product of the non-zero singular values",
        source="Wen & Jacot, corrected: with the absolute value it fails (see E9)",
        hypotheses=("M = I", "f(x) = s_c x_c with channels exchanged and moved, on positive images", "R⁽⁰⁾ = rank Jf"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "the absolute value": {"absolute": True},
            "1 for 2": {"factor": 1.0},
            "4 for 2": {"factor": 4.0},
            "exponent 1% off": {"power": 1.01},
        },
        tolerance=1e-6,
        tolerance_reason=FIRST_REASON,
        draw=draw_scalings,
        sides=correction_sides,
        distance=surplus,
        formula={"absolute": False},
        quantity="the bound, and R⁽¹⁾:",
        smallest=(HALVING,),
        counterpart="E9",
    ),
)

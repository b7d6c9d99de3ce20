"""Claims about the bound at constant images where neurons are at their kink (theory, section 4, the caveat to T2)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofs_check.cbn.winding import winding_code
from proofs_check.claim import Claim, Kind, excess
from proofs_check.claims.bottleneck_bounds import ACTIVATION, KEPT_REASON, STRONGER, surplus
from proofs_check.claims.bottleneck_construction import dense_norm, evaluate
from proofs_check.claims.cyclic_space import (
    NETWORK,
    balanced_filters,
    blocks,
    constant_network,
    dft,
    jacobians,
    layer_sizes,
    preactivations,
    singular_values,
    squared_norm,
    weighted_cost,
)
from proofs_check.verdict import Instance, Outcome

__all__ = ["KINK_CLAIMS"]

Floats = NDArray[np.float64]


def kinked_network(instance: Instance) -> Instance:
    """The network of C channels, and beside it one channel that hidden layers hold as ``σ(d z), σ(-e z)``."""
    weights, chain, sizes = instance["weights"], instance["chain"], np.abs(instance["sizes"]) + 1e-3
    depth, channels, n = weights.shape[-4], weights.shape[-3], weights.shape[-2]
    wide = np.zeros((*weights.shape[:-4], depth, channels + 2, n, channels + 2))
    wide[..., :channels, :, :channels] = weights
    for layer in range(depth):
        first, last = layer == 0, layer == depth - 1
        out = [1.0, 0.0] if last else [sizes[..., layer, 0], -sizes[..., layer, 1]]
        into = [1.0, 0.0] if first else [1 / sizes[..., layer - 1, 0], -1 / sizes[..., layer - 1, 1]]
        for i, up in enumerate(out):
            for j, down in enumerate(into):
                gain = np.asarray(np.multiply(up, down))[..., None]
                wide[..., layer, channels + i, :, channels + j] = gain * chain[..., layer, :]
    lead = instance["biases"].shape[:-1]
    biases = np.concatenate([instance["biases"], np.zeros((*lead, 2))], axis=-1)
    return {**instance, "weights": wide, "biases": biases}


def kinked_sides(instance: Instance, **formula: float) -> tuple[Any, Any]:
    """The weighted bound of A2 at a constant image where two neurons a layer are at their kink, and ``‖θ‖²``.

    One channel of the image is 0; f is differentiable there all the same, as its two neurons add up to a linear map.
    """
    network = kinked_network(instance)
    weights, grid = network["weights"], instance["grid"]
    channels, n = instance["weights"].shape[-3], weights.shape[-2]
    level = np.concatenate([instance["level"], np.zeros((*instance["level"].shape[:-1], 2))], axis=-1)
    image = np.broadcast_to(level[..., None], (*level.shape, n))
    # the two parts do not mix: dense products are right for one, and for the pairs f itself, where it is linear
    jacobian = jacobians(network, image)[0]
    split = jacobian.reshape(*jacobian.shape[:-2], channels + 2, n, channels + 2, n).copy()
    split[..., channels, :, channels, :] = pairs_jacobian(network, channels)
    jacobian = split.reshape(jacobian.shape)
    found = singular_values(blocks(jacobian, grid), 100 * layer_sizes(weights, grid))
    return weighted_cost(found, instance["pooling"], weights.shape[-4], **formula), squared_norm(network)


def pairs_jacobian(network: Instance, channels: int) -> Floats:
    """The derivative ``(.., n, n)`` of the kinked channel: f itself at the n unit images, as it is linear there."""
    n = network["weights"].shape[-2]
    alone = {**network, "biases": np.zeros_like(network["biases"])}
    columns = []
    for pixel in range(n):
        unit = np.zeros((channels + 2, n))
        unit[channels, pixel] = 1.0
        image = np.broadcast_to(unit, (*network["weights"].shape[:-4], channels + 2, n))
        columns.append(preactivations(alone, image)[-1][..., channels, :])
    return np.stack(columns, axis=-1)


def draw_kinked(rng: np.random.Generator, n: int) -> Instance:
    """``n`` networks near the bound at the constant image, with one weak channel more that is at its kink."""
    network = constant_network(rng, n, max_pixels=6, max_depth=4)
    depth, pixels = network["weights"].shape[1], network["weights"].shape[3]
    spectra = np.einsum("wi,ni->nw", dft(network["grid"]), rng.standard_normal((n, pixels))) * np.sqrt(pixels)
    weak = 10.0 ** rng.uniform(-6, 0, n)
    target = (weak[:, None] * spectra)[..., None, None]
    chain = balanced_filters(target, network["pooling"], depth, network["grid"])[:, :, 0, :, 0]
    # a pair passes (1 + a) z on: divide it out, so that the map is the chain's
    gain = (1 + network["slope"]) ** (-(depth - 1) / depth)
    sizes = rng.choice([1.0, 0.5, 2.0], (n, max(depth - 1, 1), 2))
    return {**network, "chain": gain[:, None, None] * chain, "sizes": sizes}


def draw_winding(rng: np.random.Generator) -> Instance:
    """Pooling that favours ±1 over ±2, a depth and images of norm ≤ 1."""
    images = rng.standard_normal((4, 1, 5))
    return {
        "m": np.array([rng.uniform(0.92, 1.0), rng.uniform(0.2, 0.33)]),
        "depth": int(rng.integers(200, 240)),
        "images": images / np.linalg.norm(images, axis=-1, keepdims=True) * rng.uniform(0, 1, (4, 1, 1)),
    }


def winding_sides(instance: Instance, *, frequency: int = 2, factor: float = 2.0, size: float = 1.0) -> tuple[Any, Any]:
    """Norm of a ReLU network by dense matrices, over the least norm of linear ones, and its error as a map; 1 and 0."""
    (first, second), depth, images = instance["m"], instance["depth"], instance["images"]
    built = winding_code(np.array([1.0, first, second, second, first])).build(depth).network
    waves = np.cos(2 * np.pi * 2 * (np.arange(5)[:, None] - np.arange(5)) / 5) * 2 / 5
    wanted = size * images @ waves
    error = float(np.abs(evaluate(built, images) - wanted).max())
    linear = depth * factor * (first if frequency == 1 else second) ** (-2 * (depth - 1) / depth)
    return [dense_norm(built) / linear, error], [1.0, 1e-9]


KINK_CLAIMS = (
    Claim(
        id="frequency-bound-at-kinks",
        title="A2 where pairs of neurons are at their kink",
        statement="‖θ‖² ≥ L Σ_ω |m_ω|^{-2(L-1)/L} Σ_i s_i(Ĵ_ω)^{2/L} where one channel passes pairs at their kink",
        source="the caveat to Wen & Jacot's bound, reconstructed; seen, not proved; false for others (winding-code)",
        hypotheses=(
            ACTIVATION,
            *NETWORK,
            "x̄ constant; one channel passes through pairs σ(d z), σ(-e z), z = 0, so that f is differentiable there",
        ),
        expected=Outcome.NOT_REFUTED,
        kind=Kind.OBSERVED,
        mutants={**STRONGER, "|m|^{-3} for |m|^{-2}": {"pooling_power": 3.0}},
        tolerance=1e-9,
        tolerance_reason=KEPT_REASON,
        draw=draw_kinked,
        sides=kinked_sides,
        distance=excess,
        quantity="the bound, and ‖θ‖²:",
        batched=True,
        attacked=("weights", "chain", "sizes"),
    ),
    Claim(
        id="winding-code",
        title="A ReLU network may compute a linear map below the cost of all linear ones",
        statement=(
            "five pixels, f the projection on ±2, m_1 ≥ 0.92, m_2 ≤ 0.33: some ReLU network of L ≥ 200 layers has "
            "‖θ‖² < 2L|m_2|^{-2(L-1)/L} and is f for ‖x‖ ≤ 1; its neurons are at their kink at constant images"
        ),
        source="new: A2 (Wen & Jacot, reconstructed) needs its condition",
        hypotheses=("ReLU, pooling (1, m_1, m_2, m_2, m_1)", "‖x‖ ≤ 1"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "below the cost at ±1 (m_1 for m_2)": {"frequency": 1},
            "of one frequency (1 for 2)": {"factor": 1.0},
            "1.01 f": {"size": 1.01},
        },
        tolerance=1e-9,
        tolerance_reason="round-off of 240 layers on an offset some times the signal: 1e-11 seen; 1e-9 counts as none",
        draw=draw_winding,
        sides=winding_sides,
        distance=surplus,
        quantity="‖θ‖² over the linear cost, or error:",
        max_instances=6,
    ),
)

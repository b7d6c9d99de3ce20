"""Claims about the bound at constant images where neurons are at their kink (theory, section 4, the caveat to T2)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofs_check.claim import Claim, excess
from proofs_check.claims.bottleneck_bounds import ACTIVATION, KEPT_REASON, STRONGER
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
    It holds by A2 for the other channels, and for the pairs since ``(d² + e²)(1/d² + 1/e²) ≥ 4 ≥ (1 + a)²``: a layer
    that passes ``(1 + a) z`` on costs at least what a linear one does; means over the layers as for linear networks.
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


KINK_CLAIMS = (
    Claim(
        id="frequency-bound-at-kinks",
        title="A2 where pairs of neurons are at their kink",
        statement="‖θ‖² ≥ L Σ_ω |m_ω|^{-2(L-1)/L} Σ_i s_i(Ĵ_ω)^{2/L} where one channel passes pairs at their kink",
        source="new: where Wen & Jacot's bound, reconstructed, needs no condition; false for others (winding-code)",
        hypotheses=(
            ACTIVATION,
            *NETWORK,
            "x̄ constant; one channel passes through pairs σ(d z), σ(-e z), z = 0, so that f is differentiable there",
        ),
        expected=Outcome.NOT_REFUTED,
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
)

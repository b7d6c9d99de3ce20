"""A2 without its condition, refuted: a linear map that a ReLU network codes at less cost than any linear network."""

from __future__ import annotations

from typing import Any

import numpy as np

from proofs_check.cbn import winding_code
from proofs_check.claim import Claim, Kind, excess
from proofs_check.verdict import Instance, Outcome

__all__ = ["WINDING_CLAIMS"]

SAMPLES = 20
"""Images on which the network is held against the map; more than the 5 that span them, as it is no linear network."""


def winding_sides(
    instance: Instance, *, factor: float = 1.0, pooling_power: float = 2.0, exponent: float = 2.0
) -> tuple[Any, Any]:
    """A2's bound for the projection on ±2 of five pixels, and ``‖θ‖²`` of a network that computes it; or NaN.

    Ĵ_ω is 1 at ±2 and 0 elsewhere, as the map is linear; weights are summed up here, from the filters.
    """
    pooling, depth, radius = instance["pooling"], int(instance["depth"]), float(instance["radius"])
    network = winding_code(pooling).build(depth, radius=radius).network
    images = _images(radius)
    spectra = np.fft.fft(images, axis=-1)
    spectra[..., [0, 1, 4]] = 0.0
    missed = np.abs(network(images) - np.fft.ifft(spectra, axis=-1).real).max()
    if missed > 1e-10 * radius:  # another map: says nothing
        return np.nan, np.nan
    share = (depth - 1) / depth
    bound = factor * depth * np.sum(np.abs(pooling[[2, 3]]) ** (-pooling_power * share) * 1.0 ** (exponent / depth))
    norm = 5 * sum(np.sum(w**2) + np.sum(b**2) for w, b in zip(network.weights, network.biases, strict=True))
    return bound, norm


def _images(radius: float) -> Any:
    """``(SAMPLES, 1, 5)`` of norms up to ``radius``, the same in every call."""
    rng = np.random.default_rng(0)
    images = rng.standard_normal((SAMPLES, 1, 5))
    lengths = radius * np.linspace(0.05, 1.0, SAMPLES)
    return images * (lengths[:, None, None] / np.linalg.norm(images, axis=-1, keepdims=True))


def draw_winding(rng: np.random.Generator) -> Instance:
    """Poolings that keep ±1 and damp ±2, and depths at which the code has paid for its two ends."""
    first, second = rng.uniform(0.85, 1.0), rng.uniform(0.05, 0.12)
    sign = rng.choice([-1.0, 1.0], 2)
    kept, damped = sign[0] * first, sign[1] * second
    return {
        "pooling": np.array([1.0, kept, damped, damped, kept]),
        "depth": int(rng.integers(80, 161)),
        "radius": float(rng.uniform(0.05, 0.15)),
    }


WINDING_CLAIMS = (
    Claim(
        id="frequency-bound-without-condition",
        title="A2 at every constant image",
        statement="‖θ‖² ≥ L Σ_ω |m_ω|^{-2(L-1)/L} Σ_i s_i(Ĵ_ω)^{2/L} wherever f is differentiable at a constant image",
        source="Wen & Jacot's bound without its condition, reconstructed; the network that refutes it: new",
        hypotheses=(
            "five pixels, m = (1, m_1, m_2), |m_2| small, |m_1| near 1",
            "f the projection on ±2, linear on all images up to the radius",
            "pre-activations vanish at every constant image: what A2 excludes",
        ),
        expected=Outcome.REFUTED,
        kind=Kind.CONJECTURE,
        mutants={"2 for 1": {"factor": 2.0}, "|m|^{-3} for |m|^{-2}": {"pooling_power": 3.0}},
        tolerance=1e-9,
        tolerance_reason="the norm is a sum of squares, known to 1e-15; the map is met to 1e-10 of the radius",
        draw=draw_winding,
        sides=winding_sides,
        distance=excess,
        quantity="the bound, and ‖θ‖²:",
        smallest=(
            {
                "text": "n = 5, m = (1, .9, .1), L = 60, projection on ±2",
                "pooling": np.array([1.0, 0.9, 0.1, 0.1, 0.9]),
                "depth": 60,
                "radius": 0.1,
            },
        ),
        max_instances=20,
        counterpart="frequency-bound",
    ),
)

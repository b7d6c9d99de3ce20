"""A2 without its condition, refuted: a linear map that a ReLU network codes at less cost than any linear network.

The networks are built by the library and then known by their numbers alone: dense matrices give f, its Jacobian at a
constant image and the norm.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofs_check.cbn import CyclicCNN, winding_code
from proofs_check.claim import Claim, Kind, absolute_distance, excess
from proofs_check.claims.bottleneck_construction import dense_norm, evaluate
from proofs_check.claims.cyclic_space import blocks, weighted_cost
from proofs_check.verdict import Instance, Outcome

__all__ = ["WINDING_CLAIMS"]

Floats = NDArray[np.float64]

N = 5
SAMPLES = 12
"""Images on which a network is held against a map; more than the 5 that span them, as it is no linear network."""
DEPTHS = (8, 16)
"""Between which the cost of a layer is taken: the offset rides on a dimension of DC, so that it is exact."""


def in_ball(rng: np.random.Generator, radius: float) -> Floats:
    """``(SAMPLES, 1, 5)`` of norms up to ``radius``; half of them on the border, half of these on rays of the code."""
    images = rng.standard_normal((SAMPLES, 1, N))
    angles = 2 * np.pi * rng.integers(30, size=SAMPLES // 4) / 30
    images[: SAMPLES // 4, 0] = np.cos(4 * np.pi * np.arange(N) / N - angles[:, None])
    lengths = np.where(np.arange(SAMPLES) < SAMPLES // 2, 1.0, rng.uniform(0.0, 1.0, SAMPLES))
    return np.asarray(radius * lengths[:, None, None] * images / np.linalg.norm(images, axis=-1, keepdims=True))


def projection() -> Floats:
    """On the frequencies ±2, as a matrix."""
    apart = np.arange(N)[:, None] - np.arange(N)
    return np.asarray(2 / N * np.cos(4 * np.pi * apart / N))


# --- What the code costs --------------------------------------------------------------------------------------------


def draw_code(rng: np.random.Generator) -> Instance:
    """Pooling that damps ±2 more than ±1, of any sign."""
    first = rng.uniform(0.5, 1.0)
    second = rng.uniform(0.05, 0.95) / np.sqrt(1 / first**2 + 1)
    kept, damped = rng.choice([-1.0, 1.0], 2) * (first, second)
    return {"pooling": np.array([1.0, kept, damped, damped, kept]), "images": in_ball(rng, 1.0)}


def code_sides(
    instance: Instance, *, constants: float = 2.0, pooling_power: float = 2.0, size: float = 1.0, at: int = 1
) -> tuple[Any, Any]:
    """Cost of a layer, over ``2/m_1² + 2``; largest pre-activation of layer 1 at a constant image; outputs of f."""
    pooling, images = instance["pooling"], instance["images"]
    code = winding_code(pooling)
    networks = [code.build(depth).network for depth in DEPTHS]
    each = (dense_norm(networks[1]) - dense_norm(networks[0])) / (DEPTHS[1] - DEPTHS[0])
    claimed = 2 * abs(pooling[at]) ** -pooling_power + constants
    first = CyclicCNN(networks[0].weights[:1], networks[0].biases[:1], pooling=pooling)
    kink = np.abs(evaluate(first, np.full((1, 1, N), 0.3))).max()
    wanted = size * images @ projection()
    outputs = np.concatenate([evaluate(network, images).ravel() for network in networks])
    return np.concatenate([[each / claimed, kink], outputs]), np.concatenate([[1.0, 0.0], *[wanted.ravel()] * 2])


# --- The bound that it breaks ---------------------------------------------------------------------------------------


def draw_deep_code(rng: np.random.Generator) -> Instance:
    """Poolings that keep ±1 and damp ±2, and depths at which the code has paid for its two ends."""
    first, second = rng.uniform(0.85, 1.0), rng.uniform(0.05, 0.12)
    kept, damped = rng.choice([-1.0, 1.0], 2) * (first, second)
    radius = float(rng.uniform(0.05, 0.15))
    return {
        "pooling": np.array([1.0, kept, damped, damped, kept]),
        "depth": int(rng.integers(60, 91)),
        "radius": radius,
        "images": in_ball(rng, radius),
    }


def unconditional_bound_sides(
    instance: Instance, *, layers: float = 0.0, pooling_power: float = 2.0, power: float = 2.0
) -> tuple[Any, Any]:
    """A2's bound by the Jacobian at a constant image, and ``‖θ‖²``; NaN where f is not linear around that image.

    f is linear on the ball of the images, so that differences give its Jacobian; the frequencies that it does not pass
    are 0 up to round-off, 1e-12.
    """
    pooling, depth, images = instance["pooling"], int(instance["depth"]), instance["images"]
    radius = float(instance["radius"])
    network = winding_code(pooling).build(depth, radius=radius).network
    constant, step = np.full((1, 1, N), radius / 8), radius / 2 * np.eye(N)[:, None]
    ends = [evaluate(network, constant + sign * step) for sign in (1.0, -1.0)]
    jacobian = (ends[0] - ends[1])[:, 0].T / radius
    middle = evaluate(network, constant)
    bent = np.abs(ends[0] + ends[1] - 2 * middle).max()
    missed = np.abs(evaluate(network, images) - images @ jacobian.T).max()
    if max(bent, missed) > 1e-10 * radius:
        return np.nan, np.nan
    found = np.linalg.svd(blocks(jacobian, (N,)), compute_uv=False)
    singular = np.where(found > 1e-9, found, 0.0)
    bound = weighted_cost(singular, pooling, depth, layers=layers, pooling_power=pooling_power, power=power)
    return float(bound), dense_norm(network)


WINDING_CLAIMS = (
    Claim(
        id="winding-code",
        title="A ReLU network may compute a linear map below the cost of all linear ones",
        statement=(
            "five pixels, f the projection on ±2: ReLU networks of any depth from 7 on are f for ‖x‖ ≤ 1 with ‖θ‖² = "
            "L(2/m_1² + 2) + const, linear ones need 2L|m_2|^{-2(L-1)/L}; at constant x its neurons are at their kink"
        ),
        source="new: A2 (Wen & Jacot, reconstructed) needs its condition",
        hypotheses=("ReLU, pooling (1, m_1, m_2, m_2, m_1)", "1/m_1² + 1 < 1/m_2²", "‖x‖ ≤ 1"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "one constant dimension (1 for 2)": {"constants": 1.0},
            "the cost at ±2, as of linear networks": {"constants": 0.0, "at": 2},
            "exponent of m_1 1% off": {"pooling_power": 2.02},
            "1.01 f": {"size": 1.01},
        },
        tolerance=1e-9,
        tolerance_reason="round-off of 16 layers on an offset some times the signal, slopes up to 1/sin 12°: 1e-12",
        draw=draw_code,
        sides=code_sides,
        distance=absolute_distance,
        quantity="cost of a layer over the claimed one, or output:",
        max_instances=5,
    ),
    Claim(
        id="frequency-bound-without-condition",
        title="A2 at every constant image",
        statement="‖θ‖² ≥ L Σ_ω |m_ω|^{-2(L-1)/L} Σ_i s_i(Ĵ_ω)^{2/L} wherever f is differentiable at a constant image",
        source="Wen & Jacot's bound without its condition, reconstructed; the network that refutes it: new",
        hypotheses=(
            "tried on the winding code: five pixels, m = (1, m_1, m_2), |m_2| small, |m_1| near 1",
            "f linear on all images up to the radius, its Jacobian taken at a constant one",
            "pre-activations vanish at every constant image: what A2 excludes",
        ),
        expected=Outcome.REFUTED,
        kind=Kind.CONJECTURE,
        mutants={
            "L + 1 for L": {"layers": 1.0},
            "|m|^{-3} for |m|^{-2}": {"pooling_power": 3.0},
            "exponent of s 1% off": {"power": 2.02},
        },
        tolerance=1e-9,
        tolerance_reason="the norm is a sum of squares, known to 1e-15; f and its Jacobian to 1e-10, of weight 2/L",
        draw=draw_deep_code,
        sides=unconditional_bound_sides,
        distance=excess,
        quantity="the bound, and ‖θ‖²:",
        smallest=(
            {
                "text": "n = 5, m = (1, .9, .1), L = 60, projection on ±2",
                "pooling": np.array([1.0, 0.9, 0.1, 0.1, 0.9]),
                "depth": 60,
                "radius": 0.1,
                "images": in_ball(np.random.default_rng(0), 0.1),
            },
        ),
        max_instances=5,
        counterpart="frequency-bound",
    ),
)

"""Claims about finite samples, which pass through a few frequencies whatever the map (theory, section 4, T8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofs_check.cbn.two_frequencies import two_frequency_factorization
from proofs_check.claim import Claim, absolute_distance
from proofs_check.claims.cyclic_space import RECONSTRUCTED
from proofs_check.verdict import Instance, Outcome

__all__ = ["SAMPLE_CLAIMS"]

Floats = NDArray[np.float64]

DIRECTIONS = 32
"""Of so many, the one that tells the points apart best is taken."""
PLANES = ((2, 2), (2, 3), (3, 2), (3, 3), (3, 4), (2, 5))

# --- One axis -------------------------------------------------------------------------------------------------------


def draw_samples(rng: np.random.Generator) -> Instance:
    """Up to five images of any kind, targets of an arbitrary map, and images elsewhere."""
    n, channels, outputs = int(rng.integers(2, 8)), int(rng.integers(1, 3)), int(rng.integers(1, 3))
    count = int(rng.integers(1, 6))
    return {
        "samples": rng.standard_normal((count, channels, n)),
        "targets": rng.standard_normal((count, outputs, n)),
        "elsewhere": rng.standard_normal((2, channels, n)),
        "seed": int(rng.integers(2**20)),
    }


def sample_sides(instance: Instance, *, more: int = 0, turn: int = 1, power: int = 1) -> tuple[Any, Any]:
    """Dimensions of ``span ĝ`` over all shifts of the samples, errors of f and equivariance; 2 (n = 2: 1), 0, 0."""
    samples, targets, elsewhere = instance["samples"], instance["targets"], instance["elsewhere"]
    n = samples.shape[-1]
    factors = two_frequency_factorization(samples, targets, rng=instance["seed"])
    coded = np.concatenate([factors.inner(np.roll(samples, t, axis=-1)) for t in range(n)])
    wanted = np.concatenate([np.roll(targets**power, turn * t, axis=-1) for t in range(n)])
    error = np.abs(factors.outer(coded) - wanted).max() / np.abs(wanted).max()
    waves = np.exp(-2j * np.pi * (np.outer(np.arange(n), np.arange(n)) % n) / n)
    hats = np.moveaxis(coded @ waves, (0, 1), (2, 1))  # (n, channels, samples)
    largest = np.abs(hats).max()
    dimension = sum(int(np.linalg.matrix_rank(hat, tol=1e-8 * largest)) for hat in hats)
    whole, moved = factors(elsewhere), factors(np.roll(elsewhere, 1, axis=-1))
    unequal = np.abs(np.roll(whole, 1, axis=-1) - moved).max() / max(float(np.abs(whole).max()), 1e-300)
    return [float(dimension), error, unequal], [float((1 if n == 2 else 2) + more), 0.0, 0.0]


# --- Two axes -------------------------------------------------------------------------------------------------------


def draw_planes(rng: np.random.Generator) -> Instance:
    """Up to three images of two axes, targets of an arbitrary map, and an image elsewhere."""
    grid = PLANES[int(rng.integers(len(PLANES)))]
    channels, outputs, count = (int(k) for k in rng.integers(1, (3, 3, 4)))
    return {
        "samples": rng.standard_normal((count, channels, *grid)),
        "targets": rng.standard_normal((count, outputs, *grid)),
        "elsewhere": rng.standard_normal((1, channels, *grid)),
        "directions": [rng.standard_normal((DIRECTIONS, size * grid[0] * grid[1])) for size in (channels, 1)],
    }


def shifts(images: Floats, turn: int = 1) -> Floats:
    """``[k, t] = T_t x_k``, over both axes; ``turn`` -1: ``T_{-t} x_k``."""
    steps = np.ndindex(images.shape[-2:])
    return np.stack([np.roll(images, (turn * p, turn * q), axis=(-2, -1)) for p, q in steps], axis=1)


def interpolating(points: Floats, values: Floats, directions: Floats) -> Callable[[Floats], Floats]:
    """``x ↦ (φ(⟨u, T_{-p}x⟩))_p`` with ``values`` at ``points``: equivariant, continuous and piecewise linear."""
    count, grid = len(points), points.shape[-2:]
    projected = shifts(points, -1).reshape(count * grid[0] * grid[1], -1) @ directions.T
    best = int(np.diff(np.sort(projected, axis=0), axis=0).min(axis=0).argmax())
    order = np.argsort(projected[:, best])
    knots, heights = projected[order, best], values.transpose(0, 2, 3, 1).reshape(len(order), -1)[order]

    def at(images: Floats) -> Floats:
        read = shifts(images, -1).reshape(len(images), grid[0] * grid[1], -1) @ directions[best]
        channels = [np.interp(read, knots, column) for column in heights.T]
        return np.stack(channels, axis=1).reshape(len(images), -1, *grid)

    return at


def plane_sides(instance: Instance, *, more: int = 0, turn: int = 1, axes: int = 2) -> tuple[Any, Any]:
    """Dimensions of ``span ĝ`` over all shifts, errors of f and of equivariance; two an axis (side 2: one), 0, 0."""
    samples, targets, elsewhere = instance["samples"], instance["targets"], instance["elsewhere"]
    grid = samples.shape[-2:]
    waves = [np.cos(2 * np.pi * np.arange(side) / side) for side in grid]
    radii = 1.0 + np.arange(len(samples)) / len(samples)
    codes = radii[:, None, None, None] * (waves[0][:, None] + waves[1])
    inner = interpolating(samples, codes, instance["directions"][0])
    outer = interpolating(codes, targets, instance["directions"][1])
    coded = inner(shifts(samples).reshape(-1, *samples.shape[1:]))
    wanted = shifts(targets, turn).reshape(-1, *targets.shape[1:])
    error = np.abs(outer(coded) - wanted).max() / np.abs(wanted).max()
    sizes = np.abs(np.fft.fft2(coded)[:, 0]).max(axis=0)  # of one channel: a dimension wherever it does not vanish
    whole, moved = outer(inner(elsewhere)), outer(inner(np.roll(elsewhere, (1, 1), axis=(-2, -1))))
    unequal = np.abs(np.roll(whole, (1, 1), axis=(-2, -1)) - moved).max() / max(float(np.abs(whole).max()), 1e-300)
    dimension = sum(1 if side == 2 else 2 for side in grid[:axes]) + more
    return [float((sizes > 1e-8 * sizes.max()).sum()), error, unequal], [float(dimension), 0.0, 0.0]


KNOTS_REASON = "interpolation through knots at least 1e-9 of the largest apart: 1e-16/1e-9, a factor 10 left"

SAMPLE_CLAIMS = (
    Claim(
        id="finite-samples",
        title="Finite samples pass through two frequencies",
        statement="on a finite set closed under shifts f = h∘g, g through ω = ±1 of one channel: rank ≤ 2 (n = 2: 1)",
        source=RECONSTRUCTED,
        hypotheses=(
            "one axis, M = I",
            "no sample equals one of its shifts",
            "g, h equivariant, continuous piecewise linear",
        ),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "one dimension": {"more": -1},
            "three dimensions": {"more": 1},
            "targets turned the other way": {"turn": -1},
            "another map": {"power": 2},
        },
        tolerance=1e-6,
        tolerance_reason=KNOTS_REASON,
        draw=draw_samples,
        sides=sample_sides,
        distance=absolute_distance,
        quantity="dimension, or error,",
        max_instances=200,
    ),
    Claim(
        id="finite-samples-on-planes",
        title="Finite samples of two axes pass through four frequencies",
        statement=(
            "on a finite set closed under shifts of both axes f = h∘g, g = r_k(cos 2π(i - t)/H + cos 2π(j - u)/W) of "
            "one channel, through (±1, 0), (0, ±1): rank ≤ 4 (a side of 2 has one of each two)"
        ),
        source=RECONSTRUCTED,
        hypotheses=(
            "two axes of at least two pixels, M = I",
            "no sample equals one of its shifts",
            "g, h equivariant, continuous piecewise linear",
        ),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "one dimension less": {"more": -1},
            "two frequencies, as for one axis": {"axes": 1},
            "targets turned the other way": {"turn": -1},
        },
        tolerance=1e-6,
        tolerance_reason=KNOTS_REASON,
        draw=draw_planes,
        sides=plane_sides,
        distance=absolute_distance,
        quantity="dimension, or error,",
        max_instances=200,
    ),
)

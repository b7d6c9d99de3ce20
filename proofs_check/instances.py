"""Random instances with the hard cases in them: odd, even and flat shapes, self-conjugate frequencies, ties, scales."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lineardyn.fourier import multiplicity

__all__ = [
    "SHAPES",
    "cosine",
    "draw_frequencies",
    "draw_scale",
    "draw_shape",
    "one_of_each_pair",
]

Floats = NDArray[np.float64]
Frequency = tuple[int, int]

SHAPES = ((1, 1), (1, 2), (2, 1), (1, 3), (2, 2), (1, 4), (3, 3), (2, 3), (3, 4), (4, 4), (5, 3), (1, 7), (4, 5))
"""Shapes with one, two and four self-conjugate frequencies, square or not, down to a single pixel."""


def draw_shape(rng: np.random.Generator, *, min_pixels: int = 1, max_pixels: int = 24) -> Frequency:
    """One of :data:`SHAPES` of a size in the given range."""
    fitting = [shape for shape in SHAPES if min_pixels <= shape[0] * shape[1] <= max_pixels]
    return fitting[int(rng.integers(len(fitting)))]


def draw_scale(rng: np.random.Generator, *, decades: float = 6.0) -> float:
    """1 half of the time, else a power of ten between ``10^-decades`` and ``10^decades``."""
    return 1.0 if rng.random() < 0.5 else float(10.0 ** rng.uniform(-decades, decades))


def one_of_each_pair(shape: Sequence[int]) -> list[Frequency]:
    """The frequencies of ``(H, W)``, one of each conjugate pair."""
    height, width = shape
    return [(u, v) for u in range(height) for v in range(width) if (u, v) <= (-u % height, -v % width)]


def draw_frequencies(rng: np.random.Generator, shape: Sequence[int], count: int) -> list[Frequency]:
    """``count`` frequencies, all different up to conjugation; a self-conjugate one comes first half of the time."""
    candidates = one_of_each_pair(shape)
    order = [candidates[i] for i in rng.permutation(len(candidates))]
    if rng.random() < 0.5:
        order.sort(key=lambda f: multiplicity(f, shape))
    return order[:count]


def cosine(shape: Sequence[int], frequency: Frequency, *, amplitude: float = 1.0, phase: float = 0.0) -> Floats:
    """``amplitude · cos(2π(u i/H + v j/W) + phase)`` as an ``(H, W)`` array."""
    (height, width), (u, v) = shape, frequency
    angle = 2 * np.pi * (u * np.arange(height)[:, None] / height + v * np.arange(width) / width)
    image: Floats = amplitude * np.cos(angle + phase)
    return image

"""Images made for the bottleneck's figures: shape × pattern, a moving ball, rings; all on a torus, in [0, 1].

Wen & Jacot's own were not available; these are made so that what an image is made of is known exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineardyn.errors import ArgumentError
from lineardyn.validation import Rng, as_generator, check_count

__all__ = ["Scenes", "moving_ball", "rings", "shape_times_pattern", "stripes"]

Floats = NDArray[np.float64]

BALL = 1.5
"""κ of the ball's profile."""


@dataclass(frozen=True)
class Scenes:
    """Images ``(N, C, n, n)``, what is to be made of them ``(N, C', n, n)``, and the numbers behind each, by name.

    Each array of ``factors`` is ``(N, d)``: what a linear probe has to find.
    """

    images: Floats
    targets: Floats
    factors: dict[str, Floats]

    def first(self, n: int) -> Scenes:
        """The first n."""
        return Scenes(self.images[:n], self.targets[:n], {name: y[:n] for name, y in self.factors.items()})


def stripes(size: int) -> Floats:
    """``χ (3, n, n)``: ``(-1)^i``, ``(-1)^j`` and ``(-1)^{i+j}``, the frequencies (n/2, 0), (0, n/2), (n/2, n/2).

    Raises
    ------
    ArgumentError
        For an odd size: the pattern would not close.
    """
    if check_count("size", size) % 2:
        raise ArgumentError(f"size is {size}, expected an even number: the pattern repeats every second pixel")
    sign = (-1.0) ** np.arange(size)
    return np.stack([np.outer(sign, np.ones(size)), np.outer(np.ones(size), sign), np.outer(sign, sign)])


def shape_times_pattern(size: int, n: int, *, rng: Rng) -> Scenes:
    r"""A smooth shape times a pattern of stripes or squares; an autoencoder's images and targets are the same.

    ::

        x = s · p,   s = ½ + ¼ a cos(2πi/n - φ) + ¼ b cos(2πj/n - ψ),   p = ½ (1 ± χ_k)

    a, b uniform in [0.3, 1], φ, ψ on the circle, χ_k one of three patterns (:func:`stripes`), either sign. ``s p`` is
    ``ReLU(s + p - 1)``, since p is 0 or 1: 5 + 3 frequencies and one activation make what linearly takes 20.
    ``factors``: "shape", ``(a cos φ, b cos ψ, a sin φ, b sin ψ)``; "pattern", ± in the place of its k, else 0.

    Raises
    ------
    ArgumentError
        For an odd size.
    """
    chi, generator = stripes(size), as_generator(rng)
    amplitude, phase = generator.uniform(0.3, 1.0, (n, 2)), generator.uniform(0.0, 2 * np.pi, (n, 2))
    waves = amplitude[:, :, None] * np.cos(_angles(size) - phase[:, :, None])
    shape = 0.5 + 0.25 * (waves[:, 0, :, None] + waves[:, 1, None, :])
    code = generator.choice([-1.0, 1.0], (n, 1)) * np.eye(3)[generator.integers(3, size=n)]
    pattern = 0.5 * (1.0 + np.tensordot(code, chi, axes=1))
    images = (shape * pattern)[:, None]
    waves_of = np.concatenate([amplitude * np.cos(phase), amplitude * np.sin(phase)], axis=1)
    return Scenes(images, images, {"shape": waves_of, "pattern": code})


def moving_ball(size: int, n: int, *, n_seen: int, n_next: int, fastest: float, rng: Rng) -> Scenes:
    r"""Frames of a smooth ball that moves at constant velocity: the last ones seen, then those to predict, as channels.

    A ball at p (radians) is ``exp(κ (cos(2πi/n - p_1) + cos(2πj/n - p_2) - 2))``; at time t, ``p + t v``, ``t =
    1 - n_seen, .., 0`` seen and ``1, .., n_next`` to come. p is uniform on the torus, v in the square of half side
    ``fastest`` (turns of the torus a frame). ``factors``: "position", ``(cos p, sin p)`` at t = 0, and "velocity", v.
    """
    generator = as_generator(rng)
    place = generator.uniform(0.0, 2 * np.pi, (n, 2))
    velocity = 2 * np.pi * fastest * generator.uniform(-1.0, 1.0, (n, 2))
    times = np.arange(1 - n_seen, n_next + 1)
    path = place[:, None] + times[:, None] * velocity[:, None]
    waves = np.cos(_angles(size) - path[..., None])
    frames = np.exp(BALL * (waves[:, :, 0, :, None] + waves[:, :, 1, None, :] - 2.0))
    factors = {"position": np.concatenate([np.cos(place), np.sin(place)], axis=1), "velocity": velocity}
    return Scenes(frames[:, :n_seen], frames[:, n_seen:], factors)


def rings(size: int, n: int, *, rng: Rng) -> Floats:
    """Zeros in the middle of the image ``(N, 1, n, n)``: ellipses of random width, height and slant, a line wide."""
    generator = as_generator(rng)
    width, height = generator.uniform(0.4, 0.65, n), generator.uniform(0.6, 0.8, n)
    slant = generator.uniform(-0.4, 0.4, n)
    y, x = np.meshgrid(*[(2 * np.arange(size) + 1) / size - 1] * 2, indexing="ij")
    across = (x[None] + slant[:, None, None] * y) / width[:, None, None]
    along = np.broadcast_to(y, across.shape) / height[:, None, None]
    away = (np.hypot(across, along) - 1.0) / 0.35
    return np.exp(-(away**2))[:, None]


def _angles(size: int) -> Floats:
    return 2 * np.pi * np.arange(size) / size

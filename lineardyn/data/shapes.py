"""Geometric shapes: five classes whose similarities form a hierarchy, learned one stage after another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lineardyn.validation import check_count

__all__ = ["SHAPES", "geometric_shapes"]

Floats = NDArray[np.float64]

SHAPES = ("disc", "ring", "square", "frame", "triangle")
"""The classes of :func:`geometric_shapes`, in order."""


def geometric_shapes(size: int) -> tuple[Floats, Floats]:
    r"""Five shapes, one image a class: disc, ring, square, square frame, triangle; after Pinson et al. fig 2.

    The classes split one by one, a mode each: what all share, then the ring from the rest, the frame from the filled
    ones, the triangle, and last disc from square. The singular values of Σ^yx are distinct, with and without the mean
    image, and the rates ``√P s_α max_f|q_αf|`` of the modes fall by a factor of 1.5 or more each (about 23 in all), so
    that learning goes in stages.
    The paper does not print its images: these are ours.

    Parameters
    ----------
    size : int
        H = W, at least 12 (fewer pixels blur the outlines).

    Returns
    -------
    images : float64 (5, 1, size, size)
        In [0, 1], white on black, edges anti-aliased over one pixel; the mean is not subtracted.
    targets : float64 (5, 5)
        The identity; the classes are :data:`SHAPES`.

    Examples
    --------
    >>> images, targets = geometric_shapes(32)
    >>> images.shape, float(images.min()), float(images.max())
    ((5, 1, 32, 32), 0.0, 1.0)
    """
    side = check_count("size", size, minimum=12)
    centres = (2.0 * np.arange(side) + 1.0) / side - 1.0  # the image is [-1, 1]²
    y, x = np.broadcast_arrays(centres[:, None], centres)
    signed = np.stack(_distances(x, y))
    images = np.clip(0.5 - signed * (side / 2.0), 0.0, 1.0)  # covered share of a pixel cut by a straight edge
    return np.ascontiguousarray(images[:, None]), np.eye(len(SHAPES))


def _distances(x: Floats, y: Floats) -> list[Floats]:
    """Signed distance to each shape's edge, negative inside, in half image widths; y grows downwards."""
    round_, square = np.hypot(x, y), np.maximum(np.abs(x), np.abs(y))
    sides = (2.0 * np.abs(x) - (y + 0.86)) / np.sqrt(5.0)  # apex at y = -0.86, slope 2
    triangle = np.maximum(y - 0.46, sides)
    return [round_ - 0.55, np.abs(round_ - 0.73) - 0.12, square - 0.48, np.abs(square - 0.48) - 0.12, triangle]

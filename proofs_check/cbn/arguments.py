"""Checks at the door of the bottleneck tools: weights that chain, biases, strides, slope, images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError
from lineardyn.validation import check_array, check_number, shown

__all__ = ["check_biases", "check_image", "check_layers", "check_slope", "check_strides", "constant_channels"]

Floats = NDArray[np.float64]

_CONSTANT = 1e-12
"""Pixels of a constant image may differ by this much of its largest: an image that came out of a sum."""


def check_layers(
    weights: Sequence[ArrayLike], strides: Sequence[int] | None
) -> tuple[tuple[Floats, ...], tuple[int, ...]]:
    """Return filters ``(C_l, *grid_l, C_{l-1})`` whose channels and grids chain, read-only copies, and the strides."""
    listed = _listed("weights", weights, "a list of filters (C_l, *grid, C_{l-1}), layer 1 first")
    if not listed:
        raise ArgumentError("weights is empty, expected at least one filter (C_1, *grid, C_0)")
    filters = [_check_filter(f"weights[{i}]", w, i) for i, w in enumerate(listed)]
    fine = filters[0].shape[1:-1]
    steps = check_strides(strides, len(filters), fine)
    coarse = tuple(side // steps[0] for side in fine)
    for i, w in enumerate(filters):
        grid = coarse if 0 < i < len(filters) - 1 else fine
        if w.shape[1:-1] != grid:
            reason = "pad smaller filters with zeros" if grid == fine else "the coarse grid of the hidden layers"
            raise ArgumentError(f"weights[{i}] has grid {w.shape[1:-1]}, expected {grid}: {reason}")
        if i and w.shape[-1] != len(filters[i - 1]):
            raise ArgumentError(
                f"weights[{i}] takes {w.shape[-1]} channels, expected {len(filters[i - 1])}: as many as "
                f"weights[{i - 1}] gives"
            )
    return tuple(filters), steps


def _check_filter(name: str, value: ArrayLike, i: int) -> Floats:
    w = check_array(name, value)
    if w.ndim not in (3, 4) or 0 in w.shape:
        raise ArgumentError(
            f"{name} has shape {w.shape}, expected (C_{i + 1}, n, C_{i}) or (C_{i + 1}, H, W, C_{i}) with at least "
            f"one channel and one pixel"
        )
    return _frozen(w)


def check_biases(biases: Sequence[ArrayLike] | None, widths: Sequence[int]) -> tuple[Floats, ...]:
    """Return one bias ``(C_l,)`` a layer; ``None``, for all or for one layer, becomes zeros."""
    if biases is None:
        return tuple(_frozen(np.zeros(c)) for c in widths)
    given = _listed("biases", biases, "a list of arrays (C_l,), layer 1 first, or None")
    if len(given) != len(widths):
        raise ArgumentError(f"biases has {len(given)} entries, expected {len(widths)}: one for each layer")
    why = "one bias for each channel that the layer gives"
    return tuple(
        _frozen(np.zeros(c) if b is None else check_array(f"biases[{i}]", b, shape=(c,), why=why))
        for i, (b, c) in enumerate(zip(given, widths, strict=True))
    )


def check_slope(slope: float) -> float:
    """Return the slope below zero: ``|a| < 1``, or 1 for the identity."""
    a = check_number("slope", slope)
    if a != 1.0 and abs(a) >= 1.0:
        raise ArgumentError(
            f"slope is {a:g}, expected -1 < slope < 1 (0: ReLU), or exactly 1 (identity: a linear network)"
        )
    return a


def check_strides(strides: Sequence[int] | None, depth: int, grid: tuple[int, ...]) -> tuple[int, ...]:
    """Return ``(s, 1, .., 1, -s)``, or ones; s must divide every side of the grid."""
    if strides is None:
        return (1,) * depth
    steps = _listed("strides", strides, "one integer a layer: (s, 1, .., 1, -s)")
    for i, s in enumerate(steps):
        if isinstance(s, bool) or not isinstance(s, int | np.integer):
            raise ArgumentError(f"strides[{i}] is {shown(s)}, expected an integer")
    if len(steps) != depth:
        raise ArgumentError(f"strides has {len(steps)} entries, expected {depth}: one for each layer")
    found = tuple(int(s) for s in steps)
    s = abs(found[0])
    if set(found) == {1} or (s == 1 and set(found[:-1]) <= {1} and found[-1] in (1, -1)):
        return (1,) * depth
    if depth < 2 or s < 1 or found != (s, *(1,) * (depth - 2), -s):
        raise ArgumentError(
            f"strides is {found}, expected (s, 1, .., 1, -s): the first layer is strided, the last its transpose, the "
            f"layers between keep the coarse grid"
        )
    if any(side % s for side in grid):
        raise ArgumentError(f"strides[0] is {s}, expected a divisor of every side of the grid {grid}")
    return found


def check_image(x: ArrayLike, channels: int, grid: tuple[int, ...], name: str = "x") -> Floats:
    """Return finite images ``(..., C_0, *grid)``."""
    images = check_array(name, x)
    wanted = (channels, *grid)
    if images.shape[-len(wanted) :] != wanted:
        raise ArgumentError(
            f"{name} has shape {images.shape}, expected (..., {', '.join(map(str, wanted))}): the channels and the "
            f"grid of the network, any leading axes"
        )
    return images


def constant_channels(x: Floats, d: int) -> Floats | None:
    """Values ``(..., C)`` of images whose pixels are equal within each channel, or ``None``."""
    pixels = x.reshape(*x.shape[: x.ndim - d], -1)
    first = pixels[..., 0]
    scale = float(np.abs(x).max(initial=0.0))
    return first if float(np.abs(pixels - first[..., None]).max(initial=0.0)) <= _CONSTANT * scale else None


def _listed(name: str, value: Any, meaning: str) -> list[Any]:
    """A sequence of layers; one array would silently be taken apart along its first axis."""
    if isinstance(value, str | np.ndarray) or not hasattr(value, "__iter__"):
        raise ArgumentError(f"{name} is {shown(value)}, expected {meaning}")
    return list(value)


def _frozen(array: Floats) -> Floats:
    """A copy that nobody can change: what is computed from it once stays true."""
    copy = np.array(array, dtype=np.float64)
    copy.flags.writeable = False
    return copy

"""Small drawings inside a page, as SVG text: the histogram of residuals, and the arrays of an instance as tiles."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import markupsafe
import numpy as np
from numpy.typing import NDArray

__all__ = ["Tile", "histogram", "numbers_of", "tiles_of"]

Floats = NDArray[np.float64]

LOWEST = -18
"""Decade below which a residual counts as 0."""
MOST_CELLS = 600
"""Numbers of an array above which it is named and not drawn."""


@dataclass(frozen=True)
class Tile:
    """An array of an instance: its name, its shape and range in words, and the drawing (empty where too large)."""

    name: str
    caption: str
    svg: markupsafe.Markup


def histogram(residuals: Sequence[float | None], tolerance: float) -> markupsafe.Markup:
    """Counts of residuals by decade, with a line at the tolerance; zeros at the left, undecided ones at the right.

    >>> str(histogram([0.0, 1e-15, 3e-2], 1e-12)).count("<rect")
    3
    """
    counts = Counter(_decade(residual) for residual in residuals)
    decades = [d for d in counts if isinstance(d, int)]
    edge = math.floor(math.log10(tolerance)) if tolerance > 0 else LOWEST
    first, last = min([*decades, edge]) - 1, max([*decades, edge]) + 1
    bins: list[str | int] = ["0", *range(first, last + 1)]
    if counts["none"]:
        bins.append("none")
    width, height, foot = 26, 110, 22
    top = max(counts.values(), default=1)
    parts = []
    for i, name in enumerate(bins):
        label = {"0": "0", "none": "?"}.get(str(name), f"{name}")
        if counts[name]:
            bar = max(2.0, (height - 16) * counts[name] / top)
            beyond = isinstance(name, int) and 10.0 ** (name + 1) > tolerance * (1 + 1e-9) and name >= edge
            parts.append(
                f'<rect class="{"beyond" if beyond or name == "none" else "within"}" x="{width * i + 2}" '
                f'y="{height - bar:.1f}" width="{width - 4}" height="{bar:.1f}"/>'
                f'<text x="{width * (i + 0.5)}" y="{height - bar - 4:.1f}">{counts[name]}</text>'
            )
        if label != f"{name}" or not isinstance(name, int) or (name - first) % 2 == 0:
            parts.append(f'<text class="axis" x="{width * (i + 0.5)}" y="{height + 14}">{label}</text>')
    at = width * (1 + _position(tolerance, first))
    total = width * len(bins)
    parts.append(f'<line class="tolerance" x1="{at:.1f}" x2="{at:.1f}" y1="0" y2="{height}"/>')
    parts.append(f'<line class="base" x1="0" x2="{total}" y1="{height}" y2="{height}"/>')
    return markupsafe.Markup(  # numbers and fixed words alone: nothing to escape
        f'<svg class="histogram" viewBox="0 0 {total} {height + foot}" width="{total}" height="{height + foot}" '
        f'role="img" aria-label="residuals by power of ten">{"".join(parts)}</svg>'
    )


def _decade(residual: float | None) -> int | str:
    if residual is None:
        return "none"
    if residual < 10.0**LOWEST:
        return "0"
    return math.floor(math.log10(residual))


def _position(value: float, first: int) -> float:
    return math.log10(value) - first if value > 0 else 0.0


def tiles_of(instance: Mapping[str, Any]) -> list[Tile]:
    """A tile for each real or complex array in an instance, nested lists included.

    >>> [tile.caption for tile in tiles_of({"x": np.array([[1.0, -2.0]])})]
    ['1×2, from -2 to 1']
    """
    found = []
    for name, array in _arrays(instance):
        if np.iscomplexobj(array):
            found += [_tile(f"Re {name}", array.real), _tile(f"Im {name}", array.imag)]
        else:
            found.append(_tile(name, array.astype(np.float64)))
    return found


def numbers_of(instance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The plain numbers and lists of numbers of an instance, as text."""
    found = []
    for name, value in instance.items():
        if isinstance(value, np.ndarray) and value.ndim == 0:
            found.append((name, f"{value[()]:.7g}"))
        elif isinstance(value, int | float | complex):
            found.append((name, f"{value:.7g}"))
        elif isinstance(value, list | tuple) and all(isinstance(v, int | float) for v in value):
            found.append((name, ", ".join(f"{v:.7g}" for v in value)))
        elif isinstance(value, str) and name != "text":
            found.append((name, value))
    return found


def _arrays(value: Any, name: str = "") -> Iterator[tuple[str, NDArray[Any]]]:
    if isinstance(value, np.ndarray) and value.ndim:
        yield name, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _arrays(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from _arrays(item, f"{name}[{i}]")


def _tile(name: str, array: Floats) -> Tile:
    shape = "×".join(map(str, array.shape))
    if not array.size:
        return Tile(name, f"{shape}, empty", markupsafe.Markup(""))
    caption = f"{shape}, from {array.min():.3g} to {array.max():.3g}"
    if array.size > MOST_CELLS:
        return Tile(name, f"{caption}; too large to draw", markupsafe.Markup(""))
    return Tile(name, caption, _cells(array))


def _cells(array: Floats) -> markupsafe.Markup:
    """Images of the last two axes side by side; blue below 0, red above, each number in its title."""
    images = array.reshape(-1, *(array.shape[-2:] if array.ndim > 1 else (1, array.shape[0])))
    n, height, width = images.shape
    side, gap = (16 if images.size <= 200 else 9), 6
    columns = max(1, min(n, 480 // (width * side + gap)))
    scale = float(np.max(np.abs(images), initial=0.0, where=np.isfinite(images))) or 1.0
    parts = []
    for k, image in enumerate(images):
        left, top = (k % columns) * (width * side + gap), (k // columns) * (height * side + gap)
        for (i, j), value in np.ndenumerate(image):
            parts.append(
                f'<rect x="{left + j * side}" y="{top + i * side}" width="{side}" height="{side}" '
                f'fill="{_colour(value / scale)}"><title>{value:.6g}</title></rect>'
            )
    total_width = columns * (width * side + gap) - gap
    total_height = -(-n // columns) * (height * side + gap) - gap
    return markupsafe.Markup(
        f'<svg class="tile" viewBox="0 0 {total_width} {total_height}" width="{total_width}" '
        f'height="{total_height}" role="img">{"".join(parts)}</svg>'
    )


def _colour(share: float) -> str:
    """From blue (-1) over white (0) to red (1); grey for what is not finite."""
    if not math.isfinite(share):
        return "#888888"
    end = (178, 24, 43) if share > 0 else (33, 102, 172)
    weight = min(abs(share), 1.0)
    return "#" + "".join(f"{round(255 + (c - 255) * weight):02x}" for c in end)

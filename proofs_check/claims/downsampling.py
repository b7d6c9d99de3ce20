"""Claims about networks whose hidden layers live on a coarser grid (theory, section 4, T7; E10)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofs_check.cbn import CyclicCNN
from proofs_check.claim import Claim
from proofs_check.claims.cyclic_space import RECONSTRUCTED, preactivations, squared_norm
from proofs_check.instances import draw_scale
from proofs_check.verdict import Instance, Outcome

__all__ = ["DOWNSAMPLING_CLAIMS", "EXACT_REASON", "QUARTER", "band_sides", "draw_sampled"]

Floats = NDArray[np.float64]

EXACT_REASON = "sums over ≤ 36 pixels in float64, all weights below 1: 1e-14, a hundred times below"
GRIDS = (((2,), 2), ((4,), 2), ((6,), 2), ((6,), 3), ((12,), 3), ((12,), 4), ((4, 4), 2), ((6, 4), 2), ((6, 6), 3), ((5,), 1))
"""Grids, and strides that divide all their sides."""


def band(size: int, stride: int, *, closed: bool, share: float = 1.0, halved: bool = False) -> Floats:
    """``Σ cos(2πω(i - j)/n)`` as ``(n, n)`` over ``|ω| < share·n/(2s)``, or ``≤`` (these ``halved``)."""
    frequencies = np.arange(size)
    sizes = 2 * stride * np.minimum(frequencies, size - frequencies)  # integers: the border is exact
    weights = (sizes < share * size) + (sizes == share * size) * (closed * (0.5 if halved and stride > 1 else 1.0))
    apart = (np.arange(size)[:, None] - np.arange(size)) % size
    return np.asarray(np.cos(2 * np.pi * (apart[..., None] * frequencies % size) / size) @ weights)


def band_sides(
    instance: Instance, *, closed: bool, share: float = 1.0, gain: float = 1.0, stride_gain: bool = True
) -> tuple[Any, Any]:
    """A band-limited image, and what interpolation makes of every s-th pixel of it.

    ``x[i] = (s/n) Σ_j x[sj] Σ_ω cos(2πω(i - sj)/n)`` over the same frequencies, one axis after the other; a frequency
    at the border, where ω and -ω look alike on the coarse grid, counts half.
    """
    image, stride = instance["image"], instance["stride"]
    for axis, size in enumerate(image.shape):
        projection = band(size, stride, closed=closed, share=share) / size
        image = np.moveaxis(np.tensordot(projection, image, (1, axis)), 0, axis)
    found = image[(slice(None, None, stride),) * image.ndim]
    for axis, size in enumerate(image.shape):
        kernel = band(size, stride, closed=closed, share=share, halved=True)[:, ::stride]
        scale = (stride**gain if stride_gain else 1.0) / size
        found = np.moveaxis(np.tensordot(scale * kernel, found, (1, axis)), 0, axis)
    return image, found


def draw_sampled(rng: np.random.Generator) -> Instance:
    """An image on a grid whose sides the stride divides."""
    grid, stride = GRIDS[int(rng.integers(len(GRIDS)))]
    return {"image": draw_scale(rng) * rng.standard_normal(grid), "stride": stride}


def draw_polyphase(rng: np.random.Generator) -> Instance:
    """A random network of 2 to 4 layers, biases in most, on a grid whose sides the stride divides, and two images."""
    grid, stride = [entry for entry in GRIDS if np.prod(entry[0]) <= 16][int(rng.integers(8))]
    n, channels, depth = int(np.prod(grid)), int(rng.integers(1, 3)), int(rng.integers(2, 5))
    biases = rng.choice([0.0, 1.0, 1.0]) * rng.standard_normal((depth, channels))
    biases[-1] = 0.0
    return {
        "grid": grid,
        "stride": stride,
        "weights": rng.standard_normal((depth, channels, n, channels)) / np.sqrt(n * channels),
        "biases": biases,
        "pooling": np.ones(n),
        "slope": float(rng.choice([0.0, 0.1, -0.5])),
        "images": rng.standard_normal((2, channels, n)),
    }


def phases(grid: tuple[int, ...], stride: int) -> list[tuple[int, ...]]:
    """``r`` of ``x'[(c, r), j] = x[c, sj + r]``, in the order in which the channels are laid out."""
    return [tuple(map(int, r)) for r in np.ndindex(*[stride] * len(grid))]


def polyphase(instance: Instance, *, sign: int = 1, biased: bool = True) -> CyclicCNN:
    """The same function with hidden layers on every s-th pixel and s^d times as many channels.

    ``w'[(o, r), j, (c, q)] = w[o, sj + r - q, c]``; the first layer has only r, the last only q.
    """
    weights, grid, stride = instance["weights"], tuple(instance["grid"]), instance["stride"]
    depth, channels = weights.shape[:2]
    shifts, axes = phases(grid, stride), tuple(range(1, 1 + len(grid)))
    layers, biases = [], []
    for layer, (w, b) in enumerate(zip(weights, instance["biases"], strict=True)):
        first, last = layer == 0, layer == depth - 1
        full = w.reshape(channels, *grid, channels)
        rows = [tuple(0 for _ in grid)] if last else shifts
        columns = [tuple(0 for _ in grid)] if first else shifts
        fine = first or last
        parts = [
            [np.roll(full, [sign * (b - a) for a, b in zip(r, q, strict=True)], axes) for q in columns] for r in rows
        ]
        every = (slice(None), *(slice(None, None, 1 if fine else stride),) * len(grid), slice(None))
        # channels (o, r) and (c, q)
        stacked = np.stack([np.stack([part[every] for part in row], axis=-1) for row in parts], axis=1)
        shape = (channels * len(rows), *stacked.shape[2:-2], channels * len(columns))
        layers.append(stacked.reshape(shape))
        biases.append(np.repeat(b if biased or last else 0.0 * b, len(rows)))
    strides = None if stride == 1 else [stride, *[1] * (depth - 2), -stride]
    return CyclicCNN(layers, biases, slope=instance["slope"], strides=strides)


def polyphase_sides(
    instance: Instance, *, sign: int = 1, biased: bool = True, convention: str = "operator", copies: float = 1.0
) -> tuple[Any, Any]:
    """Outputs, ``‖θ‖²`` and its share of filters, of the network by dense matrices; of its polyphase form the same."""
    images, grid, n = instance["images"], tuple(instance["grid"]), instance["images"].shape[-1]
    dense = {**instance, **{name: instance[name][None] for name in ("weights", "biases", "pooling")}}
    outputs = preactivations({**dense, "slope": np.array([instance["slope"]])}, images)[-1]
    norm = float(squared_norm(dense)[0])
    network = polyphase(instance, sign=sign, biased=biased)
    found = network(images.reshape(*images.shape[:-1], *grid)).reshape(outputs.shape)
    coarse = n / instance["stride"] ** len(grid)
    filters = network.norm("filter") * coarse**copies  # s^d times the n-th part of ‖θ‖², if copies = 1
    scale = max(float(np.abs(outputs).max()), 1e-300)
    left = np.concatenate([outputs.ravel() / scale, [1.0, 1.0]])
    return left, np.concatenate([found.ravel() / scale, [network.norm(convention) / norm, filters / norm]])


QUARTER = {"text": "n = 4, s = 2, x = (0, 1, 0, -1)", "image": np.array([0.0, 1.0, 0.0, -1.0]), "stride": 2}
CONSTANT = {"text": "n = 4, s = 2, x = (1, 1, 1, 1)", "image": np.ones(4), "stride": 2}

DOWNSAMPLING_CLAIMS = (
    Claim(
        id="downsampling",
        title="Down-sampling keeps frequencies below n/(2s)",
        statement="an image with x̂_ω = 0 for |ω| ≥ n/(2s) is given by every s-th pixel, by interpolation",
        source=RECONSTRUCTED + "; the border corrected (see E10)",
        hypotheses=("s divides every side", "the condition holds along each axis"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "≤ for <": {"closed": True},
            "n/s for n/(2s)": {"share": 2.0},
            "gain s dropped": {"stride_gain": False},
            "exponent of s 1% off": {"gain": 1.01},
        },
        tolerance=1e-12,
        tolerance_reason=EXACT_REASON,
        draw=draw_sampled,
        sides=band_sides,
        formula={"closed": False},
        quantity="pixel",
        smallest=(QUARTER, CONSTANT),
        counterpart="E10",
    ),
    Claim(
        id="polyphase",
        title="Without pooling, a coarser grid costs nothing",
        statement=(
            "x'[(c, r), j] = x[c, sj + r] turns a network into one with hidden layers on n/s pixels, the same function "
            "and ‖θ‖²; in the filter convention it costs s times as much (s^d in d dimensions)"
        ),
        source=RECONSTRUCTED,
        hypotheses=("M = I", "s divides every side", "first layer strided, the last its transpose, widths free", "no bias of the output (filter convention)"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "r - q of the wrong sign": {"sign": -1},
            "hidden biases dropped": {"biased": False},
            "filter convention": {"convention": "filter"},
            "filters cost no more": {"copies": 0.0},
            "exponent 1% off": {"copies": 1.01},
        },
        tolerance=1e-12,
        tolerance_reason="the same sums in another order, of ≤ 4 layers of ≤ 32 terms: 1e-14",
        draw=draw_polyphase,
        sides=polyphase_sides,
        quantity="output, or a norm over ‖θ‖²,",
    ),
)

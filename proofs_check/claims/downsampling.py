"""Claims about networks whose hidden layers live on a coarser grid (theory, section 4, T7; E10)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofs_check.cbn import CyclicCNN
from proofs_check.cbn.downsampling import polyphase
from proofs_check.claim import Claim
from proofs_check.claims.cyclic_space import RECONSTRUCTED, preactivations, squared_norm
from proofs_check.instances import draw_scale
from proofs_check.verdict import Instance, Outcome

__all__ = ["BAND_REASON", "DOWNSAMPLING_CLAIMS", "QUARTER", "band_sides", "draw_sampled"]

Floats = NDArray[np.float64]

BAND_REASON = "sums over ≤ 36 pixels in float64, all weights below 1: 1e-14, a hundred times below"
GRIDS = (
    ((2,), 2),
    ((4,), 2),
    ((6,), 2),
    ((6,), 3),
    ((12,), 3),
    ((12,), 4),
    ((4, 4), 2),
    ((6, 4), 2),
    ((6, 6), 3),
    ((5,), 1),
)
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


def polyphase_sides(
    instance: Instance,
    *,
    biased: bool = True,
    flipped: bool = False,
    convention: str = "operator",
    copies: float = 1.0,
) -> tuple[Any, Any]:
    """Outputs, ``‖θ‖²`` and its share of filters, of the network by dense matrices; of its polyphase form the same."""
    images, grid, stride = instance["images"], tuple(instance["grid"]), instance["stride"]
    n, (depth, channels) = images.shape[-1], instance["biases"].shape
    dense = {**instance, **{name: instance[name][None] for name in ("weights", "biases", "pooling")}}
    outputs = preactivations({**dense, "slope": np.array([instance["slope"]])}, images)[-1]
    norm = float(squared_norm(dense)[0])
    filters = instance["weights"].reshape(depth, channels, *grid, channels)
    if flipped:  # a correlation
        axes = tuple(range(2, 2 + len(grid)))
        filters = np.roll(np.flip(filters, axes), [1] * len(grid), axes)
    biases = instance["biases"] if biased else 0.0 * instance["biases"]
    network = polyphase(CyclicCNN(list(filters), list(biases), slope=instance["slope"]), stride)
    found = network(images.reshape(*images.shape[:-1], *grid)).reshape(outputs.shape)
    # s^d times the n-th part of ‖θ‖², if copies = 1
    share = network.norm("filter") * (n / stride ** len(grid)) ** copies
    scale = max(float(np.abs(outputs).max()), 1e-300)
    left = np.concatenate([outputs.ravel() / scale, [1.0, 1.0]])
    return left, np.concatenate([found.ravel() / scale, [network.norm(convention) / norm, share / norm]])


def draw_spaces(rng: np.random.Generator) -> Instance:
    """Spaces ``V_ω`` of a bottleneck as frames ``(n, C, C)``, columns beyond their dimension 0; not all occur."""
    n, stride = [(4, 2), (6, 2), (6, 3), (8, 2), (8, 4), (9, 3)][int(rng.integers(6))]
    channels = int(rng.integers(1, 3))
    ranks = rng.integers(0, channels + 1, n) * (rng.random(n) < 0.5)
    frames = rng.standard_normal((n, channels, channels)) + 1j * rng.standard_normal((n, channels, channels))
    frames *= np.arange(channels) < ranks[:, None, None]
    for w in range(n):
        other = -w % n
        frames[w] = frames[w].real if w == other else frames[other].conj() if w > other else frames[w]
    return {"frames": frames, "stride": stride}


def coarse_sides(instance: Instance, *, rule: str = "classes") -> tuple[Any, Any]:
    """Dimension of the bottleneck's images on every s-th pixel, by an SVD; and the sum over ``ω mod n/s``."""
    frames, stride = instance["frames"], instance["stride"]
    n, channels = frames.shape[:2]
    waves = np.exp(2j * np.pi * (np.outer(np.arange(n), np.arange(n)) % n) / n)
    images = np.einsum("iw,wck->ciwk", waves, frames)  # complex: the same dimension over C as the real ones over R
    left = np.linalg.matrix_rank(images[:, ::stride].reshape(channels * (n // stride), -1), tol=1e-8)
    ranks = [int(np.linalg.matrix_rank(frame, tol=1e-8)) for frame in frames]
    coarse = n // stride
    if rule == "classes":
        right = sum(np.linalg.matrix_rank(np.hstack(list(frames[w::coarse])), tol=1e-8) for w in range(coarse))
    elif rule == "band":
        right = sum(k for w, k in enumerate(ranks) if 2 * stride * min(w, n - w) < n)
    else:
        right = sum(ranks)
    return float(left), float(right)


BANDPASS = {
    "text": "n = 8, s = 2, frequencies ±3 alone",
    "frames": np.eye(8)[[3, 5]].sum(axis=0)[:, None, None] + 0j,
    "stride": 2,
}
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
        tolerance_reason=BAND_REASON,
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
        hypotheses=(
            "M = I",
            "s divides every side",
            "first layer strided, the last its transpose, widths free",
            "no bias of the output (filter convention)",
        ),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "correlation for convolution": {"flipped": True},
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
    Claim(
        id="coarse-bottleneck",
        title="A bottleneck may be sampled if its frequencies do not alias",
        statement=(
            "images with x̂_ω ∈ V_ω keep Σ_{ν mod n/s} dim(Σ_{ω ≡ ν} V_ω) dimensions on every s-th pixel: all of them "
            "iff the V_ω of each class are independent; |ω| < n/(2s) suffices and is not necessary"
        ),
        source="Wen & Jacot, reconstructed, corrected: said to hold if and only if |ω| < n/(2s)",
        hypotheses=("M = I", "s divides n", "V_{-ω} = conj(V_ω)"),
        expected=Outcome.NOT_REFUTED,
        mutants={"only |ω| < n/(2s) counts": {"rule": "band"}, "all dimensions are kept": {"rule": "all"}},
        tolerance=1e-9,
        tolerance_reason="whole numbers: ranks of random frames of ≤ 18 entries, singular values of 1e-8 count as 0",
        draw=draw_spaces,
        sides=coarse_sides,
        quantity="dimension",
        smallest=(BANDPASS,),
    ),
)

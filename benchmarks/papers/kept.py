r"""Which frequencies a network's layers keep, whether the kept ones gather, and what can be read from them.

A network of almost the least norm has, at each frequency of most layers, k_ω singular values near ``1/|m_ω|`` and the
others near 0 (theory, section 4, T5). Here "kept" is ``|m_ω| s > ½``, the middle between the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from lineardyn.errors import ArgumentError
from proofs_check.cbn import CyclicCNN
from proofs_check.cbn.spectrum import conjugate_places

__all__ = ["Gathering", "by_degree", "coordinates", "degrees", "gathering", "kept", "middle", "probe", "scaled"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Frequency = tuple[int, int]

HALF = 0.5


def middle(depth: int) -> range:
    """The layers (from 0) of the middle third, rounded outwards.

    >>> list(middle(6)), list(middle(7)), list(middle(8))
    ([2, 3], [2, 3, 4], [2, 3, 4, 5])
    """
    return range(depth // 3, depth - depth // 3)


def scaled(net: CyclicCNN, layer: int) -> Floats:
    """``|m_ω| s_i(Ŵ_ω)`` of one layer (from 0), ``(H, W, R)``, descending."""
    values = np.linalg.svd(net.operator_blocks()[layer], compute_uv=False)
    return np.asarray(np.abs(net.pooling)[..., None] * values)


def kept(net: CyclicCNN, layer: int) -> Integers:
    """How many singular values of one layer are kept at each frequency, ``(H, W)``."""
    return np.asarray((scaled(net, layer) > HALF).sum(axis=-1), dtype=np.int64)


def degrees(shape: Sequence[int]) -> Integers:
    """``|u| + |v|`` of each frequency, the representatives nearest 0.

    >>> degrees((3, 4)).tolist()
    [[0, 1, 2, 1], [1, 2, 3, 2], [1, 2, 3, 2]]
    """
    u, v = (np.minimum(np.arange(n), n - np.arange(n)) for n in shape)
    return np.asarray(u[:, None] + v, dtype=np.int64)


def by_degree(counts: Integers, *, pairs: bool = False) -> list[int]:
    """``counts (H, W)`` summed over the frequencies of degree 0, 1, ..; with ``pairs`` ω and -ω count once together.

    >>> by_degree(np.ones((3, 3), dtype=int)), by_degree(np.ones((3, 3), dtype=int), pairs=True)
    ([1, 4, 4], [1, 2, 2])
    """
    mirror = conjugate_places(counts.shape)
    own = np.arange(counts.size) <= (mirror if pairs else counts.size)
    found: list[int] = np.bincount(degrees(counts.shape).ravel(), weights=counts.ravel() * own).astype(int).tolist()
    return found


@dataclass(frozen=True)
class Gathering:
    """How well ``|m_ω| s`` gathers at 1 and at 0, over frequencies and middle layers.

    ``low``, ``median``, ``high``: 10, 50 and 90 % quantiles of the kept ones; ``between``: how many lie between ¼ and
    ¾, and ``n_kept`` how many are kept; ``n_values`` in all.
    """

    median: float
    low: float
    high: float
    between: int
    n_kept: int
    n_values: int


def gathering(net: CyclicCNN) -> Gathering:
    """Over all middle layers; NaN quantiles where nothing is kept."""
    values = np.concatenate([scaled(net, layer).ravel() for layer in middle(net.depth)])
    above = values[values > HALF]
    low, median, high = np.quantile(above, [0.1, 0.5, 0.9]) if len(above) else (np.nan,) * 3
    between = int(((values > 0.25) & (values < 0.75)).sum())
    return Gathering(float(median), float(low), float(high), between, len(above), values.size)


def coordinates(net: CyclicCNN, images: Floats, layer: int, *, projected: bool = True) -> dict[Frequency, Floats]:
    r"""What one layer (from 0) reads at the frequencies that it keeps, ``(N, d)`` real, by frequency.

    ``v_i^* α̂_ω``, v_i the right singular vectors of ``Ŵ_ω`` that are kept, α the layer's input; not ``projected``: all
    channels of ``α̂_ω``. One number each, two (Re, Im) where ω ≠ -ω. Only one of ω and -ω is listed: the other is its
    conjugate.
    """
    hat = scipy.fft.fft2(net.activations(images)[layer], norm="ortho")
    counts, blocks = kept(net, layer), net.operator_blocks()[layer]
    mirror = conjugate_places(net.grid)
    found: dict[Frequency, Floats] = {}
    for place in np.flatnonzero(counts):
        if place > mirror[place]:
            continue
        u, v = (int(i) for i in np.unravel_index(place, net.grid))
        own, read = place == mirror[place], hat[:, :, u, v]
        if projected:
            # a block that is its own conjugate is real, and must have real singular vectors
            right = np.linalg.svd(blocks[u, v].real if own else blocks[u, v])[2]
            read = read @ right[: counts[u, v]].T
        found[_centred((u, v), net.grid)] = read.real if own else np.concatenate([read.real, read.imag], axis=1)
    return found


def probe(features: Floats, factors: Floats, held: Floats, held_factors: Floats) -> Floats:
    """``R² = 1 - Σ(y - ŷ)²/Σ(y - ȳ)²`` of each factor on held-out samples, ŷ by least squares with an intercept.

    Raises
    ------
    ArgumentError
        For fewer samples than features.
    """
    if len(features) <= features.shape[1]:
        raise ArgumentError(
            f"features has shape {features.shape}, expected more samples than features: a probe that fits all says "
            f"nothing"
        )
    mean = features.mean(axis=0)
    rows, held_rows = (np.column_stack([part - mean, np.ones(len(part))]) for part in (features, held))
    found = held_rows @ np.linalg.lstsq(rows, factors, rcond=1e-8)[0]
    left = ((held_factors - found) ** 2).sum(axis=0)
    return np.asarray(1.0 - left / ((held_factors - held_factors.mean(axis=0)) ** 2).sum(axis=0))


def _centred(frequency: Frequency, grid: Sequence[int]) -> Frequency:
    u, v = (i if 2 * i <= n else i - n for i, n in zip(frequency, grid, strict=True))
    return u, v

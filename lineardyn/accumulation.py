"""Sums over images, in float64 and one pass: what second moments are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import dgemm, dsyrk

from lineardyn.errors import ArgumentError
from lineardyn.packed_rows import PackedRows
from lineardyn.sources import PIECE_BYTES, ArraySource, Source

__all__ = ["DENSE_BYTES", "Block", "Sums", "blocks", "mean_image", "sum_images", "sum_projections"]

Floats = NDArray[np.float64]
DENSE_BYTES = 2**31
"""Largest dense matrix that is built without being asked for."""
GRAM_BLOCK_BYTES = 2**26
"""Images that enter Σ^xx at once: so many that its D² numbers need not be read and written often."""
FEWEST_IMAGES = 128
"""The same for the K·D numbers of Σ^yx, where images are large; but no more than MOST_BYTES."""
MOST_BYTES = 2**28


class Block(NamedTuple):
    """Finite float64 images ``(n, D)`` and targets ``(n, K)``; both are written over by the next block."""

    images: Floats
    targets: Floats


def block_length(size: int, dense: bool) -> int:
    """Images of ``size`` numbers in one block."""
    whole = (GRAM_BLOCK_BYTES if dense else PIECE_BYTES) // (8 * size)
    return max(1, min(max(whole, FEWEST_IMAGES), MOST_BYTES // (8 * size)))


def blocks(source: Source, length: Callable[[int], int]) -> Iterator[Block]:
    """The pieces of a source, gathered into blocks of ``length(D)`` images however they came.

    The sums over them are then the same to the last bit, whatever the batches or chunks.
    """
    x, y, filled = np.empty((0, 0)), np.empty((0, 0)), 0
    mean = source.mean.ravel() if isinstance(source, ArraySource) and source.mean is not None else None
    for piece in source.pieces():
        if not x.size:
            size = int(np.prod(source.shape))
            x = np.empty((min(length(size), source.n_images or length(size)), size))
        if source.n_outputs > y.shape[1]:
            wider = np.zeros((len(x), source.n_outputs))
            wider[:filled, : y.shape[1]] = y[:filled]
            y = wider
        done = 0
        while done < len(piece.images):
            n = min(len(x) - filled, len(piece.images) - done)
            piece.copy_to(x[filled : filled + n], done)
            if mean is not None:
                x[filled : filled + n] -= mean
            y[filled : filled + n] = piece.targets[done : done + n]
            done, filled = done + n, filled + n
            if filled == len(x):
                yield Block(x, y)
                filled = 0
    if filled:
        yield Block(x[:filled], y[:filled])


class Sums:
    """``Σ y xᵀ``, ``Σ ‖y‖²``, ``Σ ‖x‖²``, and of ``Σ x xᵀ`` what is kept: "nothing", "dense" or "samples".

    ``xx`` holds the upper triangle of a Fortran array, where BLAS adds to it in place.
    """

    def __init__(self, shape: tuple[int, int, int], keep: str, rows: PackedRows) -> None:
        self.shape = shape
        self.keep = keep
        self.rows = rows
        size = int(np.prod(shape))
        self.n = 0
        self.target_power = self.image_power = 0.0
        self.yx = np.zeros((0, size))
        self.xx = np.zeros((size, size) if keep == "dense" else (0, 0), order="F")
        self.targets: list[Floats] = []

    def add(self, block: Block) -> None:
        x, y = block
        if y.shape[1] > len(self.yx):
            self.yx = np.concatenate([self.yx, np.zeros((y.shape[1] - len(self.yx), self.yx.shape[1]))])
        self.n += len(x)
        self.target_power += float(np.vdot(y, y))
        self.image_power += float(np.vdot(x, x))  # squares that overflow are said at the end, in words
        add_product(self.yx, y, x)
        if self.keep == "dense":
            self.xx = dsyrk(1.0, x.T, beta=1.0, c=self.xx, overwrite_c=1)
        elif self.keep == "samples":
            self.rows.append(x.reshape(len(x), *self.shape))
            self.targets.append(y.copy())


def add_product(total: Floats, left: Floats, right: Floats) -> None:
    """``total += leftᵀ right`` in place, for C-ordered ``(K, D)``, ``(n, K)``, ``(n, D)``."""
    # BLAS is Fortran-ordered: the transposes are what it reads without a copy
    dgemm(1.0, right.T, left.T, beta=1.0, c=total.T, trans_b=1, overwrite_c=1)


def sum_images(source: Source, keep: str, rows: PackedRows) -> Sums:
    """One pass over a source; ``keep="any"`` is "dense" or "samples" by size."""

    def kept(size: int) -> str:
        return ("dense" if 8 * size**2 <= DENSE_BYTES else "samples") if keep == "any" else keep

    total: Sums | None = None
    for block in blocks(source, lambda size: block_length(size, kept(size) == "dense")):
        if total is None:
            total = Sums(source.shape, kept(block.images.shape[1]), rows)
        total.add(block)
    if total is None:
        raise ArgumentError("batches is empty, expected at least one batch of (images, targets)")
    source.check_complete()
    return total


def sum_projections(source: Source, directions: Floats) -> tuple[Floats, int, float]:
    """``Σ (x·v) x`` for each row v of ``directions (R, D)``, the number of images, and ``Σ ‖x‖²``."""
    total, n, power = np.zeros(directions.shape), 0, 0.0
    for x, _ in blocks(source, lambda size: block_length(size, dense=False)):
        add_product(total, x @ directions.T, x)
        n += len(x)
        power += float(np.vdot(x, x))
    return total, n, power


def mean_image(source: ArraySource) -> Floats:
    """The per-pixel mean ``(C, H, W)`` where images differ by more than round-off.

    Taken as the first image and the mean deviation from it, which is exact where images are nearly equal. The mean is
    then taken off each image: ``Σ^xx - ⟨x⟩⟨x⟩ᵀ`` instead would lose the digits that a large mean hides.
    """
    total, n, spread, largest = np.zeros(0), 0, 0.0, 0.0
    first = np.zeros(0)
    for x, _ in blocks(source, lambda size: block_length(size, dense=False)):
        if not n:
            first, total = x[0].copy(), np.zeros(x.shape[1])
        largest = max(largest, float(np.abs(x).max()))
        x -= first
        spread = max(spread, float(np.abs(x).max()))
        total += x.sum(axis=0)
        n += len(x)
    if spread <= 1e-14 * largest:
        raise ArgumentError(
            "images are all equal, expected images that differ: nothing is left when center=True takes their mean off"
        )
    return (first + total / n).reshape(source.shape)

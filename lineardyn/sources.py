"""Where images come from: arrays in memory, memory-mapped or chunked, or batches of those, read a piece at a time.

A piece is a view or one chunk, of the type that the source has; nothing here holds more than one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError
from lineardyn.validation import (
    as_real_array,
    check_array,
    check_finite,
    check_images_shape,
    check_targets_shape,
    one_hot,
)

__all__ = ["ArraySource", "BatchSource", "Batches", "Piece", "Source", "slices"]

Floats = NDArray[np.float64]
Batches = Iterable[Any] | Callable[[], Iterable[Any]]
PIECE_BYTES = 2**22
"""A piece in float64: it stays in the cache between the passes over it, and numpy gives it large pages."""
LABEL_BYTES = 2**31
"""Largest Σ^yx that integer labels, seen batch by batch, may ask for."""


class Piece(NamedTuple):
    """Images ``(n, C, H, W)`` of any real type, not yet looked at; targets ``(n, K)``."""

    images: NDArray[Any]
    targets: Floats
    name: str
    first: int
    """Place of the first image in the array of that name."""

    def copy_to(self, out: Floats, start: int) -> None:
        """Fill ``out (m, D)`` in float64 with the images from ``start`` on."""
        part = self.images[start : start + len(out)]
        np.copyto(out.reshape(part.shape), part, casting="unsafe")
        # one pass over what is in the cache: the sum of squares is finite unless an image, or a square, is not
        if part.dtype.kind == "f" and not np.isfinite(np.vdot(out, out)):
            check_finite(self.name, part, self.first + start)


def slices(n: int, step: int) -> Iterator[slice]:
    """``range(n)`` in slices of ``step``, the last one shorter."""
    for start in range(0, n, step):
        yield slice(start, min(n, start + step))


@dataclass(frozen=True)
class ArraySource:
    """Images ``(N, C, H, W)`` and targets ``(N, K)`` or labels ``(N,)``; ``mean`` is taken off, where there is one."""

    images: Any
    targets: NDArray[Any]
    n_outputs: int
    names: tuple[str, str] = ("images", "targets")
    mean: Floats | None = None

    once = False

    @classmethod
    def of(cls, images: ArrayLike, targets: ArrayLike) -> ArraySource:
        """Check all that can be checked without loading the images."""
        x = open_images(images, "images")
        y = as_real_array("targets", _load(targets))
        return cls(x, y, check_targets_shape(y, int(x.shape[0]), "targets"))

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(C, H, W)``."""
        channels, height, width = self.images.shape[1:]
        return int(channels), int(height), int(width)

    @property
    def n_images(self) -> int | None:
        """N, known before the first pass."""
        return int(self.images.shape[0])

    def pieces(self) -> Iterator[Piece]:
        """From the first image to the last, each loaded once."""
        for first, images in self.loads():
            yield Piece(images, self._rows(slice(first, first + len(images))), self.names[0], first)

    def loads(self, size: int | None = None) -> Iterator[tuple[int, NDArray[Any]]]:
        """The place of the first image, and the images, of each piece of ``size`` bytes in float64 (PIECE_BYTES)."""
        step = max(1, (size or PIECE_BYTES) // (8 * int(np.prod(self.shape))))
        for part in _parts(self.images, step):
            loaded = self._loaded(part)
            for inner in slices(len(loaded), step):
                yield part.start + inner.start, loaded[inner]

    def check_complete(self) -> None:
        """The labels were checked at the door."""

    def _loaded(self, part: slice) -> NDArray[Any]:
        loaded = as_real_array(self.names[0], _load(self.images[part]))
        wanted = (part.stop - part.start, *self.shape)
        if loaded.shape != wanted:
            raise ArgumentError(
                f"{self.names[0]} gave a chunk of shape {loaded.shape} at {part.start}, expected {wanted} as its shape "
                f"announces: correct the chunks of the array"
            )
        return loaded

    def _rows(self, part: slice) -> Floats:
        rows = self.targets[part]
        if rows.ndim == 1:
            return one_hot(rows, self.n_outputs)
        check_finite(self.names[1], rows, part.start)
        return check_array(self.names[1], rows)


def open_images(images: Any, name: str) -> Any:
    """Images with a shape, a real type and slices; not loaded where they are memory-mapped or chunked."""
    if not hasattr(images, "chunks"):  # dask, h5py and zarr arrays have them
        images = as_real_array(name, images)
    elif np.dtype(images.dtype).kind not in "biuf":
        raise ArgumentError(f"{name} has dtype {images.dtype}, expected real numbers")
    elif any(n != n for n in images.shape):
        raise ArgumentError(
            f"{name} has shape {images.shape}, expected a known number of images: call its compute_chunk_sizes()"
        )
    check_images_shape(tuple(images.shape), name)
    return images


def _load(array: Any) -> Any:
    return array.compute() if hasattr(array, "compute") else array


def _parts(images: Any, step: int) -> Iterator[slice]:
    """Slices of at least ``step`` images that end where chunks end, so that no chunk is read twice."""
    n, chunks = int(images.shape[0]), getattr(images, "chunks", None)
    lengths = chunks[0] if chunks else 1  # dask tells the length of each, others one that all but the last have
    if not isinstance(lengths, tuple):
        yield from slices(n, -(-step // lengths) * lengths)
        return
    start = 0
    for stop in np.cumsum(lengths).tolist():
        if stop - start >= step or stop == n > start:
            yield slice(start, stop)
            start = stop


class BatchSource:
    """An iterable of ``(images, targets)``, or a function that returns one; K grows with integer labels."""

    n_images = None

    def __init__(self, batches: Batches) -> None:
        self.batches = batches
        self.once = isinstance(batches, Iterator)
        self.n_outputs = 0
        self._shape: tuple[int, int, int] | None = None
        self._labels: set[int] = set()
        self._rows_seen = False
        """Whether any targets came as rows, which say K whatever the labels are."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(C, H, W)``, known from the first piece on."""
        if self._shape is None:
            raise ArgumentError("batches is empty, expected at least one batch of (images, targets)")
        return self._shape

    def pieces(self) -> Iterator[Piece]:
        """One pass over the batches."""
        for index, (images, targets) in enumerate(self._pairs()):
            x = open_images(images, f"batches[{index}] images")
            n, *shape = map(int, x.shape)
            self._shape = self._shape or (shape[0], shape[1], shape[2])
            if tuple(shape) != self._shape:
                raise ArgumentError(
                    f"batches[{index}] has images of shape {tuple(shape)}, expected {self._shape} as before"
                )
            name = f"batches[{index}] targets"
            y = as_real_array(name, _load(targets))
            self.n_outputs = check_targets_shape(y, n, name, self._outputs(y, n, name))
            yield from ArraySource(x, y, self.n_outputs, (f"batches[{index}] images", name)).pieces()

    def check_complete(self) -> None:
        """Integer labels over all batches, as ``check_targets`` wants them in one array."""
        if not self._labels or self._rows_seen:
            return
        if len(self._labels) == 1:
            raise ArgumentError("targets hold one class only, expected at least two: there is nothing to tell apart")
        missing = set(range(self.n_outputs)) - self._labels
        if missing:
            raise ArgumentError(
                f"targets have no image of class {min(missing)} although {self.n_outputs} classes are named, expected "
                f"labels 0..K-1 without gaps: renumber them, or give one-hot rows (N, K)"
            )

    def _pairs(self) -> Iterator[tuple[Any, Any]]:
        source = self.batches() if callable(self.batches) else self.batches
        if not isinstance(source, Iterable):
            raise ArgumentError(f"batches is {self.batches!r}, expected an iterable of (images, targets)")
        for i, batch in enumerate(source):
            try:
                images, targets = batch
            except (TypeError, ValueError):
                raise ArgumentError(f"batches[{i}] is no pair, expected (images, targets)") from None
            yield images, targets

    def _outputs(self, targets: NDArray[Any], n: int, name: str) -> int | None:
        """K as it stands with these targets; None where only they can say it."""
        if targets.ndim != 1 or targets.dtype.kind not in "biu" or not targets.size:
            self._rows_seen = True
            return self.n_outputs or (targets.shape[1] if targets.ndim == 2 else 1)
        outputs = max(self.n_outputs, int(targets.max()) + 1)
        self._labels |= set(np.unique(targets).tolist())
        if 8 * outputs * max(int(np.prod(self.shape)), n) > LABEL_BYTES:
            raise ArgumentError(f"{name} holds the label {outputs - 1}, expected labels 0, 1, .., K-1: renumber them")
        return outputs


Source = ArraySource | BatchSource

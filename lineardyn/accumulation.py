"""Sums over batches of images, in float64 and one pass: what second moments are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineardyn.errors import ArgumentError
from lineardyn.fourier import half_spectrum
from lineardyn.validation import as_real_array, check_images, check_targets

__all__ = ["DENSE_BYTES", "Batches", "Sums", "chunks", "read_batches", "sum_batches"]

Floats = NDArray[np.float64]
Batches = Iterable[Any] | Callable[[], Iterable[Any]]
DENSE_BYTES = 2**31
"""Largest dense matrix that is built without being asked for."""
CHUNK_BYTES = 2**26


def chunks(n: int, size: int) -> Iterator[slice]:
    """Slices of ``range(n)`` that each cover about 64 MB of rows of ``size`` doubles."""
    step = max(1, CHUNK_BYTES // (8 * size))
    for start in range(0, n, step):
        yield slice(start, min(n, start + step))


def read_batches(batches: Batches) -> Iterator[tuple[Any, Any]]:
    """Pairs ``(images, targets)`` from an iterable, or from a function that returns one."""
    source = batches() if callable(batches) else batches
    if not isinstance(source, Iterable):
        raise ArgumentError(f"batches is {batches!r}, expected an iterable of (images, targets)")
    for i, batch in enumerate(source):
        try:
            images, targets = batch
        except (TypeError, ValueError):
            raise ArgumentError(f"batches[{i}] is no pair, expected (images, targets)") from None
        yield images, targets


class Sums:
    """Running sums over batches; K grows with the labels when targets are integers.

    ``keep`` says what of Σ^xx is wanted: "correlation" (nothing), "dense", "samples", or "any" of the last two by size.
    """

    def __init__(self, keep: str) -> None:
        self.keep = keep
        self.n = 0
        self.target_power = self.image_power = 0.0
        self.shape: tuple[int, int, int] | None = None
        self.yx = np.zeros((0, 0))
        self.xx = np.zeros((0, 0))
        self.rows: list[Floats] = []
        self.targets: list[Floats] = []
        self.labels: set[int] = set()
        """The classes seen in integer labels."""
        self.one_hot = False
        """Whether any targets came as rows, which say K whatever the labels are."""

    @property
    def size(self) -> int:
        assert self.shape is not None
        return int(np.prod(self.shape))

    def add(self, images: Any, targets: Any, index: int) -> None:
        x = check_images(images, f"batches[{index}] images")
        if self.shape is None:
            self._open(x)
        elif x.shape[1:] != self.shape:
            raise ArgumentError(f"batches[{index}] has images of shape {x.shape[1:]}, expected {self.shape} as before")
        y = self._targets(targets, len(x), index)
        flat = x.reshape(len(x), -1)
        self.n += len(x)
        self.target_power += float(np.einsum("nk,nk->", y, y))
        self.image_power += float(np.einsum("nd,nd->", flat, flat))
        with np.errstate(over="ignore", invalid="ignore"):  # said at the end, in words
            self.yx += y.T @ flat
            if self.keep == "dense":
                self.xx += flat.T @ flat
        if self.keep == "samples":
            packed = half_spectrum(x.shape[2:]).pack_images(x)
            self.rows.append(packed.reshape(len(x), -1))
            self.targets.append(y)

    def _open(self, x: Floats) -> None:
        self.shape = (x.shape[1], x.shape[2], x.shape[3])
        if self.keep == "any":
            self.keep = "dense" if 8 * self.size**2 <= DENSE_BYTES else "samples"
        self.yx = np.zeros((0, self.size))
        if self.keep == "dense":
            self.xx = np.zeros((self.size, self.size))

    def _targets(self, targets: Any, n: int, index: int) -> Floats:
        name = f"batches[{index}] targets"
        values = as_real_array(name, targets)
        known = len(self.yx)
        if values.ndim == 1 and values.dtype.kind in "biu" and values.size:
            outputs = max(known, int(values.max()) + 1)
            self.labels |= set(np.unique(values).tolist())
            if 8 * outputs * max(self.size, n) > DENSE_BYTES:
                raise ArgumentError(
                    f"{name} holds the label {outputs - 1}, expected labels 0, 1, .., K-1: renumber them"
                )
        else:
            self.one_hot = True
            outputs = known or (values.shape[1] if values.ndim == 2 else 1)
        y = check_targets(values, n, name, outputs)
        if outputs > known:
            self.yx = np.concatenate([self.yx, np.zeros((outputs - known, self.yx.shape[1]))])
        return y


def sum_batches(batches: Iterator[tuple[Any, Any]], keep: str) -> Sums:
    """One pass over the batches."""
    total = Sums(keep)
    for index, (images, targets) in enumerate(batches):
        total.add(images, targets, index)
    return total

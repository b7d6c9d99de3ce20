"""The packed rows of the samples form: in memory, or in a file that the system pages in as kernels read it."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from lineardyn.errors import ArgumentError, DataFileError
from lineardyn.fourier import half_spectrum
from lineardyn.validation import check_path

__all__ = ["PackedRows", "RowsInFile", "RowsInMemory", "map_rows", "mapped_file"]

Floats = NDArray[np.float64]
SLAB_BYTES = 2**30
"""Reserved at a time where the number of rows is not known; what is not filled costs no memory."""


class RowsInMemory:
    """Rows gathered in slabs and joined at the end; ``n_expected`` of them, where that is known, take one slab."""

    def __init__(self, n_expected: int | None) -> None:
        self.n_expected = n_expected
        self.slabs: list[Floats] = []
        self.filled: list[int] = []

    def __enter__(self) -> RowsInMemory:
        return self

    def __exit__(self, *raised: object) -> None:
        self.slabs = []

    def append(self, images: Floats) -> None:
        """Pack images ``(n, C, H, W)``."""
        n, channels, *shape = images.shape
        half = half_spectrum((shape[0], shape[1]))
        width = channels * 2 * half.size
        if not self.slabs or self.filled[-1] + n > len(self.slabs[-1]):
            self.slabs.append(_reserve(max(n, self.n_expected or SLAB_BYTES // (8 * width)), width))
            self.filled.append(0)
        part = self.slabs[-1][self.filled[-1] :][:n]
        half.pack_images(images, out=part.reshape(n, channels, 2, half.size))
        self.filled[-1] += n

    def finish(self) -> Floats:
        """All rows ``(N, D)``; they are handed over."""
        slabs, self.slabs = self.slabs, []
        width = slabs[0].shape[1]
        if len(slabs) == 1:
            slabs[0].resize((self.filled[0], width), refcheck=False)  # in place: it shrinks
            return slabs[0]
        rows = _reserve(sum(self.filled), width)
        end = len(rows)
        for n in reversed(self.filled):
            rows[end - n : end] = slabs.pop()[:n]  # and given back: the rows are not held twice
            end -= n
        return rows


def _reserve(n: int, width: int) -> Floats:
    try:
        return np.empty((n, width))
    except MemoryError:
        raise ArgumentError(
            f"images take more than {8 * n * width / 2**30:.1f} GiB as rows of form='samples', which memory does not "
            f"hold: give store='rows.npy' to keep them in a file, or take form='dense' or 'modes'"
        ) from None


class RowsInFile:
    """Rows written block by block to a ``.npy`` file, which is there whole or not at all, then mapped."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = check_path(path, "store").absolute()
        if self.path.is_dir():
            raise ArgumentError(f"store is the folder {str(self.path)!r}, expected the path of a file in it")
        self.partial = self.path.with_name(self.path.name + ".part")
        self.file: IO[bytes] | None = None
        self.n = self.width = 0

    def __enter__(self) -> RowsInFile:
        try:
            self.file = self.partial.open("wb")
        except OSError as error:
            raise self._unwritable(error) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.file is not None:
            with contextlib.suppress(OSError):  # what a full disk did not take was said when it was written
                self.file.close()
            self.partial.unlink(missing_ok=True)

    def append(self, images: Floats) -> None:
        """Pack and write images ``(n, C, H, W)``."""
        n, _, *shape = images.shape
        rows = half_spectrum((shape[0], shape[1])).pack_images(images).reshape(n, -1)
        if not self.n:
            self.width = rows.shape[1]
            self._write(_header(0, self.width))
        self._write(rows.data)
        self.n += n

    def finish(self) -> Floats:
        """All rows ``(N, D)``, mapped."""
        assert self.file is not None
        try:
            self.file.seek(0)
            self._write(_header(self.n, self.width))
            self.file.close()
            self.partial.replace(self.path)
            self.file = None
            return map_rows(self.path)
        except OSError as error:
            raise self._unwritable(error) from None

    def _write(self, data: Any) -> None:
        assert self.file is not None
        try:
            self.file.write(data)
        except OSError as error:
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> DataFileError:
        return DataFileError(f"store {str(self.path)!r} cannot be written ({error}): choose a folder that can")


PackedRows = RowsInMemory | RowsInFile


def _header(n: int, width: int) -> bytes:
    """Of ``.npy``; numpy pads it so that its length is the same for any n."""
    stream = io.BytesIO()
    npy.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": (n, width)})
    return stream.getvalue()


def map_rows(path: Path) -> Floats:
    """The rows in a file as a plain array that the system loads where it is read, and drops where memory is short."""
    try:
        rows = np.load(path, mmap_mode="r+", allow_pickle=False)  # writable in type, as kernels are compiled for that
    except PermissionError:
        rows = np.load(path, mmap_mode="c", allow_pickle=False)
    return np.asarray(rows)


def mapped_file(rows: Floats) -> Path | None:
    """The file behind rows that :func:`map_rows` returned."""
    base = rows.base
    return Path(base.filename) if isinstance(base, np.memmap) and base.filename is not None else None

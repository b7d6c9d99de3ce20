"""The idx-ubyte format of MNIST: a magic number, the dimensions as big-endian integers, then the bytes."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lineardyn.errors import DataFileError

__all__ = ["read_idx"]


def read_idx(path: Path, n_dimensions: int) -> NDArray[np.uint8]:
    """Return the array of an idx-ubyte file, gzipped or not (told by its first bytes, not by its name).

    Raises
    ------
    DataFileError
        If the file is missing, truncated, too long, or of another kind.
    """
    content = _content(path)
    magic = 0x0800 + n_dimensions  # two zero bytes, 8 for unsigned bytes, the number of dimensions
    found = struct.unpack(">I", content[:4])[0] if len(content) >= 4 else None
    if found is not None and found != magic:
        raise DataFileError(
            f"{path} begins with the magic number {found:#010x}, expected {magic:#010x} "
            f"(idx, unsigned bytes, {n_dimensions} dimensions): it is another file; download it again"
        )
    start = 4 + 4 * n_dimensions
    if len(content) < start:
        raise DataFileError(
            f"{path} ends after {len(content)} bytes, within its header: it is truncated; download it again"
        )
    shape = struct.unpack(f">{n_dimensions}I", content[4:start])
    expected = start + math.prod(shape)
    if len(content) != expected:
        problem = "truncated" if len(content) < expected else "too long"
        raise DataFileError(
            f"{path} holds {len(content)} bytes, expected {expected} for the shape {shape} in its header: "
            f"it is {problem}; download it again"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataFileError(f"{path} is a truncated or broken gzip file ({error}): download it again") from None
    except OSError as error:
        raise DataFileError(f"{path} cannot be read ({error}): check that it is a file and its permissions") from None

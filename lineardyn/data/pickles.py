"""Pickles of numpy arrays, read without trusting them.

``pickle.load`` calls whatever a file names. Here only four names are known, and none reaches numpy's own constructors
(their ``__setstate__`` believes the file about its memory layout): small stand-ins note what the file says and build
plain numeric arrays from bytes. The names are those that numpy 1 and 2 write, with any protocol.
"""

from __future__ import annotations

import io
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineardyn.errors import DataFileError

__all__ = ["read_pickled_arrays"]


def read_pickled_arrays(path: Path) -> Any:
    """Return what ``path`` holds: arrays, bytes, text, numbers, and dicts, lists and tuples of these.

    Python-2 strings become bytes. Arrays come back read-only.

    Raises
    ------
    DataFileError
        If the file names anything else (the name is in the message), or is truncated, or no pickle.
    """
    try:
        content = path.read_bytes()
        return _plain(_ArraysOnly(io.BytesIO(content), path).load())
    except DataFileError:
        raise
    except EOFError as error:
        raise _broken(path, error) from None
    except OSError as error:
        raise DataFileError(f"{path} cannot be read ({error}): check that it is a file and its permissions") from None
    except Exception as error:  # a broken pickle can raise anything
        raise _broken(path, error) from None


def _broken(path: Path, error: Exception) -> DataFileError:
    return DataFileError(
        f"{path} is truncated or no pickle of arrays ({error}), expected a whole one: download it again"
    )


class _ArraysOnly(pickle.Unpickler):
    """An unpickler that knows numeric arrays and bytes; any other name ends the reading."""

    def __init__(self, file: io.BytesIO, path: Path) -> None:
        super().__init__(file, encoding="bytes")
        self._path = path

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _KNOWN:
            return _KNOWN[module, name]
        raise DataFileError(
            f"{self._path} is a pickle that names {module}.{name}, expected numpy arrays and bytes and nothing else: "
            f"it is not the original file and may be harmful; download it again"
        )


class _Constructor:
    """A call the file may make. No attributes, so that the file can change nothing about it."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make

    def __call__(self, *args: Any) -> Any:
        return self._make(*args)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("a state for a function")


class _Dtype:
    """A plain numeric dtype: ``('u1', 0, 1)`` and then its byte order."""

    __slots__ = ("dtype",)

    def __init__(self, code: str | bytes, *_: Any) -> None:
        text = code.decode("ascii") if isinstance(code, bytes) else code
        if not re.fullmatch(r"[<>|=]?[biuf][1248]", text):
            raise pickle.UnpicklingError(f"an array of dtype {text!r}, not of plain numbers")
        self.dtype = np.dtype(text)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, order, subdtype, names, fields, *_ = state
        if (subdtype, names, fields) != (None, None, None):
            raise pickle.UnpicklingError("a structured array")
        if order in ("<", ">", b"<", b">"):  # any other: single bytes, which have no order
            self.dtype = self.dtype.newbyteorder("<" if order in ("<", b"<") else ">")


class _Array:
    """An array on its way: its state holds shape, dtype, memory order and bytes."""

    __slots__ = ("array",)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, shape, dtype, fortran, raw = state
        self.array: NDArray[Any] = _from_bytes(raw, dtype, shape, "F" if fortran else "C")


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _from_buffer(raw: bytes, dtype: _Dtype, shape: tuple[int, ...], order: str, *_: Any) -> _Array:
    made = _Array()
    made.array = _from_bytes(raw, dtype, shape, order)
    return made


def _from_bytes(raw: bytes, dtype: _Dtype, shape: tuple[int, ...], order: str) -> NDArray[Any]:
    if not isinstance(dtype, _Dtype) or not isinstance(raw, bytes | bytearray):
        raise pickle.UnpicklingError("an array without plain numbers")
    array = np.frombuffer(raw, dtype.dtype).reshape(shape, order="F" if order == "F" else "C")
    array.flags.writeable = False
    return array


def _latin1(text: str, encoding: str) -> bytes:
    """How protocol 2 of Python 3 writes bytes; no other codec is of use here."""
    if encoding not in ("latin1", b"latin1"):
        raise pickle.UnpicklingError(f"the codec {encoding!r}")
    return text.encode("latin1")


def _plain(value: Any) -> Any:
    if isinstance(value, _Array):
        return value.array
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_plain(item) for item in value)
    return value


_KNOWN: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Constructor(_Array),
    ("numpy", "dtype"): _Constructor(_Dtype),
    ("_codecs", "encode"): _Constructor(_latin1),
}
for _core in ("numpy.core", "numpy._core"):
    _KNOWN[f"{_core}.multiarray", "_reconstruct"] = _Constructor(_reconstruct)
    _KNOWN[f"{_core}.numeric", "_frombuffer"] = _Constructor(_from_buffer)

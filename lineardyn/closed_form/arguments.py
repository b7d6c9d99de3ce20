"""Checks that only the closed forms need: arrays that broadcast, times that may be infinite."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError
from lineardyn.validation import as_real_array, check_array, shown

__all__ = [
    "check_broadcast",
    "check_integers",
    "check_magnitudes",
    "check_nonnegative",
    "check_positive",
    "check_time",
]

Floats = NDArray[np.float64]


def check_time(name: str, value: ArrayLike) -> Floats:
    """Times >= 0 of any shape and order; ``inf`` is the end of learning."""
    try:
        array = np.asarray(value)
        times = array.astype(np.float64) if array.dtype.kind in "biuf" else check_array(name, array)
    except ValueError:
        times = check_array(name, value)  # says what is wrong with it
    if not (times >= 0).all():
        check_array(name, np.where(np.isposinf(times), 0.0, times))
        raise ArgumentError(f"{name} holds {times.min():g}, expected times >= 0 (inf allowed): the start is at t = 0")
    return times


def check_magnitudes(name: str, value: ArrayLike) -> Floats:
    """The magnitudes of finite real or complex numbers of any shape."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "c":
        value = np.abs(value)
    return np.abs(check_array(name, value)).reshape(np.shape(value))


def check_nonnegative(name: str, value: ArrayLike, *, why: str = "") -> Floats:
    """Finite numbers >= 0 of any shape."""
    array = check_array(name, value).reshape(np.shape(value))
    if (array < 0).any():
        raise ArgumentError(f"{name} holds {array.min():g}, expected numbers >= 0{': ' + why if why else ''}")
    return array


def check_positive(name: str, value: ArrayLike, *, why: str = "") -> Floats:
    """Finite numbers > 0 of any shape."""
    array = check_array(name, value).reshape(np.shape(value))
    if (array <= 0).any():
        raise ArgumentError(f"{name} holds {array.min():g}, expected numbers > 0{': ' + why if why else ''}")
    return array


def check_integers(name: str, value: ArrayLike, *, minimum: int, maximum: int | None = None) -> NDArray[np.int64]:
    """Integers in ``minimum..maximum`` of any shape."""
    array = as_real_array(name, value)
    wanted = f">= {minimum}" if maximum is None else f"from {minimum} to {maximum}"
    if array.dtype.kind not in "iu":
        raise ArgumentError(f"{name} is {shown(value)}, expected integers {wanted}")
    bad = array < minimum if maximum is None else (array < minimum) | (array > maximum)
    if bad.any():
        raise ArgumentError(f"{name} holds {array[bad].flat[0]}, expected integers {wanted}")
    return array.astype(np.int64)


def check_broadcast(**arrays: NDArray[Any]) -> tuple[int, ...]:
    """The common shape of the named arrays."""
    try:
        return np.broadcast_shapes(*(a.shape for a in arrays.values()))
    except ValueError:
        shapes = ", ".join(f"{name} {a.shape}" for name, a in arrays.items() if a.ndim)
        raise ArgumentError(
            f"the shapes {shapes} do not broadcast, expected one common shape: add axes, as in t[:, None]"
        ) from None

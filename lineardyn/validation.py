"""Checks at the door: every public function passes its arguments through these before it computes."""

from __future__ import annotations

import math
import os
import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError

__all__ = [
    "Rng",
    "as_generator",
    "as_real_array",
    "check_array",
    "check_choice",
    "check_count",
    "check_finite",
    "check_image_shape",
    "check_images",
    "check_images_shape",
    "check_network",
    "check_number",
    "check_path",
    "check_shape",
    "check_targets",
    "check_targets_shape",
    "check_times",
    "one_hot",
    "shown",
]

Rng = int | np.random.Generator
Floats = NDArray[np.float64]


def check_array(name: str, value: ArrayLike, *, shape: Sequence[int | None] | None = None, why: str = "") -> Floats:
    """Return ``value`` as a finite C-contiguous float64 array of the given shape (``None``: any length).

    Integers, booleans and float32 are converted exactly, so that no sum is ever taken in a narrow type.
    """
    array = as_real_array(name, value)
    if shape is not None and array.shape != shape and not _fits(array.shape, shape):
        wanted = "(" + ", ".join("any" if n is None else str(n) for n in shape) + ("," if len(shape) == 1 else "") + ")"
        raise ArgumentError(f"{name} has shape {array.shape}, expected {wanted}{': ' + why if why else ''}")
    check_finite(name, array)
    return np.ascontiguousarray(array, dtype=np.float64)


def _fits(shape: tuple[int, ...], wanted: Sequence[int | None]) -> bool:
    return len(shape) == len(wanted) and all(n in (None, m) for n, m in zip(wanted, shape, strict=True))


def check_finite(name: str, array: NDArray[Any], first: int = 0) -> None:
    """Refuse NaN and infinity; ``first`` is the place of ``array[0]`` in the whole that the caller gave."""
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        index = (first + where[0], *where[1:]) if where else where
        raise ArgumentError(
            f"{name} holds {array[where]} at index {index}, expected finite numbers: remove or replace it"
        )


def as_real_array(name: str, value: ArrayLike) -> NDArray[Any]:
    """Return ``value`` as an array of integers, booleans or floats, of its own type."""
    if hasattr(value, "detach"):  # a torch tensor: numpy reads it once it is on the CPU and free of its graph
        value = value.detach().cpu()
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ArgumentError(f"{name} is no array ({error}), expected numbers of one regular shape") from None
    if array.dtype.kind not in "biuf":
        raise ArgumentError(f"{name} has dtype {array.dtype}, expected real numbers")
    return array


def check_images(images: ArrayLike, name: str = "images") -> Floats:
    """Return ``images`` as finite float64 ``(N, C, H, W)`` with at least one image."""
    array = as_real_array(name, images)
    check_images_shape(array.shape, name)
    return check_array(name, array)


def check_images_shape(shape: tuple[int, ...], name: str = "images") -> None:
    """Refuse a shape that is not ``(N, C, H, W)``, before anything is loaded."""
    if len(shape) != 4:
        hint = "; add the channel axis with images[:, None]" if len(shape) == 3 else ""
        raise ArgumentError(f"{name} has shape {shape}, expected (N, C, H, W){hint}")
    if shape[3] <= 4 < min(shape[1], shape[2]):
        raise ArgumentError(
            f"{name} has shape {shape}, expected (N, C, H, W): this looks like channels-last, "
            f"use images.transpose(0, 3, 1, 2)"
        )
    if 0 in shape:
        raise ArgumentError(f"{name} has shape {shape}, expected at least one image and one pixel")


def check_targets(targets: ArrayLike, n_images: int, name: str = "targets", n_outputs: int | None = None) -> Floats:
    """Return ``targets`` as finite float64 ``(N, K)``; integer labels ``(N,)`` become one-hot rows.

    Labels 0..K-1 give the columns; ``n_outputs`` fixes K where a batch may lack the last classes.
    """
    array = as_real_array(name, targets)
    outputs = check_targets_shape(array, n_images, name, n_outputs)
    return check_array(name, array) if array.ndim == 2 else one_hot(array, outputs)


def check_targets_shape(array: NDArray[Any], n_images: int, name: str, n_outputs: int | None = None) -> int:
    """K of targets ``(N, K)`` or integer labels ``(N,)``; refuse what does not match the images."""
    if array.ndim not in (1, 2):
        raise ArgumentError(
            f"{name} has shape {array.shape}, expected ({n_images}, K), or integer labels ({n_images},)"
        )
    if len(array) != n_images:
        raise ArgumentError(
            f"{name} has {len(array)} rows, expected {n_images}: one for each image (labels and images must match)"
        )
    if array.ndim == 1:
        return _check_labels(array, name, n_outputs)
    if array.shape[1] == 0:
        raise ArgumentError(f"{name} has shape {array.shape}, expected at least one column")
    if n_outputs is not None and array.shape[1] != n_outputs:
        raise ArgumentError(f"{name} has {array.shape[1]} columns, expected {n_outputs}: one for each output")
    return int(array.shape[1])


def _check_labels(array: NDArray[Any], name: str, n_outputs: int | None) -> int:
    if array.dtype.kind not in "biu":
        raise ArgumentError(
            f"{name} has shape {array.shape} and dtype {array.dtype}, expected integer labels or an (N, K) array: "
            f"use targets[:, None] for one real output"
        )
    labels = array.astype(np.int64)
    if labels.min() < 0:
        raise ArgumentError(f"{name} holds the label {labels.min()}, expected labels 0, 1, .., K-1")
    k = int(labels.max()) + 1 if n_outputs is None else n_outputs
    if labels.max() >= k:
        raise ArgumentError(f"{name} holds the label {labels.max()}, expected labels below {k}: the number of outputs")
    if n_outputs is None:
        present = np.unique(labels)  # compared by place: a stray huge label must not cost memory
        if len(present) < k:
            missing = int(np.argmax(np.append(present, k) != np.arange(len(present) + 1)))
            raise ArgumentError(
                f"{name} has no image of class {missing} although {k} classes are named, expected labels 0..K-1 "
                f"without gaps: renumber them (numpy.unique(labels, return_inverse=True)[1])"
            )
        if k == 1:
            raise ArgumentError(f"{name} holds one class only, expected at least two: there is nothing to tell apart")
    return k


def one_hot(labels: NDArray[Any], n_outputs: int) -> Floats:
    """Rows ``(N, K)`` of integer labels."""
    rows = np.zeros((len(labels), n_outputs))
    rows[np.arange(len(labels)), labels.astype(np.int64)] = 1.0
    return rows


def check_number(
    name: str, value: float, *, minimum: float = -math.inf, strict: bool = False, maximum: float = math.inf
) -> float:
    """Return ``value`` as a finite float with ``minimum <= value <= maximum`` (``<`` below where strict)."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ArgumentError(f"{name} is {shown(value)}, expected a number") from None
    if not math.isfinite(number):
        raise ArgumentError(f"{name} is {number}, expected a finite number")
    if number < minimum or (strict and number == minimum) or number > maximum:
        bound = f"{'>' if strict else '>='} {minimum:g}" if number <= minimum else f"<= {maximum:g}"
        raise ArgumentError(f"{name} is {number:g}, expected a number {bound}")
    return number


def check_count(name: str, value: int, *, minimum: int = 1) -> int:
    """Return ``value`` as an int of at least ``minimum``."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ArgumentError(f"{name} is {shown(value)}, expected an integer")
    if value < minimum:
        raise ArgumentError(f"{name} is {value}, expected an integer >= {minimum}")
    return int(value)


def check_choice(name: str, value: str, choices: Sequence[str]) -> str:
    """Return ``value`` in lower case if it is one of ``choices``; the error suggests the nearest one."""
    text = value.lower() if isinstance(value, str) else value
    if text in choices:
        return str(text)
    import difflib

    near = difflib.get_close_matches(str(text), choices, n=1)
    hint = f": did you mean {near[0]!r}?" if near else ""
    raise ArgumentError(f"{name} is {shown(value)}, expected one of {', '.join(map(repr, choices))}{hint}")


def check_shape(name: str, value: Sequence[int], length: int | None, meaning: str) -> tuple[int, ...]:
    """Return ``value`` as a tuple of ``length`` positive integers (``None``: any number of them)."""
    try:
        shape = tuple(value)
    except TypeError:
        raise ArgumentError(f"{name} is {shown(value)}, expected {meaning}") from None
    if length is not None and len(shape) != length:
        raise ArgumentError(f"{name} is {shape!r}, expected {meaning}: {length} integers")
    return tuple(check_count(f"{name}[{i}]", n) for i, n in enumerate(shape))


def check_network(network: Any) -> None:
    """Refuse what is no network, before one of its methods is called."""
    if isinstance(network, type) or not hasattr(network, "check_weights"):
        raise ArgumentError(
            f"network is {shown(network)}, expected a LinearCNN or LinearFCN: make one with "
            f"LinearCNN((C, H, W), n_outputs=K)"
        )


def check_path(value: str | os.PathLike[str], name: str = "path") -> Path:
    """Return ``value`` as a path with a name."""
    if isinstance(value, str | os.PathLike) and Path(value).name:
        return Path(value).expanduser()
    raise ArgumentError(f"{name} is {shown(value)}, expected the path of a file")


def shown(value: Any) -> str:
    """``repr`` on one line, cut where it is long: an array or a path of the caller's."""
    return " ".join(reprlib.repr(value).split())


def check_image_shape(value: Sequence[int], name: str = "image_shape") -> tuple[int, int, int]:
    """Return ``value`` as ``(C, H, W)``."""
    channels, height, width = check_shape(name, value, 3, "(C, H, W)")
    return channels, height, width


def check_times(name: str, value: ArrayLike) -> Floats:
    """Return ``value`` as finite, strictly increasing times, none negative."""
    times = check_array(name, value, shape=(None,), why="a list of times")
    if not len(times):
        raise ArgumentError(f"{name} is empty, expected at least one time")
    if times[0] < 0:
        raise ArgumentError(f"{name}[0] is {times[0]:g}, expected times >= 0: the weights are the state at t = 0")
    later = times[1:] > times[:-1]
    if not later.all():
        i = int(np.argmin(later))
        raise ArgumentError(
            f"{name}[{i + 1}] = {times[i + 1]:g} comes after {name}[{i}] = {times[i]:g}, expected increasing "
            f"times: sort them"
        )
    return times


def as_generator(rng: Rng, name: str = "rng") -> np.random.Generator:
    """Return a numpy Generator from a seed or a Generator; nothing global is ever used."""
    if isinstance(rng, np.random.Generator):
        return rng
    if isinstance(rng, int | np.integer) and not isinstance(rng, bool) and rng >= 0:
        return np.random.default_rng(int(rng))
    raise ArgumentError(f"{name} is {shown(rng)}, expected a seed (an integer >= 0) or a numpy.random.Generator")

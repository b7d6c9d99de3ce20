"""The leading axis of an ensemble: found in the arguments, checked, and starts packed all at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError
from lineardyn.networks import LinearCNN, LinearNetwork
from lineardyn.validation import check_array

__all__ = ["StackedWeights", "number_of_runs", "pack_starts", "spread", "stack_weights"]

Floats = NDArray[np.float64]
CHUNK = 16
"""Starts packed at a time: of small networks they stay in the cache."""


class StackedWeights(list[Floats]):
    """Weights of several runs: a list of arrays ``(R, *shape)``, layer 1 first (see :func:`stack_weights`)."""


def stack_weights(starts: Sequence[Sequence[ArrayLike]]) -> StackedWeights:
    """Starts of several runs as one list of arrays with a leading axis, for ``gradient_flow`` and its kin.

    Each array is ``np.stack`` of the layer's weights over the runs.

    Raises
    ------
    ArgumentError
        If the starts do not have the same layers.

    Examples
    --------
    >>> from lineardyn import LinearCNN, stack_weights
    >>> network = LinearCNN((1, 4, 4), n_outputs=2)
    >>> [w.shape for w in stack_weights([network.init_small(scale, rng=0) for scale in (1e-3, 1e-2, 1e-1)])]
    [(3, 1, 4, 4, 1), (3, 2, 4, 4, 1)]
    """
    if not len(starts):
        raise ArgumentError("starts is empty, expected the weights of one run at least")
    first = [np.shape(w) for w in starts[0]]
    for i, start in enumerate(starts):
        shapes = [np.shape(w) for w in start]
        if shapes != first:
            raise ArgumentError(f"starts[{i}] has arrays of shapes {shapes}, expected {first}: those of starts[0]")
    return StackedWeights(np.stack([np.asarray(w) for w in layer]) for layer in zip(*starts, strict=True))


def number_of_runs(network: LinearNetwork, weights: Any, **rates: Any) -> int | None:
    """R of the arguments' leading axes, None where none has one; one of them may be single, and serves all runs.

    What is no set of weights at all is left to the checks of a single run.
    """
    found: dict[str, int] = {}
    if isinstance(weights, Sequence) and not isinstance(weights, np.ndarray) and len(weights) == network.depth:
        extra = [_n_axes(w) - len(shape) for w, shape in zip(weights, network.shapes, strict=True)]
        if 1 in extra:
            for i, w in enumerate(weights):
                if extra[i] != 1:
                    shape = ", ".join(map(str, network.shapes[i]))
                    raise ArgumentError(
                        f"weights[{i}] has shape {np.shape(w)}, expected (R, {shape}): another layer has a leading "
                        f"axis of runs; stack_weights gives all of them one"
                    )
                found[f"weights[{i}]"] = np.shape(w)[0]
    found |= {name: len(value) for name, value in rates.items() if _n_axes(value) == 1}
    if not found:
        return None
    (first, n_runs), *others = found.items()
    for name, n in others:
        if n != n_runs:
            raise ArgumentError(
                f"{name} has a leading axis of {n}, expected {n_runs}: one for each run, as {first} has"
            )
    if n_runs == 0:
        raise ArgumentError(f"{first} has a leading axis of 0, expected one run at least")
    return n_runs


def _n_axes(value: Any) -> int:
    try:
        return int(np.ndim(value))
    except ValueError:  # ragged: said where its layer is checked
        return -1


def spread(name: str, value: ArrayLike, n_runs: int, *, strict: bool = False) -> Floats:
    """One number >= 0 (> 0 where strict) for each run, from as many, or from one."""
    numbers = check_array(name, value)
    bad = ~(numbers > 0.0) if strict else numbers < 0.0
    if bad.any():
        at = "" if numbers.ndim == 0 else f"[{int(np.argmax(bad))}]"
        raise ArgumentError(f"{name}{at} is {numbers[bad].flat[0]:g}, expected a number {'>' if strict else '>='} 0")
    return np.ascontiguousarray(np.broadcast_to(numbers, (n_runs,)))


def pack_starts(network: LinearNetwork, weights: Sequence[ArrayLike], n_runs: int) -> Floats:
    """Flat states ``(R, n)`` of weights with a leading axis, or of one start for all; each as ``network.pack``."""
    listed = isinstance(weights, Sequence) and len(weights) == network.depth
    if not (listed and _n_axes(weights[0]) == len(network.shapes[0]) + 1):
        return np.tile(network.pack(weights), (n_runs, 1))
    layers = []
    for i, (w, shape) in enumerate(zip(weights, network.shapes, strict=True)):
        if np.shape(w)[1:] != shape:
            network.check_weights([np.zeros(s) if j != i else np.asarray(w)[0] for j, s in enumerate(network.shapes)])
        layers.append(check_array(f"weights[{i}]", w, shape=(n_runs, *shape), why=f"layer {i + 1} of {network}"))
    if isinstance(network, LinearCNN):
        _, height, width = network.image_shape
        kernels = [w.transpose(0, 1, 4, 2, 3).reshape(n_runs, -1, height, width) for w in layers]
        packed = np.empty((n_runs, sum(k.shape[1] for k in kernels), 2, network.half.size))
        for i in range(0, n_runs, CHUNK):
            network.half.pack_images(np.concatenate([k[i : i + CHUNK] for k in kernels], axis=1), packed[i : i + CHUNK])
        if getattr(network, "convention", "convolution") == "convolution":
            convolutions = packed[:, : -kernels[-1].shape[1], 1]  # their spectrum is ŵ, the last layer's conj(ŵ)
            np.negative(convolutions, out=convolutions)
        return packed.reshape(n_runs, -1)
    first, *rest = layers
    packed = network.half.pack_images(first.reshape(n_runs, -1, *network.image_shape))
    return np.concatenate([packed.reshape(n_runs, -1), *(w.reshape(n_runs, -1) for w in rest)], axis=1)

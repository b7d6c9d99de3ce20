r"""The cheapest scale of every neuron: its filter and bias times s, what reads it divided by s.

The activation commutes with s > 0 and the pooling with any factor of a channel, so that the function stays, and
``‖θ‖²`` is smallest where each hidden channel costs on the way in what it costs on the way out: a convex problem in
``log s``, solved channel by channel [theory, section 4].
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from lineardyn.errors import ArgumentError
from lineardyn.validation import check_count
from proofs_check.cbn.network import CyclicCNN

__all__ = ["balance", "balance_layers"]

Floats = NDArray[np.float64]

_GAIN = 1e-9
"""A sweep that lowers the norm by less than this share is the last."""


def balance(network: CyclicCNN, *, max_sweeps: int = 200) -> CyclicCNN:
    """The same function with every hidden channel balanced; its norm is at most that of ``network``.

    Parameters
    ----------
    network : CyclicCNN
        With all layers on one grid.
    max_sweeps : int
        Over all channels; fewer where nothing is gained any more.

    Raises
    ------
    ArgumentError
        For what is no network, or a strided one.

    Examples
    --------
    >>> net = CyclicCNN.random((4,), (1, 3, 3, 1), rng=0, bias_scale=1.0)
    >>> better = balance(net)
    >>> x = np.ones((1, 4))
    >>> better.norm() < net.norm(), bool(np.allclose(better(x), net(x)))
    (True, True)
    """
    if not isinstance(network, CyclicCNN) or network.strides[0] != 1:
        raise ArgumentError("network is no CyclicCNN with all layers on one grid, expected one")
    sweeps = check_count("max_sweeps", max_sweeps)
    weights, biases = balance_layers(network.weights, network.biases, max_sweeps=sweeps)
    return CyclicCNN(weights, biases, pooling=network.pooling, slope=network.slope)


def balance_layers(
    weights: Sequence[Floats], biases: Sequence[Floats], *, together: Collection[int] = (), max_sweeps: int = 200
) -> tuple[list[Floats], list[Floats]]:
    """Balanced copies; the channels of the hidden layers in ``together`` (1 is the first) share one factor."""
    axes = tuple(range(1, weights[0].ndim - 1))
    squares, offsets = [(w**2).sum(axis=axes) for w in weights], [np.square(b) for b in biases]
    scales = [np.ones(weights[0].shape[-1]), *(np.ones(len(w)) for w in weights)]
    before = _filter_norm(squares, offsets)
    for _ in range(max_sweeps):
        for layer in range(1, len(squares)):
            scales[layer] *= _balance_layer(squares, offsets, layer, layer in together)
        after = _filter_norm(squares, offsets)
        if before - after <= _GAIN * before:
            break
        before = after
    column = (-1, *(1,) * (weights[0].ndim - 1))
    ws = [scales[i + 1].reshape(column) * w / scales[i] for i, w in enumerate(weights)]
    return ws, [scale * b for scale, b in zip(scales[1:], biases, strict=True)]


def _balance_layer(squares: list[Floats], offsets: list[Floats], layer: int, together: bool) -> Floats:
    """Scales of one layer's channels, applied to ``squares (C_out, C_in)`` of filters and to those of biases in place.

    A channel without input or without readers keeps its scale.
    """
    into, out = squares[layer - 1].sum(axis=1) + offsets[layer - 1], squares[layer].sum(axis=0)
    if together:
        into, out = np.full_like(into, into.sum()), np.full_like(out, out.sum())
    alive = (into > 0.0) & (out > 0.0)
    scale = np.where(alive, np.where(alive, out, 1.0) / np.where(alive, into, 1.0), 1.0) ** 0.25
    squares[layer - 1] *= scale[:, None] ** 2
    offsets[layer - 1] *= scale**2
    squares[layer] /= scale**2
    return np.asarray(scale)


def _filter_norm(squares: Sequence[Floats], offsets: Sequence[Floats]) -> float:
    return sum(float(w.sum()) for w in squares) + sum(float(b.sum()) for b in offsets)

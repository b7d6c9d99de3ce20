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
    ws, bs = [np.array(w) for w in weights], [np.array(b) for b in biases]
    before = _filter_norm(ws, bs)
    for _ in range(max_sweeps):
        for layer in range(1, len(ws)):
            _balance_layer(ws, bs, layer, layer in together)
        after = _filter_norm(ws, bs)
        if before - after <= _GAIN * before:
            break
        before = after
    return ws, bs


def _balance_layer(ws: list[Floats], bs: list[Floats], layer: int, together: bool) -> None:
    """In place; a channel without input or without readers keeps its scale."""
    into = (ws[layer - 1] ** 2).sum(axis=tuple(range(1, ws[layer - 1].ndim))) + bs[layer - 1] ** 2
    out = (ws[layer] ** 2).sum(axis=tuple(range(ws[layer].ndim - 1)))
    if together:
        into, out = np.full_like(into, into.sum()), np.full_like(out, out.sum())
    alive = (into > 0.0) & (out > 0.0)
    scale = np.where(alive, np.where(alive, out, 1.0) / np.where(alive, into, 1.0), 1.0) ** 0.25
    ws[layer - 1] *= scale.reshape(-1, *(1,) * (ws[layer - 1].ndim - 1))
    bs[layer - 1] *= scale
    ws[layer] /= scale


def _filter_norm(ws: Sequence[Floats], bs: Sequence[Floats]) -> float:
    return sum(float((w**2).sum()) for w in ws) + sum(float((b**2).sum()) for b in bs)

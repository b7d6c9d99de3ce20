"""What the kernels need: a network, its statistics and scratch, as plain arrays in a layout that suits the machine."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from lineardyn.flow import _kernels

if TYPE_CHECKING:
    from lineardyn.moments import SecondMoments, Statistics
    from lineardyn.networks import LinearNetwork

__all__ = [
    "KernelArguments",
    "Layout",
    "aligned",
    "batch_arguments",
    "flow_arguments",
    "kernel_arguments",
    "right_hand_side",
    "rooms",
    "scratch",
]

Floats = NDArray[np.float64]
LANES = 8
"""Doubles of one vector instruction, and of a cache line: spectra that fill them run up to a third faster."""


class KernelArguments(NamedTuple):
    """The tail of every kernel's signature: the network, then the statistics, then scratch."""

    conv: bool
    sizes: NDArray[np.int64]
    offsets: NDArray[np.int64]
    weights: Floats
    constant: float
    decay: float
    dense: bool
    rows: Floats
    target: Floats
    gain: Floats
    matrix: Floats
    work: Floats

    @property
    def few(self) -> bool:
        """Few enough rows of statistics, and outputs, for the kernels' own products, which beat BLAS there."""
        return not self.dense and max(self.gain.size, int(self.sizes[-1])) <= _kernels.FEW

    @property
    def flops(self) -> float:
        """Operations of the two matrix products of one right-hand side of one run."""
        outputs, width = int(self.sizes[-1]), self.weights.size
        inner = width if self.dense else 2 * self.gain.size
        return 2.0 * outputs * width * inner + 40.0 * float(self.offsets[-1])


@dataclass(frozen=True)
class Layout:
    """How a flat state ``(n,)`` lies while kernels work on it.

    Spectra of ``length`` frequencies are padded with zeros to ``padded`` of them, which stay zero: statistics and
    predictor have nothing there.
    """

    length: int
    padded: int

    def pad(self, values: Floats) -> Floats:
        """Flat arrays ``(..., n)`` in a new array that begins at a cache line."""
        if self.padded == self.length:
            out = aligned(values.shape)
            out[...] = values
            return out
        spectra = values.reshape(*values.shape[:-1], -1, self.length)
        out = aligned((*values.shape[:-1], spectra.shape[-2] * self.padded))
        parts = out.reshape(*spectra.shape[:-1], self.padded)
        parts[..., : self.length] = spectra
        parts[..., self.length :] = 0.0
        return out

    def unpad(self, values: Floats) -> Floats:
        """Inverse of :meth:`pack`."""
        if self.padded == self.length:
            return values
        spectra = values.reshape(*values.shape[:-1], values.shape[-1] // self.padded, self.padded)[..., : self.length]
        return spectra.reshape(*values.shape[:-1], -1)


FLAT = Layout(1, 1)
"""Nothing is padded."""


def aligned(shape: tuple[int, ...]) -> Floats:
    """An empty array that begins at a cache line."""
    size = math.prod(shape)
    buffer = np.empty(size + LANES)
    address = ctypes.addressof(ctypes.c_char.from_buffer(buffer.data))  # a third of the time that numpy takes to say it
    start = -(address // buffer.itemsize) % LANES
    return buffer[start : start + size].reshape(shape)


def rooms(room: Floats, sizes: Sequence[int]) -> list[Floats]:
    """Flat arrays of these sizes that begin at cache lines, as ``room`` does, in it as far as it goes."""
    flat, made, used = room.reshape(-1), [], 0
    for size in sizes:
        fits = used + size <= flat.size
        made.append(flat[used : used + size] if fits else aligned((size,)))
        used += -(-size // LANES) * LANES if fits else 0
    return made


def kernel_arguments(
    network: LinearNetwork, moments: SecondMoments, weight_decay: float, work: Floats | None = None
) -> KernelArguments:
    """What the kernels need to know of a network and a data set, in the layout of ``network.pack``.

    ``work``: scratch of the same network and data set, to be shared.
    """
    bare = _without_scratch(network, moments.statistics, moments.weights, network.offsets)
    if work is not None:
        return bare._replace(decay=weight_decay, work=work)
    return _with_scratch(bare, network, weight_decay)


def batch_arguments(
    network: LinearNetwork, moments: SecondMoments, weight_decays: Floats
) -> tuple[KernelArguments, Layout]:
    """The same for a batch of runs over dense statistics, each with its own weight decay; nothing is padded."""
    stats, runs = moments.statistics._replace(gain=weight_decays), len(weight_decays)
    return _with_scratch(_without_scratch(network, stats, moments.weights, network.offsets), network, 0.0, runs), FLAT


def flow_arguments(
    network: LinearNetwork, moments: SecondMoments, weight_decay: float
) -> tuple[KernelArguments, Layout]:
    """The same for integrators: padded where the statistics have few rows, as they then cost nothing to copy.

    All but the scratch is kept as long as the moments live, for their next flow: making it anew would take a tenth of
    the time of a small one.
    """
    of, bare, layout = _prepared.get(moments, (None, None, FLAT))
    if bare is None or (of is not network and of != network):
        bare, layout = _for_integrators(network, moments)
        _prepared[moments] = network, bare, layout
    return _with_scratch(bare, network, weight_decay), layout


_prepared: WeakKeyDictionary[SecondMoments, tuple[LinearNetwork, KernelArguments, Layout]] = WeakKeyDictionary()
"""Of the last network that moved on these moments."""


def _for_integrators(network: LinearNetwork, moments: SecondMoments) -> tuple[KernelArguments, Layout]:
    stats, weights = moments.statistics, moments.weights
    bare = _without_scratch(network, stats, weights, network.offsets)
    if not (bare.few and bare.conv):
        return bare, FLAT
    length = moments.half.size
    layout = Layout(length, -(-length // LANES) * LANES)
    padded, offsets = stats._replace(rows=layout.pad(stats.rows)), network.offsets // length * layout.padded
    return _without_scratch(network, padded, layout.pad(weights), offsets), layout


def _without_scratch(
    network: LinearNetwork, stats: Statistics, weights: Floats, offsets: NDArray[np.int64]
) -> KernelArguments:
    from lineardyn.networks import LinearCNN

    conv = isinstance(network, LinearCNN)
    sizes = np.array(network.sizes, dtype=np.int64)
    constant = network.constant if isinstance(network, LinearCNN) else 1.0
    return KernelArguments(conv, sizes, offsets, weights, constant, 0.0, *stats, work=np.empty(0))


def _with_scratch(bare: KernelArguments, network: LinearNetwork, decay: float, runs: int = 1) -> KernelArguments:
    n_rows = 0 if bare.dense else bare.gain.size
    return bare._replace(decay=decay, work=scratch(network, bare.weights.size, n_rows, runs))


def scratch(network: LinearNetwork, width: int, n_rows: int, runs: int = 1) -> Floats:
    """Room for one right-hand side; ``n_rows`` of the statistics, 0 where they are dense.

    The predictor of some outputs, the residual where it cannot take its place, the coefficients of the rows, and
    products and gradients of hidden layers.
    """
    from lineardyn.networks import LinearCNN

    conv, outputs = isinstance(network, LinearCNN) and network.depth > 1, network.n_outputs
    some, coefficients = outputs, outputs
    if conv and n_rows:
        few = max(outputs, n_rows) <= _kernels.FEW
        some, coefficients = (4, outputs) if few else (min(outputs, _kernels.OUTPUTS),) * 2
    elif not n_rows and network.depth > 1:
        some = 2 * outputs
    hidden = 2 * sum(network.widths[1:]) + (network.widths[-1 if conv else 0] if network.widths else 0)
    return aligned((runs * ((some + hidden) * width + coefficients * n_rows) + LANES,))


def right_hand_side(arguments: KernelArguments, state: Floats) -> Floats:
    """``-∇ℒ`` at a packed state."""
    out = np.empty_like(state)
    _kernels.flow(state, out, *arguments)
    return out

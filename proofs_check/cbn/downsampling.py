r"""Down-sampling by s: which layers may run on every s-th pixel, and what that costs.

Every s-th pixel of an image determines it exactly if its frequencies have ``|ω| < n/(2s)``; at equality the sine is
lost (``x = (0, 1, 0, -1)``, s = 2). So identity layers may run on n/s pixels if the bottleneck is band-limited. That is
not necessary: ω is read as ``ω mod n/s``, and it suffices that nothing else that occurs is read as the same (±3 alone
of n = 8 at s = 2). Any network without pooling may, with more channels: the phases ``x'[(c, r), j] = x[c, s j + r]``
turn it into one whose hidden layers live on n/s pixels, with the same function and the same operator norm, so ``R_s ≤
R`` for widths that are free; in the filter convention it costs ``s^d`` times as much on a grid of d dimensions, less
``(s^d - 1)‖b_L‖²``, since the operator has ``n/s^d`` copies of a filter and not n [theory, section 4, corrected: there
the band is said to be necessary; Wen & Jacot, reconstructed: the paper's own formulas were not available].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError
from lineardyn.validation import check_array, check_count, check_number
from proofs_check.cbn.construction import as_network
from proofs_check.cbn.network import CyclicCNN

__all__ = ["Downsampling", "band", "can_downsample", "interpolate", "polyphase"]

Floats = NDArray[np.float64]
Function = Callable[[Floats], ArrayLike]


@dataclass(frozen=True)
class Downsampling:
    """Whether a bottleneck is band-limited, so that it may live on every s-th pixel, and what the coarse form is.

    Attributes
    ----------
    possible
        Whether all frequencies that occur are below ``n/(2s)``, which suffices; ``bool(result)`` is the same.
    reason
        It in one sentence, with the frequency that is in the way.
    stride
        s.
    support
        Frequencies that occur, bool of shape ``grid``; for a network those of the hidden layer with the narrowest band.
    layers
        Hidden layers l of a network whose pre-activations are band-limited.
    coarse
        Of blocks: the blocks on the coarse grid, or ``None`` if not band-limited. Of a network: its :func:`polyphase`
        form, or ``None`` where there is none. Of a function: ``None``.
    """

    possible: bool
    reason: str
    stride: int
    support: NDArray[np.bool_]
    layers: tuple[int, ...]
    coarse: CyclicCNN | NDArray[np.complex128] | None

    def __bool__(self) -> bool:
        return self.possible


def can_downsample(
    bottleneck: CyclicCNN | ArrayLike | Function, stride: int, *, samples: ArrayLike | None = None, tol: float = 1e-10
) -> Downsampling:
    """Whether all frequencies are ``|ω| < n/(2s)``, so that identity layers may run on every ``stride``-th pixel.

    The condition suffices. One channel that holds every frequency up to its highest needs it; where nothing that occurs
    is confused with anything else, as with ±3 alone of n = 8 at s = 2, every s-th pixel determines the image without it
    (claim ``coarse-bottleneck``), though not by :func:`interpolate`.

    Parameters
    ----------
    bottleneck : CyclicCNN, array_like or callable
        Blocks ``(*grid, C_out, C_in)``: a linear g, its frequencies are those of blocks that do not vanish. A network:
        the frequencies of each hidden pre-activation ``z_l``, those of its filter (and 0, by the bias); possible if one
        hidden layer is band-limited. A function g from ``(N, C, *grid)`` to ``(N, C', *grid)``: those of
        ``g(samples)``.
    stride : int
        s, a divisor of each side of the grid.
    samples : array_like, optional
        ``(N, C, *grid)``, for a function: the answer holds for them.
    tol : float
        What is below ``tol`` times the largest coefficient does not occur.

    Raises
    ------
    ArgumentError
        For a stride that does not divide the grid, or a function without samples.

    Notes
    -----
    Source: theory, section 4. At s = 1 nothing is left out and every frequency passes. At equality the cosine passes
    but its shift, the sine, does not: no equivariant layer can have one without the other.

    Examples
    --------
    >>> blocks = np.zeros((8, 1, 1))
    >>> blocks[[1, 7]] = 1.0
    >>> bool(can_downsample(blocks, 2)), can_downsample(blocks, 4).reason
    (True, 'frequency (1,) is not below n/(2s) = 1: its sine vanishes on every 4-th pixel or it is taken for another')
    """
    s = check_count("stride", stride)
    cut = check_number("tol", tol, minimum=0.0, maximum=0.5)
    if isinstance(bottleneck, CyclicCNN):
        return _of_network(bottleneck, s, cut)
    if callable(bottleneck):
        if samples is None:
            raise ArgumentError("samples is None, expected images (N, C, *grid): a function is known where it is tried")
        return _of_function(bottleneck, check_array("samples", samples), s, cut)
    net = as_network(bottleneck, name="bottleneck")
    _check_divides(s, net.grid)
    blocks = net.operator_blocks()[0]
    support = _occurring(np.abs(blocks).max(axis=(-2, -1)), cut)
    possible = not (support & ~band(net.grid, s)).any()
    return Downsampling(possible, _reason(support, s), s, support, (), _coarse(blocks, s) if possible else None)


def band(grid: tuple[int, ...], stride: int) -> NDArray[np.bool_]:
    """Frequencies ``|ω| < n/(2s)`` on every axis; all of them for s = 1."""
    inside = np.ones(grid, dtype=np.bool_)
    if stride > 1:
        for axis, side in enumerate(grid):
            omega = np.minimum(np.arange(side), side - np.arange(side))
            inside &= (2 * stride * omega < side).reshape([-1 if i == axis else 1 for i in range(len(grid))])
    return inside


def interpolate(samples: ArrayLike, stride: int) -> Floats:
    """The band-limited image ``(C, *grid)`` or ``(N, C, *grid)`` with the given values on every ``stride``-th pixel.

    The inverse of ``x[..., ::s]`` for images with ``|ω| < n/(2s)`` only.

    Examples
    --------
    >>> x = np.cos(2 * np.pi * np.arange(8) / 8)[None]
    >>> bool(np.allclose(interpolate(x[:, ::2], 2), x))
    True
    """
    y, s = check_array("samples", samples), check_count("stride", stride)
    if y.ndim not in (2, 3, 4) or 0 in y.shape:
        raise ArgumentError(f"samples has shape {y.shape}, expected (C, n), (N, C, n) or (N, C, H, W)")
    d = 2 if y.ndim == 4 else 1
    axes, coarse = tuple(range(-d, 0)), y.shape[-d:]
    fine = tuple(side * s for side in coarse)
    hat = np.zeros((*fine, *y.shape[:-d]), dtype=np.complex128)
    low = np.moveaxis(scipy.fft.fftn(y, axes=axes) * s**d, axes, tuple(range(d)))
    hat[band(fine, s)] = low[_low(fine, s)]
    hat = np.moveaxis(hat, tuple(range(d)), axes)
    return np.asarray(scipy.fft.ifftn(hat, axes=axes).real)


def polyphase(network: CyclicCNN, stride: int) -> CyclicCNN:
    r"""The same function with hidden layers on n/s pixels: channel ``(c, r)`` holds pixels ``s j + r`` of channel c.

    ``w'_1[(o,r), m] = w_1[o, m+r]``, ``w'_l[(o,r), j, (c,r')] = w_l[o, s j + r - r', c]``, ``w'_L[o, m, (c,r)] =
    w_L[o, m-r, c]``; the biases of hidden layers once for each phase. A network with strides ``(s, 1, .., 1, -s)``, of
    the same operator norm; its filter norm is s times that of the network, less ``(s-1)‖b_L‖²`` (``s²`` for s in 2-D).

    Raises
    ------
    ArgumentError
        For a stride that does not divide the grid, a network that is strided, pools (M mixes the phases) or has one
        layer (nothing is hidden).

    Notes
    -----
    Source: theory, section 4.

    Examples
    --------
    >>> net = CyclicCNN.random((6,), (1, 2, 2, 1), rng=0, bias_scale=1.0)
    >>> coarse = polyphase(net, 3)
    >>> x = np.random.default_rng(0).standard_normal((1, 6))
    >>> coarse.widths, bool(np.allclose(coarse(x), net(x))), round(coarse.norm() / net.norm(), 12)
    ((1, 6, 6, 1), True, 1.0)
    """
    if not isinstance(network, CyclicCNN):
        raise ArgumentError(f"network is {type(network).__name__}, expected a CyclicCNN")
    s = check_count("stride", stride)
    _check_divides(s, network.grid)
    obstacle = _obstacle(network)
    if obstacle:
        raise ArgumentError(f"network {obstacle}")
    if s == 1:
        return network
    phases = np.stack(np.meshgrid(*(np.arange(s),) * len(network.grid), indexing="ij"), axis=-1)
    shifts = phases.reshape(-1, len(network.grid))
    axes = tuple(range(1, len(network.grid) + 1))
    first = np.stack([np.roll(network.weights[0], tuple(-r), axes) for r in shifts], axis=1)
    last = np.stack([np.roll(network.weights[-1], tuple(r), axes) for r in shifts], axis=-1)
    hidden = [_between_phases(w, shifts, s) for w in network.weights[1:-1]]
    weights = [first.reshape(-1, *first.shape[2:]), *hidden, last.reshape(*last.shape[:-2], -1)]
    biases = [np.repeat(b, len(shifts)) for b in network.biases[:-1]] + [network.biases[-1]]
    return CyclicCNN(weights, biases, slope=network.slope, strides=(s, *(1,) * (network.depth - 2), -s))


def _between_phases(w: Floats, shifts: NDArray[np.int64], s: int) -> Floats:
    """``(C_out phases, *coarse, C_in phases)``."""
    axes = tuple(range(1, w.ndim - 1))
    every = (slice(None), *(slice(None, None, s),) * len(axes), slice(None))
    rows = [[np.roll(w, tuple(q - r), axes)[every] for q in shifts] for r in shifts]
    blocks = np.stack([np.stack(row, axis=-1) for row in rows], axis=1)  # (C_out, r, *coarse, C_in, r')
    return blocks.reshape(w.shape[0] * len(shifts), *blocks.shape[2:-2], w.shape[-1] * len(shifts))


def _obstacle(network: CyclicCNN) -> str:
    """Why a network has no polyphase form, or nothing."""
    if network.strides[0] != 1:
        return "is strided already, expected all layers on the grid"
    if (network.pooling != 1.0).any():
        return "pools, expected pooling=None: M mixes the phases, so that it is no pooling of the coarse grid"
    if network.depth < 2:
        return "has one layer, expected at least two: no layer is hidden"
    return ""


def _of_network(network: CyclicCNN, s: int, tol: float) -> Downsampling:
    """By the frequencies of the filters of hidden layers."""
    _check_divides(s, network.grid)
    if network.strides[0] != 1:
        raise ArgumentError("bottleneck is strided, expected a network with all layers on one grid")
    supports = []
    for blocks, b in zip(network.operator_blocks()[:-1], network.biases[:-1], strict=True):
        support = _occurring(np.abs(blocks).max(axis=(-2, -1)), tol)
        support.flat[0] |= bool(b.any())
        supports.append(support)
    if not supports:
        raise ArgumentError(
            "bottleneck has one layer, expected a hidden layer: give its blocks to ask for a linear map"
        )
    outside = [int((support & ~band(network.grid, s)).sum()) for support in supports]
    best = int(np.argmin(outside))
    layers = tuple(place + 1 for place, count in enumerate(outside) if count == 0)
    coarse = None if _obstacle(network) else polyphase(network, s)
    return Downsampling(bool(layers), _reason(supports[best], s), s, supports[best], layers, coarse)


def _of_function(g: Function, samples: Floats, s: int, tol: float) -> Downsampling:
    """By the transforms of its values."""
    if samples.ndim not in (3, 4) or 0 in samples.shape:
        raise ArgumentError(f"samples has shape {samples.shape}, expected (N, C, n) or (N, C, H, W)")
    grid = samples.shape[2:]
    _check_divides(s, grid)
    values = check_array("bottleneck(samples)", g(samples), shape=(len(samples), None, *grid), why="g is equivariant")
    hat = np.abs(scipy.fft.fftn(values, axes=tuple(range(2, values.ndim))))
    support = _occurring(hat.max(axis=(0, 1)), tol)
    return Downsampling(not (support & ~band(grid, s)).any(), _reason(support, s), s, support, (), None)


def _check_divides(s: int, grid: tuple[int, ...]) -> None:
    if any(side % s for side in grid):
        raise ArgumentError(f"stride is {s}, expected a divisor of every side of the grid {grid}")


def _occurring(sizes: Floats, tol: float) -> NDArray[np.bool_]:
    return np.asarray(sizes > tol * sizes.max(initial=0.0))


def _reason(support: NDArray[np.bool_], s: int) -> str:
    outside = np.argwhere(support & ~band(support.shape, s))
    limits = " x ".join(f"{side / (2 * s):g}" for side in support.shape)
    if not len(outside):
        return f"every frequency that occurs is below n/(2s) = {limits}" if s > 1 else "s = 1 leaves nothing out"
    where = tuple(int(i) for i in outside[0])
    return (
        f"frequency {where} is not below n/(2s) = {limits}: its sine vanishes on every {s}-th pixel or it is taken for "
        f"another"
    )


def _low(fine: tuple[int, ...], s: int) -> tuple[NDArray[np.int64], ...]:
    """Places on the coarse grid of the frequencies of :func:`band`, in its order."""
    places = np.nonzero(band(fine, s))
    return tuple(np.where(2 * w > side, w - side, w) % (side // s) for w, side in zip(places, fine, strict=True))


def _coarse(blocks: NDArray[np.complex128], s: int) -> NDArray[np.complex128]:
    """The same map on band-limited images of n/s pixels: the same block at the same frequency."""
    fine = blocks.shape[:-2]
    result = np.zeros((*(side // s for side in fine), *blocks.shape[-2:]), dtype=np.complex128)
    result[_low(fine, s)] = blocks[band(fine, s)]
    return result

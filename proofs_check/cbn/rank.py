r"""The bottleneck rank of a map on a set, from both sides.

::

    Rank_CBN(f; Ω) = min over f = h∘g on Ω of Σ_ω |m_ω|^{-2} dim span{ĝ(x)_ω : x ∈ Ω}

with g, h equivariant, continuous and piecewise linear. No algorithm finds the minimum. *Upper bounds* are
factorisations that are there: f through the input as far as its Jacobians see it, through each hidden pre-activation
``z_l`` of a network, through its own output. *Lower bound*: where f is differentiable ``Jf = Jh Jg``, and the image of
Jg lies in a space of dimension ``Σ_ω k_ω``; since ``|m_ω| ≤ 1``, ``Rank_CBN ≥ max_x rank Jf(x)``. It needs x in the
interior of Ω: a finite set always factors through two frequencies (:func:`two_frequency_factorization`), which is no
property of f. At a constant image the bound may be taken frequency by frequency, ``Σ_ω |m_ω|^{-2} rank Ĵ_ω``, but only
if g and h have no kink there; with pooling it fails without that condition (:func:`winding_code`), so it is reported
apart [theory, section 4; Wen & Jacot, reconstructed: the paper's own formulas were not available].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError
from lineardyn.validation import check_array, check_number, shown
from proofs_check.cbn.network import CyclicCNN
from proofs_check.cbn.pooling import check_pooling

__all__ = ["THRESHOLDS", "BottleneckRank", "cbn_rank"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Function = Callable[[Floats], ArrayLike]

THRESHOLDS = tuple(10.0**-k for k in range(1, 11))
"""Shares of the largest singular value at which ranks are counted, besides the one asked for."""

_ROUND_OFF = 1e-12
"""Of the norm of a layer's spectra, means included: what varies less does not vary, as where all neurons are silent."""
_STEP = 1e-6
"""Of a central difference, relative to the largest pixel: exact for piecewise linear maps, up to 1e-10 of round-off."""


@dataclass(frozen=True)
class BottleneckRank:
    """``lower ≤ Rank_CBN ≤ upper``, up to the numerical ranks of the sample.

    Attributes
    ----------
    upper, lower
        The smallest of ``costs``; the largest rank of a Jacobian.
    place
        The factorisation that gives ``upper``.
    costs
        ``Σ_ω |m_ω|^{-2} k_ω`` of each factorisation: "input", "layer 1", .., "output".
    ranks
        ``k_ω (*grid)`` of each factorisation.
    jacobian_ranks
        ``rank Jf(x)`` of each sample, ``(N,)``.
    constant
        ``Σ_ω |m_ω|^{-2} rank Ĵ_ω`` at the mean constant image, or ``None`` for a function, a strided network or a kink
        there. A lower bound only for factorisations without a kink at that image.
    threshold
        Singular values above this share of the largest count.
    counts
        ``Σ_ω k_ω`` at ``upper`` for each threshold of :data:`THRESHOLDS`.
    stable
        Whether ``counts`` is the same from a hundredth to a hundred times the threshold.
    """

    upper: float
    lower: int
    place: str
    costs: dict[str, float]
    ranks: dict[str, Integers]
    jacobian_ranks: Integers
    constant: float | None
    threshold: float
    counts: dict[float, int]
    stable: bool


def cbn_rank(
    f: CyclicCNN | Function, samples: ArrayLike, *, pooling: ArrayLike | None = None, threshold: float = 1e-6
) -> BottleneckRank:
    r"""Bounds of the bottleneck rank of f on a set with an interior, from points of the interior.

    Parameters
    ----------
    f : CyclicCNN or callable
        A function takes ``(N, C, *grid)`` and returns ``(N, C', *grid)``; its Jacobians are central differences.
    samples : array_like
        ``(N, C, *grid)``, points of the interior of Ω, more than there are dimensions.
    pooling : array_like, optional
        ``m_ω`` for a function (ones by default); a network has its own.
    threshold : float
        Singular values count that exceed this share of the largest: of the frequency's own factorisation over all
        frequencies, or of the Jacobian.

    Raises
    ------
    ArgumentError
        For samples of another shape, so few that they span less than the Jacobians have, or a function that does not
        map images to images of its grid.

    Notes
    -----
    Spans: at ω ≠ 0 of ``ẑ(x)_ω``, at DC of ``ẑ(x)_0`` less its mean, since a constant may be left to h. "input": the
    span of the rows of ``Jf(x)`` at ω: on a convex Ω, f depends on x through these alone. A sample shows at most the
    true dimensions, so that "upper" is an upper bound once there are enough points in every piece of f: watch that it
    does not grow with more of them. Likewise "lower" may miss a piece, which leaves it a lower bound. Source: theory,
    section 4.

    Examples
    --------
    >>> blocks = np.zeros((5, 1, 1))
    >>> blocks[[0, 1, 4]] = 1.0
    >>> from proofs_check.cbn.construction import build_bottleneck
    >>> net = build_bottleneck(blocks, blocks, depth=4).network
    >>> x = np.random.default_rng(0).standard_normal((20, 1, 5)) / 10
    >>> bounds = cbn_rank(net, x)
    >>> bounds.lower, bounds.upper, bounds.stable
    (3, 3.0, True)
    """
    x = check_array("samples", samples)
    cut = check_number("threshold", threshold, minimum=0.0, maximum=0.5, strict=True)
    if x.ndim not in (3, 4) or 0 in x.shape:
        raise ArgumentError(f"samples has shape {x.shape}, expected (N, C, n) or (N, C, H, W), none of them 0")
    if isinstance(f, CyclicCNN):
        if pooling is not None:
            raise ArgumentError("pooling is given, expected None: a network has its own")
        m, jacobians = f.pooling, f.jacobian(x)
        values = dict(zip(_names(f.depth), f.preactivations(x), strict=True))
        if f.strides[0] != 1:
            raise ArgumentError("f is strided, expected a network with all layers on one grid: it is not equivariant")
    elif callable(f):
        m = check_pooling(pooling, x.shape[2:])
        values = {"output": _values(f, x)}
        jacobians = _differences(f, x, values["output"].shape[1])
    else:
        raise ArgumentError(f"f is {shown(f)}, expected a CyclicCNN or a function of images (N, C, *grid)")
    sizes = {"input": np.linalg.svd(_rows(jacobians, x.ndim - 2), compute_uv=False)}
    sizes |= {name: _spans(z) for name, z in values.items()}
    ranks = {name: _count(s, cut) for name, s in sizes.items()}
    costs = {name: float((k / m**2).sum()) for name, k in ranks.items()}
    place = min(costs, key=lambda name: costs[name])
    counts = {t: int(_count(sizes[place], t).sum()) for t in THRESHOLDS}
    near = [int(_count(sizes[place], cut * factor).sum()) for factor in (1e-2, 1e-1, 1.0, 10.0, 100.0)]
    flat = jacobians.reshape(len(x), int(np.prod(values["output"].shape[1:])), -1)
    singular = np.linalg.svd(flat, compute_uv=False)
    each = np.asarray((singular > cut * singular.max(axis=1, keepdims=True)).sum(axis=1), dtype=np.int64)
    if costs[place] < each.max():
        raise ArgumentError(
            f"samples has {len(x)} points, which span {costs[place]:.4g} where f has Jacobians of rank {each.max()}, "
            f"expected more points: as many as there are dimensions"
        )
    constant = _at_constant(f, x, cut) if isinstance(f, CyclicCNN) else None
    return BottleneckRank(
        costs[place], int(each.max()), place, costs, ranks, each, constant, cut, counts, len(set(near)) == 1
    )


def _names(depth: int) -> list[str]:
    return [f"layer {place}" for place in range(1, depth)] + ["output"]


def _values(f: Function, x: Floats) -> Floats:
    why = "f maps images (N, C, *grid) to images of the same grid"
    return check_array("f(samples)", f(x), shape=(len(x), None, *x.shape[2:]), why=why)


def _differences(f: Function, x: Floats, channels: int) -> Floats:
    """Central differences ``(N, C_out, *grid, C_in, *grid)``."""
    step = _STEP * (float(np.abs(x).max()) or 1.0)
    size = int(np.prod(x.shape[1:]))
    moves = step * np.eye(size).reshape(size, 1, *x.shape[1:])
    columns = [(_values(f, x + move) - _values(f, x - move)) / (2.0 * step) for move in moves]
    return np.stack(columns, axis=-1).reshape(len(x), channels, *x.shape[2:], *x.shape[1:])


def _spans(z: Floats) -> Floats:
    """Singular values ``(*grid, min(C, N))`` of what spans ``V_ω``, at DC without the mean; round-off counts as 0."""
    hat = np.asarray(np.moveaxis(scipy.fft.fftn(z, axes=tuple(range(2, z.ndim))), (0, 1), (-1, -2)))
    noise, dc = _ROUND_OFF * float(np.linalg.norm(hat)), (0,) * (z.ndim - 2)
    hat[dc] -= hat[dc].mean(axis=-1, keepdims=True)
    singular = np.linalg.svd(hat, compute_uv=False)
    return np.where(singular > noise, singular, 0.0)


def _rows(jacobians: Floats, d: int) -> NDArray[np.complex128]:
    """``(*grid, C_in, N C_out n)``: the rows of the Jacobians at each input frequency."""
    hat = scipy.fft.fftn(jacobians, axes=tuple(range(-d, 0)))
    flat = hat.reshape(-1, *hat.shape[-d - 1 :])
    return np.moveaxis(flat, (0, 1), (-1, -2))


def _count(singular: NDArray[Any], threshold: float) -> Integers:
    """Numerical rank at each frequency: values above the share of the largest of all frequencies."""
    return np.asarray((singular > threshold * singular.max(initial=0.0)).sum(axis=-1), dtype=np.int64)


def _at_constant(net: CyclicCNN, x: Floats, threshold: float) -> float | None:
    """``Σ |m|^{-2} rank Ĵ_ω`` at the mean over samples and pixels of each channel."""
    pixels = tuple(range(2, x.ndim))
    mean = np.broadcast_to(x.mean(axis=(0, *pixels)).reshape(-1, *(1,) * len(pixels)), x.shape[1:])
    try:
        blocks = net.jacobian_blocks(mean)
    except ArgumentError:
        return None
    return float((_count(np.linalg.svd(blocks, compute_uv=False), threshold) / net.pooling**2).sum())

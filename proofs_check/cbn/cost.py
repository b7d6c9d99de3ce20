r"""T1: what an equivariant linear map costs as a network, exactly, and its expansion in the depth.

::

    R_lin = L Σ_ω |m_ω|^{-2(L-1)/L} Σ_i s_i(Â_ω)^{2/L}  =  L R0 + R1 + R2/L + O(1/L²)

[theory, section 4, T1; Wen & Jacot, reconstructed: the paper's own formula was not available].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError
from lineardyn.validation import check_count, check_number
from proofs_check.cbn.network import CyclicCNN
from proofs_check.cbn.pooling import check_pooling
from proofs_check.cbn.spectrum import (
    RANK_TOLERANCE,
    check_blocks,
    counted,
    filters_of_blocks,
    singular_values,
    symmetric_svd,
)

__all__ = ["CostExpansion", "cost_expansion", "linear_network", "representation_cost", "schatten_cost"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CostExpansion:
    """``R_lin = L R0 + R1 + R2/L + O(1/L²)``; ``ranks`` are those of ``Â_ω``, shape ``grid``."""

    R0: float
    R1: float
    R2: float
    ranks: NDArray[np.int64]

    def at(self, depth: int) -> float:
        """``L R0 + R1 + R2/L``."""
        count = check_count("depth", depth)
        return count * self.R0 + self.R1 + self.R2 / count


def representation_cost(
    blocks: ArrayLike, *, depth: int, pooling: ArrayLike | None = None, rank_tolerance: float = RANK_TOLERANCE
) -> float:
    r"""``R_lin = L Σ_ω |m_ω|^{-2(L-1)/L} Σ_i s_i(Â_ω)^{2/L}``: the least ``‖θ‖²`` of a linear network equal to A.

    Over networks of L layers with the identity activation, no biases and hidden widths of at least ``max_ω rank Â_ω``,
    in the operator convention ``‖θ‖² = Σ_l Σ_ω ‖Ŵ_{l,ω}‖_F²`` (divide by n for the sum of squares of the filters).
    :func:`linear_network` attains it.

    Parameters
    ----------
    blocks : array (*grid, C_out, C_in)
        ``Â_ω``, *unnormalised* DFT of the map's filter; grid ``(n,)`` or ``(H, W)``.
    depth : int
        L.
    pooling : array, optional
        ``m_ω``, shape ``grid``, between the layers; ``None``: none.
    rank_tolerance : float
        Singular values up to this share of the largest of all frequencies count as 0.

    Raises
    ------
    ArgumentError
        For blocks that are not those of a real filter, a depth below 1, or pooling that is none.

    Notes
    -----
    Without pooling this is the penalty of the regularised problem: the map's output at one pixel is the predictor
    ``v̂_f = Â_ω/√n`` of the unitary DFT, and ``R_lin = n · L n^{-(L-1)/L} Σ_f ‖v̂_f‖_{S_{2/L}}^{2/L}``. The factor n is
    that between the operator and the filter convention. Source: theory, section 4, T1.

    Examples
    --------
    A shift is one in every frequency, and costs ``L n`` at any depth:

    >>> import numpy as np
    >>> shift = np.fft.fft(np.roll(np.eye(1, 6), 1)).reshape(6, 1, 1)
    >>> [round(representation_cost(shift, depth=depth), 12) for depth in (1, 2, 5)]
    [6.0, 12.0, 30.0]
    """
    a = check_blocks(blocks)
    m = check_pooling(pooling, a.shape[:-2])
    s = singular_values(a)
    return schatten_cost(s, m, check_count("depth", depth), _check_tolerance(rank_tolerance))


def schatten_cost(s: Floats, pooling: Floats, depth: int, tolerance: float = RANK_TOLERANCE) -> float:
    """The formula of :func:`representation_cost` for singular values s, ``(*grid, r)``; unchecked."""
    kept = np.where(counted(s, tolerance), s, 0.0)
    weight = np.abs(pooling) ** (-2.0 * (depth - 1) / depth)
    return float(depth * (weight[..., None] * kept ** (2.0 / depth)).sum())


def cost_expansion(
    blocks: ArrayLike, *, pooling: ArrayLike | None = None, rank_tolerance: float = RANK_TOLERANCE
) -> CostExpansion:
    r"""``R_lin`` at great depth: ``L R0 + R1 + R2/L + O(1/L²)``.

    ``R0 = Σ_ω |m_ω|^{-2} rank Â_ω``, ``R1 = 2 Σ_ω |m_ω|^{-2} Σ_i log(|m_ω| s_i)``, ``R2 = 2 Σ_ω |m_ω|^{-2} Σ_i
    log²(|m_ω| s_i)``, i over the singular values above ``rank_tolerance`` times the largest of all frequencies.

    Parameters
    ----------
    blocks, pooling, rank_tolerance
        As in :func:`representation_cost`.

    Raises
    ------
    ArgumentError
        As :func:`representation_cost`.

    Notes
    -----
    Source: theory, section 4, T1. The logarithm has its sign: R1 is negative where the map contracts.

    Examples
    --------
    >>> import numpy as np
    >>> expansion = cost_expansion(np.full((3, 1, 1), np.e))
    >>> expansion.R0, round(expansion.R1, 12), round(expansion.R2, 12)
    (3.0, 6.0, 6.0)
    """
    a = check_blocks(blocks)
    m = np.abs(check_pooling(pooling, a.shape[:-2]))[..., None]
    s = singular_values(a)
    keep = counted(s, _check_tolerance(rank_tolerance))
    log = np.log(m * np.where(keep, s, 1.0 / m))  # log 1 = 0 where the singular value does not count
    ranks = keep.sum(axis=-1)
    weight = m**-2.0
    return CostExpansion(
        R0=float((weight[..., 0] * ranks).sum()),
        R1=float(2.0 * (weight * log).sum()),
        R2=float(2.0 * (weight * log**2).sum()),
        ranks=ranks,
    )


def linear_network(
    blocks: ArrayLike,
    depth: int,
    pooling: ArrayLike | None = None,
    *,
    width: int | None = None,
    rank_tolerance: float = RANK_TOLERANCE,
) -> CyclicCNN:
    r"""A linear network (identity activation) equal to A that attains :func:`representation_cost`.

    ``Â_ω = U S V^*``; ``σ = (S |m_ω|^{-(L-1)})^{1/L}``; ``Ŵ_1 = σ V^*``, ``Ŵ_l = σ``, ``Ŵ_L = sign(m_ω)^{L-1} U σ``:
    every layer has the same singular values, and real filters, for the factors are conjugate at conjugate frequencies.

    Parameters
    ----------
    blocks, pooling, rank_tolerance
        As in :func:`representation_cost`.
    depth : int
        L.
    width : int, optional
        Of the hidden layers; at least ``max_ω rank Â_ω``, which is taken unless given (1 if the map is 0).

    Raises
    ------
    ArgumentError
        As :func:`representation_cost`, and for a width below the rank.

    Notes
    -----
    Source: theory, section 4, T1; the map's singular values that do not count (``rank_tolerance``) are left out.

    Examples
    --------
    >>> import numpy as np
    >>> blur = np.fft.fft([0.5, 0.25, 0.0, 0.25]).reshape(4, 1, 1)
    >>> net = linear_network(blur, depth=3)
    >>> bool(np.isclose(net.norm(), representation_cost(blur, depth=3)))
    True
    """
    a = check_blocks(blocks)
    count = check_count("depth", depth)
    grid, m = a.shape[:-2], check_pooling(pooling, a.shape[:-2]).ravel()
    u, s, vh = symmetric_svd(a)
    keep = counted(s, _check_tolerance(rank_tolerance))
    rank = max(int(keep.sum(axis=-1).max()), 1)
    hidden = rank if width is None else check_count("width", width)
    if hidden < rank:
        raise ArgumentError(f"width is {hidden}, expected at least {rank}: the largest rank of a block")
    sigma = (np.where(keep, s, 0.0)[:, :rank] * np.abs(m)[:, None] ** (1 - count)) ** (1.0 / count)
    sign = np.sign(m)[:, None, None] ** (count - 1)
    first = _padded(sigma[:, :, None] * vh[:, :rank], hidden, vh.shape[-1])
    middle = _padded(sigma[:, :, None] * np.eye(rank), hidden, hidden)
    last = _padded(sign * u[:, :, :rank] * sigma[:, None, :], u.shape[1], hidden)
    layers = [a.reshape(-1, *a.shape[-2:])] if count == 1 else [first, *[middle] * (count - 2), last]
    filters = [filters_of_blocks(layer.reshape(*grid, *layer.shape[1:])) for layer in layers]
    return CyclicCNN(filters, pooling=None if count == 1 else pooling, slope=1.0)


def _padded(block: NDArray[np.complex128], rows: int, columns: int) -> NDArray[np.complex128]:
    out = np.zeros((len(block), rows, columns), dtype=np.complex128)
    out[:, : block.shape[1], : block.shape[2]] = block
    return out


def _check_tolerance(value: float) -> float:
    return check_number("rank_tolerance", value, minimum=0.0, maximum=1.0)

"""Blocks of real equivariant maps: one matrix for each frequency, conjugate at conjugate frequencies."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError
from lineardyn.validation import check_finite
from proofs_check.cbn.pooling import reflect

__all__ = [
    "RANK_TOLERANCE",
    "check_blocks",
    "conjugate_places",
    "counted",
    "filters_of_blocks",
    "singular_values",
    "symmetric_svd",
]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

RANK_TOLERANCE = 1e-10
"""Singular values up to this share of the largest of all frequencies count as 0: of a power 2/L, round-off would show
(``(1e-16)^{2/20} = .025``)."""

_SYMMETRIC = 1e-9
"""How far, relative to the largest entry, blocks may be from conjugate symmetry: a transform is to 1e-15."""


def check_blocks(blocks: ArrayLike, name: str = "blocks") -> Complexes:
    """Return finite complex blocks ``(*grid, C_out, C_in)`` of a real map: ``Â_{-ω} = conj(Â_ω)``."""
    try:
        array = np.asarray(blocks)
    except ValueError as error:
        raise ArgumentError(f"{name} is no array ({error}), expected numbers of one regular shape") from None
    if array.dtype.kind not in "biufc":
        raise ArgumentError(f"{name} has dtype {array.dtype}, expected complex numbers")
    if array.ndim not in (3, 4) or 0 in array.shape:
        raise ArgumentError(
            f"{name} has shape {array.shape}, expected (n, C_out, C_in) or (H, W, C_out, C_in), one block for each "
            f"frequency"
        )
    check_finite(name, array)
    a: Complexes = np.ascontiguousarray(array, dtype=np.complex128)
    gap = np.abs(a - reflect(a, range(a.ndim - 2)).conj())
    if gap.max() > _SYMMETRIC * np.abs(a).max():
        where = tuple(int(i) for i in np.unravel_index(int(np.argmax(gap.max(axis=(-2, -1)))), a.shape[:-2]))
        raise ArgumentError(
            f"{name} at frequency {where} is not the conjugate of that at its conjugate frequency (they differ by "
            f"{gap.max():.2g}), expected the unnormalised DFT of a real filter, the grid's axes first"
        )
    return a


def conjugate_places(grid: tuple[int, ...]) -> NDArray[np.intp]:
    """Flat index of ``-ω`` for each flat index of ω."""
    return reflect(np.arange(math.prod(grid)).reshape(grid), range(len(grid))).ravel()


def filters_of_blocks(blocks: Complexes | Floats) -> Floats:
    """The real filter ``(C_out, *grid, C_in)`` whose unnormalised DFT is ``blocks (*grid, C_out, C_in)``."""
    pixels = np.fft.ifftn(blocks, axes=tuple(range(blocks.ndim - 2))).real
    return np.ascontiguousarray(np.moveaxis(pixels, -2, 0))


def singular_values(matrices: NDArray[Any]) -> Floats:
    """Singular values over the last two axes, descending."""
    return np.asarray(np.linalg.svd(matrices, compute_uv=False), dtype=np.float64)


def counted(s: Floats, tolerance: float) -> NDArray[np.bool_]:
    """Which singular values count as non-zero: those above ``tolerance`` times the largest of all."""
    return np.asarray(s > tolerance * s.max(initial=0.0))


def symmetric_svd(blocks: Complexes) -> tuple[Complexes, Floats, Complexes]:
    """``Â_ω = U S V^*`` over flat frequencies, with ``U_{-ω} = conj(U_ω)`` and the same of V; V^* is returned."""
    grid = blocks.shape[:-2]
    flat = blocks.reshape(-1, *blocks.shape[-2:])
    u, s, vh = np.linalg.svd(flat, full_matrices=False)
    mirror = conjugate_places(grid)
    own = mirror == np.arange(len(mirror))
    # a self-conjugate block is real, and must have real factors
    u[own], s[own], vh[own] = np.linalg.svd(flat[own].real, full_matrices=False)
    second = mirror < np.arange(len(mirror))
    for factor in (u, vh):
        factor[second] = factor[mirror[second]].conj()
    s[second] = s[mirror[second]]
    return u, s, vh

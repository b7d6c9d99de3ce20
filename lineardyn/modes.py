"""The modes of a data set: the singular value decomposition of its input-output correlation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from lineardyn.errors import ArgumentError
from lineardyn.fourier import fft2

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Modes", "singular_modes"]

Floats = NDArray[np.float64]
NULL_MODE = 1e-12
"""A mode with s_α at most this share of s_1 is null: round-off, with no v_α and no learning time."""


@dataclass(frozen=True)
class Modes:
    r"""``Σ^yx = U S Vᵀ`` (thin) and ``d_α = v_αᵀ Σ^xx v_α`` [Pinson et al. eq 2-3].

    Attributes
    ----------
    u : (K, R)
        Left singular vectors, R = min(K, C·H·W).
    s : (R,)
        Singular values, descending.
    v : (R, C, H, W)
        Right singular vectors as images of unit norm; the entry of largest magnitude of each is positive.
    d : (R,)
        Second moment of the data along each ``v_α``; for one-hot labels and coherent uniform classes ``K s_α²``.

    Examples
    --------
    >>> from lineardyn import SecondMoments, pure_cosines
    >>> modes = SecondMoments.from_data(*pure_cosines((8, 8), [(0, 0), (1, 2)], [1.0, 0.5])).modes()
    >>> modes.s.round(3), modes.d.round(3), modes.v.shape
    (array([4.   , 1.414]), array([32.,  4.]), (2, 1, 8, 8))
    """

    u: Floats
    s: Floats
    v: Floats
    d: Floats

    @cached_property
    def q(self) -> NDArray[np.complex128]:
        """``(R, C, H, W)``: the unitary DFT of each ``v_α``."""
        return fft2(self.v)

    @property
    def null(self) -> NDArray[np.bool_]:
        """``(R,)``: modes with ``s_α ≤ 1e-12 s_1`` (data with its mean subtracted has one)."""
        null: NDArray[np.bool_] = self.s <= NULL_MODE * self.s[0]
        return null

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """``(C, H, W)``."""
        _, channels, height, width = self.v.shape
        return channels, height, width

    @property
    def n_outputs(self) -> int:
        """K."""
        return len(self.u)

    def plot(self) -> Figure:
        """Singular values, and each mode as an image."""
        from lineardyn.plots import plot_modes

        return plot_modes(self)


TIE = 1e-13
"""Singular values closer than this share of s_1 are tied: any rotation of their vectors is as good."""


def _untangle_ties(u: Floats, s: Floats, vt: Floats) -> tuple[Floats, Floats]:
    """Among tied modes, turn U as close to columns of the identity as can be: then each v_α is the image of one class.

    The SVD's own choice inside a tie is arbitrary, and would mix the frequencies of classes that share none.
    """
    u, vt = u.copy(), vt.copy()
    edges = np.flatnonzero(np.append(np.diff(s) < -TIE * s[0], True)) + 1
    for start, stop in zip(np.concatenate([[0], edges[:-1]]), edges, strict=True):
        if stop - start < 2 or s[start] <= NULL_MODE * s[0]:
            continue
        block = u[:, start:stop]
        rows = np.sort(scipy.linalg.qr(block.T, mode="r", pivoting=True)[1][: stop - start])
        left, _, right = np.linalg.svd(block[rows].T)
        turn = left @ right
        u[:, start:stop] = block @ turn
        vt[start:stop] = turn.T @ vt[start:stop]
    return u, vt


def singular_modes(sigma_yx: Floats) -> tuple[Floats, Floats, Floats]:
    """Thin SVD ``u (K, R), s (R,), v (R, C, H, W)`` of ``Σ^yx (K, C, H, W)`` with a deterministic sign."""
    k = len(sigma_yx)
    u, s, vt = np.linalg.svd(sigma_yx.reshape(k, -1), full_matrices=False)
    if s[0] == 0.0:
        raise ArgumentError(
            "Σ^yx is zero, expected images that correlate with their targets: constant images after their mean is "
            "subtracted have no modes; check the images, the targets, or use center=False"
        )
    u, vt = _untangle_ties(u, s, vt)
    size = np.abs(vt)
    # the first of the entries that tie up to round-off, so that the sign does not hang on the last bit
    largest = np.argmax(size >= (1 - 1e-9) * size.max(axis=1, keepdims=True), axis=1)
    sign = np.where(vt[np.arange(len(s)), largest] < 0, -1.0, 1.0)
    v = (sign[:, None] * vt).reshape(len(s), *sigma_yx.shape[1:])
    return np.ascontiguousarray(u * sign), s, np.ascontiguousarray(v)

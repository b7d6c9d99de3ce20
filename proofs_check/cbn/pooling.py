r"""Translation-invariant pooling: real even eigenvalues ``m_ω``, one for each frequency.

``M`` averages an image with its shifts, so that it is diagonal in the Fourier basis: ``(Mx)^_ω = m_ω x̂_ω``, with
``m_0 = 1`` (a constant image stays), ``m_{-ω} = m_ω`` real (M is symmetric) and ``0 < |m_ω| <= 1`` (it never enlarges
and can be undone) [theory, section 4].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError
from lineardyn.validation import check_array, check_choice, check_number, check_shape, shown

__all__ = ["KINDS", "Pooling", "check_grid", "check_pooling", "pooling_eigenvalues", "reflect"]

Floats = NDArray[np.float64]

KINDS = ("global", "local", "none")
_DENSE = 128
"""Pixels up to which M is applied as a matrix: below this one product beats the transforms."""
_EVEN = 1e-12
"""How far from even: eigenvalues that were computed as a transform are even to a few roundings."""


def pooling_eigenvalues(grid: Sequence[int], kind: str = "global", strength: float = 0.3) -> Floats:
    r"""Eigenvalues ``m_ω``, shape ``grid``, of a mean of the image with its average or with its neighbours.

    ``"global"``: ``m_ω = 1 - β`` for ω ≠ 0, the image mixed with its mean; ``"local"``: ``m_ω = 1 - β + β cos(2πω/n)``,
    mixed with its nearest neighbours (on ``(H, W)`` the mean of the two cosines: four neighbours); ``"none"``: ones.
    ``m_0 = 1`` always.

    Parameters
    ----------
    grid : sequence of int
        ``(n,)`` or ``(H, W)``.
    kind : {"global", "local", "none"}
    strength : float
        β: in [0, 1) for ``"global"``; in [0, 1] for ``"local"``, where no eigenvalue may vanish (β < ½ suffices).

    Raises
    ------
    ArgumentError
        For an unknown kind, a strength outside its range, or one at which an eigenvalue vanishes.

    Notes
    -----
    Source: theory, section 4.

    Examples
    --------
    >>> pooling_eigenvalues((4,), "local", 0.25)
    array([1.  , 0.75, 0.5 , 0.75])
    """
    shape = check_grid(grid)
    kind = check_choice("kind", kind, KINDS)
    beta = check_number("strength", strength, minimum=0.0, maximum=1.0)
    if kind == "none":
        return np.ones(shape)
    if kind == "global":
        if beta == 1.0:
            raise ArgumentError("strength is 1, expected a number < 1: the mean alone forgets the image")
        m = np.full(shape, 1.0 - beta)
    else:
        cosines = [np.cos(2.0 * np.pi * np.arange(side) / side) for side in shape]
        mean = sum(np.meshgrid(*cosines, indexing="ij")) / len(shape)
        m = 1.0 - beta + beta * np.asarray(mean, dtype=np.float64)
        if np.abs(m).min() <= _EVEN:
            raise ArgumentError(
                f"strength is {beta:g}, at which an eigenvalue of the local pooling on {shape} vanishes, expected one "
                f"at which none does: any strength < 0.5"
            )
    m.flat[0] = 1.0
    return m


def check_grid(grid: Sequence[int], name: str = "grid") -> tuple[int, ...]:
    """Return ``grid`` as ``(n,)`` or ``(H, W)``."""
    shape = check_shape(name, grid, None, "(n,) or (H, W)")
    if len(shape) not in (1, 2):
        raise ArgumentError(f"{name} is {shown(grid)}, expected (n,) or (H, W)")
    return shape


def check_pooling(pooling: ArrayLike | None, grid: tuple[int, ...], name: str = "pooling") -> Floats:
    """Return ``m_ω`` of shape ``grid``: real, even, ``m_0 = 1``, ``0 < |m_ω| <= 1``; ``None`` becomes ones."""
    if pooling is None:
        return np.ones(grid)
    m = check_array(name, pooling, shape=grid, why="one eigenvalue for each frequency of the grid")
    if m.flat[0] != 1.0:
        raise ArgumentError(
            f"{name}[0] is {m.flat[0]:g}, expected 1: pooling keeps constant images, divide by the sum of its filter"
        )
    if (m == 0.0).any():
        where = tuple(int(i) for i in np.argwhere(m == 0.0)[0])
        raise ArgumentError(f"{name} vanishes at frequency {where}, expected 0 < |m| <= 1: pool less")
    if np.abs(m).max() > 1.0:
        where = tuple(int(i) for i in np.unravel_index(int(np.argmax(np.abs(m))), grid))
        raise ArgumentError(f"{name} is {m[where]:g} at frequency {where}, expected 0 < |m| <= 1: pooling averages")
    odd = np.abs(m - reflect(m, range(len(grid))))
    if odd.max() > _EVEN:
        where = tuple(int(i) for i in np.unravel_index(int(np.argmax(odd)), grid))
        raise ArgumentError(
            f"{name} differs by {odd.max():.2g} between frequency {where} and its conjugate, expected even "
            f"eigenvalues m[-ω] = m[ω]: those of a symmetric real filter"
        )
    return m


def reflect(values: NDArray[Any], axes: Sequence[int]) -> NDArray[Any]:
    """``values`` at the conjugate frequency ``-ω``, over the given axes."""
    places = tuple(axes)
    return np.roll(np.flip(values, places), (1,) * len(places), places)


@dataclass(frozen=True, eq=False)
class Pooling:
    """M with eigenvalues m, on the last axes of images; symmetric, so that this is its transpose as well."""

    m: Floats

    @cached_property
    def trivial(self) -> bool:
        """Whether M is the identity."""
        return bool((self.m == 1.0).all())

    @cached_property
    def kernel(self) -> Floats:
        """The filter of M, shape ``grid``."""
        return np.asarray(scipy.fft.ifftn(self.m).real)

    @cached_property
    def matrix(self) -> Floats:
        """M on flattened images, ``(n, n)``."""
        pixels = np.indices(self.m.shape).reshape(self.m.ndim, -1)
        difference = [(axis[:, None] - axis) % side for axis, side in zip(pixels, self.m.shape, strict=True)]
        return np.ascontiguousarray(self.kernel[tuple(difference)])

    def __call__(self, x: Floats) -> Floats:
        """``M x``."""
        if self.trivial:
            return x
        if self.m.size <= _DENSE:
            return (x.reshape(-1, self.m.size) @ self.matrix).reshape(x.shape)
        axes = tuple(range(x.ndim - self.m.ndim, x.ndim))
        half = self.m[..., : self.m.shape[-1] // 2 + 1]
        return np.asarray(scipy.fft.irfftn(scipy.fft.rfftn(x, axes=axes) * half, s=self.m.shape, axes=axes))

r"""One layer: circular convolution with a filter as large as the image, plain, strided, or the transpose of strided.

``stride = 1``: ``(W x)[o, i] = Σ_{c,m} w[o, m, c] x[c, i - m]``. ``stride = s > 1``: only every s-th pixel of it,
``(W x)[o, j] = Σ_{c,m} w[o, m, c] x[c, sj - m]``. ``stride = -s``: from the coarse grid to the fine one,
``(W x)[o, i] = Σ_{c,j} w[o, i - sj, c] x[c, j]``. The filter always lives on the fine grid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

__all__ = ["Convolution"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

_DENSE = 1 << 17
"""Entries up to which the operator is kept as a matrix: below this size one product beats the transforms."""


@dataclass(frozen=True, eq=False)
class Convolution:
    """The linear map of a filter ``weight (C_out, *grid, C_in)``; images have any leading axes."""

    weight: Floats
    stride: int = 1

    @property
    def grid(self) -> tuple[int, ...]:
        """Of the filter: the fine grid."""
        return self.weight.shape[1:-1]

    @property
    def coarse(self) -> tuple[int, ...]:
        """The grid of every s-th pixel."""
        return tuple(side // abs(self.stride) for side in self.grid)

    @property
    def grid_in(self) -> tuple[int, ...]:
        """Of the images that it takes."""
        return self.coarse if self.stride < 0 else self.grid

    @property
    def grid_out(self) -> tuple[int, ...]:
        """Of the images that it gives."""
        return self.coarse if self.stride > 0 else self.grid

    @cached_property
    def blocks(self) -> Complexes:
        """Unnormalised DFT ``(*grid, C_out, C_in)`` of the filter."""
        hat = scipy.fft.fftn(self.weight, axes=tuple(range(1, self.weight.ndim - 1)))
        return np.ascontiguousarray(np.moveaxis(hat, 0, -2))

    @cached_property
    def _half(self) -> Complexes:
        """The blocks of one frequency of each pair, ``(F, C_out, C_in)``."""
        half = self.blocks[..., : self.grid[-1] // 2 + 1, :, :]
        return np.ascontiguousarray(half.reshape(-1, *half.shape[-2:]))

    @cached_property
    def matrix(self) -> Floats:
        """Dense ``(C_out n_out, C_in n_in)``, images flattened channel first: block circulant if not strided."""
        n_out, n_in, n = self.weight.shape[0], self.weight.shape[-1], math.prod(self.grid)
        rows = _places(self.grid, self.stride if self.stride > 0 else 1)
        columns = _places(self.grid, -self.stride if self.stride < 0 else 1)
        difference = [(i[:, None] - j) % side for i, j, side in zip(rows, columns, self.grid, strict=True)]
        flat = np.ravel_multi_index(tuple(difference), self.grid)
        full = self.weight.reshape(n_out, n, n_in)[:, flat]
        return np.ascontiguousarray(full.transpose(0, 1, 3, 2)).reshape(n_out * flat.shape[0], n_in * flat.shape[1])

    @property
    def _small(self) -> bool:
        channels = self.weight.shape[0] * self.weight.shape[-1]
        return int(channels) * math.prod(self.grid_in) * math.prod(self.grid_out) <= _DENSE

    def __call__(self, x: Floats) -> Floats:
        """``W x``: ``(..., C_in, *grid_in)`` to ``(..., C_out, *grid_out)``."""
        d = len(self.grid)
        lead, out = x.shape[: x.ndim - d - 1], (self.weight.shape[0], *self.grid_out)
        if self._small:
            rows = x.reshape(-1, self.matrix.shape[1])
            return (rows @ self.matrix.T).reshape(*lead, *out)
        fine = _scatter(x, self.grid, -self.stride) if self.stride < 0 else x
        return _gather(self._multiply(self._half, fine), d, self.stride)

    def transpose(self, y: Floats) -> Floats:
        """``Wᵀ y``: ``(..., C_out, *grid_out)`` to ``(..., C_in, *grid_in)``."""
        d = len(self.grid)
        lead, out = y.shape[: y.ndim - d - 1], (self.weight.shape[-1], *self.grid_in)
        if self._small:
            rows = y.reshape(-1, self.matrix.shape[0])
            return (rows @ self.matrix).reshape(*lead, *out)
        fine = _scatter(y, self.grid, self.stride) if self.stride > 1 else y
        return _gather(self._multiply(self._half.conj().swapaxes(1, 2), fine), d, -self.stride)

    def _multiply(self, half: Complexes, x: Floats) -> Floats:
        """One product of blocks at each frequency, all images at once."""
        d = len(self.grid)
        axes = tuple(range(x.ndim - d, x.ndim))
        hat = scipy.fft.rfftn(x, axes=axes)
        columns = np.moveaxis(hat.reshape(-1, x.shape[-d - 1], half.shape[0]), (2, 1, 0), (0, 1, 2))
        product = np.moveaxis(half @ columns, (2, 1, 0), (0, 1, 2))
        shape = (*x.shape[: x.ndim - d - 1], half.shape[1], *hat.shape[-d:])
        return np.asarray(scipy.fft.irfftn(product.reshape(shape), s=self.grid, axes=axes))

    def spectra(self, y: Floats, x: Floats) -> tuple[Complexes, Complexes]:
        """Unnormalised DFTs of output- and input-like images, both on the fine grid (zeros between coarse pixels)."""
        left, right = self._on_fine(y, x)
        axes = tuple(range(-len(self.grid), 0))
        return scipy.fft.fftn(left, axes=axes), scipy.fft.fftn(right, axes=axes)

    def gradient(self, y: Floats, x: Floats) -> Floats:
        """Of ``Σ ⟨y, W x⟩`` over a batch ``(B, C, *grid)`` with respect to the filter."""
        d = len(self.grid)
        left, right = self._on_fine(y, x)
        axes = tuple(range(-d, 0))
        hats = [scipy.fft.rfftn(part, axes=axes) for part in (left, right)]
        rows, columns = (hat.reshape(*hat.shape[:2], -1).transpose(2, 0, 1) for hat in hats)
        product = np.moveaxis(rows.swapaxes(1, 2) @ columns.conj(), 0, 1)
        shape = (product.shape[0], *hats[0].shape[2:], product.shape[-1])
        return np.asarray(scipy.fft.irfftn(product.reshape(shape), s=self.grid, axes=tuple(range(1, d + 1))))

    def _on_fine(self, y: Floats, x: Floats) -> tuple[Floats, Floats]:
        """Output- and input-like images on the fine grid, zeros between coarse pixels."""
        left = _scatter(y, self.grid, self.stride) if self.stride > 1 else y
        return left, _scatter(x, self.grid, -self.stride) if self.stride < -1 else x


def _places(grid: tuple[int, ...], step: int) -> list[NDArray[np.intp]]:
    """Coordinates, one array an axis, of every ``step``-th pixel in C order."""
    axes = np.meshgrid(*(np.arange(0, side, step) for side in grid), indexing="ij")
    return [axis.ravel() for axis in axes]


def _every(d: int, stride: int) -> tuple[Any, ...]:
    return (..., *(slice(None, None, stride),) * d)


def _gather(x: Floats, d: int, stride: int) -> Floats:
    """Every ``stride``-th pixel."""
    return x if stride <= 1 else x[_every(d, stride)]


def _scatter(x: Floats, grid: tuple[int, ...], stride: int) -> Floats:
    """The coarse image on the fine grid, zeros between."""
    if stride == 1:
        return x
    d = len(grid)
    fine = np.zeros((*x.shape[: x.ndim - d], *grid))
    fine[_every(d, stride)] = x
    return fine

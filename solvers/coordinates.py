r"""Real orthonormal coordinates of predictors and images, frequency by frequency.

A real predictor has ``v̂_{f*} = conj(v̂_f)``, so that one frequency of each conjugate pair says it all. Its *block* is a
run of columns: C of them (``Re v̂_f``, one a channel) where ``f* = f``, else 2C (``√2 Re v̂_f``, then ``√2 Im v̂_f``). All
blocks side by side make D = C·P columns in which ``‖V‖² = Σ_f ‖v̂_f‖²`` over *all* frequencies and
``f(x) = Σ_f v̂_f x̂_f = V · x``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineardyn.fourier import HalfSpectrum, half_spectrum
from solvers._block_kernels import block_singular_values

__all__ = ["Coordinates", "coordinates"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Coordinates:
    """The blocks of predictors on images ``(C, H, W)``; make them with :func:`coordinates`.

    Attributes
    ----------
    image_shape : (C, H, W)
    starts : (F + 1,)
        Block b is the columns ``starts[b]:starts[b + 1]``.
    order : (D,)
        The places of the columns in a packed row of :class:`lineardyn.fourier.HalfSpectrum` ``(C, 2, F)``.
    scales : (D,)
        1 where the frequency is its own conjugate, else √2: it stands for two.
    """

    image_shape: tuple[int, int, int]
    starts: Integers
    order: Integers
    scales: Floats

    @property
    def size(self) -> int:
        """D = C·P, the number of columns."""
        return len(self.order)

    @property
    def n_blocks(self) -> int:
        """F, one of each pair of frequencies."""
        return len(self.starts) - 1

    @property
    def half(self) -> HalfSpectrum:
        """The packing of the spectra."""
        return half_spectrum(self.image_shape[1:])

    @cached_property
    def paired(self) -> NDArray[np.bool_]:
        """``(F,)``: whether the block stands for a frequency and its conjugate."""
        return np.asarray(self.half.weights == 2)

    @cached_property
    def block_of_column(self) -> Integers:
        """``(D,)``."""
        return np.repeat(np.arange(self.n_blocks), np.diff(self.starts))

    def take(self, packed: NDArray[Any]) -> Floats:
        """Packed spectra ``(..., C·2·F)`` in these coordinates, ``(..., D)``."""
        return np.asarray(packed[..., self.order] * self.scales)

    def put(self, values: Floats) -> Floats:
        """Inverse of :meth:`take`, zero where a real number has no imaginary part."""
        packed = np.zeros((*values.shape[:-1], self.image_shape[0] * 2 * self.n_blocks))
        packed[..., self.order] = values / self.scales
        return packed

    def pack(self, predictor: Complexes) -> Floats:
        """Predictors ``(H, W, K, C)`` to ``(K, D)``."""
        spectra = predictor.transpose(2, 3, 0, 1)
        return self.take(self.half.pack(spectra).reshape(len(spectra), -1))

    def unpack(self, values: Floats) -> Complexes:
        """Inverse of :meth:`pack`, conjugate symmetric by construction."""
        spectra = self.half.unpack(self.put(values).reshape(len(values), self.image_shape[0], 2, -1))
        return np.ascontiguousarray(spectra.transpose(2, 3, 0, 1))

    def blocks(self, values: Floats) -> Complexes:
        """``(F, K, C)``: the complex block ``√m_f v̂_f`` of each frequency (m_f: 1, or 2 where it stands for two)."""
        packed = np.zeros((len(values), self.image_shape[0] * 2 * self.n_blocks))
        packed[:, self.order] = values
        parts = packed.reshape(len(values), self.image_shape[0], 2, -1)
        return np.ascontiguousarray((parts[:, :, 0] + 1j * parts[:, :, 1]).transpose(2, 0, 1))

    def singular_values(self, values: Floats) -> Floats:
        """``(F, min(K, C))``: those of ``√m_f v̂_f``, in no order."""
        singular = np.empty((self.n_blocks, min(len(values), self.image_shape[0])))
        block_singular_values(values, self.starts, self.image_shape[0], singular)
        return singular

    def from_blocks(self, blocks: Complexes) -> Floats:
        """Inverse of :meth:`blocks`: ``(K, D)``."""
        parts = blocks.transpose(1, 2, 0)
        packed = np.stack([parts.real, parts.imag], axis=2).reshape(blocks.shape[1], -1)
        return np.ascontiguousarray(packed[:, self.order])


@lru_cache(maxsize=32)
def coordinates(image_shape: tuple[int, int, int]) -> Coordinates:
    """The coordinates of predictors on images ``(C, H, W)``.

    >>> coordinates((1, 2, 3)).starts  # frequency (0, 0), then the pairs
    array([0, 1, 3, 4, 6])
    """
    channels, height, width = image_shape
    half = half_spectrum((height, width))
    paired = half.weights == 2
    place = np.arange(channels * 2 * half.size).reshape(channels, 2, half.size)
    order = [place[:, : 1 + pair, b].T.ravel() for b, pair in enumerate(paired.astype(int))]
    starts = np.concatenate([[0], np.cumsum(channels * half.weights)]).astype(np.int64)
    scales = np.repeat(np.sqrt(half.weights), np.diff(starts))
    return Coordinates(image_shape, starts, np.concatenate(order), scales)

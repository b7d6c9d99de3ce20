"""Transform, translation and convolution from their definitions, over batches: the one side of the Fourier claims.

Images are ``(n, C, H, W)``, kernels ``(n, C_out, H, W, C_in)``, spectra ``(.., P)`` with the frequency ``f = u·W + v``.
Sums over shifts and dense DFT matrices: no fast transform.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineardyn.fourier import fft2
from proofs_check.claims.arithmetic import FLOAT, Arithmetic

__all__ = [
    "conjugates",
    "convolution_matrix",
    "convolve",
    "correlate",
    "delta",
    "dft",
    "dft_matrix",
    "kernel_spectrum",
    "phases",
    "spectrum",
]

Shape = tuple[int, int]


def delta(shape: tuple[int, ...], index: tuple[int, ...]) -> NDArray[np.float64]:
    """The array that is 1 at ``index`` and 0 elsewhere."""
    array = np.zeros(shape)
    array[index] = 1.0
    return array


@lru_cache(maxsize=256)
def phases(shape: Shape, arithmetic: Arithmetic = FLOAT) -> NDArray[Any]:
    """``exp(-2πi (u i/H + v j/W))`` ``(f, p)``, from integers modulo P."""
    height, width = shape
    u, v = np.divmod(np.arange(height * width), width)
    turns = (np.outer(u, u) * width + np.outer(v, v) * height) % (height * width)
    matrix: NDArray[Any] = arithmetic.roots(height * width)[turns]
    matrix.setflags(write=False)
    return matrix


@lru_cache(maxsize=256)
def dft_matrix(shape: Shape, arithmetic: Arithmetic = FLOAT) -> NDArray[Any]:
    """The unitary DFT of ``(H, W)`` images as a matrix ``(P, P)``."""
    matrix: NDArray[Any] = phases(shape, arithmetic) / arithmetic.power(shape[0] * shape[1], 0.5)
    matrix.setflags(write=False)
    return matrix


def dft(images: NDArray[Any], arithmetic: Arithmetic = FLOAT) -> NDArray[Any]:
    """Unitary DFT ``(.., P)`` of images ``(.., H, W)``, by its matrix."""
    *lead, height, width = images.shape
    # the matrix is symmetric
    rows: NDArray[Any] = images.reshape(-1, height * width) @ dft_matrix((height, width), arithmetic)
    return rows.reshape(*lead, height * width)


def spectrum(images: NDArray[Any], arithmetic: Arithmetic = FLOAT) -> NDArray[Any]:
    """The same by the fast transform, where there is one for such numbers."""
    if arithmetic is not FLOAT:
        return dft(images, arithmetic)
    *lead, height, width = images.shape
    return fft2(images).reshape(*lead, height * width)


def kernel_spectrum(kernel: NDArray[Any], arithmetic: Arithmetic = FLOAT, *, dense: bool = False) -> NDArray[Any]:
    """``ŵ_f`` ``(n, P, C_out, C_in)`` of kernels ``(n, C_out, H, W, C_in)``."""
    images = kernel.transpose(0, 1, 4, 2, 3)
    transformed = dft(images, arithmetic) if dense else spectrum(images, arithmetic)
    return transformed.transpose(0, 3, 1, 2)


@lru_cache(maxsize=256)
def _shifted(shape: Shape, sign: int) -> NDArray[np.int64]:
    """``(p, q)``: the flat position of pixel ``p + sign·q`` on the torus."""
    height, width = shape
    i, j = np.divmod(np.arange(height * width), width)
    rows, columns = (i[:, None] + sign * i) % height, (j[:, None] + sign * j) % width
    positions: NDArray[np.int64] = rows * width + columns
    positions.setflags(write=False)
    return positions


def conjugates(shape: Shape) -> NDArray[np.int64]:
    """Flat positions of ``f* = (-u mod H, -v mod W)``: also those of the pixels ``-p``."""
    positions: NDArray[np.int64] = _shifted(shape, -1)[0]
    return positions


def convolve(kernel: NDArray[Any], image: NDArray[Any]) -> NDArray[Any]:
    """``(w*x)[o,p] = Σ_{c,q} w[o,q,c] x[c,p-q]``: ``(n, C_out, H, W)``."""
    return _sum_over_shifts(kernel, image, -1)


def correlate(kernel: NDArray[Any], image: NDArray[Any]) -> NDArray[Any]:
    """``y[o,p] = Σ_{c,q} w[o,q,c] x[c,p+q]``: ``(n, C_out, H, W)``."""
    return _sum_over_shifts(kernel, image, 1)


def _sum_over_shifts(kernel: NDArray[Any], image: NDArray[Any], sign: int) -> NDArray[Any]:
    n, c_out, height, width, c_in = kernel.shape
    n_pixels = height * width
    shifted = image.reshape(n, c_in, n_pixels)[:, :, _shifted((height, width), sign)]  # (n, c, p, q)
    rows = shifted.transpose(0, 3, 1, 2).reshape(n, n_pixels * c_in, n_pixels)
    total: NDArray[Any] = kernel.reshape(n, c_out, n_pixels * c_in) @ rows
    return total.reshape(n, c_out, height, width)


def convolution_matrix(kernel: NDArray[Any]) -> NDArray[Any]:
    """``C_w[o,p,c,q] = w[o,p-q,c]``, the matrix of ``x ↦ w*x``: ``(n, C_out, P, C_in, P)``."""
    n, c_out, height, width, c_in = kernel.shape
    blocks = kernel.reshape(n, c_out, height * width, c_in)[:, :, _shifted((height, width), -1)]  # (n, o, p, q, c)
    return blocks.transpose(0, 1, 2, 4, 3)

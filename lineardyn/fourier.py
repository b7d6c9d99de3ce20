r"""The one discrete Fourier transform of this project, and what follows from it.

Unitary, over the two spatial axes only: ``x̂ = fft2(x, norm="ortho")``, frequency index ``f = (u, v)``, conjugate
``f* = (-u mod H, -v mod W)``. A real image has ``x̂[f*] = conj(x̂[f])``, so that one frequency of each conjugate pair
says it all: :class:`HalfSpectrum` packs those into real arrays, the coordinates of every fast kernel here.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError
from lineardyn.validation import as_real_array, check_array, check_shape, shown

__all__ = [
    "HalfSpectrum",
    "circulant",
    "conjugate_frequency",
    "convolve",
    "fft2",
    "half_spectrum",
    "ifft2",
    "multiplicity",
    "radius",
    "self_conjugate",
]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


def fft2(x: ArrayLike) -> Complexes:
    """Unitary DFT over the last two axes.

    >>> import numpy as np
    >>> bool(np.isclose(np.linalg.norm(fft2(np.eye(4))), np.linalg.norm(np.eye(4))))
    True
    """
    values = np.asarray(x)
    if values.ndim < 2 or values.dtype.kind not in "biufc":
        raise ArgumentError(f"x has shape {values.shape} and dtype {values.dtype}, expected numbers (..., H, W)")
    spectrum: Complexes = scipy.fft.fft2(_double(values), norm="ortho")
    return spectrum


def _double(values: NDArray[Any]) -> NDArray[Any]:
    """In double precision: of narrow floats scipy.fft makes narrow spectra."""
    return values.astype(np.complex128 if values.dtype.kind == "c" else np.float64, copy=False)


def ifft2(spectrum: ArrayLike) -> Complexes:
    """Inverse of :func:`fft2` (complex; take ``.real`` where the spectrum is conjugate symmetric).

    >>> import numpy as np
    >>> bool(np.allclose(ifft2(fft2(np.eye(4))), np.eye(4)))
    True
    """
    image: Complexes = scipy.fft.ifft2(_double(np.asarray(spectrum)), norm="ortho")
    return image


def conjugate_frequency(frequency: Sequence[int], shape: Sequence[int]) -> tuple[int, int]:
    """``f* = (-u mod H, -v mod W)``.

    >>> conjugate_frequency((1, 0), (4, 4))
    (3, 0)
    """
    (u, v), (height, width) = _check_frequency(frequency), check_shape("shape", shape, 2, "(H, W)")
    return -u % height, -v % width


def multiplicity(frequency: Sequence[int], shape: Sequence[int]) -> int:
    """``m``: 1 if the frequency is its own conjugate, else 2 (a real cosine occupies m frequencies).

    >>> [multiplicity(f, (4, 4)) for f in [(0, 0), (2, 2), (1, 2)]]
    [1, 1, 2]
    """
    conjugate = conjugate_frequency(frequency, shape)
    return 1 if conjugate == (frequency[0] % shape[0], frequency[1] % shape[1]) else 2


def _check_frequency(frequency: Sequence[int]) -> tuple[int, int]:
    try:
        u, v = (operator.index(n) for n in frequency)
    except (TypeError, ValueError):
        raise ArgumentError(
            f"frequency is {shown(frequency)}, expected a pair of integers (u, v), in cycles per image"
        ) from None
    return u, v


def self_conjugate(shape: Sequence[int]) -> NDArray[np.bool_]:
    """Mask ``(H, W)`` of the frequencies with f* = f: 1, 2 or 4 of them as none, one or both sides are even.

    >>> [int(self_conjugate(s).sum()) for s in [(3, 5), (3, 4), (4, 4)]]
    [1, 2, 4]
    """
    height, width = check_shape("shape", shape, 2, "(H, W)")
    u, v = np.arange(height)[:, None], np.arange(width)
    mask: NDArray[np.bool_] = (2 * u % height == 0) & (2 * v % width == 0)
    return mask


def radius(shape: Sequence[int]) -> Floats:
    """Distance ``(H, W)`` of each frequency to DC on the torus, in cycles per image.

    >>> radius((4, 4))[1, 0], radius((4, 4))[3, 0]
    (np.float64(1.0), np.float64(1.0))
    """
    height, width = check_shape("shape", shape, 2, "(H, W)")
    u, v = scipy.fft.fftfreq(height) * height, scipy.fft.fftfreq(width) * width
    distance: Floats = np.hypot(u[:, None], v)
    return distance


def convolve(kernel: ArrayLike, image: ArrayLike) -> Floats:
    r"""Circular convolution ``(w*x)[o,i,j] = Σ_{c,m,n} w[o,m,n,c] x[c,i-m,j-n]``, kernel as large as the image.

    ``kernel``: ``(C_out, H, W, C_in)``; ``image``: ``(..., C_in, H, W)``; returns ``(..., C_out, H, W)``. By the
    theorem ``(w*x)^ = √P ŵ x̂`` at each frequency [Godfrey et al. eq 3.7, corrected: printed without √P].

    >>> import numpy as np
    >>> shift = np.zeros((1, 1, 3, 1))
    >>> shift[0, 0, 1, 0] = 1.0
    >>> convolve(shift, [[[1.0, 2.0, 3.0]]]).round(12)
    array([[[3., 1., 2.]]])
    """
    x = check_array("image", image)
    if x.ndim < 3:
        raise ArgumentError(f"image has shape {x.shape}, expected (..., C, H, W)")
    channels, height, width = x.shape[-3:]
    w = check_kernel("kernel", kernel, (None, height, width, channels))
    product = np.einsum("ohwc,...chw->...ohw", fft2(w.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1), fft2(x))
    return np.ascontiguousarray(np.sqrt(height * width) * ifft2(product).real)


def check_kernel(name: str, kernel: ArrayLike, shape: tuple[int | None, int, int, int]) -> Floats:
    """Return a kernel ``(C_out, H, W, C_in)``; a smaller k×k one gets an error that says how to pad it."""
    w = as_real_array(name, kernel)
    _, height, width, channels = shape
    if w.ndim == 4 and w.shape[1:3] != (height, width):
        raise ArgumentError(
            f"{name} has shape {w.shape}, expected ({'C_out' if shape[0] is None else shape[0]}, {height}, {width}, "
            f"{channels}): kernels here are circular and as large as the image (H, W) = ({height}, {width}); "
            f"embed a k×k kernel in zeros of that size"
        )
    return check_array(name, kernel, shape=shape, why="(C_out, H, W, C_in)")


def circulant(kernel: ArrayLike) -> Floats:
    """The matrix ``(C_out·P, C_in·P)`` of the circular convolution with ``kernel`` ``(C_out, H, W, C_in)``.

    Doubly block circulant; the unitary DFT diagonalises it into blocks ``√P ŵ_f`` [Pinson et al. eq 6].

    >>> import numpy as np
    >>> circulant(np.arange(3.0).reshape(1, 1, 3, 1))
    array([[0., 2., 1.],
           [1., 0., 2.],
           [2., 1., 0.]])
    """
    w = check_array("kernel", kernel, shape=(None, None, None, None), why="(C_out, H, W, C_in)")
    _, height, width, _ = w.shape
    i, j = np.arange(height), np.arange(width)
    rows, columns = (i[:, None] - i) % height, (j[:, None] - j) % width
    blocks = w[:, rows[:, None, :, None], columns[None, :, None, :], :]  # (C_out, i, j, i', j', C_in)
    return np.ascontiguousarray(blocks.transpose(0, 1, 2, 5, 3, 4).reshape(w.shape[0] * height * width, -1))


@dataclass(frozen=True)
class HalfSpectrum:
    r"""One frequency of each conjugate pair of an ``(H, W)`` spectrum, as real arrays ``(..., 2, F)`` of Re and Im.

    ``indices`` are the flat positions ``u·W + v`` of the F = (P + #self-conjugate)/2 representatives, the smaller of
    f and f*; ``weights`` counts the frequencies each stands for (1 or 2), so that for spectra of real images
    ``Σ_f a_f conj(b_f) = Σ_half weights (Re a Re b + Im a Im b)``.
    """

    shape: tuple[int, int]
    indices: NDArray[np.int64]
    weights: Floats

    @property
    def size(self) -> int:
        """F, the number of representatives."""
        return len(self.indices)

    def pack(self, spectrum: NDArray[Any]) -> Floats:
        """Conjugate-symmetric spectra ``(..., H, W)`` to reals ``(..., 2, F)``."""
        half = _double(spectrum).reshape(*spectrum.shape[:-2], -1)[..., self.indices]
        packed = np.stack([half.real, half.imag], axis=-2)
        packed[..., 1, self.weights == 1] = 0.0  # round-off of a number that is real
        return packed

    def pack_images(self, images: NDArray[Any], out: Floats | None = None) -> Floats:
        """Real images ``(..., H, W)`` to the packed conjugate spectrum, reals ``(..., 2, F)``, in ``out`` if given."""
        half = scipy.fft.rfft2(_double(images), norm="ortho")
        numbers = half.reshape(*half.shape[:-2], -1).view(np.float64)
        positions, signs = self._rfft_positions
        if out is None:
            out = np.empty((*half.shape[:-2], *positions.shape))
        numbers.take(positions, axis=-1, out=out, mode="clip")  # with "raise" numpy would take into a copy first
        out[..., 1, :] *= signs
        return out

    def select_images(self, images: NDArray[Any], places: NDArray[np.int64], out: NDArray[Any]) -> None:
        """Numbers at ``places`` of the packed rows ``(n, C·2·F)`` of real images ``(n, C, H, W)``, in their precision.

        >>> import numpy as np
        >>> images, out = np.arange(12.0).reshape(1, 1, 3, 4), np.empty((1, 2))
        >>> half_spectrum((3, 4)).select_images(images, np.array([0, 8]), out)
        >>> bool(np.allclose(out, half_spectrum((3, 4)).pack_images(images).reshape(1, -1)[:, [0, 8]]))
        True
        """
        half = scipy.fft.rfft2(images, norm="ortho")
        channel, inside = np.divmod(places, 2 * self.size)
        positions, signs = self._rfft_positions
        numbers = half.reshape(len(half), -1).view(images.dtype)
        numbers.take(channel * 2 * half[0, 0].size + positions.ravel()[inside], axis=1, out=out, mode="clip")
        out *= np.concatenate([np.ones_like(signs), signs]).astype(images.dtype)[inside]

    def unpack_images(self, packed: Floats) -> Floats:
        """Inverse of :meth:`pack_images`: real images ``(..., H, W)``."""
        height, width = self.shape
        positions, signs = self._half_positions
        numbers = np.ascontiguousarray(packed).reshape(*packed.shape[:-2], -1).take(positions, axis=-1)
        numbers[..., 1] *= signs
        half = numbers.view(np.complex128).reshape(*packed.shape[:-2], height, width // 2 + 1)
        images: Floats = scipy.fft.irfft2(half, s=self.shape, norm="ortho", overwrite_x=True)
        return images

    @cached_property
    def _half_positions(self) -> tuple[NDArray[np.int64], Floats]:
        """Inverse of ``_rfft_positions``: ``(H·(W//2+1), 2)`` and ``(H·(W//2+1),)``."""
        height, width = self.shape
        u, v = np.divmod(np.arange(height * (width // 2 + 1)), width // 2 + 1)
        flat, partner = u * width + v, (-u % height) * width + (-v % width)
        place = np.searchsorted(self.indices, np.minimum(flat, partner))
        return np.stack([place, place + self.size], axis=-1), np.where(flat <= partner, -1.0, 1.0)

    @cached_property
    def _rfft_positions(self) -> tuple[NDArray[np.int64], Floats]:
        """``(2, F)``: where rfft2 keeps Re and Im of each representative, or of its conjugate; ``(F,)``: Im's sign."""
        height, width = self.shape
        u, v = np.divmod(self.indices, width)
        mirrored = v > width // 2
        rows, columns = np.where(mirrored, -u % height, u), np.where(mirrored, width - v, v)
        place = 2 * (rows * (width // 2 + 1) + columns)
        imaginary = np.where(mirrored, 1.0, -1.0)  # the packed spectrum is the conjugate one
        imaginary[self.weights == 1] = 0.0  # round-off of a number that is real
        return np.stack([place, place + 1]), imaginary

    def unpack(self, packed: Floats) -> Complexes:
        """Inverse of :meth:`pack`: the full conjugate-symmetric spectrum ``(..., H, W)``."""
        height, width = self.shape
        half = packed[..., 0, :] + 1j * packed[..., 1, :]
        full = np.empty((*half.shape[:-1], height * width), dtype=np.complex128)
        u, v = np.divmod(self.indices, width)
        full[..., (-u % height) * width + (-v % width)] = half.conj()
        full[..., self.indices] = half
        return full.reshape(*half.shape[:-1], height, width)


@lru_cache(maxsize=32)
def half_spectrum(shape: tuple[int, int]) -> HalfSpectrum:
    """The packing of ``(H, W)`` spectra.

    >>> half_spectrum((4, 4)).size, half_spectrum((3, 5)).size
    (10, 8)
    """
    height, width = check_shape("shape", shape, 2, "(H, W)")
    flat = np.arange(height * width)
    u, v = np.divmod(flat, width)
    partner = (-u % height) * width + (-v % width)
    indices = flat[flat <= partner]
    weights = np.where(partner[indices] == indices, 1.0, 2.0)
    return HalfSpectrum((height, width), indices, weights)

"""The two-layer network of Pinson et al. in pixel space, from its definition: the other side of the dynamics claims.

``f(x) = W (k * x)`` with one input and one hidden channel: kernel k ``(P,)``, dense layer W ``(K, P)``. No Fourier
transform and nothing of lineardyn's networks is used to predict or to descend.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofs_check.instances import cosine, draw_frequencies, draw_scale, draw_shape
from proofs_check.verdict import Instance

__all__ = [
    "balanced_start",
    "cosine_instance",
    "draw_cosines",
    "draw_sums_of_cosines",
    "effective_singular_values",
    "gradient",
    "predict",
    "pulled_back",
    "shift_matrices",
    "two_layer_weights",
]

Floats = NDArray[np.float64]


def shift_matrices(images: Floats) -> Floats:
    """``(..., P, P)``: ``X k`` is the circular convolution of the image ``(..., H, W)`` with the kernel k."""
    *lead, height, width = images.shape
    shifted = [np.roll(images, (m, w), (-2, -1)).reshape(*lead, -1) for m in range(height) for w in range(width)]
    return np.stack(shifted, axis=-1)


def predict(shifts: Floats, kernel: Floats, dense: Floats) -> Floats:
    """``f(x)`` ``(..., N, K)``: leading axes count networks, each with its images."""
    return _hidden(shifts, kernel) @ np.swapaxes(dense, -1, -2)


def _hidden(shifts: Floats, kernel: Floats) -> Floats:
    convolved: Floats = (shifts @ kernel[..., None, :, None])[..., 0]
    return convolved


def gradient(shifts: Floats, targets: Floats, kernel: Floats, dense: Floats) -> tuple[Floats, Floats]:
    """Gradient of ``½⟨‖y - f(x)‖²⟩`` with respect to kernel and dense layer: the average of one-sample gradients."""
    hidden = _hidden(shifts, kernel)
    error = hidden @ np.swapaxes(dense, -1, -2) - targets
    return pulled_back(shifts, error, kernel, dense)


def pulled_back(shifts: Floats, error: Floats, kernel: Floats, dense: Floats) -> tuple[Floats, Floats]:
    """``⟨X_nᵀ Wᵀ e_n⟩`` and ``⟨e_n (X_n k)ᵀ⟩``: the gradient, where ``e_n = f(x_n) - y_n``."""
    n_samples = shifts.shape[-3]
    to_kernel = (np.swapaxes(shifts, -1, -2) @ (error @ dense)[..., None])[..., 0].sum(axis=-2) / n_samples
    to_dense = np.swapaxes(error, -1, -2) @ _hidden(shifts, kernel) / n_samples
    return to_kernel, to_dense


def effective_singular_values(shifts: Floats, kernel: Floats, dense: Floats) -> Floats:
    """``b_α = s_α f_α(x_α)``, where class α has the one image ``x_α``, ``s_α = ‖x_α‖/K``, and images are orthogonal."""
    s = np.linalg.norm(shifts[..., 0], axis=-1) / shifts.shape[-3]
    b: Floats = s * np.diagonal(predict(shifts, kernel, dense), axis1=-2, axis2=-1)
    return b


def balanced_start(images: Floats, scale: Floats, direction: Floats) -> tuple[Floats, Floats]:
    """Kernel ``(H, W)`` and dense layer ``(K, H, W)``, balanced and aligned with class images of disjoint frequencies.

    Leading axes count networks. ``|κ_f|`` is ``scale`` ``(H, W)`` (even in f), the phases are those of the image
    ``direction``. On the frequencies of class α: ``A_αf = |κ_f| exp(-i(arg κ_f + arg x̂_αf))``, so that
    ``ŵ_α = conj(A_α)``; 0 elsewhere.
    """
    spectra = np.fft.fft2(images, norm="ortho")
    present = np.abs(spectra) > 1e-9 * np.abs(spectra).max(axis=(-2, -1), keepdims=True)
    phase = scale * _phase(np.fft.fft2(direction, norm="ortho"))
    kernel = np.fft.ifft2(phase, norm="ortho").real
    turned = phase[..., None, :, :] * _phase(spectra)
    dense = np.fft.ifft2(np.where(present, turned, 0.0), norm="ortho").real
    return kernel, dense


def _phase(spectrum: NDArray[np.complex128]) -> NDArray[np.complex128]:
    size = np.abs(spectrum)
    turned: NDArray[np.complex128] = np.where(size > 0, spectrum / np.where(size > 0, size, 1.0), 1.0)
    return turned


def two_layer_weights(kernel: Floats, dense: Floats) -> list[Floats]:
    """The same weights as lineardyn lays them out: ``(1, H, W, 1)`` and ``(K, H, W, 1)``."""
    return [kernel[None, :, :, None], dense[..., None]]


def cosine_instance(
    shape: tuple[int, int],
    frequencies: Sequence[tuple[int, int]],
    amplitudes: Sequence[float],
    *,
    scale: float,
    direction: Floats,
    text: str = "",
) -> Instance:
    """Pure cosines, one a class, with a balanced aligned start of ``|κ_f| = scale``."""
    waves = [cosine(shape, f, amplitude=a) for f, a in zip(frequencies, amplitudes, strict=True)]
    images = np.array(waves)
    kernel, dense = balanced_start(images, np.full(shape, scale), direction)
    instance: dict[str, Any] = {
        "frequencies": np.array(frequencies),
        "images": images,
        "scale": scale,
        "kernel": kernel,
        "dense": dense,
    }
    return {"text": text, **instance} if text else instance


def draw_cosines(rng: np.random.Generator, *, max_classes: int = 3) -> Instance:
    """Pure cosines: 1 to ``max_classes`` frequencies, different up to conjugation, of amplitudes within a factor 3."""
    shape = draw_shape(rng, min_pixels=1, max_pixels=20)
    frequencies = draw_frequencies(rng, shape, int(rng.integers(1, max_classes + 1)))
    unit = draw_scale(rng, decades=2.0)
    amplitudes = (unit * rng.uniform(0.5, 1.5, len(frequencies))).tolist()
    # b(0)/s = √P |q| ρ² d/s lies between 1e-4 and 0.8 for the strongest class
    strongest = max(amplitudes) * np.sqrt(shape[0] * shape[1])
    scale = float(np.sqrt(rng.choice([1e-4, 1e-2, 0.3, 0.8]) / (strongest * np.sqrt(shape[0] * shape[1]))))
    return cosine_instance(shape, frequencies, amplitudes, scale=scale, direction=rng.standard_normal(shape))


def draw_sums_of_cosines(rng: np.random.Generator) -> Instance:
    """Class images on disjoint frequency sets, random amplitudes and phases, and any start for which they decouple."""
    shape = draw_shape(rng, min_pixels=2, max_pixels=20)
    frequencies = draw_frequencies(rng, shape, 6)
    n_classes = int(rng.integers(1, min(3, len(frequencies)) + 1))
    images = np.zeros((n_classes, *shape))
    for i, f in enumerate(frequencies):
        phase = rng.uniform(0, 2 * np.pi) if f != (-f[0] % shape[0], -f[1] % shape[1]) else 0.0
        images[i % n_classes] += cosine(shape, f, amplitude=rng.uniform(0.3, 1.5), phase=phase)
    # norms 1.5, 1, 0.75, ..: distinct singular values, so that the SVD does not mix the classes
    norms = np.linalg.norm(images, axis=(1, 2), keepdims=True)
    images *= (1.5 / np.arange(1, n_classes + 1))[:, None, None] / norms
    size = np.abs(np.fft.fft2(rng.standard_normal(shape), norm="ortho"))
    kernel, dense = balanced_start(images, rng.choice([0.02, 0.2, 0.5]) * size, rng.standard_normal(shape))
    return {"images": images, "kernel": kernel, "dense": dense}

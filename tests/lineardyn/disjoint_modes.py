"""Data sets whose modes share no frequency, and aligned starts on them: what the mode clock needs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lineardyn.fourier import fft2, half_spectrum, ifft2
from lineardyn.moments import SecondMoments
from lineardyn.networks import LinearCNN, LinearFCN

Array = NDArray[np.float64]


def disjoint_images(image_shape: tuple[int, int, int], n_outputs: int, seed: int) -> tuple[Array, Array]:
    """K images, each random on its own frequencies, of norms 1.5, 2.5, ..; targets are K orthonormal rows."""
    rng = np.random.default_rng(seed)
    _, h, w = image_shape
    half = half_spectrum((h, w))
    owner = rng.permutation(np.arange(half.size) % n_outputs)
    images = np.empty((n_outputs, *image_shape))
    for k in range(n_outputs):
        mask = half.unpack(np.stack([owner == k, np.zeros(half.size)]).astype(float))
        image = ifft2(fft2(rng.standard_normal(image_shape)) * mask).real
        images[k] = (1.5 + k) * image / np.linalg.norm(image)
    return images, np.linalg.qr(rng.standard_normal((n_outputs, n_outputs)))[0]


def owner_of(q: NDArray[np.complex128]) -> NDArray[np.int64]:
    """The mode (H, W) of each frequency, for spectra q (R, C, H, W) without overlap that cover all frequencies."""
    return np.linalg.norm(q, axis=1).argmax(axis=0)


def aligned_start(network: LinearCNN, moments: SecondMoments, scale: float, seed: int) -> list[Array]:
    """Any kernel, and a dense layer that on the frequencies of mode α points along u_α: unbalanced, random phases."""
    rng = np.random.default_rng(seed)
    modes = moments.modes()
    amplitude = scale * fft2(rng.standard_normal(network.image_shape[1:]))
    dense = ifft2((modes.u[:, owner_of(modes.q)] * amplitude).conj()).real
    return [scale * rng.standard_normal((1, *network.image_shape[1:], network.image_shape[0])), dense[..., None]]


def problem(
    image_shape: tuple[int, int, int], n_outputs: int, *, scale: float, seed: int
) -> tuple[LinearCNN, SecondMoments, list[Array], Array, Array]:
    """Network, moments, start, images and targets."""
    images, targets = disjoint_images(image_shape, n_outputs, seed)
    moments = SecondMoments.from_data(images, targets)
    network = LinearCNN(image_shape, n_outputs=n_outputs)
    return network, moments, aligned_start(network, moments, scale, seed + 1), images, targets


def balanced_problem(
    kind: str,
    widths: tuple[int, ...],
    image_shape: tuple[int, int, int],
    n_outputs: int,
    *,
    scale: float,
    seed: int = 1,
) -> tuple[LinearCNN | LinearFCN, SecondMoments, list[Array], Array, Array]:
    """Network, a ``"cnn"`` or ``"fcn"`` of any depth, moments, balanced start, images and targets."""
    images, targets = disjoint_images(image_shape, n_outputs, seed)
    moments = SecondMoments.from_data(images, targets)
    cls = {"cnn": LinearCNN, "fcn": LinearFCN}[kind]
    network = cls(image_shape, widths=widths, n_outputs=n_outputs)
    return network, moments, network.init_balanced(moments, scale, rng=seed), images, targets

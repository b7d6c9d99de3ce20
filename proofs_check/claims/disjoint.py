"""Classes of one image each whose spectra do not meet: their constants, and batches of starts along them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofs_check.claims.pixel_space import balanced_start, shift_matrices
from proofs_check.claims.two_layers import spectra_of
from proofs_check.instances import draw_shape, one_of_each_pair
from proofs_check.verdict import Instance

__all__ = ["DISJOINT", "ModesOfImages", "draw_balanced", "draw_unbalanced", "in_pixels", "modes_of", "turned_apart"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

DISJOINT = "Σ^xx = V D Vᵀ, modes on disjoint frequency sets F_α"
"""Without Σ^xx = V D Vᵀ the samples couple the modes, though those of Σ^yx share no frequency."""


@dataclass(frozen=True)
class ModesOfImages:
    """``s``, ``d`` ``(n, K)``, the unitary spectra ``q`` and the rates ``c = √P|q|`` ``(n, K, P)``."""

    s: Floats
    d: Floats
    q: Complexes
    c: Floats


def modes_of(images: Floats) -> ModesOfImages:
    """The modes of orthogonal class images ``(n, K, H, W)`` with one-hot targets: ``s = ‖x‖/K``, ``d = ‖x‖²/K``."""
    count, height, width = images.shape[-3:]
    norms = np.linalg.norm(images, axis=(-2, -1))
    q = np.fft.fft2(images / norms[..., None, None], norm="ortho").reshape(*norms.shape, -1)
    q = np.where(np.abs(q) > 1e-9, q, 0.0)
    return ModesOfImages(norms / count, norms**2 / count, q, np.sqrt(height * width) * np.abs(q))


def draw_balanced(
    rng: np.random.Generator,
    n: int,
    *,
    min_classes: int = 1,
    max_classes: int = 3,
    sizes: tuple[float, ...] = (0.02, 0.2, 0.5),
) -> Instance:
    """Images on disjoint frequency sets of one partition, norms 1.5, .75, .5 at most, and a balanced, aligned start."""
    shape = draw_shape(rng, min_pixels=2, max_pixels=15)
    pairs = one_of_each_pair(shape)
    k = int(rng.integers(min_classes, min(max_classes, len(pairs)) + 1))
    owner = np.full(shape, -1)
    for place, i in enumerate(rng.permutation(len(pairs))[:6]):
        u, v = pairs[i]
        owner[u, v] = owner[-u % shape[0], -v % shape[1]] = place % k
    noise = np.fft.fft2(rng.standard_normal((n, k, *shape)))
    level = np.abs(np.fft.fft2(rng.standard_normal((n, k, *shape)))) / np.sqrt(shape[0] * shape[1])
    spectra = np.where(owner == np.arange(k)[:, None, None], noise / np.abs(noise) * (0.3 + level), 0.0)
    images = np.fft.ifft2(spectra).real
    images /= np.linalg.norm(images, axis=(2, 3), keepdims=True) * np.arange(1, k + 1)[:, None, None]
    images *= rng.uniform(0.7, 1.5, (n, 1, 1, 1))
    scale = 0.3 + np.abs(np.fft.fft2(rng.standard_normal((n, *shape)), norm="ortho"))
    scale *= rng.choice(sizes, (n, 1, 1)) / scale.max(axis=(1, 2), keepdims=True)
    kernel, dense = balanced_start(images, scale, rng.standard_normal((n, *shape)))
    return {"images": images, "kernel": kernel, "dense": dense}


def draw_unbalanced(rng: np.random.Generator, n: int, **options: Any) -> Instance:
    """The same with ``A_αf`` anything on F_α, and still ``A_γf = 0`` for γ ≠ α there."""
    instance = draw_balanced(rng, n, **options)
    images = instance["images"]
    present = modes_of(images).c.reshape(images.shape) > 0
    noise = np.fft.fft2(rng.standard_normal(images.shape), norm="ortho")
    size = np.abs(instance["dense"]).max(axis=(1, 2, 3), keepdims=True)
    extra = np.fft.ifft2(np.where(present, size * noise, 0.0), norm="ortho").real
    return {**instance, "dense": instance["dense"] + extra}


def in_pixels(instance: Instance) -> tuple[Floats, Floats, Floats, Floats]:
    """Shift matrices ``(n, K, P, P)``, one-hot targets, kernels ``(n, P)`` and dense layers ``(n, K, P)``."""
    images, kernel = instance["images"], instance["kernel"]
    n, k = images.shape[:2]
    return shift_matrices(images), np.eye(k), kernel.reshape(n, -1), instance["dense"].reshape(n, k, -1)


def turned_apart(instance: Instance, modes: ModesOfImages, *, conjugate: bool = False) -> tuple[Complexes, Complexes]:
    """``κ_f`` and ``a_αf = conj(A_αf q_αf)/|q_αf|`` ``(n, K, P)``; 0 off F_α."""
    kappa, a = spectra_of(instance["kernel"], instance["dense"])
    q = modes.q.conj() if conjugate else modes.q
    size = np.abs(q)
    phase = np.where(size > 0, q / np.where(size > 0, size, 1.0), 0.0)
    return np.where(size > 0, kappa[..., None, :], 0.0), (a * phase).conj()

"""References for the regularised problem, from its definition over the full spectrum; nothing of solvers is here."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from tests import oracles

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]


def diagonal_data(shape: tuple[int, int], channels: int, outputs: int, seed: int) -> tuple[Array, Array]:
    """Images of one wave in one channel each: Σ^xx is τ_f·I, no frequencies correlate; real targets."""
    height, width = shape
    rng = np.random.default_rng(seed)
    i, j = np.arange(height)[:, None], np.arange(width)
    images = []
    for u, v in np.ndindex(shape):
        pair = (-u % height, -v % width)
        if (u, v) > pair:
            continue
        angle = 2 * np.pi * (u * i / height + v * j / width)
        amplitude = rng.uniform(0.5, 2.0)
        for wave, channel in product(
            [np.cos(angle)] if (u, v) == pair else [np.cos(angle), np.sin(angle)], range(channels)
        ):
            image = np.zeros((channels, height, width))
            image[channel] = amplitude * wave
            images.append(image)
    return np.array(images), rng.standard_normal((len(images), outputs))


def least_squares(images: Array, targets: Array) -> tuple[Array, Complex]:
    """``τ_f = ⟨|x̂_cf|²⟩`` ``(H, W)`` and ``⟨y x̂*⟩/τ`` ``(H, W, K, C)`` of :func:`diagonal_data`."""
    spectra = oracles.dft2(images)
    tau = (np.abs(spectra) ** 2).mean(axis=0)[0]
    cross = np.einsum("nk,nchw->hwkc", targets, spectra.conj()) / len(images)
    return tau, cross / tau[:, :, None, None]


def mu(lam: float, depth: int, n_pixels: int) -> float:
    return lam * depth * n_pixels ** (-(depth - 1) / depth)


def scalar_minimum(tau: float, target: float, weight: float, depth: int) -> float:
    """The minimiser over s ≥ 0 of ``τ(s - target)² + weight s^{2/depth}``: the best of 0 and the largest root."""
    p = 2 / depth
    if depth == 1:
        return tau * target / (tau + weight)
    if depth == 2:
        return max(target - weight / (2 * tau), 0.0)
    s = largest_root(tau, target, weight, depth)
    return s if s is not None and tau * (s - target) ** 2 + weight * s**p < tau * target**2 else 0.0


def largest_root(tau: float, target: float, weight: float, depth: int, *, smaller: bool = False) -> float | None:
    """Of ``2τ(s - target) + weight p s^{p-1}``, the largest (or the smaller, a maximum)."""
    p = 2 / depth
    inflection = (weight * p * (1 - p) / (2 * tau)) ** (1 / (2 - p))

    def slope(s: float) -> float:
        return 2 * tau * (s - target) + weight * p * s ** (p - 1)

    if target <= inflection or slope(inflection) >= 0:
        return None
    ends = (1e-12 * inflection, inflection) if smaller else (inflection, target)
    return float(brentq(slope, *ends, xtol=1e-300, rtol=8.9e-16))


def diagonal_minimum(images: Array, targets: Array, depth: int, lam: float, rank: int | None = None) -> Complex:
    """The minimiser of theory section 3, singular value by singular value."""
    tau, fit = least_squares(images, targets)
    weight = mu(lam, depth, tau.size)
    u, s, vh = np.linalg.svd(fit, full_matrices=False)
    for f in np.ndindex(tau.shape):
        s[f] = [scalar_minimum(tau[f], value, weight, depth) for value in s[f]]
        s[f][len(s[f]) if rank is None else rank :] = 0.0
    return _symmetric((u * s[..., None, :]) @ vh)


def _symmetric(spectrum: Complex) -> Complex:
    """Exactly conjugate symmetric: the round-off of singular vectors is not."""
    h, w = spectrum.shape[:2]
    partner = spectrum[-np.arange(h)][:, -np.arange(w)]
    return (spectrum + partner.conj()) / 2


def objective(images: Array, targets: Array, predictor: Complex, depth: int, lam: float) -> float:
    """From the samples; round-off zeros among the singular values are cut, for a small power would raise them."""
    values = np.einsum("hwkc,nchw->nk", predictor, oracles.dft2(images)).real
    s = np.linalg.svd(predictor, compute_uv=False)
    s = s[s > 1e-13 * s.max(initial=0.0)]
    loss = float(((targets - values) ** 2).sum() / len(images))
    return loss + mu(lam, depth, images[0, 0].size) * float((s ** (2 / depth)).sum())


def proximal_gradient(images: Array, targets: Array, lam: float, n_steps: int = 2000) -> Complex:
    """The minimum at depth 2 by accelerated proximal gradient with restarts, over the full spectrum."""
    n, c, h, w = images.shape
    spectra = oracles.dft2(images).transpose(0, 2, 3, 1).reshape(n, -1)  # (n, H·W·C)
    gram, cross = spectra.T @ spectra.conj() / n, targets.T @ spectra.conj() / n
    steep = float(np.linalg.eigvalsh(gram)[-1])
    threshold = mu(lam, 2, h * w) / 2 / steep
    x = y = np.zeros((targets.shape[1], h * w * c), complex)
    momentum = 1.0
    for _ in range(n_steps):
        step = (y - (y @ gram - cross) / steep).reshape(-1, h * w, c).transpose(1, 0, 2)
        u, s, vh = np.linalg.svd(step, full_matrices=False)
        moved = ((u * np.maximum(s - threshold, 0)[:, None, :]) @ vh).transpose(1, 0, 2).reshape(x.shape)
        if np.vdot(y - moved, moved - x).real > 0:
            momentum = 1.0
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        y = moved + (momentum - 1) / following * (moved - x)
        x, momentum = moved, following
    return _symmetric(x.reshape(-1, h, w, c).transpose(1, 2, 0, 3))

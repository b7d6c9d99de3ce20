"""The flows that every peer solves: statistics, starts, and the one measure of error.

All of it is written here from the theory notes, apart from lineardyn, so that the library is judged by other code.
The network is P's: one circular full-size kernel, then one dense layer. In the basis U of the modes and in Fourier
space its state is ``κ (P,)`` and ``A (K, P)``, both complex (Pinson et al. eq 14-16).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


@dataclass(frozen=True)
class FlowProblem:
    """Statistics of the data in Fourier space; ``gram`` is None for coherent classes (the modes form)."""

    name: str
    images: Floats  # (N, 1, H, W)
    targets: Floats  # (N, K)
    start_scale: float
    u: Floats  # (K, K)
    s: Floats  # (K,)
    q: Complexes  # (K, P), unitary DFT of the modes v_α
    d: Floats  # (K,) = v_αᵀ Σ^xx v_α
    live: NDArray[np.bool_]  # (K,) modes that are not null
    gram: Complexes | None  # Σ^x̂x̂ (P, P), [g, f] = ⟨x̂_g conj(x̂_f)⟩

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return self.images.shape[2], self.images.shape[3]

    @property
    def n_pixels(self) -> int:
        """P."""
        return self.shape[0] * self.shape[1]

    @property
    def n_outputs(self) -> int:
        """K."""
        return self.targets.shape[1]

    def start(self, rng: np.random.Generator) -> list[Floats]:
        """Weights in pixel space, i.i.d. N(0, start_scale²): ``[(1, H, W, 1), (K, H, W, 1)]``."""
        shapes = [(1, *self.shape, 1), (self.n_outputs, *self.shape, 1)]
        return [self.start_scale * rng.standard_normal(shape) for shape in shapes]

    def spectra(self, weights: list[Floats]) -> tuple[Complexes, Complexes]:
        """``κ (P,)`` and ``A = Uᵀ conj(ŵ_2) (K, P)`` of weights in pixel space."""
        kernel, dense = weights
        kappa = np.fft.fft2(kernel[0, :, :, 0], norm="ortho").ravel()
        spectrum = np.fft.fft2(dense[..., 0], norm="ortho").reshape(self.n_outputs, -1)
        return kappa, self.u.T @ spectrum.conj()

    def effective(self, kappa: Complexes, a: Complexes) -> Floats:
        """``B = Uᵀ Σ^ŷx V (K, K)``, null modes 0."""
        predictor = np.sqrt(self.n_pixels) * a * kappa
        if self.gram is None:
            b = (predictor @ self.q.T).real * self.d
        else:
            b = (predictor @ self.gram @ self.q.T).real
        b[~self.live] = 0.0
        b[:, ~self.live] = 0.0
        return b

    def error(self, b: Floats, reference: Floats) -> float:
        """Largest ``‖B(t) - B_ref(t)‖_F / s_1`` over the output times; inf where a solver lost its numbers."""
        difference = np.linalg.norm(b - reference, axis=(1, 2)).max() / self.s[0]
        return float(difference) if np.isfinite(difference) else float("inf")


def coherent_problem(side: int, n_outputs: int, *, ratio: float, start_scale: float, name: str) -> FlowProblem:
    """Coherent classes: 1/f images made orthogonal, s_α log-spaced with ``s_1/s_K = ratio``.

    ``s_α = ‖x_α‖/K`` for one orthogonal image a class; the first has root mean square ½ a pixel.
    """
    rng = np.random.default_rng(side * 1000 + n_outputs)
    rings = np.hypot(*np.meshgrid(np.fft.fftfreq(side) * side, np.fft.fftfreq(side) * side, indexing="ij"))
    noise = np.fft.fft2(rng.standard_normal((n_outputs, side, side))) / np.maximum(rings, 1.0)
    images = np.fft.ifft2(noise).real.reshape(n_outputs, -1)
    orthonormal = np.linalg.qr(images.T)[0].T
    norms = 0.5 * side * np.geomspace(1.0, 1.0 / ratio, n_outputs)
    data = (norms[:, None] * orthonormal).reshape(n_outputs, 1, side, side)
    problem = from_samples(name, data, np.eye(n_outputs), start_scale)
    return FlowProblem(**{**problem.__dict__, "gram": None})  # exact: the images of the classes are the modes


def cifar_problem(root: Path, *, n_classes: int = 4, start_scale: float = 1e-3, suffix: str = "") -> FlowProblem:
    """CIFAR-10's first classes, grey 16²: colours and 2×2 blocks averaged, per-pixel mean subtracted, dense form."""
    from lineardyn import load_cifar10

    images, targets = load_cifar10(root, classes=list(range(n_classes)))
    grey = images.mean(axis=1).reshape(len(images), 16, 2, 16, 2).mean(axis=(2, 4))
    return from_samples(f"CIFAR-4 grey 16²{suffix}", (grey - grey.mean(axis=0))[:, None], targets, start_scale)


def from_samples(name: str, images: Floats, targets: Floats, start_scale: float) -> FlowProblem:
    """Dense statistics of any images."""
    n, _, height, width = images.shape
    flat = images.reshape(n, -1)
    k = targets.shape[1]
    u, s, vt = np.linalg.svd(targets.T @ flat / n, full_matrices=False)
    covariance = flat.T @ flat / n
    q = np.fft.fft2(vt.reshape(k, height, width), norm="ortho").reshape(k, -1)
    rows = np.fft.fft2(covariance.reshape(-1, height, width), norm="ortho").reshape(height * width, -1).conj()
    gram = np.fft.fft2(rows.T.reshape(-1, height, width), norm="ortho").reshape(height * width, -1).T
    d = np.einsum("ap,pr,ar->a", vt, covariance, vt)
    return FlowProblem(name, images, targets, start_scale, u, s, q, d, s > 1e-12 * s[0], np.ascontiguousarray(gram))

"""The regressions that every peer solves: images, targets, and the one measure of objective and duality gap.

All of it is written here from the theory notes, apart from lineardyn and solvers, so that the library is judged by
other code: objectives are those of the predictor's image on the raw images, in pixels. Images have their mean a pixel
subtracted, targets their mean, so that no solver needs an intercept.

The peers know real columns and groups of them. One frequency of each conjugate pair becomes a group: Re and Im of a
channel, times √2; a frequency that is its own conjugate one column a channel. Then ``‖V‖² = Σ_f ‖v̂_f‖²`` and the
penalty ``Σ_f ‖v̂_f‖_p^p`` of a pair is ``2^{1-p/2} ‖Z‖_p^p``: the weight of its group.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import scipy.fft
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Blocks:
    """The real columns of predictors on images (C, H, W): block b is ``starts[b]:starts[b + 1]``."""

    image_shape: tuple[int, int, int]

    @cached_property
    def frequencies(self) -> Integers:
        """(F, 2): one of each conjugate pair, all of the half plane of ``rfft2``."""
        height, width = self.image_shape[1:]
        u, v = np.divmod(np.arange(height * (width // 2 + 1)), width // 2 + 1)
        partner_here = (v == 0) | (2 * v == width)
        kept = ~partner_here | (u <= -u % height)
        return np.stack([u[kept], v[kept]], axis=1)

    @cached_property
    def paired(self) -> NDArray[np.bool_]:
        """(F,): False where the frequency is its own conjugate."""
        return np.asarray(((2 * self.frequencies) % self.image_shape[1:]).any(axis=1))

    @cached_property
    def starts(self) -> Integers:
        """(F + 1,)."""
        return np.concatenate([[0], np.cumsum(self.image_shape[0] * np.where(self.paired, 2, 1))])

    def weights(self, power: float) -> Floats:
        """(F,): what ``‖Z_b‖_p^p`` counts."""
        return np.where(self.paired, 2.0 ** (1.0 - power / 2.0), 1.0)

    @property
    def groups(self) -> list[list[int]]:
        """Columns of each block."""
        return [list(range(a, b)) for a, b in zip(self.starts, self.starts[1:], strict=False)]

    def _places(self) -> tuple[Integers, Integers]:
        """Columns of the real parts (F, C), and of the imaginary ones of the pairs."""
        first = self.starts[:-1, None] + np.arange(self.image_shape[0])
        return first, first[self.paired] + self.image_shape[0]

    def columns(self, images: Floats) -> Floats:
        """(N, D), by columns in memory, as the peers want them: ``f(x) = columns @ V.T``."""
        n, channels, height, width = images.shape
        spectra = scipy.fft.rfft2(images, norm="ortho").reshape(n, channels, -1)
        places = self.frequencies @ [width // 2 + 1, 1]
        chosen = spectra.transpose(2, 1, 0)[places]  # (F, C, N)
        rows = np.empty((channels * height * width, n))
        re, im = self._places()
        rows[re] = chosen.real * np.where(self.paired, np.sqrt(2.0), 1.0)[:, None, None]
        rows[im] = chosen.imag[self.paired] * -np.sqrt(2.0)
        return rows.T

    def matrices(self, values: Floats) -> Complexes:
        """(F, K, C): the blocks of coordinates V (K, D), ``√2 v̂_f`` of a pair, v̂_f of a frequency alone."""
        re, im = self._places()
        blocks = values[:, re].astype(complex)
        blocks[:, self.paired] += 1j * values[:, im]
        return np.ascontiguousarray(blocks.transpose(1, 0, 2))

    def values(self, matrices: Complexes) -> Floats:
        """The inverse of :meth:`matrices`."""
        re, im = self._places()
        values = np.empty((matrices.shape[1], self.starts[-1]))
        values[:, re] = matrices.real.transpose(1, 0, 2)
        values[:, im] = matrices.imag[self.paired].transpose(1, 0, 2)
        return values

    def predictor(self, values: Floats) -> Complexes:
        """(H, W, K, C) of coordinates V (K, D)."""
        channels, height, width = self.image_shape
        blocks = self.matrices(values) / np.where(self.paired, np.sqrt(2.0), 1.0)[:, None, None]
        u, v = self.frequencies.T
        full = np.zeros((height, width, len(values), channels), dtype=complex)
        full[-u % height, -v % width] = blocks.conj()
        full[u, v] = blocks
        return full


@dataclass(frozen=True)
class Regression:
    """Images (N, C, H, W) and targets (N, K)."""

    name: str
    images: Floats
    targets: Floats

    @property
    def n_images(self) -> int:
        """N."""
        return len(self.images)

    @cached_property
    def blocks(self) -> Blocks:
        """The real columns."""
        return Blocks(self.images.shape[1:])

    @cached_property
    def columns(self) -> Floats:
        """(N, D)."""
        return self.blocks.columns(self.images)

    def mu(self, depth: int, lam: float) -> float:
        """``λ L P^{-(L-1)/L}``."""
        height, width = self.images.shape[2:]
        return lam * depth * (height * width) ** (-(depth - 1) / depth)

    def lam(self, depth: int, mu: float) -> float:
        """The inverse of :meth:`mu`."""
        return mu / self.mu(depth, 1.0)

    def residual(self, predictor: Complexes) -> Floats:
        """``y - f(x)`` (N, K), in pixels."""
        image = np.fft.ifft2(predictor.transpose(2, 3, 0, 1).conj(), norm="ortho").real
        return self.targets - self.images.reshape(self.n_images, -1) @ image.reshape(len(image), -1).T

    def objective(self, predictor: Complexes, depth: int, lam: float) -> float:
        """``(1/N) Σ ‖y - f(x)‖² + μ Σ_f ‖v̂_f‖_p^p``, p = 2/L."""
        loss = (self.residual(predictor) ** 2).sum() / self.n_images
        singular = np.linalg.svd(predictor, compute_uv=False)
        return float(loss + self.mu(depth, lam) * (singular ** (2.0 / depth)).sum())

    def relative_gap(self, predictor: Complexes, lam: float) -> float:
        """Objective minus the dual value of the scaled residual, over the objective; L = 2."""
        residual, primal = self.residual(predictor), self.objective(predictor, 2, lam)
        power = float((residual**2).sum())
        if power == 0.0:
            return 1.0
        bound = 0.5 * self.mu(2, lam) / self.largest_correlation(residual)
        inner = float((self.targets * residual).sum())
        scale = np.clip(inner / power, -bound, bound)
        dual = (2.0 * scale * inner - scale**2 * power) / self.n_images
        return (primal - dual) / primal

    def largest_correlation(self, residual: Floats) -> float:
        """``max_f ‖⟨r x̂_f^H⟩‖``, the largest singular value."""
        product = residual.T @ self.images.reshape(self.n_images, -1) / self.n_images
        spectra = np.fft.fft2(product.reshape(-1, *self.images.shape[1:]), norm="ortho")
        return float(np.linalg.svd(spectra.transpose(2, 3, 0, 1), compute_uv=False).max())

    @cached_property
    def lam_max(self) -> float:
        """Smallest λ at which the answer is zero for L = 2."""
        return self.lam(2, 2.0 * self.largest_correlation(self.targets))

    def lams(self, n: int, ratio: float) -> Floats:
        """λ_max down to ``ratio`` of it, L = 2."""
        return self.lam_max * np.geomspace(1.0, ratio, n)


def centred(name: str, images: Floats, targets: Floats) -> Regression:
    """Means over the images subtracted: a pixel's, an output's."""
    return Regression(name, images - images.mean(axis=0), targets - targets.mean(axis=0))


def two_classes(root: Path, n_images: int = 10_000, classes: tuple[int, int] = (0, 1)) -> Regression:
    """CIFAR-10, grey 32² (the colours averaged), all 10,000 training images of two classes, targets ±1; K = 1."""
    from lineardyn import load_cifar10

    images, targets = load_cifar10(root, classes=list(classes))
    grey = images[:n_images].mean(axis=1, keepdims=True)
    return centred("CIFAR-2 grey 32²", grey, (targets[:n_images, :1] - targets[:n_images, 1:]))


def colours(root: Path, side: int, n_images: int = 2_000) -> Regression:
    """CIFAR-10 in colour, the first training images, blocks of pixels averaged to ``side``²; K = 10 one-hot."""
    from lineardyn import load_cifar10

    images, targets = load_cifar10(root)
    images, size = images[:n_images], 32 // side
    smaller = images.reshape(n_images, 3, side, size, side, size).mean(axis=(3, 5))
    return centred(f"CIFAR-10 colour {side}²", smaller, targets[:n_images])


def power_law(
    shape: tuple[int, int], n_images: int, *, n_outputs: int = 1, n_channels: int = 1, active: int = 10, seed: int = 0
) -> Regression:
    """Synthetic 1/f² images; targets of a predictor on ``active`` low frequencies (of rank 1), plus as much noise."""
    from lineardyn import power_law_images

    rng = np.random.default_rng(seed)
    stacked = power_law_images(shape, n_channels * n_images, exponent=2.0, rng=rng)
    images = stacked.reshape(n_images, n_channels, *shape)
    blocks = Blocks((n_channels, *shape))
    radius = np.hypot(*np.minimum(blocks.frequencies, np.array(shape) - blocks.frequencies).T)
    values = np.zeros((n_outputs, n_channels * shape[0] * shape[1]))
    for b in np.argsort(radius, kind="stable")[:active]:
        block = slice(blocks.starts[b], blocks.starts[b + 1])
        values[:, block] = np.outer(rng.standard_normal(n_outputs), rng.standard_normal(block.stop - block.start))
    clean = blocks.columns(images) @ values.T
    targets = clean / clean.std() + rng.standard_normal(clean.shape)
    return centred(f"power law {shape[0]}×{shape[1]}", images, targets)


def even(problem: Regression) -> Regression:
    """Images averaged with their reflection about the origin: every spectrum is real."""
    reflected = np.roll(problem.images[:, :, ::-1, ::-1], 1, axis=(2, 3))
    return Regression(f"{problem.name}, even", 0.5 * (problem.images + reflected), problem.targets)

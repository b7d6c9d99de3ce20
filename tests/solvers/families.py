"""Data on which every solver is tried, and the objective in pixel space.

A registry: each family is a function of a seed that gives images ``(N, C, H, W)``, targets ``(N, K)`` and the form of
the moments. All are small: an interior-point method takes them too.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lineardyn import SecondMoments, natural_patches, power_law_images
from solvers import RegularizedProblem
from tests import oracles

Array = NDArray[np.float64]
Data = tuple[Array, Array]


def natural(seed: int) -> Data:
    """One of four classes, odd and even side."""
    return natural_patches(4, 60, rng=seed)


def power_law(seed: int) -> Data:
    """``P(f) ~ 1/f^2``, one random target."""
    rng = np.random.default_rng(seed)
    images = power_law_images((4, 3), 50, exponent=2.0, rng=rng)
    return images, rng.standard_normal((50, 1))


def planted(seed: int) -> Data:
    """Targets from two frequencies of the images, and a little noise."""
    rng = np.random.default_rng(seed)
    images = rng.standard_normal((40, 1, 3, 4))
    wave = np.cos(2 * np.pi * (np.arange(3)[:, None] / 3 + np.arange(4) / 4))
    truth = wave + 0.5 * np.cos(2 * np.pi * np.arange(4) / 4)
    return images, (images[:, 0] * truth).sum(axis=(1, 2))[:, None] + 0.1 * rng.standard_normal((40, 1))


def coherent(seed: int) -> Data:
    """All images of a class equal: the modes form, of low rank."""
    rng = np.random.default_rng(seed)
    return np.repeat(rng.standard_normal((3, 2, 3, 3)), 2, axis=0), np.repeat(np.eye(3), 2, axis=0)


def interpolated(seed: int) -> Data:
    """Fewer samples than features: the loss can vanish."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((7, 1, 4, 4)), rng.standard_normal((7, 2))


def coloured(seed: int) -> Data:
    """Three channels that hold nearly the same, two outputs."""
    rng = np.random.default_rng(seed)
    grey, mixing = rng.standard_normal((40, 1, 3, 2)), rng.uniform(0.8, 1.2, (3, 1, 1))
    return grey * mixing + 0.1 * rng.standard_normal((40, 3, 3, 2)), rng.standard_normal((40, 2))


def tied(seed: int) -> Data:
    """``Σ^xx`` the identity: every frequency is as good as another, and the closed form holds."""
    rng = np.random.default_rng(seed)
    return np.sqrt(12) * np.eye(12).reshape(12, 1, 3, 4), rng.standard_normal((12, 1))


def silent(seed: int) -> Data:
    """Images that are even and have no mean: half of all coefficients, and DC, are zero."""
    rng = np.random.default_rng(seed)
    images = rng.standard_normal((20, 1, 4, 4))
    images += np.roll(images[..., ::-1, ::-1], 1, axis=(2, 3))
    return images - images.mean(axis=(2, 3), keepdims=True), rng.standard_normal((20, 1))


def twelve_orders(seed: int) -> Data:
    """Powers from 1e-6 to 1e6."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.fft2(rng.standard_normal((30, 1, 3, 4)), norm="ortho")
    power = 10.0 ** rng.permutation(np.linspace(-6, 6, 12)).reshape(3, 4)
    images = np.fft.ifft2(spectrum * np.sqrt(power), norm="ortho").real
    return images, rng.standard_normal((30, 1))


FAMILIES: dict[str, tuple[Callable[[int], Data], str]] = {
    "natural": (natural, "dense"),
    "power law": (power_law, "samples"),
    "planted": (planted, "dense"),
    "coherent": (coherent, "modes"),
    "interpolated": (interpolated, "samples"),
    "coloured": (coloured, "dense"),
    "tied": (tied, "dense"),
    "silent": (silent, "samples"),
    "twelve orders": (twelve_orders, "dense"),
}


def make_problem(
    family: str, depth: int, share: float = 0.1, *, seed: int = 0, rank: int | None = None
) -> RegularizedProblem:
    """λ is ``share`` of that above which a single frequency is not worth its penalty."""
    make, form = FAMILIES[family]
    moments = SecondMoments.from_data(*make(seed), form=form)
    return with_share(RegularizedProblem(moments, depth=depth, lam=1.0, rank=rank), share)


def with_share(problem: RegularizedProblem, share: float) -> RegularizedProblem:
    """λ as a share of the largest at which one frequency alone leaves zero; of the mean power at depth 1."""
    quadratic, p = problem.quadratic, problem.power
    pull = np.linalg.norm(problem.coordinates.blocks(quadratic.cross), axis=(1, 2))
    seen = quadratic.curvatures > 0
    norms, ratios = pull[seen] / quadratic.curvatures[seen], problem.thresholds[seen] / quadratic.curvatures[seen]
    if problem.depth == 1:
        return problem.with_lam(share * float(quadratic.curvatures.mean()))
    # ½x² - zx + u x^p touches zero from u = z^{2-p} (1-p)^{1-p} 2^{1-p} / (2-p)^{2-p} on; p = 1: u = z
    touch = norms ** (2 - p) * (2 - 2 * p) ** (1 - p) / (2 - p) ** (2 - p) if p < 1 else norms
    return problem.with_lam(share * problem.lam * float((touch / ratios).max()))


def pixel_weights(predictor: NDArray[np.complex128]) -> Array:
    """The predictor as ``(K, C·H·W)`` in pixel space, by the plain matrices of the transform."""
    image = oracles.dft2(predictor.transpose(2, 3, 0, 1))  # v̂ is the conjugate of the transform of w: w = F v̂
    assert np.abs(image.imag).max() <= 1e-11 * max(float(np.abs(image).max()), 1e-300)
    return image.real.reshape(len(image), -1)


def pixel_objective(data: Data, predictor: NDArray[np.complex128], depth: int, lam: float) -> float:
    """``(1/N) Σ‖y - f(x)‖² + λ L P^{-(L-1)/L} Σ_f ‖v̂_f‖^p_{S_p}`` from the definitions, over all frequencies."""
    images, targets = data
    residual = targets - images.reshape(len(images), -1) @ pixel_weights(predictor).T
    singular = np.linalg.svd(predictor, compute_uv=False)
    singular[singular <= 1e-13 * singular.max(axis=-1, keepdims=True)] = 0.0
    height, width = predictor.shape[:2]
    mu = lam * depth * (height * width) ** (-(depth - 1) / depth)
    return float((residual**2).sum() / len(images) + mu * (singular ** (2 / depth)).sum())

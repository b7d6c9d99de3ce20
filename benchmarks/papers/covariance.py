"""G fig 1: the covariance of images in Fourier space."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmarks.papers.figure import Agreement, Findings, PaperFigure, Run
from lineardyn import SecondMoments, load_cifar10, power_law_images
from lineardyn.fourier import fft2
from lineardyn.plots import plot_power_spectrum
from lineardyn.plots.style import color, figure_for, styled
from proofs_check.report.section import Picture
from proofs_check.spectra import fit_power_law, radial_average

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["G1", "by_distance", "fourier_covariance"]

Floats = NDArray[np.float64]

EXPONENT = 2.0
"""Of the images that *tiny* makes."""


def fourier_covariance(images: Floats) -> NDArray[np.complex128]:
    r"""``Σ[c, f, c', f'] = ⟨(x̂_cf - μ̂_cf) conj(x̂_c'f' - μ̂_c'f')⟩`` ``(C, H, W, C, H, W)`` [Godfrey et al. eq C.1].

    With the conjugate, which the paper's formula lacks; the modulus of an entry is then that of another one of theirs.
    """
    centred = images - images.mean(axis=0)
    shape = images.shape[1:]
    # targets play no part
    gram = SecondMoments.from_data(centred, np.ones((len(centred), 1)), form="dense").gram().reshape(*shape, *shape)
    right = np.conj(fft2(gram))  # the Gram matrix is real: this is F^H from the right
    left = fft2(np.moveaxis(right, (1, 2), (-2, -1)))
    return np.moveaxis(left, (-2, -1), (1, 2))


def by_distance(
    covariance: NDArray[np.complex128], *, torus: bool, channels_apart: bool = True
) -> tuple[Floats, Floats]:
    """Mean ``|Σ|`` over the distance of ``(c, u, v)`` and ``(c', u', v')``, rounded to integers [eq C.2].

    Without ``channels_apart`` over that of the frequencies alone: the channels of a photograph are strongly correlated.
    """
    channels, height, width = covariance.shape[:3]
    c, u, v = (abs(np.arange(n)[:, None] - np.arange(n)) for n in (channels, height, width))
    c = c if channels_apart else 0 * c
    if torus:
        u, v = np.minimum(u, height - u), np.minimum(v, width - v)
    squared = (c**2)[:, None, None, :, None, None] + (u**2)[None, :, None, None, :, None]
    squared = squared + (v**2)[None, None, :, None, None, :]
    ring = np.rint(np.sqrt(squared)).astype(np.intp).ravel()
    count = np.bincount(ring)
    total = np.bincount(ring, np.abs(covariance).ravel())
    return np.flatnonzero(count).astype(np.float64), total[count > 0] / count[count > 0]


def images_at(scale: str) -> tuple[Floats, str]:
    """Images with mean 0 and standard deviation 1 in each channel, and a sentence about them."""
    if scale == "tiny":
        found = power_law_images((16, 16), 2000, exponent=EXPONENT, rng=0)
        text = f"2000 Gaussian images of 16 × 16 pixels with power |f|^−{EXPONENT:g}."
    else:
        found, _ = load_cifar10(split="train")
        found = found[:10000] if scale == "cpu" else found
        text = f"the first {len(found):,} training images of CIFAR-10."
    axes = (0, 2, 3)
    return (found - found.mean(axis=axes, keepdims=True)) / found.std(axis=axes, keepdims=True), text


def covariance(run: Run) -> Findings:
    """Mean |Σ| over distance, variance image, exponent of its power law."""
    images, about = images_at(run.scale)
    sigma = fourier_covariance(images)
    shape = images.shape[1:]
    size = int(np.prod(shape))
    variance = np.maximum(np.einsum("ii->i", sigma.reshape(size, size)).real, 0.0).reshape(shape)
    plain, torus = by_distance(sigma, torus=False), by_distance(sigma, torus=True)
    radii, power = radial_average(variance)
    law = fit_power_law(radii, power, min(shape[1:]) // 2)
    apart = by_distance(sigma, torus=True, channels_apart=False)[1][1:] / variance.mean()
    agreement = Agreement(
        "the variance is concentrated at low frequencies, by a power law of the radius",
        "the exponent α of the power, τ ∝ |f|^−α,",
        law.exponent,
        law.interval,
        "95 % of the fit over rings",
        law.interval[0] > 0,
        f"Covariances: mean |Σ| of neighbouring frequencies is {apart[0]:.2g} of the mean variance, of those at a "
        f"distance of 5 or more at most {apart[4:].max():.2g}.",
    )
    numbers = {
        "distance": {"plain": plain[0], "torus": torus[0]},
        "mean_covariance": {"plain": plain[1], "torus": torus[1]},
        "standard_deviation": np.sqrt(variance),
        "exponent": law.exponent,
        "exponent_interval_95": list(law.interval),
        "power_spectrum": {"radius": radii, "power": power},
        "covariance_over_mean_variance_from_distance_1": apart,
    }
    pictures = [
        Picture(
            "g1-distance", "Mean |Σ| over the distance of two frequencies, in the plane of indices and on the torus.",
            lambda: plot_distances({"plain": plain, "on the torus": torus}), "fig 1 (a), (b)",
        ),
        Picture(
            "g1-deviation", "Standard deviation of the images along each Fourier basis vector, mean over channels, "
            "logarithm to base 10, DC in the middle.",
            lambda: plot_deviation(np.sqrt(variance.mean(axis=0))), "fig 1 (c)",
        ),
        Picture(
            "g1-power", "Variance over the radius on the torus, with the fitted power law.",
            lambda: plot_power_spectrum(
                radii, power, fit=law.line, label=f"radius$^{{{-law.exponent:.2f}}}$"
            ), "eq 4.20",
        ),
    ]  # fmt: skip
    return Findings(numbers, agreement, about + " Each channel with mean 0 and standard deviation 1.", [0], pictures)


@styled
def plot_distances(curves: dict[str, tuple[Floats, Floats]]) -> Figure:
    """Both averages, logarithmic."""
    figure = figure_for(None)
    ax = figure.add_subplot()
    ax.grid(True, axis="y")
    for i, (name, (distance, mean)) in enumerate(curves.items()):
        ax.plot(distance, mean, "os"[i] + "-", markersize=3, color=color(i), label=name)
    ax.set_yscale("log")
    ax.set_xlabel("distance of two frequencies")
    ax.set_ylabel("mean |Σ|")
    ax.legend()
    return figure


@styled
def plot_deviation(deviation: Floats) -> Figure:
    """An image, DC in the middle."""
    figure = figure_for(None, 4.0, 3.4)
    ax = figure.add_subplot()
    height, width = deviation.shape
    extent = (-(width // 2) - 0.5, width - width // 2 - 0.5, height - height // 2 - 0.5, -(height // 2) - 0.5)
    shown = ax.imshow(np.fft.fftshift(np.log10(np.maximum(deviation, 1e-12))), cmap="viridis", extent=extent)
    ax.set_xlabel("v (cycles per image)")
    ax.set_ylabel("u")
    figure.colorbar(shown, ax=ax, shrink=0.9)
    return figure


G1 = PaperFigure(
    "g1",
    "The covariance of images in Fourier space",
    "Godfrey et al., fig 1: covariances between distinct frequency components of CIFAR-10 are negligible against the "
    "variances; the variance is concentrated at low frequencies, in agreement with τ ≈ γ / (|i|^α + |j|^β).",
    covariance,
    ("CIFAR-10",),
)

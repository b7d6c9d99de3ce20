"""Figures of the probes; matplotlib is imported when one is called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lineardyn.plots.style import INK, axes_for, color, figure_for, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from proofs_check.probes.bottleneck import BottleneckReport
    from proofs_check.probes.comparison import Comparison
    from proofs_check.probes.filters import FilterSpectrum
    from proofs_check.probes.sensitivity import FrequencySensitivity

__all__ = ["plot_bottleneck", "plot_comparison", "plot_filter_spectra", "plot_radial_sensitivity", "plot_sensitivity"]


@styled
def plot_sensitivity(found: FrequencySensitivity, *, figure: Figure | None = None) -> Figure:
    """The average over channels as an image, DC in the middle, and its radial average; of pixels, the image alone."""
    if found.basis == "pixel":
        return _plot_saliency(found, figure_for(figure, 3.4, 3.1))
    figure = figure_for(figure, 7.0, 3.1)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.3))
    image = np.fft.fftshift(found.mean.mean(axis=0))
    height, width = image.shape
    extent = (-(width // 2) - 0.5, width - width // 2 - 0.5, height - height // 2 - 0.5, -(height // 2) - 0.5)
    shown = left.imshow(image, cmap="viridis", extent=extent)
    left.set_xlabel("v (cycles per image)")
    left.set_ylabel("u")
    left.set_title("sensitivity")
    figure.colorbar(shown, ax=left, shrink=0.8)
    plot_radial_sensitivity({"": found}, ax=right)
    return figure


def _plot_saliency(found: FrequencySensitivity, figure: Figure) -> Figure:
    ax = figure.subplots()
    shown = ax.imshow(found.mean.mean(axis=0), cmap="viridis")
    ax.set_xlabel("j (pixels)")
    ax.set_ylabel("i")
    ax.set_title("sensitivity")
    figure.colorbar(shown, ax=ax, shrink=0.8)
    return figure


@styled
def plot_radial_sensitivity(found: dict[str, FrequencySensitivity], *, ax: Axes | None = None) -> Figure:
    """Radial averages of one model or of several, with a tick below at each one's mean radius."""
    figure, ax = axes_for(ax)
    for i, (name, sensitivity) in enumerate(found.items()):
        tint = color(i, len(found))
        radii, values = sensitivity.radial()
        ax.plot(radii, values, "o-", color=tint, markersize=3, label=name or None)
        ax.axvline(sensitivity.first_moment, color=tint, linewidth=1, linestyle=(0, (1, 2)))
    ax.set_yscale("log")
    ax.set_xlabel("radius (cycles per image)")
    ax.set_title("dotted: mean radius")
    ax.set_ylabel("⟨‖∂f/∂x̂‖⟩")
    if any(found):
        ax.legend()
    return figure


@styled
def plot_filter_spectra(spectra: Sequence[FilterSpectrum], *, ax: Axes | None = None) -> Figure:
    """Singular values of each layer over the radius of the frequency; approximate layers hollow."""
    from lineardyn.fourier import radius

    figure, ax = axes_for(ax, 6.0, 3.4)
    for i, spectrum in enumerate(spectra):
        values = spectrum.singular_values
        radii = np.repeat(radius(values.shape[:2])[..., None], values.shape[-1], axis=-1)
        tint = color(i, len(spectra))
        face = tint if spectrum.exact else "white"
        ax.plot(
            radii.ravel(), values.ravel(), ".", color=tint, markerfacecolor=face, markersize=4, alpha=0.6,
            label=spectrum.name + ("" if spectrum.exact else " (as if circular)"),
        )  # fmt: skip
    ax.axhline(1.0, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
    ax.set_xlabel("radius of the frequency (cycles per image)")
    ax.set_ylabel("singular values")
    ax.legend(fontsize=8)
    return figure


@styled
def plot_bottleneck(report: BottleneckReport, *, figure: Figure | None = None) -> Figure:
    """Singular values of every filter over the radius; below, the ranks of weights and inputs over the layers."""
    figure = figure_for(figure, 6.5, 5.4)
    top, bottom = figure.subplots(2, 1, height_ratios=(3, 2))
    if report.spectra:
        plot_filter_spectra(report.spectra, ax=top)
    else:
        top.set_axis_off()
    place = np.arange(report.depth)
    bottom.grid(True, axis="y")
    bottom.plot(place, [layer.weights_rank for layer in report.layers], "o-", color=color(0), label="weights")
    bottom.plot(place, [layer.activations_rank for layer in report.layers], "s--", color=color(1), label="input")
    bottom.set_xticks(place, [layer.name for layer in report.layers], rotation=30, ha="right")
    bottom.set_xlabel("layer")
    bottom.set_ylabel("rank over all frequencies")
    bottom.set_yscale("log")
    bottom.legend()
    return figure


@styled
def plot_comparison(found: Comparison, *, figure: Figure | None = None) -> Figure:
    """Modes learned, over their singular values; radial averages of both sensitivities and of the data's power."""
    from proofs_check.spectra import radial_average

    figure = figure_for(figure, 7.0, 3.2)
    left, right = figure.subplots(1, 2)
    alive = ~found.modes.null
    left.grid(True, axis="y")
    left.axhline(1.0, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
    left.plot(found.modes.s[alive], found.learned[alive], "o", color=color(0))
    left.set_xscale("log")
    left.set_ylim(min(0.0, *left.get_ylim()))
    left.set_xlabel("singular value $s$ of the mode")
    left.set_ylabel("learned, $B/s$")
    curves = {"model": found.sensitivity, "linear theory": found.predicted, "data, $√τ$": np.sqrt(found.power)}
    for i, (name, values) in enumerate(curves.items()):
        radii, average = radial_average(values)
        shown = average > 0
        right.plot(
            radii[shown], average[shown] / average.max(initial=1e-300), "o-", markersize=3, color=color(i), label=name
        )
    right.set_yscale("log")
    right.set_xlabel("radius (cycles per image)")
    right.set_ylabel("share of the largest ring")
    right.legend()
    return figure

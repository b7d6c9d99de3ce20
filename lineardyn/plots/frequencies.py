"""Figures of frequencies: spectra of kernels and modes, and which frequencies win [Pinson et al. fig 4, 5, S.5]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lineardyn.fourier import half_spectrum
from lineardyn.plots.style import FAINT, INK, MUTED, WIDTH, axes_for, color, figure_for, image_of, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_frequency_growth", "plot_kernel_over_modes", "plot_kernels", "plot_spectrum_images"]

Floats = NDArray[np.float64]


def plane(ax: Axes, spectrum: Floats, title: str) -> None:
    """|spectrum| (H, W) with DC in the middle; the square root of the height shows the weak ones too."""
    height, width = spectrum.shape
    shifted = np.fft.fftshift(spectrum) ** 0.5
    extent = (-(width // 2) - 0.5, (width - 1) // 2 + 0.5, (height - 1) // 2 + 0.5, -(height // 2) - 0.5)
    ax.imshow(shifted, cmap="Greys", vmin=0, extent=extent, interpolation="nearest")
    ax.set_title(title, loc="center", fontsize=9)
    ax.set_xticks([-(width // 2), 0])
    ax.set_yticks([-(height // 2), 0])
    ax.tick_params(length=2, labelsize=8)
    for spine in ax.spines.values():
        spine.set_visible(True)
        spine.set_color(FAINT)


@styled
def plot_spectrum_images(spectra: Sequence[Floats], titles: Sequence[str], *, figure: Figure | None = None) -> Figure:
    """Magnitudes ``(H, W)`` over the frequency plane (v to the right, u down, DC in the middle), in rows of four."""
    per_row = min(4, max(len(spectra), 2))
    rows = -(-len(spectra) // per_row)
    figure = figure_for(figure, WIDTH, rows * (WIDTH / per_row + 0.25))
    for i, (spectrum, title) in enumerate(zip(spectra, titles, strict=True)):
        plane(figure.add_subplot(rows, per_row, i + 1), spectrum, title)
    return figure


@styled
def plot_kernels(kernels: Floats, spectra: Floats, titles: Sequence[str], *, figure: Figure | None = None) -> Figure:
    """Kernels ``(n, C, H, W)`` as images, and below each its spectrum ``(n, H, W)`` [Pinson et al. fig 5 f, h]."""
    n = max(len(kernels), 2)
    figure = figure_for(figure, WIDTH, 2 * (WIDTH - 0.75) / n + 0.75)
    axes = figure.subplots(2, n, squeeze=False)
    for column in range(n):
        if column >= len(kernels):
            axes[0, column].set_axis_off()
            axes[1, column].set_axis_off()
            continue
        pixels, options = image_of(kernels[column])
        axes[0, column].imshow(pixels, interpolation="nearest", **options)
        axes[0, column].set_title(titles[column], loc="center", fontsize=9)
        axes[0, column].set_xticks([])
        axes[0, column].set_yticks([])
        plane(axes[1, column], spectra[column], "")
        if column:
            axes[1, column].set_yticklabels([])
    axes[0, 0].set_ylabel("kernel", fontsize=9)
    axes[1, 0].set_ylabel("spectrum  u", fontsize=9)
    return figure


@styled
def plot_frequency_growth(
    x: Floats,
    spectra: Floats,
    winners: Sequence[tuple[tuple[int, int], int]],
    *,
    n_modes: int,
    theory: tuple[Floats, Floats] | None = None,
    xlabel: str = "time",
    ax: Axes | None = None,
) -> Figure:
    """|κ_f| over time, ``(T, H, W)``: every frequency grey, the winners in the colour of their mode [fig 4, 5 i-j].

    Parameters
    ----------
    winners
        ``((u, v), mode)`` for each frequency to point out.
    theory
        ``(x, spectra)`` of the same shapes, drawn as wide pale lines below the winners.
    """
    figure, ax = axes_for(ax)
    half = half_spectrum((spectra.shape[1], spectra.shape[2]))
    flat = spectra.reshape(len(spectra), -1)
    named = {u * spectra.shape[2] + v for (u, v), _ in winners}
    others = [int(f) for f in half.indices if int(f) not in named and flat[:, f].max() > 1e-3 * flat.max()]
    if others:
        lines = ax.plot(x, flat[:, others], color=MUTED, linewidth=0.6, alpha=0.5, zorder=1)
        for line in lines:
            line.set_rasterized(len(others) > 60)
    ends = []
    for (u, v), mode in winners:
        if theory is not None:
            ax.plot(theory[0], theory[1][:, u, v], color=color(mode, n_modes), linewidth=6, alpha=0.28)
        ax.plot(x, spectra[:, u, v], color=color(mode, n_modes), linewidth=1.8)
        ends.append((float(spectra[-1, u, v]), f"({u}, {v})", color(mode, n_modes)))
    _name_ends(ax, ends)
    _growth_legend(ax, bool(others), theory is not None)
    ax.set_xlim(float(x[0]), float(x[-1]))
    ax.set_ylim(0, 1.06 * float(flat.max()))
    ax.set_xlabel(xlabel)
    ax.set_ylabel("$|κ_f|$")
    return figure


def _growth_legend(ax: Axes, others: bool, theory: bool) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=INK, label="gradient flow")] if theory else []
    if theory:
        handles.append(Line2D([], [], color=INK, linewidth=6, alpha=0.28, label="mode clock"))
    elif others:
        handles += [
            Line2D([], [], color=color(0), label="strongest of a mode"),
            Line2D([], [], color=MUTED, linewidth=0.8, label="all others"),
        ]
    if handles:
        ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, borderaxespad=0.1)


def _name_ends(ax: Axes, ends: list[tuple[float, str, str]]) -> None:
    """Names at the right ends of curves, pushed apart where they would touch."""
    if not ends:
        return
    ends = sorted(ends)
    gap, ceiling = 0.062 * ends[-1][0], 1.06 * ends[-1][0]
    places = [value for value, _, _ in ends]
    for i in range(1, len(ends)):
        places[i] = max(places[i], places[i - 1] + gap)
    for i in reversed(range(len(ends))):
        places[i] = min(places[i], ceiling - gap * (len(ends) - 1 - i))
    for (_, text, colour), place in zip(ends, places, strict=True):
        ax.annotate(
            text, (1, place), (4, 0), xycoords=("axes fraction", "data"), textcoords="offset points", color=colour,
            va="center", fontsize=8, annotation_clip=False,
        )  # fmt: skip


@styled
def plot_kernel_over_modes(
    kernels: Floats,
    mode_spectra: Floats,
    discovered: Sequence[Sequence[int]],
    row_titles: Sequence[str],
    *,
    n_modes: int | None = None,
    figure: Figure | None = None,
) -> Figure:
    """Kernel spectrum over mode spectra at several times [Pinson et al. fig S.5].

    Parameters
    ----------
    kernels
        ``(n_times, H, W)``: |κ_f| at each time, one row of the figure.
    mode_spectra
        ``(R, H, W)``: |q_αf|, one column a mode, as dots.
    discovered
        For each time the modes learned by then; only these are drawn.
    row_titles
        One for each time.

    Notes
    -----
    The frequencies of each panel are sorted by the mode's own |q_αf| (the paper keeps the order of their index), one of
    each conjugate pair. Crosses sit on the dots; their area is proportional to |κ_f|, largest in the row = full
    size, and those below 3 % of it are left out.
    """
    n_rows, n_columns = len(kernels), mode_spectra.shape[0]
    figure = figure_for(figure, max(WIDTH, 1.25 * n_columns), 0.5 + 1.2 * n_rows)
    axes = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True, sharey=True)
    half = half_spectrum((mode_spectra.shape[1], mode_spectra.shape[2])).indices
    for row in range(n_rows):
        kernel = kernels[row].reshape(-1)[half]
        relative = kernel / (kernel.max() or 1.0)
        for a in range(n_columns):
            if a not in discovered[row]:
                axes[row, a].set_axis_off()
                continue
            q = mode_spectra[a].reshape(-1)[half]
            _over_mode(axes[row, a], q, relative, color(a, n_modes or n_columns))
            if row == 0 or a not in discovered[row - 1]:
                axes[row, a].set_title(f"mode {a + 1}", loc="center", fontsize=9, color=color(a, n_modes or n_columns))
        axes[row, min(discovered[row], default=0)].set_ylabel(row_titles[row], fontsize=8)
    figure.supxlabel("rank of the frequency in the mode", fontsize=9)
    figure.supylabel("$|q_{αf}|$", fontsize=9)
    return figure


def _over_mode(ax: Axes, q: Floats, relative: Floats, colour: str) -> None:
    order = np.argsort(-q, kind="stable")
    rank = np.arange(1, len(q) + 1)
    strong = relative[order] > 0.03
    ax.plot(rank, q[order], color=colour, linewidth=1, alpha=0.5)
    ax.scatter(rank, q[order], s=4, color=colour, linewidths=0, rasterized=True)
    ax.scatter(rank[strong], q[order][strong], s=60 * relative[order][strong], marker="x", color=INK, linewidths=1.0)
    ax.set_xscale("log")
    ticks = [10**k for k in range(5) if 10**k <= len(q)]
    ax.set_xticks(ticks, [str(k) for k in ticks])
    ax.minorticks_off()
    ax.tick_params(labelsize=8, length=2)

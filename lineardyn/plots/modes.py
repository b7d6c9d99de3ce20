"""Figures of a data set: its images, its modes, its singular values, its power spectrum [Pinson et al. fig 2, S.4]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lineardyn.closed_form.frequency_sets import check_modes
from lineardyn.plots.style import FAINT, INK, MUTED, WIDTH, axes_for, color, figure_for, image_of, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lineardyn.modes import Modes

__all__ = ["plot_images", "plot_modes", "plot_power_spectrum", "plot_singular_values"]

Floats = NDArray[np.float64]
_PER_ROW = 5


def show_image(ax: Axes, image: Floats, *, scale: float | None = None) -> None:
    """``(C, H, W)`` with values of both signs, without ticks; ``scale`` as for :func:`image_of`."""
    pixels, options = image_of(image, scale)
    ax.imshow(pixels, interpolation="nearest", **options)
    bare(ax)


def bare(ax: Axes) -> None:
    """A frame without ticks."""
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(True)
        spine.set_color(FAINT)


def _columns(n: int) -> int:
    """Pictures in a row: as even as can be, at most five, at least two."""
    rows = -(-n // _PER_ROW)
    return max(-(-n // max(rows, 1)), 2)


@styled
def plot_modes(
    modes: Modes, *, class_names: Sequence[str] | None = None, n: int | None = None, figure: Figure | None = None
) -> Figure:
    """The modes ``Σ^yx = Σ_α s_α u_α v_αᵀ``: above the image v_α, below how much of it each class has (u_α).

    Parameters
    ----------
    modes
        From :meth:`lineardyn.SecondMoments.modes`; null modes are left out.
    class_names
        K names for the bars; by default 0, 1, ..
    n
        At most this many modes.
    figure
        Draw on this (sub)figure instead of a new one.

    Notes
    -----
    Pinson et al., figures 2 (b-d) and S.4. Red is positive and blue negative; three channels are shown as colours
    around grey. The sign of a mode is that of ``Modes``: the entry of v_α of largest magnitude is positive.
    """
    check_modes(modes)
    alive = np.flatnonzero(~modes.null)[:n]
    k = modes.u.shape[0]
    names = [str(i) for i in range(k)] if class_names is None else [str(name) for name in class_names]
    per_row = _columns(len(alive))
    rows = max(-(-len(alive) // per_row), 1)
    bar_height = 0.16 * k + 0.1
    figure = figure_for(figure, WIDTH, rows * (WIDTH / per_row + bar_height + 0.25))
    grid = figure.add_gridspec(2 * rows, per_row, height_ratios=[WIDTH / per_row, bar_height] * rows)
    for position, alpha in enumerate(alive):
        row, column = divmod(position, per_row)
        top = figure.add_subplot(grid[2 * row, column])
        show_image(top, modes.v[alpha])
        top.set_title(f"mode {alpha + 1}\ns = {modes.s[alpha]:.3g}", loc="center", fontsize=9)
        _class_bars(figure.add_subplot(grid[2 * row + 1, column]), modes.u[:, alpha], names if column == 0 else None)
    return figure


def _class_bars(ax: Axes, loadings: Floats, names: list[str] | None) -> None:
    positions = np.arange(len(loadings))
    ax.barh(positions, loadings, height=0.7, color=["#b2182b" if x > 0 else "#2166ac" for x in loadings])
    ax.axvline(0, color=MUTED, linewidth=0.8)
    ax.set_xlim(-1.05, 1.05)
    ax.set_ylim(len(loadings) - 0.4, -0.6)
    ax.set_xticks([])
    ax.set_yticks(positions if names else [], names or [], fontsize=8)
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)


@styled
def plot_images(images: Floats, titles: Sequence[str], *, figure: Figure | None = None) -> Figure:
    """Images ``(n, C, H, W)`` in rows of at most five, each on its own scale; three channels are colours."""
    per_row = _columns(len(images))
    rows = -(-len(images) // per_row)
    figure = figure_for(figure, WIDTH, rows * (WIDTH / per_row + 0.22))
    for i, (image, title) in enumerate(zip(images, titles, strict=True)):
        ax = figure.add_subplot(rows, per_row, i + 1)
        low, high = float(image.min()), float(image.max())
        shown = (image - low) / ((high - low) or 1.0)
        pixels = shown.transpose(1, 2, 0) if len(shown) == 3 else shown.mean(axis=0)
        ax.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        bare(ax)
        ax.set_title(title, loc="center", fontsize=9)
    return figure


@styled
def plot_singular_values(s: Floats, *, null: NDArray[np.bool_] | None = None, ax: Axes | None = None) -> Figure:
    """The singular values s_α of Σ^yx in their order; null ones as open marks at the foot."""
    figure, ax = axes_for(ax, height=2.4)
    null = np.zeros(len(s), dtype=bool) if null is None else null
    alive = np.flatnonzero(~null)
    ax.set_yscale("log")
    floor = float(s[alive].min()) / 3 if len(alive) else 1e-3
    ax.vlines(alive + 1, floor, s[alive], color=[color(int(a), len(s)) for a in alive], linewidth=2)
    for a in alive:
        ax.plot(a + 1, s[a], "o", color=color(int(a), len(s)), markersize=7)
        ax.annotate(f"{s[a]:.3g}", (a + 1, s[a]), (0, 7), textcoords="offset points", ha="center", fontsize=9)
    if null.any():
        ax.plot(
            np.flatnonzero(null) + 1,
            np.full(null.sum(), floor),
            "o",
            mfc="white",
            color=MUTED,
            label="null mode",
            clip_on=False,
        )
        ax.legend(loc="upper right")
    ax.set_ylim(floor, 2.2 * float(s.max() or 1.0))
    ax.set_xlim(0.4, len(s) + 0.6)
    ax.set_xticks(np.arange(1, len(s) + 1))
    ax.yaxis.set_tick_params(which="both", length=0, labelleft=False)  # the values stand at the marks
    ax.grid(False)
    ax.set_xlabel("mode α")
    ax.set_ylabel("$s_α$  (log scale)")
    return figure


@styled
def plot_power_spectrum(
    radius: Floats, power: Floats, *, fit: tuple[Floats, Floats] | None = None, label: str = "", ax: Axes | None = None
) -> Figure:
    """Mean power ``⟨|x̂_f|²⟩`` of the frequencies at each distance from DC (DC itself left out), on log-log axes.

    ``fit``: radii and powers of a fitted line, ``label`` says what it is.
    """
    figure, ax = axes_for(ax, height=2.7)
    shown = (radius > 0) & (power > 1e-12 * power.max())  # the rest is round-off
    ax.loglog(radius[shown], power[shown], "o", color=color(0), markersize=5, label="mean over a ring")
    if fit is not None:
        ax.loglog(*fit, color=INK, linewidth=1.4, label=label)
    ends = radius[shown] if shown.any() else np.array([1.0])  # all the power may lie in DC: constant images
    octaves = [2**k for k in range(12) if 0.8 * ends.min() <= 2**k <= 1.2 * ends.max()]
    ax.set_xticks(octaves, [str(k) for k in octaves])
    ax.minorticks_off()
    ax.set_xlabel("radius of the frequency (cycles per image)")
    ax.set_ylabel("power")
    ax.legend(loc="lower left")
    return figure

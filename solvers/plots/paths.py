"""Coefficients over weight decay and over depth [Godfrey et al. section 4.3]."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lineardyn.errors import ArgumentError
from lineardyn.plots.style import INK, WIDTH, color, figure_for, styled
from solvers.plots.coefficients import check_solutions, draw_magnitudes
from solvers.result import Solution

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_depths", "plot_path"]

Floats = NDArray[np.float64]


@styled
def plot_path(result: Sequence[Solution], *, figure: Figure | None = None) -> Figure:
    """What :meth:`solvers.PathResult.plot` shows: coefficients, objective and the number of frequencies kept over λ.

    Parameters
    ----------
    result
        Solutions of one problem at several λ, in any order; λ is drawn on a logarithmic axis.
    figure
        Draw on this (sub)figure instead of a new one.

    Notes
    -----
    A line is ‖v̂_f‖ of a frequency and its conjugate, coloured by the radius; zero from the λ on at which the frequency
    is given up. At depth ≥ 3 it jumps there.
    """
    solutions = sorted(check_solutions("result", result), key=lambda s: s.lam)
    return _stack(np.array([s.lam for s in solutions]), solutions, figure, "weight decay  λ", "")


@styled
def plot_depths(solutions: Sequence[Solution], *, figure: Figure | None = None) -> Figure:
    """The same over the depth L: what each further layer leaves of the coefficients.

    Parameters
    ----------
    solutions
        One for each depth, on the same data, in any order.
    figure
        Draw on this (sub)figure instead of a new one.

    Raises
    ------
    ArgumentError
        Two solutions of one depth.
    """
    found = sorted(check_solutions("solutions", solutions), key=lambda s: s.depth)
    depths = [s.depth for s in found]
    for depth, following in pairwise(depths):
        if depth == following:
            raise ArgumentError(f"solutions holds depth {depth} twice, expected one of each: plot_path draws over λ")
    return _stack(np.array(depths, dtype=float), found, figure, "depth  L", "o")


def _stack(x: Floats, solutions: list[Solution], figure: Figure | None, xlabel: str, marker: str) -> Figure:
    """Coefficients; objective and its parts; frequencies kept."""
    figure = figure_for(figure, WIDTH, 5.8)
    top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=(3, 1.7, 1.2))
    colours = draw_magnitudes(top, x, solutions, marker=marker)
    bar = figure.colorbar(colours, ax=top, location="top", aspect=45, pad=0.02)
    bar.set_label("radius of the frequency (cycles per image)", fontsize=9)
    bar.outline.set_visible(False)
    top.set_ylabel("$‖\\hat v_f‖$")
    _heights(middle, x, solutions, marker or ("o" if len(x) == 1 else ""))
    _kept(bottom, x, solutions, marker or ("o" if len(x) == 1 else ""))
    for ax in (top, middle, bottom):
        ax.grid(True, axis="y")
    _abscissa(bottom, x, bool(marker))
    bottom.set_xlabel(xlabel)
    figure.align_ylabels()
    return figure


def _heights(ax: Axes, x: Floats, solutions: list[Solution], marker: str) -> None:
    style: dict[str, Any] = {"marker": marker or None, "markersize": 4}
    ax.plot(x, [s.objective for s in solutions], color=INK, label="objective", **style)
    ax.plot(x, [s.loss for s in solutions], color=color(0), linestyle="--", label="loss", **style)
    ax.plot(x, [s.penalty for s in solutions], color=color(1), linestyle=":", label="penalty", **style)
    ax.set_ylim(bottom=0)
    ax.legend(loc="lower left", bbox_to_anchor=(0, 0.97), ncols=3, borderaxespad=0.1)


def _kept(ax: Axes, x: Floats, solutions: list[Solution], marker: str) -> None:
    counts = [int(s.active.sum()) for s in solutions]
    ax.plot(x, counts, color=INK, marker=marker or "o", markersize=4 if marker else 3, linewidth=1.2)
    ax.set_ylim(0, 1.12 * max(counts) or 1.0)
    ax.locator_params(axis="y", integer=True, nbins=4)
    ax.set_ylabel(f"kept, of {solutions[0].active.size}")


def _abscissa(ax: Axes, x: Floats, depths: bool) -> None:
    if depths:
        ax.set_xticks(x, [f"{value:.0f}" for value in x])
        ax.set_xlim(float(x[0]) - 0.3, float(x[-1]) + 0.3)
        return
    ax.set_xscale("log")
    if x[-1] > x[0]:
        ax.set_xlim(float(x[0]), float(x[-1]))

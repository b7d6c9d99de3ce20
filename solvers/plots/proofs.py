"""What is proven of each solution: its objective, the gap to the lower bound, the residual of the prox map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lineardyn.plots.style import INK, MUTED, WIDTH, color, figure_for, styled
from solvers.certificates import CLOSE, STATIONARY
from solvers.plots.coefficients import check_solutions
from solvers.result import Solution

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_certificates"]

Floats = NDArray[np.float64]
KINDS = {"global": ("o", 2, "a global minimum"), "local": ("D", 0, "a local minimum"), "none": ("X", 1, "neither")}
FLOOR = 1e-17
"""What is 0 is drawn here: below every round-off."""


@styled
def plot_certificates(results: Sequence[Solution], *, figure: Figure | None = None) -> Figure:
    """Objective with its proven lower bound, relative gap and residual, over λ (over the depth, where λ is the same).

    Parameters
    ----------
    results
        Solutions of :func:`solvers.path`, or of several calls of :func:`solvers.solve`.
    figure
        Draw on this (sub)figure instead of a new one.

    Notes
    -----
    Marks say of which kind each certificate is; the band reaches from the lower bound to the objective, and where no
    lower bound is known there is none. Dashed lines: up to where a gap, or a residual, counts as closed.
    """
    solutions = check_solutions("results", results)
    over_depth = len({s.lam for s in solutions}) == 1 and len({s.depth for s in solutions}) > 1
    solutions.sort(key=lambda s: s.depth if over_depth else s.lam)
    x = np.array([s.depth if over_depth else s.lam for s in solutions], dtype=float)
    objectives = np.array([s.objective for s in solutions])
    gaps = np.array([np.nan if s.certificate.gap is None else s.certificate.gap for s in solutions])
    figure = figure_for(figure, WIDTH, 5.2)
    top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=(2, 1.4, 1.4))
    _objectives(top, x, objectives, gaps)
    relative = gaps / np.where(objectives > 0, objectives, 1.0)
    _marks(middle, x, relative, solutions, CLOSE, "gap / objective")
    _marks(bottom, x, np.array([s.certificate.residual for s in solutions]), solutions, STATIONARY, "residual")
    if not np.isfinite(gaps).any():
        middle.text(0.5, 0.22, "no lower bound is known", ha="center", color=MUTED, transform=middle.transAxes)
    _legend(top, solutions)
    if over_depth:
        bottom.set_xticks(x, [f"{value:.0f}" for value in x])
    else:
        bottom.set_xscale("log")
    bottom.set_xlabel("depth  L" if over_depth else "weight decay  λ")
    figure.align_ylabels()
    return figure


def _objectives(ax: Axes, x: Floats, objectives: Floats, gaps: Floats) -> None:
    ax.plot(x, objectives, color=INK, linewidth=1.2)
    ax.fill_between(x, objectives - gaps, objectives, color=color(1), alpha=0.3, linewidth=0)
    ax.set_ylim(bottom=0)
    ax.set_ylabel("objective")
    ax.grid(True, axis="y")
    ax.set_zorder(1)


def _marks(ax: Axes, x: Floats, values: Floats, solutions: Sequence[Solution], closed: float, label: str) -> None:
    shown = np.maximum(values, FLOOR)
    for kind, (mark, place, _) in KINDS.items():
        of_kind = np.array([s.certificate.kind == kind for s in solutions]) & np.isfinite(values)
        ax.plot(x[of_kind], shown[of_kind], mark, color=color(place), markersize=4.5, mew=0)
    ax.axhline(closed, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
    ax.set_yscale("log")
    known = shown[np.isfinite(values)]
    ax.set_ylim(0.3 * min(known.min(initial=1.0), 0.3 * closed), 3 * max(known.max(initial=0.0), 3 * closed))
    ax.set_ylabel(label)
    ax.grid(True, axis="y")


def _legend(ax: Axes, solutions: Sequence[Solution]) -> None:
    from matplotlib.lines import Line2D

    kinds = {s.certificate.kind for s in solutions}
    handles = [
        Line2D([], [], color=color(place), marker=mark, markersize=5, mew=0, linestyle="", label=text)
        for kind, (mark, place, text) in KINDS.items()
        if kind in kinds
    ]
    ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, borderaxespad=0.1)

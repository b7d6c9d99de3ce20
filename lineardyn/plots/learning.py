"""Figures of learning: effective singular values, loss, alignment, balance [Pinson et al. fig 3-5, S.1, S.2]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.plots.style import INK, MUTED, WIDTH, axes_for, color, figure_for, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lineardyn.trajectory import Trajectory

__all__ = [
    "mark_times",
    "plot_balance",
    "plot_band",
    "plot_delays",
    "plot_learning_times",
    "plot_loss",
    "plot_mode_curves",
    "plot_off_diagonal",
    "plot_trajectory",
]

Floats = NDArray[np.float64]
BAND = (10, 90)  # percentiles of the runs


@styled
def plot_band(
    x: Floats,
    runs: Floats,
    *,
    ax: Axes,
    colour: str,
    label: str | None = None,
    linestyle: str = "-",
    width: float = 1.8,
) -> None:
    """The median of ``runs (n_runs, T)`` as a line, their 10th to 90th percentile as a band; ``(T,)`` is one run."""
    curves = np.atleast_2d(runs)
    ax.plot(x, np.median(curves, axis=0), color=colour, linestyle=linestyle, linewidth=width, label=label)
    if len(curves) > 1:
        low, high = np.percentile(curves, BAND, axis=0)
        ax.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)


@styled
def plot_mode_curves(
    x: Floats,
    curves: Floats,
    *,
    s: Floats | None = None,
    points: tuple[Floats, Floats] | None = None,
    theory: tuple[Floats, Floats] | None = None,
    labels: Sequence[str] = ("gradient flow", "gradient descent", "closed form"),
    xlabel: str = "time",
    ax: Axes | None = None,
) -> Figure:
    """One curve a mode, such as the diagonal of B(t), coloured by mode, with the value it is to reach.

    Parameters
    ----------
    x, curves
        Abscissa ``(T,)``, and values ``(T, R)`` or ``(n_runs, T, R)``: the median as a line, 10-90 % as a band.
    s
        The R levels to reach, as dashed lines at the right.
    points
        ``(x, values)`` drawn as marks on top (training); several runs as their median.
    theory
        ``(x, values)`` drawn as a wide pale line below (closed form).
    labels
        Names of the three kinds of curve, in the order curves, points, theory.
    """
    figure, ax = axes_for(ax)
    runs = curves[None] if curves.ndim == 2 else curves
    n = runs.shape[2]
    for a in range(n):
        if theory is not None:
            ax.plot(theory[0], theory[1][:, a], color=color(a, n), linewidth=6, alpha=0.28, solid_capstyle="round")
        plot_band(x, runs[:, :, a], ax=ax, colour=color(a, n))
        if points is not None:
            values = points[1] if points[1].ndim == 2 else np.median(points[1], axis=0)
            ax.plot(points[0], values[:, a], "o", color=color(a, n), mfc="white", markersize=3.6, mew=1.1)
    if s is not None:
        _levels(ax, s)
    _kinds_legend(ax, labels, points is not None, theory is not None)
    ax.set_xlim(float(x[0]), float(x[-1]))
    ax.set_xlabel(xlabel)
    return figure


def _levels(ax: Axes, s: Floats) -> None:
    """The values to reach, named at the right edge; names that would touch are moved apart."""
    top = 1.16 * float(np.max(s))
    ax.set_ylim(min(0.0, ax.get_ylim()[0]), max(top, ax.get_ylim()[1]))
    low, high = ax.get_ylim()
    gap = 0.075 * (high - low)
    place = np.array(s, dtype=float)
    for i in range(len(s) - 2, -1, -1):  # s descends: push the larger ones up
        place[i] = max(place[i], place[i + 1] + gap)
    place -= max(0.0, float(place[0]) - high) if len(place) else 0.0
    for a, level in enumerate(s):
        ax.axhline(level, color=color(a, len(s)), linewidth=0.9, linestyle=(0, (4, 3)), alpha=0.8, zorder=1)
        ax.annotate(
            f"$s_{{{a + 1}}}$", (1, place[a]), (4, 0), xycoords=("axes fraction", "data"),
            textcoords="offset points", color=color(a, len(s)), va="center", fontsize=10,
        )  # fmt: skip


def _kinds_legend(ax: Axes, labels: Sequence[str], points: bool, theory: bool) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=INK, label=labels[0])]
    if points:
        handles.append(Line2D([], [], color=INK, marker="o", mfc="white", markersize=4, linestyle="", label=labels[1]))
    if theory:
        handles.append(Line2D([], [], color=INK, linewidth=6, alpha=0.28, label=labels[2]))
    if len(handles) > 1:
        ax.legend(
            handles=handles, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, borderaxespad=0.1, columnspacing=1.1
        )


@styled
def mark_times(times: ArrayLike, *, ax: Axes, n: int | None = None) -> None:
    """Thin vertical lines in the modes' colours at the times at which they are learned (NaN: never, no line)."""
    values = np.asarray(times, dtype=float)
    for a, time in enumerate(values):
        if np.isfinite(time):
            ax.axvline(float(time), color=color(a, n or len(values)), linewidth=1, linestyle=(0, (1, 2)), zorder=1)


@styled
def plot_loss(
    x: Floats,
    curves: dict[str, Floats],
    *,
    points: dict[str, tuple[Floats, Floats]] | None = None,
    xlabel: str = "time",
    ax: Axes | None = None,
) -> Figure:
    """Loss over time: named curves ``(T,)`` or ``(n_runs, T)`` as lines with bands, named points as marks.

    A name ending in ``test`` is dashed, in the colour of the name before it.
    """
    figure, ax = axes_for(ax)
    used: dict[str, str] = {}
    for name, runs in curves.items():
        family = name.removesuffix("test").strip(", ").removesuffix("train").strip(", ")
        colour = used.setdefault(family, color(len(used), 6))
        plot_band(x, runs, ax=ax, colour=colour, label=name, linestyle="--" if name.endswith("test") else "-")
    for name, (where, runs) in (points or {}).items():
        values = np.median(np.atleast_2d(runs), axis=0)
        colour = used.get(name.split(",")[0], MUTED)
        ax.plot(where, values, "o", color=colour, mfc="white", markersize=3.6, mew=1.1, label=name)
    ax.set_xlim(float(x[0]), float(x[-1]))
    if ax.dataLim.y0 < 0.5 * ax.dataLim.y1:
        ax.set_ylim(bottom=0)
    ax.set_xlabel(xlabel)
    ax.set_ylabel("loss  ½⟨‖y − f(x)‖²⟩")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3 if len(curves) > 2 else 2, borderaxespad=0.1)
    return figure


@styled
def plot_off_diagonal(
    x: Floats, curves: dict[str, Floats], *, times: ArrayLike = (), xlabel: str = "time", ax: Axes | None = None
) -> Figure:
    """``‖B - diag B‖_F / s_1`` of each network, ``(n_runs, T)``; ``times``: when the modes are learned [fig S.1]."""
    figure, ax = axes_for(ax)
    for (name, runs), colour in zip(curves.items(), (INK, "#8c959f"), strict=False):
        plot_band(x, runs, ax=ax, colour=colour, label=name)
    mark_times(times, ax=ax)
    ax.set_xlim(float(x[0]), float(x[-1]))
    ax.set_ylim(bottom=0)
    ax.set_xlabel(xlabel)
    ax.set_ylabel("$‖B - \\mathrm{diag}\\,B‖_F\\,/\\,s_1$")
    ax.legend(loc="upper right")
    return figure


@styled
def plot_balance(
    x: Floats, ratios: Floats, modes: Sequence[int], *, n_modes: int, xlabel: str = "time", ax: Axes | None = None
) -> Figure:
    """``‖A_·f‖/|κ_f|`` of chosen frequencies, ``(n_runs, T, F)``, coloured by the mode each belongs to [S.2]."""
    figure, ax = axes_for(ax)
    ax.axhline(1, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    seen: set[int] = set()
    for i, a in enumerate(modes):
        label = None if a in seen else f"mode {a + 1}"
        plot_band(x, ratios[:, :, i], ax=ax, colour=color(a, n_modes), label=label, width=1.5)
        seen.add(a)
    ax.set_yscale("log")
    ax.set_xscale("log")  # most of it is over before the first mode is learned
    low, high = (float(v) for v in np.nanpercentile(ratios, (1, 99)))
    ax.set_ylim(min(0.45, 0.9 * low), max(2.2, 1.1 * high))
    ticks = [t for t in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if ax.get_ylim()[0] <= t <= ax.get_ylim()[1]]
    ax.set_yticks(ticks, [f"{t:g}" for t in ticks])
    ax.yaxis.minorticks_off()
    ax.set_xlim(float(x[x > 0][2]), float(x[-1]))
    ax.set_xlabel(xlabel)
    ax.set_ylabel("balance  $‖A_{·f}‖\\,/\\,|κ_f|$")
    ax.legend(
        loc="lower left", bbox_to_anchor=(0, 1.0), ncols=min(len(seen), 5), borderaxespad=0.1, columnspacing=0.9,
        handlelength=1.0, handletextpad=0.5,
    )  # fmt: skip
    return figure


@styled
def plot_delays(
    measured: dict[str, Floats], expected: dict[str, Floats], names: dict[str, Sequence[str]], *, ax: Axes | None = None
) -> Figure:
    """How much later the CNN learns each mode than the fully connected network: marks over the theory's bars."""
    figure, ax = axes_for(ax, height=2.7)
    position, ticks, labels = 0.0, [], []
    for group, values in measured.items():
        x = position + np.arange(len(values))
        ax.bar(x, expected[group], width=0.72, color="#dbe7f0", label="theory, √m" if position == 0 else None)
        ax.plot(x, values, "D", color=color(1), markersize=6, label="measured" if position == 0 else None)
        for where, value in zip(x, values, strict=True):
            ax.annotate(f"{value:.3f}", (where, value), (0, 8), textcoords="offset points", ha="center", fontsize=9)
        ax.annotate(group, (float(x.mean()), 1.78), ha="center", fontsize=10, color=INK)
        ticks += list(x)
        labels += list(names[group])
        position = float(x[-1]) + 1.6
    ax.set_xticks(ticks, labels)
    ax.set_ylim(0.8, 1.9)
    ax.set_yticks([1, 2**0.5], ["1", "√2"])
    ax.tick_params(axis="x", length=0)
    ax.set_xlabel("frequency (u, v) of the class")
    ax.set_ylabel("delay, CNN / FCNN")
    figure.legend(loc="outside upper center", ncols=2)
    return figure


@styled
def plot_learning_times(
    times: dict[str, Floats], *, xlabel: str = "samples", n_modes: int | None = None, ax: Axes | None = None
) -> Figure:
    """When each network learns each mode, one row a network; ``(n_runs, R)`` as single runs and their median."""
    figure, ax = axes_for(ax, height=0.75 + 0.72 * len(times), grid=False)
    for row, runs in enumerate(times.values()):
        n = n_modes or runs.shape[1]
        ax.axhline(row, color="#eaeef2", linewidth=8, zorder=0, solid_capstyle="round")
        end = float(runs[np.isfinite(runs)].max(initial=0.0))
        above, before = True, -np.inf
        for a in range(runs.shape[1]):
            found = runs[np.isfinite(runs[:, a]), a]
            if len(found) == 0:
                continue
            middle = float(np.median(found))
            above = not above if abs(middle - before) < 0.05 * end else True
            before = middle
            ax.plot(found, np.full(len(found), row), "o", color=color(a, n), alpha=0.35, markersize=6, mew=0)
            ax.plot(middle, row, "o", color=color(a, n), markersize=9, mec="white")
            ax.annotate(
                f"{a + 1}", (middle, row), (0, 9 if above else -17), textcoords="offset points", ha="center",
                color=color(a, n), fontsize=9,
            )  # fmt: skip
    ax.set_yticks(range(len(times)), list(times))
    ax.set_ylim(len(times) - 0.4, -0.7)
    ax.set_xlim(left=0)
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(xlabel)
    return figure


@styled
def plot_trajectory(trajectory: Trajectory, *, figure: Figure | None = None) -> Figure:
    """What :meth:`lineardyn.Trajectory.plot` shows: B(t), diagonal in colour and the rest grey; below, the loss."""
    figure = figure_for(figure, WIDTH, 4.6)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    b = np.asarray(trajectory.effective_singular_values)
    rows = ~np.eye(b.shape[1], dtype=bool)
    if rows.any():
        top.plot(trajectory.t, b[:, rows], color=MUTED, linewidth=0.7, alpha=0.6)
    modes = trajectory.moments.modes()
    alive = np.flatnonzero(~modes.null)
    plot_mode_curves(trajectory.t, np.diagonal(b, axis1=1, axis2=2)[:, alive], s=modes.s[alive], ax=top)
    top.set_ylabel("effective singular values")
    top.set_xlabel("")
    bottom.grid(True, axis="y")
    bottom.plot(trajectory.t, trajectory.loss, color=INK)
    bottom.set_ylim(bottom=0)
    bottom.set_xlabel("time  (learning rate × steps)")
    bottom.set_ylabel("loss")
    return figure

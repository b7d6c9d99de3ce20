"""Pictures and words that the bottleneck's figures share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmarks.papers.kept import HALF, middle, scaled
from lineardyn.plots.style import FAINT, INK, WIDTH, axes_for, color, figure_for, styled
from proofs_check.cbn import CyclicCNN
from proofs_check.cbn.plots import plot_layers
from proofs_check.report.section import Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["cost_of", "layers_picture", "plot_counts", "plot_gathering", "plot_readings"]

Floats = NDArray[np.float64]


def cost_of(seconds: float) -> str:
    """In a sentence."""
    return f"Trained in {seconds:.0f} s of processor time."


def layers_picture(net: CyclicCNN) -> Picture:
    """Of every figure."""
    return Picture(
        "layers",
        "Singular values of each layer at the strongest frequencies of the middle layer; dashed: 1/|m_ω|.",
        lambda: plot_layers(net),
        "experiments",
    )


@styled
def plot_gathering(nets: Mapping[str, CyclicCNN]) -> Figure:
    """Histogram of ``|m_ω| s`` over frequencies and middle layers, its counts on a logarithmic scale."""
    figure, ax = axes_for(None)
    values = {
        name: np.concatenate([scaled(net, layer).ravel() for layer in middle(net.depth)]) for name, net in nets.items()
    }
    top = max(1.6, max(float(v.max()) for v in values.values()) + 0.05)
    edges = np.arange(0.0, top + 0.05, 0.05)
    for i, (name, v) in enumerate(values.items()):
        ax.hist(v, edges.tolist(), histtype="stepfilled", alpha=0.75, color=color(i, len(values)), label=name)
    ax.axvline(1.0, color=INK, linewidth=1.0, linestyle=(0, (4, 3)))
    ax.axvline(HALF, color=FAINT, linewidth=1.0)
    ax.set_yscale("log")
    ax.set_xlabel(r"$|m_\omega|\, s_i$ in the middle layers")
    ax.set_ylabel("how many")
    if len(values) > 1:
        ax.legend()
    return figure


@styled
def plot_counts(counts: Mapping[str, Sequence[int]], xlabel: str) -> Figure:
    """Bars side by side: kept dimensions of each degree."""
    figure, ax = axes_for(None)
    n = max(int(np.flatnonzero(row).max(initial=0)) for row in counts.values()) + 1
    width = 0.8 / len(counts)
    for i, (name, row) in enumerate(counts.items()):
        x = np.arange(n) + (i - (len(counts) - 1) / 2) * width
        bars = ax.bar(x, [*row, *[0] * n][:n], 0.92 * width, color=color(i, len(counts)), label=name)
        ax.bar_label(bars, fontsize=8)
    ax.set_xticks(range(n))
    ax.set_xlabel(xlabel)
    ax.set_ylabel("kept")
    ax.legend()
    return figure


@styled
def plot_readings(rows: Mapping[str, Mapping[str, float]]) -> Figure:
    """R² of a linear probe: a row for what it reads, a column for what it has to find; dark is 1."""
    columns = list(next(iter(rows.values())))
    figure = figure_for(None, WIDTH, 0.7 + 0.26 * len(rows))
    ax = figure.add_subplot()
    values = np.array([[row[name] for name in columns] for row in rows.values()])
    ax.imshow(np.clip(values, 0, 1), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        ax.text(
            j,
            i,
            f"{round(value, 2) + 0.0:.2f}",
            ha="center",
            va="center",
            fontsize=8,
            color="white" if value > 0.6 else INK,
        )
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), list(rows), fontsize=8)
    ax.tick_params(length=0)
    ax.xaxis.tick_top()
    for spine in ax.spines.values():
        spine.set_visible(False)
    return figure

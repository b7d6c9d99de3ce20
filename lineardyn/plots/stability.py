"""What the stabilised integrator of order 4 does to a direction that decays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lineardyn.errors import ArgumentError
from lineardyn.flow.rock4 import RECURRENCES, stability_polynomial
from lineardyn.plots.style import MUTED, axes_for, color, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_stability"]


@styled
def plot_stability(n_stages: Sequence[int] = (5, 10, 20), *, ax: Axes | None = None) -> Figure:
    """``R(z)`` of ROCK4 over its interval ``[-ℓ, 0]``, one curve for each number of stages, with e^z below.

    Raises
    ------
    ArgumentError
        For a number of stages that is not tabulated.

    Examples
    --------
    >>> from lineardyn.plots import plot_stability
    >>> plot_stability((5, 10)).axes[0].get_xlabel()
    'z = hλ'
    """
    lengths = {row[0]: row[1] for row in RECURRENCES}
    for s in n_stages:
        if s not in lengths:
            raise ArgumentError(f"n_stages holds {s}, expected some of {', '.join(map(str, lengths))}")
    figure, ax = axes_for(ax)
    longest = max(lengths[s] for s in n_stages)
    z = np.linspace(-longest, 0.0, 2000)
    ax.plot(z, np.exp(z), color=MUTED, linewidth=4, alpha=0.35, label="$e^z$")
    for i, s in enumerate(n_stages):
        z = 0.5 * lengths[s] * (np.cos(np.linspace(0.0, np.pi, 60 * s)) - 1.0)
        ax.plot(z, stability_polynomial(s, z), color=color(i, len(n_stages)), label=f"{s} stages")
    for level in (-1.0, 1.0):
        ax.axhline(level, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
    ax.set_xlabel("z = hλ")
    ax.set_ylabel("R(z)")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=4, borderaxespad=0.1, columnspacing=1.1)
    return figure

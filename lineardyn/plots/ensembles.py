"""The figure of an ensemble: what many runs share, and how far they spread."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lineardyn.plots.learning import plot_band, plot_mode_curves
from lineardyn.plots.style import INK, WIDTH, color, figure_for, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lineardyn.ensembles import Ensemble

__all__ = ["plot_ensemble"]


@styled
def plot_ensemble(ensemble: Ensemble, *, figure: Figure | None = None) -> Figure:
    """What :meth:`lineardyn.Ensemble.plot` shows: the diagonal of B(t), coloured by mode; below, the loss.

    Medians as lines, 10-90 % of the runs as bands; where runs have times of their own (learning rates), every run as a
    faint line.
    """
    figure = figure_for(figure, WIDTH, 4.6)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    modes = ensemble.moments.modes()
    alive = np.flatnonzero(~modes.null)
    curves = np.diagonal(ensemble.effective_singular_values, axis1=2, axis2=3)[..., alive]
    t = ensemble.t
    if (t == t[0]).all():
        plot_mode_curves(t[0], curves, s=modes.s[alive], ax=top)
        plot_band(t[0], ensemble.loss, ax=bottom, colour=INK)
    else:
        longest = int(np.argmax(t[:, -1]))
        plot_mode_curves(t[longest], curves[longest], s=modes.s[alive], ax=top)
        for run in range(len(ensemble)):
            _faint(top, bottom, ensemble, run, curves)
    top.set_ylabel("effective singular values")
    top.set_xlabel("")
    bottom.grid(True, axis="y")
    bottom.set_ylim(bottom=0)
    bottom.set_xlabel("time  (learning rate × steps)")
    bottom.set_ylabel("loss")
    return figure


def _faint(top: Axes, bottom: Axes, ensemble: Ensemble, run: int, curves: np.ndarray) -> None:
    t, n = ensemble.t[run], curves.shape[2]
    for a in range(n):
        top.plot(t, curves[run, :, a], color=color(a, n), linewidth=0.7, alpha=0.5)
    bottom.plot(t, ensemble.loss[run], color=INK, linewidth=0.7, alpha=0.5)

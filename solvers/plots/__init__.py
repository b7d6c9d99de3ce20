"""Figures of regularised minimisers, as plain functions that return a :class:`matplotlib.figure.Figure`.

In the style of :mod:`lineardyn.plots`; matplotlib is imported when one of them is called.
"""

from __future__ import annotations

from solvers.plots.paths import plot_depths, plot_path
from solvers.plots.proofs import plot_certificates
from solvers.plots.spectra import plot_solution, plot_spectrum

__all__ = ["plot_certificates", "plot_depths", "plot_path", "plot_solution", "plot_spectrum"]

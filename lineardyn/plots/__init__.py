"""Every figure of this project, as plain functions that return a :class:`matplotlib.figure.Figure`.

Each takes arrays (or a result object), an optional ``ax`` or ``figure`` to draw on, and imports matplotlib only when it
is called. Colours are told apart with every common colour blindness; figures are as wide as a phone shows legibly.
"""

from __future__ import annotations

from lineardyn.plots.ensembles import plot_ensemble
from lineardyn.plots.frequencies import (
    plot_frequency_growth,
    plot_kernel_over_modes,
    plot_kernels,
    plot_spectrum_images,
)
from lineardyn.plots.learning import (
    mark_times,
    plot_balance,
    plot_band,
    plot_delays,
    plot_learning_times,
    plot_loss,
    plot_mode_curves,
    plot_off_diagonal,
    plot_trajectory,
)
from lineardyn.plots.modes import plot_images, plot_modes, plot_power_spectrum, plot_singular_values
from lineardyn.plots.stability import plot_stability
from lineardyn.plots.style import color, save_figure

__all__ = [
    "color",
    "mark_times",
    "plot_balance",
    "plot_band",
    "plot_delays",
    "plot_ensemble",
    "plot_frequency_growth",
    "plot_images",
    "plot_kernel_over_modes",
    "plot_kernels",
    "plot_learning_times",
    "plot_loss",
    "plot_mode_curves",
    "plot_modes",
    "plot_off_diagonal",
    "plot_power_spectrum",
    "plot_singular_values",
    "plot_spectrum_images",
    "plot_stability",
    "plot_trajectory",
    "save_figure",
]

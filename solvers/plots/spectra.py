"""One predictor in frequencies and in pixels, and predictors beside the spectrum of the data [Godfrey et al.]."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lineardyn.errors import ArgumentError
from lineardyn.moments import SecondMoments
from lineardyn.plots.frequencies import plane
from lineardyn.plots.modes import show_image
from lineardyn.plots.style import INK, MUTED, WIDTH, color, figure_for, styled
from solvers.plots.coefficients import check_solutions, magnitudes, ring_means
from solvers.result import Solution

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_solution", "plot_spectrum"]

Floats = NDArray[np.float64]
PER_ROW = 5
LINE = 46
"""Characters of a line of text beside the plane."""


@styled
def plot_solution(
    solution: Solution, *, class_names: Sequence[str] | None = None, figure: Figure | None = None
) -> Figure:
    """What :meth:`solvers.Solution.plot` shows: ‖v̂_f‖ over the frequency plane, the images, and what is proven.

    Parameters
    ----------
    solution
        From :func:`solvers.solve` or :func:`solvers.path`.
    class_names
        K names for the images; by default 0, 1, ..
    figure
        Draw on this (sub)figure instead of a new one.

    Notes
    -----
    DC is in the middle, and the grey is √‖v̂_f‖, so that weak frequencies show. Images are those of
    ``f(x)_k = Σ image[k] · x``: red adds, blue subtracts, all on one scale; three channels are colours around grey.
    Images of one row or column are drawn as curves over the pixels, those of one pixel over the channels.
    """
    (solution,) = check_solutions("solution", [solution])
    n_outputs = solution.predictor.shape[2]
    names = _names(n_outputs) if class_names is None else [str(name) for name in class_names]
    if len(names) != n_outputs:
        raise ArgumentError(f"class_names has {len(names)} names, expected {n_outputs}: one for each output")
    signal = 1 in solution.predictor.shape[:2]
    per_row = max(-(-n_outputs // (-(-n_outputs // PER_ROW))), 3)
    rows = -(-n_outputs // per_row)
    below = 1.9 if signal else rows * (WIDTH / per_row + 0.2)
    words = _words(solution)
    above = max(2.2, 0.1 + 0.157 * len(words))  # inches, at 8 pt
    figure = figure_for(figure, WIDTH, above + below)
    top, bottom = np.asarray(figure.subfigures(2, 1, height_ratios=(above, below)))
    left, right = top.subplots(1, 2, width_ratios=(2.1, 2.9))
    if signal:
        _curve(left, magnitudes(solution).ravel())
        _signals(bottom.subplots(), solution, names)
    else:
        plane(left, magnitudes(solution), "$‖\\hat v_f‖$")
        left.set_ylabel("u", fontsize=9)
        left.set_xlabel("v", fontsize=9)
        scale = float(np.abs(solution.image).max())
        for k, name in enumerate(names):
            show_image(bottom.add_subplot(rows, per_row, k + 1), solution.image[k], scale=scale)
            bottom.axes[-1].set_title(name, loc="center", fontsize=9)
    right.set_axis_off()
    right.text(0, 1, "\n".join(words), fontsize=8, va="top", color=INK, linespacing=1.4, transform=right.transAxes)
    return figure


def _names(n_outputs: int) -> list[str]:
    return [str(k) for k in range(n_outputs)] if n_outputs > 1 else ["predictor"]


def _curve(ax: Axes, spectrum: Floats) -> None:
    """|v̂| of a signal over its frequencies."""
    n = len(spectrum)
    ax.vlines(np.arange(n) - n // 2, 0, np.fft.fftshift(spectrum), color=color(0), linewidth=min(2.0, 120 / n))
    ax.set_ylim(bottom=0)
    ax.set_xticks(sorted({-(n // 2), 0, (n - 1) // 2}))
    ax.set_xlim(-(n // 2) - 1, (n - 1) // 2 + 1)
    ax.set_title("$‖\\hat v_f‖$", loc="center", fontsize=9)
    ax.set_xlabel("frequency", fontsize=9)


def _signals(ax: Axes, solution: Solution, names: Sequence[str]) -> None:
    one_pixel = solution.active.size == 1
    for k, name in enumerate(names):
        curve = solution.image[k].ravel() if one_pixel else solution.image[k].mean(axis=0).ravel()
        ax.plot(curve, color=color(k, len(names)), linewidth=1.2, label=name)
    ax.grid(True, axis="y")
    ax.set_xlabel("channel" if one_pixel else "pixel")
    ax.set_ylabel("predictor")
    if 1 < len(names) <= 2 * PER_ROW:
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=PER_ROW, borderaxespad=0.1)


def _words(solution: Solution) -> list[str]:
    """The numbers, the certificate in words, and what the solver said, in lines."""
    bound = "" if solution.rank is None else f", rank ≤ {solution.rank}"
    told = [
        f"depth {solution.depth}{bound}, λ = {solution.lam:.4g}",
        f"objective {solution.objective:.5g}",
        f"= loss {solution.loss:.5g} + penalty {solution.penalty:.5g}",
        f"{solution.active.sum()} of {solution.active.size} frequencies kept",
        solution.certificate.status,
        solution.message,
    ]
    return [line for text in told for line in textwrap.wrap(text, LINE, subsequent_indent="   ")]


@styled
def plot_spectrum(
    solutions: Solution | Sequence[Solution], moments: SecondMoments, *, figure: Figure | None = None
) -> Figure:
    """Sensitivity against the variance of the data: by radius, and frequency by frequency.

    Parameters
    ----------
    solutions
        One, or several to compare (of other depths or λ).
    moments
        Statistics of the data: ``τ_f = Σ_c ⟨|x̂_cf|²⟩``.
    figure
        Draw on this (sub)figure instead of a new one.

    Raises
    ------
    ArgumentError
        Moments of images of another shape, or of one pixel.

    Notes
    -----
    The sensitivity of f to frequency f is ‖v̂_f‖. Weight decay takes least from the frequencies in which the data vary
    most [Godfrey et al. section 4.3]: ridge keeps the share ``τ/(λ + τ)`` of least squares, deeper networks give up
    those with little of it. Above, both as means over rings, each relative to its largest; DC is left out. Frequencies
    that are not kept have no mark below.
    """
    found = check_solutions("solutions", [solutions] if isinstance(solutions, Solution) else solutions)
    shape = found[0].predictor.shape
    if not isinstance(moments, SecondMoments) or moments.image_shape != (shape[3], *shape[:2]):
        came = moments.image_shape if isinstance(moments, SecondMoments) else type(moments).__name__
        raise ArgumentError(f"moments is {came}, expected SecondMoments of images {(shape[3], *shape[:2])}")
    if moments.image_shape[1:] == (1, 1):
        raise ArgumentError("moments are of images of one pixel, expected more: they have no frequency but 0")
    figure = figure_for(figure, WIDTH, 5.6)
    above, below = figure.subplots(2, 1)
    power = moments.power_spectrum().sum(axis=0)
    _rings(above, found, power)
    _cloud(below, found, power)
    above.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2 if len(found) == 3 else 3, borderaxespad=0.1)
    return figure


def _label(solution: Solution, solutions: Sequence[Solution]) -> str:
    return f"L = {solution.depth}" + (
        f", λ = {solution.lam:.2g}" if len({s.lam for s in solutions}) > 1 or len(solutions) == 1 else ""
    )


def _rings(ax: Axes, solutions: Sequence[Solution], power: Floats) -> None:
    radii, means = ring_means(power)
    ax.loglog(radii, means / (means.max() or 1.0), color=INK, linewidth=4, alpha=0.25, label="data, τ")
    for i, solution in enumerate(solutions):
        means = ring_means(magnitudes(solution))[1]
        kept = means > 0
        ax.loglog(
            radii[kept], means[kept] / (means.max() or 1.0), "o-", color=color(i, len(solutions)), markersize=3,
            linewidth=1.2, label=_label(solution, solutions),
        )  # fmt: skip
    ax.grid(True, axis="y")
    octaves = [2**k for k in range(12) if 2**k <= 1.2 * radii.max(initial=1.0)]
    ax.set_xticks(octaves, [str(k) for k in octaves])
    ax.xaxis.minorticks_off()
    ax.set_xlabel("radius of the frequency (cycles per image)")
    ax.set_ylabel("relative to the largest ring")


def _cloud(ax: Axes, solutions: Sequence[Solution], power: Floats) -> None:
    """A mark for each frequency that is kept; τ_f of all frequencies at the foot."""
    from matplotlib.ticker import NullFormatter

    tau = power.ravel()[1:]
    live = tau > 1e-12 * tau.max(initial=0.0)  # the rest is round-off
    values = np.array([magnitudes(s).ravel()[1:] for s in solutions])
    for i, sensitivity in enumerate(values):
        kept = (sensitivity > 0) & live
        ax.scatter(tau[kept], sensitivity[kept], s=8, color=color(i, len(solutions)), linewidths=0, alpha=0.6,
                   rasterized=bool(kept.sum() > 300))  # fmt: skip
    ax.plot(tau[live], np.full(int(live.sum()), 0.025), "|", color=MUTED, markersize=6, mew=0.5, alpha=0.4,
            transform=ax.get_xaxis_transform(), rasterized=bool(live.sum() > 300))  # fmt: skip
    ax.set_xscale("log")
    ax.set_yscale("log")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_minor_formatter(NullFormatter())
    ax.set_xlim(*_decades(tau[live]))
    ax.set_ylim(*_decades(values[values > 0]))
    ax.grid(True, axis="y")
    ax.set_xlabel("variance of the data  $τ_f$  (ticks: all frequencies)")
    ax.set_ylabel("sensitivity  $‖\\hat v_f‖$")


def _decades(values: Floats) -> tuple[float, float]:
    """The powers of ten around positive ``values``."""
    if not values.size:
        return 0.1, 1.0
    low, high = np.floor(np.log10(values.min() / 1.5)), np.ceil(np.log10(values.max() * 1.2))
    return float(10.0**low), float(10.0**high)

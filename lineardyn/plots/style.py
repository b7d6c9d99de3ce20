"""What every figure here shares: colours, sizes, and how a figure becomes files.

No pyplot and no lasting change of ``matplotlib.rcParams``: figures are plain :class:`matplotlib.figure.Figure` objects,
so that they can be made in a thread, in a notebook or on a machine without a display.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FAINT", "INK", "MUTED", "WIDTH", "axes_for", "color", "figure_for", "image_of", "save_figure", "styled"]

P = ParamSpec("P")
R = TypeVar("R")

WIDTH = 5.0  # inches: at 360 px, the width of a phone, 10 pt type is still 10 px high
INK, MUTED, FAINT = "#1f2328", "#6e7781", "#d8dee4"

# Okabe and Ito's palette, told apart with every common colour blindness; yellow left out (too pale for lines)
_PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")

_STYLE: dict[Any, Any] = {
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titleweight": "regular",
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "text.color": INK,
    "font.size": 10,
    "font.family": ["DejaVu Sans"],  # matplotlib brings it: the same picture on every machine
    "legend.frameon": False,
    "legend.fontsize": 9,
    "legend.handlelength": 1.6,
    "lines.linewidth": 1.8,
    "grid.color": "#eaeef2",
    "grid.linewidth": 0.8,
    "svg.fonttype": "path",
    "svg.hashsalt": "lineardyn",  # the same figure gives the same file
}


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """Run ``function`` under the style of this package, and leave matplotlib's settings as they were."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        import matplotlib

        with matplotlib.rc_context(_STYLE):
            return function(*args, **kwargs)

    return wrapper


def color(index: int, n: int = 1) -> str:
    """The colour of mode ``index`` of ``n``: six apart, or as many as wanted from dark blue to pale, in order.

    >>> color(0, 4), color(1, 4)
    ('#0072B2', '#D55E00')
    """
    if n <= len(_PALETTE):
        return _PALETTE[index % len(_PALETTE)]
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return to_hex(colormaps["viridis"](0.92 * index / max(n - 1, 1)))


def figure_for(figure: Figure | None, width: float = WIDTH, height: float = 3.1) -> Figure:
    """The caller's figure, or a new one."""
    if figure is not None:
        return figure
    from matplotlib.figure import Figure as NewFigure

    return NewFigure(figsize=(width, height), layout="constrained")


def axes_for(ax: Axes | None, width: float = WIDTH, height: float = 3.1, *, grid: bool = True) -> tuple[Figure, Axes]:
    """The figure to return and the axes to draw on: the caller's, or new ones."""
    if ax is None:
        figure = figure_for(None, width, height)
        ax = figure.add_subplot()
    else:
        figure = ax.figure  # type: ignore[assignment]  # a SubFigure serves as well
    if grid:
        ax.grid(True, axis="y")
    return figure, ax


def image_of(image: NDArray[np.float64], scale: float | None = None) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """``(C, H, W)`` with values of both signs to what ``imshow`` takes, 0 in the middle of the scale.

    Three channels become red, green and blue; any other number is averaged over the channels. ``scale`` is the value at
    the end of the scale, the image's own largest unless given.
    """
    shown = image if image.shape[0] == 3 else image.mean(axis=0)
    scale = (float(np.abs(shown).max()) if scale is None else scale) or 1.0
    if image.shape[0] == 3:
        return 0.5 + 0.5 * shown.transpose(1, 2, 0) / scale, {}
    return shown, {"cmap": "RdBu_r", "vmin": -scale, "vmax": scale}


@styled
def save_figure(figure: Figure, stem: Path, *, dpi: int = 200) -> tuple[Path, Path]:
    """Write ``stem.svg`` (text as outlines, no date, so that equal figures are equal files) and ``stem.png``."""
    svg, png = stem.with_suffix(".svg"), stem.with_suffix(".png")
    figure.savefig(svg, metadata={"Date": None}, dpi=dpi)
    figure.savefig(png, dpi=dpi)
    return svg, png

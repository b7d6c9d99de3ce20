"""Figures of the bottleneck: singular values by layer and frequency against 1/|m_ω|, and the gap by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lineardyn.errors import ArgumentError
from lineardyn.plots.style import FAINT, INK, MUTED, WIDTH, axes_for, color, figure_for, styled
from lineardyn.validation import shown
from proofs_check.cbn.bounds import check_cyclic
from proofs_check.cbn.gap import BottleneckGap
from proofs_check.cbn.network import CyclicCNN
from proofs_check.cbn.spectrum import conjugate_places, singular_values

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_gap", "plot_layers"]

_PANELS = 6


@styled
def plot_layers(
    net: CyclicCNN, frequencies: Sequence[Sequence[int] | int] | None = None, *, figure: Figure | None = None
) -> Figure:
    """Singular values of ``Ŵ_{l,ω}`` over the layers, a panel for each frequency, with ``1/|m_ω|`` dashed.

    In a network close to its least norm k_ω of them lie on the dashed line in all but few layers, the others at 0
    (theory, section 4, T5). ``frequencies``: integers or pairs, in cycles per image; unless given, the six (one of each
    conjugate pair) at which the middle layer is largest, in their order.

    Raises
    ------
    ArgumentError
        For what is no network, strides, or a frequency with another number of entries than the grid has sides.

    Examples
    --------
    >>> net = CyclicCNN.random((5,), (1, 3, 1), rng=0)
    >>> [ax.get_title(loc="left") for ax in plot_layers(net, [0, 1]).axes]
    ['ω = 0', 'ω = 1']
    """
    check_cyclic(net)
    if net.strides[0] != 1:
        raise ArgumentError(f"net has strides {net.strides}, expected none: its layers have different grids")
    layers = [singular_values(layer.blocks).reshape(net.n_pixels, -1) for layer in net.layers]
    places = _strongest(net, layers) if frequencies is None else [_place(f, net.grid) for f in frequencies]
    columns = min(2, max(len(places), 1))
    rows = -(-len(places) // columns)
    figure = figure_for(figure, WIDTH, 0.6 + 1.7 * rows)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for ax, place in zip(panels.ravel(), places, strict=False):
        _draw_frequency(ax, [layer[place] for layer in layers], 1.0 / abs(net.pooling.flat[place]))
        index = tuple(int(i) for i in np.unravel_index(place, net.grid))
        ax.set_title(f"ω = {index[0] if len(index) == 1 else index}")
    for ax in panels.ravel()[len(places) :]:
        ax.set_axis_off()
    for ax in panels[-1]:
        ax.set_xlabel("layer l")
    for ax in panels[:, 0]:
        ax.set_ylabel("singular values")
    return figure


def _draw_frequency(ax: Axes, layers: list[NDArray[np.float64]], target: float) -> None:
    for i in range(max(map(len, layers))):
        held = [(j + 1, s[i]) for j, s in enumerate(layers) if i < len(s)]
        ax.plot(*zip(*held, strict=True), marker="o", markersize=3, linewidth=1.2, color=color(0))
    ax.axhline(target, color=INK, linewidth=1.0, linestyle=(0, (4, 3)))
    ax.axhline(0.0, color=FAINT, linewidth=0.8, zorder=0)
    ax.set_xlim(0.7, len(layers) + 0.3)
    _whole_layers(ax)


def _whole_layers(ax: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def _strongest(net: CyclicCNN, layers: list[NDArray[np.float64]]) -> list[int]:
    """One frequency of each conjugate pair, the largest in the middle layer; in their order."""
    mirror = conjugate_places(net.grid)
    own = np.flatnonzero(np.arange(len(mirror)) <= mirror)
    strength = layers[net.depth // 2][own, 0]
    return sorted(int(f) for f in own[np.argsort(-strength, kind="stable")[:_PANELS]])


def _place(frequency: Sequence[int] | int, grid: tuple[int, ...]) -> int:
    index = (frequency,) if isinstance(frequency, int | np.integer) else tuple(frequency)
    if len(index) != len(grid) or not all(isinstance(i, int | np.integer) for i in index):
        raise ArgumentError(f"frequencies holds {shown(frequency)}, expected {len(grid)} integers in cycles per image")
    return int(np.ravel_multi_index([int(i) % side for i, side in zip(index, grid, strict=True)], grid))


@styled
def plot_gap(gap: BottleneckGap, *, ax: Axes | None = None) -> Figure:
    """Distance of each layer to its bottleneck form, weights and biases, with the bound of their sum in the title.

    Raises
    ------
    ArgumentError
        For anything but what :func:`bottleneck_gap` gives.

    Examples
    --------
    >>> import numpy as np
    >>> from proofs_check.cbn import bottleneck_gap
    >>> net = CyclicCNN.random((5,), (1, 3, 1), rng=0, bias_scale=0.1)
    >>> plot_gap(bottleneck_gap(net, np.ones((1, 5)))).axes[0].get_xlabel()
    'layer l'
    """
    if not isinstance(gap, BottleneckGap):
        raise ArgumentError(f"gap is {shown(gap)}, expected a BottleneckGap: make one with bottleneck_gap(net, x)")
    figure, ax = axes_for(ax)
    layers = np.arange(1, len(gap.weights) + 1)
    ax.bar(layers, gap.weights, color=color(0), width=0.7, label=r"$\Sigma_\omega\,\Vert\hat W - |m|^{-1}UV^*\Vert^2$")
    ax.bar(layers, gap.biases, bottom=gap.weights, color=color(4), width=0.7, label=r"$n\,\Vert b\Vert^2$")
    mean = gap.bound / len(layers)
    ax.axhline(mean, color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)), label="bound / L")
    ax.set_title(f"sum {gap.layers.sum():.3g}, at most {gap.bound:.3g}", pad=26)
    ax.set_xlabel("layer l")
    ax.set_ylabel("squared distance")
    _whole_layers(ax)
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, borderaxespad=0.1, columnspacing=1.0)
    return figure

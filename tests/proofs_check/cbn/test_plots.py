"""Figures of the bottleneck: what is drawn is what was computed."""

from __future__ import annotations

import numpy as np
import pytest

from lineardyn.errors import ArgumentError
from proofs_check.cbn import CyclicCNN, bottleneck_gap, linear_network, pooling_eigenvalues
from proofs_check.cbn.plots import plot_gap, plot_layers
from tests.proofs_check.cbn import nets as own


def lines_of(ax, marked):
    return [line.get_ydata() for line in ax.lines if (line.get_marker() == "o") is marked]


@pytest.mark.parametrize("frequency", [0, 1, 3])
def test_layers_show_their_singular_values_and_one_over_the_pooling(frequency):
    net = own.make_net(0, (6,), 0.3, "signed", depth=4)
    (ax,) = plot_layers(net, [frequency]).axes
    drawn = lines_of(ax, marked=True)
    for layer, blocks in enumerate(net.operator_blocks()):
        s = np.linalg.svd(blocks[frequency], compute_uv=False)
        for i, value in enumerate(s):
            line = next(a for a in ax.lines if a is ax.lines[i])
            at = list(line.get_xdata()).index(layer + 1)
            assert drawn[i][at] == pytest.approx(value, abs=1e-12)
    assert any(np.allclose(y, 1 / abs(net.pooling[frequency])) for y in lines_of(ax, marked=False))
    assert ax.get_title(loc="left") == f"ω = {frequency}"


def test_frequencies_are_chosen_by_their_strength_one_of_a_pair():
    blocks = np.zeros((9, 1, 1))
    blocks[[0, 2, 7, 3, 6]] = 1.0
    figure = plot_layers(linear_network(blocks, 4, pooling_eigenvalues((9,), "local")))
    titles = [ax.get_title(loc="left") for ax in figure.axes if ax.axison]
    assert {"ω = 0", "ω = 2", "ω = 3"} <= set(titles)
    assert not {"ω = 7", "ω = 6", "ω = 5", "ω = 8"} & set(titles)


def test_pictures_have_pairs_of_frequencies():
    net = own.make_net(0, (3, 4), depth=2)
    assert [ax.get_title(loc="left") for ax in plot_layers(net, [(0, 1), (-1, 2)]).axes] == ["ω = (0, 1)", "ω = (2, 2)"]


def test_the_gap_shows_both_parts_and_the_bound():
    net = own.make_net(1, (5,), 0.3, "local", depth=4)
    gap = bottleneck_gap(net, own.image_away_from_kinks(net, 0, constant=True))
    (ax,) = plot_gap(gap).axes
    heights = [bar.get_height() for bar in ax.patches]
    assert heights == pytest.approx([*gap.weights, *gap.biases])
    assert [bar.get_y() for bar in ax.patches[4:]] == pytest.approx(gap.weights)
    assert f"{gap.bound:.3g}" in ax.get_title(loc="left")
    assert any(np.allclose(line.get_ydata(), gap.bound / 4) for line in ax.lines)


NET = CyclicCNN.random((4,), (1, 2, 1), rng=0)
BAD = {
    "network": (lambda: plot_layers(0), r"net is 0, expected a CyclicCNN"),
    "strides": (lambda: plot_layers(CyclicCNN.random((4,), (1, 2, 1), rng=0, stride=2)), r"net has strides \(2, -2\)"),
    "pair": (
        lambda: plot_layers(NET, [(0, 1)]),
        r"frequencies holds \(0, 1\), expected 1 integers in cycles per image",
    ),
    "half": (lambda: plot_layers(NET, [(0.5,)]), r"frequencies holds \(0\.5,\), expected 1 integers"),
    "gap": (lambda: plot_gap(NET), r"gap is CyclicCNN.*, expected a BottleneckGap: make one with bottleneck_gap"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_calls_name_the_argument(name):
    call, text = BAD[name]
    with pytest.raises(ArgumentError, match=text):
        call()

"""Figures: what they show are the numbers given; they draw without warnings and leave matplotlib as it was."""

from __future__ import annotations

import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from lineardyn import LinearCNN, SecondMoments, gradient_flow, plots, pure_cosines


@pytest.fixture(scope="module")
def moments():
    return SecondMoments.from_data(*pure_cosines((8, 8), [(0, 0), (1, 2), (3, 0)], [1.0, 0.7, 0.4]))


@pytest.fixture(scope="module")
def trajectory(moments):
    network = LinearCNN((1, 8, 8), n_outputs=3)
    return gradient_flow(network, moments, network.init_small(1e-2, rng=0), np.linspace(0, 3, 20))


def drawn(figure):
    """Rendering is where missing glyphs and bad layouts warn, and warnings are errors here."""
    assert isinstance(figure, Figure)
    figure.canvas.draw()
    return figure


def test_trajectory_plot_shows_its_effective_singular_values_and_loss(trajectory):
    top, bottom = drawn(trajectory.plot()).axes
    shown = [line.get_ydata() for line in top.lines if len(line.get_ydata()) == len(trajectory)]
    for a in range(3):
        assert any(np.array_equal(y, trajectory.effective_singular_values[:, a, a]) for y in shown)
    np.testing.assert_array_equal(bottom.lines[0].get_ydata(), trajectory.loss)


def test_plot_modes_shows_each_mode_once_and_no_null_mode(moments):
    images, targets = pure_cosines((8, 8), [(0, 0), (1, 2), (3, 0)], [1.0, 0.7, 0.4])
    modes = SecondMoments.from_data(images, targets, center=True).modes()  # K - 1 modes
    figure = drawn(plots.plot_modes(modes, class_names=["a", "b", "c"]))
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert [t.split("\n")[0] for t in titles] == ["mode 1", "mode 2"]
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), modes.v[0, 0])


def test_mode_curves_are_medians_with_their_band_and_levels():
    runs = np.random.default_rng(0).random((5, 7, 2))
    figure = drawn(plots.plot_mode_curves(np.arange(7.0), runs, s=np.array([0.9, 0.5])))
    lines = [line.get_ydata() for line in figure.axes[0].lines]
    assert any(np.array_equal(y, np.median(runs[:, :, 1], axis=0)) for y in lines)
    assert [line.get_ydata()[0] for line in figure.axes[0].lines if len(line.get_ydata()) == 2] == [0.9, 0.5]


def test_a_mode_never_learned_has_no_mark_and_no_warning():
    times = np.array([[1.0, np.nan], [2.0, np.nan]])
    figure = drawn(plots.plot_learning_times({"CNN": times, "FCNN": times + 1}))
    assert all(np.isfinite(line.get_xdata()).all() for line in figure.axes[0].lines)


@pytest.mark.parametrize("n", [1, 2, 4, 10])
def test_every_figure_draws_for_any_number_of_modes(n):
    rng = np.random.default_rng(n)
    x, s = np.linspace(0, 5, 12), np.sort(rng.random(n))[::-1] + 0.1
    curves, spectra, q = rng.random((3, 12, n)), rng.random((12, 6, 6)), rng.random((n, 6, 6))
    one = curves[:, :, 0]
    figures = [
        plots.plot_mode_curves(x, curves, s=s, points=(x, curves[0]), theory=(x, curves[0])),
        plots.plot_loss(x, {"CNN, train": one, "CNN, test": one}, points={"CNN, SGD": (x, one[0])}),
        plots.plot_off_diagonal(x, {"CNN": curves[:, :, 0]}, times=[1.0, np.nan]),
        plots.plot_balance(x, curves + 0.1, range(n), n_modes=n),
        plots.plot_frequency_growth(x, spectra, [((0, a % 6), a) for a in range(n)], n_modes=n),
        plots.plot_kernel_over_modes(spectra[:2], q, [[0], list(range(n))], ["1", "2"]),
        plots.plot_kernels(rng.standard_normal((n, 3, 6, 6)), rng.random((n, 6, 6)), ["t"] * n),
        plots.plot_singular_values(s),
        plots.plot_spectrum_images(list(q), ["q"] * n),
        plots.plot_images(rng.random((n, 1, 6, 6)), ["class"] * n),
        plots.plot_power_spectrum(np.arange(1.0, 9), np.arange(1.0, 9) ** -2.0),
    ]  # fmt: skip
    for figure in figures:
        drawn(figure)


def test_figures_go_on_the_axes_given_and_settings_stay(trajectory):
    before = dict(matplotlib.rcParams)
    figure = Figure()
    ax = figure.add_subplot()
    assert plots.plot_singular_values(np.array([2.0, 1.0]), ax=ax) is figure
    assert dict(matplotlib.rcParams) == before


def test_drawing_needs_no_pyplot():
    code = (
        "import sys, numpy as np, lineardyn.plots as p; p.plot_singular_values(np.ones(2)); "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_equal_figures_are_equal_files(tmp_path, trajectory):
    files = [plots.save_figure(trajectory.plot(), tmp_path / name)[0].read_bytes() for name in ("one", "two")]
    assert files[0] == files[1]


def test_neighbouring_colours_differ_in_lightness_or_hue_for_the_colour_blind():
    # Viénot, Brettel, Mollon 1999: what a deuteranope sees, in linear RGB; 0.1 is far above the just noticeable 0.02
    matrix = np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]])
    seen = [matrix @ np.array(to_rgb(plots.color(i, 6))) ** 2.2 for i in range(6)]
    assert min(np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[:i]) > 0.1

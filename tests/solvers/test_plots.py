"""Figures of the solvers: what they show are the numbers given; they draw without warnings."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from functools import partial

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from lineardyn import SecondMoments, natural_patches
from lineardyn.errors import ArgumentError
from lineardyn.fourier import half_spectrum, radius
from solvers import Certificate, RegularizedProblem, path, plots, solve

LAMS = (0.3, 0.003, 0.03)


@pytest.fixture(scope="module")
def moments():
    images, targets = natural_patches(6, 200, rng=0)
    return SecondMoments.from_data(images, targets, center=True)


@pytest.fixture(scope="module")
def result(moments):
    return path(RegularizedProblem(moments, depth=2, lam=1.0), LAMS)


def drawn(figure):
    """Rendering is where missing glyphs and bad layouts warn, and warnings are errors here."""
    assert isinstance(figure, Figure)
    figure.canvas.draw()
    return figure


def axes_of(figure):
    """All axes but those of colour bars, in the order they were made."""
    return [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]


def lines_of(ax):
    return {line.get_label(): line.get_xydata() for line in ax.lines}


def magnitudes(solution):
    """‖v̂_f‖ of one frequency of each pair, by the definition."""
    half = half_spectrum(solution.predictor.shape[:2]).indices
    return np.sqrt((np.abs(solution.predictor) ** 2).sum(axis=(2, 3))).ravel()[half]


def test_a_path_shows_its_coefficients_heights_and_counts_in_the_order_of_lambda(result):
    top, middle, bottom = axes_of(drawn(result.plot()))
    order = np.argsort(LAMS)
    x = np.array(LAMS)[order]
    (lines,) = top.collections
    shown = [segment[:, 1] for segment in lines.get_segments()]
    wanted = np.array([magnitudes(result[i]) for i in order]).T
    ever = wanted[wanted.max(axis=1) > 0]
    assert len(shown) == len(ever)
    for curve in ever:
        assert any(np.allclose(y, curve, rtol=0, atol=1e-15) for y in shown)
    assert all(np.array_equal(segment[:, 0], x) for segment in lines.get_segments())
    heights = lines_of(middle)
    for name in ("objective", "loss", "penalty"):
        np.testing.assert_array_equal(heights[name], np.column_stack([x, [getattr(result[i], name) for i in order]]))
    counts = bottom.lines[0].get_xydata()
    np.testing.assert_array_equal(counts[:, 1], [np.any(result[i].predictor != 0, axis=(2, 3)).sum() for i in order])
    assert top.get_xscale() == bottom.get_xscale() == "log"


def test_colours_go_from_dark_at_the_lowest_frequency_to_pale_at_the_highest(result):
    ((top, *_), solution) = axes_of(result.plot()), result[1]  # the smallest λ keeps most
    (lines,) = top.collections
    half = half_spectrum(solution.predictor.shape[:2]).indices
    radii = radius(solution.predictor.shape[:2]).ravel()[half]
    values = magnitudes(solution)
    lightness = []
    for segment, rgba in zip(lines.get_segments(), lines.get_colors(), strict=True):
        f = int(np.argmin(np.abs(values - segment[0, 1])))  # λ ascends: the first point
        lightness.append((radii[f], rgba[:3] @ [0.2126, 0.7152, 0.0722]))
    lightness.sort()
    assert lightness[-1][1] > lightness[0][1] + 0.3
    assert len(lightness) > 10


def test_depths_are_drawn_over_their_number(moments):
    solutions = [solve(RegularizedProblem(moments, depth=depth, lam=0.05)) for depth in (3, 1, 2)]
    top, _, bottom = axes_of(drawn(plots.plot_depths(solutions)))
    assert [tick.get_text() for tick in bottom.get_xticklabels()] == ["1", "2", "3"]
    np.testing.assert_array_equal(
        bottom.lines[0].get_xydata(), [[s.depth, s.active.sum()] for s in sorted(solutions, key=lambda s: s.depth)]
    )
    assert top.get_xscale() == "linear"
    with pytest.raises(ArgumentError, match="solutions holds depth 2 twice"):
        plots.plot_depths([solutions[2], solutions[2]])


def test_a_solution_shows_its_plane_its_images_and_its_words(result):
    solution = result[2]
    plane, words, *images = axes_of(drawn(plots.plot_solution(solution, class_names=list("abcd"))))
    shown = plane.images[0].get_array()
    wanted = np.sqrt((np.abs(solution.predictor) ** 2).sum(axis=(2, 3)))
    np.testing.assert_allclose(np.asarray(shown) ** 2, np.fft.fftshift(wanted), rtol=0, atol=1e-14)
    assert [ax.get_title() for ax in images] == list("abcd")
    for k, ax in enumerate(images):
        np.testing.assert_array_equal(ax.images[0].get_array(), solution.image[k, 0])
    assert len({ax.images[0].get_clim() for ax in images}) == 1  # one scale for all
    text = " ".join(words.texts[0].get_text().split())
    assert solution.certificate.status in text
    assert solution.message in text
    assert f"{solution.active.sum()} of 36 frequencies kept" in text
    assert f"objective {solution.objective:.5g} = loss {solution.loss:.5g}" in text
    with pytest.raises(ArgumentError, match="class_names has 2 names, expected 4"):
        plots.plot_solution(solution, class_names="ab")


def test_spectrum_shows_sensitivity_over_variance(result, moments):
    above, below = axes_of(drawn(plots.plot_spectrum(result[2], moments)))
    tau = (moments.power_spectrum()).sum(axis=0).ravel()[1:]
    kept = result[2].active.ravel()[1:]
    assert 0 < kept.sum() < kept.size
    sensitivity = np.sqrt((np.abs(result[2].predictor) ** 2).sum(axis=(2, 3))).ravel()[1:]
    points = np.asarray(below.collections[0].get_offsets())
    np.testing.assert_allclose(points, np.column_stack([tau[kept], sensitivity[kept]]), rtol=1e-14)
    data, ours = above.lines
    for line, values in ((data, np.insert(tau, 0, 0.0)), (ours, np.insert(sensitivity, 0, 0.0))):
        means = {
            ring: values[np.rint(radius((6, 6))).ravel() == ring].mean() for ring in range(1, 5)
        }  # radii up to √18 = 4.2
        scale = max(means.values())
        for ring, height in line.get_xydata():
            assert height == pytest.approx(means[int(ring)] / scale, rel=1e-12)
    assert len(data.get_xdata()) == 4
    with pytest.raises(ArgumentError, match=r"moments is \(1, 4, 4\), expected SecondMoments of images \(1, 6, 6\)"):
        plots.plot_spectrum(result[2], SecondMoments.from_data(*natural_patches(4, 40, rng=0)))


def test_certificates_show_gap_residual_and_kind(result):
    local = replace(result[0], prove=partial(Certificate, "local", None, 1e-7, "a local minimum"))
    wide = replace(result[1], prove=partial(Certificate, "none", 0.1, 1e-2, "not the minimum"))
    top, middle, bottom = axes_of(drawn(plots.plot_certificates([local, wide, result[2]])))
    named = [text.get_text() for text in top.get_legend().get_texts()]
    assert named == ["a global minimum", "a local minimum", "neither"]
    gaps = {tuple(point) for line in middle.lines[:3] for point in line.get_xydata()}
    assert gaps == {(0.003, 0.1 / wide.objective), (0.03, result[2].certificate.gap / result[2].objective)}
    residuals = np.array(sorted(tuple(point) for line in bottom.lines[:3] for point in line.get_xydata()))
    np.testing.assert_array_equal(residuals[:, 1], np.maximum([1e-2, result[2].certificate.residual, 1e-7], 1e-17))
    (band,) = top.collections
    lowest = min(vertex[1] for piece in band.get_paths() for vertex in piece.vertices)
    assert lowest == pytest.approx(wide.objective - 0.1, abs=1e-15)


def test_no_lower_bound_is_said(result):
    local = replace(result[0], prove=partial(Certificate, "local", None, 0.0, "a local minimum"))
    _, middle, bottom = axes_of(drawn(plots.plot_certificates([local])))
    assert [text.get_text() for text in middle.texts] == ["no lower bound is known"]
    assert bottom.get_xlabel() == "weight decay  λ"


@pytest.mark.parametrize(("shape", "k"), [((1, 1, 9), 3), ((1, 6, 1), 11), ((3, 4, 4), 1), ((2, 4, 6), 11)])
def test_every_figure_draws_for_any_shape(shape, k):
    rng = np.random.default_rng(0)
    images = rng.standard_normal((60, *shape))
    targets = images.reshape(60, -1) @ rng.standard_normal((np.prod(shape), k))
    moments = SecondMoments.from_data(images, targets)
    problem = RegularizedProblem(moments, depth=2, lam=0.5)
    solution = solve(problem)
    depths = [replace(solution, depth=depth) for depth in (1, 2)]
    for figure in (
        solution.plot(),
        plots.plot_path([solution]),
        plots.plot_path(path(problem, [0.5, 1e6])),
        plots.plot_depths(depths),
        plots.plot_spectrum(depths, moments),
        plots.plot_certificates(depths),
    ):
        drawn(figure)
    zero = solve(problem.with_lam(1e6))
    for figure in (zero.plot(), plots.plot_path([zero]), plots.plot_spectrum(zero, moments)):
        drawn(figure)


def test_one_pixel_has_channels_and_no_frequencies():
    rng = np.random.default_rng(0)
    moments = SecondMoments.from_data(rng.standard_normal((20, 5, 1, 1)), rng.standard_normal((20, 2)))
    solution = solve(RegularizedProblem(moments, depth=1, lam=0.1))
    _, _, curves = axes_of(drawn(solution.plot()))
    for k, line in enumerate(curves.lines):
        np.testing.assert_array_equal(line.get_ydata(), solution.image[k].ravel())
    assert curves.get_xlabel() == "channel"
    drawn(plots.plot_path([solution]))
    with pytest.raises(ArgumentError, match="moments are of images of one pixel"):
        plots.plot_spectrum(solution, moments)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (None, r"is None, expected solutions"),
        ([], r"is empty, expected at least one solution"),
        ([1], r"\[0\] is 1, expected a Solution"),
    ],
)
@pytest.mark.parametrize("plot", [plots.plot_path, plots.plot_depths, plots.plot_certificates])
def test_what_is_no_solution_is_refused(plot, given, text):
    with pytest.raises(ArgumentError, match=text):
        plot(given)


def test_solutions_of_other_data_are_refused(result):
    other = replace(result[0], predictor=result[0].predictor[:4])
    with pytest.raises(ArgumentError, match=r"result\[1\] has a predictor of shape \(4, 6, 4, 1\)"):
        plots.plot_path([result[0], other])


def test_figures_are_drawn_where_asked_and_settings_stay(result, moments):
    before = dict(matplotlib.rcParams)
    figure = Figure(layout="constrained")
    assert plots.plot_path(result, figure=figure) is figure
    plots.plot_spectrum(result[0], moments, figure=Figure().subfigures(1, 1))
    assert dict(matplotlib.rcParams) == before


def test_drawing_needs_no_pyplot_and_importing_no_matplotlib():
    code = (
        "import sys, numpy as np, solvers, solvers.plots as p; assert 'matplotlib' not in sys.modules\n"
        "from lineardyn import SecondMoments\n"
        "m = SecondMoments.from_data(np.eye(4).reshape(4, 1, 2, 2), np.eye(4))\n"
        "solvers.solve(solvers.RegularizedProblem(m, depth=1, lam=1.0)).plot()\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

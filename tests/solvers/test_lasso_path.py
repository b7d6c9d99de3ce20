"""Depth 2, all λ on one working set: the same minimum as descents on the whole Σ^xx, few passes over the data."""

from __future__ import annotations

import numpy as np
import pytest

from lineardyn import SecondMoments, power_law_images
from lineardyn.images_in_place import MomentsInPlace
from solvers import RegularizedProblem, certify, lambda_max, path
from solvers.lasso_path import lasso_path, suits
from solvers.stationarity import Point
from solvers.working_set import WorkingSet

TOL = 1e-9
N = 2000


def data(kind, *, channels=1, outputs=1):
    rng = np.random.default_rng(7)
    shape = (channels, 6, 6)
    images = rng.standard_normal((N, *shape))
    if kind == "power law":
        images = power_law_images((6, 6), N * channels, exponent=2.0, rng=rng).reshape(N, *shape)
    if kind == "even":
        images = images + np.roll(images[:, :, ::-1, ::-1], 1, axis=(2, 3))
    if kind == "dead":
        images[:, :, :, 3:] = images[:, :, :, :3]
    clean = images.reshape(N, -1) @ rng.standard_normal((channels * 36, outputs))
    noise = 0.0 if kind == "noiseless" else 0.5
    return images, clean / clean.std() + noise * rng.standard_normal(clean.shape)


def problem(images, targets, **options):
    return RegularizedProblem(SecondMoments.from_data(images, targets, **options), depth=2, lam=1.0)


def no_fallback(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("the model of the working set was good enough, but not used")

    monkeypatch.setattr("solvers.lasso_path.Coordinate", refuse)


@pytest.mark.parametrize("copy", [False, True])
@pytest.mark.parametrize(("outputs", "channels"), [(1, 1), (3, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize("kind", ["white", "power law", "even", "dead"])
def test_the_minimum_of_the_whole_problem(kind, outputs, channels, copy, monkeypatch):
    images, targets = data(kind, channels=channels, outputs=outputs)
    whole = problem(images, targets, form="dense")
    lams = lambda_max(whole) * np.geomspace(1.2, 1e-2, 7)
    wanted = path(whole, lams, tol=TOL)
    read = problem(images, targets, form="samples", copy=copy)
    assert suits(read)
    no_fallback(monkeypatch)
    found = path(read, lams, tol=TOL)
    # both gaps are within TOL, so that objectives differ by no more
    assert np.abs(found.objectives - wanted.objectives).max() <= TOL * wanted.objectives.max()
    for solution in found:
        assert solution.certificate.kind == "global"
        # round-off of a gap: 64 ε of ⟨‖y‖²⟩
        assert solution.certificate.gap <= 1.01 * TOL * solution.objective + 1e-13
        again = certificate_anew(images, targets, solution)
        assert again.gap <= 1.01 * TOL * solution.objective + 1e-13


def certificate_anew(images, targets, solution):
    """Of statistics that the path has not touched."""
    anew = problem(images, targets, form="dense").with_lam(solution.lam)
    return certify(anew, solution.predictor)


def test_few_passes_over_the_data_and_no_rows(monkeypatch):
    read = problem(*data("power law"), form="samples", copy=False)
    passes = []
    apply = MomentsInPlace.apply
    monkeypatch.setattr(MomentsInPlace, "apply", lambda self, weighted: passes.append(1) or apply(self, weighted))
    no_fallback(monkeypatch)
    lams = lambda_max(read) * np.geomspace(1.0, 1e-3, 30)
    path(read, lams, tol=1e-6)
    assert len(passes) <= 6  # rehearsal, smallest λ, all; lines of few more frequencies, and the last λ once more
    assert "statistics" not in vars(read.moments)


def test_a_problem_too_hard_for_the_model_goes_to_coordinate_descent():
    images, targets = data("noiseless", channels=2)
    images[:, 1] = images[:, 0] + 1e-3 * images[:, 1]  # correlated channels: thousands of sweeps
    read, whole = (problem(images, targets, form="samples", copy=False), problem(images, targets, form="dense"))
    lams = lambda_max(whole) * np.geomspace(1.0, 1e-4, 6)
    found, wanted = path(read, lams, tol=TOL), path(whole, lams, tol=TOL)
    assert any(solution.message.startswith("path, all λ together: block coordinate descent, ") for solution in found)
    assert np.abs(found.objectives - wanted.objectives).max() <= 2 * TOL * wanted.objectives[0]
    assert all(solution.certificate.kind == "global" for solution in found)


def test_growing_by_parts_is_growing_at_once():
    quadratic = problem(*data("white", channels=2), form="samples", copy=False).quadratic
    at_once = WorkingSet.empty(quadratic).grown(np.arange(19))
    gram = quadratic.gram[np.ix_(at_once.columns, at_once.columns)]
    scale = 1e-7 * np.sqrt(np.outer(np.diag(gram), np.diag(gram)))  # single precision, averaged over images
    assert np.all(np.abs(at_once.gram - gram) <= 5 * scale)
    for first, second in ((range(12), range(12, 19)), (range(3), range(3, 19))):  # few lines; the square anew
        parts = WorkingSet.empty(quadratic).grown(np.array(first)).grown(np.array(second))
        assert np.array_equal(parts.columns, at_once.columns)
        assert np.all(np.abs(parts.gram - gram) <= 5 * scale)
        assert np.abs(parts.gram - parts.gram.T).max() <= 1e-15  # of entries up to 1: the order of two factors


@pytest.mark.parametrize("every", [2, 7])
@pytest.mark.parametrize("copy", [False, True])
def test_of_every_nth_image_the_set_is_that_of_those_images(every, copy):
    images, targets = data("white", channels=2)
    quadratic = problem(images, targets, form="samples", copy=copy).quadratic
    some = WorkingSet.empty(quadratic).grown(np.arange(19), every=every)
    gram = problem(images[::every], targets[::every], form="dense").quadratic.gram
    gram = gram[np.ix_(some.columns, some.columns)]
    # single precision, 1e-7 for each image, of which fewer average: up to 5e-7 of 286 images
    assert np.all(np.abs(some.gram - gram) <= 1e-6 * np.sqrt(np.outer(np.diag(gram), np.diag(gram))))


def test_on_all_frequencies_the_gap_of_the_set_is_that_of_the_problem():
    images, targets = data("power law", channels=2, outputs=2)
    given = problem(images, targets, form="samples", copy=False)
    given = given.with_lam(0.1 * lambda_max(given))
    whole = WorkingSet.empty(given.quadratic).grown(np.arange(given.coordinates.n_blocks))
    values = 0.1 * np.random.default_rng(2).standard_normal(given.quadratic.cross.shape)
    slope = given.quadratic.apply_data(values) - given.quadratic.cross
    gap, objective = whole.half_gap(given, values[:, whole.columns], slope[:, whole.columns])
    # sums of 72 products, and singular values of blocks by two programs
    assert gap == pytest.approx(given.half_gap(values, slope), rel=1e-10)
    power = given.quadratic.target_power  # the problem's own is without ½⟨‖y‖²⟩, which no predictor changes
    assert objective == pytest.approx(given.half_objective(values, slope) + 0.5 * power, rel=1e-10)


@pytest.mark.parametrize(("seed", "ratio"), [(0, 0.3), (2, 0.1)])
def test_what_the_rehearsal_missed_joins_later(seed, ratio, monkeypatch):
    """Images that fade to their edges, so that frequencies correlate, and one pixel that the targets depend on."""
    rng = np.random.default_rng(seed)
    images = power_law_images((10, 10), 1000, exponent=2.0, rng=rng).reshape(-1, 1, 10, 10) * np.hanning(12)[1:-1]
    targets = images[:, :, 3, 3] / images[:, :, 3, 3].std() + rng.standard_normal((1000, 1))
    read, whole = (problem(images, targets, form="samples", copy=False), problem(images, targets, form="dense"))
    lams = lambda_max(whole) * np.geomspace(1.0, ratio, 5)
    wanted = path(whole, lams, tol=TOL)
    monkeypatch.setattr("solvers.lasso_path.REHEARSED", 2)
    monkeypatch.setattr("solvers.lasso_path.IMAGES", 100)
    no_fallback(monkeypatch)
    assert np.abs(path(read, lams, tol=TOL).objectives - wanted.objectives).max() <= TOL * wanted.objectives.max()


def test_what_becomes_steep_in_turn_joins_in_turn(monkeypatch):
    """Waves of amplitude ``z_k + z_{k+1}`` and target ``z_1``: each is steep once the one before it is used."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((N, 7))
    waves = np.cos(2 * np.pi * np.outer(np.arange(1, 7), np.arange(14)) / 14)
    images = ((z[:, :-1] + z[:, 1:]) @ waves + 0.5 * rng.standard_normal((N, 14))).reshape(N, 1, 1, 14)
    read, whole = (problem(images, z[:, :1], **options) for options in ({"form": "samples", "copy": False}, {}))
    lams = lambda_max(whole) * np.geomspace(1.0, 0.03, 4)
    wanted = path(whole, lams, tol=TOL)
    monkeypatch.setattr("solvers.lasso_path.REHEARSED", 1)
    no_fallback(monkeypatch)
    found = path(read, lams, tol=TOL)
    assert np.abs(found.objectives - wanted.objectives).max() <= TOL * wanted.objectives.max()
    assert np.all(np.abs(found.predictors[-1][0, 1:7]) > 0)  # all six are used in the end


@pytest.mark.parametrize("unit", [0.01, 1.0, 100.0])
def test_steepness_without_a_pass_is_a_lower_bound(unit):
    images, targets = data("power law", channels=2, outputs=2)
    given = problem(unit * images, targets, form="dense").with_lam(1e-3 * unit)
    values = np.random.default_rng(1).standard_normal(given.quadratic.cross.shape)
    point = Point.of(given, 0.1 / unit * values)
    assert np.all(point.least_steepness <= point.steepness * (1 + 1e-12))
    unknown = np.full(given.coordinates.n_blocks, np.nan)
    bounded = Point.of(given, 0 * values, slope=-given.quadratic.cross, curvatures=unknown)
    assert bounded.residual >= Point.of(given, 0 * values).residual > 0


def test_one_lam_and_bits_again():
    images, targets = data("white")
    lam = 0.05 * lambda_max(problem(images, targets))
    one, two = (path(problem(images, targets, form="samples", copy=False), [lam, lam / 3]) for _ in range(2))
    assert np.array_equal(one.predictors, two.predictors)
    alone = lasso_path([problem(images, targets, form="samples", copy=False).with_lam(lam)], tol=1e-8)
    assert alone[0].converged

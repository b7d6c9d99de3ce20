"""A path is ``solve`` at each λ: the same minima, whatever the order."""

from __future__ import annotations

import numpy as np
import pytest

from lineardyn.errors import ArgumentError, Status
from solvers import lambda_max, path, solve
from tests.solvers import families

TOL, SAME = 1e-9, 2e-9
"""Each of two objectives is within TOL of the minimum."""


def ladder(problem, n=4, last=1e-2):
    return families.with_share(problem, 1.0).lam * np.geomspace(1.2, last, n)


@pytest.mark.parametrize("family", sorted(families.FAMILIES))
@pytest.mark.parametrize("depth", [1, 2])
def test_a_convex_path_is_solve_at_each_lambda(family, depth):
    problem = families.make_problem(family, depth)
    lams = ladder(problem)
    result = path(problem, lams, tol=TOL)
    assert np.array_equal(result.lams, lams)
    for lam, solution in zip(lams, result, strict=True):
        alone = solve(problem.with_lam(lam), tol=TOL)
        assert solution.objective == pytest.approx(alone.objective, rel=SAME)
        assert solution.certificate.kind == "global"
        assert solution.status is Status.SUCCESS


@pytest.mark.parametrize("family", ["natural", "interpolated", "planted", "silent"])
@pytest.mark.parametrize("depth", [3, 5])
def test_a_path_of_a_deep_problem_is_no_worse_than_a_search_of_few_starts(family, depth):
    problem = families.make_problem(family, depth)
    lams = ladder(problem)
    for solution in path(problem, lams):
        alone = solve(problem.with_lam(solution.lam), n_starts=3)
        assert solution.objective <= alone.objective * (1 + 5e-2)
        assert solution.certificate.kind in ("local", "global")


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_order_of_lambdas_does_not_matter(depth):
    problem = families.make_problem("interpolated", depth)
    lams = ladder(problem, 5)
    order = np.array([3, 0, 4, 1, 2])
    sorted_, mixed = path(problem, lams), path(problem, lams[order])
    assert np.array_equal(mixed.lams, lams[order])
    # not to the bit: the first path has formed lines of Σ^xx, with which the second then sums
    np.testing.assert_allclose(mixed.objectives, sorted_.objectives[order], rtol=1e-8)


@pytest.mark.parametrize("depth", [1, 2, 3, 6])
@pytest.mark.parametrize("family", ["natural", "coherent"])
def test_minima_rise_and_losses_too_with_lambda(family, depth):
    """``min_v loss + λR`` is concave and rises in λ, and so does the loss at the minimum."""
    result = path(families.make_problem(family, depth), ladder(families.make_problem(family, depth), 6))
    assert np.all(np.diff(result.objectives) <= 1e-8 * result.objectives[:-1])
    losses, slack = np.array([s.loss for s in result]), 1e-6 if depth <= 2 else 5e-2  # local minima cross
    assert np.all(np.diff(losses) <= slack * losses[0])
    if depth <= 2:
        slopes = np.diff(result.objectives) / np.diff(result.lams)
        assert np.all(np.diff(slopes) >= -1e-6 * slopes[:-1])


def test_repeated_lambdas_have_one_solution():
    problem = families.make_problem("natural", 2)
    result = path(problem, [0.1, 0.1, 0.02])
    assert result[0].objective == pytest.approx(result[1].objective, rel=SAME)


@pytest.mark.parametrize("depth", [2, 3])
def test_from_lambda_max_on_all_is_zero(depth):
    problem = families.make_problem("natural", depth)
    top = lambda_max(problem)
    result = path(problem, [top, 2 * top, 1e-2 * top])
    assert not result[0].predictor.any()
    assert not result[1].predictor.any()
    assert result[2].predictor.any()


def test_a_bar_is_shown_when_asked_for(capsys):
    path(families.make_problem("tied", 2), [0.1, 0.2], progress=True)
    assert "path" in capsys.readouterr().err
    path(families.make_problem("tied", 2), [0.1, 0.2])
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda p: path(np.eye(2), [1.0]), "problem is .*expected a RegularizedProblem"),
        (lambda p: path(p, [1.0, -1.0]), r"lams\[1\] is -1"),
        (lambda p: path(p, [0.0]), r"lams\[0\] is 0"),
        (lambda p: path(p, 0.1), "lams has shape"),
        (lambda p: path(p, [np.nan]), "lams"),
        (lambda p: path(p, ["a"]), "lams"),
        (lambda p: path(p, [0.1], tol=0.0), "tol is 0"),
        (lambda p: path(p, [0.1], rng="x"), "rng is"),
    ],
)
def test_bad_input_names_the_argument(call, text):
    with pytest.raises(ArgumentError, match=text):
        call(families.make_problem("tied", 2))

"""A path over the depth: solutions of :func:`solvers.solve`, each from the next shallower one."""

from __future__ import annotations

import pytest

from lineardyn.errors import ArgumentError
from solvers import RegularizedProblem, depth_path, solve
from tests.solvers import families


@pytest.mark.parametrize("family", ["natural", "coloured", "interpolated"])
def test_depths_are_solved_as_alone(family):
    """Depths 1 and 2 have one minimum, to the tolerance 1e-8; deeper ones may only be lower than few descents find."""
    problem = families.make_problem(family, 2)
    for solution in depth_path(problem, [1, 2, 3, 5]):
        alone = solve(problem.with_depth(solution.depth), n_starts=4)
        if solution.depth <= 2:
            assert solution.objective == pytest.approx(alone.objective, rel=1e-7)
            assert solution.certificate.kind == "global"
        assert solution.objective <= alone.objective * (1 + 1e-2)
        assert solution.certificate.kind != "none"


def test_solutions_come_in_the_order_asked_for():
    problem = families.make_problem("natural", 2)
    result = depth_path(problem, [4, 1, 2, 1])
    assert [solution.depth for solution in result] == [4, 1, 2, 1]
    assert result[1] is result[3]
    assert {solution.lam for solution in result} == {problem.lam}


def test_a_bar_is_shown_when_asked_for(capsys):
    depth_path(families.make_problem("natural", 2), [1, 2], progress=True)
    assert "depths" in capsys.readouterr().err


def test_plot_is_over_the_depth():
    figure = depth_path(families.make_problem("natural", 2), [1, 2, 3]).plot()
    assert any("depth" in axes.get_xlabel() for axes in figure.axes)


@pytest.mark.parametrize(
    ("depths", "text"),
    [
        ([], "depths is empty, expected at least one depth"),
        ([1, 0], r"depths\[1\] is 0, expected an integer >= 1"),
        (2, "depths is 2, expected a list of integers >= 1"),
    ],
)
def test_bad_depths_are_named(depths, text):
    with pytest.raises(ArgumentError, match=text):
        depth_path(families.make_problem("natural", 2), depths)


def test_a_bound_on_the_rank_needs_a_hidden_layer():
    free = families.make_problem("coloured", 3)
    narrow = RegularizedProblem(free.moments, depth=3, lam=free.lam, rank=1)
    assert [s.rank for s in depth_path(narrow, [2, 3], n_starts=1)] == [1, 1]
    with pytest.raises(ArgumentError, match="at depth 1"):
        depth_path(narrow, [1, 2])

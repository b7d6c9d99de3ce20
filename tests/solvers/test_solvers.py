"""Every solver on every family of problems, against one another, cone programs, brute force and the certificate.

Where a problem is convex, two solvers that end at relative gap ``tol`` = 1e-9 differ by 1e-9 of the objective at most,
and none is below another by more than that; ``SAME`` leaves a factor of two. Interior points stop at 1e-8 of the
objective and of their residuals: ``CONIC``.
"""

from __future__ import annotations

import numpy as np
import pytest

from lineardyn.errors import Status
from solvers import Conic, Coordinate, LocalSearch, Proximal, Reweighted, certify, solve
from tests.solvers import families

FAMILIES = sorted(families.FAMILIES)
TOL, SAME, CONIC = 1e-9, 2e-9, 1e-6


def height(problem, end):
    return problem.objective_of(end.values)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("share", [0.3, 0.02])
def test_solvers_of_convex_problems_agree(family, depth, share):
    problem = families.make_problem(family, depth, share)
    wanted = solve(problem, tol=TOL)
    assert wanted.certificate.kind == "global"
    assert wanted.certificate.gap <= SAME * wanted.objective
    for method in ("coordinate", "proximal", "irls", "search"):
        got = solve(problem, method=method, n_starts=2, tol=TOL)
        assert got.status is Status.SUCCESS
        assert got.objective == pytest.approx(wanted.objective, rel=SAME)
        assert got.certificate.kind == "global"


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("depth", [1, 2])
def test_cone_programs_agree(family, depth):
    pytest.importorskip("cvxpy", reason="cvxpy is not installed (extra: test)")
    problem = families.make_problem(family, depth)
    got, wanted = solve(problem), Conic().solve(problem)
    assert got.objective == pytest.approx(height(problem, wanted), rel=CONIC)
    assert got.objective <= height(problem, wanted) * (1 + 1e-8)


@pytest.mark.parametrize("family", [f for f in FAMILIES if f != "coloured"])
@pytest.mark.parametrize("depth", [3, 4, 8])
def test_no_solver_finds_lower_than_the_search(family, depth):
    problem = families.make_problem(family, depth)
    best = solve(problem)
    assert best.status is Status.SUCCESS
    assert best.certificate.kind in ("local", "global")
    for solver in (Coordinate(), Proximal()):
        end = solver.solve(problem)
        assert end.converged
        assert height(problem, end) >= best.objective * (1 - 1e-8)
    end = Reweighted().solve(problem)
    # IRLS ends above a minimum: what it leaves small is not zero
    assert height(problem, Coordinate().solve(problem, end.values)) >= best.objective * (1 - 1e-8)
    assert best.objective < problem.objective(np.zeros(problem.predictor_shape))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("depth", [1, 2, 3, 8])
def test_the_objective_reported_is_that_on_the_data(family, depth):
    """From raw images and targets: the round-off of a prediction is that of ``Σ|w||x|``, 1e-10 of it at most here."""
    problem = families.make_problem(family, depth)
    solution = solve(problem, n_starts=1)
    wanted = families.pixel_objective(families.FAMILIES[family][0](0), solution.predictor, depth, problem.lam)
    assert solution.objective == pytest.approx(wanted, rel=1e-9)
    assert solution.penalty == pytest.approx(problem.penalty(solution.predictor), rel=1e-12)
    assert solution.loss >= 0.0


# --- Never up --------------------------------------------------------------------------------------------------------


def heights_of(solver, problem, start, counts):
    return [height(problem, solver(n).solve(problem, start)) for n in counts]


@pytest.mark.parametrize("solver", ["coordinate", "proximal"])
@pytest.mark.parametrize("family", ["natural", "coloured", "coherent", "twelve orders"])
@pytest.mark.parametrize(("depth", "rank"), [(1, None), (2, None), (3, None), (8, None), (3, 1)])
def test_the_objective_never_rises(solver, family, depth, rank):
    problem = families.make_problem(family, depth, 0.02, rank=rank)
    make = {
        "coordinate": lambda n: Coordinate(max_sweeps=n, memory=3),
        "proximal": lambda n: Proximal(max_iterations=n),
    }[solver]
    values = np.random.default_rng(0).standard_normal(problem.quadratic.cross.shape)
    largest = np.sqrt(problem.quadratic.curvatures[problem.coordinates.block_of_column])
    values = np.divide(values, largest, out=np.zeros_like(values), where=largest > 0)
    found = heights_of(make, problem, values, [*range(1, 16), 30, 60])
    noise = 1e-13 * max(found[0], problem.moments.target_power)
    if rank is None:  # the start has full rank: it is no predictor of a bounded problem
        found = [problem.objective_of(values), *found]
    assert np.all(np.diff(found) <= noise)
    assert found[-1] < found[0]


@pytest.mark.parametrize("depth", [3, 4, 8])
@pytest.mark.parametrize("family", ["natural", "interpolated", "coherent"])
def test_local_search_never_leads_up(family, depth):
    problem = families.make_problem(family, depth, 0.05)
    here = Coordinate().solve(problem)
    before = height(problem, here)
    for n in (1, 2, 5):
        after = LocalSearch(max_moves=n).solve(problem, here.values)
        assert after.converged
        assert height(problem, after) <= before * (1 + 1e-12)
        before = height(problem, after)


def test_local_search_leaves_a_bad_minimum():
    """Zero is a local minimum at every depth ≥ 3; descents alone never leave it."""
    problem = families.make_problem("interpolated", 4, 0.9)
    stuck = Coordinate().solve(problem)
    zero = problem.objective_of(np.zeros_like(stuck.values))
    assert height(problem, LocalSearch().solve(problem, np.zeros_like(stuck.values))) < zero


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("method", ["coordinate", "proximal"])
@pytest.mark.parametrize("family", ["natural", "coloured", "interpolated"])
def test_a_warm_start_ends_where_a_cold_one_does(family, method, depth):
    problem = families.make_problem(family, depth, 0.05)
    cold = solve(problem, method=method, tol=TOL)
    near = solve(problem.with_lam(2 * problem.lam), method=method, tol=TOL)
    warm = solve(problem, method=method, start=near.predictor, tol=TOL)
    assert warm.objective == pytest.approx(cold.objective, rel=SAME)
    again = solve(problem, method=method, start=cold.predictor, tol=TOL)
    assert again.stats["n_iterations"] <= max(cold.stats["n_iterations"], 30)


# --- Overshoot -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("family", ["coherent", "planted"])
def test_a_gap_is_never_negative(family, depth):
    """At points where predictions oppose the targets too: a dual point of the wrong sign must be feasible."""
    problem = families.make_problem(family, depth, 1e-4)
    rng, best = np.random.default_rng(1), solve(problem).objective
    for size in (1e-3, 1.0, 30.0):
        for sign in (1.0, -1.0):
            values = size * rng.standard_normal(problem.quadratic.cross.shape) + sign * problem.quadratic.cross
            slope = problem.quadratic.gradient(values)
            gap = 2 * problem.half_gap(values, slope)
            assert gap >= problem.objective_of(values) - best * (1 + 1e-8)
            assert gap >= certify(problem, problem.unpack(values)).gap * (1 - 1e-6)


@pytest.mark.parametrize("family", ["natural", "power law"])
def test_the_last_sweep_allowed_is_looked_at(family):
    """Whatever the number of sweeps: SUCCESS where the gap is within the tolerance, and nowhere else."""
    problem, tol = families.make_problem(family, 2, 0.02), 1e-8
    power, found = problem.quadratic.target_power, []
    for n in range(1, 100):
        end = Coordinate(max_sweeps=n, memory=0, polish=False).solve(problem, tol=tol)
        slope = problem.quadratic.gradient(end.values)
        scale = problem.half_objective(end.values, slope) + 0.5 * power
        found.append(problem.half_gap(end.values, slope) <= tol * scale)
        assert end.converged == found[-1]
    assert not found[0]
    assert found[-1]

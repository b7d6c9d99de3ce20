"""What is forecast of dropping and raising a frequency, against what a descent from there finds."""

from __future__ import annotations

import numpy as np
import pytest

from lineardyn import SecondMoments
from solvers import Coordinate, RegularizedProblem, lambda_max
from solvers._coordinate_kernels import best_partners
from solvers.exchanges import _dropped, _raised, forecast
from solvers.local_search import LocalSearch
from solvers.newton import newton_step, support_columns, support_hessian
from solvers.part import Part
from solvers.stationarity import shrink
from tests.solvers import families


def a_minimum(family="natural", depth=3, share=0.05):
    problem = families.make_problem(family, depth, share)
    _ = problem.quadratic.gram
    end = Coordinate().solve(problem, tol=1e-12)
    return problem, end.values, problem.quadratic.gradient(end.values)


def pieces(problem, values):
    norms = problem.coordinates.singular_values(values)[:, 0]
    active = np.flatnonzero(norms > 0)
    support = np.flatnonzero(norms[problem.coordinates.block_of_column] > 0)
    inverse = np.linalg.inv(support_hessian(problem, values))
    return norms, active, support, inverse


@pytest.mark.parametrize(("family", "depth"), [("natural", 3), ("power law", 4), ("coherent", 3)])
def test_a_dropped_block_costs_what_the_second_order_says(family, depth):
    """Against the minimum of the model itself, by a linear system without the block: no inverse of H is used there."""
    problem, values, slope = a_minimum(family, depth)
    norms, active, support, inverse = pieces(problem, values)
    costs, moves = _dropped(problem, values, inverse, support, active, norms)
    hessian, p = support_hessian(problem, values), problem.power
    z, outputs = values[:, support].ravel(), problem.n_outputs
    gram = np.kron(np.eye(outputs), problem.quadratic.gram[np.ix_(support, support)])
    owner = np.tile(problem.coordinates.block_of_column[support], outputs)
    for i, b in enumerate(active):
        gone = owner == b
        move = np.zeros(len(z))
        move[gone] = -z[gone]
        move[~gone] = np.linalg.solve(hessian[np.ix_(~gone, ~gone)], -hessian[np.ix_(~gone, gone)] @ move[gone])
        penalty = problem.thresholds[b] * norms[b] ** p
        rest = move[~gone] @ (hessian - gram)[np.ix_(~gone, ~gone)] @ move[~gone]
        cost = 0.5 * move @ gram @ move + 0.5 * rest + slope[:, support].ravel()[gone] @ move[gone] - penalty
        assert np.abs(moves[i].ravel() - move).max() <= 1e-9 * np.abs(z).max()
        assert costs[i] == pytest.approx(cost, abs=1e-6 * penalty)  # the slope is 0 to the root of the tolerance


def test_a_raised_block_gains_what_its_prox_says():
    """Nothing moves and nothing is explained: the gain of the best block alone, with its own curvature."""
    problem, values, slope = a_minimum("tied")
    norms, _, support, inverse = pieces(problem, values)
    silent = np.flatnonzero((norms == 0) & np.isfinite(problem.jumps))
    moves = np.zeros((1, problem.n_outputs, len(support)))
    for scale in (1.0, 3.0, 10.0):
        got = _raised(problem, scale * slope, 0.0 * inverse, support, moves, silent)[0]
        wanted, sizes = 0.0, np.geomspace(1e-6, 1e3, 20001)
        for b in silent:
            inside = problem.coordinates.block_of_column == b
            pull = scale * np.linalg.norm(slope[:, inside])
            x = pull / problem.quadratic.curvatures[b] * sizes
            h = problem.quadratic.curvatures[b] * x**2 / 2 - pull * x + problem.thresholds[b] * x**problem.power
            wanted = min(wanted, h.min())
        assert got == pytest.approx(wanted, rel=1e-5, abs=1e-12)
    assert wanted < 0


def test_where_there_is_no_second_order_nothing_is_forecast():
    problem, values, slope = a_minimum()
    none = np.zeros(0, dtype=np.int64)
    active = np.flatnonzero(problem.coordinates.singular_values(values)[:, 0] > 0)
    change = forecast(problem, values, slope, active, none)
    assert change.shape == active.shape
    assert np.all(change > 0)  # a local minimum, and nothing may take the place
    some = active[[-1, 0]]  # any of them, in any order
    assert np.array_equal(forecast(problem, values, slope, some, none), change[[-1, 0]])
    assert forecast(problem, np.zeros_like(values), slope, none, none) is None
    small = 1e-3 * problem.thresholds.max() * np.random.default_rng(0).standard_normal(values.shape)
    assert forecast(problem, small, slope, active, none) is None  # the penalty bends down
    matrices = families.make_problem("coloured", 3, 0.05)
    assert forecast(matrices, matrices.quadratic.cross, matrices.quadratic.cross, none, none) is None


def test_columns_that_no_image_has_are_not_in_the_second_order():
    """Even images have real spectra. The Hessian on the silent imaginary parts is diagonal: nothing depends on them."""
    rng = np.random.default_rng(3)
    images = rng.standard_normal((300, 1, 6, 7))
    images += np.roll(images[:, :, ::-1, ::-1], 1, axis=(2, 3))
    targets = images.reshape(300, -1) @ rng.standard_normal((42, 1))
    problem = RegularizedProblem(SecondMoments.from_data(images, targets), depth=3, lam=1.0)
    problem = problem.with_lam(0.02 * lambda_max(problem))
    values = Coordinate().solve(problem, tol=1e-12).values
    slope, norms = problem.quadratic.gradient(values), problem.coordinates.singular_values(values)[:, 0]
    active, silent = np.flatnonzero(norms > 0), np.flatnonzero(norms == 0)
    few = support_columns(problem, values, norms)
    assert len(few) == len(active) > 5
    near = values + 1e-3 * (values != 0)

    def both():
        step = newton_step(problem, near, problem.quadratic.gradient(near))
        return np.concatenate([forecast(problem, values, slope, active, silent), step[0][0]])

    of_few = both()
    problem.quadratic.lines.seen[:] = True
    assert len(support_columns(problem, values, norms)) > len(few)
    assert of_few == pytest.approx(both(), rel=1e-9, abs=1e-12)  # condition of the Hessian, hundreds, times round-off
    values[0, few[0] + 1] = 1e-3  # a start of one's own that has something there
    problem.quadratic.lines.__dict__["seen"] = np.zeros_like(problem.quadratic.lines.seen)
    assert np.array_equal(support_columns(problem, values, norms), np.flatnonzero(values[0]))


def random_problem(shape=(12, 12), n=300, seed=0, share=0.01):
    rng = np.random.default_rng(seed)
    images = rng.standard_normal((n, 1, *shape))
    images += 0.7 * np.roll(images, 1, axis=3)[rng.permutation(n)]
    targets = images.reshape(n, -1) @ rng.standard_normal((shape[0] * shape[1], 1))
    problem = RegularizedProblem(SecondMoments.from_data(images, targets), depth=3, lam=1.0)
    return problem.with_lam(share * lambda_max(problem))


def test_a_part_is_the_problem_on_its_blocks():
    problem = random_problem((4, 5))
    gram = problem.quadratic.gram
    part = Part.of(problem, np.array([5, 0, 3, 5]))
    assert part.blocks.tolist() == [0, 3, 5]
    inside = np.isin(problem.coordinates.block_of_column, part.blocks)
    assert np.array_equal(part.columns, np.flatnonzero(inside))
    assert np.array_equal(part.gram, gram[np.ix_(inside, inside)])
    assert np.array_equal(part.cross, problem.quadratic.cross[:, inside])
    assert part.places(np.array([3, 5, 0])).tolist() == [1, 2, 0]
    assert np.array_equal(part.starts, [0, 1, 3, 5])


def test_partners_are_the_silent_blocks_that_gain_most():
    problem, values, slope = a_minimum("natural", 3, 0.02)
    columns, quadratic = problem.coordinates, problem.quadratic
    norms = columns.singular_values(values)[:, 0]
    active, found = np.flatnonzero(norms > 0), np.empty((norms > 0).sum(), dtype=np.int64)
    best_partners(
        values, slope, quadratic.gram, columns.starts, quadratic.curvatures, problem.thresholds, problem.jumps,
        problem.depth, quadratic.lines.formed, active, found,
    )  # fmt: skip
    for b, partner in zip(active, found, strict=True):
        dropped = values.copy()
        dropped[:, columns.block_of_column == b] = 0.0
        pulls = columns.singular_values(quadratic.gradient(dropped))[:, 0] / quadratic.curvatures
        wanting = (pulls > problem.jumps) & (norms == 0)
        wanting[b] = False
        assert (partner >= 0) == wanting.any()
        if partner >= 0:
            ratios = problem.thresholds / quadratic.curvatures
            to = shrink(pulls, ratios, problem.power, np.zeros(len(pulls), dtype=bool))
            gains = quadratic.curvatures * (to * (0.5 * to - pulls) + ratios * to**problem.power)
            assert partner == np.argmin(np.where(wanting, gains, np.inf))
    assert len(set(found.tolist())) > 1


@pytest.mark.parametrize("family", ["natural", "coherent", "silent"])
def test_values_and_slope_follow_what_the_part_finds(family):
    problem = families.make_problem(family, 3, 0.1)
    values = np.zeros(problem.quadratic.cross.shape)
    slope, search = problem.quadratic.gradient(values), LocalSearch()
    _ = problem.quadratic.gram
    blocks = search._candidates(problem, values, slope)
    part = Part.of(problem, search._concerned(problem, values, slope, blocks))
    taken, height = search._explore(problem, part, values, slope, blocks, 0.0)
    assert taken > 0
    assert np.abs(slope - problem.quadratic.gradient(values)).max() <= 1e-12 * np.abs(slope).max()
    assert height == pytest.approx(problem.half_objective(values, slope), rel=1e-9)  # tiny singular values


@pytest.mark.parametrize("seed", range(3))
def test_a_forecast_loses_nothing_that_all_trials_find(seed, monkeypatch):
    """Large enough that few of the active frequencies are tried; the lowest of both to 1e-6 of each other."""
    problem = random_problem(seed=seed)
    _ = problem.quadratic.gram
    rough = Coordinate(polish=False).solve(problem, tol=1e-5)
    quick = LocalSearch().solve(problem, rough.values)
    monkeypatch.setattr("solvers.local_search.SURE_TRIALS", 10**9)
    slow = LocalSearch().solve(problem, rough.values)
    before, *after = (problem.objective_of(end.values) for end in (rough, quick, slow))
    assert (problem.coordinates.singular_values(rough.values)[:, 0] > 0).sum() > 20
    assert after[0] <= after[1] * (1 + 1e-6)
    assert after[0] < before

"""The steps of the descents, one at a time, against slow copies in numpy or finite differences.

The slow prox is that of the certificates, which shares nothing with the compiled one.
"""

from __future__ import annotations

import numpy as np
import pytest

from lineardyn import SecondMoments
from solvers import Coordinate, RegularizedProblem, Reweighted, certify
from solvers._coordinate_kernels import drop_block, half_objective, raise_block
from solvers.coordinate import _Descent
from solvers.extrapolation import Extrapolation
from solvers.newton import newton_step, support_hessian
from solvers.proximal import _condition, prox_map
from solvers.stationarity import prox_blocks
from tests import oracles
from tests.solvers import families

TOLERANCE = 1e-12
"""Sums of a hundred numbers of order one, and singular values by two methods."""


def random_problem(c=2, k=2, depth=3, shape=(3, 4), lam=0.2, rank=None, seed=0):
    rng = np.random.default_rng(seed)
    moments = SecondMoments.from_data(rng.standard_normal((30, c, *shape)), rng.standard_normal((30, k)), form="dense")
    problem = RegularizedProblem(moments, depth=depth, lam=lam, rank=rank)
    return problem, 0.5 * rng.standard_normal(problem.quadratic.cross.shape)


def slow_sweep(problem, values):
    """Each block to the prox of its gradient step, with a new gradient for each."""
    values, columns, quad = values.copy(), problem.coordinates, problem.quadratic
    for b, curvature in enumerate(quad.curvatures):
        step = values - quad.gradient(values) / curvature
        block = columns.blocks(step)[b : b + 1]
        u = problem.thresholds[b : b + 1] / curvature
        moved = prox_blocks(block, u, problem.power, problem.max_rank, np.zeros((*block.shape[:1], 1), dtype=bool))
        after = columns.blocks(values)
        after[b] = moved[0]
        values = columns.from_blocks(after)
    return values


@pytest.mark.parametrize(("c", "k"), [(1, 1), (1, 3), (3, 1), (2, 3), (3, 2)])
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("rank", [None, 1])
def test_a_sweep_takes_each_block_to_its_prox(c, k, depth, rank):
    """Some blocks drop to zero, some stay; the slope is that of where it ends."""
    problem, start = random_problem(c, k, depth, rank=None if depth == 1 else rank)
    problem = families.with_share(problem, 0.8)
    descent = _Descent(problem, start, 1e-8, Coordinate())
    moved = descent.sweep()
    wanted = slow_sweep(problem, start)
    assert oracles.error(descent.values, wanted) <= TOLERANCE
    assert oracles.error(descent.slope, problem.quadratic.gradient(wanted)) <= TOLERANCE
    columns = problem.quadratic.curvatures[problem.coordinates.block_of_column]
    assert moved == pytest.approx(float(((wanted - start) ** 2 @ columns).sum()), rel=1e-10)
    active = (problem.coordinates.singular_values(wanted) > 0).sum()
    assert depth == 1 or c > 1 or k > 1 or 0 < active < problem.coordinates.n_blocks  # both kinds of step


@pytest.mark.parametrize("depth", [2, 3, 4, 7])
def test_at_the_jump_a_block_stays_zero(depth):
    """The prox has two values there; the choice documented is 0."""
    problem, _ = random_problem(1, 1, depth, shape=(1, 1), lam=0.4)
    curvatures = np.ones(1)
    jump = float(problem.thresholds[0])  # of depth 2, with curvature 1
    if depth > 2:
        landing = (2 * (1 - problem.power) * problem.thresholds[0]) ** (1 / (2 - problem.power))
        near = landing * (depth - 1) / (depth - 2)
        around = near * (1 + 2.0**-52 * np.arange(-8, 9))
        moved = np.array([prox_map(problem, np.array([[z]]), curvatures)[0, 0] for z in around])
        last = int(np.flatnonzero(moved == 0.0)[-1])
        assert not moved[: last + 1].any()
        assert np.all(moved[last + 1 :] > 0.9 * landing)
        jump = _jump_of(problem)
        assert abs(jump - near) <= 8 * 2.0**-52 * near
    assert prox_map(problem, np.array([[jump]]), curvatures)[0, 0] == 0.0
    assert prox_map(problem, np.array([[-jump]]), curvatures)[0, 0] == 0.0
    assert prox_map(problem, np.array([[jump * (1 + 1e-15)]]), curvatures)[0, 0] > 0.0


def _jump_of(problem):
    """As the descents have it."""
    from solvers._coordinate_kernels import jump_points

    out = np.empty(1)
    jump_points(np.ones(1), problem.thresholds, problem.depth, out)
    return float(out[0])


@pytest.mark.parametrize(("c", "k"), [(1, 1), (2, 3)])
def test_half_objective_of_the_kernel_is_that_of_the_problem(c, k):
    problem, values = random_problem(c, k)
    slope, quad = problem.quadratic.gradient(values), problem.quadratic
    scratch = np.empty((problem.coordinates.n_blocks, min(c, k)))
    got = half_objective(
        values, slope, quad.cross, problem.coordinates.starts, problem.thresholds, problem.depth, c, scratch
    )
    assert got == pytest.approx(problem.half_objective(values, slope), rel=TOLERANCE)


@pytest.mark.parametrize("change", ["drop", "raise"])
def test_changes_of_a_block_bring_the_slope_along(change):
    problem, values = random_problem(2, 3)
    quad, starts = problem.quadratic, problem.coordinates.starts
    slope = quad.gradient(values)
    before, pull = values.copy(), slope.copy()
    first, last, curvature = starts[2], starts[3], quad.curvatures[2]
    if change == "drop":
        drop_block(values, slope, quad.gram, first, last)
        assert not values[:, first:last].any()
    else:
        raise_block(values, slope, quad.gram, first, last, curvature)
        assert not np.array_equal(values, before)
        assert problem.quadratic.loss(values) < problem.quadratic.loss(before)
        assert np.abs(values[:, first] - (before - pull / curvature)[:, first]).max() <= 0.5
    outside = np.r_[: int(first), int(last) : values.shape[1]]
    assert np.array_equal(values[:, outside], before[:, outside])
    assert oracles.error(slope, quad.gradient(values)) <= TOLERANCE


@pytest.mark.parametrize("depth", [2, 3, 6])
@pytest.mark.parametrize(("c", "k"), [(1, 1), (1, 3), (3, 1)])
def test_the_hessian_on_the_support(depth, c, k):
    """Central differences of the gradient, which has third derivatives of order one: 1e-10 / 1e-5 and 1e-10."""
    problem, values = random_problem(c, k, depth)
    inside = problem.coordinates.block_of_column == 3
    values[:, inside] = 0.0

    def slope(v):
        norms = problem.coordinates.singular_values(v)[:, 0][problem.coordinates.block_of_column][~inside]
        u = problem.thresholds[problem.coordinates.block_of_column][~inside]
        pull = u * problem.power * norms ** (problem.power - 2) * v[:, ~inside]
        return (problem.quadratic.gradient(v)[:, ~inside] + pull).ravel()

    places = [(i, j) for i in range(k) for j in np.flatnonzero(~inside)]
    hessian, step = support_hessian(problem, values), 1e-5
    assert hessian.shape == (len(places),) * 2
    for n in (0, len(places) // 2, len(places) - 1):
        ahead, behind = values.copy(), values.copy()
        ahead[places[n]] += step
        behind[places[n]] -= step
        assert np.abs(hessian[n] - (slope(ahead) - slope(behind)) / (2 * step)).max() <= 1e-7 * np.abs(hessian).max()


@pytest.mark.parametrize("depth", [2, 3])
def test_newton_steps_converge_quadratically(depth):
    """From a descent that has found the support: the third step is round-off."""
    problem = families.make_problem("power law", depth, 0.05)
    end = Coordinate(polish=False, max_sweeps=60).solve(problem, tol=1e-3)
    values, slope, sizes = end.values, problem.quadratic.gradient(end.values), []
    for _ in range(4):
        after = newton_step(problem, values, slope)
        if after is None:
            break
        sizes.append(float(np.linalg.norm(after[0] - values)))
        values, slope = after
        assert oracles.error(slope, problem.quadratic.gradient(values)) <= TOLERANCE
    assert min(sizes[1:]) <= 1e-12 * np.linalg.norm(values) or sizes[1] <= 10 * sizes[0] ** 2


def test_extrapolation_of_a_linear_iteration_is_its_limit():
    """``V_{n+1} = V_n A + b`` in three dimensions, and memory for more of them: the fixed point, with its slope."""
    rng = np.random.default_rng(0)
    matrix, offset = 0.3 * rng.standard_normal((3, 3)), rng.standard_normal((1, 3))
    limit = offset @ np.linalg.inv(np.eye(3) - matrix)
    memory, values = Extrapolation(4), np.zeros((1, 3))
    for _ in range(5):
        memory.add(values, 2 * values - 1)
        values = values @ matrix + offset
    assert memory.full
    ahead, slope = memory.combine()
    assert oracles.error(ahead, limit) <= 1e-4  # regularised by 1e-10 of the squares
    assert oracles.error(slope, 2 * ahead - 1) <= TOLERANCE
    memory.restart()
    assert not memory.full


@pytest.mark.parametrize("family", ["natural", "coloured", "interpolated", "twelve orders"])
def test_the_step_of_the_proximal_gradient_is_short_enough(family):
    """κ against eigenvalues in the metric of the blocks; steps are checked as well, so that 5% below is allowed."""
    problem = families.make_problem(family, 2)
    inverse = problem.quadratic.curvatures[problem.coordinates.block_of_column] ** -0.5
    largest = np.linalg.eigvalsh(problem.quadratic.gram * inverse * inverse[:, None])[-1]
    assert 0.9 * largest <= _condition(problem) <= 1.06 * largest


@pytest.mark.parametrize(("c", "k", "close"), [(3, 2, 1e-2), (2, 3, 1e-5), (1, 1, 1e-5), (1, 2, 1e-5)])
def test_reweighting_ends_next_to_the_convex_minimum(c, k, close):
    """ε ends at 1e-9 of the largest singular value; what it leaves in blocks that should be zero costs 1e-6.

    With more channels than outputs the weights hold the rows of a block where they are, and it ends further off.
    """
    problem, _ = random_problem(c, k, 2, lam=0.1)
    end = Reweighted(n_iterations=80).solve(problem)
    certificate = certify(problem, problem.unpack(end.values))
    assert certificate.gap <= close * problem.objective_of(end.values)

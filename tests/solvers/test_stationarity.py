"""The prox of the certificates against grids, and what single blocks can gain against searches."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineardyn.moments import SecondMoments
from solvers import RegularizedProblem, lambda_max
from solvers.stationarity import Point, _reals, prox_blocks, shrink
from tests.solvers import families
from tests.solvers import regularised as known
from tests.solvers.test_curvature import problem_of, smooth_part, some_point


def cost(x, z, u, power):
    return 0.5 * (x - z) ** 2 + u * x**power


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 9, 30])
@given(z=st.floats(1e-6, 1e3), u=st.floats(1e-6, 1e3))
def test_shrink_beats_a_grid(depth, z, u):
    power = 2 / depth
    for kept in (False, True):
        got = float(shrink(np.array([z]), np.array([u]), power, np.array([kept]))[0])
        grid = np.concatenate([[0.0], np.geomspace(1e-9 * z, z, 4000)])
        # within the tie either place may be taken: 1e-9 of z² and a little for the grid's own round-off
        assert cost(got, z, u, power) <= cost(grid, z, u, power).min() + 2e-9 * z * z


@pytest.mark.parametrize("depth", [3, 4, 7])
def test_at_the_jump_what_is_kept_stays(depth):
    p, u = 2 / depth, 0.7
    landing = (2 * (1 - p) * u) ** (1 / (2 - p))
    jump = landing * (2 - p) / (2 * (1 - p))
    for z, kept, wanted in [
        (jump, True, landing), (jump, False, 0.0), (jump * (1 - 1e-6), True, 0.0), (jump * (1 + 1e-6), False, landing)
    ]:  # fmt: skip
        got = shrink(np.array([z]), np.array([u]), p, np.array([kept]))
        assert got[0] == pytest.approx(wanted, rel=1e-5)


def test_extremes_of_the_prox():
    none = np.zeros(4, dtype=bool)
    z = np.array([0.0, 1e-300, 1e300, 1.0])
    assert np.array_equal(shrink(z, np.zeros(4), 0.5, none), z)
    assert np.array_equal(shrink(z, np.full(4, 1e300), 0.5, none)[[0, 1, 3]], np.zeros(3))


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
@pytest.mark.parametrize("rank", [1, 3])
def test_matrix_prox_beats_random_matrices(depth, rank):
    rng = np.random.default_rng(0)
    y = rng.standard_normal((6, 3, 4)) + 1j * rng.standard_normal((6, 3, 4))
    u, power = rng.uniform(0.1, 2.0, 6), 2 / depth

    def value(x):
        s = np.linalg.svd(x, compute_uv=False)
        s[s <= 1e-12] = 0.0
        return 0.5 * np.sum(np.abs(x - y) ** 2, axis=(1, 2)) + u * (s**power).sum(axis=1)

    got = prox_blocks(y, u, power, rank, np.zeros((6, 3), dtype=bool))
    assert (np.linalg.matrix_rank(got, tol=1e-10) <= rank).all()
    lowest = value(got)
    for size in np.geomspace(1e-6, 3.0, 60):
        other = got + size * (rng.standard_normal(y.shape) + 1j * rng.standard_normal(y.shape))
        a, s, b = np.linalg.svd(other, full_matrices=False)
        s[:, rank:] = 0.0
        assert (value((a * s[:, None, :]) @ b) >= lowest - 1e-12).all()


@pytest.mark.parametrize(("shape", "c"), [((3, 4), 2), ((2, 2), 1), ((1, 5), 3)])
@pytest.mark.parametrize("n", [2, 30])
def test_block_grams_are_the_blocks_of_the_gram(shape, c, n):
    """Also where Σ^xx is not formed: two samples."""
    rng = np.random.default_rng(0)
    images, targets = rng.standard_normal((n, c, *shape)), rng.standard_normal((n, 1))
    moments = SecondMoments.from_data(images, targets, form="samples")
    loss = RegularizedProblem(moments, depth=2, lam=1.0).quadratic
    if n == 2 and shape == (3, 4):
        assert not loss.forms_gram
    got, starts = loss.diagonal_blocks, loss.coordinates.starts
    for b, (first, last) in enumerate(pairwise(starts)):
        width = last - first
        assert np.abs(got[b, :width, :width] - loss.gram[first:last, first:last]).max() <= 1e-13
        assert not got[b, width:].any()


@pytest.mark.parametrize("depth", [2, 3, 5])
@pytest.mark.parametrize(("c", "k"), [(1, 1), (1, 2), (2, 1), (2, 2)])
def test_gains_are_what_the_objective_loses_and_no_search_finds_more(c, k, depth):
    rng = np.random.default_rng(1)
    images, targets = rng.standard_normal((30, c, 2, 3)), rng.standard_normal((30, k))
    problem = RegularizedProblem(SecondMoments.from_data(images, targets), depth=depth, lam=0.1)
    values = 0.1 * rng.standard_normal(problem.quadratic.cross.shape)
    values[:, problem.coordinates.block_of_column == 1] = 0.0
    point = Point.of(problem, values)
    gains, places = point.gains()
    for b in range(len(gains)):
        for place, gain in ((places[b], gains[b]), *((3 * _like(rng, point.blocks[b]), None) for _ in range(50))):
            blocks = point.blocks.copy()
            blocks[b] = place
            predictor = problem.unpack(problem.coordinates.from_blocks(blocks))
            lost = point.objective - known.objective(images, targets, predictor, depth, problem.lam)
            if gain is not None:
                assert gain == pytest.approx(lost, abs=1e-12)
            else:
                assert lost <= gains[b] + 1e-9


@pytest.mark.parametrize("depth", [2, 3, 4, 7])
def test_a_block_is_held_exactly_up_to_its_jump(depth):
    """Σ^xx the identity: zero is left at the λ that is proven to be enough, and not above."""
    problem = families.make_problem("tied", depth)
    for share, left in ((1 + 1e-6, 0), (1 - 1e-6, 1)):
        point = Point.of(problem.with_lam(share * lambda_max(problem)), np.zeros(problem.quadratic.cross.shape))
        held = point._held(_reals(point.slope_blocks))
        assert np.count_nonzero(~held) == left
        assert np.count_nonzero(point.gains()[0] > 0) == left


@pytest.mark.parametrize("depth", [2, 3, 5])
@pytest.mark.parametrize(("c", "k"), [(1, 1), (2, 2)])
def test_what_is_held_has_nothing_to_gain(c, k, depth, monkeypatch):
    """The same gains without it; some blocks are held and some, which are not zero, must not be."""
    problem = problem_of((4, 4), c, k, depth, lam=0.8 * c)
    values = 0.02 * np.random.default_rng(0).standard_normal(problem.quadratic.cross.shape)
    values[:, problem.coordinates.block_of_column % 2 == 0] = 0.0
    point = Point.of(problem, values)
    gains, places = point.gains()
    monkeypatch.setattr(Point, "_held", lambda self, pull: np.zeros(len(pull), dtype=bool))
    all_gains, all_places = point.gains()
    assert np.allclose(gains, all_gains, rtol=0, atol=1e-14)
    assert np.allclose(places, all_places, rtol=0, atol=1e-14)
    monkeypatch.undo()
    held = point._held(_reals(point.slope_blocks))
    assert held.any()
    assert (gains[point.ranks > 0] > 0).any()


def _like(rng, block):
    imaginary = 1j if block.imag.any() else 0.0
    size = rng.uniform(0, 1)
    return size * (rng.standard_normal(block.shape) + imaginary * rng.standard_normal(block.shape))


@pytest.mark.parametrize("depth", [3, 6])
def test_slope_on_the_support_is_the_derivative_along_matrices_of_the_same_ranks(depth):
    problem = problem_of((2, 3), 2, 3, depth)
    point = some_point(problem)
    assert point.slope_on_support > 0
    # the steepest way down in the metric of the blocks: its slope is the norm, squared
    inside = point.u.conj().swapaxes(1, 2) @ point.slope_blocks @ point.vh.conj().swapaxes(1, 2)
    m, kept = point.s.shape[1], point.s > 0
    pull = np.where(kept, np.where(kept, point.s, 1.0) ** (problem.power - 1), 0.0)
    inside[:, range(m), range(m)] -= problem.thresholds[:, None] * problem.power * pull
    k, c = inside.shape[1:]
    ranks = point.ranks[:, None, None]
    inside *= (np.arange(k)[:, None] < ranks) | (np.arange(c) < ranks)
    way = problem.coordinates.from_blocks(point.u @ (inside / point.steepness[:, None, None]) @ point.vh)
    t = 1e-6
    ends = [smooth_part(problem, point.values + sign * t * way, point.ranks) for sign in (-1, 1)]
    wanted = point.slope_on_support**2 * point.size
    assert (ends[0] - ends[1]) / (2 * t) == pytest.approx(wanted, rel=1e-5)

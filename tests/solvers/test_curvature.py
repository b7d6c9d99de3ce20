"""The Hessian on the support against second differences along matrices of the same ranks, and against a formula."""

from __future__ import annotations

import numpy as np
import pytest

from lineardyn.moments import SecondMoments
from solvers import RegularizedProblem, certify, lambda_max
from solvers import curvature as module
from solvers.curvature import _Hessian, curvature
from solvers.stationarity import Point
from tests.solvers import regularised as known

CASES = [((3, 4), 1, 1), ((3, 3), 1, 3), ((2, 2), 3, 1), ((2, 3), 2, 3), ((3, 3), 3, 2), ((1, 4), 3, 3)]


def problem_of(shape, c, k, depth, lam=0.3, rank=None):
    rng = np.random.default_rng(3)
    moments = SecondMoments.from_data(rng.standard_normal((50, c, *shape)), rng.standard_normal((50, k)))
    return RegularizedProblem(moments, depth=depth, lam=lam, rank=rank)


def some_point(problem, seed=0):
    """Blocks of ranks 0, 1, .., one with two equal singular values where it can have them."""
    rng = np.random.default_rng(seed)
    blocks = problem.coordinates.blocks(rng.standard_normal(problem.quadratic.cross.shape))
    u, s, vh = np.linalg.svd(blocks, full_matrices=False)
    s[:] = rng.uniform(0.5, 2.0, s.shape)
    for b in range(len(s)):
        s[b, (b + 1) % (s.shape[1] + 1) :] = 0.0
    s[-1] = 1.3
    values = problem.coordinates.from_blocks((u * s[:, None, :]) @ vh)
    return Point.of(problem, values)


def smooth_part(problem, values, ranks):
    """h, of the projections of the blocks on matrices of the given ranks."""
    u, s, vh = np.linalg.svd(problem.coordinates.blocks(values), full_matrices=False)
    s = np.where(np.arange(s.shape[1]) < ranks[:, None], s, 0.0)
    projected = problem.coordinates.from_blocks((u * s[:, None, :]) @ vh)
    kept = np.where(s > 0, s, 1.0) ** problem.power * (s > 0)
    return 0.5 * problem.loss(problem.unpack(projected)) + float(problem.thresholds @ kept.sum(axis=1))


@pytest.mark.parametrize("depth", [2, 3, 5])
@pytest.mark.parametrize(("shape", "c", "k"), CASES)
def test_hessian_is_the_second_difference_along_matrices_of_the_same_ranks(shape, c, k, depth):
    """At any point, stationary or not: curve and projection agree to second order."""
    problem = problem_of(shape, c, k, depth)
    point = some_point(problem)
    hessian = _Hessian(point)
    n, f = hessian.size, len(point.ranks)
    assert n == sum(
        (2 if pair else 1) * int(r) * (k + c - int(r))
        for r, pair in zip(point.ranks, problem.coordinates.paired, strict=True)
    )
    directions = np.random.default_rng(1).standard_normal((5, n)) / np.sqrt(n)
    images = hessian.apply(directions)
    t = 1e-3  # round-off 1e-15/t², the fourth derivative t²: both near 1e-9·(s^-4 and what multiplies it)
    for x, image in zip(directions, images, strict=True):
        parts = np.zeros((f, k, c, 2))
        parts[hessian.free] = x
        move = problem.coordinates.from_blocks(point.u @ (parts[..., 0] + 1j * parts[..., 1]) @ point.vh)
        ends = [smooth_part(problem, point.values + sign * t * move, point.ranks) for sign in (-1, 0, 1)]
        assert x @ image == pytest.approx((ends[0] - 2 * ends[1] + ends[2]) / t**2, rel=1e-4, abs=1e-5)
    matrix = hessian.apply(np.eye(n))
    assert np.abs(matrix - matrix.T).max() <= 1e-12 * np.abs(matrix).max()  # symmetric to round-off


@pytest.mark.parametrize("depth", [3, 6])
def test_hessian_of_one_channel_and_output_is_the_formula(depth):
    """``G_SS`` plus, on each block, ``u p |z|^{p-2} (I + (p-2) ẑẑᵀ)``."""
    problem = problem_of((4, 3), 1, 1, depth)
    values = np.random.default_rng(0).standard_normal(problem.quadratic.cross.shape)
    starts = problem.coordinates.starts
    values[0, starts[2] : starts[4]] = 0.0
    matrix, p = problem.quadratic.gram.copy(), problem.power
    for b in range(len(starts) - 1):
        part = slice(starts[b], starts[b + 1])
        z = values[0, part]
        if z.any():
            size = np.linalg.norm(z)
            unit = z / size
            penalty = problem.thresholds[b] * p * size ** (p - 2)
            matrix[part, part] += penalty * (np.eye(len(z)) + (p - 2) * np.outer(unit, unit))
    live = values[0] != 0
    wanted = np.linalg.eigvalsh(matrix[np.ix_(live, live)])[0]
    got = curvature(Point.of(problem, values))
    assert got.n_directions == live.sum()
    assert got.certain
    assert got.lowest == pytest.approx(wanted, rel=1e-10)


@pytest.mark.parametrize(("shape", "c", "k"), CASES)
def test_a_factorisation_says_as_much_as_the_eigenvalues(shape, c, k):
    """Of points of either kind: the sign always, the eigenvalue where it is negative."""
    problem, kinds = problem_of(shape, c, k, 3, lam=0.1), set()
    for scale in (1e-3, 1.0, 30.0):
        point = Point.of(problem, scale * some_point(problem).values)
        exact, quick = curvature(point), curvature(point, exact=False)
        assert (quick.convex, quick.n_directions, quick.certain) == (exact.convex, exact.n_directions, True)
        assert quick.lowest == exact.lowest if not exact.convex else quick.lowest <= exact.lowest
        kinds.add(exact.convex)
    assert False in kinds


@pytest.mark.parametrize("rank", [1, 2])
def test_many_directions_are_searched_by_lanczos(monkeypatch, rank):
    problem = problem_of((2, 3), 3, 3, 3, rank=rank)
    for seed in range(3):
        point = some_point(problem, seed)
        exact = curvature(point)
        monkeypatch.setattr(module, "LARGEST_DENSE", 0)
        found = curvature(point)
        monkeypatch.undo()
        assert found.lowest >= exact.lowest * (1 + 1e-9 if exact.lowest < 0 else 1 - 1e-9)  # Rayleigh quotients
        assert found.convex == exact.convex
        if found.certain:
            assert found.lowest == pytest.approx(exact.lowest, rel=1e-2)  # Lanczos stops at 1e-3


def test_what_lanczos_cannot_tell_is_said(monkeypatch):
    images, targets = known.diagonal_data((3, 4), 2, 2, 0)
    problem = RegularizedProblem(SecondMoments.from_data(images, targets), depth=3, lam=1.0)
    problem = problem.with_lam(0.02 * lambda_max(problem))
    predictor = known.diagonal_minimum(images, targets, 3, problem.lam)
    assert "has no negative eigenvalue" in certify(problem, predictor).status
    monkeypatch.setattr(module, "LARGEST_DENSE", 0)
    monkeypatch.setattr(module, "LANCZOS_STEPS", 20)
    got = certify(problem, predictor)
    assert got.kind == "local"
    assert "Lanczos iterations found no negative curvature" in got.status


def test_nothing_kept_bends_nowhere():
    problem = problem_of((3, 3), 2, 2, 3)
    got = curvature(Point.of(problem, np.zeros(problem.quadratic.cross.shape)))
    assert (got.n_directions, got.convex) == (0, True)

"""Solutions where something else knows them: ridge, the lasso, best subsets, a grid, and networks that are trained."""

from __future__ import annotations

from itertools import chain, combinations, pairwise

import numpy as np
import pytest
import scipy.optimize

from lineardyn import SecondMoments
from solvers import ridge, solve
from tests import oracles
from tests.solvers.test_solve import TOL, instance, problem_of, solved


def test_depth_one_is_ridge():
    data = instance()
    assert oracles.error(solved(data, 1, 0.4).predictor, ridge(SecondMoments.from_data(*data), 0.4)) <= 1e-14


@pytest.mark.parametrize("shape", [(1, 2), (2, 1), (2, 2), (1, 1)])
def test_depth_two_is_the_lasso_where_all_coefficients_are_real(shape):
    """scikit-learn: ``1/(2n) ‖y - Xw‖² + α‖w‖_1``, so that α = μ/2, at a gap of 1e-12."""
    linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed (extra: sklearn)")
    images, targets = instance(image_shape=(1, *shape), k=1)
    problem = problem_of((images, targets), 2, 0.05)
    peer = linear_model.Lasso(alpha=problem.mu / 2, fit_intercept=False, tol=1e-14, max_iter=100_000)
    peer.fit(np.fft.fft2(images, norm="ortho").real.reshape(30, -1), targets[:, 0])
    solution = solve(problem, tol=1e-14)
    assert oracles.error(solution.predictor.reshape(-1), peer.coef_.astype(complex)) <= 1e-7
    assert np.array_equal(solution.active.reshape(-1), peer.coef_ != 0)


@pytest.mark.parametrize("seed", range(4))
def test_large_depth_is_the_best_subset(seed):
    """At L = 200 with μ fixed the penalty is μ times the number of frequencies, to |v̂|^{0.01} = 0.95 .. 1.02."""
    images, targets = instance(seed, image_shape=(1, 2, 4), k=1, n=12)
    problem = problem_of((images, targets), 200, 1.0)
    mu = 0.03 * problem.moments.target_power
    problem = problem.with_lam(mu / problem.penalty_scale)
    assert problem.mu == pytest.approx(mu)
    rows = problem.coordinates.pack(np.conj(np.fft.fft2(images, norm="ortho")).transpose(2, 3, 0, 1))
    blocks, counts = problem.coordinates.block_of_column, problem.coordinates.half.weights
    best, kept = np.inf, ()
    for subset in chain.from_iterable(combinations(range(len(counts)), n) for n in range(len(counts) + 1)):
        inside = np.isin(blocks, subset)
        fit = rows[:, inside] @ np.linalg.lstsq(rows[:, inside], targets[:, 0], rcond=None)[0]
        value = ((targets[:, 0] - fit) ** 2).mean() + mu * counts[list(subset)].sum()
        best, kept = min((best, kept), (value, subset))
    solution = solve(problem)
    active = problem.coordinates.singular_values(problem.pack(solution.predictor))[:, 0] > 0
    assert tuple(np.flatnonzero(active)) == kept
    assert solution.objective == pytest.approx(best, abs=0.05 * mu * solution.active.sum())


@pytest.mark.parametrize("depth", [2, 3])
def test_a_minimum_on_a_grid(depth):
    """Two real coefficients of correlated images: all pairs on a grid, and finer ones around the best."""
    images, targets = instance(image_shape=(1, 1, 2), k=1, n=9)
    images[:, 0, 0, 1] += images[:, 0, 0, 0]
    problem = problem_of((images, targets), depth, 0.04)
    rows = np.fft.fft2(images, norm="ortho").real.reshape(9, 2)

    def f(v, w):
        residual = targets[:, 0] - np.multiply.outer(v, rows[:, 0]) - np.multiply.outer(w, rows[:, 1])
        return (residual**2).mean(-1) + problem.mu * (np.abs(v) ** problem.power + np.abs(w) ** problem.power)

    axes, width = (np.zeros(1), np.zeros(1)), 2.0
    centre, best = np.zeros(2), np.inf
    for _ in range(12):
        axes = tuple(np.append(c + width * np.linspace(-1, 1, 101), 0.0) for c in centre)
        values = f(*np.meshgrid(*axes, indexing="ij"))
        place = np.unravel_index(np.argmin(values), values.shape)
        centre, best, width = np.array([a[i] for a, i in zip(axes, place, strict=True)]), values[place], width / 5
    assert solve(problem, tol=TOL).objective == pytest.approx(best, rel=1e-9)


def trained(data, widths, lam, n_starts):
    """The best of many trainings of the network itself, in pixel space: twice its loss."""
    images, targets = data
    ends = (images.shape[1], *widths, targets.shape[1])
    shapes = [(o, *images.shape[2:], i) for i, o in pairwise(ends)]
    cuts = np.cumsum([int(np.prod(s)) for s in shapes])[:-1]
    rng, best = np.random.default_rng(0), np.inf

    def unflat(x):
        return [part.reshape(s) for part, s in zip(np.split(x, cuts), shapes, strict=True)]

    def both(x):
        weights = unflat(x)
        slopes = oracles.gradient(weights, images, targets, lam)
        return oracles.loss(weights, images, targets, lam), np.concatenate([g.ravel() for g in slopes])

    for _ in range(n_starts):
        x = rng.standard_normal(sum(int(np.prod(s)) for s in shapes))
        end = scipy.optimize.minimize(both, x, jac=True, method="L-BFGS-B", options={"maxiter": 2000, "ftol": 1e-14})
        best = min(best, 2 * float(end.fun))
    return best


@pytest.mark.parametrize(
    ("depth", "widths", "rank"), [(2, (1,), 1), (3, (1, 2), 1), (2, (2,), None), (3, (2, 2), None)]
)
def test_a_network_trained_from_many_starts_ends_at_the_same_minimum(depth, widths, rank):
    """C = K = 2 and hidden layers of one channel: the rank is bounded. L-BFGS ends 1e-6 above its minimum."""
    data = instance(image_shape=(2, 1, 3), n=15)
    solution = solve(problem_of(data, depth, 0.03, rank=rank))
    assert solution.certificate.kind in ("local", "global")
    assert np.linalg.matrix_rank(solution.predictor, tol=1e-9).max() == (rank or 2)
    best = trained(data, widths, 0.03, 12)
    assert solution.objective <= best * (1 + 1e-9)
    assert solution.objective == pytest.approx(best, rel=1e-5)


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_a_bounded_rank_costs(depth):
    data = instance(n=40)
    free, bound = (solve(problem_of(data, depth, 0.01, rank=rank)) for rank in (None, 1))
    assert bound.objective > free.objective * (1 + 1e-3)
    s = np.linalg.svd(bound.predictor, compute_uv=False)
    assert s[..., 1].max() <= 1e-12 * s.max()

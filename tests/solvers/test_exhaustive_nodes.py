"""Each step of the global search that may lose the minimiser, alone: where the best point is found early, a wrong cut
would otherwise go unseen.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from solvers import _exhaustive_kernels as kernels
from solvers import exhaustive
from tests.solvers.small_problems import draw, magnitudes_of, solve, value


@pytest.mark.parametrize("seed", range(4))
def test_bound_of_a_node_is_below_h_on_the_node(seed):
    """Any box, any point of the relaxation, converged or not: points of the box are above the bound."""
    rng = np.random.default_rng(seed)
    gram, cross, starts, thresholds, depth, scale = problem = draw(seed, (1, 2, 2, 1, 2), 3 + seed)
    checked, _, _ = exhaustive._checked(gram, cross, starts, thresholds, depth)
    sizes, blocks = np.diff(starts), len(thresholds)
    share = kernels.separable_share(checked[-1], starts, np.ones(blocks), 0.0)
    size = np.abs(solve(problem).x).max() + 0.1
    slope, table = np.empty(len(cross)), np.empty((kernels.ROWS, blocks))
    for _ in range(50):
        low, high = np.sort(size * 10 ** rng.uniform(-3, 0.5, (2, blocks)), axis=0)
        optional = rng.random(blocks) < 0.5
        kernels.draw_envelopes(checked, share * rng.integers(0, 2), optional, low, high, table)
        x = size * rng.standard_normal(len(cross)) * rng.random()
        kernels.slope_at(gram, cross, x, slope)
        if rng.random() < 0.5:
            bound = kernels.relax(gram, cross, starts, table, x, slope, np.inf)
        else:
            bound = kernels.lower_bound(table, cross, starts, x, slope)
        radii = low + (high - low) * rng.choice([0.0, 0.1, 0.5, 1.0], (400, blocks))
        radii *= ~optional | (rng.random((400, blocks)) < 0.5)
        points = rng.standard_normal((400, len(cross)))
        points += 3 * np.sign(x) * rng.random((400, 1))
        norms = np.sqrt(np.add.reduceat(points**2, starts[:-1], axis=1))
        points *= np.repeat(radii / norms, sizes, axis=1)
        assert bound <= value(problem, points).min() + 1e-13 * scale


@pytest.mark.parametrize("depth", [2, 3, 5, 8])
def test_first_box_holds_the_minimiser_and_no_less(depth):
    """Landing: attained at the jump. Reach: attained by the loss along ``G⁻¹e``, by the penalty at least squares."""
    problem = draw(depth, (1, 2, 1), depth)
    gram, cross, starts, thresholds, _, _ = problem
    checked, inverse, least_squares = exhaustive._checked(gram, cross, starts, thresholds, depth)
    lowest = -0.5 * cross @ least_squares
    low, _ = exhaustive._first_box(checked, 10.0, inverse, least_squares)
    tau, p = checked[3], 2 / depth
    landing = (2 * (1 - p) * thresholds / tau) ** (1 / (2 - p))
    assert (low <= landing).all()  # where the proof has equality: an eigenvector of G_bb, at the jump
    for k in range(len(cross)):
        b = int(np.searchsorted(starts, k, side="right")) - 1
        x = least_squares + 1e6 * inverse[:, k]
        faint = (*checked[:4], 1e-12 * thresholds, *checked[5:])
        _, high = exhaustive._first_box(faint, 0.5 * x @ gram @ x - cross @ x - lowest, inverse, least_squares)
        assert magnitudes_of(x, starts)[b] <= high[b]
    for b in range(len(thresholds)):
        x = least_squares[starts[b] : starts[b + 1]]
        _, high = exhaustive._first_box(checked, thresholds[b] * np.linalg.norm(x) ** p, None, least_squares)
        assert np.linalg.norm(x) <= high[b] or np.linalg.norm(x) < low[b]


@pytest.mark.parametrize("seed", range(3))
def test_share_leaves_a_positive_definite_rest(seed):
    """On every set of blocks; and it is most of what could be taken."""
    gram, cross, starts, thresholds, depth, _ = draw(seed, (1, 2, 2, 1, 2), 3)
    scaled = exhaustive._checked(gram, cross, starts, thresholds, depth)[0][-1]
    for alive in itertools.product([0.0, 1.0], repeat=5):
        columns = np.repeat(np.array(alive) > 0, np.diff(starts))
        if not columns.any():
            continue
        share = kernels.separable_share(scaled, starts, np.array(alive), 0.0)
        least = np.linalg.eigvalsh(scaled[np.ix_(columns, columns)])[0]
        assert 0.15 * least <= share <= least


@pytest.mark.parametrize("depth", [2, 3, 8])
@pytest.mark.parametrize("n", [None, 4])
def test_what_a_node_loses_is_above_the_cut(n, depth):
    """Points of a node with h below ``cut`` are in it still when it has been bounded and tightened."""
    rng = np.random.default_rng(depth)
    gram, cross, starts, thresholds, _, _ = problem = draw(depth, (1, 2, 1, 2), depth, n=n)
    checked, _, _ = exhaustive._checked(gram, cross, starts, thresholds, depth)
    best, blocks = solve(problem).x, len(thresholds)
    size = magnitudes_of(best, starts) + 0.05 * np.abs(best).max()
    kept = 0
    for _ in range(40):
        low, high = np.sort(size * 10 ** rng.uniform(-1.5, 0.7, (2, blocks)), axis=0)
        optional = rng.random(blocks) < 0.5
        points = best + np.abs(best).max() * 10 ** rng.uniform(-2, 0, (600, 1)) * rng.standard_normal((600, len(best)))
        norms = magnitudes_of(points, starts)
        radii = np.clip(norms, low, high) * (~optional | (rng.random((600, blocks)) < 0.7))
        points *= np.repeat(radii / norms, np.diff(starts), axis=1)
        heights = value(problem, points)
        cut = np.quantile(heights, rng.choice([0.01, 0.1, 0.5]))
        box = optional.copy(), low.copy(), high.copy()
        x, slope, table = best.copy(), np.empty(len(cross)), np.empty((kernels.ROWS, blocks))
        bound, _ = kernels.evaluate(checked, 0.0, *box, x, slope, table, cut)
        assert bound <= heights.min() + 1e-13 * problem[-1]
        good = radii[heights < cut]
        inside = (box[1] * (1 - 1e-9) <= good) & (good <= box[2] * (1 + 1e-9))
        assert (inside | (box[0] & (good == 0)) | ((box[2] == 0) & (good == 0))).all()
        kept += (box[2] < high).any() or (box[1] > low).any() or (box[0] != optional).any()
    assert kept >= 10  # the test is about nodes that lose something


@pytest.mark.parametrize("depth", [3, 4, 8])
def test_the_minimiser_stays_in_the_tree(depth):
    """With a negative tolerance no node that holds it may be discarded: at every moment an open one has it."""
    for seed in range(4):
        problem = draw(seed, (1, 2, 2, 2, 1, 2), depth, n=6)
        checked, inverse, least_squares = exhaustive._checked(*problem[:-1])
        best = solve(problem).x
        height, magnitudes = float(value(problem, best)), magnitudes_of(best, problem[2])
        tree = exhaustive._Tree(checked, tolerance=-0.02 * abs(height))
        tree.best, tree._floats[kernels.UPPER] = best, height
        tree.plant(inverse, least_squares)
        for _ in range(20):
            rows = tree._nodes[6][: tree._counts[kernels.OPEN]]
            optionals, lows, highs = (array[rows] for array in tree._nodes[:3])
            within = (lows * (1 - 1e-9) <= magnitudes) & (magnitudes <= highs * (1 + 1e-9))
            zero = (magnitudes == 0) & (optionals | (highs == 0))
            assert (within | zero).all(axis=1).any()
            kernels.search(checked, tree._nodes, tree.best, tree._floats, tree._counts, 5)

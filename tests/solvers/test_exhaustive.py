"""The certified global minimum against brute force over supports, closed forms, and a convex solver of its own.

``TOL`` is the gap asked for, relative to ``⟨‖y‖²⟩``; h carries half of it. The references here are local minima that
Newton's method has found to round-off, so that comparisons need no other tolerance than the gap.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineardyn.errors import ArgumentError
from solvers import _exhaustive_kernels as kernels
from solvers import exhaustive
from solvers.exhaustive import minimise_globally

TOL = 1e-7
DEPTHS = [2, 3, 4, 5, 8]


def draw(seed, sizes, depth, *, n=None, level=None, condition=1e4):
    """Moments of correlated data with a power-law spectrum, N < D where n says so; thresholds below the jump of all."""
    rng = np.random.default_rng(seed)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    width, blocks = starts[-1], len(sizes)
    spread = np.repeat(condition ** (-0.5 * np.linspace(0, 1, blocks)), sizes)
    mixing = np.eye(width) + rng.standard_normal((width, width)) / np.sqrt(width)
    rows = rng.standard_normal((4 * width if n is None else n, width)) @ mixing * spread
    targets = rows @ (rng.standard_normal(width) / spread * np.repeat(rng.random(blocks) < 0.6, sizes))
    targets = targets + (0.1 + 0.3 * np.std(targets)) * rng.standard_normal(len(rows))
    gram, cross, scale = rows.T @ rows / len(rows), rows.T @ targets / len(rows), np.mean(targets**2)
    power = 2 / depth
    level = 10 ** rng.uniform(-3, -0.5) if level is None else level
    multiplicity = np.where(np.array(sizes) == 1, 1.0, 2 ** (1 - power / 2))
    pulls = np.sqrt(np.add.reduceat(cross**2, starts[:-1])) / np.sqrt(np.add.reduceat(np.diag(gram), starts[:-1]))
    thresholds = level * multiplicity * pulls.max() ** (2 - power) * np.diag(gram).max() ** (power / 2)
    return gram, cross, starts, thresholds, depth, scale


def solve(problem, **options):
    *arrays, scale = problem
    return minimise_globally(*arrays, scale=scale, **{"tol": TOL, "time_limit": 30.0, **options})


def value(problem, x):
    """h at points x (..., D), as the theory notes write it."""
    gram, cross, starts, thresholds, depth, _ = problem
    magnitudes = np.sqrt(np.add.reduceat(x**2, starts[:-1], axis=-1))
    quadratic = 0.5 * np.einsum("...i,ij,...j", x, gram, x) - x @ cross
    return quadratic + magnitudes ** (2 / depth) @ thresholds


def brute_force(problem, rng):
    """The lowest local minimum over all supports: Newton on each from ridge solutions and a random point."""
    gram, cross, starts, thresholds, depth, _ = problem
    best = 0.0
    for support in itertools.product([False, True], repeat=len(thresholds)):
        chosen = np.flatnonzero(support)
        columns = np.flatnonzero(np.repeat(support, np.diff(starts)))
        if not len(columns):
            continue
        part, size = gram[np.ix_(columns, columns)], len(columns)
        level = np.trace(part) / size * np.eye(size)
        points = [np.linalg.solve(part + a * level, cross[columns]) for a in (1e-6, 0.01, 0.3)]
        points += [points[0] * rng.standard_normal(size)]
        sizes = np.diff(starts)[chosen]
        local = part, cross[columns], np.concatenate([[0], np.cumsum(sizes)]), thresholds[chosen], 2 / depth
        best = min([best, *(newton(*local, x) for x in points)])
    return best


def newton(gram, cross, starts, thresholds, p, x):
    """Minimise h from x where no block is zero: absolute eigenvalues of the Hessian, steps halved until it falls."""
    sizes, same = np.diff(starts), np.repeat(np.arange(len(thresholds)), np.diff(starts))
    same = same[:, None] == same

    def height(x):
        magnitudes = np.sqrt(np.add.reduceat(x * x, starts[:-1], axis=-1))
        return 0.5 * np.sum((x @ gram) * x, axis=-1) - x @ cross + magnitudes**p @ thresholds

    now = height(x)
    for _ in range(40):
        squares = np.maximum(np.add.reduceat(x * x, starts[:-1]), 1e-30)
        pull, unit = np.repeat(thresholds * p * squares ** (p / 2 - 1), sizes), x / np.repeat(np.sqrt(squares), sizes)
        hessian = gram + np.diag(pull) + (p - 2) * pull * np.outer(unit, unit) * same
        values, vectors = np.linalg.eigh(hessian)
        size = np.maximum(np.abs(values), 1e-10 * np.abs(values).max())
        step = -vectors @ ((vectors.T @ (gram @ x - cross + pull * x)) / size)
        points = x + 0.4 ** np.arange(12)[:, None] * step
        heights = height(points)
        i = int(np.argmin(heights))
        if not heights[i] < now - 1e-14 * abs(now):
            break
        x, now = points[i], heights[i]
    return now


def assert_certified(problem, found):
    """Status, order and width of the bounds; upper is the value at x."""
    assert found.status == "closed"
    assert found.lower <= found.upper
    assert found.gap <= 0.5 * TOL * problem[-1]
    assert found.upper == pytest.approx(float(value(problem, found.x)), rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(("sizes", "n"), [((1, 1, 1, 1, 1, 1), None), ((1, 2, 2, 1), None), ((1, 1, 2, 1, 1), 3)])
def test_brute_force(sizes, n, depth):
    for seed in (depth, depth + 10):
        problem = draw(seed, sizes, depth, n=n)
        found = solve(problem)
        assert_certified(problem, found)
        reference = brute_force(problem, np.random.default_rng(seed))
        assert found.lower <= reference + 1e-13 * problem[-1]  # round-off of the reference
        assert found.upper <= reference + 0.5 * TOL * problem[-1]


@pytest.mark.parametrize("depth", [2, 3, 4, 5, 6, 7, 8, 20])
def test_diagonal_statistics(depth):
    """One scalar problem a block: theory 3, from the threshold v* and the largest root, by bisection."""
    p, rng = 2 / depth, np.random.default_rng(depth)
    sizes = np.array([1, 2, 2, 1, 2, 2, 2])
    starts = np.concatenate([[0], np.cumsum(sizes)])
    tau, u = 10 ** rng.uniform(-2, 1, len(sizes)), 10 ** rng.uniform(-1, 0.5, len(sizes))
    landing = (2 * (1 - p) * u / tau) ** (1 / (2 - p))
    jump = landing * (2 - p) / (2 * (1 - p)) if p < 1 else u / tau
    ratio = np.array([0.5, 0.999, 1.001, 1.3, 0.9, 3.0, 1.01])
    direction = rng.standard_normal(starts[-1])
    direction /= np.repeat(np.sqrt(np.add.reduceat(direction**2, starts[:-1])), sizes)
    cross = direction * np.repeat(tau * ratio * jump, sizes)
    minimum = 0.0
    for t, c, w, s, above in zip(tau, ratio * jump, u, landing, ratio > 1, strict=True):
        if above:
            low, high = s, c
            for _ in range(200):
                middle = 0.5 * (low + high)
                rising = t * (middle - c) + p * w * middle ** (p - 1) > 0
                low, high = (low, middle) if rising else (middle, high)
            minimum += 0.5 * t * low**2 - t * c * low + w * low**p
    problem = np.diag(np.repeat(tau, sizes)), cross, starts, u, depth, float(np.sum(tau * (ratio * jump) ** 2))
    found = solve(problem)
    assert_certified(problem, found)
    assert found.lower - 1e-13 * problem[-1] <= minimum <= found.upper + 1e-13 * problem[-1]
    magnitudes = magnitudes_of(found.x, starts)
    clear = np.abs(ratio - 1) > 0.002  # at the jump itself both sides are as good
    np.testing.assert_array_equal((magnitudes > 0)[clear], (ratio > 1)[clear])
    assert (magnitudes[magnitudes > 0] >= landing[magnitudes > 0] * (1 - 1e-9)).all()


@pytest.mark.parametrize("n", [None, 9])
def test_convex_case_against_a_long_proximal_gradient_run(n):
    problem = draw(5, (1, 2, 2, 2, 1, 2, 2), 2, n=n, level=0.02, condition=30.0)
    gram, cross, starts, thresholds, _, scale = problem
    step, sizes = 1 / np.linalg.eigvalsh(gram)[-1], np.diff(starts)
    x = ahead = np.zeros(len(cross))
    for k in range(20_000):
        y = ahead - step * (gram @ ahead - cross)
        magnitudes = np.sqrt(np.add.reduceat(y * y, starts[:-1]))
        new = y * np.repeat(np.maximum(0, 1 - step * thresholds / np.maximum(magnitudes, 1e-300)), sizes)
        if (y - new) @ (new - x) > 0:
            k = 0  # restart
        ahead, x = new + k / (k + 3) * (new - x), new
    found = solve(problem)
    assert_certified(problem, found)
    reference = float(value(problem, x))
    assert found.lower <= reference + 1e-13 * scale
    assert found.upper <= reference + 0.5 * TOL * scale


@pytest.mark.parametrize("depth", [3, 5])
def test_same_problem_in_other_coordinates(depth):
    """Blocks permuted, pairs turned, signs of singles flipped, h and x scaled: the same minimum."""
    problem = draw(11, (1, 2, 2, 1, 2, 2), depth)
    gram, cross, starts, thresholds, _, scale = problem
    wanted, rng = solve(problem), np.random.default_rng(0)
    assert_certified(problem, wanted)
    order = rng.permutation(len(thresholds))
    columns = np.concatenate([np.arange(starts[b], starts[b + 1]) for b in order])
    moved = np.concatenate([[0], np.cumsum(np.diff(starts)[order])])
    turn = np.zeros((len(cross), len(cross)))
    for i, j in itertools.pairwise(moved):
        turn[i:j, i:j] = np.linalg.qr(rng.standard_normal((j - i, j - i)))[0]
    new_gram, new_cross = turn @ gram[np.ix_(columns, columns)] @ turn.T, turn @ cross[columns]
    for unit, factor in [(1.0, 1.0), (1e-6, 1.0), (1.0, 1e-5), (1e5, 1e3)]:  # unit of x, factor of h
        weights = factor * thresholds[order] / unit ** (2 / depth)
        other = (factor / unit**2 * new_gram, factor / unit * new_cross, moved, weights, depth, factor * scale)
        found = solve(other)
        assert_certified(other, found)
        assert abs(found.upper - factor * wanted.upper) <= 0.5 * TOL * factor * scale


@given(
    seed=st.integers(0, 2**20),
    depth=st.integers(2, 9),
    sizes=st.lists(st.sampled_from([1, 2]), min_size=1, max_size=7),
    scarce=st.booleans(),
    nodes=st.sampled_from([1, 3, 10, 2_000_000]),
)
def test_bounds_hold_wherever_the_search_ends(seed, depth, sizes, scarce, nodes):
    problem = draw(seed, tuple(sizes), depth, n=max(1, sum(sizes) // 2) if scarce else None)
    found = solve(problem, max_nodes=nodes)
    rng = np.random.default_rng(seed)
    assert found.status in ("closed", "out of nodes")
    assert found.lower <= found.upper <= 0.0
    assert (found.gap <= 0.5 * TOL * problem[-1]) == (found.status == "closed")
    points = found.x * rng.normal(1.0, 10 ** rng.uniform(-4, 0.5, (2000, 1)), (2000, len(found.x)))
    assert found.lower <= value(problem, points).min()
    full = solve(problem)
    assert found.lower <= full.upper  # what is proved early is true later
    assert full.lower <= found.upper


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


def magnitudes_of(x, starts):
    return np.sqrt(np.add.reduceat(x**2, starts[:-1], axis=-1))


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


@pytest.mark.parametrize("depth", [3, 8])
def test_twelve_blocks_close(depth):
    """Well-posed and N < D, condition 1e4: a node count, since a clock would measure the machine."""
    for seed in range(3):
        for n in (None, 11):
            problem = draw(100 + seed, (1, 1) + (2,) * 10, depth, n=n)
            assert_certified(problem, solve(problem, max_nodes=100_000))


def test_out_of_time_and_out_of_nodes_are_honest():
    problem = draw(3, (1, 1) + (2,) * 18, 8, n=19, level=1e-3)
    best = solve(problem, time_limit=0.5)
    for options, status in [({"time_limit": 1e-4}, "out of time"), ({"max_nodes": 40}, "out of nodes")]:
        found = solve(problem, **options)
        assert found.status == status
        assert found.gap > 0.5 * TOL * problem[-1]
        assert found.lower <= best.upper
        assert best.lower <= found.upper
    assert found.n_nodes <= 42


def test_room_for_open_nodes_is_bounded(monkeypatch):
    monkeypatch.setattr(exhaustive, "ROOM", 300_000)
    problem = draw(3, (1, 1) + (2,) * 18, 8, n=19, level=1e-3)
    found = solve(problem)
    assert found.status == "out of nodes"
    assert found.lower < found.upper


def test_start_is_used_and_progress_is_called():
    problem = draw(3, (1, 1) + (2,) * 18, 8, n=19, level=1e-3)
    seen = []
    found = solve(problem, time_limit=0.3, progress=lambda *now: seen.append(now))
    lowers, uppers, nodes = map(np.array, zip(*seen, strict=True))
    assert (np.diff(lowers) >= 0).all()
    assert (np.diff(uppers) <= 0).all()
    assert (np.diff(nodes) > 0).all()
    again = solve(problem, max_nodes=1, start=found.x)
    assert again.upper <= found.upper + 1e-12 * abs(found.upper)


def test_bit_reproducible():
    problem = draw(2, (1, 2, 2, 2, 1, 2), 5)
    first, second = solve(problem), solve(problem)
    assert first.x.tobytes() == second.x.tobytes()
    assert (first.lower, first.upper, first.n_nodes) == (second.lower, second.upper, second.n_nodes)


def test_zero_where_nothing_correlates_and_where_a_block_has_no_power():
    problem = draw(0, (1, 2, 1), 4)
    nothing = problem[0], np.zeros(4), *problem[2:]
    assert solve(nothing).x.tolist() == [0.0] * 4
    gram, cross = problem[0].copy(), problem[1].copy()
    gram[3], gram[:, 3], cross[3] = 0.0, 0.0, 0.0
    found = solve((gram, cross, *problem[2:]), start=np.ones(4))
    assert found.status == "closed"
    assert found.x[3] == 0.0


def test_round_off_below_zero_counts_as_zero():
    """An eigenvalue of -1e-11, as sums of batches may leave, is not used to go below every bound."""
    problem = draw(4, (1, 2, 2, 1), 5, n=3)
    values, vectors = np.linalg.eigh(problem[0])
    wanted = solve(problem)
    gram = (vectors * np.where(values < 1e-12, -1e-11 * values[-1], values)) @ vectors.T
    found = solve((gram, *problem[1:]))
    assert found.status == "closed"
    assert abs(found.upper - wanted.upper) <= 0.5 * TOL * problem[-1]


GOOD = {"gram": np.eye(3), "cross": np.ones(3), "starts": [0, 1, 3], "thresholds": [0.1, 0.1], "depth": 3, "scale": 3.0}
ROWS = np.array(
    [[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]
)  # two of the three columns explain all: (2u/u)^{L/2} is not excluded
FLAT = {"gram": ROWS.T @ ROWS, "cross": [1.0, 0.3, 1.3], "starts": range(4), "thresholds": [1e-3] * 3, "depth": 600}
BAD = [
    ({"gram": np.eye(2)}, "gram has shape"),
    ({"gram": np.diag([1.0, 1.0, -0.1])}, "eigenvalue -0.1"),
    ({"gram": np.eye(3) + np.eye(3, k=1)}, "not symmetric"),
    ({"gram": np.diag([1.0, 1.0, 0.0])}, "cross has the part 1"),
    ({"cross": [1.0, np.nan, 0.0]}, "cross holds nan"),
    ({"starts": [0, 3]}, "steps of 1 or 2"),
    ({"starts": [0, 1, 2]}, "expected 0, .., 3"),
    ({"starts": [0.0, 1.0, 3.0]}, "expected integers"),
    ({"thresholds": [0.1, 0.0]}, r"thresholds\[1\] is 0"),
    ({"thresholds": [0.1]}, "thresholds has shape"),
    ({"depth": 1}, "depth is 1"),
    ({"scale": 0.0}, "scale is 0"),
    ({"tol": 0.0}, "tol is 0"),
    ({"max_nodes": 0}, "max_nodes is 0"),
    ({"time_limit": -1.0}, "time_limit is -1"),
    ({"start": [1.0]}, "start has shape"),
    (FLAT, "float64 does not bound"),
    ({"gram": np.eye(40), "cross": np.ones(40), "starts": np.arange(41), "thresholds": np.ones(40)}, "40 blocks"),
]


@pytest.mark.parametrize(("change", "text"), BAD, ids=[text for _, text in BAD])
def test_bad_calls(change, text):
    with pytest.raises(ArgumentError, match=text):
        minimise_globally(**{**GOOD, **change})

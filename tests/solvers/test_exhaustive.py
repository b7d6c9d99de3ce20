"""The certified global minimum against brute force over supports, closed forms, and a convex solver of its own.

``TOL`` is the gap asked for, relative to ``⟨‖y‖²⟩``; h carries half of it. The references here are local minima that
Newton's method has found to round-off, so that comparisons need no other tolerance than the gap.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lineardyn.errors import ArgumentError
from solvers import exhaustive
from solvers.exhaustive import minimise_globally
from tests.solvers.small_problems import TOL, brute_force, draw, magnitudes_of, solve, value

DEPTHS = [2, 3, 4, 5, 8]


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
    for i, j in pairwise(moved):
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
@example(seed=2120, depth=9, sizes=[2, 1, 2, 2, 2], scarce=True, nodes=1)  # closed by the last node allowed
def test_bounds_hold_wherever_the_search_ends(seed, depth, sizes, scarce, nodes):
    problem = draw(seed, tuple(sizes), depth, n=max(1, sum(sizes) // 2) if scarce else None)
    found = solve(problem, max_nodes=nodes)
    rng = np.random.default_rng(seed)
    assert found.status in ("closed", "out of nodes")
    assert found.lower <= found.upper <= 0.0
    # the search closes at 0.4999 of it, so that round-off does not show at 0.5
    assert (found.gap <= 0.49995 * TOL * problem[-1]) == (found.status == "closed")
    points = found.x * rng.normal(1.0, 10 ** rng.uniform(-4, 0.5, (2000, 1)), (2000, len(found.x)))
    assert found.lower <= value(problem, points).min()
    full = solve(problem)
    assert found.lower <= full.upper  # what is proved early is true later
    assert full.lower <= found.upper


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

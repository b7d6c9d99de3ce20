"""Problems of one output and one channel as arrays, and their minimum by brute force over supports."""

from __future__ import annotations

import itertools

import numpy as np

from solvers.exhaustive import minimise_globally

TOL = 1e-7


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


def magnitudes_of(x, starts):
    return np.sqrt(np.add.reduceat(x**2, starts[:-1], axis=-1))

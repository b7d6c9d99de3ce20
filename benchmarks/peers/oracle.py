"""Depths 3 to 8 against the certified optimum: ``python -m benchmarks.peers.oracle [--fresh]``.

Small instances, one output and one channel: images of at most 12 pixels, or images that equal their reflection, of at
most 12 real frequencies; λ log-uniform below the λ at which a first frequency enters. Of each: our ``solve`` as it
is (which proves small problems itself) and by its local search alone, the branch and bound on the benchmark's own
quadratic, and reweighted least squares from many starts, written here. All objectives are recomputed.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import machine
from benchmarks.peers.command import command
from benchmarks.peers.regression_problems import Complexes, Floats, Integers, Regression, even, power_law

ACCURACY = 1e-6
"""Relative to the certified optimum."""
METHODS = {"ours": "auto", "search": "search"}


@dataclass(frozen=True)
class Config:
    """``n_instances`` in turn over depths, shapes and kinds of images; ``n_starts`` of reweighted least squares."""

    depths: tuple[int, ...] = (3, 4, 5, 6, 7, 8)
    shapes: tuple[tuple[int, int], ...] = ((2, 3), (3, 3), (2, 5), (3, 4), (1, 12))
    even_shapes: tuple[tuple[int, int], ...] = ((3, 5), (4, 4), (3, 7), (4, 5), (1, 22))
    n_instances: int = 200
    n_images: tuple[int, ...] = (12, 20, 40)  # few images: correlated frequencies, many minima
    n_starts: int = 50
    n_iterations: int = 60
    decades: float = 2.5
    time_limit: float = 120.0  # seconds of branch and bound


TINY = Config(
    depths=(3, 4), shapes=((1, 4),), even_shapes=((2, 3),), n_instances=4, n_images=(12,), n_starts=4, n_iterations=30
)


def run(
    config: Config, path: Path | None = None, *, fresh: bool = False, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Measure what is missing from ``path`` and return the record, with the counts."""
    record = machine.Record(path, asdict(config), fresh=fresh)
    warm = False
    for i in range(config.n_instances):
        problem, depth, lam = instance(config, i)
        key = f"{i}|{problem.name}|{depth}"
        if key not in record:
            record.keep(key, _measure(config, problem, depth, lam, warm=warm))
            warm = True
            say(f"{key}: {_brief(record[key])}")
    record.data["counts"] = counts(record.data["cells"])
    record.write()
    return record.data


def instance(config: Config, i: int) -> tuple[Regression, int, float]:
    """Problem, depth and λ of instance i; the same on every machine."""
    rng = np.random.default_rng([2210, i])
    reflected = bool(i % 2)
    shapes = config.even_shapes if reflected else config.shapes
    shape = shapes[i // 2 % len(shapes)]
    depth = config.depths[i % len(config.depths)]
    active = int(rng.integers(1, 5))
    n = int(rng.choice(config.n_images))
    problem = power_law(shape, n, active=active, seed=int(rng.integers(2**31)))
    if reflected:
        problem = even(problem)
    quadratic = Quadratic.of(problem, depth)
    fraction = 10.0 ** -rng.uniform(0.0, config.decades)
    return problem, depth, problem.lam(depth, 2.0 * quadratic.alpha_max() * fraction)


@dataclass(frozen=True)
class Quadratic:
    """``h(V) = ½ V G V - c V + α Σ_b m_b |z_b|^p``, half of the objective less ``½⟨y²⟩``."""

    gram: Floats
    cross: Floats
    starts: Integers
    weights: Floats
    power: float

    @staticmethod
    def of(problem: Regression, depth: int) -> Quadratic:
        """From the columns of a problem with K = C = 1."""
        columns, n = problem.columns, problem.n_images
        blocks, power = problem.blocks, 2.0 / depth
        cross = columns.T @ problem.targets[:, 0] / n
        return Quadratic(columns.T @ columns / n, cross, blocks.starts, blocks.weights(power), power)

    def sizes(self, values: Floats) -> Floats:
        """|z_b| (F,)."""
        return np.sqrt(np.add.reduceat(values**2, self.starts[:-1]))

    def value(self, values: Floats, alpha: float) -> float:
        """h."""
        penalty = alpha * self.weights @ self.sizes(values) ** self.power
        return float(0.5 * values @ self.gram @ values - self.cross @ values + penalty)

    def alpha_max(self) -> float:
        """Smallest α at which no single block of isotropic curvature gains by leaving zero; a scale, no more."""
        p = self.power
        curvature = self.sizes(np.sqrt(np.diag(self.gram))) ** 2 / np.diff(self.starts)
        seen = curvature > 1e-12 * curvature.max()
        z, curvature = self.sizes(self.cross)[seen] / curvature[seen], curvature[seen]
        least = 2.0 * (1.0 - p) * z / (2.0 - p)
        return float((curvature * least ** (2.0 - p) / (2.0 * (1.0 - p)) / self.weights[seen]).max())

    def reweighted(self, alpha: float, start: Floats, n_iterations: int, *, first: float = 1.0) -> Floats:
        """Reweighted least squares from ``start``: ε falls to nothing, then blocks are zeroed while h falls.

        ``first``: where ε starts, over the largest block; from 1 on the start is all but forgotten.
        """
        sizes = self.sizes(start)
        values = start
        for epsilon in sizes.max() * np.geomspace(first, 1e-8, n_iterations):
            values = self._ridge(alpha * self.power * self.weights * (sizes**2 + epsilon**2) ** (self.power / 2 - 1.0))
            sizes = self.sizes(values)
        for block in np.argsort(sizes):
            without = values.copy()
            without[self.starts[block] : self.starts[block + 1]] = 0.0
            if self.value(without, alpha) <= self.value(values, alpha):
                values = without
        for _ in range(n_iterations):  # from here on exact: a block that is zero stays so
            sizes = self.sizes(values)
            live = sizes > 0.0
            if not live.any():
                break
            weights = np.full(len(sizes), np.inf)
            weights[live] = alpha * self.power * self.weights[live] * sizes[live] ** (self.power - 2.0)
            values = self._ridge(weights)
        return values

    def _ridge(self, weights: Floats) -> Floats:
        """``(G + diag)^{-1} c`` over the blocks of finite weight."""
        diagonal = np.repeat(weights, np.diff(self.starts))
        live = np.flatnonzero(np.isfinite(diagonal))
        values = np.zeros(len(self.cross))
        system = self.gram[np.ix_(live, live)] + np.diag(diagonal[live])
        values[live] = np.linalg.solve(system, self.cross[live])
        return values


def best_of_reweighted(problem: Regression, depth: int, lam: float, n_starts: int, n_iterations: int) -> Complexes:
    """The best predictor of many starts: the ridge solution, its blocks scaled at random, and zero."""
    quadratic = Quadratic.of(problem, depth)
    alpha = 0.5 * problem.mu(depth, lam)
    rng = np.random.default_rng(0)
    size = len(quadratic.cross)
    ridge = np.linalg.solve(quadratic.gram + 1e-6 * np.trace(quadratic.gram) * np.eye(size), quadratic.cross)
    found = [np.zeros(size)]
    for i in range(n_starts):
        scales = np.exp(2.0 * rng.standard_normal(len(quadratic.weights))) if i else np.ones(len(quadratic.weights))
        start = ridge * np.repeat(scales, np.diff(quadratic.starts))
        first = 10.0 ** -rng.uniform(0.0, 4.0) if i else 1.0
        found.append(quadratic.reweighted(alpha, start, n_iterations, first=first))
    best = min(found, key=lambda values: quadratic.value(values, alpha))
    return problem.blocks.predictor(best[None])


def _measure(config: Config, problem: Regression, depth: int, lam: float, *, warm: bool) -> dict[str, Any]:
    from benchmarks.peers.our_solvers import problem_from_images
    from solvers import solve

    given = problem_from_images(problem, depth, lam)
    cell: dict[str, Any] = {"lam": lam}
    for name, method in METHODS.items():
        if not warm:
            solve(given, method=method, rng=0, throw=False)  # compiles
        begin = time.process_time()
        solution = solve(given, method=method, rng=0, throw=False)
        cell[f"{name}_seconds"] = time.process_time() - begin
        cell[name] = problem.objective(solution.predictor, depth, lam)
        cell[f"{name}_message"] = solution.message
    proof = certified(config, problem, depth, lam)
    many = best_of_reweighted(problem, depth, lam, config.n_starts, config.n_iterations)
    return {**cell, "reweighted": problem.objective(many, depth, lam), **proof}


def certified(config: Config, problem: Regression, depth: int, lam: float) -> dict[str, Any]:
    """The optimum by branch and bound, and what is proven of it; nothing of our other solvers goes into it."""
    from solvers.exhaustive import minimise_globally

    quadratic, alpha = Quadratic.of(problem, depth), 0.5 * problem.mu(depth, lam)
    scale = float((problem.targets**2).sum() / problem.n_images)
    alive = np.diag(quadratic.gram) > 1e-14 * np.trace(quadratic.gram)  # of even images half of the columns are zero
    widths = np.add.reduceat(alive.astype(int), quadratic.starts[:-1])
    found = minimise_globally(
        quadratic.gram[np.ix_(alive, alive)], quadratic.cross[alive],
        np.concatenate([[0], np.cumsum(widths[widths > 0])]), alpha * quadratic.weights[widths > 0], depth,
        scale=scale, tol=0.01 * ACCURACY, time_limit=config.time_limit,
    )  # fmt: skip
    values = np.zeros((1, len(alive)))
    values[0, alive] = found.x
    return {
        "certified": problem.objective(problem.blocks.predictor(values), depth, lam),
        "gap": 2.0 * found.gap,
        "proof_seconds": found.seconds,
        "nodes": found.n_nodes,
    }


def _excess(cell: Mapping[str, Any], name: str, over: str) -> float:
    return float(cell[name] / cell[over] - 1.0)


def _brief(cell: Mapping[str, Any]) -> str:
    found = [f"{name} {_excess(cell, name, 'certified'):.1e}" for name in (*METHODS, "reweighted")]
    return f"over the certified optimum: {', '.join(found)}; {cell['ours_seconds']:.2f} s"


def counts(cells: Mapping[str, Any]) -> dict[str, Any]:
    """How many instances were certified, and how each did on them; ours against reweighted least squares on all."""
    certain = [cell for cell in cells.values() if cell["gap"] <= 0.5 * ACCURACY * cell["certified"]]
    table: dict[str, Any] = {"instances": len(cells), "certified": len(certain)}
    table["largest_proof_seconds"] = max(cell["proof_seconds"] for cell in cells.values())
    for name in (*METHODS, "reweighted"):
        excess = [_excess(cell, name, "certified") for cell in certain]
        table[name] = {"within": sum(e <= ACCURACY for e in excess), "largest_excess": max(excess, default=None)}
    for name in METHODS:
        seconds = [cell[f"{name}_seconds"] for cell in cells.values()]
        table[name] |= {
            "above_reweighted": sum(_excess(cell, name, "reweighted") > 1e-9 for cell in cells.values()),
            "median_seconds": statistics.median(seconds),
            "largest_seconds": max(seconds),
        }
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    return command("oracle", run, Config(), TINY, __doc__, arguments)


if __name__ == "__main__":
    raise SystemExit(main())

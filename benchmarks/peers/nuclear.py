"""Two layers, ten outputs, colours (nuclear norm a frequency) against cvxpy: ``python -m benchmarks.peers.nuclear``.

cvxpy gets least squares on a Cholesky factor of the Gram matrix and the nuclear norms of complex blocks, times the
weights of pairs; of its solvers the one with the least ``solve_time`` at equal objective counts (building the problem,
canonicalisation and the solver's own set-up are told apart). Ours is the solve on statistics that are there; its time
from the raw images is told too. Where cvxpy is not practical, ours alone, with the gap recomputed.

The minimum is that of the benchmark's own accelerated proximal gradient, certified by the gap.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import machine
from benchmarks.peers.command import command
from benchmarks.peers.reach import Limits, reach
from benchmarks.peers.regression_problems import Complexes, Floats, Regression, colours, power_law

SOLVERS: dict[str, Callable[[float], dict[str, Any]]] = {
    "SCS": lambda tol: {"eps_abs": tol, "eps_rel": tol, "max_iters": 100_000},
    "CLARABEL": lambda tol: {"tol_gap_abs": tol, "tol_gap_rel": tol, "tol_feas": tol},
}
"""Solvers with the cone that a nuclear norm needs, and how each is told a tolerance."""


@dataclass(frozen=True)
class Config:
    """What to measure. ``fractions``: λ_max / λ. ``small``: where cvxpy is asked, ``large``: where ours runs alone."""

    fractions: tuple[float, ...] = (5.0, 50.0)
    n_images: int = 2_000
    small: int = 8
    large: int = 32
    synthetic: tuple[int, int] = (8, 8)
    shape: tuple[int, int] = (10, 3)  # outputs, channels
    accuracy: float = 1e-6
    large_gap: float = 1e-6
    ladder: tuple[float, ...] = (1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9)
    limits: Limits = field(default_factory=lambda: Limits(repeats=3))
    cifar: bool = True


TINY = Config(
    fractions=(5.0,), n_images=60, synthetic=(2, 3), shape=(3, 2), ladder=(1e-4, 1e-9), limits=Limits(repeats=1),
    cifar=False,
)  # fmt: skip


def run(
    config: Config, path: Path | None = None, *, fresh: bool = False, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Measure what is missing from ``path`` and return the record, with the ratios; cvxpy may be absent."""
    record = machine.Record(path, asdict(config), fresh=fresh)
    for build in _problems(config):
        problem = build()
        for fraction in config.fractions:
            _measure(record, config, problem, fraction, say)
    root = os.environ.get("LINEARDYN_DATA")
    if config.cifar and root:
        problem = colours(Path(root), config.large, config.n_images)
        for fraction in config.fractions:
            _measure_large(record, config, problem, fraction, say)
    record.data["ratios"] = ratios(record.data["cells"])
    record.write()
    return record.data


def _problems(config: Config) -> Iterable[Callable[[], Regression]]:
    k, channels = config.shape
    yield partial(power_law, config.synthetic, config.n_images, n_outputs=k, n_channels=channels)
    root = os.environ.get("LINEARDYN_DATA")
    if config.cifar and root:
        yield partial(colours, Path(root), config.small, config.n_images)


def _measure(
    record: machine.Record, config: Config, problem: Regression, fraction: float, say: Callable[[str], None]
) -> None:
    lam = problem.lam_max / fraction
    keys = {name: f"{problem.name}|{fraction:g}|{name}" for name in ("minimum", "ours", *SOLVERS)}
    if keys["minimum"] not in record:
        predictor = proximal_gradient(problem, lam)
        gap = problem.relative_gap(predictor, lam)
        record.keep(keys["minimum"], {"objective": problem.objective(predictor, 2, lam), "relative_gap": gap})
    minimum = record[keys["minimum"]]["objective"]
    for name in ("ours", *SOLVERS):
        if keys[name] in record:
            continue
        try:
            cell = _cell(config, problem, lam, minimum, name)
        except ImportError as error:
            cell = {"failure": f"not installed: {error.name}"}
        record.keep(keys[name], cell)
        say(f"{keys[name]}: " + (cell.get("failure") or f"{cell['median_seconds']:.4f} s, excess {cell['error']:.1e}"))


def _cell(config: Config, problem: Regression, lam: float, minimum: float, name: str) -> dict[str, Any]:
    reported: dict[float, list[dict[str, Any]]] = {}  # what the solver itself says, by tolerance
    solve = _our_solver(problem, lam) if name == "ours" else _cvxpy_solver(problem, lam, name, reported)

    def excess(predictor: Complexes) -> float:
        return abs(problem.objective(predictor, 2, lam) / minimum - 1.0)

    cell = reach(solve, excess, config.ladder, config.accuracy, config.limits)
    if reported and "tolerance" in cell:
        calls = reported[cell["tolerance"]]
        # theirs is by the clock on the wall: of a busy machine, the CPU's seconds of cvxpy and solver together are less
        solve_time = statistics.median([min(call["solve_time"], call["cpu"]) for call in calls])
        cell["solver"] = {"solve_time": solve_time, "calls": calls}
    return cell


def _our_solver(problem: Regression, lam: float) -> Callable[[float], Complexes]:
    from benchmarks.peers.our_solvers import problem_from_images
    from solvers import solve

    given = problem_from_images(problem, 2, lam)
    return lambda tol: solve(given, tol=tol, throw=False).predictor


def _cvxpy_solver(
    problem: Regression, lam: float, solver: str, reported: dict[float, list[dict[str, Any]]]
) -> Callable[[float], Complexes]:
    import cvxpy

    if solver not in cvxpy.installed_solvers():
        raise ImportError(solver, name=solver)

    def solve(tolerance: float) -> Complexes:
        values, stated = nuclear_program(problem, lam)
        begin = time.process_time()
        stated.solve(solver=solver, **SOLVERS[solver](tolerance))
        stats = stated.solver_stats
        told = {name: getattr(stats, name) for name in ("solve_time", "setup_time", "num_iters")}
        told |= {"status": stated.status, "cpu": time.process_time() - begin}
        reported.setdefault(tolerance, []).append(told)
        return problem.blocks.predictor(values.value)

    return solve


def nuclear_program(problem: Regression, lam: float) -> tuple[Any, Any]:
    """The variable V (K, D) and the cvxpy problem: ``‖V Rᵀ - T‖² + μ Σ_b weight_b ‖Z_b‖_*``, ``Σ^xx = Rᵀ R``.

    The objective is ours less ``⟨‖y‖²⟩ - ‖T‖²``.
    """
    import cvxpy

    gram, cross = _moments(problem)
    factor = np.linalg.cholesky(gram + 1e-15 * np.trace(gram) * np.eye(len(gram)))  # Rᵀ
    values = cvxpy.Variable(cross.shape)
    squares = cvxpy.sum_squares(values @ factor - np.linalg.solve(factor, cross.T).T)
    channels, norms = problem.images.shape[1], []
    blocks = zip(problem.blocks.starts[:-1], problem.blocks.paired, problem.blocks.weights(1.0), strict=True)
    for start, pair, weight in blocks:
        matrix = values[:, start : start + channels]
        if pair:
            matrix = matrix + 1j * values[:, start + channels : start + 2 * channels]
        norms.append(weight * cvxpy.normNuc(matrix))
    return values, cvxpy.Problem(cvxpy.Minimize(squares + problem.mu(2, lam) * sum(norms)))


def _moments(problem: Regression) -> tuple[Floats, Floats]:
    columns = problem.columns
    return columns.T @ columns / problem.n_images, problem.targets.T @ columns / problem.n_images


def proximal_gradient(problem: Regression, lam: float, *, max_steps: int = 100_000, tol: float = 1e-13) -> Complexes:
    """Accelerated proximal gradient (Beck and Teboulle 2009) with restarts, for the minimum; L = 2."""
    gram, cross = _moments(problem)
    lipschitz = float(np.linalg.eigvalsh(gram)[-1])
    threshold = 0.5 * problem.mu(2, lam) / lipschitz * problem.blocks.weights(1.0)
    values = np.zeros_like(cross)
    ahead, inertia = values, 1.0
    for _ in range(max_steps):
        new = _shrink(problem, ahead - (ahead @ gram - cross) / lipschitz, threshold)
        if np.vdot(ahead - new, new - values) > 0:
            inertia = 1.0
        later = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * inertia**2))
        ahead = new + (inertia - 1.0) / later * (new - values)
        step, values, inertia = float(np.abs(new - values).max()), new, later
        if step <= tol * np.abs(values).max():
            break
    return problem.blocks.predictor(values)


def _shrink(problem: Regression, values: Floats, threshold: Floats) -> Floats:
    """Singular values of every block made smaller by its threshold."""
    u, s, vh = np.linalg.svd(problem.blocks.matrices(values), full_matrices=False)
    return problem.blocks.values((u * np.maximum(s - threshold[:, None], 0.0)[:, None, :]) @ vh)


def _measure_large(
    record: machine.Record, config: Config, problem: Regression, fraction: float, say: Callable[[str], None]
) -> None:
    key = f"{problem.name}|{fraction:g}|ours"
    if key in record:
        return
    lam = problem.lam_max / fraction

    def solve(tol: float) -> Complexes:
        from benchmarks.peers.our_solvers import path_from_images

        return path_from_images(problem, 2, np.array([lam]), tol=tol, warm=False)[0]

    cell = reach(solve, lambda p: problem.relative_gap(p, lam), config.ladder, config.large_gap, config.limits)
    record.keep(key, cell)
    say(f"{key}: " + (cell.get("failure") or f"{cell['median_seconds']:.2f} s, gap {cell['error']:.1e}"))


def ratios(cells: Mapping[str, Any]) -> dict[str, dict[str, dict[str, float]]]:
    """Problem → λ_max/λ → solver → its ``solve_time`` over our seconds."""
    table: dict[str, dict[str, dict[str, float]]] = {}
    for key, cell in cells.items():
        problem, fraction, name = key.split("|")
        ours = cells.get(f"{problem}|{fraction}|ours", {}).get("median_seconds")
        if ours and "solver" in cell:
            row = table.setdefault(problem, {}).setdefault(fraction, {})
            row[name] = cell["solver"]["solve_time"] / ours
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    return command("nuclear", run, Config(), TINY, __doc__, arguments)


if __name__ == "__main__":
    raise SystemExit(main())

"""Two layers, one output (group lasso) against celer and skglm: ``python -m benchmarks.peers.group_lasso [--fresh]``.

A path of λ from λ_max down, at one recomputed relative duality gap at every λ, *warm* (each λ from the answer before)
and *cold* (each from zero). The peers get real columns in groups (Re and Im of a frequency) and their weights, in the
memory order that they want; making them is timed apart. Ours is timed from the raw images, statistics included.

``reduced``: the peers on D rows with the same Gram matrix instead of N images, which is our idea and not theirs; the
Cholesky factor is in their time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import machine
from benchmarks.peers.command import command
from benchmarks.peers.our_solvers import path_from_images, statistics
from benchmarks.peers.reach import Limits, reach, timed
from benchmarks.peers.regression_problems import Blocks, Complexes, Floats, Regression, power_law, two_classes

HALF_DECADES = tuple(10.0 ** (-n / 2) for n in range(6, 25))  # 1e-3 .. 1e-12
PEERS = ("celer", "celer pruned", "skglm")


@dataclass(frozen=True)
class Config:
    """What to measure; ``ratio``: the last λ over λ_max."""

    n_images: int = 10_000
    synthetic: tuple[int, int] = (32, 32)
    n_lams: int = 30
    ratio: float = 1e-3
    gap: float = 1e-6
    ladder: tuple[float, ...] = HALF_DECADES
    limits: Limits = field(default_factory=Limits)
    cifar: bool = True


TINY = Config(
    n_images=60, synthetic=(5, 6), n_lams=4, ratio=1e-2, ladder=(1e-5, 1e-8, 1e-11), limits=Limits(repeats=1),
    cifar=False,
)  # fmt: skip


@dataclass(frozen=True)
class Rows:
    """What a peer is given: columns (n, D) by columns, targets (n,), blocks and their weights."""

    columns: Floats
    targets: Floats
    blocks: Blocks

    def reduced(self) -> Rows:
        """D rows with the same Gram matrix and correlations, scaled to the same objective but for a constant."""
        n, size = self.columns.shape
        gram = self.columns.T @ self.columns
        # a ridge under round-off of the largest eigenvalue, for frequencies that the images lack
        factor = np.linalg.cholesky(gram + 1e-14 * np.trace(gram) * np.eye(size))
        targets = np.linalg.solve(factor, self.columns.T @ self.targets)
        scale = np.sqrt(size / n)  # the peers divide by the number of rows
        return Rows(np.asfortranarray(scale * factor.T), scale * targets, self.blocks)


def run(
    config: Config, path: Path | None = None, *, fresh: bool = False, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Measure what is missing from ``path`` and return the record; a peer not installed is a failure."""
    record = machine.Record(path, asdict(config), fresh=fresh)
    for build in _problems(config):
        _measure(record, config, build(), say)
    record.data["ratios"] = ratios(record.data["cells"])
    record.write()
    return record.data


def _problems(config: Config) -> Iterable[Callable[[], Regression]]:
    yield partial(power_law, config.synthetic, config.n_images)
    root = os.environ.get("LINEARDYN_DATA")
    if config.cifar and root:
        yield partial(two_classes, Path(root), config.n_images)


def _measure(record: machine.Record, config: Config, problem: Regression, say: Callable[[str], None]) -> None:
    lams = problem.lams(config.n_lams, config.ratio)
    preparations = {
        "columns": lambda: problem.blocks.columns(problem.images),
        "statistics": lambda: statistics(problem),
    }
    for name, work in preparations.items():
        key = f"{problem.name}|{name}"
        if key not in record:
            seconds, _ = timed(work, config.limits.repeats)
            record.keep(key, {"seconds": seconds, "median_seconds": float(np.median(seconds))})
    for mode in ("warm", "cold"):
        for solver in ("ours", *PEERS, *(f"{peer}, reduced" for peer in PEERS)):
            key = f"{problem.name}|{solver}|{mode}"
            if key in record:
                continue
            record.keep(key, _cell(config, problem, lams, solver, mode == "warm"))
            cell = record[key]
            say(f"{key}: " + (cell.get("failure") or f"{cell['median_seconds']:.3f} s, gap {cell['error']:.1e}"))


def _cell(config: Config, problem: Regression, lams: Floats, solver: str, warm: bool) -> dict[str, Any]:
    def worst(predictors: Sequence[Complexes]) -> float:
        return max(problem.relative_gap(p, lam) for p, lam in zip(predictors, lams, strict=True))

    try:
        solve = _solver(problem, lams, solver, warm)
    except ImportError as error:
        return {"failure": f"not installed: {error.name}"}
    return reach(solve, worst, config.ladder, config.gap, config.limits)


def _solver(problem: Regression, lams: Floats, name: str, warm: bool) -> Callable[[float], Sequence[Complexes]]:
    """Tolerance → one predictor for each λ."""
    if name == "ours":
        return lambda tol: path_from_images(problem, 2, lams, tol=tol, warm=warm)
    alphas = np.array([0.5 * problem.mu(2, lam) for lam in lams])  # the peers halve the loss
    rows = Rows(problem.columns, problem.targets[:, 0], problem.blocks)
    fit = celer_path if name.startswith("celer") else skglm_path
    if fit is celer_path:
        import celer  # noqa: F401  (ImportError here, not in the timed call)

        fit = partial(celer_path, prune="pruned" in name)
    else:
        import skglm  # noqa: F401

    def solve(tol: float) -> list[Complexes]:
        given = rows.reduced() if "reduced" in name else rows
        return [problem.blocks.predictor(w[None]) for w in fit(given, alphas, tol, warm)]

    return solve


def celer_path(rows: Rows, alphas: Floats, tol: float, warm: bool, *, prune: bool = False) -> Floats:
    """``GroupLasso``'s own path: ``(1/2n) ‖y - Xw‖² + α Σ weight_g ‖w_g‖``; tol is its gap over ``‖y‖²/n``."""
    from celer import celer_path as solve

    def run_path(some: Floats) -> Floats:
        # return_thetas: without it the answer is unpacked differently from version to version
        answer = solve(
            rows.columns, rows.targets, "grouplasso", alphas=some, groups=rows.blocks.groups,
            weights=rows.blocks.weights(1.0), tol=tol, prune=prune, max_iter=100, return_thetas=True,
        )  # fmt: skip
        return np.asarray(answer[1].T)

    return run_path(alphas) if warm else np.concatenate([run_path(alphas[i : i + 1]) for i in range(len(alphas))])


def skglm_path(rows: Rows, alphas: Floats, tol: float, warm: bool) -> list[Floats]:
    """``GroupBCD`` at each α, from the answer before or from zero; tol is of its optimality over the largest α."""
    from skglm.datafits import QuadraticGroup
    from skglm.penalties import WeightedGroupL2
    from skglm.solvers import GroupBCD
    from skglm.utils.data import grp_converter

    indices, starts = grp_converter(rows.blocks.groups, rows.columns.shape[1])
    weights = rows.blocks.weights(1.0)
    solver = GroupBCD(tol=tol * float(alphas.max()), fit_intercept=False)
    values, fitted, found = None, None, []
    for alpha in alphas:
        penalty = WeightedGroupL2(float(alpha), weights, starts, indices)
        data = QuadraticGroup(starts, indices)
        answer = solver.solve(rows.columns, rows.targets, data, penalty, values, fitted)[0]
        found.append(answer)
        if warm:
            values, fitted = answer.copy(), rows.columns @ answer  # it writes into its start
    return found


def ratios(cells: Mapping[str, Any]) -> dict[str, dict[str, dict[str, float]]]:
    """Problem → mode → solver → ``theirs / ours``: their fit alone, and with their columns made of the images."""
    table: dict[str, dict[str, dict[str, float]]] = {}
    for key, cell in cells.items():
        problem, solver, *mode = key.split("|")
        ours = cells.get("|".join([problem, "ours", *mode]), {}).get("median_seconds")
        if mode and solver != "ours" and ours and "median_seconds" in cell:
            row = table.setdefault(problem, {}).setdefault(mode[0], {})
            row[solver] = cell["median_seconds"] / ours
            row[f"{solver}, columns counted"] = (
                cell["median_seconds"] + cells[f"{problem}|columns"]["median_seconds"]
            ) / ours
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    return command("group_lasso", run, Config(), TINY, __doc__, arguments)


if __name__ == "__main__":
    raise SystemExit(main())

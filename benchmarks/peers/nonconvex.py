"""Depths 3 and 4 against skglm's ℓ_{2/3} and ℓ_{1/2}: ``python -m benchmarks.peers.nonconvex [--fresh]``.

Images that equal their reflection have real spectra: one column a pair of frequencies. skglm's penalty has no weights,
so that each column of a pair is multiplied by ``2^{1-1/p}``, p = 2/L, which makes its problem ours: see
:func:`rescaled`. Neither side is sure of the minimum; the objectives of all λ are kept, recomputed from the predictors.

skglm runs over the path and at each λ alone, from zero and from least squares (not timed), by its working sets of fixed
points: by the subdifferential, its default, zero counts as optimal at every λ, and is never left.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import machine
from benchmarks.peers.command import command
from benchmarks.peers.reach import Limits, reach
from benchmarks.peers.regression_problems import Complexes, Floats, Regression, even, power_law, two_classes

DECADES = tuple(10.0**-n for n in range(3, 13))
PATHS = ("path from zero", "path from least squares")
RUNS = (*PATHS, "each from zero", "each from least squares")


@dataclass(frozen=True)
class Config:
    """What to measure. ``excess``: by how much, relatively, a loose tolerance may miss a run's own tightest result."""

    depths: tuple[int, ...] = (3, 4)
    n_images: int = 10_000
    synthetic: tuple[int, int] = (32, 32)
    seeds: tuple[int, ...] = (0, 1, 2)
    n_lams: int = 30
    ratio: float = 1e-3
    excess: float = 1e-6
    ladder: tuple[float, ...] = DECADES
    limits: Limits = field(default_factory=Limits)
    cifar: bool = True


TINY = Config(
    depths=(3,), n_images=60, synthetic=(5, 6), seeds=(0, 1), n_lams=4, ratio=1e-2, ladder=(1e-4, 1e-8, 1e-10),
    limits=Limits(repeats=1), cifar=False,
)  # fmt: skip


@dataclass(frozen=True)
class Unweighted:
    """``(1/2N) ‖y - Xz‖² + α Σ|z_b|^p``: a problem on even images in skglm's form."""

    problem: Regression
    depth: int

    @cached_property
    def scales(self) -> Floats:
        """(F,) by which ``√m_b v̂_b`` exceeds z_b.

        ``m_b^{1-p/2} |√m_b v̂_b|^p = |z_b|^p`` if ``√m_b v̂_b = m_b^{1/2-1/p} z_b``; the column of ``√m_b v̂_b`` is
        ``√m_b Re x̂_b``, that of z_b then ``m_b^{1-1/p} Re x̂_b``.
        """
        return np.where(self.problem.blocks.paired, 2.0 ** (0.5 - 0.5 * self.depth), 1.0)

    @cached_property
    def columns(self) -> Floats:
        """X (N, F), by columns."""
        return np.asfortranarray(self.problem.columns[:, self.problem.blocks.starts[:-1]] * self.scales)

    @cached_property
    def targets(self) -> Floats:
        """y (N,)."""
        return self.problem.targets[:, 0]

    def predictor(self, values: Floats) -> Complexes:
        """(H, W, 1, 1) of z (F,)."""
        full = np.zeros((1, self.problem.blocks.starts[-1]))
        full[0, self.problem.blocks.starts[:-1]] = values * self.scales
        return self.problem.blocks.predictor(full)

    def alpha(self, lam: float) -> float:
        """α of λ: half of μ."""
        return 0.5 * self.problem.mu(self.depth, lam)

    @cached_property
    def lam_max(self) -> float:
        """Smallest λ at which no single coordinate gains by leaving zero (theory notes, section 3: the jump)."""
        p = 2.0 / self.depth
        curvature = (self.columns**2).mean(axis=0)
        slope = np.abs(self.columns.T @ self.targets) / len(self.targets)
        seen = curvature > 1e-12 * curvature.max()
        z, curvature = slope[seen] / curvature[seen], curvature[seen]
        # ½(x - z)² + u x^p is as small at its stationary point as at 0 where z = (2-p)/(2(1-p)) s, s^{2-p} = 2(1-p)u
        alphas = curvature * (2.0 * (1.0 - p) * z / (2.0 - p)) ** (2.0 - p) / (2.0 * (1.0 - p))
        return self.problem.lam(self.depth, 2.0 * float(alphas.max()))

    def lams(self, n: int, ratio: float) -> Floats:
        """Just under λ_max, where zero and the first coordinate tie, down to ``ratio`` of it."""
        return 0.999 * self.lam_max * np.geomspace(1.0, ratio, n)


def run(
    config: Config, path: Path | None = None, *, fresh: bool = False, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Measure what is missing from ``path`` and return the record, with the comparison; skglm may be absent."""
    record = machine.Record(path, asdict(config), fresh=fresh)
    for build in _problems(config):
        problem = build()
        for depth in config.depths:
            _measure(record, config, Unweighted(problem, depth), say)
    record.data["comparison"] = comparison(record.data["cells"])
    record.write()
    return record.data


def _problems(config: Config) -> Iterable[Callable[[], Regression]]:
    for seed in config.seeds:
        yield partial(_synthetic, config, seed)
    root = os.environ.get("LINEARDYN_DATA")
    if config.cifar and root:
        yield lambda: even(two_classes(Path(root), config.n_images))


def _synthetic(config: Config, seed: int) -> Regression:
    problem = even(power_law(config.synthetic, config.n_images, seed=seed))
    return replace(problem, name=f"{problem.name}, seed {seed}")


def _measure(record: machine.Record, config: Config, given: Unweighted, say: Callable[[str], None]) -> None:
    lams = given.lams(config.n_lams, config.ratio)
    for name in ("ours", *(f"skglm {kind}" for kind in RUNS)):
        key = f"{given.problem.name}|{given.depth}|{name}"
        if key not in record:
            record.keep(key, _cell(config, given, lams, name))
            cell = record[key]
            say(f"{key}: " + (cell.get("failure") or f"{cell['median_seconds']:.3f} s"))


def _cell(config: Config, given: Unweighted, lams: Floats, name: str) -> dict[str, Any]:
    def objectives(predictors: Sequence[Complexes]) -> Floats:
        pairs = zip(predictors, lams, strict=True)
        return np.array([given.problem.objective(predictor, given.depth, lam) for predictor, lam in pairs])

    try:
        solve = _solver(given, lams, name)
        tightest = objectives(solve(config.ladder[-1]))
    except ImportError as error:
        return {"failure": f"not installed: {error.name}"}

    def excess(predictors: Sequence[Complexes]) -> float:
        return float((objectives(predictors) / tightest - 1.0).max())

    cell = reach(solve, excess, config.ladder, config.excess, config.limits)
    if "tolerance" in cell:
        cell["objectives"] = objectives(solve(cell["tolerance"])).tolist()
    return {**cell, "lams": lams.tolist()}


def _solver(given: Unweighted, lams: Floats, name: str) -> Callable[[float], Sequence[Complexes]]:
    """Tolerance → one predictor for each λ."""
    if name == "ours":
        from benchmarks.peers.our_solvers import path_from_images

        return lambda tol: path_from_images(given.problem, given.depth, lams, tol=tol)
    import skglm  # noqa: F401

    alphas = np.array([given.alpha(lam) for lam in lams])
    start = np.zeros(given.columns.shape[1])
    if "least squares" in name:
        start = np.linalg.lstsq(given.columns, given.targets)[0]
    fit = partial(skglm_path, given.columns, given.targets, alphas, given.depth, start, warm="path" in name)
    return lambda tol: [given.predictor(values) for values in fit(tol=tol)]


def skglm_path(
    columns: Floats, targets: Floats, alphas: Floats, depth: int, start: Floats, *, tol: float, warm: bool
) -> list[Floats]:
    """``AndersonCD`` on ``(1/2n) ‖y - Xz‖² + α Σ |z|^p`` from ``start``, or over the path from each answer on."""
    from skglm.datafits import Quadratic
    from skglm.penalties import L0_5, L2_3
    from skglm.solvers import AndersonCD

    penalty = {3: L2_3, 4: L0_5}[depth]
    solver = AndersonCD(tol=tol, ws_strategy="fixpoint", fit_intercept=False)
    found: list[Floats] = []
    for alpha in alphas:
        values = (found[-1] if warm and found else start).copy()  # it writes into its start
        fitted = columns @ values
        found.append(solver.solve(columns, targets, Quadratic(), penalty(float(alpha)), values, fitted)[0])
    return found


def comparison(cells: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Problem and depth → our largest relative excess over the least of skglm's objectives; theirs / ours in time."""
    table: dict[str, dict[str, Any]] = {}
    for key, ours in cells.items():
        if not key.endswith("|ours") or "objectives" not in ours:
            continue
        name = key.removesuffix("|ours")
        theirs = {kind: cells.get(f"{name}|skglm {kind}", {}) for kind in RUNS}
        theirs = {kind: cell for kind, cell in theirs.items() if "objectives" in cell}
        if theirs:
            mine = np.array(ours["objectives"])
            least = np.min([cell["objectives"] for cell in theirs.values()], axis=0)
            ratio = {kind: cell["median_seconds"] / ours["median_seconds"] for kind, cell in theirs.items()}
            if all(kind in ratio for kind in PATHS):  # which of the two leads lower is known after both
                ratio["both paths"] = sum(ratio[kind] for kind in PATHS)
            table[name] = {
                "largest_excess": float((mine / least - 1.0).max()),
                "lower_on": int((mine < least * (1.0 - 1e-9)).sum()),
                "higher_on": int((mine > least * (1.0 + 1e-9)).sum()),
                "n_lams": len(mine),
                "ratio": ratio,
            }
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    return command("nonconvex", run, Config(), TINY, __doc__, arguments)


if __name__ == "__main__":
    raise SystemExit(main())

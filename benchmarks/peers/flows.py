"""Gradient flow against scipy and diffrax at equal error: ``python -m benchmarks.peers.flows [--parts ...] [--fresh]``.

Parts: ``products`` (one right-hand side against its two bare matrix products), ``flows`` (our DOP853 against theirs,
and ``auto`` against our DOP853 where nothing is stiff), ``stiff`` (``auto`` and every stabilised method where modes are
learned at very different times, and on CIFAR-10). Each cell of the JSON is written when it is measured; a second call
goes on with what is missing. ``benchmarks.peers.render`` makes the tables.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import machine
from benchmarks.peers.measure import Limits, Start, measure
from benchmarks.peers.problems import FlowProblem, cifar_problem, coherent_problem
from benchmarks.peers.solvers import reference, solver_named
from lineardyn.flow.stepping import METHODS

HALF_DECADES = tuple(10.0 ** (-n / 2) for n in range(4, 21))  # 1e-2 .. 1e-10
STIFF_METHODS = tuple(f"ours {name}" for name in ("auto", *METHODS) if name not in ("bs32", "tsit5"))


@dataclass(frozen=True)
class Config:
    """What to measure. ``sizes``: (side in pixels, classes)."""

    parts: tuple[str, ...] = ("products", "flows", "stiff")
    sizes: tuple[tuple[int, int], ...] = ((16, 4), (32, 4), (32, 10), (64, 10))
    flow_solvers: tuple[str, ...] = (
        "ours dop853", "ours auto", "scipy textbook", "scipy packed", "scipy compiled", "numbalsoda",
        "numbalsoda steps", "diffrax split", "diffrax four",
    )  # fmt: skip
    flow_targets: tuple[float, ...] = (1e-3, 1e-5)
    multi_scale: tuple[int, int] = (32, 10)
    multi_scale_ratio: float = 16.0
    # "long" flows go on for so many times the time to 95%: there our DOP853 and RKC take the right-hand sides that the
    # theory notes count in their section 2.4 (s_max/s_min = 2: 1861 of 1850 and 232 of 220; CIFAR-4: 3009 of 2978)
    multi_scale_stretch: float = 8.0
    cifar_stretch: float = 4.7
    stiff_solvers: tuple[str, ...] = (*STIFF_METHODS, "scipy textbook", "scipy packed", "diffrax split", "diffrax four")
    stiff_targets: tuple[float, ...] = (1e-2, 1e-3, 1e-4, 1e-5)
    cifar_root: str | None = None
    ladder: tuple[float, ...] = HALF_DECADES
    limits: Limits = field(default_factory=Limits)
    n_times: int = 20
    n_starts: int = 5
    n_stiff_starts: int = 3
    reference_rtol: float = 1e-10
    products_repeats: int = 15


TINY = Config(
    sizes=((6, 2),), multi_scale=(6, 2), multi_scale_ratio=4.0, multi_scale_stretch=2.0, cifar_stretch=2.0, n_times=5,
    n_starts=1, n_stiff_starts=1, flow_targets=(1e-3,), stiff_solvers=(*STIFF_METHODS, "scipy textbook"),
    stiff_targets=(1e-3,), ladder=(1e-5, 1e-8), products_repeats=2,
)  # fmt: skip


@dataclass(frozen=True)
class Job:
    """A problem (a function: it is built when its turn comes), who solves it, to which errors, and how far."""

    part: str
    build: Callable[[], FlowProblem]
    solvers: Sequence[str]
    targets: Sequence[float]
    n_starts: int
    stretch: float = 1.0


def run(
    config: Config, path: Path | None = None, *, fresh: bool = False, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Measure what is missing from ``path`` and return the whole record; a solver not installed is a failure."""
    described = {name: value for name, value in asdict(config).items() if name not in ("parts", "cifar_root")}
    record = machine.Record(path, described, fresh=fresh)
    if "products" in config.parts:
        _measure_products(record, config, say)
    for job in _jobs(config):
        _measure_job(record, config, job, say)
    record.data["ratios"] = ratios(record.data["cells"])
    record.write()
    return record.data


def _measure_products(record: machine.Record, config: Config, say: Callable[[str], None]) -> None:
    from benchmarks.peers.products import measure_products

    for side, k in config.sizes:
        key = f"{side}²×{k}|products"
        if key not in record:
            record.keep(key, measure_products(_flow_problem((side, k)), config.products_repeats))
            say(f"{key}: right-hand side / two products = {record[key]['ratio']:.2f}")


def _jobs(config: Config) -> list[Job]:
    jobs = []
    if "flows" in config.parts:
        for size in config.sizes:
            build = partial(_flow_problem, size)
            jobs.append(Job("flows", build, config.flow_solvers, config.flow_targets, config.n_starts))
    if "stiff" in config.parts:
        shared = (config.stiff_solvers, config.stiff_targets, config.n_stiff_starts)
        jobs.append(Job("stiff", partial(_multi_scale_problem, config, "multi-scale"), *shared))
        long = partial(_multi_scale_problem, config, "multi-scale, long")
        jobs.append(Job("stiff", long, *shared, stretch=config.multi_scale_stretch))
        if config.cifar_root:
            cifar = partial(cifar_problem, Path(config.cifar_root))
            jobs.append(Job("stiff", cifar, *shared))
            jobs.append(Job("stiff", partial(cifar, suffix=", long"), *shared, stretch=config.cifar_stretch))
    return jobs


def _flow_problem(size: tuple[int, int]) -> FlowProblem:
    return coherent_problem(*size, ratio=2.0, start_scale=1e-3, name=f"{size[0]}²×{size[1]}")


def _multi_scale_problem(config: Config, name: str) -> FlowProblem:
    return coherent_problem(*config.multi_scale, ratio=config.multi_scale_ratio, start_scale=1e-4, name=name)


def _measure_job(record: machine.Record, config: Config, job: Job, say: Callable[[str], None]) -> None:
    problem = job.build()
    starts: list[Start] = []
    for solver in job.solvers:
        key = f"{problem.name}|{solver}"
        if key in record:
            continue
        while len(starts) <= job.n_starts:  # the first one serves the scan
            starts.append(_start(problem, config, len(starts), job.stretch))
        cell = _measure_solver(solver, problem, starts, config, job.targets)
        record.keep(key, {"part": job.part, **cell})
        say(f"{key}: {_brief(record[key])}")


def _start(problem: FlowProblem, config: Config, seed: int, stretch: float) -> Start:
    weights = problem.start(np.random.default_rng([2023, seed]))
    times, b = reference(problem, weights, n_times=config.n_times, rtol=config.reference_rtol, stretch=stretch)
    return Start(weights, times, b)


def _measure_solver(
    name: str, problem: FlowProblem, starts: Sequence[Start], config: Config, targets: Sequence[float]
) -> dict[str, Any]:
    try:
        solver = solver_named(name, problem)
    except ImportError as error:
        return {"failure": f"not installed: {error.name}"}
    return measure(solver, problem, starts, config.ladder, targets, config.limits)


def _brief(cell: Mapping[str, Any]) -> str:
    if "failure" in cell:
        return str(cell["failure"])
    parts = []
    for target, timed in cell["targets"].items():
        parts.append(f"{timed['median_seconds'] * 1e3:.2f} ms" if "median_seconds" in timed else timed["failure"])
        parts[-1] += f" at error {target}"
    return ", ".join(parts)


def ratios(cells: Mapping[str, Any], quantity: str = "median_seconds") -> dict[str, dict[str, dict[str, Any]]]:
    """Problem → target → ``theirs / ours`` for each peer, and the fastest layout of diffrax as ``diffrax``.

    On stiff problems ours is ``auto``, else ``dop853``. ``one_session`` says whether one run measured all.
    """
    table: dict[str, dict[str, dict[str, Any]]] = {}
    for key, cell in cells.items():
        problem, solver = key.split("|")
        mine = f"{problem}|ours {'auto' if cell.get('part') == 'stiff' else 'dop853'}"
        if mine not in cells or key == mine or "targets" not in cell or "targets" not in cells[mine]:
            continue
        for target, theirs in cell["targets"].items():
            ours = cells[mine]["targets"].get(target, {})
            if quantity not in theirs or quantity not in ours:
                continue
            row = table.setdefault(problem, {}).setdefault(target, {"one_session": True})
            row[solver] = theirs[quantity] / ours[quantity]
            row["one_session"] &= cell["session"] == cells[mine]["session"]
    for rows in table.values():
        for row in rows.values():
            layouts = [value for name, value in row.items() if name.startswith("diffrax ")]
            if layouts:
                row["diffrax"] = min(layouts)
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.flows", description=__doc__.splitlines()[0])
    parser.add_argument("--parts", default=",".join(Config.parts), help="some of products,flows,stiff")
    parser.add_argument("--root", default=os.environ.get("LINEARDYN_DATA"), help="folder of CIFAR-10")
    parser.add_argument("--out", type=Path, default=machine.RESULTS / "flows.json")
    parser.add_argument("--fresh", action="store_true", help="measure everything again")
    parser.add_argument("--tiny", action="store_true", help="seconds; to see that it runs")
    options = parser.parse_args(given)
    code = machine.run_pinned("benchmarks.peers.flows", given)
    if code is not None:
        return code
    base = TINY if options.tiny else Config()
    config = Config(**{**base.__dict__, "parts": tuple(options.parts.split(",")), "cifar_root": options.root})
    run(config, options.out, fresh=options.fresh, say=lambda text: print(text, flush=True))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

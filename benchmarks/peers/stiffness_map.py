"""Which method is fastest at which stiffness and error: ``python -m benchmarks.peers.stiffness_map [--fresh]``.

Coherent classes with s_max/s_min from 1 to 32, to 95% of the slowest mode. Every method of ``gradient_flow`` and
``auto`` run down a ladder of tolerances; each cell of the JSON holds seconds, right-hand sides and errors of one method
at one ratio. What is fastest at an error (and what ``auto`` loses there) is read off them: :func:`best`.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import machine
from benchmarks.peers.command import command
from benchmarks.peers.measure import Start, attempt
from benchmarks.peers.problems import FlowProblem, coherent_problem
from benchmarks.peers.solvers import Ours, reference
from lineardyn.flow.stepping import METHODS


@dataclass(frozen=True)
class Config:
    """Ratios s_max/s_min × errors; a method whose call took more than ``seconds_a_call`` goes no further down."""

    size: tuple[int, int] = (32, 10)
    ratios: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
    errors: tuple[float, ...] = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
    methods: tuple[str, ...] = ("auto", *METHODS)
    ladder: tuple[float, ...] = tuple(10.0 ** (-n / 2) for n in range(4, 23))  # 1e-2 .. 1e-11
    start_scale: float = 1e-3
    n_times: int = 20
    n_calls: int = 3
    seconds_a_call: float = 1.0
    reference_rtol: float = 1e-12


TINY = Config(size=(6, 2), ratios=(1.0, 4.0), errors=(1e-3, 1e-5), ladder=(1e-4, 1e-7), n_times=5, n_calls=1)


def run(
    config: Config, path: Path | None = None, *, fresh: bool = False, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Measure what is missing from ``path`` and return the record."""
    record = machine.Record(path, asdict(config), fresh=fresh)
    for ratio in config.ratios:
        keys = {method: f"{ratio:g}|{method}" for method in config.methods}
        if all(key in record for key in keys.values()):
            continue
        problem = coherent_problem(*config.size, ratio=ratio, start_scale=config.start_scale, name=f"{ratio:g}")
        weights = problem.start(np.random.default_rng([2023, 0]))
        start = Start(weights, *reference(problem, weights, n_times=config.n_times, rtol=config.reference_rtol))
        for method, key in keys.items():
            if key not in record:
                record.keep(key, {"calls": _ladder(config, problem, method, start)})
                say(f"{key}: {len(record[key]['calls'])} tolerances")
    record.write()
    return record.data


def _ladder(config: Config, problem: FlowProblem, method: str, start: Start) -> list[dict[str, Any]]:
    """One row a tolerance, loose to tight, until the smallest error is reached twice or a call took too long."""
    solver = Ours(problem, method)
    attempt(solver, problem, start, config.ladder[0])  # compilation
    rows: list[dict[str, Any]] = []
    reached = 0
    for rtol in config.ladder:
        row = attempt(solver, problem, start, rtol)
        if "seconds" in row:
            seconds = [row["seconds"]]
            while len(seconds) < config.n_calls and sum(seconds) < config.seconds_a_call:
                seconds.append(attempt(solver, problem, start, rtol)["seconds"])
            row["seconds"] = statistics.median(seconds)
        rows.append(row)
        reached += row.get("error", math.inf) <= min(config.errors)
        if reached == 2 or row.get("seconds", 0.0) > config.seconds_a_call:
            break
    return rows


def best(cells: Mapping[str, Any], ratio: float, error: float, quantity: str = "seconds") -> dict[str, float]:
    """Method → least ``quantity`` at which it keeps ``error``; methods that never did are left out."""
    found = {}
    for key, cell in cells.items():
        at, method = key.split("|")
        values = [call[quantity] for call in cell["calls"] if call.get("error", math.inf) <= error]
        if at == f"{ratio:g}" and values:
            found[method] = min(values)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    return command("stiffness_map", run, Config(), TINY, __doc__, arguments)


if __name__ == "__main__":
    raise SystemExit(main())

"""Many runs at once: ``python -m benchmarks.peers.ensembles [--cores 2] [--fresh]``.

Small flows: all of them on one thread and on as many as there are cores, against a Python loop over scipy's DOP853 at
equal error (scipy's time is that of some of them, scaled up). Dense statistics: a batch of runs, one matrix product for
all, against dgemm on the same threads.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import machine
from benchmarks.peers.flows import HALF_DECADES
from benchmarks.peers.measure import Start, measure
from benchmarks.peers.problems import Floats, FlowProblem, coherent_problem
from benchmarks.peers.solvers import Ours, reference, solver_named


@dataclass(frozen=True)
class Config:
    """``cores``: threads of the second measurement and of both sides of the dense one."""

    cores: int = 2
    small: tuple[int, int] = (16, 4)  # side in pixels, classes
    n_runs: int = 1000
    target: float = 1e-3
    peers: tuple[str, ...] = ("scipy textbook", "scipy packed")
    n_sampled: int = 20  # flows that scipy is timed on, and our errors are taken of
    ladder: tuple[float, ...] = HALF_DECADES
    n_times: int = 20
    repeats: int = 7
    dense: tuple[int, int, int] = (3, 32, 10)  # channels, side, classes
    n_dense_runs: int = 10
    n_images: int = 500
    dense_steps: int = 4


TINY = Config(
    small=(6, 2), n_runs=6, n_sampled=2, ladder=(1e-5, 1e-8), n_times=5, repeats=2, dense=(1, 4, 2), n_dense_runs=3,
    n_images=20, dense_steps=1,
)  # fmt: skip


def run(
    config: Config, path: Path | None = None, *, fresh: bool = False, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Measure what is missing from ``path`` and return the record."""
    record = machine.Record(path, asdict(config), fresh=fresh)
    if "small" not in record:
        record.keep("small", _measure_small(config))
        cell = record["small"]
        faster = min(cell["peers"].values(), key=lambda peer: peer["seconds_of_all"])["seconds_of_all"]
        say(f"{config.n_runs} flows: {config.cores} threads {cell['speed_up']:.2f} times one, {faster:.1f} s by scipy")
    if "dense" not in record:
        record.keep("dense", _measure_dense(config))
        say(f"dense batch: {100 * record['dense']['share_of_dgemm']:.0f}% of dgemm on {config.cores} threads")
    record.write()
    return record.data


# --- many small flows ------------------------------------------------------------------------------------------------


def _measure_small(config: Config) -> dict[str, Any]:
    """Seconds of all runs, ours on one thread and on several, each peer's one after another."""
    side, k = config.small
    problem = coherent_problem(side, k, ratio=2.0, start_scale=1e-3, name=f"{side}²×{k}")
    weights = [problem.start(np.random.default_rng([2023, seed])) for seed in range(config.n_runs)]
    times, _ = reference(problem, weights[0], n_times=config.n_times, rtol=1e-10)
    sampled = [_start(problem, w, times) for w in weights[: config.n_sampled]]
    ours = _ours(problem, config, weights, sampled, times)
    peers = {name: _peer(name, problem, config, sampled) for name in config.peers}
    one, several = (statistics.median(ours["seconds"][n]) for n in ("one thread", "several"))
    return {
        **ours,
        "peers": peers,
        "speed_up": one / several,
        "ratio": {name: peer["seconds_of_all"] / one for name, peer in peers.items()},
        "ratio_on_all_cores": {name: peer["seconds_of_all"] / several for name, peer in peers.items()},
    }


def _start(problem: FlowProblem, weights: list[Floats], times: Floats) -> Start:
    """The same times for all runs, as an ensemble has them; B there by scipy at a tight tolerance."""
    solved = solver_named("scipy packed", problem).solve(weights, times, 1e-10, 1e-13 * problem.start_scale)
    return Start(weights, times, solved.b)


def _ours(
    problem: FlowProblem, config: Config, weights: list[list[Floats]], sampled: Sequence[Start], times: Floats
) -> dict[str, Any]:
    from lineardyn import gradient_flow, stack_weights

    solver = Ours(problem, "auto")
    setting = _setting(measure(solver, problem, sampled, config.ladder, (config.target,)), config.target)
    starts = stack_weights(weights)

    def solve(threads: int) -> Any:
        return gradient_flow(
            solver.network, solver.moments, starts, times, rtol=setting["rtol"], atol=setting["atol"], threads=threads
        )

    ensemble = solve(1)  # warm
    errors = []
    for i, start in enumerate(sampled):
        states = [problem.spectra(ensemble[i].weights(j)) for j in range(len(times))]
        errors.append(problem.error(np.array([problem.effective(*state) for state in states]), start.b))
    seconds = _in_turn({"one thread": lambda: solve(1), "several": lambda: solve(config.cores)}, config.repeats)
    return {"rtol": setting["rtol"], "alone": setting, "worst_error": max(errors), "seconds": seconds}


def _peer(name: str, problem: FlowProblem, config: Config, sampled: Sequence[Start]) -> dict[str, Any]:
    setting = _setting(
        measure(solver_named(name, problem), problem, sampled, config.ladder, (config.target,)), config.target
    )
    return {**setting, "seconds_of_all": config.n_runs * setting["median_seconds"], "timed": len(setting["seconds"])}


def _setting(cell: dict[str, Any], target: float) -> dict[str, Any]:
    timed: dict[str, Any] = cell["targets"][f"{target:g}"]
    if "failure" in timed:
        raise RuntimeError(timed["failure"])
    return timed


# --- a batch over dense statistics -----------------------------------------------------------------------------------


def _measure_dense(config: Config) -> dict[str, Any]:
    """GFLOP/s of whole flows, counting the matrix products alone, beside those of dgemm, bare and large and square."""
    from threadpoolctl import threadpool_limits

    from lineardyn import LinearCNN, SecondMoments, gradient_flow, stack_weights

    channels, side, k = config.dense
    rng = np.random.default_rng(0)
    images = rng.standard_normal((config.n_images, channels, side, side))
    moments = SecondMoments.from_data(images, np.arange(config.n_images) % k, form="dense")
    network = LinearCNN((channels, side, side), n_outputs=k)
    starts = stack_weights([network.init_small(1e-3, rng=seed) for seed in range(config.n_dense_runs)])
    matrix, rows = moments.statistics.matrix, k * config.n_dense_runs
    v, out, n_rhs = rng.standard_normal((rows, len(matrix))), np.empty((rows, len(matrix))), []
    square = rng.standard_normal((min(len(matrix), 2048),) * 2)
    result = np.empty_like(square)
    options: dict[str, Any] = {"method": "dop853", "max_steps": config.dense_steps, "throw": False}

    def flow() -> None:
        n_rhs.append(gradient_flow(network, moments, starts, [1e6], **options).stats[0]["n_rhs"])

    with threadpool_limits(config.cores, user_api="blas"):
        flow()
        seconds = _in_turn(
            {
                "flow": flow,
                "product": lambda: [np.dot(v, matrix, out=out) for _ in range(n_rhs[0])],
                "square": lambda: np.dot(square, square, out=result),
            },
            config.repeats,
        )
    product = 2.0 * rows * len(matrix) ** 2
    gflops = {
        "flow": n_rhs[0] * product / statistics.median(seconds["flow"]) / 1e9,
        "product": n_rhs[0] * product / statistics.median(seconds["product"]) / 1e9,
        "square": 2.0 * len(square) ** 3 / statistics.median(seconds["square"]) / 1e9,
    }
    return {
        "rows": rows, "width": len(matrix), "n_rhs": n_rhs[0], "seconds": seconds, "gflops": gflops,
        "share_of_dgemm": gflops["flow"] / gflops["square"], "share_of_the_product": gflops["flow"] / gflops["product"],
    }  # fmt: skip


def _in_turn(timed: dict[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each, interleaved, so that a slow spell of the machine meets all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(repeats):
        for name, work in timed.items():
            begin = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - begin)
    return seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.ensembles", description=__doc__.splitlines()[0])
    parser.add_argument("--cores", type=int, default=Config.cores, help="threads of ours and of dgemm")
    parser.add_argument("--out", type=Path, default=machine.RESULTS / "ensembles.json")
    parser.add_argument("--fresh", action="store_true", help="measure everything again")
    parser.add_argument("--tiny", action="store_true", help="seconds; to see that it runs")
    options = parser.parse_args(given)
    code = machine.run_pinned("benchmarks.peers.ensembles", given, cores=options.cores)
    if code is not None:
        return code
    base = TINY if options.tiny else Config()
    config = Config(**{**base.__dict__, "cores": options.cores})
    run(config, options.out, fresh=options.fresh, say=lambda text: print(text, flush=True))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

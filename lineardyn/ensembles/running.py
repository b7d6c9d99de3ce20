"""From the arguments of a verb to an Ensemble: over threads, or over an executor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lineardyn.ensembles.ensemble import ENDED, Ensemble
from lineardyn.ensembles.executors import solve_over_executor
from lineardyn.ensembles.sweep import Outcome, Sweep
from lineardyn.ensembles.threads import default_threads, solve_in_threads
from lineardyn.errors import ArgumentError, ComputationError
from lineardyn.executors import ExecutorLike, check_executor
from lineardyn.progress import progress_bar
from lineardyn.trajectory import Trajectory
from lineardyn.validation import check_count

__all__ = ["OnResult", "check_single", "run_sweep"]

OnResult = Callable[[int, Trajectory], object]


def check_single(**options: Any) -> None:
    """Refuse what only an ensemble can use, where the arguments are of a single run."""
    for name, value in options.items():
        if value is not None:
            raise ArgumentError(
                f"{name} is given for a single run, expected an ensemble: give weights or rates a leading axis "
                f"(stack_weights makes one of several starts)"
            )


def run_sweep(
    sweep: Sweep,
    verb: str,
    *,
    threads: int | None,
    executor: ExecutorLike | None,
    on_result: OnResult | None,
    progress: bool,
    throw: bool,
) -> Ensemble:
    """Run all, tell ``on_result`` each as it ends, and raise or return what came of them."""
    n_threads = default_threads() if threads is None else check_count("threads", threads)
    if executor is not None:
        check_executor(executor)
    if on_result is not None and not callable(on_result):
        raise ArgumentError(f"on_result is {on_result!r}, expected a function of (index, trajectory)")
    out = sweep.room()
    outcomes = [sweep.lost()] * len(sweep)

    def done(run: int, outcome: Outcome) -> None:
        outcomes[run] = outcome
        if on_result is not None:
            on_result(run, sweep.trajectory(run, out[run], outcome))

    with progress_bar(verb.replace("_", " "), float(len(sweep)), shown=progress) as report:
        tell = report or (lambda _: None)
        if executor is None:
            solve_in_threads(sweep, out, n_threads, done, tell)
        else:
            solve_over_executor(sweep, out, executor, done, tell)
    ensemble = Ensemble(
        network=sweep.network, moments=sweep.moments, states=out, starts=sweep.starts, settings=sweep.settings,
        times=np.stack([o.times(t) for o, t in zip(outcomes, sweep.t, strict=True)]),
        reached=np.array([o.reached for o in outcomes]), statuses=tuple(o.status for o in outcomes),
        stats=tuple(o.stats for o in outcomes), events=tuple(o.events for o in outcomes),
    )  # fmt: skip
    if throw and ensemble.status not in ENDED:
        raise ComputationError(ensemble.status, f"{verb}: {ensemble.message}", ensemble)
    return ensemble

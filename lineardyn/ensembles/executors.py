"""Chunks of runs over any ``concurrent.futures.Executor``, by :class:`lineardyn.executors.Submission`."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineardyn.ensembles.sweep import Outcome, Sweep, evenly
from lineardyn.ensembles.threads import Done, one_blas_thread
from lineardyn.executors import ExecutorLike, Submission, look_at

__all__ = ["solve_over_executor"]

Floats = NDArray[np.float64]
MOST_CHUNKS = 64
IN_FLIGHT_BYTES = 2**30
"""Of statistics and starts that wait with the executor's workers."""


def solve_over_executor(
    sweep: Sweep, out: Floats, executor: ExecutorLike, done: Done, progress: Callable[[float], None]
) -> None:
    """Solve all groups over the executor; ``done`` is called in this thread, run by run as chunks end."""
    _Submission(sweep, out, executor, done, progress).run()


def _solve_chunk(part: Sweep, groups: list[slice], flag: Path | None, _: int) -> tuple[list[Floats], list[Outcome]]:
    """What a worker does: one chunk, on one thread, as its executor runs others beside it."""
    look_at(flag)
    report = None if flag is None else partial(_leave_off, flag)
    out, shared = part.room(), part.prepare()
    outcomes: list[Outcome] = []
    with one_blas_thread():
        for group in groups:
            outcomes += part.solve(group, out[group], shared, report)
    return [states[: outcome.reached] for states, outcome in zip(out, outcomes, strict=True)], outcomes


def _leave_off(flag: Path, _: float) -> None:
    look_at(flag)


class _Submission(Submission):
    """The chunks of a sweep."""

    def __init__(
        self, sweep: Sweep, out: Floats, executor: ExecutorLike, done: Done, progress: Callable[[float], None]
    ) -> None:
        self.sweep, self.out, self.done, self.progress = sweep, out, done, progress
        self.n_done = 0
        units = sweep.units()
        count = min(len(units), MOST_CHUNKS)
        self.chunks = [units[part] for part in evenly(len(units), count)]
        stats = sweep.moments.statistics
        chunk_bytes = sum(a.nbytes for a in stats[1:]) + sweep.starts.nbytes // count
        super().__init__(count, executor, max(2, os.cpu_count() or 1, IN_FLIGHT_BYTES // max(1, chunk_bytes)))

    def call(self, chunk: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        groups = self.chunks[chunk]
        runs = slice(groups[0].start, groups[-1].stop)
        groups = groups if self.sweep.together else [runs]
        inside = [slice(g.start - runs.start, g.stop - runs.start) for g in groups]
        return _solve_chunk, (self.sweep.part(runs), inside)

    def keep(self, chunk: int, result: tuple[list[Floats], list[Outcome]]) -> None:
        states, outcomes = result
        for run, (own, outcome) in enumerate(zip(states, outcomes, strict=True), self.chunks[chunk][0].start):
            self.out[run, : len(own)] = own
            self.done(run, outcome)
        self.n_done += len(outcomes)
        self.progress(self.n_done)

    def give_up(self, chunk: int) -> None:
        groups = self.chunks[chunk]
        for run in range(groups[0].start, groups[-1].stop):
            self.done(run, self.sweep.lost())

"""Chunks of runs over any ``concurrent.futures.Executor``; what a dead worker takes with it is given to another.

A chunk may itself kill its worker (memory). So each is tried three times, the last time with no other chunk beside it:
then only the guilty one is given up, and nothing that was finished is lost.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from functools import partial
from pathlib import Path
from pickle import PicklingError
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineardyn.ensembles.sweep import Outcome, Sweep, evenly
from lineardyn.ensembles.threads import Done, Stopped, one_blas_thread
from lineardyn.errors import ArgumentError

__all__ = ["ExecutorLike", "check_executor", "solve_over_executor"]

Floats = NDArray[np.float64]
ExecutorLike = Executor | Callable[[], Executor]
TRIES = 3
MOST_CHUNKS = 64
IN_FLIGHT_BYTES = 2**30
"""Of statistics and starts that wait with the executor's workers."""


def check_executor(executor: Any) -> None:
    """Refuse what has no ``submit`` and is no function that makes one."""
    if isinstance(executor, type) or not (hasattr(executor, "submit") or callable(executor)):
        raise ArgumentError(
            f"executor is {executor!r}, expected a concurrent.futures.Executor, or a function that makes one: "
            f"executor=lambda: ProcessPoolExecutor(2)"
        )


def solve_over_executor(
    sweep: Sweep, out: Floats, executor: ExecutorLike, done: Done, progress: Callable[[float], None]
) -> None:
    """Solve all groups over the executor; ``done`` is called in this thread, run by run as chunks end."""
    _Submission(sweep, out, executor).run(done, progress)


def _solve_chunk(part: Sweep, groups: list[slice], flag: Path | None, _: int) -> tuple[list[Floats], list[Outcome]]:
    """What a worker does: one chunk, on one thread, as its executor runs others beside it.

    It leaves off where the file ``flag`` is not there any more. The last argument is the number of the try: dask takes
    a call with the same arguments for the one that failed.
    """
    report = None if flag is None else partial(_leave_off, flag)
    if report is not None:
        report(0.0)
    out, shared = part.room(), part.prepare()
    outcomes: list[Outcome] = []
    with one_blas_thread():
        for group in groups:
            outcomes += part.solve(group, out[group], shared, report)
    return [states[: outcome.reached] for states, outcome in zip(out, outcomes, strict=True)], outcomes


def _leave_off(flag: Path, _: float) -> None:
    if not flag.exists():
        raise Stopped


class _Submission:
    """Chunks that wait, chunks that run, and how often each was lost."""

    def __init__(self, sweep: Sweep, out: Floats, executor: ExecutorLike) -> None:
        self.sweep, self.out = sweep, out
        self.make: Any = None if hasattr(executor, "submit") else executor
        self.executor: Any = executor if self.make is None else self._made()
        units = sweep.units()
        count = min(len(units), MOST_CHUNKS)
        self.chunks = [units[part] for part in evenly(len(units), count)]
        self.waiting = deque(range(count))
        self.running: dict[Future[Any], int] = {}
        self.lost: Counter[int] = Counter()
        self.broken = False
        self.flag: Path | None = None
        stats = sweep.moments.statistics
        chunk_bytes = sum(a.nbytes for a in stats[1:]) + sweep.starts.nbytes // count
        self.most = max(2, os.cpu_count() or 1, IN_FLIGHT_BYTES // max(1, chunk_bytes))

    def run(self, done: Done, progress: Callable[[float], None]) -> None:
        n_done = 0
        folder = TemporaryDirectory(prefix="lineardyn-")
        flag = self.flag = Path(folder.name) / "wanted"
        flag.touch()
        try:
            while self.waiting or self.running:
                self._submit(done)
                over, _ = wait(self.running, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in sorted(over, key=self.running.__getitem__):
                    chunk = self.running.pop(future)
                    try:
                        states, outcomes = future.result()
                    except Stopped:  # the worker does not see our files
                        self.flag = None
                        self.waiting.append(chunk)
                        continue
                    except Exception as error:
                        if not _worker_died(error):
                            _explain_pickling(error)
                            raise
                        self.broken |= isinstance(error, BrokenExecutor)
                        self._lose(chunk, done)
                        continue
                    n_done += len(outcomes)
                    self._keep(chunk, states, outcomes, done)
                    progress(n_done)
        finally:
            folder.cleanup()  # workers see it and stop
            for future in self.running:
                future.cancel()
            if self.make is not None:
                self.executor.shutdown(wait=not self.running)

    def _submit(self, done: Done) -> None:
        """Fill the executor; a chunk at its last try goes alone."""
        if self.broken:
            if self.running:  # they come back broken too
                return
            self._rebuild()
        while self.waiting and len(self.running) < self.most:
            chunk = self.waiting[0]
            alone = any(self.lost[c] == TRIES - 1 for c in (chunk, *self.running.values()))
            if alone and self.running:
                return
            groups = self.chunks[chunk]
            runs = slice(groups[0].start, groups[-1].stop)
            groups = groups if self.sweep.together else [runs]
            inside = [slice(g.start - runs.start, g.stop - runs.start) for g in groups]
            self.waiting.popleft()
            try:
                part = self.sweep.part(runs)
                future = self.executor.submit(_solve_chunk, part, inside, self.flag, self.lost[chunk])
                self.running[future] = chunk
            except BrokenExecutor:
                self.broken = True
                self._lose(chunk, done)
                return
            except RuntimeError as error:
                raise ArgumentError(f"executor takes no work ({error}), expected one that is running") from None

    def _rebuild(self) -> None:
        """A new executor, if we know how to make one; else the old one may have recovered, or refuses every chunk."""
        self.broken = False
        if self.make is not None:
            self.executor.shutdown(wait=False)
            self.executor = self._made()

    def _made(self) -> Executor:
        executor: Executor = self.make()
        if not hasattr(executor, "submit"):
            raise ArgumentError(f"executor makes {executor!r}, expected a function that makes an Executor")
        return executor

    def _lose(self, chunk: int, done: Done) -> None:
        self.lost[chunk] += 1
        if self.lost[chunk] < TRIES:
            self.waiting.append(chunk)
            return
        groups = self.chunks[chunk]
        for run in range(groups[0].start, groups[-1].stop):
            done(run, self.sweep.lost())

    def _keep(self, chunk: int, states: list[Floats], outcomes: list[Outcome], done: Done) -> None:
        for run, (own, outcome) in enumerate(zip(states, outcomes, strict=True), self.chunks[chunk][0].start):
            self.out[run, : len(own)] = own
            done(run, outcome)


def _explain_pickling(error: Exception) -> None:
    """Raise in our words what an executor says of what it cannot send to its workers."""
    said = any(words in str(error) for words in ("pickle", "Can't get local object"))  # the latter from Python 3.13 on
    if said and isinstance(error, PicklingError | AttributeError | TypeError):
        raise ArgumentError(
            f"executor cannot send the runs to its workers ({error}), expected what can be pickled: define functions "
            f"of events at the top of a module that the workers can import, or use threads="
        ) from None


def _worker_died(error: Exception) -> bool:
    """``BrokenExecutor`` of the standard library; ``KilledWorker`` of dask, known by its name: it may not be there."""
    return isinstance(error, BrokenExecutor) or type(error).__name__ == "KilledWorker"

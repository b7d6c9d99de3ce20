"""Groups of runs on threads: the kernels hold no interpreter lock, so that as many run at once as there are cores."""

from __future__ import annotations

import itertools
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from numba import config
from numpy.typing import NDArray

from lineardyn.ensembles.sweep import Outcome, Sweep
from lineardyn.executors import Stopped

__all__ = ["default_threads", "one_blas_thread", "solve_in_threads"]

Floats = NDArray[np.float64]
Done = Callable[[int, Outcome], None]
LOOK = 0.1
"""Seconds between looks at what is done."""


def default_threads() -> int:
    """NUMBA_NUM_THREADS, else OMP_NUM_THREADS, else the cores that this process may use.

    Asked of the settings, as ``numba.get_num_threads()`` would start numba's own threads, which are not used here.
    """
    most = int(vars(config)["NUMBA_NUM_THREADS"])
    limit = os.environ.get("OMP_NUM_THREADS", "")
    if "NUMBA_NUM_THREADS" not in os.environ and limit.isdigit() and int(limit) > 0:
        return min(most, int(limit))
    return most


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Matrix products on one thread each, where several runs go at once: else every run would start one per core.

    The limit is the process's: the first to come sets it, the last to go lifts it.
    """
    from threadpoolctl import threadpool_limits

    with _limit.lock:
        if _limit.users == 0:
            _limit.limits = threadpool_limits(1, user_api="blas")
        _limit.users += 1
    try:
        yield
    finally:
        with _limit.lock:
            _limit.users -= 1
            if _limit.users == 0:
                _limit.limits.restore_original_limits()


class _Limit:
    """Who works under the limit now."""

    lock = threading.Lock()
    users = 0
    limits: Any = None


_limit = _Limit()


def solve_in_threads(sweep: Sweep, out: Floats, threads: int, done: Done, progress: Callable[[float], None]) -> None:
    """Solve all groups; ``done`` is called in this thread, run by run as they end, ``progress`` with runs done.

    Ctrl-C (or an error) stops the threads at the next return of their kernels, 0.1 s at most.
    """
    groups = sweep.groups()
    if len(groups) == 1:  # BLAS then has the threads
        outcomes = sweep.solve(groups[0], out, sweep.prepare(), lambda share: progress(share * len(sweep)))
        for run, outcome in enumerate(outcomes):
            done(run, outcome)
        return
    with one_blas_thread():
        if threads == 1:
            shared = sweep.prepare()
            for group in groups:
                for run, outcome in enumerate(sweep.solve(group, out[group], shared, None), group.start):
                    done(run, outcome)
                    progress(run + 1)
        else:
            _Pool(sweep, groups, out).run(min(threads, len(groups)), done, progress)


class _Pool:
    """Threads that take the next group each, and the main thread that looks on."""

    def __init__(self, sweep: Sweep, groups: list[slice], out: Floats) -> None:
        self.sweep, self.groups, self.out = sweep, groups, out
        self.ticket = itertools.count()
        self.stop = threading.Event()
        self.ended: deque[tuple[int, Outcome]] = deque()
        self.shares = np.zeros(len(groups))

    def run(self, threads: int, done: Done, progress: Callable[[float], None]) -> None:
        sizes = np.array([group.stop - group.start for group in self.groups])
        with ThreadPoolExecutor(threads, thread_name_prefix="lineardyn") as pool:
            try:
                waiting: set[Future[None]] = {pool.submit(self._work) for _ in range(threads)}
                while waiting:
                    over, waiting = wait(waiting, timeout=LOOK, return_when=FIRST_COMPLETED)
                    for future in over:
                        future.result()
                    while self.ended:
                        done(*self.ended.popleft())
                    progress(float(self.shares @ sizes))
            finally:
                self.stop.set()

    def _work(self) -> None:
        shared = self.sweep.prepare()
        while not self.stop.is_set() and (i := next(self.ticket)) < len(self.groups):
            group = self.groups[i]
            outcomes = self.sweep.solve(group, self.out[group], shared, partial(self._report, i))
            try:
                for run, outcome in enumerate(outcomes, group.start):
                    self.ended.append((run, outcome))
                    self._report(i, (run + 1 - group.start) / (group.stop - group.start))
            except Stopped:
                return

    def _report(self, i: int, share: float) -> None:
        if self.stop.is_set():
            raise Stopped
        self.shares[i] = share

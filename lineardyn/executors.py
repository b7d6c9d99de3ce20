"""Chunks of work over any ``concurrent.futures.Executor``; what a dead worker takes with it is given to another.

A chunk may itself kill its worker (memory). So each is tried three times, the last time with no other chunk beside it:
then only the guilty one is given up, and nothing that was finished is lost.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from pathlib import Path
from pickle import PicklingError
from tempfile import TemporaryDirectory
from typing import Any

from lineardyn.errors import ArgumentError

__all__ = ["TRIES", "ExecutorLike", "Stopped", "Submission", "check_executor", "look_at"]

ExecutorLike = Executor | Callable[[], Executor]
Call = tuple[Callable[..., Any], tuple[Any, ...]]
TRIES = 3


class Stopped(Exception):
    """Raised to leave work that nobody waits for any more."""


def check_executor(executor: Any) -> None:
    """Refuse what has no ``submit`` and is no function that makes one."""
    if isinstance(executor, type) or not (hasattr(executor, "submit") or callable(executor)):
        raise ArgumentError(
            f"executor is {executor!r}, expected a concurrent.futures.Executor, or a function that makes one: "
            f"executor=lambda: ProcessPoolExecutor(2)"
        )


def look_at(flag: Path | None) -> None:
    """What a worker calls between two pieces of its chunk: it leaves off where the file is not there any more."""
    if flag is not None and not flag.exists():
        raise Stopped


class Submission(ABC):
    """Chunks ``0, .., count - 1`` that wait, chunks that run, and how often each was lost.

    A subclass says what a chunk calls, and what becomes of its result; all its methods are called in the thread of
    :meth:`run`. At most ``most`` chunks are with the executor at once.
    """

    def __init__(self, count: int, executor: ExecutorLike, most: int) -> None:
        self.make: Any = None if hasattr(executor, "submit") else executor
        self.executor: Any = executor if self.make is None else self._made()
        self.waiting = deque(range(count))
        self.running: dict[Future[Any], int] = {}
        self.lost: Counter[int] = Counter()
        self.broken = False
        self.flag: Path | None = None
        self.most = most

    @abstractmethod
    def call(self, chunk: int) -> Call:
        """The function that computes a chunk, and its arguments.

        Two more follow them: the ``flag`` of :func:`look_at`, and the number of the try: dask takes a call with the
        same arguments for the one that failed.
        """

    @abstractmethod
    def keep(self, chunk: int, result: Any) -> None:
        """Take what a chunk's call returned."""

    @abstractmethod
    def give_up(self, chunk: int) -> None:
        """A chunk whose worker died at every try."""

    def settle(self) -> None:
        """Called whenever several results may have been kept, before the next are waited for."""
        return

    def run(self) -> None:
        """Have all chunks computed. An error of the work itself ends it; so does Ctrl-C, which workers notice."""
        folder = TemporaryDirectory(prefix="lineardyn-")
        flag = self.flag = Path(folder.name) / "wanted"
        flag.touch()
        try:
            while self.waiting or self.running:
                self._submit()
                over, _ = wait(self.running, timeout=0.2, return_when=FIRST_COMPLETED)
                self._take(sorted(over, key=self.running.__getitem__))
                self.settle()
        finally:
            folder.cleanup()  # workers see it and stop
            for future in self.running:
                future.cancel()
            if self.make is not None:
                self.executor.shutdown(wait=not self.running)

    def _take(self, over: Iterable[Future[Any]]) -> None:
        for future in over:
            chunk = self.running.pop(future)
            try:
                result = future.result()
            except Stopped:  # the worker does not see our files
                self.flag = None
                self.waiting.append(chunk)
            except Exception as error:
                if not _worker_died(error):
                    _explain_pickling(error)
                    raise
                self.broken |= isinstance(error, BrokenExecutor)
                self._lose(chunk)
            else:
                self.keep(chunk, result)

    def _submit(self) -> None:
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
            work, arguments = self.call(chunk)
            self.waiting.popleft()
            try:
                future = self.executor.submit(work, *arguments, self.flag, self.lost[chunk])
                self.running[future] = chunk
            except BrokenExecutor:
                self.broken = True
                self._lose(chunk)
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

    def _lose(self, chunk: int) -> None:
        self.lost[chunk] += 1
        if self.lost[chunk] < TRIES:
            self.waiting.append(chunk)
        else:
            self.give_up(chunk)


def _explain_pickling(error: Exception) -> None:
    """Raise in our words what an executor says of what it cannot send to its workers."""
    said = any(words in str(error) for words in ("pickle", "Can't get local object"))  # the latter from Python 3.13 on
    if said and isinstance(error, PicklingError | AttributeError | TypeError):
        raise ArgumentError(
            f"executor cannot send the runs to its workers ({error}), expected what can be pickled: define functions "
            f"of events or claims at the top of a module that the workers can import, or use threads"
        ) from None


def _worker_died(error: Exception) -> bool:
    """``BrokenExecutor`` of the standard library; ``KilledWorker`` of dask, known by its name: it may not be there.

    dask also cancels what it cannot bring back; nobody else cancels what runs here.
    """
    return isinstance(error, BrokenExecutor | CancelledError) or type(error).__name__ == "KilledWorker"

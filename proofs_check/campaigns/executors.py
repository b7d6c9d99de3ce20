"""Executors by name: ``threads``, ``threads:4``, ``processes:4``, ``dask://HOST:PORT``."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from lineardyn.ensembles.threads import default_threads
from lineardyn.errors import ArgumentError
from lineardyn.executors import ExecutorLike, check_executor

__all__ = ["THREADS", "open_executor"]

THREADS = "proofs_check-campaign"
"""How the names of our threads begin."""
CONNECT_SECONDS = 20
_FORMS = "threads, threads:N, processes:N or dask://HOST:PORT"


@contextmanager
def open_executor(executor: ExecutorLike | str | None) -> Iterator[ExecutorLike | None]:
    """What to submit to; closed in the end where it was made here.

    Raises
    ------
    ArgumentError
        No such form, no number of workers, dask is not installed, or nobody answers at its address.
    """
    if executor is None:
        yield None
    elif not isinstance(executor, str):
        check_executor(executor)
        yield executor
    elif executor.startswith("dask://"):
        with _dask(executor.removeprefix("dask://"), executor) as client:
            yield client
    else:
        kind, _, number = executor.partition(":")
        if kind == "threads":
            workers = _count(number, executor) if number else default_threads()
            yield lambda: ThreadPoolExecutor(workers, thread_name_prefix=THREADS)
        elif kind == "processes":
            workers = _count(number, executor)
            yield lambda: _processes(workers)
        else:
            raise ArgumentError(f"executor is {executor!r}, expected {_FORMS}")


def _count(number: str, executor: str) -> int:
    if not (number.isascii() and number.isdigit() and int(number) > 0):
        raise ArgumentError(f"executor is {executor!r}, expected a number of workers N >= 1: {_FORMS}")
    return int(number)


def _processes(workers: int) -> Executor:
    """Spawned, as on every system: a forked child would share locks of threads that it has not."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker)


def _begin_worker() -> None:
    """Ctrl-C is the parent's affair, which tells us; and where the parent is killed, nobody else would end us."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)


@contextmanager
def _dask(address: str, executor: str) -> Iterator[Executor]:
    try:
        from distributed import Client
    except ImportError:
        raise ArgumentError(
            f"executor is {executor!r}, which needs dask.distributed: install the extra with "
            f"pip install 'lineardyn[distributed]'"
        ) from None
    try:
        client = Client(f"tcp://{address}", timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ArgumentError(
            f"executor is {executor!r}, but no scheduler answers there ({reason}): start one with 'dask scheduler', "
            f"and see its address"
        ) from None
    try:
        _wait_for_workers(client, executor)
        yield client.get_executor(pure=False)
    finally:
        client.close()


def _wait_for_workers(client: Any, executor: str) -> None:
    try:
        client.wait_for_workers(1, timeout=CONNECT_SECONDS)
    except TimeoutError:
        raise ArgumentError(
            f"executor is {executor!r}, whose scheduler has no worker: start some with 'dask worker HOST:PORT', where "
            f"the same version of lineardyn is installed"
        ) from None

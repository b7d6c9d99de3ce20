"""Tests in several processes at once (``pytest -n``), a pytest plugin: how many, of how many threads, with one cache.

pytest-xdist is asked for by ``-n``, and need not be installed: its hooks are optional.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from numba.core.caching import IndexDataCacheFile


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One for each core that this process may use; xdist itself would count two hyperthreads as one."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """One thread in each worker: BLAS, OpenMP and PyTorch would start one for each core in every one of them."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput") and importlib.util.find_spec("fcntl"):  # Windows has none
        IndexDataCacheFile.save = saved_alone


def saved_alone(file: IndexDataCacheFile, key: Any, data: Any, save: Any = IndexDataCacheFile.save) -> None:
    """Into numba's disk cache, one process at a time.

    numba writes its files whole, but reads the index, takes a free number and writes the index back: two workers that
    compile one function for different types would both take the same, and one might find the machine code of the other.
    """
    with _locked(file._cache_path):
        save(file, key, data)


@contextmanager
def _locked(folder: str) -> Iterator[None]:
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)  # the lock goes with it

"""What workers share: the disk cache of compiled functions, and the cores."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from numba.core.caching import IndexDataCacheFile

from tests.workers import pytest_xdist_auto_num_workers, saved_alone


def test_what_two_save_at_once_is_all_found(tmp_path: Path) -> None:
    """Saved without waiting for one another, most entries were lost when this was written."""
    pytest.importorskip("fcntl", reason="no locks of this kind on Windows")
    files = [IndexDataCacheFile(str(tmp_path), "f", "stamp") for _ in range(2)]

    def fill(worker: int) -> None:
        for i in range(50):
            saved_alone(files[worker], (worker, i), [worker, i])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(fill, range(2)))
    assert all(files[0].load((worker, i)) == [worker, i] for worker in range(2) for i in range(50))


def test_a_worker_for_each_core_that_may_be_used() -> None:
    assert 1 <= pytest_xdist_auto_num_workers() <= (os.cpu_count() or 1)

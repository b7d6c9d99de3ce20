"""Can the suite fail? Each error of ``tests/planted`` is planted in the library; a test of the suite must notice.

A planted error that passes shows tests that test nothing.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from tests import planting
from tests.planted import PLANTED, probes
from tests.planting import ROOT, place

WORKERS = 2
SECONDS = 3600  # for one that waits for ever; a check that computes for ever has a limit of CPU time


def plant(names: list[str]) -> subprocess.Popen[str]:
    """A process that plants these, without compilation."""
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.planting", *names],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
    )  # fmt: skip


@pytest.fixture(scope="module")
def results(request: pytest.FixtureRequest) -> dict[str, dict[str, str]]:
    """What happened to each of the errors that were asked for, with the error and without."""
    wanted = [item.callspec.params["name"] for item in request.session.items if _is_planted(item) and _runs(item)]
    by_check = sorted(wanted, key=lambda name: repr(PLANTED[name].check))  # without an error each check runs once
    workers = [plant(list(part)) for part in np.array_split(by_check, WORKERS) if len(part)]
    found: dict[str, dict[str, str]] = {}
    try:
        for worker in workers:
            out, errors = worker.communicate(timeout=SECONDS)
            assert worker.returncode == 0, errors
            found.update(json.loads(out))
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    return found


def _is_planted(item: Any) -> bool:
    return getattr(item, "function", None) is test_planted_error_is_noticed


def _runs(item: Any) -> bool:
    return item.get_closest_marker("skip") is None


def _marked(name: str) -> Any:
    """Tests of probes need PyTorch."""
    return pytest.param(name, marks=pytest.mark.torch) if name in probes.PLANTED else name


@pytest.mark.parametrize("name", [_marked(name) for name in sorted(PLANTED)])
def test_planted_error_is_noticed(name, results):
    """By an assertion, or an exception that does not come: another one would be a slip of the pen."""
    if name in probes.PLANTED:
        pytest.importorskip("torch")
    assert results[name]["without"] == "passed"
    assert results[name]["with"].startswith(("AssertionError", "Failed")), results[name]["with"]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers")
def test_a_check_that_does_not_end_is_given_up(monkeypatch):
    def for_ever():
        while True:
            pass

    monkeypatch.setattr(planting, "SECONDS", 0.1)
    with pytest.raises(TimeoutError, match=r"more than 0.1 s of CPU time"), planting._limited():
        for_ever()


def test_a_line_that_moved_is_told():
    name = next(iter(PLANTED))
    gone = type(PLANTED[name])("lineardyn.fourier", "no such line", "", PLANTED[name].check)
    with pytest.raises(LookupError, match=r"the line moved: .* update the table"):
        place(gone)

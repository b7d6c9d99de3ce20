"""A campaign that is killed or interrupted loses nothing that was committed, and ends as it would have."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lineardyn.errors import DataFileError
from proofs_check import Ledger, campaign
from proofs_check.campaigns import running
from proofs_check.claim import BATCH
from tests.proofs_check.test_campaigns import batched_toy

ROOT = Path(__file__).parents[2]
N = 24_000
SCRIPT = f"""
from proofs_check import campaign
from proofs_check.campaigns import running
from tests.proofs_check.test_campaigns import batched_toy

if __name__ == "__main__":
    import sys
    running.LENGTHS["batched"] = {4 * BATCH}
    campaign([batched_toy()], n={N}, rng=0, store=sys.argv[1], executor=sys.argv[2],
             on_block=lambda block: print(block.first, flush=True))
"""

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows has neither SIGKILL nor SIGINT for one process"
)


@pytest.fixture(autouse=True)
def blocks_of_the_script(monkeypatch):
    monkeypatch.setitem(running.LENGTHS, "batched", 4 * BATCH)


@contextmanager
def begun(arguments: list[str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that does not outlive a failed test."""
    with subprocess.Popen(
        [sys.executable, *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"},
        start_new_session=True,  # a group of its own, which Ctrl-C reaches as a whole
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def held(path: Path) -> int:
    """Instances in a store that may be in the making."""
    try:
        return Ledger.load(path).n
    except DataFileError:
        return 0


def killed_after(path: Path, executor: str, blocks: int, delay: float) -> list[int]:
    """Which blocks a process said that it had committed before it was killed, in the middle of something."""
    (path.parent / "script.py").write_text(SCRIPT, encoding="utf-8")
    with begun(["script.py", str(path), executor], path.parent) as process:
        assert process.stdout is not None
        told = [int(process.stdout.readline()) for _ in range(blocks)]
        time.sleep(delay)
        process.kill()
        told += [int(line) for line in process.stdout.read().split("\n")[:-1]]
    assert process.returncode == -signal.SIGKILL
    return told


def test_killed_at_random_moments_it_loses_and_doubles_nothing(tmp_path):
    path, luck, told = tmp_path / "s", random.Random(5), []
    for executor in ("threads:2", "threads:1"):
        told += killed_after(path, executor, luck.randrange(1, 20), luck.uniform(0.0, 0.02))
        before = Ledger.load(path)["toy"].n
        assert before >= 4 * BATCH * len(told)  # what it told was committed
        assert before < N
    assert len(set(told)) == len(told)
    fresh = []
    ledger = campaign([batched_toy()], n=N, rng=0, store=path, executor="threads:2", on_block=fresh.append)
    assert sum(block.n for block in fresh) == N - before
    assert ledger == campaign([batched_toy()], n=N, rng=0)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="children are looked up in /proc")
def test_workers_end_when_their_campaign_is_killed(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    with begun(["script.py", str(tmp_path / "s"), "processes:1"], tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert workers
        process.kill()
        deadline = time.monotonic() + 30.0
        while any(is_alive(pid) for pid in workers):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert campaign([batched_toy()], n=N, rng=0, store=tmp_path / "s") == campaign([batched_toy()], n=N, rng=0)


def is_alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("executor", [None, "threads:2", "processes:1"])
def test_ctrl_c_is_one_line_and_the_same_command_goes_on(tmp_path, executor):
    path, n = tmp_path / "s", 1_000_000
    command = ["-m", "proofs_check", "campaign", "parseval", "--n", str(n), "--store", str(path)]
    command += ["--executor", executor] if executor else []
    with begun(command, tmp_path) as process:
        while held(path) <= 500:
            assert process.poll() is None
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        printed, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error == f"interrupted: store {path} is whole, and the same command goes on from there\n"
    assert printed == ""
    before = Ledger.load(path)["parseval"].n
    assert 500 < before < n
    after = campaign(["parseval"], n=before + 300, rng=0, store=path)
    assert after["parseval"].n == before + 300
    assert after == campaign(["parseval"], n=before + 300, rng=0)

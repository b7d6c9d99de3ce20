"""The rule for skipped tests, seen to fail a run and to let one pass."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.skips import hides_work

ROOT = Path(__file__).resolve().parents[1]
SUITE = """
import pytest

@pytest.mark.torch
def test_marked(): pass

def test_imports(): pytest.importorskip("no_such_torch")

def test_plain(): pass

@pytest.mark.data("cifar10")
def test_images(): pass

@pytest.mark.skipif(True, reason="could not import 'diffrax'")
def test_peer(): pass
"""


def run(folder: Path, *options: str, data: str = "", tests: str = SUITE) -> subprocess.CompletedProcess[str]:
    (folder / "test_suite.py").write_text(tests, encoding="utf-8")
    environment = {**os.environ, "LINEARDYN_DATA": data, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.skips",
        "-c",
        str(ROOT / "setup.cfg"),
        "--rootdir",
        str(folder),
    ]
    return subprocess.run(
        [*command, *options, str(folder)], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_full_run_fails_when_a_package_was_missing(tmp_path):
    result = run(tmp_path, "--full")
    assert result.returncode == 1, result.stdout
    assert "test_imports: Skipped: could not import 'no_such_torch'" in result.stdout
    assert "3 skipped" in result.stdout  # no_such_torch, the absent images, the absent peer


def test_workers_tell_their_skips_to_the_process_that_decides(tmp_path):
    """As ``make test`` runs: skipped tests and skipped files, each told once though every worker collects them all."""
    pytest.importorskip("xdist", reason="could not import pytest-xdist (extra 'test')")
    (tmp_path / "test_file.py").write_text('import pytest\npytest.importorskip("no_such_file")\n', encoding="utf-8")
    result = run(tmp_path, "--full", "-n", "2")
    assert result.returncode == 1, result.stdout
    told = result.stdout.partition("skips that --full does not admit")[2].partition("The run fails")[0]
    assert [told.count(f"could not import '{name}'") for name in ("no_such_torch", "no_such_file")] == [1, 1]


def test_full_run_passes_when_only_absent_data_and_peers_were_skipped(tmp_path):
    result = run(tmp_path, "--full", "-k", "not imports")
    assert result.returncode == 0, result.stdout
    assert "2 passed, 2 skipped" in result.stdout


def test_full_run_fails_when_data_that_are_there_were_skipped(tmp_path):
    files = tmp_path / "data" / "cifar-10-batches-py"
    files.mkdir(parents=True)
    (files / "data_batch_1").touch()
    skip = 'import pytest\ndef test_images(): pytest.skip("no CIFAR-10 files")\n'
    assert run(tmp_path, "--full", data=str(tmp_path / "data"), tests=skip).returncode == 1
    assert run(tmp_path, "--full", data="", tests=skip).returncode == 0
    assert "3 passed" in run(tmp_path, "-k", "not imports", data=str(tmp_path / "data")).stdout  # the marker finds them


def test_light_run_names_and_counts_what_it_leaves_out(tmp_path):
    result = run(tmp_path, "--light", "-k", "marked or plain")
    assert result.returncode == 0, result.stdout
    assert "test_suite.py::test_marked" in result.stdout
    assert "1 test left out for lack of PyTorch" in result.stdout


@pytest.mark.torch
def test_light_run_leaves_torch_out_where_it_is_installed(tmp_path):
    pytest.importorskip("torch")
    tests = 'import pytest\ndef test_it(): pytest.importorskip("torch")\n'
    assert "1 passed" in run(tmp_path, "--full", tests=tests).stdout
    result = run(tmp_path, "--light", tests=tests)
    assert "test_suite.py::test_it: Skipped: could not import 'torch'" in result.stdout
    assert "1 test left out for lack of PyTorch" in result.stdout


def test_full_and_light_exclude_each_other(tmp_path):
    assert run(tmp_path, "--full", "--light").returncode == pytest.ExitCode.USAGE_ERROR


def test_a_skip_for_another_platform_is_admitted():
    assert not hides_work("no symbolic links on this system")
    assert hides_work("needs PyTorch")

"""The README's Python blocks run as they stand, are about ten lines, and what it names exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)


def test_there_is_one_quick_start_for_each_package():
    imported = [set(re.findall(r"^from (\w+) import", block, flags=re.MULTILINE)) for block in BLOCKS]
    assert len(BLOCKS) == 5
    assert "lineardyn" in imported[0]
    assert "solvers" in imported[1]
    assert "proofs_check" in imported[2] & imported[3]
    assert "torch" in imported[4]  # of proofs_check.probes
    assert max(block.count("\n") for block in BLOCKS) <= 12


@pytest.mark.parametrize(
    "block",
    [*BLOCKS[:4], pytest.param(BLOCKS[4], marks=pytest.mark.torch)],
    ids=["lineardyn", "solvers", "proofs_check", "bottleneck", "probes"],
)
def test_quick_start_runs(block, capsys):
    if "torch" in block:
        pytest.importorskip("torch").set_num_threads(1)
    exec(compile(block, "README.md", "exec"), {"__name__": "readme"})
    printed = capsys.readouterr().out
    assert printed.strip()
    assert not re.search(r"\bnan\b", printed)


def test_linked_files_exist():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_options_of_the_report_are_those_of_the_command():
    command = [sys.executable, "-m", "proofs_check", "report", "--help"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, encoding="utf-8").stdout
    table = set(re.findall(r"^\| `(--\w+)", README, flags=re.MULTILINE))
    assert table
    assert table == set(re.findall(r"(--\w+)", told)) - {"--help"}

"""The command line: what goes wrong is said in one sentence that names the argument, and nothing is written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from proofs_check.__main__ import main

ROOT = Path(__file__).parents[2]


def save(path, images, labels):
    np.savez(path, images=images, labels=labels)
    return str(path)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Bad input of every kind, in a folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LINEARDYN_DATA", raising=False)
    good = np.random.default_rng(0).random((40, 1, 8, 8))
    labels = np.arange(40) % 2
    save("good.npz", good, labels)
    save("rank.npz", good[:, 0], labels)
    save("last.npz", good.transpose(0, 2, 3, 1), labels)
    save("nan.npz", np.where(good > 0.99, np.nan, good), labels)
    save("one_class.npz", good, 0 * labels)
    save("short.npz", good, labels[:-1])
    save("constant.npz", 0 * good + 1, labels)
    save("two_constant.npz", np.ones((2, 1, 8, 8)), [0, 1])  # too few to be centred
    save("huge.npz", 1e200 * good, labels)
    Path("folder.npz").mkdir()
    np.savez("lacking.npz", images=good)
    np.savez("pickled.npz", images=np.array([{}], dtype=object), labels=labels)
    Path("broken.npz").write_bytes(Path("good.npz").read_bytes()[:200])
    Path("text.npz").write_text("no zip", encoding="utf-8")
    Path("table.csv").write_text("1,2", encoding="utf-8")
    Path("full").mkdir()
    Path("full/thesis.tex").write_text("", encoding="utf-8")
    Path("empty").mkdir()
    return tmp_path


BAD = [
    (["--data", "shape"], ["--data", "shape", "did you mean shapes"]),
    (["--data", "nothing like it"], ["--data", "shapes, patches"]),
    (["--data", "absent.npz"], ["--data absent.npz", "does not exist"]),
    (["--data", "table.csv"], ["--data table.csv", "no .npz"]),
    (["--data", "rank.npz"], ["images", "(N, C, H, W)", "images[:, None]"]),
    (["--data", "last.npz"], ["images", "channels-last"]),
    (["--data", "nan.npz"], ["images", "nan", "finite"]),
    (["--data", "one_class.npz"], ["labels", "at least two classes"]),
    (["--data", "short.npz"], ["labels", "39", "40"]),
    (["--data", "constant.npz"], ["constant"]),
    (["--data", "two_constant.npz"], ["two_constant.npz", "constant"]),
    (["--data", "huge.npz", "--runs", "1"], ["overflow", "rescale"]),
    (["--data", "folder.npz"], ["--data folder.npz", "is a folder"]),
    (["--data", "lacking.npz"], ["labels"]),
    (["--data", "pickled.npz"], ["pickled.npz"]),
    (["--data", "broken.npz"], ["broken.npz"]),
    (["--data", "text.npz"], ["text.npz"]),
    (["--data", "good.npz", "--classes", "0,7"], ["--classes", "7"]),
    (["--data", "good.npz", "--size", "16"], ["--size", "16", "at most 8"]),
    (["--data", "cifar10", "--root", "empty"], ["CIFAR-10", "root", "empty"]),
    (["--data", "mnist"], ["LINEARDYN_DATA"]),
    (["--data", "mnist", "--root", "absent"], ["--root", "absent"]),
    (["--data", "cifar10", "--classes", "0,x"], ["--classes", "0,x"]),
    (["--data", "cifar10", "--classes", "3"], ["--classes", "at least two"]),
    (["--data", "cifar10", "--classes", "3,3"], ["--classes", "different"]),
    (["--classes", "0,1"], ["--classes", "leave --classes out"]),
    (["--root", "empty"], ["--root", "leave --root out"]),
    (["--size", "4"], ["--size", "4"]),
    (["--size", "big"], ["--size", "big"]),
    (["--runs", "0"], ["--runs", "0"]),
    (["--seed", "-1"], ["--seed", "-1"]),
    (["--out", "full"], ["--out", "full", "no earlier report"]),
    (["--out", "good.npz"], ["--out", "is a file"]),
    (["--out", "good.npz/report"], ["--out", "cannot be written"]),
    (["--out", "a\0b"], ["--out", "null"]),
    (["--out", "x" * 300], ["--out", "xxx", "cannot be written"]),
    (["--out", "~nobody-of-that-name/report"], ["--out", "~nobody", "choose another"]),
    (["--out", "."], ["--out", "a folder of its own"]),
    (["--colour", "red"], ["--colour"]),
]


@pytest.mark.parametrize(("arguments", "words"), BAD, ids=[" ".join(a) for a, _ in BAD])
def test_bad_input_is_one_sentence_and_status_2(files, capsys, arguments, words):
    before = sorted(p for p in files.rglob("*"))
    assert main(["report", *arguments]) == 2
    shown = capsys.readouterr()
    error = shown.err.lower()
    assert error.count("\n") == 1
    assert error.startswith("error: ")
    for word in words:
        assert word.lower() in error, error
    assert sorted(p for p in files.rglob("*")) == before


@pytest.mark.parametrize("arguments", [[], ["reprot"], ["check", "E99"], ["check", "--n", "0"]])
def test_a_wrong_verb_or_claim_is_said(capsys, arguments):
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_list_shows_every_claim(capsys):
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    for name in ("sigmoid", "clock", "E1", "E11"):
        assert name in shown


def test_check_prints_verdict_and_witness(capsys):
    assert main(["check", "e1", "parseval", "--n", "3"]) == 0
    shown = capsys.readouterr().out
    assert "refuted" in shown
    assert "not refuted" in shown
    assert "0.7071068 against 0.5" in shown


def test_check_fails_if_a_claim_is_not_as_expected(monkeypatch, capsys):
    from dataclasses import replace

    from proofs_check import claims, get
    from proofs_check.verdict import Outcome

    wrong = replace(get("E1"), expected=Outcome.NOT_REFUTED)
    both = (wrong, claims()[0])
    # the package's attribute "claims" is the function: the module is in sys.modules alone
    monkeypatch.setattr(sys.modules["proofs_check.claims"], "claims", lambda: both)
    assert main(["check", "--n", "2"]) == 1
    assert "not as expected" in " ".join(capsys.readouterr().out.split())


def test_interrupt_inside_is_one_line_and_status_130(monkeypatch, capsys, tmp_path):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("proofs_check.report.make.compile_kernels", interrupted)
    # other tests leave threads behind (dask does), with which it would end this process at once
    monkeypatch.setattr("proofs_check.__main__._leave_if_threads_run", lambda status: None)
    assert main(["report", "--size", "8", "--out", str(tmp_path / "report")]) == 130
    assert capsys.readouterr().err == "interrupted: nothing was written\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_in_the_middle_leaves_nothing(tmp_path):
    command = [sys.executable, "-m", "proofs_check", "report", "--runs", "500", "--out", str(tmp_path / "report")]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:  # in the middle of the runs, with threads at work
        if line.startswith("geometric shapes: horizon"):
            break
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error == "interrupted: nothing was written\n"
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line_and_leaves_nothing(monkeypatch, capsys, tmp_path):
    def full(*_, **__):
        raise OSError(28, "No space left on device", str(tmp_path / "report"))

    monkeypatch.setattr("proofs_check.report.make.compile_kernels", full)
    assert main(["report", "--size", "8", "--out", str(tmp_path / "report")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "No space left" in error
    assert list(tmp_path.iterdir()) == []

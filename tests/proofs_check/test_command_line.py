"""The command line: what goes wrong is said in one sentence that names the argument, and nothing is written."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from proofs_check import Witness, campaign, check, claims, get
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
    assert main(["report", "--instances", "1", *arguments]) == 2
    shown = capsys.readouterr()
    error = shown.err.lower()
    assert error.count("\n") == 1
    assert error.startswith("error: ")
    for word in words:
        assert word.lower() in error, error
    assert sorted(p for p in files.rglob("*")) == before


BAD_TRIALS = [
    ([], ["report|list|check|campaign|replay"]),
    (["reprot"], ["reprot"]),
    (["check", "E99"], ["'E99'", "registered claim"]),
    (["check", "--n", "0"], ["--n is 0"]),
    (["check", "E1", "--seed", "-1"], ["--seed is -1"]),
    (["check", "E1", "--witness", "table.csv"], ["--witness table.csv", "expected a folder"]),
    (["check", "E1", "--witness", "a\0b"], ["--witness", "null"]),
    (["campaign", "parsevel"], ["did you mean 'parseval'"]),
    (["campaign", "E1", "--n", "many"], ["--n", "many"]),
    (["campaign", "E1", "--executor", "cores"], ["'cores'", "threads:N", "dask://HOST:PORT"]),
    (["campaign", "E1", "--executor", "threads:x"], ["'threads:x'", "N >= 1"]),
    (["campaign", "E1", "--store", "absent/s"], ["absent", "make it first"]),
    (["campaign", "E1", "--store", "full"], ["full is a folder"]),
    (["campaign", "E1", "--store", "table.csv"], ["table.csv", "is no store", "take another file"]),
    (["campaign", "E1", "--store", "x" * 300], ["cannot be opened", "too long"]),
    (["replay", "absent.json"], ["absent.json does not exist"]),
    (["replay", "table.csv"], ["is no JSON"]),
    (["replay", "full"], ["full", "is a folder"]),
]


@pytest.mark.parametrize(("arguments", "words"), BAD_TRIALS, ids=[" ".join(a) for a, _ in BAD_TRIALS])
def test_bad_input_of_the_other_verbs_is_one_sentence(files, capsys, arguments, words):
    before = sorted(files.rglob("*"))
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.err.count("\n") == 1
    assert shown.err.startswith("error: ")
    for word in words:
        assert word in shown.err, shown.err
    assert shown.out == ""
    assert sorted(files.rglob("*")) == before


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


def test_a_planted_error_that_nobody_notices_fails_the_check(monkeypatch, capsys):
    from dataclasses import replace

    from proofs_check import get

    blind = replace(get("parseval"), mutants={"nothing [bold]changed": {}})
    monkeypatch.setattr(sys.modules["proofs_check.claims"], "claims", lambda: (blind,))
    assert main(["check", "--n", "2"]) == 0
    capsys.readouterr()
    assert main(["check", "--n", "2", "--power"]) == 1
    shown = capsys.readouterr().out
    assert "not refuted, not as" in shown
    assert "[bold]" in shown  # names are no markup


def test_check_shows_how_many_cases_notice_each_planted_error(capsys):
    assert main(["check", "E1", "--n", "9", "--power", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["outcome"] == "REFUTED"
    assert set(row["power"]) == set(get("E1").mutants)
    assert main(["check", "E1", "--n", "9", "--power"]) == 0
    shown = capsys.readouterr().out
    for name, count in row["power"].items():
        assert re.search(rf"{re.escape(name)} +│ +{count} │ +9 │ refuted", shown), shown


def test_list_as_json(capsys):
    assert main(["list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["id"] for row in rows] == [claim.id for claim in claims()]
    assert {row["kind"] for row in rows} >= {"proved", "erratum"}
    assert all(row["mutants"] for row in rows)


def test_a_saved_witness_replays(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["check", "E1", "parseval", "--n", "9", "--witness", "deep/w"]) == 0
    assert sorted(p.name for p in Path("deep/w").iterdir()) == ["E1.json", "parseval.worst.json"]
    capsys.readouterr()
    assert main(["replay", "deep/w/E1.json"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "0.7071068 against 0.5" in shown
    assert "the same within round-off" in shown
    assert "refutes at the tolerance" in shown
    assert main(["replay", "deep/w/parseval.worst.json", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["agrees"]
    assert not told["refutes"]
    assert told["residual"] == told["stored"]


def test_a_replay_that_differs_fails_and_another_version_is_said(tmp_path, capsys):
    data = {**check("E1", n=1, rng=0).witness.to_dict(), "version": "0.0.7"}
    file = tmp_path / "w.json"
    file.write_text(json.dumps(data), encoding="utf-8")
    assert main(["replay", str(file)]) == 0
    assert "written by lineardyn 0.0.7" in " ".join(capsys.readouterr().out.split())
    file.write_text(json.dumps({**data, "residual": 0.3}), encoding="utf-8")
    assert main(["replay", str(file)]) == 1
    assert "NOT the same within round-off" in " ".join(capsys.readouterr().out.split())


def test_a_campaign_prints_its_ledger_and_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = ["campaign", "E1", "parseval", "--n", "40", "--store", "s", "--executor", "threads:2", "--power"]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "not refuted" in shown
    assert "conjugate dropped" in shown
    assert "0.7071068 against 0.5" in shown
    assert main([*command, "--json", "--witness", "w"]) == 0
    data = json.loads(capsys.readouterr().out)
    ledger = campaign(["E1", "parseval"], n=40, rng=0, power=True)
    assert strip(data) == strip(ledger.to_dict())
    assert len(list(Path("w").iterdir())) == len(ledger)
    assert Witness.load("w/E1.json").to_dict() == ledger["E1"].witness().to_dict()
    assert Witness.load("w/E1.mutant-1.json").mutant == next(iter(get("E1").mutants))
    assert main(["campaign", "E1", "--seed", "1", "--store", "s"]) == 2
    assert "seed 0" in capsys.readouterr().err


def strip(data):
    return [{key: value for key, value in row.items() if key != "seconds"} for row in data["rows"]]


def test_a_campaign_whose_worker_always_dies_shows_the_rest(monkeypatch, capsys):
    """Two blocks, of which the first finds a broken pool at every try."""
    from concurrent.futures import BrokenExecutor, ThreadPoolExecutor

    class Breaks(ThreadPoolExecutor):
        def submit(self, work, *arguments):
            if arguments[4] == 0:
                raise BrokenExecutor
            return super().submit(work, *arguments)

    monkeypatch.setattr("proofs_check.campaigns.executors.ThreadPoolExecutor", Breaks)
    assert main(["campaign", "parseval", "--n", "4140", "--executor", "threads:1"]) == 1  # blocks of 3 + 4096
    shown = capsys.readouterr()
    assert re.search(r"parseval +│ +41 │", shown.out)
    assert "1 of 2 blocks killed their worker at every try" in shown.err


def test_an_interrupted_campaign_says_what_is_kept(monkeypatch, capsys, tmp_path):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("proofs_check.campaigns.running.try_block", interrupted)
    monkeypatch.setattr("proofs_check.__main__._leave_if_threads_run", lambda status: None)
    assert main(["campaign", "E1", "--n", "9"]) == 130
    assert capsys.readouterr().err == "interrupted: nothing was kept, as there is no --store\n"
    assert main(["campaign", "E1", "--n", "9", "--store", str(tmp_path / "s")]) == 130
    assert "is whole, and the same command goes on from there" in capsys.readouterr().err


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
    command = [
        sys.executable,
        "-m",
        "proofs_check",
        "report",
        "--runs",
        "500",
        "--instances",
        "1",
        "--out",
        str(tmp_path / "report"),
    ]
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

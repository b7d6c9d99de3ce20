"""Campaigns: the same ledger whatever workers had the work, however often they died, and as check has it."""

from __future__ import annotations

import math
import os
import signal
import sys
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineardyn.errors import ArgumentError, ComputationError, DataFileError, Status
from proofs_check import Ledger, Outcome, campaign, check, claims, get
from proofs_check.campaigns import HISTOGRAM_EDGES, block, running
from proofs_check.campaigns.block import merged, try_block
from proofs_check.campaigns.fingerprint import fingerprint
from proofs_check.checking import block_edges
from proofs_check.claim import BATCH
from tests.proofs_check.test_claims import toy

N = 640


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Many blocks of little work."""
    monkeypatch.setitem(running.LENGTHS, "single", 50)
    monkeypatch.setitem(running.LENGTHS, "batched", 2 * BATCH)


def vectors(rng, n):
    return {"x": rng.standard_normal((n, 4))}


def norms(instance, factor=1.0):
    x = instance["x"]
    return np.sum(x**2, axis=1), factor * np.sum(np.abs(np.fft.fft(x, norm="ortho")) ** 2, axis=1)


def batched_toy(**changes):
    """Can be sent to other processes, and has residuals of 0 and of round-off."""
    return toy(draw=vectors, sides=norms, batched=True, smallest=({"x": np.ones(4)}, {"x": np.zeros(4)}), **changes)


TWO = [batched_toy(), batched_toy(id="strict", tolerance=1e-16)]


def dying(folder: Path, deaths: int, first: int | None, work: Any, *arguments: Any) -> Any:
    """``work``, but the worker is killed, ``deaths`` times in all, at blocks that begin at instance ``first``."""
    died = len(list(folder.iterdir()))
    if died < deaths and first in (None, arguments[4]):
        (folder / str(died)).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return work(*arguments)


class Deadly(Executor):
    """A real executor whose workers are killed by some of the work."""

    def __init__(self, pool: Executor, folder: Path, deaths: int, first: int | None = None) -> None:
        self.pool, self.given = pool, (folder, deaths, first)

    def submit(self, work: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
        return self.pool.submit(dying, *self.given, work, *arguments)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.pool.shutdown(wait)


def processes(n: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(n, mp_context=get_context("spawn"))


# --- The same ledger ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def undisturbed():
    """Here, one block after the other."""
    return campaign(TWO, n=N, rng=3, power=True)


def test_threads_give_the_same_ledger_to_the_bit(undisturbed, tmp_path):
    one = campaign(TWO, n=N, rng=3, power=True, executor="threads:1")
    assert one == undisturbed
    assert hash(one) == hash(undisturbed)
    assert campaign(TWO, n=N, rng=3, power=True, executor="threads:2", store=tmp_path / "s") == undisturbed
    assert Ledger.load(tmp_path / "s") == undisturbed
    with ThreadPoolExecutor(3) as pool:
        assert campaign(TWO, n=N, rng=3, power=True, executor=pool) == undisturbed


def test_another_seed_or_another_residual_is_another_ledger(undisturbed):
    other = campaign(TWO, n=N, rng=4, power=True)
    assert all(a.total.digest != b.total.digest for a, b in zip(other, undisturbed, strict=True))
    assert other != undisturbed


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_processes_one_of_which_is_killed_give_the_same_ledger(undisturbed, tmp_path):
    made = []

    def make():
        made.append(Deadly(processes(2), tmp_path, 1))
        return made[-1]

    assert campaign(TWO, n=N, rng=3, power=True, executor=make) == undisturbed
    assert len(made) == 2
    assert len(list(tmp_path.iterdir())) == 1


def test_a_block_that_always_kills_its_worker_is_given_up_alone(tmp_path):
    class Breaks(ThreadPoolExecutor):
        """A pool that breaks at the third block, as one of processes does when a worker dies."""

        def submit(self, work, *arguments):
            if arguments[4] == 2 + 2 * 2 * BATCH:
                tries.append(arguments[-1])
                raise BrokenExecutor("a worker died")
            return super().submit(work, *arguments)

    tries: list[int] = []
    with pytest.raises(ComputationError, match=r"1 of 4 blocks .* claim toy, instances 130..193.*same command") as lost:
        campaign(TWO[:1], n=250, rng=3, store=tmp_path / "s", executor=lambda: Breaks(1))
    assert lost.value.status is Status.WORKER_LOST
    assert lost.value.result["toy"].n == 250 - 64
    assert tries == [0, 1, 2]
    assert campaign(TWO[:1], n=250, rng=3, store=tmp_path / "s") == campaign(TWO[:1], n=250, rng=3)


def test_dask_gives_the_same_ledger_though_a_worker_is_killed_in_the_middle(undisturbed, monkeypatch, tmp_path):
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed (extra 'test')")
    monkeypatch.setattr(running, "IN_FLIGHT", 4)  # much is left to do when the worker dies
    pids: list[int] = []
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    )

    def kill_one(_):
        if not pids:
            pids.extend(client.run(os.getpid).values())
            os.kill(pids[0], signal.SIGKILL)

    with cluster, distributed.Client(cluster) as client:
        address = cluster.scheduler_address.replace("tcp://", "dask://")
        ledger = campaign(TWO, n=N, rng=3, power=True, executor=address, store=tmp_path / "s", on_block=kill_one)
        assert set(client.run(os.getpid).values()) != set(pids)  # a worker did die
    assert ledger == undisturbed


# --- As check has it ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "claim", [toy(), batched_toy(), batched_toy(tolerance=1e-16), get("E1"), get("circulant-diagonalisation")]
)
@pytest.mark.parametrize("mutant", [None, 0])
def test_a_row_says_what_check_says(claim, mutant):
    name = None if mutant is None else list(claim.mutants)[mutant]
    verdict = check(claim, n=150, rng=5, mutant=name)
    row = campaign([claim], n=150, rng=5, power=True)[claim.id if name is None else (claim.id, name)]
    assert (row.outcome, row.expected, row.reason, row.worst) == (
        verdict.outcome, verdict.expected, verdict.reason, verdict.worst,
    )  # fmt: skip
    assert row.total.n_refuting == verdict.n_refuting
    for mine, its in ((row.witness(), verdict.witness), (row.worst_case(), verdict.worst_case)):
        assert (mine and mine.to_dict()) == (its and its.to_dict())
    residuals = np.array(verdict.residuals)
    inside = np.histogram(residuals, (0.0, *HISTOGRAM_EDGES, np.inf))[0]
    assert row.total.histogram == tuple(inside)
    refuting = np.flatnonzero(residuals > claim.tolerance)
    assert row.total.refuting == tuple(refuting[:8])


def test_instances_without_residual_are_counted_and_found():
    claim = toy(sides=lambda instance: (np.where(instance["x"] > 0.5, np.nan, 0.0), 0.0))
    verdict = check(claim, n=120, rng=0)
    row = campaign([claim], n=120, rng=0)["toy"]
    assert row.outcome is Outcome.INCONCLUSIVE
    assert row.reason == verdict.reason
    assert row.witness().to_dict() == verdict.witness.to_dict()
    nothing = campaign([toy(sides=lambda instance: (np.nan, 0.0))], n=70, rng=0)["toy"]
    assert nothing.worst is None
    assert nothing.worst_case() is None
    assert nothing.total.n_undecided == sum(nothing.total.histogram) + 70


@given(st.integers(0, 2**20), st.integers(0, 300), st.integers(1, 300), st.integers(1, 300))
def test_how_instances_are_cut_into_blocks_changes_nothing(seed, first, n, inside):
    claim = batched_toy(tolerance=2e-16)
    version = fingerprint(claim)
    stop = first + n
    middle = min(first + inside, stop - 1)
    whole = try_block(claim, version, seed, None, first, stop)
    if middle > first:
        parts = [try_block(claim, version, seed, None, a, b) for a, b in ((middle, stop), (first, middle))]
        assert merged(parts) == whole
    assert whole.digest != try_block(claim, version, seed, None, first, stop + 1).digest


@given(st.integers(0, 200), st.integers(1, 200), st.integers(1, 64))
def test_blocks_end_where_they_would_from_the_start(first, n, length):
    claim = batched_toy()
    edges = block_edges(claim, first, first + n, length)
    whole = block_edges(claim, 0, first + n, length)
    assert edges == sorted({first, *(edge for edge in whole if edge > first)})
    assert all((edge - 2) % length == 0 for edge in edges[1:-1])
    assert max(b - a for a, b in pairwise(edges)) <= length + 2


def test_the_digest_sees_a_lost_a_doubled_and_a_changed_instance():
    residuals = np.array([1e-16, 0.0, np.nan, 2e-16])
    indices = np.arange(4)
    digest = block._digest(indices, residuals)
    order = np.array([2, 0, 3, 1])
    assert block._digest(indices[order], residuals[order]) == digest
    assert block._digest(indices[:3], residuals[:3]) != digest
    twice = np.array([0, 1, 2, 3, 3])
    assert block._digest(twice, residuals[twice]) != digest
    assert block._digest(indices, np.nextafter(residuals, 1.0)) != digest
    assert block._digest(indices, residuals[order]) != digest


# --- What is tried --------------------------------------------------------------------------------------------------


def test_dear_claims_are_tried_less_unless_asked_for():
    claim = toy(max_instances=20)
    assert campaign([claim], n=50, rng=0)["toy"].n == 20
    assert campaign([claim], n=50, rng=0, dear=True)["toy"].n == 50
    assert campaign([claim], n=7, rng=0)["toy"].n == 7


def test_a_larger_n_goes_on(tmp_path):
    claim, tried = batched_toy(), []
    for n in (10, 11, 300, 100):
        ledger = campaign([claim], n=n, rng=0, store=tmp_path / "s", on_block=tried.append)
    assert sum(b.n for b in tried) == 300
    assert ledger == campaign([claim], n=300, rng=0)


def test_all_claims_are_tried_if_none_is_named():
    ledger = campaign(n=1, rng=0)
    assert [row.claim_id for row in ledger] == [claim.id for claim in claims()]
    assert len(ledger) == len(claims())
    assert ledger.as_expected
    assert ledger.n == len(ledger)


def test_a_claim_named_twice_is_tried_once():
    assert campaign(["E1", "e1", get("E1")], n=5, rng=0).n == 5


def test_blocks_of_a_batched_claim_draw_no_batch_twice():
    drawn = []

    def counted(rng, n):
        drawn.append(n)
        return vectors(rng, n)

    campaign([toy(draw=counted, sides=norms, batched=True, smallest=({"x": np.ones(4)},))], n=1 + 64 * BATCH, rng=0)
    assert drawn == [BATCH] * 64


# --- What goes wrong ------------------------------------------------------------------------------------------------


def test_a_fault_of_the_claim_says_where():
    with pytest.raises(KeyError) as caught:
        campaign([toy(sides=lambda instance: instance["no such"])], n=9, rng=2, executor="threads:2")
    assert "claim toy: among instances 0..3 of seed 2" in caught.value.__notes__


def test_workers_with_another_version_of_the_claim_are_refused():
    class Old(ThreadPoolExecutor):
        def submit(self, work, claim, version, *rest):
            return super().submit(work, toy(tolerance=1e-3), version, *rest)

    with Old(1) as pool, pytest.raises(ArgumentError, match=r"executor has workers with another version of claim toy"):
        campaign([toy()], n=9, rng=2, executor=pool)


def test_a_row_of_another_version_gives_no_witness(tmp_path):
    campaign(["E1"], n=9, rng=2, store=tmp_path / "s")
    row = Ledger.load(tmp_path / "s")["E1"]
    assert row.witness().to_dict() == check("E1", n=9, rng=2).witness.to_dict()
    with pytest.raises(DataFileError, match="claim E1 has changed"):
        replace(row, fingerprint="0" * 16).witness()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"n": 0}, "n is 0"),
        ({"rng": -1}, "rng is -1"),
        ({"chosen": ["parsevel"]}, "did you mean 'parseval'"),
        ({"chosen": "E1"}, r"expected a list of claims or ids: \['E1'\]"),
        ({"executor": "cores"}, "executor is 'cores', expected threads"),
        ({"executor": "threads:0"}, "N >= 1"),
        ({"executor": "processes:"}, "N >= 1"),
        ({"executor": "processes:two"}, "N >= 1"),
        ({"executor": ThreadPoolExecutor}, "expected a concurrent.futures.Executor"),
        ({"executor": 3}, "expected a concurrent.futures.Executor"),
        ({"store": 3}, "store is 3, expected the path of a file"),
    ],
)
def test_bad_input_names_the_argument(arguments, text):
    with pytest.raises(ArgumentError, match=text):
        campaign(**{"chosen": ["E1"], "n": 3, "rng": 0, **arguments})


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch):
    pytest.importorskip("distributed", reason="dask.distributed is not installed (extra 'test')")
    from proofs_check.campaigns import executors

    monkeypatch.setattr(executors, "CONNECT_SECONDS", 0.3)
    with pytest.raises(ArgumentError, match=r"dask://127.0.0.1:9', but no scheduler answers there .*'dask scheduler'"):
        campaign(["E1"], n=3, rng=0, executor="dask://127.0.0.1:9")
    with pytest.raises(ArgumentError, match="but no scheduler answers there"):
        campaign(["E1"], n=3, rng=0, executor="dask://no port")


def test_without_dask_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ArgumentError, match=r"lineardyn\[distributed\]"):
        campaign(["E1"], n=3, rng=0, executor="dask://127.0.0.1:9")


def test_what_cannot_be_sent_is_said():
    with pytest.raises(ArgumentError, match="executor cannot send"):
        campaign([toy()], n=3, rng=0, executor="processes:1")


def test_an_unknown_row_names_those_that_are_there(undisturbed):
    with pytest.raises(ArgumentError, match=r"expected one of the ledger's: toy, \('toy', 'doubled'\)"):
        undisturbed["E2"]
    assert undisturbed[0] is undisturbed["toy"]
    assert undisturbed["toy", "doubled"].mutant == "doubled"


def test_the_ledger_as_data(undisturbed):
    data = undisturbed.to_dict()
    row = data["rows"][0]
    assert data["seed"] == 3
    assert row["claim"] == "toy"
    assert row["n"] == N
    assert sum(row["histogram"]["counts"]) == N
    assert len(row["histogram"]["counts"]) == len(row["histogram"]["edges"]) + 1
    assert undisturbed["strict"].total.witness.at == data["rows"][3]["witness_index"]
    assert math.isfinite(undisturbed.seconds)

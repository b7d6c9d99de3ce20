"""Sweeps over executors: the same runs, whatever worker had them, and however many workers died."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lineardyn import Ensemble, gradient_descent, gradient_flow, stack_weights
from lineardyn import executors as any_executors
from lineardyn.ensembles import executors
from lineardyn.errors import ArgumentError, ComputationError, Status
from tests.lineardyn.problems import PROBLEMS
from tests.lineardyn.test_ensembles import long_flows

N_RUNS = 6


def sweep(name: str, **options: Any) -> Ensemble:
    p = PROBLEMS[name]
    starts = stack_weights([p.network.init_small(0.1, rng=seed) for seed in range(N_RUNS)])
    return gradient_flow(p.network, p.moments, starts, p.times, weight_decay=p.decay, **options)


def descents(**options: Any) -> Ensemble:
    p = PROBLEMS["cnn-dense-channels"]
    return gradient_descent(
        p.network, (p.data.images, p.data.targets), p.weights, learning_rate=[0.01, 0.02, 0.03], n_steps=20,
        batch_size=2, rng=[1, 2, 3], **options,
    )  # fmt: skip


def same(one: Ensemble, two: Ensemble) -> None:
    assert np.array_equal(one.states, two.states)
    assert (one.stats, one.statuses, one.settings) == (two.stats, two.statuses, two.settings)


def processes(n: int = 1) -> ProcessPoolExecutor:
    """Spawned, as on every system; a forked child would share the threads of this one."""
    return ProcessPoolExecutor(n, mp_context=get_context("spawn"))


def dying(flag: Path, deaths: int, run: int | None, work: Callable[..., Any], part: Any, *rest: Any) -> Any:
    """``work``, but the worker is killed, ``deaths`` times in all, at chunks that hold the start numbered ``run``."""
    marked = run is None or (part.starts[:, 0] == PROBLEMS["cnn-modes"].network.pack(start_of(run))[0]).any()
    if marked and len(list(flag.parent.glob(flag.name + "*"))) < deaths:
        flag.with_name(f"{flag.name}{len(list(flag.parent.glob(flag.name + '*')))}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return work(part, *rest)


def start_of(run: int) -> list[Any]:
    weights: list[Any] = PROBLEMS["cnn-modes"].network.init_small(0.1, rng=run)
    return weights


class Deadly(Executor):
    """A real executor whose workers are killed by some of the work."""

    def __init__(self, pool: Executor, flag: Path, deaths: int, run: int | None = None) -> None:
        self.pool, self.given = pool, (flag, deaths, run)

    def submit(self, work: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
        return self.pool.submit(dying, *self.given, work, *arguments, **options)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.pool.shutdown(wait)


@pytest.mark.parametrize("name", ["cnn-modes", "cnn-dense-channels", "cnn-samples-deep"])
def test_threads_of_an_executor_give_the_same_runs(name):
    told = []
    with ThreadPoolExecutor(2) as pool:
        ensemble = sweep(name, executor=pool, on_result=lambda index, run: told.append(index))
    same(ensemble, sweep(name))
    assert sorted(told) == list(range(N_RUNS))


def test_processes_give_the_same_runs(capsys):
    with processes(2) as pool:
        same(sweep("cnn-modes", executor=pool, progress=True), sweep("cnn-modes"))
        same(sweep("cnn-dense-channels", executor=pool), sweep("cnn-dense-channels"))
        same(descents(executor=pool), descents())
    assert "100%" in capsys.readouterr().err


def test_chunks_hold_several_runs_where_there_are_many(monkeypatch):
    monkeypatch.setattr(executors, "MOST_CHUNKS", 4)
    sizes = []

    class Counting(ThreadPoolExecutor):
        def submit(self, work, part, *rest):
            sizes.append(len(part))
            return super().submit(work, part, *rest)

    with Counting(1) as pool:
        same(sweep("cnn-modes", executor=pool), sweep("cnn-modes"))
    assert sorted(sizes) == [1, 1, 2, 2]


def test_a_worker_that_dies_is_retried_with_a_new_executor(tmp_path):
    """Killed as the kernel kills for memory; the pool breaks, and all that it had goes to a new one."""
    made = []

    def make():
        made.append(Deadly(processes(), tmp_path / "dead", 2))
        return made[-1]

    same(sweep("cnn-modes", executor=make), sweep("cnn-modes"))
    assert len(made) == 2 + 1


def test_a_run_that_always_kills_its_worker_is_given_up_alone(tmp_path):
    """Three tries; the others are all there, in the exception or in what comes back."""

    def make():
        return Deadly(processes(), tmp_path / "dead", 100, run=3)

    alone = sweep("cnn-modes")
    with pytest.raises(ComputationError, match=r"1 of 6 runs stopped early \(3\).*worker process died") as caught:
        sweep("cnn-modes", executor=make)
    partial = caught.value.result
    assert [status is Status.WORKER_LOST for status in partial.statuses] == [i == 3 for i in range(N_RUNS)]
    assert np.array_equal(partial.completed.states, alone[[0, 1, 2, 4, 5]].states)
    assert len(list(tmp_path.iterdir())) == any_executors.TRIES


def test_a_broken_pool_that_cannot_be_made_anew_keeps_what_ended(tmp_path):
    with Deadly(processes(), tmp_path / "dead", 1, run=4) as pool:
        ensemble = sweep("cnn-modes", executor=pool, throw=False)
    assert ensemble.status is Status.WORKER_LOST
    assert "executor=lambda: ProcessPoolExecutor(2)" in ensemble.message
    assert ensemble.statuses[4] is Status.WORKER_LOST
    alone = sweep("cnn-modes")
    for i, run in enumerate(ensemble):
        assert len(run) == (len(alone[i]) if run.status is Status.SUCCESS else 0)
        assert np.array_equal(run.states, alone[i].states[: len(run)])


def test_a_pool_that_breaks_at_once_ends():
    class Broken(ThreadPoolExecutor):
        def submit(self, *arguments, **options):
            raise BrokenExecutor("no worker starts")

    for executor in (Broken(1), lambda: Broken(1)):
        ensemble = sweep("cnn-modes", executor=executor, throw=False)
        assert ensemble.statuses == (Status.WORKER_LOST,) * N_RUNS


def test_workers_leave_off_when_the_caller_is_interrupted(monkeypatch):
    """One chunk of a minute, for which the executor's own end would wait."""
    looks = iter(range(10))

    def interrupted(*arguments, **options):
        if next(looks) == 2:
            raise KeyboardInterrupt
        return wait(*arguments, **options)

    wait = any_executors.wait
    monkeypatch.setattr(any_executors, "wait", interrupted)
    monkeypatch.setattr(executors, "MOST_CHUNKS", 1)
    late = threading.Event()
    clock = threading.Timer(15.0, late.set)
    clock.start()
    with ThreadPoolExecutor(1) as pool, pytest.raises(KeyboardInterrupt):
        long_flows(executor=pool)
    assert not late.is_set()
    clock.cancel()


def test_workers_that_do_not_see_our_files_are_asked_again():
    class Remote(ThreadPoolExecutor):
        def submit(self, work, part, inside, flag, tries):
            return super().submit(work, part, inside, flag and Path("not here"), tries)

    with Remote(2) as pool:
        same(sweep("cnn-modes", executor=pool), sweep("cnn-modes"))


def test_an_error_of_the_work_itself_is_raised_at_once():
    class Failing(ThreadPoolExecutor):
        def submit(self, work, part, *rest):
            return super().submit(int, "no number")

    with Failing(1) as pool, pytest.raises(ValueError, match="no number"):
        sweep("cnn-modes", executor=pool)


def test_an_executor_that_is_shut_down_is_named():
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(ArgumentError, match=r"executor takes no work .*expected one that is running"):
        sweep("cnn-modes", executor=pool)
    with pytest.raises(ArgumentError, match=r"expected a concurrent.futures.Executor, or a function"):
        sweep("cnn-modes", executor=ProcessPoolExecutor)
    with pytest.raises(ArgumentError, match=r"executor makes None, expected a function that makes an Executor"):
        sweep("cnn-modes", executor=lambda: None)


def test_dask_gives_the_same_runs_also_where_a_worker_dies(tmp_path):
    """dask tries lost work again by itself; told not to, it says KilledWorker, and we try again."""
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed (extra 'test')")
    import dask

    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        cluster = distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
        )
        with cluster, distributed.Client(cluster) as client:
            same(sweep("cnn-modes", executor=client.get_executor()), sweep("cnn-modes"))
            once = Deadly(client.get_executor(), tmp_path / "dead", 1, run=2)
            same(sweep("cnn-modes", executor=once), sweep("cnn-modes"))
    assert len(list(tmp_path.iterdir())) == 1

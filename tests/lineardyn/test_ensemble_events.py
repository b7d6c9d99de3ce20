"""Events of ensembles: each run is watched as if it were alone, and its times come back with it."""

from __future__ import annotations

import json
import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from lineardyn import (
    Ensemble,
    Event,
    LinearCNN,
    LossBelow,
    ModeLearned,
    SecondMoments,
    Stationary,
    Status,
    gradient_flow,
    learning_time,
    stack_weights,
)
from lineardyn.ensembles import threads as threading_of_runs
from lineardyn.errors import ArgumentError, ComputationError, DataFileError
from tests.lineardyn import test_ensemble_executors as of_executors
from tests.lineardyn.problems import PROBLEMS, cosine_images
from tests.lineardyn.test_ensembles import DECAYS, flows, loop_of_flows, same, starts_of

N_RUNS = of_executors.N_RUNS


def first_weight_is_gone(t, weights):
    """At the top of a module, so that other processes can import it."""
    return 0.01 - abs(weights[0].flat[0])


def later(t, weights):
    return t - 0.25


def losses_between(p, share):
    """A value of the loss that the runs of ``starts_of`` pass, most of them."""
    run = gradient_flow(p.network, p.moments, starts_of(p)[2], p.times, weight_decay=DECAYS[2])
    return float(share * run.loss[0] + (1.0 - share) * run.loss[-1])


def every_kind(p, *, terminal=False):
    return [
        ModeLearned(0, 0.3),
        LossBelow(losses_between(p, 0.5), terminal=terminal),
        Stationary(1e-2),
        Event(first_weight_is_gone),
        Event(later),
    ]


def same_with_events(one, two):
    same(one, two)
    assert one.events == two.events


# --- ensembles are loops ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("method", ["auto", "dop853", "rkc", "geometric"])
@pytest.mark.parametrize("name", ["cnn-modes", "cnn-dense-channels", "cnn-samples-deep", "fcn-dense"])
def test_each_run_is_watched_as_if_it_were_alone(name, method, terminal):
    """Dense runs too are bit for bit those of a loop: they go one by one where they are watched."""
    p = PROBLEMS[name]
    starts, told = starts_of(p), {}
    options = {"decays": DECAYS, "method": method, "events": every_kind(p, terminal=terminal)}
    ensemble = flows(p, starts, threads=2, on_result=told.__setitem__, **options)
    loop = loop_of_flows(p, starts, **options)
    for i, (run, alone) in enumerate(zip(ensemble, loop, strict=True)):
        same_with_events(run, alone)
        same_with_events(told[i], alone)
        assert run.status is alone.status
    times = np.array([[math.nan if t is None else t for t in run.events] for run in loop])
    assert np.array_equal(ensemble.event_times, times, equal_nan=True)
    assert len(np.unique(times[:, 1])) > 1  # each run has times of its own
    one = flows(p, starts, threads=1, **options)
    assert np.array_equal(one.event_times, ensemble.event_times, equal_nan=True)
    assert all(np.array_equal(a.states, b.states) for a, b in zip(one, ensemble, strict=True))


@pytest.mark.parametrize("name", ["cnn-modes", "cnn-dense-channels"])
def test_one_start_over_weight_decays(name):
    """The loss of an event counts the run's own penalty."""
    p = PROBLEMS[name]
    events = [LossBelow(0.9 * p.network.loss(p.weights, p.moments)), ModeLearned(0)]
    ensemble = gradient_flow(p.network, p.moments, p.weights, p.times, weight_decay=list(DECAYS), events=events)
    for decay, run in zip(DECAYS, ensemble, strict=True):
        alone = gradient_flow(p.network, p.moments, p.weights, p.times, weight_decay=decay, events=events)
        same_with_events(run, alone)
        t = run.events[0]
        if t is not None:  # rtol 1e-6 on a time of order 1; the state is integrated anew
            assert p.network.loss(run.at(t), p.moments, weight_decay=decay) == pytest.approx(events[0].value, rel=1e-4)
    assert len({run.events[0] for run in ensemble}) > 1


def test_learning_times_over_many_scales_are_those_of_the_sigmoid():
    """rtol 1e-9 over growth by up to 1e6: 1e-6, as for one run in test_events."""
    moments = SecondMoments.from_data(cosine_images((4, 6), [(1, 2), (2, 3)], [1.0, 0.5]), np.eye(2))
    network, scales = LinearCNN((1, 4, 6), n_outputs=2), np.geomspace(1e-3, 1e-1, 40)
    starts = stack_weights([network.init_balanced(moments, scale, rng=0) for scale in scales])
    events = [ModeLearned(0), ModeLearned(1, 0.9)]
    ensemble = gradient_flow(network, moments, starts, [0.0, 100.0], rtol=1e-9, atol=1e-14, events=events)
    modes, b0 = moments.modes(), ensemble.effective_singular_values[:, 0]
    for column, event, m in zip(ensemble.event_times.T, events, (2, 1), strict=True):
        s = modes.s[event.mode]
        for t, start in zip(column, b0[:, event.mode, event.mode], strict=True):
            wanted = learning_time(event.fraction * s, s=s, b0=start, n_pixels=24, multiplicity=m)
            assert t == pytest.approx(wanted, rel=1e-6)
        assert (np.diff(column) < 0).all()  # larger starts learn earlier


def test_modes_are_found_once_for_all_runs(monkeypatch):
    p, calls = PROBLEMS["cnn-modes"], []
    modes = SecondMoments.modes
    monkeypatch.setattr(SecondMoments, "modes", lambda self: calls.append(0) or modes(self))
    flows(p, starts_of(p), decays=DECAYS, events=[ModeLearned(0), ModeLearned(1)], threads=2)
    assert len(calls) == 1


# --- terminal events -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cnn-modes", "cnn-dense-channels"])
def test_a_terminal_event_ends_its_run_only(name, tmp_path):
    p = PROBLEMS[name]
    starts, events = [*starts_of(p), [0 * w for w in p.weights]], [ModeLearned(0, 0.5, terminal=True)]
    ensemble = flows(p, starts, events=events)  # with throw: an event is no failure
    happened = np.isfinite(ensemble.event_times[:, 0])
    assert 0 < happened.sum() < len(starts)
    assert not happened[-1]  # which rests at zero
    for run, t in zip(ensemble, ensemble.event_times[:, 0], strict=True):
        assert run.status is (Status.EVENT if np.isfinite(t) else Status.SUCCESS)
        assert run.t[-1] == (t if np.isfinite(t) else p.times[-1])
        assert np.array_equal(run.t[:-1], p.times[: len(run) - 1])
    assert ensemble.n_times == min(len(run) for run in ensemble) < len(p.times)
    assert np.array_equal(ensemble.t, np.stack([run.t[: ensemble.n_times] for run in ensemble]))
    assert np.array_equal(ensemble.loss.shape, (len(starts), ensemble.n_times))
    assert ensemble.status is Status.EVENT
    assert ensemble.message.startswith(f"{happened.sum()} of 5 runs stopped early")
    assert len(ensemble.completed) == len(starts)
    assert ensemble[~happened].status is Status.SUCCESS
    ensemble.plot()
    ensemble.save(tmp_path / "ensemble.npz")
    for run, again in zip(ensemble, Ensemble.load(tmp_path / "ensemble.npz"), strict=True):
        same_with_events(run, again)


def test_an_event_at_the_start_and_a_run_that_fails():
    """The failed run keeps the events before it, and does not hide how the others ended."""
    p = PROBLEMS["cnn-modes"]
    starts = starts_of(p)
    starts[2] = [1e200 * w for w in starts[2]]
    events = [Event(later), LossBelow(1e9, terminal=True)]
    with pytest.raises(ComputationError, match=r"1 of 4 runs stopped early \(2\)") as caught:
        flows(p, starts, events=events)
    ensemble = caught.value.result
    assert ensemble.statuses[2] is Status.NON_FINITE
    assert ensemble.events[2] == (None, None)
    for i in (0, 1, 3):
        assert ensemble.events[i] == (None, 0.0)
        assert ensemble[i].t.tolist() == [0.0]
        assert np.array_equal(ensemble[i].states[0], ensemble.starts[i])
    assert len(ensemble.completed) == 3


# --- what comes back -------------------------------------------------------------------------------------------------


def test_chosen_runs_keep_their_events():
    p = PROBLEMS["cnn-modes"]
    ensemble = flows(p, starts_of(p), decays=DECAYS, events=every_kind(p))
    for index, wanted in [([3, 0], [3, 0]), (slice(1, 3), [1, 2]), (np.arange(4) == 2, [2])]:
        assert ensemble[index].events == tuple(ensemble[r].events for r in wanted)
        assert np.array_equal(ensemble[index].event_times, ensemble.event_times[wanted], equal_nan=True)


def test_saved_runs_keep_their_events(tmp_path):
    p = PROBLEMS["cnn-modes"]
    ensemble = flows(p, starts_of(p), decays=DECAYS, events=every_kind(p))
    assert np.isnan(ensemble.event_times).any()
    ensemble.save(tmp_path / "ensemble.npz")
    again = Ensemble.load(tmp_path / "ensemble.npz")
    assert again.events == ensemble.events
    assert np.array_equal(again.event_times, ensemble.event_times, equal_nan=True)


def test_files_with_no_events_and_with_those_of_other_runs(tmp_path):
    p = PROBLEMS["cnn-modes"]
    ensemble = flows(p, starts_of(p))
    assert ensemble.events == ((),) * 4
    assert ensemble.event_times.shape == (4, 0)
    ensemble.save(tmp_path / "new.npz")
    with np.load(tmp_path / "new.npz") as file:
        arrays = dict(file)
    header = json.loads(str(arrays.pop("header")))
    assert header.pop("events") == [[]] * 4
    np.savez(tmp_path / "old.npz", header=json.dumps(header), **arrays)
    assert Ensemble.load(tmp_path / "old.npz").events == ((),) * 4
    for wrong in ([[1.0]] * 3, [[1.0], [1.0], [1.0], []]):
        np.savez(tmp_path / "wrong.npz", header=json.dumps({**header, "events": wrong}), **arrays)
        with pytest.raises(DataFileError, match="holds no saved ensemble"):
            Ensemble.load(tmp_path / "wrong.npz")


# --- executors and interruption --------------------------------------------------------------------------------------

OWN = [Event(first_weight_is_gone), Event(later, terminal=True), ModeLearned(0, 0.1)]


def test_processes_watch_as_threads_do():
    """Own functions travel by name; what cannot travel is named."""
    told = {}
    with of_executors.processes(2) as pool:
        for name in ("cnn-modes", "cnn-dense-channels"):
            there = of_executors.sweep(name, executor=pool, events=OWN, on_result=told.__setitem__)
            for i, (run, here) in enumerate(zip(there, of_executors.sweep(name, events=OWN), strict=True)):
                same_with_events(run, here)
                same_with_events(told[i], here)
        for function in (lambda t, weights: t - 0.1, threading.Lock().__enter__):
            with pytest.raises(ArgumentError, match=r"executor cannot send .*pickle.*events or claims at the top"):
                of_executors.sweep("cnn-modes", executor=pool, events=[Event(function)])
        of_executors.same(of_executors.sweep("cnn-modes", executor=pool), of_executors.sweep("cnn-modes"))
    with ThreadPoolExecutor(2) as pool:  # sends nothing
        events = [Event(lambda t, weights: t - 0.1)]
        assert of_executors.sweep("cnn-modes", executor=pool, events=events).events == ((0.1,),) * N_RUNS


def test_a_lost_run_has_no_event_times(tmp_path):
    def make():
        return of_executors.Deadly(of_executors.processes(), tmp_path / "dead", 100, run=3)

    ensemble = of_executors.sweep("cnn-modes", executor=make, events=OWN, throw=False)
    assert ensemble.statuses[3] is Status.WORKER_LOST
    assert ensemble.events[3] == (None, None, None)
    alone = of_executors.sweep("cnn-modes", events=OWN)
    others = [0, 1, 2, 4, 5]
    assert np.array_equal(ensemble.completed.event_times, alone[others].event_times, equal_nan=True)


def test_a_slow_function_does_not_keep_a_thread_that_nobody_waits_for(monkeypatch):
    """A minute, if all 10,000 steps of one call were looked at before the thread saw that it may stop."""
    looks = iter(range(10))

    def interrupted(*args, **options):
        if next(looks) == 2:
            raise KeyboardInterrupt
        return wait(*args, **options)

    wait = threading_of_runs.wait
    monkeypatch.setattr(threading_of_runs, "wait", interrupted)
    late = threading.Event()
    clock = threading.Timer(15.0, late.set)
    clock.start()
    p = PROBLEMS["cnn-modes"]
    slow = Event(lambda t, weights: time.sleep(0.005) or -1.0)
    with pytest.raises(KeyboardInterrupt):
        flows(p, starts_of(p), method="bs32", rtol=1e-11, atol=1e-14, threads=2, events=[slow])
    assert not late.is_set()
    clock.cancel()


# --- what is refused -------------------------------------------------------------------------------------------------

P = PROBLEMS["cnn-dense-channels"]
BAD = {
    "one event": (lambda: flows(P, starts_of(P), events=LossBelow(1.0)), r"events is LossBelow.*write \[event\]"),
    "no event": (lambda: flows(P, starts_of(P), events=[1.0]), r"events\[0\] is 1.0, expected a list of ModeLearned"),
    "mode": (lambda: flows(P, starts_of(P), events=[ModeLearned(2)]), r"mode is 2, expected one of 0 .. 1"),
    "nan": (lambda: flows(P, starts_of(P), events=[Event(lambda t, w: math.nan)]), r"function gives nan at t = 0"),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_bad_event_is_named(name):
    call, text = BAD[name]
    with pytest.raises(ArgumentError, match=text):
        call()


def test_a_mode_that_is_not_there_is_refused_before_any_work():
    with pytest.raises(ArgumentError, match=r"mode is 7"):
        flows(P, starts_of(P), events=[ModeLearned(7)], executor=lambda: pytest.fail("asked for a worker"))

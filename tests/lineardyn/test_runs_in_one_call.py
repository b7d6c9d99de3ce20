"""Runs that share a call of a kernel are what they are alone, and so are those that one of them keeps waiting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from lineardyn import gradient_flow, stack_weights
from lineardyn.ensembles import sweep
from lineardyn.ensembles.flows import FlowSweep
from lineardyn.errors import Status
from lineardyn.flow import _run_kernels, stepping
from lineardyn.flow.arguments import flow_arguments
from lineardyn.flow.integration import integrate_each
from lineardyn.trajectory import FlowSettings
from tests.lineardyn.problems import METHODS, PROBLEMS
from tests.lineardyn.test_ensembles import ALONE, flows, loop_of_flows, same, starts_of
from tests.lineardyn.test_screened import stiff

SCALES = (0.6, 0.02, 0.3, 0.1, 0.05, 0.2)
DECAYS = (0.3, 0.0, 0.1, 0.2, 0.0, 0.4)


@contextmanager
def all_at_once() -> Iterator[list[int]]:
    """One thread takes all runs at once; with which of them each call of the kernel begins, but for those of one."""
    calls: list[int] = []
    advance = _run_kernels.advance_runs

    def counted(first, ys, *rest):
        if len(ys) > 1:
            calls.append(first)
        return advance(first, ys, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "SHARES", 1)
        patch.setattr(_run_kernels, "advance_runs", counted)
        yield calls


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ALONE)
def test_runs_in_one_call_are_what_they_are_alone_bit_for_bit(name, method):
    p = PROBLEMS[name]
    starts = starts_of(p, SCALES)
    with all_at_once() as calls:
        ensemble = flows(p, starts, decays=DECAYS, method=method)
    for run, alone in zip(ensemble, loop_of_flows(p, starts, decays=DECAYS, method=method), strict=True):
        same(run, alone)
    if method in ("bs32", "tsit5", "dop853"):
        assert calls == [0]


def test_runs_that_change_their_method_leave_the_call_and_the_next_ones_go_on():
    network, moments, _ = stiff(16, 4, 16.0, 0)
    starts = [network.init_small(scale, rng=3) for scale in (1e-3, 1e-2, 1e-3, 1e-1)]
    starts.insert(1, [0 * w for w in starts[0]])
    with all_at_once() as calls:
        ensemble = gradient_flow(network, moments, stack_weights(starts), [0.5, 8.0], rtol=1e-3)
    assert calls[0] == 0
    assert ["n_active" in stats for stats in ensemble.stats].count(True) >= 2
    for run, start in zip(ensemble, starts, strict=True):
        same(run, gradient_flow(network, moments, start, [0.5, 8.0], rtol=1e-3))


@pytest.mark.parametrize("method", ["dop853", "auto", "bs32"])
def test_a_run_that_fails_ends_alone(method):
    """Beyond all numbers, at rest from the start, or too long: the runs before and after are complete."""
    p = PROBLEMS["cnn-modes"]
    good, longer = starts_of(p, (0.3, 0.3))
    starts = [good, [1e150 * w for w in good], good, [0 * w for w in good], [30 * w for w in longer], good]
    most = gradient_flow(p.network, p.moments, good, p.times, method=method).stats["n_steps"] + 2
    options = {"method": method, "max_steps": most, "throw": False}
    with all_at_once() as calls:
        ensemble = flows(p, starts, **options)
    assert calls == [0, 2, 4, 5]  # the one at rest leaves too, to be looked at
    assert ensemble.statuses == (
        Status.SUCCESS, Status.NON_FINITE, Status.SUCCESS, Status.SUCCESS, Status.MAX_STEPS, Status.SUCCESS
    )  # fmt: skip
    assert "t_rest" in ensemble.stats[3]
    assert 1 <= len(ensemble[4].t) < len(p.times)  # what it reached
    for run, alone in zip(ensemble, loop_of_flows(p, starts, **options), strict=True):
        assert np.array_equal(run.states, alone.states)  # the loss of the one beyond all numbers is no number
        assert np.array_equal(run.t, alone.t)
        assert (run.status, run.stats) == (alone.status, alone.stats)


def test_a_call_ends_with_the_run_that_fills_it(monkeypatch):
    """As many steps as one run may take in a call: two of these runs, and a run that is not done goes on alone."""
    p = PROBLEMS["cnn-modes"]
    starts = starts_of(p, (0.1,)) * 5
    alone = loop_of_flows(p, starts, method="tsit5")
    n_steps = alone[0].stats["n_steps"] + alone[0].stats["n_rejected"]
    for budget, wanted in [(n_steps + 1, [0, 2, 4]), (n_steps - 1, [0, 1, 2, 3, 4])]:
        monkeypatch.setattr(stepping._Run, "budget", budget)
        with all_at_once() as calls:
            ensemble = flows(p, starts, method="tsit5")
        assert calls == wanted
        for run, single in zip(ensemble, alone, strict=True):
            same(run, single)


@pytest.mark.parametrize("method", ["tsit5", "rkc"])
def test_each_is_told_as_soon_as_it_is_over_and_how_far_all_are(method, monkeypatch):
    p = PROBLEMS["cnn-modes"]
    monkeypatch.setattr(stepping, "CALL_FLOPS", 1.0)  # a call a step
    starts = np.array([p.network.pack(start) for start in starts_of(p, (0.1, 0.3, 0.2))])
    out, told = np.empty((3, len(p.times), starts.shape[1])), []
    results = integrate_each(
        p.network, p.moments, starts, np.array(p.times), weight_decays=np.zeros(3), method=method, rtol=1e-4,
        atol=1e-6, max_steps=1000, prepared=flow_arguments(p.network, p.moments, 0.0), out=out, report=told.append,
    )  # fmt: skip
    for i, result in enumerate(results):
        assert result.status is Status.SUCCESS
        assert result.states.base is not None
        assert np.shares_memory(result.states, out[i])
        assert told[-1] == i + 1
    assert told == sorted(told)
    assert len(set(told)) > 10


def test_runs_are_taken_in_ever_smaller_groups():
    """So that no thread ends long after the others; a few runs go one by one."""
    p = PROBLEMS["cnn-modes"]
    settings = FlowSettings(method="auto", rtol=1e-3, atol=1e-6, weight_decay=0.0, max_steps=10)
    for n_runs in (1, 5, 32, 100, 1000):
        starts = np.zeros((n_runs, p.network.pack(p.weights).size))
        groups = FlowSweep(p.network, p.moments, starts, (settings,) * n_runs, np.ones(1)).groups()
        sizes = [group.stop - group.start for group in groups]
        assert [i for group in groups for i in range(n_runs)[group]] == list(range(n_runs))
        assert sizes == sorted(sizes, reverse=True)
        assert max(sizes) <= max(1, np.ceil(n_runs / 32))
        assert sizes[-1] == 1

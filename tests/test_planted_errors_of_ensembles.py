"""Errors that many runs at once invite are planted one by one, and the tests that should notice them do."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from lineardyn import _descent_kernels, training
from lineardyn.ensembles import descents, ensemble, executors, flows
from lineardyn.flow import _kernels, stepping
from tests.lineardyn import test_ensemble_executors as of_executors
from tests.lineardyn import test_ensemble_results as of_results
from tests.lineardyn import test_ensembles as of_ensembles
from tests.lineardyn import test_runs_in_one_call as in_one_call

FLOW_VERB = importlib.import_module("lineardyn.flow.gradient_flow")  # the package's attribute is the function


def of_single_runs() -> None:
    of_ensembles.test_each_run_is_what_it_is_alone_bit_for_bit("fcn-modes", "dop853", 2)


def of_runs_in_one_call() -> None:
    in_one_call.test_runs_in_one_call_are_what_they_are_alone_bit_for_bit("fcn-modes", "dop853")


def of_batches() -> None:
    of_ensembles.test_dense_batches_equal_single_runs_to_the_tolerance("fcn-dense", "dop853")


def of_steps() -> None:
    of_ensembles.test_a_batch_errs_no_more_in_one_run_than_alone("cnn-dense-channels", "dop853")


def of_descents() -> None:
    of_ensembles.test_full_batch_descents_equal_a_loop("cnn-dense-channels", 1)


def of_draws() -> None:
    of_ensembles.test_stochastic_descents_equal_a_loop_bit_for_bit("cnn-dense-channels", 3)


def of_divergence() -> None:
    of_results.test_a_descent_that_diverges_stops_alone("cnn-dense-channels")


def of_chunks() -> None:
    with ThreadPoolExecutor(2) as pool:
        of_executors.same(of_executors.sweep("cnn-modes", executor=pool), of_executors.sweep("cnn-modes"))


def decay_of_the_next_run(original: Any) -> Any:
    return lambda self, group: np.roll(original(self, group), 1)


def tolerance_of_the_ensemble(original: Any) -> Any:
    """A little tighter in the ensemble than alone: the least that another choice of steps would do."""
    return lambda *given, rtol, **more: original(*given, rtol=0.999 * rtol, **more)


def controller_of_the_run_before(original: Any) -> Any:
    """Runs that follow another in a call go on from its last error."""

    def wrong(self: Any, *given: Any) -> Any:
        rows = original(self, *given)
        rows.control[1:, _kernels.OLD_ERROR] = 0.5
        return rows

    return wrong


def decays_reversed(original: Any) -> Any:
    return lambda network, moments, decays: original(network, moments, decays[::-1].copy())


def mean_over_all_runs(original: Any) -> Any:
    """The RMS over the whole batch, in which a single run drowns."""

    def wrong(self: Any, *given: Any, **options: Any) -> None:
        original(self, *given, **options)
        self.control[_kernels.ENTRIES] *= self.n_runs

    return wrong


def rates_reversed(original: Any) -> Any:
    return lambda y, dy, rates, *rest: original(y, dy, rates[::-1].copy(), *rest)


def recorded_one_late(original: Any) -> Any:
    return property(lambda self: original.fget(self) + self.settings[0].learning_rate)


def one_stream_for_all(original: Any) -> Any:
    def wrong(*given: Any, **options: Any) -> Any:
        (first, *rest) = original(*given, **options)
        return tuple([first] * (1 + len(rest)))

    return wrong


def kept_in_the_next_row(original: Any) -> Any:
    def wrong(self: Any, chunk: int, result: Any) -> None:
        original(self, (chunk + 1) % len(self.chunks), result)

    return wrong


def never_diverged(original: Any) -> Any:
    return lambda self, count, more: original(self, len(self.steps), more)


def entries_reversed(original: Any) -> Any:
    def wrong(*given: Any) -> Any:
        packed = original(*given)
        return packed[:, ::-1].copy()

    return wrong


@dataclass(frozen=True)
class Planted:
    owner: Any
    name: str
    wrong: Callable[[Any], Any]
    check: Callable[[], None]


PLANTED = {
    "decay of another run": Planted(flows.FlowSweep, "_decays", decay_of_the_next_run, of_runs_in_one_call),
    "steps that are not the run's own": Planted(flows, "integrate_each", tolerance_of_the_ensemble, of_single_runs),
    "steps of the run before": Planted(stepping._Run, "rows", controller_of_the_run_before, of_runs_in_one_call),
    "starts packed another way": Planted(FLOW_VERB, "pack_starts", entries_reversed, of_single_runs),
    "decays of a batch reversed": Planted(flows, "batch_arguments", decays_reversed, of_batches),
    "error averaged over the batch": Planted(stepping._Run, "__init__", mean_over_all_runs, of_steps),
    "rates of a batch reversed": Planted(_descent_kernels, "descend_full", rates_reversed, of_descents),
    "off by one in recording": Planted(descents.DescentSweep, "t", recorded_one_late, of_descents),
    "one stream of draws for all runs": Planted(training, "_generators", one_stream_for_all, of_draws),
    "divergence not told": Planted(descents.DescentSweep, "_outcome", never_diverged, of_divergence),
    "rows of another chunk": Planted(executors._Submission, "keep", kept_in_the_next_row, of_chunks),
    "runs counted from one": Planted(
        ensemble.Ensemble, "_run", lambda original: lambda self, index: original(self, index - 1), of_single_runs
    ),
}


@pytest.mark.parametrize("name", sorted(PLANTED))
def test_planted_error_is_noticed(name, monkeypatch):
    p = PLANTED[name]
    p.check()  # passes without the error
    monkeypatch.setattr(p.owner, p.name, p.wrong(p.owner.__dict__[p.name]))
    with pytest.raises((AssertionError, IndexError)):
        p.check()

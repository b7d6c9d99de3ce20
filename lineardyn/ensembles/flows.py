"""Many gradient flows: one by one where each has the statistics to itself, in batches over dense statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from lineardyn.ensembles.sweep import Outcome, Report, Sweep, share_of_group
from lineardyn.errors import Status
from lineardyn.flow.arguments import KernelArguments, Layout, batch_arguments, flow_arguments
from lineardyn.flow.events import AnyEvent, Flow, Watcher
from lineardyn.flow.integration import Integration, integrate, integrate_each
from lineardyn.trajectory import FlowSettings

__all__ = ["FlowSweep"]

Floats = NDArray[np.float64]
Prepared = tuple[KernelArguments, Layout]
SPOILED = (Status.NON_FINITE, Status.STEP_TOO_SMALL)
"""How a batch ends where one of its runs cannot go on: the others then go on alone."""
SINGLE = ("geometric",)
"""Methods that look at the state between steps, and know it as that of one run."""


@dataclass(frozen=True)
class FlowSweep(Sweep):
    """Flows to the same ``times``, each with ``events`` of its own to watch for."""

    settings: tuple[FlowSettings, ...]
    times: Floats
    events: tuple[AnyEvent, ...] = ()

    @property
    def t(self) -> Floats:
        return np.broadcast_to(self.times, (len(self), len(self.times)))

    @property
    def together(self) -> bool:
        dense = self.moments.statistics.dense
        return dense and self.settings[0].method not in SINGLE and not self.events  # an event ends one run, not a batch

    @cached_property
    def flow(self) -> Flow:
        """Of any weight decay, for events to look at."""
        return Flow(self.network, self.moments, 0.0)

    def lost(self) -> Outcome:
        return super().lost()._replace(events=(None,) * len(self.events))

    def prepare(self) -> Prepared:
        return flow_arguments(self.network, self.moments, 0.0)

    def solve(self, group: slice, out: Floats, shared: Prepared, report: Report | None) -> Iterator[Outcome]:
        if self.together and len(out) > 1:
            outcome = self._batch(group, out, report)
            if outcome.status not in SPOILED:
                yield from (outcome._replace(stats=dict(outcome.stats)) for _ in out)
                return
        if self.events:
            for i, run in enumerate(range(group.start, group.stop)):
                yield self._watched(run, out[i], shared, share_of_group(report, i, len(out)))
            return
        settings, told = self.settings[group.start], None if report is None else partial(_share, report, len(out))
        results = integrate_each(
            self.network, self.moments, self.starts[group], self.times, weight_decays=self._decays(group),
            method=settings.method, rtol=settings.rtol, atol=settings.atol, max_steps=settings.max_steps,
            prepared=shared, out=out, report=told,
        )  # fmt: skip
        for result in results:
            yield Outcome(len(result.states), result.status, result.stats)

    def _decays(self, group: slice) -> Floats:
        return np.array([settings.weight_decay for settings in self.settings[group]])

    def _batch(self, group: slice, out: Floats, report: Report | None) -> Outcome:
        prepared = batch_arguments(self.network, self.moments, self._decays(group))
        result = self._integrate(group.start, self.starts[group].ravel(), prepared, report, None)
        reached = len(result.states)
        out[:, :reached] = result.states.reshape(reached, len(out), out.shape[2]).transpose(1, 0, 2)
        return Outcome(reached, result.status, {**result.stats, "batch": len(out)})

    def _integrate(
        self, run: int, start: Floats, prepared: Prepared, report: Report | None, out: Floats | None,
        watcher: Watcher | None = None,
    ) -> Integration:  # fmt: skip
        settings, end = self.settings[run], float(self.times[-1])
        share: Callable[[float], None] | None = None if report is None else partial(_share, report, end)
        if watcher is not None:
            watcher.report = share
        return integrate(
            self.network, self.moments, start, self.times, weight_decay=settings.weight_decay, method=settings.method,
            rtol=settings.rtol, atol=settings.atol, max_steps=settings.max_steps, report=share, prepared=prepared,
            out=out, watcher=watcher,
        )  # fmt: skip

    def _watched(self, run: int, out: Floats, shared: Prepared, report: Report | None) -> Outcome:
        arguments, layout = shared
        start, decay = self.starts[run], self.settings[run].weight_decay
        watcher = Watcher(self.events, replace(self.flow, weight_decay=decay), start)
        result = self._integrate(run, start, (arguments._replace(decay=decay), layout), report, out, watcher)
        _, states = watcher.record(self.times[: len(result.states)], result.states)
        out[: len(states)] = states
        end = None if watcher.stop is None else watcher.stop[0]
        return Outcome(len(states), result.status, result.stats, tuple(watcher.times), end)


def _share(report: Report, end: float, time: float) -> None:
    report(time / end if end else 1.0)

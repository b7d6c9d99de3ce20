"""Many gradient flows: one by one where each has the statistics to itself, in batches over dense statistics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from lineardyn.ensembles.sweep import Outcome, Report, Sweep
from lineardyn.errors import Status
from lineardyn.flow.arguments import KernelArguments, Layout, batch_arguments, flow_arguments
from lineardyn.flow.stepping import Integration, integrate
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
    """Flows to the same ``times``."""

    settings: tuple[FlowSettings, ...]
    times: Floats

    @property
    def t(self) -> Floats:
        return np.broadcast_to(self.times, (len(self), len(self.times)))

    @property
    def together(self) -> bool:
        return self.moments.statistics.dense and self.settings[0].method not in SINGLE

    def prepare(self) -> Prepared:
        return flow_arguments(self.network, self.moments, 0.0)

    def solve(self, group: slice, out: Floats, shared: Prepared, report: Report | None) -> list[Outcome]:
        if self.together and len(out) > 1:
            outcome = self._batch(group, out, report)
            if outcome.status not in SPOILED:
                return [outcome._replace(stats=dict(outcome.stats)) for _ in out]
        runs = range(group.start, group.stop)
        return [self._alone(run, states, shared, report) for run, states in zip(runs, out, strict=True)]

    def _alone(self, run: int, out: Floats, shared: Prepared, report: Report | None) -> Outcome:
        arguments, layout = shared
        own = arguments._replace(decay=self.settings[run].weight_decay)
        result = self._integrate(run, self.starts[run], (own, layout), report, out)
        return Outcome(len(result.states), result.status, result.stats)

    def _batch(self, group: slice, out: Floats, report: Report | None) -> Outcome:
        decays = np.array([settings.weight_decay for settings in self.settings[group]])
        prepared = batch_arguments(self.network, self.moments, decays)
        result = self._integrate(group.start, self.starts[group].ravel(), prepared, report, None)
        reached = len(result.states)
        out[:, :reached] = result.states.reshape(reached, len(out), out.shape[2]).transpose(1, 0, 2)
        return Outcome(reached, result.status, {**result.stats, "batch": len(out)})

    def _integrate(
        self, run: int, start: Floats, prepared: Prepared, report: Report | None, out: Floats | None
    ) -> Integration:
        settings, end = self.settings[run], float(self.times[-1])
        share: Callable[[float], None] | None = None if report is None else partial(_share, report, end)
        return integrate(
            self.network, self.moments, start, self.times, weight_decay=settings.weight_decay, method=settings.method,
            rtol=settings.rtol, atol=settings.atol, max_steps=settings.max_steps, report=share, prepared=prepared,
            out=out,
        )  # fmt: skip


def _share(report: Report, end: float, time: float) -> None:
    report(time / end if end else 1.0)

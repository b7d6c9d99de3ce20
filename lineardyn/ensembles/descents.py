"""Many runs of gradient descent: one by one, or in batches where full-batch steps share a matrix product."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lineardyn.descent import Descent, descend_together
from lineardyn.ensembles.sweep import Outcome, Report, Sweep, share_of_group
from lineardyn.errors import Status
from lineardyn.flow.arguments import batch_arguments
from lineardyn.trajectory import DescentSettings

__all__ = ["DescentSweep"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DescentSweep(Sweep):
    """Descents of as many steps, recorded at the same ``steps``; ``generators`` (one a run) draw the images, if any."""

    settings: tuple[DescentSettings, ...]
    steps: NDArray[np.int64]
    every: int
    generators: tuple[np.random.Generator, ...]

    @property
    def t(self) -> Floats:
        rates = np.array([settings.learning_rate for settings in self.settings])
        return rates[:, None] * self.steps

    @property
    def together(self) -> bool:
        return self.moments.statistics.dense and not self.generators

    def part(self, runs: slice) -> DescentSweep:
        return replace(self, starts=self.starts[runs], settings=self.settings[runs], generators=self.generators[runs])

    def prepare(self) -> Descent:
        first = self.settings[0]
        return Descent(self.network, self.moments, n_steps=first.n_steps, every=self.every, batch_size=first.batch_size)

    def solve(self, group: slice, out: Floats, shared: Descent, report: Report | None) -> Iterator[Outcome]:
        if self.together and len(out) > 1:
            settings = self.settings[group]
            arguments, _ = batch_arguments(self.network, self.moments, np.array([s.weight_decay for s in settings]))
            rates = np.array([s.learning_rate for s in settings])
            share = _share_of(report, shared.n_steps)
            counts = descend_together(arguments, self.starts[group], rates, out, self.every, shared.n_steps, share)
            yield from (self._outcome(int(count), {"batch": len(out)}) for count in counts)
            return
        for i, states in enumerate(out):
            run = group.start + i
            settings_, share = self.settings[run], _share_of(share_of_group(report, i, len(out)), shared.n_steps)
            count = shared.run(
                self.starts[run], settings_.learning_rate, settings_.weight_decay, states,
                rng=self.generators[run] if self.generators else None, report=share,
            )  # fmt: skip
            yield self._outcome(count, {})

    def _outcome(self, count: int, more: dict[str, int]) -> Outcome:
        status = Status.SUCCESS if count == len(self.steps) else Status.DIVERGED
        size = self.settings[0].batch_size
        method = "full batch" if size is None else f"batches of {size}"
        return Outcome(count, status, {"method": method, "n_steps": int(self.steps[count - 1]), **more})


def _share_of(report: Report | None, n_steps: int) -> Report | None:
    """Takes steps, and tells the share that they are."""
    return None if report is None else lambda step: report(step / n_steps)

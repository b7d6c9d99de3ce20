"""What threads and executors need to know of many runs: how they are cut into groups, and how a group is solved."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lineardyn.errors import ArgumentError, Status
from lineardyn.moments import SecondMoments
from lineardyn.networks import LinearNetwork
from lineardyn.trajectory import RECORD_BYTES, DescentSettings, FlowSettings, Trajectory

__all__ = ["Outcome", "Report", "Sweep", "evenly", "share_of_group"]

Floats = NDArray[np.float64]
Report = Callable[[float], None]
BATCH_ROWS = 256
"""Rows of the one matrix product of a batch of runs: enough for dgemm's full rate; more would only couple more runs."""
SHARES = 32
"""A thread takes one of so many parts of the runs that are left, where they are not batched."""


def evenly(n: int, count: int) -> list[slice]:
    """So many slices of nearly one length."""
    edges = [n * i // count for i in range(count + 1)]
    return [slice(a, b) for a, b in pairwise(edges)]


def share_of_group(report: Report | None, i: int, n_runs: int) -> Report | None:
    """What run i of a group tells its own share to."""
    return None if report is None else lambda share: report((i + share) / n_runs)


class Outcome(NamedTuple):
    """How one run ended, and at how many of the recorded times it has a state.

    ``events`` are the times of its events; ``end`` is that of the terminal one which ended it, the last recorded then.
    """

    reached: int
    status: Status
    stats: dict[str, Any]
    events: tuple[float | None, ...] = ()
    end: float | None = None

    def times(self, t: Floats) -> Floats:
        """The times of a run that was to be recorded at ``t``."""
        if self.end is None:
            return t
        own = t.copy()
        own[self.reached - 1] = self.end
        return own


@dataclass(frozen=True)
class Sweep(ABC):
    """Many runs of one network on one data set, from ``starts (R, n)``, with ``settings`` of their own.

    It can be pickled: what a worker in another process is sent is a :meth:`part`.
    """

    network: LinearNetwork
    moments: SecondMoments
    starts: Floats
    settings: tuple[FlowSettings, ...] | tuple[DescentSettings, ...]

    def __len__(self) -> int:
        return len(self.starts)

    @property
    @abstractmethod
    def t(self) -> Floats:
        """``(R, T)``: the times to record."""

    @property
    @abstractmethod
    def together(self) -> bool:
        """Whether runs are batched into one matrix product."""

    @abstractmethod
    def prepare(self) -> Any:
        """What the runs of one thread share."""

    @abstractmethod
    def solve(self, group: slice, out: Floats, shared: Any, report: Report | None) -> Iterator[Outcome]:
        """Run a group, states to ``out (r, T, n)``: outcomes in the order of the runs, each as soon as it is known.

        ``report`` takes the share done, and may raise to stop it.
        """

    def lost(self) -> Outcome:
        """Of a run that no worker brought back."""
        return Outcome(0, Status.WORKER_LOST, {})

    def part(self, runs: slice) -> Sweep:
        """Some of the runs."""
        return replace(self, starts=self.starts[runs], settings=self.settings[runs])

    def units(self) -> list[slice]:
        """Runs that cannot be parted: batches of nearly one size, whatever the number of threads, or one by one."""
        largest = max(1, BATCH_ROWS // self.network.n_outputs) if self.together else 1
        return evenly(len(self), -(-len(self) // largest))

    def groups(self) -> list[slice]:
        """Runs that one thread takes at once: fewer and fewer, so that no thread ends long after the others."""
        if self.together:
            return self.units()
        n, edges = len(self), [0]
        while edges[-1] < n:
            edges.append(edges[-1] + -(-(n - edges[-1]) // SHARES))
        return [slice(a, b) for a, b in pairwise(edges)]

    def room(self) -> Floats:
        """``(R, T, n)`` for the states."""
        shape = (*self.t.shape, self.starts.shape[1])
        if 8 * int(np.prod(shape, dtype=object)) > RECORD_BYTES:
            fits = RECORD_BYTES // (8 * shape[1] * shape[2])
            raise ArgumentError(
                f"weights start {shape[0]} runs, expected at most {fits}: their {shape[1]} recorded states of "
                f"{8 * shape[2]} bytes take {8 * np.prod(shape, dtype=float) / 2**30:.1f} GiB; record fewer, "
                f"or take the runs in parts"
            )
        return np.empty(shape)

    def trajectory(self, run: int, states: Floats, outcome: Outcome) -> Trajectory:
        """One run as if it had been alone."""
        return Trajectory(
            network=self.network, moments=self.moments, t=outcome.times(self.t[run])[: outcome.reached],
            states=states[: outcome.reached], start=self.starts[run], settings=self.settings[run],
            status=outcome.status, stats=dict(outcome.stats), events=outcome.events,
        )  # fmt: skip

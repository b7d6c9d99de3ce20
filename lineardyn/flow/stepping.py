"""Driving the kernels: one run, from call to call.

The kernels take a bounded number of steps at each call, so that Python sees Ctrl-C and can show progress.
"""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.flow import _kernels, _run_kernels, _screened_kernels, _stabilised_kernels
from lineardyn.flow.arguments import KernelArguments, Layout, aligned, flow_arguments
from lineardyn.flow.geometric import ConservationLaws
from lineardyn.flow.rock4 import NO_RECURRENCES, most_stages, recurrences
from lineardyn.flow.screening import Screening, can_screen
from lineardyn.flow.tableaus import TABLEAUS
from lineardyn.validation import check_choice, check_count, check_number

if TYPE_CHECKING:
    from lineardyn.moments import SecondMoments
    from lineardyn.networks import LinearNetwork, Weights

__all__ = ["METHODS", "Rows", "fixed_steps", "work"]

Floats = NDArray[np.float64]
METHODS = ("bs32", "tsit5", "dop853", "rkc", "rock4", "geometric")
MAX_STEPS = 10_000_000
EARLY_SHARE = 0.2
"""Of the tolerance, with which ``auto`` starts: early errors grow with the modes, and cost little at order 8."""
FINEST_STABILISED = 1e-8
"""Below this rtol the order 2 of RKC is too low, whatever the stiffness."""
CALL_FLOPS = 2e8
"""Work of one call of a kernel, about 0.1 s: Ctrl-C waits no longer than this."""
FIRST_LOOK = 10_000
"""Right-hand sides after which a run may be found to be at rest: to look takes as long as some thousands of them."""
AT_REST = 1e-5
"""Share of itself by which one step still moves a state that may be at rest."""
EVENT = -1
"""What a kernel never returns: the run ends where it is watched."""
NO_STRIDES = (np.empty(0), np.empty(0))
"""Of the stabilised methods: see ``_run_kernels.begin``."""

Rest = Callable[[Floats, list[Floats]], Floats | None]
"""Where a state can change no more, the state it is at for ever; None elsewhere. Given vectors to work in."""


class Watching(Protocol):
    """Who looks at every step, takes them with ``run.advance(1, ..)``, and may end the run with EVENT."""

    def advance(self, run: _Run, budget: int, max_steps: int) -> int: ...

    def wait(self, start: float, end: float, state: Floats) -> bool:
        """Whether the run ends there while its state stays as it is."""


class Rows(NamedTuple):
    """What is each run's own, of several that move by one pair: arrays with a leading axis (see ``advance_runs``)."""

    y: Floats
    control: Floats
    counts: NDArray[np.int64]
    out: Floats
    decays: Floats


class _Run:
    """The mutable state of one integration between calls of its kernel."""

    def __init__(
        self, arguments: KernelArguments, layout: Layout, start: Floats, times: Floats, method: str,
        rtol: float, atol: float, out: Floats | None = None, room: Floats | None = None, since: float = 0.0,
    ) -> None:  # fmt: skip
        """``start`` is padded, and taken over; ``room`` is that of a run which goes no further than ``since``."""
        self.arguments, self.layout, self.times, self.method = arguments, layout, times, method
        self.rtol, self.atol = rtol, atol
        self.y = start
        self.tableau = TABLEAUS.get(method)
        n_vectors = _stabilised_kernels.ROOM if self.order == 4 else _stabilised_kernels.ENDS
        n_rows = self.tableau.n_rows if self.tableau else n_vectors
        entries = start.size // layout.padded * layout.length
        self.room = aligned((n_rows + (self.tableau is not None), start.size)) if room is None else room
        self.stages = self.room[:n_rows]
        self.trial = self.room[n_rows] if self.tableau else self.stages[_stabilised_kernels.SLOPE]
        self.out = np.empty((len(times), entries)) if out is None else out
        self.since, self.code = since, _kernels.RUNNING
        self.at_rest: float | None = None
        self.next_look = FIRST_LOOK
        self.control = np.zeros(_kernels.CONTROLS)
        self.control[_kernels.TIME] = since
        self.n_runs = start.size // int(arguments.offsets[-1])
        self.control[_kernels.ENTRIES] = entries // self.n_runs  # so bounds the RMS of every run of a batch
        self.control[_kernels.OLD_ERROR] = 1.0 if self.tableau else 0.0
        self.counts = np.zeros(_kernels.COUNTS, dtype=np.int64)
        self.counts[_kernels.LENGTH], self.counts[_kernels.PADDED] = layout.length, layout.padded
        self.screening: Screening | None = None
        self.laws: ConservationLaws | None = None

    def begin(self) -> None:
        """Find f at the start, and the first step; ``code`` says whether it moves."""
        if self.tableau:  # by the kernel that goes on: see there
            self.code = self._call_kernel(0, 0)
            return
        self.code = _run_kernels.begin(
            self.y, self.stages, self.control, self.counts, self.times, self.out, self.rtol, self.atol,
            *NO_STRIDES, *self.arguments,
        )  # fmt: skip

    def advance_all(
        self,
        max_steps: int,
        report: Callable[[float], None] | None = None,
        *,
        watcher: Watching | None = None,
        rest: Rest | None = None,
    ) -> int:
        """To the last time, or, with ``control[WATCH]``, to where RKC promises to be cheaper than short steps."""
        code = self._looked_at(self.code, watcher, rest)
        while code == _kernels.RUNNING:
            if _run_kernels.too_fine(self.y, self.rtol, self.atol):
                return _kernels.STEP_TOO_SMALL
            code = watcher.advance(self, self.budget, max_steps) if watcher else self.advance(self.budget, max_steps)
            if report is not None:
                report(float(self.control[_kernels.TIME]))
            code = self._looked_at(code, watcher, rest)
        return code

    def _looked_at(self, code: int, watcher: Watching | None, rest: Rest | None) -> int:
        """What becomes of a run that a kernel has left with this code."""
        still = code == _run_kernels.STILL
        if rest is not None and (still or (code == _kernels.RUNNING and self._may_be_at_rest())):
            return self._finish_at_rest(rest, watcher)
        return _kernels.RUNNING if still else code

    @property
    def budget(self) -> int:
        """Steps of one call of the kernel."""
        if self.tableau:
            n_rhs = float(self.tableau.n_main)
        else:
            radius, span = float(self.control[_kernels.RADIUS]), float(self.times[-1] - self.control[_kernels.TIME])
            known = math.sqrt(1.54 * min(radius * span, 1e9))
            stages = known if radius else _stabilised_kernels.MOST  # not known before a step
            n_rhs = min(_stabilised_kernels.MOST, max(10.0, stages))
        return max(1, min(10_000, int(CALL_FLOPS / (self.n_runs * self.arguments.flops * n_rhs))))

    def _may_be_at_rest(self) -> bool:
        """Looked at where the work has doubled, so that looking is never most of it."""
        n_rhs, h = int(self.counts[_kernels.CALLS]), float(self.control[_kernels.STEP])
        if n_rhs < self.next_look or float(self.times[-1] - self.control[_kernels.TIME]) < 4.0 * h:
            return False
        self.next_look = 2 * n_rhs
        _kernels.flow(self.y, self.trial, *self.arguments)
        return bool(np.linalg.norm(self.trial) * h <= AT_REST * np.linalg.norm(self.y))

    def _finish_at_rest(self, rest: Rest, watcher: Watching | None) -> int:
        """All the way, where the state can change no more."""
        spare = list(self.room[1 if self.tableau else _stabilised_kernels.VECTOR + 1 :])  # nothing between steps
        if self.screening is not None:
            spare = self.screening.spare(self.y.size, int(self.counts[_screened_kernels.ACTIVE]))
        final = rest(self.layout.unpad(self.y), spare)
        if final is None:
            return _kernels.RUNNING
        self.at_rest = float(self.control[_kernels.TIME])
        ended = watcher is not None and watcher.wait(self.at_rest, float(self.times[-1]), final.copy())
        self.out[self.counts[_kernels.NEXT] :] = final
        self.counts[_kernels.NEXT] = len(self.times)
        self.control[_kernels.TIME] = self.times[-1]
        return EVENT if ended else int(_kernels.DONE)

    def rows(self, y: Floats, out: Floats, decays: Floats) -> Rows:
        """Of runs like this one from ``y (R, n)``, none of which has begun."""
        control, counts = np.empty((len(y), _kernels.CONTROLS)), np.empty((len(y), _kernels.COUNTS), dtype=np.int64)
        control[:], counts[:] = self.control, self.counts
        return Rows(y, control, counts, out, decays)

    def at(self, runs: Rows, i: int, code: int) -> _Run:
        """Run i of several like this one, which takes its place and its room; a kernel has left it with ``code``."""
        other = copy.copy(self)
        other.y, other.control, other.counts, other.out = runs.y[i], runs.control[i], runs.counts[i], runs.out[i]
        other.arguments, other.code = self.arguments._replace(decay=float(runs.decays[i])), code
        return other

    # -- taking a step once more ---------------------------------------------------------------------------------

    def twin(self) -> _Run:
        """A run at the same point that moves by itself; statistics and scratch are shared."""
        other = copy.copy(self)
        rows = aligned((len(self.stages) + 1, self.y.size))
        other.y, other.stages, other.trial = aligned(self.y.shape), rows[:-1], rows[-1]
        other.control, other.counts = self.control.copy(), self.counts.copy()
        if self.screening is not None:
            other.screening = self.screening.copy()
        other.follow(self)
        return other

    def follow(self, leader: _Run) -> None:
        """To the point at which the leader is."""
        for mine, theirs in zip(self._moving(), leader._moving(), strict=True):
            mine[...] = theirs

    def _moving(self) -> list[NDArray[Any]]:
        """What a step changes, but for the record."""
        arrays: list[NDArray[Any]] = [self.y, self.stages, self.control, self.counts]
        if self.screening is not None:
            arrays += self.screening.moving
        return arrays

    def states_inside(self, times: Floats) -> Floats:
        """States at increasing times inside the next step, by its dense output: what a recorded time there would give.

        The run itself moves on by that step.
        """
        self.times, self.out = np.append(times, self.times[-1]), np.empty((len(times) + 1, self.out.shape[1]))
        self.counts[_kernels.NEXT] = 0
        self.advance(1, sys.maxsize)
        return self.out[: len(times)]

    def stabilised(self, rtol: float, atol: float) -> _Run:
        """The rest of this run by RKC, from the point reached; what is recorded and counted goes on."""
        since = float(self.control[_kernels.TIME])
        run = _Run(self.arguments, self.layout, self.y, self.times, "rkc", rtol, atol, self.out, self.room, since)
        run.laws = self.laws
        run.begin()
        run.control[_kernels.STEP] = self.control[_kernels.STEP]
        run.counts[:4] = self.counts[:4]
        if can_screen(self.arguments):
            run.screen()
        return run

    def screen(self) -> None:
        """Spend RKC's stages on the frequencies that matter only."""
        self.screening = Screening.of(self.arguments, self.stages, self.rtol, self.room[len(self.stages) :])
        self.trial = self.screening.buffers[: self.y.size]
        slots = [_screened_kernels.THRESHOLD, _screened_kernels.SCALE]
        self.control[slots] = self.screening.threshold, self.screening.scale
        self.counts[_screened_kernels.ACTIVE] = -1

    @property
    def order(self) -> int:
        """Of the stabilised methods."""
        return 4 if self.method == "rock4" else 2

    @property
    def most_stages(self) -> int:
        """Round-off grows with the stages, of RKC with their square: they stay where it is a tenth of the tolerance."""
        if self.order == 4:
            return most_stages(self.rtol)
        return int(np.clip(np.sqrt(self.rtol / (10.0 * 2.3e-16)), 2, _stabilised_kernels.MOST))

    def advance(self, budget: int, max_steps: int) -> int:
        """Take up to ``budget`` steps, one where conservation laws are restored: a status code of the kernels."""
        if self.laws is None:
            return self._call_kernel(budget, max_steps)
        n_steps, recorded = self.counts[_kernels.STEPS], self.counts[_kernels.NEXT]
        code = self._call_kernel(1, max_steps)
        if self.counts[_kernels.STEPS] > n_steps:
            if self.screening is None:
                self.laws.restore(self.y, self.control[_kernels.TIME], self.stages[0])
            else:  # which computes f anew in each step
                self.laws.restore(self.y, self.control[_kernels.TIME])
                self.screening.gather(self.y, int(self.counts[_screened_kernels.ACTIVE]))
            for i in range(recorded, self.counts[_kernels.NEXT]):
                self.laws.restore(self.out[i], self.times[i])
        return code

    def _call_kernel(self, budget: int, max_steps: int) -> int:
        if self.tableau:
            decays = np.full(1, self.arguments.decay)
            own = Rows(self.y[None], self.control[None], self.counts[None], self.out[None], decays)
            return self.advance_several(own, 0, budget, max_steps)[1]
        record = (self.control, self.counts, self.times, self.out, budget, max_steps, self.rtol, self.atol)
        family = (self.order, self.most_stages, *(recurrences() if self.order == 4 else NO_RECURRENCES))
        if self.screening is None:
            return int(_stabilised_kernels.advance_stabilised(self.y, self.stages, *record, *family, *self.arguments))
        room = self.screening
        arguments = self.arguments._replace(work=room.work)
        parts = (room.buffers, room.stages, room.screen, room.index, room.residuals)
        return int(_screened_kernels.advance_screened(self.y, *parts, *record, *family, *arguments))

    def advance_several(self, runs: Rows, first: int, budget: int, max_steps: int) -> tuple[int, int]:
        """Runs like this one, an embedded pair, in its room: see ``_run_kernels.advance_runs``."""
        t = self.tableau
        assert t is not None
        pair = (t.table, t.places, t.measured, t.measures, t.interpolant, t.n_main, t.error_order, t.stability)
        network, statistics = self.arguments[:5], self.arguments[6:]  # the decay between them is each run's own
        run, code = _run_kernels.advance_runs(
            first, runs.y, self.stages, self.trial, runs.control, runs.counts, self.times, runs.out, budget, max_steps,
            self.rtol, self.atol, *t.growth_errors, *pair, *network, runs.decays, *statistics,
        )  # fmt: skip
        return int(run), int(code)

    def stats(self) -> dict[str, Any]:
        stats: dict[str, Any] = {"method": self.method, **work(self.counts)}
        if self.at_rest is not None:
            stats["t_rest"] = self.at_rest
        if self.screening is not None:
            stats["n_active"] = int(self.counts[_screened_kernels.ACTIVE])
        if self.tableau is None:
            stats["n_rhs_radius"] = int(self.counts[_kernels.POWER])
            stats["max_stages"] = int(self.counts[_kernels.MOST_STAGES])
            stats["spectral_radius"] = float(self.control[_kernels.RADIUS])
        return stats


def work(counts: NDArray[np.int64]) -> dict[str, int]:
    """Of the counters of a run, those that its stats begin with."""
    n_steps, n_rejected, n_rhs = counts[: _kernels.CALLS + 1].tolist()
    return {"n_steps": n_steps, "n_rejected": n_rejected, "n_rhs": n_rhs}


def fixed_steps(
    network: LinearNetwork,
    moments: SecondMoments,
    weights: Sequence[ArrayLike],
    t_eval: ArrayLike,
    *,
    method: str,
    step: float,
    n_stages: int = 4,
    weight_decay: float = 0.0,
    conserve: bool = False,
) -> list[Weights]:
    """Weights at ``t_eval`` by steps of fixed size, no error control: for measuring the order of a method.

    ``n_stages`` is for ``"rkc"`` only; ``conserve`` restores the conservation laws after each step, as ``"geometric"``
    does with steps of DOP853. Recorded times inside a step come from the method's dense output.
    """
    network.check_moments(moments)
    method = check_choice("method", method, METHODS)
    decay = check_number("weight_decay", weight_decay, minimum=0.0)
    times = np.atleast_1d(np.asarray(t_eval, dtype=np.float64))
    arguments, layout = flow_arguments(network, moments, decay)
    start = network.pack(weights)
    first = "dop853" if method == "geometric" else method
    run = _Run(arguments, layout, layout.pad(start), times, first, 1e-6, 1e-9)
    if conserve or method == "geometric":
        run.laws = ConservationLaws.of(network, start, decay)
    run.begin()
    run.control[_kernels.STEP] = check_number("step", step, minimum=0.0, strict=True)
    run.control[_kernels.FIXED] = check_count("n_stages", n_stages, minimum=2)
    run.advance_all(MAX_STEPS)
    return [network.unpack(state) for state in run.out[: int(run.counts[_kernels.NEXT])]]

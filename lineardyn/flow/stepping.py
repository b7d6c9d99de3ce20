"""Driving the kernels: from a network and its data to states at the recorded times.

The kernels take a bounded number of steps at each call, so that Python sees Ctrl-C and can show progress.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import Status
from lineardyn.flow import _kernels, _screened_kernels
from lineardyn.flow.arguments import KernelArguments, Layout, aligned, flow_arguments
from lineardyn.flow.screening import Screening, can_screen
from lineardyn.flow.tableaus import TABLEAUS
from lineardyn.validation import check_choice, check_count, check_number

if TYPE_CHECKING:
    from lineardyn.moments import SecondMoments
    from lineardyn.networks import LinearNetwork, Weights

__all__ = ["METHODS", "Integration", "fixed_steps", "integrate"]

Floats = NDArray[np.float64]
METHODS = ("bs32", "tsit5", "dop853", "rkc")
MAX_STEPS = 10_000_000
WATCH = 3
"""Steps in a row that stability must limit before ``auto`` thinks of RKC."""
FINEST_STABILISED = 1e-8
"""Below this rtol the order 2 of RKC is too low, whatever the stiffness."""
CALL_FLOPS = 2e8
"""Work of one call of a kernel, about 0.1 s: Ctrl-C waits no longer than this."""

_STATUS = {
    _kernels.DONE: Status.SUCCESS,
    _kernels.STEP_TOO_SMALL: Status.STEP_TOO_SMALL,
    _kernels.NON_FINITE: Status.NON_FINITE,
    _kernels.MAX_STEPS: Status.MAX_STEPS,
}


@dataclass(frozen=True)
class Integration:
    """States at the recorded times that were reached, and how it went."""

    states: Floats
    status: Status
    stats: dict[str, Any]


def integrate(
    network: LinearNetwork,
    moments: SecondMoments,
    start: Floats,
    times: Floats,
    *,
    weight_decay: float,
    method: str,
    rtol: float,
    atol: float,
    max_steps: int,
    report: Callable[[float], None] | None = None,
    prepared: tuple[KernelArguments, Layout] | None = None,
    out: Floats | None = None,
) -> Integration:
    """States at ``times`` (increasing, >= 0) of the flow that is at ``start`` at time 0.

    ``prepared`` holds what :func:`flow_arguments` returns, where many runs share it, or ``batch_arguments`` of a batch
    of runs, one after another in ``start``. ``out`` is room for the states, made here by default.
    """
    switching = method == "auto"
    first = "dop853" if switching else method
    arguments, layout = flow_arguments(network, moments, weight_decay) if prepared is None else prepared
    run = _Run(arguments, layout, layout.pad(start), times, first, rtol, atol, out)
    code = run.advance_all(max_steps, report, watch=WATCH if switching and rtol >= FINEST_STABILISED else 0)
    stats = run.stats()
    if code == _kernels.STIFF:
        first_rhs = run.stats()["n_rhs"]
        run = run.stabilised()
        code = run.advance_all(max_steps, report)
        stats = {**run.stats(), "method": f"{first}, then {run.method}", "t_stiff": run.since, "n_rhs_stiff": first_rhs}
    reached = int(run.counts[_kernels.NEXT])
    return Integration(run.out[:reached], _STATUS[code], {"requested": method, **stats})


class _Run:
    """The mutable state of one integration between calls of its kernel."""

    def __init__(
        self,
        arguments: KernelArguments,
        layout: Layout,
        start: Floats,
        times: Floats,
        method: str,
        rtol: float,
        atol: float,
        out: Floats | None = None,
    ) -> None:
        """``start`` is padded, and taken over."""
        self.arguments, self.layout, self.times, self.method = arguments, layout, times, method
        self.rtol, self.atol = rtol, atol
        self.y = start
        self.tableau = TABLEAUS.get(method)
        n_stages = len(self.tableau.table) if self.tableau else 6
        entries = start.size // layout.padded * layout.length
        rows = aligned((n_stages + 1, start.size))
        self.stages, self.trial = rows[:n_stages], rows[n_stages]
        self.out = np.empty((len(times), entries)) if out is None else out
        self.since = 0.0
        self.control = np.zeros(11)
        self.n_runs = start.size // int(arguments.offsets[-1])
        self.control[_kernels.ENTRIES] = entries // self.n_runs  # so bounds the RMS of every run of a batch
        self.control[_kernels.OLD_ERROR] = 1.0 if self.tableau else 0.0
        self.counts = np.zeros(11, dtype=np.int64)
        self.counts[[_kernels.LENGTH, _kernels.PADDED]] = layout.length, layout.padded
        _kernels.flow(self.y, self.stages[0], *arguments)
        self.counts[_kernels.CALLS] = 1
        self.stages[2] = self.stages[0]  # the power iteration starts along f, where the fast directions are
        self.control[_kernels.STEP] = self._first_step()
        self.screening: Screening | None = None
        self._record_start()

    def _first_step(self) -> float:
        """The step at which a state that only grows errs by a hundredth of the tolerance."""
        span = float(self.times[-1])
        size, mean, fastest = _kernels.growth(
            self.y, self.stages[0], self.control[_kernels.ENTRIES], self.rtol, self.atol
        )
        if not 0.0 < fastest < np.inf:
            return span
        if size <= 1e-5:  # nothing to grow from
            return float(min(self.atol / fastest, span))
        stride = self.tableau.stride(0.01 / size) if self.tableau else (0.15 / size) ** (1.0 / 3.0)
        return float(min(stride * mean / fastest, span))

    def _record_start(self) -> None:
        if self.times[0] == 0.0:
            self.out[0] = self.layout.unpad(self.y)
            self.counts[_kernels.NEXT] = 1

    def advance_all(self, max_steps: int, report: Callable[[float], None] | None = None, *, watch: int = 0) -> int:
        """To the last time, or to where stability limited ``watch`` steps in a row and RKC promises to be cheaper."""
        if not (_kernels.finite(self.y) and _kernels.finite(self.stages[0])):
            return _kernels.NON_FINITE
        self.control[_kernels.WATCH] = watch
        cost = self.n_runs * self.arguments.flops * (self.tableau.n_main if self.tableau else 10)
        budget = max(1, min(10_000, int(CALL_FLOPS / cost)))  # np.clip costs as much as a small step
        code = _kernels.RUNNING
        while code == _kernels.RUNNING:
            code = self._advance(budget, max_steps)
            if report is not None:
                report(float(self.control[_kernels.TIME]))
            if code == _kernels.STIFF and not self._gains_by_stabilising():
                code = _kernels.RUNNING
        return code

    def _gains_by_stabilising(self) -> bool:
        """RKC takes N ≈ 4 rtol^(-1/3) steps and √(S N / 2) + 2 N right-hand sides over a stiffness S = ρ·span.

        Both laws were measured on flows of 4 to 10 modes with s_max/s_min from 2 to 16.
        """
        assert self.tableau is not None
        span = float(self.times[-1]) - float(self.control[_kernels.TIME])
        stiffness = float(self.control[_kernels.RADIUS]) * span
        n_steps = 4.0 * self.rtol ** (-1.0 / 3.0)
        explicit = self.tableau.n_main * span / float(self.control[_kernels.STEP])
        return bool(np.sqrt(0.5 * stiffness * n_steps) + 2.0 * n_steps < explicit)

    def stabilised(self) -> _Run:
        """The rest of this run by RKC, from the point reached; what is recorded and counted goes on."""
        run = _Run(self.arguments, self.layout, self.y, self.times, "rkc", self.rtol, self.atol)
        run.out, run.since = self.out, float(self.control[_kernels.TIME])
        run.control[[_kernels.TIME, _kernels.STEP]] = self.control[[_kernels.TIME, _kernels.STEP]]
        run.counts[:4] = self.counts[:4]
        if can_screen(self.arguments):
            run.screen()
        return run

    def screen(self) -> None:
        """Spend RKC's stages on the frequencies that matter only."""
        self.screening = Screening.of(self.arguments, self.y.size, self.rtol)
        slots = [_screened_kernels.THRESHOLD, _screened_kernels.SCALE]
        self.control[slots] = self.screening.threshold, self.screening.scale
        self.counts[_screened_kernels.ACTIVE] = -1

    def _advance(self, budget: int, max_steps: int) -> int:
        record = (self.control, self.counts, self.times, self.out, budget, max_steps, self.rtol, self.atol)
        if self.screening is not None:
            arguments = self.arguments._replace(work=self.screening.work)
            room = (self.screening.buffers, self.screening.screen, self.screening.index, self.screening.residuals)
            return int(_screened_kernels.advance_screened(self.y, *room, *record, *arguments))
        if self.tableau is None:
            return int(_kernels.advance_chebyshev(self.y, self.stages, *record, *self.arguments))
        t = self.tableau
        pair = (t.table, t.measured, t.measures, t.interpolant, t.n_main, t.error_order, t.stability)
        return int(_kernels.advance_runge_kutta(self.y, self.stages, self.trial, *record, *pair, *self.arguments))

    def stats(self) -> dict[str, Any]:
        stats: dict[str, Any] = {
            "method": self.method,
            "n_steps": int(self.counts[_kernels.STEPS]),
            "n_rejected": int(self.counts[_kernels.REJECTED]),
            "n_rhs": int(self.counts[_kernels.CALLS]),
        }
        if self.screening is not None:
            stats["n_active"] = int(self.counts[_screened_kernels.ACTIVE])
        if self.tableau is None:
            stats["n_rhs_radius"] = int(self.counts[_kernels.POWER])
            stats["max_stages"] = int(self.counts[_kernels.MOST_STAGES])
            stats["spectral_radius"] = float(self.control[_kernels.RADIUS])
        return stats


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
) -> list[Weights]:
    """Weights at ``t_eval`` by steps of fixed size, no error control: for measuring the order of a method.

    ``n_stages`` is for ``"rkc"`` only. Recorded times inside a step come from the method's dense output.
    """
    network.check_moments(moments)
    method = check_choice("method", method, METHODS)
    decay = check_number("weight_decay", weight_decay, minimum=0.0)
    times = np.atleast_1d(np.asarray(t_eval, dtype=np.float64))
    arguments, layout = flow_arguments(network, moments, decay)
    run = _Run(arguments, layout, layout.pad(network.pack(weights)), times, method, 1e-6, 1e-9)
    run.control[_kernels.STEP] = check_number("step", step, minimum=0.0, strict=True)
    run.control[_kernels.FIXED] = check_count("n_stages", n_stages, minimum=2)
    run.advance_all(MAX_STEPS)
    return [network.unpack(state) for state in run.out[: int(run.counts[_kernels.NEXT])]]

"""From a network, its data and a start, or many starts, to states at the recorded times."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lineardyn.errors import Status
from lineardyn.flow import _kernels
from lineardyn.flow.arguments import KernelArguments, Layout, flow_arguments
from lineardyn.flow.geometric import ConservationLaws
from lineardyn.flow.rest import rest_of
from lineardyn.flow.stepping import EARLY_SHARE, EVENT, FINEST_STABILISED, Rest, Watching, _Run, work
from lineardyn.flow.tableaus import TABLEAUS

if TYPE_CHECKING:
    from lineardyn.moments import SecondMoments
    from lineardyn.networks import LinearNetwork

__all__ = ["Integration", "integrate", "integrate_each"]

Floats = NDArray[np.float64]

_STATUS = {
    _kernels.DONE: Status.SUCCESS,
    _kernels.STEP_TOO_SMALL: Status.STEP_TOO_SMALL,
    _kernels.NON_FINITE: Status.NON_FINITE,
    _kernels.MAX_STEPS: Status.MAX_STEPS,
    EVENT: Status.EVENT,
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
    watcher: Watching | None = None,
    prepared: tuple[KernelArguments, Layout] | None = None,
    out: Floats | None = None,
) -> Integration:
    """States at ``times`` (increasing, >= 0) of the flow that is at ``start`` at time 0; steps are as if unwatched.

    ``prepared``: what many runs share, or ``batch_arguments`` of runs one after another in ``start``; ``out``: room.
    """
    first, watch, share = _opening(method, rtol)
    arguments, layout = flow_arguments(network, moments, weight_decay) if prepared is None else prepared
    run = _Run(arguments, layout, layout.pad(start), times, first, share * rtol, share * atol, out)
    run.control[_kernels.WATCH] = share if watch else 0.0
    run.laws = ConservationLaws.of(network, start, weight_decay) if method == "geometric" else None
    run.begin()
    rest = rest_of(network, moments, weight_decay, arguments.work) if run.n_runs == 1 else None
    return _finish(run, method, rtol, atol, max_steps, report, watcher, rest)


def integrate_each(
    network: LinearNetwork,
    moments: SecondMoments,
    starts: Floats,
    times: Floats,
    *,
    weight_decays: Floats,
    method: str,
    rtol: float,
    atol: float,
    max_steps: int,
    prepared: tuple[KernelArguments, Layout],
    out: Floats,
    report: Callable[[float], None] | None = None,
) -> Iterator[Integration]:
    """What :func:`integrate` gives for each of ``starts (R, n)``, bit for bit, in order; ``out (R, T, n)`` is room.

    Runs that an embedded pair takes to their end share a call of its kernel, as many as fit in the time of one.
    ``report`` is told how many runs are over, the share of the present one included.
    """
    (arguments, layout), n_runs, end, reached = prepared, len(starts), float(times[-1]), 0

    def share_of_one(time: float) -> None:
        if report is not None:
            report(reached + (time / end if end else 1.0))

    given: dict[str, Any] = {"method": method, "rtol": rtol, "atol": atol, "max_steps": max_steps}
    given["report"] = share_of_one
    first, watch, share = _opening(method, rtol)
    if first not in TABLEAUS or method == "geometric":  # whose laws are looked after between steps
        for reached, (start, decay) in enumerate(zip(starts, weight_decays.tolist(), strict=True)):
            own, states = (arguments._replace(decay=decay), layout), out[reached]
            yield integrate(network, moments, start, times, weight_decay=decay, prepared=own, out=states, **given)
        return
    y = layout.pad(starts)
    lead = _Run(arguments, layout, y[0], times, first, share * rtol, share * atol, out[0])
    lead.control[_kernels.WATCH] = share if watch else 0.0
    rows = lead.rows(y, out, weight_decays)
    while reached < n_runs:
        begin, (reached, code) = reached, lead.advance_several(rows, reached, lead.budget, max_steps)
        for i in range(begin, reached):
            yield Integration(out[i], Status.SUCCESS, {"requested": method, "method": first, **work(rows.counts[i])})
        if code != _kernels.DONE:  # it goes on alone
            run = lead.at(rows, reached, code)
            rest = rest_of(network, moments, run.arguments.decay, arguments.work)
            yield _finish(run, watcher=None, rest=rest, **given)
            reached += 1


def _opening(method: str, rtol: float) -> tuple[str, bool, float]:
    """The method that a run begins with, whether it may leave it, and its share of the tolerance."""
    switching = method in ("auto", "geometric")
    watch = switching and rtol >= FINEST_STABILISED
    share = EARLY_SHARE if watch else 1.0
    return "dop853" if switching else method, watch, share


def _finish(
    run: _Run, method: str, rtol: float, atol: float, max_steps: int, report: Callable[[float], None] | None,
    watcher: Watching | None, rest: Rest | None,
) -> Integration:  # fmt: skip
    """Take a run that has begun to its end, by the method that was asked for."""
    code = run.advance_all(max_steps, report, watcher=watcher, rest=rest)
    stats = run.stats()
    if code == _kernels.STIFF:
        first, first_rhs = run.method, stats["n_rhs"]
        run = run.stabilised(rtol, atol)
        code = run.advance_all(max_steps, report, watcher=watcher, rest=rest)
        stats = {**run.stats(), "method": f"{first}, then {run.method}", "t_stiff": run.since, "n_rhs_stiff": first_rhs}
    reached = int(run.counts[_kernels.NEXT])
    return Integration(run.out[:reached], _STATUS[code], {"requested": method, **stats})

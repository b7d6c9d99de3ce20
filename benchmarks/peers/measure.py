"""Equal error, not equal tolerance: scan the tolerances, then time the fastest that reaches the error asked for."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.peers.problems import Floats, FlowProblem
from benchmarks.peers.solvers import Solver


@dataclass(frozen=True)
class Start:
    """Weights, output times, and the reference values of B there."""

    weights: list[Floats]
    times: Floats
    b: Floats


@dataclass(frozen=True)
class Limits:
    """Where slow solvers are cut short.

    A setting that took more than ``once`` seconds in the scan is not called again: the scan's call is the timed one.
    The scan of a solver ends where it has taken ``scan`` seconds; it says so.
    """

    once: float = 3.0
    scan: float = 600.0


def measure(
    solver: Solver,
    problem: FlowProblem,
    starts: Sequence[Start],
    ladder: Sequence[float],
    targets: Sequence[float],
    limits: Limits = Limits(),
) -> dict[str, Any]:
    """Compile, scan the ladder on the first start, then time each target on the others; failures are kept as text."""
    cell: dict[str, Any] = {"first_call_seconds": _first_call(solver, starts[0], problem, ladder[0])}
    cell["scan"] = _scan(solver, problem, starts[0], ladder, min(targets), limits)
    timed = {f"{target:g}": _timed(solver, problem, starts, cell["scan"], target, limits) for target in targets}
    return {**cell, "targets": timed}


def _first_call(solver: Solver, start: Start, problem: FlowProblem, rtol: float) -> float:
    """Wall time of the first call: compilation, caches, and one solve at the loosest setting."""
    begin = time.perf_counter()
    attempt(solver, problem, start, rtol)
    return time.perf_counter() - begin


def attempt(solver: Solver, problem: FlowProblem, start: Start, rtol: float) -> dict[str, Any]:
    """One call: seconds, largest error and right-hand sides, or the failure as text."""
    setting = {"rtol": rtol, "atol": rtol * problem.start_scale}
    try:
        solved = solver.solve(start.weights, start.times, setting["rtol"], setting["atol"])
        with np.errstate(all="ignore"):
            error = problem.error(solved.b, start.b)
    except Exception as error:  # a peer may fail in any way of its own; the table shows how
        return {**setting, "failure": f"{type(error).__name__}: {error}"[:300]}
    return {**setting, "seconds": solved.seconds, "error": error, "n_rhs": solved.n_rhs}


def _scan(
    solver: Solver, problem: FlowProblem, start: Start, ladder: Sequence[float], tightest: float, limits: Limits
) -> list[dict[str, Any]]:
    """One call a tolerance, loose to tight, until two settings beyond the first that reaches ``tightest``."""
    calls: list[dict[str, Any]] = []
    reached, begin = 0, time.perf_counter()
    for rtol in ladder:
        if time.perf_counter() - begin > limits.scan:
            calls.append({"rtol": rtol, "failure": f"not tried: the scan had taken {limits.scan:g} s"})
            break
        calls.append(attempt(solver, problem, start, rtol))
        reached += calls[-1].get("error", float("inf")) <= tightest
        if reached > (2 if calls[-1].get("seconds", 0.0) < limits.once else 0):
            break
    return calls


def _timed(
    solver: Solver,
    problem: FlowProblem,
    starts: Sequence[Start],
    scan: Sequence[dict[str, Any]],
    target: float,
    limits: Limits,
) -> dict[str, Any]:
    """The fastest scanned setting whose every timed call, each from another start, reaches the target."""
    good = sorted((c for c in scan if c.get("error", float("inf")) <= target), key=lambda c: c["seconds"])
    if good and good[0]["seconds"] > limits.once:
        return {**_summary([good[0]]), "calls": 1}
    missed: list[dict[str, Any]] = []
    for setting in good:
        calls = [attempt(solver, problem, start, setting["rtol"]) for start in starts[1:]]
        if all(call.get("error", float("inf")) <= target for call in calls):
            return {**_summary(calls), "calls": len(calls), "missed": missed}
        missed.append({"rtol": setting["rtol"], "errors": [c.get("error", c.get("failure")) for c in calls]})
    return {"failure": "no setting of the ladder reached the error asked for", "missed": missed}


def _summary(calls: Sequence[dict[str, Any]]) -> dict[str, Any]:
    seconds = [call["seconds"] for call in calls]
    return {
        "rtol": calls[0]["rtol"],
        "atol": calls[0]["atol"],
        "median_seconds": statistics.median(seconds),
        "seconds": seconds,
        "worst_error": max(call["error"] for call in calls),
        "n_rhs": statistics.median(call["n_rhs"] for call in calls),
    }

"""Equal quality, not equal tolerance: the loosest settings of a ladder are tried first, the good enough are timed.

Seconds are the CPU's, of this process: all sides run on one thread, and what else the machine does is not in them.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Limits:
    """A setting that took more than ``once`` seconds is not called again; a scan ends after ``scan`` seconds."""

    repeats: int = 5
    once: float = 10.0
    scan: float = 300.0


def reach(
    solve: Callable[[float], Any],
    error: Callable[[Any], float],
    ladder: Sequence[float],
    target: float,
    limits: Limits = Limits(),
) -> dict[str, Any]:
    """Seconds of the fastest tolerance whose recomputed error is at most ``target``; failures are kept as text.

    The first call, at the loosest tolerance, is timed apart: it compiles. The error is not in the time. Two more
    tolerances are tried after the first that is good enough: tighter may be faster.
    """
    first = _attempt(solve, error, ladder[0])
    scan: list[dict[str, Any]] = []
    begin, reached = time.perf_counter(), 0
    for tolerance in ladder:
        if time.perf_counter() - begin > limits.scan:
            scan.append({"tolerance": tolerance, "failure": f"not tried: the scan had taken {limits.scan:g} s"})
            break
        scan.append(_attempt(solve, error, tolerance))
        reached += scan[-1].get("error", float("inf")) <= target
        if reached > (2 if scan[-1].get("seconds", 0.0) < limits.once else 0):
            break
    cell = {"first_call_seconds": first.get("seconds"), "scan": scan}
    good = [call for call in scan if call.get("error", float("inf")) <= target]
    if not good:
        return {**cell, "failure": f"no tolerance of the ladder reached {target:g}"}
    best = min(good, key=lambda call: call["seconds"])
    seconds = [best["seconds"]]
    if best["seconds"] < limits.once:
        seconds = [_attempt(solve, error, best["tolerance"])["seconds"] for _ in range(limits.repeats)]
    return {
        **cell,
        "tolerance": best["tolerance"],
        "error": best["error"],
        "median_seconds": statistics.median(seconds),
        "seconds": seconds,
    }


def _attempt(solve: Callable[[float], Any], error: Callable[[Any], float], tolerance: float) -> dict[str, Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "did not converge": the error says so
            begin = time.process_time()
            result = solve(tolerance)
            seconds = time.process_time() - begin
        return {"tolerance": tolerance, "seconds": seconds, "error": float(error(result))}
    except Exception as failure:  # a peer may fail in any way of its own; the table shows how
        return {"tolerance": tolerance, "failure": f"{type(failure).__name__}: {failure}"[:300]}


def timed(work: Callable[[], Any], repeats: int) -> tuple[list[float], Any]:
    """Seconds of each call after a first one that warms up, and the last result."""
    work()
    seconds = []
    for _ in range(repeats):
        begin = time.process_time()
        result = work()
        seconds.append(time.process_time() - begin)
    return seconds, result

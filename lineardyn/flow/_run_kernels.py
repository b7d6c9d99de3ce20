"""How runs begin, and several runs one after another in one call, so that Python is entered once for all of them.

Arguments as in :mod:`lineardyn.flow._kernels`. numba's disk cache does not see changes of that file from here
(numba#1833): the tests clear it where it is older.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from lineardyn.flow._kernels import (
    CALLS,
    DONE,
    ENTRIES,
    NEXT,
    NON_FINITE,
    REJECTED,
    RUNNING,
    STEP,
    STEP_TOO_SMALL,
    STEPS,
    TIME,
    advance_runge_kutta,
    borrowed,
    copy,
    finite,
    flow,
    growth,
    largest,
    record,
)

STILL = 6  # a status code beside those of _kernels: f = 0 at the start
EPSILON = np.finfo(np.float64).eps


@njit(cache=True)
def too_fine(y, rtol, atol):
    """Whether the tolerance is finer than numbers of the size of the state are apart."""
    most = largest(y)
    return atol + rtol * most < EPSILON * most


@njit(cache=True)
def stride_below(error, strides, errors):
    """The last stride, of those of :attr:`Tableau.growth_errors`, that has an error below ``error``; else the first."""
    i = 0
    while i + 1 < errors.size and errors[i + 1] < error:
        i += 1
    return strides[i]


@njit(cache=True)
def _first_step(size, mean, fastest, span, atol, strides, errors):
    """The step at which a state that only grows errs by a hundredth of the tolerance; see ``_kernels.growth``.

    The stabilised methods, which have no ``strides``, err by ``h³/15`` of it.
    """
    if not 0.0 < fastest < np.inf:
        return span
    if size <= 1e-5:  # nothing to grow from
        return min(atol / fastest, span)
    stride = stride_below(0.01 / size, strides, errors) if strides.size else (0.15 / size) ** (1.0 / 3.0)
    return min(stride * mean / fastest, span)


@njit(cache=True)  # keeps the interpreter lock, as `largest`: of a run this is one right-hand side in hundreds
def begin(
    y, stages, control, counts, times, out, rtol, atol, strides, errors,
    conv, sizes, offsets, weights, constant, decay, dense, rows, target, gain, matrix, work,
):  # fmt: skip
    """f(y) to the first stage, the first step, and the record of time 0: RUNNING, or why the run does not move."""
    y, stages, out = borrowed(y), borrowed(stages), borrowed(out)
    sizes, offsets, weights, work = borrowed(sizes), borrowed(offsets), borrowed(weights), borrowed(work)
    rows, target, gain, matrix = borrowed(rows), borrowed(target), borrowed(gain), borrowed(matrix)
    slope = stages[0]
    flow(y, slope, conv, sizes, offsets, weights, constant, decay, dense, rows, target, gain, matrix, work)
    counts[CALLS] += 1
    copy(slope, stages[2])  # the power iteration starts along f, where the fast directions are
    size, mean, fastest = growth(y, slope, control[ENTRIES], rtol, atol)
    control[STEP] = _first_step(size, mean, fastest, times[-1], atol, strides, errors)
    if times[0] == 0.0 and control[TIME] == 0.0:
        record(out, 0, y, counts)
        counts[NEXT] = 1
    if not (finite(y) and finite(slope)):
        return NON_FINITE
    if fastest == 0.0:
        return STILL
    return STEP_TOO_SMALL if too_fine(y, rtol, atol) else RUNNING


@njit(nogil=True, cache=True)
def advance_runs(
    first, ys, stages, trial, controls, counts, times, outs, budget, max_steps, rtol, atol, strides, errors,
    table, places, measured, measures, interpolant, n_main, error_order, limit,
    conv, sizes, offsets, weights, constant, decays, dense, rows, target, gain, matrix, work,
):  # fmt: skip
    """Advance runs by an embedded pair, one after another from number ``first`` on: ``(number, status code)``.

    The number is that of the first run that is not DONE, and the code says why; or that of the next one, where as many
    steps were taken as one run may take in a call, ``budget``. A run begins here if it has not: alone or among others
    it is all by the same machine code, and has the same bits. ``ys (R, n)``, ``controls``, ``counts``,
    ``outs (R, T, n)`` and ``decays`` are each run's own, the rest they share: see :func:`advance_runge_kutta`.
    """
    taken = 0
    for run in range(first, len(ys)):
        y, control, count, out, decay = ys[run], controls[run], counts[run], outs[run], decays[run]
        code = RUNNING
        if count[CALLS] == 0:
            code = begin(
                y, stages, control, count, times, out, rtol, atol, strides, errors,
                conv, sizes, offsets, weights, constant, decay, dense, rows, target, gain, matrix, work,
            )  # fmt: skip
        if code == RUNNING:
            code = advance_runge_kutta(
                y, stages, trial, control, count, times, out, budget, max_steps, rtol, atol,
                table, places, measured, measures, interpolant, n_main, error_order, limit,
                conv, sizes, offsets, weights, constant, decay, dense, rows, target, gain, matrix, work,
            )  # fmt: skip
        if code != DONE:
            return run, code
        taken += count[STEPS] + count[REJECTED]
        if taken >= budget:
            return run + 1, DONE
    return len(ys), DONE

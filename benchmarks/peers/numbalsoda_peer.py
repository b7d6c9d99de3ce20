"""numbalsoda's DOP853 (Hairer's algorithm in Fortran) over our own compiled right-hand side: no Python in between.

The integrator is theirs and the arithmetic of the right-hand side ours, so the ratio to our DOP853 is what our stage
sums, error norm and dense output gain. numbalsoda has no wheels: ``pip install numbalsoda`` needs a Fortran compiler.

Its interpolant searches the list of components anew for each component, n² operations for each output time: most of its
time above a thousand unknowns. So it is timed in two ways: ``outputs``, and its steps alone, with no output but the
states after each step (``solve_ivp`` without ``t_eval``), whose error is that of the outputs at the same tolerance.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks.peers.problems import Floats, FlowProblem
from benchmarks.peers.solvers import Ours, Solved

MAX_STEPS = 2_000_000


class NumbalsodaDop853:
    """From the packed state to the packed states at the output times; packing is not timed."""

    def __init__(self, problem: FlowProblem, *, outputs: bool) -> None:
        from numbalsoda import dop853, solve_ivp

        from lineardyn.flow.arguments import flow_arguments

        self.dop853, self.solve_ivp, self.outputs = dop853, solve_ivp, outputs
        self.ours = Ours(problem, "dop853")
        self.arguments, self.layout = flow_arguments(self.ours.network, self.ours.moments, 0.0)
        entries = self.layout.pad(self.ours.network.pack(problem.start(np.random.default_rng(0)))).size
        self.function = compiled(self.arguments, entries)
        self.calls = np.zeros(1)

    def solve(self, weights: list[Floats], times: Floats, rtol: float, atol: float) -> Solved:
        """Solve once."""
        network = self.ours.network
        y0 = self.layout.pad(network.pack(weights))
        self.calls[0] = 0.0
        tolerances = {"rtol": rtol, "atol": atol}
        begin = time.perf_counter()
        from_zero = np.concatenate([[0.0], times])  # it starts at the first of the times
        states, success = self.dop853(
            self.function.address, y0, from_zero, data=self.calls, mxstep=MAX_STEPS, **tolerances
        )
        seconds = time.perf_counter() - begin
        if not self.outputs:
            self.calls[0] = 0.0
            span = np.array([0.0, times[-1]])
            begin = time.perf_counter()
            stepped = self.solve_ivp(self.function.address, span, y0, data=self.calls.ctypes.data, **tolerances)
            seconds = time.perf_counter() - begin
            success &= stepped.success
        if not success:
            raise RuntimeError("numbalsoda reported a failure")
        b = self.ours.effective([network.unpack(self.layout.unpad(state)) for state in states[1:]])
        return Solved(seconds, b, int(self.calls[0]))


def compiled(arguments: Any, entries: int) -> Any:
    """Our right-hand side as the C function that numbalsoda calls; ``data[0]`` counts the calls.

    A C function has no arguments but the state: the arrays are reached by their addresses, so the caller keeps them.
    """
    from numba import carray, cfunc, njit
    from numbalsoda import address_as_void_pointer, lsoda_sig

    from lineardyn.flow._kernels import flow

    @njit
    def integers(address, shape):  # type: ignore[no-untyped-def]
        return carray(address_as_void_pointer(address), shape, np.int64)

    @njit
    def floats(address, shape):  # type: ignore[no-untyped-def]
        return carray(address_as_void_pointer(address), shape, np.float64)

    conv, dense = bool(arguments.conv), bool(arguments.dense)
    constant, decay = float(arguments.constant), float(arguments.decay)
    names = ("sizes", "offsets", "weights", "rows", "target", "gain", "matrix", "work")
    sizes, offsets, weights, rows, target, gain, matrix, work = (getattr(arguments, n).ctypes.data for n in names)
    of_sizes, of_offsets, of_weights, of_rows, of_target, of_gain, of_matrix, of_work = (
        getattr(arguments, n).shape for n in names
    )

    @cfunc(lsoda_sig)
    def right_hand_side(t, y, dy, data):  # type: ignore[no-untyped-def]
        carray(data, 1)[0] += 1.0
        flow(
            carray(y, entries), carray(dy, entries), conv, integers(sizes, of_sizes), integers(offsets, of_offsets),
            floats(weights, of_weights), constant, decay, dense, floats(rows, of_rows), floats(target, of_target),
            floats(gain, of_gain), floats(matrix, of_matrix), floats(work, of_work),
        )  # fmt: skip

    return right_hand_side

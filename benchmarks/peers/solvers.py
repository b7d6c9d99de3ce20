"""One interface to every solver under test: prepare once for a problem, then solve from a start."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import scipy.integrate

from benchmarks.peers.problems import Floats, FlowProblem
from benchmarks.peers.right_hand_sides import Packed, Textbook


@dataclass(frozen=True)
class Solved:
    """Wall time of the solve alone, B at the output times, and what the solver counted."""

    seconds: float
    b: Floats  # (T, K, K)
    n_rhs: int


class Solver(Protocol):
    """``solve`` times the work that each library needs from weights or state to values at the output times."""

    def solve(self, weights: list[Floats], times: Floats, rtol: float, atol: float) -> Solved:
        """Solve once; raises where the solver fails."""
        ...


class ScipyDop853:
    """``solve_ivp(method="DOP853", t_eval=...)`` over one of the numpy right-hand sides; packing is not timed."""

    def __init__(self, problem: FlowProblem, form: type[Textbook] | type[Packed]) -> None:
        self.rhs = form(problem)

    def solve(self, weights: list[Floats], times: Floats, rtol: float, atol: float) -> Solved:
        """Solve once."""
        y0: Any = self.rhs.state(weights)
        begin = time.perf_counter()
        with np.errstate(all="ignore"):  # loose tolerances may overflow: the error says so
            answer = scipy.integrate.solve_ivp(
                self.rhs, (0.0, times[-1]), y0, method="DOP853", t_eval=times, rtol=rtol, atol=atol
            )
        seconds = time.perf_counter() - begin
        if not answer.success:
            raise RuntimeError(answer.message)
        return Solved(seconds, np.array([self.rhs.effective(y) for y in answer.y.T]), answer.nfev)


class DiffraxDopri8:
    """The jitted diffrax flow; packing and the transfer of the start are not timed."""

    def __init__(self, problem: FlowProblem, variant: str) -> None:
        from benchmarks.peers.diffrax_peer import DiffraxFlow

        self.flow = DiffraxFlow(problem, variant=variant)

    def solve(self, weights: list[Floats], times: Floats, rtol: float, atol: float) -> Solved:
        """Solve once."""
        y0 = self.flow.state(weights)
        begin = time.perf_counter()
        saved, n_steps, complete = self.flow(y0, times, rtol, atol)
        seconds = time.perf_counter() - begin
        if not complete:
            raise RuntimeError("diffrax reported a failure")
        return Solved(seconds, self.flow.effective(saved), 13 * n_steps)


class Ours:
    """``gradient_flow`` from weights in pixel space to a whole Trajectory: the packing and the checks are timed too.

    B is computed from ``trajectory.weights(i)`` by the benchmark's own formulas, outside the clock.
    """

    def __init__(self, problem: FlowProblem, method: str) -> None:
        from lineardyn import LinearCNN, SecondMoments

        self.problem = problem
        self.method = method
        form = "dense" if problem.gram is not None else "modes"
        self.moments = SecondMoments.from_data(problem.images, problem.targets, form=form)
        self.network = LinearCNN((1, *problem.shape), widths=(1,), n_outputs=problem.n_outputs)
        self.moments.modes()

    def solve(self, weights: list[Floats], times: Floats, rtol: float, atol: float) -> Solved:
        """Solve once."""
        from lineardyn import gradient_flow

        begin = time.perf_counter()
        trajectory = gradient_flow(self.network, self.moments, weights, times, method=self.method, rtol=rtol, atol=atol)
        seconds = time.perf_counter() - begin
        b = self.effective([trajectory.weights(i) for i in range(len(times))])
        return Solved(seconds, b, int(trajectory.stats["n_rhs"]))

    def effective(self, networks: Sequence[list[Floats]]) -> Floats:
        """B (T, K, K) of weights in pixel space."""
        return np.array([self.problem.effective(*self.problem.spectra(weights)) for weights in networks])


class ScipyFortran:
    """``scipy.integrate.ode("dop853")``: compiled DOP853, which calls our compiled right-hand side from Python.

    Stands in for numbalsoda where that is not installed. It has no dense output: the steps end at the output times.
    """

    def __init__(self, problem: FlowProblem) -> None:
        from lineardyn.flow.arguments import flow_arguments

        self.ours = Ours(problem, "dop853")
        self.arguments, self.layout = flow_arguments(self.ours.network, self.ours.moments, 0.0)
        self.n_rhs = 0

    def rhs(self, t: float, y: Floats) -> Floats:
        """The derivative, counted."""
        from lineardyn.flow.arguments import right_hand_side

        self.n_rhs += 1
        return right_hand_side(self.arguments, y)

    def solve(self, weights: list[Floats], times: Floats, rtol: float, atol: float) -> Solved:
        """Solve once."""
        network, self.n_rhs = self.ours.network, 0
        y0 = self.layout.pad(network.pack(weights))
        states = []
        begin = time.perf_counter()
        solver = scipy.integrate.ode(self.rhs).set_integrator("dop853", rtol=rtol, atol=atol, nsteps=1_000_000)
        solver.set_initial_value(y0, 0.0)
        for t in times:
            states.append(solver.integrate(t))
            if not solver.successful():
                raise RuntimeError(f"scipy's compiled dop853 stopped with code {solver.get_return_code()}")
        seconds = time.perf_counter() - begin
        b = self.ours.effective([network.unpack(self.layout.unpad(state)) for state in states])
        return Solved(seconds, b, self.n_rhs)


def numbalsoda_dop853(problem: FlowProblem, *, outputs: bool) -> Solver:
    """numbalsoda's DOP853; ImportError where it is not installed."""
    from benchmarks.peers.numbalsoda_peer import NumbalsodaDop853

    return NumbalsodaDop853(problem, outputs=outputs)


PEERS: dict[str, Callable[[FlowProblem], Solver]] = {
    "scipy textbook": lambda problem: ScipyDop853(problem, Textbook),
    "scipy packed": lambda problem: ScipyDop853(problem, Packed),
    "scipy compiled": ScipyFortran,
    "numbalsoda": lambda problem: numbalsoda_dop853(problem, outputs=True),
    "numbalsoda steps": lambda problem: numbalsoda_dop853(problem, outputs=False),
    "diffrax split": lambda problem: DiffraxDopri8(problem, "split"),
    "diffrax four": lambda problem: DiffraxDopri8(problem, "four"),
}


def solver_named(name: str, problem: FlowProblem) -> Solver:
    """``"ours METHOD"``, with any method of ``gradient_flow``, or one of :data:`PEERS`."""
    if name.startswith("ours "):
        return Ours(problem, name.removeprefix("ours "))
    return PEERS[name](problem)


def reference(
    problem: FlowProblem, weights: list[Floats], *, n_times: int, rtol: float, stretch: float = 1.0
) -> tuple[Floats, Floats]:
    """Output times up to ``stretch`` times that to 95% of the slowest mode, from 1/32 of it geometrically; B there.

    scipy's DOP853 over the packed right-hand side: a first pass finds the horizon, a second at ``rtol`` the values.
    """
    solver = ScipyDop853(problem, Packed)
    times = horizon(problem, weights) * np.geomspace(1 / 32, stretch, n_times)
    return times, solver.solve(weights, times, rtol, 1e-3 * rtol * problem.start_scale).b


def horizon(problem: FlowProblem, weights: list[Floats], *, learned: float = 0.95, max_steps: int = 1_000_000) -> float:
    """The time at which the slowest live mode has ``learned`` of its singular value (to one step of the solver)."""
    rhs = Packed(problem)
    y0: Any = rhs.state(weights)
    stepper = scipy.integrate.DOP853(rhs, 0.0, y0, np.inf, rtol=1e-6, atol=1e-6 * problem.start_scale)
    for step in range(max_steps):
        message = stepper.step()
        if stepper.status == "failed":
            raise RuntimeError(message)
        if step % 5 == 0:
            share = np.diag(rhs.effective(stepper.y))[problem.live] / problem.s[problem.live]
            if share.min() >= learned:
                return float(stepper.t)
    raise RuntimeError(f"the slowest mode was not learned in {max_steps} steps")

r"""The same minima as cone programs, by cvxpy: slow, independent, the reference for small sizes.

Depth 1 and 2 are cone programs. Depth ≥ 3 (p < 1) is a sequence of them: with ``φ(s) = (s + ε)^p`` concave and
``|Z| = (ZZ^H)^{1/2}``,

    ``Σ_i φ(s_i(Z)) ≤ tr φ(|Z_0|) + tr W(|Z| - |Z_0|) ≤ ‖W Z‖_* + const``,   ``W = φ'(|Z_0|)``,

the first by concavity of ``tr φ``, the second because ``tr W|Z| ≤ ‖W|Z|‖_* = ‖WZ‖_*``; both are equalities at ``Z_0``,
where W and ``|Z_0|`` commute. So each program with a weighted nuclear norm lowers the smoothed objective, and so does a
smaller ε. (Reweighting [Fazel, Hindi, Boyd 2003] with weights that make it a majoriser; for a block of one row or
column it is the reweighted l1 norm. Weights on the singular values by rank would not be convex.) W holds the left
singular vectors where they are, so that every other program has ``‖Z W‖_*``, ``W = φ'((Z_0^H Z_0)^{1/2})`` instead.
"""

from __future__ import annotations

import threading
import time
import warnings
import weakref
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from lineardyn.errors import ArgumentError, Status
from lineardyn.moments import SecondMoments
from lineardyn.validation import check_array, check_count, check_number
from solvers.iterate import Iterate
from solvers.problem import RegularizedProblem, check_problem

__all__ = ["Conic"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
PREFERRED = ("CLARABEL", "SCS")
OPTIONS: dict[str, dict[str, Any]] = {"SCS": {"eps_abs": 1e-8, "eps_rel": 1e-8, "max_iters": 50_000}}
"""Of solvers whose own tolerance is loose."""
RANK = 1e-14
"""Eigenvalues of Σ^xx up to this share of the largest are its round-off: no data vary there."""
LARGEST = 8_000
"""Numbers K·D of a predictor up to which a cone program is tried."""
EPSILONS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
"""Of the largest singular value of the first program's solution."""
PROGRAMS_AN_EPSILON = 8
"""Before it falls: only at the last one is it worth to converge."""
CUTS = (0.0, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3)
"""Shares of the largest singular value, tried: what an interior point leaves of singular values that are 0."""


@dataclass(frozen=True)
class Conic:
    """Solves by cvxpy, which must be installed (extra ``test``).

    Parameters
    ----------
    solver : str, optional
        One of cvxpy's installed solvers; None: the first of CLARABEL, SCS.
    tol : float
        At depth ≥ 3: the relative decrease of a program at which ε falls, or at the last ε the end is reached.
    max_programs : int
        Cone programs at most, at depth ≥ 3.
    options : dict
        For the solver, as cvxpy's ``Problem.solve`` takes them.

    Raises
    ------
    ArgumentError
        A negative tolerance, no program allowed.

    Examples
    --------
    >>> from lineardyn import SecondMoments, natural_patches
    >>> from solvers import RegularizedProblem, certify
    >>> moments = SecondMoments.from_data(*natural_patches(4, 200, rng=0))
    >>> problem = RegularizedProblem(moments, depth=2, lam=0.05)
    >>> reached = Conic().solve(problem)
    >>> certify(problem, problem.unpack(reached.values)).kind
    'global'
    """

    solver: str | None = None
    tol: float = 1e-9
    max_programs: int = 100
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_number("tol", self.tol, minimum=0.0)
        check_count("max_programs", self.max_programs)
        if self.solver is not None and not isinstance(self.solver, str):
            raise ArgumentError(f"solver is {self.solver!r}, expected the name of one of cvxpy's solvers, or None")

    def solve(self, problem: RegularizedProblem, start: Floats | None = None) -> Iterate:
        """The minimum (depth ≤ 2), or a point that reweighting cannot improve (depth ≥ 3), never above ``start``.

        Parameters
        ----------
        problem
            Without an effective bound on the rank.
        start : (K, D), optional
            Coordinates by which to weight first, at depth ≥ 3; None: those of the minimum with all weights equal.

        Returns
        -------
        Iterate
            ``n_iterations`` counts cone programs. ``Status.INACCURATE`` where one of them was solved inaccurately or
            not at all; ``message`` has the solver's own word for it. ``stats``: ``solver``, ``seconds`` (as the solver
            reports them), ``total_seconds``, and ``levels``: the smoothed objective after each program, never rising.

        Raises
        ------
        ArgumentError
            cvxpy or its solver is missing; the rank is bounded, which is no cone program; the problem is too large.
        """
        cvxpy = _cvxpy()
        _check(problem)
        begin = time.perf_counter()
        run = _Run(problem, cvxpy, self._solver(cvxpy), self.options)
        if problem.depth <= 2:
            values, finished = run.solve_with_equal_weights(), True
        else:
            first = None if start is None else check_array("start", start, shape=problem.quadratic.cross.shape)
            values, finished = self._majorise(run, first)
        status, message = run.outcome(finished)
        stats = {"solver": run.name, "seconds": run.seconds, "total_seconds": time.perf_counter() - begin}
        return Iterate(run.tidied(values), run.count, status, message, stats | {"levels": run.levels})

    def _solver(self, cvxpy: Any) -> str:
        installed = cvxpy.installed_solvers()
        wanted = PREFERRED if self.solver is None else (self.solver.upper(),)
        found = next((name for name in wanted if name in installed), None)
        if found is None:
            raise ArgumentError(f"solver is {self.solver!r}, expected one that is installed: {', '.join(installed)}")
        return found

    def _majorise(self, run: _Run, start: Floats | None) -> tuple[Floats, bool]:
        """Reweighted programs with falling ε, and whether the last ones, a side each, gained less than ``tol``."""
        first = values = run.solve_with_equal_weights() if start is None else start
        size = run.largest(values)
        idle = len(run.sides)
        for share in EPSILONS if size > 0 else ():
            epsilon, idle = share * size, 0
            level = run.level(values, epsilon)
            last = self.max_programs if share == EPSILONS[-1] else run.count + PROGRAMS_AN_EPSILON
            while idle < len(run.sides) and run.count < min(last, self.max_programs) and not run.failed:
                proposal = run.solve_reweighted(values, epsilon)
                reached = run.level(proposal, epsilon)
                idle = idle + 1 if level - reached <= self.tol * abs(level) else 0
                if reached < level:  # a program is solved to its tolerance only, and may rise by as much
                    values, level = proposal, reached
                run.levels.append(level)
        return run.lower(first, values), idle == len(run.sides)


class _Run:
    """One call: the problem, the programs that it shares with others on its moments, and what the solver said."""

    def __init__(self, problem: RegularizedProblem, cvxpy: Any, name: str, options: dict[str, Any]) -> None:
        self.problem, self.cvxpy, self.name = problem, cvxpy, name
        self.options = OPTIONS.get(name, {}) | options
        self.count, self.seconds = 0, 0.0
        self.levels: list[float] = []
        self.said: set[str] = set()
        outputs, channels = problem.n_outputs, problem.image_shape[0]
        smaller = outputs <= channels
        # a weight that is a number, or the same in all directions, holds no singular vectors
        self.sides = (smaller,) if problem.depth <= 2 or min(outputs, channels) == 1 else (smaller, not smaller)

    @property
    def failed(self) -> bool:
        """Whether a program had no solution, not even an inaccurate one."""
        return bool(self.said - {"optimal", "optimal_inaccurate"})

    def solve_with_equal_weights(self) -> Floats:
        """``W_b = u_b`` at depth 2 and, up to a factor, on; ridge at depth 1."""
        problem, left = self.problem, self.sides[0]
        program = _program(problem, self.cvxpy, left)
        scale = 1.0
        if problem.depth > 2:  # the slope of s^p where s has the size that the units of the problem suggest
            scale = problem.power * program.unit ** (problem.power - 1)
        return self._solve(program, np.asarray(scale * problem.thresholds[:, None, None] * np.eye(program.side) + 0j))

    def solve_reweighted(self, values: Floats, epsilon: float) -> Floats:
        """``W_b = u φ'((Z Z^H)^{1/2})`` on the left, ``(Z^H Z)^{1/2}`` on the right; the sides in turn."""
        problem, left = self.problem, self.sides[self.count % len(self.sides)]
        u, s, vh = np.linalg.svd(problem.coordinates.blocks(values))
        vectors = u if left else vh.conj().swapaxes(1, 2)
        slopes = np.full(vectors.shape[:2], epsilon ** (problem.power - 1))
        slopes[:, : s.shape[1]] = (s + epsilon) ** (problem.power - 1)
        slopes *= problem.power * problem.thresholds[:, None]
        weights: Complexes = (vectors * slopes[:, None, :]) @ vectors.conj().swapaxes(1, 2)
        return self._solve(_program(problem, self.cvxpy, left), weights)

    def _solve(self, program: _Program, weights: Complexes) -> Floats:
        self.count += 1
        values, said, seconds = program.solve(weights, self.name, self.options)
        self.seconds += seconds
        self.said.add(said)
        return np.zeros(self.problem.quadratic.cross.shape) if values is None else values

    def largest(self, values: Floats) -> float:
        """The largest singular value."""
        return float(np.linalg.norm(self.problem.coordinates.blocks(values), 2, axis=(1, 2)).max())

    def level(self, values: Floats, epsilon: float) -> float:
        """The objective with ``(s + ε)^p`` for ``s^p``."""
        s = np.linalg.svd(self.problem.coordinates.blocks(values), compute_uv=False)
        penalty = self.problem.thresholds @ ((s + epsilon) ** self.problem.power).sum(axis=1)
        return self.problem.quadratic.loss(values) + 2.0 * float(penalty)

    def lower(self, one: Floats, other: Floats) -> Floats:
        """The lower of two, tidied."""
        return min((self.tidied(one), self.tidied(other)), key=self.problem.objective_of)

    def tidied(self, values: Floats) -> Floats:
        """Without the singular values whose removal lowers the objective."""
        if self.problem.depth == 1:
            return values
        columns = self.problem.coordinates
        u, s, vh = np.linalg.svd(columns.blocks(values), full_matrices=False)
        levels = (np.where(s > cut * s.max(initial=0.0), s, 0.0) for cut in CUTS)
        places = [columns.from_blocks((u * kept[:, None, :]) @ vh) for kept in levels]
        return min([*places, np.zeros_like(values)], key=self.problem.objective_of)

    def outcome(self, finished: bool) -> tuple[Status, str]:
        """Status, and the solver's words."""
        words = f"{self.name} solved {self.count} cone program{'s' * (self.count > 1)} in {self.seconds:.2g} s"
        if self.said - {"optimal"}:
            return Status.INACCURATE, f"{words}, and said {', '.join(sorted(self.said))}. {Status.INACCURATE.value}"
        if not finished:
            return Status.MAX_ITERATIONS, f"{words}. {Status.MAX_ITERATIONS.value}"
        return Status.SUCCESS, words


class _Program:
    """The cone program of all problems on the same moments: their weights are its parameters, it is compiled once.

    In units in which Σ^xx has largest eigenvalue 1 and ``⟨‖y‖²⟩ = 1``, with ``G = LLᵀ`` from its eigenvectors:
    ``½‖VL - M‖² + Σ_b ‖W_b Z_b‖_*``, or W_b on the right, or ``½‖VL - M‖² + w/2 ‖V‖²``.
    """

    def __init__(self, problem: RegularizedProblem, cvxpy: Any, left: bool) -> None:
        loss, columns = problem.quadratic, problem.coordinates
        eigenvalues, vectors = scipy.linalg.eigh(loss.gram)
        kept = eigenvalues > RANK * len(eigenvalues) * eigenvalues[-1]
        top = float(eigenvalues[-1]) or 1.0
        self.power = loss.target_power or 1.0
        self.unit = float(np.sqrt(self.power / top))
        roots = np.sqrt(eigenvalues[kept] / top)
        factor = vectors[:, kept] * roots
        goal = loss.cross @ vectors[:, kept] / roots / (top * self.unit)
        self.lock, self.ridge = threading.Lock(), problem.depth == 1
        outputs, channels = problem.n_outputs, problem.image_shape[0]
        self.left, self.side = left, outputs if left else channels
        self.paired = columns.paired
        self.variable = cvxpy.Variable(loss.cross.shape)
        misfit = 0.5 * cvxpy.sum_squares(self.variable @ factor - goal)
        if self.ridge:
            self.parameters = [cvxpy.Parameter(nonneg=True)]
            penalty = 0.5 * self.parameters[0] * cvxpy.sum_squares(self.variable)
        elif self.side == 1:
            self.parameters = [cvxpy.Parameter(columns.n_blocks, nonneg=True)]
            penalty = self.parameters[0] @ self._block_norms(cvxpy, columns.starts, outputs, channels)
        else:
            sizes = self.side * (1 + columns.paired.astype(int))
            self.parameters = [cvxpy.Parameter((int(n), int(n))) for n in sizes]
            penalty = sum(
                self._nuclear(cvxpy, weight, int(start), channels, bool(pair))
                for weight, start, pair in zip(self.parameters, columns.starts[:-1], columns.paired, strict=True)
            )
        self.problem = cvxpy.Problem(cvxpy.Minimize(misfit + penalty))
        self.errors = cvxpy.error.SolverError

    def _block_norms(self, cvxpy: Any, starts: NDArray[np.int64], outputs: int, channels: int) -> Any:
        """‖Z_b‖ of blocks of one row or column: of all at once, Im being 0 where there is none."""
        zero = np.zeros((outputs, 1))
        padded = cvxpy.hstack([self.variable, zero])
        places = starts[:-1, None] + np.arange(2 * channels)
        places = np.where(places < starts[1:, None], places, self.variable.shape[1])
        return cvxpy.norm(cvxpy.vstack([padded[:, column] for column in places.T]), 2, axis=0)

    def _nuclear(self, cvxpy: Any, weight: Any, start: int, channels: int, pair: bool) -> Any:
        """``‖W Z‖_*`` or ``‖Z W‖_*``; of a complex block half of that of ``[[Re, -Im], [Im, Re]]``."""
        block = self.variable[:, start : start + channels]
        if pair:
            imaginary = self.variable[:, start + channels : start + 2 * channels]
            block = cvxpy.bmat([[block, -imaginary], [imaginary, block]])
        norm = cvxpy.normNuc(weight @ block if self.left else block @ weight)
        return 0.5 * norm if pair else norm

    def solve(self, weights: Complexes, name: str, options: dict[str, Any]) -> tuple[Floats | None, str, float]:
        """Coordinates, or None where the solver gave none; its word for how it ended, and its seconds."""
        with self.lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what cvxpy warns of comes back as the status
            for parameter, value in zip(self.parameters, self._values(weights), strict=True):
                parameter.value = value
            try:
                self.problem.solve(solver=name, warm_start=False, **options)
            except self.errors as error:
                return None, f"an error ({' '.join(str(error).split())})", 0.0
            values, said = self.variable.value, str(self.problem.status)
            seconds = float(getattr(self.problem.solver_stats, "solve_time", None) or 0.0)
            return (None if values is None else np.asarray(values) * self.unit), said, seconds

    def _values(self, weights: Complexes) -> list[Any]:
        """Of the parameters, in the units of the program."""
        if self.ridge:
            return [2.0 * float(weights[0, 0, 0].real) * self.unit**2 / self.power]
        scaled = weights * (self.unit / self.power)
        if self.side == 1:
            return [scaled[:, 0, 0].real]
        return [
            np.block([[w.real, -w.imag], [w.imag, w.real]]) if pair else w.real
            for w, pair in zip(scaled, self.paired, strict=True)
        ]


_programs: weakref.WeakKeyDictionary[SecondMoments, dict[tuple[bool, bool], _Program]] = weakref.WeakKeyDictionary()


def _program(problem: RegularizedProblem, cvxpy: Any, left: bool) -> _Program:
    made, key = _programs.setdefault(problem.moments, {}), (problem.depth == 1, left)
    if key not in made:
        made[key] = _Program(problem, cvxpy, left)
    return made[key]


def _cvxpy() -> Any:
    try:
        import cvxpy
    except ImportError:
        raise ArgumentError(
            "method is 'conic', which needs cvxpy, and that is not installed: pip install 'cvxpy>=1.5', or take "
            "another method"
        ) from None
    return cvxpy


def _check(problem: RegularizedProblem) -> None:
    check_problem(problem)
    if problem.bounds_rank:
        raise ArgumentError(
            f"rank is {problem.rank}, expected None: with blocks of bounded rank the problem is no cone program; take "
            f"another method"
        )
    size = problem.n_outputs * problem.coordinates.size
    if size > LARGEST:
        raise ArgumentError(
            f"problem has {size} numbers in its predictor, expected at most {LARGEST} for cone programs: take another "
            f"method"
        )

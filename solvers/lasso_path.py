r"""The convex problem of depth 2 at many λ together, on data of which few frequencies are used.

A working set holds a model of Σ^xx (:mod:`solvers.working_set`). All λ descend on it, each from its neighbour; then one
pass over the data gives the slopes ``V G - c`` of all of them at once, on every frequency, and with them the duality
gaps. Frequencies that are steeper than their threshold join the set, and what is not yet solved goes on from its true
slope. The smallest λ uses most of what any of them uses: it goes first, after a rehearsal with few frequencies and a
model from some of the images.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lineardyn.errors import Status
from solvers.coordinate import Coordinate
from solvers.iterate import Iterate
from solvers.problem import RegularizedProblem
from solvers.working_set import WorkingSet

__all__ = ["lasso_path", "suits"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
MANY = 2
"""Images for each coefficient: with fewer, single precision says too little of the smallest eigenvalues of Σ^xx."""
REHEARSED, IMAGES = 32, 1024
"""Frequencies of the rehearsal, those that the targets correlate with most; images, many times their columns."""
NEAR = 0.95
"""Share of its threshold from which on a frequency joins the working set: it may pass it yet."""
INSIDE = 0.1
"""Share of the tolerance that the gap on the working set must reach: the pass over the data adds to it."""
SETTLED = 1e-3
"""Of the tolerance: what the sweeps to come may move when the gap is first looked at."""
LOOKS, SWEEPS = 5, 300
"""Looks at the gap inside a descent, and sweeps between them; problems that need more have faster ways."""
ROUNDS = 8
"""Passes over the data with all λ."""
EPS = float(np.finfo(float).eps)
"""Of ⟨‖y‖²⟩: no gap is known better."""
PROGRESS = 0.5
"""Of the largest gap, that a pass without new frequencies must leave at most: else the model is not good enough."""


def suits(problem: RegularizedProblem) -> bool:
    """Whether there are many more images than coefficients, and no Σ^xx yet."""
    many = problem.moments.n_samples >= MANY * problem.coordinates.size
    return problem.convex and problem.depth == 2 and problem.moments.form == "samples" and many


def lasso_path(problems: Sequence[RegularizedProblem], *, tol: float) -> list[Iterate]:
    """The minimum at each λ, which descend, to a relative duality gap ``tol``; one problem of depth 2.

    What the model of Σ^xx is not good enough for goes to coordinate descent on Σ^xx itself.
    """
    together = _Together(problems, tol)
    together.run()
    ends: list[Iterate] = []
    for i, problem in enumerate(problems):
        if together.solved[i]:
            ends.append(together.end(i))
        else:
            start = together.values[i] if np.isfinite(together.gaps[i]) or not ends else ends[-1].values
            ends.append(Coordinate().solve(problem, start, tol=tol))
    return ends


class _Together:
    """All λ: their coordinates and slopes ``(n, K, D)``, gaps as of the last pass over the data, and sweeps so far."""

    def __init__(self, problems: Sequence[RegularizedProblem], tol: float) -> None:
        self.problems, self.tol, self.quadratic = problems, tol, problems[0].quadratic
        self.values = np.zeros((len(problems), *self.quadratic.cross.shape))
        self.slopes = np.tile(-self.quadratic.cross, (len(problems), 1, 1))
        self.gaps, self.sweeps = np.full(len(problems), np.inf), np.zeros(len(problems), dtype=int)
        self.solved, self.stuck = np.zeros(len(problems), dtype=bool), False
        self.working_set = WorkingSet.empty(self.quadratic)

    def run(self) -> None:
        """Until all are solved, or come no closer."""
        last, pending = np.array([len(self.problems) - 1]), np.arange(len(self.problems))
        self.grow(self.rehearsed(last[0]))
        self.grow(self.advance(last))
        self.stuck = False  # the smallest λ is the hardest
        for _ in range(ROUNDS):
            before = self.gaps[pending].max()
            fresh = self.advance(pending)
            pending = np.flatnonzero(~self.solved)
            closer = len(fresh) or self.gaps[pending].max(initial=0.0) <= PROGRESS * before
            if not len(pending) or self.stuck or not closer:
                return
            self.grow(fresh)

    def grow(self, fresh: Integers) -> None:
        """Take these frequencies into the working set."""
        if len(fresh):
            self.working_set = self.working_set.grown(fresh)

    def rehearsed(self, i: int) -> Integers:
        """The frequencies that this λ is likely to use."""
        first = np.argsort(-self.steepness(i), kind="stable")[:REHEARSED]
        some = max(1, self.quadratic.moments.n_samples // IMAGES)
        model = WorkingSet.empty(self.quadratic).grown(first, every=some)
        values, _, _ = self.descend(model, i, self.values[i], self.slopes[i])
        slope = self.quadratic.apply_data(values) - self.quadratic.cross
        return np.flatnonzero(self.steepness(i, slope) > NEAR)

    def advance(self, which: Integers) -> Integers:
        """Descend at these λ, then one pass over the data; the frequencies that the working set lacks.

        The first time a λ starts from its neighbour, then from where it is. Where one gets stuck, smaller ones would.
        """
        values, slope = self.values[which[0]], self.slopes[which[0]]
        for n, i in enumerate(which):
            if np.isfinite(self.gaps[i]):
                values, slope = self.values[i], self.slopes[i]
            values, slope, arrived = self.descend(self.working_set, i, values, slope)
            self.values[i] = values
            if not arrived:
                which, self.stuck = which[: n + 1], True
                break
        self.slopes[which] = self.quadratic.apply_data(self.values[which]) - self.quadratic.cross
        steep = np.zeros(self.quadratic.coordinates.n_blocks)
        for i in which:
            self.gaps[i] = self.problems[i].half_gap(self.values[i], self.slopes[i])
            self.solved[i] = self.is_solved(i)
            if not self.solved[i]:
                np.maximum(steep, self.steepness(i), out=steep)
        steep[self.working_set.blocks] = 0.0
        return np.flatnonzero(steep > (NEAR if steep.max() > 1.0 else np.inf))

    def descend(self, model: WorkingSet, i: int, values: Floats, slope: Floats) -> tuple[Floats, Floats, bool]:
        """One λ on one working set: coordinates ``(K, D)``, the slope on the set elsewhere as given, if it arrived."""
        problem, on = self.problems[i], model.columns
        inside, steep = values[:, on], slope[:, on]
        loss = self.quadratic.target_power + float(np.vdot(values, slope - self.quadratic.cross))
        enough = SETTLED * self.tol * loss
        for _ in range(LOOKS):
            inside, steep, n = model.descend(problem, inside, steep, enough, SWEEPS)
            self.sweeps[i] += n
            gap, scale = model.half_gap(problem, inside, steep)
            if gap <= max(INSIDE * self.tol * scale, EPS * self.quadratic.target_power) or not np.isfinite(gap):
                break
            enough *= 1e-2
        if not np.isfinite(gap):  # a model of too many columns may have no minimum
            return values, slope, False
        values, slope = np.zeros_like(values), slope.copy()
        values[:, on], slope[:, on] = inside, steep
        return values, slope, bool(gap <= max(INSIDE * self.tol * scale, EPS * self.quadratic.target_power))

    def is_solved(self, i: int) -> bool:
        """Whether the gap is within the tolerance, or round-off."""
        power = self.quadratic.target_power
        scale = self.problems[i].half_objective(self.values[i], self.slopes[i]) + 0.5 * power
        return bool(self.gaps[i] <= max(self.tol * scale, EPS * power))

    def steepness(self, i: int, slope: Floats | None = None) -> Floats:
        """``‖slope_b‖/u_b`` ``(F,)``."""
        problem = self.problems[i]
        norms = problem.coordinates.singular_values(self.slopes[i] if slope is None else slope)
        return np.asarray(norms.max(axis=1) / problem.thresholds)

    def end(self, i: int) -> Iterate:
        """Of one λ, with what its certificate needs."""
        message = f"block coordinate descent on {len(self.working_set.blocks)} frequencies, {self.sweeps[i]} sweeps"
        known = np.full(self.quadratic.coordinates.n_blocks, np.nan)
        known[self.working_set.blocks] = self.working_set.curvatures
        return Iterate(
            self.values[i], int(self.sweeps[i]), Status.SUCCESS, message, slope=self.slopes[i], curvatures=known
        )

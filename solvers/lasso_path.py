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

__all__ = ["lasso_path"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
REHEARSED, IMAGES = 32, 1024
"""Frequencies of the rehearsal, those that the targets correlate with most; images, many times their columns."""
NEAR = 0.95
"""Share of its threshold from which on a frequency joins the working set: it may pass it yet."""
INSIDE = 0.1
"""Share of the tolerance that the gap on the working set must reach: the pass over the data adds to it."""
SETTLED = 1e-3
"""Of the tolerance: what the sweeps to come may move when the gap is first looked at."""
LOOKS, SWEEPS = 6, 3000
"""Looks at the gap inside a descent, and sweeps between them, before it is left to the next pass over the data."""
ROUNDS = 8
"""Passes over the data with all λ; what they leave goes to coordinate descent on lines of Σ^xx itself."""
PROGRESS = 0.5
"""Of the largest gap, that a pass without new frequencies must leave at most: else the model is not good enough."""


def lasso_path(problems: Sequence[RegularizedProblem], *, tol: float) -> list[Iterate]:
    """The minimum at each λ, which descend; relative duality gap ``tol``. All λ of one problem of depth 2."""
    return _Together(problems, tol).run()


class _Together:
    """All λ: their coordinates and slopes ``(n, K, D)``, gaps as of the last pass over the data, and sweeps so far."""

    def __init__(self, problems: Sequence[RegularizedProblem], tol: float) -> None:
        self.problems, self.tol, self.quadratic = problems, tol, problems[0].quadratic
        self.values = np.zeros((len(problems), *self.quadratic.cross.shape))
        self.slopes = np.tile(-self.quadratic.cross, (len(problems), 1, 1))
        self.gaps, self.sweeps = np.full(len(problems), np.inf), np.zeros(len(problems), dtype=int)
        self.solved = np.zeros(len(problems), dtype=bool)
        self.working_set = WorkingSet.empty(self.quadratic)

    def run(self) -> list[Iterate]:
        every = np.arange(len(self.problems))
        fresh, pending = self.rehearsed(every[-1]), every
        while len(fresh):
            self.working_set = self.working_set.grown(fresh)
            fresh = self.advance(every[-1:])
        for _ in range(ROUNDS):
            before = self.gaps[pending].max()
            fresh = self.advance(pending)
            pending = np.flatnonzero(~self.solved)
            if not len(pending) or not (len(fresh) or self.gaps[pending].max() <= PROGRESS * before):
                break
            self.working_set = self.working_set.grown(fresh)
        return [self.end(i) for i in every]

    def rehearsed(self, i: int) -> Integers:
        """The frequencies that this λ is likely to use."""
        first = np.argsort(-self.steepness(i), kind="stable")[:REHEARSED]
        some = max(1, self.quadratic.moments.n_samples // IMAGES)
        model = WorkingSet.empty(self.quadratic).grown(first, every=some)
        values, _, _ = self.descend(model, i, self.values[i], self.slopes[i])
        self.slopes[i] = self.quadratic.apply_data(values) - self.quadratic.cross
        likely = np.flatnonzero(self.steepness(i) > NEAR)
        self.slopes[i] = -self.quadratic.cross
        return likely

    def advance(self, which: Integers) -> Integers:
        """Descend at these λ, then one pass over the data; the frequencies that the working set lacks."""
        start: tuple[Floats, Floats] | None = None
        for i in which:
            seen = np.isfinite(self.gaps[i]) or start is None
            values, slope = (self.values[i], self.slopes[i]) if seen else start
            values, slope, sweeps = self.descend(self.working_set, i, values, slope)
            self.values[i], start = values, (values, slope)
            self.sweeps[i] += sweeps
        self.slopes[which] = self.quadratic.apply_data(self.values[which]) - self.quadratic.cross
        for i in which:
            self.gaps[i] = self.problems[i].half_gap(self.values[i], self.slopes[i])
            self.solved[i] = self.is_solved(i)
        steep = np.zeros(self.quadratic.coordinates.n_blocks)
        for i in which[~self.solved[which]]:
            np.maximum(steep, self.steepness(i), out=steep)
        steep[self.working_set.blocks] = 0.0
        return np.flatnonzero(steep > NEAR) if steep.max() > 1.0 else np.zeros(0, dtype=np.int64)

    def descend(self, model: WorkingSet, i: int, values: Floats, slope: Floats) -> tuple[Floats, Floats, int]:
        """One λ on one working set: coordinates ``(K, D)``, the slope on the set (elsewhere as given), sweeps."""
        problem, on = self.problems[i], model.columns
        inside, steep, total = values[:, on], slope[:, on], 0
        loss = self.quadratic.target_power + float(np.vdot(values, slope - self.quadratic.cross))
        enough = SETTLED * self.tol * loss
        for _ in range(LOOKS):
            inside, steep, n = model.descend(problem, inside, steep, enough, SWEEPS)
            total += n
            gap, scale = model.half_gap(problem, inside, steep)
            if gap <= INSIDE * self.tol * scale:
                break
            enough *= 1e-2
        values, slope = np.zeros_like(values), slope.copy()
        values[:, on], slope[:, on] = inside, steep
        return values, slope, total

    def is_solved(self, i: int) -> bool:
        """Whether the gap is within the tolerance, or round-off."""
        power = self.quadratic.target_power
        scale = self.problems[i].half_objective(self.values[i], self.slopes[i]) + 0.5 * power
        return bool(self.gaps[i] <= max(self.tol * scale, np.finfo(float).eps * power))

    def steepness(self, i: int) -> Floats:
        """``‖slope_b‖/u_b`` ``(F,)``."""
        problem = self.problems[i]
        return problem.coordinates.singular_values(self.slopes[i]).max(axis=1) / problem.thresholds

    def end(self, i: int) -> Iterate:
        """Of one λ; where the model was not good enough, by coordinate descent on Σ^xx itself."""
        if not self.solved[i]:
            return Coordinate().solve(self.problems[i], self.values[i], tol=self.tol)
        message = f"block coordinate descent on {len(self.working_set.blocks)} frequencies, {self.sweeps[i]} sweeps"
        known = np.full(self.quadratic.coordinates.n_blocks, np.nan)
        known[self.working_set.blocks] = self.working_set.curvatures
        return Iterate(
            self.values[i], int(self.sweeps[i]), Status.SUCCESS, message, slope=self.slopes[i], curvatures=known
        )

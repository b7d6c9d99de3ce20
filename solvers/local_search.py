"""From one local minimum to a lower one: drop a frequency, or raise another, and descend again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineardyn.errors import Status
from lineardyn.validation import check_count
from solvers._coordinate_kernels import best_partners, explore
from solvers.coordinate import Coordinate
from solvers.exchanges import forecast
from solvers.iterate import Iterate, check_call, starting_point
from solvers.part import Part
from solvers.problem import RegularizedProblem

__all__ = ["LocalSearch"]

Floats = NDArray[np.float64]
WORTH = 1e-10
"""Smallest gain that counts, relative to ⟨‖y‖²⟩."""
SURE_TRIALS, DOUBTFUL = 16, 0.1
"""Active blocks of the best forecasts that are tried in any case, and the change of h, of the block's penalty, up to
which more are: what led lower was forecast at 0.03 at most where there were more than 60, with few at 0.4."""
SURE_RAISES = 5
"""Silent blocks that are raised alone where there are forecasts, which say what silent ones can replace: on images
three led as low as twenty did."""
SETTLED = 1e-11
"""Move of a sweep, relative to ⟨‖y‖²⟩, at which a trial has come to rest."""


@dataclass(frozen=True)
class LocalSearch:
    """Each block in turn is changed, and coordinate descent follows: an active one is dropped, and the silent one that
    then gains most takes its place; a silent one is raised.

    What leads lower is kept, until a whole round finds nothing. Blocks whose change costs least come first; where many
    are active, only those are dropped of which :mod:`solvers.exchanges` expects something. Trials run on the blocks
    concerned alone, see :class:`solvers.part.Part`.

    Parameters
    ----------
    n_drops, n_raises : int
        Blocks tried at each place, of those that are active and of those that are silent.
    n_sweeps : int
        Of each trial, at most.
    max_moves : int
        Changes kept before it stops.
    """

    n_drops: int = 200
    n_raises: int = 20
    n_sweeps: int = 10
    max_moves: int = 1000

    def __post_init__(self) -> None:
        for name in ("n_drops", "n_raises", "max_moves"):
            check_count(name, getattr(self, name), minimum=0)
        check_count("n_sweeps", self.n_sweeps)

    def solve(self, problem: RegularizedProblem, start: Floats, *, tol: float = 1e-8) -> Iterate:
        """From coordinates ``(K, D)`` of a local minimum; descends to ``tol`` in the end."""
        check_call(problem, tol)
        quadratic = problem.quadratic
        values = starting_point(problem, start)
        slope = quadratic.gradient(values)
        height, moves = problem.half_objective(values, slope), 0
        while moves < self.max_moves:
            blocks = self._candidates(problem, values, slope)
            missing = blocks[~quadratic.lines.formed[blocks]]
            if len(missing):
                quadratic.lines.form(missing)
            part = Part.of(problem, self._concerned(problem, values, slope, blocks))
            taken, height = self._explore(problem, part, values, slope, blocks, height)
            if not taken:
                break
            moves += taken
        end = Coordinate().solve(problem, values, tol=tol)
        return Iterate(end.values, end.n_iterations, Status(end.status), f"{end.message} after {moves} changes")

    def _explore(
        self,
        problem: RegularizedProblem,
        part: Part,
        values: Floats,
        slope: Floats,
        blocks: NDArray[np.int64],
        height: float,
    ) -> tuple[int, float]:
        """Changes of ``blocks`` on a part of the problem; ``values`` and ``slope`` follow, everywhere."""
        quadratic = problem.quadratic
        before, after = part.take(values), part.take(values)
        taken, height = explore(
            after,
            part.take(slope),
            part.cross,
            part.gram,
            part.starts,
            quadratic.curvatures[part.blocks],
            problem.thresholds[part.blocks],
            problem.jumps[part.blocks],
            problem.depth,
            problem.max_rank,
            problem.image_shape[0],
            quadratic.lines.formed[part.blocks],
            part.places(blocks),
            self.n_sweeps,
            SETTLED * quadratic.target_power,
            height,
            WORTH * quadratic.target_power,
        )
        if taken:
            values[:, part.columns] = after
            slope += (after - before) @ quadratic.lines.lines[part.columns]
        return int(taken), float(height)

    def _concerned(
        self, problem: RegularizedProblem, values: Floats, slope: Floats, blocks: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Active blocks, those to be tried, and of each one that is dropped the silent one that takes its place."""
        quadratic, columns = problem.quadratic, problem.coordinates
        active = np.flatnonzero(columns.singular_values(values).max(axis=1) > 0)
        partners = np.empty(len(active), dtype=np.int64)
        best_partners(
            values,
            slope,
            quadratic.lines.lines,
            columns.starts,
            quadratic.curvatures,
            problem.thresholds,
            problem.jumps,
            problem.depth,
            quadratic.lines.formed,
            active,
            partners,
        )
        return np.concatenate([active, blocks, partners[partners >= 0]])

    def _candidates(self, problem: RegularizedProblem, values: Floats, slope: Floats) -> NDArray[np.int64]:
        """Active blocks by what dropping them costs, silent ones by how hard they are pulled, others unchanged."""
        columns, quadratic = problem.coordinates, problem.quadratic
        singular = columns.singular_values(values)
        active = singular.max(axis=1) > 0
        first_order = np.add.reduceat(np.einsum("kd,kd->d", slope, values), columns.starts[:-1])
        curved = 0.5 * quadratic.curvatures * (singular**2).sum(axis=1)
        cost = curved - first_order - problem.thresholds * (singular**problem.power).sum(axis=1)
        pull = columns.singular_values(slope).max(axis=1)
        reach = np.divide(pull, np.sqrt(quadratic.curvatures), out=np.zeros_like(pull), where=quadratic.curvatures > 0)
        drops = np.flatnonzero(active)
        silent = ~active & (reach > 0)
        if len(quadratic.lines.formed) > self.n_raises:  # where lines are dear, among the frequencies that have them
            silent &= quadratic.lines.formed | (np.count_nonzero(silent & quadratic.lines.formed) < self.n_raises)
        raises = np.flatnonzero(silent)
        drops = drops[np.argsort(cost[drops], kind="stable")][: self.n_drops]
        raises = raises[np.argsort(-reach[raises], kind="stable")][: self.n_raises]
        if len(drops) > SURE_TRIALS and problem.depth > 2:
            there = np.flatnonzero(silent & quadratic.lines.formed)
            change = forecast(problem, values, slope, drops, there)
            if change is not None:
                order = np.argsort(change, kind="stable")
                drops = drops[order[: max(SURE_TRIALS, np.count_nonzero(change < DOUBTFUL))]]
                raises = raises[:SURE_RAISES]
        return np.concatenate([drops, raises])

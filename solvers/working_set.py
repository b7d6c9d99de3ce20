"""The frequencies that a sparse predictor may use, with a model of Σ^xx on them, in single precision.

The model is for the way, not for the end: where its descent leads, the slope ``V G - c`` is taken anew from the data,
and the next descent starts with that. Each round then takes off what the model got wrong of what the last one left.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from solvers._block_kernels import block_singular_values
from solvers._coordinate_kernels import descend_blocks, jump_points
from solvers.problem import RegularizedProblem, norm_gap
from solvers.quadratic import Quadratic

__all__ = ["WorkingSet"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
SQUARE = 0.5
"""Share of new columns from which on the square of all rows is taken: half the work of a product of that size."""
FEW = 48
"""New columns up to which their lines of Σ^xx are less work than the rows of all columns."""


@dataclass(frozen=True, eq=False)
class WorkingSet:
    """Blocks of a problem and the model of Σ^xx on them; make it with :meth:`empty` and :meth:`grown`.

    Attributes
    ----------
    quadratic : Quadratic
    blocks : (B,)
        In the order in which they came.
    columns : (d,)
        Theirs, block after block.
    starts : (B + 1,)
        Where each begins in ``columns``.
    gram : (d, d)
    """

    quadratic: Quadratic
    blocks: Integers
    columns: Integers
    starts: Integers
    gram: Floats

    @staticmethod
    def empty(quadratic: Quadratic) -> WorkingSet:
        """No block."""
        none = np.zeros(0, dtype=np.int64)
        return WorkingSet(quadratic, none, none, np.zeros(1, dtype=np.int64), np.zeros((0, 0)))

    def grown(self, blocks: Integers, *, every: int = 1) -> WorkingSet:
        """With more blocks; of the rows every n-th is summed over, in one pass."""
        first, widths = self.quadratic.coordinates.starts, self.quadratic.widths
        columns = np.concatenate([self.columns, *(first[b] + np.arange(widths[b]) for b in blocks)])
        starts = np.concatenate([self.starts, self.starts[-1] + np.cumsum(widths[blocks])])
        gram, known = np.empty((len(columns), len(columns))), len(self.columns)
        gram[:known, :known] = self.gram
        fresh = 0 if len(columns) - known >= SQUARE * len(columns) else known
        few = 0 < len(columns) - fresh <= FEW and every == 1
        gram[fresh:] = self._lines(columns, fresh) if few else self._products(columns, fresh, every)
        gram[:fresh, fresh:] = gram[fresh:, :fresh].T
        if fresh or few:  # no product of two different arrays is symmetric to the last bit
            gram[fresh:, fresh:] = 0.5 * (gram[fresh:, fresh:] + gram[fresh:, fresh:].T)
        return WorkingSet(self.quadratic, np.concatenate([self.blocks, blocks]), columns, starts, gram)

    def _products(self, columns: Integers, first: int, every: int) -> Floats:
        """Lines of the model from ``first`` on."""
        place, moments = self.quadratic.coordinates, self.quadratic.moments
        total, n = np.zeros((len(columns) - first, len(columns))), 0
        for rows in moments.rows_in_single(place.order[columns], every=every):
            total += rows[:, first:].T @ rows  # where that is all of them, numpy takes half the work of a square
            n += len(rows)
        total *= moments.image_power / n * place.scales[columns]
        total *= place.scales[columns[first:], None]
        return total

    def _lines(self, columns: Integers, first: int) -> Floats:
        """The same of few lines."""
        place = self.quadratic.coordinates
        lines = self.quadratic.moments.lines_in_single(place.order[columns[first:]])
        lines = lines[:, place.order[columns]] * place.scales[columns]
        return np.asarray(lines * place.scales[columns[first:], None])

    @cached_property
    def curvatures(self) -> Floats:
        """``(B,)``: the largest eigenvalue of the model within each block."""
        width = 2 * self.quadratic.moments.image_shape[0]
        parts = np.zeros((len(self.blocks), width, width))
        for part, first, last in zip(parts, self.starts[:-1], self.starts[1:], strict=True):
            part[: last - first, : last - first] = self.gram[first:last, first:last]
        return np.asarray(np.linalg.eigvalsh(parts)[:, -1])

    def descend(
        self, problem: RegularizedProblem, values: Floats, slope: Floats, enough: float, most: int
    ) -> tuple[Floats, Floats, int]:
        """Coordinates, slope (both ``(K, d)``, copied) and sweeps after a descent of these blocks alone.

        It ends where the sweeps to come would move less than ``enough``.
        """
        values, slope, thresholds = values.copy(), slope.copy(), problem.thresholds[self.blocks]
        jumps = np.empty_like(thresholds)
        jump_points(self.curvatures, thresholds, problem.depth, jumps)
        n = descend_blocks(
            values, slope, self.gram, self.starts, self.curvatures, thresholds, jumps, problem.depth,
            problem.max_rank, problem.image_shape[0], enough, most,
        )  # fmt: skip
        return values, slope, int(n)

    def half_gap(self, problem: RegularizedProblem, values: Floats, slope: Floats) -> tuple[float, float]:
        """What :meth:`RegularizedProblem.half_gap` is on these blocks alone, and half the objective."""
        thresholds, cross = problem.thresholds[self.blocks], self.quadratic.cross[:, self.columns]
        norms, steep = self._norms(problem, values), self._norms(problem, slope)
        penalty = float(thresholds @ norms.sum(axis=1))
        square = problem.quadratic.target_power + float(np.vdot(values, slope - cross))
        product = problem.quadratic.target_power - float(np.vdot(cross, values))
        gap = norm_gap(square, product, penalty, float((steep.max(axis=1) / thresholds).max(initial=0.0)))
        return gap, 0.5 * square + penalty

    def _norms(self, problem: RegularizedProblem, values: Floats) -> Floats:
        """Singular values of each block, ``(B, min(K, C))``."""
        channels = problem.image_shape[0]
        norms = np.empty((len(self.blocks), min(len(values), channels)))
        block_singular_values(values, self.starts, channels, norms)
        return norms

"""Some blocks of a problem with their own Σ^xx: a predictor that is zero elsewhere is tried on them, many times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from solvers.problem import RegularizedProblem

__all__ = ["Part"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Part:
    """The problem on predictors that are zero outside ``blocks``.

    Of a block in whose imaginary parts no image has anything the real parts alone are here.

    Attributes
    ----------
    blocks : (B,)
        Ascending.
    columns : (d,)
        Theirs, block after block.
    starts : (B + 1,)
        Where each begins in ``columns``.
    cross, gram : (K, d), (d, d)
        Σ^yx and Σ^xx on them.
    """

    blocks: Integers
    columns: Integers
    starts: Integers
    cross: Floats
    gram: Floats

    @staticmethod
    def of(problem: RegularizedProblem, blocks: Integers) -> Part:
        """These blocks, each once, whose lines of Σ^xx must have been computed."""
        quadratic = problem.quadratic
        chosen = np.unique(blocks)
        widths = quadratic.lines.widths[chosen]
        starts = np.concatenate([[0], np.cumsum(widths)])
        columns = np.repeat(problem.coordinates.starts[chosen] - starts[:-1], widths) + np.arange(starts[-1])
        gram = quadratic.lines.lines[np.ix_(columns, columns)]
        return Part(chosen, columns, starts, quadratic.cross[:, columns], gram)

    def take(self, values: Floats) -> Floats:
        """Of ``(K, D)`` the columns of these blocks, ``(K, d)``."""
        return np.ascontiguousarray(values[:, self.columns])

    def places(self, blocks: Integers) -> Integers:
        """Which of ``self.blocks`` these are."""
        return np.searchsorted(self.blocks, blocks)

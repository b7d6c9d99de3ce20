"""Where a solver starts and where it stopped, in the coordinates of the problem."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineardyn.errors import Status
from lineardyn.validation import check_array, check_number
from solvers.problem import RegularizedProblem, check_problem

__all__ = ["Iterate", "check_call", "starting_point"]


@dataclass(frozen=True)
class Iterate:
    """The last point of a solver.

    Attributes
    ----------
    values : (K, D)
        Coordinates of the predictor; ``problem.unpack(values)`` is v̂.
    n_iterations : int
        What one is, the solver says.
    status, message : Status, str
        How it ended, and in words.
    stats : dict
        Counts and seconds.
    slope : (K, D), optional
        ``V G - c`` there, where it was taken from the data.
    curvatures : (F,), optional
        ℓ_b of the blocks that the solver met, else NaN.
    """

    values: NDArray[np.float64]
    n_iterations: int
    status: Status
    message: str
    stats: dict[str, Any] = field(default_factory=dict)
    slope: NDArray[np.float64] | None = None
    curvatures: NDArray[np.float64] | None = None

    @property
    def converged(self) -> bool:
        """Whether it reached its tolerance."""
        return self.status is Status.SUCCESS


def check_call(problem: RegularizedProblem, tol: float) -> None:
    """What every solver is given."""
    check_problem(problem)
    check_number("tol", tol, minimum=0.0, strict=True)


def starting_point(problem: RegularizedProblem, start: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """A copy of ``start`` ``(K, D)``, zero if there is none."""
    shape = problem.quadratic.cross.shape
    if start is None:
        return np.zeros(shape)
    return np.array(check_array("start", start, shape=shape, why="(K, D), as problem.pack(predictor) gives"), order="C")

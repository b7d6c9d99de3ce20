"""Where a solver stopped: what each of them hands to the verb, in the coordinates of the problem."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineardyn.errors import Status

__all__ = ["Iterate"]


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
    """

    values: NDArray[np.float64]
    n_iterations: int
    status: Status
    message: str
    stats: dict[str, Any] = field(default_factory=dict)

    @property
    def converged(self) -> bool:
        """Whether it reached its tolerance."""
        return self.status is Status.SUCCESS

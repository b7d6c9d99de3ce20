"""What a solver hands to the verb: coordinates, and how it came to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineardyn.errors import Status

__all__ = ["Iterate"]


@dataclass(frozen=True)
class Iterate:
    """Coordinates ``(K, D)`` of a predictor, the iterations that they took, and how the solver ended, in words."""

    values: NDArray[np.float64]
    n_iterations: int
    status: Status
    message: str

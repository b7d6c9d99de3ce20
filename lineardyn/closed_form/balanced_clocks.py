"""The fast way for the commonest start: balanced two-layer modes that grow, all of them in one compiled pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineardyn.closed_form._kernels import (
    MAX_POINTS,
    NODES,
    SPACING,
    evaluate_clocks,
    tabulate_clocks,
)

__all__ = ["BalancedClocks", "balanced_clocks"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BalancedClocks:
    """Tables of the clocks of R modes; see the kernels for their meaning."""

    s: Floats
    scalars: Floats
    sizes: NDArray[np.int64]
    h: Floats
    scaled: Floats
    times: Floats

    def responses(self, t: Floats) -> Floats:
        """b at the times t (T,), as (T, R)."""
        out = np.empty((len(t), len(self.s)))
        evaluate_clocks(t, self.s, self.scalars, self.sizes, self.h, self.scaled, self.times, out)
        return out


def balanced_clocks(rate: Floats, log_p: Floats, mode: NDArray[np.int64], s: Floats) -> BalancedClocks | None:
    """Of modes with b = Σ P e^{2cΘ}, rates c and ln P (n,) of the chains, whose ``mode`` indexes s (R,).

    None where one starts at s or above it, never moves, or spans so many scales that its even grid would be long.
    """
    order = np.argsort(mode, kind="stable")
    c, logs = rate[order], log_p[order]
    first = np.searchsorted(mode[order], np.arange(len(s) + 1))
    if not len(s) or (np.diff(first) == 0).any():
        return None
    reach = np.minimum.reduceat((np.log(s)[mode[order]] - logs) / (2.0 * c), first[:-1])  # Θ(∞) is at most this
    points = float((reach * np.maximum.reduceat(c, first[:-1])).max()) / SPACING
    if not (reach.min() > 0.0 and points < MAX_POINTS):
        return None
    shape = len(s), int(points) + NODES + 4
    scalars, sizes = np.empty((len(s), 4)), np.empty(len(s), dtype=np.int64)
    h, scaled, times = np.empty(shape), np.empty(shape), np.empty(shape)
    done = tabulate_clocks(c, logs, first, s, scalars, sizes, h, scaled, times)
    return BalancedClocks(s, scalars, sizes, h, scaled, times) if done else None

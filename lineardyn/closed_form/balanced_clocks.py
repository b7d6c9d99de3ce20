"""The fast way for the commonest start: balanced two-layer modes that grow, all of them in one compiled pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineardyn.closed_form._kernels import FIELDS, MAX_POINTS, ends_of_learning, evaluate_clocks, tabulate_clocks

__all__ = ["BalancedClocks", "balanced_clocks"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BalancedClocks:
    """Tables of the clocks of R modes; see the kernels for their meaning."""

    s: Floats
    offsets: NDArray[np.int64]
    scalars: Floats
    times: Floats
    tables: Floats

    def responses(self, t: Floats) -> Floats:
        """b at the times t (T,), as (T, R)."""
        out = np.empty((len(t), len(self.s)))
        evaluate_clocks(t, self.s, self.offsets, self.scalars, self.times, self.tables, out)
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
    ends, points = np.empty(len(s)), np.empty(len(s))
    ends_of_learning(c, logs, first, s, ends, points)
    if not (points.min() > 0.0 and points.max() < MAX_POINTS):
        return None
    offsets = np.append(0, np.cumsum(np.ceil(points).astype(np.int64)))
    scalars, times, tables = np.empty((len(s), 2)), np.empty(offsets[-1]), np.empty(FIELDS * offsets[-1])
    tabulate_clocks(c, logs, first, s, ends, offsets, scalars, times, tables)
    return BalancedClocks(s, offsets, scalars, times, tables)

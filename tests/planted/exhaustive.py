"""The certified global minimum: its relaxation, its bounds, and what it may throw away."""

from __future__ import annotations

from tests.planted import checks as by
from tests.planted.error import Planted

KERNELS, SEARCH = "solvers._exhaustive_kernels", "solvers.exhaustive"

PLANTED = {
    "slope of the secant": Planted(
        KERNELS, "(u * last**p - at_first) / (last - first)", "1.1 * (u * last**p - at_first) / (last - first)", by.NODE
    ),
    "sign of the secant's constant": Planted(
        KERNELS, "at_first - secant * first)", "at_first + secant * first)", by.GLOBAL
    ),
    "box forgotten in the bound": Planted(
        KERNELS, "r = table[TOP, b]\n        if table[RIDGE", "r = table[BEND, b]\n        if table[RIDGE", by.NODE
    ),
    "sign of the quadratic in the bound": Planted(
        KERNELS, "total -= 0.5 * x[i] * (g[i] + cross[i]", "total += 0.5 * x[i] * (g[i] + cross[i]", by.NODE
    ),
    "share left in the slope": Planted(
        KERNELS, "y0 = g[first] - delta * x[first]\n    if", "y0 = g[first]\n    if", by.GLOBAL
    ),
    "share larger than the smallest eigenvalue": Planted(
        KERNELS, "return known + part * least", "return known + 1.1 * part * least", by.SHARE
    ),
    "more cut off than the bound excludes": Planted(
        KERNELS, "starts, x, g, cut - new)", "starts, x, g, 0.3 * (cut - new))", by.LOSES
    ),
    "a gap between two halves": Planted(KERNELS, "else middle\n", "else 0.8 * middle\n", by.STAYS),
    "landing too far": Planted(
        SEARCH, "(2 * (1 - power) * thresholds / lipschitz)", "(3 * (1 - power) * thresholds / lipschitz)", by.FIRST_BOX
    ),
    "reach by the loss": Planted(SEARCH, "np.sqrt(2 * room *", "np.sqrt(1.9 * room *", by.FIRST_BOX),
    "reach by the penalty": Planted(SEARCH, "(room / thresholds) **", "(0.9 * room / thresholds) **", by.FIRST_BOX),
    "open nodes forgotten in the lower bound": Planted(
        SEARCH, "lower = min(lower, bounds[heap[0]])", "lower = min(lower, lower)", by.EARLY_END
    ),
    "tolerance of the objective taken for that of h": Planted(SEARCH, "0.4999 * tol", "0.9999 * tol", by.GLOBAL),
}

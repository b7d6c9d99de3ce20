r"""Pure cosines at any depth: the separable equation of the effective singular value, and its elementary integral.

With ``a = (P/m)^{1-1/L} d^{2/L-1}`` a balanced, aligned mode of L layers follows

.. math:: \dot b = L\,a\,b^{2-2/L}\,(s - b)

In ``y = (b/s)^{1/L}`` its time is the integral of a rational function: with ω_j the L-th roots of unity,

.. math:: \int \frac{dy}{y^{L-1}(1 - y^L)} = \frac{y^{2-L}}{2-L} - \frac1L \sum_j ω_j^2 \ln(1 - y/ω_j)
          \qquad (L = 2: \ln y \text{ for the first term})
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log1p  # numpy's has no accuracy for small complex numbers

from lineardyn.closed_form.arguments import check_positive
from lineardyn.closed_form.clock_quadrature import build_deep_clock, position_at
from lineardyn.errors import ArgumentError
from lineardyn.validation import check_count

__all__ = ["check_depth", "deep_response", "deep_time", "mode_rate"]

Floats = NDArray[np.float64]


def check_depth(depth: int, d: ArrayLike | None) -> tuple[int, Floats]:
    """L and d, which only two layers may leave out."""
    layers = check_count("depth", depth)
    if d is not None:
        return layers, check_positive("d", d)
    if layers != 2:
        raise ArgumentError(
            f"d is None, expected the second moment of the data along the mode (Modes.d): with depth={layers} the "
            f"speed of learning depends on it"
        )
    return layers, np.ones(())


def mode_rate(ratio: Any, d: Any, depth: int) -> Any:
    """``a = (P/m)^{1-1/L} d^{2/L-1}`` for ratio = P/m."""
    return np.sqrt(ratio) if depth == 2 else ratio ** (1.0 - 1.0 / depth) * d ** (2.0 / depth - 1.0)


def deep_response(t: Floats, s: Floats, b0: Floats, rate: Floats, depth: int) -> Floats:
    """b(t) for depth 1 or >= 3; arrays of one shape; rate = a."""
    if depth == 1:
        decay = np.exp(-rate * t)
        linear: Floats = b0 * decay - s * np.expm1(-rate * t)
        return np.where(t == 0.0, b0, linear)
    result = np.empty_like(t)
    modes, which = np.unique(np.stack([s, b0, rate]), axis=1, return_inverse=True)
    for i, (goal, start, speed) in enumerate(modes.T):
        mine = which == i
        result[mine] = _one_mode(t[mine], float(goal), float(start), float(speed), depth)
    return result


def _one_mode(t: Floats, s: float, b0: float, rate: float, depth: int) -> Floats:
    if b0 == 0.0:
        return np.zeros_like(t)
    # X = (L-2) ln(κ/κ0) and dΘ = (s - b) dt; b^{(2-L)/L} falls by (L-2) a for a unit of Θ
    horizon = 1.0 / max((depth - 2) * rate * b0 ** (1.0 - 2.0 / depth), 1e-300)
    if horizon > 1e290:  # longer than any time in float64
        return np.where(t == np.inf, s, b0)
    clock = build_deep_clock(np.ones(1), np.log([b0]), s, depth=depth, horizon=horizon)
    position = position_at([clock], t)[:, 0]
    growth = b0 * np.exp(position * (depth / (depth - 2)))
    return np.where(t == np.inf, s, np.where(position == 0.0, b0, growth))


def deep_time(b: Floats, b0: Floats, s: Floats, rate: Floats, depth: int) -> Floats:
    """The time from b0 to b, positive and on the same side of s: full relative accuracy, also where b ≈ b0.

    (From far above s terms of size 1 leave a time of (s/b0)^{2-2/L}: a relative error of 1e-15 times its inverse.)
    """
    y0 = (b0 / s) ** (1.0 / depth)
    # ln((1 - y)/(1 - y0)) from the differences s - b, which are exact: 1 - y^L = (1 - y)(1 + y + .. + y^{L-1})
    approach = _log_ratio(s - b, s - b0, b0 - b)
    if depth == 1:
        return -approach / rate
    step = _log_ratio(b, b0, b - b0) / depth  # ln(y/y0)
    powers = [y0**k for k in range(depth)]
    change = sum(p * np.expm1(k * step) for k, p in enumerate(powers))
    approach = approach - np.log1p(change / sum(powers))
    moved = y0 * np.expm1(step)
    total = y0 ** (2.0 - depth) * np.expm1((2.0 - depth) * step) / (2.0 - depth) - approach / depth
    for root in np.exp(2j * np.pi * np.arange(1, (depth + 1) // 2) / depth):  # one of each conjugate pair
        total = total - (2.0 / depth) * (root**2 * log1p(-moved / (root - y0))).real
    if depth % 2 == 0:
        total = total - np.log1p(moved / (1.0 + y0)) / depth
    return np.asarray(total / (rate * s ** (2.0 - 2.0 / depth)))


def _log_ratio(top: Floats, bottom: Floats, difference: Floats) -> Floats:
    """ln(top/bottom) of numbers of one sign, given top - bottom exactly."""
    with np.errstate(over="ignore"):
        change = difference / bottom
    near = np.abs(change) < 0.5
    far = np.log(np.abs(top)) - np.log(np.abs(bottom))
    return np.where(near, np.log1p(np.where(near, change, 0.0)), far)

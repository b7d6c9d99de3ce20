r"""The clocks of balanced two-layer modes, all modes and all times in two compiled passes.

b(Θ) = Σ_f P_f e^{2c_fΘ}. With x = Θ(∞) - Θ and v(x) = s - b the time is

    t(x) = g_0 ln(x_0/x) + ∫_x^{x_0} h,    h = 1/v - g_0/x,    g_0 = 1/v'(0),

and h is analytic: v has no zero with Re x >= 0 nearer to the real line than π/c_max, but for x = 0. So everything is
tabulated on an even grid of x, where e^{-2c_f x} is a product, and read by central polynomials through ``NODES`` points
of spacing at most ``SPACING``/c_max: error 871 (SPACING/π)^10 = 1e-13. b itself is read as b e^{2c̄x}, c̄ the mean of
the smallest and the largest c: positive terms, each within 1e-14 of its own size.
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["MAX_POINTS", "NODES", "SPACING", "evaluate_clocks", "tabulate_clocks"]

NODES = 10
SPACING = 0.08
MAX_POINTS = 4096  # of one mode's grid

_BELOW = NODES // 2 - 1  # nodes below the left end of an interval
_PLACES = np.arange(-_BELOW, NODES - _BELOW, dtype=np.float64)
# values at the nodes -> coefficients of u^0, u^1, .. on the interval 0..1
_TO_POWERS = np.linalg.inv(np.vander(_PLACES, NODES, increasing=True))
_INTEGRAL = np.ascontiguousarray((1.0 / np.arange(1.0, NODES + 1)) @ _TO_POWERS)  # over that interval
_POWERS_OF = np.ascontiguousarray(_TO_POWERS.T)  # rows: nodes

FAST = {"contract", "arcp", "nsz", "reassoc"}  # NaN and inf are kept


@njit(nogil=True, cache=True, fastmath=FAST)
def _end_of_learning(c, log_p, log_s):
    """The root of ln Σ e^{log_p + 2cΘ} = ln s: convex and increasing, so Newton comes down from an upper bound."""
    theta = np.inf
    for f in range(len(c)):
        theta = min(theta, (log_s - log_p[f]) / (2.0 * c[f]))
    for _ in range(60):
        total, slope = 0.0, 0.0
        for f in range(len(c)):
            term = np.exp(log_p[f] + 2.0 * c[f] * theta - log_s)
            total += term
            slope += 2.0 * c[f] * term
        step = np.log(total) * total / slope
        theta -= step
        if abs(step) <= 1e-15 * abs(theta):
            break
    return theta


@njit(nogil=True, cache=True, fastmath=FAST)
def tabulate_clocks(c, log_p, first, s, scalars, sizes, h, scaled, times):
    """Tables of R modes; the chains of mode r are ``first[r]:first[r+1]``. False if one needs another method.

    ``scalars`` (R, 4): x_0, spacing, g_0, c̄; ``sizes`` (R,) intervals; ``h``, ``scaled``, ``times`` (R, longest): the
    grid from ``_BELOW`` spacings below 0, t from 0 on.
    """
    longest = h.shape[1]
    for r in range(len(s)):
        begin, end = first[r], first[r + 1]
        own, logs = c[begin:end], log_p[begin:end]
        count = end - begin
        reach = _end_of_learning(own, logs, np.log(s[r]))
        fastest, slowest = own.max(), own.min()
        if not 0.0 < reach * fastest < SPACING * (longest - NODES - 1):
            return False
        n = int(np.ceil(reach * fastest / SPACING))
        spacing, mean = reach / n, 0.5 * (fastest + slowest)
        weight, left = np.empty(count), np.empty(count)
        ratio, share = np.empty(count), np.empty(count)
        tilt, turn = np.empty(count), np.empty(count)
        v1, v2 = 0.0, 0.0
        start = -_BELOW * spacing
        for f in range(count):
            rate = 2.0 * own[f]
            weight[f] = np.exp(logs[f] + rate * reach)
            v1 += rate * weight[f]
            v2 -= rate * rate * weight[f]
            share[f] = -np.expm1(-rate * spacing)  # m_1 of m = 1 - e^{-2cx}
            left[f] = -np.expm1(-rate * start)
            ratio[f] = np.exp(-(rate - 2.0 * mean) * spacing)
            tilt[f] = weight[f] * np.exp(-(rate - 2.0 * mean) * start)
            turn[f] = 1.0 - share[f]
        g0 = 1.0 / v1
        for j in range(n + NODES):
            gap, level = 0.0, 0.0
            for f in range(count):
                gap += weight[f] * left[f]
                level += tilt[f]
                left[f] = share[f] + turn[f] * left[f]
                tilt[f] *= ratio[f]
            scaled[r, j] = level
            k = j - _BELOW
            h[r, j] = 1.0 / gap - g0 / (k * spacing) if k != 0 else -0.5 * v2 * g0 * g0
        times[r, n] = 0.0
        area = 0.0
        for k in range(n - 1, -1, -1):
            for i in range(NODES):
                area += spacing * _INTEGRAL[i] * h[r, k + i]
            times[r, k] = g0 * np.log(n / k) + area if k > 0 else area
        scalars[r, 0], scalars[r, 1], scalars[r, 2], scalars[r, 3] = reach, spacing, g0, mean
        sizes[r] = n
    return True


@njit(nogil=True, cache=True, fastmath=FAST)
def evaluate_clocks(t, s, scalars, sizes, h, scaled, times, out):
    """b of each mode at the times t (T,), into ``out`` (T, R)."""
    powers, levels = np.empty(NODES), np.empty(NODES)
    for r in range(len(s)):
        reach, spacing, g0, mean = scalars[r, 0], scalars[r, 1], scalars[r, 2], scalars[r, 3]
        n, ready, top = sizes[r], -1, np.log(reach)
        t_right, y_right, slope, base, width, bend, twist = 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0
        for i in range(len(t)):
            if t[i] == np.inf:
                out[i, r] = s[r]
                continue
            low, high = 0, n  # times[low] > t >= times[high], and times[0] stands for inf
            while high - low > 1:
                middle = (low + high) // 2
                if times[r, middle] > t[i]:
                    low = middle
                else:
                    high = middle
            if low != ready:
                ready = low
                powers[:], levels[:] = 0.0, 0.0
                for b in range(NODES):
                    of_h, of_b = h[r, low + b], scaled[r, low + b]
                    for a in range(NODES):
                        powers[a] += _POWERS_OF[b, a] * of_h
                        levels[a] += _POWERS_OF[b, a] * of_b
                right, t_right = (low + 1) * spacing, times[r, low + 1]
                y_right, slope = np.log(right), -1.0 / (g0 + right * h[r, low + 1 + _BELOW])  # dln x/dt
                base, width, bend, twist = times[r, low], 1.0, 0.0, 0.0
                if low > 0:  # the cubic through both ends
                    y_left = np.log(low * spacing)
                    base -= g0 * (top - y_left)
                    width = times[r, low] - t_right
                    rise = (y_left - y_right) / width
                    other = -1.0 / (g0 + low * spacing * h[r, low + _BELOW])
                    bend, twist = 3.0 * rise - 2.0 * slope - other, slope + other - 2.0 * rise
            past = t[i] - t_right
            part = past / width
            y = y_right + past * (slope + part * (bend + part * twist))
            if low == 0 and past * slope < -100.0:  # x < e^{-100} of a spacing: b = s to the last bit, and no overflow
                out[i, r] = s[r]
                continue
            x = np.exp(y)
            for _ in range(20):
                u = min(max(x / spacing - low, 0.0), 1.0)
                value, area = 0.0, 0.0
                for a in range(NODES - 1, -1, -1):
                    value = value * u + powers[a]
                    area = area * u + powers[a] / (a + 1.0)
                miss = g0 * (top - y) + base - spacing * u * area - t[i]
                step = miss / (g0 + x * value)
                y += step
                x = np.exp(y)
                if abs(step) < 1e-8:  # quadratic
                    break
            u, level = x / spacing - low, 0.0
            for a in range(NODES - 1, -1, -1):
                level = level * u + levels[a]
            out[i, r] = level * np.exp(-2.0 * mean * x)

r"""The clocks of balanced two-layer modes, all modes and all times in two compiled passes.

b(Θ) = Σ_f P_f e^{2c_fΘ}. With x = Θ(∞) - Θ and v(x) = s - b the time is

    t(x) = g_0 ln(x_0/x) + ∫_x^{x_0} h,    h = 1/v - g_0/x,    g_0 = 1/v'(0),

and h is analytic: v has no zero with Re x >= 0 nearer to the real line than π/c_max, but for x = 0. So everything is
tabulated on an even grid of x, where e^{-2c_f x} is a product, and read by central polynomials through ``NODES`` points
of spacing at most ``SPACING``/c_max: error 871 (SPACING/π)^10 = 1e-13. b is read as a polynomial times e^{-2c̄x}, c̄ the
mean of the smallest and the largest c: positive terms, each within 1e-14 of its own size.

To find x at a time, ln x begins as the cubic in t through both ends of its interval, at most 2e-5 off (next to x = 0
the cubic is one in e^{-t/g_0}); one step of Halley's makes that the last bit. No loop, so no branch to guess wrongly.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numba import njit

__all__ = ["FIELDS", "MAX_POINTS", "NODES", "SPACING", "ends_of_learning", "evaluate_clocks", "tabulate_clocks"]

NODES = 10
SPACING = 0.08
MAX_POINTS = 4096  # of one mode's grid

_BELOW = NODES // 2 - 1  # nodes below the left end of an interval
_PLACES = np.arange(-_BELOW, NODES - _BELOW, dtype=np.float64)


def _lagrange(i):
    """Coefficients of u^0, u^1, .. of the polynomial that is 1 at node i and 0 at the others."""
    places, product = range(-_BELOW, NODES - _BELOW), [Fraction(1)]
    for place in places:
        if place != places[i]:  # times (u - place) / (places[i] - place)
            shifted, own = [Fraction(0), *product], [*product, Fraction(0)]
            product = [(a - place * b) / (places[i] - place) for a, b in zip(shifted, own, strict=True)]
    return product


# values at the nodes -> coefficients of u^0, u^1, .. on the interval 0..1, and of u^1, u^2, .. of ∫_u^1; in fractions,
# as float64 loses seven digits to a Vandermonde matrix, which ones depends on the machine
_TO_POWERS = np.array([_lagrange(i) for i in range(NODES)], dtype=np.float64).T.copy()
_TO_INTEGRAL = -_TO_POWERS / np.arange(1.0, NODES + 1)[:, None]

# fields of a table, which hold one number for each interval: how ln x begins, the coefficients of ∫_u^1 h and of b
_LOG_X, _PACE, _RISE, _BEND, _TWIST, _INTEGRAL = range(6)
_LEVEL = _INTEGRAL + NODES + 1
FIELDS = _LEVEL + NODES

FAST = {"contract", "arcp", "nsz", "reassoc"}  # NaN and inf are kept


@njit(nogil=True, cache=True, fastmath=FAST)
def ends_of_learning(c, log_p, first, s, ends, points):
    """Θ(∞) of R modes, the roots of ln Σ e^{log_p + 2cΘ} = ln s, and the ``points`` that their grids need.

    The chains of mode r are ``first[r]:first[r+1]``. The left side is convex and increases: Newton comes down from an
    upper bound.
    """
    for r in range(len(s)):
        begin, end, log_s = first[r], first[r + 1], np.log(s[r])
        theta, fastest = np.inf, 0.0
        for f in range(begin, end):
            theta = min(theta, (log_s - log_p[f]) / (2.0 * c[f]))
            fastest = max(fastest, c[f])
        for _ in range(60):
            total, slope = 0.0, 0.0
            for f in range(begin, end):
                term = np.exp(log_p[f] + 2.0 * c[f] * theta - log_s)
                total += term
                slope += 2.0 * c[f] * term
            step = np.log(total) * total / slope
            theta -= step
            if abs(step) <= 1e-9 * abs(theta):  # quadratic
                break
        ends[r], points[r] = theta, theta * fastest / SPACING


@njit(nogil=True, cache=True, fastmath=FAST)
def tabulate_clocks(c, log_p, first, s, ends, offsets, scalars, times, tables):
    """Tables of R modes; the intervals of mode r are ``offsets[r]:offsets[r+1]``, the lowest x first.

    ``scalars`` (R, 2): spacing and g_0; ``times``: t at the right end of each interval; ``tables``, flat: of each mode
    its ``FIELDS``, each for all intervals.
    """
    for r in range(len(ends)):
        n, own = offsets[r + 1] - offsets[r], c[first[r] : first[r + 1]]
        spacing, weight = ends[r] / n, np.empty(len(own))
        total, fastest, slowest = 0.0, 0.0, np.inf
        for f in range(len(own)):
            weight[f] = np.exp(log_p[first[r] + f] + 2.0 * own[f] * ends[r])
            total += weight[f]
            fastest, slowest = max(fastest, own[f]), min(slowest, own[f])
        speed = 0.0
        for f in range(len(own)):
            weight[f] *= s[r] / total  # round-off of the exponents would change every speed, and t of small b
            speed += 2.0 * own[f] * weight[f]
        g0 = 1.0 / speed
        h, b = np.empty(n + NODES), np.empty(n + NODES)
        _fill_grid(own, weight, spacing, g0, h, b)
        table = tables[FIELDS * offsets[r] : FIELDS * offsets[r + 1]].reshape(FIELDS, n)
        _fill_polynomials(h, b, (fastest + slowest) * spacing, table)
        _fill_cubics(ends[r], g0, h, table, times[offsets[r] : offsets[r + 1]])
        scalars[r, 0], scalars[r, 1] = spacing, g0


@njit(nogil=True, cache=True, fastmath=FAST)
def _fill_grid(c, weight, spacing, g0, h, b):
    """h·spacing and b at x = (j - _BELOW)·spacing; ``weight`` are the terms of b at x = 0."""
    left, rest, share, turn = np.empty(len(c)), np.empty(len(c)), np.empty(len(c)), np.empty(len(c))
    curve = 0.0
    for f in range(len(c)):
        fall = np.expm1(-2.0 * c[f] * spacing)
        back = 1.0 / (1.0 + fall)
        share[f], turn[f] = -fall * weight[f], 1.0 + fall
        curve += (2.0 * c[f] * spacing) ** 2 * weight[f]
        left[f], rest[f] = 0.0, weight[f]
        for _ in range(_BELOW):
            left[f] = (left[f] - share[f]) * back
            rest[f] *= back
    for j in range(len(h)):
        gap, level = 0.0, 0.0
        for f in range(len(c)):
            gap += left[f]
            level += rest[f]
            left[f] = share[f] + turn[f] * left[f]  # weight (1 - e^{-2cx}), free of cancellation
            rest[f] *= turn[f]
        k = j - _BELOW
        h[j] = spacing / gap - g0 / k if k != 0 else 0.5 * curve * g0 * g0 / spacing
        b[j] = level


@njit(nogil=True, cache=True, fastmath=FAST)
def _fill_polynomials(h, b, fall, table):
    """Coefficients of ∫_u^1 h and of b, which falls about as e^{-u·fall}, from the values at the nodes."""
    reader, factor = np.zeros((NODES, NODES)), 1.0
    for k in range(NODES):  # polynomials times e^{-u·fall} = Σ factor u^k
        for a in range(k, NODES):
            for i in range(NODES):
                reader[a, i] += factor * _TO_POWERS[a - k, i]
        factor *= -fall / (k + 1.0)
    for i in range(NODES):
        lift = np.exp(fall * _PLACES[i])
        for a in range(NODES):
            reader[a, i] *= lift
    n = table.shape[1]
    for low in range(n):
        table[_INTEGRAL, low] = 0.0
    for a in range(NODES):
        for low in range(n):
            of_h, of_b = 0.0, 0.0
            for i in range(NODES):
                of_h += _TO_INTEGRAL[a, i] * h[low + i]
                of_b += reader[a, i] * b[low + i]
            table[_INTEGRAL, low] -= of_h
            table[_INTEGRAL + 1 + a, low], table[_LEVEL + a, low] = of_h, of_b


@njit(nogil=True, cache=True, fastmath=FAST)
def _fill_cubics(reach, g0, h, table, times):
    """From x_0 = ``reach`` down: ln x at the right end of each interval, t there, the cubic through both ends."""
    n = len(times)
    t, log_x, slope = 0.0, np.log(reach), -1.0 / (g0 + n * h[n + _BELOW])  # slope: dln x/dt
    for low in range(n - 1, -1, -1):
        area = table[_INTEGRAL, low]
        times[low], table[_LOG_X, low] = t, log_x
        if low > 0:
            log_left = np.log(reach * low / n)
            other = -1.0 / (g0 + low * h[low + _BELOW])
            width = g0 * (log_x - log_left) + area
            pace, rise, begin, end = 1.0 / width, log_left - log_x, width * slope, width * other
            t, log_x, slope = t + width, log_left, other
        else:  # of ln x + t/g_0, which tends to a constant
            pace, rise, begin, end = 1.0 / g0, area / g0, 1.0 + g0 * slope, h[_BELOW] * np.exp(area / g0) / g0
        table[_PACE, low], table[_RISE, low] = pace, begin
        table[_BEND, low], table[_TWIST, low] = 3.0 * rise - 2.0 * begin - end, begin + end - 2.0 * rise


@njit(nogil=True, cache=True, fastmath=FAST)
def evaluate_clocks(t, s, offsets, scalars, times, tables, out):
    """b of each mode at the times t (T,), best in order, into ``out`` (T, R)."""
    for r in range(len(s)):
        spacing, g0, begin, n = scalars[r, 0], scalars[r, 1], offsets[r], offsets[r + 1] - offsets[r]
        table = tables[FIELDS * begin : FIELDS * offsets[r + 1]].reshape(FIELDS, n)
        low = n - 1
        for i in range(len(t)):
            while low > 0 and times[begin + low - 1] <= t[i]:
                low -= 1
            while low < n - 1 and times[begin + low] > t[i]:
                low += 1
            own = table[:, low]
            past = t[i] - times[begin + low]
            y, part = own[_LOG_X], past * own[_PACE]
            if low == 0:
                if part > 40.0:  # b = s to the last bit
                    out[i, r] = s[r]
                    continue
                y -= part
                part = 1.0 - np.exp(-part)
            y += part * (own[_RISE] + part * (own[_BEND] + part * own[_TWIST]))
            place = np.exp(y) / spacing
            u = place - low
            area, slope, curve = 0.0, 0.0, 0.0  # of the polynomial: value, derivative, half the second one
            for a in range(NODES, -1, -1):
                curve = curve * u + slope
                slope = slope * u + area
                area = area * u + own[_INTEGRAL + a]
            miss = g0 * (own[_LOG_X] - y) + area - past
            speed = g0 - place * slope  # -dt/dln x
            step = 2.0 * miss * speed / (2.0 * speed * speed - miss * place * (slope + 2.0 * place * curve))
            u += place * step * (1.0 + step * (0.5 + step / 6.0))
            level = 0.0
            for a in range(NODES - 1, -1, -1):
                level = level * u + own[_LEVEL + a]
            out[i, r] = level

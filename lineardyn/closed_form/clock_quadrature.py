r"""The scalar clock of one mode: dΘ/dt = s - b(Θ), solved by one quadrature and no time steps.

Two layers, where the clock's position is Θ itself:

.. math:: b(Θ) = \sum_f P_f e^{2 c_f Θ} - N_f e^{-2 c_f Θ}, \qquad P_f, N_f \ge 0, \quad Θ(0) = 0

b increases, so Θ(∞) is the only root of s = b. With x = Θ(∞) - Θ the speed is s - b = Σ_f P_f(∞)(1 - e^{-2c_f x}) +
N_f(∞)(e^{2c_f x} - 1), free of cancellation through expm1, and t = ∫ x/(s - b) dln|x| has a smooth integrand. It is
tabulated once, on panels of 16 Gauss-Legendre nodes bisected until the Legendre series of the integrand has ended;
t(Θ) and Θ(t) are then evaluations of that series. Past the table ln|x| is linear in t to the last bit. Where all P_f
vanish, b never reaches s: Θ grows for ever, the variable is Θ itself, and the speed past the table is s.

L >= 3 layers: κ_f^{2-L} is linear in Θ and reaches 0, κ_f infinity, at a finite Θ_f that no clock ever strikes. The
position is X = (L-2) ln(κ_1/κ_1(0)) of the frequency that would be first there, so that Θ = Θ_1 (1 - e^{-X}) and

.. math:: b(X) = \sum_f b_f \bigl(1 - ρ_f + ρ_f e^{-X}\bigr)^{-L/(L-2)}, \qquad ρ_f = Θ_1/Θ_f \le 1

has no cancellation however near Θ comes to Θ_1. The rest is as above, with x = X(∞) - X.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.polynomial import legendre
from numpy.typing import NDArray

__all__ = ["ScalarClock", "build_clock", "build_deep_clock", "build_linear_clock", "position_at"]

Floats = NDArray[np.float64]

_ORDER = 16
_NODES, _WEIGHTS = legendre.leggauss(_ORDER)
# values at the nodes -> Legendre coefficients of the interpolating polynomial
_TO_SERIES = ((np.arange(_ORDER) + 0.5)[:, None] * legendre.legvander(_NODES, _ORDER - 1).T) * _WEIGHTS
# its antiderivative from -1 (∫P_k = (P_{k+1} - P_{k-1})/(2k+1), and P_1 + P_0 for k = 0)
_ANTIDERIVATIVE = np.stack([legendre.legint(row, lbnd=-1) for row in np.eye(_ORDER)], axis=1)
_SERIES_TOLERANCE = 1e-14  # round-off of the last coefficients is about 1e-15 of the largest value
_LINEAR = 1e-17  # 2 c x below this: s - b is linear in x in float64
_MAX_ROUNDS = 60  # of bisection: a panel is then no wider than the round-off of z
_MAX_PANELS = 4096  # in one round: far more than any mode needs, and an end in any case


@dataclass(frozen=True)
class ScalarClock:
    """The position X(t) of one mode as panels in z, where z = X if X(∞) is infinite, else z = -ln|X(∞) - X|.

    Panel i covers ``edges[i]..edges[i+1]`` in z and ``times[i]..times[i+1]`` in t; ``series`` (n, 17) is the time
    within it as a Legendre series. Past the last edge dz/dt = ``rate``, the relaxation rate of s - b. ``seconds`` is
    dt/dz, ``gap`` is |s - b|.
    """

    end: float
    edges: Floats
    times: Floats
    series: Floats
    rate: float
    seconds: Callable[[Floats], Floats]
    gap: Callable[[Floats], Floats]

    def position_of(self, z: Floats) -> Floats:
        """X = z, or X(∞) ∓ e^{-z}."""
        if np.isinf(self.end):
            return z
        return self.end - np.copysign(np.exp(-z), self.end)

    def time_of(self, z: float) -> float:
        """The time at which z is reached."""
        if z >= self.edges[-1]:
            return float(self.times[-1] + (z - self.edges[-1]) / self.rate)
        i = max(int(np.searchsorted(self.edges, z, side="right")) - 1, 0)
        half = 0.5 * (self.edges[i + 1] - self.edges[i])
        place = (z - self.edges[i]) / half - 1.0
        return float(self.times[i] + legendre.legval(max(place, -1.0), self.series[i]))

    def time_to_gap(self, gap: float) -> float:
        """The time at which s - b = ``gap`` > 0, at most its value at t = 0, where X(∞) is finite and positive."""

        def excess(z: float) -> float:
            return float(np.log(self.gap(np.array([z]))[0]) - np.log(gap))

        start = -np.log(self.end)
        if excess(start) <= 0.0:
            return 0.0
        width = 1.0
        while excess(start + width) > 0.0:  # falls at least linearly in z: ends within a dozen doublings
            width *= 2.0
        return self.time_of(float(scipy.optimize.brentq(excess, start, start + width, xtol=1e-15, rtol=1e-15)))


def position_at(clocks: Sequence[ScalarClock], t: Floats) -> Floats:
    """X of every clock at the times t (T,), as (T, R); X(0) = 0 exactly. One vectorised Newton for all of them."""
    z = np.empty((len(clocks), len(t)))
    panels = []
    for r, clock in enumerate(clocks):
        with np.errstate(over="ignore"):
            inside = t < clock.times[-1]
            z[r] = clock.edges[-1] + clock.rate * np.where(inside, 0.0, t - clock.times[-1])
        where = np.flatnonzero(inside)
        i = np.searchsorted(clock.times, t[where], side="right") - 1
        half = 0.5 * (clock.edges[i + 1] - clock.edges[i])
        panels.append((r * len(t) + where, t[where] - clock.times[i], clock.edges[i], half, clock.series[i]))
    if panels:
        where, wanted, left, half, series = (np.concatenate(parts) for parts in zip(*panels, strict=True))
        z.flat[where] = left + half * (1.0 + _invert(wanted, series))
    position = np.stack([clock.position_of(row) for clock, row in zip(clocks, z, strict=True)], axis=-1)
    position[t == 0.0] = 0.0
    return position


def _invert(wanted: Floats, rows: Floats) -> Floats:
    """Places in -1..1 where the increasing series ``rows`` (n, 17) take the values ``wanted`` (n,): safe Newton."""
    if not len(wanted):
        return wanted
    series = np.ascontiguousarray(rows.T)
    slope = legendre.legder(series)
    place = 2.0 * wanted / series.sum(axis=0) - 1.0  # every P_k(1) = 1
    low, high = np.full_like(place, -1.0), np.full_like(place, 1.0)
    for _ in range(100):
        miss = legendre.legval(place, series, tensor=False) - wanted
        low, high = np.where(miss <= 0, place, low), np.where(miss >= 0, place, high)
        step = place - miss / legendre.legval(place, slope, tensor=False)
        step = np.where((step < low) | (step > high), 0.5 * (low + high), step)
        moved = float(np.abs(step - place).max())
        place = step
        if moved < 1e-9:  # quadratic: the next would move less than 1e-16
            break
    return np.asarray(place)


def build_clock(c: Floats, log_p: Floats, log_n: Floats, s: float) -> ScalarClock:
    """The clock for rates c > 0 and the logarithms (-inf: none) of P_f and N_f, all (F,); s > 0."""
    if not np.isfinite(log_p).any():
        return _endless_clock(c, log_n, s)
    end = _root(c, log_p, log_n, s)
    log_grow, log_fade = log_p + 2.0 * c * end, log_n - 2.0 * c * end
    rate = float((2.0 * c * (np.exp(log_grow) + np.exp(log_fade))).sum())
    if end == 0.0:  # b(0) = s: nothing moves
        return _still_clock(rate)
    # |s - b| at distance |x|: one family of terms relaxes with |x|, the other grows
    near, far = (log_grow, log_fade) if end > 0 else (log_fade, log_grow)
    near_c, far_c = 2.0 * c[np.isfinite(near)], 2.0 * c[np.isfinite(far)]
    near, far = near[np.isfinite(near)], far[np.isfinite(far)]
    weights = np.exp(near)

    def gap(z: Floats) -> Floats:
        x = np.exp(-z)
        distance: Floats = -np.expm1(-x[..., None] * near_c) @ weights
        if len(far):
            distance = distance + _expm1_times(x[..., None] * far_c, far).sum(axis=-1)
        return distance

    def seconds(z: Floats) -> Floats:  # dt/dz = |x| / |s - b|
        pace: Floats = np.exp(-z) / gap(z)
        return pace

    start = -np.log(abs(end))
    last = max(start, float(-np.log(_LINEAR / (2.0 * c.max()))))
    noise = float(np.abs(far).max(initial=0.0) + abs(end) * far_c.max(initial=0.0))
    return _tabulate(seconds, gap, end, start, last, rate, noise)


def build_deep_clock(share: Floats, log_b: Floats, s: float, *, depth: int, horizon: float) -> ScalarClock:
    """The clock of L >= 3 layers: ρ_f in (0, 1] with largest 1, ln b_f(0), all (F,), s > 0, and Θ_1 = ``horizon``."""
    power = depth / (depth - 2)
    with np.errstate(divide="ignore"):
        log_share, log_rest = np.log(share), np.log1p(-share)

    def log_fall(position: float) -> Floats:  # ln(1 - ρ + ρ e^{-X})
        return np.logaddexp(log_rest, log_share - position)

    def excess(position: float) -> float:
        return _log_sum(log_b - power * log_fall(position)) - float(np.log(s))

    end = _deep_root(excess, power)
    if end == 0.0:
        return _still_clock(power * float((np.exp(log_b) * share).sum()) / horizon)
    fall = log_fall(end)
    weight, slope = np.exp(log_b - power * fall), np.exp(log_share - end - fall)

    def gap(z: Floats) -> Floats:
        x = np.copysign(np.exp(-z), end)
        inside = np.log1p(slope * np.expm1(x)[..., None])
        distance: Floats = np.abs(-np.expm1(-power * inside) @ weight)
        return distance

    def seconds(z: Floats) -> Floats:  # dΘ = Θ_1 e^{-X} dX
        x = np.exp(-z)
        pace: Floats = x * (horizon * np.exp(np.copysign(x, end) - end)) / gap(z)
        return pace

    start = -np.log(abs(end))
    last = max(start, float(-np.log(_LINEAR / (1.0 + power))))
    rate = power * float(weight @ slope) / (horizon * float(np.exp(-end)))
    return _tabulate(seconds, gap, end, start, last, rate, (1.0 + power) * abs(end))


def _deep_root(excess: Callable[[float], float], power: float) -> float:
    """The root of ln b(X) - ln s, which increases with a slope between 0 and ``power``."""
    at_start = excess(0.0)
    if at_start == 0.0:
        return 0.0
    far = -1.01 * at_start / power
    for _ in range(1100):  # the slope is at least power·min ρ, and ρ at least the smallest float64
        if excess(far) * at_start <= 0.0:
            break
        far *= 2.0
    return float(scipy.optimize.brentq(excess, min(0.0, far), max(0.0, far), xtol=1e-300, rtol=1e-15, maxiter=500))


def build_linear_clock(end: float, rate: float) -> ScalarClock:
    """One layer: Θ = Θ(∞)(1 - e^{-rate t}), so that z is linear in t from the start."""
    if end == 0.0:
        return _still_clock(rate)
    edges, empty = np.array([-np.log(abs(end))]), np.zeros((0, _ORDER + 1))

    def seconds(z: Floats) -> Floats:
        return np.full_like(z, 1.0 / rate)

    def gap(z: Floats) -> Floats:  # b = b(0) + rate·Θ
        return rate * np.exp(-z)

    return ScalarClock(end, edges, np.zeros(1), empty, rate, seconds, gap)


def _still_clock(rate: float) -> ScalarClock:
    """b(0) = s: nothing moves."""
    empty = np.zeros((0, _ORDER + 1))
    return ScalarClock(0.0, np.array([np.inf]), np.zeros(1), empty, rate, np.zeros_like, np.zeros_like)


def _expm1_times(y: Floats, log_weight: Floats) -> Floats:
    """(e^y - 1)·weight for y >= 0 without overflow: weight e^y is bounded where weight alone underflows."""
    small = np.exp(log_weight) * np.expm1(np.minimum(y, 1.0))
    return np.where(y > 1.0, np.exp(y + log_weight) - np.exp(log_weight), small)


def _endless_clock(c: Floats, log_n: Floats, s: float) -> ScalarClock:
    """All P_f = 0: s - b = s + Σ N_f e^{-2c_fΘ} > 0 for ever."""
    present = np.isfinite(log_n)
    c, log_n = c[present], log_n[present]
    last = max(0.0, float(((log_n - np.log(_LINEAR * s)) / (2.0 * c)).max(initial=0.0)))

    def gap(theta: Floats) -> Floats:
        distance: Floats = s + np.exp(log_n - 2.0 * c * theta[..., None]).sum(axis=-1)
        return distance

    def seconds(theta: Floats) -> Floats:
        pace: Floats = 1.0 / gap(theta)
        return pace

    return _tabulate(seconds, gap, np.inf, 0.0, last, s, float(np.abs(log_n).max(initial=0.0)))


def _tabulate(
    seconds: Callable[[Floats], Floats],
    gap: Callable[[Floats], Floats],
    end: float,
    start: float,
    last: float,
    rate: float,
    exponent: float,
) -> ScalarClock:
    """Panels of dt/dz between ``start`` and ``last``, bisected until each is resolved.

    ``exponent``: the largest number whose exponential enters ``seconds``; it carries as many units of round-off, below
    which no series ends, and bisecting would never either.
    """
    tolerance = max(_SERIES_TOLERANCE, 4.0 * float(np.finfo(np.float64).eps) * exponent)
    count = int(np.clip(np.ceil((last - start) / 2.0), 1, 64)) if last > start else 0
    ends = np.linspace(start, last, count + 1)
    left, right = ends[:-1], ends[1:]
    lefts, panels = [np.zeros(0)], [np.zeros((0, _ORDER + 1))]
    for rounds_left in range(_MAX_ROUNDS - 1, -1, -1):
        if not len(left):
            break
        middle, half = 0.5 * (left + right), 0.5 * (right - left)
        values = seconds(middle[:, None] + half[:, None] * _NODES)
        series = values @ _TO_SERIES.T
        tail = np.abs(series[:, -3:]).max(axis=1)
        good = (tail <= tolerance * values.max(axis=1)) | (len(left) > _MAX_PANELS) | (rounds_left == 0)
        lefts.append(left[good])
        panels.append((series @ _ANTIDERIVATIVE.T * half[:, None])[good])
        bad = ~good
        left, right = np.concatenate([left[bad], middle[bad]]), np.concatenate([middle[bad], right[bad]])
    order = np.argsort(np.concatenate(lefts))
    edges = np.append(np.concatenate(lefts)[order], last)
    table = np.concatenate(panels)[order]
    times = np.append(0.0, np.cumsum(table.sum(axis=1)))  # every P_k(1) = 1
    return ScalarClock(end, edges, times, table, rate, seconds, gap)


def _root(c: Floats, log_p: Floats, log_n: Floats, s: float) -> float:
    """The root of s = b(Θ), by Brent on ln(ΣP e^{2cΘ}) - ln(s + ΣN e^{-2cΘ}), then Newton to the last bit.

    Its slope lies between 2 min c (over P_f > 0) and 4 max c: that brackets the root without a search.
    """
    rising, falling = np.isfinite(log_p), np.isfinite(log_n)
    c_rise, log_p = 2.0 * c[rising], log_p[rising]
    c_fall, log_n = np.append(2.0 * c[falling], 0.0), np.append(log_n[falling], np.log(s))

    def balance(theta: float) -> float:
        return _log_sum(log_p + c_rise * theta) - _log_sum(log_n - c_fall * theta)

    at_start = balance(0.0)
    theta = 0.0
    if abs(at_start) > 1e-9:  # else Newton alone is there in two steps
        far = -1.01 * at_start / float(c_rise.min())
        theta = float(
            scipy.optimize.brentq(balance, min(0.0, far), max(0.0, far), xtol=1e-300, rtol=1e-14, maxiter=500)
        )
    for _ in range(3):
        grow, fade = np.exp(log_p + c_rise * theta), np.exp(log_n - c_fall * theta)
        theta += float((fade.sum() - grow.sum()) / (c_rise @ grow + c_fall @ fade))
    return theta


def _log_sum(exponents: Floats) -> float:
    """The logarithm of Σ exp(exponents), which never overflows."""
    top = float(exponents.max())
    return top + float(np.log(np.exp(exponents - top).sum()))

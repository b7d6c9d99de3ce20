r"""Pure cosines: the sigmoid of each effective singular value, and the time it takes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.closed_form.arguments import (
    check_broadcast,
    check_integers,
    check_nonnegative,
    check_positive,
    check_time,
)
from lineardyn.closed_form.deep import check_depth, deep_response, deep_time, mode_rate
from lineardyn.errors import ArgumentError

__all__ = ["learning_time", "sigmoid"]

Floats = NDArray[np.float64]


def sigmoid(
    t: ArrayLike,
    *,
    s: ArrayLike,
    b0: ArrayLike,
    n_pixels: ArrayLike,
    multiplicity: ArrayLike,
    depth: int = 2,
    d: ArrayLike | None = None,
) -> Any:
    r"""Effective singular value of a pure cosine under gradient flow from a balanced, aligned start.

    .. math:: \dot b = (2\sqrt P/\sqrt m)\, b\,(s - b), \qquad
              b(t) = \frac{s}{1 + (s/b_0 - 1)\exp(-2\sqrt P\, s\, t/\sqrt m)}

    with two layers. With L of them

    .. math:: \dot b = L\,(P/m)^{1-1/L}\,d^{\,2/L-1}\; b^{\,2-2/L}\,(s - b),

    an exponential for L = 1, and for L >= 3 the inverse of the elementary time of :func:`learning_time`.

    Parameters
    ----------
    t : array_like
        Times >= 0, in units of learning rate × full-batch steps; ``inf`` gives ``s`` (0 from ``b0 = 0``).
    s : array_like
        Singular value of Σ^yx, > 0: ``a√P/(√m K)`` for amplitude a and K equally frequent one-hot classes.
    b0 : array_like
        ``b(0) >= 0``; it may lie above ``s``. From 0 nothing moves.
    n_pixels : array_like of int
        P = H·W.
    multiplicity : array_like of int
        m: 1 for a self-conjugate frequency, else 2 (:func:`lineardyn.fourier.multiplicity`).
        The fully connected network is ``n_pixels=1, multiplicity=1``, at any depth.
    depth : int
        L, the number of layers.
    d : array_like, optional
        Second moment of the data along the mode (``Modes.d``), > 0; with two layers, which ignore it, it may be left
        out.

    Returns
    -------
    float or ndarray
        ``b(t)``, of the broadcast shape of all arguments; relative error a few 1e-16, whatever the rate. With
        three layers and more, as accurate as t is: about 1e-14 of the time at which b is reached.

    Raises
    ------
    ArgumentError
        For a negative or NaN time, ``s <= 0``, ``b0 < 0``, a multiplicity other than 1 and 2, a depth other than 2
        without d.

    Notes
    -----
    Weight decay λ with two layers: the same sigmoid with ``s - λ√(m/P)`` in place of s, while that is positive. With
    other depths the equation with decay, ``- Lλb``, still separates, but its integral is not elementary.

    References
    ----------
    Pinson, Lenaerts, Ginis (ICML 2023), eq 22; eq 19-20 (Saxe et al.) for the fully connected network. They name only
    the frequency (0, 0) as exception to the delay √2; every self-conjugate frequency is one. Depths other than two are
    derived in this project; for the fully connected network see Saxe, McClelland, Ganguli (2013), section 3.

    Examples
    --------
    >>> sigmoid(0.0, s=1.0, b0=0.01, n_pixels=16, multiplicity=2)
    0.01
    >>> float(round(sigmoid(1.0, s=1.0, b0=0.01, n_pixels=16, multiplicity=1), 6))
    0.967857

    Deeper networks wait longer and learn faster:

    >>> sigmoid([0.0, 4.0, 6.0], s=1.0, b0=0.01, n_pixels=1, multiplicity=1, depth=4, d=1.0).round(3)
    array([0.01 , 0.181, 0.992])
    """
    times = check_time("t", t)
    s_, b0_, pixels, m = _check_mode(s, b0, n_pixels, multiplicity)
    layers, power = check_depth(depth, d)
    check_broadcast(t=times, s=s_, b0=b0_, n_pixels=pixels, multiplicity=m, d=power)
    if layers != 2:
        arrays = np.broadcast_arrays(times, s_, b0_, mode_rate(pixels / m, power, layers))
        when, goal, start, rate = (a.ravel() for a in arrays)
        deep = deep_response(when, goal, start, rate, layers).reshape(arrays[0].shape)
        return float(deep) if deep.ndim == 0 else deep
    high, low = _exponent(times, s_, pixels / m)
    decay = np.exp(-high)
    rest = -np.expm1(-high) + decay * low  # 1 - E
    decay = decay * (1.0 - low)  # E = exp(-2√P s t/√m)
    # b = s b0 / (s E + b0 (1 - E)): two terms of one sign, so nothing cancels on either side of s; and the larger term
    # is divided first, so that E = 1 returns b0, E = 0 returns s, and nothing overflows.
    start, end = s_ * decay, b0_ * rest
    total = np.where(start + end == 0.0, 1.0, start + end)
    late = end > start
    result = np.where(late, s_, b0_) * (np.where(late, b0_, s_) / total)
    return float(result) if result.ndim == 0 else result


def learning_time(
    b: ArrayLike,
    *,
    s: ArrayLike,
    b0: ArrayLike,
    n_pixels: ArrayLike,
    multiplicity: ArrayLike,
    depth: int = 2,
    d: ArrayLike | None = None,
) -> Any:
    r"""Time in which :func:`sigmoid` goes from ``b0`` to ``b``.

    .. math:: t = \frac{\sqrt m}{2\sqrt P s}\ln\frac{b\,(s - b_0)}{b_0\,(s - b)}

    With L >= 3 layers, for ``y = (b/s)^{1/L}`` and ω_j the L-th roots of unity, it is elementary as well (new here):

    .. math:: t = \frac{T(y) - T(y_0)}{(P/m)^{1-1/L} d^{\,2/L-1} s^{\,2-2/L}}, \qquad
              T(y) = \frac{y^{2-L}}{2-L} - \frac1L \sum_j ω_j^2 \ln(1 - y/ω_j)

    ``b`` must lie between ``b0`` (where the time is 0) and ``s`` (where it is ``inf``), on whichever side of ``s`` the
    start is; from ``b0 = 0`` no ``b > 0`` is ever reached: ``inf``. The other arguments, the errors and the source are
    those of :func:`sigmoid`.

    Examples
    --------
    A frequency that is not self-conjugate takes √2 times longer than one that is, at equal singular value:

    >>> slow = learning_time(0.5, s=1.0, b0=0.01, n_pixels=16, multiplicity=2)
    >>> fast = learning_time(0.5, s=1.0, b0=0.01, n_pixels=16, multiplicity=1)
    >>> float(round(slow / fast, 12)) == float(round(2**0.5, 12))
    True
    """
    goal = check_nonnegative("b", b)
    s_, b0_, pixels, m = _check_mode(s, b0, n_pixels, multiplicity)
    layers, power = check_depth(depth, d)
    shape = check_broadcast(b=goal, s=s_, b0=b0_, n_pixels=pixels, multiplicity=m, d=power)
    goal, s_, b0_ = (np.broadcast_to(a, shape) for a in (goal, s_, b0_))
    outside = (goal - b0_) * (s_ - b0_) < 0
    outside |= (goal - s_) * (b0_ - s_) < 0
    outside |= (b0_ == s_) & (goal != s_)
    if outside.any():
        i = tuple(np.argwhere(outside)[0])
        raise ArgumentError(
            f"b holds {goal[i]:g}, expected a value between b0 = {b0_[i]:g} and s = {s_[i]:g}: "
            f"b moves from b0 towards s and reaches no other value"
        )
    never = ((goal == s_) | ((b0_ == 0) & (layers > 1))) & (goal != b0_)
    still = goal == b0_
    safe = np.where(never | still, 0.5 * s_, goal)
    start = np.where(never | still, 0.5 * s_, b0_)
    if layers == 2:
        time = _log_growth(safe, start, s_) / (2.0 * np.sqrt(pixels / m)) / s_
    else:
        time = deep_time(safe, start, s_, mode_rate(pixels / m, power, layers), layers)
    result = np.where(never, np.inf, time)
    return float(result) if result.ndim == 0 else result


def _log_growth(b: Floats, b0: Floats, s: Floats) -> Floats:
    """ln[b (s - b0) / (b0 (s - b))], accurate both where b is near b0 (log1p) and where the ratio overflows (logs)."""
    with np.errstate(over="ignore"):
        excess = ((b - b0) / b0) * (s / (s - b))
    large = excess > 1e6
    small = np.log1p(np.where(large, 0.0, excess))
    return np.where(large, np.log(b) - np.log(b0) + np.log(np.abs(s - b0)) - np.log(np.abs(s - b)), small)


def _check_mode(
    s: ArrayLike, b0: ArrayLike, n_pixels: ArrayLike, multiplicity: ArrayLike
) -> tuple[Floats, Floats, NDArray[np.int64], NDArray[np.int64]]:
    return (
        check_positive("s", s, why="a mode with s = 0 is not learned; leave null modes out"),
        check_nonnegative("b0", b0, why="a balanced, aligned start has b(0) >= 0"),
        check_integers("n_pixels", n_pixels, minimum=1),
        check_integers("multiplicity", multiplicity, minimum=1, maximum=2),
    )


def _exponent(t: Floats, s: Floats, ratio: Floats) -> tuple[Floats, Floats]:
    """2·√ratio·s·t as an unevaluated sum high + low.

    Before a mode is learned b ≈ b0 exp(rate t) with rate·t ~ 10..700: rounded to one float64 the exponent alone would
    cost that many units in the last place.
    """
    infinite = np.isinf(t)
    mantissa_t, power_t = np.frexp(np.where(infinite, 0.0, t))
    mantissa_s, power_s = np.frexp(s)
    root = np.sqrt(ratio)
    square, error = _two_product(root, root)
    root_low = ((ratio - square) - error) / (2.0 * root)
    high, low = _two_product(mantissa_t, mantissa_s)
    top, error = _two_product(high, root)
    rest = error + high * root_low + low * root
    high = top + rest
    low = (top - high) + rest
    power = power_t + power_s + 1
    with np.errstate(over="ignore"):
        high, low = np.ldexp(high, power), np.ldexp(low, power)
    return np.where(infinite, np.inf, high), np.where(infinite | (high > 1e3), 0.0, low)


def _two_product(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """a·b = product + error without rounding [Dekker 1971; Veltkamp's splitting]."""
    product = a * b
    (a_high, a_low), (b_high, b_low) = _split(a), _split(b)
    error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return product, error


def _split(a: Floats) -> tuple[Floats, Floats]:
    carry = 134217729.0 * a  # 2^27 + 1
    high = carry - (carry - a)
    return high, a - high

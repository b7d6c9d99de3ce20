r"""One frequency from any start: aligned or not, balanced or not, of any size, in elementary functions."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import exprel

from lineardyn.closed_form.arguments import check_integers, check_time
from lineardyn.errors import ArgumentError
from lineardyn.validation import check_array, check_count, check_number

__all__ = ["cosine_from_any_start"]

Floats = NDArray[np.float64]


def cosine_from_any_start(
    t: ArrayLike, *, s: float, d: float, kappa0: float, a0: ArrayLike, mode: int, n_pixels: int, multiplicity: int
) -> tuple[Floats, Floats]:
    r"""Two layers, one hidden channel, a pure cosine: κ and the whole column a from any start, not only an aligned one.

    With ``a_γ = conj(A_γf q_f/|q_f|)``, ``c = √(P/m)`` and ``w = m c d`` the column turns while it grows,

    .. math:: \dot κ = c \sum_γ E_γ a_γ, \qquad \dot a_γ = c\,κ E_γ, \qquad E_γ = s\,δ_{γα} - w\,κ a_γ .

    ``λ = κ² - |a|²`` is conserved, so that ``x = (κ, a)`` obeys ``dx/dt = c(G - wκ²)x`` with the constant symmetric
    matrix ``G = s(e_κ e_α^T + e_α e_κ^T) + wλ e_κ e_κ^T``: a linear flow, divided by one norm,

    .. math:: x(t) = \frac{y(t)}{\sqrt{1 + 2wc\int_0^t y_κ^2}}, \qquad y(t) = e^{cGt}\,x(0).

    Parameters
    ----------
    t : array_like
        Times >= 0, one or a list; ``inf`` allowed.
    s, d : float
        Singular value and second moment of the mode (``Modes.s``, ``Modes.d``), > 0.
    kappa0, a0 : float, array_like (K,)
        The start, *real*: any at a self-conjugate frequency; at another one after a common phase has been divided out,
        if there is one.
    mode : int
        α, the entry of a that is learned.
    n_pixels, multiplicity : int
        P and m. A fully connected network with one hidden unit is ``n_pixels=1, multiplicity=1``, ``κ = W_1 v``,
        ``a = U^T W_2``.

    Returns
    -------
    kappa : ndarray (T,)
    a : ndarray (T, K)
        Without the axis T for a scalar time. ``B_γα = w κ a_γ``.

    Raises
    ------
    ArgumentError
        For what does not fit; among it complex numbers.

    Notes
    -----
    New here; for fully connected networks compare the Riccati equation of Fukumizu (1998). No closed form is known
    where a frequency's start has no common phase, or where a mode has several: κ_f and a_f then turn at different
    rates. There the modes still decouple, as long as they share no frequency, and :func:`lineardyn.gradient_flow`
    integrates them.

    The mode is learned, ``κ a_α → s/w`` and all other a_γ → 0, unless ``κ(0) = μ a_α(0)/s`` exactly, μ the negative
    eigenvalue of G.

    Examples
    --------
    >>> import numpy as np
    >>> kappa, a = cosine_from_any_start([0.0, 3.0, np.inf], s=1.0, d=1.0, kappa0=0.1, a0=[-0.05, 0.3], mode=0,
    ...                                  n_pixels=4, multiplicity=1)
    >>> (2.0 * kappa[:, None] * a).round(4)  # the column B_γα: the second output is visited, and left
    array([[-0.01  ,  0.06  ],
           [ 0.9827,  0.0516],
           [ 1.    ,  0.    ]])
    """
    times = check_time("t", t)
    if times.ndim > 1:
        raise ArgumentError(f"t has shape {times.shape}, expected one time or a list of times: use t.ravel()")
    goal, power = (check_number(n, v, minimum=0.0, strict=True) for n, v in (("s", s), ("d", d)))
    column = check_array("a0", a0, shape=(None,), why="one entry for each output")
    alpha = int(check_integers("mode", check_count("mode", mode, minimum=0), minimum=0, maximum=len(column) - 1))
    m = int(check_integers("multiplicity", check_count("multiplicity", multiplicity), minimum=1, maximum=2))
    c = float(np.sqrt(check_count("n_pixels", n_pixels) / m))
    kappa, a = _flow(times.ravel(), c, goal, m * c * power, check_number("kappa0", kappa0), column, alpha)
    return kappa.reshape(times.shape), a.reshape(*times.shape, len(column))


def _flow(t: Floats, c: float, s: float, w: float, kappa0: float, a0: Floats, alpha: int) -> tuple[Floats, Floats]:
    high, low = _eigenvalues(w * (kappa0**2 - float(a0 @ a0)), s)
    # (κ, a_α) in the eigenvectors (μ, s) of G
    grow = (kappa0 - low * a0[alpha] / s) / (high - low)
    fade = (high * a0[alpha] / s - kappa0) / (high - low)
    p, q = grow * high, fade * low
    # everything is divided by e^{c·high·t}, which is what y grows by, unless it does not grow
    top = high if p != 0.0 else 0.0
    rise, fall, rest = (_decay(c * (top - mu), t) for mu in (high if p != 0.0 else 0.0, low, 0.0))
    area = _square(p, c * high, rise, rest, t) + 2.0 * p * q * _between(c * high, c * low, rise, fall, rest, t)
    area = area + _square(q, c * low, fall, rest, t)
    norm = np.sqrt(rest**2 + 2.0 * w * c * area)
    kappa = (p * rise + q * fall) / norm
    a = a0 * (rest / norm)[:, None]
    a[:, alpha] = s * (grow * rise + fade * fall) / norm
    start = t == 0.0
    return np.where(start, kappa0, kappa), np.where(start[:, None], a0, a)


def _eigenvalues(g: float, s: float) -> tuple[float, float]:
    """μ² = gμ + s², the one of larger size first computed, the other from their product -s²."""
    root = float(np.hypot(g, 2.0 * s))
    if g >= 0.0:
        high = 0.5 * (g + root)
        return high, -s * (s / high)
    low = 0.5 * (g - root)
    return -s * (s / low), low


def _decay(rate: float, t: Floats) -> Floats:
    """e^{-rate t}, 1 for rate = 0 at every t."""
    return np.exp(-rate * t) if rate != 0.0 else np.ones_like(t)


def _square(size: float, rate: float, own: Floats, rest: Floats, t: Floats) -> Floats:
    """size² ∫ e^{2 rate τ} dτ, divided by the square of the growth: own and rest are e^{rate t} and 1 so divided."""
    if size == 0.0:
        return np.zeros_like(t)
    area: Floats = size**2 * (own - rest) * (own + rest) / (2.0 * rate)
    return area


def _between(high: float, low: float, rise: Floats, fall: Floats, rest: Floats, t: Floats) -> Floats:
    """∫ e^{(high + low)τ} dτ, divided likewise; high + low may be 0."""
    total = high + low
    largest = rise * fall if total > 0.0 else rest**2
    finite = np.where(np.isinf(t), 0.0, t)
    area: Floats = largest * finite * exprel(-abs(total) * finite)
    return area

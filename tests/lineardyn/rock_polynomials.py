"""The stability polynomials of ROCK4, found anew: what the table of ``lineardyn.flow.rock4`` holds.

For s stages: the length ℓ of the interval and the two complex pairs ``a ± ib`` for which ``R(z) = w(z) P(z)`` agrees
with e^z to order 4 and ripples between ±``RIPPLE`` on [-ℓ, 0], beyond its first descent.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, root

from lineardyn.flow.rock4 import orthogonal_recurrence, quartic

Floats = NDArray[np.float64]
RIPPLE = 0.8
EXPONENTIAL = 1.0 / np.array([1.0, 1.0, 2.0, 6.0, 24.0])


def taylor_zeros() -> Floats:
    """Zeros of 1 + z + z²/2 + z³/6 + z⁴/24, to which those of w tend as s → 4."""
    zeros = np.roots(EXPONENTIAL[::-1])
    upper = zeros[zeros.imag > 0]
    upper = upper[np.argsort(-upper.imag)]
    return np.array([upper[0].real, upper[0].imag, upper[1].real, upper[1].imag])


def expansion(recurrence: Floats, zeros: Floats) -> Floats:
    """Coefficients of 1, z, .., z⁴ in R."""
    two, one = np.zeros(5), np.eye(5)[0]
    for mu, nu, kappa in recurrence:
        two, one = one, mu * np.append(0.0, one[:4]) + nu * one + kappa * two
    for a, b in zeros.reshape(2, 2):
        one = np.convolve(one, [1.0, -2.0 * a / (a * a + b * b), 1.0 / (a * a + b * b)])[:5]
    return one


def stability(z: Floats, recurrence: Floats, zeros: Floats) -> Floats:
    """R(z)."""
    two, one = np.zeros_like(z), np.ones_like(z)
    for mu, nu, kappa in recurrence:
        two, one = one, (mu * z + nu) * one + kappa * two
    return one * quartic(zeros, z)


def zeros_of_order_four(degree: int, length: float, guess: Floats) -> Floats:
    """The zeros of w for which R is of order 4 on an interval of that length."""

    def defect(zeros: Floats) -> Floats:
        return expansion(orthogonal_recurrence(zeros, length, degree), zeros)[1:] / EXPONENTIAL[1:] - 1.0

    found = root(defect, guess, tol=1e-14)
    assert np.abs(found.fun).max() < 1e-10
    return np.asarray(found.x)


def ripple(degree: int, length: float, zeros: Floats) -> float:
    """Largest |R| on the interval, beyond its first descent from R(0) = 1."""
    z = 0.5 * length * (np.cos(np.linspace(0.0, np.pi, 60 * (degree + 4))) - 1.0)
    size = np.abs(stability(z, orthogonal_recurrence(zeros, length, degree), zeros))
    first = int(np.argmax((size[1:-1] < size[:-2]) & (size[1:-1] <= size[2:])))
    return float(size[first + 1 :].max())


def polynomial(n_stages: int, guess: Floats) -> tuple[float, Floats]:
    """ℓ and the zeros for s stages, from the zeros of a neighbour."""
    degree, zeros = n_stages - 4, guess

    def excess(share: float) -> float:
        nonlocal zeros
        zeros = zeros_of_order_four(degree, share * n_stages**2, zeros)
        return ripple(degree, share * n_stages**2, zeros) - RIPPLE

    high = 0.36
    while excess(high) < 0.0:
        high *= 1.03
    low = high
    while excess(low) > 0.0:
        low *= 0.97
    share = float(brentq(excess, low, high, xtol=1e-9))
    return share * n_stages**2, zeros_of_order_four(degree, share * n_stages**2, zeros)


def table(stages: list[int]) -> list[tuple[int, float, Floats]]:
    rows, zeros = [], taylor_zeros()
    for s in stages:
        length, zeros = polynomial(s, zeros)
        rows.append((s, length, zeros))
    return rows

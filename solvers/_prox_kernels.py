"""The jitted proxes: one number, flat arrays, batches of matrices.

``½(x - z)² + u x^p`` over x >= 0, p = 2/L. With L >= 3 the minimiser is 0 up to a *jump* and from there the larger
root of ``x = z - u p x^{p-1}`` (theory 3). Measured in the *landing* ``a = (2(1-p)u)^{1/(2-p)}``, the value just above
the jump, all of them are one function of one variable:

    ``x = a w``,   ``w = ζ - w^{p-1}/(L-2)``,   ``ζ = z/a > (L-1)/(L-2)``,   ``w > 1``

At the jump the slope of ``w - ζ + w^{p-1}/(L-2)`` is 1 - 1/L, so that w is as well determined as ζ, and a fixed number
of Halley's steps from a start within a few per cent of it ends at round-off; what is returned is ``z`` minus the
smaller part, ``a w^{p-1}/(L-2)``. NaN stays NaN.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

LN2 = 0.6931471805599453
FAR = 1e100  # ζ from which on x = z whatever the correction; squares and cubes of it are finite
SWEEPS = 40  # of Jacobi's rotations: it takes 2 to 10
ROUND_OFF = 2.0**-51

# A check for zero would stop vectorising. fastmath is said to be off because a function inherits what it does not say
# from the one that happens to compile it first: bits would depend on who calls.
JIT: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": False}


@njit(**JIT)
def landing(u, depth):
    """``a = (2(1-p)u)^{1/(2-p)}``, to two units in the last place over the whole range of floats; u for depth 1, 2.

    With ``q = 2(1-p)u`` it is ``√(q q^{1/(L-1)})``, so that the square root halves the errors under it; powers of two
    are taken out of the root, since a rounded exponent times the logarithm of a large number is an error of its own.
    """
    if depth <= 2 or not 0.0 < u < np.inf:
        return u
    mantissa, exponent = math.frexp(u)
    mantissa = mantissa * (2.0 * depth - 4.0) / depth
    whole = np.rint(exponent / (depth - 1.0))
    rest = exponent - whole * (depth - 1.0)
    square = mantissa * math.exp((math.log(mantissa) + rest * LN2) / (depth - 1.0))
    total = exponent + int(whole)
    return math.ldexp(math.sqrt(square if total % 2 == 0 else 2.0 * square), total >> 1)


@njit(**JIT)
def pull_of_three(zeta):
    """``t = w^{-1/3}``, the root of ``t⁴ - ζt³ + 1`` next to 0, for ζ >= 2."""
    q = math.sqrt(math.sqrt(2.0 / zeta))
    t = q * (0.1784 + 0.784 * q)  # within 0.02 ζ
    for _ in range(3):
        square = t * t
        value = square * t * (t - zeta) + 1.0
        slope = square * (4.0 * t - 3.0 * zeta)
        bend = 3.0 * t * (2.0 * t - zeta)
        t -= value * slope / (slope * slope - value * bend)
    return t


@njit(**JIT)
def pull_of_four(zeta):
    """``t/2``, ``t = w^{-1/2}`` the root of ``½t³ - ζt² + 1`` next to 0, for ζ >= 3/2."""
    v = 1.5 / zeta
    s = math.sqrt(v)
    t = s * (0.7899 + 0.2016 * v * s)  # within 0.3%
    for _ in range(2):
        value = t * t * (0.5 * t - zeta) + 1.0
        slope = t * (1.5 * t - 2.0 * zeta)
        bend = 1.5 * t - zeta
        t -= value * slope / (slope * slope - value * bend)
    return 0.5 * t


@njit(**JIT)
def pull_of_more(zeta, depth):
    """``w^{p-1}/(L-2)`` for depth >= 5; the start has the value and the slope of the jump.

    The second step changes w by less than 1e-5 of it, so that of the power two terms of Taylor's series are enough.
    """
    power = 2.0 / depth
    lower = 1.0 / (depth - 2.0)
    w = zeta - lower * (1.0 + lower) / zeta
    before = share = change = 0.0
    for _ in range(2):
        before = w
        share = lower * w ** (power - 2.0)
        value = w - zeta + share * w
        slope = 1.0 - (1.0 - power) * share
        bend = 0.5 * (1.0 - power) * (2.0 - power) * share
        change = -value * slope / (w * slope * slope - value * bend)
        w += w * change
    return share * before * (1.0 + (power - 1.0) * change * (1.0 + 0.5 * (power - 2.0) * change))


@njit(**JIT)
def shrink_from(z, a, depth):
    """:func:`shrink` where the landing is known: one for many z."""
    if depth == 1:
        return scaled(z, a)
    if depth == 2:
        return 0.0 if z <= a else z - a
    if z <= a * ((depth - 1.0) / (depth - 2.0)):
        return 0.0
    zeta = z / a
    if zeta > FAR:
        return z
    if depth == 3:
        return z - a * pull_of_three(zeta)
    if depth == 4:
        return z - a * pull_of_four(zeta)
    return z - a * pull_of_more(zeta, depth)


@njit(**JIT)
def scaled(z, u):
    """``z/(1 + 2u)``, also where 2u is no float."""
    return z / (1.0 + 2.0 * u) if u < 1e300 else 0.5 * z / u


@njit(**JIT)
def shrink(z, u, depth):
    """The minimiser of ``½(x - z)² + u x^{2/depth}`` over x >= 0, for z, u >= 0; 0 at the jump."""
    return shrink_from(z, landing(u, depth), depth)


@njit(**JIT)
def shrink_array(z, u, depth, out):
    """:func:`shrink` of |z[i]| with the sign of z[i]; ``u`` has one entry, or one for each of z. ``out`` may be z.

    Zeros have no sign.
    """
    if len(u) == 1:
        shrink_with_one(z, landing(u[0], depth), depth, out)
    else:
        for i in range(len(z)):
            out[i] = math.copysign(shrink(abs(z[i]), u[i], depth), z[i]) + 0.0


@njit(**JIT)
def shrink_with_one(z, a, depth, out):
    """One landing for all: loops without branches up to depth 4, which vectorise."""
    if depth == 1:
        for i in range(len(z)):
            out[i] = scaled(z[i], a)
    elif depth == 2:
        for i in range(len(z)):
            x = abs(z[i])
            out[i] = math.copysign(0.0 if x <= a else x - a, z[i]) + 0.0
    elif depth == 3:
        for i in range(len(z)):
            x = abs(z[i])
            zeta = x / a
            x = 0.0 if x <= 2.0 * a else x - a * pull_of_three(FAR if zeta > FAR else zeta)
            out[i] = math.copysign(x, z[i]) + 0.0
    elif depth == 4:
        for i in range(len(z)):
            x = abs(z[i])
            zeta = x / a
            x = 0.0 if x <= 1.5 * a else x - a * pull_of_four(FAR if zeta > FAR else zeta)
            out[i] = math.copysign(x, z[i]) + 0.0
    else:
        for i in range(len(z)):
            out[i] = math.copysign(shrink_from(abs(z[i]), a, depth), z[i]) + 0.0


# ---------------------------------------------------------------------- matrices


@njit(**JIT)
def shrink_blocks(z, u, depth, rank, out):
    """The prox on the singular values of each matrix of ``z (n, K, C)`` complex, with threshold ``u (n,)``.

    At most ``rank`` singular values are kept, the largest (rank <= 0: all). ``out`` may be z.
    """
    small, large = min(z.shape[1], z.shape[2]), max(z.shape[1], z.shape[2])
    kept = small if rank <= 0 else min(small, rank)
    columns = np.empty((small, large), z.dtype)
    rows = np.empty((small, small), z.dtype)
    projection = np.empty((small, small), z.dtype)
    values = np.empty(small)
    for b in range(len(z)):
        if u[b] == 0.0 and kept == small:
            copy(z[b], out[b])
        else:
            shrink_block(z[b], u[b], depth, kept, columns, rows, projection, values, out[b])


@njit(**JIT)
def copy(source, target):
    """Entry by entry: assignments of whole arrays take a second each to compile."""
    for k in range(source.shape[0]):
        for c in range(source.shape[1]):
            target[k, c] = source[k, c]


@njit(**JIT)
def clear(target):
    """All entries 0."""
    for k in range(target.shape[0]):
        for c in range(target.shape[1]):
            target[k, c] = 0.0


@njit(**JIT)
def shrink_block(z, u, depth, kept, columns, rows, projection, values, out):
    """One matrix: ``Z P``, or ``P Z`` where Z is wide, with ``P = Σ (x_i/s_i) v_i v_i^*`` on the smaller side."""
    exponent = scaled_columns(z, columns)
    energy = 0.0
    for j in range(len(columns)):
        energy += square_norm(columns[j])
    level = landing(u, depth)
    if shrink_from(math.ldexp(math.sqrt(energy), exponent), level, depth) == 0.0:  # no singular value is larger
        clear(out)
        return
    if len(columns) == 1:
        values[0] = math.sqrt(energy)
        rows[0, 0] = values[0]
    else:
        triangle(columns, rows)
        rotate(rows)
        for j in range(len(rows)):
            values[j] = math.sqrt(square_norm(rows[j]))
    project(rows, values, exponent, level, depth, kept, projection)
    multiply(z, projection, columns[0], out)


@njit(**JIT)
def scaled_columns(z, columns):
    """Columns of Z, or of Z^* where Z is wide, over a power of two near the largest entry; returns its exponent."""
    largest = 0.0
    for k in range(z.shape[0]):
        for c in range(z.shape[1]):
            size = max(abs(z[k, c].real), abs(z[k, c].imag))
            if not size <= largest:
                largest = size
    exponent = max(math.frexp(largest)[1], -1000) if largest < np.inf else 0
    scale = math.ldexp(1.0, -exponent)
    for k in range(z.shape[0]):
        for c in range(z.shape[1]):
            if z.shape[1] <= z.shape[0]:
                columns[c, k] = z[k, c] * scale
            else:
                columns[k, c] = np.conj(z[k, c]) * scale
    return exponent


@njit(**JIT)
def square_norm(x):
    """``‖x‖²``."""
    total = 0.0
    for i in range(len(x)):
        total += x[i].real * x[i].real + x[i].imag * x[i].imag
    return total


@njit(**JIT)
def inner(x, y):
    """``x^* y``."""
    total = np.conj(x[0]) * y[0]
    for i in range(1, len(x)):
        total += np.conj(x[i]) * y[i]
    return total


@njit(**JIT)
def triangle(columns, rows):
    """Row i of ``rows`` becomes the conjugate of row i of R, where the columns are Q R, the largest first."""
    n = len(columns)
    clear(rows)
    for i in range(n):
        best, chosen = 0.0, -1
        for j in range(n):
            norm = square_norm(columns[j])
            if norm > best:
                best, chosen = norm, j
        if chosen < 0:
            return
        length = math.sqrt(best)
        rows[i, chosen] = length
        for j in range(n):
            if j != chosen:
                share = inner(columns[chosen], columns[j]) / best
                rows[i, j] = np.conj(share) * length
                for k in range(columns.shape[1]):
                    columns[j, k] -= share * columns[chosen, k]
        for k in range(columns.shape[1]):
            columns[chosen, k] = 0.0


@njit(**JIT)
def rotate(rows):
    """One-sided Jacobi: unitary combinations of the rows until they are orthogonal to round-off; how many sweeps."""
    n = len(rows)
    for sweep in range(SWEEPS):
        turned = False
        for i in range(n - 1):
            for j in range(i + 1, n):
                one, other = square_norm(rows[i]), square_norm(rows[j])
                product = inner(rows[i], rows[j])
                square = product.real * product.real + product.imag * product.imag
                if square > ROUND_OFF * one * (ROUND_OFF * other):
                    turned = True
                    turn(rows[i], rows[j], one, other, product, square)
        if not turned:
            return sweep + 1
    return SWEEPS


@njit(**JIT)
def turn(x, y, one, other, product, square):
    """The rotation that makes x and y orthogonal, ``x^* y`` and its squared modulus and both squared norms given."""
    gap = other - one
    tangent = product * (math.copysign(2.0, gap) / (abs(gap) + math.sqrt(gap * gap + 4.0 * square)))
    opposite = np.conj(tangent)
    cosine = 1.0 / math.sqrt(1.0 + (tangent * opposite).real)
    for k in range(len(x)):
        first, second = x[k], y[k]
        x[k] = cosine * (first - opposite * second)
        y[k] = cosine * (second + tangent * first)


@njit(**JIT)
def project(rows, values, exponent, level, depth, kept, projection):
    """``Σ (x_i/s_i) v_i v_i^*`` over the ``kept`` largest singular values; row i is s_i v_i."""
    n = len(rows)
    clear(projection)
    for _ in range(kept):
        i = np.argmax(values)
        value = math.ldexp(values[i], exponent)
        x = shrink_from(value, level, depth)
        if x == 0.0 or value == 0.0:
            return
        share = x / value / (values[i] * values[i])
        for j in range(n):
            for k in range(n):
                projection[j, k] += share * rows[i, j] * np.conj(rows[i, k])
        values[i] = 0.0


@njit(**JIT)
def multiply(z, projection, line, out):
    """``Z P``, or ``P Z`` where Z is wide; ``line`` keeps what is overwritten where out is z."""
    n = len(projection)
    if z.shape[1] <= z.shape[0]:
        for k in range(z.shape[0]):
            for c in range(n):
                line[c] = z[k, c]
            for c in range(n):
                total = line[0] * projection[0, c]
                for j in range(1, n):
                    total += line[j] * projection[j, c]
                out[k, c] = total
    else:
        for c in range(z.shape[1]):
            for k in range(n):
                line[k] = z[k, c]
            for k in range(n):
                total = projection[k, 0] * line[0]
                for j in range(1, n):
                    total += projection[k, j] * line[j]
                out[k, c] = total

"""Back to the conservation laws by a gauge of the hidden layers, which the predictor does not see: see ``geometric``.

Two forms: one hidden channel everywhere, where the layers of a frequency are numbers as far as the laws go, and any
channels, where they are matrices.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from lineardyn.flow._kernels import FAST, U, copy

ROUND_OFF = 1e-15  # of the squares of the layers at a frequency: no correction below
SMALLEST = 1e-290  # squares of the layers at a frequency: rounded too coarsely below
NULL = 1e-14  # relative size of an eigenvalue that is none
LARGEST = 1.0  # exponent of one correction: Newton's method is trusted no further
NEWTON, SHORTER, ROOT, SERIES = 100, 8, 60, 30  # iterations, at most

# --- one hidden channel: squares of layers ---------------------------------------------------------------------------


@njit(nogil=True, cache=True, fastmath=FAST, error_model="numpy")
def restore_scalars(y, slope, offsets, n, law, fade):
    """Scale the layers of each frequency of the packed state ``y`` so that ``|A_l|² - |A_{l+1}|² = fade · law[l]``.

    ``law (L-1, F)``, spectra of ``n >= F`` frequencies. ``slope``, the gradient of the bare loss at y or nothing, goes
    along: the gradient with respect to a layer is the product of the others. Frequencies from which no scaling leads
    there stay as they are.
    """
    depth, count = offsets.size - 1, U(law.shape[1])
    squares = np.zeros((depth, law.shape[1]))
    for layer in range(depth):
        total = squares[layer]
        for row in range(offsets[layer], offsets[layer + 1], n):
            at = U(row)
            for f in range(count):
                total[f] += y[at + f] * y[at + f]
    if depth == 2:
        _scale_two(squares[0], squares[1], law[0], fade)
    else:
        above = np.empty(depth)
        for f in range(law.shape[1]):
            _scale_many(squares[:, f], law[:, f], fade, above)
    for layer in range(depth):
        factor = squares[layer]
        for row in range(offsets[layer], offsets[layer + 1], n):
            at = U(row)
            for f in range(count):
                y[at + f] *= factor[f]
            if slope.size > 0:
                for f in range(count):
                    slope[at + f] /= factor[f]


@njit(nogil=True, cache=True, fastmath=FAST, error_model="numpy")
def _scale_two(p, q, law, fade):
    """Two layers: replace ``p = |A_1|²`` and ``q = |A_2|²`` by the factors of both, from ``x (x + |M|) = p q``."""
    for f in range(p.size):
        inverse = 1.0 / (p[f] + q[f])  # relative to the sum, nothing that matters underflows
        a, b, gap = p[f] * inverse, q[f] * inverse, fade * law[f] * inverse
        x = 2.0 * a * b / (abs(gap) + np.sqrt(gap * gap + 4.0 * a * b))
        new_a, new_b = x + max(gap, 0.0), x + max(-gap, 0.0)
        solved = (new_a > 0.0) == (a > 0.0) and (new_b > 0.0) == (b > 0.0)
        p[f] = np.sqrt(new_a / a) if solved and a > 0.0 else 1.0
        q[f] = np.sqrt(new_b / b) if solved and b > 0.0 else 1.0


@njit(nogil=True, cache=True)
def _scale_many(p, law, fade, above):
    """Any depth: replace ``p_l = |A_l|²`` by the factors of A_l, 1 where there is no solution. ``above`` is scratch.

    The product of all p is that of the predictor and stays; the laws fix their differences, ``p_l = x + above_l`` with
    ``min above = 0``. So x >= 0 is the one root of ``Π (x + above_l) = Π p_l``, whose left side increases.
    """
    depth = p.size
    least, at, zeros = 0.0, depth - 1, 0
    above[depth - 1] = 0.0
    for layer in range(depth - 2, -1, -1):
        above[layer] = above[layer + 1] + fade * law[layer]
        if above[layer] < least:
            least, at = above[layer], layer
    for layer in range(depth):
        above[layer] -= least
        zeros += p[layer] == 0.0
    x = 0.0 if zeros else _root(p, above, p[at])
    solved = x < np.inf
    for layer in range(depth):
        solved = solved and (x + above[layer] > 0.0) == (p[layer] > 0.0)
    for layer in range(depth):
        p[layer] = np.sqrt((x + above[layer]) / p[layer]) if solved and p[layer] > 0.0 else 1.0


@njit(nogil=True, cache=True)
def _root(p, above, x):
    """``Σ log((x + above_l) / p_l) = 0`` by Newton's method in log x, where this is convex, of slope 1 to L."""
    for _ in range(ROOT):
        value = slope = 0.0
        for layer in range(p.size):
            value += np.log1p((x - p[layer] + above[layer]) / p[layer])
            slope += x / (x + above[layer])
        new = x * np.exp(-value / slope)
        if not abs(new - x) > 4e-16 * x:
            return new
        x = new
    return x


# --- any channels: matrices ------------------------------------------------------------------------------------------
# A network at one frequency is a flat complex array z, layer l the matrix (sizes[l], sizes[l-1]) from at[l-1] on; a
# gauge, or a set of balance matrices, is a flat array of the hidden layers' square matrices, from hidden[l-1] on.


@njit(nogil=True, cache=True, fastmath=FAST)
def _turn(z, x, sizes, at, hidden, out):
    """``out_l = X_l A_l - A_l X_{l-1}``: what the gauge ``exp(εX)`` does to the layers."""
    depth = sizes.size - 1
    for layer in range(depth):
        rows, columns = sizes[layer + 1], sizes[layer]
        for i in range(rows):
            o = at[layer] + i * columns
            for c in range(columns):
                out[o + c] = 0.0
            if layer < depth - 1:
                for k in range(rows):
                    factor, a = x[hidden[layer] + i * rows + k], at[layer] + k * columns
                    for c in range(columns):
                        out[o + c] += factor * z[a + c]
            if layer > 0:
                for k in range(columns):
                    factor, b = z[o + k], hidden[layer - 1] + k * columns
                    for c in range(columns):
                        out[o + c] -= factor * x[b + c]


@njit(nogil=True, cache=True, fastmath=FAST)
def _change(z, w, sizes, at, hidden, out):
    """Change of the balance matrices ``A_l A_l^H - A_{l+1}^H A_{l+1}`` at z along w; at z along z, twice themselves."""
    for layer in range(sizes.size - 2):
        size, columns, rows = sizes[layer + 1], sizes[layer], sizes[layer + 2]
        for i in range(size):
            for j in range(i + 1):
                total = 0.0j
                a, b = at[layer] + i * columns, at[layer] + j * columns
                for c in range(columns):
                    total += w[a + c] * z[b + c].conjugate() + z[a + c] * w[b + c].conjugate()
                a, b = at[layer + 1] + i, at[layer + 1] + j
                for r in range(0, rows * size, size):
                    total -= w[a + r].conjugate() * z[b + r] + z[a + r].conjugate() * w[b + r]
                out[hidden[layer] + i * size + j] = total
                out[hidden[layer] + j * size + i] = total.conjugate()


@njit(nogil=True, cache=True)
def _scale(x, factor):
    for i in range(x.size):
        x[i] *= factor


@njit(nogil=True, cache=True)
def balance(z, sizes, at, hidden, out):
    """Balance matrices of one frequency."""
    _change(z, z, sizes, at, hidden, out)
    _scale(out, 0.5)


@njit(nogil=True, cache=True, fastmath=FAST)
def _inner(a, b):
    total = 0.0
    for i in range(a.size):
        total += a[i].real * b[i].real + a[i].imag * b[i].imag
    return total


@njit(nogil=True, cache=True)
def _solve(z, missing, size, accuracy, sizes, at, hidden, turned, x, residual, search, image):
    """The smallest gauge x with ``change(turn(x)) = missing``, by conjugate gradients from 0.

    That map is twice ``J J^H`` with ``J^H = turn``: symmetric, and singular only where both layers have a common null
    vector, where nothing but round-off is missing. Stops once the square of the residual is below ``accuracy``, or in
    such a direction; ``size`` is the sum of the squares of the layers.
    """
    for i in range(x.size):
        x[i] = 0.0
    copy(missing, residual)
    copy(missing, search)
    square = _inner(residual, residual)
    for _ in range(2 * x.size):
        if not square > accuracy:
            return
        _turn(z, search, sizes, at, hidden, turned)
        _change(z, turned, sizes, at, hidden, image)
        curvature = _inner(search, image)
        if not curvature > NULL * size * _inner(search, search):
            return
        step, old = square / curvature, square
        for i in range(x.size):
            x[i] += step * search[i]
            residual[i] -= step * image[i]
        square = _inner(residual, residual)
        for i in range(x.size):
            search[i] = residual[i] + (square / old) * search[i]


@njit(nogil=True, cache=True)
def _exponential(z, x, sizes, at, hidden, term, turned):
    """``A_l <- exp(X_l) A_l exp(-X_{l-1})``, the series of :func:`_turn`; the product of all layers stays."""
    copy(z, term)
    for k in range(1, SERIES):
        _turn(term, x, sizes, at, hidden, turned)
        factor = 1.0 / k
        for i in range(z.size):
            term[i] = factor * turned[i]
            z[i] += term[i]
        if not _inner(term, term) > 1e-34 * _inner(z, z):
            return


@njit(nogil=True, cache=True)
def _missing(z, law, fade, sizes, at, hidden, out):
    """``fade · law - balance(z)``; returns the square of its norm."""
    balance(z, sizes, at, hidden, out)
    for i in range(out.size):
        out[i] = fade * law[i] - out[i]
    return _inner(out, out)


@njit(nogil=True, cache=True, error_model="numpy")
def restore_matrices(networks, slopes, law, fade, sizes, at, hidden):
    """Newton's method on the gauge of each of ``networks (F, n)`` until its balance matrices are ``fade · law (F, m)``.

    ``slopes (F, n)``, the gradients of the bare loss, go along by the inverse gauge; or none, ``(0, n)``. It ends at
    round-off, or where no correction helps: the network stays as it was before that.
    """
    n, m = networks.shape[1], law.shape[1]
    layers, gauges = np.empty((3, n), dtype=np.complex128), np.empty((5, m), dtype=np.complex128)
    before, term, turned = layers[0], layers[1], layers[2]
    missing, x, residual, search, image = gauges[0], gauges[1], gauges[2], gauges[3], gauges[4]
    for f in range(law.shape[0]):
        z = networks[f]
        size = _inner(z, z)
        if not SMALLEST < size < 1.0 / SMALLEST:
            continue
        unit = 2.0 ** np.floor(0.5 * np.log2(size))  # so that fourth powers of layers neither underflow nor overflow
        _scale(z, 1.0 / unit)
        share = fade / (unit * unit)
        error = _missing(z, law[f], share, sizes, at, hidden, missing)
        for _ in range(NEWTON):
            size = _inner(z, z)
            goal = (ROUND_OFF * size) ** 2
            if not error > goal:
                break
            accuracy = max(error * min(error / size**2, 0.01), 0.01 * goal)  # Newton squares the error: no better
            _solve(z, missing, size, accuracy, sizes, at, hidden, turned, x, residual, search, image)
            largest = np.sqrt(_inner(x, x))
            if largest > LARGEST:
                _scale(x, LARGEST / largest)
            copy(z, before)
            old = error
            for _ in range(SHORTER):
                _exponential(z, x, sizes, at, hidden, term, turned)
                error = _missing(z, law[f], share, sizes, at, hidden, missing)
                if error < old:
                    break
                copy(before, z)
                _scale(x, 0.25)
            if not error < old:
                break
            if slopes.shape[0] > 0:
                _scale(x, -1.0)
                _exponential(slopes[f], x, sizes, at, hidden, term, turned)
        _scale(z, unit)

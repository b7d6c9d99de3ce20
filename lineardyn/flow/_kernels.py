"""The jitted arithmetic: right-hand side and embedded pairs, all in packed Fourier coordinates.

One file, because numba's disk cache does not see changes of a jitted helper in another file (numba#1833). Kernels take
arrays and scalars only; what they mean (tableaus, networks, statistics) lives in the modules that call them.

Notation: D = C·2·F packed coordinates of an image, K outputs, R rows of the statistics. A network is ``conv`` (else
fully connected), ``sizes (L+1)``, ``offsets (L+1)`` into the flat state, ``weights (D)`` (1 or 2 frequencies for each
coordinate), ``constant`` P^{(L-1)/2} (1 if fully connected) and ``decay``. Statistics are ``dense, rows, target, gain,
matrix`` as in :class:`lineardyn.moments.Statistics`. With dense statistics a state may hold a batch of runs, one after
another: one right-hand side of all, with one matrix product; ``gain`` then holds the decay of each.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

# contraction to FMA and reassociated sums, but NaN and infinity keep their meaning: a diverging flow must be seen
FAST = {"contract", "reassoc", "nsz", "arcp"}

U = np.uintp
INT = np.int64  # a plain constant has a type of its own, and would compile its callee once more
RUNNING, DONE, STEP_TOO_SMALL, NON_FINITE, MAX_STEPS, STIFF = 0, 1, 2, 3, 4, 5

# slots of the float control block of an integrator, carried from one call to the next; 8 to 10, and 8 of the counters,
# are those of _screened_kernels
TIME, STEP, OLD_ERROR, OLD_STEP, RADIUS, FIXED, WATCH, ENTRIES = 0, 1, 2, 3, 4, 5, 6, 7
MEASURED, MEASURED_AT, RATE, UNTIL = 11, 12, 13, 14  # the spectral radius, when, how fast it grows, how long it serves
CONTROLS = 15
# slots of its integer counters, and of the layout of a state
STEPS, REJECTED, CALLS, NEXT, MOST_STAGES, POWER, LENGTH, PADDED = 0, 1, 2, 3, 4, 5, 6, 7
COUNTS = 9

TERMS = 24  # of a sum over stages, at most: 13, and room to read eight at a time
BLOCK = 2048  # doubles of a stage sum that stay in the cache


@intrinsic
def borrowed(typing_context, array):
    """The same array, not counted: at small sizes numba spends half of the time on counting references.

    For arguments only, whose owner outlives the call.
    """

    def code(context, builder, signature, arguments):
        view = context.make_array(array)(context, builder, value=arguments[0])
        view.meminfo, view.parent = view.meminfo.type(None), view.parent.type(None)
        return view._getvalue()

    return array(array), code


# Whether a row that a loop writes overlaps another one is looked at when it runs, pair by pair: dozens of comparisons,
# and no vectors at all below some hundred entries. With `peek` and `poke` a loop promises instead that no place belongs
# to two of its numbered streams. What is only read may all be stream 0.

STREAMS = 7


@intrinsic
def peek(typing_context, array, i, stream):
    """``array[i]``, of one stream."""
    if not isinstance(stream, types.IntegerLiteral):
        return None

    def code(context, builder, signature, arguments):
        value = builder.load(_place(context, builder, array, *arguments[:2]))
        return _promised(builder, value, stream.literal_value)

    return array.dtype(array, types.uintp, stream), code


@intrinsic
def poke(typing_context, array, i, value, stream):
    """``array[i] = value``, of one stream."""
    if not isinstance(stream, types.IntegerLiteral):
        return None

    def code(context, builder, signature, arguments):
        _promised(
            builder, builder.store(arguments[2], _place(context, builder, array, *arguments[:2])), stream.literal_value
        )
        return context.get_dummy_value()

    return types.void(array, types.uintp, array.dtype, stream), code


def _place(context, builder, array, value, i):
    return builder.gep(context.make_array(array)(context, builder, value=value).data, [i], inbounds=True)


def _promised(builder, instruction, stream):
    """In LLVM's words: in the scope of its stream, and no alias of those of the others."""
    scopes = [[f"stream {i}", ["streams"]] for i in range(STREAMS)]  # a name and its domain
    instruction.set_metadata("alias.scope", builder.module.add_metadata([scopes.pop(stream)]))
    instruction.set_metadata("noalias", builder.module.add_metadata(scopes))
    return instruction


# --- products of spectra, frequency by frequency ---------------------------------------------------------------------
# Arrays here are flat, with unsigned offsets: a view costs more than a short loop, a signed offset stops vectorising.


@njit(nogil=True, cache=True, fastmath=FAST)
def multiply(out, o, x, a, y, b, n, add):
    """``out[o:] (+)= x[a:]·y[b:]``, n complex numbers each: Re, then Im."""
    p, c, d = o + n, a + n, b + n
    if add:
        for f in range(n):
            xr, xi, yr, yi = peek(x, a + f, 0), peek(x, c + f, 0), peek(y, b + f, 0), peek(y, d + f, 0)
            poke(out, o + f, peek(out, o + f, 1) + (xr * yr - xi * yi), 1)
            poke(out, p + f, peek(out, p + f, 2) + (xr * yi + xi * yr), 2)
    else:
        for f in range(n):
            xr, xi, yr, yi = peek(x, a + f, 0), peek(x, c + f, 0), peek(y, b + f, 0), peek(y, d + f, 0)
            poke(out, o + f, xr * yr - xi * yi, 1)
            poke(out, p + f, xr * yi + xi * yr, 2)


@njit(nogil=True, cache=True, fastmath=FAST)
def _multiply_conjugate(out, o, x, a, y, b, n, add):
    """``out[o:] (+)= x[a:]·conj(y[b:])``."""
    p, c, d = o + n, a + n, b + n
    if add:
        for f in range(n):
            xr, xi, yr, yi = peek(x, a + f, 0), peek(x, c + f, 0), peek(y, b + f, 0), peek(y, d + f, 0)
            poke(out, o + f, peek(out, o + f, 1) + (xr * yr + xi * yi), 1)
            poke(out, p + f, peek(out, p + f, 2) + (xi * yr - xr * yi), 2)
    else:
        for f in range(n):
            xr, xi, yr, yi = peek(x, a + f, 0), peek(x, c + f, 0), peek(y, b + f, 0), peek(y, d + f, 0)
            poke(out, o + f, xr * yr + xi * yi, 1)
            poke(out, p + f, xi * yr - xr * yi, 2)


@njit(nogil=True, cache=True)
def compose(out, o, x, a, y, b, rows, inner, columns, pair):
    """``out[r, c] = Σ_i x[r, i] y[i, c]`` per frequency; blocks ``(·, ·, pair)`` at the offsets o, a, b."""
    n = U(pair // 2)
    for r in range(rows):
        for c in range(columns):
            for i in range(inner):
                multiply(
                    out, U(o + (r * columns + c) * pair), x, U(a + (r * inner + i) * pair),
                    y, U(b + (i * columns + c) * pair), n, i > 0,
                )  # fmt: skip


@njit(nogil=True, cache=True, fastmath=FAST)
def _pull_two(e, z, w, x, a, b, y, c, gx, ga, gb, gy, gc, n, add):
    """``gx[ga:] (+)= e[z:]·conj(y[c:])``, the same for the rows w, b, gb, and ``gy[gc:] += Σ e·conj(x)`` of both."""
    if add:
        for f in range(n):
            yr, yi, er, ei = peek(y, c + f, 0), peek(y, c + n + f, 0), peek(e, z + f, 0), peek(e, z + n + f, 0)
            hr, hi = peek(e, w + f, 0), peek(e, w + n + f, 0)
            poke(gx, ga + f, peek(gx, ga + f, 1) + (er * yr + ei * yi), 1)
            poke(gx, ga + n + f, peek(gx, ga + n + f, 2) + (ei * yr - er * yi), 2)
            poke(gx, gb + f, peek(gx, gb + f, 3) + (hr * yr + hi * yi), 3)
            poke(gx, gb + n + f, peek(gx, gb + n + f, 4) + (hi * yr - hr * yi), 4)
            xr, xi, ur, ui = peek(x, a + f, 0), peek(x, a + n + f, 0), peek(x, b + f, 0), peek(x, b + n + f, 0)
            poke(gy, gc + f, peek(gy, gc + f, 5) + (er * xr + ei * xi + hr * ur + hi * ui), 5)
            poke(gy, gc + n + f, peek(gy, gc + n + f, 6) + (ei * xr - er * xi + hi * ur - hr * ui), 6)
    else:
        for f in range(n):
            yr, yi, er, ei = peek(y, c + f, 0), peek(y, c + n + f, 0), peek(e, z + f, 0), peek(e, z + n + f, 0)
            hr, hi = peek(e, w + f, 0), peek(e, w + n + f, 0)
            poke(gx, ga + f, er * yr + ei * yi, 1)
            poke(gx, ga + n + f, ei * yr - er * yi, 2)
            poke(gx, gb + f, hr * yr + hi * yi, 3)
            poke(gx, gb + n + f, hi * yr - hr * yi, 4)
            xr, xi, ur, ui = peek(x, a + f, 0), peek(x, a + n + f, 0), peek(x, b + f, 0), peek(x, b + n + f, 0)
            poke(gy, gc + f, peek(gy, gc + f, 5) + (er * xr + ei * xi + hr * ur + hi * ui), 5)
            poke(gy, gc + n + f, peek(gy, gc + n + f, 6) + (ei * xr - er * xi + hi * ur - hr * ui), 6)


@njit(nogil=True, cache=True)
def _pull(e, z, x, a, y, b, gx, ga, gy, gb, rows, inner, columns, pair):
    """``gx[r, i] = Σ_c e[r, c] conj(y[i, c])`` and ``gy[i, c] += Σ_r conj(x[r, i]) e[r, c]`` per frequency."""
    n, across, down = U(pair // 2), U(columns * pair), U(inner * pair)
    for r in range(0, rows, 2):
        for i in range(inner):
            at_x, at_gx = U(a + (r * inner + i) * pair), U(ga + (r * inner + i) * pair)
            for c in range(columns):
                at_e, below = U(z + (r * columns + c) * pair), (i * columns + c) * pair
                at_y, at_gy = U(b + below), U(gb + below)
                if r + 1 < rows:
                    _pull_two(
                        e, at_e, at_e + across, x, at_x, at_x + down, y, at_y,
                        gx, at_gx, at_gx + down, gy, at_gy, n, c > 0,
                    )  # fmt: skip
                else:
                    _multiply_conjugate(gx, at_gx, e, at_e, y, at_y, n, c > 0)
                    _multiply_conjugate(gy, at_gy, e, at_e, x, at_x, n, True)


# --- products with few rows, where a general BLAS packs more than it multiplies --------------------------------------

OUTPUTS = 128  # of a residual at a time: the matrix products of so many lose a twentieth
FEW = 32  # rows up to which the loops below beat BLAS (measured: 2 to 10 times faster at 4 to 20 rows)


@njit(nogil=True, cache=True, fastmath=FAST)
def _dots_five(v, a, b, c, d, x, r, n, out, p, q, s, t):
    """Twenty dot products in registers, of four rows of v with five of x, to ``out[p:]`` .. ``out[t:]``."""
    r1, r2, r3, r4 = r + n, r + n + n, r + n + n + n, r + n + n + n + n
    a0 = a1 = a2 = a3 = a4 = 0.0
    b0 = b1 = b2 = b3 = b4 = 0.0
    c0 = c1 = c2 = c3 = c4 = 0.0
    d0 = d1 = d2 = d3 = d4 = 0.0
    for i in range(n):
        va, vb, vc, vd = v[a + i], v[b + i], v[c + i], v[d + i]
        y = x[r + i]
        a0 += va * y
        b0 += vb * y
        c0 += vc * y
        d0 += vd * y
        y = x[r1 + i]
        a1 += va * y
        b1 += vb * y
        c1 += vc * y
        d1 += vd * y
        y = x[r2 + i]
        a2 += va * y
        b2 += vb * y
        c2 += vc * y
        d2 += vd * y
        y = x[r3 + i]
        a3 += va * y
        b3 += vb * y
        c3 += vc * y
        d3 += vd * y
        y = x[r4 + i]
        a4 += va * y
        b4 += vb * y
        c4 += vc * y
        d4 += vd * y
    out[p], out[p + 1], out[p + 2], out[p + 3], out[p + 4] = a0, a1, a2, a3, a4
    out[q], out[q + 1], out[q + 2], out[q + 3], out[q + 4] = b0, b1, b2, b3, b4
    out[s], out[s + 1], out[s + 2], out[s + 3], out[s + 4] = c0, c1, c2, c3, c4
    out[t], out[t + 1], out[t + 2], out[t + 3], out[t + 4] = d0, d1, d2, d3, d4


@njit(nogil=True, cache=True, fastmath=FAST)
def _dots_four(v, a, b, c, d, x, r, n, out, p, q, s, t):
    """The same with four rows of x."""
    r1, r2, r3 = r + n, r + n + n, r + n + n + n
    a0 = a1 = a2 = a3 = 0.0
    b0 = b1 = b2 = b3 = 0.0
    c0 = c1 = c2 = c3 = 0.0
    d0 = d1 = d2 = d3 = 0.0
    for i in range(n):
        va, vb, vc, vd = v[a + i], v[b + i], v[c + i], v[d + i]
        y = x[r + i]
        a0 += va * y
        b0 += vb * y
        c0 += vc * y
        d0 += vd * y
        y = x[r1 + i]
        a1 += va * y
        b1 += vb * y
        c1 += vc * y
        d1 += vd * y
        y = x[r2 + i]
        a2 += va * y
        b2 += vb * y
        c2 += vc * y
        d2 += vd * y
        y = x[r3 + i]
        a3 += va * y
        b3 += vb * y
        c3 += vc * y
        d3 += vd * y
    out[p], out[p + 1], out[p + 2], out[p + 3] = a0, a1, a2, a3
    out[q], out[q + 1], out[q + 2], out[q + 3] = b0, b1, b2, b3
    out[s], out[s + 1], out[s + 2], out[s + 3] = c0, c1, c2, c3
    out[t], out[t + 1], out[t + 2], out[t + 3] = d0, d1, d2, d3


@njit(nogil=True, cache=True, fastmath=FAST)
def _dot_at(v, a, x, r, n):
    total = 0.0
    for i in range(n):
        total += v[a + i] * x[r + i]
    return total


@njit(nogil=True, cache=True)
def dots(v, at, rows, x, n, columns, out, to):
    """``out[to:] = v xᵀ`` for one to four rows of v from ``at``; rows that lack are repeated, edge tiles overlap."""
    b, c, d = min(1, rows - 1), min(2, rows - 1), rows - 1
    p, q, s, t = to, to + b * columns, to + c * columns, to + d * columns
    k, m, o, z = U(at), U(at + b * n), U(at + c * n), U(at + d * n)
    r = 0
    while r < columns:
        left = columns - r
        if columns < 4:
            for row in range(rows):
                out[to + row * columns + r] = _dot_at(v, U(at + row * n), x, U(r * n), U(n))
            r += 1
        elif left >= 5 and left != 8:
            _dots_five(v, k, m, o, z, x, U(r * n), U(n), out, U(p + r), U(q + r), U(s + r), U(t + r))
            r += 5
        else:
            r = min(r, columns - 4)
            _dots_four(v, k, m, o, z, x, U(r * n), U(n), out, U(p + r), U(q + r), U(s + r), U(t + r))
            r += 4


@njit(nogil=True, cache=True)
def inner_products(v, x, c):
    """``c = v xᵀ`` for few rows of v; each row of x is read once for four of them."""
    (rows, n), columns = v.shape, x.shape[0]
    flat_v, flat_x, flat_c = v.reshape(-1), x.reshape(-1), c.reshape(-1)
    for row in range(0, rows, 4):
        dots(flat_v, row * n, min(4, rows - row), flat_x, n, columns, flat_c, row * columns)


@njit(nogil=True, cache=True, fastmath=FAST)
def _combine_five(e, a, b, c, d, x, r, n, factors, p, q, s, t, add):
    """``e[a:] (+)= Σ_j factors[p+j] x_j`` over five rows of x, and the same for three more rows."""
    r1, r2, r3, r4 = r + n, r + n + n, r + n + n + n, r + n + n + n + n
    a0, a1, a2, a3, a4 = factors[p], factors[p + 1], factors[p + 2], factors[p + 3], factors[p + 4]
    b0, b1, b2, b3, b4 = factors[q], factors[q + 1], factors[q + 2], factors[q + 3], factors[q + 4]
    c0, c1, c2, c3, c4 = factors[s], factors[s + 1], factors[s + 2], factors[s + 3], factors[s + 4]
    d0, d1, d2, d3, d4 = factors[t], factors[t + 1], factors[t + 2], factors[t + 3], factors[t + 4]
    if add:
        for i in range(n):
            x0, x1, x2 = peek(x, r + i, 0), peek(x, r1 + i, 0), peek(x, r2 + i, 0)
            x3, x4 = peek(x, r3 + i, 0), peek(x, r4 + i, 0)
            poke(e, a + i, peek(e, a + i, 1) + (a0 * x0 + a1 * x1 + a2 * x2 + a3 * x3 + a4 * x4), 1)
            poke(e, b + i, peek(e, b + i, 2) + (b0 * x0 + b1 * x1 + b2 * x2 + b3 * x3 + b4 * x4), 2)
            poke(e, c + i, peek(e, c + i, 3) + (c0 * x0 + c1 * x1 + c2 * x2 + c3 * x3 + c4 * x4), 3)
            poke(e, d + i, peek(e, d + i, 4) + (d0 * x0 + d1 * x1 + d2 * x2 + d3 * x3 + d4 * x4), 4)
    else:
        for i in range(n):
            x0, x1, x2 = peek(x, r + i, 0), peek(x, r1 + i, 0), peek(x, r2 + i, 0)
            x3, x4 = peek(x, r3 + i, 0), peek(x, r4 + i, 0)
            poke(e, a + i, a0 * x0 + a1 * x1 + a2 * x2 + a3 * x3 + a4 * x4, 1)
            poke(e, b + i, b0 * x0 + b1 * x1 + b2 * x2 + b3 * x3 + b4 * x4, 2)
            poke(e, c + i, c0 * x0 + c1 * x1 + c2 * x2 + c3 * x3 + c4 * x4, 3)
            poke(e, d + i, d0 * x0 + d1 * x1 + d2 * x2 + d3 * x3 + d4 * x4, 4)


@njit(nogil=True, cache=True, fastmath=FAST)
def _combine_four(e, a, b, c, d, x, r, n, factors, p, q, s, t, add):
    """The same over four rows of x."""
    r1, r2, r3 = r + n, r + n + n, r + n + n + n
    a0, a1, a2, a3 = factors[p], factors[p + 1], factors[p + 2], factors[p + 3]
    b0, b1, b2, b3 = factors[q], factors[q + 1], factors[q + 2], factors[q + 3]
    c0, c1, c2, c3 = factors[s], factors[s + 1], factors[s + 2], factors[s + 3]
    d0, d1, d2, d3 = factors[t], factors[t + 1], factors[t + 2], factors[t + 3]
    if add:
        for i in range(n):
            x0, x1 = peek(x, r + i, 0), peek(x, r1 + i, 0)
            x2, x3 = peek(x, r2 + i, 0), peek(x, r3 + i, 0)
            poke(e, a + i, peek(e, a + i, 1) + (a0 * x0 + a1 * x1 + a2 * x2 + a3 * x3), 1)
            poke(e, b + i, peek(e, b + i, 2) + (b0 * x0 + b1 * x1 + b2 * x2 + b3 * x3), 2)
            poke(e, c + i, peek(e, c + i, 3) + (c0 * x0 + c1 * x1 + c2 * x2 + c3 * x3), 3)
            poke(e, d + i, peek(e, d + i, 4) + (d0 * x0 + d1 * x1 + d2 * x2 + d3 * x3), 4)
    else:
        for i in range(n):
            x0, x1 = peek(x, r + i, 0), peek(x, r1 + i, 0)
            x2, x3 = peek(x, r2 + i, 0), peek(x, r3 + i, 0)
            poke(e, a + i, a0 * x0 + a1 * x1 + a2 * x2 + a3 * x3, 1)
            poke(e, b + i, b0 * x0 + b1 * x1 + b2 * x2 + b3 * x3, 2)
            poke(e, c + i, c0 * x0 + c1 * x1 + c2 * x2 + c3 * x3, 3)
            poke(e, d + i, d0 * x0 + d1 * x1 + d2 * x2 + d3 * x3, 4)


@njit(nogil=True, cache=True, fastmath=FAST)
def _combine_one(e, a, x, r, n, factor, add):
    """One row of e, one of x."""
    if add:
        for i in range(n):
            poke(e, a + i, peek(e, a + i, 1) + factor * peek(x, r + i, 0), 1)
    else:
        for i in range(n):
            poke(e, a + i, factor * peek(x, r + i, 0), 1)


@njit(nogil=True, cache=True)
def combine(factors, at, rows, terms, x, n, e, to):
    """``e[to:] = factors[at:] x`` for one to four rows, in room for four: rows that lack are repeated after them."""
    b, c, d = min(1, rows - 1), min(2, rows - 1), rows - 1
    p, q, s, t = at, at + b * terms, at + c * terms, at + d * terms
    k, m, o, z = U(to), U(to + n), U(to + 2 * n), U(to + 3 * n)
    r = 0
    while r < terms:
        left = terms - r
        if left >= 5 and left != 8:
            _combine_five(e, k, m, o, z, x, U(r * n), U(n), factors, U(p + r), U(q + r), U(s + r), U(t + r), r > 0)
            r += 5
        elif left >= 4:
            _combine_four(e, k, m, o, z, x, U(r * n), U(n), factors, U(p + r), U(q + r), U(s + r), U(t + r), r > 0)
            r += 4
        else:
            for row in range(rows):
                _combine_one(e, U(to + row * n), x, U(r * n), U(n), factors[at + row * terms + r], r > 0)
            r += 1


@njit(nogil=True, cache=True)
def combinations(c, x, e):
    """``e = c x`` for few rows of c and x; the last group of four overlaps the one before."""
    (rows, terms), n = c.shape, x.shape[1]
    if rows < 4:
        np.dot(c, x, e)
        return
    flat_c, flat_x, flat_e = c.reshape(-1), x.reshape(-1), e.reshape(-1)
    for start in range(0, rows, 4):
        row = min(start, rows - 4)
        combine(flat_c, row * terms, INT(4), terms, flat_x, n, flat_e, row * n)


@njit(nogil=True, cache=True)
def copy(source, out):
    """``out = source``, both flat: numba takes a tenth of a second to compile an assignment to a slice."""
    for i in range(U(out.size)):
        out[i] = source[i]


# --- the right-hand side ---------------------------------------------------------------------------------------------


@njit(nogil=True, cache=True, fastmath=FAST)
def residual(v, first, dense, rows, target, gain, matrix, coefficients, constant, e):
    """``e = constant · (Σ^yc - v Σ^cc)`` for a weighted packed predictor v ``(K, D)``, or several in one array.

    Without dense statistics v may be that of the outputs from ``first`` on only, and e may be v.
    """
    if dense:
        if v.shape[0] <= FEW:
            inner_products(v, matrix, e)  # the matrix is symmetric
        else:
            np.dot(v, matrix, e)
        for k in range(e.shape[0]):
            ek, tk = e[k], target[k % target.shape[0]]
            for d in range(ek.size):
                ek[d] = constant * (tk[d] - ek[d])
    else:
        few = v.shape[0] <= FEW and gain.size <= FEW
        if few:
            inner_products(v, rows, coefficients)
        else:
            np.dot(v, rows.T, coefficients)
        for k in range(coefficients.shape[0]):
            for r in range(gain.size):
                coefficients[k, r] = constant * (target[first + k, r] - coefficients[k, r] * gain[r])
        if few:
            combinations(coefficients, rows, e)
        else:
            np.dot(coefficients, rows, e)


@njit(nogil=True, cache=True, inline="always")  # a call costs more than it does: numba counts references to arrays
def flow(y, dy, conv, sizes, offsets, weights, constant, decay, dense, rows, target, gain, matrix, work):
    """``dy = -∇ℒ(y)`` [theory section 1]."""
    depth = sizes.size - 1
    if conv and depth > 1 and not dense:
        if sizes[depth] <= FEW and gain.size <= FEW:
            _flow_fours(y, dy, sizes, offsets, weights, constant, rows, target, gain, work)
        else:
            _flow_blocks(y, dy, sizes, offsets, weights, constant, dense, rows, target, gain, matrix, work)
    else:
        _flow_whole(
            y, dy, conv, sizes, offsets, weights, constant, dense, rows, target, gain, matrix, work
        )  # fmt: skip
    if decay != 0.0:
        _decay(y, dy, decay)


@njit(nogil=True, cache=True, fastmath=FAST)
def _decay(y, dy, decay):
    for i in range(y.size):
        dy[i] -= decay * y[i]


@njit(nogil=True, cache=True)
def _flow_fours(y, dy, sizes, offsets, weights, constant, rows, target, gain, work):
    """A CNN and few rows of statistics: four outputs at a time, so that no predictor or residual leaves the cache."""
    depth = sizes.size - 1
    if depth == 2 and sizes[0] == 1 and sizes[1] == 1 and gain.size <= 4:
        _flow_pairs(y, dy, sizes[2], weights, constant, rows, target, gain, work)
        return
    channels, outputs, last, width, terms = sizes[0], sizes[depth], sizes[depth - 1], weights.size, gain.size
    pair, top, c = width // channels, offsets[depth - 1], 4 * width
    x = rows.reshape(-1)
    hidden = _hidden_layers(y, sizes, offsets, weights, constant, work, (c + outputs * terms + 7) // 8 * 8)
    for k in range(0, outputs, 4):
        some = min(4, outputs - k)
        compose(work, INT(0), y, top + k * last * pair, work, hidden, some, last, channels, pair)
        dots(work, INT(0), some, x, width, terms, work, c + k * terms)
    for k in range(outputs):
        for r in range(terms):
            i = c + k * terms + r
            work[i] = constant * (target[k, r] - work[i] * gain[r])
    below, at, gradient, into = _lower(y, dy, work, hidden, sizes, width)
    clear(gradient, U(into), U(last * width))
    for k in range(0, outputs, 4):
        some, start = min(4, outputs - k), top + k * last * pair
        combine(work, c + k * terms, some, terms, x, width, work, INT(0))
        _pull(work, INT(0), y, start, below, at, dy, start, gradient, into, some, last, channels, pair)
    if depth > 2:
        _pull_layers(y, dy, gradient, into, sizes, offsets, width, work, hidden)


@njit(nogil=True, cache=True)
def _flow_blocks(y, dy, sizes, offsets, weights, constant, dense, rows, target, gain, matrix, work):
    """A CNN and statistics of any rows: OUTPUTS at a time, whose residual takes the place of their predictor."""
    depth = sizes.size - 1
    channels, outputs, last, width, terms = sizes[0], sizes[depth], sizes[depth - 1], weights.size, gain.size
    pair, top, block = width // channels, offsets[depth - 1], min(outputs, OUTPUTS)
    c = block * width
    hidden = _hidden_layers(y, sizes, offsets, weights, constant, work, c + block * terms)
    below, at, gradient, into = _lower(y, dy, work, hidden, sizes, width)
    clear(gradient, U(into), U(last * width))
    for k in range(0, outputs, block):
        some, start = min(block, outputs - k), top + k * last * pair
        v, coefficients = work[: some * width].reshape(some, width), work[c : c + some * terms].reshape(some, terms)
        compose(work, INT(0), y, start, work, hidden, some, last, channels, pair)
        residual(v, k, dense, rows, target, gain, matrix, coefficients, constant, v)
        _pull(work, INT(0), y, start, below, at, dy, start, gradient, into, some, last, channels, pair)
    if depth > 2:
        _pull_layers(y, dy, gradient, into, sizes, offsets, width, work, hidden)


@njit(nogil=True, cache=True)
def _flow_pairs(y, dy, outputs, weights, constant, rows, target, gain, work):
    """One channel, one hidden one, at most four rows: two outputs at a time, whose predictor and residual are never
    stored. Rows that lack are repeated, with coefficients 0. The others stay in ``work`` as :func:`_flow_fours` has it.
    """
    width, terms, x = weights.size, gain.size, rows.reshape(-1)
    n, last, c = U(width // 2), terms - 1, 4 * width
    r = (U(0), U(min(1, last) * width), U(min(2, last) * width), U(last * width))
    for k in range(0, outputs, 2):
        other = min(k + 1, outputs - 1)  # what a repeated row writes too far is written over by the next output
        _dots_of_two(
            y, U((k + 1) * width), U((other + 1) * width), weights, x, r, n,
            work, U(c + k * terms), U(c + other * terms),
        )  # fmt: skip
    for k in range(outputs):
        for j in range(terms):
            i = c + k * terms + j
            work[i] = constant * (target[k, j] - constant * work[i] * gain[j])
    clear(dy, U(0), U(width))
    for k in range(0, outputs - 1, 2):
        a, i = U((k + 1) * width), c + k * terms
        first, second = _four(work, i, terms), _four(work, i + terms, terms)
        _pull_residual_of_two(y, a, a + U(width), x, r, first, second, n, dy)
    if outputs % 2 == 1:
        start = outputs * width
        combine(work, c + (outputs - 1) * terms, INT(1), terms, x, width, work, INT(0))
        _pull(work, INT(0), y, start, y, INT(0), dy, start, dy, INT(0), INT(1), INT(1), INT(1), width)


@njit(nogil=True, cache=True)
def _four(c, i, n):
    """The first n entries of ``c[i:]``, then zeros."""
    return c[i], c[i + 1] if n > 1 else 0.0, c[i + 2] if n > 2 else 0.0, c[i + 3] if n > 3 else 0.0


@njit(nogil=True, cache=True, fastmath=FAST)
def _dots_of_two(y, a, b, weights, x, r, n, out, p, q):
    """``out[p:]``, ``out[q:]``: the weighted predictors ``A κ`` of two outputs, at a and b, times four rows each."""
    r0, r1, r2, r3 = r
    a0 = a1 = a2 = a3 = 0.0
    b0 = b1 = b2 = b3 = 0.0
    for f in range(n):
        g = n + f
        re, im = weights[f] * y[f], weights[f] * y[g]
        ar, ai = y[a + f] * re - y[a + g] * im, y[a + f] * im + y[a + g] * re
        br, bi = y[b + f] * re - y[b + g] * im, y[b + f] * im + y[b + g] * re
        xr, xi = x[r0 + f], x[r0 + g]
        a0 += ar * xr + ai * xi
        b0 += br * xr + bi * xi
        xr, xi = x[r1 + f], x[r1 + g]
        a1 += ar * xr + ai * xi
        b1 += br * xr + bi * xi
        xr, xi = x[r2 + f], x[r2 + g]
        a2 += ar * xr + ai * xi
        b2 += br * xr + bi * xi
        xr, xi = x[r3 + f], x[r3 + g]
        a3 += ar * xr + ai * xi
        b3 += br * xr + bi * xi
    out[p], out[p + 1], out[p + 2], out[p + 3] = a0, a1, a2, a3
    out[q], out[q + 1], out[q + 2], out[q + 3] = b0, b1, b2, b3


@njit(nogil=True, cache=True, fastmath=FAST)
def _pull_residual_of_two(y, a, b, x, r, c, d, n, dy):
    """``dA = E conj(κ)`` of the outputs at a and b, ``dκ += Σ E conj(A)``, E a sum of four rows with factors c, d."""
    r0, r1, r2, r3 = r
    c0, c1, c2, c3 = c
    d0, d1, d2, d3 = d
    for f in range(n):
        g = n + f
        x0, x1, x2, x3 = peek(x, r0 + f, 0), peek(x, r1 + f, 0), peek(x, r2 + f, 0), peek(x, r3 + f, 0)
        er, hr = c0 * x0 + c1 * x1 + c2 * x2 + c3 * x3, d0 * x0 + d1 * x1 + d2 * x2 + d3 * x3
        x0, x1, x2, x3 = peek(x, r0 + g, 0), peek(x, r1 + g, 0), peek(x, r2 + g, 0), peek(x, r3 + g, 0)
        ei, hi = c0 * x0 + c1 * x1 + c2 * x2 + c3 * x3, d0 * x0 + d1 * x1 + d2 * x2 + d3 * x3
        kr, ki = peek(y, f, 0), peek(y, g, 0)
        poke(dy, a + f, er * kr + ei * ki, 1)
        poke(dy, a + g, ei * kr - er * ki, 2)
        poke(dy, b + f, hr * kr + hi * ki, 3)
        poke(dy, b + g, hi * kr - hr * ki, 4)
        ar, ai, br, bi = peek(y, a + f, 0), peek(y, a + g, 0), peek(y, b + f, 0), peek(y, b + g, 0)
        poke(dy, f, peek(dy, f, 5) + (er * ar + ei * ai + hr * br + hi * bi), 5)
        poke(dy, g, peek(dy, g, 6) + (ei * ar - er * ai + hi * br - hr * bi), 6)


@njit(nogil=True, cache=True)
def _lower(y, dy, work, hidden, sizes, width):
    """Where the product under the top layer lies, and where its gradient goes."""
    if sizes.size == 3:
        return y, INT(0), dy, INT(0)
    return work, hidden - sizes[sizes.size - 2] * width, work, hidden + sizes[sizes.size - 2] * width


@njit(nogil=True, cache=True)
def clear(out, o, n):
    for i in range(n):
        out[o + i] = 0.0


@njit(nogil=True, cache=True)
def _pull_layers(y, dy, gradient, into, sizes, offsets, width, work, hidden):
    """The layers under the top one: ``gradient[into:]`` is that of A_(L-1) ... A_1."""
    channels = sizes[0]
    for layer in range(sizes.size - 2, 1, -1):
        hidden -= sizes[layer] * width  # where the product below the layer ends
        below, at, down, to = y, INT(0), dy, INT(0)
        if layer > 2:
            below, at, down, to = work, hidden - sizes[layer - 1] * width, work, into + sizes[layer] * width
        start = offsets[layer - 1]
        clear(down, U(to), U(sizes[layer - 1] * width))
        _pull(
            gradient, into, y, start, below, at, dy, start, down, to, sizes[layer], sizes[layer - 1], channels,
            width // channels,
        )  # fmt: skip
        gradient, into = down, to


@njit(nogil=True, cache=True, fastmath=FAST)
def _flow_whole(y, dy, conv, sizes, offsets, weights, constant, dense, rows, target, gain, matrix, work):
    """Any network and statistics: the whole predictor, then the whole residual; a batch of runs shares the product."""
    depth = sizes.size - 1
    outputs, width, n = sizes[depth], weights.size, offsets[depth]
    runs, size = y.size // n, y.size // n * outputs * width
    at_e = size if dense and depth > 1 else 0
    v = work[:size].reshape(runs * outputs, width)
    e = work[at_e : at_e + size].reshape(runs * outputs, width)
    used = at_e + size
    n_coefficients = 0 if dense else runs * outputs * gain.size
    coefficients = work[used : used + n_coefficients].reshape(runs * outputs, 0 if dense else gain.size)
    used += n_coefficients
    if depth == 1:
        _scale_rows(v, y.reshape(runs * outputs, width), weights, constant)
        e = dy.reshape(runs * outputs, width)
        residual(v, INT(0), dense, rows, target, gain, matrix, coefficients, constant, e)
    else:
        room = (work.size - used) // runs  # of the hidden layers of one run
        for run in range(runs):
            part, into = y[run * n : (run + 1) * n], v[run * outputs : (run + 1) * outputs]
            if conv:
                hidden = _hidden_layers(part, sizes, offsets, weights, constant, work, used + run * room)
                compose(
                    work, run * outputs * width, part, offsets[depth - 1], work, hidden, outputs, sizes[depth - 1],
                    sizes[0], width // sizes[0],
                )  # fmt: skip
            else:
                _predict_fcn(part, sizes, offsets, weights, into, work[used + run * room :])
        residual(v, INT(0), dense, rows, target, gain, matrix, coefficients, constant, e)
        for run in range(runs):
            part, slope, above = y[run * n : (run + 1) * n], dy[run * n : (run + 1) * n], run * outputs
            if conv:
                _pull_cnn(part, slope, sizes, offsets, width, work, at_e + above * width, used + run * room)
            else:
                _pull_fcn(part, slope, sizes, offsets, width, e[above : above + outputs], work[used + run * room :])
    if dense and gain.size > 0:
        for run in range(runs):
            _decay(y[run * n : (run + 1) * n], dy[run * n : (run + 1) * n], gain[run])


@njit(nogil=True, cache=True)
def _pull_cnn(y, dy, sizes, offsets, width, work, above, used):
    """``dy`` from the residual ``work[above:]`` and the products that :func:`_hidden_layers` left from ``used`` on."""
    depth = sizes.size - 1
    outputs, last, channels, top = sizes[depth], sizes[depth - 1], sizes[0], offsets[depth - 1]
    hidden = used
    for layer in range(2, depth):
        hidden += sizes[layer] * width
    below, at, gradient, into = _lower(y, dy, work, hidden, sizes, width)
    clear(gradient, U(into), U(last * width))
    _pull(
        work, above, y, top, below, at, dy, top, gradient, into, outputs, last, channels, width // channels
    )  # fmt: skip
    _pull_layers(y, dy, gradient, into, sizes, offsets, width, work, hidden)


@njit(nogil=True, cache=True, fastmath=FAST)
def _scale_rows(out, a, weights, constant):
    """``out = constant · a · weights`` row by row."""
    for i in range(out.shape[0]):
        oi, ai = out[i], a[i]
        for d in range(oi.size):
            oi[d] = constant * ai[d] * weights[d]


@njit(nogil=True, cache=True, fastmath=FAST)
def _hidden_layers(y, sizes, offsets, weights, constant, work, used):
    """Partial products A_l ... A_1, l = 2..L-1, then the last one weighted: returns where that begins."""
    depth = sizes.size - 1
    channels, last, width = sizes[0], sizes[depth - 1], weights.size
    below, at = y, INT(0)
    for layer in range(2, depth):
        compose(
            work, used, y, offsets[layer - 1], below, at, sizes[layer], sizes[layer - 1], channels, width // channels
        )  # fmt: skip
        below, at = work, used
        used += sizes[layer] * width
    for i in range(last):
        source, aim = U(at + i * width), U(used + i * width)
        for d in range(U(width)):
            work[aim + d] = constant * weights[d] * below[source + d]
    return used


@njit(nogil=True, cache=True, fastmath=FAST)
def _predict_fcn(y, sizes, offsets, weights, v, work):
    """``v = W_L ... W_1``; W_l ... W_1 for l = 1..L-1, with the weights of the packing in W_1, stay in ``work``."""
    depth, width = sizes.size - 1, weights.size
    used = sizes[1] * width
    below = work[:used].reshape(sizes[1], width)
    _scale_rows(below, y[: offsets[1]].reshape(sizes[1], width), weights, 1.0)
    for layer in range(2, depth):
        a = y[offsets[layer - 1] : offsets[layer]].reshape(sizes[layer], sizes[layer - 1])
        product = work[used : used + sizes[layer] * width].reshape(sizes[layer], width)
        used += sizes[layer] * width
        np.dot(a, below, product)
        below = product
    np.dot(y[offsets[depth - 1] :].reshape(sizes[depth], sizes[depth - 1]), below, v)


@njit(nogil=True, cache=True, fastmath=FAST)
def _pull_fcn(y, dy, sizes, offsets, width, above, work):
    """``dy`` from the residual and the products that :func:`_predict_fcn` left."""
    depth = sizes.size - 1
    used = 0
    for layer in range(1, depth):
        used += sizes[layer] * width
    start = used
    for layer in range(depth, 1, -1):
        into = sizes[layer - 1]
        start -= into * width
        a = y[offsets[layer - 1] : offsets[layer]].reshape(sizes[layer], into)
        under = work[start : start + into * width].reshape(into, width)
        np.dot(above, under.T, dy[offsets[layer - 1] : offsets[layer]].reshape(sizes[layer], into))
        if layer == 2:
            np.dot(a.T, above, dy[: offsets[1]].reshape(into, width))
        else:
            pulled = work[used : used + into * width].reshape(into, width)
            used += into * width
            np.dot(a.T, above, pulled)
            above = pulled


# --- sums over stages ------------------------------------------------------------------------------------------------


@njit(nogil=True, cache=True, fastmath=FAST)
def _add(out, o, y, a, k, at, c, n):
    """``out[o:] = y[a:] + Σ_j c_j k[at_j:]`` with tuples ``at`` and ``c``, whose loop is unrolled: one pass.

    ``y[a:]`` may be ``out[o:]``: the same stream.
    """
    for i in range(n):
        total = peek(y, a + i, 1)
        for j in range(len(at)):
            total += c[j] * peek(k, at[j] + i, 0)
        poke(out, o + i, total, 1)


@njit(nogil=True, cache=True)
def _sum_block(out, o, y, a, k, at, c, base, m, start, n):
    """``out[o:o+n] = y[a:a+n] + Σ_j c_(base+j) k[at_j + start:]``, up to nine terms in one pass, eight of more."""
    source, begin, j = y, a, 0
    while True:
        p0, p1, p2, p3 = at[j] + start, at[j + 1] + start, at[j + 2] + start, at[j + 3] + start
        p4, p5, p6, p7 = at[j + 4] + start, at[j + 5] + start, at[j + 6] + start, at[j + 7] + start
        i = base + j
        c0, c1, c2, c3, c4, c5, c6, c7 = c[i], c[i + 1], c[i + 2], c[i + 3], c[i + 4], c[i + 5], c[i + 6], c[i + 7]
        left = m - j
        if left <= 1:
            _add(out, o, source, begin, k, (p0,), (c0,), n)
        elif left == 2:
            _add(out, o, source, begin, k, (p0, p1), (c0, c1), n)
        elif left == 3:
            _add(out, o, source, begin, k, (p0, p1, p2), (c0, c1, c2), n)
        elif left == 4:
            _add(out, o, source, begin, k, (p0, p1, p2, p3), (c0, c1, c2, c3), n)
        elif left == 5:
            _add(out, o, source, begin, k, (p0, p1, p2, p3, p4), (c0, c1, c2, c3, c4), n)
        elif left == 6:
            _add(out, o, source, begin, k, (p0, p1, p2, p3, p4, p5), (c0, c1, c2, c3, c4, c5), n)
        elif left == 7:
            _add(out, o, source, begin, k, (p0, p1, p2, p3, p4, p5, p6), (c0, c1, c2, c3, c4, c5, c6), n)
        elif left == 9:  # as DOP853's interpolant has
            p8, c8 = at[j + 8] + start, c[i + 8]
            _add(
                out, o, source, begin, k, (p0, p1, p2, p3, p4, p5, p6, p7, p8), (c0, c1, c2, c3, c4, c5, c6, c7, c8), n
            )  # fmt: skip
        else:
            _add(out, o, source, begin, k, (p0, p1, p2, p3, p4, p5, p6, p7), (c0, c1, c2, c3, c4, c5, c6, c7), n)
        if left <= 9:
            return
        source, begin, j = out, o, j + 8


@njit(nogil=True, cache=True)
def stage_sum(out, y, stages, places, table, row, n_stages, h, at, c):
    """``out = y + h Σ_j table[row, j] stages_j``, block by block through the cache; ``at`` and ``c`` are scratch."""
    n, m = y.size, INT(0)
    for j in range(n_stages):
        if table[row, j] != 0.0:
            at[m], c[m] = U(places[j] * n), h * table[row, j]
            m += 1
    if m == 0:
        at[0], c[0] = U(0), 0.0
    flat = stages.reshape(-1)
    for start in range(0, n, BLOCK):
        _sum_block(out, U(start), y, U(start), flat, at, c, INT(0), m, U(start), U(min(BLOCK, n - start)))


@njit(nogil=True, cache=True, fastmath=FAST)
def _add_twice(out, o, ahead, p, y, a, k, at, c, d, n):
    """``out[o:] = y[a:] + Σ_j c_j k[at_j:]``, ``ahead[p:] = y[a:] + Σ_j d_j k[at_j:]``: each term is read once."""
    for i in range(n):
        one = two = peek(y, a + i, 0)
        for j in range(len(at)):
            term = peek(k, at[j] + i, 0)
            one += c[j] * term
            two += d[j] * term
        poke(out, o + i, one, 1)
        poke(ahead, p + i, two, 2)


@njit(nogil=True, cache=True)
def two_stage_sums(out, y, stages, places, table, row, h, at, c, d):
    """:func:`stage_sum` of stage ``row``, and of the next all but its last term, to its own place in ``stages``.

    Sums wait for memory: this way most terms come from there half as often. False where the two have too few or too
    many terms between them, and nothing is done.
    """
    n, m = y.size, INT(0)
    for j in range(row):
        if table[row, j] != 0.0 or table[row + 1, j] != 0.0:
            if m == 8:
                return False
            at[m], c[m], d[m] = U(places[j] * n), h * table[row, j], h * table[row + 1, j]
            m += 1
    if m < 3:
        return False
    for j in range(m, 8):
        at[j], c[j], d[j] = at[0], 0.0, 0.0
    k, z = stages.reshape(-1), U(places[row + 1] * n)
    c0, c1, c2, c3, c4, c5, c6, c7 = c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7]
    d0, d1, d2, d3, d4, d5, d6, d7 = d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]
    for start in range(0, n, BLOCK):
        s, size = U(start), U(min(BLOCK, n - start))
        p0, p1, p2, p3 = at[0] + s, at[1] + s, at[2] + s, at[3] + s
        p4, p5, p6, p7 = at[4] + s, at[5] + s, at[6] + s, at[7] + s
        if m == 3:
            _add_twice(out, s, k, z + s, y, s, k, (p0, p1, p2), (c0, c1, c2), (d0, d1, d2), size)
        elif m == 4:
            _add_twice(out, s, k, z + s, y, s, k, (p0, p1, p2, p3), (c0, c1, c2, c3), (d0, d1, d2, d3), size)
        elif m <= 6:
            _add_twice(
                out, s, k, z + s, y, s, k, (p0, p1, p2, p3, p4, p5), (c0, c1, c2, c3, c4, c5),
                (d0, d1, d2, d3, d4, d5), size,
            )  # fmt: skip
        else:
            _add_twice(
                out, s, k, z + s, y, s, k, (p0, p1, p2, p3, p4, p5, p6, p7), (c0, c1, c2, c3, c4, c5, c6, c7),
                (d0, d1, d2, d3, d4, d5, d6, d7), size,
            )  # fmt: skip
    return True


@njit(nogil=True, cache=True)
def finish_sum(out, stages, places, row, factor):
    """Of what :func:`two_stage_sums` left in the place of stage ``row``: the last term."""
    n, k = U(out.size), stages.reshape(-1)
    _add(out, U(0), k, U(places[row]) * n, k, (U(places[row - 1]) * n,), (factor,), n)


@njit(nogil=True, cache=True, fastmath=FAST, error_model="numpy")  # a check for zero stops vectorising
def _scaled_square(e, y, z, rtol, atol):
    """``Σ (e / (atol + rtol max(|y|, |z|)))²``."""
    total = 0.0
    for i in range(e.size):
        x = e[i] / (atol + rtol * max(abs(y[i]), abs(z[i])))
        total += x * x
    return total


@njit(nogil=True, cache=True)
def _ten(a):
    return a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9]


@njit(nogil=True, cache=True, fastmath=FAST, error_model="numpy")  # a check for zero stops vectorising
def _step_sums(k, at, one, two, three, y, z, last, before, rtol, atol):
    """Sums over all entries, in one pass over ten stages.

    Of the squares of both error estimates ``Σ one_j k_j`` and ``Σ two_j k_j`` over their scale; and of ``d²``, ``dc``
    and ``c²`` with ``d = Σ three_j k_j`` and the change c of f along it.
    """
    first = second = distance = growth = change = 0.0
    for i in range(U(y.size)):
        e = g = d = 0.0
        for j in range(len(at)):
            x = k[at[j] + i]
            e += one[j] * x
            g += two[j] * x
            d += three[j] * x
        inverse = 1.0 / (atol + rtol * max(abs(y[i]), abs(z[i])))
        first += (e * inverse) * (e * inverse)
        second += (g * inverse) * (g * inverse)
        c = k[last + i] - k[before + i]
        distance += d * d
        growth += d * c
        change += c * c
    return first, second, distance, growth, change


@njit(nogil=True, cache=True)
def _judge(stages, places, n_main, measured, measures, h, y, z, entries, rtol, atol):
    """RMS of the scaled error of a step (of both estimates the combination of Hairer, Nørsett and Wanner), and its
    relaxation rate ``‖f(a) - f(b)‖ / ‖a - b‖`` with the new point a and the last stage b, 0 where a - b grows, and
    where it is round-off: that of f would remain while a - b shrinks with the step, and drive the step to 0.

    The rate estimates the fastest relaxation [Hairer, Wanner, IV.2]: the Jacobian is similar to a symmetric matrix.
    """
    n = stages.shape[1]
    at = np.empty(10, dtype=np.uintp)
    for j in range(10):
        at[j] = U(places[measured[j]] * n)
    first, second, distance, growth, change = _step_sums(
        stages.reshape(-1), _ten(at), _ten(h * measures[0]), _ten(h * measures[1]), _ten(h * measures[2]), y, z,
        U(places[n_main] * n), U(places[n_main - 1] * n), rtol, atol,
    )  # fmt: skip
    both = first + 0.01 * second
    error = first / np.sqrt(both * entries) if both > 0.0 else both
    seen = growth < 0.0 and distance > 1e-24 * squares(y)
    return error, np.sqrt(change / distance) if seen else 0.0


@njit(nogil=True, cache=True)
def record(out, row, y, counts):
    """A state without its padding to ``out[row]``."""
    length, padded, record = counts[LENGTH], counts[PADDED], out[row]
    if length == padded:
        copy(y, record)
        return
    for spectrum in range(y.size // padded):
        source, aim = U(spectrum * padded), U(spectrum * length)
        for f in range(U(length)):
            record[aim + f] = y[source + f]


@njit(nogil=True, cache=True, fastmath=FAST)
def finite(y):
    """True if every entry is finite: 0·y is NaN for the others, and sums keep it."""
    total = 0.0
    for i in range(y.size):
        total += 0.0 * y[i]
    return total == 0.0


@njit(cache=True)  # so quick that giving the interpreter lock away, and waiting for it, would take longer
def largest(y):
    """The largest size of an entry; a NaN slips through: :func:`finite` sees it."""
    most = 0.0
    for i in range(y.size):
        most = max(most, abs(y[i]))
    return most


@njit(nogil=True, cache=True)
def bounded(y):
    """True if every entry is below 1e25: far beyond any use, and its powers in a loss are still finite."""
    return largest(y) < 1e25 and finite(y)


@njit(nogil=True, cache=True, fastmath=FAST)
def squares(a):
    total = 0.0
    for i in range(a.size):
        total += a[i] * a[i]
    return total


@njit(nogil=True, cache=True)
def growth(y, f, entries, rtol, atol):
    """RMS of ``y`` over ``atol + rtol |y|``, RMS of ``y``, and the largest ``|f|``: over the latter the rate of growth.

    Where y is random, entries of f that belong to the fastest directions are the largest by far; a mean would drown
    them in the others.
    """
    return np.sqrt(_scaled_square(y, y, y, rtol, atol) / entries), np.sqrt(squares(y) / entries), largest(f)


# --- explicit Runge-Kutta pairs --------------------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def advance_runge_kutta(
    y, stages, trial, control, counts, times, out, budget, max_steps, rtol, atol,
    table, places, measured, measures, interpolant, n_main, error_order, limit,
    conv, sizes, offsets, weights, constant, decay, dense, rows, target, gain, matrix, work,
):  # fmt: skip
    """Take up to ``budget`` steps of an embedded pair; returns a status code.

    ``table``: row j holds the coefficients of stage j; row ``n_main`` those of the solution, so that stage ``n_main``
    is f at the new point (all pairs here reuse it as the next first stage). Stage j is in row ``places[j]`` of
    ``stages``, that of an earlier one which is needed no more.
    ``measures``: three weights for each of the ten stages ``measured``, see :func:`_step_sums`.
    ``stages[0]`` holds f(y) on entry and on return. Steps are kept at ``h ρ <= limit``, where the pair and its
    interpolant still damp the fast directions; where ``control[WATCH]`` > 0, a step so limited says STIFF if RKC
    promises to be cheaper on the rest of the way.
    ``trial`` is scratch.
    """
    y, stages, trial, out, table = borrowed(y), borrowed(stages), borrowed(trial), borrowed(out), borrowed(table)
    sizes, offsets, weights, work = borrowed(sizes), borrowed(offsets), borrowed(weights), borrowed(work)
    rows, target, gain, matrix = borrowed(rows), borrowed(target), borrowed(gain), borrowed(matrix)
    at, c, d = np.zeros(TERMS, dtype=np.uintp), np.zeros(TERMS), np.zeros(TERMS)
    end = times[-1]
    for _ in range(budget):
        t = control[TIME]
        if counts[NEXT] >= times.size:
            return DONE
        if counts[STEPS] + counts[REJECTED] >= max_steps:
            return MAX_STEPS
        h = min(control[STEP], end - t)
        if t + h <= t:
            return STEP_TOO_SMALL
        begun = False
        for j in range(1, n_main + 1):
            if begun:
                finish_sum(trial, stages, places, j, h * table[j, j - 1])
                begun = False
            elif j < n_main and two_stage_sums(trial, y, stages, places, table, j, h, at, c, d):
                begun = True
            else:
                stage_sum(trial, y, stages, places, table, j, j, h, at, c)
            flow(
                trial, stages[places[j]],
                conv, sizes, offsets, weights, constant, decay, dense, rows, target, gain, matrix, work,
            )  # fmt: skip
        counts[CALLS] += n_main
        error, rate = _judge(stages, places, n_main, measured, measures, h, y, trial, control[ENTRIES], rtol, atol)
        if control[FIXED] > 0.0:
            error = 0.0 if np.isfinite(error) else error
        if not np.isfinite(error):
            counts[REJECTED] += 1
            if not finite(stages[0]):
                return NON_FINITE
            control[STEP] = 0.1 * h
            if t + 0.1 * h <= t:
                return NON_FINITE
            continue
        if error > 1.0:
            counts[REJECTED] += 1
            control[STEP] = h * max(0.2, 0.9 * error ** (-1.0 / (error_order + 1)))
            continue
        rate = max(rate, 0.9 * control[RADIUS])  # fast directions are seen only while there is something in them
        counts[STEPS] += 1
        new = end if h == end - t else t + h
        first = counts[NEXT]
        while counts[NEXT] < times.size and times[counts[NEXT]] < new:
            counts[NEXT] += 1
        if counts[NEXT] > first:
            _interpolate(y, stages, places, t, h, first, counts[NEXT], counts, times, out, interpolant, at)
        copy(trial, y)
        copy(stages[places[n_main]], stages[0])
        control[TIME] = new
        while counts[NEXT] < times.size and times[counts[NEXT]] <= new:
            record(out, counts[NEXT], y, counts)
            counts[NEXT] += 1
        if control[FIXED] == 0.0:
            control[STEP] = h * _growth(error, control[OLD_ERROR], error_order)
            control[OLD_ERROR] = max(error, 1e-4)
            control[RADIUS] = rate
            if control[STEP] * rate > limit:
                control[STEP] = max(limit / rate, 0.2 * h)
                if control[WATCH] > 0.0 and stabilised_is_cheaper(control, end, rtol, n_main):
                    return STIFF
    return RUNNING


@njit(nogil=True, cache=True)
def stabilised_is_cheaper(control, end, rtol, n_main):
    """RKC takes N ≈ 2.5 rtol^(-1/3) steps and √(S N / 2) + 2 N right-hand sides over a stiffness S = ρ·span.

    Both laws were measured on flows of 4 to 10 modes with s_max/s_min from 2 to 16. RKC would have all of the tolerance
    of which this method has the share ``control[WATCH]``.
    """
    span = end - control[TIME]
    n_steps = 2.5 * (rtol / control[WATCH]) ** (-1.0 / 3.0)
    explicit = n_main * span / control[STEP]
    return np.sqrt(0.5 * control[RADIUS] * span * n_steps) + 2.0 * n_steps < explicit


@njit(nogil=True, cache=True)
def _growth(error, old_error, error_order):
    """Proportional-integral step control: steadier than the plain rule where stability limits the step."""
    k = error_order + 1
    if error == 0.0:
        return 10.0
    return min(10.0, max(0.2, 0.9 * error ** (-0.7 / k) * old_error ** (0.4 / k)))


@njit(nogil=True, cache=True)
def _interpolate(y, stages, places, t, h, first, stop, counts, times, out, interpolant, at):
    """States at ``times[first:stop]`` inside the step, ``y + h Σ_j p_j(θ) stages_j``, straight into ``out``.

    Spectrum by spectrum, so that its stages come once from memory for all of these times.
    """
    n, (terms, degree) = y.size, interpolant.shape
    c = np.zeros((stop - first) * TERMS)
    m = INT(0)
    for j in range(terms):
        used = False
        for power in range(degree):
            used = used or interpolant[j, power] != 0.0
        if used:
            at[m] = U(places[j] * n)
            for row in range(first, stop):
                theta, value = (times[row] - t) / h, 0.0
                for power in range(degree - 1, -1, -1):
                    value = (value + interpolant[j, power]) * theta
                c[(row - first) * TERMS + m] = h * value
            m += 1
    padded, length = counts[PADDED], counts[LENGTH]
    if padded == 1:
        padded = length = BLOCK
    flat, flat_out = stages.reshape(-1), out.reshape(-1)
    for spectrum in range((n + padded - 1) // padded):
        start = spectrum * padded
        size = U(min(length, n - start))
        for row in range(first, stop):
            aim = U(row * out.shape[1] + spectrum * length)
            _sum_block(flat_out, aim, y, U(start), flat, at, c, (row - first) * TERMS, m, U(start), size)

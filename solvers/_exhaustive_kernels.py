"""Branch and bound, jitted: the relaxation of a node, its bound, its cuts, local descent, and the heap of open nodes.

What is computed and why the bounds hold: :mod:`solvers.exhaustive`. Notation: D columns in B blocks, block b the columns
``starts[b]:starts[b+1]`` (1 or 2), ``z_b`` its part of x, ``r = |z_b|``, ``h(x) = ½xᵀGx - cᵀx + Σ_b u_b |z_b|^p``.

A *node* says of every block where r may be: in ``[low, high]``, or also at 0 where ``optional``; ``high = 0`` is a
block that is zero. ``G = Q + Δ`` with Q ⪰ 0 and ``Δ = diag(δ_b)``, ``ridge[b] = δ_b ≥ 0``.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

INT = np.int64

# rows of the table of a node's envelopes: see _envelope
LEVEL, SLOPE, BEND, OFFSET, SECANT, TOP, RIDGE, STEP = 0, 1, 2, 3, 4, 5, 6, 7
ROWS = 8

# slots of the counters and of the floats that a search carries from one call to the next
OPEN, NODES, FREE, LOCAL, SWEEPS = 0, 1, 2, 3, 4
COUNTS = 8
UPPER, LOWEST, TOLERANCE = 0, 1, 2
FLOATS = 4

DONE, BUDGET, FULL = 0, 1, 2
HUGE = 1e300
SLOPE_EQUAL = 1.0 - 1e-9


# ---------------------------------------------------------------------------------------------- the problem itself


@njit(nogil=True, cache=True)
def norm_of(x, first, last):
    """|z_b| of the block with columns first to last - 1."""
    if last - first == 1:
        return abs(x[first])
    return math.sqrt(x[first] * x[first] + x[first + 1] * x[first + 1])


@njit(nogil=True, cache=True)
def landing(z, u, p):
    """Minimiser of ``½(r - z)² + u r^p`` over r ≥ 0, for z ≥ 0, 0 < p ≤ 1."""
    if p == 1.0:
        return max(0.0, z - u)
    least = (2.0 * (1.0 - p) * u) ** (1.0 / (2.0 - p))
    if z <= least * (2.0 - p) / (2.0 * (1.0 - p)):
        return 0.0
    r = z  # right of the largest root of a convex function: Newton falls monotonically
    for _ in range(60):
        power = u * p * r ** (p - 1.0)
        step = (r - z + power) / (1.0 - (1.0 - p) * power / r)
        r -= step
        if step <= 1e-15 * r:
            break
    return max(r, least)


@njit(nogil=True, cache=True)
def slope_at(gram, cross, x, g):
    """``g = Gx - c``, in place."""
    for i in range(len(x)):
        g[i] = -cross[i]
    for j in range(len(x)):
        if x[j] != 0.0:
            for i in range(len(x)):
                g[i] += gram[j, i] * x[j]


@njit(nogil=True, cache=True)
def value_at(cross, starts, thresholds, p, x, g):
    """``h(x)``, given ``g = Gx - c``."""
    total = 0.0
    for i in range(len(x)):
        total += 0.5 * x[i] * (g[i] - cross[i])
    for b in range(len(thresholds)):
        r = norm_of(x, starts[b], starts[b + 1])
        if r > 0.0:
            total += thresholds[b] * r**p
    return total


@njit(nogil=True, cache=True)
def descend(gram, cross, starts, lipschitz, thresholds, p, x, g, sweeps):
    """Block coordinate descent on h with its own prox, in place; stops when a sweep moves nothing."""
    for _ in range(sweeps):
        moved = 0.0
        for b in range(len(thresholds)):
            first, last = starts[b], starts[b + 1]
            if lipschitz[b] == 0.0:
                continue
            step = 1.0 / lipschitz[b]
            y0 = x[first] - step * g[first]
            y1 = x[first + 1] - step * g[first + 1] if last - first == 2 else 0.0
            size = math.sqrt(y0 * y0 + y1 * y1)
            factor = landing(size, thresholds[b] * step, p) / size if size > 0.0 else 0.0
            for j in range(first, last):
                new = factor * (y0 if j == first else y1)
                change = new - x[j]
                if change != 0.0:
                    x[j] = new
                    moved += lipschitz[b] * change * change
                    for i in range(len(x)):
                        g[i] += gram[j, i] * change
        if moved <= 1e-12 * max(1e-300, abs(value_at(cross, starts, thresholds, p, x, g))):
            break


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def factor(a, n):
    """Cholesky of ``a[:n, :n]``, in its lower half; False where it is not positive definite beyond round-off."""
    for i in range(n):
        diagonal = a[i, i]
        for j in range(i):
            entry = a[i, j]
            for k in range(j):
                entry -= a[i, k] * a[j, k]
            a[i, j] = entry / a[j, j]
        pivot = diagonal
        for k in range(i):
            pivot -= a[i, k] * a[i, k]
        if not pivot > 1e-14 * abs(diagonal):
            return False
        a[i, i] = math.sqrt(pivot)
    return True


@njit(nogil=True, cache=True)
def back_substitute(a, n, rhs):
    for i in range(n):
        for k in range(i):
            rhs[i] -= a[i, k] * rhs[k]
        rhs[i] /= a[i, i]
    for i in range(n - 1, -1, -1):
        rhs[i] /= a[i, i]
        for k in range(i):
            rhs[k] -= a[i, k] * rhs[i]


@njit(nogil=True, cache=True)
def solve_cholesky(a, n, rhs):
    """Solve ``a[:n, :n] s = rhs[:n]`` in place; False where ``a`` is not positive definite."""
    if not factor(a, n):
        return False
    back_substitute(a, n, rhs)
    return True


@njit(nogil=True, cache=True)
def polish(gram, cross, starts, thresholds, p, x, g, value, steps):
    """Newton steps on the support of x that lower h, in place; the value reached."""
    width = len(x)
    for _ in range(steps):
        columns = np.flatnonzero(x)
        n = len(columns)
        if n == 0:
            break
        hessian, step = np.empty((n, n)), np.empty(n)
        place = np.full(width, -1)
        for i in range(n):
            place[columns[i]] = i
            step[i] = -g[columns[i]]
            for j in range(n):
                hessian[i, j] = gram[columns[i], columns[j]]
        for b in range(len(thresholds)):
            first, last = starts[b], starts[b + 1]
            r = norm_of(x, first, last)
            if r == 0.0:
                continue
            pull = thresholds[b] * p * r ** (p - 2.0)
            for i in range(first, last):
                if place[i] < 0:
                    continue
                step[place[i]] -= pull * x[i]
                hessian[place[i], place[i]] += pull
                for j in range(first, last):
                    if place[j] >= 0:
                        hessian[place[i], place[j]] += pull * (p - 2.0) * (x[i] / r) * (x[j] / r)
        if not solve_cholesky(hessian, n, step):
            break
        trial, slope = x.copy(), np.empty(width)
        fraction, better = 1.0, False
        for _ in range(4):
            for i in range(n):
                trial[columns[i]] = x[columns[i]] + fraction * step[i]
            slope_at(gram, cross, trial, slope)
            new = value_at(cross, starts, thresholds, p, trial, slope)
            if new < value:
                better = True
                break
            fraction *= 0.25
        if not better:
            break
        fall = value - new
        x[:], g[:], value = trial, slope, new
        if fall <= 1e-15 * abs(value):
            break
    return value


@njit(nogil=True, cache=True)
def local_minimum(gram, cross, starts, lipschitz, thresholds, p, x, g):
    """From x, in place, to a local minimum of h: its value."""
    slope_at(gram, cross, x, g)
    value = value_at(cross, starts, thresholds, p, x, g)
    for _ in range(4):
        descend(gram, cross, starts, lipschitz, thresholds, p, x, g, 30)
        before = value_at(cross, starts, thresholds, p, x, g)
        value = polish(gram, cross, starts, thresholds, p, x, g, before, 10)
        if before - value <= 1e-13 * abs(value):
            break
    slope_at(gram, cross, x, g)
    return value_at(cross, starts, thresholds, p, x, g)


# ------------------------------------------------------------------------------------------- the relaxation of a node


@njit(nogil=True, cache=True)
def draw_envelopes(optional, low, high, thresholds, p, ridge, lipschitz, table):
    """Write each block's convex lower bound ``e(r) ≤ u r^p + ½δr²``: LEVEL + SLOPE·r up to BEND, then OFFSET + SECANT·r + ½δr²."""
    for b in range(len(thresholds)):
        u, first, last, delta = thresholds[b], low[b], high[b], ridge[b]
        table[TOP, b], table[RIDGE, b] = last, delta
        table[STEP, b] = max(lipschitz[b] - delta, 0.01 * lipschitz[b])
        if last <= 0.0:
            table[:TOP, b] = 0.0
            continue
        at_first = u * first**p if first > 0.0 else 0.0
        secant = 0.0
        if p == 1.0:
            secant = u
        elif last - first > 1e-12 * last:
            secant = max(0.0, (u * last**p - at_first) / (last - first))
        offset = max(0.0, at_first - secant * first)
        table[OFFSET, b], table[SECANT, b] = offset, secant
        if optional[b]:
            bend = last
            if delta > 0.0:
                bend = min(last, max(first, math.sqrt(2.0 * offset / delta)))
            table[BEND, b], table[LEVEL, b] = bend, 0.0
            table[SLOPE, b] = secant + (offset / bend + 0.5 * delta * bend if bend > 0.0 else 0.0)
        else:
            table[BEND, b], table[SLOPE, b] = first, 0.0
            table[LEVEL, b] = offset + secant * first + 0.5 * delta * first * first


@njit(nogil=True, cache=True)
def envelope_at(table, b, r):
    if r <= table[BEND, b]:
        return table[LEVEL, b] + table[SLOPE, b] * r
    return table[OFFSET, b] + r * (table[SECANT, b] + 0.5 * table[RIDGE, b] * r)


@njit(nogil=True, cache=True)
def envelope_prox(table, b, size):
    """Minimiser of ``½κ(r - size)² + e(r)`` over [0, TOP]."""
    step = table[STEP, b]
    r = max(0.0, size - table[SLOPE, b] / step)
    if r > table[BEND, b]:
        r = max(table[BEND, b], (step * size - table[SECANT, b]) / (step + table[RIDGE, b]))
    return min(r, table[TOP, b])


@njit(nogil=True, cache=True)
def least_of(table, b, pull):
    """``min e(r) - pull·r`` over [0, TOP]."""
    if pull <= table[SLOPE, b]:
        return table[LEVEL, b]
    r = table[BEND, b]
    if pull > table[SECANT, b]:
        r = table[TOP, b]
        if table[RIDGE, b] > 0.0:
            r = min(r, max(table[BEND, b], (pull - table[SECANT, b]) / table[RIDGE, b]))
    return envelope_at(table, b, r) - pull * r


@njit(nogil=True, cache=True)
def pull_of(table, starts, b, x, g):
    """``|Qx - c|`` on block b, given ``g = Gx - c``."""
    delta, first = table[RIDGE, b], starts[b]
    y0 = g[first] - delta * x[first]
    if starts[b + 1] - first == 1:
        return abs(y0)
    y1 = g[first + 1] - delta * x[first + 1]
    return math.sqrt(y0 * y0 + y1 * y1)


@njit(nogil=True, cache=True)
def lower_bound(table, cross, starts, x, g):
    """``-½xᵀQx + Σ_b min_r (e_b(r) - |(Qx - c)_b| r)``: below h on the node, whatever x is."""
    total = 0.0
    for b in range(table.shape[1]):
        for i in range(starts[b], starts[b + 1]):
            total -= 0.5 * x[i] * (g[i] + cross[i] - table[RIDGE, b] * x[i])
        if table[TOP, b] > 0.0:
            total += least_of(table, b, pull_of(table, starts, b, x, g))
    return total


@njit(nogil=True, cache=True)
def relaxed_value(table, cross, starts, x, g):
    total = 0.0
    for b in range(table.shape[1]):
        for i in range(starts[b], starts[b + 1]):
            total += 0.5 * x[i] * (g[i] - cross[i] - table[RIDGE, b] * x[i])
        if table[TOP, b] > 0.0:
            total += envelope_at(table, b, norm_of(x, starts[b], starts[b + 1]))
    return total


@njit(nogil=True, cache=True)
def newton_step(gram, cross, starts, table, x, g, value):
    """One Newton step of the relaxation on the pieces that x lies on, taken where it lowers the value; the value.

    A block at a corner of its envelope keeps its magnitude; where it has two columns it may turn.
    """
    width = len(x)
    basis, columns, ends = np.empty((width, 2)), np.empty(width, INT), np.empty(width, INT)
    bending, force = np.zeros((width, 2)), np.empty(width)
    n = 0
    hessian = np.empty((width, width))
    for b in range(table.shape[1]):
        first, last = starts[b], starts[b + 1]
        if table[TOP, b] <= 0.0:
            continue
        r, delta = norm_of(x, first, last), table[RIDGE, b]
        bend, top = table[BEND, b], table[TOP, b]
        if r <= 0.0:
            if table[SLOPE, b] > 0.0 or bend <= 0.0:
                continue
            for i in range(first, last):
                columns[n], ends[n], basis[n, 0], basis[n, 1] = first, last, i == first, i != first
                bending[n, 0], bending[n, 1] = -delta, 0.0
                force[n] = g[i] - delta * x[i]
                n += 1
            continue
        smooth = (SLOPE_EQUAL * (table[SECANT, b] + delta * bend) <= table[SLOPE, b])
        corner = r >= top or (r == bend and not smooth)
        lean, curvature = table[SLOPE, b], 0.0
        if r > bend or (r == bend and smooth and bend < top):
            lean, curvature = table[SECANT, b] + delta * r, delta
        c0, c1 = x[first] / r, x[first + 1] / r if last - first == 2 else 0.0
        along = c0 * g[first] + (c1 * g[first + 1] if last - first == 2 else 0.0) - delta * r
        if not corner:
            columns[n], ends[n], basis[n, 0], basis[n, 1] = first, last, c0, c1
            bending[n, 0] = curvature - delta
            force[n] = along + lean
            n += 1
        if last - first == 2:
            columns[n], ends[n], basis[n, 0], basis[n, 1] = first, last, -c1, c0
            bending[n, 0] = (max(0.0, -along) if corner else lean) / r - delta
            force[n] = -c1 * g[first] + c0 * g[first + 1]
            n += 1
    if n == 0:
        return value
    step = np.empty(n)
    for i in range(n):
        step[i] = -force[i]
        for j in range(i + 1):
            total = 0.0
            for k in range(ends[i] - columns[i]):
                for m in range(ends[j] - columns[j]):
                    total += basis[i, k] * gram[columns[i] + k, columns[j] + m] * basis[j, m]
            hessian[i, j] = total
        hessian[i, i] += bending[i, 0] + 1e-11 * abs(hessian[i, i])
    if not solve_cholesky(hessian, n, step):
        return value
    whole = np.zeros(width)
    for i in range(n):
        for k in range(ends[i] - columns[i]):
            whole[columns[i] + k] += step[i] * basis[i, k]
    near = 1.0
    for b in range(table.shape[1]):
        if table[TOP, b] > 0.0:
            near = min(near, way_to_end(table, starts, b, x, whole))
    trial, slope = np.empty(width), np.empty(width)
    fraction = 1.0
    for attempt in range(5):
        if attempt == 1:
            fraction = near
        elif attempt > 1:
            fraction *= 0.3
        for i in range(width):
            trial[i] = x[i] + fraction * whole[i]
        for b in range(table.shape[1]):
            settle(table, starts, b, x, trial)
        slope_at(gram, cross, trial, slope)
        new = relaxed_value(table, cross, starts, trial, slope)
        if new < value:
            x[:], g[:] = trial, slope
            return new
    return value


@njit(nogil=True, cache=True)
def way_to_end(table, starts, b, x, step):
    """The fraction of the step at which block b leaves the piece of the envelope that it lies on, with a margin."""
    first, last = starts[b], starts[b + 1]
    old, bend, top = norm_of(x, first, last), table[BEND, b], table[TOP, b]
    size = norm_of(step, first, last)
    if old == 0.0 or size == 0.0 or old == top or (old == bend and table[SLOPE, b] == 0.0):
        return 1.0
    agree = step[first] * x[first] + (step[first + 1] * x[first + 1] if last - first == 2 else 0.0)
    far = bend if old < bend else top
    away = (math.sqrt(agree * agree + size * size * (far * far - old * old)) - agree) / (size * size)
    if agree < 0.0:
        if old <= bend:
            away = min(away, -old * old / agree * (1.0 + 1e-9))
        elif agree * agree > size * size * (old * old - bend * bend):
            away = min(away, (-agree - math.sqrt(agree * agree - size * size * (old * old - bend * bend))) / (size * size))
    return away * (1.0 + 1e-9)


@njit(nogil=True, cache=True)
def settle(table, starts, b, x, trial):
    """Bring a block back to the piece of the envelope that it left, or to its end."""
    first, last = starts[b], starts[b + 1]
    old, new = norm_of(x, first, last), norm_of(trial, first, last)
    bend, top = table[BEND, b], table[TOP, b]
    wanted = min(new, top)
    if old > 0.0:
        agree = trial[first] * x[first] + (trial[first + 1] * x[first + 1] if last - first == 2 else 0.0)
        if old == top or (old == bend and table[SLOPE, b] == 0.0):
            wanted = old
        elif agree < 0.0 and table[SLOPE, b] > 0.0:
            wanted = 0.0
        elif (old - bend) * (new - bend) < 0.0:
            wanted = bend
    if wanted != new and new > 0.0:
        for i in range(first, last):
            trial[i] *= wanted / new


@njit(nogil=True, cache=True)
def settled(value, bound, cut):
    return bound >= cut or (value < cut and value - bound <= 0.1 * (cut - value))


@njit(nogil=True, cache=True)
def relax(gram, cross, starts, table, x, g, cut, sweeps, counts):
    """Block coordinate descent on the relaxation, in place: its best lower bound.

    It ends when the bound passes ``cut``, or when the value of the relaxation shows that it never will and both are
    close in comparison.
    """
    best, last_value = -HUGE, HUGE
    for sweep in range(sweeps):
        counts[SWEEPS] += 1
        for b in range(table.shape[1]):
            first, last = starts[b], starts[b + 1]
            if table[TOP, b] <= 0.0:
                continue
            step, delta = 1.0 / table[STEP, b], table[RIDGE, b]
            y0 = x[first] - step * (g[first] - delta * x[first])
            y1 = x[first + 1] - step * (g[first + 1] - delta * x[first + 1]) if last - first == 2 else 0.0
            size = math.sqrt(y0 * y0 + y1 * y1)
            factor = envelope_prox(table, b, size) / size if size > 0.0 else 0.0
            for j in range(first, last):
                change = factor * (y0 if j == first else y1) - x[j]
                if change != 0.0:
                    x[j] += change
                    for i in range(len(x)):
                        g[i] += gram[j, i] * change
        value = relaxed_value(table, cross, starts, x, g)
        best = max(best, lower_bound(table, cross, starts, x, g))
        if settled(value, best, cut):
            break
        if sweep % 4 == 3:
            for _ in range(30):
                before = value
                value = newton_step(gram, cross, starts, table, x, g, value)
                best = max(best, lower_bound(table, cross, starts, x, g))
                if before - value <= 1e-14 * abs(value) or settled(value, best, cut):
                    break
            if settled(value, best, cut) or last_value - value <= 1e-13 * abs(value):
                break
            last_value = value
    return best


@njit(nogil=True, cache=True)
def tighten(table, optional, low, high, starts, x, g, slack):
    """Cut from the node what the bound already excludes: what is at least ``slack`` above the bound.

    With block b at r instead of its best, the bound rises by ``e_b(r) - |g_b| r - min``. -1 where nothing is left, else
    how many blocks changed enough to be worth another look.
    """
    changed = 0
    for b in range(table.shape[1]):
        if high[b] <= 0.0:
            continue
        pull = pull_of(table, starts, b, x, g)
        level = least_of(table, b, pull) + slack
        if optional[b] and level < 0.0:
            optional[b] = False
            changed += 1
        offset, lean, delta = table[OFFSET, b] - level, table[SECANT, b] - pull, table[RIDGE, b]
        first, last = low[b], high[b]
        if delta > 0.0:
            inside = lean * lean - 2.0 * delta * offset
            if inside < 0.0:
                last = -1.0
            else:
                root = math.sqrt(inside)
                last = min(last, (root - lean) / delta * (1.0 + 1e-12))
                first = max(first, (-root - lean) / delta * (1.0 - 1e-12))
        elif lean > 0.0:
            last = min(last, -offset / lean * (1.0 + 1e-12))
        elif lean < 0.0:
            first = max(first, -offset / lean * (1.0 - 1e-12))
        elif offset > 0.0:
            last = -1.0
        if last < first:
            if not optional[b]:
                return -1
            high[b] = 0.0
            changed += 1
            continue
        if last - first < 0.7 * (high[b] - low[b]):
            changed += 1
        low[b], high[b] = first, last
    return changed


@njit(nogil=True, cache=True)
def smallest_eigenvalue(scaled, starts, high, known):
    """A number λ ≥ ``known`` such that ``scaled - λ`` is positive definite on the blocks that may be nonzero."""
    columns = np.empty(scaled.shape[0], INT)
    n = 0
    for b in range(len(high)):
        if high[b] > 0.0:
            for i in range(starts[b], starts[b + 1]):
                columns[n] = i
                n += 1
    if n == 0:
        return known
    matrix, vector = np.empty((n, n)), np.empty(n)
    for i in range(n):
        vector[i] = 1.0 + 0.3 * math.sin(1.0 + 2.0 * i)
        for j in range(n):
            matrix[i, j] = scaled[columns[i], columns[j]]
        matrix[i, i] -= known
    if not factor(matrix, n):
        return known
    least = 1.0
    for _ in range(6):
        size = 0.0
        for i in range(n):
            size += vector[i] * vector[i]
        size = math.sqrt(size)
        for i in range(n):
            vector[i] /= size
        before = vector.copy()
        back_substitute(matrix, n, vector)
        top, bottom = 0.0, 0.0
        for i in range(n):
            top += vector[i] * before[i]
            bottom += vector[i] * vector[i]
        old, least = least, top / bottom
        if old - least < 0.05 * least:
            break
    for share in (0.97, 0.8, 0.4):
        for i in range(n):
            for j in range(n):
                matrix[i, j] = scaled[columns[i], columns[j]]
            matrix[i, i] -= known + share * least
        if factor(matrix, n):
            return known + share * least
    return known


@njit(nogil=True, cache=True)
def evaluate(gram, cross, starts, lipschitz, thresholds, p, scaled, share, optional, low, high, x, g, table, cut, rounds, counts):
    """Bound of a node (infinite where it is empty); its box, x and g change in place."""
    bound, alive = -HUGE, INT(-1)
    ridge = share * lipschitz
    for _ in range(rounds):
        now = np.count_nonzero(high > 0.0)
        if now != alive:
            alive = now
            share = smallest_eigenvalue(scaled, starts, high, share)
            ridge = share * lipschitz
        for b in range(len(thresholds)):
            r = norm_of(x, starts[b], starts[b + 1])
            if r > high[b]:
                for i in range(starts[b], starts[b + 1]):
                    x[i] *= high[b] / r
        slope_at(gram, cross, x, g)
        draw_envelopes(optional, low, high, thresholds, p, ridge, lipschitz, table)
        new = relax(gram, cross, starts, table, x, g, cut, 200, counts)
        bound = max(bound, new)
        if bound >= cut:
            break
        changed = tighten(table, optional, low, high, starts, x, g, cut - lower_bound(table, cross, starts, x, g))
        if changed < 0:
            return HUGE, share
        if changed == 0:
            break
    return bound, share


# --------------------------------------------------------------------------------------------------- the search


@njit(nogil=True, cache=True)
def push(heap, counts, bounds, node):
    i = counts[OPEN]
    counts[OPEN] += 1
    while i > 0:
        parent = (i - 1) // 2
        if bounds[heap[parent]] <= bounds[node]:
            break
        heap[i] = heap[parent]
        i = parent
    heap[i] = node


@njit(nogil=True, cache=True)
def pop(heap, counts, bounds):
    top = heap[0]
    counts[OPEN] -= 1
    n = counts[OPEN]
    node = heap[n]
    i = 0
    while 2 * i + 1 < n:
        child = 2 * i + 1
        if child + 1 < n and bounds[heap[child + 1]] < bounds[heap[child]]:
            child += 1
        if bounds[heap[child]] >= bounds[node]:
            break
        heap[i] = heap[child]
        i = child
    heap[i] = node
    return top


@njit(nogil=True, cache=True)
def offer(gram, cross, starts, lipschitz, thresholds, p, x, best, floats):
    """Try the local minimum that x leads to as the best point known."""
    point, g = x.copy(), np.empty(len(x))
    value = local_minimum(gram, cross, starts, lipschitz, thresholds, p, point, g)
    if value < floats[UPPER]:
        floats[UPPER] = value
        best[:] = point
        return True
    return False


@njit(nogil=True, cache=True)
def widest(optional, low, high, starts, thresholds, p, ridge, x, table):
    """The block whose penalty is farthest above its envelope at x."""
    chosen, largest = -1, 0.0
    for b in range(len(thresholds)):
        if high[b] <= 0.0:
            continue
        r = norm_of(x, starts[b], starts[b + 1])
        if r <= 0.0:
            continue
        above = thresholds[b] * r**p + 0.5 * ridge[b] * r * r - envelope_at(table, b, r)
        if above > largest:
            chosen, largest = b, above
    return chosen


@njit(nogil=True, cache=True)
def search(gram, cross, starts, lipschitz, thresholds, p, scaled, shares, optionals, lows, highs, points, bounds, heap, spare, best, floats, counts, budget):
    """Best-first search until the tree is empty, ``budget`` nodes are done, or the room for open nodes is full."""
    blocks, width = len(thresholds), len(cross)
    table = np.empty((ROWS, blocks))
    x, g = np.empty(width), np.empty(width)
    low, high, optional = np.empty(blocks), np.empty(blocks), np.empty(blocks, np.bool_)
    for _ in range(budget):
        cut = floats[UPPER] - floats[TOLERANCE]
        if counts[OPEN] == 0 or bounds[heap[0]] >= cut:
            counts[OPEN] = 0
            return DONE
        if counts[FREE] < 2:
            return FULL
        node = pop(heap, counts, bounds)
        ridge = shares[node] * lipschitz
        share0 = shares[node]
        draw_envelopes(optionals[node], lows[node], highs[node], thresholds, p, ridge, lipschitz, table)
        b = widest(optionals[node], lows[node], highs[node], starts, thresholds, p, ridge, points[node], table)
        counts[FREE] += 1
        spare[counts[FREE] - 1] = node
        if b < 0:  # the relaxation is exact at its point, up to how well it was solved
            b = 0
            for k in range(blocks):
                if highs[node, k] - lows[node, k] > highs[node, b] - lows[node, b]:
                    b = k
        x0 = points[node].copy()
        low0, high0, optional0 = lows[node].copy(), highs[node].copy(), optionals[node].copy()
        before = bounds[node]
        r = norm_of(x0, starts[b], starts[b + 1])
        for side in range(2):
            x[:], low[:], high[:], optional[:] = x0, low0, high0, optional0
            if optional0[b]:
                optional[b] = False
                if side == 0:
                    high[b] = 0.0
            else:
                width_b = high0[b] - low0[b]
                middle = min(max(r, low0[b] + 0.1 * width_b), high0[b] - 0.1 * width_b)
                if side == 0:
                    high[b] = middle
                else:
                    low[b] = middle
            counts[NODES] += 1
            cut = floats[UPPER] - floats[TOLERANCE]
            bound, share = evaluate(gram, cross, starts, lipschitz, thresholds, p, scaled, share0, optional, low, high, x, g, table, cut, 4, counts)
            bound = max(bound, before)
            if bound >= cut:
                continue
            value = value_at(cross, starts, thresholds, p, x, g)
            if value - floats[UPPER] < 0.2 * (floats[UPPER] - bound) or counts[NODES] % 16 == 0:
                counts[LOCAL] += 1
                offer(gram, cross, starts, lipschitz, thresholds, p, x, best, floats)
            counts[FREE] -= 1
            child = spare[counts[FREE]]
            optionals[child], lows[child], highs[child], points[child] = optional, low, high, x
            bounds[child], shares[child] = bound, share
            push(heap, counts, bounds, child)
    return BUDGET

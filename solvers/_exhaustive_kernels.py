"""Branch and bound, jitted: a node's relaxation and its bound, what the bound excludes, local descent, the open nodes.

What is computed and why the bounds hold: :mod:`solvers.exhaustive`. D columns in B blocks, block b the columns
``starts[b]:starts[b+1]`` (one or two), ``z_b`` its part of x, ``r = |z_b|``; ``g = Gx - c`` is carried along with x.

A *problem* is the tuple ``gram, cross, starts, lipschitz, thresholds, p, scaled``: ``lipschitz[b] = τ_b`` the largest
eigenvalue of the block's Gram matrix, ``scaled = G / √(τ_a τ_b)``. A *node* says of every block where r may be: in
``[low, high]``, or also at 0 where ``optional``; ``high = 0`` is a block that is zero. Its ``share`` σ splits
``G = Q + σ diag(τ_b)``, with Q positive definite on the blocks that may be nonzero. *Nodes* is the tuple
``optionals, lows, highs, points, bounds, shares, heap, spare``: a row for each node, the heap of the open ones, the
stack of free rows.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

INT = np.int64
SUMS = {"reassoc", "contract"}  # a sum in any order is as good; NaN keeps its meaning

# rows of the table of a node's envelopes: see draw_envelopes
LEVEL, SLOPE, BEND, OFFSET, SECANT, TOP, RIDGE, STEP, ROOT = 0, 1, 2, 3, 4, 5, 6, 7, 8
ROWS = 9

# slots of the counters and of the floats that a search carries from one call to the next
OPEN, NODES, FREE = 0, 1, 2
COUNTS = 3
UPPER, TOLERANCE = 0, 1
FLOATS = 2

CLOSED, BUDGET, FULL = 0, 1, 2

HUGE = 1e300
ROUNDING = 4 * 2.2e-16  # of an entry of Gx - c, relative to what it is the sum of
EDGE = 1e-12  # by which a computed interval is wider than its formula says
SWEEPS = 200  # of one relaxation at most; Newton steps every NEWTON_EVERY sweeps make a dozen the rule
NEWTON_EVERY = 4
NEWTON_STEPS = 30
ROUNDS = 4  # relax, exclude, relax again
COVERED = 0.6  # above this share of the penalty in the landing, branch on zero or not, else on the magnitude


# ---------------------------------------------------------------------------------------------- the problem itself


@njit(nogil=True, cache=True)
def dot_of(x, y, first, last):
    """``x_b · y_b`` over the columns of a block."""
    if last - first == 1:
        return x[first] * y[first]
    return x[first] * y[first] + x[first + 1] * y[first + 1]


@njit(nogil=True, cache=True)
def norm_of(x, first, last):
    """``|x_b|`` over the columns of a block."""
    return abs(x[first]) if last - first == 1 else math.sqrt(dot_of(x, x, first, last))


@njit(nogil=True, cache=True)
def landing_prox(z, u, p):
    """Minimiser of ``½(r - z)² + u r^p`` over r ≥ 0, for z ≥ 0 and 0 < p ≤ 1; 0 at the jump."""
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
def put(target, source):
    """``target[:] = source``; the slice assignment takes numba longer to compile than a whole small function."""
    for i in range(len(source)):
        target[i] = source[i]


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
def move_block(gram, x, g, first, last, y0, y1):
    """Set the block to ``(y0, y1)`` and keep ``g = Gx - c``."""
    for j in range(first, last):
        change = (y0 if j == first else y1) - x[j]
        if change != 0.0:
            x[j] += change
            for i in range(len(x)):
                g[i] += gram[j, i] * change


# ------------------------------------------------------------------------------------------------- local minima


@njit(nogil=True, cache=True)
def descend(problem, x, g, sweeps):
    """Block coordinate descent on h with its own prox, in place, until the value stays or ``sweeps`` are done."""
    gram, cross, starts, lipschitz, thresholds, p, _ = problem
    value = value_at(cross, starts, thresholds, p, x, g)
    for _ in range(sweeps):
        for b in range(len(thresholds)):
            first, last = starts[b], starts[b + 1]
            if lipschitz[b] == 0.0:
                move_block(gram, x, g, first, last, 0.0, 0.0)
                continue
            step = 1.0 / lipschitz[b]
            y0 = x[first] - step * g[first]
            y1 = x[last - 1] - step * g[last - 1] if last - first == 2 else 0.0
            size = math.sqrt(y0 * y0 + y1 * y1)
            factor = landing_prox(size, thresholds[b] * step, p) / size if size > 0.0 else 0.0
            move_block(gram, x, g, first, last, factor * y0, factor * y1)
        before, value = value, value_at(cross, starts, thresholds, p, x, g)
        if before - value <= 1e-12 * abs(value):
            break


@njit(nogil=True, cache=True, fastmath=SUMS)
def factor_cholesky(a, n):
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
def solve_factored(a, n, rhs):
    """Solve with the factor that :func:`factor_cholesky` left, in place."""
    for i in range(n):
        for k in range(i):
            rhs[i] -= a[i, k] * rhs[k]
        rhs[i] /= a[i, i]
    for i in range(n - 1, -1, -1):
        rhs[i] /= a[i, i]
        for k in range(i):
            rhs[k] -= a[i, k] * rhs[i]


@njit(nogil=True, cache=True)
def support_step(problem, x, g, columns, step):
    """The Newton step of h on the columns where x is not zero: how many; 0 where h is not convex there."""
    gram, _, starts, _, thresholds, p, _ = problem
    block, n = np.empty(len(x), INT), 0
    for b in range(len(thresholds)):
        for i in range(starts[b], starts[b + 1]):
            if x[i] != 0.0:
                columns[n], block[n] = i, b
                n += 1
    hessian = np.empty((n, n))
    for i in range(n):
        b = block[i]
        r = norm_of(x, starts[b], starts[b + 1])
        pull = thresholds[b] * p * r ** (p - 2.0)
        step[i] = -g[columns[i]] - pull * x[columns[i]]
        for j in range(i + 1):
            hessian[i, j] = gram[columns[i], columns[j]]
            if block[j] == b:
                hessian[i, j] += pull * (p - 2.0) * (x[columns[i]] / r) * (x[columns[j]] / r)
        hessian[i, i] += pull
    if not factor_cholesky(hessian, n):
        return 0
    solve_factored(hessian, n, step)
    return n


@njit(nogil=True, cache=True)
def polish(problem, x, g, value, steps):
    """Newton steps on the support of x as long as they lower h, in place; the value reached."""
    gram, cross, starts, _, thresholds, p, _ = problem
    trial, slope, step, columns = np.empty(len(x)), np.empty(len(x)), np.empty(len(x)), np.empty(len(x), INT)
    for _ in range(steps):
        n = support_step(problem, x, g, columns, step)
        if n == 0:
            break
        before, fraction = value, 1.0
        for _ in range(4):
            put(trial, x)
            for i in range(n):
                trial[columns[i]] += fraction * step[i]
            slope_at(gram, cross, trial, slope)
            new = value_at(cross, starts, thresholds, p, trial, slope)
            if new < value:
                put(x, trial)
                put(g, slope)
                value = new
                break
            fraction *= 0.25
        if before - value <= 1e-15 * abs(value):
            break
    return value


@njit(nogil=True, cache=True)
def offer(problem, x, best, floats):
    """Keep the local minimum that descent from x reaches, where it is the best point so far."""
    gram, cross, starts, _, thresholds, p, _ = problem
    point, g = x.copy(), np.empty(len(x))
    for _ in range(4):
        slope_at(gram, cross, point, g)
        descend(problem, point, g, 30)
        before = value_at(cross, starts, thresholds, p, point, g)
        value = polish(problem, point, g, before, 10)
        if before - value <= 1e-13 * abs(value):
            break
    slope_at(gram, cross, point, g)
    value = value_at(cross, starts, thresholds, p, point, g)
    if value < floats[UPPER]:
        floats[UPPER] = value
        put(best, point)


# ------------------------------------------------------------------------------------------- the relaxation of a node


@njit(nogil=True, cache=True)
def draw_envelopes(problem, share, optional, low, high, table):
    """Write each block's convex ``e(r) ≤ u r^p + ½δr²``, δ = σ τ_b, the largest one that has the same form.

    ``e(r) = LEVEL + SLOPE r`` up to BEND, ``OFFSET + SECANT r + ½δr²`` from there to TOP: the secant of u r^p over
    [low, high]; below it a constant, or where 0 is allowed the tangent through 0.
    """
    _, _, _, lipschitz, thresholds, p, _ = problem
    for b in range(len(thresholds)):
        u, first, last, delta = thresholds[b], low[b], high[b], share * lipschitz[b]
        table[TOP, b], table[RIDGE, b], table[ROOT, b] = last, delta, math.sqrt(lipschitz[b])
        table[STEP, b] = max(lipschitz[b] - delta, 0.01 * lipschitz[b])
        if last <= 0.0:
            for row in range(TOP):
                table[row, b] = 0.0
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
            bend = last if delta == 0.0 else min(last, max(first, math.sqrt(2.0 * offset / delta)))
            table[BEND, b], table[LEVEL, b] = bend, 0.0
            table[SLOPE, b] = secant + (offset / bend + 0.5 * delta * bend if bend > 0.0 else 0.0)
        else:
            table[BEND, b], table[SLOPE, b] = first, 0.0
            table[LEVEL, b] = offset + first * (secant + 0.5 * delta * first)


@njit(nogil=True, cache=True)
def envelope_at(table, b, r):
    """``e(r)``."""
    if r <= table[BEND, b]:
        return table[LEVEL, b] + table[SLOPE, b] * r
    return table[OFFSET, b] + r * (table[SECANT, b] + 0.5 * table[RIDGE, b] * r)


@njit(nogil=True, cache=True)
def envelope_prox(table, b, size):
    """Minimiser of ``½κ(r - size)² + e(r)`` over [0, TOP], κ = STEP."""
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
    """``|(Qx - c)_b|``, given ``g = Gx - c``."""
    delta, first, last = table[RIDGE, b], starts[b], starts[b + 1]
    y0 = g[first] - delta * x[first]
    if last - first == 1:
        return abs(y0)
    y1 = g[first + 1] - delta * x[first + 1]
    return math.sqrt(y0 * y0 + y1 * y1)


@njit(nogil=True, cache=True)
def lower_bound(table, cross, starts, x, g):
    """``-½xᵀQx + Σ_b min_r (e_b(r) - |(Qx - c)_b| r)``, less what round-off of Qx - c can add to it."""
    total, reach = 0.0, 0.0
    for b in range(table.shape[1]):
        reach += table[ROOT, b] * norm_of(x, starts[b], starts[b + 1])
    for b in range(table.shape[1]):
        first, last = starts[b], starts[b + 1]
        for i in range(first, last):
            total -= 0.5 * x[i] * (g[i] + cross[i] - table[RIDGE, b] * x[i])
        if table[TOP, b] > 0.0:
            total += least_of(table, b, pull_of(table, starts, b, x, g))
            total -= ROUNDING * table[TOP, b] * (table[ROOT, b] * reach + norm_of(cross, first, last))
    return total


@njit(nogil=True, cache=True)
def relaxed_value(table, cross, starts, x, g):
    """``½xᵀQx - cᵀx + Σ_b e_b(|z_b|)``."""
    total = 0.0
    for b in range(table.shape[1]):
        for i in range(starts[b], starts[b + 1]):
            total += 0.5 * x[i] * (g[i] - cross[i] - table[RIDGE, b] * x[i])
        if table[TOP, b] > 0.0:
            total += envelope_at(table, b, norm_of(x, starts[b], starts[b + 1]))
    return total


@njit(nogil=True, cache=True)
def sweep_blocks(gram, starts, table, x, g):
    """One sweep of block coordinate descent on the relaxation, in place."""
    for b in range(table.shape[1]):
        first, last = starts[b], starts[b + 1]
        if table[TOP, b] <= 0.0:
            continue
        step, delta = 1.0 / table[STEP, b], table[RIDGE, b]
        y0 = x[first] - step * (g[first] - delta * x[first])
        y1 = x[last - 1] - step * (g[last - 1] - delta * x[last - 1]) if last - first == 2 else 0.0
        size = math.sqrt(y0 * y0 + y1 * y1)
        factor = envelope_prox(table, b, size) / size if size > 0.0 else 0.0
        move_block(gram, x, g, first, last, factor * y0, factor * y1)


@njit(nogil=True, cache=True)
def at_corner(table, b, r):
    """Whether e has a corner at r > 0 (or ends there)."""
    if r != table[BEND, b] or r >= table[TOP, b]:
        return r >= table[TOP, b]
    return table[SLOPE, b] < (1.0 - 1e-9) * (table[SECANT, b] + table[RIDGE, b] * r)


@njit(nogil=True, cache=True)
def free_directions(table, starts, x, g, place, basis, bending, force):
    """The directions in which the relaxation is smooth at x: their number, curvature apart from G, and slope.

    Direction k moves the columns from ``place[k, 0]`` to ``place[k, 1] - 1`` by ``basis[k]``. A block at a corner of
    its envelope keeps its magnitude; where it has two columns it may turn.
    """
    n = 0
    for b in range(table.shape[1]):
        first, last = starts[b], starts[b + 1]
        if table[TOP, b] <= 0.0:
            continue
        r, delta, bend = norm_of(x, first, last), table[RIDGE, b], table[BEND, b]
        if r <= 0.0:
            if table[SLOPE, b] == 0.0 and bend > 0.0:
                for i in range(first, last):
                    place[n, 0], place[n, 1] = first, last
                    basis[n, 0], basis[n, 1] = 1.0 - (i - first), 1.0 * (i - first)
                    bending[n], force[n] = -delta, g[i]
                    n += 1
            continue
        lean, curvature = table[SLOPE, b], -delta
        if r > bend:
            lean, curvature = table[SECANT, b] + delta * r, 0.0
        c0, c1 = x[first] / r, x[last - 1] / r
        along = dot_of(x, g, first, last) / r - delta * r
        corner = at_corner(table, b, r)
        if not corner:
            place[n, 0], place[n, 1] = first, last
            basis[n, 0], basis[n, 1] = c0, c1
            bending[n], force[n] = curvature, along + lean
            n += 1
        if last - first == 2:
            place[n, 0], place[n, 1] = first, last
            basis[n, 0], basis[n, 1] = -c1, c0
            bending[n] = (max(0.0, -along) if corner else lean) / r - delta
            force[n] = c0 * g[first + 1] - c1 * g[first]
            n += 1
    return n


@njit(nogil=True, cache=True)
def newton_direction(gram, starts, table, x, g, whole):
    """The Newton step of the relaxation on the pieces that x lies on; False where there is none."""
    width = len(x)
    place, basis = np.empty((width, 2), INT), np.empty((width, 2))
    bending, step = np.empty(width), np.empty(width)
    n = free_directions(table, starts, x, g, place, basis, bending, step)
    hessian = np.empty((n, n))
    for i in range(n):
        step[i] = -step[i]
        for j in range(i + 1):
            entry = 0.0
            for k in range(place[i, 1] - place[i, 0]):
                for m in range(place[j, 1] - place[j, 0]):
                    entry += basis[i, k] * gram[place[i, 0] + k, place[j, 0] + m] * basis[j, m]
            hessian[i, j] = entry
        hessian[i, i] += bending[i] + 1e-11 * abs(hessian[i, i])  # G may be singular
    if n == 0 or not factor_cholesky(hessian, n):
        return False
    solve_factored(hessian, n, step)
    for i in range(width):
        whole[i] = 0.0
    for i in range(n):
        for k in range(place[i, 1] - place[i, 0]):
            whole[place[i, 0] + k] += step[i] * basis[i, k]
    return True


@njit(nogil=True, cache=True)
def way_to_end(table, starts, b, x, step):
    """The fraction of the step after which block b leaves the piece of its envelope, and a little more; at most 1."""
    first, last = starts[b], starts[b + 1]
    r, bend, size = norm_of(x, first, last), table[BEND, b], norm_of(step, first, last)
    if r == 0.0 or size == 0.0 or at_corner(table, b, r):
        return 1.0
    along = dot_of(x, step, first, last) / size
    outer, inner = bend if r < bend else table[TOP, b], bend if r > bend else 0.0
    way = math.sqrt(along * along + outer * outer - r * r) - along
    if along < 0.0:
        inside = along * along - r * r + inner * inner
        if inner == 0.0:
            way = min(way, -r * r / along)
        elif inside > 0.0:
            way = min(way, -along - math.sqrt(inside))
    return min(1.0, way / size * (1.0 + 1e-9))


@njit(nogil=True, cache=True)
def settle(table, starts, b, x, trial):
    """Bring a block that left its piece of the envelope on the way from x back to the end of that piece."""
    first, last = starts[b], starts[b + 1]
    old, new, bend = norm_of(x, first, last), norm_of(trial, first, last), table[BEND, b]
    wanted = min(new, table[TOP, b])
    if old > 0.0:
        if at_corner(table, b, old):
            wanted = old
        elif table[SLOPE, b] > 0.0 and dot_of(trial, x, first, last) < 0.0:
            wanted = 0.0
        elif (old - bend) * (new - bend) < 0.0:
            wanted = bend
    if wanted != new and new > 0.0:
        for i in range(first, last):
            trial[i] *= wanted / new


@njit(nogil=True, cache=True)
def newton_step(gram, cross, starts, table, x, g, value):
    """One Newton step of the relaxation, in place, where it or a part of it lowers the value; the value."""
    whole, trial, slope = np.empty(len(x)), np.empty(len(x)), np.empty(len(x))
    if not newton_direction(gram, starts, table, x, g, whole):
        return value
    fraction = 1.0
    for attempt in range(5):
        if attempt == 1:
            for b in range(table.shape[1]):
                if table[TOP, b] > 0.0:
                    fraction = min(fraction, way_to_end(table, starts, b, x, whole))
        elif attempt > 1:
            fraction *= 0.3
        for i in range(len(x)):
            trial[i] = x[i] + fraction * whole[i]
        for b in range(table.shape[1]):
            settle(table, starts, b, x, trial)
        slope_at(gram, cross, trial, slope)
        new = relaxed_value(table, cross, starts, trial, slope)
        if new < value:
            put(x, trial)
            put(g, slope)
            return new
    return value


@njit(nogil=True, cache=True)
def is_settled(value, bound, cut):
    """Whether the bound passes ``cut``, or the value shows that it never will and the two are close in comparison."""
    return bound >= cut or (value < cut and value - bound <= 0.1 * (cut - value))


@njit(nogil=True, cache=True)
def relax(gram, cross, starts, table, x, g, cut):
    """Minimise the relaxation, in place, as far as it serves to compare it with ``cut``: a lower bound."""
    last_value = HUGE
    for sweep in range(SWEEPS):
        sweep_blocks(gram, starts, table, x, g)
        value = relaxed_value(table, cross, starts, x, g)
        if is_settled(value, lower_bound(table, cross, starts, x, g), cut):
            break
        if sweep % NEWTON_EVERY < NEWTON_EVERY - 1:
            continue
        for _ in range(NEWTON_STEPS):
            before = value
            value = newton_step(gram, cross, starts, table, x, g, value)
            settled = is_settled(value, lower_bound(table, cross, starts, x, g), cut)
            if settled or before - value <= 1e-14 * abs(value):
                break
        if settled or last_value - value <= 1e-13 * abs(value):
            break
        last_value = value
    slope_at(gram, cross, x, g)  # anew: the bound must not have the round-off of all the steps before
    return lower_bound(table, cross, starts, x, g)


# ------------------------------------------------------------------------------------------- what a bound excludes


@njit(nogil=True, cache=True)
def tighten(table, optional, low, high, starts, x, g, slack):
    """Take from the node what lies at least ``slack`` above its bound: how many blocks changed much, -1 if all did.

    With block b at r and not at its best, the bound is higher by ``e_b(r) - |g_b| r - min``.
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
        first, last = sublevel(table, b, pull, level, low[b], high[b])
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
def sublevel(table, b, pull, level, first, last):
    """The part of ``[first, last]`` where ``OFFSET + SECANT r + ½δr² - pull·r ≤ level``; ends crossed where empty."""
    offset, lean, delta = table[OFFSET, b] - level, table[SECANT, b] - pull, table[RIDGE, b]
    if delta > 0.0:
        inside = lean * lean - 2.0 * delta * offset
        if inside < 0.0:
            return 1.0, 0.0
        root = math.sqrt(inside)
        first = max(first, (-root - lean) / delta * (1.0 - EDGE))
        last = min(last, (root - lean) / delta * (1.0 + EDGE))
    elif lean > 0.0:
        last = min(last, -offset / lean * (1.0 + EDGE))
    elif lean < 0.0:
        first = max(first, offset / -lean * (1.0 - EDGE))
    elif offset > 0.0:
        return 1.0, 0.0
    return first, last


@njit(nogil=True, cache=True)
def copy_shifted(scaled, columns, n, shift, matrix):
    """``matrix = scaled - shift`` on the columns."""
    for i in range(n):
        for j in range(n):
            matrix[i, j] = scaled[columns[i], columns[j]]
        matrix[i, i] -= shift


@njit(nogil=True, cache=True)
def separable_share(scaled, starts, high, known):
    """A share σ ≥ ``known`` such that ``scaled - σ`` is positive definite on the blocks that may be nonzero.

    Inverse iteration finds its size; that it holds is the Cholesky factorisation's word.
    """
    columns, n = np.empty(len(scaled), INT), 0
    for b in range(len(high)):
        if high[b] > 0.0:
            for i in range(starts[b], starts[b + 1]):
                columns[n] = i
                n += 1
    matrix, vector, old = np.empty((n, n)), np.empty(n), np.empty(n)
    copy_shifted(scaled, columns, n, known, matrix)
    if n == 0 or not factor_cholesky(matrix, n):
        return known
    for i in range(n):
        vector[i] = 1.0 + 0.3 * math.sin(1.0 + 2.0 * i)  # of no symmetry
    least = HUGE
    for _ in range(10):
        put(old, vector)
        solve_factored(matrix, n, vector)
        across, along = 0.0, 0.0
        for i in range(n):
            across += old[i] * vector[i]
            along += vector[i] * vector[i]
        before, least = least, across / along
        for i in range(n):
            vector[i] /= math.sqrt(along)
        if before - least < 0.03 * least:
            break
    if least < 1e-11:  # a few per cent of it must stand out of the round-off of the factorisation
        return known
    for part in (0.97, 0.8, 0.5, 0.2, 0.05):
        copy_shifted(scaled, columns, n, known + part * least, matrix)
        if factor_cholesky(matrix, n):
            return known + part * least
    return known


@njit(nogil=True, cache=True)
def evaluate(problem, share, optional, low, high, x, g, table, cut):
    """Bound of a node (huge where it is empty) and its share; its intervals and x change in place."""
    gram, cross, starts, _, _, _, scaled = problem
    bound, alive = -HUGE, INT(-1)
    for _ in range(ROUNDS):
        now = INT(0)
        for b in range(len(high)):
            now += high[b] > 0.0
        if now != alive:
            alive = now
            share = separable_share(scaled, starts, high, share)
        for b in range(len(high)):
            r = norm_of(x, starts[b], starts[b + 1])
            if r > high[b]:
                for i in range(starts[b], starts[b + 1]):
                    x[i] *= high[b] / r
        slope_at(gram, cross, x, g)
        draw_envelopes(problem, share, optional, low, high, table)
        new = relax(gram, cross, starts, table, x, g, cut)
        bound = max(bound, new)
        if bound >= cut:
            break
        changed = tighten(table, optional, low, high, starts, x, g, cut - new)
        if changed < 0:
            return HUGE, share
        if changed == 0:
            break
    return bound, share


# --------------------------------------------------------------------------------------------------- the search


@njit(nogil=True, cache=True)
def push(nodes, counts, optional, low, high, x, bound, share):
    """Put a node into a free row and into the heap."""
    optionals, lows, highs, points, bounds, shares, heap, spare = nodes
    counts[FREE] -= 1
    node = spare[counts[FREE]]
    put(optionals[node], optional)
    put(lows[node], low)
    put(highs[node], high)
    put(points[node], x)
    bounds[node], shares[node] = bound, share
    i = counts[OPEN]
    counts[OPEN] += 1
    while i > 0 and bounds[heap[(i - 1) // 2]] > bound:
        heap[i] = heap[(i - 1) // 2]
        i = (i - 1) // 2
    heap[i] = node


@njit(nogil=True, cache=True)
def pop(nodes, counts):
    """Take the node with the lowest bound out of the heap; its row keeps its entries until the next push."""
    _, _, _, _, bounds, _, heap, spare = nodes
    top = heap[0]
    counts[OPEN] -= 1
    n = counts[OPEN]
    node, i = heap[n], 0
    while 2 * i + 1 < n:
        child = 2 * i + 1
        if child + 1 < n and bounds[heap[child + 1]] < bounds[heap[child]]:
            child += 1
        if bounds[heap[child]] >= bounds[node]:
            break
        heap[i] = heap[child]
        i = child
    heap[i] = node
    spare[counts[FREE]] = top
    counts[FREE] += 1
    return top


@njit(nogil=True, cache=True)
def branching_block(problem, share, optional, low, high, x, table):
    """The block whose penalty is farthest above its envelope at x; where none is, the one with most room."""
    _, _, starts, _, thresholds, p, _ = problem
    draw_envelopes(problem, share, optional, low, high, table)
    chosen, farthest = -1, 0.0
    for b in range(len(thresholds)):
        r = norm_of(x, starts[b], starts[b + 1])
        if high[b] > 0.0 and r > 0.0:
            above = thresholds[b] * r**p + 0.5 * table[RIDGE, b] * r * r - envelope_at(table, b, r)
            if above > farthest:
                chosen, farthest = b, above
    if chosen < 0:
        for b in range(len(thresholds)):
            room = thresholds[b] * (high[b] ** p - (0.0 if optional[b] else low[b] ** p))
            if chosen < 0 or room > farthest:
                chosen, farthest = b, room
    return chosen


@njit(nogil=True, cache=True)
def search(problem, nodes, best, floats, counts, budget):
    """Best-first search until the gap is closed, ``budget`` nodes have been opened, or no row is free.

    A node is split at a block: into zero or not where the landing holds most of the penalty, else into two intervals,
    at the point, but not near their ends as the penalty measures them.
    """
    _, cross, starts, _, thresholds, p, _ = problem
    blocks, width = len(thresholds), len(cross)
    optionals, lows, highs, points, bounds, shares, heap, _ = nodes
    table, x, g = np.empty((ROWS, blocks)), np.empty(width), np.empty(width)
    low, high, optional = np.empty(blocks), np.empty(blocks), np.empty(blocks, np.bool_)
    for _ in range(budget):
        if counts[OPEN] == 0 or bounds[heap[0]] >= floats[UPPER] - floats[TOLERANCE]:
            return CLOSED
        if counts[FREE] < 1:
            return FULL
        node = pop(nodes, counts)
        x0, low0, high0 = points[node].copy(), lows[node].copy(), highs[node].copy()
        optional0, before, share0 = optionals[node].copy(), bounds[node], shares[node]
        b = branching_block(problem, share0, optional0, low0, high0, x0, table)
        at, bottom, top = norm_of(x0, starts[b], starts[b + 1]) ** p, low0[b] ** p, high0[b] ** p
        zero_or_not = optional0[b] and bottom >= COVERED * at
        margin = 0.1 * (top - bottom)
        middle = min(max(at, bottom + margin), top - margin) ** (1.0 / p)
        middle = min(max(middle, low0[b]), high0[b])  # no point may fall between the halves
        for upper_side in (False, True):
            put(x, x0)
            put(low, low0)
            put(high, high0)
            put(optional, optional0)
            if upper_side:
                optional[b] = False
                if not zero_or_not:
                    low[b] = middle
            else:
                high[b] = 0.0 if zero_or_not else middle
            counts[NODES] += 1
            cut = floats[UPPER] - floats[TOLERANCE]
            bound, share = evaluate(problem, share0, optional, low, high, x, g, table, cut)
            bound = max(bound, before)
            if bound >= cut:
                continue
            above = value_at(cross, starts, thresholds, p, x, g) - floats[UPPER]
            if above < 0.2 * (floats[UPPER] - bound) or counts[NODES] % 16 == 0:
                offer(problem, x, best, floats)
            push(nodes, counts, optional, low, high, x, bound, share)
    return BUDGET

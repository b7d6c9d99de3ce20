"""RKC and ROCK4 for flows in which few frequencies matter: the others move by the exact flow of a frozen residual.

For P's network (one channel in, one hidden) each frequency obeys, given E = S - B D, a linear equation of its own,

    κ' = Σ_k e_k conj(A_k),   A_k' = e_k conj(κ),   e = constant · E x      [Pinson et al. eq 15-16]

a hyperbolic rotation in the plane of κ and ``Σ_k e_k conj(A_k)``. *Passive* frequencies, whose part in B changes by
less than the tolerance in a step, take one such rotation with the mean of E; the *active* ones, few once modes are
learned (theory section 2.4; Pinson et al. fig 5), go through the stages of the stabilised method, which cost as much as
they are many.

numba's disk cache does not see changes of ``_kernels`` from here (numba#1833): the tests clear it where it is older.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from lineardyn.flow._kernels import (
    CALLS,
    DONE,
    ENTRIES,
    FAST,
    INT,
    MAX_STEPS,
    MEASURED,
    MOST_STAGES,
    NEXT,
    NON_FINITE,
    RADIUS,
    REJECTED,
    RUNNING,
    STEP,
    STEP_TOO_SMALL,
    STEPS,
    TIME,
    UNTIL,
    U,
    borrowed,
    combine,
    compose,
    copy,
    dots,
    finite,
    flow,
    record,
)
from lineardyn.flow._stabilised_kernels import (
    BASE,
    NEW,
    SLOPE,
    VECTOR,
    accept,
    choose_stages,
    hermite,
    reject,
    renew_radius,
    stabilised_step,
)

# slots of the control blocks beside those of the other integrators
THRESHOLD, SCALE, RESIDUAL = 8, 9, 10
ACTIVE = 8
DRIFT = 0.2  # share of the tolerance by which the passive part of B may change in a step
SIMILAR = 0.1  # of the largest change: those that matter are made active together
PASSIVE, REACH, SIGNIFICANCE = 0, 1, 2  # rows of ``screen``


@njit(nogil=True, cache=True, fastmath=FAST)
def _add_squares(out, y, a, n):
    """Add ``|y[a:]|²`` of n complex numbers."""
    for f in range(n):
        out[f] += y[a + f] * y[a + f] + y[a + n + f] * y[a + n + f]


@njit(nogil=True, cache=True, fastmath=FAST, error_model="numpy")
def _significance(y, weights, reach, constant, out):
    """The part of frequency f in any coefficient of the predictor, at most: ``constant w |κ| ‖A‖ |x|_max``."""
    n = reach.size
    for f in range(n):
        out[f] = 0.0
    for k in range(1, y.size // (2 * n)):
        a = 2 * k * n
        _add_squares(out, y, U(a), U(n))
    for f in range(n):
        kappa = y[f] * y[f] + y[n + f] * y[n + f]
        out[f] = constant * weights[f] * reach[f] * np.sqrt(kappa * out[f])


@njit(nogil=True, cache=True, fastmath=FAST)
def _project(y, b, e, a, square, real, imaginary, n):
    """Add ``|e_k|²`` and ``e_k conj(A_k)``, of the rows e[a:] and y[b:]."""
    for f in range(n):
        er, ei, ar, ai = e[a + f], e[a + n + f], y[b + f], y[b + n + f]
        square[f] += er * er + ei * ei
        real[f] += er * ar + ei * ai
        imaginary[f] += ei * ar - er * ai


@njit(nogil=True, cache=True, fastmath=FAST)
def _bend(y, z, b, e, a, fade, real, imaginary, n):
    """``z[b:] = fade y[b:] + e[a:] (real + i imaginary)``."""
    for f in range(n):
        z[b + f] = fade[f] * y[b + f] + e[a + f] * real[f] - e[a + n + f] * imaginary[f]
        z[b + n + f] = fade[f] * y[b + n + f] + e[a + f] * imaginary[f] + e[a + n + f] * real[f]


@njit(nogil=True, cache=True, fastmath=FAST, error_model="numpy")
def _rotate(y, z, e, h, decay, passive, square, real, imaginary):
    """``z`` = y after a time h of ``κ' = Σ e_k conj(A_k)``, ``A_k' = e_k conj(κ)`` and decay, where passive is 1.

    ``e (K, 2F)`` flat. Elsewhere z is y. ``square``, ``real`` and ``imaginary`` are scratch ``(F,)``.
    """
    n, rows = passive.size, y.size // (2 * passive.size) - 1
    square[:], real[:], imaginary[:] = 0.0, 0.0, 0.0
    for k in range(rows):
        _project(y, U(2 * (k + 1) * n), e, U(2 * k * n), square, real, imaginary, U(n))
    for f in range(n):
        if passive[f] == 0.0:
            z[f], z[n + f] = y[f], y[n + f]
            square[f], real[f], imaginary[f] = 1.0, 0.0, 0.0
            continue
        rate = np.sqrt(square[f])
        x = h * rate
        if x < 1e-3:  # there the series is exact to 1e-14
            shift, bend = h * (1.0 + x * x / 6.0), 0.5 * h * h * (1.0 + x * x / 12.0)
        else:
            up = np.exp(x)
            down = 1.0 / up
            shift, bend = 0.5 * (up - down) / rate, (0.5 * (up + down) - 1.0) / square[f]  # sinh x, cosh x - 1
        fade = np.exp(-decay * h) if decay != 0.0 else 1.0
        shift, bend = shift * fade, bend * fade
        kr, ki, dr, di = y[f], y[n + f], real[f], imaginary[f]
        z[f] = kr * (fade + bend * square[f]) + shift * dr
        z[n + f] = ki * (fade + bend * square[f]) + shift * di
        real[f], imaginary[f], square[f] = bend * dr + shift * kr, -(bend * di + shift * ki), fade
    for k in range(rows):
        _bend(y, z, U(2 * (k + 1) * n), e, U(2 * k * n), square, real, imaginary, U(n))


@njit(nogil=True, cache=True)
def _gather(y, out, index, count, n, padded):
    """Columns ``index[:count]`` of spectra of n frequencies, to spectra of ``padded``, the rest 0."""
    for row in range(y.size // n):
        a, b = U(row * n), U(row * padded)
        for j in range(U(count)):
            out[b + j] = y[a + U(index[j])]
        for j in range(U(count), U(padded)):
            out[b + j] = 0.0


@njit(nogil=True, cache=True)
def _scatter(y, out, index, count, n, padded):
    """Inverse of :func:`_gather`: other columns of ``out`` stay."""
    for row in range(out.size // n):
        a, b = U(row * n), U(row * padded)
        for j in range(U(count)):
            out[a + U(index[j])] = y[b + j]


@njit(nogil=True, cache=True)
def _passive_coefficients(y, weights, passive, constant, sizes, rows, work, c):
    """``work[c:] = v xᵀ`` of the passive frequencies. ``work[: 10 F]`` is scratch."""
    outputs, n, terms = sizes[2], passive.size, rows.shape[0]
    width, x, hidden = 2 * n, rows.reshape(-1), 8 * n
    for f in range(n):
        factor = constant * weights[f] * passive[f]
        work[hidden + f] = factor * y[f]
        work[hidden + n + f] = factor * y[n + f]
    for k in range(0, outputs, 4):
        some = min(4, outputs - k)
        compose(work, INT(0), y, (k + 1) * width, work, hidden, some, INT(1), INT(1), width)
        dots(work, INT(0), some, x, width, terms, work, c + k * terms)


@njit(nogil=True, cache=True)
def _choose(y, weights, screen, index, constant, threshold):
    """Frequencies whose significance passes the threshold become active, and stay so; returns how many are."""
    _significance(y, weights, screen[REACH], constant, screen[SIGNIFICANCE])
    count = 0
    for f in range(screen.shape[1]):
        if screen[PASSIVE, f] == 0.0 or screen[SIGNIFICANCE, f] > threshold:
            screen[PASSIVE, f] = 0.0
            index[count] = f
            count += 1
    return count


@njit(nogil=True, cache=True)
def _activate(y, new, weights, screen, constant):
    """Of the passive frequencies, make active those whose significance changed most in a step."""
    passive, old, changed = screen[PASSIVE], screen[SIGNIFICANCE], screen[3]
    _significance(y, weights, screen[REACH], constant, old)
    _significance(new, weights, screen[REACH], constant, changed)
    largest = 0.0
    for f in range(passive.size):
        changed[f] = passive[f] * abs(changed[f] - old[f])
        largest = max(largest, changed[f])
    for f in range(passive.size):
        if changed[f] >= SIMILAR * largest:
            passive[f] = 0.0


@njit(nogil=True, cache=True)
def _drift(target, gain, work, c, left):
    """Largest change of ``left``, what the passive frequencies leave of ``target``; the new one replaces it."""
    largest = 0.0
    for k in range(target.shape[0]):
        for r in range(gain.size):
            new = target[k, r] - work[c] * gain[r]
            largest = max(largest, abs(new - left[k, r]))
            if new != new:
                largest = np.inf  # max would lose it
            left[k, r] = new
            c += 1
    return largest


@njit(nogil=True, cache=True)
def _copy_coefficients(work, c, out):
    """The coefficients that a right-hand side left in its scratch."""
    for k in range(out.shape[0]):
        for r in range(out.shape[1]):
            out[k, r] = work[c]
            c += 1


@njit(nogil=True, cache=True)
def _mean_rows(before, after, rows, work, to, mean):
    """``work[to:] = ½ (before + after) x`` ``(K, 2F)``: e of the frozen residual."""
    outputs, terms = before.shape
    for k in range(outputs):
        for r in range(terms):
            mean[k, r] = 0.5 * (before[k, r] + after[k, r])
    n, factors, x = rows.shape[1], mean.reshape(-1), rows.reshape(-1)
    for k in range(0, outputs, 4):
        combine(factors, k * terms, min(4, outputs - k), terms, x, n, work, to + k * n)


@njit(nogil=True, cache=True)
def advance_screened(
    y, buffers, stages, screen, index, residuals, control, counts, times, out, budget, max_steps, rtol, atol, order,
    most, n_stages, lengths, starts, steps, ends,
    conv, sizes, offsets, weights, constant, decay, dense, rows, target, gain, matrix, work,
):  # fmt: skip
    """Take up to ``budget`` steps; returns a status code.

    ``buffers``: one after another the new state, also those inside a step; compact y, rows and weights of the
    statistics. ``stages``: room for the vectors of ``advance_stabilised``, compact. ``screen (6, F)``: 1 where passive;
    largest row of the statistics; significance; three rows of scratch. ``index (F)``: the active frequencies,
    ``counts[ACTIVE]`` of them, negative where they must be chosen anew. ``residuals (5, K, R)``: coefficients of E at
    both ends and their mean, and the target less the passive part, at the start and as proposed. ``work``:
    ``(2 K + 16) F + K R`` numbers or more.
    """
    y, buffers, stages, screen = borrowed(y), borrowed(buffers), borrowed(stages), borrowed(screen)
    index, out, residuals, work = borrowed(index), borrowed(out), borrowed(residuals), borrowed(work)
    weights, sizes, rows, target, gain = (
        borrowed(weights), borrowed(sizes), borrowed(rows), borrowed(target), borrowed(gain),
    )  # fmt: skip
    end, n, outputs, terms = times[-1], screen.shape[1], sizes[2], gain.size
    before, after, mean, left, proposed = residuals[0], residuals[1], residuals[2], residuals[3], residuals[4]
    new, passive = buffers[: y.size], screen[PASSIVE]
    at_rows = 2 * y.size
    at_weights, n_vectors = at_rows + 2 * terms * n, stages.size // y.size
    square, real, imaginary = screen[3], screen[4], screen[5]
    e_at, c_at = 10 * n, (2 * outputs + 16) * n
    compact = np.zeros(3, dtype=np.int64)  # offsets of the layers
    for _ in range(budget):
        t = control[TIME]
        if counts[NEXT] >= times.size:
            return DONE
        if counts[STEPS] + counts[REJECTED] >= max_steps:
            return MAX_STEPS
        chosen = counts[ACTIVE] >= 0
        if not chosen:
            counts[ACTIVE] = _choose(y, weights, screen, index, constant, control[THRESHOLD])
        count = counts[ACTIVE]
        padded = max(8, (count + 7) // 8 * 8)
        width = 2 * padded
        size = (outputs + 1) * width
        compact[1], compact[2] = width, size
        a, room = buffers[y.size : y.size + size], stages[: n_vectors * size].reshape(n_vectors, size)
        x, w = buffers[at_rows : at_rows + terms * width].reshape(terms, width), buffers[at_weights:][:width]
        f0, f1 = room[BASE], room[NEW]
        if not chosen:
            _gather(y, a, index, count, n, padded)
            _gather(rows.reshape(-1), x.reshape(-1), index, count, n, padded)
            _gather(weights, w, index, count, n, padded)
            _passive_coefficients(y, weights, passive, constant, sizes, rows, work, c_at)
            _drift(target, gain, work, c_at, left)
            control[RESIDUAL] = 1.0
        if control[RESIDUAL] > 0.0:  # the passive part has changed, and with it f
            flow(a, f0, conv, sizes, compact, w, constant, decay, dense, x, left, gain, matrix, work)
            _copy_coefficients(work, 4 * width, before)
            counts[CALLS] += 1
            control[RESIDUAL] = 0.0
        if not chosen:
            copy(f0, room[VECTOR])
            control[MEASURED], control[UNTIL] = 0.0, -1.0
        if t + 0.5 * control[STEP] > control[UNTIL] and not renew_radius(
            a, room, control, counts,
            conv, sizes, compact, w, constant, decay, dense, x, left, gain, matrix, work,
        ):  # fmt: skip
            return NON_FINITE
        s, row, h = choose_stages(order, min(control[STEP], end - t), control[RADIUS], most, n_stages, lengths)
        if t + h <= t:
            return STEP_TOO_SMALL
        b, error = stabilised_step(
            a, room, h, order, s, row, starts, steps, ends, control[ENTRIES], rtol, atol,
            conv, sizes, compact, w, constant, decay, dense, x, left, gain, matrix, work,
        )  # fmt: skip
        _copy_coefficients(work, 4 * width, after)
        counts[CALLS] += s
        counts[MOST_STAGES] = max(counts[MOST_STAGES], s)
        _mean_rows(before, after, rows, work, e_at, mean)
        _rotate(y, new, work[e_at:], h, decay, passive, square, real, imaginary)
        _passive_coefficients(new, weights, passive, constant, sizes, rows, work, c_at)
        copy(left.reshape(-1), proposed.reshape(-1))
        drift = _drift(target, gain, work, c_at, proposed)
        if not (error <= 1.0 and drift < np.inf):
            if drift == np.inf:
                error = drift
            if reject(control, counts, error, t, h, order) or not finite(f0):
                return NON_FINITE
            continue
        if drift > DRIFT * rtol * control[SCALE]:  # some of them matter after all
            counts[REJECTED] += 1
            _activate(y, new, weights, screen, constant)
            counts[ACTIVE] = -1
            continue
        upto = end if h == end - t else t + h
        first = counts[NEXT]
        while counts[NEXT] < times.size and times[counts[NEXT]] < upto:
            part = times[counts[NEXT]] - t
            _rotate(y, new, work[e_at:], part, decay, passive, square, real, imaginary)
            hermite(room[SLOPE], a, b, f0, f1, h, part / h)
            _scatter(room[SLOPE], new, index, count, n, padded)
            record(out, counts[NEXT], new, counts)
            counts[NEXT] += 1
        if counts[NEXT] > first:  # they were in its place
            _rotate(y, new, work[e_at:], h, decay, passive, square, real, imaginary)
        _scatter(b, new, index, count, n, padded)
        copy(new, y)
        copy(b, a)
        copy(proposed.reshape(-1), left.reshape(-1))
        control[RESIDUAL] = 1.0
        control[TIME] = upto
        while counts[NEXT] < times.size and times[counts[NEXT]] <= upto:
            record(out, counts[NEXT], y, counts)
            counts[NEXT] += 1
        accept(control, counts, error, h, order)
    return RUNNING

"""Stabilised explicit integrators: as many stages as the spectral radius asks for, of order 2 (RKC) and 4 (ROCK4).

Left out, measured: order 3 from two steps, ``y(t + h) = b y(t - δh) + a y(t) + θ (RKC of y(t), a step of c h)`` with b,
c and θ from the order conditions (c = 1.29 where δ = 1). The error of a step, 8 to 20 times smaller in slow directions,
is only halved in fast ones that follow growing modes, and the stages must reach c times as far: 1.2 to 1.6 times as
many right-hand sides as RKC at equal error, on flows with s_max/s_min = 16 and on CIFAR-4, rtol from 1e-3 to 1e-6.

Arguments as in :mod:`lineardyn.flow._kernels`. numba's disk cache does not see changes of that file from here
(numba#1833): the tests clear it where it is older.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from lineardyn.flow._kernels import (
    CALLS,
    DONE,
    ENTRIES,
    FAST,
    FIXED,
    MAX_STEPS,
    MEASURED,
    MEASURED_AT,
    MOST_STAGES,
    NEXT,
    NON_FINITE,
    OLD_ERROR,
    OLD_STEP,
    POWER,
    RADIUS,
    RATE,
    REJECTED,
    RUNNING,
    STEP,
    STEP_TOO_SMALL,
    STEPS,
    TIME,
    UNTIL,
    U,
    borrowed,
    copy,
    finite,
    flow,
    record,
    squares,
)  # fmt: skip

MOST = 1000  # stages of one step: Ctrl-C must not wait for more
MARGIN = 0.15  # share of itself by which the spectral radius may grow until it is estimated again
REUSE = 10  # steps for which an estimate serves at most
LEAP = 20.0  # tolerances: no error grows so much from one step to the next but by an instability
OUTGROWN = 0.4  # what is then reckoned with: growth by so much in one step
# rows of ``stages``: f at both ends of a step, the eigenvector, vectors of the recurrence, last four stages of ROCK4
BASE, NEW, VECTOR, ONE, TWO, SLOPE, ENDS = 0, 1, 2, 3, 4, 5, 6
ROOM = 10  # how many there are


# --- the spectral radius ---------------------------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def spectral_radius(
    y, f, vector, shifted, image, iterations,
    conv, sizes, offsets, weights, constant, decay, dense, rows, target, gain, matrix, work,
):  # fmt: skip
    """``ρ(∂f/∂y)`` by nonlinear power iteration from ``vector``, left in ``vector``; returns ``(ρ, right-hand sides)``.

    The flow's Jacobian is minus a Hessian, similar to a symmetric matrix: the iteration converges to |λ|_max.
    """
    size = np.sqrt(squares(y))
    step = 1e-7 * size if size > 0.0 else 1e-7
    length = np.sqrt(squares(vector))
    if not length > 0.0:
        vector[:] = 1.0
        length = np.sqrt(float(y.size))
    radius = 0.0
    used = 0
    for iteration in range(iterations):
        for i in range(y.size):
            shifted[i] = y[i] + step * (vector[i] / length)
        flow(shifted, image, conv, sizes, offsets, weights, constant, decay, dense, rows, target, gain, matrix, work)
        used += 1
        for i in range(y.size):
            vector[i] = (image[i] - f[i]) / step
        length = np.sqrt(squares(vector))
        previous, radius = radius, length
        if not length > 0.0:
            vector[:] = 1.0
            return 0.0, used
        if iteration > 0 and abs(radius - previous) <= 0.02 * radius:
            break
    return radius, used


@njit(nogil=True, cache=True)
def renew_radius(
    y, stages, control, counts,
    conv, sizes, offsets, weights, constant, decay, dense, rows, target, gain, matrix, work,
):  # fmt: skip
    """A new estimate of the spectral radius; False if it is not finite."""
    radius, used = spectral_radius(
        y, stages[BASE], stages[VECTOR], stages[ONE], stages[TWO], 50,
        conv, sizes, offsets, weights, constant, decay, dense, rows, target, gain, matrix, work,
    )  # fmt: skip
    counts[CALLS] += used
    counts[POWER] += used
    reckon(control, radius, control[TIME], control[STEP])
    return np.isfinite(radius)


@njit(nogil=True, cache=True)
def reckon(control, radius, t, h):
    """What spectral radius to reckon with and until when, if it goes on growing at the rate since the last estimate.

    An estimate serves one step at least, and else while the radius grows by less than MARGIN, for up to REUSE steps.
    """
    if control[MEASURED] == 0.0:
        control[RATE] = MARGIN / (5.0 * h)  # nothing is known
    elif t > control[MEASURED_AT]:
        growth = np.log(radius / control[MEASURED]) if radius > control[MEASURED] else 0.0
        control[RATE] = growth / (t - control[MEASURED_AT])
    rate = control[RATE]
    span = REUSE * h if REUSE * h * rate < MARGIN else max(h, MARGIN / rate)
    control[MEASURED], control[MEASURED_AT], control[UNTIL] = radius, t, t + span
    control[RADIUS] = radius * min(1.6, 1.05 + span * rate)


# --- order 2: Runge-Kutta-Chebyshev ----------------------------------------------------------------------------------


@njit(nogil=True, cache=True, fastmath=FAST)
def _chebyshev_stage(two, one, y, f, f0, c_two, c_one, c_y, c_f, c_f0):
    """``two = c_two·two + c_one·one + c_y·y + c_f·f + c_f0·f0``."""
    for i in range(U(two.size)):
        two[i] = c_two * two[i] + c_one * one[i] + c_y * y[i] + c_f * f[i] + c_f0 * f0[i]


@njit(nogil=True, cache=True, fastmath=FAST)
def _euler_stage(out, y, f, h):
    for i in range(U(y.size)):
        out[i] = y[i] + h * f[i]


@njit(nogil=True, cache=True)
def rkc_step(
    y, f0, h, s, one, two, f,
    conv, sizes, offsets, weights, constant, decay, dense, rows, target, gain, matrix, work,
):  # fmt: skip
    """One RKC step of s stages [Sommeijer, Shampine, Verwer 1997, eq 2.1-2.4]; returns the array with the new point.

    ``one`` and ``two`` are scratch, one of which comes back. Damping ε = 2/13: β(s) ≈ 0.653 (s² - 1).
    """
    w0 = 1.0 + 2.0 / (13.0 * s * s)
    root = np.sqrt(w0 * w0 - 1.0)
    arg = s * np.log(w0 + root)
    w1 = np.sinh(arg) * (w0 * w0 - 1.0) / (np.cosh(arg) * s * root - w0 * np.sinh(arg))
    b_two = b_one = 1.0 / (4.0 * w0 * w0)  # b_0 = b_1 = b_2
    t_two, t_one = 1.0, w0
    dt_two, dt_one = 0.0, 1.0
    ddt_two, ddt_one = 0.0, 0.0
    mu_first = w1 * b_one
    copy(y, two)
    _euler_stage(one, y, f0, h * mu_first)
    a_one = 1.0 - b_one * w0
    for _ in range(2, s + 1):
        t = 2.0 * w0 * t_one - t_two
        dt = 2.0 * w0 * dt_one - dt_two + 2.0 * t_one
        ddt = 2.0 * w0 * ddt_one - ddt_two + 4.0 * dt_one
        b = ddt / (dt * dt)
        mu = 2.0 * w0 * b / b_one
        nu = -b / b_two
        mu_f = mu * w1 / w0
        gamma = -mu_f * a_one
        flow(one, f, conv, sizes, offsets, weights, constant, decay, dense, rows, target, gain, matrix, work)
        _chebyshev_stage(two, one, y, f, f0, nu, mu, 1.0 - mu - nu, h * mu_f, h * gamma)
        one, two = two, one
        a_one = 1.0 - b * t
        b_two, b_one = b_one, b
        t_two, t_one = t_one, t
        dt_two, dt_one = dt_one, dt
        ddt_two, ddt_one = ddt_one, ddt
    return one


@njit(nogil=True, cache=True, fastmath=FAST, error_model="numpy")  # a check for zero stops vectorising
def _rkc_error(y, z, f0, f1, h, entries, rtol, atol):
    """RMS of ``0.8 (y - z) + 0.4 h (f0 + f1)`` over the scale [Sommeijer, Shampine, Verwer 1997, eq 2.9]."""
    total = 0.0
    for i in range(U(y.size)):
        e = 0.8 * (y[i] - z[i]) + 0.4 * h * (f0[i] + f1[i])
        x = e / (atol + rtol * max(abs(y[i]), abs(z[i])))
        total += x * x
    return np.sqrt(total / entries)


# --- order 4: orthogonal Runge-Kutta-Chebyshev, see lineardyn.flow.rock4 ---------------------------------------------


@njit(nogil=True, cache=True, fastmath=FAST)
def _three_terms(two, one, f, c_two, c_one, c_f):
    """``two = c_two·two + c_one·one + c_f·f``."""
    for i in range(U(two.size)):
        two[i] = c_two * two[i] + c_one * one[i] + c_f * f[i]


@njit(nogil=True, cache=True, fastmath=FAST)
def _end_stage(out, g, k1, k2, k3, k4, c1, c2, c3, c4):
    """``out = g + Σ c_j k_j``; stages that are not there yet are given by one that is, and the factor 0."""
    for i in range(U(out.size)):
        out[i] = g[i] + c1 * k1[i] + c2 * k2[i] + c3 * k3[i] + c4 * k4[i]


@njit(nogil=True, cache=True)
def rock_step(
    y, f0, h, steps, start, stop, end, one, two, k1, k2, k3, k4,
    conv, sizes, offsets, weights, constant, decay, dense, rows, target, gain, matrix, work,
):  # fmt: skip
    """One step of order 4 with the recurrence ``steps[start:stop]`` and the last stages ``end``.

    Returns the array with the new point, ``one`` or ``two``; the last four stages are in k1 .. k4.
    """
    copy(y, two)
    _euler_stage(one, y, f0, h * steps[start, 0])
    for j in range(start + 1, stop):
        flow(one, k1, conv, sizes, offsets, weights, constant, decay, dense, rows, target, gain, matrix, work)
        _three_terms(two, one, k1, steps[j, 2], steps[j, 1], h * steps[j, 0])
        one, two = two, one
    flow(one, k1, conv, sizes, offsets, weights, constant, decay, dense, rows, target, gain, matrix, work)
    _end_stage(two, one, k1, k1, k1, k1, h * end[0], 0.0, 0.0, 0.0)
    flow(two, k2, conv, sizes, offsets, weights, constant, decay, dense, rows, target, gain, matrix, work)
    _end_stage(two, one, k1, k2, k2, k2, h * end[1], h * end[2], 0.0, 0.0)
    flow(two, k3, conv, sizes, offsets, weights, constant, decay, dense, rows, target, gain, matrix, work)
    _end_stage(two, one, k1, k2, k3, k3, h * end[3], h * end[4], h * end[5], 0.0)
    flow(two, k4, conv, sizes, offsets, weights, constant, decay, dense, rows, target, gain, matrix, work)
    _end_stage(two, one, k1, k2, k3, k4, h * end[6], h * end[7], h * end[8], h * end[9])
    return two


@njit(nogil=True, cache=True, fastmath=FAST, error_model="numpy")  # a check for zero stops vectorising
def _rock_error(y, z, k1, k2, k3, k4, f1, h, end, entries, rtol, atol):
    """RMS of ``h Σ e_j k_j`` over the scale, with f at the new point for the fifth stage."""
    e1, e2, e3, e4, e5 = h * end[10], h * end[11], h * end[12], h * end[13], h * end[14]
    total = 0.0
    for i in range(U(y.size)):
        e = e1 * k1[i] + e2 * k2[i] + e3 * k3[i] + e4 * k4[i] + e5 * f1[i]
        x = e / (atol + rtol * max(abs(y[i]), abs(z[i])))
        total += x * x
    return np.sqrt(total / entries)


# --- steps of either -------------------------------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def choose_stages(order, h, radius, most, n_stages, lengths):
    """``(s, row of the table of ROCK4, h)``: stages that keep a step stable, and a shorter step if they are too few."""
    if order == 2:
        s = max(2, 1 + int(min(np.sqrt(1.54 * h * radius + 1.0), most)))
        if s > most:
            s = most
            h = (s * s - 1.0) / (1.54 * radius)
        return s, 0, h
    last = n_stages.size - 1
    while last > 0 and n_stages[last] > most:
        last -= 1
    row = 0
    while row < last and lengths[row] < h * radius:
        row += 1
    if lengths[row] < h * radius:
        h = lengths[row] / radius
    return n_stages[row], row, h


@njit(nogil=True, cache=True)
def stabilised_step(
    y, stages, h, order, s, row, starts, steps, ends, entries, rtol, atol,
    conv, sizes, offsets, weights, constant, decay, dense, rows, target, gain, matrix, work,
):  # fmt: skip
    """One step from y: ``(the array with the new point, error over the tolerance)``; f at the new point in its row."""
    f0, f1 = stages[BASE], stages[NEW]
    if order == 2:
        new = rkc_step(
            y, f0, h, s, stages[ONE], stages[TWO], stages[SLOPE],
            conv, sizes, offsets, weights, constant, decay, dense, rows, target, gain, matrix, work,
        )  # fmt: skip
    else:
        new = rock_step(
            y, f0, h, steps, starts[row], starts[row] + s - 4, ends[row], stages[ONE], stages[TWO],
            stages[ENDS], stages[ENDS + 1], stages[ENDS + 2], stages[ENDS + 3],
            conv, sizes, offsets, weights, constant, decay, dense, rows, target, gain, matrix, work,
        )  # fmt: skip
    flow(new, f1, conv, sizes, offsets, weights, constant, decay, dense, rows, target, gain, matrix, work)
    if order == 2:
        error = _rkc_error(y, new, f0, f1, h, entries, rtol, atol)
    else:
        error = _rock_error(
            y, new, stages[ENDS], stages[ENDS + 1], stages[ENDS + 2], stages[ENDS + 3], f1, h, ends[row],
            entries, rtol, atol,
        )  # fmt: skip
    return new, error


@njit(nogil=True, cache=True)
def reject(control, counts, error, t, h, order):
    """Shorten the next step; True where that cannot help: the numbers are lost.

    An error that leaps comes of a spectral radius that has outgrown the stages: the step is tried again with more.
    """
    counts[REJECTED] += 1
    if t > control[MEASURED_AT] or not error <= LEAP:
        control[UNTIL] = -1.0
    if not error <= LEAP and control[OLD_ERROR] > 0.0 and control[RATE] * h < 0.9 * OUTGROWN:  # not yet reckoned with
        control[RATE], control[STEP] = OUTGROWN / h, h
        return False
    if not np.isfinite(error):
        control[STEP] = 0.1 * h
        return t + 0.1 * h <= t
    control[STEP] = h * max(0.1, 0.8 * error ** (-1.0 / (3.0 if order == 2 else 4.0)))
    return False


@njit(nogil=True, cache=True)
def accept(control, counts, error, h, order):
    """The next step by the predictive controller of RKC [Sommeijer, Shampine, Verwer 1997, eq 2.11]."""
    counts[STEPS] += 1
    if control[FIXED] > 0.0:
        return
    growth, k = 10.0, 1.0 / (3.0 if order == 2 else 4.0)
    if error > 0.0:
        growth = error**-k
        if control[OLD_STEP] > 0.0 and control[OLD_ERROR] > 0.0:
            growth = min(growth, growth * (h / control[OLD_STEP]) * (control[OLD_ERROR] / error) ** k)
    control[STEP] = h * min(10.0, max(0.1, 0.9 * growth))
    control[OLD_ERROR], control[OLD_STEP] = max(error, 1e-10), h


@njit(nogil=True, cache=True, fastmath=FAST)
def hermite(out, y, z, f0, f1, h, theta):
    """Cubic interpolation of both ends of a step."""
    a = theta * theta * (3.0 - 2.0 * theta)
    b = h * theta * (1.0 - theta) ** 2
    c = -h * theta * theta * (1.0 - theta)
    for i in range(U(out.size)):
        out[i] = y[i] + a * (z[i] - y[i]) + b * f0[i] + c * f1[i]


@njit(nogil=True, cache=True)
def advance_stabilised(
    y, stages, control, counts, times, out, budget, max_steps, rtol, atol, order, most,
    n_stages, lengths, starts, steps, ends,
    conv, sizes, offsets, weights, constant, decay, dense, rows, target, gain, matrix, work,
):  # fmt: skip
    """Take up to ``budget`` steps of the method of that order, of up to ``most`` stages; returns a status code.

    ``stages (10, n)``: f(y), f(new), eigenvector, and vectors of the recursion. ``n_stages`` .. ``ends``: the tables of
    ROCK4. ``control[FIXED]`` > 0 fixes the step and the number of stages.
    """
    y, stages, out = borrowed(y), borrowed(stages), borrowed(out)
    sizes, offsets, weights, work = borrowed(sizes), borrowed(offsets), borrowed(weights), borrowed(work)
    rows, target, gain, matrix = borrowed(rows), borrowed(target), borrowed(gain), borrowed(matrix)
    end, f0, f1, inside = times[-1], stages[BASE], stages[NEW], stages[SLOPE]
    for _ in range(budget):
        t = control[TIME]
        if counts[NEXT] >= times.size:
            return DONE
        if counts[STEPS] + counts[REJECTED] >= max_steps:
            return MAX_STEPS
        if control[FIXED] == 0.0 and t + 0.5 * control[STEP] > control[UNTIL] and not renew_radius(
            y, stages, control, counts,
            conv, sizes, offsets, weights, constant, decay, dense, rows, target, gain, matrix, work,
        ):  # fmt: skip
            return NON_FINITE
        h = min(control[STEP], end - t)
        if control[FIXED] > 0.0:
            s, row = int(control[FIXED]), 0
            while order == 4 and n_stages[row] < s:
                row += 1
            s = n_stages[row] if order == 4 else s
        else:
            s, row, h = choose_stages(order, h, control[RADIUS], most, n_stages, lengths)
        if t + h <= t:
            return STEP_TOO_SMALL
        new_y, error = stabilised_step(
            y, stages, h, order, s, row, starts, steps, ends, control[ENTRIES], rtol, atol,
            conv, sizes, offsets, weights, constant, decay, dense, rows, target, gain, matrix, work,
        )  # fmt: skip
        counts[CALLS] += s
        counts[MOST_STAGES] = max(counts[MOST_STAGES], s)
        if control[FIXED] > 0.0 and np.isfinite(error):
            error = 0.0
        if not error <= 1.0:
            if reject(control, counts, error, t, h, order) or not finite(f0):
                return NON_FINITE
            continue
        new = end if h == end - t else t + h
        while counts[NEXT] < times.size and times[counts[NEXT]] < new:
            hermite(inside, y, new_y, f0, f1, h, (times[counts[NEXT]] - t) / h)
            record(out, counts[NEXT], inside, counts)
            counts[NEXT] += 1
        copy(new_y, y)
        copy(f1, f0)
        control[TIME] = new
        while counts[NEXT] < times.size and times[counts[NEXT]] <= new:
            record(out, counts[NEXT], y, counts)
            counts[NEXT] += 1
        accept(control, counts, error, h, order)
    return RUNNING

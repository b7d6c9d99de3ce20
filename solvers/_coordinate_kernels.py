"""Block coordinate descent on second moments: each frequency in turn goes to the minimum of a majoriser of h.

``h(V) = ½⟨VG, V⟩ - ⟨c, V⟩ + Σ_b u_b ‖Z_b‖_p^p``; ``slope = V G - c`` is kept up to date, so that a block which stays
zero costs its own columns only. In block b, ``½⟨VG, V⟩`` grows at most as fast as ``½ℓ_b‖·‖²`` with ℓ_b the largest
eigenvalue of G_bb, and the majoriser's minimum is the prox of ``V_b - slope_b/ℓ_b`` with threshold ``u_b/ℓ_b``. h falls
at every step, at any depth. A block whose lines of G are not formed yet stays zero, and where it wants to is noted.
"""

import numpy as np
from numba import njit

from solvers._block_kernels import block_singular_values
from solvers._prox_kernels import JIT, clear, landing, shrink, shrink_blocks

BELOW = 1.0 - 1e-12
"""Of the square of the jump: what is below is there for any rounding."""
PATIENCE, HOPE = 2, 2.0
"""Sweeps of a trial before it is judged; how much lower than by its rate it is taken to come: a sweep that moves by
Σℓ‖move‖² lowers h by half of that at least."""
FAST = {"nsz", "arcp", "contract", "reassoc"}


@njit(**(JIT | {"fastmath": FAST}))
def move_column(slope, gram, row, column, step):
    """The slope after a step in one entry of V."""
    line, g = slope[row], gram[column]
    for j in range(line.size):
        line[j] += step * g[j]


@njit(**(JIT | {"fastmath": FAST}))
def move_row(slope, gram, row, first, steps, width):
    """The slope after steps in one row of a block, two columns at a time: half the passes over the slope."""
    line = slope[row]
    for i in range(0, width - 1, 2):
        a, b = steps[i], steps[i + 1]
        if a != 0.0 or b != 0.0:
            g, h = gram[first + i], gram[first + i + 1]
            for j in range(line.size):
                line[j] += a * g[j] + b * h[j]
    if width % 2 and steps[width - 1] != 0.0:
        move_column(slope, gram, row, first + width - 1, steps[width - 1])


@njit(**JIT)
def jump_points(curvatures, thresholds, depth, out):
    """Where the prox of each block leaves zero; infinity for a block that the data never see (ℓ_b = 0)."""
    for b in range(out.size):
        if not curvatures[b] > 0.0:
            out[b] = np.inf
        elif depth == 1:
            out[b] = 0.0
        elif depth == 2:
            out[b] = thresholds[b] / curvatures[b]
        else:
            out[b] = landing(thresholds[b] / curvatures[b], depth) * ((depth - 1.0) / (depth - 2.0))


@njit(**JIT)
def visit_vector(values, slope, gram, starts, curvatures, thresholds, jumps, depth, formed, wanted, b, targets):
    """Move block b, all of whose entries share one norm (K = 1 or C = 1); the move², times ℓ_b. ``targets (2C,)``."""
    first, last, curvature = starts[b], starts[b + 1], curvatures[b]
    inverse, square = 1.0 / curvature, 0.0
    for k in range(values.shape[0]):
        for i in range(first, last):
            y = values[k, i] - slope[k, i] * inverse
            square += y * y
    factor, norm = 0.0, np.sqrt(square)
    if norm > jumps[b]:
        factor = shrink(norm, thresholds[b] * inverse, depth) / norm
    if not formed:
        wanted[b] = factor * norm * np.sqrt(curvature)
        return 0.0
    moved = 0.0
    for k in range(values.shape[0]):
        for i in range(first, last):  # before any of them moves: a move changes the slope of the others
            targets[i - first] = factor * (values[k, i] - slope[k, i] * inverse) if factor > 0.0 else 0.0
        for i in range(first, last):
            new = targets[i - first]
            step = new - values[k, i]
            if step != 0.0:
                values[k, i] = new
                move_column(slope, gram, k, i, step)
                moved += curvature * step * step
    return moved


@njit(**JIT)
def visit_matrix(
    values,
    slope,
    gram,
    starts,
    curvatures,
    thresholds,
    jumps,
    depth,
    rank,
    channels,
    before,
    after,
    ratio,
    steps,
    formed,
    wanted,
    b,
):
    """Move block b, a matrix whose singular values are penalised; none is larger than the norm of them all."""
    first, paired, curvature = starts[b], starts[b + 1] - starts[b] > channels, curvatures[b]
    square = 0.0
    for k in range(values.shape[0]):
        for c in range(channels):
            i, j = first + c, first + channels + c
            real = values[k, i] - slope[k, i] / curvature
            imaginary = values[k, j] - slope[k, j] / curvature if paired else 0.0
            before[0, k, c] = complex(real, imaginary)
            square += real * real + imaginary * imaginary
    if np.sqrt(square) > jumps[b]:
        ratio[0] = thresholds[b] / curvature
        shrink_blocks(before, ratio, depth, rank, after)
    else:
        clear(after[0])
    if not formed:
        for k in range(values.shape[0]):
            for c in range(channels):
                wanted[b] = max(wanted[b], abs(after[0, k, c]) * np.sqrt(curvature))
        return 0.0
    moved, width = 0.0, 2 * channels if paired else channels
    for k in range(values.shape[0]):
        for c in range(width):
            new = after[0, k, c - channels].imag if c >= channels else after[0, k, c].real
            steps[c] = new - values[k, first + c]
            values[k, first + c] = new
            moved += curvature * steps[c] * steps[c]
        move_row(slope, gram, k, first, steps, width)
    return moved


@njit(**JIT)
def sweep(values, slope, gram, starts, curvatures, thresholds, jumps, depth, rank, channels, formed, wanted):
    """Visit every block once; Σ ℓ‖move‖².

    A block that the data never see (ℓ_b = 0) is zero at the minimum, and is left at zero. ``wanted[b]`` becomes the
    move √ℓ‖·‖ that block b would make if its lines of G were formed.
    """
    outputs = values.shape[0]
    before = np.empty((1, outputs, channels), dtype=np.complex128)
    after = np.empty((1, outputs, channels), dtype=np.complex128)
    targets = np.empty(2 * channels)
    vectors = outputs == 1 or channels == 1
    moved = 0.0
    ratio = np.empty(1)
    for b in range(thresholds.size):
        wanted[b] = 0.0
        if jumps[b] == np.inf:
            continue
        # most blocks are zero and stay it: seen here, where that costs no call
        limit, square, silent = curvatures[b] * jumps[b], 0.0, True
        for k in range(outputs):
            for i in range(starts[b], starts[b + 1]):
                square += slope[k, i] * slope[k, i]
                silent = silent and values[k, i] == 0.0
        if silent and square < BELOW * limit * limit:
            continue
        if vectors:
            moved += visit_vector(
                values, slope, gram, starts, curvatures, thresholds, jumps, depth, formed[b], wanted, b, targets
            )
        else:
            moved += visit_matrix(
                values,
                slope,
                gram,
                starts,
                curvatures,
                thresholds,
                jumps,
                depth,
                rank,
                channels,
                before,
                after,
                ratio,
                targets,
                formed[b],
                wanted,
                b,
            )
    return moved


@njit(**JIT)
def descend_blocks(
    values, slope, gram, starts, curvatures, thresholds, jumps, depth, rank, channels, enough, most
):  # fmt: skip
    """Sweep until the sweeps to come, at the rate of the last two, would move by ``enough`` in all; how many it took.

    All lines of G are there. Σ ℓ‖move‖² is what is counted.
    """
    formed, wanted = np.ones(thresholds.size, dtype=np.bool_), np.zeros(thresholds.size)
    before = np.inf
    for n in range(most):
        moved = sweep(
            values, slope, gram, starts, curvatures, thresholds, jumps, depth, rank, channels, formed, wanted
        )  # fmt: skip
        if moved == 0.0 or (moved < before < np.inf and moved * before <= enough * (before - moved)):
            return n + 1
        before = moved
    return most


@njit(**JIT)
def half_objective(values, slope, cross, starts, thresholds, depth, channels, singular):
    """``h(V) = ½⟨V, slope - c⟩ + Σ_b u_b ‖Z_b‖_p^p``; ``singular (F, min(K, C))`` is overwritten."""
    total = 0.0
    for k in range(values.shape[0]):
        for i in range(values.shape[1]):
            if values[k, i] != 0.0:
                total += 0.5 * values[k, i] * (slope[k, i] - cross[k, i])
    block_singular_values(values, starts, channels, singular)
    for b in range(thresholds.size):
        for i in range(singular.shape[1]):
            if singular[b, i] > 0.0:
                total += thresholds[b] * singular[b, i] ** (2.0 / depth)
    return total


@njit(**JIT)
def copy_to(a, b):
    """``b[:] = a``; numba takes seconds to compile that."""
    for k in range(a.shape[0]):
        for i in range(a.shape[1]):
            b[k, i] = a[k, i]


@njit(**JIT)
def is_active(values, first, last):
    """Whether any entry of these columns differs from zero."""
    for k in range(values.shape[0]):
        for i in range(first, last):
            if values[k, i] != 0.0:
                return True
    return False


@njit(**JIT)
def drop_block(values, slope, gram, first, last):
    """Block b to zero."""
    for k in range(values.shape[0]):
        for i in range(first, last):
            if values[k, i] != 0.0:
                move_column(slope, gram, k, i, -values[k, i])
                values[k, i] = 0.0


@njit(**JIT)
def raise_block(values, slope, gram, first, last, curvature):
    """Block b to where its gradient step leads."""
    for k in range(values.shape[0]):
        for i in range(first, last):
            step = -slope[k, i] / curvature
            if step != 0.0:
                values[k, i] += step
                move_column(slope, gram, k, i, step)


@njit(**JIT)
def best_partner(values, slope, starts, curvatures, thresholds, jumps, depth, formed, but):
    """The silent block, other than ``but``, whose own prox lowers the majoriser of h most; -1 where none does."""
    best, found = 0.0, -1
    for b in range(thresholds.size):
        if b == but or jumps[b] == np.inf or not formed[b]:
            continue
        square, silent = 0.0, True
        for k in range(values.shape[0]):
            for i in range(starts[b], starts[b + 1]):
                square += slope[k, i] * slope[k, i]
                silent = silent and values[k, i] == 0.0
        norm = np.sqrt(square) / curvatures[b]
        if silent and norm > jumps[b]:
            size = shrink(norm, thresholds[b] / curvatures[b], depth)
            gain = curvatures[b] * size * (0.5 * size - norm) + thresholds[b] * size ** (2.0 / depth)
            if gain < best:
                best, found = gain, b
    return found


@njit(**JIT)
def best_partners(values, slope, gram, starts, curvatures, thresholds, jumps, depth, formed, blocks, out):
    """``out (n,)``: for each of ``blocks (n,)``, all active, the silent block that gains most where it is dropped."""
    trial, trial_slope = np.empty_like(values), np.empty_like(slope)
    for i in range(blocks.size):
        b = blocks[i]
        copy_to(values, trial)
        copy_to(slope, trial_slope)
        drop_block(trial, trial_slope, gram, starts[b], starts[b + 1])
        out[i] = best_partner(trial, trial_slope, starts, curvatures, thresholds, jumps, depth, formed, b)


@njit(**JIT)
def explore(
    values,
    slope,
    cross,
    gram,
    starts,
    curvatures,
    thresholds,
    jumps,
    depth,
    rank,
    channels,
    formed,
    blocks,
    n_sweeps,
    enough,
    height,
    margin,
):
    """Change the blocks one at a time and descend from there. Silent: raised. Active: dropped, and a partner raised.

    What ends lower than ``height - margin`` is kept, in ``values`` and ``slope``, and the next change starts from
    there. A descent is given up where the sweeps to come, at the rate of the last two, would not bring it that low.
    Returns how many were kept, and the height reached.
    """
    trial, trial_slope = np.empty_like(values), np.empty_like(slope)
    wanted = np.zeros(thresholds.size)
    singular = np.empty((thresholds.size, min(values.shape[0], channels)))
    taken = 0
    for b in blocks:
        first, last = starts[b], starts[b + 1]
        copy_to(values, trial)
        copy_to(slope, trial_slope)
        if is_active(values, first, last):
            drop_block(trial, trial_slope, gram, first, last)
            b = best_partner(trial, trial_slope, starts, curvatures, thresholds, jumps, depth, formed, b)
        if b >= 0:
            raise_block(trial, trial_slope, gram, starts[b], starts[b + 1], curvatures[b])
        before = np.inf
        for n in range(n_sweeps):
            moved = sweep(
                trial, trial_slope, gram, starts, curvatures, thresholds, jumps, depth, rank, channels, formed, wanted
            )
            if not moved > enough:
                break
            if n >= PATIENCE and moved < before:
                reached = half_objective(trial, trial_slope, cross, starts, thresholds, depth, channels, singular)
                if reached - HOPE * moved * before / (before - moved) > height - margin:
                    break
            before = moved
        reached = half_objective(trial, trial_slope, cross, starts, thresholds, depth, channels, singular)
        if reached < height - margin:
            copy_to(trial, values)
            copy_to(trial_slope, slope)
            height = reached
            taken += 1
    return taken, height

"""Block coordinate descent on second moments: each frequency in turn goes to the minimum of a majoriser of h.

``h(V) = ½⟨VG, V⟩ - ⟨c, V⟩ + Σ_b u_b ‖Z_b‖_p^p``; ``slope = V G - c`` is kept up to date, so that a block which stays
zero costs its own columns only. In block b, ``½⟨VG, V⟩`` grows at most as fast as ``½ℓ_b‖·‖²`` with ℓ_b the largest
eigenvalue of G_bb, and the majoriser's minimum is the prox of ``V_b - slope_b/ℓ_b`` with threshold ``u_b/ℓ_b``. h falls
at every step, at any depth. A block whose lines of G are not formed yet stays zero, and where it wants to is noted.
"""

import numpy as np
from numba import njit

from solvers._prox_kernels import shrink, shrink_blocks

FAST = {"nsz", "arcp", "contract", "reassoc"}


@njit(nogil=True, cache=True, fastmath=FAST)
def move_column(slope, gram, row, column, step):
    """The slope after a step in one entry of V."""
    line, g = slope[row], gram[column]
    for j in range(line.size):
        line[j] += step * g[j]


@njit(nogil=True, cache=True)
def visit_vector(values, slope, gram, starts, curvatures, thresholds, depth, formed, wanted, b):
    """Move block b, all of whose entries share one norm (K = 1 or C = 1); the largest move², times ℓ_b."""
    first, last, curvature = starts[b], starts[b + 1], curvatures[b]
    norm = 0.0
    for k in range(values.shape[0]):
        for i in range(first, last):
            norm = max(norm, abs(values[k, i] - slope[k, i] / curvature))
    if norm > 0.0:
        scale, total = norm, 0.0
        for k in range(values.shape[0]):
            for i in range(first, last):
                total += ((values[k, i] - slope[k, i] / curvature) / scale) ** 2
        norm = scale * np.sqrt(total)
        factor = shrink(norm, thresholds[b] / curvature, depth) / norm
    else:
        factor = 0.0
    if not formed:
        wanted[b] = factor * norm * np.sqrt(curvature)
        return 0.0
    moved = 0.0
    for k in range(values.shape[0]):
        for i in range(first, last):
            new = factor * (values[k, i] - slope[k, i] / curvature) if factor > 0.0 else 0.0
            step = new - values[k, i]
            if step != 0.0:
                values[k, i] = new
                move_column(slope, gram, k, i, step)
                moved += curvature * step * step
    return moved


@njit(nogil=True, cache=True)
def visit_matrix(
    values, slope, gram, starts, curvatures, thresholds, depth, rank, channels, before, after, formed, wanted, b
):
    """Move block b, a matrix whose singular values are penalised."""
    first, paired, curvature = starts[b], starts[b + 1] - starts[b] > channels, curvatures[b]
    for k in range(values.shape[0]):
        for c in range(channels):
            i, j = first + c, first + channels + c
            real = values[k, i] - slope[k, i] / curvature
            imaginary = values[k, j] - slope[k, j] / curvature if paired else 0.0
            before[0, k, c] = complex(real, imaginary)
    shrink_blocks(before, thresholds[b : b + 1] / curvature, depth, rank, after)
    if not formed:
        for k in range(values.shape[0]):
            for c in range(channels):
                wanted[b] = max(wanted[b], abs(after[0, k, c]) * np.sqrt(curvature))
        return 0.0
    moved = 0.0
    for k in range(values.shape[0]):
        for c in range(channels):
            for part in range(2 if paired else 1):
                i = first + part * channels + c
                new = after[0, k, c].imag if part else after[0, k, c].real
                step = new - values[k, i]
                if step != 0.0:
                    values[k, i] = new
                    move_column(slope, gram, k, i, step)
                    moved += curvature * step * step
    return moved


@njit(nogil=True, cache=True)
def sweep(values, slope, gram, starts, curvatures, thresholds, depth, rank, channels, formed, wanted):
    """Visit every block once; Σ ℓ‖move‖².

    A block that the data never see (ℓ_b = 0) is zero at the minimum, and is left at zero. ``wanted[b]`` becomes the
    move √ℓ‖·‖ that block b would make if its lines of G were formed.
    """
    outputs = values.shape[0]
    before = np.empty((1, outputs, channels), dtype=np.complex128)
    after = np.empty((1, outputs, channels), dtype=np.complex128)
    vectors = outputs == 1 or channels == 1
    moved = 0.0
    for b in range(thresholds.size):
        wanted[b] = 0.0
        if curvatures[b] <= 0.0:
            continue
        if vectors:
            moved += visit_vector(values, slope, gram, starts, curvatures, thresholds, depth, formed[b], wanted, b)
        else:
            moved += visit_matrix(
                values,
                slope,
                gram,
                starts,
                curvatures,
                thresholds,
                depth,
                rank,
                channels,
                before,
                after,
                formed[b],
                wanted,
                b,
            )
    return moved


@njit(nogil=True, cache=True)
def gain_alone(slope, first, last, curvature, threshold, depth):
    """How much the majoriser of h falls where a block that is zero goes alone to its prox (≤ 0); a single row."""
    norm = 0.0
    for i in range(first, last):
        norm += (slope[i] / curvature) ** 2
    norm = np.sqrt(norm)
    if not norm > 0.0:
        return 0.0
    size = shrink(norm, threshold / curvature, depth)
    if size == 0.0:
        return 0.0
    return curvature * size * (0.5 * size - norm) + threshold * size ** (2.0 / depth)


@njit(nogil=True, cache=True)
def best_exchange(values, slope, gram, starts, curvatures, thresholds, depth):
    """The active block to drop and the zero block to raise in its place (-1: none) that lower h most, and by how much.

    One row (K = 1). To first order: the others stay where they are.
    """
    n, row = thresholds.size, values[0]
    without = np.empty_like(row)
    best, dropped, raised = 0.0, -1, -1
    for a in range(n):
        first, last = starts[a], starts[a + 1]
        square = quadratic = linear = 0.0
        for i in range(first, last):
            square += row[i] * row[i]
            linear -= slope[0, i] * row[i]
            for j in range(first, last):
                quadratic += row[i] * gram[i, j] * row[j]
        if square == 0.0:
            continue
        change = linear + 0.5 * quadratic - thresholds[a] * square ** (1.0 / depth)
        without[:] = slope[0]
        for i in range(first, last):
            for j in range(row.size):
                without[j] -= row[i] * gram[i, j]
        if change < best:
            best, dropped, raised = change, a, -1
        for b in range(n):
            if b != a and curvatures[b] > 0.0 and row[starts[b]] == 0.0 and row[starts[b + 1] - 1] == 0.0:
                gain = gain_alone(without, starts[b], starts[b + 1], curvatures[b], thresholds[b], depth)
                if change + gain < best:
                    best, dropped, raised = change + gain, a, b
    return dropped, raised, best

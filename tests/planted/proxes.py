"""The proxes of the solvers, and what weight decay weighs in the predictor."""

from __future__ import annotations

from tests.planted import checks as by
from tests.planted.error import Planted

KERNELS, PROX, PENALTIES = "solvers._prox_kernels", "solvers.prox", "solvers.penalties"

PLANTED = {
    "the jump kept at itself": Planted(
        KERNELS,
        "if z <= a * ((depth - 1.0) / (depth - 2.0)):",
        "if z < a * ((depth - 1.0) / (depth - 2.0)):",
        by.PROX_JUMP[5],
    ),
    "the jump kept at itself, three layers": Planted(KERNELS, "x <= 2.0 * a", "x < 2.0 * a", by.PROX_JUMP[3]),
    "the jump kept at itself, four layers": Planted(KERNELS, "x <= 1.5 * a", "x < 1.5 * a", by.PROX_JUMP[4]),
    "the threshold for the landing": Planted(
        KERNELS, "if z <= a * ((depth - 1.0) / (depth - 2.0)):", "if z <= a:", by.PROX_JUMP[5]
    ),
    "a factor 2 in u": Planted(KERNELS, "(2.0 * depth - 4.0) / depth", "(depth - 2.0) / depth", by.PROX_DIGITS[3]),
    "a factor 2 in u, one layer": Planted(KERNELS, "z / (1.0 + 2.0 * u)", "z / (1.0 + u)", by.PROX_DIGITS[1]),
    "p for 1 - p in the landing": Planted(KERNELS, "(2.0 * depth - 4.0) / depth", "4.0 / depth", by.PROX_DIGITS[5]),
    "p for 1 - p in the slope": Planted(
        KERNELS, "slope = 1.0 - (1.0 - power) * share", "slope = 1.0 - power * share", by.PROX_DIGITS[5]
    ),
    "one power too few": Planted(KERNELS, "return share * before * (1.0 +", "return share * (1.0 +", by.PROX_DIGITS[5]),
    "one step too few, three layers": Planted(KERNELS, "for _ in range(3):", "for _ in range(2):", by.PROX_DIGITS[3]),
    "Newton for Halley, four layers": Planted(KERNELS, "bend = 1.5 * t - zeta", "bend = 0.0 * t", by.PROX_DIGITS[4]),
    "the sign is lost": Planted(
        KERNELS, "math.copysign(0.0 if x <= a else x - a, z[i])", "(0.0 if x <= a else x - a)", by.PROX_KNOWN
    ),
    "Re and Im shrunk apart": Planted(
        PROX,
        "return _group_prox(numbers, levels, layers)",
        "return prox(numbers.real, u, depth=depth) + 1j * prox(numbers.imag, u, depth=depth)",
        by.PROX_GRID,
    ),
    "|.| of entries for Schatten": Planted(
        PROX,
        "shrink_blocks(np.ascontiguousarray(blocks), levels, depth, rank, out)",
        "out[:] = prox(blocks, levels[:, None, None], depth=depth)",
        by.SCHATTEN,
    ),
    "squares of singular values for them": Planted(
        KERNELS, "values[j] = math.sqrt(square_norm(rows[j]))", "values[j] = square_norm(rows[j])", by.SCHATTEN
    ),
    "conjugates of the singular vectors": Planted(
        KERNELS, "rows[i, j] * np.conj(rows[i, k])", "np.conj(rows[i, j]) * rows[i, k]", by.SCHATTEN
    ),
    "one sweep of rotations": Planted(KERNELS, "SWEEPS = 40", "SWEEPS = 2", by.SCHATTEN_LARGER),
    "the smallest singular values kept": Planted(
        KERNELS, "i = np.argmax(values)", "i = np.argmin(values)", by.SCHATTEN_RANK
    ),
    "rank forgotten by LAPACK": Planted(PROX, "kept[:, rank:] = 0.0", "pass", by.SCHATTEN_RANK_LARGE),
    "√P missing in the weight": Planted(PENALTIES, "math.pow(pixels, 1.0 / layers - 1.0)", "1.0", by.PENALTY_WEIGHT),
    "L missing in the weight": Planted(PENALTIES, "minimum=0.0) * layers", "minimum=0.0)", by.PENALTY_WEIGHT),
    "a conjugate pair counted once": Planted(
        PENALTIES, "2.0 ** (1.0 - 0.5 * penalty_power(depth))", "1.0", by.PENALTY_PAIR
    ),
    "√2 of a pair forgotten": Planted(PENALTIES, "2.0 ** (1.0 - 0.5 * penalty_power(depth))", "2.0", by.PENALTY_PAIR),
}

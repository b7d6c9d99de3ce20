"""The problem of the solvers, its descents, and what they rest on."""

from __future__ import annotations

from tests.planted import checks as by
from tests.planted.error import Planted

PLANTED = {
    # the problem
    "√P missing in the penalty": Planted(
        "solvers.penalties", "math.pow(pixels, 1.0 / layers - 1.0)", "1.0", by.OBJECTIVE
    ),
    "L missing in the penalty": Planted("solvers.penalties", "* layers * math.pow(", "* math.pow(", by.OBJECTIVE),
    "a pair counts as its block": Planted(
        "solvers.penalties", "2.0 ** (1.0 - 0.5 * penalty_power(depth))", "1.0", by.OBJECTIVE
    ),
    "a pair counts twice": Planted(
        "solvers.penalties", "2.0 ** (1.0 - 0.5 * penalty_power(depth))", "2.0", by.OBJECTIVE
    ),
    "the whole penalty in half of the objective": Planted(
        "solvers.penalties", "0.5 * weight * np.where", "weight * np.where", by.OBJECTIVE
    ),
    "entries for singular values": Planted(
        "solvers.problem",
        "singular = self.coordinates.singular_values(values)\n",
        "singular = np.abs(self.coordinates.blocks(values)).reshape(len(self.thresholds), -1)\n",
        by.NETWORK_PENALTY,
    ),
    "half of ⟨VG, V⟩ twice": Planted(
        "solvers.problem",
        "return 0.5 * float(np.vdot(values, slope - self.quadratic.cross))",
        "return float(np.vdot(values, slope - self.quadratic.cross))",
        by.OBJECTIVE,
    ),
    "the gap of depth 2 at depth 1": Planted(
        "solvers.problem", "if self.depth == 1:\n            gradient", "if False:\n            gradient", by.GAP[1]
    ),
    "a dual point of the wrong sign": Planted(
        "solvers.problem",
        "min(max(product / curved, -feasible), feasible)",
        "min(product / curved, feasible)",
        by.GAP[2],
    ),
    # coordinates
    "√2 of pairs missing": Planted(
        "solvers.coordinates",
        "scales = np.repeat(np.sqrt(half.weights)",
        "scales = np.repeat(np.ones(len(half.weights))",
        by.COORDINATES,
    ),
    "blocks conjugated": Planted(
        "solvers.coordinates",
        "parts[:, :, 0] + 1j * parts[:, :, 1]",
        "parts[:, :, 0] - 1j * parts[:, :, 1]",
        by.BLOCKS_OF_PREDICTORS,
    ),
    # Σ^xx
    "half of the curvature": Planted(
        "solvers.quadratic",
        "largest = np.linalg.eigvalsh(self.diagonal_blocks)[:, -1]",
        "largest = 0.5 * np.linalg.eigvalsh(self.diagonal_blocks)[:, -1]",
        by.CURVATURES,
    ),
    "the smallest curvature": Planted(
        "solvers.quadratic",
        "eigvalsh(self.diagonal_blocks)[:, -1]",
        "eigvalsh(self.diagonal_blocks)[:, 0]",
        by.CURVATURES,
    ),
    "blocks as narrow as their widest": Planted(
        "solvers.gram",
        "width = 2 * self.moments.image_shape[0]",
        "width = int(np.diff(columns.starts).max())",
        by.NARROW,
    ),
    "lines without their weights": Planted(
        "solvers.gram", "columns.take(total) * columns.scales[places][:, None]", "columns.take(total)", by.LINES
    ),
    "lines of some for lines of all": Planted(
        "solvers.quadratic",
        "met = np.any(values.reshape(-1, columns.size) != 0, axis=0)",
        "met = self.lines.formed[columns.block_of_column]",
        by.PRODUCTS,
    ),
    "a loss that has cancelled": Planted("solvers.quadratic", "CANCELLED = 1e-4", "CANCELLED = -1.0", by.SMALL_LOSS),
    "all lines formed never": Planted("solvers.gram", "> MANY * self.seen.sum()", "> 2 * self.seen.sum()", by.QUARTER),
    "round-off kept in silent columns": Planted("solvers.gram", "SILENT = 1e-28", "SILENT = 0.0", by.SILENT),
    "a slope towards what no image has": Planted(
        "solvers.quadratic", "cross[:, ~made.lines.seen] = 0.0", "pass", by.SILENT
    ),
    # exchanges
    "half of what a drop costs": Planted(
        "solvers.exchanges", "0.5 * np.sum(z[inside] * pulled", "0.25 * np.sum(z[inside] * pulled", by.DROPPED
    ),
    "a dropped penalty without its slope": Planted("solvers.exchanges", "(1.0 - 0.5 * p)", "(1.0 - p)", by.DROPPED),
    "the support moved the other way": Planted("solvers.exchanges", '-np.einsum("nw', 'np.einsum("nw', by.DROPPED),
    "the quadratic term of a raise doubled": Planted(
        "solvers.exchanges", "(0.5 * to - reach)", "(1.0 * to - reach)", by.RAISED
    ),
    "partners of blocks that stay": Planted(
        "solvers._coordinate_kernels",
        "drop_block(trial, trial_slope, gram, starts[b], starts[b + 1])",
        "pass",
        by.PARTNERS,
    ),
    "a slope that does not follow the part": Planted(
        "solvers.local_search", "slope += (after - before) @", "slope += 0.0 * (after - before) @", by.FOLLOWS
    ),
    "a part with the columns of other blocks": Planted(
        "solvers.part", "problem.coordinates.starts[chosen] - starts[:-1]", "starts[:-1] - starts[:-1]", by.PART
    ),
    # descents
    "slope not updated after a jump": Planted(
        "solvers._coordinate_kernels",
        "\n                values[k, i] = new\n                move_column(slope, gram, k, i, step)\n",
        "\n                values[k, i] = new\n                move_column(slope, gram, k, i, step * (new != 0.0))\n",
        by.SWEEP[1, 1],
    ),
    "entries of a block one after the other": Planted(
        "solvers._coordinate_kernels",
        "            new = targets[i - first]\n",
        "            new = factor * (values[k, i] - slope[k, i] * inverse) if factor > 0.0 else 0.0\n",
        by.SWEEP[3, 1],
    ),
    "a vector shrunk entry by entry": Planted(
        "solvers._coordinate_kernels",
        "shrink_blocks(before, ratio, depth, rank, after)",
        "shrink_blocks(before.reshape(-1, 1, 1), np.full(before.size, ratio[0]), depth, rank, after.reshape(-1, 1, 1))",
        by.SWEEP[2, 3],
    ),
    "a matrix conjugated": Planted(
        "solvers._coordinate_kernels",
        "before[0, k, c] = complex(real, imaginary)",
        "before[0, k, c] = complex(real, -imaginary)",
        by.SWEEP[2, 3],
    ),
    "imaginary parts left where they are": Planted(
        "solvers._coordinate_kernels",
        "width = 0.0, 2 * channels if paired else channels",
        "width = 0.0, channels",
        by.SWEEP[2, 3],
    ),
    "the jump for the landing": Planted(
        "solvers._coordinate_kernels",
        "landing(thresholds[b] / curvatures[b], depth) * ((depth - 1.0) / (depth - 2.0))",
        "landing(thresholds[b] / curvatures[b], depth)",
        by.JUMP,
    ),
    "< for ≤ at the jump": Planted(
        "solvers._prox_kernels",
        "if z <= a * ((depth - 1.0) / (depth - 2.0)):\n        return 0.0",
        "if z < a * ((depth - 1.0) / (depth - 2.0)):\n        return 0.0",
        by.JUMP,
    ),
    "slope not updated after a drop": Planted(
        "solvers._coordinate_kernels", "move_column(slope, gram, k, i, -values[k, i])", "pass", by.CHANGED["drop"]
    ),
    "slope not updated after a raise": Planted(
        "solvers._coordinate_kernels",
        "                values[k, i] += step\n                move_column(slope, gram, k, i, step)\n",
        "                values[k, i] += step\n",
        by.CHANGED["raise"],
    ),
    "curvature of the penalty across": Planted(
        "solvers.newton", "((p - 2) * slopes[rows])", "(p * slopes[rows])", by.HESSIAN
    ),
    "slope not extrapolated": Planted(
        "solvers.extrapolation", "(weights @ slopes).reshape(shape)", "slopes[-1].reshape(shape)", by.EXTRAPOLATION
    ),
    "weights of reweighting conjugated": Planted(
        "solvers.irls",
        "[[weight.real, weight.imag], [-weight.imag, weight.real]]",
        "[[weight.real, -weight.imag], [weight.imag, weight.real]]",
        by.REWEIGHTED,
    ),
    "p missing in reweighting": Planted(
        "solvers.irls",
        "np.asarray(problem.power * problem.thresholds",
        "np.asarray(2.0 * problem.thresholds",
        by.REWEIGHTED,
    ),
    "steps of the proximal gradient too long": Planted(
        "solvers.proximal", "kappa = max(kappa, float(np.linalg.norm(vector)))", "kappa = 1.0", by.STEP
    ),
}

"""The regularised problem's constants, and what is proven of its minima."""

from __future__ import annotations

from tests.planted.checks import check
from tests.planted.error import Planted

SHAPE, PLAIN = (3, 4), {"shape": (4, 4), "c": 1, "k": 1, "form": "dense"}
CLOSED = {
    depth: check("solvers.test_certificates", "closed_forms_are_certified", depth=depth, **PLAIN) for depth in (2, 3)
}
MATRICES = {
    depth: check(
        "solvers.test_certificates", "closed_forms_are_certified", shape=SHAPE, c=2, k=3, depth=depth, form="dense"
    )
    for depth in (2, 3)
}
GAP = check(
    "solvers.test_certificates", "gap_of_depth_two_bounds_what_is_left_and_closes",
    kind="incoherent", shape=SHAPE, c=2, k=2, seed=0, share=0.6, scale=1.0,
)  # fmt: skip
RIDGE_GAP = check(
    "solvers.test_certificates", "ridge_gap_bounds_what_is_left",
    kind="incoherent", shape=SHAPE, c=2, k=2, seed=0, lam=0.3, scale=1.0,
)  # fmt: skip
SADDLE = check("solvers.test_certificates", "the_smaller_root_is_a_saddle", depth=3)
BELOW = check("solvers.test_certificates", "a_kept_frequency_below_the_jump_is_better_off_at_zero")
LEAVES = check("solvers.test_certificates", "zero_is_local_but_wants_to_be_left", shape=(4, 4), c=1, k=1, depth=3)
RANK = check("solvers.test_certificates", "closed_forms_of_bounded_rank", depth=3)
HESSIAN = check(
    "solvers.test_curvature", "hessian_is_the_second_difference_along_matrices_of_the_same_ranks",
    shape=(2, 3), c=2, k=3, depth=3,
)  # fmt: skip
GAINS = check(
    "solvers.test_stationarity", "gains_are_what_the_objective_loses_and_no_search_finds_more", c=2, k=2, depth=3
)
HELD = check("solvers.test_stationarity", "a_block_is_held_exactly_up_to_its_jump", depth=4)
UNSCREENED = check("solvers.test_stationarity", "what_is_held_has_nothing_to_gain", c=1, k=1, depth=3, monkeypatch=True)
JUMP = check("solvers.test_stationarity", "at_the_jump_what_is_kept_stays", depth=4)
EDGE = check("solvers.test_bounds", "exact_for_diagonal_statistics", shape=SHAPE, c=2, k=3, depth=3, form="dense")
EDGE_TOGETHER = check("solvers.test_bounds", "exact_where_one_frequency_explains_everything", depth=3)

PLANTED = {
    "√P missing in μ": Planted(
        "solvers.penalties",
        "math.pow(pixels, 1.0 / layers - 1.0)",
        "1.0",
        CLOSED[2],
    ),
    "a conjugate pair counted once in the penalty": Planted(
        "solvers.penalties", "2.0 ** (1.0 - 0.5 * penalty_power(depth))", "1.0", CLOSED[3]
    ),
    "a conjugate pair counted twice in the penalty": Planted(
        "solvers.penalties", "2.0 ** (1.0 - 0.5 * penalty_power(depth))", "2.0", CLOSED[2]
    ),
    "Frobenius for the operator norm of the dual point": Planted(
        "solvers.duality",
        "np.linalg.svd(blocks, compute_uv=False)[:, 0]",
        "np.linalg.norm(blocks, axis=(1, 2))",
        MATRICES[2],
    ),
    "Frobenius for the Schatten norm": Planted(
        "solvers.stationarity",
        "(self.s**self.problem.power).sum(axis=1)",
        "np.linalg.norm(self.s, axis=1) ** self.problem.power",
        GAINS,
    ),
    "sign of the gap's cross term": Planted(
        "solvers.duality", "point.penalties - scale * along", "point.penalties + scale * along", GAP
    ),
    "the dual point is not scaled": Planted("solvers.duality", "np.copysign(1.0 / widest, scale)", "scale", GAP),
    "half of the gap": Planted(
        "solvers.duality", "2.0 * float(unmatched.sum())", "float(unmatched.sum()) - point.loss", GAP
    ),
    "sign of the slope in the gap of ridge": Planted(
        "solvers.duality", "lam * point.values - scale * slope", "lam * point.values + scale * slope", RIDGE_GAP
    ),
    "the jump of the prox elsewhere": Planted(
        "solvers.stationarity", "landing * (2.0 - power) / (2.0 * (1.0 - power))", "landing * 1.6", JUMP
    ),
    "the prox without its derivative's p": Planted(
        "solvers.stationarity", "(power * u)[live]", "u[live]", CLOSED[3]
    ),
    "all singular values kept by the prox": Planted("solvers.stationarity", "shrunk[:, rank:] = 0.0", "pass", RANK),
    "blocks tried from where they are alone": Planted(
        "solvers.stationarity", "here @ known.grams\n", "0.0 * here @ known.grams\n", GAINS
    ),
    "one block's gain halved": Planted(
        "solvers.stationarity",
        "gain = 2.0 * (height",
        "gain = 0.1 * (height",
        GAINS,
    ),
    "a jump that is not looked for": Planted(
        "solvers.certificates", "if gains[block] >", "if False and gains[block] >", LEAVES
    ),
    "blocks held that could gain": Planted("solvers.stationarity", "needed * (1.0 + SURE)", "0.9 * needed", HELD),
    "blocks that are kept held at zero": Planted("solvers.stationarity", "(self.ranks == 0) & (", "(", UNSCREENED),
    "a saddle factorised with a large shift": Planted(
        "solvers.curvature", "matrix + slack * np.eye", "matrix + 1e6 * np.eye", SADDLE
    ),
    "G of neighbouring columns in the Hessian": Planted(
        "solvers.curvature", "(first[:, None] + np.arange(", "(first[:, None] * 0 + np.arange(", HESSIAN
    ),
    "any curvature passes": Planted("solvers.curvature", "lowest >= -slack)", "True)", SADDLE, times=2),
    "sign of the manifold's bend": Planted(
        "solvers.curvature", "image[..., :m] -= ", "image[..., :m] += ", HESSIAN
    ),
    "symmetric and skew exchanged": Planted(
        "solvers.curvature",
        "symmetric[:, None] * (square + mirrored) + skew[:, None] * (square - mirrored)",
        "skew[:, None] * (square + mirrored) + symmetric[:, None] * (square - mirrored)",
        HESSIAN,
    ),
    "p - 1 for p - 2 outside the singular vectors": Planted(
        "solvers.curvature", "s ** (p - 2), 0.0)", "s ** (p - 1), 0.0)", HESSIAN
    ),
    "2 missing in the bound of single frequencies": Planted(
        "solvers.bounds", "norms ** (2 - p) * 2 ** (1 - p)", "norms ** (2 - p)", EDGE
    ),
    "2 missing in the bound of all together": Planted(
        "solvers.bounds", "(4 * explained)", "(2 * explained)", EDGE_TOGETHER
    ),
}  # fmt: skip

"""Errors in the closed forms of weight decay, the factors, and the training of the factors."""

from __future__ import annotations

from tests.planted.checks import check
from tests.planted.error import Planted

RIDGE_PATH = check("solvers.test_ridge_path", "path_is_one_ridge_for_each_lambda", form="dense", n=5, shape=(2, 3, 4))
GAP = check("solvers.test_ridge_path", "gap_bounds_the_distance_to_the_minimum", form="samples")
REDUCTION = check("solvers.test_ridge_path", "reduction_is_orthogonal_and_tridiagonal", size=70)
THRESHOLD = check("solvers.test_diagonal", "depth_two_is_the_soft_threshold_with_the_root_of_the_pixels")
NARROW = check("solvers.test_diagonal", "rank_keeps_the_largest_singular_values", depth=2)
POWER_LAW = check("solvers.test_diagonal", "power_law_is_the_diagonal_form_with_that_spectrum", depth=2)
CORRELATED = check("solvers.test_diagonal", "correlated_statistics_are_refused_by_the_entry")
NETWORK = {"image_shape": (3, 4, 3), "k": 2, "widths": (2, 5, 3)}
ROUND_TRIP = check("solvers.test_factorization", "round_trip", convention="convolution", **NETWORK)
PIXELS = check("solvers.test_factorization", "layers_in_pixel_space_compute_the_predictor", **NETWORK)
PAID = check(
    "solvers.test_factorization", "norm_of_the_weights_is_the_penalty", image_shape=(3, 4, 3), k=2, widths=(2, 3)
)
NO_RANK = check("solvers.test_factorization", "round_off_is_no_rank")
VALUE = check(
    "solvers.test_factorized", "value_is_twice_the_loss_of_the_network",
    form="dense", image_shape=(2, 3, 3), k=2, widths=(3, 2),
)  # fmt: skip
SLOPE = check(
    "solvers.test_factorized", "gradient_equals_central_differences", image_shape=(2, 3, 3), k=2, widths=(3, 2)
)

PLANTED = {
    "2λ in the ridge path": Planted(
        "solvers.closed_form.tridiagonal", "self.diagonal + lam,", "self.diagonal + 2.0 * lam,", RIDGE_PATH
    ),
    "reflections the wrong way": Planted(
        "solvers.closed_form.tridiagonal",
        'return self._reflect(rows, "T")',
        'return self._reflect(rows, "N")',
        REDUCTION,
    ),
    "a gap that is too small": Planted(
        "solvers.closed_form.ridge_path", "float(slopes[i] / lam)", "float(0.1 * slopes[i] / lam)", GAP
    ),
    "μ without √P": Planted("solvers.penalties", "math.pow(pixels, 1.0 / layers - 1.0)", "1.0", THRESHOLD),
    "power law without √P": Planted(
        "solvers.closed_form.power_law", "depth=depth, n_pixels=inverse_tau.size", "depth=depth, n_pixels=1", POWER_LAW
    ),
    "power law by half": Planted(
        "solvers.closed_form.power_law", "0.5 * mu * inverse_tau", "mu * inverse_tau", POWER_LAW
    ),
    "rank of diagonal statistics not bounded": Planted(
        "solvers.closed_form.diagonal", "problem.depth, problem.max_rank)", "problem.depth, 0)", NARROW
    ),
    "correlations not looked for": Planted(
        "solvers.closed_form.diagonal", "if worst > 1.0:", "if worst > 1e30:", CORRELATED
    ),
    "weight of conjugate pairs dropped": Planted(
        "solvers.penalties", "2.0 ** (1.0 - 0.5 * penalty_power(depth))", "1.0", PAID
    ),
    "singular values to the power 1/(L + 1)": Planted(
        "solvers.factorization", "** (1.0 / network.depth)", "** (1.0 / (network.depth + 1))", ROUND_TRIP
    ),
    "factors without P^{(L-1)/2}": Planted(
        "solvers.factorization", "singular[:, kept] / network.constant", "singular[:, kept]", ROUND_TRIP
    ),
    "last layer without the conjugate": Planted(
        "solvers.factorization", "= left[:, :, kept] * roots", "= left[:, :, kept].conj() * roots", PIXELS
    ),
    "round-off is a rank": Planted("solvers.predictors", "ROUND_OFF = 64 *", "ROUND_OFF = 0 *", NO_RANK),
    "training forgets that pairs count twice": Planted(
        "solvers.factorized", "(network.n_pixels / counts) **", "(network.n_pixels + 0 * counts) **", VALUE
    ),
    "training pulls back without the conjugate": Planted(
        "solvers.factorized", "layers[index].conj().swapaxes", "layers[index].swapaxes", SLOPE
    ),
}

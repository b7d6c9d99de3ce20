"""Images in place, and the convex path that reads them: working sets, gaps, rounds."""

from __future__ import annotations

from tests.planted.checks import check
from tests.planted.error import Planted

IMAGES, SET, PATH = "lineardyn.images_in_place", "solvers.working_set", "solvers.lasso_path"

OF_IMAGES, OF_PATH = "lineardyn.test_images_in_place", "solvers.test_lasso_path"
PRODUCTS = check(OF_IMAGES, "products_and_losses_are_those_of_the_rows", shape=(2, 3, 5), dtype=float, center=True)
CHOSEN = check(OF_IMAGES, "chosen_numbers_of_the_rows", shape=(2, 3, 5), every=4, monkeypatch=True)
GROWN = check(OF_PATH, "growing_by_parts_is_growing_at_once")
SOME = check(OF_PATH, "of_every_nth_image_the_set_is_that_of_those_images", every=7, copy=False)
GAP = check(OF_PATH, "on_all_frequencies_the_gap_of_the_set_is_that_of_the_problem")
MINIMUM = check(
    OF_PATH, "the_minimum_of_the_whole_problem",
    kind="power law", outputs=2, channels=2, copy=False, monkeypatch=True,
)  # fmt: skip
IN_TURN = check(OF_PATH, "what_becomes_steep_in_turn_joins_in_turn", monkeypatch=True)

PLANTED = {
    "products without the weights of pairs": Planted(
        IMAGES, "self._unpack((weighted / self.weights)", "self._unpack((weighted)", PRODUCTS
    ),
    "n - 1 for n in a product with Σ^xx": Planted(
        IMAGES, "total /= self.n_samples", "total /= self.n_samples - 1", PRODUCTS
    ),
    "the mean image left in": Planted(IMAGES, "x if self.source.mean is None else", "x if True else", PRODUCTS),
    "⟨‖y - f‖²⟩ without its half": Planted(IMAGES, "return 0.5 * total", "return total", PRODUCTS),
    "every n-th counted anew in each piece": Planted(
        IMAGES, "piece[-first % every :: every]", "piece[::every]", CHOSEN
    ),
    "lines without the power of the images": Planted(
        IMAGES, "total *= self.image_power / self.n_samples", "total /= self.n_samples", CHOSEN
    ),
    # working sets
    "√2 of pairs missing in few lines": Planted(SET, "lines * place.scales[columns[first:], None]", "lines", GROWN),
    "new and old frequencies as if uncorrelated": Planted(
        SET, "gram[:fresh, fresh:] = gram[fresh:, :fresh].T", "gram[:fresh, fresh:] = 0.0", GROWN
    ),
    "a sum over some images over the number of all": Planted(
        SET, "moments.image_power / n *", "moments.image_power / moments.n_samples *", SOME
    ),
    "the smallest curvature of a block": Planted(SET, "eigvalsh(parts)[:, -1]", "eigvalsh(parts)[:, 0]", MINIMUM),
    "a penalty of the largest singular values": Planted(SET, "norms.sum(axis=1)", "norms.max(axis=1)", GAP),
    "+ for - in ⟨y (y - f)⟩": Planted(
        SET, "target_power - float(np.vdot(cross, values))", "target_power + float(np.vdot(cross, values))", GAP
    ),
    # rounds
    "what is steep does not join": Planted(PATH, "            self.grow(fresh)\n", "            pass\n", IN_TURN),
    "steepness of the smallest singular value": Planted(
        PATH, "norms.max(axis=1) / problem", "norms.min(axis=1) / problem", MINIMUM
    ),
    "a gap that is not within the tolerance": Planted(PATH, "max(self.tol * scale, EPS * power))", "power)", MINIMUM),
}

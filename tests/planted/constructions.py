"""Networks through a bottleneck: identity layers, offsets, phases, codes, ranks."""

from __future__ import annotations

from tests.planted.checks import check
from tests.planted.error import Planted

CBN = "proofs_check.cbn"

SLOPE = check(
    f"{CBN}.test_construction", "with_an_offset_on_dc_each_layer_costs_the_rank_exactly",
    frequencies=(0, 1, 7), kind="local", depths=(2, 9),
)  # fmt: skip
UNDER = check(f"{CBN}.test_construction", "the_offset_rides_on_dc_under_channels_that_dc_does_not_use", kind="local")
WORST = check(f"{CBN}.test_construction", "the_offset_suffices_for_the_worst_g")
INTERCEPT = check(
    f"{CBN}.test_construction",
    "with_biases_the_intercept_is_that_of_amplitudes_one_over_the_distance_to_the_ends",
    depth=20, radius=1.0,
)  # fmt: skip
BAND = check(
    f"{CBN}.test_downsampling", "waves_of_the_band_and_no_others_come_back_from_their_samples", grid=(4, 2), s=2
)
TWO = check(f"{CBN}.test_two_frequencies", "a_deep_network_of_rank_two_fits_the_sample", n=5, orbits=2, kind="local")
CONSTANTS = check(f"{CBN}.test_rank", "offsets_do_not_count_at_dc")
CODE = check(f"{CBN}.test_winding", "h_after_g_is_the_projection_exactly")
FIT = check(f"{CBN}.test_continuation", "the_fit_of_the_exact_cost_finds_the_terms_of_its_expansion", pooling=None)
DEVIATION = check(f"{CBN}.test_continuation", "the_residual_of_a_fit_is_its_largest_deviation", sign=1.0)
THROWN = check(
    f"{CBN}.test_continuation", "where_adam_is_thrown_out_smaller_steps_are_tried",
    good=1, rates=[0.8, 0.2], monkeypatch=True,
)  # fmt: skip
BEST = check(f"{CBN}.test_continuation", "the_best_start_goes_on_with_the_last_weight_decay", monkeypatch=True)
START = check(f"{CBN}.test_conjecture", "every_start_is_the_map_at_the_cost_of_its_rank", kind="star", n=4, depth=6)

PLANTED = {
    "identity layers that do not undo the pooling": Planted(
        f"{CBN}.construction",
        "filters_of_blocks(joint.projection / _column(m))",
        "filters_of_blocks(joint.projection)",
        SLOPE,
    ),
    "the rank weighted by 1/m": Planted(
        f"{CBN}.construction", "float((ranks / m**2).sum())", "float((ranks / m).sum())", SLOPE
    ),
    "an offset that DC does not carry": Planted(
        f"{CBN}.construction", "frames[dc] = _frame(np.ones(channels))", "frames[dc] = np.eye(channels)", UNDER
    ),
    "an offset that is too small": Planted(
        f"{CBN}.construction", "bound = largest * bound", "bound = 0.3 * largest * bound", WORST
    ),
    "amplitudes one over the root of the distance": Planted(
        f"{CBN}.construction",
        "1.0 / np.minimum(places + 1, count - places)",
        "1.0 / np.sqrt(np.minimum(places + 1, count - places))",
        INTERCEPT,
    ),
    "the band closed at n/(2s)": Planted(
        f"{CBN}.downsampling", "2 * stride * omega < side", "2 * stride * omega <= side", BAND
    ),
    "half a wave for the code": Planted(
        f"{CBN}.two_frequencies", "np.cos(2 * np.pi * np.arange(n) / n)", "np.cos(np.pi * np.arange(n) / n)", TWO
    ),
    "a constant counts at DC": Planted(
        f"{CBN}.rank", "hat[dc] -= hat[dc].mean(axis=-1, keepdims=True)", "hat[dc] -= 0.0", CONSTANTS
    ),
    "w winds twice": Planted(
        f"{CBN}.winding", "np.exp(3j * angle), np.exp(-3j * angle)", "np.exp(2j * angle), np.exp(-2j * angle)", CODE
    ),
    "stars of the mean, not of the second": Planted(
        f"{CBN}.conjecture", "x - ordered[..., -2:-1], 0.0", "x - x.mean(axis=-1, keepdims=True), 0.0", START
    ),
    "R2/L² for R2/L": Planted(f"{CBN}.continuation", "self.remainder / count", "self.remainder / count**2", FIT),
    "a term in 1/L² for 1/L": Planted(f"{CBN}.continuation", "1.0 / counts]", "1.0 / counts**2]", FIT),
    "the largest deviation with its sign": Planted(
        f"{CBN}.continuation", "np.abs(columns @ found - values).max()", "(columns @ found - values).max()", DEVIATION
    ),
    "half the rate, not a quarter": Planted(f"{CBN}.continuation", "rate / 4**attempt", "rate / 2**attempt", THROWN),
    "the worst start goes on": Planted(f"{CBN}.continuation", "[min(drawn, key", "[max(drawn, key", BEST),
    "the weight decay of the way at the end": Planted(
        f"{CBN}.continuation", "weight_decay=decay, start=start", "weight_decay=ratio * decay, start=start", BEST
    ),
    "each depth from the smallest": Planted(
        f"{CBN}.continuation", "trained(depth, found[-1].network)", "trained(depth, found[0].network)", BEST
    ),
}

"""The checks: tests of the suite with one case each, small enough for the interpreter."""

from __future__ import annotations

from typing import Any

from tests.planted.error import Check


def check(module: str, test: str, *, before: str | None = None, **case: Any) -> Check:
    return Check(module, f"test_{test}", tuple(case.items()), before)


DATA = ("incoherent", (2, 4, 3), 3, 1)
COHERENT = ("coherent", (2, 4, 3), 3, 1)

TRANSFORM = check("lineardyn.test_fourier", "the_transform_is_the_unitary_matrix", shape=(4, 3), seed=0)
CONJUGATES = check("lineardyn.test_fourier", "conjugate_frequencies_of_a_real_image", shape=(4, 4), seed=0)
CONVOLUTION = check("lineardyn.test_fourier", "convolution_equals_the_loops", shape=(4, 3), n_in=2, n_out=2, seed=0)
CIRCULANT = check("lineardyn.test_fourier", "circulant_is_the_convolution", shape=(4, 3), n_in=2, n_out=2, seed=0)
ISOMETRY = check("lineardyn.test_fourier", "half_spectrum_is_lossless_and_isometric", shape=(4, 3), seed=0)
UNPACKING = check("lineardyn.test_fourier", "unpacked_images_are_those_of_the_packed_spectrum", shape=(4, 5), seed=0)
PACKING = check("lineardyn.test_fourier", "packing_images_packs_the_conjugate_spectrum", shape=(4, 5), seed=0)
RADIUS = check("lineardyn.test_fourier", "radius_is_the_distance_to_dc_on_the_torus", shape=(4, 3))

PREDICTOR = check("lineardyn.test_networks", "effective_predictor_identity", kind="cnn", data=DATA, widths=(2, 3))
PREDICTIONS = check(
    "lineardyn.test_networks", "predict_equals_the_pixel_space_sums", kind="cnn", data=DATA, widths=(2, 3)
)
BALANCED_FCN = check(
    "lineardyn.test_balance", "balanced_start_of_a_fully_connected_network_has_one_singular_value", widths=(4, 3)
)
LOSS = check(
    "lineardyn.test_networks", "loss_equals_the_mean_over_samples", kind="cnn", data=DATA, widths=(2,), decay=0.3
)
GRADIENT = {
    kind: check("lineardyn.test_gradients", "gradient_of_a_network", kind=kind, depth=4, form="dense", decay=0.3)
    for kind in ("cnn", "fcn")
}
LOSSLESS = check(
    "lineardyn.test_flow_order", "packing_weights_is_lossless_and_keeps_their_norm", name="cnn-dense-channels"
)
LOSSLESS_FCN = check("lineardyn.test_flow_order", "packing_weights_is_lossless_and_keeps_their_norm", name="fcn-dense")
ALIGNED = check("lineardyn.test_networks", "balanced_start_is_aligned", kind="cnn")
ONE_VALUE = check(
    "lineardyn.test_networks", "balanced_start_has_one_singular_value_a_frequency", data=COHERENT, widths=(1,)
)
NORMAL = check("lineardyn.test_networks", "small_start_is_normal_in_pixel_space", kind="cnn")

CORRELATION = check(
    "lineardyn.test_deep_networks", "gradient_equals_finite_differences",
    channels=2, widths=(1, 3), convention="correlation",
)  # fmt: skip
GLOROT = check(
    "lineardyn.test_starts", "variance_of_each_layer",
    kind="cnn", name="init_glorot", distribution="normal", excess=2.0,
)  # fmt: skip
LOW_RANK = check(
    "lineardyn.test_starts", "low_rank_start_has_that_rank_and_is_balanced",
    kind="cnn", convention="convolution", shape=(4, 3), channels=3, widths=(3,), outputs=3, seed=0, rank=2,
)  # fmt: skip

SUMS = {
    form: check("lineardyn.test_moments", "exact_forms_equal_the_sums_over_samples", form=form, data=DATA)
    for form in ("dense", "samples")
}
MODES = check("lineardyn.test_moments", "modes_are_the_thin_singular_value_decomposition", data=DATA, form="dense")
SIGNS = check("lineardyn.test_moments", "largest_entry_of_each_mode_is_positive", data=DATA)
UNION = check("lineardyn.test_moments", "a_plus_b_is_the_union", form="dense", data=DATA, cut=1)
BLOCKS = {
    form: check(
        "lineardyn.test_statistics_at_scale", "any_source_has_the_moments_of_the_sums",
        before="in_small_pieces", name="list", form=form, tmp_path=None,
    )
    for form in ("modes", "dense", "samples")
}  # fmt: skip
UNION_OF_SAMPLES = check("lineardyn.test_moments", "a_plus_b_is_the_union", form="samples", data=DATA, cut=1)
POWER = check("lineardyn.test_moments", "power_spectrum_is_the_mean_square_coefficient", form="dense", data=DATA)
COSINES = check("lineardyn.test_data_synthetic", "cosine_follows_its_definition_rows_first")
POWER_LAW = check("lineardyn.test_data_synthetic", "power_law_images_have_that_spectrum", shape=(8, 8), exponent=2.0)
PLANTED_MODES = check(
    "lineardyn.test_data_synthetic", "planted_modes_have_the_singular_values_asked_for",
    seed=0, k=3, log_range=1.0, exponent=2.0,
)  # fmt: skip
CENTRED = check(
    "lineardyn.test_statistics_at_scale", "centring_streams",
    before="in_small_pieces", form="dense", source="memory", tmp_path=None,
)  # fmt: skip
LOSS_OF_MODES = check(
    "lineardyn.test_networks", "loss_and_gradient_agree_in_the_three_forms", data=COHERENT, widths=(2,)
)


def slope(kind: str, depth: int, form: str, decay: float = 0.3) -> Check:
    return check(
        "lineardyn.test_gradients", "right_hand_side_of_the_kernels", kind=kind, depth=depth, form=form, decay=decay
    )


FEW = check("lineardyn.test_gradients", "products_of_few_rows_equal_numpys", rows=7, columns=14)
STAGES = check("lineardyn.test_gradients", "stage_sums_equal_numpys", rows=2, terms=13, n=5)
ONE_CHANNEL = check("lineardyn.test_gradients", "right_hand_side_of_one_channel", shape=(3, 3), n_outputs=3, n=2)
TWO_STAGES = check("lineardyn.test_gradients", "two_stage_sums_are_those_of_one_at_a_time", row=5, n=5)
SHARED_ARGUMENTS = check("lineardyn.test_gradients", "what_flows_share_is_that_of_their_network")
PADDING = check("lineardyn.test_gradients", "padding_stays_zero", form="modes", depth=3)


def flow(name: str, method: str) -> Check:
    return check("lineardyn.test_ladder", "states_equal_scipys_in_pixel_space", name=name, method=method)


def order(name: str, method: str) -> Check:
    return check("lineardyn.test_ladder", "observed_order", name=name, method=method)


def restart(method: str) -> Check:
    return check(
        "lineardyn.test_ladder", "a_vector_of_times_equals_a_loop_and_a_restart_midway", name="cnn-2-row", method=method
    )


def trees(name: str) -> Check:
    return check("lineardyn.test_tableaus", "solution_satisfies_the_conditions_of_its_order_and_no_more", name=name)


ESTIMATE = check("lineardyn.test_tableaus", "error_estimates_vanish_up_to_their_order", name="tsit5")
INTERPOLANT = check(
    "lineardyn.test_tableaus", "interpolant_satisfies_the_conditions_of_its_order_at_every_point", name="bs32"
)
INTERPOLANT_8 = check(
    "lineardyn.test_tableaus", "interpolant_satisfies_the_conditions_of_its_order_at_every_point", name="dop853"
)
START = check("lineardyn.test_gradient_flow", "time_zero_is_the_start", method="tsit5")
PASSIVE_REST = check("lineardyn.test_integrator_parts", "what_passive_frequencies_leave_of_the_target")
TINY_ROTATION = check(
    "lineardyn.test_screened", "rotation_is_the_exact_flow_of_a_frozen_residual", seed=3, k=3, size=1e-4
)
RKC_STABLE = check(
    "lineardyn.test_integrator_parts", "steps_damp_up_to_the_limit_that_stages_are_chosen_for", n_stages=5
)
ROCK_STABLE = check(
    "lineardyn.test_integrator_parts", "steps_of_rock_damp_up_to_the_limit_that_stages_are_chosen_for", n_stages=8
)
ROCK_ORDER = check("lineardyn.test_flow_order", "rock_is_of_fourth_order_with_any_number_of_stages", n_stages=8)
ROCK_TREES = check("lineardyn.test_rock4", "conditions_of_order_four_hold_and_those_of_order_five_do_not", row=3)
ROCK_ERROR = check(
    "lineardyn.test_integrator_parts", "error_estimate_of_rock_is_half_of_the_term_of_order_four", n_stages=9
)
ROCK_RMS = check("lineardyn.test_integrator_parts", "error_of_rock_is_the_rms_of_its_scaled_estimate")
LIMITED = check(
    "lineardyn.test_integrator_parts", "where_stages_are_limited_the_step_is_as_long_as_they_allow", most=17
)
ROUND_OFF_OF_STAGES = check(
    "lineardyn.test_integrator_parts", "round_off_of_the_most_stages_is_a_tenth_of_the_tolerance", rtol=1e-10
)
GAIN = check("lineardyn.test_integrator_parts", "auto_changes_where_the_rest_of_the_way_is_cheaper", rtol=1e-3)
EARLY_SHARE = {
    rtol: check("lineardyn.test_integrator_parts", "auto_starts_with_a_fifth_of_the_tolerance", rtol=rtol)
    for rtol in (1e-2, 5e-9)
}
PLACES = check("lineardyn.test_memory", "stages_are_kept_until_they_are_needed_no_more", name="dop853")
RKC_ERROR = check("lineardyn.test_integrator_parts", "error_estimate_vanishes_on_quadratics_and_measures_cubics")
RKC_HERMITE = check("lineardyn.test_integrator_parts", "interpolation_is_exact_on_cubics")
CONTROL = {
    order: check("lineardyn.test_integrator_parts", "step_control_aims_at_the_tolerance", order=order, power=power)
    for order, power in ((2, 3), (4, 4))
}
REJECTION = check("lineardyn.test_integrator_parts", "a_rejected_step_is_shortened_by_its_error", order=4, power=4)
LEAP = check(
    "lineardyn.test_integrator_parts", "a_step_whose_error_leaps_is_tried_again_with_more_stages", order=2, power=3
)  # fmt: skip
RECKONED = check("lineardyn.test_integrator_parts", "a_radius_serves_while_it_grows_by_less_than_the_margin")
PAIR_CONTROL = check("lineardyn.test_integrator_parts", "a_step_is_judged_by_the_rms_of_its_scaled_error")
FIRST_STEP = check("lineardyn.test_integrator_parts", "what_the_first_step_is_chosen_by")
CHANGE = check("lineardyn.test_integrator_parts", "auto_follows_the_sigmoid_through_its_change_of_method", row=True)
NUMBER_OF_STAGES = check("lineardyn.test_integrator_parts", "stages_are_enough_and_not_more_than_needed", reach=30.0)
CURVATURE = check("lineardyn.test_flow_order", "spectral_radius_is_that_of_the_hessian", name="cnn-decay")

ROTATION = check("lineardyn.test_screened", "rotation_is_the_exact_flow_of_a_frozen_residual", seed=3, k=3, size=0.3)
SMALL_ROTATION = check("lineardyn.test_integrator_parts", "what_a_rotation_puts_where_nothing_was_is_exact", size=3e-4)
MEAN_RESIDUAL = check("lineardyn.test_integrator_parts", "frozen_residual_is_the_mean_of_both_ends", outputs=6)
PASSIVE = check("lineardyn.test_integrator_parts", "passive_frequencies_have_their_part_in_the_predictor", outputs=6)

LAWS = check(
    "lineardyn.test_geometric", "laws_hold_at_every_frequency_and_recorded_time",
    name="two-channels", rtol=1e-4, decay=0.1,
)  # fmt: skip
LAWS_OF_NUMBERS = check(
    "lineardyn.test_geometric", "restoration_leaves_the_predictor_alone", name="cnn-modes", size=0.1
)
LAWS_OF_STEPS = check(
    "lineardyn.test_geometric", "laws_hold_in_each_step_of_any_integrator", name="cnn-dense-channels", method="dop853"
)
SLOPE_OF_LAWS = check("lineardyn.test_geometric", "the_gradient_goes_along", name="cnn-dense-channels", decay=0.3)
SLOPE_OF_NUMBERS = check("lineardyn.test_geometric", "the_gradient_goes_along", name="cnn-decay", decay=0.3)

LEARNED = check(
    "lineardyn.test_events", "any_fraction_of_any_mode_is_the_time_of_its_clock", fraction=0.3, mode=0, seed=1
)
LOSS_EVENT = check("lineardyn.test_events", "loss_counts_the_penalty")
TERMINAL = check("lineardyn.test_events", "a_terminal_event_is_the_last_point_of_the_run")
UNWATCHED = check(
    "lineardyn.test_events",
    "steps_are_the_same_to_the_last_bit_and_the_state_at_the_event_is_the_recorded_one",
    name="cnn-dense-channels", method="dop853",
)  # fmt: skip
TERMINAL_AT_REST = check("lineardyn.test_events", "a_terminal_event_at_a_start_that_rests_is_the_end")
WATCHED = {
    terminal: check(
        "lineardyn.test_ensemble_events", "each_run_is_watched_as_if_it_were_alone",
        name="cnn-dense-channels", method="dop853", terminal=terminal,
    )
    for terminal in (False, True)
}  # fmt: skip
CHOSEN_EVENTS = check("lineardyn.test_ensemble_events", "chosen_runs_keep_their_events")
PLATEAU = check("lineardyn.test_events", "what_is_slow_is_not_over")
REGRESSION = {
    ridge: check(
        "lineardyn.test_steady_state", "one_layer_ends_at_the_least_squares_nearest_to_its_start",
        kind="cnn", form="samples", ridge=ridge, data=DATA,
    )
    for ridge in (False, True)
}  # fmt: skip
SADDLE = check("lineardyn.test_steady_state", "a_saddle_that_the_theorem_must_not_promise_away")
REST = check("lineardyn.test_faults", "rest_is_a_minimum_or_a_gradient_of_zero")
SLOW = check("lineardyn.test_faults", "a_slow_direction_is_no_rest")
NEVER = check("lineardyn.test_steady_state", "a_mode_that_is_never_learned_is_named")


def descent(kind: str, batch_size: int | None, depth: int = 3) -> Check:
    if batch_size is None:
        return check("lineardyn.test_descent", "full_batch", kind=kind, depth=depth, decay=0.3, form="samples")
    return check("lineardyn.test_descent", "batches", kind=kind, depth=depth, decay=0.3, batch_size=batch_size)


def recording(batch_size: int | None) -> Check:
    return check(
        "lineardyn.test_descent", "every_so_many_steps_and_the_last_are_recorded",
        kind="cnn", batch_size=batch_size, every=3, n_steps=10, steps=(0, 3, 6, 9, 10),
    )  # fmt: skip


CUT = check("lineardyn.test_descent", "many_calls_of_a_kernel_equal_one", batch_size=2, flops=1.0, monkeypatch=True)
LARGEST_RATE_OF_A_PIXEL = check(
    "lineardyn.test_training", "largest_learning_rate_is_two_over_the_largest_curvature", name="cnn-one-pixel"
)
LARGEST_RATE = check(
    "lineardyn.test_training", "largest_learning_rate_is_two_over_the_largest_curvature", name="cnn-samples-deep"
)
ALONG = check("lineardyn.test_gradient_flow", "loss_and_modes_along_the_way_are_those_of_the_states", name="cnn-decay")
BETWEEN = check("lineardyn.test_descent", "between_recorded_steps_states_are_interpolated_linearly")
BETWEEN_FLOW = check("lineardyn.test_gradient_flow", "dense_output_between_the_times_asked_for", method="dop853")

BALANCE = check(
    "lineardyn.test_invariants", "balance_is_its_definition", kind="cnn", shape=(4, 3), c=2, k=2, widths=(2, 3), seed=0
)
DRIFT = check("lineardyn.test_balance", "drift_of_the_library_is_the_change_of_the_balance", kind="cnn", depth=3)
RATIO = check("lineardyn.test_invariants", "balance_ratio_is_its_definition")
OFF_DIAGONAL = check("lineardyn.test_invariants", "off_diagonal_is_its_definition")

RIDGE = check(
    "solvers.test_ridge", "normal_equations", form="dense", kind="incoherent", shape=(4, 3), c=2, k=2, seed=0, lam=0.3
)
RIDGE_DIAGONAL = check(
    "solvers.test_ridge", "diagonal_form_equals_ridge_where_nothing_correlates", form="dense", lam=0.1
)
SIGMOID = check("lineardyn.test_closed_form_sigmoid", "sigmoid_is_the_flow_of_a_pure_cosine", frequency=(2, 1))
LEARNING_TIME = check("lineardyn.test_closed_form_sigmoid", "learning_time_inverts_the_sigmoid")
RECURSION = check(
    "lineardyn.test_closed_form_discrete", "cosine_recursion_is_gradient_descent_in_pixel_space",
    frequency=(1, 2), share=0.05,
)  # fmt: skip
COUNTS = check("lineardyn.test_closed_form_discrete", "one_sample_sgd_depends_on_the_count_alone")
CLOCK_STEPS = check(
    "lineardyn.test_closed_form_discrete", "clock_recursion_is_gradient_descent_in_pixel_space",
    image_shape=(1, 3, 3), n_outputs=3,
)  # fmt: skip
STABLE = check("lineardyn.test_closed_form_discrete", "stable_rates")
MINIMAL = check(
    "lineardyn.test_closed_form_discrete", "minimal_norm_is_attained_by_weights_that_interpolate", case=((1, 3, 4), 2)
)
UNITS = check("lineardyn.test_closed_form_discrete", "units_of_the_frameworks_by_their_own_losses")
CLOCK = check(
    "lineardyn.test_closed_form_clock", "clock_is_the_flow_of_the_weights_from_any_aligned_start",
    image_shape=(1, 4, 3), n_outputs=2, scale=0.5,
)  # fmt: skip
CLOCK_VALUES = check(
    "lineardyn.test_closed_form_clock", "effective_singular_values_and_kernel_spectrum_are_those_of_the_weights"
)
DEEP_CLOCK = check(
    "lineardyn.test_closed_form_depth", "clock_is_the_flow_at_every_depth",
    case=("cnn", (2, 2), (2, 3, 3), 2), scale=0.3,
)  # fmt: skip
CLOCK_LIMIT = check(
    "lineardyn.test_closed_form_depth", "stable_learning_rate_is_two_over_the_largest_curvature",
    case=("cnn", (1, 1), (1, 4, 4), 3),
)  # fmt: skip
EXPONENTS = check("lineardyn.test_closed_form_depth", "exponents_are_the_slopes_of_the_clock", depth=2)
MEMORY = check("lineardyn.test_closed_form_depth", "deep_networks_remember_their_start")
DEEP_SIGMOID = check(
    "lineardyn.test_closed_form_deep_cosines", "deep_sigmoid_is_the_flow_of_a_pure_cosine", frequency=(1, 2), depth=3
)
DEEP_TIME = check(
    "lineardyn.test_closed_form_deep_cosines", "deep_sigmoid_inverts_the_learning_time",
    depth=3, log_b0=-3.0, place=0.5,
)  # fmt: skip
DEEP_RECURSION = check(
    "lineardyn.test_closed_form_deep_cosines", "deep_recursion_is_gradient_descent_in_pixel_space",
    kind="cnn", depth=3, share=0.05,
)  # fmt: skip
DEEP_LIMIT = check(
    "lineardyn.test_closed_form_deep_cosines", "deep_fixed_point_is_stable_below_the_limit_and_not_above",
    depth=3, s=1.2, d=0.7, n_pixels=9,
)  # fmt: skip
RUNS = check("lineardyn.test_closed_form_sgd", "every_run_of_four_steps_in_pixel_space", kind="cnn", depth=2)
CLOCK_DRAWS = check("lineardyn.test_closed_form_discrete", "clock_recursion_counts_draws_as_sgd_does")
FAST_CLOCK = check("lineardyn.test_closed_form_fast", "one_frequency_is_the_sigmoid_at_the_ends_too")
BOTH_CLOCKS = check("lineardyn.test_closed_form_fast", "clock_gives_the_same_by_both_ways", scale=0.02)
ANY_START = check(
    "lineardyn.test_closed_form_any_start", "any_start_of_a_network_in_pixel_space", case="common phase", scale=1.0
)

PROX_JUMP = {depth: check("solvers.test_prox", "jump_from_both_sides", depth=depth, u=37.0) for depth in (3, 4, 5)}
PROX_DIGITS = {depth: check("solvers.test_prox", "forty_digits_agree", depth=depth) for depth in (1, 3, 4, 5)}
PROX_KNOWN = check("solvers.test_prox", "known_values")
PROX_GRID = check("solvers.test_prox", "nothing_on_a_grid_is_lower", depth=2, log_z=0.5, log_u=0.0, angle=0.7)
SCHATTEN = check("solvers.test_schatten_prox", "lapack_agrees", size=(3, 2), depth=3)
SCHATTEN_LARGER = check("solvers.test_schatten_prox", "lapack_agrees", size=(5, 4), depth=3)
SCHATTEN_RANK = check("solvers.test_schatten_prox", "rank_keeps_the_largest", size=(4, 3), depth=2, rank=1)
SCHATTEN_RANK_LARGE = check("solvers.test_schatten_prox", "rank_keeps_the_largest", size=(13, 14), depth=2, rank=2)
PENALTY_WEIGHT = check("solvers.test_prox", "weight_is_what_the_layers_pay", depth=3, n_pixels=12)
PENALTY_PAIR = check("solvers.test_prox", "threshold_of_a_pair_counts_both", depth=3)
NODE = check("solvers.test_exhaustive_nodes", "bound_of_a_node_is_below_h_on_the_node", seed=0)
GLOBAL = check("solvers.test_exhaustive", "brute_force", sizes=(1, 2, 2, 1), n=None, depth=8)
SHARE = check("solvers.test_exhaustive_nodes", "share_leaves_a_positive_definite_rest", seed=0)
LOSES = check("solvers.test_exhaustive_nodes", "what_a_node_loses_is_above_the_cut", n=None, depth=2)
STAYS = check("solvers.test_exhaustive_nodes", "the_minimiser_stays_in_the_tree", depth=3)
FIRST_BOX = check("solvers.test_exhaustive_nodes", "first_box_holds_the_minimiser_and_no_less", depth=3)
EARLY_END = check(
    "solvers.test_exhaustive", "bounds_hold_wherever_the_search_ends",
    seed=11, depth=5, sizes=(1, 2, 2, 2, 1), scarce=True, nodes=1,
)  # fmt: skip
OBJECTIVE = check(
    "solvers.test_problem", "objective_is_its_definition_in_pixel_space",
    form="dense", shape=(4, 3), c=2, k=2, seed=0, depth=3, lam=0.3,
)  # fmt: skip
NETWORK_PENALTY = check(
    "solvers.test_problem", "the_penalty_is_what_a_network_pays", shape=(4, 3), c=2, k=2, seed=0, depth=3
)
COORDINATES = check("solvers.test_problem", "coordinates_are_lossless_and_isometric", shape=(4, 3), c=2, k=2, seed=0)
BLOCKS_OF_PREDICTORS = check("solvers.test_problem", "blocks_are_the_frequencies", shape=(4, 3), c=2, k=3)
CURVATURES = check("solvers.test_problem", "diagonal_blocks_and_curvatures", form="dense", shape=(3, 3))
NARROW = check("solvers.test_problem", "diagonal_blocks_and_curvatures", form="dense", shape=(2, 2))
LINES = check(
    "solvers.test_problem",
    "lines_formed_one_after_the_other_are_those_of_the_whole",
    form="samples",
    family="interpolated",
    monkeypatch=True,
)
QUARTER = check("solvers.test_problem", "from_a_quarter_of_the_lines_on_all_are_formed")
SILENT = check("solvers.test_problem", "columns_in_which_no_image_has_anything_are_silent", width=7)
DROPPED = check("solvers.test_exchanges", "a_dropped_block_costs_what_the_second_order_says", family="natural", depth=3)
RAISED = check("solvers.test_exchanges", "a_raised_block_gains_what_its_prox_says")
PARTNERS = check("solvers.test_exchanges", "partners_are_the_silent_blocks_that_gain_most")
FOLLOWS = check("solvers.test_exchanges", "values_and_slope_follow_what_the_part_finds", family="natural")
PART = check("solvers.test_exchanges", "a_part_is_the_problem_on_its_blocks")
PRODUCTS = check(
    "solvers.test_problem", "products_are_those_with_the_gram_matrix_however_they_are_made",
    family="power law", form="samples", way="fresh", monkeypatch=True,
)  # fmt: skip
SMALL_LOSS = check("solvers.test_problem", "a_loss_near_interpolation_keeps_its_digits", form="samples", size=1e-9)
GAP = {
    depth: check("solvers.test_solvers", "a_gap_is_never_negative", family="planted", depth=depth) for depth in (1, 2)
}
SWEEP = {
    (c, k): check("solvers.test_descent_parts", "a_sweep_takes_each_block_to_its_prox", c=c, k=k, depth=3, rank=None)
    for c, k in ((1, 1), (3, 1), (2, 3))
}
JUMP = check("solvers.test_descent_parts", "at_the_jump_a_block_stays_zero", depth=4)
CHANGED = {
    change: check("solvers.test_descent_parts", "changes_of_a_block_bring_the_slope_along", change=change)
    for change in ("drop", "raise")
}
HESSIAN = check("solvers.test_descent_parts", "the_hessian_on_the_support", depth=3, c=3, k=1)
EXTRAPOLATION = check("solvers.test_descent_parts", "extrapolation_of_a_linear_iteration_is_its_limit")
REWEIGHTED = check("solvers.test_descent_parts", "reweighting_ends_next_to_the_convex_minimum", c=2, k=3, close=1e-5)
STEP = check("solvers.test_descent_parts", "the_step_of_the_proximal_gradient_is_short_enough", family="coloured")

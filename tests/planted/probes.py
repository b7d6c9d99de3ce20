"""Probes of PyTorch models: sensitivity, filters, modes, tracking, bottleneck, comparison with the theory."""

from __future__ import annotations

from tests.planted.checks import check
from tests.planted.error import Planted

PROBES = "proofs_check.probes"
SENSITIVITY, FILTERS, MODES, MODEL, TRACKING, BOTTLENECK, COMPARISON = (
    f"{PROBES}.{name}" for name in ("sensitivity", "filters", "modes", "model", "tracking", "bottleneck", "comparison")
)
OF = f"{PROBES}.test_"

DIFFERENCES = {
    reduce: check(f"{OF}sensitivity", "of_a_relu_network_it_is_that_of_finite_differences", basis="dft", reduce=reduce)
    for reduce in ("l2", "max")
}
DC = check(f"{OF}sensitivity", "a_shift_invariant_mean_moves_with_dc_alone")
MOMENTS = check(f"{OF}sensitivity", "moments_and_radial_average_are_those_of_their_definition")
FORWARD = check(f"{OF}sensitivity", "more_outputs_than_numbers_go_forward_to_the_same_answer", monkeypatch=True)
BATCHES = check(f"{OF}sensitivity", "batches_change_nothing_but_round_off")
UNTOUCHED = check(f"{OF}tracking", "training_is_the_same_to_the_bit", kind="with everything")
EXACT = {
    size: check(f"{OF}filters", "what_is_exact", size=size, options=options)
    for size, options in ((3, {"dilation": 2}), (2, {"padding": 0, "stride": 2}))
}
POOLED = check(f"{OF}filters", "pooling_weighs_the_layers_of_its_grid")
KEPT = check(f"{OF}filters", "kept_and_radial")
LARGEST = check(f"{OF}filters", "rings_are_of_the_largest_singular_value")
EVEN = check(f"{OF}filters", "norms_at_the_edges", size=(4, 2), options={"padding_mode": "zeros"})
REFLECTED = check(f"{OF}filters", "norms_at_the_edges", size=3, options={"padding_mode": "reflect", "padding": 2})
DEFINED = check(f"{OF}modes", "of_any_model_they_are_those_of_their_definition")
LINEAR = check(f"{OF}modes", "of_a_linear_model_they_are_those_of_its_trajectory", kind="simplex", widths=())
TRACKED = check(f"{OF}tracking", "of_a_linear_model_it_is_the_trajectory_of_gradient_descent", weight_decay=0.3)
SPECTRUM = check(f"{OF}tracking", "the_spectrum_of_a_small_filter_is_that_of_the_filter_filled_up")
WEIGHTS = check(f"{OF}tracking", "norms_are_those_of_weights_without_biases")
FIRST_IMAGES = check(f"{OF}tracking", "sensitivity_is_that_of_the_first_images")
RECORDS = check(f"{OF}tracking", "records_come_in_order_and_bad_calls_are_told")
NORMS = check(f"{OF}bottleneck", "norms_are_those_of_the_dense_operators", options={"groups": 2})
BOUND = check(f"{OF}bottleneck", "the_bound_is_that_of_the_jacobian_by_differences")
PROJECTION = check(f"{OF}bottleneck", "round_off_zeros_do_not_count_in_the_bound")
USED = check(f"{OF}bottleneck", "activations_are_counted_frequency_by_frequency")
RANKS = check(f"{OF}bottleneck", "ranks_are_those_of_all_images_together_whatever_the_batches", count=9)
NARROWEST = check(f"{OF}bottleneck", "the_rank_is_that_of_the_narrowest_place_after_the_first_layer")
STRETCHED = {
    kind: check(f"{OF}bottleneck", "parts_that_stretch_in_one_way_only", kind=kind)
    for kind in ("slope", "stride", "dilation")
}
AGREES = check(f"{OF}comparison", "the_minimum_that_the_theory_predicts_agrees_with_it_in_every_row", depth=1)
MEASURED = check(f"{OF}comparison", "what_a_relu_network_does_is_measured_on_the_images")
RANKED = check(f"{OF}comparison", "correlations_and_angle_have_signs_and_two_sides")

PLANTED = {
    # sensitivity
    "Fourier coefficients without 1/√P": Planted(
        SENSITIVITY, "size = np.abs(fft2(slopes) if", "size = np.abs(np.fft.fft2(slopes) if", DC
    ),
    "lengths over outputs without their squares": Planted(
        SENSITIVITY, 'size**2 if reduce == "l2" else size', "size", DIFFERENCES["l2"]
    ),
    "min for max over outputs": Planted(
        SENSITIVITY, "np.maximum(total, size)", "np.minimum(total, size)", DIFFERENCES["max"]
    ),
    "the standard deviation for the error of the mean": Planted(
        SENSITIVITY, "np.sqrt(spread / (count - 1))", "np.sqrt(spread)", DIFFERENCES["l2"]
    ),
    "n for n - 1 in the standard error": Planted(
        SENSITIVITY, "np.sqrt(spread / (count - 1))", "np.sqrt(spread / count)", DIFFERENCES["l2"]
    ),
    "each batch against its own first image": Planted(
        SENSITIVITY, "shift = shift if shift.size else lengths[0]", "shift = lengths[0]", BATCHES
    ),
    "the radius of the first channel": Planted(
        SENSITIVITY, "weights = lengths.sum(axis=1)", "weights = lengths[:, 0]", MOMENTS
    ),
    "moments without DC": Planted(
        SENSITIVITY, "total = weights.sum(axis=(1, 2))", "total = weights[:, 1:].sum(axis=(1, 2))", MOMENTS
    ),
    "r for r²": Planted(SENSITIVITY, "radius(lengths.shape[2:]) ** power", "radius(lengths.shape[2:])", MOMENTS),
    "only the first image moves": Planted(
        SENSITIVITY,
        "direction.reshape(len(batch), -1)[:, i] = 1.0",
        "direction.reshape(len(batch), -1)[0, i] = 1.0",
        FORWARD,
    ),
    # the door
    "the model asked as it is, in training mode": Planted(MODEL, "model.eval()\n    try", "pass\n    try", UNTOUCHED),
    "the model left in evaluation mode": Planted(MODEL, "part.training = training", "pass", UNTOUCHED),
    "random numbers drawn from the caller's": Planted(
        MODEL, "torch.random.fork_rng(devices=devices)", "torch.enable_grad()", UNTOUCHED
    ),
    # filters
    "dilation forgotten": Planted(FILTERS, "d * np.arange(k)) / n", "np.arange(k)) / n", EXACT[3]),
    "√(s t) of the stride missing": Planted(FILTERS, "blocks / np.sqrt(s * t)", "blocks", EXACT[2]),
    "neighbouring frequencies folded, not aliases": Planted(
        FILTERS, "full.reshape(s, height // s, t,", "full.reshape(height // s, s, t,", EXACT[2]
    ),
    "pooling with its sign": Planted(FILTERS, "np.abs(eigenvalues)", "(eigenvalues)", POOLED),
    "a threshold that is absolute": Planted(FILTERS, "threshold * self.largest", "threshold", KEPT),
    "the smallest singular value over rings": Planted(
        FILTERS, "self.singular_values[None, :, :, 0]", "self.singular_values[None, :, :, -1]", LARGEST
    ),
    "an even filter padded before": Planted(
        FILTERS, "(reach // 2, reach - reach // 2)", "(reach - reach // 2, reach // 2)", EVEN
    ),
    "zero padding counted as pixels": Planted(FILTERS, " & (met[:, :, None] >= 0)", "", EVEN),
    "taps that padding folds onto one another": Planted(
        FILTERS, "(met[:, :, None] == met[:, None, :])", "np.eye(k, dtype=bool)", REFLECTED
    ),
    # modes
    "U for Uᵀ": Planted(MODES, "modes.u[:, kept].T @ covariance", "modes.u[:, kept] @ covariance", DEFINED),
    "outputs beside the first images": Planted(
        MODES, "outputs.T @ question.images[part]", "outputs.T @ question.images[: len(outputs)]", LINEAR
    ),
    "null modes read": Planted(MODES, "kept = ~modes.null", "kept = modes.s >= 0", LINEAR),
    # tracking
    "½ of the loss missing": Planted(MODES, "Outputs(0.5 * squares / count", "Outputs(squares / count", TRACKED),
    "λ for ½λ": Planted(TRACKING, "0.5 * self.weight_decay * sum(norms)", "self.weight_decay * sum(norms)", TRACKED),
    "the Jacobian mirrored": Planted(
        TRACKING, "jacobian.transpose(0, 2, 3, 1)", "jacobian[..., ::-1, ::-1].transpose(0, 2, 3, 1)", TRACKED
    ),
    "P for √P in the first layer's spectrum": Planted(
        TRACKING, "/ np.sqrt(height * width)", "/ (height * width)", SPECTRUM
    ),
    "moduli summed over the outputs": Planted(
        TRACKING, "np.linalg.norm(fft2(rows), axis=0)", "np.abs(fft2(rows)).sum(axis=0)", SPECTRUM
    ),
    "Jacobians of all images": Planted(TRACKING, "self.images[: self.n_sensitivity]", "self.images", FIRST_IMAGES),
    "steps for time": Planted(TRACKING, "t=self.learning_rate * np.array", "t=np.array", RECORDS),
    "biases among the norms": Planted(TRACKING, " if p.ndim > 1", "", WEIGHTS),
    # bottleneck
    "1/L for 2/L": Planted(BOTTLENECK, "** (2.0 / depth)", "** (1.0 / depth)", BOUND),
    "L missing in the bound": Planted(BOTTLENECK, "largest, depth * float(", "largest, float(", BOUND),
    "min for max over images": Planted(
        BOTTLENECK, "largest = max(largest, ", "largest = min(largest or np.inf, ", BOUND
    ),
    "round-off to the power 2/L": Planted(BOTTLENECK, "values[values > noise]", "values", PROJECTION),
    "a bias at one pixel": Planted(BOTTLENECK, " + seen.outputs * bias", " + bias", NORMS),
    "power summed over images": Planted(
        BOTTLENECK, "np.mean(seen.squares, axis=-1) / seen.count", "np.mean(seen.squares, axis=-1)", USED
    ),
    "each frequency against its own largest": Planted(
        BOTTLENECK, "values.max(initial=0.0)).sum(axis=-1))", "values.max(axis=-1, keepdims=True)).sum(axis=-1))", USED
    ),
    "the images of the last batch": Planted(
        BOTTLENECK, "rows if self._factor is None else np.concatenate([self._factor, rows], axis=-2)", "rows", RANKS
    ),
    "the widest place for the narrowest": Planted(BOTTLENECK, "norm, min(ranks)", "norm, max(ranks)", NARROWEST),
    "images count as a place": Planted(BOTTLENECK, "for layer in layers[1:]]", "for layer in layers]", NARROWEST),
    "a negative slope shrinks": Planted(
        BOTTLENECK, "abs(float(part.negative_slope))", "float(part.negative_slope)", STRETCHED["slope"]
    ),
    "windows apart along one axis": Planted(BOTTLENECK, "all(s >= k for", "any(s >= k for", STRETCHED["stride"]),
    "windows that dilation moves into one another": Planted(
        BOTTLENECK, " and _pair(part.dilation) == (1, 1)", "", STRETCHED["dilation"]
    ),
    # comparison
    "the conjugate of the Jacobian": Planted(COMPARISON, "fft2(jacobian).conj()", "fft2(jacobian)", AGREES),
    "λ‖w‖² for ‖w‖²": Planted(COMPARISON, "solution.penalty / lam", "solution.penalty", AGREES),
    "means of images and outputs left in": Planted(
        COMPARISON, "outputs.covariance - np.outer(outputs.mean, mean)", "outputs.covariance", MEASURED
    ),
    "Jacobians of the last images": Planted(COMPARISON, "array[:count]", "array[-count:]", MEASURED),
    "the theory's spectrum for the data's": Planted(
        COMPARISON,
        "self.sensitivity.ravel(), self.power.ravel()",
        "self.sensitivity.ravel(), self.predicted.ravel()",
        RANKED,
    ),
    "an angle without its sign": Planted(COMPARISON, "float(np.vdot(", "abs(np.vdot(", RANKED),
}

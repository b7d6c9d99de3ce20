"""The table of planted errors: what, in which module, which line becomes which, and the check that must fail.

The checks are tests of the suite with one case each. To add an error, add a row; to add a check, add its test to the
suite first. A row that no check notices is a hole in the suite: write the test that kills it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Check:
    """A test function ``test`` of ``tests/<module>``, and its arguments (``data``: those of ``make_data``)."""

    module: str
    test: str
    case: tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Planted:
    """In ``module``, the text ``line``, found ``times`` times, becomes ``wrong``."""

    module: str
    line: str
    wrong: str
    check: Check
    times: int = 1


def check(module: str, test: str, **case: Any) -> Check:
    return Check(module, f"test_{test}", tuple(case.items()))


DATA = ("incoherent", (2, 4, 3), 3, 1)
COHERENT = ("coherent", (2, 4, 3), 3, 1)

# --- the checks ------------------------------------------------------------------------------------------------------

TRANSFORM = check("lineardyn.test_fourier", "the_transform_is_the_unitary_matrix", shape=(4, 3), seed=0)
CONJUGATES = check("lineardyn.test_fourier", "conjugate_frequencies_of_a_real_image", shape=(4, 4), seed=0)
CONVOLUTION = check("lineardyn.test_fourier", "convolution_equals_the_loops", shape=(4, 3), n_in=2, n_out=2, seed=0)
CIRCULANT = check("lineardyn.test_fourier", "circulant_is_the_convolution", shape=(4, 3), n_in=2, n_out=2, seed=0)
ISOMETRY = check("lineardyn.test_fourier", "half_spectrum_is_lossless_and_isometric", shape=(4, 3), seed=0)
PACKING = check("lineardyn.test_fourier", "packing_images_packs_the_conjugate_spectrum", shape=(4, 5), seed=0)
RADIUS = check("lineardyn.test_fourier", "radius_is_the_distance_to_dc_on_the_torus", shape=(4, 3))

PREDICTOR = check("lineardyn.test_networks", "effective_predictor_identity", kind="cnn", data=DATA, widths=(2, 3))
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
BALANCED = check("lineardyn.test_networks", "balanced_start_is_balanced", kind="cnn", data=COHERENT, widths=(2, 3))
ALIGNED = check("lineardyn.test_networks", "balanced_start_is_aligned", kind="cnn")
ONE_VALUE = check(
    "lineardyn.test_networks", "balanced_start_has_one_singular_value_a_frequency", data=COHERENT, widths=(1,)
)
NORMAL = check("lineardyn.test_networks", "small_start_is_normal_in_pixel_space", kind="cnn")

SUMS = {
    form: check("lineardyn.test_moments", "exact_forms_equal_the_sums_over_samples", form=form, data=DATA)
    for form in ("dense", "samples")
}
MODES = check("lineardyn.test_moments", "modes_are_the_thin_singular_value_decomposition", data=DATA, form="dense")
SIGNS = check("lineardyn.test_moments", "largest_entry_of_each_mode_is_positive", data=DATA)
UNION = check("lineardyn.test_moments", "a_plus_b_is_the_union", form="dense", data=DATA, cut=1)
BATCHES_OF_DATA = check("lineardyn.test_moments", "batches_equal_the_whole", form="dense", data=DATA, size=2)
POWER = check("lineardyn.test_moments", "power_spectrum_is_the_mean_square_coefficient", form="dense", data=DATA)
LOSS_OF_MODES = check(
    "lineardyn.test_networks", "loss_and_gradient_agree_in_the_three_forms", data=COHERENT, widths=(2,)
)


def slope(kind: str, depth: int, form: str, decay: float = 0.3) -> Check:
    return check(
        "lineardyn.test_gradients", "right_hand_side_of_the_kernels", kind=kind, depth=depth, form=form, decay=decay
    )


FEW = check("lineardyn.test_gradients", "products_of_few_rows_equal_numpys", rows=7, columns=14)
STAGES = check("lineardyn.test_gradients", "stage_sums_equal_numpys", rows=2, terms=13, n=5)
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
DENSE_OUTPUT = check("lineardyn.test_flow_order", "observed_order_of_the_dense_output", method="rkc")
START = check("lineardyn.test_gradient_flow", "time_zero_is_the_start", method="tsit5")
RKC_STABLE = check(
    "lineardyn.test_integrator_parts", "steps_damp_up_to_the_limit_that_stages_are_chosen_for", n_stages=5
)
RKC_ERROR = check("lineardyn.test_integrator_parts", "error_estimate_vanishes_on_quadratics_and_measures_cubics")
RKC_HERMITE = check("lineardyn.test_integrator_parts", "interpolation_is_exact_on_cubics")
RKC_CONTROL = check("lineardyn.test_integrator_parts", "step_control_aims_at_the_tolerance")
PAIR_CONTROL = check("lineardyn.test_integrator_parts", "a_step_is_judged_by_the_rms_of_its_scaled_error")
RKC_COST = check("lineardyn.test_integrator_parts", "stages_grow_with_the_root_of_the_stiffness")
CURVATURE = check("lineardyn.test_flow_order", "spectral_radius_is_that_of_the_hessian", name="cnn-decay")

ROTATION = check("lineardyn.test_screened", "rotation_is_the_exact_flow_of_a_frozen_residual", seed=3, k=3, size=0.3)
SMALL_ROTATION = check("lineardyn.test_integrator_parts", "what_a_rotation_puts_where_nothing_was_is_exact", size=3e-4)
MEAN_RESIDUAL = check("lineardyn.test_integrator_parts", "frozen_residual_is_the_mean_of_both_ends", outputs=3)
PASSIVE = check("lineardyn.test_integrator_parts", "passive_frequencies_have_their_part_in_the_predictor", outputs=3)


def descent(kind: str, batch_size: int | None, depth: int = 3) -> Check:
    if batch_size is None:
        return check("lineardyn.test_descent", "full_batch", kind=kind, depth=depth, decay=0.3, form="samples")
    return check("lineardyn.test_descent", "batches", kind=kind, depth=depth, decay=0.3, batch_size=batch_size)


def recording(batch_size: int | None) -> Check:
    return check(
        "lineardyn.test_descent", "every_so_many_steps_and_the_last_are_recorded",
        kind="cnn", batch_size=batch_size, every=3, n_steps=10, steps=(0, 3, 6, 9, 10),
    )  # fmt: skip


LARGEST_RATE = check(
    "lineardyn.test_training", "largest_learning_rate_is_two_over_the_largest_curvature", name="cnn-samples-deep"
)
ALONG = check("lineardyn.test_gradient_flow", "loss_and_modes_along_the_way_are_those_of_the_states", name="cnn-decay")
BETWEEN = check("lineardyn.test_descent", "between_recorded_steps_states_are_interpolated_linearly")
BETWEEN_FLOW = check("lineardyn.test_gradient_flow", "dense_output_between_the_times_asked_for", method="dop853")

BALANCE = check(
    "lineardyn.test_invariants", "balance_is_its_definition", kind="cnn", shape=(4, 3), c=2, k=2, widths=(2, 3), seed=0
)
CONSERVED = check("lineardyn.test_balance", "flow_conserves_every_balance_matrix", kind="cnn", depth=3, method="dop853")
DRIFT = check("lineardyn.test_balance", "drift_of_the_library_is_the_change_of_the_balance", kind="cnn", depth=3)
RATIO = check("lineardyn.test_invariants", "balance_ratio_is_its_definition")
OFF_DIAGONAL = check("lineardyn.test_invariants", "off_diagonal_is_its_definition")

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

# --- the errors ------------------------------------------------------------------------------------------------------

PLANTED = {
    # the transform
    "DFT not unitary": Planted(
        "lineardyn.fourier", 'scipy.fft.fft2(values, norm="ortho")', "scipy.fft.fft2(values)", TRANSFORM
    ),
    "conjugate of the DFT": Planted(
        "lineardyn.fourier",
        'scipy.fft.fft2(values, norm="ortho")',
        'scipy.fft.fft2(values, norm="ortho").conj()',
        TRANSFORM,
    ),
    "inverse DFT without √P": Planted(
        "lineardyn.fourier",
        'scipy.fft.ifft2(np.asarray(spectrum), norm="ortho")',
        "scipy.fft.ifft2(np.asarray(spectrum))",
        TRANSFORM,
    ),
    "√P missing in the convolution": Planted(
        "lineardyn.fourier", "np.sqrt(height * width) * ifft2(product).real", "ifft2(product).real", CONVOLUTION
    ),
    "P for √P in the convolution": Planted(
        "lineardyn.fourier",
        "np.sqrt(height * width) * ifft2(product).real",
        "height * width * ifft2(product).real",
        CONVOLUTION,
    ),
    "correlation for convolution": Planted(
        "lineardyn.fourier",
        "fft2(w.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1), fft2(x))",
        "fft2(w.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1).conj(), fft2(x))",
        CONVOLUTION,
    ),
    "circulant transposed": Planted(
        "lineardyn.fourier", "(i[:, None] - i) % height", "(i - i[:, None]) % height", CIRCULANT
    ),
    "DC alone is its own conjugate": Planted(
        "lineardyn.fourier",
        "if conjugate == (frequency[0] % shape[0], frequency[1] % shape[1])",
        "if conjugate == (0, 0)",
        CONJUGATES,
    ),
    "no conjugate on one axis": Planted(
        "lineardyn.fourier", "return -u % height, -v % width", "return -u % height, v % width", CONJUGATES
    ),
    "√2 for 2 frequencies": Planted(
        "lineardyn.fourier",
        "np.where(partner[indices] == indices, 1.0, 2.0)",
        "np.where(partner[indices] == indices, 1.0, np.sqrt(2.0))",
        ISOMETRY,
    ),
    "unpacked spectra are not conjugate symmetric": Planted(
        "lineardyn.fourier", "] = half.conj()", "] = half", ISOMETRY
    ),
    "packed spectrum of the image, not its conjugate": Planted(
        "lineardyn.fourier", "np.where(mirrored, 1.0, -1.0)", "np.where(mirrored, -1.0, 1.0)", PACKING
    ),
    "packed images without √P": Planted(
        "lineardyn.fourier", 'scipy.fft.rfft2(images, norm="ortho")', "scipy.fft.rfft2(images)", PACKING
    ),
    "row of a mirrored frequency": Planted(
        "lineardyn.fourier", "np.where(mirrored, -u % height, u)", "np.where(mirrored, u, u)", PACKING
    ),
    "radius along the axes": Planted(
        "lineardyn.fourier", "np.hypot(u[:, None], v)", "np.abs(u[:, None]) + np.abs(v)", RADIUS
    ),
    # networks
    "√2 in the predictor's constant": Planted(
        "lineardyn.networks",
        "float(self.n_pixels ** ((self.depth - 1) / 2))",
        "float(2**0.5 * self.n_pixels ** ((self.depth - 1) / 2))",
        PREDICTOR,
    ),
    "P^{L/2} for P^{(L-1)/2}": Planted(
        "lineardyn.networks",
        "float(self.n_pixels ** ((self.depth - 1) / 2))",
        "float(self.n_pixels ** (self.depth / 2))",
        PREDICTOR,
    ),
    "√P for P^{(L-1)/2}": Planted(
        "lineardyn.networks", "float(self.n_pixels ** ((self.depth - 1) / 2))", "float(self.n_pixels**0.5)", PREDICTOR
    ),
    "last layer packed like a convolution": Planted(
        "lineardyn.networks", "packed[: -len(kernels[-1]), 1]", "packed[:, 1]", PREDICTOR
    ),
    "last layer unpacked like a convolution": Planted(
        "lineardyn.networks", "spectra[-1] = spectra[-1].conj()", "spectra[-1] = spectra[-1]", LOSSLESS
    ),
    "first layer unpacked conjugated": Planted(
        "lineardyn.networks",
        "ifft2(self.half.unpack(parts).conj()).real",
        "ifft2(self.half.unpack(parts)).real",
        LOSSLESS_FCN,
    ),
    "conjugate of the effective predictor": Planted(
        "lineardyn.networks",
        "self.half.unpack(packed).transpose(2, 3, 0, 1)",
        "self.half.unpack(packed).conj().transpose(2, 3, 0, 1)",
        PREDICTOR,
    ),
    "penalty without its half": Planted("lineardyn.networks", "penalty = 0.5 * decay", "penalty = decay", LOSS),
    "penalty of √‖w‖²": Planted("lineardyn.networks", "float((w * w).sum())", "float((w * w).sum() ** 0.5)", LOSS),
    "gradient without weight decay": Planted(
        "lineardyn.networks",
        "decay * state - self.pullback(state, residual)",
        "-self.pullback(state, residual)",
        GRADIENT["cnn"],
    ),
    "gradient with weight decay of ‖w‖², not half of it": Planted(
        "lineardyn.networks",
        "decay * state - self.pullback(state, residual)",
        "2 * decay * state - self.pullback(state, residual)",
        GRADIENT["fcn"],
    ),
    "gradient uphill": Planted(
        "lineardyn.networks", "target - moments.apply(predictor", "moments.apply(predictor", GRADIENT["cnn"]
    ),
    "frequencies counted once": Planted(
        "lineardyn.networks",
        "moments.apply(predictor * self._coordinate_weights)",
        "moments.apply(predictor)",
        GRADIENT["cnn"],
    ),
    "pulled back without the conjugate below": Planted(
        "lineardyn.networks", "below[i].conj())", "below[i])", GRADIENT["cnn"]
    ),
    "pulled back without the conjugate above": Planted(
        "lineardyn.networks", "layers[i].conj(), above)", "layers[i], above)", GRADIENT["cnn"]
    ),
    "pulled back in the metric of the half spectrum": Planted(
        "lineardyn.networks",
        "below = layers[0] * self._coordinate_weights if i else None",
        "below = layers[0] if i else None",
        GRADIENT["fcn"],
    ),
    "norm of the hidden layers in the metric of the spectrum": Planted(
        "lineardyn.networks",
        "if index == 0 else np.ones(int(np.prod(shape)))",
        "if index == 0 else 2 * np.ones(int(np.prod(shape)))",
        LOSSLESS_FCN,
    ),
    "balanced start out of phase": Planted(
        "lineardyn.networks", "scale * out[:, None] * into.conj()", "scale * out[:, None] * into", ALIGNED
    ),
    "balanced start √2 too large": Planted(
        "lineardyn.networks",
        "scale * out[:, None] * into.conj()",
        "2**0.5 * scale * out[:, None] * into.conj()",
        ONE_VALUE,
    ),
    "variance for standard deviation": Planted(
        "lineardyn.networks",
        "scale * generator.standard_normal(shape)",
        "scale**2 * generator.standard_normal(shape)",
        NORMAL,
    ),
    # second moments
    "n² for n in Σ^yx": Planted("lineardyn.moments", "(sums.yx / n)", "(sums.yx / n**2)", SUMS["dense"]),
    "n - 1 for n in Σ^xx": Planted(
        "lineardyn.moments", "_pack_gram(sums.xx / n,", "_pack_gram(sums.xx / (n - 1),", SUMS["dense"]
    ),
    "n² for n in the samples' weights": Planted(
        "lineardyn.moments", "np.full(n, 1 / n)", "np.full(n, 1 / n**2)", SUMS["samples"]
    ),
    "targets summed, not averaged": Planted(
        "lineardyn.moments", "np.ascontiguousarray(y.T / n)", "np.ascontiguousarray(y.T)", LOSS_OF_MODES
    ),
    "half of ⟨‖y‖²⟩": Planted(
        "lineardyn.moments", "sums.target_power / n,", "sums.target_power / (2 * n),", SUMS["dense"]
    ),
    "the last batch alone": Planted(
        "lineardyn.accumulation", "self.xx += flat.T @ flat", "self.xx = flat.T @ flat", BATCHES_OF_DATA
    ),
    "cross term of the loss once": Planted("lineardyn.moments", "- 2 * cross + fit", "- cross + fit", LOSS),
    "loss without its half": Planted(
        "lineardyn.moments", "0.5 * (gap + max(floor, 0.0))", "gap + max(floor, 0.0)", LOSS
    ),
    "D = S² for D = K S²": Planted(
        "lineardyn.moments", "modes.d[kept].copy()", "modes.s[kept] ** 2", slope("cnn", 2, "modes")
    ),
    "d of v twice as long": Planted(
        "lineardyn.moments",
        '"rd,rd->r", self.apply(weighted), weighted)',
        '"rd,rd->r", self.apply(weighted), 2 * weighted)',
        MODES,
    ),
    "averages of unequal halves": Planted(
        "lineardyn.moments", "a, b = self.n_samples / n, other.n_samples / n", "a, b = 0.5, 0.5", UNION
    ),
    "power of the real parts alone": Planted(
        "lineardyn.moments",
        ".reshape(self.image_shape[0], 2, -1).sum(axis=1)",
        ".reshape(self.image_shape[0], 2, -1)[:, 0]",
        POWER,
    ),
    "conjugate of q": Planted("lineardyn.modes", "return fft2(self.v)", "return fft2(self.v).conj()", MODES),
    "sign of the modes": Planted("lineardyn.modes", "< 0, -1.0, 1.0)", "< 0, 1.0, -1.0)", SIGNS),
    # right-hand sides
    "weight decay makes weights grow": Planted(
        "lineardyn.flow._kernels", "dy[i] -= decay * y[i]", "dy[i] += decay * y[i]", slope("cnn", 2, "modes")
    ),
    "right-hand side without weight decay": Planted(
        "lineardyn.flow._kernels", "if decay != 0.0:", "if decay > 1e9:", slope("cnn", 3, "dense")
    ),
    "2λ for λ": Planted(
        "lineardyn.flow._kernels", "dy[i] -= decay * y[i]", "dy[i] -= 2 * decay * y[i]", slope("fcn", 2, "samples")
    ),
    "product with the conjugate": Planted(
        "lineardyn.flow._kernels",
        "out[o + f] = x[a + f] * y[b + f] - x[c + f] * y[d + f]",
        "out[o + f] = x[a + f] * y[b + f] + x[c + f] * y[d + f]",
        slope("cnn", 2, "modes"),
    ),
    "sum of products with the conjugate": Planted(
        "lineardyn.flow._kernels",
        "out[p + f] += x[a + f] * y[d + f] + x[c + f] * y[b + f]",
        "out[p + f] += x[a + f] * y[d + f] - x[c + f] * y[b + f]",
        slope("cnn", 3, "modes"),
    ),
    "one row pulled back without the conjugate": Planted(
        "lineardyn.flow._kernels",
        "out[p + f] = x[c + f] * y[b + f] - x[a + f] * y[d + f]",
        "out[p + f] = x[c + f] * y[b + f] + x[a + f] * y[d + f]",
        slope("cnn", 2, "modes"),
    ),
    "sum over one row pulled back without the conjugate": Planted(
        "lineardyn.flow._kernels",
        "out[p + f] += x[c + f] * y[b + f] - x[a + f] * y[d + f]",
        "out[p + f] += x[c + f] * y[b + f] + x[a + f] * y[d + f]",
        slope("cnn", 2, "modes"),
    ),
    "two rows pulled back without the conjugate": Planted(
        "lineardyn.flow._kernels",
        "gx[ga + n + f] = ei * yr - er * yi",
        "gx[ga + n + f] = ei * yr + er * yi",
        slope("cnn", 2, "modes"),
    ),
    "sum over two rows pulled back without the conjugate": Planted(
        "lineardyn.flow._kernels",
        "gx[gb + n + f] += hi * yr - hr * yi",
        "gx[gb + n + f] += hi * yr + hr * yi",
        slope("cnn", 3, "modes"),
    ),
    "gradient of the layer below without the conjugate": Planted(
        "lineardyn.flow._kernels",
        "ei * x[a + f] - er * x[a + n + f] + hi",
        "ei * x[a + f] + er * x[a + n + f] + hi",
        slope("cnn", 2, "modes"),
        times=2,
    ),
    "dense residual without the target": Planted(
        "lineardyn.flow._kernels", "constant * (tk[d] - ek[d])", "constant * (-ek[d])", slope("cnn", 3, "dense")
    ),
    "dense residual without its constant": Planted(
        "lineardyn.flow._kernels", "constant * (tk[d] - ek[d])", "tk[d] - ek[d]", slope("cnn", 3, "dense")
    ),
    "sign of the target": Planted(
        "lineardyn.flow._kernels",
        "constant * (target[k, r] - work[i] * gain[r])",
        "constant * (target[k, r] + work[i] * gain[r])",
        slope("cnn", 3, "modes"),
    ),
    "residual without its gain": Planted(
        "lineardyn.flow._kernels",
        "constant * (target[k, r] - work[i] * gain[r])",
        "constant * (target[k, r] - work[i])",
        slope("cnn", 3, "modes"),
    ),
    "residual of a fully connected network without its gain": Planted(
        "lineardyn.flow._kernels",
        "target[k, r] - coefficients[k, r] * gain[r]",
        "target[k, r] - coefficients[k, r]",
        slope("fcn", 3, "samples"),
    ),
    "frequencies of the predictor counted once": Planted(
        "lineardyn.flow._kernels",
        "constant * weights[d] * below[source + d]",
        "constant * below[source + d]",
        slope("cnn", 2, "modes"),
    ),
    "frequencies of one layer counted once": Planted(
        "lineardyn.flow._kernels",
        "oi[d] = constant * ai[d] * weights[d]",
        "oi[d] = constant * ai[d]",
        slope("fcn", 2, "dense"),
    ),
    "fourth term of a product of rows": Planted("lineardyn.flow._kernels", "d4 += vd * y", "d4 += vc * y", FEW),
    "fifth term of a sum of rows": Planted(
        "lineardyn.flow._kernels",
        "e[d + i] += d0 * x0 + d1 * x1 + d2 * x2 + d3 * x3 + d4 * x4",
        "e[d + i] += d0 * x0 + d1 * x1 + d2 * x2 + d3 * x3",
        FEW,
    ),
    "eighth stage left out": Planted(
        "lineardyn.flow._kernels",
        "(p0, p1, p2, p3, p4, p5, p6, p7), (c0, c1, c2, c3, c4, c5, c6, c7)",
        "(p0, p1, p2, p3, p4, p5, p6), (c0, c1, c2, c3, c4, c5, c6)",
        STAGES,
    ),
    "stages not times the step": Planted(
        "lineardyn.flow._kernels",
        "at[m], c[m] = U(j * n), h * table[row, j]",
        "at[m], c[m] = U(j * n), table[row, j]",
        STAGES,
    ),
    "padding not cleared": Planted(
        "lineardyn.flow.arguments", "parts[..., self.length :] = 0.0", "parts[..., self.length :] = 1.0", PADDING
    ),
    "constant of the first layer": Planted(
        "lineardyn.flow.arguments",
        "network.constant if isinstance(network, LinearCNN) else 1.0",
        "1.0",
        slope("cnn", 3, "samples"),
    ),
    # integrators
    "a coefficient of Tsitouras": Planted("lineardyn.flow.tableaus", "{0: 0.161},", "{0: 0.1611},", trees("tsit5")),
    "a coefficient of Bogacki and Shampine": Planted(
        "lineardyn.flow.tableaus", "[0, 3 / 4, 0, 0]", "[1 / 4, 1 / 2, 0, 0]", trees("bs32")
    ),
    "a coefficient of DOP853": Planted(
        "lineardyn.flow.tableaus", "3: 0.17082860872947386,", "3: 0.17082861872947386,", trees("dop853")
    ),
    "two error weights of Tsitouras": Planted(
        "lineardyn.flow.tableaus",
        "0: 0.0017800110522257773,\n        1: 0.0008164344596567463,",
        "0: 0.0018800110522257773,\n        1: 0.0007164344596567463,",
        ESTIMATE,
    ),
    "slope at the end of Hermite's cubic": Planted(
        "lineardyn.flow.tableaus", "rows[n_main] += (0.0, -1.0, 1.0)", "rows[n_main] += (0.0, 1.0, -1.0)", INTERPOLANT
    ),
    "a weight of our interpolant": Planted(
        "lineardyn.flow.tableaus", "0: 7.705902367884983,", "0: 7.705912367884983,", INTERPOLANT_8
    ),
    "time inside a step": Planted(
        "lineardyn.flow._kernels",
        "theta, value = (times[row] - t) / h, 0.0",
        "theta, value = (times[first] - t) / h, 0.0",
        restart("dop853"),
    ),
    "recorded a row too early": Planted(
        "lineardyn.flow._kernels",
        "aim = U(row * out.shape[1] + spectrum * length)",
        "aim = U((row - 1) * out.shape[1] + spectrum * length)",
        flow("cnn-2-row", "dop853"),
    ),
    "start not recorded at t = 0": Planted(
        "lineardyn.flow.stepping", "self.out[0] = self.layout.unpad(self.y)", "self.out[0] = 0.0", START
    ),
    "first stage not that of the new point": Planted(
        "lineardyn.flow._kernels",
        "copy(stages[n_main], stages[0])",
        "copy(stages[n_main - 1], stages[0])",
        order("cnn-2-row", "tsit5"),
    ),
    "error of a step is its sum, not its mean": Planted(
        "lineardyn.flow._kernels", "first / np.sqrt(both * entries)", "first / np.sqrt(both)", PAIR_CONTROL
    ),
    "half of the Hessian": Planted(
        "lineardyn.flow._kernels",
        "vector[i] = (image[i] - f[i]) / step",
        "vector[i] = (image[i] - f[i]) / (2 * step)",
        CURVATURE,
    ),
    "damping of RKC: n for n²": Planted(
        "lineardyn.flow._kernels", "w0 = 1.0 + 2.0 / (13.0 * s * s)", "w0 = 1.0 + 2.0 / (13.0 * s)", RKC_STABLE
    ),
    "damping of RKC: none": Planted(
        "lineardyn.flow._kernels", "w0 = 1.0 + 2.0 / (13.0 * s * s)", "w0 = 1.0 + 1e-9 / (13.0 * s * s)", RKC_STABLE
    ),
    "w1 of RKC": Planted(
        "lineardyn.flow._kernels", "w1 = np.sinh(arg) *", "w1 = np.cosh(arg) *", order("cnn-2-row", "rkc")
    ),
    "first stage of RKC": Planted(
        "lineardyn.flow._kernels", "mu_first = w1 * b_one", "mu_first = w1", order("cnn-2-row", "rkc")
    ),
    "second derivative of the Chebyshev polynomials": Planted(
        "lineardyn.flow._kernels", "- ddt_two + 4.0 * dt_one", "- ddt_two + 2.0 * dt_one", order("cnn-2-row", "rkc")
    ),
    "n for n² in b of RKC": Planted(
        "lineardyn.flow._kernels", "b = ddt / (dt * dt)", "b = ddt / dt", order("cnn-2-row", "rkc")
    ),
    "gamma of RKC": Planted(
        "lineardyn.flow._kernels", "gamma = -mu_f * a_one", "gamma = mu_f * a_one", order("cnn-2-row", "rkc")
    ),
    "error estimate of RKC": Planted(
        "lineardyn.flow._kernels", "0.4 * h * (f0[i] + f1[i])", "0.8 * h * (f0[i] + f1[i])", RKC_ERROR
    ),
    "half the error estimate of RKC": Planted(
        "lineardyn.flow._kernels", "e = 0.8 * (y[i] - z[i]) + 0.4 * h", "e = 0.4 * (y[i] - z[i]) + 0.2 * h", RKC_ERROR
    ),
    "slope at the end of a step": Planted(
        "lineardyn.flow._kernels",
        "c = -h * theta * theta * (1.0 - theta)",
        "c = h * theta * theta * (1.0 - theta)",
        RKC_HERMITE,
    ),
    "growth of RKC's steps": Planted(
        "lineardyn.flow._kernels", "plain = error ** (-1.0 / 3.0)", "plain = error ** (-1.0 / 6.0)", RKC_CONTROL
    ),
    "stages of RKC: n² for n": Planted(
        "lineardyn.flow._kernels",
        "s = 1 + int(np.sqrt(1.54 * h * control[RADIUS] + 1.0))",
        "s = 1 + int(1.54 * h * control[RADIUS] + 1.0)",
        RKC_COST,
    ),
    # screened frequencies
    "√2 in the rotation": Planted(
        "lineardyn.flow._screened_kernels", "0.5 * (up - down) / rate", "0.5**0.5 * (up - down) / rate", ROTATION
    ),
    "conjugate in the projection": Planted(
        "lineardyn.flow._screened_kernels",
        "imaginary[f] += ei * ar - er * ai",
        "imaginary[f] += ei * ar + er * ai",
        ROTATION,
    ),
    "sign in the bend": Planted(
        "lineardyn.flow._screened_kernels",
        "+ e[a + f] * real[f] - e[a + n + f] * imaginary[f]",
        "+ e[a + f] * real[f] + e[a + n + f] * imaginary[f]",
        ROTATION,
    ),
    "cosh without - 1": Planted(
        "lineardyn.flow._screened_kernels",
        "(0.5 * (up + down) - 1.0) / square[f]",
        "0.5 * (up + down) / square[f]",
        ROTATION,
    ),
    "series of sinh": Planted(
        "lineardyn.flow._screened_kernels", "h * (1.0 + x * x / 6.0)", "h * (1.0 + x * x / 3.0)", SMALL_ROTATION
    ),
    "rotation without weight decay": Planted(
        "lineardyn.flow._screened_kernels", "np.exp(-decay * h) if decay != 0.0 else 1.0", "1.0", ROTATION
    ),
    "screened residual is the sum of both ends": Planted(
        "lineardyn.flow._screened_kernels",
        "0.5 * (before[k, r] + after[k, r])",
        "before[k, r] + after[k, r]",
        MEAN_RESIDUAL,
    ),
    "passive frequencies counted once": Planted(
        "lineardyn.flow._screened_kernels",
        "factor = constant * weights[f] * passive[f]",
        "factor = constant * passive[f]",
        PASSIVE,
    ),
    # descent
    "learning rate off by a thousandth": Planted(
        "lineardyn.flow._kernels", "y[i] += rate * dy[i]", "y[i] += 1.001 * rate * dy[i]", descent("cnn", None), times=2
    ),
    "batch summed, not averaged": Planted(
        "lineardyn.flow._kernels", "gain = np.full(size, 1.0 / size)", "gain = np.full(size, 1.0)", descent("cnn", 2)
    ),
    "targets of a batch summed": Planted(
        "lineardyn.flow._kernels",
        "target[k, b] = answers[n, k] / size",
        "target[k, b] = answers[n, k]",
        descent("fcn", 2),
    ),
    "batches of the wrong rows": Planted(
        "lineardyn.flow._kernels", "n = order[step - start, b]", "n = order[step - start, 0]", descent("cnn", 2)
    ),
    "recorded a step early, full batch and batches": Planted(
        "lineardyn.flow._kernels", "(step + 1) % every == 0", "(step + 2) % every == 0", recording(None), times=2
    ),
    "last step not recorded in time": Planted(
        "lineardyn.flow._kernels", "or step + 1 == n_steps:", "or step + 2 == n_steps:", recording(2), times=2
    ),
    "recorded a step early, one sample": Planted(
        "lineardyn._sample_kernels", "(step + 1) % every == 0", "(step + 2) % every == 0", recording(1)
    ),
    "time counts from one": Planted(
        "lineardyn.training",
        "t=self.settings.learning_rate * reached",
        "t=self.settings.learning_rate * (reached + 1)",
        recording(None),
    ),
    "last of the recorded steps": Planted(
        "lineardyn.training", "np.minimum(every * np.arange(count), n)", "every * np.arange(count)", recording(2)
    ),
    "targets of single samples averaged": Planted(
        "lineardyn.training",
        "np.ascontiguousarray(self.moments.statistics.target.T * n)",
        "np.ascontiguousarray(self.moments.statistics.target.T)",
        descent("cnn", 1),
    ),
    "one sample without weight decay": Planted(
        "lineardyn._sample_kernels", "shrink = 1.0 - rate * decay", "shrink = 1.0", descent("cnn", 1)
    ),
    "one sample without the constant": Planted(
        "lineardyn._sample_kernels",
        "slope = constant * (answer[k] - constant * value)",
        "slope = constant * (answer[k] - value)",
        descent("cnn", 1),
    ),
    "one sample, conjugate of the last layer": Planted(
        "lineardyn._sample_kernels", "gi[f] = -slope * bi[f]", "gi[f] = slope * bi[f]", descent("cnn", 1)
    ),
    "one sample, conjugate of a hidden layer": Planted(
        "lineardyn._sample_kernels",
        "imag = ar[f] * gi[f] - ai[f] * gr[f]",
        "imag = ar[f] * gi[f] + ai[f] * gr[f]",
        descent("cnn", 1),
    ),
    "one sample, conjugate of the image": Planted(
        "lineardyn._sample_kernels",
        "rate * (gr[f] * xi[f] + gi[f] * xr[f])",
        "rate * (gi[f] * xr[f] - gr[f] * xi[f])",
        descent("cnn", 1),
    ),
    "one sample, frequencies counted once": Planted(
        "lineardyn._sample_kernels", "weighted[i, f] = weights[f] * h[f]", "weighted[i, f] = h[f]", descent("cnn", 1)
    ),
    "one sample, fully connected, old slope": Planted(
        "lineardyn._sample_kernels", "(down[i] if o > 0 else 0.0)", "(down[i] if o > 1 else 0.0)", descent("fcn", 1)
    ),
    "1/λ for 2/λ": Planted("lineardyn.training", "float(2.0 / largest)", "float(1.0 / largest)", LARGEST_RATE),
    "stencil of a shallower network": Planted(
        "lineardyn.training",
        "nodes, factors = _derivative_stencil(depth)",
        "nodes, factors = _derivative_stencil(depth - 1)",
        LARGEST_RATE,
    ),
    # what comes back, and what is conserved
    "loss along the way without its half": Planted(
        "lineardyn.trajectory",
        "penalty = 0.5 * self.settings.weight_decay",
        "penalty = self.settings.weight_decay",
        ALONG,
    ),
    "kernel spectrum squared": Planted("lineardyn.trajectory", "return np.sqrt(full)", "return full", ALONG),
    "transposed B": Planted(
        "lineardyn.trajectory",
        "(modes.u[:, kept].T @ (v @ right.T))",
        "(modes.u[:, kept].T @ (v @ right.T)).transpose(0, 2, 1)",
        ALONG,
    ),
    "B without Σ^xx": Planted(
        "lineardyn.trajectory", "right = self.moments.apply(rows) * weights", "right = rows * weights", ALONG
    ),
    "share of the way between two steps": Planted(
        "lineardyn.trajectory", "share = (time - base_time) / (self.t[after] - base_time)", "share = 0.5", BETWEEN
    ),
    "taken up at the wrong time": Planted(
        "lineardyn.trajectory", "np.array([time - base_time])", "np.array([time])", BETWEEN_FLOW
    ),
    "sum for difference in the balance": Planted(
        "lineardyn.invariants",
        "a @ np.conj(np.swapaxes(a, -1, -2)) - np",
        "a @ np.conj(np.swapaxes(a, -1, -2)) + np",
        BALANCE,
    ),
    "balance without the conjugate of the last layer": Planted(
        "lineardyn.invariants", "[*spectra[:-1], spectra[-1].conj()]", "spectra", BALANCE
    ),
    "drift relative to a norm, not its square": Planted(
        "lineardyn.invariants", "_norms(a) ** 2 for a in", "_norms(a) for a in", DRIFT
    ),
    "drift from the step before": Planted(
        "lineardyn.invariants", "now = balance(network, weights)", "now = first = balance(network, weights)", DRIFT
    ),
    "ratio of the balance upside down": Planted(
        "lineardyn.invariants", "np.divide(dense, kernel, out", "np.divide(kernel, dense, out", RATIO
    ),
    "diagonal among the off-diagonal": Planted(
        "lineardyn.invariants", "values * (1 - np.eye(values.shape[-1]))", "values", OFF_DIAGONAL
    ),
    # closed forms
    "√m missing in the sigmoid": Planted(
        "lineardyn.closed_form.sigmoid", "_exponent(times, s_, pixels / m)", "_exponent(times, s_, pixels)", SIGMOID
    ),
    "P for √P in the sigmoid": Planted(
        "lineardyn.closed_form.sigmoid",
        "_exponent(times, s_, pixels / m)",
        "_exponent(times, s_, pixels**2 / m)",
        SIGMOID,
    ),
    "factor 2 of the sigmoid": Planted(
        "lineardyn.closed_form.sigmoid", "power = power_t + power_s + 1", "power = power_t + power_s", SIGMOID
    ),
    "√2 in the learning time": Planted(
        "lineardyn.closed_form.sigmoid",
        "growth / (2.0 * np.sqrt(pixels / m)) / s_",
        "growth / (2.0 * np.sqrt(pixels)) / s_",
        LEARNING_TIME,
    ),
    "one factor of two layers": Planted(
        "lineardyn.closed_form.discrete", "b *= factor * factor", "b *= factor", RECURSION
    ),
    "√m missing in the recursion": Planted(
        "lineardyn.closed_form.discrete", '"n_pixels", n_pixels) / m))', '"n_pixels", n_pixels)))', RECURSION
    ),
    "K missing under one sample a step": Planted(
        "lineardyn.closed_form.discrete",
        'learning_rate=rate * check_count("n_classes", n_classes)',
        "learning_rate=rate",
        COUNTS,
    ),
    "K missing in the stable rate": Planted(
        "lineardyn.closed_form.discrete", '* goal * check_count("n_classes", n_classes))', "* goal)", STABLE
    ),
    "|κ| for |κ|² in the clock's recursion": Planted(
        "lineardyn.closed_form.discrete", "power * float(c @ (kappa * kappa))", "power * float(c @ kappa)", CLOCK_STEPS
    ),
    "factor 2 of the minimal norm": Planted(
        "lineardyn.closed_form.minimal_norm", "cost = 2.0 * modes.s", "cost = modes.s", MINIMAL
    ),
    "√P missing in the minimal norm": Planted(
        "lineardyn.closed_form.minimal_norm", "(np.sqrt(height * width) * modes.d", "(modes.d", MINIMAL
    ),
    "√P missing in the clock": Planted(
        "lineardyn.closed_form.mode_clock", "np.sqrt(half.shape[0] * half.shape[1]) * size", "size", CLOCK
    ),
    "clock in the direction of q, not its conjugate": Planted(
        "lineardyn.closed_form.mode_clock",
        "self._direction = q_own.conj() / size",
        "self._direction = q_own / size",
        CLOCK,
    ),
    "clock with its modes' power halved": Planted(
        "lineardyn.closed_form.mode_clock", "np.log(0.25 * d * self._half", "np.log(0.125 * d * self._half", CLOCK
    ),
    "dense layer of the clock conjugated": Planted(
        "lineardyn.closed_form.mode_clock",
        "ifft2(self._unfold(dense.conj())).real",
        "ifft2(self._unfold(dense)).real",
        CLOCK,
    ),
    "B of the clock": Planted(
        "lineardyn.closed_form.mode_clock",
        "weight = 0.25 * self._half.weights",
        "weight = 0.5 * self._half.weights",
        CLOCK_VALUES,
    ),
    "units of mse": Planted("lineardyn.closed_form.frameworks", "return 2.0 * rate /", "return rate /", UNITS),
    "units of l2": Planted("lineardyn.closed_form.frameworks", "else decay / 2.0", "else decay", UNITS),
}

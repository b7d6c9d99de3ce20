"""Closed forms, and the units of frameworks."""

from __future__ import annotations

from tests.planted import checks as by
from tests.planted.error import Planted

PLANTED = {
    "√m missing in the sigmoid": Planted(
        "lineardyn.closed_form.sigmoid", "_exponent(times, s_, pixels / m)", "_exponent(times, s_, pixels)", by.SIGMOID
    ),
    "P for √P in the sigmoid": Planted(
        "lineardyn.closed_form.sigmoid",
        "_exponent(times, s_, pixels / m)",
        "_exponent(times, s_, pixels**2 / m)",
        by.SIGMOID,
    ),
    "factor 2 of the sigmoid": Planted(
        "lineardyn.closed_form.sigmoid", "power = power_t + power_s + 1", "power = power_t + power_s", by.SIGMOID
    ),
    "√2 in the learning time": Planted(
        "lineardyn.closed_form.sigmoid",
        "(2.0 * np.sqrt(pixels / m)) / s_",
        "(2.0 * np.sqrt(pixels)) / s_",
        by.LEARNING_TIME,
    ),
    "one factor of two layers": Planted(
        "lineardyn.closed_form.discrete", "b *= factor * factor", "b *= factor", by.RECURSION
    ),
    "√m missing in the recursion": Planted(
        "lineardyn.closed_form.discrete", '"n_pixels", n_pixels) / m', '"n_pixels", n_pixels)', by.RECURSION
    ),
    "K missing under one sample a step": Planted(
        "lineardyn.closed_form.discrete",
        'learning_rate=rate * check_count("n_classes", n_classes)',
        "learning_rate=rate",
        by.COUNTS,
    ),
    "K missing in the stable rate": Planted(
        "lineardyn.closed_form.discrete", '(slope * check_count("n_classes", n_classes))', "slope", by.STABLE
    ),
    "|κ| for |κ|² in the clock's recursion": Planted(
        "lineardyn.closed_form.discrete",
        "float(c @ kappa**layers)",
        "float(c @ kappa ** (layers - 1))",
        by.CLOCK_STEPS,
    ),
    "factor 2 of the minimal norm": Planted(
        "lineardyn.closed_form.minimal_norm", "cost = 2.0 * modes.s", "cost = modes.s", by.MINIMAL
    ),
    "√P missing in the minimal norm": Planted(
        "lineardyn.closed_form.minimal_norm", "(np.sqrt(height * width) * modes.d", "(modes.d", by.MINIMAL
    ),
    "√P missing in the clock": Planted(
        "lineardyn.closed_form.chains",
        "rate=(half.shape[0] * half.shape[1]) ** (0.5 * (len(start) - 1)) * size",
        "rate=size",
        by.CLOCK,
    ),
    "clock in the direction of q, not its conjugate": Planted(
        "lineardyn.closed_form.chains",
        "first=q[mode, :, moving] / size",
        "first=q[mode, :, moving].conj() / size",
        by.CLOCK,
    ),
    "clock with its modes' power halved": Planted(
        "lineardyn.closed_form.growth", "np.log(0.25 * self.scale[mine])", "np.log(0.125 * self.scale[mine])", by.CLOCK
    ),
    "dense layer of the clock conjugated": Planted(
        "lineardyn.closed_form.chains",
        "self._pixels(*pair, conjugate=c)",
        "self._pixels(*pair, conjugate=False)",
        by.CLOCK,
    ),
    "B of the clock": Planted(
        "lineardyn.closed_form.growth",
        "terms: Floats = 0.25 * self.scale",
        "terms: Floats = 0.5 * self.scale",
        by.CLOCK_VALUES,
    ),
    "units of mse": Planted("lineardyn.closed_form.frameworks", "return 2.0 * rate /", "return rate /", by.UNITS),
    "units of l2": Planted("lineardyn.closed_form.frameworks", "else decay / 2.0", "else decay", by.UNITS),
    "λ/2 in ridge": Planted(
        "solvers.closed_form", "gram + lam * np.eye(size)", "gram + 0.5 * lam * np.eye(size)", by.RIDGE
    ),
    "penalty in the metric of the half spectrum": Planted(
        "solvers.closed_form", "root = np.sqrt(moments.weights)", "root = moments.weights", by.RIDGE
    ),
    "diagonal ridge without the conjugate": Planted(
        "solvers.closed_form", "fft2(moments.sigma_yx).conj()", "fft2(moments.sigma_yx)", by.RIDGE_DIAGONAL
    ),
}

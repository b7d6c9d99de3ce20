"""RKC, ROCK4, and RKC of the frequencies that matter."""

from __future__ import annotations

from tests.planted import checks as by
from tests.planted.error import Planted

PLANTED = {
    "half of the Hessian": Planted(
        "lineardyn.flow._stabilised_kernels",
        "vector[i] = (image[i] - f[i]) / step",
        "vector[i] = (image[i] - f[i]) / (2 * step)",
        by.CURVATURE,
    ),
    "damping of RKC: n for n²": Planted(
        "lineardyn.flow._stabilised_kernels",
        "w0 = 1.0 + 2.0 / (13.0 * s * s)",
        "w0 = 1.0 + 2.0 / (13.0 * s)",
        by.RKC_STABLE,
    ),
    "damping of RKC: none": Planted(
        "lineardyn.flow._stabilised_kernels",
        "w0 = 1.0 + 2.0 / (13.0 * s * s)",
        "w0 = 1.0 + 1e-9 / (13.0 * s * s)",
        by.RKC_STABLE,
    ),
    "w1 of RKC": Planted(
        "lineardyn.flow._stabilised_kernels", "w1 = np.sinh(arg) *", "w1 = np.cosh(arg) *", by.order("cnn-2-row", "rkc")
    ),
    "first stage of RKC": Planted(
        "lineardyn.flow._stabilised_kernels", "mu_first = w1 * b_one", "mu_first = w1", by.order("cnn-2-row", "rkc")
    ),
    "second derivative of the Chebyshev polynomials": Planted(
        "lineardyn.flow._stabilised_kernels",
        "- ddt_two + 4.0 * dt_one",
        "- ddt_two + 2.0 * dt_one",
        by.order("cnn-2-row", "rkc"),
    ),
    "n for n² in b of RKC": Planted(
        "lineardyn.flow._stabilised_kernels", "b = ddt / (dt * dt)", "b = ddt / dt", by.order("cnn-2-row", "rkc")
    ),
    "gamma of RKC": Planted(
        "lineardyn.flow._stabilised_kernels",
        "gamma = -mu_f * a_one",
        "gamma = mu_f * a_one",
        by.order("cnn-2-row", "rkc"),
    ),
    "error estimate of RKC": Planted(
        "lineardyn.flow._stabilised_kernels", "0.4 * h * (f0[i] + f1[i])", "0.8 * h * (f0[i] + f1[i])", by.RKC_ERROR
    ),
    "half the error estimate of RKC": Planted(
        "lineardyn.flow._stabilised_kernels",
        "e = 0.8 * (y[i] - z[i]) + 0.4 * h",
        "e = 0.4 * (y[i] - z[i]) + 0.2 * h",
        by.RKC_ERROR,
    ),
    "slope at the end of a step": Planted(
        "lineardyn.flow._stabilised_kernels",
        "c = -h * theta * theta * (1.0 - theta)",
        "c = h * theta * theta * (1.0 - theta)",
        by.RKC_HERMITE,
    ),
    "growth of RKC's steps": Planted(
        "lineardyn.flow._stabilised_kernels",
        "growth, k = 10.0, 1.0 / (3.0",
        "growth, k = 10.0, 1.0 / (6.0",
        by.CONTROL[2],
    ),
    "stages of RKC: n² for n": Planted(
        "lineardyn.flow._stabilised_kernels",
        "min(np.sqrt(1.54 * h * radius + 1.0), most)",
        "min(1.54 * h * radius + 1.0, most)",
        by.NUMBER_OF_STAGES,
    ),
    # order 4
    "a coefficient of the last stages of ROCK4": Planted(
        "lineardyn.flow.rock4", "a42 = (inner[1] - a43 * c3) / c2", "a42 = (inner[1] - a43 * c2) / c2", by.ROCK_TREES
    ),
    "a condition of order 4": Planted(
        "lineardyn.flow.rock4", "w[7] = 1 / 24 - p[7]", "w[7] = 1 / 12 - p[7]", by.ROCK_TREES
    ),
    "last stages of ROCK4 mixed up": Planted(
        "lineardyn.flow._stabilised_kernels",
        "h * end[1], h * end[2], 0.0, 0.0",
        "h * end[2], h * end[1], 0.0, 0.0",
        by.order("cnn-2-row", "rock4"),
    ),
    "weights of the last stages of ROCK4 mixed up": Planted(
        "lineardyn.flow._stabilised_kernels",
        "h * end[6], h * end[7], h * end[8], h * end[9]",
        "h * end[6], h * end[8], h * end[7], h * end[9]",
        by.order("cnn-2-row", "rock4"),
    ),
    "recurrence of ROCK4": Planted(
        "lineardyn.flow._stabilised_kernels",
        "steps[j, 2], steps[j, 1], h * steps[j, 0]",
        "steps[j, 1], steps[j, 2], h * steps[j, 0]",
        by.ROCK_ORDER,
    ),
    "polynomials of ROCK4 on a shorter interval": Planted(
        "lineardyn.flow.rock4",
        "rows[j] = 2.0 / (length * ratio)",
        "rows[j] = 2.2 / (length * ratio)",
        by.ROCK_STABLE,
    ),
    "polynomials of ROCK4 that are not orthogonal": Planted(
        "lineardyn.flow.rock4", "kappa = -beta", "kappa = -0.9 * beta", by.ROCK_STABLE
    ),
    "twice the error estimate of ROCK4": Planted(
        "lineardyn.flow.rock4", "vector * (1 / 48)", "vector * (1 / 24)", by.ROCK_ERROR
    ),
    "error estimate of ROCK4 without the new point": Planted(
        "lineardyn.flow._stabilised_kernels", "k4[i] + e5 * f1[i]", "k4[i]", by.ROCK_RMS
    ),
    "growth of ROCK4's steps": Planted(
        "lineardyn.flow._stabilised_kernels",
        "growth, k = 10.0, 1.0 / (3.0 if order == 2 else 4.0)",
        "growth, k = 10.0, 1.0 / (3.0 if order == 2 else 5.0)",
        by.CONTROL[4],
    ),
    "prediction of the next error upside down": Planted(
        "lineardyn.flow._stabilised_kernels",
        "(control[OLD_ERROR] / error)",
        "(error / control[OLD_ERROR])",
        by.CONTROL[4],
    ),
    "spectral radius estimated once for ever": Planted(
        "lineardyn.flow._stabilised_kernels", "else max(h, MARGIN / rate)", "else np.inf", by.RECKONED
    ),
    "growth of the spectral radius left out": Planted(
        "lineardyn.flow._stabilised_kernels", "min(1.6, 1.05 + span * rate)", "1.05", by.RECKONED
    ),
    "an instability mistaken for an error": Planted(
        "lineardyn.flow._stabilised_kernels", "control[RATE] * h < 0.9 * OUTGROWN", "False", by.LEAP
    ),
    "a rejected step of ROCK4": Planted(
        "lineardyn.flow._stabilised_kernels",
        "0.8 * error ** (-1.0 / (3.0 if order == 2 else 4.0))",
        "0.8 * error ** (-1.0 / 3.0)",
        by.REJECTION,
    ),
    "too few stages of ROCK4": Planted(
        "lineardyn.flow._stabilised_kernels",
        "while row < last and lengths[row] < h * radius:",
        "while row < last and lengths[row + 1] < h * radius:",
        by.NUMBER_OF_STAGES,
    ),
    "a step longer than the stages of ROCK4 bear": Planted(
        "lineardyn.flow._stabilised_kernels", "h = lengths[row] / radius", "h = 2.0 * lengths[row] / radius", by.LIMITED
    ),
    "a step longer than the stages of RKC bear": Planted(
        "lineardyn.flow._stabilised_kernels", "h = (s * s - 1.0) / (1.54", "h = (s * s - 1.0) / (0.77", by.LIMITED
    ),
    "round-off limit of ROCK4": Planted("lineardyn.flow.rock4", "> 0.1 * rtol:", "> rtol:", by.ROUND_OFF_OF_STAGES),
    "round-off limit of RKC": Planted("lineardyn.flow.stepping", "(10.0 * 2.3e-16)", "2.3e-16", by.ROUND_OFF_OF_STAGES),
    # screened frequencies
    "√2 in the rotation": Planted(
        "lineardyn.flow._screened_kernels", "0.5 * (up - down) / rate", "0.5**0.5 * (up - down) / rate", by.ROTATION
    ),
    "conjugate in the projection": Planted(
        "lineardyn.flow._screened_kernels",
        "imaginary[f] += ei * ar - er * ai",
        "imaginary[f] += ei * ar + er * ai",
        by.ROTATION,
    ),
    "sign in the bend": Planted(
        "lineardyn.flow._screened_kernels",
        "+ e[a + f] * real[f] - e[a + n + f] * imaginary[f]",
        "+ e[a + f] * real[f] + e[a + n + f] * imaginary[f]",
        by.ROTATION,
    ),
    "cosh without - 1": Planted(
        "lineardyn.flow._screened_kernels",
        "(0.5 * (up + down) - 1.0) / square[f]",
        "0.5 * (up + down) / square[f]",
        by.ROTATION,
    ),
    "series of sinh": Planted(
        "lineardyn.flow._screened_kernels", "h * (1.0 + x * x / 6.0)", "h * (1.0 + x * x / 3.0)", by.SMALL_ROTATION
    ),
    "rotation without weight decay": Planted(
        "lineardyn.flow._screened_kernels", "np.exp(-decay * h) if decay != 0.0 else 1.0", "1.0", by.ROTATION
    ),
    "screened residual is the sum of both ends": Planted(
        "lineardyn.flow._screened_kernels",
        "0.5 * (before[k, r] + after[k, r])",
        "before[k, r] + after[k, r]",
        by.MEAN_RESIDUAL,
    ),
    "passive frequencies counted once": Planted(
        "lineardyn.flow._screened_kernels",
        "factor = constant * weights[f] * passive[f]",
        "factor = constant * passive[f]",
        by.PASSIVE,
    ),
    "series of cosh": Planted(
        "lineardyn.flow._screened_kernels",
        "0.5 * h * h * (1.0 + x * x / 12.0)",
        "h * h * (1.0 + x * x / 12.0)",
        by.TINY_ROTATION,
    ),
    "sign of what passive frequencies leave": Planted(
        "lineardyn.flow._screened_kernels",
        "new = target[k, r] - work[c] * gain[r]",
        "new = target[k, r] + work[c] * gain[r]",
        by.PASSIVE_REST,
    ),
}

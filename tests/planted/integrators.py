"""Integrators: tableaus, RKC, steps, records, screened frequencies."""

from __future__ import annotations

from tests.planted import checks as by
from tests.planted.error import Planted

PLANTED = {
    "a coefficient of Tsitouras": Planted("lineardyn.flow.tableaus", "{0: 0.161},", "{0: 0.1611},", by.trees("tsit5")),
    "a coefficient of Bogacki and Shampine": Planted(
        "lineardyn.flow.tableaus", "[0, 3 / 4, 0, 0]", "[1 / 4, 1 / 2, 0, 0]", by.trees("bs32")
    ),
    "a coefficient of DOP853": Planted(
        "lineardyn.flow.tableaus", "3: 0.17082860872947386,", "3: 0.17082861872947386,", by.trees("dop853")
    ),
    "two error weights of Tsitouras": Planted(
        "lineardyn.flow.tableaus",
        "0: 0.0017800110522257773,\n        1: 0.0008164344596567463,",
        "0: 0.0018800110522257773,\n        1: 0.0007164344596567463,",
        by.ESTIMATE,
    ),
    "slope at the end of Hermite's cubic": Planted(
        "lineardyn.flow.tableaus",
        "rows[n_main] += (0.0, -1.0, 1.0)",
        "rows[n_main] += (0.0, 1.0, -1.0)",
        by.INTERPOLANT,
    ),
    "a weight of our interpolant": Planted(
        "lineardyn.flow.tableaus", "0: 7.705902367884983,", "0: 7.705912367884983,", by.INTERPOLANT_8
    ),
    "time inside a step": Planted(
        "lineardyn.flow._kernels",
        "theta, value = (times[row] - t) / h, 0.0",
        "theta, value = (times[first] - t) / h, 0.0",
        by.restart("dop853"),
    ),
    "recorded a row too early": Planted(
        "lineardyn.flow._kernels",
        "aim = U(row * out.shape[1] + spectrum * length)",
        "aim = U((row - 1) * out.shape[1] + spectrum * length)",
        by.flow("cnn-2-row", "dop853"),
    ),
    "start not recorded at t = 0": Planted(
        "lineardyn.flow.stepping", "self.out[0] = self.layout.unpad(self.y)", "self.out[0] = 0.0", by.START
    ),
    "first stage not that of the new point": Planted(
        "lineardyn.flow._kernels",
        "copy(stages[n_main], stages[0])",
        "copy(stages[n_main - 1], stages[0])",
        by.order("cnn-2-row", "tsit5"),
    ),
    "error of a step is its sum, not its mean": Planted(
        "lineardyn.flow._kernels", "first / np.sqrt(both * entries)", "first / np.sqrt(both)", by.PAIR_CONTROL
    ),
    "half of the Hessian": Planted(
        "lineardyn.flow._stabilised_kernels",
        "vector[i] = (image[i] - f[i]) / step",
        "vector[i] = (image[i] - f[i]) / (2 * step)",
        by.CURVATURE,
    ),
    "damping of RKC: n for n²": Planted(
        "lineardyn.flow._stabilised_kernels", "w0 = 1.0 + 2.0 / (13.0 * s * s)", "w0 = 1.0 + 2.0 / (13.0 * s)", by.RKC_STABLE
    ),
    "damping of RKC: none": Planted(
        "lineardyn.flow._stabilised_kernels", "w0 = 1.0 + 2.0 / (13.0 * s * s)", "w0 = 1.0 + 1e-9 / (13.0 * s * s)", by.RKC_STABLE
    ),
    "w1 of RKC": Planted(
        "lineardyn.flow._stabilised_kernels", "w1 = np.sinh(arg) *", "w1 = np.cosh(arg) *", by.order("cnn-2-row", "rkc")
    ),
    "first stage of RKC": Planted(
        "lineardyn.flow._stabilised_kernels", "mu_first = w1 * b_one", "mu_first = w1", by.order("cnn-2-row", "rkc")
    ),
    "second derivative of the Chebyshev polynomials": Planted(
        "lineardyn.flow._stabilised_kernels", "- ddt_two + 4.0 * dt_one", "- ddt_two + 2.0 * dt_one", by.order("cnn-2-row", "rkc")
    ),
    "n for n² in b of RKC": Planted(
        "lineardyn.flow._stabilised_kernels", "b = ddt / (dt * dt)", "b = ddt / dt", by.order("cnn-2-row", "rkc")
    ),
    "gamma of RKC": Planted(
        "lineardyn.flow._stabilised_kernels", "gamma = -mu_f * a_one", "gamma = mu_f * a_one", by.order("cnn-2-row", "rkc")
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
        "lineardyn.flow._stabilised_kernels", "growth, k = 10.0, 1.0 / (3.0", "growth, k = 10.0, 1.0 / (6.0", by.CONTROL[2]
    ),
    "stages of RKC: n² for n": Planted(
        "lineardyn.flow._stabilised_kernels",
        "min(np.sqrt(1.54 * h * radius + 1.0), most)",
        "min(1.54 * h * radius + 1.0, most)",
        by.NUMBER_OF_STAGES,
    ),
    "scale of the tolerance": Planted(
        "lineardyn.flow._kernels",
        "x = e[i] / (atol + rtol * max(abs(y[i]), abs(z[i])))\n        total += x * x\n    return total",
        "x = e[i] / (atol * rtol * max(abs(y[i]), abs(z[i])))\n        total += x * x\n    return total",
        by.FIRST_STEP,
    ),
    "time forgotten at the change of method": Planted(
        "lineardyn.flow.stepping",
        "run.control[[_kernels.TIME, _kernels.STEP]] = self.control[[_kernels.TIME, _kernels.STEP]]",
        "run.control[_kernels.STEP] = self.control[_kernels.STEP]",
        by.CHANGE,
    ),
    "what was recorded forgotten at the change of method": Planted(
        "lineardyn.flow.stepping", "run.counts[:4] = self.counts[:4]", "run.counts[:3] = self.counts[:3]", by.CHANGE
    ),
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

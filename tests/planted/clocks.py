"""Clocks of modes, closed forms at any depth, one-sample descent as a function of a count."""

from __future__ import annotations

from tests.planted import checks as by
from tests.planted.error import Planted

PLANTED = {
    "√P too many in the clock": Planted(
        "lineardyn.closed_form.chains", "(0.5 * (len(start) - 1)) * size", "(0.5 * len(start)) * size", by.DEEP_CLOCK
    ),
    "conjugates not counted in the clock": Planted(
        "lineardyn.closed_form.chains", "weight=half.weights[moving]", "weight=np.ones(len(moving))", by.DEEP_CLOCK
    ),
    "conjugates not counted in the clock, two layers": Planted(
        "lineardyn.closed_form.chains", "weight=half.weights[moving]", "weight=np.ones(len(moving))", by.CLOCK
    ),
    "exponent L/(L-1) for L/(L-2)": Planted(
        "lineardyn.closed_form.growth",
        "depth=self.chains.depth, horizon=horizon",
        "depth=self.chains.depth + 1, horizon=horizon",
        by.DEEP_CLOCK,
    ),
    "horizon of a deep clock without L-2": Planted(
        "lineardyn.closed_form.growth",
        "reach = (chains.depth - 2) * chains.rate",
        "reach = 2.0 * chains.rate",
        by.DEEP_CLOCK,
    ),
    "growth of κ as of κ²": Planted(
        "lineardyn.closed_form.growth", "np.exp(-fall / (self", "np.exp(-2.0 * fall / (self", by.DEEP_CLOCK
    ),
    "cosh and sinh exchanged": Planted(
        "lineardyn.closed_form.growth",
        "plus, minus = self._factors(position)\n        grown",
        "minus, plus = self._factors(position)\n        grown",
        by.CLOCK,
    ),
    "√m missing in the speed of deep cosines": Planted(
        "lineardyn.closed_form.sigmoid", "b0_, mode_rate(pixels / m,", "b0_, mode_rate(pixels,", by.DEEP_SIGMOID
    ),
    "wrong power of d": Planted(
        "lineardyn.closed_form.deep", "d ** (2.0 / depth - 1.0)", "d ** (3.0 / depth - 1.0)", by.DEEP_SIGMOID
    ),
    "twice the deep learning time": Planted(
        "lineardyn.closed_form.deep", "np.asarray(total / (rate", "np.asarray(2.0 * total / (rate", by.DEEP_TIME
    ),
    "√m missing in a deep step": Planted(
        "lineardyn.closed_form.discrete", '"n_pixels", n_pixels) / m', '"n_pixels", n_pixels)', by.DEEP_RECURSION
    ),
    "limit of stability off by 5%": Planted(
        "lineardyn.closed_form.discrete", "slope = 0.5 * layers", "slope = 0.475 * layers", by.DEEP_LIMIT
    ),
    "limit of stability of the clock without its 2": Planted(
        "lineardyn.closed_form.mode_clock", "2.0 / c.rate", "1.0 / c.rate", by.CLOCK_LIMIT
    ),
    "one step of SGD too many": Planted(
        "lineardyn.closed_form.stochastic",
        "_binomial(counts, int(n), self.share)",
        "_binomial(counts, int(n) + 1, self.share)",
        by.RUNS,
    ),
    "probability of the other classes": Planted(
        "lineardyn.closed_form.stochastic", "(share / (1.0 - share))", "((1.0 - share) / share)", by.RUNS
    ),
    "quantiles from above": Planted(
        "lineardyn.closed_form.stochastic", "levels * reached[-1]", "(1.0 - levels) * reached[-1]", by.RUNS
    ),
    "K missing in a step of the clock": Planted(
        "lineardyn.closed_form.discrete",
        'strict=True) * check_count("n_classes", n_classes)\n',
        "strict=True)\n",
        by.CLOCK_DRAWS,
    ),
    "exponent q₂/q₁ for 1 - q₂/q₁": Planted(
        "lineardyn.closed_form.competition", "0.0, 1.0 - share)", "0.0, share)", by.EXPONENTS
    ),
    "start of deep networks forgotten": Planted(
        "lineardyn.closed_form.competition", "share * relative ** (layers - 2)", "share * relative**0", by.MEMORY
    ),
    "half the step of the clock recursion": Planted(
        "lineardyn.closed_form.discrete", "kappa + rate * c", "kappa + 0.5 * rate * c", by.CLOCK_STEPS
    ),
    "speed at the end of the tables of a clock": Planted(
        "lineardyn.closed_form._kernels", "g0 = 1.0 / speed", "g0 = 1.001 / speed", by.FAST_CLOCK
    ),
    "curvature at the end of the tables of a clock": Planted(
        "lineardyn.closed_form._kernels", "0.5 * curve * g0 * g0", "curve * g0 * g0", by.FAST_CLOCK
    ),
    "decay of the smallest and the largest rate": Planted(
        "lineardyn.closed_form._kernels",
        "lift = np.exp(fall * _PLACES[i])",
        "lift = np.exp(0.5 * fall * _PLACES[i])",
        by.BOTH_CLOCKS,
    ),
    "polynomials of a clock read at the wrong end": Planted(
        "lineardyn.closed_form._kernels", "u = place - low", "u = 1.0 - place + low", by.BOTH_CLOCKS
    ),
    "a step to x at a time too short": Planted(
        "lineardyn.closed_form._kernels", "step = 2.0 * miss * speed", "step = 1.9 * miss * speed", by.FAST_CLOCK
    ),
    "cubics of a clock with a wrong end": Planted(
        "lineardyn.closed_form._kernels", "width * slope, width * other", "width * slope, width * slope", by.FAST_CLOCK
    ),
    "chains at the wrong place of the spectrum": Planted(
        "lineardyn.closed_form.chains", "else -product.imag", "else product.imag", by.CLOCK
    ),
    "√m missing from any start": Planted(
        "lineardyn.closed_form.any_start", '"n_pixels", n_pixels) / m', '"n_pixels", n_pixels)', by.ANY_START
    ),
    "eigenvalues from any start": Planted(
        "lineardyn.closed_form.any_start", "np.hypot(g, 2.0 * s)", "np.hypot(g, s)", by.ANY_START
    ),
    "other outputs from any start stay": Planted(
        "lineardyn.closed_form.any_start",
        "a0 * (rest / norm)[:, None]",
        "a0 * np.ones_like(norm)[:, None]",
        by.ANY_START,
    ),
    "half of an integral from any start": Planted(
        "lineardyn.closed_form.any_start", "largest * finite * exprel", "0.5 * largest * finite * exprel", by.ANY_START
    ),
}

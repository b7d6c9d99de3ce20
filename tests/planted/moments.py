"""Second moments and modes, however data come; synthetic data."""

from __future__ import annotations

from tests.planted import checks as by
from tests.planted.error import Planted

PLANTED = {
    "n² for n in Σ^yx": Planted(
        "lineardyn.estimation", "np.divide(sums.yx, n, ", "np.divide(sums.yx, n**2, ", by.SUMS["dense"]
    ),
    "n - 1 for n in Σ^xx": Planted("lineardyn.estimation", "upper /= sums.n", "upper /= sums.n - 1", by.SUMS["dense"]),
    "n² for n in the samples' weights": Planted(
        "lineardyn.estimation", "np.full(n, 1 / n)", "np.full(n, 1 / n**2)", by.SUMS["samples"]
    ),
    "targets summed, not averaged": Planted("lineardyn.estimation", "= part.T / n", "= part.T", by.LOSS_OF_MODES),
    "half of ⟨‖y‖²⟩": Planted(
        "lineardyn.estimation", "sums.target_power / n,", "sums.target_power / (2 * n),", by.SUMS["dense"]
    ),
    "the last batch alone": Planted(
        "lineardyn.accumulation", "beta=1.0, c=self.xx", "beta=0.0, c=self.xx", by.BLOCKS["dense"]
    ),
    "cross term of the loss once": Planted("lineardyn.moments", "- 2 * cross + fit", "- cross + fit", by.LOSS),
    "loss without its half": Planted("lineardyn.moments", "np.asarray(0.5 * (gap", "np.asarray(1.0 * (gap", by.LOSS),
    "D = S² for D = K S²": Planted(
        "lineardyn.moments", "modes.d[kept].copy()", "modes.s[kept] ** 2", by.slope("cnn", 2, "modes")
    ),
    "d of v twice as long": Planted(
        "lineardyn.moments",
        '"rd,rd->r", self.apply(weighted), weighted)',
        '"rd,rd->r", self.apply(weighted), 2 * weighted)',
        by.MODES,
    ),
    "averages of unequal halves": Planted(
        "lineardyn.moments", "a, b = self.n_samples / n, other.n_samples / n", "a, b = 0.5, 0.5", by.UNION
    ),
    "power of the real parts alone": Planted(
        "lineardyn.moments",
        ".reshape(self.image_shape[0], 2, -1).sum(axis=1)",
        ".reshape(self.image_shape[0], 2, -1)[:, 0]",
        by.POWER,
    ),
    "conjugate of q": Planted("lineardyn.modes", "return fft2(self.v)", "return fft2(self.v).conj()", by.MODES),
    "sign of the modes": Planted("lineardyn.modes", "< 0, -1.0, 1.0)", "< 0, 1.0, -1.0)", by.SIGNS),
    "target of a sum": Planted(
        "lineardyn.mixtures", "target=a * one.target + b * two.target", "target=one.target + two.target", by.UNION
    ),
    "targets of joined samples": Planted(
        "lineardyn.mixtures", "[a * one.target, b * two.target]", "[one.target, two.target]", by.UNION_OF_SAMPLES
    ),
    "power of the images of a sum": Planted(
        "lineardyn.moments", "a * self.image_power + b * other.image_power", "self.image_power", by.UNION
    ),
    # at scale
    "the last block has a weight of its own": Planted(
        "lineardyn.accumulation", "yield Block(x[:filled],", "yield Block(1.01 * x[:filled],", by.BLOCKS["dense"]
    ),
    "a block is counted twice": Planted(
        "lineardyn.accumulation",
        "yield Block(x, y)\n",
        "yield Block(x, y)\n                yield Block(x, y)\n",
        by.BLOCKS["samples"],
    ),
    "images of the last block not counted": Planted(
        "lineardyn.accumulation", "self.n += len(x)", "self.n += len(x) // 11 * 11", by.BLOCKS["dense"]
    ),
    "projections of the last block alone": Planted(
        "lineardyn.accumulation",
        "add_product(total, x @ directions.T, x)",
        "total = (x @ directions.T).T @ x",
        by.BLOCKS["modes"],
    ),
    "rows of Σ^xx conjugated": Planted(
        "lineardyn.estimation",
        "return packed.reshape(len(matrix), -1)",
        "return (packed * [[1.0], [-1.0]]).reshape(len(matrix), -1)",
        by.BLOCKS["dense"],
    ),
    "samples conjugated": Planted(
        "lineardyn.packed_rows",
        "        self.filled[-1] += n\n",
        "        part.reshape(n, channels, 2, -1)[:, :, 1] *= -1.0\n        self.filled[-1] += n\n",
        by.BLOCKS["samples"],
    ),
    "the mean is the deviation from the first image": Planted(
        "lineardyn.accumulation", "(first + total / n)", "(total / n)", by.CENTRED
    ),
    "the mean added, not taken off": Planted(
        "lineardyn.accumulation", "x[filled : filled + n] -= mean", "x[filled : filled + n] += mean", by.CENTRED
    ),
    # synthetic data
    "amplitudes of cosines halved": Planted(
        "lineardyn.data.synthetic", "np.stack([a * _cosine", "np.stack([0.5 * a * _cosine", by.COSINES
    ),
    "power for its root": Planted(
        "lineardyn.data.synthetic", "fft2(noise) * np.sqrt(power)", "fft2(noise) * power", by.POWER_LAW
    ),
    "half of the exponent": Planted(
        "lineardyn.data.synthetic", "log_power = -alpha", "log_power = -0.5 * alpha", by.POWER_LAW
    ),
    "K missing in planted modes": Planted(
        "lineardyn.data.synthetic", "(len(s) * s)[:, None]", "s[:, None]", by.PLANTED_MODES
    ),
}

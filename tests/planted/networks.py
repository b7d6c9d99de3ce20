"""Networks: predictor, packing, loss, gradient, starts."""

from __future__ import annotations

from tests.planted import checks as by
from tests.planted.error import Planted

PLANTED = {
    "√2 in the predictor's constant": Planted(
        "lineardyn.networks",
        "float(self.n_pixels ** ((self.depth - 1) / 2))",
        "float(2**0.5 * self.n_pixels ** ((self.depth - 1) / 2))",
        by.PREDICTOR,
    ),
    "P^{L/2} for P^{(L-1)/2}": Planted(
        "lineardyn.networks",
        "float(self.n_pixels ** ((self.depth - 1) / 2))",
        "float(self.n_pixels ** (self.depth / 2))",
        by.PREDICTOR,
    ),
    "√P for P^{(L-1)/2}": Planted(
        "lineardyn.networks",
        "float(self.n_pixels ** ((self.depth - 1) / 2))",
        "float(self.n_pixels**0.5)",
        by.PREDICTOR,
    ),
    "last layer packed like a convolution": Planted(
        "lineardyn.networks", "packed[: -len(kernels[-1]), 1]", "packed[:, 1]", by.PREDICTOR
    ),
    "last layer unpacked like a convolution": Planted(
        "lineardyn.networks",
        "for layer in (*hidden, last)",
        "for layer in (*hidden, last * [[1.0], [-1.0]])",
        by.LOSSLESS,
    ),
    "first layer unpacked conjugated": Planted(
        "lineardyn.networks",
        "self.half.unpack_images(parts)",
        "self.half.unpack_images(parts * [[1.0], [-1.0]])",
        by.LOSSLESS_FCN,
    ),
    "conjugate of the effective predictor": Planted(
        "lineardyn.networks",
        "self.half.unpack(packed).transpose(2, 3, 0, 1)",
        "self.half.unpack(packed).conj().transpose(2, 3, 0, 1)",
        by.PREDICTOR,
    ),
    "penalty without its half": Planted("lineardyn.networks", "penalty = 0.5 * decay", "penalty = decay", by.LOSS),
    "penalty of √‖w‖²": Planted("lineardyn.networks", "float((w * w).sum())", "float((w * w).sum() ** 0.5)", by.LOSS),
    "gradient without weight decay": Planted(
        "lineardyn.networks",
        "decay * state - self.pullback(state, residual)",
        "-self.pullback(state, residual)",
        by.GRADIENT["cnn"],
    ),
    "gradient with weight decay of ‖w‖², not half of it": Planted(
        "lineardyn.networks",
        "decay * state - self.pullback(state, residual)",
        "2 * decay * state - self.pullback(state, residual)",
        by.GRADIENT["fcn"],
    ),
    "gradient uphill": Planted(
        "lineardyn.networks", "target - moments.apply(predictor", "moments.apply(predictor", by.GRADIENT["cnn"]
    ),
    "frequencies counted once": Planted(
        "lineardyn.networks",
        "moments.apply(predictor * self._coordinate_weights)",
        "moments.apply(predictor)",
        by.GRADIENT["cnn"],
    ),
    "pulled back without the conjugate below": Planted(
        "lineardyn.networks", "below[i].conj())", "below[i])", by.GRADIENT["cnn"]
    ),
    "pulled back without the conjugate above": Planted(
        "lineardyn.networks", "layers[i].conj(), above)", "layers[i], above)", by.GRADIENT["cnn"]
    ),
    "pulled back in the metric of the half spectrum": Planted(
        "lineardyn.networks",
        "below = layers[0] * self._coordinate_weights if i else None",
        "below = layers[0] if i else None",
        by.GRADIENT["fcn"],
    ),
    "norm of the hidden layers in the metric of the spectrum": Planted(
        "lineardyn.networks",
        "if index == 0 else np.ones(int(np.prod(shape)))",
        "if index == 0 else 2 * np.ones(int(np.prod(shape)))",
        by.LOSSLESS_FCN,
    ),
    "balanced start out of phase": Planted(
        "lineardyn.networks", "scale * out[:, None] * into.conj()", "scale * out[:, None] * into", by.ALIGNED
    ),
    "balanced start √2 too large": Planted(
        "lineardyn.networks",
        "scale * out[:, None] * into.conj()",
        "2**0.5 * scale * out[:, None] * into.conj()",
        by.ONE_VALUE,
    ),
    "variance for standard deviation": Planted(
        "lineardyn.networks",
        "scale * generator.standard_normal(shape)",
        "scale**2 * generator.standard_normal(shape)",
        by.NORMAL,
    ),
    "frequencies of a prediction counted once": Planted(
        "lineardyn.networks",
        "rows @ (self._predictor(weights) * self._coordinate_weights).T",
        "rows @ self._predictor(weights).T",
        by.PREDICTIONS,
    ),
    "balanced start of a fully connected network: scale² for scale": Planted(
        "lineardyn.networks",
        "modes.u[:, kept])\n        return [np.ascontiguousarray(scale * out",
        "modes.u[:, kept])\n        return [np.ascontiguousarray(scale**2 * out",
        by.BALANCED_FCN,
    ),
    "a correlation read as a convolution": Planted(
        "lineardyn.networks",
        'if self.convention == "convolution":\n            convolutions',
        "if True:\n            convolutions",
        by.CORRELATION,
    ),
    "a correlation written as a convolution": Planted(
        "lineardyn.networks",
        'if self.convention == "convolution":\n            hidden',
        "if True:\n            hidden",
        by.CORRELATION,
    ),
    "P outputs too many in Glorot's fan_out": Planted(
        "lineardyn.networks", "(p * last[0], last[1])", "(p * last[0], p * last[1])", by.GLOROT
    ),
    "a rank one too high": Planted("lineardyn.networks", "return wanted\n", "return wanted + 1\n", by.LOW_RANK),
    "low rank out of phase": Planted(
        "lineardyn.networks", "into.conj().swapaxes(1, 2)", "into.swapaxes(1, 2)", by.LOW_RANK
    ),
}

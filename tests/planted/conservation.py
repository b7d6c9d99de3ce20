"""The conservation laws that the geometric integrator restores."""

from __future__ import annotations

from tests.planted import checks as by
from tests.planted.error import Planted

PLANTED = {
    "exp(-λt) for the decay of what is conserved": Planted(
        "lineardyn.flow.geometric", "np.exp(-2.0 * self.decay", "np.exp(-1.0 * self.decay", by.LAWS
    ),
    "conservation laws of recorded states only": Planted(
        "lineardyn.flow.stepping",
        "self.laws.restore(self.y, self.control[_kernels.TIME], self.stages[0])",
        "pass",
        by.LAWS_OF_STEPS,
    ),
    "conservation laws of steps only": Planted(
        "lineardyn.flow.stepping", "self.laws.restore(self.out[i], self.times[i])", "pass", by.LAWS
    ),
    "balance matrices conjugated": Planted(
        "lineardyn.flow.geometric", "if scalar else values", "if scalar else values.conj()", by.LAWS
    ),
    "one channel: the laws upside down": Planted(
        "lineardyn.flow.geometric", "values.real.T) if scalar", "-values.real.T) if scalar", by.LAWS_OF_NUMBERS
    ),
    "gradient left behind by the gauge": Planted(
        "lineardyn.flow._geometric_kernels", "if slopes.shape[0] > 0:", "if slopes.shape[0] > 9999:", by.SLOPE_OF_LAWS
    ),
    "gradient goes along by the gauge, not its inverse": Planted(
        "lineardyn.flow._geometric_kernels", "_scale(x, -1.0)", "_scale(x, 1.0)", by.SLOPE_OF_LAWS
    ),
    "one channel: gradient goes along by the gauge, not its inverse": Planted(
        "lineardyn.flow._geometric_kernels",
        "slope[at + f] /= factor[f]",
        "slope[at + f] *= factor[f]",
        by.SLOPE_OF_NUMBERS,
    ),
}

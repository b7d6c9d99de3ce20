"""What comes back, and what is conserved."""

from __future__ import annotations

from tests.planted import checks as by
from tests.planted.error import Planted

PLANTED = {
    "loss along the way without its half": Planted(
        "lineardyn.trajectory",
        "penalty = 0.5 * self.settings.weight_decay",
        "penalty = self.settings.weight_decay",
        by.ALONG,
    ),
    "kernel spectrum squared": Planted("lineardyn.trajectory", "return np.sqrt(full)", "return full", by.ALONG),
    "transposed B": Planted(
        "lineardyn.trajectory",
        "(modes.u[:, kept].T @ (v @ right.T))",
        "(modes.u[:, kept].T @ (v @ right.T)).transpose(0, 2, 1)",
        by.ALONG,
    ),
    "B without Σ^xx": Planted(
        "lineardyn.trajectory", "right = self.moments.apply(rows) * weights", "right = rows * weights", by.ALONG
    ),
    "share of the way between two steps": Planted(
        "lineardyn.trajectory", "share = (time - base_time) / (self.t[after] - base_time)", "share = 0.5", by.BETWEEN
    ),
    "taken up at the wrong time": Planted(
        "lineardyn.trajectory", "np.array([time - base_time])", "np.array([time])", by.BETWEEN_FLOW
    ),
    "sum for difference in the balance": Planted(
        "lineardyn.invariants",
        "a @ np.conj(np.swapaxes(a, -1, -2)) - np",
        "a @ np.conj(np.swapaxes(a, -1, -2)) + np",
        by.BALANCE,
    ),
    "balance without the conjugate of the last layer": Planted(
        "lineardyn.invariants",
        "list(network.spectra(weights))",
        "[a.conj() for a in network.spectra(weights)]",
        by.BALANCE,
    ),
    "drift relative to a norm, not its square": Planted(
        "lineardyn.invariants", "_norms(a) ** 2 for a in", "_norms(a) for a in", by.DRIFT
    ),
    "drift from the step before": Planted(
        "lineardyn.invariants", "now = balance(network, weights)", "now = first = balance(network, weights)", by.DRIFT
    ),
    "ratio of the balance upside down": Planted(
        "lineardyn.invariants", "np.divide(dense, kernel, out", "np.divide(kernel, dense, out", by.RATIO
    ),
    "diagonal among the off-diagonal": Planted(
        "lineardyn.invariants", "values * (1 - np.eye(values.shape[-1]))", "values", by.OFF_DIAGONAL
    ),
}

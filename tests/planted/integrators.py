"""Explicit pairs, steps, records, the change of method."""

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
        "lineardyn.flow._run_kernels", "record(out, 0, y, counts)", "record(out, 0, 0.0 * y, counts)", by.START
    ),
    "a stage written over one that is needed": Planted(
        "lineardyn.flow.tableaus", "if last[old] < stage - 1)", "if last[old] < stage)", by.PLACES
    ),
    "first stage not that of the new point": Planted(
        "lineardyn.flow._kernels",
        "copy(stages[places[n_main]], stages[0])",
        "copy(stages[places[n_main - 1]], stages[0])",
        by.order("cnn-2-row", "tsit5"),
    ),
    "error of a step is its sum, not its mean": Planted(
        "lineardyn.flow._kernels", "first / np.sqrt(both * entries)", "first / np.sqrt(both)", by.PAIR_CONTROL
    ),
    "scale of the tolerance": Planted(
        "lineardyn.flow._kernels",
        "x = e[i] / (atol + rtol * max(abs(y[i]), abs(z[i])))\n        total += x * x\n    return total",
        "x = e[i] / (atol * rtol * max(abs(y[i]), abs(z[i])))\n        total += x * x\n    return total",
        by.FIRST_STEP,
    ),
    "time forgotten at the change of method": Planted(
        "lineardyn.flow.stepping", "self.out, self.room, since)", "self.out, self.room, 0.0)", by.CHANGE
    ),
    "what was recorded forgotten at the change of method": Planted(
        "lineardyn.flow.stepping", "run.counts[:4] = self.counts[:4]", "run.counts[:3] = self.counts[:3]", by.CHANGE
    ),
    "the share of the tolerance with which auto starts": Planted(
        "lineardyn.flow.integration", "share = EARLY_SHARE if watch else 1.0", "share = 1.0", by.EARLY_SHARE[1e-2]
    ),
    "auto starts as strictly where it never changes": Planted(
        "lineardyn.flow.integration",
        "share = EARLY_SHARE if watch else 1.0",
        "share = EARLY_SHARE if switching else 1.0",
        by.EARLY_SHARE[5e-9],
    ),
    "auto changes whatever it costs": Planted(
        "lineardyn.flow._kernels", "+ 2.0 * n_steps < explicit", "+ 2.0 * n_steps < np.inf", by.GAIN
    ),
    "tenfold tolerance in what RKC costs": Planted(
        "lineardyn.flow._kernels", "(rtol / control[WATCH]) ** (-1.0", "rtol ** (-1.0", by.GAIN
    ),
}

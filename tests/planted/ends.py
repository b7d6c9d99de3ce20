"""Events, and what is known of the end of learning."""

from __future__ import annotations

from tests.planted import checks as by
from tests.planted.error import Planted

PLANTED = {
    "fraction of d for fraction of s": Planted(
        "lineardyn.flow.events", "self.fraction * modes.s[self.mode]", "self.fraction * modes.d[self.mode]", by.LEARNED
    ),
    "mode of the predictor, not of its product with Σ^xx": Planted(
        "lineardyn.flow.events", "flow.moments.apply(row)[0] * weights", "row[0]", by.LEARNED
    ),
    "interpolation of an event between two steps, not its root": Planted(
        "lineardyn.flow.events",
        "margin = self._margins[i]\n",
        "return start + (end - start) * known[start] / (known[start] - known[end])\n",
        by.LOSS_EVENT,
    ),
    "event of the loss without its penalty": Planted(
        "lineardyn.flow.events", "self.value - bare - float(state**2 @ penalty)", "self.value - bare", by.LOSS_EVENT
    ),
    "event of the loss with twice its penalty": Planted(
        "lineardyn.flow.events", "penalty = 0.5 * flow.weight_decay", "penalty = flow.weight_decay", by.LOSS_EVENT
    ),
    "an event after the end": Planted("lineardyn.flow.events", "if t <= last:", "if True:", by.TERMINAL),
    "the state at the end of the step, not at the event": Planted(
        "lineardyn.flow.events", "self.state if last == end else inside(last)", "self.state", by.TERMINAL
    ),
    "watching moves the run": Planted(
        "lineardyn.flow.events",
        "self._before, self._source = run.twin(), run",
        "self._before, self._source = run, run",
        by.UNWATCHED,
    ),
    "a run that rests forgets where it ended": Planted(
        "lineardyn.flow.events", "if self.stop is not None:\n            return True", "pass", by.TERMINAL_AT_REST
    ),
    "runs of an ensemble watched without their weight decay": Planted(
        "lineardyn.ensembles.flows", "replace(self.flow, weight_decay=decay)", "self.flow", by.WATCHED[False]
    ),
    "watched runs in a batch": Planted("lineardyn.ensembles.flows", " and not self.events", "", by.WATCHED[False]),
    "a run of an ensemble that ended between two recorded times": Planted(
        "lineardyn.ensembles.sweep", "own[self.reached - 1] = self.end", "pass", by.WATCHED[True]
    ),
    "events of the first runs for those of the chosen": Planted(
        "lineardyn.ensembles.ensemble",
        "events=tuple(self.events[r] for r in runs)",
        "events=self.events[: len(runs)]",
        by.CHOSEN_EVENTS,
    ),
    "a plateau is the end of learning": Planted(
        "lineardyn.flow.events",
        "promised = max(promised, self._off_the_plateau(state))",
        "promised = max(promised, 0.0)",
        by.PLATEAU,
    ),
    # steady state
    "what no image has is forgotten": Planted(
        "lineardyn.closed_form.steady_state", "else start - seen @ axes", "else 0.0", by.REGRESSION[False]
    ),
    "2λ in the steady state": Planted(
        "lineardyn.closed_form.steady_state", "/ (powers + decay)", "/ (powers + 2.0 * decay)", by.REGRESSION[True]
    ),
    "coordinates of the steady state": Planted(
        "lineardyn.closed_form.steady_state",
        "state.reshape(network.n_outputs, -1) * root",
        "state.reshape(network.n_outputs, -1)",
        by.REGRESSION[False],
    ),
    "either sign of the balance is unbalanced enough": Planted(
        "lineardyn.closed_form.steady_state",
        "((values > noise).sum(axis=-1) >= columns) | ((values < -noise).sum(axis=-1) >= rows)",
        "((values > noise).sum(axis=-1) >= columns) | ((values < -noise).sum(axis=-1) >= columns)",
        by.SADDLE,
    ),
    "a mode that is never learned, not named": Planted(
        "lineardyn.closed_form.steady_state", "if np.isinf(clock.theta(np.inf)[r])]", "if False]", by.NEVER
    ),
    # rest
    "a saddle is rest": Planted("lineardyn.flow.rest", "if values[0] < -GROWTH * largest", "if False", by.REST),
    "what is slow is rest": Planted(
        "lineardyn.flow.rest", "NOISE * largest * size,", "NEAR * largest * size,", by.SLOW
    ),
    "round-off is no rest": Planted("lineardyn.flow.rest", "force *= rate", "force *= 0.0", by.REST),
}

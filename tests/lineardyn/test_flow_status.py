"""How an integration ends that cannot go on: a status, the part computed, never NaN, never a hang."""

from __future__ import annotations

import numpy as np
import pytest

from lineardyn.errors import ComputationError, Status
from tests.lineardyn.problems import METHODS, PROBLEMS, solve

# --- statuses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_too_few_steps_raise_with_the_part_that_was_computed(method):
    with pytest.raises(ComputationError, match="max_steps") as caught:
        solve("cnn-dense-channels", method, np.linspace(0, 500, 200), max_steps=3)
    assert caught.value.status is Status.MAX_STEPS
    partial = caught.value.result
    assert partial.status is Status.MAX_STEPS
    assert 1 <= len(partial.t) < 200
    assert np.isfinite(partial.loss).all()


@pytest.mark.parametrize("method", METHODS)
def test_too_few_steps_return_the_part_when_asked_not_to_raise(method):
    partial = solve("cnn-dense-channels", method, np.linspace(0, 500, 200), max_steps=3, throw=False)
    assert partial.status is Status.MAX_STEPS
    assert "max_steps" in partial.message
    assert len(partial) == len(partial.t) == len(partial.loss) < 200
    assert partial.stats["n_steps"] <= 3


@pytest.mark.parametrize("method", METHODS)
def test_an_infinite_right_hand_side_ends_with_a_status(method):
    """Weights of 1e200: products overflow at once; no hang, no NaN returned, no warning."""
    p = PROBLEMS["cnn-dense-channels"]
    huge = [1e200 * w for w in p.weights]
    partial = solve("cnn-dense-channels", method, [0.0, 1.0], weights=huge, throw=False)
    assert partial.status in (Status.NON_FINITE, Status.STEP_TOO_SMALL)
    for i in range(len(partial)):
        assert all(np.isfinite(w).all() for w in partial.weights(i))
    with pytest.raises(ComputationError):
        solve("cnn-dense-channels", method, [0.0, 1.0], weights=huge)


@pytest.mark.parametrize("scale", [1e2, 1e3, 1e6])
@pytest.mark.parametrize("method", METHODS)
def test_large_weights_never_end_in_nan(method, scale):
    """Trial steps overflow and must be rejected: what is returned is finite, and a success is the solution."""
    p = PROBLEMS["cnn-dense-channels"]
    weights = [scale * w for w in p.weights]
    run = solve("cnn-dense-channels", method, [0.0, 1.0], weights=weights, rtol=1e-3, max_steps=20, throw=False)
    for i in range(len(run)):
        assert all(np.isfinite(w).all() for w in run.weights(i))
    if run.status is Status.SUCCESS:
        assert run.loss[-1] < 1e-3 * run.loss[0]


@pytest.mark.parametrize("method", METHODS)
def test_tolerances_below_round_off_end(method):
    """rtol = atol = 1e-30 cannot be met: ended with a status, never a hang."""
    run = solve("cnn-dense-channels", method, [0.0, 1.0], rtol=1e-30, atol=1e-30, max_steps=20_000, throw=False)
    assert run.status in (Status.STEP_TOO_SMALL, Status.MAX_STEPS)
    assert len(run) == 1

"""Times of events against the closed forms, and steps that do not know that anybody looks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineardyn import (
    Event,
    LinearCNN,
    LossBelow,
    ModeClock,
    ModeLearned,
    SecondMoments,
    Stationary,
    Status,
    Trajectory,
    gradient_flow,
    learning_time,
    sigmoid,
    steady_state,
)
from lineardyn.errors import ArgumentError, ComputationError
from tests.lineardyn.disjoint_modes import problem
from tests.lineardyn.problems import METHODS, PROBLEMS, cosine_images, solve

SHAPE, FREQUENCIES = (4, 6), [(1, 2), (2, 3), (0, 1)]
MULTIPLICITY = np.array([2, 1, 2])


def cosines(amplitudes=(1.0, 0.5, 0.2), scale=1e-3):
    """Three pure cosines of distinct s, a balanced start, and (s, m) of the modes."""
    moments = SecondMoments.from_data(cosine_images(SHAPE, FREQUENCIES, list(amplitudes)), np.eye(3))
    network = LinearCNN((1, *SHAPE), n_outputs=3)
    modes = moments.modes()
    owner = np.abs(modes.u).argmax(axis=0)
    return network, moments, network.init_balanced(moments, scale, rng=0), modes.s, MULTIPLICITY[owner]


def values_at(network, moments, weights):
    """B_αα, slowly: f of the mode images."""
    modes = moments.modes()
    outputs = network.predict(weights, modes.v)
    return np.array([modes.d[r] * modes.u[:, r] @ outputs[r] for r in range(len(modes.s))])


# --- modes -----------------------------------------------------------------------------------------------------------


def test_a_learned_cosine_is_the_learning_time_of_the_sigmoid():
    """rtol 1e-9 on a growth that takes 20 to 100 units of time: 1e-6, as DOP853 measures 1e-8."""
    network, moments, weights, s, m = cosines()
    start = values_at(network, moments, weights)
    events = [ModeLearned(r, f) for r in range(3) for f in (0.01, 0.5, 0.99)]
    run = gradient_flow(network, moments, weights, [200.0], rtol=1e-9, atol=1e-14, events=events)
    for event, t in zip(events, run.events, strict=True):
        r = event.mode
        wanted = learning_time(event.fraction * s[r], s=s[r], b0=start[r], n_pixels=24, multiplicity=int(m[r]))
        assert t == pytest.approx(wanted, rel=1e-6)
        assert sigmoid(t, s=s[r], b0=start[r], n_pixels=24, multiplicity=int(m[r])) == pytest.approx(
            event.fraction * s[r], rel=1e-5
        )


@settings(max_examples=15)
@given(st.floats(0.001, 0.999), st.integers(0, 1), st.integers(0, 50))
def test_any_fraction_of_any_mode_is_the_time_of_its_clock(fraction, mode, seed):
    network, moments, weights, _, _ = problem((1, 4, 3), 2, scale=0.05, seed=seed)
    wanted = ModeClock(moments.modes(), network, weights).learning_time(fraction)[mode]
    event = ModeLearned(mode, fraction)
    (t,) = gradient_flow(network, moments, weights, [100.0], rtol=1e-9, atol=1e-13, events=[event]).events
    if math.isfinite(wanted) and wanted < 100.0:
        assert t == pytest.approx(wanted, rel=1e-6, abs=1e-9)
    else:
        assert t is None


@pytest.mark.parametrize(("method", "order"), [("bs32", 3), ("tsit5", 5), ("dop853", 8), ("rkc", 2), ("rock4", 4)])
def test_times_converge_with_the_tolerance(method, order):
    """Error ∝ rtol^(p/(p+1)) or better: rtol^(2/3) is 464 over four decades; 30, as loose tolerances do better."""
    network, moments, weights, _, _ = cosines(scale=1e-2)
    wanted = ModeClock(moments.modes(), network, weights).learning_time(0.7)
    errors = []
    for rtol in (1e-4, 1e-6, 1e-8) if order > 2 else (1e-3, 1e-5, 1e-7):
        events = [ModeLearned(r, 0.7) for r in range(3)]
        run = gradient_flow(network, moments, weights, [50.0], method=method, rtol=rtol, atol=rtol / 1e4, events=events)
        errors.append(np.abs(np.array(run.events) - wanted).max())
    assert errors[0] < 0.5
    assert errors[1] < errors[0]
    assert errors[2] < errors[0] / 30


def test_a_mode_learned_at_the_start_and_one_that_is_never():
    network, moments, weights, _, _ = cosines(scale=0.3)
    kept = values_at(network, moments, weights) / moments.modes().s
    assert kept[0] > 0.5 > kept[2]
    events = [ModeLearned(0), ModeLearned(2), LossBelow(1e3), LossBelow(1e-300)]
    run = gradient_flow(network, moments, weights, [0.01], events=events)
    assert run.events == (0.0, None, 0.0, None)
    zero = [0.0 * w for w in weights]
    assert gradient_flow(network, moments, zero, [50.0], events=[ModeLearned(0), Stationary()]).events == (None, None)


# --- the state and the steps -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["cnn-modes", "cnn-dense-channels", "cnn-samples-deep", "fcn-samples-deep-decay"])
def test_steps_are_the_same_to_the_last_bit_and_the_state_at_the_event_is_the_recorded_one(name, method):
    """Recording the time of an event gives the state at which its function is 0, to the round-off of that function."""
    plain = solve(name, method, rtol=1e-5, atol=1e-8)
    value = 0.5 * (plain.loss[0] + plain.loss[-1])
    run = solve(name, method, rtol=1e-5, atol=1e-8, events=[LossBelow(value), Stationary(1e-3)])
    assert np.array_equal(run.states, plain.states)
    assert run.stats == plain.stats
    times = np.unique([*PROBLEMS[name].times, run.events[0]])
    again = solve(name, method, times, rtol=1e-5, atol=1e-8)
    assert again.loss[np.searchsorted(times, run.events[0])] == pytest.approx(value, rel=1e-12)


def test_steps_are_the_same_where_frequencies_are_screened():
    network, moments, _, _, _ = cosines((1.0, 0.5, 0.05))
    weights = network.init_small(1e-3, rng=1)
    plain = gradient_flow(network, moments, weights, [1.0, 300.0], rtol=1e-4)
    assert "n_active" in plain.stats  # else this tests nothing
    events = [ModeLearned(r, f) for r in range(3) for f in (0.2, 0.9)]
    run = gradient_flow(network, moments, weights, [1.0, 300.0], rtol=1e-4, events=events)
    assert np.array_equal(run.states, plain.states)
    again = gradient_flow(network, moments, weights, np.sort([*run.events, 300.0]), rtol=1e-4)
    for event, t in zip(events, run.events, strict=True):
        value = again.effective_singular_values[np.searchsorted(again.t, t), event.mode, event.mode]
        assert value == pytest.approx(event.fraction * moments.modes().s[event.mode], rel=1e-12)


def test_loss_counts_the_penalty():
    name = "fcn-samples-deep-decay"
    value = solve(name, times=[0.0, 1.0]).loss[1]
    run = solve(name, times=[2.0], events=[LossBelow(value)])
    assert run.events[0] == pytest.approx(1.0, rel=1e-6)  # rtol 1e-8


def test_several_events_in_one_step_come_in_order():
    """A step of RKC at rtol 1e-1 is long: 19 values of the loss, their times in order and each the root."""
    plain = solve("cnn-dense-channels", "rkc", [0.0, 2.0], rtol=1e-2, atol=1e-2)
    values = np.linspace(plain.loss[0], plain.loss[1], 21)[1:-1]
    run = solve("cnn-dense-channels", "rkc", [2.0], rtol=1e-2, atol=1e-2, events=[LossBelow(v) for v in values])
    assert run.stats["n_steps"] < 19
    assert (np.diff(run.events) > 0).all()
    again = solve("cnn-dense-channels", "rkc", [*run.events, 2.0], rtol=1e-2, atol=1e-2)
    assert np.abs(again.loss[:-1] / values - 1).max() < 1e-12


def test_own_function_gets_time_and_weights():
    p = PROBLEMS["cnn-dense-channels"]
    events = [Event(lambda t, weights: t - 0.7), Event(lambda t, weights: weights[0][0, 0, 0, 0] - 100.0)]
    run = solve("cnn-dense-channels", times=[1.0], events=events)
    assert run.events[0] == pytest.approx(0.7, rel=1e-14)
    assert run.events[1] is None
    seen = []
    solve("cnn-dense-channels", times=[1.0], events=[Event(lambda t, weights: seen.append((t, weights)) or -1.0)])
    assert seen[0][0] == 0.0
    assert all(np.allclose(a, b, rtol=0, atol=1e-14) for a, b in zip(seen[0][1], p.weights, strict=True))
    assert seen[-1][0] == 1.0


# --- terminal events -------------------------------------------------------------------------------------------------


def test_a_terminal_event_is_the_last_point_of_the_run():
    full = solve("cnn-dense-channels", "dop853", np.linspace(0, 2, 9))
    value = 0.5 * (full.loss[3] + full.loss[4])
    events = [LossBelow(value, terminal=True), LossBelow(full.loss[2]), LossBelow(0.99 * value)]
    run = solve("cnn-dense-channels", "dop853", np.linspace(0, 2, 9), events=events)
    assert run.status is Status.EVENT
    assert np.array_equal(run.t[:-1], full.t[:4])
    assert run.t[-1] == run.events[0] == run.stats["t_reached"]
    assert run.events[1] < run.events[0]
    assert run.events[2] is None  # after the end, though it may be in the same step
    assert np.array_equal(run.states[:-1], full.states[:4])
    assert run.loss[-1] == pytest.approx(value, rel=1e-12)
    inside = 0.5 * (run.t[-2] + run.t[-1])
    assert all(np.allclose(a, b, atol=1e-7) for a, b in zip(run.at(inside), full.at(inside), strict=True))
    with pytest.raises(ArgumentError, match="expected a time up to"):
        run.at(full.t[5])


def test_a_terminal_event_at_the_start_gives_the_start():
    run = solve("cnn-dense-channels", times=[1.0, 2.0], events=[LossBelow(1e9, terminal=True)])
    assert run.status is Status.EVENT
    assert run.t.tolist() == [0.0]
    assert np.array_equal(run.states[0], run.start)


def test_a_terminal_event_at_a_start_that_rests_is_the_end():
    """Nothing moves there, so that no step is taken: the run ended before it could rest."""
    p = PROBLEMS["cnn-dense-channels"]
    events = [LossBelow(1e9, terminal=True), Event(lambda t, weights: t - 0.5, terminal=True)]
    run = gradient_flow(p.network, p.moments, [0 * w for w in p.weights], [1.0], events=events)
    assert run.status is Status.EVENT
    assert run.events == (0.0, None)
    assert run.t.tolist() == [0.0]


def test_a_failed_run_keeps_the_events_before():
    with pytest.raises(ComputationError) as caught:
        solve("cnn-dense-channels", times=[1e3], max_steps=30, events=[Event(lambda t, w: t - 1e-3), LossBelow(1e-9)])
    assert caught.value.result.events[0] == pytest.approx(1e-3)
    assert caught.value.result.events[1] is None


def test_events_are_saved(tmp_path):
    run = solve("cnn-modes", times=[1.0], events=[LossBelow(1e-300), LossBelow(1e9), Event(lambda t, w: t - 0.3)])
    run.save(tmp_path / "run.npz")
    assert Trajectory.load(tmp_path / "run.npz").events == run.events
    assert run.events[0] is None


def test_files_from_before_there_were_events_load(tmp_path):
    import json

    run = solve("cnn-modes", times=[1.0])
    run.save(tmp_path / "run.npz")
    with np.load(tmp_path / "run.npz") as file:
        arrays = dict(file)
    header = json.loads(str(arrays.pop("header")))
    del header["events"]
    np.savez(tmp_path / "old.npz", header=json.dumps(header), **arrays)
    assert Trajectory.load(tmp_path / "old.npz").events == ()


# --- the end of learning ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e-1, 1e-4, 1e-8])
@pytest.mark.parametrize("method", ["auto", "dop853"])
def test_stationary_is_no_plateau(method, scale):
    """The start, and the long waits between one mode and the next, have a small gradient too."""
    network, moments, _, _, _ = cosines((1.0, 0.5, 0.1))
    weights = network.init_small(scale, rng=3)
    events = [Stationary(1e-6), ModeLearned(2, 0.99), ModeLearned(2, 0.999999)]
    run = gradient_flow(network, moments, weights, [0.0, 400.0], events=events, method=method, atol=1e-12)
    end, early, late = run.events
    assert early < end < 3 * late
    state = run.at(end)
    gained = network.loss(state, moments) - run.loss[-1]
    assert gained <= 1e-6 * 0.5 * moments.target_power


@pytest.mark.parametrize("name", ["cnn-dense-channels", "cnn-samples-deep", "cnn-decay", "fcn-samples-deep-decay"])
@pytest.mark.parametrize("rtol", [1e-3, 1e-6])
def test_what_is_left_to_gain_after_stationary_is_below_its_tolerance(name, rtol):
    run = solve(name, "auto", [0.0, 3000.0], rtol=1e-6, events=[Stationary(rtol)])
    (t,) = run.events
    p = PROBLEMS[name]
    loss = p.network.loss(run.at(t), p.moments, weight_decay=p.decay)
    assert 0.0 < t < 3000.0
    assert loss - run.loss[-1] <= rtol * 0.5 * p.moments.target_power
    assert loss - run.loss[-1] > 1e-12  # not just the end of the run


def test_a_deep_plateau_is_left_before_it_counts():
    """Three layers: at the start the Hessian itself is almost 0, the loss leaves as σ³."""
    p = PROBLEMS["cnn-samples-deep"]
    weights = [1e-2 * w for w in p.weights]
    end, half = gradient_flow(
        p.network, p.moments, weights, [1e5], events=[Stationary(1e-6), ModeLearned(0)], rtol=1e-4
    ).events
    assert end > half > 10.0


def test_near_a_minimum_is_not_at_it():
    """One layer of 192 weights, 1e-4 above its least loss in one direction: a random line would gain 1e-6 of it."""
    rng = np.random.default_rng(0)
    images = rng.standard_normal((400, 1, 8, 12))
    network = LinearCNN((1, 8, 12), widths=(), n_outputs=2)
    moments = SecondMoments.from_data(images, rng.standard_normal((400, 2)), form="dense")
    weights = steady_state(network, moments, network.init_small(1.0, rng=0)).weights
    weights[0][0, 0, 0, 0] += 0.0142
    (t,) = gradient_flow(network, moments, weights, [100.0], events=[Stationary(1e-5)]).events
    assert 0.1 < t < 50.0


def test_what_is_slow_is_not_over():
    """One layer, powers 1 and 1e-3: when the fast direction is learned the slow one, 1e-3 of the loss, has not begun.

    39 more fast directions that are learned from the start: a random line sees nothing of the slow one.
    """
    images, targets = np.sqrt(40.0) * np.eye(40), np.zeros((40, 1))
    images[-1] *= np.sqrt(1e-3)
    targets[[0, -1], 0] = images[[0, -1], [0, -1]]  # both weights go to 1, all others stay 0
    moments = SecondMoments.from_data(images.reshape(40, 1, 1, 40), targets, form="dense")
    network = LinearCNN((1, 1, 40), widths=(), n_outputs=1)
    (t,) = gradient_flow(network, moments, [np.zeros((1, 1, 40, 1))], [1e5], events=[Stationary(1e-4)]).events
    assert 0.5 * 1e-3 * np.exp(-2e-3 * t) <= 1.001e-4 * 0.5 * moments.target_power
    assert t > 1000.0


def test_a_minimum_is_stationary_at_once():
    network, moments, weights, _, _ = cosines(scale=0.3)
    learned = gradient_flow(network, moments, weights, [300.0], rtol=1e-10, atol=1e-12).weights(-1)
    assert gradient_flow(network, moments, learned, [1.0], events=[Stationary()]).events == (0.0,)


# --- what is refused -------------------------------------------------------------------------------------------------

BAD = {
    "one event": (lambda: solve("cnn-modes", events=LossBelow(1.0)), r"events is LossBelow.*write \[event\]"),
    "no event": (lambda: solve("cnn-modes", events=[1.0]), r"events\[0\] is 1.0, expected a list of ModeLearned"),
    "text": (lambda: solve("cnn-modes", events="stationary"), r"events is 'stationary'"),
    "class": (lambda: solve("cnn-modes", events=[Stationary]), r"events\[0\] is <class"),
    "mode": (lambda: solve("cnn-modes", events=[ModeLearned(3)]), r"mode is 3, expected one of 0 .. 2"),
    "mode negative": (lambda: ModeLearned(-1), r"mode is -1, expected an integer >= 0"),
    "fraction": (lambda: ModeLearned(0, 1.5), r"fraction is 1.5, expected a number <= 1"),
    "fraction zero": (lambda: ModeLearned(0, 0.0), r"fraction is 0, expected a number > 0"),
    "loss": (lambda: LossBelow(0.0), r"value is 0, expected a number > 0"),
    "rtol": (lambda: Stationary(0.0), r"rtol is 0, expected a number > 0"),
    "no function": (lambda: Event(3), r"function is 3, expected a function"),
    "nan": (lambda: solve("cnn-modes", events=[Event(lambda t, w: math.nan)]), r"function gives nan at t = 0"),
    "none": (lambda: solve("cnn-modes", events=[Event(lambda t, w: None)]), r"function gives None at t = 0"),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_bad_event_is_named(name):
    call, text = BAD[name]
    with pytest.raises(ArgumentError, match=text):
        call()


def test_a_null_mode_has_no_learning_time():
    images = np.array([[[[1.0, -1.0]]], [[[-1.0, 1.0]]]])
    moments = SecondMoments.from_data(images, np.eye(2))
    network = LinearCNN((1, 1, 2), n_outputs=2)
    with pytest.raises(ArgumentError, match=r"mode is 1, expected one of 0 \.\. 0"):
        gradient_flow(network, moments, network.init_small(0.1, rng=0), [1.0], events=[ModeLearned(1)])

"""What an Ensemble holds: stacked arrays, and runs that stopped early."""

from __future__ import annotations

import numpy as np
import pytest

from lineardyn import Ensemble, Trajectory, gradient_flow, stack_weights
from lineardyn.errors import ArgumentError, ComputationError, DataFileError, Status
from lineardyn.moments import SecondMoments
from tests import oracles
from tests.lineardyn.problems import METHODS, PROBLEMS
from tests.lineardyn.test_ensembles import DECAYS, RATES, descents, flows, same, starts_of

# --- what is stacked -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cnn-dense-channels", "fcn-samples-deep-decay", "cnn-modes"])
def test_stacked_values_are_those_of_the_runs(name, tmp_path):
    p = PROBLEMS[name]
    ensemble = flows(p, starts_of(p), decays=DECAYS)
    ensemble.save(tmp_path / "ensemble.npz")
    for e in (ensemble, Ensemble.load(tmp_path / "ensemble.npz")):
        runs = list(e)
        k = len(p.moments.modes().s)
        assert e.t.shape == e.loss.shape == (4, 4)
        assert e.effective_singular_values.shape == (4, 4, k, k)
        assert e.kernel_spectrum.shape == (4, 4, *p.data.image_shape)
        for attribute in ("t", "loss", "effective_singular_values", "kernel_spectrum"):
            stacked = np.stack([getattr(run, attribute) for run in runs])
            assert oracles.error(getattr(e, attribute), stacked) <= 1e-13  # sums of another length in BLAS
        other = SecondMoments.from_data(2 * p.data.images, p.data.targets, form=p.form)
        assert oracles.error(e.evaluate(other), np.stack([run.evaluate(other) for run in runs])) <= 1e-13
        for i in (0, -1, 2):
            for layer, w in enumerate(e.weights(i)):
                assert np.array_equal(w, np.stack([run.weights(i)[layer] for run in runs]))
        for layer, w in enumerate(e.at(0.7)):
            assert np.array_equal(w, np.stack([run.at(0.7)[layer] for run in runs]))
        assert e.status is Status.SUCCESS
        assert e.statuses == (Status.SUCCESS,) * 4
        assert e.message == Status.SUCCESS.value
        assert [stats["n_rhs"] for stats in e.stats] == [run.stats["n_rhs"] for run in runs]
        assert e.states.tobytes() == ensemble.states.tobytes()


def test_runs_are_chosen_by_number_slice_list_and_mask():
    p = PROBLEMS["cnn-modes"]
    ensemble = flows(p, starts_of(p), decays=DECAYS)
    runs = list(ensemble)
    assert len(ensemble) == 4
    same(ensemble[-1], runs[3])
    for index, wanted in [
        (slice(1, 3), [1, 2]),
        ([3, 0], [3, 0]),
        (np.array([-1]), [3]),
        (np.array([True, False, False, True]), [0, 3]),
    ]:
        some = ensemble[index]
        assert isinstance(some, Ensemble)
        for run, number in zip(some, wanted, strict=True):
            same(run, runs[number])
    for index in (4, -5, 1.0, None, "0", [4], [-5], [[0]], [0.5], [True], slice(0, 0), []):
        with pytest.raises(ArgumentError, match="index"):
            ensemble[index]


def test_a_plot_has_both_panels_whether_times_agree_or_not():
    p = PROBLEMS["cnn-modes"]
    for ensemble in (flows(p, starts_of(p)), descents(p, p.weights, learning_rate=RATES)):
        top, bottom = ensemble.plot().axes
        assert top.get_ylabel() == "effective singular values"
        assert bottom.get_ylabel() == "loss"
        assert top.lines
        assert bottom.lines or bottom.collections


def test_a_file_of_another_kind_is_refused(tmp_path):
    p = PROBLEMS["cnn-modes"]
    path = tmp_path / "run.npz"
    gradient_flow(p.network, p.moments, p.weights, p.times).save(path)
    with pytest.raises(DataFileError, match="holds no saved ensemble"):
        Ensemble.load(path)
    with pytest.raises(DataFileError, match="does not exist"):
        Ensemble.load(tmp_path / "none.npz")
    flows(p, starts_of(p)).save(path)
    with pytest.raises(DataFileError, match="holds no saved trajectory"):
        Trajectory.load(path)
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **{**arrays, "starts": arrays["starts"][:2]})
    with pytest.raises(DataFileError, match="holds no saved ensemble"):
        Ensemble.load(path)


# --- runs that stop early --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["cnn-dense-channels", "cnn-samples-deep", "cnn-modes", "fcn-dense"])
def test_a_run_that_overflows_does_not_hurt_the_others(name, method):
    p = PROBLEMS[name]
    starts = starts_of(p)
    starts[2] = [1e200 * w for w in starts[2]]
    ensemble = flows(p, starts, method=method, throw=False)
    assert ensemble.statuses[2] in (Status.NON_FINITE, Status.STEP_TOO_SMALL)
    assert ensemble.status is ensemble.statuses[2]
    assert ensemble.message.startswith("1 of 4 runs stopped early (2). ")
    for i in (0, 1, 3):
        same(ensemble[i], gradient_flow(p.network, p.moments, starts[i], p.times, weight_decay=p.decay, method=method))
    assert len(ensemble.completed) == 3
    assert ensemble.completed.loss.shape == (3, len(p.times))
    with pytest.raises(ComputationError, match=r"1 of 4 runs stopped early \(2\)") as caught:
        flows(p, starts, method=method)
    assert caught.value.status is ensemble.status
    assert np.array_equal(caught.value.result.completed.states, ensemble.completed.states)


def test_stacked_values_go_as_far_as_every_run(tmp_path):
    p = PROBLEMS["cnn-modes"]
    times = np.linspace(0, 2, 9)
    starts = stack_weights([p.network.init_small(scale, rng=1) for scale in (1e-3, 1.0)])
    whole = gradient_flow(p.network, p.moments, starts, times, method="bs32")
    few = min(stats["n_steps"] for stats in whole.stats) - 3
    ensemble = gradient_flow(p.network, p.moments, starts, times, method="bs32", max_steps=few, throw=False)
    assert ensemble.status is Status.MAX_STEPS
    lengths = [len(run) for run in ensemble]
    assert ensemble.n_times == min(lengths) < max(lengths) <= 9
    assert ensemble.loss.shape == ensemble.t.shape == (2, min(lengths))
    for run, steps in zip(ensemble, whole, strict=True):
        assert np.array_equal(run.states, steps.states[: len(run)])
    ensemble.save(tmp_path / "part.npz")
    again = Ensemble.load(tmp_path / "part.npz")
    assert [len(run) for run in again] == lengths
    assert all(np.array_equal(a.states, b.states) for a, b in zip(again, ensemble, strict=True))


@pytest.mark.parametrize("name", ["cnn-dense-channels", "cnn-modes"])
def test_too_few_steps_are_told_of_every_run(name):
    p = PROBLEMS[name]
    ensemble = gradient_flow(
        p.network, p.moments, stack_weights(starts_of(p)), [400.0, 500.0], max_steps=2, throw=False
    )
    assert ensemble.statuses == (Status.MAX_STEPS,) * 4
    assert ensemble.message.startswith("4 of 4 runs stopped early (0, 1, 2, 3). The number of steps reached max_steps")
    assert [len(run) for run in ensemble] == [0] * 4


def test_runs_without_any_state_say_so():
    p = PROBLEMS["cnn-modes"]
    starts = starts_of(p)
    starts[1] = [1e200 * w for w in starts[1]]
    ensemble = gradient_flow(p.network, p.moments, stack_weights(starts), [0.5, 1.0], throw=False)
    assert ensemble.t.shape == (4, 0)
    for attribute in ("loss", "effective_singular_values", "kernel_spectrum"):
        with pytest.raises(ArgumentError, match=r"runs 1 hold no state"):
            getattr(ensemble, attribute)
    assert ensemble.completed.loss.shape == (3, 2)


@pytest.mark.parametrize("name", ["cnn-dense-channels", "cnn-samples-deep"])
def test_a_descent_that_diverges_stops_alone(name):
    p = PROBLEMS[name]
    rates = [0.01, 50.0, 0.02]
    ensemble = descents(p, p.weights, learning_rate=rates, n_steps=200, throw=False)
    assert ensemble.statuses == (Status.SUCCESS, Status.DIVERGED, Status.SUCCESS)
    for rate, run in zip(rates, ensemble, strict=True):
        alone = descents(p, p.weights, learning_rate=rate, n_steps=200, throw=False)
        assert len(run) == len(alone)
        assert np.isfinite(run.states).all()
        assert oracles.error(run.states, alone.states) <= 1e-12
    with pytest.raises(ComputationError, match=r"gradient_descent: 1 of 3 runs stopped early \(1\).*learning rate"):
        descents(p, p.weights, learning_rate=rates, n_steps=200)
    all_of_them = descents(p, p.weights, learning_rate=[50.0, 60.0], n_steps=200, throw=False)
    assert all_of_them.statuses == (Status.DIVERGED,) * 2

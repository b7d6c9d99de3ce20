"""Ensembles are loops: bit for bit where each run has the statistics to itself, to the tolerance in dense batches."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineardyn import Ensemble, Trajectory, gradient_descent, gradient_flow, stack_weights
from lineardyn.ensembles import threads as threading_of_runs
from lineardyn.ensembles.flows import SINGLE
from lineardyn.errors import ArgumentError
from lineardyn.moments import SecondMoments
from lineardyn.networks import LinearCNN, LinearFCN
from tests import oracles
from tests import strategies as own
from tests.lineardyn.problems import METHODS, PROBLEMS
from tests.lineardyn.test_screened import stiff

ALONE = [name for name in sorted(PROBLEMS) if PROBLEMS[name].form != "dense"]
DENSE = [name for name in sorted(PROBLEMS) if PROBLEMS[name].form == "dense"]
SCALES = (0.02, 0.1, 0.3, 0.6)
DECAYS = (0.3, 0.0, 0.1, 0.2)
RATES = (0.02, 0.005, 0.01, 0.03)
MODERATE = (0.02, 0.1, 0.2, 0.3)  # descent at these rates stays stable


def starts_of(p, scales=SCALES):
    return [p.network.init_small(scale, rng=i) for i, scale in enumerate(scales)]


def flows(p, starts, *, decays=None, **options):
    decay = p.decay if decays is None else decays
    return gradient_flow(p.network, p.moments, stack_weights(starts), p.times, weight_decay=decay, **options)


def loop_of_flows(p, starts, *, decays=None, **options):
    decays = [p.decay] * len(starts) if decays is None else decays
    return [
        gradient_flow(p.network, p.moments, start, p.times, weight_decay=decay, **options)
        for start, decay in zip(starts, decays, strict=True)
    ]


def descents(p, starts, data=None, **options):
    options = {"learning_rate": 0.01, "n_steps": 20, "record_every": 6, **options}
    return gradient_descent(p.network, p.moments if data is None else data, starts, **options)


def long_flows(**options):
    """Twenty flows of some seconds each: 20 thousand steps of order 3 over 300 images."""
    rng = np.random.default_rng(0)
    moments = SecondMoments.from_data(rng.standard_normal((300, 1, 16, 16)), np.arange(300) % 3, form="samples")
    network = LinearCNN((1, 16, 16), n_outputs=3)
    starts = stack_weights([network.init_small(0.1, rng=seed) for seed in range(20)])
    return gradient_flow(network, moments, starts, [1.0], method="bs32", rtol=1e-12, atol=1e-15, **options)


def same(one: Trajectory, two: Trajectory):
    """Two runs are one, bit for bit."""
    assert np.array_equal(one.states, two.states)
    assert np.array_equal(one.t, two.t)
    assert np.array_equal(one.loss, two.loss)
    assert np.array_equal(one.effective_singular_values, two.effective_singular_values)
    assert (one.settings, one.status, one.stats) == (two.settings, two.status, two.stats)


# --- ensembles are loops ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ALONE)
def test_each_run_is_what_it_is_alone_bit_for_bit(name, method, threads):
    p = PROBLEMS[name]
    starts = starts_of(p)
    ensemble = flows(p, starts, decays=DECAYS, method=method, threads=threads)
    for run, alone in zip(ensemble, loop_of_flows(p, starts, decays=DECAYS, method=method), strict=True):
        same(run, alone)
    steps = {run.stats["n_steps"] for run in ensemble}
    assert len(steps) > 1  # each with steps of its own


def test_runs_that_go_over_to_stabilised_steps_are_the_same_bit_for_bit():
    """``auto`` on modes of very different sizes: some runs switch and screen, all as they would alone."""
    network, moments, _ = stiff(16, 4, 16.0, 0)
    starts, times = [network.init_small(scale, rng=3) for scale in (1e-3, 1e-2, 1e-1)], [0.5, 8.0]
    ensemble = gradient_flow(network, moments, stack_weights(starts), times, rtol=1e-3, threads=2)
    assert any("t_stiff" in stats for stats in ensemble.stats)
    assert any("n_active" in stats for stats in ensemble.stats)
    for run, start in zip(ensemble, starts, strict=True):
        same(run, gradient_flow(network, moments, start, times, rtol=1e-3))


@pytest.mark.parametrize("method", [method for method in METHODS if method not in SINGLE])
@pytest.mark.parametrize("name", DENSE)
def test_dense_batches_equal_single_runs_to_the_tolerance(name, method):
    """A batch takes the steps of a norm that bounds every run's own: errors are those of single runs, or smaller."""
    p, tight = PROBLEMS[name], {"rtol": 1e-8, "atol": 1e-10}
    starts = starts_of(p)
    ensemble = flows(p, starts, decays=DECAYS, method=method, **tight)
    assert [stats["batch"] for stats in ensemble.stats] == [4] * 4
    alone = loop_of_flows(p, starts, decays=DECAYS, method=method, **tight)
    exact = loop_of_flows(p, starts, decays=DECAYS, method="dop853", rtol=1e-11, atol=1e-13)
    bound = 2e-5 if method == "rkc" else 1e-6  # of single runs, see test_states_equal_scipys_in_pixel_space
    for run, single, wanted in zip(ensemble, alone, exact, strict=True):
        for i in range(len(wanted)):
            error, usual = (oracles.worst(r.weights(i), wanted.weights(i)) for r in (run, single))
            assert error <= max(bound, 1.5 * usual)  # a vanishing weight may be worse in both


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["cnn-dense-channels", "fcn-dense"])
def test_a_batch_errs_no_more_in_one_run_than_alone(name, method):
    """Runs that rest at zero add nothing to the error: the one that moves must take its own steps, no larger ones."""
    p = PROBLEMS[name]
    rest = [0 * w for w in p.weights]
    ensemble = flows(p, [rest, p.weights, rest, rest, rest, rest], method=method)
    alone = gradient_flow(p.network, p.moments, p.weights, p.times, weight_decay=p.decay, method=method)
    assert ensemble.stats[1]["n_steps"] == alone.stats["n_steps"]
    assert ensemble.stats[1]["n_rejected"] == alone.stats["n_rejected"]
    assert oracles.error(ensemble[1].states, alone.states) <= 1e-9  # the same steps, sums in another order
    assert not ensemble[[0, 2, 3, 4, 5]].states.any()


@pytest.mark.parametrize("name", DENSE)
def test_a_dense_batch_gives_the_same_bits_again(name):
    p = PROBLEMS[name]
    starts = starts_of(p)
    one, two = (flows(p, starts, threads=threads) for threads in (1, 2))
    assert np.array_equal(one.states, two.states)
    assert one.stats == two.stats


def test_dense_batches_are_cut_by_size_alone():
    """300 runs of two outputs: batches of 100, at most 256 rows each, on one thread and on two."""
    p = PROBLEMS["cnn-dense-channels"]
    starts = [p.network.init_small(0.1, rng=seed) for seed in range(300)]
    one, two = (flows(p, starts, threads=threads, rtol=1e-3) for threads in (1, 2))
    assert {stats["batch"] for stats in one.stats} == {100}
    assert np.array_equal(one.states, two.states)
    alone = gradient_flow(p.network, p.moments, starts[217], p.times, rtol=1e-3)
    assert oracles.worst(one[217].weights(-1), alone.weights(-1)) <= 1e-2  # 10 rtol, as the issue has it


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_full_batch_descents_equal_a_loop(name, threads):
    p = PROBLEMS[name]
    starts = starts_of(p, MODERATE)
    ensemble = descents(p, stack_weights(starts), learning_rate=RATES, weight_decay=DECAYS, threads=threads)
    for i, run in enumerate(ensemble):
        alone = descents(p, starts[i], learning_rate=RATES[i], weight_decay=DECAYS[i])
        assert np.array_equal(run.t, alone.t)
        assert oracles.error(run.states, alone.states) <= 1e-14  # 20 steps; dense: another order of the same sums
        if p.form != "dense":
            assert np.array_equal(run.states, alone.states)


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("name", ["cnn-dense-channels", "fcn-samples-deep-decay"])
def test_stochastic_descents_equal_a_loop_bit_for_bit(name, batch_size):
    p = PROBLEMS[name]
    starts, data = starts_of(p, MODERATE), (p.data.images, p.data.targets)
    options = {"data": data, "batch_size": batch_size}
    given_seeds = descents(p, stack_weights(starts), rng=[5, 6, 7, 8], threads=2, **options)
    spawned = descents(p, stack_weights(starts), rng=5, threads=1, **options)
    for i, generator in enumerate(np.random.default_rng(5).spawn(4)):
        same(given_seeds[i], descents(p, starts[i], rng=5 + i, **options))
        same(spawned[i], descents(p, starts[i], rng=generator, **options))
    assert not np.array_equal(spawned.states[0], given_seeds.states[0])


@given(
    data=own.data_sets(), widths=own.widths, kind=st.sampled_from(["cnn", "fcn"]), n_runs=st.integers(1, 4),
    form=st.sampled_from(["modes", "dense", "samples"]), seed=own.seeds,
)  # fmt: skip
def test_any_network_any_form(data, widths, kind, n_runs, form, seed):
    network = (LinearCNN if kind == "cnn" else LinearFCN)(data.image_shape, widths=widths, n_outputs=data.n_outputs)
    moments = SecondMoments.from_data(data.images, data.targets, form=form)
    starts = [own.random_weights(kind, data.image_shape, widths, data.n_outputs, seed + i, 0.3) for i in range(n_runs)]
    decays = [0.1 * i for i in range(n_runs)]
    options = {"method": "tsit5", "rtol": 1e-6, "atol": 1e-9}
    ensemble = gradient_flow(
        network, moments, stack_weights(starts), [0.0, 0.1, 0.2], weight_decay=decays, threads=2, **options
    )
    for i, run in enumerate(ensemble):
        alone = gradient_flow(network, moments, starts[i], [0.0, 0.1, 0.2], weight_decay=decays[i], **options)
        assert np.array_equal(run.start, alone.start)  # packed all at once, or one by one
        if form == "dense" and n_runs > 1:
            # single runs and batches each keep rtol a step, over ten steps
            assert oracles.error(run.states, alone.states) <= 2e-5
        else:
            assert np.array_equal(run.states, alone.states)
    rates = [1e-3 * (i + 1) for i in range(n_runs)]
    steps = {"n_steps": 4, "record_every": 3, "throw": False}  # large data diverge, in the ensemble as alone
    trained = gradient_descent(
        network, moments, stack_weights(starts), learning_rate=rates, weight_decay=decays, threads=2, **steps
    )
    for i, run in enumerate(trained):
        alone = gradient_descent(network, moments, starts[i], learning_rate=rates[i], weight_decay=decays[i], **steps)
        assert np.array_equal(run.t, alone.t)
        assert run.status is alone.status
        # four steps, each of a product whose sums may be taken in another order
        assert oracles.error(run.states, alone.states) <= (1e-13 if form == "dense" else 0.0)


@pytest.mark.parametrize("name", ["cnn-modes", "cnn-dense-channels", "fcn-dense"])
def test_one_start_serves_all_rates(name):
    p = PROBLEMS[name]
    ensemble = gradient_flow(p.network, p.moments, p.weights, p.times, weight_decay=list(DECAYS))
    again = flows(p, [p.weights] * 4, decays=DECAYS)
    assert np.array_equal(ensemble.states, again.states)
    swept = descents(p, p.weights, learning_rate=np.array(RATES))
    for rate, run in zip(RATES, swept, strict=True):
        assert run.settings.learning_rate == rate
        assert run.t[-1] == pytest.approx(20 * rate, rel=1e-15)


def test_an_axis_of_one_is_an_ensemble():
    p = PROBLEMS["cnn-dense-channels"]
    ensemble = flows(p, [p.weights])
    assert isinstance(ensemble, Ensemble)
    same(ensemble[0], gradient_flow(p.network, p.moments, p.weights, p.times))


# --- progress, interruption, results as they come --------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", ["cnn-modes", "cnn-dense-channels"])
def test_results_come_once_each_in_the_callers_thread(name, threads):
    p = PROBLEMS[name]
    starts = starts_of(p)
    told: dict[int, Trajectory] = {}

    def keep(index, run):
        assert threading.current_thread() is threading.main_thread()
        assert index not in told
        told[index] = run

    ensemble = flows(p, starts, threads=threads, on_result=keep)
    assert sorted(told) == [0, 1, 2, 3]
    for i, run in enumerate(ensemble):
        same(run, told[i])


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", ["cnn-modes", "cnn-dense-channels"])
def test_progress_ends_at_the_whole(name, threads, capsys):
    p = PROBLEMS[name]
    flows(p, starts_of(p), threads=threads, progress=True)
    assert "100%" in capsys.readouterr().err


def test_an_error_in_a_callback_stops_the_threads():
    p = PROBLEMS["cnn-modes"]

    def refuse(index, run):
        raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        flows(p, [p.weights] * 50, threads=2, on_result=refuse)
    assert threading.active_count() == before


def test_a_stopped_thread_leaves_its_run_at_the_next_call(monkeypatch):
    """Runs of a minute in all are left soon after the interruption, after 0.2 s."""
    looks = iter(range(10))

    def interrupted(*args, **options):
        if next(looks) == 2:
            raise KeyboardInterrupt
        return wait(*args, **options)

    wait = threading_of_runs.wait
    monkeypatch.setattr(threading_of_runs, "wait", interrupted)
    late = threading.Event()
    clock = threading.Timer(15.0, late.set)
    clock.start()
    with pytest.raises(KeyboardInterrupt):
        long_flows(threads=2)
    assert not late.is_set()
    clock.cancel()


def test_blas_has_its_threads_again():
    from threadpoolctl import threadpool_info, threadpool_limits

    def threads():
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    p = PROBLEMS["cnn-samples-deep"]
    with threadpool_limits(2, user_api="blas"):
        before = threads()  # a BLAS without threads, of another library, stays at 1
        assert 2 in before
        flows(p, starts_of(p), threads=2)
        with threading_of_runs.one_blas_thread(), threading_of_runs.one_blas_thread():
            assert set(threads()) == {1}
        assert threads() == before


def test_threads_follow_the_environment(monkeypatch):
    monkeypatch.setitem(vars(threading_of_runs.config), "NUMBA_NUM_THREADS", 8)
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    for value, wanted in [("3", 3), ("16", 8), ("0", 8), ("many", 8)]:
        monkeypatch.setenv("OMP_NUM_THREADS", value)
        assert threading_of_runs.default_threads() == wanted
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("NUMBA_NUM_THREADS", "8")
    assert threading_of_runs.default_threads() == 8


# --- bad calls -------------------------------------------------------------------------------------------------------

P = PROBLEMS["cnn-dense-channels"]
STACK = stack_weights(starts_of(P))
BAD = {
    "decays of other runs": (lambda: flows(P, starts_of(P), decays=[0.1] * 3), r"weight_decay has a leading axis of 3"),
    "layers of other runs": (
        lambda: gradient_flow(P.network, P.moments, [STACK[0], STACK[1][:2]], P.times),
        r"weights\[1\] has a leading axis of 2, expected 4: one for each run, as weights\[0\]",
    ),
    "one layer single": (
        lambda: gradient_flow(P.network, P.moments, [STACK[0], STACK[1][0]], P.times),
        r"weights\[1\] has shape \(2, 3, 3, 3\), expected \(R, 2, 3, 3, 3\)",
    ),
    "no run": (
        lambda: gradient_flow(P.network, P.moments, [w[:0] for w in STACK], P.times),
        r"weights\[0\] has a leading axis of 0",
    ),
    "no decay": (lambda: gradient_flow(P.network, P.moments, P.weights, P.times, weight_decay=[]), r"weight_decay.*0"),
    "a negative decay": (
        lambda: gradient_flow(P.network, P.moments, P.weights, P.times, weight_decay=[0.1, -0.2]),
        r"weight_decay\[1\] is -0.2, expected a number >= 0",
    ),
    "a rate of zero": (
        lambda: descents(P, P.weights, learning_rate=[0.1, 0.0]),
        r"learning_rate\[1\] is 0, expected a number > 0",
    ),
    "a rate of nan": (lambda: descents(P, P.weights, learning_rate=[0.1, np.nan]), r"learning_rate holds nan"),
    "rates in a table": (
        lambda: descents(P, P.weights, learning_rate=[[0.1]]),
        r"learning_rate is \[\[0.1\]\], expected a number",
    ),
    "rates of other runs": (
        lambda: descents(P, STACK, learning_rate=[0.1, 0.2]),
        r"learning_rate has a leading axis of 2, expected 4",
    ),
    "rates and decays": (
        lambda: descents(P, P.weights, learning_rate=[0.1, 0.2], weight_decay=[0.1] * 3),
        r"weight_decay has a leading axis of 3, expected 2: .*as learning_rate",
    ),
    "another network": (
        lambda: gradient_flow(P.network, P.moments, [STACK[0], STACK[1][..., :1]], P.times),
        r"weights\[1\] has shape \(2, 3, 3, 1\), expected \(2, 3, 3, 3\)",
    ),
    "a start with nan": (
        lambda: gradient_flow(P.network, P.moments, [STACK[0] * np.nan, STACK[1]], P.times),
        r"weights\[0\] holds nan",
    ),
    "seeds of other runs": (
        lambda: descents(P, STACK, data=(P.data.images, P.data.targets), batch_size=1, rng=[1, 2]),
        r"rng has 2 seeds or generators, expected 4",
    ),
    "a bad seed": (
        lambda: descents(P, STACK, data=(P.data.images, P.data.targets), batch_size=1, rng=[1, 2, 3, "x"]),
        r"rng\[3\] is 'x', expected a seed",
    ),
    "threads of one run": (
        lambda: gradient_flow(P.network, P.moments, P.weights, P.times, threads=2),
        r"threads is given for a single run",
    ),
    "executor of one run": (lambda: descents(P, P.weights, executor=object()), r"executor is given for a single run"),
    "no threads": (lambda: flows(P, starts_of(P), threads=0), r"threads is 0, expected an integer >= 1"),
    "an executor that is none": (lambda: flows(P, starts_of(P), executor=2), r"executor is 2, expected a concurrent"),
    "a callback that is none": (lambda: flows(P, starts_of(P), on_result=2), r"on_result is 2, expected a function"),
    "starts of two networks": (lambda: stack_weights([P.weights, P.weights[:1]]), r"starts\[1\] has arrays of shapes"),
    "no starts": (lambda: stack_weights([]), r"starts is empty"),
    "too much to keep": (
        lambda: flows(P, [P.weights], decays=np.zeros(1)) and gradient_flow(
            P.network, P.moments, P.weights, np.arange(2**14, dtype=float), weight_decay=np.zeros(2**12)
        ),
        r"weights start 4096 runs, expected at most \d+",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(BAD))
def test_bad_call_is_named(name):
    call, text = BAD[name]
    with pytest.raises(ArgumentError, match=text) as caught:
        call()
    assert str(caught.value).count("\n") == 0

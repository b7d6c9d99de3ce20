"""Gradient descent of deep and wide networks against loops in pixel space, step by step, and what is recorded of it.

Thirty steps, each with the round-off of a gradient (1e-14 relative) of maps that mostly contract: 1e-12.
"""

from __future__ import annotations

import numpy as np
import pytest

from lineardyn import descent
from lineardyn.moments import SecondMoments
from lineardyn.networks import LinearCNN, LinearFCN
from lineardyn.training import gradient_descent
from tests import oracles
from tests import strategies as own

ROUND_OFF = 1e-12
STEPS, RATE = 30, 0.03
WIDTHS = {1: (), 2: (3,), 3: (2, 4), 4: (3, 1, 2), 5: (2, 2, 1, 3)}
SHAPES = {"cnn": (2, 2, 3), "fcn": (1, 3, 3)}

every_network = pytest.mark.parametrize(
    ("kind", "depth", "decay"),
    [("cnn", depth, decay) for depth in WIDTHS for decay in (0.0, 0.3)]
    + [("fcn", depth, decay) for depth in (1, 2, 3, 4) for decay in (0.0, 0.3)],
)


def problem(kind, depth, data_kind="incoherent"):
    data = own.make_data(data_kind, SHAPES[kind], 3, 80)
    network = {"cnn": LinearCNN, "fcn": LinearFCN}[kind](SHAPES[kind], widths=WIDTHS[depth], n_outputs=data.n_outputs)
    scale = 0.3 if kind == "cnn" else 0.5
    return data, network, own.random_weights(kind, SHAPES[kind], WIDTHS[depth], data.n_outputs, 81, scale)


def descend(network, data, weights, **options):
    return gradient_descent(network, data, weights, **{"learning_rate": RATE, "n_steps": STEPS, **options})


def assert_states(run, data, weights, batches, decay):
    """Every state and its loss, which is that of all data, whatever was drawn."""
    states = oracles.descend(
        weights, data.images, data.targets, learning_rate=RATE, batches=batches, weight_decay=decay
    )
    assert len(run) == len(states)
    assert oracles.worst(states[-1], weights) > 0.01  # else nothing was put to the test
    for i, wanted in enumerate(states):
        assert oracles.worst(run.weights(i), wanted) <= ROUND_OFF
        assert run.loss[i] == pytest.approx(oracles.loss(wanted, data.images, data.targets, decay), rel=ROUND_OFF)


@every_network
@pytest.mark.parametrize("form", ["dense", "samples"])
def test_full_batch(kind, depth, decay, form):
    data, network, weights = problem(kind, depth)
    moments = SecondMoments.from_data(data.images, data.targets, form=form)
    run = descend(network, moments, weights, weight_decay=decay)
    assert_states(run, data, weights, [None] * STEPS, decay)


@every_network
def test_full_batch_of_the_modes_form(kind, depth, decay):
    """Centred classes: a null mode, which weight decay alone moves."""
    data, network, weights = problem(kind, depth, "centred")
    moments = SecondMoments.from_data(data.images, data.targets, form="modes")
    run = descend(network, moments, weights, weight_decay=decay)
    assert_states(run, data, weights, [None] * STEPS, decay)


@every_network
@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_batches(kind, depth, decay, batch_size):
    """The batches are those that the docstring promises, so that others can repeat a run."""
    data, network, weights = problem(kind, depth)
    run = descend(network, (data.images, data.targets), weights, weight_decay=decay, batch_size=batch_size, rng=7)
    batches = np.random.default_rng(7).integers(len(data.images), size=(STEPS, batch_size))
    assert_states(run, data, weights, batches, decay)


@pytest.mark.parametrize("depth", sorted(WIDTHS))
def test_one_sample_drawn_for_ever_is_the_full_batch_of_it(depth):
    data, network, weights = problem("cnn", depth)
    pair = data.images[:1], data.targets[:1]
    single = descend(network, pair, weights, batch_size=1, rng=0, weight_decay=0.1)
    whole = descend(network, pair, weights, weight_decay=0.1)
    assert oracles.worst(single.weights(-1), whole.weights(-1)) <= ROUND_OFF


# --- what is recorded ------------------------------------------------------------------------------------------------

RECORDS = [  # every so many, of how many steps: which
    (1, 3, [0, 1, 2, 3]),
    (3, 9, [0, 3, 6, 9]),
    (3, 10, [0, 3, 6, 9, 10]),
    (3, 11, [0, 3, 6, 9, 11]),
    (7, 6, [0, 6]),
    (6, 6, [0, 6]),
    (1, 1, [0, 1]),
]


@pytest.mark.parametrize(("every", "n_steps", "steps"), RECORDS)
@pytest.mark.parametrize("batch_size", [None, 1, 2])
@pytest.mark.parametrize("kind", ["cnn", "fcn"])
def test_every_so_many_steps_and_the_last_are_recorded(kind, batch_size, every, n_steps, steps):
    """States and times of just these steps, by the loop in pixel space: one step off is 1e-2 off."""
    data, network, weights = problem(kind, 3)
    options = {"batch_size": batch_size, "rng": 3, "n_steps": n_steps, "record_every": every}
    run = descend(network, (data.images, data.targets), weights, **options)
    drawn = np.random.default_rng(3).integers(len(data.images), size=(n_steps, batch_size or 1))
    states = oracles.descend(
        weights,
        data.images,
        data.targets,
        learning_rate=RATE,
        batches=drawn if batch_size else [None] * n_steps,
    )
    assert oracles.error(run.t, RATE * np.array(steps)) <= 4 * oracles.EPS
    assert run.stats["n_steps"] == n_steps
    for i, step in enumerate(steps):
        assert oracles.worst(run.weights(i), states[step]) <= ROUND_OFF


def test_between_recorded_steps_states_are_interpolated_linearly():
    """``at(t)``, in the share of the time that has passed; the steps themselves are not there to be had."""
    data, network, weights = problem("cnn", 2)
    run = descend(network, (data.images, data.targets), weights, n_steps=7, record_every=4)
    for share in (0.2, 0.75):
        for i, (first, last) in enumerate([(0, 4), (4, 7)]):
            got = run.at(RATE * (first + share * (last - first)))
            wanted = [(1 - share) * a + share * b for a, b in zip(run.weights(i), run.weights(i + 1), strict=True)]
            assert oracles.worst(got, wanted) <= ROUND_OFF


@pytest.mark.parametrize("batch_size", [None, 1, 2])
@pytest.mark.parametrize("flops", [1.0, 2.5e5])
def test_many_calls_of_a_kernel_equal_one(batch_size, flops, monkeypatch):
    """A run is cut into calls so that Ctrl-C is heard; states, records and draws do not see the cuts."""
    data, network, weights = problem("cnn", 3)
    options = {"batch_size": batch_size, "rng": 3, "n_steps": 11, "record_every": 3, "weight_decay": 0.1}
    whole = descend(network, (data.images, data.targets), weights, **options)
    monkeypatch.setattr(descent, "CALL_FLOPS", flops)
    cut = descend(network, (data.images, data.targets), weights, **options)
    assert np.array_equal(cut.t, whole.t)
    assert np.array_equal(cut.states, whole.states)

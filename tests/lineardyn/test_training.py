"""Gradient descent against the same steps taken in pixel space, the exact recursions, and the flow it tends to.

Fifty steps of a contracting map, each with the round-off of a gradient (1e-14 relative): 1e-12.
"""

from __future__ import annotations

import numpy as np
import pytest

from lineardyn.errors import ArgumentError, ComputationError, Status
from lineardyn.moments import SecondMoments
from lineardyn.networks import LinearCNN, LinearFCN
from lineardyn.training import gradient_descent, max_learning_rate
from tests import oracles
from tests.lineardyn.problems import PROBLEMS, cosine_images, hessian

ROUND_OFF = 1e-12
STEPS, RATE = 50, 0.01


class Recorder(np.random.Generator):
    """A generator that remembers the sample numbers it gave."""

    def __init__(self, seed):
        super().__init__(np.random.PCG64(seed))
        self.drawn = []

    def integers(self, *args, **kwargs):
        values = super().integers(*args, **kwargs)
        self.drawn.append(np.ravel(values))
        return values


def descend(p, **options):
    options = {"learning_rate": RATE, "n_steps": STEPS, "weight_decay": p.decay, **options}
    data = options.pop("data", (p.data.images, p.data.targets))
    return gradient_descent(p.network, data, p.weights, **options)


@pytest.mark.parametrize("name", [n for n in sorted(PROBLEMS) if PROBLEMS[n].form != "modes"])
def test_full_batch_equals_pixel_space_descent(name):
    p = PROBLEMS[name]
    states = oracles.descend(
        p.weights,
        p.data.images,
        p.data.targets,
        learning_rate=RATE,
        batches=[None] * STEPS,
        weight_decay=p.decay,
    )
    trajectory = descend(p)
    assert len(trajectory) == STEPS + 1
    assert oracles.error(trajectory.t, RATE * np.arange(STEPS + 1)) <= 4 * oracles.EPS
    for i, wanted in enumerate(states):
        assert oracles.worst(trajectory.weights(i), wanted) <= ROUND_OFF
        loss = oracles.loss(wanted, p.data.images, p.data.targets, p.decay)
        assert trajectory.loss[i] == pytest.approx(loss, rel=ROUND_OFF)


@pytest.mark.parametrize("form", ["modes", "dense", "samples"])
def test_full_batch_takes_second_moments_of_any_form(form):
    p = PROBLEMS["cnn-modes"]
    moments = SecondMoments.from_data(p.data.images, p.data.targets, form=form)
    one, two = descend(p), descend(p, data=moments)
    assert oracles.worst(two.weights(-1), one.weights(-1)) <= ROUND_OFF


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("name", ["cnn-dense-channels", "cnn-samples-deep", "cnn-decay", "fcn-samples-deep-decay"])
def test_mini_batches_equal_pixel_space_descent(name, batch_size):
    p, rng = PROBLEMS[name], Recorder(0)
    trajectory = descend(p, batch_size=batch_size, rng=rng)
    batches = np.concatenate(rng.drawn)[: STEPS * batch_size].reshape(STEPS, batch_size)
    drawn = np.random.default_rng(0).integers(len(p.data.images), size=(STEPS, batch_size))
    assert np.array_equal(batches, drawn)  # what the docstring promises, so that others can repeat a run
    assert set(batches.ravel()) == set(range(len(p.data.images)))  # every sample has its turn
    states = oracles.descend(
        p.weights, p.data.images, p.data.targets, learning_rate=RATE, batches=batches, weight_decay=p.decay
    )
    for i, wanted in enumerate(states):
        assert oracles.worst(trajectory.weights(i), wanted) <= ROUND_OFF
    # the loss is that of the whole data, not of the batch
    loss = oracles.loss(states[-1], p.data.images, p.data.targets, p.decay)
    assert trajectory.loss[-1] == pytest.approx(loss, rel=ROUND_OFF)


def test_samples_are_drawn_uniformly():
    """4000 draws of 8 samples: each count within 5 standard deviations of 500, √(4000·7/64) = 21."""
    p, rng = PROBLEMS["cnn-dense-channels"], Recorder(1)
    descend(p, batch_size=4, n_steps=1000, rng=rng, record_every=1000, learning_rate=1e-4)
    n = len(p.data.images)
    counts = np.bincount(np.concatenate(rng.drawn)[:4000], minlength=n)
    assert np.abs(counts - 4000 / n).max() <= 5 * np.sqrt(4000 * (1 / n) * (1 - 1 / n))


def test_a_seed_gives_the_run_of_its_generator():
    p = PROBLEMS["cnn-dense-channels"]
    runs = [descend(p, batch_size=2, rng=r) for r in (3, 3, np.random.default_rng(3), 4)]
    ends = [r.weights(-1)[0] for r in runs]
    assert np.array_equal(ends[0], ends[1])
    assert np.array_equal(ends[0], ends[2])
    assert not np.array_equal(ends[0], ends[3])


@pytest.mark.parametrize(
    ("every", "n_steps", "steps"),
    [(1, 3, [0, 1, 2, 3]), (4, 10, [0, 4, 8, 10]), (5, 10, [0, 5, 10]), (100, 7, [0, 7]), (1, 1, [0, 1])],
)
@pytest.mark.parametrize("batch_size", [None, 2])
def test_every_so_many_steps_and_the_last_are_recorded(every, n_steps, steps, batch_size):
    p = PROBLEMS["cnn-dense-channels"]
    sparse = descend(p, n_steps=n_steps, record_every=every, batch_size=batch_size, rng=0)
    full = descend(p, n_steps=n_steps, batch_size=batch_size, rng=0)
    assert oracles.error(sparse.t, RATE * np.array(steps)) <= 4 * oracles.EPS
    for i, step in enumerate(steps):
        assert oracles.worst(sparse.weights(i), full.weights(step)) <= ROUND_OFF
    assert sparse.status is Status.SUCCESS


# --- the exact recursions of the notes, section 2.3 ------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [None, 1])
def test_pure_cosines_follow_the_exact_recursion(batch_size):
    """``b ← b(1 + (η√P/√m)(s - b))²``; with one sample a step K times the rate, for the class drawn alone."""
    shape, frequencies, amplitudes = (4, 6), [(1, 2), (2, 3), (0, 1)], [1.0, 0.8, 0.6]
    images, rate, steps = cosine_images(shape, frequencies, amplitudes), 0.02, 200
    moments = SecondMoments.from_data(images, np.eye(3))
    network = LinearCNN((1, *shape), widths=(1,), n_outputs=3)
    weights, rng = network.init_balanced(moments, 0.05, rng=0), Recorder(2)
    trajectory = gradient_descent(
        network, (images, np.eye(3)), weights, learning_rate=rate, n_steps=steps, batch_size=batch_size, rng=rng
    )
    modes = moments.modes()
    owner = np.abs(modes.u).argmax(axis=0)  # the class of each mode
    drawn = np.concatenate(rng.drawn)[:steps] if batch_size else None
    b = np.array([modes.u[:, r] @ oracles.predict(weights, modes.v)[r] * modes.d[r] for r in range(3)])
    m = np.array([1 if f == (2, 3) else 2 for f in frequencies])[owner]
    for step in range(1, steps + 1):
        moved = np.ones(3) if drawn is None else 3.0 * (drawn[step - 1] == owner)
        b = b * (1 + moved * rate * np.sqrt(24 / m) * (modes.s - b)) ** 2
        got = np.diag(trajectory.effective_singular_values[step])
        assert np.abs(got / b - 1).max() <= 1e-11  # 200 steps of round-off of a growth that is multiplicative
    assert b.max() > 0.5 * modes.s.max()


# --- the limit of small learning rates -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cnn-dense-channels", "cnn-samples-deep", "cnn-decay", "fcn-samples-deep-decay"])
def test_distance_to_the_flow_is_of_first_order_in_the_learning_rate(name):
    p = PROBLEMS[name]
    (wanted,) = oracles.flow(p.weights, p.data.images, p.data.targets, np.array([0.8]), weight_decay=p.decay)
    counts = np.array([200, 400, 800, 1600])
    errors = [
        oracles.worst(descend(p, learning_rate=0.8 / n, n_steps=int(n), record_every=int(n)).weights(-1), wanted)
        for n in counts
    ]
    assert abs(np.polyfit(np.log(0.8 / counts), np.log(errors), 1)[0] - 1) <= 0.1


# --- the largest learning rate ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cnn-dense-channels", "cnn-samples-deep", "cnn-decay", "fcn-dense", "cnn-one-pixel"])
def test_largest_learning_rate_is_two_over_the_largest_curvature(name):
    p = PROBLEMS[name]
    wanted = 2 / np.linalg.eigvalsh(hessian(p))[-1]
    got = max_learning_rate(p.network, p.moments, p.weights, weight_decay=p.decay)
    assert got == pytest.approx(wanted, rel=1e-6)  # the differences of the oracle


def test_largest_learning_rate_of_a_learned_cosine():
    """Notes, section 2.3: stable iff ``η√P s/√m < 1`` for the largest; descent stays below it, not above."""
    images = cosine_images((4, 6), [(1, 2), (2, 3)], [1.0, 0.3])
    moments = SecondMoments.from_data(images, np.eye(2))
    network = LinearCNN((1, 4, 6), widths=(1,), n_outputs=2)
    weights = network.init_balanced(moments, 0.1, rng=0)
    learned = gradient_descent(network, moments, weights, learning_rate=0.1, n_steps=3000, record_every=3000).weights(
        -1
    )
    s, root = moments.modes().s, np.sqrt(24 / np.array([2, 1]))
    limit = max_learning_rate(network, moments, learned)
    assert limit == pytest.approx(1 / (root * s).max(), rel=1e-6)
    moved = [w + 1e-6 * g for w, g in zip(learned, network.init_small(1.0, rng=1), strict=True)]
    near = network.loss(moved, moments)
    below = gradient_descent(network, moments, moved, learning_rate=0.99 * limit, n_steps=2000, record_every=2000)
    above = gradient_descent(network, moments, moved, learning_rate=1.01 * limit, n_steps=2000, record_every=2000)
    assert below.loss[-1] <= near
    assert above.loss[-1] > 100 * near


# --- what ends early or is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [None, 2])
@pytest.mark.parametrize("every", [1, 50])
def test_divergence_is_told(batch_size, every):
    p = PROBLEMS["cnn-dense-channels"]
    options = {"learning_rate": 50.0, "batch_size": batch_size, "rng": 0, "record_every": every, "n_steps": 200}
    with pytest.raises(ComputationError, match="learning rate") as caught:
        descend(p, **options)
    assert caught.value.status is Status.DIVERGED
    partial = descend(p, throw=False, **options)
    assert partial.status is Status.DIVERGED
    assert 1 <= len(partial) < 201
    assert all(np.isfinite(w).all() for i in range(len(partial)) for w in partial.weights(i))
    assert len(partial.loss) == len(partial.t) == len(caught.value.result.t)


P = PROBLEMS["cnn-dense-channels"]
BAD = [
    (lambda: descend(P, batch_size=2), r"rng is None|rng.*batch_size"),
    (lambda: descend(P, batch_size=2, data=P.moments, rng=0), r"data|samples"),
    (lambda: descend(P, batch_size=0, rng=0), r"batch_size is 0, expected an integer >= 1"),
    (lambda: descend(P, learning_rate=0.0), r"learning_rate is 0, expected a number > 0"),
    (lambda: descend(P, learning_rate=np.nan), r"learning_rate is nan"),
    (lambda: descend(P, n_steps=1.5), r"n_steps is 1.5, expected an integer"),
    (lambda: descend(P, n_steps=-1), r"n_steps is -1, expected an integer"),
    (lambda: descend(P, record_every=0), r"record_every is 0, expected an integer >= 1"),
    (lambda: descend(P, weight_decay=-0.1), r"weight_decay is -0.1, expected a number >= 0"),
    (lambda: descend(P, data=(P.data.images[:, :1], P.data.targets)), r"\(1, 3, 3\), expected \(2, 3, 3\)"),
    (lambda: descend(P, data=(P.data.images, P.data.targets[1:])), r"rows, expected"),
    (lambda: descend(P, data=(P.data.images, P.data.targets[:, :1])), r"expected 2"),
    (lambda: descend(P, data=P.data.images), r"data"),
    (
        lambda: gradient_descent(P.network, P.moments, P.weights[:1], learning_rate=0.1, n_steps=1),
        r"weights has 1 arrays, expected 2",
    ),
    (
        lambda: gradient_descent(
            LinearFCN((1, 2, 2), widths=(1,), n_outputs=2), P.moments, P.weights, learning_rate=0.1, n_steps=1
        ),
        r"expected",
    ),
]


@pytest.mark.parametrize(("call", "text"), BAD, ids=range(len(BAD)))
def test_bad_argument_is_named(call, text):
    with pytest.raises(ArgumentError, match=text):
        call()


def test_the_callers_arrays_are_left_alone():
    weights, images = P.weights, P.data.images.copy()
    gradient_descent(P.network, (images, P.data.targets), weights, learning_rate=0.1, n_steps=3)
    assert all(np.array_equal(a, b) for a, b in zip(weights, P.weights, strict=True))
    assert np.array_equal(images, P.data.images)

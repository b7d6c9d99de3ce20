"""Flow, gradient and descent equal the pixel-space oracles whatever the shape, depth, width and statistics.

Drawn by hypothesis, small; the bounds are loose, the corners hard.
"""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from lineardyn.flow import stepping
from lineardyn.flow.gradient_flow import gradient_flow
from lineardyn.moments import SecondMoments
from lineardyn.networks import LinearCNN, LinearFCN
from lineardyn.training import gradient_descent
from tests import oracles
from tests import strategies as own

KINDS = {"cnn": LinearCNN, "fcn": LinearFCN}
RTOL, BOUND = 1e-6, 1e-3  # loose: some 10 to 100 steps of relative error 1e-6, and RKC's 1e-4


def case(kind, data, widths, form, seed=0):
    """``form="modes"`` only where it is exact, else "dense"."""
    network = KINDS[kind](data.image_shape, widths=widths, n_outputs=data.n_outputs)
    weights = own.random_weights(kind, data.image_shape, widths, data.n_outputs, seed, 0.4)
    size = np.abs(oracles.predict(weights, data.images)).max()
    weights = [w / max(1.0, size) ** (1 / len(weights)) for w in weights]  # five layers of many pixels are an explosion
    exact = data.kind not in ("incoherent", "deficient")
    moments = SecondMoments.from_data(data.images, data.targets, form=form if form != "modes" or exact else "dense")
    return network, weights, moments


def horizon(weights, data, decay):
    """A time in which weights move by a third of their size at the speed they start with; at most 1."""
    speed = max(float(np.abs(g).max()) for g in oracles.gradient(weights, data.images, data.targets, decay))
    return min(1.0, 0.3 * max(float(np.abs(w).max()) for w in weights) / max(speed, 1e-12))


flows = {
    "kind": st.sampled_from(sorted(KINDS)),
    "data": own.wide_data_sets(),
    "widths": own.wide_widths,
    "form": st.sampled_from(["modes", "dense", "samples"]),
    "decay": st.sampled_from([0.0, 0.3]),
}

# One pixel; one row; all modes tied; nothing but a null mode beside one; one channel between four; five layers.
CORNERS = [
    ("cnn", own.make_data("incoherent", (4, 1, 1), 1, 1), (1, 4), "dense", 0.3),
    ("cnn", own.make_data("incoherent", (3, 1, 5), 4, 2), (4, 1, 4), "samples", 0.0),
    ("cnn", own.make_data("tied", (1, 2, 2), 4, 3), (2,), "modes", 0.0),
    ("cnn", own.make_data("simplex", (1, 4, 4), 2, 4), (1,), "modes", 0.0),
    ("cnn", own.make_data("simplex", (2, 3, 3), 4, 5), (2, 1, 3, 2), "modes", 0.3),
    ("cnn", own.make_data("deficient", (1, 1, 2), 3, 6), (1, 1, 1, 1), "dense", 0.0),
    ("fcn", own.make_data("centred", (1, 5, 1), 4, 7), (1, 4, 2), "modes", 0.3),
]


def corners(*more):
    def decorate(test):
        for corner in CORNERS:
            test = example(*corner, *more)(test)
        return test

    return decorate


@corners("auto")
@given(**flows, method=st.sampled_from([*stepping.METHODS, "auto"]))
def test_flow_equals_the_oracle(kind, data, widths, form, decay, method):
    network, weights, moments = case(kind, data, widths, form)
    end = horizon(weights, data, decay)
    run = gradient_flow(network, moments, weights, [end], weight_decay=decay, method=method, rtol=RTOL, atol=1e-9)
    (wanted,) = oracles.flow(weights, data.images, data.targets, np.array([end]), weight_decay=decay, rtol=1e-9)
    for got, want, start in zip(run.weights(0), wanted, weights, strict=True):
        assert np.abs(got - want).max() <= BOUND * max(np.abs(want).max(), np.abs(start).max())


@corners()
@given(**flows)
def test_gradient_equals_the_backward_pass(kind, data, widths, form, decay):
    """Relative to sums of magnitudes, of up to five products of 100 terms: 1e-12, and room for cancellation."""
    network, weights, moments = case(kind, data, widths, form)
    got = network.gradient(weights, moments, weight_decay=decay)
    wanted = oracles.gradient(weights, data.images, data.targets, decay)
    magnitudes = [np.abs(w) for w in weights]
    scale = max(
        1.0, *(np.abs(g).max() for g in oracles.gradient(magnitudes, np.abs(data.images), -np.abs(data.targets), decay))
    )
    for a, b in zip(got, wanted, strict=True):
        assert np.abs(a - b).max() <= 1e-11 * scale


@corners(1)
@corners(None)
@given(**flows, batch_size=st.sampled_from([None, 1, 3]))
def test_descent_equals_the_loop(kind, data, widths, form, decay, batch_size):
    """Five steps too short to diverge, recorded at 0, 2, 4, 5; where curvatures are large they magnify round-off."""
    network, weights, moments = case(kind, data, widths, form if batch_size is None else "samples")
    rate = 0.05 * horizon(weights, data, decay)
    options = {"learning_rate": rate, "n_steps": 5, "weight_decay": decay, "record_every": 2}
    run = gradient_descent(network, moments, weights, batch_size=batch_size, rng=1, **options)
    drawn = np.random.default_rng(1).integers(len(data.images), size=(5, batch_size or 1))
    batches = [None] * 5 if batch_size is None else drawn
    states = oracles.descend(
        weights, data.images, data.targets, learning_rate=rate, batches=batches, weight_decay=decay
    )
    assert len(run) == 4
    for i, step in enumerate((0, 2, 4, 5)):
        for got, want in zip(run.weights(i), states[step], strict=True):
            assert np.abs(got - want).max() <= 1e-9 * max(1.0, np.abs(want).max())


@corners()
@given(**flows)
def test_null_modes_are_not_learned(kind, data, widths, form, decay):
    """Rows and columns of B that belong to null modes are 0, and the loss never grows along the flow."""
    network, weights, moments = case(kind, data, widths, form)
    end = horizon(weights, data, decay)
    run = gradient_flow(network, moments, weights, [0.0, 0.5 * end, end], weight_decay=decay, rtol=RTOL)
    b, null = run.effective_singular_values, moments.modes().null
    assert b.shape == (3, len(null), len(null))
    assert (b[:, null] == 0).all()
    assert (b[:, :, null] == 0).all()
    # to the tolerance, and the round-off of a loss that starts at its minimum
    assert (np.diff(run.loss) <= 1e-6 * run.loss[0] + 1e-12 * moments.target_power).all()

"""Mean and quantiles of one-sample SGD against every possible run, and against runs in pixel space."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from lineardyn.closed_form import sgd_mean, sgd_quantiles, sgd_recursion, sigmoid
from lineardyn.closed_form.stochastic import _binomial, _Values
from lineardyn.fourier import multiplicity
from lineardyn.moments import SecondMoments
from lineardyn.networks import LinearCNN, LinearFCN
from lineardyn.training import gradient_descent
from tests import oracles
from tests.lineardyn.problems import cosine_images

MODE = {"s": 0.5, "b0": 0.02, "n_pixels": 4, "multiplicity": 1, "n_classes": 3, "learning_rate": 0.08}


@pytest.mark.parametrize(("kind", "depth"), [("cnn", 2), ("cnn", 3), ("fcn", 2)])
def test_every_run_of_four_steps_in_pixel_space(kind, depth):
    """All 3⁴ sequences of images, each descended with: their mean and their quantiles."""
    shape, frequencies, rate = (2, 3), [(0, 0), (1, 1), (0, 1)], 0.05
    images = cosine_images(shape, frequencies, [0.8, 1.1, 0.6])
    moments = SecondMoments.from_data(images, np.eye(3))
    network = {"cnn": LinearCNN, "fcn": LinearFCN}[kind]((1, *shape), widths=(3,) * (depth - 1), n_outputs=3)
    start, modes = network.init_balanced(moments, 0.4, rng=1), moments.modes()
    ends = [
        oracles.descend(start, images, np.eye(3), learning_rate=rate, batches=[np.array([k]) for k in run])[-1]
        for run in product(range(3), repeat=4)
    ]
    for k, f in enumerate(frequencies):
        r = int(np.abs(modes.u[k]).argmax())

        def response(w, k=k):
            return float(oracles.predict(w, images)[k, k] * np.linalg.norm(images[k]) / 3)

        pixels = (
            {"n_pixels": 6, "multiplicity": multiplicity(f, shape)}
            if kind == "cnn"
            else {"n_pixels": 1, "multiplicity": 1}
        )
        mode = {"s": modes.s[r], "d": modes.d[r], "b0": response(start), "n_classes": 3, "learning_rate": rate}
        mode |= {"depth": depth, **pixels}
        b = np.sort([response(w) for w in ends])
        assert sgd_mean(4, **mode) == pytest.approx(b.mean(), rel=1e-12)  # four steps of round-off
        levels = np.array([0.05, 0.3, 0.5, 0.9])
        wanted = b[np.ceil(levels * 81).astype(int) - 1]  # the smallest with a share of at least the level
        np.testing.assert_allclose(sgd_quantiles(4, levels, **mode), wanted, rtol=1e-12)


def test_band_holds_the_runs_of_gradient_descent():
    """400 runs of 60 steps: their mean, and how many fall on or below each quantile."""
    shape, rate, n, runs = (3, 3), 0.04, 60, 400
    images = cosine_images(shape, [(0, 0), (1, 2)], [0.6, 1.1])
    data = SecondMoments.from_data(images, np.eye(2), form="samples")
    network, modes = LinearCNN((1, *shape), n_outputs=2), SecondMoments.from_data(images, np.eye(2)).modes()
    start = network.init_balanced(SecondMoments.from_data(images, np.eye(2)), 0.1, rng=1)
    rng = np.random.default_rng(7)
    first = None
    b = np.empty(runs)
    for i in range(runs):
        run = gradient_descent(
            network, data, start, learning_rate=rate, n_steps=n, batch_size=1, rng=rng, record_every=n
        )
        values = np.diagonal(run.effective_singular_values, axis1=1, axis2=2)
        first, b[i] = values[0], values[-1, 0]
    m = 1 if np.count_nonzero(np.abs(modes.q[0]) > 1e-9) == 1 else 2
    mode = {"s": modes.s[0], "b0": first[0], "n_pixels": 9, "multiplicity": m, "n_classes": 2, "learning_rate": rate}
    # five standard errors: one failure in two million for a right formula
    assert abs(b.mean() - sgd_mean(n, **mode)) <= 5 * b.std() / np.sqrt(runs)
    levels = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    for level, value in zip(levels, sgd_quantiles(n, levels, **mode), strict=True):
        tolerance = 5 * np.sqrt(level * (1 - level) / runs)
        assert (b <= value * (1 + 1e-9)).mean() >= level - tolerance
        assert (b < value * (1 - 1e-9)).mean() <= level + tolerance


@given(n=st.integers(0, 300_000), n_classes=st.integers(1, 50))
@settings(max_examples=40)
def test_probabilities_are_binomial_and_nothing_is_left_out(n, n_classes):
    values = _Values(0, s=0.1, b0=0.01, n_pixels=1, multiplicity=1, n_classes=n_classes, learning_rate=0.01)
    counts = values.counts(n)
    share = 1.0 / n_classes
    # scipy's own probabilities have errors of 1e-11 for n = 1e5
    np.testing.assert_allclose(_binomial(counts, n, share), binom.pmf(counts, n, share), rtol=1e-9, atol=1e-16)
    outside = binom.cdf(counts[0] - 1, n, share) + binom.sf(counts[-1], n, share)
    assert outside <= 1e-16


@given(
    n=st.integers(0, 60),
    n_classes=st.integers(1, 6),
    rate=st.floats(0.01, 1.0),
    level=st.floats(0.01, 0.99),
    depth=st.integers(1, 4),
)
def test_mean_and_quantiles_are_sums_over_all_counts(n, n_classes, rate, level, depth):
    """Written out, also where b passes s and its order is not that of the counts."""
    mode = {**MODE, "n_classes": n_classes, "learning_rate": rate / n_classes, "depth": depth, "d": 1.2}
    b = sgd_recursion(np.arange(n + 1), **mode)
    p = binom.pmf(np.arange(n + 1), n, 1.0 / n_classes)
    if not np.isfinite(b).all():
        return
    assert sgd_mean(n, **mode) == pytest.approx(float(p @ b), rel=1e-11)
    low, high = sgd_quantiles(n, [level], **mode)[0] - 1e-12, sgd_quantiles(n, [level], **mode)[0] + 1e-12
    assert p[b <= high].sum() >= level - 1e-12
    assert p[b < low].sum() <= level + 1e-12


def test_one_class_and_no_steps_are_certain():
    certain = {**MODE, "n_classes": 1}
    assert sgd_mean(7, **certain) == sgd_recursion(7, **certain)
    assert (sgd_quantiles(7, [0.01, 0.99], **certain) == sgd_recursion(7, **certain)).all()
    assert sgd_mean(0, **MODE) == MODE["b0"]


def test_shapes_and_scalars():
    steps = np.array([[0, 3], [9, 27]])
    assert sgd_mean(steps, **MODE).shape == (2, 2)
    assert sgd_quantiles(steps, [0.1, 0.5, 0.9], **MODE).shape == (3, 2, 2)
    assert isinstance(sgd_quantiles(3, 0.5, **MODE), float)
    assert isinstance(sgd_mean(3, **MODE), float)
    table = sgd_quantiles(steps, [0.1, 0.9], **MODE)
    assert (table[0] <= table[1]).all()
    assert table[1, 1, 0] == sgd_quantiles(9, 0.9, **MODE)


def test_band_narrows_to_the_flow_as_the_learning_rate_shrinks():
    """At η n fixed mean and quantiles approach the sigmoid, the band as √η."""
    widths = []
    for rate in (4e-3, 1e-3, 2.5e-4):
        mode = {**MODE, "learning_rate": rate}
        n = round(1.2 / rate)
        low, high = sgd_quantiles(n, [0.16, 0.84], **mode)
        widths.append(high - low)
        flow = sigmoid(1.2, s=0.5, b0=0.02, n_pixels=4, multiplicity=1)
        assert abs(sgd_mean(n, **mode) - flow) <= 8 * rate  # first order in η, with constant 2 seen
    ratios = np.array(widths[:-1]) / widths[1:]
    np.testing.assert_allclose(ratios, 2.0, rtol=0.15)  # quantiles fall on counts: width 40 of them, ±1


def test_divergence_is_inf_without_nan():
    wild = {**MODE, "learning_rate": 40.0, "b0": 3.0}
    assert sgd_mean(40, **wild) == np.inf
    assert sgd_quantiles(40, 0.9, **wild) == np.inf

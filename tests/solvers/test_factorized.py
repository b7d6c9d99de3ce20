"""The network trained from many starts: its gradient, its end, and what it refuses.

That its minimum is the minimum over predictors is in ``test_theorem``.
"""

from __future__ import annotations

import numpy as np
import pytest

from lineardyn import LinearCNN, SecondMoments
from lineardyn.errors import ArgumentError
from solvers import RegularizedProblem, diagonal, train_factorized
from solvers.factorized import Training
from tests.solvers.test_diagonal import uncorrelated

CASES = [
    ((2, 3, 3), 2, (3, 2)),
    ((1, 4, 3), 1, (1, 1, 1)),
    ((3, 2, 2), 2, ()),
    ((3, 1, 5), 3, (3, 4)),
    ((2, 6, 2), 3, (2,)),
]


def problem_of(image_shape, k, depth, lam=0.1, rank=None, form="dense"):
    rng = np.random.default_rng(3)
    n = 2 * int(np.prod(image_shape))
    images, targets = rng.standard_normal((n, *image_shape)), rng.standard_normal((n, k))
    targets += images.reshape(n, -1) @ rng.standard_normal((int(np.prod(image_shape)), k))
    return RegularizedProblem(SecondMoments.from_data(images, targets, form=form), depth=depth, lam=lam, rank=rank)


@pytest.mark.parametrize("form", ["dense", "samples"])
@pytest.mark.parametrize(("image_shape", "k", "widths"), CASES)
def test_value_is_twice_the_loss_of_the_network(image_shape, k, widths, form):
    problem = problem_of(image_shape, k, len(widths) + 1, form=form)
    network = LinearCNN(image_shape, widths=widths, n_outputs=k)
    training = Training(problem, network)
    x = training.normal(np.random.default_rng(0))
    twice = 2 * network.loss(training.weights(x), problem.moments, weight_decay=problem.lam)
    assert training.value_and_gradient(x)[0] == pytest.approx(twice, rel=1e-12)
    assert np.vdot(x, x) == pytest.approx(sum((w**2).sum() for w in training.weights(x)), rel=1e-12)


@pytest.mark.parametrize(("image_shape", "k", "widths"), CASES)
def test_gradient_equals_central_differences(image_shape, k, widths):
    training = Training(problem_of(image_shape, k, len(widths) + 1), LinearCNN(image_shape, widths=widths, n_outputs=k))
    generator = np.random.default_rng(0)
    x, direction = training.normal(generator), training.normal(generator)
    step = 1e-5
    ends = [training.value_and_gradient(x + s * step * direction)[0] for s in (1, -1)]
    value, gradient = training.value_and_gradient(x)
    # h² f''' and round-off 1e-16 f/h
    assert gradient @ direction == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-7 * max(1.0, value))


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_the_end_is_a_stationary_point_of_the_network(depth):
    problem = problem_of((2, 3, 4), 2, depth)
    widths = (3,) * (depth - 1)
    trained = train_factorized(problem, widths, n_starts=6, rng=1)
    network = LinearCNN((2, 3, 4), widths=widths, n_outputs=2)
    slopes = network.gradient(trained.weights, problem.moments, weight_decay=problem.lam)
    assert np.sqrt(sum((2 * g**2).sum() for g in slopes)) <= 1e-8 * np.sqrt(problem.moments.target_power)
    assert trained.gradient_norm == pytest.approx(2 * np.sqrt(sum((g**2).sum() for g in slopes)), abs=1e-9)
    assert trained.objective == pytest.approx(2 * network.loss(trained.weights, problem.moments, weight_decay=0.1))
    assert len(trained.objectives) == 6
    assert trained.objective <= trained.objectives.min() * (1 + 1e-12)
    # at every minimum neighbours are balanced, and the norm is the least that the predictor needs
    assert problem.objective(trained.predictor) == pytest.approx(trained.objective, rel=1e-9)


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_the_end_is_the_closed_form_of_diagonal_statistics(depth):
    moments = SecondMoments.from_data(*uncorrelated(channels=2, k=2))
    problem = RegularizedProblem(moments, depth=depth, lam=0.05)
    trained = train_factorized(problem, n_starts=40, rng=0)
    wanted = diagonal(problem)
    assert trained.objective == pytest.approx(problem.objective(wanted), rel=1e-10)
    assert np.abs(trained.predictor - wanted).max() <= 1e-6


def test_narrow_layers_solve_the_problem_of_their_rank():
    problem = problem_of((3, 2, 3), 3, 3, lam=1e-3, rank=1)
    trained = train_factorized(problem, (1, 3), n_starts=4, rng=0)
    assert np.linalg.matrix_rank(trained.predictor, tol=1e-9).max() == 1


def test_the_same_seed_gives_the_same_weights():
    problem = problem_of((1, 3, 3), 2, 3)
    one, two = (train_factorized(problem, n_starts=5, rng=4) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one.weights, two.weights, strict=True))
    assert np.array_equal(one.objectives, two.objectives)


def test_targets_that_are_zero_need_no_network():
    moments = SecondMoments.from_data(
        np.random.default_rng(0).standard_normal((5, 1, 2, 2)), np.zeros((5, 1)), form="dense"
    )
    trained = train_factorized(RegularizedProblem(moments, depth=3, lam=0.1), n_starts=3, rng=0)
    assert trained.objective <= 1e-12
    assert np.isfinite(trained.weights[0]).all()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda p: train_factorized(p, (2,), rng=0), r"widths is \(2,\), expected 2 hidden widths"),
        (lambda p: train_factorized(p, (2, 1), rng=0), "make the problem with rank=1"),
        (lambda p: train_factorized(p, 2, rng=0), "widths is 2, expected a tuple"),
        (lambda p: train_factorized(p, n_starts=0, rng=0), "n_starts is 0"),
        (lambda p: train_factorized(p, max_iterations=0, rng=0), "max_iterations is 0"),
        (lambda p: train_factorized(p, rng="one"), "rng is 'one'"),
        (lambda p: train_factorized(p.moments, rng=0), "expected a RegularizedProblem"),
    ],
)
def test_bad_input(call, text):
    with pytest.raises(ArgumentError, match=text):
        call(problem_of((2, 2, 2), 2, 3))

"""Weights that attain the penalty: the round trip, the norm, and that training would not move them.

``TOLERANCE``: an SVD, a root and at most seven products of order 1.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from lineardyn import LinearCNN, SecondMoments
from lineardyn.errors import ArgumentError, Status
from solvers import RegularizedProblem, diagonal, factorize
from solvers.result import Certificate, Solution
from tests import oracles
from tests.solvers.test_diagonal import uncorrelated

TOLERANCE = 1e-12
CASES = [  # image shape, K, widths
    ((1, 1, 1), 1, (1,)),
    ((2, 3, 3), 3, ()),
    ((1, 3, 4), 1, (1, 1)),
    ((3, 4, 3), 2, (2, 5, 3)),
    ((2, 2, 2), 3, (3, 2)),
    ((2, 1, 6), 2, (2, 2, 4, 2, 2, 2)),
    ((3, 6, 5), 3, (3,)),
]


def random_predictor(image_shape, k, rank=None, seed=0):
    """The predictor of a random real function, of the given rank at each frequency."""
    channels, height, width = image_shape
    rng = np.random.default_rng(seed)
    rank = min(k, channels) if rank is None else rank
    left, right = rng.standard_normal((k, rank, height, width)), rng.standard_normal((rank, channels, height, width))
    spectra = np.fft.fft2(left, norm="ortho"), np.fft.fft2(right, norm="ortho")
    return np.conj(np.einsum("krhw,rchw->hwkc", *spectra))


def problem_of(image_shape, k, depth, lam=0.3):
    rng = np.random.default_rng(7)
    images, targets = rng.standard_normal((9, *image_shape)), rng.standard_normal((9, k))
    return RegularizedProblem(SecondMoments.from_data(images, targets), depth=depth, lam=lam)


@pytest.mark.parametrize("convention", ["convolution", "correlation"])
@pytest.mark.parametrize(("image_shape", "k", "widths"), CASES)
def test_round_trip(image_shape, k, widths, convention):
    network = LinearCNN(image_shape, widths=widths, n_outputs=k, convention=convention)
    predictor = random_predictor(image_shape, k)
    weights = factorize(predictor, widths, convention=convention)
    assert [w.shape for w in weights] == network.shapes
    assert all(w.dtype == np.float64 for w in weights)
    assert oracles.error(network.effective_predictor(weights), predictor) <= TOLERANCE


@pytest.mark.parametrize(("image_shape", "k", "widths"), CASES)
def test_layers_in_pixel_space_compute_the_predictor(image_shape, k, widths):
    """No Fourier transform on one side: convolutions layer by layer, then the dot product."""
    images = np.random.default_rng(1).standard_normal((4, *image_shape))
    predictor = random_predictor(image_shape, k)
    outputs = oracles.predict(factorize(predictor, widths), images)
    wanted = np.einsum("hwkc,nchw->nk", predictor, np.fft.fft2(images, norm="ortho"))
    assert oracles.error(outputs, wanted.real) <= TOLERANCE


@pytest.mark.parametrize(("image_shape", "k", "widths"), CASES)
def test_norm_of_the_weights_is_the_penalty(image_shape, k, widths):
    problem = problem_of(image_shape, k, len(widths) + 1)
    predictor = random_predictor(image_shape, k)
    weights = factorize(predictor, widths)
    paid = problem.lam * sum((w**2).sum() for w in weights)
    assert paid == pytest.approx(problem.penalty(predictor), rel=TOLERANCE)
    # all layers share it, as at every minimum
    assert [(w**2).sum() for w in weights] == pytest.approx([paid / problem.lam / problem.depth] * problem.depth)


def test_no_other_weights_of_the_predictor_are_smaller():
    """``A_1 → M A_1``, ``B → B M^{-1}`` at each frequency keeps the predictor."""
    network = LinearCNN((2, 3, 4), widths=(3,), n_outputs=2)
    predictor = random_predictor((2, 3, 4), 2)
    first, last = factorize(predictor, (3,))
    norm = (first**2).sum() + (last**2).sum()
    rng = np.random.default_rng(0)
    for scale in (1e-3, 0.1, 0.5):
        mixing = np.eye(3) + scale * rng.standard_normal((3, 3))
        other = [np.einsum("ab,bhwc->ahwc", mixing, first), np.einsum("khwb,ba->khwa", last, np.linalg.inv(mixing))]
        assert oracles.error(network.effective_predictor(other), predictor) <= TOLERANCE
        assert (other[0] ** 2).sum() + (other[1] ** 2).sum() > norm


@pytest.mark.parametrize("widths", [(1,), (1, 3), (2, 1, 2)])
def test_narrow_layers_hold_a_predictor_of_their_rank(widths):
    network = LinearCNN((3, 3, 4), widths=widths, n_outputs=2)
    problem = problem_of((3, 3, 4), 2, network.depth)
    predictor = random_predictor((3, 3, 4), 2, rank=1)
    weights = factorize(predictor, widths)
    assert oracles.error(network.effective_predictor(weights), predictor) <= TOLERANCE
    s = np.linalg.svd(predictor, compute_uv=False)[..., 0]
    paid = problem.lam * sum((w**2).sum() for w in weights)
    assert paid == pytest.approx(problem.mu * (s**problem.power).sum(), rel=TOLERANCE)


@pytest.mark.parametrize("depth", [2, 3, 4, 6])
def test_weights_at_the_minimum_are_at_rest(depth):
    """The gradient of the network's own loss, by the closed form of diagonal statistics."""
    moments = SecondMoments.from_data(*uncorrelated(channels=2, k=3))
    problem = RegularizedProblem(moments, depth=depth, lam=0.05)
    network = LinearCNN((2, 3, 4), widths=(3,) * (depth - 1), n_outputs=3)
    predictor = diagonal(problem)
    assert 0 < np.linalg.matrix_rank(predictor, tol=1e-9).min() < 3
    weights = factorize(predictor, network.widths)
    slopes = network.gradient(weights, moments, weight_decay=problem.lam)
    assert max(np.abs(g).max() for g in slopes) <= 1e-11
    twice = 2 * network.loss(weights, moments, weight_decay=problem.lam)
    assert twice == pytest.approx(problem.objective(predictor), rel=TOLERANCE)


def test_zero_has_zero_weights():
    weights = factorize(np.zeros((3, 4, 2, 3)), (2, 1))
    assert not any(w.any() for w in weights)


def test_round_off_is_no_rank():
    """A singular value of 1e-17 would cost (1e-17)^{2/7} = 1e-5 in seven layers."""
    predictor = random_predictor((2, 3, 3), 2, rank=1)
    weights = factorize(predictor, (2,) * 6)
    s = np.linalg.svd(predictor, compute_uv=False)
    wanted = 7 * 9 ** (-6 / 7) * (s[..., 0] ** (2 / 7)).sum()
    assert sum((w**2).sum() for w in weights) == pytest.approx(wanted, rel=TOLERANCE)


def solution_of(predictor, depth):
    nothing = partial(Certificate, "none", None, 0.0, "not examined")
    return Solution(predictor, 1.0, 0.5, nothing, Status.SUCCESS, "", depth, 0.1, None)


def test_a_solution_is_taken_as_it_is():
    predictor = random_predictor((2, 3, 4), 2)
    for got, wanted in zip(factorize(solution_of(predictor, 2), (2,)), factorize(predictor, (2,)), strict=True):
        assert np.array_equal(got, wanted)


def lopsided():
    predictor = random_predictor((2, 3, 4), 2, rank=1)
    rest = random_predictor((2, 3, 4), 2, seed=5)
    for f in ((1, 1), (2, 3)):
        predictor[f] += rest[f]
    return predictor


@pytest.mark.parametrize(
    ("solution", "widths", "text"),
    [
        (lopsided(), (2, 1), r"widths\[1\] is 1, expected at least 2: the rank of the predictor at frequency \(1, 1\)"),
        (solution_of(random_predictor((1, 2, 2), 1), 3), (1,), "widths is .*expected 2 hidden widths"),
        (random_predictor((1, 2, 2), 1), 3, "widths is 3, expected a tuple"),
        (random_predictor((1, 2, 2), 1), (0,), r"widths\[0\] is 0"),
        (np.ones(3), (1,), "solution has shape"),
        ("nothing", (1,), "solution has shape"),
        (np.full((1, 2, 1, 1), np.nan), (1,), "solution holds nan"),
        (1j * np.ones((1, 3, 1, 1)), (1,), "breaks the conjugate symmetry"),
    ],
)
def test_bad_input(solution, widths, text):
    with pytest.raises(ArgumentError, match=text):
        factorize(solution, widths)

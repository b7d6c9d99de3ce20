"""Diagonal statistics: the closed form of every depth against brute force, the objective, and its limits.

``TOLERANCE``: statistics of exact cosines have round-off of 1e-15 and are divided by powers above 0.05.
"""

from __future__ import annotations

import numpy as np
import pytest

from lineardyn.errors import ArgumentError
from lineardyn.moments import SecondMoments
from solvers import RegularizedProblem, diagonal, power_law, ridge, ridge_diagonal, ridge_power_law
from solvers.closed_form.diagonal import is_diagonal
from tests import oracles

TOLERANCE = 1e-11
DEPTHS = [1, 2, 3, 4, 7]


def waves(shape):
    """Every frequency's cosine and sine, once each."""
    height, width = shape
    for u, v in np.ndindex(shape):
        pair = (-u % height, -v % width)
        if (u, v) <= pair:
            angle = 2 * np.pi * (u * np.arange(height)[:, None] / height + v * np.arange(width) / width)
            yield (u, v), [np.cos(angle)] if (u, v) == pair else [np.cos(angle), np.sin(angle)]


def uncorrelated(shape=(3, 4), channels=1, k=2, seed=3, equal=True):
    """Each Fourier coefficient on its own; ``equal``: the same power in all channels."""
    rng = np.random.default_rng(seed)
    images, targets = [], []
    for _, parts in waves(shape):
        amplitudes = rng.uniform(0.5, 3.0, channels)
        for c in range(channels):
            for wave in parts:
                image = np.zeros((channels, *shape))
                image[c] = amplitudes[0 if equal else c] * wave
                images.append(image)
                targets.append(rng.standard_normal(k))
    return np.array(images), np.array(targets)


def problem_of(depth, lam=0.05, rank=None, form="dense", **data):
    moments = SecondMoments.from_data(*uncorrelated(**data), form=form)
    return RegularizedProblem(moments, depth=depth, lam=lam, rank=rank)


def least_squares(problem):
    """``Σ^{yx̂}/τ`` ``(H, W, K, C)``, by the plain transform."""
    cross = np.conj(np.fft.fft2(problem.moments.sigma_yx, norm="ortho")).transpose(2, 3, 0, 1)
    return cross / problem.moments.power_spectrum().transpose(1, 2, 0)[:, :, None, :]


def minimiser_on_a_grid(s, tau, mu, power):
    """``argmin τ(x - s)² + μ x^p``: a grid from 0 to s, refined eight times about its best point."""
    low, high = 0.0, s
    for _ in range(9):
        x = np.linspace(low, high, 2001)
        best = int(np.argmin(tau * (x - s) ** 2 + mu * x**power))
        low, high = x[max(best - 1, 0)], x[min(best + 1, 2000)]
    return x[best]


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(("channels", "k"), [(1, 1), (1, 3), (2, 3), (3, 2)])
def test_singular_values_are_the_minimisers_on_a_grid(depth, channels, k):
    problem = problem_of(depth, channels=channels, k=k)
    got, least = diagonal(problem), least_squares(problem)
    tau = problem.moments.power_spectrum()[0]
    for f in np.ndindex(3, 4):
        left, s, right = np.linalg.svd(least[f], full_matrices=False)
        wanted = [minimiser_on_a_grid(x, tau[f], problem.mu, problem.power) for x in s]
        # a flat minimum is found to √eps
        assert np.abs(got[f] - (left * wanted) @ right).max() <= 1e-6


@pytest.mark.parametrize("depth", DEPTHS)
def test_no_other_predictor_is_better(depth):
    problem = problem_of(depth, channels=2, k=2)
    best = diagonal(problem)
    value, values = problem.objective(best), problem.pack(best)
    rng = np.random.default_rng(0)
    for scale in (1e-3, 0.1, 1.0):
        for _ in range(20):
            other = values + scale * rng.standard_normal(values.shape)
            assert problem.objective_of(other) >= value
    for factor in (0.0, 0.9, 1.1):
        assert problem.objective_of(factor * values) >= value


@pytest.mark.parametrize("form", ["dense", "samples"])
def test_depth_one_is_ridge_for_unequal_channels(form):
    problem = problem_of(1, channels=3, equal=False, form=form)
    assert oracles.error(diagonal(problem), ridge(problem.moments, problem.lam)) <= TOLERANCE


def test_depth_two_is_the_soft_threshold_with_the_root_of_the_pixels():
    problem = problem_of(2, lam=2.0, k=1)
    least, tau = least_squares(problem)[:, :, 0, 0], problem.moments.power_spectrum()[0]
    wanted = least * np.maximum(0.0, 1 - 2.0 / (np.sqrt(12) * tau * np.abs(least)))
    got = diagonal(problem)[:, :, 0, 0]
    assert oracles.error(got, wanted) <= TOLERANCE
    assert 0 < (got == 0).sum() < got.size
    printed = least * np.maximum(0.0, 1 - 2.0 / (tau * np.abs(least)))  # A.9 as it is printed
    assert problem.objective(printed[:, :, None, None]) > problem.objective(diagonal(problem)) + 0.01


@pytest.mark.parametrize("depth", [3, 4, 7])
def test_jump(depth):
    """Above ``s*(2-p)/(2(1-p))`` the value is s*, below it is 0."""
    free = problem_of(depth, k=1)
    p, f = free.power, (1, 2)
    s, tau = abs(least_squares(free)[(*f, 0, 0)]), free.moments.power_spectrum()[0][f]
    landing = s * 2 * (1 - p) / (2 - p)  # the s* whose jump is at s
    mu = landing ** (2 - p) * tau / (1 - p)
    below, above = (diagonal(free.with_lam(mu * (1 + off) / free.penalty_scale))[f] for off in (1e-9, -1e-9))
    assert below == 0
    assert abs(above[0, 0]) == pytest.approx(landing, rel=1e-7)  # the slope of the root there is of order 1
    assert np.angle(above[0, 0]) == pytest.approx(np.angle(least_squares(free)[(*f, 0, 0)]), abs=1e-12)


@pytest.mark.parametrize("depth", [2, 3])
def test_rank_keeps_the_largest_singular_values(depth):
    full = problem_of(depth, lam=1e-3, channels=2, k=3)
    narrow = diagonal(problem_of(depth, lam=1e-3, channels=2, k=3, rank=1))
    left, s, right = np.linalg.svd(diagonal(full), full_matrices=False)
    assert s[..., 1].max() > 0.1  # there was something to leave out
    assert oracles.error(narrow, left[..., :1] * s[..., None, :1] @ right[..., :1, :]) <= TOLERANCE


def test_coefficients_without_power_are_zero():
    wave = np.cos(2 * np.pi * np.arange(6) / 6)[None, None, None, :]
    moments = SecondMoments.from_data(wave, [[1.0]])
    predictor = diagonal(RegularizedProblem(moments, depth=2, lam=1e-3), approximate=True)
    assert np.flatnonzero(predictor[0, :, 0, 0]).tolist() == [1, 5]


@pytest.mark.parametrize("depth", DEPTHS)
def test_approximate_reads_the_power_spectrum_alone(depth):
    rng = np.random.default_rng(1)
    images, targets = rng.standard_normal((9, 1, 3, 4)), rng.standard_normal((9, 2))
    moments = SecondMoments.from_data(images, targets)
    problem = RegularizedProblem(moments, depth=depth, lam=0.02)
    spectrum = np.fft.fft2(images[:, 0], norm="ortho")
    tau = (np.abs(spectrum) ** 2).mean(axis=0)
    cross = np.einsum("nk,nhw->hwk", targets, spectrum.conj()) / 9
    got = diagonal(problem, approximate=True)[..., 0]
    norms = np.linalg.norm(cross, axis=2) / tau
    wanted = [minimiser_on_a_grid(s, t, problem.mu, problem.power) for s, t in zip(norms.flat, tau.flat, strict=True)]
    assert np.abs(np.linalg.norm(got, axis=2) - np.reshape(wanted, (3, 4))).max() <= 1e-6


def test_correlated_statistics_are_refused_by_the_entry():
    rng = np.random.default_rng(1)
    images = 0.1 * rng.standard_normal((200, 1, 2, 3))
    images += rng.standard_normal((200, 1, 1, 1)) * np.cos(2 * np.pi * np.arange(3) / 3)  # Re x̂[0, 0, 1] ...
    images += images[:, :, :, :1].mean(axis=2, keepdims=True)  # ... goes along with DC
    moments = SecondMoments.from_data(images, rng.standard_normal((200, 1)))
    with pytest.raises(ArgumentError, match=r"off-diagonal entry .* between the coefficients Re x̂\[0, 0, [01]\] and"):
        diagonal(RegularizedProblem(moments, depth=2, lam=0.1))


@pytest.mark.parametrize("form", ["dense", "samples"])
@pytest.mark.parametrize("depth", [1, 3])
def test_whether_there_is_a_closed_form(form, depth):
    rng = np.random.default_rng(0)
    correlated = SecondMoments.from_data(rng.standard_normal((9, 1, 3, 4)), rng.standard_normal((9, 1)), form=form)
    assert not is_diagonal(RegularizedProblem(correlated, depth=depth, lam=0.1))
    assert is_diagonal(problem_of(depth, channels=2, form=form))
    assert is_diagonal(problem_of(depth, channels=2, equal=False, form=form)) == (depth == 1)


def test_real_and_imaginary_parts_of_unequal_power_are_a_correlation():
    image = np.cos(2 * np.pi * np.arange(5) / 5)[None, None, None, :]
    with pytest.raises(ArgumentError, match=r"Re x̂\[0, 0, 1\] and Re x̂\[0, 0, 1\]"):
        diagonal(RegularizedProblem(SecondMoments.from_data(image, [[1.0]], form="dense"), depth=2, lam=0.1))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: diagonal(problem_of(2, channels=2, equal=False)), "problem has channels of powers"),
        (lambda: diagonal(problem_of(2, channels=2), approximate=True), "approximate is True with 2 channels"),
        (lambda: diagonal(np.eye(2)), "problem is array"),
        (lambda: power_law(np.ones((1, 2, 1, 1)), 1.0, depth=0, gamma=1.0, alpha=2.0), "depth is 0"),
        (lambda: power_law(np.ones((1, 2, 1, 1)), -1.0, depth=2, gamma=1.0, alpha=2.0), "lam is -1"),
        (lambda: power_law(np.ones(2), 1.0, depth=2, gamma=1.0, alpha=2.0), "least_squares has shape"),
        (lambda: power_law([[1.0], [1.0, 2.0]], 1.0, depth=2, gamma=1.0, alpha=2.0), "least_squares is no array"),
        (lambda: power_law(np.ones((1, 2, 1, 1)), 1.0, depth=2, gamma=1.0, alpha=2.0, rank=0), "rank is 0"),
    ],
)
def test_bad_input(call, text):
    with pytest.raises(ArgumentError, match=text):
        call()


def power_law_images(shape, gamma, alpha, beta):
    """Uncorrelated images of power ``γ/(|u|^α + |v|^β)``; 1e9 at DC, where the law says infinity."""
    u, v = (np.abs(np.fft.fftfreq(n) * n) for n in shape)
    with np.errstate(divide="ignore"):
        tau = np.minimum(gamma / (u[:, None] ** alpha + v**beta), 1e9)
    images, targets = [], []
    rng = np.random.default_rng(2)
    n = int(np.prod(shape))
    for f, parts in waves(shape):
        for wave in parts:
            # n images in the average; a wave's unit spectrum is on its frequency and the conjugate
            images.append(np.sqrt(n * tau[f]) * wave / np.sqrt((wave**2).sum()))
            targets.append(rng.standard_normal(2))
    return np.array(images)[:, None], np.array(targets)


@pytest.mark.parametrize("depth", DEPTHS)
def test_power_law_is_the_diagonal_form_with_that_spectrum(depth):
    moments = SecondMoments.from_data(*power_law_images((4, 5), 0.7, 2.0, 1.5), form="dense")
    problem = RegularizedProblem(moments, depth=depth, lam=0.05)
    least = ridge_diagonal(moments, 0.0)
    got = power_law(least, 0.05, depth=depth, gamma=0.7, alpha=2.0, beta=1.5)
    off = np.abs(got - diagonal(problem)).reshape(20, 2)[1:]  # all but DC
    assert np.abs(got).reshape(20, 2)[1:].max() > 0.01
    # DC, of power 1e9, rounds the others by 1e-16·1e9/0.03
    assert off.max() <= 1e-5
    assert got[0, 0, 0, 0] == least[0, 0, 0, 0]


def test_power_law_at_depth_one_is_ridge():
    rng = np.random.default_rng(1)
    least = rng.standard_normal((4, 5, 2, 3)) + 1j * rng.standard_normal((4, 5, 2, 3))
    got = power_law(least, 0.3, depth=1, gamma=0.7, alpha=2.0)
    assert oracles.error(got, ridge_power_law(least, 0.3, gamma=0.7, alpha=2.0)) <= 1e-14
    assert oracles.error(power_law(least, 0.0, depth=3, gamma=0.7, alpha=2.0), least) <= 1e-15


def test_power_law_keeps_the_largest_singular_values():
    rng = np.random.default_rng(1)
    least = rng.standard_normal((4, 5, 2, 3))
    got = power_law(least, 1e-3, depth=3, gamma=0.7, alpha=2.0, rank=1)
    assert set(np.linalg.matrix_rank(got, tol=1e-12).ravel()) == {1}

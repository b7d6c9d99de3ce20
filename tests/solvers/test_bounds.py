"""From which weight decay on nothing is learned: exact where that is known, and never below it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineardyn.moments import SecondMoments
from solvers import RegularizedProblem, lambda_max
from tests import oracles
from tests import strategies as own
from tests.solvers import regularised as known

CASES = [((3, 3), 1, 1), ((4, 4), 1, 1), ((3, 4), 2, 3), ((1, 5), 3, 2), ((2, 2), 3, 1), ((4, 3), 1, 3), ((1, 1), 2, 2)]


def threshold(tau, size, depth, n_pixels):
    """λ at which ``|v_LS|`` is at the jump ``s*(2-p)/(2(1-p))``, ``s* = ((1-p)μ/τ)^{1/(2-p)}`` [theory 3]."""
    p = 2 / depth
    if depth == 2:
        return 2 * tau * size / known.mu(1.0, 2, n_pixels)
    landing = size * 2 * (1 - p) / (2 - p)
    return tau * landing ** (2 - p) / (1 - p) / known.mu(1.0, depth, n_pixels)


@pytest.mark.parametrize("form", ["dense", "samples"])
@pytest.mark.parametrize("depth", [2, 3, 4, 7, 40])
@pytest.mark.parametrize(("shape", "c", "k"), CASES)
def test_exact_for_diagonal_statistics(shape, c, k, depth, form):
    images, targets = known.diagonal_data(shape, c, k, 2)
    problem = RegularizedProblem(SecondMoments.from_data(images, targets, form=form), depth=depth, lam=9.0)
    tau, fit = known.least_squares(images, targets)
    largest = np.linalg.svd(fit, compute_uv=False)[..., 0]
    wanted = max(threshold(t, s, depth, tau.size) for t, s in zip(tau.ravel(), largest.ravel(), strict=True))
    got = lambda_max(problem)
    assert got == pytest.approx(wanted, rel=1e-12)  # both a few ε of the largest eigenvalue over the smallest, < 50


@pytest.mark.parametrize("depth", [3, 5])
def test_exact_where_one_frequency_explains_everything(depth):
    """Cosines without sines: Σ^xx is singular in its block, and least squares still finite."""
    images, targets = known.diagonal_data((3, 4), 1, 1, 0)
    spectra = oracles.dft2(images)[:, 0]
    one = int(np.argmax(np.abs(spectra[:, 1, 1])))
    problem = RegularizedProblem(SecondMoments.from_data(images[[one]], targets[[one]]), depth=depth, lam=1.0)
    # f(x) = Re(a v̂) with |a|² = power: a real number z = √2 Re v̂ with curvature power; the penalty counts it twice
    power = float(np.sum(images[one] ** 2))
    p, target = 2 / depth, abs(float(targets[one, 0])) / np.sqrt(power)
    landing = target * 2 * (1 - p) / (2 - p)
    wanted = power * landing ** (2 - p) / (1 - p) / (known.mu(1.0, depth, 12) * 2 ** (1 - p / 2))
    assert lambda_max(problem) == pytest.approx(wanted, rel=1e-12)


@given(
    kind=st.sampled_from(own.KINDS), shape=own.shapes, c=own.channels, k=own.outputs, seed=own.seeds,
    depth=st.sampled_from([3, 4, 6]), share=st.sampled_from([0.9, 1.0]),
)  # fmt: skip
def test_nothing_is_below_zero_from_there_on(kind, shape, c, k, seed, depth, share):
    """Along random rays, and along those that least squares and single frequencies take, nothing goes below ⟨‖y‖²⟩."""
    data = own.make_data(kind, (c, *shape), k, seed)
    problem = RegularizedProblem(SecondMoments.from_data(data.images, data.targets), depth=depth, lam=1.0)
    problem = problem.with_lam(lambda_max(problem))
    zero, rng = problem.quadratic.target_power, np.random.default_rng(seed)
    cross = problem.quadratic.cross
    best = cross @ np.linalg.pinv(problem.quadratic.gram, rcond=1e-12, hermitian=True)
    rays = [best, *(best * rng.integers(0, 2, best.shape[1]) for _ in range(10))]
    rays += [rng.standard_normal(best.shape) for _ in range(3)]
    for b in range(problem.coordinates.n_blocks):
        rays += [np.where(problem.coordinates.block_of_column == b, x, 0.0) for x in (cross, best)]
    lowest = min(problem.objective_of(t * ray) for ray in rays for t in np.geomspace(1e-2, 3.0, 30))
    assert lowest >= zero * (1 - 1e-12)


@pytest.mark.parametrize("depth", [3, 5])
def test_correlated_statistics_stay_above_what_single_frequencies_gain(depth):
    """A lower bound of the true threshold: on one block alone ``h`` is a scalar problem along its own cross moment."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((30, 1, 3, 4)) + 2 * rng.standard_normal((30, 1, 1, 1))
    problem = RegularizedProblem(SecondMoments.from_data(x, x[:, 0, :2, 0]), depth=depth, lam=1.0)
    p, loss, found = problem.power, problem.quadratic, 0.0
    for b in range(problem.coordinates.n_blocks):
        ray = np.where(problem.coordinates.block_of_column == b, loss.cross, 0.0)
        a, m = float((loss.cross * ray).sum()), 0.5 * float(((ray @ loss.gram) * ray).sum())
        per_lam = float((np.linalg.svd(problem.coordinates.blocks(ray)[b], compute_uv=False) ** p).sum())
        t = (1 - p) * a / ((2 - p) * m)  # the largest (ta - t²m)/t^p
        found = max(found, (t * a - t * t * m) / t**p / (per_lam * problem.thresholds[b]))
    got = lambda_max(problem)
    assert found <= got <= 10 * found  # proven above, and not absurdly so


def test_depth_two_is_where_the_first_frequency_leaves():
    rng = np.random.default_rng(0)
    images, targets = rng.standard_normal((40, 2, 3, 4)), rng.standard_normal((40, 3))
    problem = RegularizedProblem(SecondMoments.from_data(images, targets), depth=2, lam=1.0)
    edge = lambda_max(problem)
    assert not known.proximal_gradient(images, targets, edge * (1 + 1e-9), 200).any()
    assert known.proximal_gradient(images, targets, edge * (1 - 1e-3), 200).any()


def test_depth_one_and_no_correlation():
    rng = np.random.default_rng(0)
    moments = SecondMoments.from_data(rng.standard_normal((5, 1, 2, 2)), rng.standard_normal((5, 1)))
    assert lambda_max(RegularizedProblem(moments, depth=1, lam=1.0)) == np.inf
    nothing = SecondMoments.from_data(rng.standard_normal((5, 1, 2, 2)), np.zeros((5, 1)), form="dense")
    assert [lambda_max(RegularizedProblem(nothing, depth=d, lam=1.0)) for d in (1, 2, 3)] == [0.0, 0.0, 0.0]

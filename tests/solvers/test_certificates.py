"""Certificates against minima that are known: closed forms, long iterations, and points that are none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineardyn.errors import ArgumentError
from lineardyn.moments import SecondMoments
from solvers import RegularizedProblem, certify, lambda_max, ridge
from tests import oracles
from tests import strategies as own
from tests.solvers import regularised as known

# odd, even, one row, one pixel; C and K in 1..3
CASES = [((3, 3), 1, 1), ((4, 4), 1, 1), ((3, 4), 2, 3), ((1, 5), 3, 2), ((2, 2), 3, 1), ((4, 3), 1, 3), ((1, 1), 2, 2)]
FORMS = ["dense", "samples"]


def diagonal(shape=(4, 4), c=1, k=1, depth=3, share=0.1, seed=0, form="dense", rank=None):
    """A problem on diagonal statistics at a share of λ_max, and its data."""
    images, targets = known.diagonal_data(shape, c, k, seed)
    moments = SecondMoments.from_data(images, targets, form=form)
    problem = RegularizedProblem(moments, depth=depth, lam=1.0, rank=rank)
    problem = problem.with_lam(share * (lambda_max(problem) if depth > 1 else 1.0))
    return problem, images, targets


def random_predictor(problem, seed, scale=1.0):
    rng = np.random.default_rng(seed)
    return problem.unpack(scale * rng.standard_normal(problem.quadratic.cross.shape))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 7])
@pytest.mark.parametrize(("shape", "c", "k"), CASES)
def test_closed_forms_are_certified(shape, c, k, depth, form):
    problem, images, targets = diagonal(shape, c, k, depth, form=form)
    predictor = known.diagonal_minimum(images, targets, depth, problem.lam)
    got = certify(problem, predictor)
    assert got.residual <= 1e-12  # a few ε: prox and closed form are one formula
    if depth <= 2:
        assert got.kind == "global"
        # ‖A‖ - u is of the order of ε‖A‖, and the gap of that times the penalty
        assert 0 < got.gap <= 1e-12 * problem.quadratic.target_power
    else:
        assert (got.kind, got.gap) == ("local", None), got.status
        value = known.objective(images, targets, predictor, depth, problem.lam)
        assert certify(problem, predictor, lower_bound=value - 1e-9).kind == "global"


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_closed_forms_of_bounded_rank(depth):
    problem, images, targets = diagonal((3, 4), 3, 2, depth, share=0.02, rank=1)
    predictor = known.diagonal_minimum(images, targets, depth, problem.lam, rank=1)
    got = certify(problem, predictor)
    assert got.kind == "local", got.status
    value = known.objective(images, targets, predictor, depth, problem.lam)
    free = certify(problem, known.diagonal_minimum(images, targets, depth, problem.lam), lower_bound=value)
    assert (free.kind, free.gap) == ("none", None)
    assert "has rank 2, allowed 1" in free.status
    if depth == 2:  # the bound of the convex problem holds here too
        relaxed = known.objective(
            images, targets, known.diagonal_minimum(images, targets, 2, problem.lam), 2, problem.lam
        )
        assert got.gap >= value - relaxed


@given(
    kind=st.sampled_from(own.KINDS), shape=own.shapes, c=own.channels, k=own.outputs, seed=own.seeds,
    lam=st.sampled_from([1e-2, 0.3, 10.0]), scale=st.sampled_from([0.0, 1e-3, 1.0, 30.0]),
)  # fmt: skip
def test_ridge_gap_bounds_what_is_left(kind, shape, c, k, seed, lam, scale):
    data = own.make_data(kind, (c, *shape), k, seed)
    problem = RegularizedProblem(SecondMoments.from_data(data.images, data.targets), depth=1, lam=lam)
    best = ridge(problem.moments, lam)
    predictor = best + random_predictor(problem, seed, scale)
    left = known.objective(data.images, data.targets, predictor, 1, lam) - known.objective(
        data.images, data.targets, best, 1, lam
    )
    got = certify(problem, predictor)
    slack = 1e-12 * max(problem.objective(predictor), 1.0)  # round-off of the two objectives
    assert got.gap >= left - slack
    # at θ = y - Vx the gap is ‖g‖²/λ, and what is left ‖g (Σ^xx + λ)^{-1/2}‖²; the best scale is no worse
    steepest = np.linalg.eigvalsh(problem.quadratic.gram)[-1]
    assert got.gap <= (1 + steepest / lam) * left + 100 * slack * (1 + steepest / lam)
    assert (got.kind == "global") == (got.gap <= 1e-5 * problem.objective(predictor))


@given(
    kind=st.sampled_from(own.KINDS), shape=own.shapes, c=own.channels, k=own.outputs, seed=own.seeds,
    share=st.sampled_from([0.2, 0.6, 1.0]), scale=st.sampled_from([1e-2, 1.0, 30.0]),
)  # fmt: skip
def test_gap_of_depth_two_bounds_what_is_left_and_closes(kind, shape, c, k, seed, share, scale):
    data = own.make_data(kind, (c, *shape), k, seed)
    problem = RegularizedProblem(SecondMoments.from_data(data.images, data.targets), depth=2, lam=1.0)
    problem = problem.with_lam(share * lambda_max(problem))
    best = known.proximal_gradient(data.images, data.targets, problem.lam)
    lowest = known.objective(data.images, data.targets, best, 2, problem.lam)
    power = problem.quadratic.target_power
    at_best = certify(problem, best)
    assert at_best.gap <= 1e-4 * power  # what 2000 steps leave at worst; sign errors leave whole parts of ⟨‖y‖²⟩
    for predictor in (random_predictor(problem, seed, scale), best + random_predictor(problem, seed, 1e-2 * scale)):
        value = known.objective(data.images, data.targets, predictor, 2, problem.lam)
        got = certify(problem, predictor)
        assert got.gap >= value - lowest - 1e-12 * max(value, power)
        assert got.kind == ("global" if got.gap <= 1e-5 * value else "none")


@pytest.mark.parametrize(("shape", "c", "k"), CASES)
def test_a_closed_gap_is_the_optimality_of_the_full_spectrum(shape, c, k):
    """``⟨(y - f) x̂_f^H⟩ = (μ/2) U V^H`` on the support, of operator norm ≤ μ/2 off it: in G's units, every √P in it."""
    rng = np.random.default_rng(5)
    images, targets = rng.standard_normal((60, c, *shape)), rng.standard_normal((60, k))
    problem = RegularizedProblem(SecondMoments.from_data(images, targets), depth=2, lam=1.0)
    problem = problem.with_lam(0.4 * lambda_max(problem))
    predictor = known.proximal_gradient(images, targets, problem.lam)
    assert certify(problem, predictor).gap <= 1e-10
    spectra = oracles.dft2(images)
    errors = targets - np.einsum("hwkc,nchw->nk", predictor, spectra).real
    pull = np.einsum("nk,nchw->hwkc", errors, spectra.conj()) / len(images)
    half = known.mu(problem.lam, 2, images[0, 0].size) / 2
    assert np.linalg.svd(pull, compute_uv=False).max() <= half * (1 + 1e-7)
    u, s, vh = np.linalg.svd(predictor, full_matrices=False)
    kept = np.where(s > 1e-9, 1.0, 0.0)[..., None, :]
    along = u.conj().swapaxes(-1, -2) @ pull @ vh.conj().swapaxes(-1, -2)
    assert np.abs(along * kept - half * np.eye(min(k, c)) * kept).max() <= 1e-6 * half


@pytest.mark.parametrize("depth", [3, 5])
def test_the_smaller_root_is_a_saddle(depth):
    problem, images, targets = diagonal(depth=depth, share=0.3)
    tau, fit = known.least_squares(images, targets)
    weight, p = known.mu(problem.lam, depth, tau.size), problem.power
    f = np.unravel_index(int(np.argmax(np.abs(fit[..., 0, 0]) * tau)), tau.shape)
    root = known.largest_root(tau[f], abs(fit[f][0, 0]), weight, depth, smaller=True)
    predictor = known.diagonal_minimum(images, targets, depth, problem.lam)
    for place in (f, tuple(-np.array(f) % tau.shape)):
        predictor[place] = root * fit[place] / abs(fit[place][0, 0])
    got = certify(problem, predictor)
    assert got.kind == "none"
    assert "a saddle" in got.status
    # half the second derivative of the objective along |v̂_f|, in orthonormal coordinates
    curved = tau[f] + 0.5 * weight * p * (p - 1) * root ** (p - 2)
    assert float(got.status.split("eigenvalue ")[1].split(":")[0]) == pytest.approx(curved, rel=1e-2)  # three digits


def test_a_kept_frequency_below_the_jump_is_better_off_at_zero():
    problem, images, targets = diagonal(depth=3, share=1.0)
    tau, fit = known.least_squares(images, targets)
    problem = problem.with_lam(1.05 * problem.lam)  # above λ_max, and below the fold at which the root is lost
    weight = known.mu(problem.lam, 3, tau.size)
    predictor = np.zeros_like(fit)
    f = max(np.ndindex(tau.shape), key=lambda g: known.largest_root(tau[g], abs(fit[g][0, 0]), weight, 3) or 0.0)
    root = known.largest_root(tau[f], abs(fit[f][0, 0]), weight, 3)
    for place in {f, tuple(int(x) for x in -np.array(f) % tau.shape)}:
        predictor[place] = root * fit[place] / abs(fit[place][0, 0])
    got = certify(problem, predictor)
    assert got.kind == "none"
    assert "is better off at zero: alone it lowers the objective by" in got.status
    assert certify(problem, 0 * predictor).kind == "global"


@pytest.mark.parametrize("depth", [3, 4, 8])
@pytest.mark.parametrize(("shape", "c", "k"), CASES)
def test_zero_is_local_but_wants_to_be_left(shape, c, k, depth):
    problem, images, targets = diagonal(shape, c, k, depth, share=0.5)
    got = certify(problem, np.zeros(problem.predictor_shape))
    assert got.kind == "none"
    assert got.residual > 1e-2
    assert "a local minimum, but frequency" in got.status
    assert "wants to leave zero" in got.status
    best = known.diagonal_minimum(images, targets, depth, problem.lam)
    gain = problem.quadratic.target_power - known.objective(images, targets, best, depth, problem.lam)
    told = float(got.status.split(" by ")[1])
    assert 0 < told <= gain * (1 + 0.05)  # two digits; one frequency gains less than all


@pytest.mark.parametrize("depth", [2, 3, 4, 8])
@pytest.mark.parametrize(("shape", "c", "k"), CASES)
def test_zero_is_global_from_lambda_max_on(shape, c, k, depth):
    problem, _, _ = diagonal(shape, c, k, depth)
    zero = np.zeros(problem.predictor_shape)
    got = certify(problem.with_lam(lambda_max(problem) * (1 + 1e-9)), zero)
    assert got.kind == "global"
    assert got.gap <= 1e-8 * problem.quadratic.target_power  # at depth 2 the gap is (1e-9)² of it, up to round-off


@pytest.mark.parametrize("depth", [2, 3, 6])
def test_a_point_that_is_none(depth):
    problem, _, _ = diagonal((3, 4), 2, 3, depth)
    got = certify(problem, random_predictor(problem, 1))
    assert got.kind == "none"
    assert got.status.startswith("residual ")
    assert "not" in got.status


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_round_off_among_the_zeros_changes_nothing(depth):
    problem, images, targets = diagonal((3, 4), 2, 2, depth, share=0.2)
    predictor = known.diagonal_minimum(images, targets, depth, problem.lam)
    noisy = predictor + random_predictor(problem, 0, 1e-16)
    clean, got = certify(problem, predictor), certify(problem, noisy)
    assert got.kind == clean.kind != "none"
    assert got.residual <= 1e-12


@pytest.mark.parametrize("depth", [2, 3, 8, 16])
def test_a_missing_singular_value_costs_nothing(depth):
    """What the decomposition of a matrix of rank 1 leaves of the second, 1e-17, to the power 1/8 is 1%."""
    problem = RegularizedProblem(diagonal((3, 4), 3, 3)[0].moments, depth=depth, lam=0.1)
    rng = np.random.default_rng(0)
    n = problem.coordinates.n_blocks
    sizes = rng.uniform(0.5, 2.0, n)
    u, v = rng.standard_normal((n, 3, 1)), rng.standard_normal((n, 1, 3))
    u, v = u / np.linalg.norm(u, axis=1, keepdims=True), v / np.linalg.norm(v, axis=2, keepdims=True)
    predictor = problem.unpack(problem.coordinates.from_blocks(sizes[:, None, None] * u * v + 0j))
    wanted = 2 * float(problem.thresholds @ sizes**problem.power)
    assert problem.penalty(predictor) == pytest.approx(wanted, rel=1e-13)


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("n", [2, 40])
def test_every_form_of_the_moments_gives_the_same(n, depth):
    """Two samples: Σ^xx is never formed; and coherent classes, whose modes hold it."""
    data = own.make_data("coherent", (2, 3, 4), 3, 4)
    rng = np.random.default_rng(0)
    images, targets = (data.images, data.targets) if n == 2 else (rng.standard_normal((n, 2, 3, 4)), None)
    targets = rng.standard_normal((n, 3)) if targets is None else targets
    forms = ["dense", "samples", *(["modes"] if n == 2 else [])]
    got = []
    for form in forms:
        problem = RegularizedProblem(SecondMoments.from_data(images, targets, form=form), depth=depth, lam=0.05)
        got.append(certify(problem, random_predictor(problem, 2, 0.1)))
    for other in got[1:]:
        assert other.kind == got[0].kind
        assert other.residual == pytest.approx(got[0].residual, rel=1e-10)
        assert other.gap == got[0].gap if depth == 3 else other.gap == pytest.approx(got[0].gap, rel=1e-10)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_targets_that_are_all_zero(depth):
    rng = np.random.default_rng(0)
    problem = RegularizedProblem(
        SecondMoments.from_data(rng.standard_normal((9, 1, 2, 3)), np.zeros((9, 2)), form="dense"), depth=depth, lam=0.1
    )
    got = certify(problem, np.zeros(problem.predictor_shape))
    assert (got.kind, got.residual) == ("global", 0.0)
    assert certify(problem, random_predictor(problem, 0)).kind == "none"


@pytest.mark.parametrize("depth", [2, 4])
def test_a_frequency_without_power_must_be_zero(depth):
    wave = np.cos(2 * np.pi * np.arange(6) / 6)
    images = np.array([wave, -2 * wave])[:, None, None, :]
    problem = RegularizedProblem(SecondMoments.from_data(images, [[1.0], [-2.0]]), depth=depth, lam=0.01)
    predictor = np.zeros(problem.predictor_shape, complex)
    predictor[0, 2] = predictor[0, 4] = 0.1
    got = certify(problem, predictor)
    assert got.kind == "none"
    assert got.residual > 1e-3


def test_a_lower_bound_is_used_where_it_is_better():
    problem, images, targets = diagonal(depth=3)
    best = known.diagonal_minimum(images, targets, 3, problem.lam)
    value = known.objective(images, targets, best, 3, problem.lam)
    got = certify(problem, best, lower_bound=value - 0.25)
    assert got.kind == "local"
    assert got.gap == pytest.approx(0.25, rel=1e-9)
    assert "at most 0.25 above the global minimum" in got.status
    convex = problem.with_depth(2)
    assert certify(convex, best, lower_bound=-1.0).gap == certify(convex, best).gap


def test_the_gap_never_pretends_to_be_exact():
    problem, images, targets = diagonal(depth=3)
    best = known.diagonal_minimum(images, targets, 3, problem.lam)
    got = certify(problem, best, lower_bound=problem.objective(best))
    assert 0 < got.gap <= 1e-13 * problem.quadratic.target_power


GOOD, _, _ = diagonal()
BAD = {
    "problem": (
        lambda: certify(GOOD.moments, np.zeros((4, 4, 1, 1))),
        r"problem is .*SecondMoments.*, expected a RegularizedProblem: make one with",
    ),
    "problem of lambda_max": (lambda: lambda_max(None), r"problem is None, expected a RegularizedProblem: make one"),
    "shape": (lambda: certify(GOOD, np.zeros((4, 4, 1))), r"predictor has shape \(4, 4, 1\)"),
    "nan": (lambda: certify(GOOD, np.full((4, 4, 1, 1), np.nan)), r"predictor holds NaN"),
    "symmetry": (lambda: certify(GOOD, 1j * np.ones((4, 4, 1, 1))), r"breaks the conjugate symmetry"),
    "bound above": (
        lambda: certify(GOOD, np.zeros((4, 4, 1, 1)), lower_bound=1e3),
        r"lower_bound is 1000, expected at most the objective",
    ),
    "bound nan": (lambda: certify(GOOD, np.zeros((4, 4, 1, 1)), lower_bound=np.nan), r"lower_bound is nan"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_names_the_argument(name):
    call, text = BAD[name]
    with pytest.raises(ArgumentError, match=text):
        call()


@given(
    seed=own.seeds, depth=st.integers(2, 6), orders=st.integers(0, 12), share=st.sampled_from([1e-3, 0.1, 0.7]),
    tied=st.booleans(), scale=st.sampled_from([1e-6, 1.0, 1e6]),
)  # fmt: skip
def test_spectra_of_many_orders_of_magnitude_and_ties(seed, depth, orders, share, tied, scale):
    """Frequencies whose powers differ by up to twelve orders, ties, images and targets of any unit."""
    images, targets = known.diagonal_data((3, 4), 1, 1, seed)
    spectra = np.abs(oracles.dft2(images)[:, 0]).reshape(len(images), -1)
    frequency = (spectra > 0.5 * spectra.max(axis=1, keepdims=True)).argmax(axis=1)  # the first of f and f*
    rng = np.random.default_rng(seed)
    powers = 10.0 ** (-orders * rng.uniform(0, 0.5, 12))
    if tied:
        powers[:] = rng.choice(powers[:2], 12)
    images = scale * images * powers[frequency, None, None, None]
    problem = RegularizedProblem(SecondMoments.from_data(images, targets, form="dense"), depth=depth, lam=1.0)
    problem = problem.with_lam(share * lambda_max(problem))
    got = certify(problem, known.diagonal_minimum(images, targets, depth, problem.lam))
    assert got.kind == ("global" if depth == 2 else "local"), got.status
    # Σ^xx is known to 1e-16 of its largest entry; in the metric of the weakest block that is the ratio of their powers
    assert got.residual <= 1e-12 + 1e-15 * 10.0**orders

"""Cone programs against closed forms, against long iterations, and at depth ≥ 3 against what majorising promises."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from lineardyn.errors import ArgumentError, Status
from lineardyn.moments import SecondMoments
from solvers import Conic, RegularizedProblem, certify, lambda_max, ridge
from solvers import conic as module
from tests import oracles
from tests import strategies as own
from tests.solvers import regularised as known

cvxpy = pytest.importorskip("cvxpy", reason="cvxpy is not installed (extra: test)")

CASES = [((3, 3), 1, 1), ((4, 4), 1, 1), ((3, 4), 2, 3), ((1, 5), 3, 2), ((2, 2), 3, 1), ((4, 3), 1, 3), ((1, 1), 2, 2)]


def problem_on(images, targets, depth, share, form="dense"):
    problem = RegularizedProblem(SecondMoments.from_data(images, targets, form=form), depth=depth, lam=1.0)
    return problem.with_lam(share * (lambda_max(problem) if depth > 1 else 1.0))


def noise(c, k, shape=(3, 4), n=40, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, c, *shape)), rng.standard_normal((n, k))


@pytest.mark.parametrize("solver", ["CLARABEL", "scs"])
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize(("shape", "c", "k"), CASES)
def test_closed_forms_of_diagonal_statistics(shape, c, k, depth, solver):
    images, targets = known.diagonal_data(shape, c, k, 1)
    problem = problem_on(images, targets, depth, 0.2)
    got = Conic(solver).solve(problem)
    assert got.converged
    assert got.stats["solver"] == solver.upper()
    best = known.diagonal_minimum(images, targets, depth, problem.lam)
    # the solvers' own tolerance is 1e-8 on the objective, its root on the point
    assert oracles.error(problem.unpack(got.values), best) <= 1e-4
    value = problem.objective_of(got.values)
    assert value == pytest.approx(known.objective(images, targets, best, depth, problem.lam), rel=1e-6)
    assert certify(problem, problem.unpack(got.values)).kind == "global"


@settings(max_examples=8)  # a cone program takes its time
@given(
    kind=st.sampled_from(own.KINDS), shape=own.shapes, c=own.channels, k=st.integers(1, 3), seed=own.seeds,
    share=st.sampled_from([0.2, 0.6]),
)  # fmt: skip
def test_depth_two_is_the_minimum_of_long_iterations(kind, shape, c, k, seed, share):
    data = own.make_data(kind, (c, *shape), k, seed)
    problem = problem_on(data.images, data.targets, 2, share)
    got = problem.unpack(Conic().solve(problem).values)
    best = known.proximal_gradient(data.images, data.targets, problem.lam)
    values = [known.objective(data.images, data.targets, x, 2, problem.lam) for x in (got, best)]
    assert values[0] == pytest.approx(values[1], rel=1e-6)  # 1e-8 of Clarabel; 2000 steps leave up to 1e-6
    assert certify(problem, got).gap <= 1e-4 * values[0]


@pytest.mark.parametrize("form", ["samples", "modes", "dense"])
def test_every_form_of_the_moments(form):
    data = own.make_data("coherent", (2, 3, 4), 3, 0)
    problem = problem_on(data.images, data.targets, 2, 0.3, form)
    got = problem.unpack(Conic().solve(problem).values)
    wanted = known.proximal_gradient(data.images, data.targets, problem.lam)
    assert problem.objective(got) == pytest.approx(problem.objective(wanted), rel=1e-7)


@pytest.mark.parametrize(("c", "k"), [(1, 1), (2, 3)])
def test_depth_one_is_ridge(c, k):
    problem = problem_on(*noise(c, k), 1, 0.3)
    got = Conic().solve(problem)
    assert oracles.error(problem.unpack(got.values), ridge(problem.moments, problem.lam)) <= 1e-6


@given(seed=own.seeds, depth=st.integers(3, 8), epsilon=st.sampled_from([1e-6, 1e-2, 1.0]), left=st.booleans())
def test_weighted_nuclear_norm_majorises(seed, depth, epsilon, left):
    """``Σφ(s(Z)) - Σφ(s(Z_0)) ≤ ‖WZ‖_* - ‖WZ_0‖_*``, equal at Z_0 and with the same slope there."""
    rng = np.random.default_rng(seed)
    shape = (2, 3) if left else (3, 2)
    rank = rng.integers(1, 3)
    start, other = (
        (rng.standard_normal((2, shape[0], rank)) @ rng.standard_normal((2, rank, shape[1])) * [[[1]], [[1j]]]).sum(
            axis=0
        ),
        rng.standard_normal(shape) + 1j * rng.standard_normal(shape),
    )
    power = 2 / depth
    side = start if left else start.conj().T
    u, s, _ = np.linalg.svd(side, full_matrices=False)
    weight = (u * (power * (s + epsilon) ** (power - 1))) @ u.conj().T

    def norm(z):
        return float(np.linalg.norm(weight @ z if left else z @ weight, "nuc"))

    def penalty(z):
        return float(((np.linalg.svd(z, compute_uv=False) + epsilon) ** power).sum())

    for size in (1e-3, 0.1, 1.0, 10.0):
        for z in (start + size * other, size * other, (1 - 1e-2 * size) * start):
            assert penalty(z) - penalty(start) <= norm(z) - norm(start) + 1e-9 * norm(z)


@pytest.mark.parametrize("depth", [3, 5])
@pytest.mark.parametrize(("c", "k"), [(1, 1), (1, 2), (3, 1), (2, 2)])
def test_majorising_descends_and_ends_where_nothing_is_to_gain(c, k, depth):
    problem = problem_on(*noise(c, k, (2, 3)), depth, 0.2)
    got = Conic().solve(problem)
    assert got.converged, got.message
    levels = np.array(got.stats["levels"])
    assert len(levels) == got.n_iterations - 1  # but for the first program, with equal weights
    assert (np.diff(levels) <= 0).all()
    assert levels[-1] < levels[0]
    # ε is 1e-6 of the largest singular value in the end, and (1e-6)^p what is left of the smoothing
    assert problem.objective_of(got.values) <= levels[-1] * (1 + 1e-12)
    status = certify(problem, problem.unpack(got.values)).status
    assert "not a stationary point" not in status
    assert "saddle" not in status


@pytest.mark.parametrize("depth", [3, 4])
def test_depth_three_on_frequencies_far_from_the_jump(depth):
    """Where each frequency clearly stays or goes, reweighting finds the closed form."""
    images, targets = known.diagonal_data((4, 4), 1, 1, 0)
    tau, fit = known.least_squares(images, targets)
    size = np.abs(fit[..., 0, 0])
    pull = np.where(size > np.median(size), 3.0, 0.02) / (size * tau)  # |Σ^yx| becomes 3 or 0.02
    frequency = np.abs(oracles.dft2(images)[:, 0]).reshape(len(images), -1).argmax(axis=1)
    targets = targets * pull.ravel()[frequency, None]
    problem = problem_on(images, targets, depth, 0.1)
    got = problem.unpack(Conic().solve(problem).values)
    best = known.diagonal_minimum(images, targets, depth, problem.lam)
    assert oracles.error(got, best) <= 1e-4


def test_a_start_is_never_left_for_worse():
    """From the global minimum the first, large ε leads away to a place that is 10% higher."""
    images, targets = known.diagonal_data((3, 4), 1, 1, 0)
    problem = problem_on(images, targets, 6, 0.6)
    best = problem.pack(known.diagonal_minimum(images, targets, 6, problem.lam))
    reached = Conic().solve(problem, best)
    assert reached.stats["levels"]
    assert problem.objective_of(reached.values) <= problem.objective_of(best) * (1 + 1e-12)


@pytest.mark.parametrize(("c", "k"), [(2, 3), (3, 2), (2, 2), (1, 3)])
def test_weights_are_the_slope_of_the_power_on_either_side(monkeypatch, c, k):
    """``u p ((Z Z^H)^{1/2} + ε)^{p-1}`` and ``(Z^H Z)^{1/2}``, by functions of matrices."""
    problem = problem_on(*noise(c, k), 3, 0.2)
    run = module._Run(problem, cvxpy, "CLARABEL", {})
    got = []
    monkeypatch.setattr(module._Run, "_solve", lambda self, program, weights: got.append((program.left, weights)))
    values = noise(c, k)[1].T @ noise(c, k, seed=1)[0].reshape(40, -1)
    values = values[:, : problem.coordinates.size]
    for run.count in range(2):
        run.solve_reweighted(values, 0.1)
    assert sorted(left for left, _ in got) == ([False, True] if min(c, k) > 1 else [False, False])
    for left, weights in got:
        for z, u, weight in zip(problem.coordinates.blocks(values), problem.thresholds, weights, strict=True):
            square = z @ z.conj().T if left else z.conj().T @ z
            values_of, vectors = scipy.linalg.eigh(square)
            sizes = np.sqrt(np.maximum(values_of, 0.0)) + 0.1  # a missing one is the root of round-off, 1e-7
            wanted = u * 2 / 3 * (vectors * sizes ** (-1 / 3)) @ vectors.conj().T
            assert np.abs(weight - wanted).max() <= 1e-5 * np.abs(wanted).max()


def test_a_path_compiles_once(monkeypatch):
    made = []
    original = module._Program.__init__
    monkeypatch.setattr(module._Program, "__init__", lambda self, *args: (made.append(1), original(self, *args))[1])
    images, targets = noise(2, 2, (2, 2))
    problem = problem_on(images, targets, 2, 0.5)
    for asked in (*(problem.with_lam(f * problem.lam) for f in (1.0, 0.5, 0.1)), problem.with_depth(3)):
        Conic().solve(asked)
    assert made == [1, 1]  # from depth 3 on, with more rows and columns than one: weights on the left and on the right
    assert all(program.problem.is_dcp(dpp=True) for program in module._programs[problem.moments].values())


@pytest.mark.parametrize("solver", ["CLARABEL", "SCS"])
def test_nothing_of_the_past_stays_in_a_program(solver):
    images, targets = noise(2, 2, (2, 2))
    problem = problem_on(images, targets, 2, 0.5)
    Conic(solver).solve(problem.with_lam(0.1 * problem.lam))
    again, fresh = (Conic(solver).solve(p).values for p in (problem, problem_on(images, targets, 2, 0.5)))
    assert np.array_equal(again, fresh)


def test_lambda_max_and_beyond_give_zero():
    problem = problem_on(*noise(2, 2), 2, 1.01)
    assert not Conic().solve(problem).values.any()
    assert not Conic().solve(problem_on(*noise(1, 1), 3, 1.01)).values.any()


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_targets_that_are_all_zero(depth):
    images, targets = noise(2, 2)
    problem = RegularizedProblem(SecondMoments.from_data(images, 0 * targets, form="dense"), depth=depth, lam=0.1)
    assert np.abs(Conic().solve(problem).values).max() <= 1e-9


def test_inaccurate_answers_are_told():
    problem = problem_on(*noise(2, 2), 2, 0.1)
    got = Conic("SCS", options={"max_iters": 20}).solve(problem)
    assert got.status is Status.INACCURATE
    assert not got.converged
    assert "said optimal_inaccurate" in got.message
    assert Status.INACCURATE.value in got.message
    assert certify(problem, problem.unpack(got.values)).kind == "none"


def test_a_solver_that_fails_is_told():
    problem = problem_on(*noise(2, 2), 3, 0.1)
    got = Conic("CLARABEL", options={"max_iter": 1}).solve(problem)
    assert got.status is Status.INACCURATE
    assert np.isfinite(got.values).all()
    assert got.n_iterations == 1  # no further programs on what is no solution


def test_programs_are_counted():
    got = Conic(max_programs=3).solve(problem_on(*noise(1, 1), 3, 0.1))
    assert got.status is Status.MAX_ITERATIONS
    assert got.n_iterations == 3


GOOD = problem_on(*noise(2, 2), 2, 0.5)
BAD = {
    "solver": (lambda: Conic("MOSEC").solve(GOOD), r"solver is 'MOSEC', expected one that is installed: .*CLARABEL"),
    "solver type": (lambda: Conic(3), r"solver is 3, expected the name"),
    "tol": (lambda: Conic(tol=-1.0), r"tol is -1"),
    "programs": (lambda: Conic(max_programs=0), r"max_programs is 0"),
    "problem": (
        lambda: Conic().solve(GOOD.moments),
        r"problem is .*SecondMoments.*, expected a RegularizedProblem: make one with",
    ),
    "rank": (
        lambda: Conic().solve(RegularizedProblem(GOOD.moments, depth=2, lam=1.0, rank=1)),
        r"rank is 1, expected None: .* no cone program",
    ),
    "start": (lambda: Conic().solve(GOOD.with_depth(3), np.zeros(3)), r"start has shape \(3,\), expected \(2, 24\)"),
    "size": (
        lambda: Conic().solve(RegularizedProblem(SecondMoments.from_data(*noise(3, 3, (32, 32), 8)), depth=2, lam=1.0)),
        r"problem has 9216 numbers in its predictor, expected at most 8000",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_names_the_argument(name):
    call, text = BAD[name]
    with pytest.raises(ArgumentError, match=text):
        call()


def test_without_cvxpy_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cvxpy", None)
    with pytest.raises(ArgumentError, match=r"needs cvxpy, and that is not installed: pip install 'cvxpy>=1.5'"):
        Conic().solve(GOOD)

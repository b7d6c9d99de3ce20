"""The verb: symmetries of the minimum, its settings, and what it says when it cannot.

Objectives of convex problems are known to ``TOL`` = 1e-10 of themselves, and ``SAME`` allows for two of them.
"""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lineardyn import SecondMoments
from lineardyn.errors import ArgumentError, ComputationError, Status
from solvers import Coordinate, LocalSearch, Proximal, RegularizedProblem, Reweighted, certify, lambda_max, ridge, solve
from tests import oracles
from tests import strategies as own
from tests.solvers import families

TOL, SAME = 1e-10, 3e-10
DEPTHS = [1, 2, 3, 5]


def problem_of(data, depth, lam, form="dense", rank=None):
    return RegularizedProblem(SecondMoments.from_data(*data, form=form), depth=depth, lam=lam, rank=rank)


def instance(seed=0, image_shape=(2, 3, 4), k=2, n=30):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, *image_shape)), rng.standard_normal((n, k))


def solved(data, depth, lam):
    return solve(problem_of(data, depth, lam), tol=TOL, n_starts=4)


def lam_of(depth):
    """About a third of the λ from which all is zero."""
    return {1: 0.3, 2: 0.3, 3: 0.1, 5: 0.05}[depth]


def check_same(got, wanted, predictor, depth):
    """Objectives, and at depths where the minimum is unique the predictor: to the root of the gap."""
    assert got.objective == pytest.approx(wanted, rel=SAME)
    if depth <= 2:
        assert oracles.error(got.predictor, predictor) <= 1e-4


# --- Symmetries ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("t", [1e-3, 0.7, 50.0])
def test_scaled_targets(depth, t):
    """``y → ty``: ``v → tv`` and the loss is t² of what it was, and so is the penalty with ``λ → t^{2-p} λ``."""
    images, targets = instance()
    lam, p = lam_of(depth), 2 / depth
    before, after = solved((images, targets), depth, lam), solved((images, t * targets), depth, lam * t ** (2 - p))
    check_same(after, t**2 * before.objective, t * before.predictor, depth)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("s", [1e-3, 0.7, 50.0])
def test_scaled_images(depth, s):
    """``x → sx``: ``v → v/s``, and with ``λ → s^p λ`` nothing else changes."""
    images, targets = instance()
    lam, p = lam_of(depth), 2 / depth
    before, after = solved((images, targets), depth, lam), solved((s * images, targets), depth, lam * s**p)
    check_same(after, before.objective, before.predictor / s, depth)


@pytest.mark.parametrize("depth", DEPTHS)
def test_shifted_images(depth):
    """A phase at each frequency: ``x̂_f → x̂_f e^{-2πi f·a}``, and v̂ has the other one."""
    images, targets = instance()
    before = solved((images, targets), depth, lam_of(depth))
    after = solved((np.roll(images, (1, 3), axis=(2, 3)), targets), depth, lam_of(depth))
    angle = np.arange(3)[:, None] * 1 / 3 + np.arange(4) * 3 / 4
    check_same(after, before.objective, np.exp(2j * np.pi * angle)[:, :, None, None] * before.predictor, depth)


@pytest.mark.parametrize("depth", DEPTHS)
def test_reflected_images(depth):
    """``x̂_f → conj(x̂_f)``."""
    images, targets = instance()
    mirrored = np.roll(images[..., ::-1, ::-1], 1, axis=(2, 3))
    before, after = solved((images, targets), depth, lam_of(depth)), solved((mirrored, targets), depth, lam_of(depth))
    check_same(after, before.objective, before.predictor.conj(), depth)


@pytest.mark.parametrize("depth", DEPTHS)
def test_mixed_outputs_and_channels(depth):
    """Orthogonal mixing on either side: Schatten norms see singular values alone."""
    images, targets = instance()
    rng = np.random.default_rng(3)
    left, right = (np.linalg.qr(rng.standard_normal((2, 2)))[0] for _ in range(2))
    before = solved((images, targets), depth, lam_of(depth))
    mixed = np.einsum("ab,nbhw->nahw", right, images), targets @ left.T
    check_same(solved(mixed, depth, lam_of(depth)), before.objective, left @ before.predictor @ right.T, depth)


@pytest.mark.parametrize("depth", DEPTHS)
def test_transposed_images(depth):
    images, targets = instance()
    before = solved((images, targets), depth, lam_of(depth))
    after = solved((images.swapaxes(2, 3), targets), depth, lam_of(depth))
    check_same(after, before.objective, before.predictor.swapaxes(0, 1), depth)


@pytest.mark.parametrize("form", ["dense", "samples"])
@pytest.mark.parametrize("depth", DEPTHS)
def test_predictors_are_those_of_real_functions(form, depth):
    """To the last bit, and images are what the predictor says."""
    images, targets = instance()
    solution = solve(problem_of((images, targets), depth, lam_of(depth), form), n_starts=2)
    for u, v in np.ndindex(3, 4):
        wanted = solution.predictor[u, v].conj()
        if depth > 1:
            assert np.array_equal(solution.predictor[-u % 3, -v % 4], wanted)
        assert oracles.error(solution.predictor[-u % 3, -v % 4], wanted) <= 1e-13
    wanted = np.einsum("hwkc,nchw->nk", solution.predictor, np.fft.fft2(images, norm="ortho")).real
    assert oracles.error(solution.predict(images), wanted) <= 1e-12


# --- Nothing to learn ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["dense", "samples"])
@pytest.mark.parametrize("depth", [1, 2, 3, 6])
def test_targets_of_zero(form, depth):
    images, _ = instance()
    problem = problem_of((images, np.zeros((30, 2))), depth, 0.1, form)
    methods = ["auto", "coordinate", "proximal", "irls", "search"]
    for solution in [solve(problem, method=m, n_starts=5) for m in methods]:
        assert solution.objective == 0.0
        assert not solution.predictor.any()
        assert solution.certificate.kind == "global" or depth > 2


@pytest.mark.parametrize("depth", [2, 3, 6])
def test_from_lambda_max_on_nothing_is_learned(depth):
    problem = problem_of(instance(), depth, 1.0)
    top = lambda_max(problem)
    solution = solve(problem.with_lam(1.001 * top))
    assert not solution.predictor.any()
    assert solution.certificate.kind == "global"
    assert "lambda_max" in solution.message
    for method in ("coordinate", "proximal", "search", "irls"):
        assert not solve(problem.with_lam(1.001 * top), method=method, n_starts=4).predictor.any()
    assert solution.objective == pytest.approx(problem.moments.target_power, rel=1e-14)


# --- Units -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("s", "t"), [(1e57, 1e57), (1e-57, 1e-57), (1e57, 1e-57), (1e-57, 1e57), (1.0, 1e-57)])
@pytest.mark.parametrize("depth", DEPTHS)
def test_units_far_from_one(depth, s, t):
    """As far as the door lets them: nothing overflows, and nothing is lost."""
    images, targets = instance()
    p = 2 / depth
    before = solved((images, targets), depth, lam_of(depth))
    after = solved((s * images, t * targets), depth, lam_of(depth) * s**p * t ** (2 - p))
    assert after.objective / t**2 == pytest.approx(before.objective, rel=1e-9)
    assert after.certificate.kind == before.certificate.kind


@pytest.mark.parametrize(
    ("s", "t", "name"), [(1e100, 1, "images"), (1e-100, 1, "images"), (1, 1e100, "targets"), (1, 1e-100, "targets")]
)
def test_units_beyond_are_refused(s, t, name):
    images, targets = instance()
    with pytest.raises(ArgumentError, match=f"{name} of power .* choose another unit"):
        problem_of((s * images, t * targets), 3, 0.1)


@pytest.mark.parametrize(
    ("depth", "lam"),
    [(1, 1e-7), (2, 1e-7), (3, 1e-300), (8, 1e-300), *[(d, lam) for d in (1, 2, 3, 8) for lam in (1e30, 1e300)]],
)
def test_weight_decay_of_any_size(depth, lam):
    """From least squares to nothing, without a NaN."""
    problem = problem_of(instance(), depth, lam)
    solution = solve(problem, n_starts=1)
    assert np.isfinite(solution.predictor).all()
    assert solution.certificate.kind != "none"
    least = problem.loss(ridge(problem.moments, 0.0))
    wanted = least if lam < 1 else problem.moments.target_power
    assert solution.objective == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("form", ["dense", "samples"])
@pytest.mark.parametrize("lam", [1e-20, 1e-300])
@pytest.mark.parametrize("method", ["coordinate", "proximal"])
def test_weight_decay_below_round_off_is_least_squares(method, lam, form):
    """No gap is known to the tolerance there: the descent ends where it moves no more, and the certificate says so."""
    problem = problem_of(instance(n=60), 2, lam, form)
    solution = solve(problem, method=method)
    assert solution.status is Status.SUCCESS
    assert solution.stats["n_iterations"] < 20_000
    assert solution.objective == pytest.approx(problem.loss(ridge(problem.moments, 0.0)), rel=1e-10)
    assert solution.certificate.residual <= 1e-10


# --- Settings --------------------------------------------------------------------------------------------------------


def hard():
    return families.make_problem("interpolated", 4, 0.05)


def test_the_same_seed_gives_the_same_bits():
    first, second = solve(hard(), rng=7), solve(hard(), rng=np.random.default_rng(7))
    assert np.array_equal(first.predictor, second.predictor)
    assert (first.objective, first.message) == (second.objective, second.message)
    assert first.stats["objectives"] == second.stats["objectives"]
    assert solve(hard(), rng=8).stats["objectives"] != first.stats["objectives"]


@pytest.mark.parametrize("depth", [2, 4])
@pytest.mark.parametrize("form", ["dense", "samples"])
def test_a_second_call_gives_the_same(form, depth):
    """To the last bit where Σ^xx is given; else to the tolerance: the first call has formed lines of it by then."""
    problem = problem_of(instance(), depth, 0.03, form)
    first, second = solve(problem), solve(problem)
    assert second.objective == pytest.approx(first.objective, rel=1e-8)
    assert form != "dense" or np.array_equal(first.predictor, second.predictor)


@pytest.mark.parametrize("n", [1, 2, 4, 7])
def test_as_many_descents_as_asked_for(n):
    solution = solve(hard(), n_starts=n)
    assert len(solution.stats["objectives"]) == n
    assert f"lowest of {n} descents" in solution.message


def test_more_starts_never_end_higher():
    heights = [solve(hard(), n_starts=n).objective for n in (1, 3, 6, 12)]
    assert np.all(np.diff(heights) <= 1e-8 * heights[0])


def test_a_start_given_is_one_of_the_descents():
    best = solve(hard(), n_starts=12)
    solution = solve(hard(), n_starts=1, start=best.predictor)
    assert len(solution.stats["objectives"]) == 2
    assert solution.objective <= best.objective * (1 + 1e-8)


def test_a_bar_is_shown_when_asked_for(capsys):
    solve(hard(), n_starts=2, progress=True)
    assert "solve" in capsys.readouterr().err


def test_a_tighter_tolerance_is_closer():
    problem = families.make_problem("coloured", 2, 0.02)
    gaps = [solve(problem, tol=tol).certificate.gap for tol in (1e-3, 1e-6, 1e-9)]
    assert gaps == sorted(gaps, reverse=True)
    assert all(gap <= 2 * tol * solve(problem).objective for gap, tol in zip(gaps, (1e-3, 1e-6, 1e-9), strict=True))


SHORT = {"coordinate": lambda: Coordinate(max_sweeps=2), "proximal": lambda: Proximal(max_iterations=1)}


@pytest.mark.parametrize("method", sorted(SHORT))
@pytest.mark.parametrize("depth", [2, 3])
def test_what_was_reached_in_too_few_steps_is_told(method, depth, monkeypatch):
    module = sys.modules["solvers.solve"]
    monkeypatch.setitem(module.RUN, method, lambda p, s: SHORT[method]().solve(p, s.start, tol=s.tol))
    problem = families.make_problem("coherent", depth, 0.02)
    solution = solve(problem, method=method, throw=False)
    assert solution.status is Status.MAX_ITERATIONS
    assert np.isfinite(solution.objective)
    assert np.isfinite(solution.predictor).all()
    assert solution.objective < problem.moments.target_power
    with pytest.raises(ComputationError, match="raise tol") as caught:
        solve(families.make_problem("coherent", depth, 0.02), method=method)  # no line of Σ^xx formed yet, as before
    assert np.array_equal(caught.value.result.predictor, solution.predictor)
    assert caught.value.status is Status.MAX_ITERATIONS


def test_auto_says_what_it_took_and_why():
    data = instance(image_shape=(1, 3, 4))
    assert solve(problem_of(data, 1, 0.1)).message.startswith("ridge (a single layer")
    assert solve(problem_of(data, 2, 0.1)).message.startswith("coordinate (the problem is convex")
    assert solve(problem_of(data, 3, 0.1)).message.startswith("search (the problem has many local minima")
    assert solve(problem_of(data, 2, 1e3)).message.startswith("zero (λ ≥ lambda_max")
    assert solve(families.make_problem("tied", 3)).message.startswith("diagonal (Σ^xx is diagonal")


@pytest.mark.parametrize("depth", [2, 3])
def test_images_too_large_for_a_gram_matrix(depth, monkeypatch):
    """432 coefficients of two classes, where 256 are the most: products with the modes alone."""
    for name in ("solvers.solve", "solvers.quadratic"):
        monkeypatch.setattr(sys.modules[name], "LARGEST_GRAM", 256)
    images = np.random.default_rng(0).standard_normal((2, 3, 12, 12))
    problem = RegularizedProblem(SecondMoments.from_data(images, np.eye(2)), depth=depth, lam=1.0)
    assert problem.moments.form == "modes"
    problem = families.with_share(problem, 0.5)
    solution = solve(problem)
    assert solution.message.startswith("proximal (more than 256 coefficients")
    assert solution.objective <= problem.moments.target_power
    with pytest.raises(ArgumentError, match="method='proximal'"):
        solve(problem, method="coordinate")


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda p: solve(np.eye(2)), "problem is .*expected a RegularizedProblem"),
        (lambda p: solve(p, method="newton"), "method is 'newton'"),
        (lambda p: solve(p, method="ridge"), "'ridge' at depth 3"),
        (lambda p: solve(p, method="diagonal"), "diagonal"),
        (lambda p: solve(p, n_starts=0), "n_starts is 0"),
        (lambda p: solve(p, tol=0.0), "tol is 0"),
        (lambda p: solve(p, tol=float("nan")), "tol is nan"),
        (lambda p: solve(p, rng="seed"), "rng is"),
        (lambda p: solve(p, start=np.zeros((2, 2))), "predictor has shape|start has shape"),
        (lambda p: Coordinate(max_sweeps=-1), "max_sweeps is -1"),
        (lambda p: Coordinate(memory=-1), "memory is -1"),
        (lambda p: Proximal(max_iterations=0), "max_iterations is 0"),
        (lambda p: Reweighted(n_iterations=0), "n_iterations is 0"),
        (lambda p: LocalSearch(n_sweeps=1.5), "n_sweeps is 1.5"),
        (lambda p: Coordinate().solve(p, np.zeros((3, 3))), r"start has shape .* expected \(2, 24\)"),
        (lambda p: Proximal().solve(p, np.full((2, 24), np.nan)), "start holds [Nn]a[Nn]"),
        (lambda p: Reweighted().solve(p, np.zeros((2, 1))), r"start has shape .* expected \(2, 24\)"),
        (lambda p: LocalSearch().solve(p, np.zeros((2, 1))), r"start has shape .* expected \(2, 24\)"),
        (lambda p: Coordinate().solve(p, tol=-1.0), "tol is -1"),
    ],
)
def test_bad_input_names_the_argument(call, text):
    with pytest.raises(ArgumentError, match=text):
        call(problem_of(instance(), 3, 0.1))


# --- Any problem -----------------------------------------------------------------------------------------------------


@given(
    kind=st.sampled_from([*own.KINDS, "orders"]), shape=own.shapes, c=own.channels, k=st.integers(1, 3),
    depth=st.integers(1, 8), share=st.sampled_from([0.02, 0.2, 0.9]), seed=own.seeds,
)  # fmt: skip
@example(kind="coherent", shape=(3, 4), c=2, k=1, depth=8, share=0.9, seed=118862)  # a singular system of reweighting
@example(kind="incoherent", shape=(2, 2), c=1, k=1, depth=3, share=0.2, seed=0)  # all frequencies self-conjugate
def test_solutions_of_any_problem(kind, shape, c, k, depth, share, seed):
    """Never above zero, ridge, or what one frequency alone can reach; certified; finite."""
    data = own.make_data("incoherent" if kind == "orders" else kind, (c, *shape), k, seed)
    images, rng = data.images, np.random.default_rng(seed)
    if kind == "orders":
        power = 10.0 ** rng.uniform(-6, 6, (c, *shape))
        power = np.sqrt(power * np.roll(power[:, ::-1, ::-1], 1, axis=(1, 2)))  # of a frequency and its conjugate
        images = np.fft.ifft2(np.fft.fft2(images) * np.sqrt(power)).real
    problem = families.with_share(
        RegularizedProblem(SecondMoments.from_data(images, data.targets), depth=depth, lam=1.0), share
    )
    solution = solve(problem, n_starts=5, throw=False)
    assert np.isfinite(solution.predictor).all()
    assert np.isfinite(solution.objective)
    slack = 1e-8 * problem.moments.target_power
    if solution.status is Status.SUCCESS:
        assert solution.certificate.kind == "global" if depth <= 2 else solution.certificate.kind != "none"
    assert solution.objective <= problem.moments.target_power * (1 + 1e-12)
    assert solution.objective <= problem.objective(ridge(problem.moments, problem.lam)) + slack
    values, columns = problem.pack(solution.predictor), problem.coordinates
    size = float(np.abs(values).max()) or 1.0
    for scale in (1e-3, 0.3):
        for b in rng.integers(0, columns.n_blocks, 3):
            other = values.copy()
            other[:, columns.starts[b] : columns.starts[b + 1]] += scale * size * rng.standard_normal()
            assert solution.objective <= problem.objective_of(other) + slack
            other[:, columns.starts[b] : columns.starts[b + 1]] = 0.0
            assert solution.objective <= problem.objective_of(other) + slack
    if depth <= 2:  # deeper ones may come with a proof of their own
        assert certify(problem, solution.predictor).gap == solution.certificate.gap


def test_a_second_search_on_the_same_moments_finds_the_same_bits():
    """Lines of Σ^xx that the first one formed are there already: they must be the same lines."""
    rng = np.random.default_rng(0)
    images, targets = rng.standard_normal((60, 1, 14, 14)), rng.standard_normal((60, 1))
    moments = SecondMoments.from_data(images, targets, form="samples")
    problem = families.with_share(RegularizedProblem(moments, depth=3, lam=1.0), 0.1)
    first, second = (solve(problem, method="search", n_starts=3, throw=False).predictor for _ in range(2))
    assert first.any()
    assert np.array_equal(first, second)

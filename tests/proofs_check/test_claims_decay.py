"""The claims about weight decay: their parts against definitions, the library planted with errors, the exact forms."""

from __future__ import annotations

import importlib
import itertools

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from lineardyn import LinearCNN, SecondMoments
from proofs_check import Outcome, check, claims, get
from proofs_check.claims import equivalence
from proofs_check.claims.araki_lieb_thirring import draw_square_pair
from proofs_check.claims.brute_force import lowest, lowest_from_zero
from proofs_check.claims.factorisations import balanced_factors
from proofs_check.claims.holder import draw_chain, draw_pair, factors_of, pack_chain
from proofs_check.claims.penalties import landing_and_jump
from proofs_check.claims.schatten import CUT, draw_matrices, product, singular_values, well_conditioned
from proofs_check.claims.shrinkage import draw_coefficient, network_minimum, shrink
from tests.strategies import seeds

EXACT = [claim.id for claim in claims() if claim.extended is not None and "chain" in claim.attacked]
SYMBOLIC = ["variational-identity", "prox-stationarity", "prox-jump", "ridge-shrinkage", "soft-threshold"]


def module(name):
    return importlib.import_module(f"proofs_check.claims.{name}")


# --- Errors of the library are refuted ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claim_id", "place", "name", "wrong"),
    [
        ("prox-global-minimum", "penalties", "prox", lambda right: lambda z, u, depth: right(z, 1.01 * u, depth=depth)),
        ("prox-stationarity", "penalties", "prox", lambda right: lambda z, u, depth: 1.001 * right(z, u, depth=depth)),
        ("prox-jump", "penalties", "jump", lambda right: lambda u, depth: right(1.01 * u, depth=depth)),
        ("power-law-shrinkage", "shrinkage", "power_law", lambda right: lambda v, lam, **k: right(v, 1.01 * lam, **k)),
        (
            "least-weights",
            "equivalence",
            "factorize",
            lambda right: lambda v, w: right(2 * v, w),
        ),
    ],
)
def test_a_planted_error_in_the_library_is_seen(claim_id, place, name, wrong, monkeypatch):
    where = module(place)
    monkeypatch.setattr(where, name, wrong(getattr(where, name)))
    assert check(claim_id, n=40, rng=0).outcome is not Outcome.NOT_REFUTED


def test_weights_of_another_predictor_say_nothing_about_this_one(monkeypatch):
    right = equivalence.factorize
    monkeypatch.setattr(equivalence, "factorize", lambda v, w: right(v.conj(), w))
    assert check("least-weights", n=20, rng=0).outcome is Outcome.INCONCLUSIVE


def test_a_solver_that_ends_at_a_local_minimum_is_refuted(monkeypatch):
    """0 for every problem: the networks find better ones from random weights."""
    right = equivalence.solve
    monkeypatch.setattr(equivalence, "solve", lambda problem, **k: right(problem.with_lam(1e3 * problem.lam), **k))
    assert check("equivalence", n=3, rng=0).outcome is Outcome.REFUTED


# --- Singular values ------------------------------------------------------------------------------------------------


def test_round_off_zeros_fake_a_violation_and_are_cut():
    """diag(1, 0) in another basis, twice: rank one, but float64 says 1e-17, of which the power 0.05 is 0.14."""
    q = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    rank_one = q @ np.diag([1.0, 0.0, 0.0]) @ q.T
    exponents = np.array([0.1, 0.1])
    naive = np.linalg.svd(rank_one @ rank_one, compute_uv=False)
    assert (naive**0.05).sum() > 1.1
    instance = pack_chain([rank_one[None], rank_one[None]], [3] * 3) | {"exponents": exponents[None]}
    left, right = get("schatten-hoelder").sides(instance)
    assert left[0] == pytest.approx(1.0, abs=1e-12)
    assert right[0] == pytest.approx(1.0, abs=1e-12)


@given(seed=seeds)
def test_what_is_cut_is_round_off(seed):
    """The error of a product's singular values is below CUT times the operator norms: against 60 digits."""
    rng = np.random.default_rng(seed)
    instance = draw_chain(rng, 2)
    factors = [factor[0] for factor in factors_of(instance)]
    bound = np.prod([np.linalg.norm(factor, 2) for factor in factors])
    with mpmath.workdps(60):
        exact = [mpmath.matrix(factor.tolist()) for factor in factors]
        total = exact[0]
        for factor in exact[1:]:
            total = total * factor
        values = [float(v) for v in mpmath.svd_c(total, compute_uv=False)]
    assert np.abs(singular_values(product(factors)) - values).max() < 0.1 * CUT * bound


@pytest.mark.parametrize("claim_id", EXACT)
@settings(max_examples=8, deadline=None)
@given(seed=seeds, row=st.integers(0, 31))
def test_sixty_digits_agree_where_float64_suffices(claim_id, seed, row):
    claim = get(claim_id)
    batch = claim.draw(np.random.default_rng(seed), 32)
    one = {name: np.array(v[row]) if isinstance(v, np.ndarray) else v for name, v in batch.items()}
    factors = [f / np.linalg.norm(f, 2) for f in factors_of(one)]
    spectra = [*map(singular_values, factors), singular_values(product(factors))[: min(one["dims"])]]
    if np.concatenate(spectra).min() < 1e-3:  # of low rank in float64 alone: 60 digits see its round-off
        return
    left, right = claim.both_sides(one)
    exact = claim.extended.__wrapped__
    with mpmath.workdps(60):
        exact_left, exact_right = exact(one, **claim.formula)
        scale = float(exact_right[0])
        shown = np.array([float(a) / scale for a in exact_left])
    count = len(shown)
    assert np.atleast_1d(left)[:count] / np.atleast_1d(right)[0] == pytest.approx(shown, abs=1e-10)


def test_doubtful_instances_are_judged_in_sixty_digits():
    """Rows of condition 1e6: the exact form is what decides, and it refutes the planted error as well."""
    claim = get("schatten-hoelder")
    rng = np.random.default_rng(3)
    spread = np.diag([1.0, 1e-3, 1e-6])
    q = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    one = {
        name: v[0] if isinstance(v, np.ndarray) else v
        for name, v in pack_chain([(q @ spread)[None], (spread @ q)[None]], [3] * 3).items()
    } | {"exponents": np.array([0.3, 0.3])}
    assert not well_conditioned(factors_of(one))
    assert claim.residual_of(one) <= claim.tolerance
    assert claim.residual_of(one, mutant="1% below") == pytest.approx(1 / 99, abs=1e-12)


@pytest.mark.parametrize("draw", [draw_chain, draw_pair, draw_square_pair])
def test_instances_hold_the_hard_cases(draw):
    """Low rank, equal singular values, conditions up to 1e6, scales over six decades, one-dimensional factors."""
    ranks, spread, scales, sizes = set(), [], [], set()
    for seed in range(30):
        instance = draw(np.random.default_rng(seed), 32)
        first = factors_of(instance)[0]
        sizes.add(min(instance["dims"]))
        values = singular_values(first)
        scales += values[:, 0].tolist()
        relative = values / values[:, :1]
        ranks |= set((relative > 1e-12).sum(axis=1).tolist())
        spread.append(np.where(relative > 1e-12, relative, 1.0).min())
    assert {1, 2, 3, 4} <= ranks
    assert min(spread) < 1e-4
    assert max(scales) / min(scales) > 1e5
    assert {1, 2, 3} <= sizes


# --- Brute force ----------------------------------------------------------------------------------------------------


def test_grids_zoom_to_the_minimum_of_each_row():
    centres = np.array([0.1, 0.77, 0.0, 1.0])
    x, value = lowest(lambda x: np.abs(x - centres[:, None]), np.zeros(4), np.ones(4))
    assert x == pytest.approx(centres, abs=1e-10)
    assert value == pytest.approx(np.zeros(4), abs=1e-10)


@pytest.mark.parametrize("root", [1e-6, 1e-3, 0.3, 0.9])
def test_minima_next_to_zero_are_found(root):
    x, _ = lowest_from_zero(lambda x: (x - root) ** 2, np.ones(1))
    assert x[0] == pytest.approx(root, abs=1e-7)


def test_two_basins_are_both_looked_into():
    u, z = 0.3, 1.0
    v = 1.5 * u ** (2 / 3)  # the jump at L = 4
    for level, basin in ((1.001 * v, True), (0.999 * v, False)):
        x, height = lowest_from_zero(lambda x, a=level: 0.5 * (x - a) ** 2 + u * np.sqrt(x), np.array([z]))
        assert bool(x[0] > 1e-9) == basin
        assert height[0] <= 0.5 * level**2


@settings(max_examples=15, deadline=None)
@given(seed=seeds, depth=st.integers(1, 4))
def test_the_best_network_at_one_frequency_is_that_of_a_descent_in_all_its_layers(seed, depth):
    """Complex layers a_1 .. a_L, each free: no balance, no phase and no modulus is assumed."""
    rng = np.random.default_rng(seed)
    instance = draw_coefficient(rng, 1, depths=(depth,))
    least, tau, lam = instance["least"][0], instance["tau"][0], instance["lam"][0]
    root = instance["n_pixels"] ** ((depth - 1) / 2)
    unit = tau * abs(least) ** 2
    _, height = network_minimum(
        instance["least"], instance["tau"], instance["lam"], n_pixels=instance["n_pixels"], depth=depth
    )

    def objective(x):
        layers = x[:depth] + 1j * x[depth:]
        return (tau * abs(root * np.prod(layers) - least) ** 2 + lam * (np.abs(layers) ** 2).sum()) / unit

    size = (abs(least) / root) ** (1 / depth)
    starts = [s * size * rng.standard_normal(2 * depth) for s in (0.5, 1.0, 1.0, 1.5, 1.5, 2.0)]
    found = min(minimize(objective, x, method="BFGS", options={"gtol": 1e-9}).fun for x in starts)
    assert found >= height[0] / unit - 1e-9
    assert min(found, 1.0) == pytest.approx(height[0] / unit, abs=1e-6)


@given(seed=seeds, depth=st.integers(3, 8))
def test_the_largest_root_is_a_root_above_the_landing(seed, depth):
    rng = np.random.default_rng(seed)
    size, tau, mu = rng.uniform(0.1, 3.0, (3, 16))
    s = shrink(size, tau, mu, depth)
    p = 2 / depth
    landing, jump = landing_and_jump(mu / (2 * tau), depth)
    kept = s > 0
    assert np.array_equal(kept, size > jump)
    assert (s[kept] >= landing[kept] * (1 - 1e-12)).all()
    slope = 2 * tau * (s - size) + mu * p * np.where(kept, s, 1.0) ** (p - 1)
    assert np.abs(slope[kept]).max(initial=0.0) < 1e-12 * np.max(tau * size)


# --- The network in pixel space -------------------------------------------------------------------------------------


@given(seed=seeds, depth=st.integers(1, 4), shape=st.sampled_from([(1, 1), (1, 2), (2, 2), (3, 2), (1, 5)]))
def test_the_network_is_that_of_its_definition(seed, depth, shape):
    """Loss and predictor as the library's network has them, and the gradient by differences."""
    rng = np.random.default_rng(seed)
    channels, outputs = (int(d) for d in rng.integers(1, 3, 2))
    widths = tuple(int(d) for d in rng.integers(1, 4, depth - 1))
    network = LinearCNN((channels, *shape), widths=widths, n_outputs=outputs)
    images, targets = rng.standard_normal((7, channels, *shape)), rng.standard_normal((7, outputs))
    sizes = (channels, *widths, outputs)
    shapes = [(out, shape[0] * shape[1], into) for into, out in itertools.pairwise(sizes)]
    flat = rng.standard_normal(sum(int(np.prod(s)) for s in shapes))
    rows = images.transpose(0, 2, 3, 1).reshape(7, -1)
    moments = {"xx": rows.T @ rows / 7, "yx": targets.T @ rows / 7, "yy": (targets**2).sum() / 7}
    sums = module("equivalence")._sums(shape)
    value, gradient = equivalence.objective_and_gradient(flat, shapes, sums, moments, 0.3)
    weights = [w.reshape(len(w), *shape, w.shape[2]) for w in equivalence.split(flat, shapes)]
    twice = 2 * network.loss(weights, SecondMoments.from_data(images, targets), weight_decay=0.3)
    assert value == pytest.approx(twice, rel=1e-10)
    direction, h = rng.standard_normal(flat.size), 1e-6
    ahead, behind = (
        equivalence.objective_and_gradient(flat + s * h * direction, shapes, sums, moments, 0.3)[0] for s in (1, -1)
    )
    # central differences: the third derivative times h² ≈ 1e-12, round-off 1e-16/h = 1e-10 of the value
    assert gradient @ direction == pytest.approx((ahead - behind) / (2 * h), rel=1e-6, abs=1e-7 * abs(value))


@given(seed=seeds, depth=st.integers(1, 4))
def test_balanced_factors_give_the_block_cut_to_their_width_at_its_cost(seed, depth):
    rng = np.random.default_rng(seed)
    dims = [int(d) for d in rng.integers(1, 4, depth + 1)]
    blocks = draw_matrices(rng, 5, dims[0], dims[-1])
    factors = balanced_factors(blocks, dims, 6)
    left, values, right = np.linalg.svd(blocks, full_matrices=False)
    kept = min(dims)
    cut = (left[:, :, :kept] * values[:, None, :kept]) @ right[:, :kept]
    scale = values.max()
    assert 6 ** ((depth - 1) / 2) * product(factors) == pytest.approx(cut, abs=1e-12 * scale)
    paid = sum((np.abs(factor) ** 2).sum(axis=(1, 2)) for factor in factors)
    values = np.where(values > 1e-13 * values[:, :1], values, 0.0)[:, :kept]
    assert paid == pytest.approx(depth * 6 ** (-(depth - 1) / depth) * (values ** (2 / depth)).sum(axis=1), rel=1e-10)


def test_the_constant_of_narrow_layers_is_that_of_the_theory():
    """Two soft thresholds of 1 - λ, of which one is kept: 0.19 and 1, or 0.38."""
    kept, ignored = (
        equivalence.equivalence_sides(equivalence.IDENTITY_OF_TWO, rank=rank) for rank in ("kept", "ignored")
    )
    assert kept == pytest.approx((1.19, 1.19), abs=1e-8)
    assert ignored == pytest.approx((1.19, 0.38), abs=1e-8)


# --- Exact forms ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("claim_id", SYMBOLIC)
def test_exact_forms_vanish_for_the_statement_and_not_for_its_planted_errors(claim_id):
    claim = get(claim_id)
    assert all(expression == 0 for expression in claim.symbolic(**claim.formula))
    wrong = [name for name in claim.mutants if "conj" not in name]
    assert len(wrong) >= 2
    for name in wrong:
        assert any(expression != 0 for expression in claim.symbolic(**claim.arguments(name))), name

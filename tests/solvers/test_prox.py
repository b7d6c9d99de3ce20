"""The prox of numbers against forty digits, brute force, and its own laws; the powers and weights of the penalty."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lineardyn.errors import ArgumentError
from solvers import _prox_kernels as kernels
from solvers import jump, penalty_power, penalty_weight, prox, schatten_power, schatten_prox
from solvers.penalties import thresholds
from tests.solvers import exact_prox as exact

DEPTHS = [1, 2, 3, 4, 5, 6, 7, 8, 20, 1000]
JUMPING = DEPTHS[2:]
EPS = float(np.finfo(float).eps)
# a few roundings: 2 to 3 of the landing, which count twice for depth 3, those of ζ and of the last subtraction
ACCURACY = 1e-15
JUMP_ULPS = 4  # the jump is within 2 units in the last place, and z/a has its own rounding

depths = st.sampled_from(DEPTHS)
logs = st.floats(-12.0, 12.0)


def points(depth, n, seed):
    """Pairs (z, u): half with u within 10^{±3}, half within 10^{±300}; z from the jump to far above, some below."""
    rng = np.random.default_rng(seed)
    u = 10.0 ** np.where(rng.random(n) < 0.5, rng.uniform(-3, 3, n), rng.uniform(-300, 300, n))
    edge = np.array([max(jump(x, depth=depth)[0], 1e-3 * x if depth == 1 else 0.0) for x in u])
    place = np.where(rng.random(n) < 0.8, 1.0 + 10.0 ** rng.uniform(-14, 6, n), rng.uniform(0.0, 3.0, n))
    z = edge * place
    fair = (z > 1e-300) & (z < 1e300) & (np.abs(z - edge) > JUMP_ULPS * EPS * edge)
    return z[fair], u[fair]


def off(got, z, u, depth):
    """Relative distance from the minimiser; where it is 0, or about to be no normal float, whether as little came."""
    with mpmath.workdps(exact.DIGITS):
        wanted = exact.prox(float(z), float(u), depth)
        if wanted < 1e-290:
            return float(got > 2.0 * wanted)
        return float(abs(mpmath.mpf(float(got)) - wanted) / wanted)


@pytest.mark.parametrize("depth", DEPTHS)
def test_forty_digits_agree(depth):
    z, u = points(depth, 400, seed=depth)
    assert max(map(off, prox(z, u, depth=depth), z, u, [depth] * len(z))) <= ACCURACY


@pytest.mark.parametrize("depth", DEPTHS)
def test_forty_digits_agree_with_one_threshold(depth):
    """Another loop: the landing is made once."""
    for seed, u in enumerate((1e-290, 3e-5, 0.7, 4.2e17, 1e290)):
        edge = jump(u, depth=depth)[0] or u
        z = edge * (1.0 + 10.0 ** np.random.default_rng(seed).uniform(-12, 6, 60))
        z = z[z < 1e300]
        assert max(map(off, prox(z, u, depth=depth), z, [u] * len(z), [depth] * len(z))) <= ACCURACY


@pytest.mark.parametrize("depth", DEPTHS)
def test_one_threshold_and_many_give_the_same_bits(depth):
    """Also where the loop is one of vectors: the operations are IEEE's own, in one order."""
    z = np.random.default_rng(0).uniform(-6.0, 6.0, 1001)
    assert np.array_equal(prox(z, 0.9, depth=depth), prox(z, np.full(1001, 0.9), depth=depth))
    assert np.array_equal(
        prox(z[:7], 0.9, depth=depth), [kernels.shrink(abs(x), 0.9, depth) * np.sign(x) for x in z[:7]]
    )


def test_bits_do_not_depend_on_who_compiles_first():
    """Numba hands the fastmath flags of a caller on to functions that say nothing of them."""
    functions = [function for function in vars(kernels).values() if hasattr(function, "targetoptions")]
    assert len(functions) >= 15
    assert all("fastmath" in function.targetoptions for function in functions)


@given(depth=depths, log_z=st.floats(-2.0, 2.0), log_u=st.floats(-2.0, 2.0), angle=st.floats(0.0, 6.3))
def test_nothing_on_a_grid_is_lower(depth, log_z, log_u, angle):
    """Of complex numbers: a polar grid around 0 that holds the ray of z."""
    u, z = 10.0**log_u, 10.0**log_z * np.exp(1j * angle)
    lengths = np.concatenate([[0.0], np.geomspace(1e-12, 1.0, 200), np.linspace(0.0, 1.1, 2001)]) * abs(z)
    grid = lengths[:, None] * np.exp(1j * (angle + np.linspace(0.0, 2.0 * np.pi, 17)))
    best = exact.objective(grid, z, u, depth).min()
    # round-off of the objective, whose terms are at most ½|z|² at the minimum
    assert exact.objective(prox(z, u, depth=depth), z, u, depth) <= best + 1e-14 * abs(z) ** 2


@pytest.mark.parametrize("depth", JUMPING)
@pytest.mark.parametrize("u", [1e-250, 0.02, 1.0, 37.0, 1e250])
def test_jump_from_both_sides(depth, u):
    at, to = jump(u, depth=depth)
    assert prox(at, u, depth=depth) == 0.0  # at the jump: 0
    assert prox(np.full(9, -at), u, depth=depth).tolist() == [0.0] * 9
    assert prox(at * (1.0 - JUMP_ULPS * EPS), u, depth=depth) == 0.0
    above = prox(at * (1.0 + JUMP_ULPS * EPS), u, depth=depth)
    # z is JUMP_ULPS beyond, plus 2 of the jump; dx/dz is L/(L-1) <= 3/2 there and z/x at most 2
    assert above == pytest.approx(to, rel=3.0 * (JUMP_ULPS + 2) * EPS)
    with mpmath.workdps(exact.DIGITS):
        assert abs(exact.threshold(u, depth) / at - 1) <= 2 * EPS
        assert abs(exact.landing(u, depth) / to - 1) <= 2 * EPS


@pytest.mark.parametrize("depth", JUMPING)
def test_at_the_jump_zero_and_the_landing_cost_the_same(depth):
    u = 0.37
    at, to = jump(u, depth=depth)
    cost = exact.objective(np.array([0.0, to]), at, u, depth)
    # ½(s* - v*)² + u s*^p = ½v*²: the second is a sum of two terms below it, each right to a few roundings
    assert cost[1] == pytest.approx(cost[0], rel=1e-14)
    others = exact.objective(np.linspace(0.0, 1.2 * at, 1201)[1:], at, u, depth)
    assert others.min() >= cost[0] * (1.0 - 1e-14)


def test_jumps_of_the_theory():
    """``1.5 u^{2/3}`` for L = 4, ``2(2u/3)^{3/4}`` for L = 3, u for L = 2, none for L = 1."""
    assert jump(8.0, depth=4) == (6.0, 4.0)
    assert jump(24.0, depth=3) == (16.0, 8.0)
    assert jump(5.0, depth=2) == (5.0, 0.0)
    assert jump(5.0, depth=1) == (0.0, 0.0)


def test_known_values():
    assert prox([4.0, -4.0], 1.5, depth=1).tolist() == [1.0, -1.0]
    assert prox([4.0, -4.0, 1.5], 1.5, depth=2).tolist() == [2.5, -2.5, 0.0]
    # x = 1: z = 1 + (2/3)u and 1 + u/2
    assert prox([3.0, 2.0], [3.0, 1.5], depth=3).tolist() == [0.0, 0.0]
    assert prox(1.5, 0.75, depth=3) == pytest.approx(1.0, rel=ACCURACY)
    assert prox(1.4, 0.8, depth=4) == pytest.approx(1.0, rel=ACCURACY)
    assert prox(1.2, 0.5, depth=5) == pytest.approx(1.0, rel=ACCURACY)


@given(depth=depths, log_z=logs, log_u=logs, power=st.integers(-40, 40))
@example(depth=3, log_z=0.0, log_u=0.0, power=-7)
def test_homogeneity(depth, log_z, log_u, power):
    """``prox(c z, c^{2-p} u) = c prox(z, u)``, with c = 2^{kL}, so that c^{2-p} = 2^{k(2L-2)} is exact."""
    depth = min(depth, 20)  # 2^{kL} must be a float
    k = power // depth
    z, u = 10.0**log_z, 10.0**log_u
    if abs(z - jump(u, depth=depth)[0]) > JUMP_ULPS * EPS * z:
        scaled = prox(z * 2.0 ** (k * depth), u * 2.0 ** (k * (2 * depth - 2)), depth=depth)
        assert scaled == pytest.approx(prox(z, u, depth=depth) * 2.0 ** (k * depth), rel=2.0 * ACCURACY)


@given(depth=depths, log_z=logs, log_u=logs, angle=st.floats(0.0, 6.3))
def test_phase_is_kept(depth, log_z, log_u, angle):
    z, u = 10.0**log_z, 10.0**log_u
    turn = np.exp(1j * angle)
    if abs(z - jump(u, depth=depth)[0]) > 2 * JUMP_ULPS * EPS * z:  # |z e^{iθ}| is z to two roundings
        real = prox(z, u, depth=depth)
        # roundings of the modulus, which the slope of the prox enlarges at most threefold, and of two products
        assert abs(prox(z * turn, u, depth=depth) - real * turn) <= 10.0 * EPS * z
        assert prox(z + 0j, u, depth=depth) == pytest.approx(real, rel=4.0 * EPS)


@given(depth=depths, log_u=logs, seed=st.integers(0, 999))
def test_monotone_odd_and_no_longer_than_z(depth, log_u, seed):
    u = 10.0**log_u
    z = np.sort(np.random.default_rng(seed).uniform(0.0, 4.0, 50) * (jump(u, depth=depth)[0] or u))
    x = prox(z, u, depth=depth)
    assert (np.diff(x) >= -2.0 * ACCURACY * x[1:]).all()
    assert ((x >= 0.0) & (x <= z)).all()
    assert np.array_equal(prox(-z, u, depth=depth), -x)
    assert (prox(z, 1.01 * u, depth=depth) <= x).all()


@pytest.mark.parametrize("depth", DEPTHS)
def test_nothing_to_shrink(depth):
    z = np.array([0.0, -0.0, 1.0, -2.5, 1e300, 1e-300, 5e-324])
    assert np.array_equal(prox(z, 0.0, depth=depth), z)
    assert np.array_equal(prox(z, np.zeros(7), depth=depth), z)
    assert np.array_equal(prox(z * 1j, 0.0, depth=depth), z * 1j)
    assert np.array_equal(prox(np.zeros(3), [0.0, 1e-300, 1e300], depth=depth), np.zeros(3))
    assert prox(0j, 1.0, depth=depth) == 0.0


@pytest.mark.parametrize("depth", [*DEPTHS, 10**6, 10**30])
def test_huge_and_tiny_arguments(depth):
    ends = np.array([5e-324, 1e-300, 1e-150, 1e-3, 1.0, 1e3, 1e150, 1e300, 1.7e308])
    z, u = (g.ravel() for g in np.meshgrid(ends, np.append(0.0, ends)))
    x = prox(z, u, depth=depth)
    assert ((x >= 0.0) & (x <= z)).all()
    if depth <= 1000:
        assert max(map(off, x, z, u, [depth] * len(z))) <= ACCURACY
    sides = prox(z + 0j, u, depth=depth)
    assert np.abs(sides - x).max() <= 4.0 * EPS * x.max()


def test_deep_limit_is_the_hard_threshold():
    """``|x|^p`` → 1: z is kept where ``½z² > u``."""
    z = np.linspace(-4.0, 4.0, 801)
    for depth, error in ((10**4, 1e-3), (10**8, 1e-7), (10**30, 1e-15)):
        x = prox(z, 1.3, depth=depth)
        clear = np.abs(np.abs(z) - np.sqrt(2.6)) > 1e-2
        hard = np.where(np.abs(z) > np.sqrt(2.6), z, 0.0)
        assert np.abs(x - hard)[clear].max() <= error  # ≈ p u/z


def test_shapes_broadcast_and_inputs_stay():
    z = np.linspace(-3.0, 3.0, 12).reshape(3, 4)
    u = np.array([0.1, 0.5, 1.0])[:, None]
    before = z.copy(), u.copy()
    x = prox(z, u, depth=3)
    assert x.shape == (3, 4)
    assert all(np.array_equal(x[i], prox(z[i], u[i, 0], depth=3)) for i in range(3))
    assert np.array_equal(prox(z.T, u.T, depth=3), x.T)  # no contiguous array
    assert np.array_equal(z, before[0])
    assert np.array_equal(u, before[1])
    assert prox(2.0, 0.5, depth=3).shape == ()
    assert prox(np.zeros((0, 3)), 1.0, depth=3).shape == (0, 3)
    assert prox(np.float32(2.0), 1, depth=2).dtype == np.float64
    assert prox([True, False], 0.25, depth=2).tolist() == [0.75, 0.0]


@pytest.mark.parametrize("depth", DEPTHS)
def test_kernels_write_in_place_and_keep_nan(depth):
    z = np.array([3.0, -0.1, np.nan, 5.0, -7.0, 0.0, 1.0, 2.0, np.nan])
    wanted = np.empty(9)
    kernels.shrink_array(z, np.array([0.3]), depth, wanted)
    assert np.array_equal(np.isnan(wanted), np.isnan(z))  # a solver that diverges is seen
    assert np.isnan(kernels.shrink(np.nan, 0.3, depth))
    for u in (np.array([0.3]), np.full(9, 0.3)):
        place = z.copy()
        kernels.shrink_array(place, u, depth, place)
        assert np.array_equal(place, wanted, equal_nan=True)


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
@pytest.mark.parametrize("n_pixels", [1, 12])
def test_weight_is_what_the_layers_pay(depth, n_pixels):
    """``min Σ w_l²`` over ``v = P^{(L-1)/2} Π w_l`` is ``L P^{-(L-1)/L} |v|^{2/L}``, attained by equals."""
    weights = np.exp(np.random.default_rng(0).standard_normal((500, depth)))
    weights[0] = 0.8
    v = n_pixels ** (0.5 * (depth - 1)) * weights.prod(axis=1)
    paid = (weights**2).sum(axis=1) / v ** penalty_power(depth)
    assert paid[0] == pytest.approx(penalty_weight(1.0, depth=depth, n_pixels=n_pixels), rel=1e-14)
    assert paid.min() >= paid[0] * (1.0 - 1e-14)


@pytest.mark.parametrize("depth", [1, 2, 3, 8])
def test_threshold_of_a_pair_counts_both(depth):
    """Real coordinates: ``u ‖√2 v̂‖^p`` for a pair is half of its two penalties."""
    mu = 0.3
    v = 0.7 - 0.2j
    alone, pair = thresholds(mu, [True, False], depth=depth)
    p = penalty_power(depth)
    assert alone == 0.5 * mu
    assert pair * abs(np.sqrt(2.0) * v) ** p == pytest.approx(0.5 * 2.0 * mu * abs(v) ** p, rel=1e-14)


BAD = {
    "z nan": (lambda: prox([1.0, np.nan], 1.0, depth=2), r"z holds nan at index \(1,\), expected finite"),
    "z infinite": (lambda: prox([np.inf], 1.0, depth=2), r"z holds inf"),
    "z text": (lambda: prox("ab", 1.0, depth=2), r"z has dtype <U2, expected real or complex"),
    "z ragged": (lambda: prox([[1], [1, 2]], 1.0, depth=2), r"z is no array"),
    "z too long": (lambda: prox(1.7e308 * (1 + 1j), 1.0, depth=3), r"z holds a modulus above 1.8e308"),
    "u negative": (lambda: prox(1.0, [-0.5], depth=2), r"u holds -0.5, expected numbers >= 0"),
    "u nan": (lambda: prox(1.0, np.nan, depth=2), r"u holds nan"),
    "u complex": (lambda: prox(1.0, 1j, depth=2), r"u has dtype complex128, expected real"),
    "u of another shape": (
        lambda: prox(np.ones(3), np.ones(2), depth=2),
        r"u has shape \(2,\), .*broadcasts to \(3,\)",
    ),
    "u larger than z": (lambda: prox(np.ones(3), np.ones((2, 3)), depth=2), r"u has shape \(2, 3\)"),
    "u larger than a number": (lambda: prox(1.0, [1.0], depth=2), r"u has shape \(1,\)"),
    "depth 0": (lambda: prox(1.0, 1.0, depth=0), r"depth is 0, expected an integer >= 1"),
    "depth a half": (lambda: prox(1.0, 1.0, depth=2.5), r"depth is 2.5, expected an integer"),
    "depth true": (lambda: prox(1.0, 1.0, depth=True), r"depth is True, expected an integer"),
    "Z a vector": (lambda: schatten_prox(np.ones(3), 1.0, depth=2), r"Z has shape \(3,\), expected \(\.\.\., K, C\)"),
    "Z nan": (lambda: schatten_prox([[np.nan]], 1.0, depth=2), r"Z holds nan at index \(0, 0\)"),
    "Z too large": (lambda: schatten_prox(np.full((4, 4), 1e308), 1.0, depth=2), r"Z holds an entry of 1e\+308"),
    "u for entries": (
        lambda: schatten_prox(np.ones((5, 2, 2)), np.ones((5, 2, 2)), depth=2),
        r"u has shape \(5, 2, 2\), expected one number or a shape that broadcasts to \(5,\)",
    ),
    "rank 0": (lambda: schatten_prox(np.eye(2), 1.0, depth=2, rank=0), r"rank is 0, expected an integer >= 1"),
    "jump negative": (lambda: jump(-1.0, depth=3), r"u is -1, expected a number >= 0"),
    "jump depth": (lambda: jump(1.0, depth=None), r"depth is None, expected an integer"),
    "weight pixels": (lambda: penalty_weight(1.0, depth=2, n_pixels=0), r"n_pixels is 0"),
    "weight lam": (lambda: penalty_weight(np.nan, depth=2, n_pixels=4), r"lam is nan"),
    "thresholds not of booleans": (lambda: thresholds(1.0, [0, 1], depth=2), r"self_conjugate has dtype int64"),
    "power of a vector": (lambda: schatten_power([1.0], depth=2), r"matrices has shape \(1,\)"),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_bad_call_is_named(name):
    call, text = BAD[name]
    with pytest.raises(ArgumentError, match=text) as caught:
        call()
    assert "\n" not in str(caught.value)

"""Finite samples through two frequencies: fit, spectrum, equivariance, as networks; symmetric points are refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineardyn.errors import ArgumentError
from proofs_check.cbn import pooling_eigenvalues, two_frequencies
from proofs_check.cbn.construction import build_bottleneck
from proofs_check.cbn.two_frequencies import two_frequency_factorization
from tests.proofs_check.cbn.pixels import mirrored

# a rounding of ⟨u, x⟩ times the steepest slope: of J = K n values the closest of all pairs are about 1/J² apart, times
# the best of 64 directions; J ≤ 40 here
CLOSE = 1e-9

seeds = st.integers(0, 2**20)


def random_sample(seed, n, orbits, channels=1):
    """Orbits, some with two members, in random order."""
    rng = np.random.default_rng(seed)
    first = rng.standard_normal((orbits, channels, n))
    again = np.roll(first[: orbits // 2], int(rng.integers(1, n)), axis=-1)
    return np.concatenate([first, again])[rng.permutation(orbits + orbits // 2)]


def shifted(x, p):
    return np.roll(x, p, axis=-1)


@given(seed=seeds, n=st.integers(2, 8), orbits=st.integers(1, 5), channels=st.integers(1, 2))
def test_any_equivariant_map_factors_on_the_sample_and_its_shifts(seed, n, orbits, channels):
    x = random_sample(seed, n, orbits, channels)
    y = np.abs(x[:, :1]) - np.roll(x, 1, axis=-1)[:, -1:] ** 2  # no linear map
    factors = two_frequency_factorization(x, y, rng=seed)
    scale = np.abs(y).max()
    for p in range(n):
        assert np.abs(factors(shifted(x, p)) - shifted(y, p)).max() <= CLOSE * scale
    assert factors.residual <= CLOSE


@given(seed=seeds, n=st.integers(2, 8), orbits=st.integers(1, 5))
def test_the_code_is_one_cosine_that_moves_with_the_point(seed, n, orbits):
    x = random_sample(seed, n, orbits)
    factors = two_frequency_factorization(x, rng=seed)
    i = np.arange(n)
    for image, k, t in zip(x, factors.orbit, factors.shift, strict=True):
        wanted = factors.radii[k] * np.cos(2 * np.pi * (i - t) / n)
        assert np.abs(factors.inner(image)[0] - wanted).max() <= CLOSE
        first = x[int(np.flatnonzero(factors.orbit == k)[0])]
        assert np.array_equal(image, shifted(first, t))
    spectrum = np.abs(np.fft.fft(factors.inner(x), axis=-1)).max(axis=(0, 1))
    assert set(np.flatnonzero(spectrum > 1e-6)) == {1, n - 1}
    assert len(set(factors.radii)) == orbits
    assert (factors.radii > 0).all()
    assert len(factors.radii) == orbits


@given(seed=seeds, n=st.integers(2, 6), channels=st.integers(1, 2))
def test_both_maps_are_equivariant_and_continuous_everywhere(seed, n, channels):
    """Also off the sample, where they are nothing in particular."""
    rng = np.random.default_rng(seed)
    factors = two_frequency_factorization(random_sample(seed, n, 3, channels), rng=seed)
    for g, c in ((factors.inner, channels), (factors.outer, 1)):
        x = rng.standard_normal((4, c, n))
        assert np.abs(g(shifted(x, 1)) - shifted(g(x), 1)).max() <= CLOSE
        steepest = (np.abs(np.diff(g.values, axis=0)) / np.diff(g.knots)[:, None]).max()
        near = x + 1e-9 * rng.standard_normal(x.shape)
        assert np.abs(g(near) - g(x)).max() <= 2.0 * steepest * np.linalg.norm(g.direction) * 1e-8


@pytest.mark.parametrize("kind", ["none", "local"])
@pytest.mark.parametrize(("n", "orbits"), [(2, 1), (3, 2), (5, 2), (6, 1)])
def test_a_deep_network_of_rank_two_fits_the_sample(n, orbits, kind):
    """With k_ω = 1 at ±1 alone: the bottleneck rank of a finite sample is at most 2, whatever f is (1 if n = 2)."""
    m = pooling_eigenvalues((n,), kind, 0.2)
    x = random_sample(3, n, orbits)
    y = x**3
    g, h = two_frequency_factorization(x, y).as_networks(m)
    radius = float(np.linalg.norm(x, axis=(1, 2)).max())
    built = build_bottleneck(g, h, depth=30, pooling=m, radius=radius, positivity="biases", tol=1e-14)
    wanted = np.zeros(n)
    wanted[[1, -1]] = 1
    assert np.array_equal(built.ranks, wanted)
    assert built.cost_per_layer == pytest.approx((1.0 if n == 2 else 2.0) / m[1] ** 2)
    # slopes of a hundred that cancel, twice, and an offset some hundred times the signal
    for image, target in zip(x, y, strict=True):
        out = mirrored(built.network).run(image)[0][-1]
        assert np.abs(out - target.ravel()).max() <= 1e-7 * np.abs(y).max()


@given(seed=seeds, n=st.integers(2, 6))
def test_two_layers_are_the_interpolant(seed, n):
    factors = two_frequency_factorization(random_sample(seed, n, 2), rng=seed)
    x = np.random.default_rng(seed).standard_normal((5, 1, n))
    net = factors.inner.as_network()
    assert net.depth == 2
    # the slopes are at most 1/gap and cancel
    slack = 1e-13 / np.diff(factors.inner.knots).min()
    assert np.abs(net(x) - factors.inner(x)).max() <= 1e-9 + slack


def test_the_same_for_every_order_and_seeded():
    x = random_sample(0, 5, 3)
    one, two = (two_frequency_factorization(x, rng=7) for _ in range(2))
    assert np.array_equal(one.inner.direction, two.inner.direction)
    assert not np.array_equal(one.inner.direction, two_frequency_factorization(x, rng=8).inner.direction)


X = random_sample(0, 6, 2)
SYMMETRIC = np.concatenate([X, np.tile([[[1.0, 2.0, 3.0]]], (1, 1, 2))])
BAD = {
    "symmetric": ((SYMMETRIC,), {}, r"samples\[3\] equals its shift by 3, expected points without symmetry"),
    "constant": ((np.ones((1, 1, 4)),), {}, r"samples\[0\] equals its shift by 1"),
    "zero": ((np.zeros((1, 1, 4)),), {}, r"samples\[0\] equals its shift by 1"),
    "not equivariant": (
        (np.concatenate([X[:1], shifted(X[:1], 2)]), np.ones((2, 1, 6)) * [[[1, 0, 0, 0, 0, 0]]]),
        {},
        "targets",
    ),
    "one pixel": ((np.ones((2, 1, 1)),), {}, "expected .* n ≥ 2"),
    "two axes": ((np.ones((2, 4)),), {}, r"samples has shape \(2, 4\)"),
    "none": ((np.ones((0, 1, 4)),), {}, r"samples has shape \(0, 1, 4\)"),
    "other number": ((X, X[:1]), {}, r"targets has shape \(1, 1, 6\)"),
    "no channel": ((X, X[:, :0]), {}, r"targets has shape \(3, 0, 6\)"),
    "no direction": ((X,), {"n_directions": 0}, "n_directions is 0"),
    "no seed": ((X,), {"rng": -1}, "rng is -1"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_calls_say_what_to_do(case):
    arguments, keywords, text = BAD[case]
    with pytest.raises(ArgumentError, match=text):
        two_frequency_factorization(*arguments, **keywords)


def test_points_that_float64_cannot_tell_apart_are_refused(monkeypatch):
    near = np.array([[[1.0, 2.0, 4.0]], [[1.0, 2.0, 4.0 + 2e-8]]])
    factors = two_frequency_factorization(near, near)
    assert len(factors.radii) == 2
    assert factors.residual < 1e-6  # 1e-8 apart: an interpolant exists
    assert len(two_frequency_factorization(near - [[[0, 0, 2e-8]]] * np.array([0, 1])[:, None, None]).radii) == 1
    monkeypatch.setattr(two_frequencies, "_APART", 1.0)
    with pytest.raises(ArgumentError, match="2 orbits that no direction out of 64 tells apart"):
        two_frequency_factorization(near)


def test_orbits_of_very_different_size():
    x = np.random.default_rng(0).standard_normal((3, 1, 5)) * np.array([1e-6, 1.0, 1e6])[:, None, None]
    factors = two_frequency_factorization(x, np.sign(x))
    assert factors.residual <= CLOSE


def test_an_image_of_another_shape_is_refused():
    with pytest.raises(ArgumentError, match=r"x has shape \(1, 5\)"):
        two_frequency_factorization(X).inner(np.ones((1, 5)))

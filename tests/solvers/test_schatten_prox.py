"""The prox of matrices against LAPACK, many digits, brute force, and its own laws."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from solvers import _prox_kernels as kernels
from solvers import jump, prox, schatten_power, schatten_prox
from tests.solvers import exact_prox as exact

EPS = float(np.finfo(float).eps)
# of the largest singular value: LAPACK's own round-off is max(K, C) times some EPS, here at most 13 and 14
ACCURACY = 1e-13
SIZES = [(1, 1), (1, 4), (4, 1), (2, 2), (3, 2), (10, 3), (3, 10), (5, 4), (8, 8), (12, 12), (13, 14)]
DEPTHS = [1, 2, 3, 4, 6]

sizes = st.sampled_from(SIZES[:-1])
depths = st.sampled_from(DEPTHS)
seeds = st.integers(0, 2**20)


def unitary(n, rng, complex_=True):
    x = rng.standard_normal((n, n)) + (1j * rng.standard_normal((n, n)) if complex_ else 0.0)
    return np.linalg.qr(x)[0]


def with_values(values, size, rng, complex_=True):
    """A matrix of these singular values, its singular vectors random."""
    k, c = size
    n = min(k, c)
    values = np.resize(values, n)
    return (unitary(k, rng, complex_)[:, :n] * values) @ unitary(c, rng, complex_)[:, :n].conj().T


def by_lapack(z, u, depth, rank=None):
    left, values, right = np.linalg.svd(z, full_matrices=False)
    shrunk = prox(values, u, depth=depth)
    shrunk[len(shrunk) if rank is None else rank :] = 0.0
    return (left * shrunk) @ right


def clear_of_the_jump(z, u, depth):
    """Round-off of the singular values decides nothing."""
    values = np.linalg.svd(z, compute_uv=False)
    return (np.abs(values - jump(u, depth=depth)[0]) > ACCURACY * values[0]).all()


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("size", SIZES)
def test_lapack_agrees(size, depth):
    rng = np.random.default_rng(sum(size))
    for real in (False, True):
        z = rng.standard_normal((20, *size)) + (0.0 if real else 1j * rng.standard_normal((20, *size)))
        u = rng.uniform(0.0, 2.0, 20)
        x = schatten_prox(z, u, depth=depth)
        assert x.dtype == z.dtype
        for one, matrix, level in zip(x, z, u, strict=True):
            assert np.linalg.norm(one - by_lapack(matrix, level, depth)) <= ACCURACY * np.linalg.norm(matrix)


@pytest.mark.parametrize("size", [(3, 2), (2, 3), (3, 3)])
def test_thirty_digits_agree(size):
    """As accurate as a backward stable SVD: the soft threshold is non-expansive, so errors of Z are those of X."""
    depth, u = 2, 0.4
    rng = np.random.default_rng(3)
    z = rng.standard_normal(size) + 1j * rng.standard_normal(size)
    with mpmath.workdps(30):
        left, values, right = mpmath.svd_c(mpmath.matrix(z.tolist()), full_matrices=False)
        shrunk = mpmath.diag([max(s - u, 0) for s in values])
        wanted = np.array((left * shrunk * right).tolist(), dtype=complex)
    assert np.linalg.norm(schatten_prox(z, u, depth=depth) - wanted) <= 10.0 * EPS * np.linalg.norm(z)


@given(depth=depths, seed=seeds, log_u=st.floats(-1.5, 1.0), real=st.booleans())
def test_nothing_tried_is_lower(depth, seed, log_u, real):
    """Near the minimiser, far from it, of rank one, and along its own singular vectors."""
    rng, u = np.random.default_rng(seed), 10.0**log_u
    z = with_values(rng.uniform(0.0, 3.0, 2), (3, 2), rng, not real)
    best = schatten_prox(z, u, depth=depth)
    cost = exact.schatten_objective(best, z, u, depth) - 1e-12  # singular values of round-off cost 1e-13^{1/3}: cut
    left, _, right = np.linalg.svd(z, full_matrices=False)
    for i in range(60):
        step = 10.0 ** rng.uniform(-6, 0.5)
        trial = best + step * with_values(rng.uniform(0.0, 1.0, 2), (3, 2), rng, not real)
        if i % 3 == 1:
            trial = with_values([rng.uniform(0.0, 3.0), 0.0], (3, 2), rng, not real)
        if i % 3 == 2:
            trial = (left * rng.uniform(0.0, 3.0, 2)) @ right
        assert exact.schatten_objective(trial, z, u, depth) >= cost


@given(size=sizes, depth=depths, seed=seeds)
def test_unitary_invariance(size, depth, seed):
    rng, u = np.random.default_rng(seed), 0.5
    z = with_values(rng.uniform(0.0, 3.0, 12), size, rng)
    left, right = unitary(size[0], rng), unitary(size[1], rng)
    if clear_of_the_jump(z, u, depth):
        turned = schatten_prox(left @ z @ right, u, depth=depth)
        assert np.linalg.norm(turned - left @ schatten_prox(z, u, depth=depth) @ right) <= ACCURACY * np.linalg.norm(z)
        wide = schatten_prox(z.conj().T, u, depth=depth)
        assert np.linalg.norm(wide.conj().T - schatten_prox(z, u, depth=depth)) <= ACCURACY * np.linalg.norm(z)


SPECTRA = {
    "one value": [1.0],
    "ties": [2.0, 1.0, 1.0, 1.0],
    "zeros": [1.5, 0.0, 1.0],
    "rank one": [3.0] + 11 * [0.0],
    "twelve orders": 10.0 ** -np.arange(12.0),
    "tied over twelve orders": np.repeat(10.0 ** -np.arange(0.0, 12.0, 4.0), 4),
    "near ties": 1.0 + 1e-9 * np.arange(12.0),
    "denormal": [1.0, 1e-200, 1e-310],
}


@pytest.mark.parametrize("depth", [2, 3, 5])
@pytest.mark.parametrize("size", [(3, 2), (3, 3), (4, 10), (8, 8), (12, 12)])
@pytest.mark.parametrize("spectrum", sorted(SPECTRA))
def test_spectra(spectrum, size, depth):
    """The singular values of the answer are those shrunk, with thresholds between and below them all."""
    values = np.sort(np.resize(SPECTRA[spectrum], min(size)))[::-1]
    z = with_values(values, size, np.random.default_rng(1))
    for cut in (3e-7, 3e-3, 0.5, 1.2):
        u = _threshold_with_jump_at(cut, depth)
        got = np.linalg.svd(schatten_prox(z, u, depth=depth), compute_uv=False)
        assert np.abs(got - prox(values, u, depth=depth)).max() <= ACCURACY * values[0]


def _threshold_with_jump_at(cut, depth):
    """v* grows as u^{1/(2-p)}."""
    return (cut / jump(1.0, depth=depth)[0]) ** (2.0 - 2.0 / depth)


@given(
    size=sizes,
    depth=depths,
    seed=seeds,
    orders=st.lists(st.integers(-12, 2), min_size=1, max_size=6),
    log_u=st.integers(-12, 2),
)
@example(size=(3, 2), depth=2, seed=0, orders=[0], log_u=0)
def test_any_spectrum(size, depth, seed, orders, log_u):
    values = np.sort(np.resize(10.0 ** np.array(orders), min(size)))[::-1]
    z = with_values(values, size, np.random.default_rng(seed))
    u = 0.7 * 10.0**log_u
    if clear_of_the_jump(z, u, depth):
        got = np.linalg.svd(schatten_prox(z, u, depth=depth), compute_uv=False)
        assert np.abs(got - prox(values, u, depth=depth)).max() <= ACCURACY * values[0]


def test_gram_matrix_would_lose_half_of_the_digits():
    """Singular values 1, 3e-9, 1e-9 less 2e-9, against the eigenvectors of Z^*Z: why there are rotations."""
    u = 2e-9
    rng = np.random.default_rng(5)
    left, right = unitary(10, rng)[:, :3], unitary(3, rng)
    values = np.array([1.0, 3e-9, 1e-9])
    z = (left * values) @ right.conj().T
    wanted = (left * prox(values, u, depth=2)) @ right.conj().T
    eigenvalues, vectors = np.linalg.eigh(z.conj().T @ z)
    lengths = np.sqrt(np.maximum(eigenvalues, 1e-300))
    by_gram = (z @ vectors * (prox(lengths, u, depth=2) / lengths)) @ vectors.conj().T
    assert np.linalg.norm(by_gram - wanted) > 1e-10
    assert np.linalg.norm(schatten_prox(z, u, depth=2) - wanted) <= 20.0 * EPS


def test_graded_columns_keep_their_small_singular_values():
    """Columns of lengths 1, 1e-10, 1e-20: the small ones are right relative to themselves, which LAPACK's are not."""
    u = 1e-25
    rng = np.random.default_rng(2)
    q = unitary(6, rng)[:, :3]
    z = q * np.array([1.0, 1e-10, 1e-20])
    x = schatten_prox(z, u, depth=2)
    assert np.abs(np.linalg.norm(x, axis=0) - np.array([1.0, 1e-10, 1e-20 - 1e-25])).max() <= 10.0 * EPS
    assert np.linalg.norm(x[:, 2]) == pytest.approx(1e-20 - 1e-25, rel=1e-12)


@pytest.mark.parametrize("depth", [2, 3, 4, 7])
@pytest.mark.parametrize("size", [(1, 1), (1, 3), (4, 1)])
def test_vectors_are_groups(size, depth):
    """With one side of length 1 the singular value is the norm."""
    u = 0.6
    rng = np.random.default_rng(9)
    z = rng.standard_normal((30, *size)) + 1j * rng.standard_normal((30, *size))
    norms = np.linalg.norm(z, axis=(1, 2))
    factors = prox(norms, u, depth=depth) / norms
    assert np.abs(schatten_prox(z, u, depth=depth) - z * factors[:, None, None]).max() <= 10.0 * EPS * norms.max()


@pytest.mark.parametrize("depth", [2, 3, 4, 7])
def test_at_the_jump_a_matrix_is_zero(depth):
    u = 0.75
    at = jump(u, depth=depth)[0]
    for z in (np.diag([at, 0.5 * at]), np.diag([at, at]), np.array([[0.0, at]]), np.diag([1j * at, 0.0])):
        assert not schatten_prox(z, u, depth=depth).any()
    above = schatten_prox(np.diag([at, at * (1.0 + 1e-14)]), u, depth=depth)
    assert above[0, 0] == 0.0
    assert above[1, 1] == pytest.approx(jump(u, depth=depth)[1], rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("rank", [1, 2, 3, 9])
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("size", [(4, 3), (3, 4), (13, 14)])
def test_rank_keeps_the_largest(size, depth, rank):
    u = 0.3
    rng = np.random.default_rng(rank)
    z = rng.standard_normal(size) + 1j * rng.standard_normal(size)
    x = schatten_prox(z, u, depth=depth, rank=rank)
    assert np.linalg.norm(x - by_lapack(z, u, depth, rank)) <= ACCURACY * np.linalg.norm(z)
    assert np.linalg.matrix_rank(x) <= rank
    nearest = schatten_prox(z, 0.0, depth=depth, rank=rank)  # Eckart and Young
    assert np.linalg.norm(nearest - by_lapack(z, 0.0, 1, rank)) <= ACCURACY * np.linalg.norm(z)


@pytest.mark.parametrize("depth", DEPTHS)
def test_zero_and_nothing_to_shrink(depth):
    assert not schatten_prox(np.zeros((2, 3, 2)), [0.0, 1.0], depth=depth).any()
    rng = np.random.default_rng(0)
    z = rng.standard_normal((5, 3, 2)) + 1j * rng.standard_normal((5, 3, 2))
    assert np.array_equal(schatten_prox(z, 0.0, depth=depth), z)
    assert schatten_prox(np.zeros((0, 3, 2)), 1.0, depth=depth).shape == (0, 3, 2)
    assert schatten_prox(np.zeros((3, 0)), 1.0, depth=depth).shape == (3, 0)


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
@pytest.mark.parametrize("scale", [2.0**-990, 2.0**-500, 2.0**500, 2.0**1015])
def test_scale_changes_nothing_but_the_scale(depth, scale):
    """``prox(c Z, c^{2-p} u) = c prox(Z, u)``, without overflow of squares; c^{2-p} is rounded."""
    rng = np.random.default_rng(4)
    z = rng.standard_normal((4, 3)) + 1j * rng.standard_normal((4, 3))
    small = min(1.0, 2.0**990 * scale)
    u = 0.6 * float(mpmath.mpf(scale * small) ** (2 - mpmath.mpf(2) / depth)) if abs(np.log2(scale)) < 505 else 0.0
    wanted = schatten_prox(z, u and 0.6, depth=depth)
    assert np.linalg.norm(schatten_prox(z * scale, u, depth=depth) / scale - wanted) <= ACCURACY


def test_batches_are_their_matrices():
    rng = np.random.default_rng(8)
    z = rng.standard_normal((2, 5, 3, 4)) + 1j * rng.standard_normal((2, 5, 3, 4))
    u = rng.uniform(0.1, 1.0, (2, 1))
    before = z.copy()
    x = schatten_prox(z, u, depth=3)
    assert all(np.array_equal(x[i, j], schatten_prox(z[i, j], u[i, 0], depth=3)) for i in range(2) for j in range(5))
    assert np.array_equal(z, before)
    flat, levels = z.reshape(-1, 3, 4).copy(), np.repeat(u, 5)
    kernels.shrink_blocks(flat, levels, 3, 0, flat)  # in place
    assert np.array_equal(flat.reshape(x.shape), x)


def test_kernel_keeps_nan_and_ends():
    z = np.ones((4, 3, 3), complex)
    z[1, 0, 2], z[2, 1, 1] = np.nan, np.inf
    z[3] *= 1e-320
    out = np.empty_like(z)
    for depth in (1, 2, 3, 5):
        kernels.shrink_blocks(z, np.full(4, 0.1), depth, 0, out)
        assert np.isfinite(out[[0, 3]]).all()
        assert not np.isfinite(out[1]).all()
        assert not np.isfinite(out[2]).all()


@given(size=sizes, depth=depths, seed=seeds)
def test_power_is_that_of_the_singular_values(size, depth, seed):
    rng = np.random.default_rng(seed)
    values = rng.uniform(0.1, 2.0, (3, min(size))) * (rng.random((3, min(size))) < 0.7)
    z = np.stack([with_values(v, size, rng) for v in values])
    wanted = (values[values > 0.0] ** (2.0 / depth)).sum()  # 0^p = 0, not round-off to a small power
    assert schatten_power(z, depth=depth) == pytest.approx(wanted, rel=1e-11, abs=1e-300)


@pytest.mark.parametrize("spectrum", sorted(SPECTRA))
def test_few_sweeps_make_orthogonal_rows(spectrum):
    rng = np.random.default_rng(6)
    for n in (2, 3, 6, 12):
        z = with_values(SPECTRA[spectrum], (2 * n, n), rng)
        rows = np.empty((n, n), complex)
        kernels.triangle(np.ascontiguousarray(z.T), rows)
        assert kernels.rotate(rows) <= 15  # of 40 allowed
        norms = np.linalg.norm(rows, axis=1)
        unit = rows[norms > 1e-150] / norms[norms > 1e-150, None]  # squares of less are no normal floats
        assert np.abs(unit.conj() @ unit.T - np.eye(len(unit))).max() <= 10.0 * EPS

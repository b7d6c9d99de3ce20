"""lineardyn.fourier against matrices and loops. Round-off of sums of n terms: n·eps, with a factor of 8 in hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lineardyn import fourier
from lineardyn.errors import ArgumentError
from tests import oracles
from tests import strategies as own


def tolerance(n: int) -> float:
    """Relative round-off of sums of n products."""
    return 8 * max(n, 4) * oracles.EPS


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def self_conjugate_count(shape: tuple[int, int]) -> int:
    """1, 2 or 4: twice for each even side (a side of length 1 is odd)."""
    return 2 ** sum(n % 2 == 0 for n in shape)


@given(own.shapes, own.seeds)
def test_the_transform_is_the_unitary_matrix(shape, seed):
    x = normal(seed, 2, *shape)
    assert oracles.error(fourier.fft2(x), oracles.dft2(x)) <= tolerance(x[0].size)
    assert oracles.error(fourier.ifft2(fourier.fft2(x)), x) <= tolerance(x[0].size)
    assert np.isclose(np.linalg.norm(fourier.fft2(x)), np.linalg.norm(x), rtol=tolerance(x[0].size))


@given(own.shapes, own.seeds)
def test_dot_product_needs_the_conjugate(shape, seed):
    """``Σ w x = Σ conj(ŵ) x̂`` (theory notes, section 0; G eq 3.8 prints no conjugate)."""
    w, x = normal(seed, *shape), normal(seed + 1, *shape)
    dot = (fourier.fft2(w).conj() * fourier.fft2(x)).sum()
    scale = np.linalg.norm(w) * np.linalg.norm(x)
    assert abs(dot - (w * x).sum()) <= tolerance(w.size) * scale


def test_dot_product_without_the_conjugate_fails_at_the_known_witness():
    """E2: 1×3, w = x = δ_1 gives 0 for 1."""
    w = fourier.fft2(np.array([[0.0, 1.0, 0.0]]))
    assert abs((w * w).sum()) < 1e-15  # three roots of unity over 3: eps
    assert np.isclose((w.conj() * w).sum(), 1.0)


@given(own.shapes, own.seeds)
def test_conjugate_frequencies_of_a_real_image(shape, seed):
    spectrum = fourier.fft2(normal(seed, *shape))
    for f in np.ndindex(shape):
        g = fourier.conjugate_frequency(f, shape)
        assert fourier.conjugate_frequency(g, shape) == f
        assert abs(spectrum[g] - spectrum[f].conj()) <= tolerance(spectrum.size) * np.abs(spectrum).max()
        assert fourier.multiplicity(f, shape) == (1 if g == f else 2)
        assert fourier.self_conjugate(shape)[f] == (g == f)


@pytest.mark.parametrize("shape", own.SHAPES)
def test_number_of_self_conjugate_frequencies(shape):
    assert fourier.self_conjugate(shape).sum() == self_conjugate_count(shape)


@pytest.mark.parametrize("shape", [*own.SHAPES, (1, 8), (7, 7)])
def test_radius_is_the_distance_to_dc_on_the_torus(shape):
    h, w = shape
    for u, v in np.ndindex(shape):
        nearest = min(np.hypot(u - a, v - b) for a in (0, h) for b in (0, w))
        assert fourier.radius(shape)[u, v] == pytest.approx(nearest, rel=4 * oracles.EPS, abs=1e-15)


@given(own.shapes, own.channels, own.outputs, own.seeds)
def test_convolution_equals_the_loops(shape, n_in, n_out, seed):
    w, x = normal(seed, n_out, *shape, n_in), normal(seed + 1, n_in, *shape)
    wanted = oracles.convolve_loops(w, x)
    assert oracles.error(fourier.convolve(w, x), wanted) <= tolerance(w[0].size)
    stacked = fourier.convolve(w, np.stack([x, 2 * x]))
    assert oracles.error(stacked, np.stack([wanted, 2 * wanted])) <= tolerance(w[0].size)


@given(own.shapes, own.channels, own.outputs, own.seeds)
def test_convolution_theorem_has_the_factor_sqrt_p(shape, n_in, n_out, seed):
    """``(w*x)^ = √P ŵ x̂`` at each frequency (theory notes, section 0; G eq 3.7 prints no √P)."""
    w, x = normal(seed, n_out, *shape, n_in), normal(seed + 1, n_in, *shape)
    left = oracles.dft2(oracles.convolve_loops(w, x))
    w_hat = oracles.dft2(w.transpose(0, 3, 1, 2))
    right = np.sqrt(x[0].size) * np.einsum("ochw,chw->ohw", w_hat, oracles.dft2(x))
    assert oracles.error(left, right) <= tolerance(w[0].size)


@given(own.shapes, own.channels, own.outputs, own.seeds)
def test_circulant_is_the_convolution(shape, n_in, n_out, seed):
    w, x = normal(seed, n_out, *shape, n_in), normal(seed + 1, n_in, *shape)
    wanted = oracles.convolve_loops(w, x).ravel()
    assert oracles.error(fourier.circulant(w) @ x.ravel(), wanted) <= tolerance(w[0].size)


@given(own.shapes, own.seeds)
def test_the_dft_diagonalises_a_circulant(shape, seed):
    """``F M F^H = diag(√P ŵ)`` [P eq 6]."""
    w = normal(seed, 1, *shape, 1)
    f = np.kron(oracles.dft_matrix(shape[0]), oracles.dft_matrix(shape[1]))
    diagonal = np.diag(np.sqrt(w.size) * oracles.dft2(w[0, :, :, 0]).ravel())
    # the largest eigenvalue can be small beside the entries' sum, which sets the round-off
    assert np.abs(f @ fourier.circulant(w) @ f.conj().T - diagonal).max() <= tolerance(w.size) * np.abs(w).sum()


@example((1, 1), 0)
@given(own.shapes, own.seeds)
def test_half_spectrum_is_lossless_and_isometric(shape, seed):
    half = fourier.half_spectrum(shape)
    a, b = normal(seed, 3, *shape), normal(seed + 1, 3, *shape)
    a_hat, b_hat = oracles.dft2(a), oracles.dft2(b)
    packed, other = half.pack(a_hat), half.pack(b_hat)
    assert packed.shape == (3, 2, half.size)
    assert half.size == (np.prod(shape) + self_conjugate_count(shape)) // 2
    assert half.weights.sum() == np.prod(shape)
    assert oracles.error(half.unpack(packed), a_hat) <= tolerance(a[0].size)
    dots = np.einsum("nif,nif,f->n", packed, other, half.weights)
    scale = np.linalg.norm(a) * np.linalg.norm(b)
    assert np.abs(dots - (a * b).sum(axis=(1, 2))).max() <= tolerance(a[0].size) * scale


@given(own.shapes, own.seeds)
def test_packing_images_packs_the_conjugate_spectrum(shape, seed):
    half, x = fourier.half_spectrum(shape), normal(seed, 2, *shape)
    assert oracles.error(half.pack_images(x), half.pack(oracles.dft2(x).conj())) <= tolerance(x[0].size)


@example((1, 1), 0)
@given(own.shapes, own.seeds)
def test_unpacked_images_are_those_of_the_packed_spectrum(shape, seed):
    half, x = fourier.half_spectrum(shape), normal(seed, 2, 3, *shape)
    assert oracles.error(half.unpack_images(half.pack_images(x)), x) <= tolerance(x[0, 0].size)
    packed = normal(seed, 3, 2, half.size)  # imaginary parts of numbers that are real count for nothing, either way
    wanted = oracles.dft2(half.unpack(packed)).real  # the inverse transform of the conjugate: the transform, conjugated
    assert oracles.error(half.unpack_images(packed), wanted) <= tolerance(x[0, 0].size)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.uint8, np.int64, bool])
@pytest.mark.parametrize("shape", own.SHAPES)
def test_images_of_any_type_are_transformed_in_double_precision(shape, dtype):
    """Of narrow floats scipy makes narrow spectra; seen as float64 these were half as many numbers."""
    half, x = fourier.half_spectrum(shape), (100 * normal(1, 2, *shape)).astype(dtype)
    wide = x.astype(np.float64)
    assert np.array_equal(half.pack_images(x), half.pack_images(wide))
    assert np.array_equal(half.pack(x.astype(np.complex64)), half.pack(x.astype(np.complex64).astype(np.complex128)))
    assert np.array_equal(fourier.fft2(x), fourier.fft2(wide))
    assert np.array_equal(fourier.ifft2(x), fourier.ifft2(wide))


@given(own.shapes, st.integers(1, 3), own.seeds)
def test_packing_keeps_leading_axes(shape, n, seed):
    half, x = fourier.half_spectrum(shape), normal(seed, n, 2, *shape)
    assert half.pack(fourier.fft2(x)).shape == (n, 2, 2, half.size)
    assert half.unpack(half.pack(fourier.fft2(x))).shape == x.shape


def test_a_small_kernel_is_told_to_be_embedded():
    with pytest.raises(
        ArgumentError, match=r"kernel has shape \(2, 3, 3, 1\).*circular and as large as the image.*embed"
    ):
        fourier.convolve(np.ones((2, 3, 3, 1)), np.ones((1, 8, 8)))


def test_an_image_without_channels_is_refused():
    with pytest.raises(ArgumentError, match=r"image has shape \(8, 8\), expected \(\.\.\., C, H, W\)"):
        fourier.convolve(np.ones((1, 8, 8, 1)), np.ones((8, 8)))

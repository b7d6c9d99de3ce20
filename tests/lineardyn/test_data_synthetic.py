"""Synthetic data: their modes are the ones the formulas promise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lineardyn.data import (
    SHAPES,
    geometric_shapes,
    planted_modes,
    power_law_images,
    pure_cosines,
    sums_of_cosines,
)
from lineardyn.errors import ArgumentError
from lineardyn.fourier import conjugate_frequency, fft2, multiplicity, radius

EPS = np.finfo(float).eps


def singular_values(images: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return np.linalg.svd(targets.T @ images.reshape(len(images), -1) / len(images), compute_uv=False)


@given(height=st.integers(1, 9), width=st.integers(1, 9), u=st.integers(-20, 20), v=st.integers(-20, 20))
@example(height=1, width=2, u=0, v=1)  # self-conjugate beside DC (erratum E6)
@example(height=4, width=4, u=2, v=2)
def test_cosine_occupies_one_conjugate_pair_with_the_stated_coefficient(
    height: int, width: int, u: int, v: int
) -> None:
    shape = (height, width)
    images, targets = pure_cosines(shape, [(u, v)], [1.5])
    assert images.shape == (1, 1, height, width)
    assert targets.tolist() == [[1.0]]
    f, m = (u % height, v % width), multiplicity((u, v), shape)
    expected = np.zeros(shape, dtype=complex)  # a√P on f if f* = f, else a√P/2 on f and on f*
    expected[f] = expected[conjugate_frequency(f, shape)] = 1.5 * np.sqrt(height * width) / m
    # the sum of P terms of size <= 1.5, each cosine rounded by a few ulp of its phase (< 2π)
    assert np.abs(fft2(images[0, 0]) - expected).max() <= 20 * EPS * 1.5 * np.sqrt(height * width)


def test_cosine_follows_its_definition_rows_first() -> None:
    images, _ = pure_cosines((4, 8), [(1, 2)], [0.5])
    for i, j in [(0, 0), (1, 0), (0, 1), (3, 5)]:
        # both phases are below 12, rounded by an ulp of that
        assert images[0, 0, i, j] == pytest.approx(0.5 * np.cos(2 * np.pi * (i / 4 + 2 * j / 8)), abs=20 * EPS)


def test_pure_cosines_have_the_singular_values_of_the_notes() -> None:
    # the data of Pinson et al. fig 3 and the two kinds of frequency: s = a√P/(√m K)
    shape, frequencies, amplitudes = (16, 16), [(0, 0), (5, 2), (1, 7), (8, 8)], [1.5, 1.0, 0.5, 0.2]
    images, targets = pure_cosines(shape, frequencies, amplitudes)
    m = np.array([1, 2, 2, 1])
    expected = np.array(amplitudes) * 16 / (np.sqrt(m) * 4)
    # backward error of an SVD: some eps of the largest
    np.testing.assert_allclose(singular_values(images, targets), np.sort(expected)[::-1], rtol=0, atol=100 * EPS * 6)


def test_sums_add_their_cosines_and_may_share_frequencies() -> None:
    terms = [[((0, 1), 1.0), ((2, 3), -0.5)], [((0, 1), 2.0)]]
    images, targets = sums_of_cosines((8, 8), terms)
    parts, _ = pure_cosines((8, 8), [(0, 1), (2, 3)], [1.0, 0.5])
    np.testing.assert_array_equal(images, np.stack([parts[0] - parts[1], 2 * parts[0]]))
    np.testing.assert_array_equal(targets, np.eye(2))


def test_sums_of_one_term_are_pure_cosines() -> None:
    frequencies, amplitudes = [(0, 0), (5, 2), (-1, 7)], [1.5, 1.0, 0.5]
    pure = pure_cosines((16, 8), frequencies, amplitudes)
    summed = sums_of_cosines((16, 8), [[(f, a)] for f, a in zip(frequencies, amplitudes, strict=True)])
    np.testing.assert_array_equal(pure[0], summed[0])
    np.testing.assert_array_equal(pure[1], summed[1])


@pytest.mark.parametrize("size", [12, 16, 28, 32, 33, 64])
@pytest.mark.parametrize("centred", [False, True])
def test_shapes_are_learned_in_stages(size: int, centred: bool) -> None:
    images, targets = geometric_shapes(size)
    assert images.shape == (len(SHAPES), 1, size, size)
    assert images.min() == 0.0
    assert images.max() == 1.0
    np.testing.assert_array_equal(targets, np.eye(len(SHAPES)))
    flat = (images - images.mean(axis=0) * centred).reshape(len(SHAPES), -1) / len(SHAPES)
    _, s, v = np.linalg.svd(flat, full_matrices=False)
    n_modes = len(SHAPES) - centred
    dominant = np.abs(fft2(v.reshape(-1, size, size))).reshape(len(SHAPES), -1).max(axis=1)
    rates = (s * dominant)[:n_modes]
    assert (s[: n_modes - 1] / s[1:n_modes]).min() > 1.4  # distinct singular values ...
    assert (rates[:-1] / rates[1:]).min() > 1.5  # ... found in their order, each clearly after the last
    assert 4 < rates[0] / rates[-1] < 30  # but within a horizon that can be integrated


def test_shapes_show_what_they_are_called() -> None:
    images = dict(zip(SHAPES, geometric_shapes(32)[0][:, 0], strict=True))
    assert [images[name][16, 16] for name in SHAPES] == [1, 0, 1, 0, 1]  # ring and frame are hollow
    for name in ("disc", "ring", "square", "frame"):  # every symmetry of the square
        np.testing.assert_array_equal(images[name], images[name].T)
        np.testing.assert_array_equal(images[name], images[name][::-1])
    triangle = images["triangle"]
    np.testing.assert_array_equal(triangle, triangle[:, ::-1])
    rows = triangle.sum(axis=1)
    top, bottom = np.flatnonzero(rows)[[0, -1]]
    assert (np.diff(rows[top:bottom]) >= 0).all()  # it stands on its base (the last row is cut by the edge)
    # area of a disc of radius 0.55 half widths; a straight edge through a pixel is counted to first order
    assert images["disc"].sum() == pytest.approx(np.pi * (0.55 * 16) ** 2, rel=2e-3)


@pytest.mark.parametrize("shape", [(8, 8), (9, 16)])
@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_power_law_images_have_that_spectrum(shape: tuple[int, int], exponent: float) -> None:
    n = 4000
    images = power_law_images(shape, n, exponent=exponent, rng=1)
    assert images.shape == (n, 1, *shape)
    power = (np.abs(fft2(images[:, 0])) ** 2).mean(axis=0)
    r = radius(shape)
    law = np.where(r > 0, r, 1.0) ** -exponent
    # |x̂|² has a standard deviation of at most √2 of its mean; 5 sigma over at most 144 frequencies
    np.testing.assert_allclose(power, law / law.mean(), rtol=5 * np.sqrt(2 / n))


@pytest.mark.parametrize("exponent", [100.0, -100.0])
def test_power_law_images_are_finite_at_any_exponent(exponent: float) -> None:
    images = power_law_images((33, 32), 2, exponent=exponent, rng=0)
    assert np.isfinite(images).all()
    assert images.std() > 0


@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 6), log_range=st.floats(0, 4), exponent=st.floats(0, 3))
def test_planted_modes_have_the_singular_values_asked_for(seed: int, k: int, log_range: float, exponent: float) -> None:
    s = np.random.default_rng(seed).permutation(np.logspace(log_range, 0, k))
    images, targets = planted_modes((6, 5), s, rng=seed, exponent=exponent)
    np.testing.assert_array_equal(targets, np.eye(k))
    flat = images.reshape(k, -1)
    sigma_xx = flat.T @ flat / k
    scale = 1e3 * EPS * s.max()  # orthogonality of the SVD's factors, k and P at most 30
    np.testing.assert_allclose(singular_values(images, targets), np.sort(s)[::-1], rtol=0, atol=scale)
    v = flat / (k * s[:, None])
    # coherent classes with d = K s²: Σ^xx = V D Vᵀ
    np.testing.assert_allclose(sigma_xx, v.T @ np.diag(k * s**2) @ v, rtol=0, atol=scale * k * s.max())
    np.testing.assert_allclose(v @ v.T, np.eye(k), rtol=0, atol=1e3 * EPS * s.max() / s.min())


def test_planted_modes_keep_the_power_law_and_fill_the_space() -> None:
    images, _ = planted_modes((4, 4), np.ones(16), rng=0)  # as many modes as pixels
    np.testing.assert_allclose(images.reshape(16, 16) @ images.reshape(16, 16).T, 256 * np.eye(16), atol=1e-10)
    images, _ = planted_modes((32, 32), np.ones(10), rng=0)
    power = (np.abs(fft2(images[:, 0])) ** 2).mean(axis=0)
    r = radius((32, 32))
    slope = np.polyfit(np.log(r[r > 0]), np.log(power[r > 0]), 1)[0]
    assert slope == pytest.approx(-2, abs=0.15)  # ~1000 frequencies, ten draws: standard error below 0.03


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: power_law_images((4, 4), 3, exponent=2.0, rng=rng),
        lambda rng: planted_modes((4, 4), [2.0, 1.0], rng=rng)[0],
    ],
)
def test_a_seed_and_its_generator_agree(make: Callable[[Any], np.ndarray]) -> None:
    np.testing.assert_array_equal(make(7), make(np.random.default_rng(7)))
    assert np.abs(make(7) - make(8)).max() > 0.01


BAD_CALLS: list[tuple[Callable[[], Any], str]] = [
    (lambda: pure_cosines((8,), [(0, 1)], [1]), "shape is (8,), expected (H, W): 2 integers"),
    (lambda: pure_cosines((8, 0), [(0, 1)], [1]), "shape[1] is 0, expected an integer >= 1"),
    (lambda: pure_cosines((8, 8), [], []), "frequencies is empty"),
    (lambda: pure_cosines((8, 8), 3, [1]), "frequencies is 3, expected pairs of integers (u, v)"),
    (lambda: pure_cosines((8, 8), [(0, 1, 2)], [1]), "frequencies[0] is (0, 1, 2), expected a pair of integers"),
    (lambda: pure_cosines((8, 8), [(0, 0.5)], [1]), "frequencies[0] is (0, 0.5), expected a pair of integers"),
    (lambda: pure_cosines((8, 8), [(0, 1), (0, 7)], [1, 1]), "names (0, 7) at 1 and (0, 1) at 0, the same cosine"),
    (lambda: pure_cosines((8, 8), [(0, 1), (8, 9)], [1, 1]), "names (8, 9) at 1 and (0, 1) at 0, the same cosine"),
    (lambda: pure_cosines((8, 8), [(0, 1)], [1, 2]), "amplitudes has 2 numbers, expected 1: one for each frequency"),
    (lambda: pure_cosines((8, 8), [(0, 1)], [0]), "amplitudes[0] is 0, expected a number > 0"),
    (lambda: pure_cosines((8, 8), [(0, 1)], [np.nan]), "amplitudes holds nan at index (0,)"),
    (lambda: sums_of_cosines((8, 8), []), "terms is empty, expected one list of ((u, v), amplitude) for each class"),
    (lambda: sums_of_cosines((8, 8), [[]]), "terms[0] is empty"),
    (
        lambda: sums_of_cosines((8, 8), [[(0, 1)]]),
        "the frequency of terms[0][0] is 0, expected a pair of integers (u, v)",
    ),
    (lambda: sums_of_cosines((8, 8), [[((0, 1), 0.0)]]), "the amplitude of terms[0][0] is 0"),
    (lambda: sums_of_cosines((8, 8), [[((0, 1), np.inf)]]), "the amplitude of terms[0][0] is inf"),
    (lambda: sums_of_cosines((8, 8), [[((0, 1), 1), ((0, -1), 1)]]), "terms[0] names (0, -1) at 1 and (0, 1) at 0"),
    (lambda: geometric_shapes(8), "size is 8, expected an integer >= 12"),
    (lambda: geometric_shapes(32.0), "size is 32.0, expected an integer"),  # type: ignore[arg-type]
    (lambda: power_law_images((8, 8), 0, exponent=2, rng=0), "n is 0, expected an integer >= 1"),
    (lambda: power_law_images((8, 8), 2, exponent=np.nan, rng=0), "exponent is nan, expected a finite number"),
    (lambda: power_law_images((8, 8), 2, exponent=101, rng=0), "exponent is 101, expected a number <= 100"),
    (lambda: power_law_images((8, 8), 2, exponent=2, rng=-1), "rng is -1, expected a seed"),
    (lambda: planted_modes((2, 2), np.ones(5), rng=0), "singular_values has 5 numbers, expected 1 to 4"),
    (lambda: planted_modes((2, 2), [], rng=0), "singular_values has 0 numbers, expected 1 to 4"),
    (lambda: planted_modes((2, 2), [1, 0], rng=0), "singular_values[1] is 0, expected a number > 0"),
    (lambda: planted_modes((32, 32), np.ones(20), exponent=99, rng=0), "exponent is 99, expected a flatter spectrum"),
]


@pytest.mark.parametrize(("call", "text"), BAD_CALLS, ids=[text[:50] for _, text in BAD_CALLS])
def test_bad_call_is_told_apart(call: Callable[[], Any], text: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        call()
    assert text in str(caught.value)
    assert "expected" in str(caught.value)

"""Data whose modes are known: cosines, sums of cosines, power-law images, planted singular values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError
from lineardyn.fourier import conjugate_frequency, fft2, ifft2, radius
from lineardyn.validation import Rng, as_generator, check_array, check_count, check_number, check_shape

__all__ = ["planted_modes", "power_law_images", "pure_cosines", "sums_of_cosines"]

Floats = NDArray[np.float64]
Frequency = tuple[int, int]


def pure_cosines(
    shape: Sequence[int], frequencies: Sequence[Sequence[int]], amplitudes: ArrayLike
) -> tuple[Floats, Floats]:
    r"""One cosine a class: ``x_k[i, j] = a_k cos(2π(u_k i/H + v_k j/W))``, the data of Pinson et al. fig 3.

    The modes of Σ^yx are the classes, with ``s_k = a_k √P / (√m_k K)``: m_k is 1 if the frequency is its own conjugate,
    else 2 (Pinson et al. eq 22; theory notes 2.1).

    Parameters
    ----------
    shape : (H, W)
    frequencies : K pairs (u, v)
        Integers, in cycles per image, read modulo (H, W); all different up to conjugation.
    amplitudes : K numbers > 0

    Returns
    -------
    images : float64 (K, 1, H, W)
        Class k is image k; the mean is not subtracted.
    targets : float64 (K, K)
        The identity.

    Raises
    ------
    ArgumentError
        For two equal or conjugate frequencies, or amplitudes that are not positive.

    Examples
    --------
    >>> images, targets = pure_cosines((8, 8), [(0, 0), (2, 1)], [1.5, 1.0])
    >>> images.shape, targets.shape, float(images[0].max())
    ((2, 1, 8, 8), (2, 2), 1.5)
    """
    size = _image_size(shape)
    wanted = _frequencies("frequencies", frequencies, size)
    heights = check_array("amplitudes", amplitudes, shape=(None,), why="one number for each frequency")
    if len(heights) != len(wanted):
        raise ArgumentError(f"amplitudes has {len(heights)} numbers, expected {len(wanted)}: one for each frequency")
    for k, a in enumerate(heights):
        check_number(f"amplitudes[{k}]", a, minimum=0.0, strict=True)
    images = np.stack([a * _cosine(f, size) for f, a in zip(wanted, heights, strict=True)])
    return images[:, None], np.eye(len(images))


def sums_of_cosines(
    shape: Sequence[int], terms: Sequence[Sequence[tuple[Sequence[int], float]]]
) -> tuple[Floats, Floats]:
    r"""One sum of cosines a class: ``x_k = Σ_(f, a) a cos(2π(u i/H + v j/W))`` over its terms; Pinson et al. fig 4.

    While no frequency (or its conjugate) occurs in two classes, the modes are the classes, and each has its own clock
    (Pinson et al. eq 23-24; theory notes 2.2). Classes that share frequencies are allowed, but are no modes in general.

    Parameters
    ----------
    shape : (H, W)
    terms : K lists of ((u, v), amplitude)
        Integers u, v in cycles per image, read modulo (H, W), all different up to conjugation within a class;
        amplitudes finite and not 0.

    Returns
    -------
    images : float64 (K, 1, H, W)
    targets : float64 (K, K)
        The identity.

    Raises
    ------
    ArgumentError
        For a class without terms, a term of another form, a frequency that occurs twice in a class.

    Examples
    --------
    >>> images, _ = sums_of_cosines((8, 8), [[((0, 1), 1.0), ((0, 2), 0.5)], [((3, 0), 1.0)]])
    >>> images.shape, float(images[0, 0, 0, 0])
    ((2, 1, 8, 8), 1.5)
    """
    size = _image_size(shape)
    classes = _sequence("terms", terms, "one list of ((u, v), amplitude) for each class")
    images = np.zeros((len(classes), 1, *size))
    for k, row in enumerate(classes):
        listed = _sequence(f"terms[{k}]", row, "a list of ((u, v), amplitude)")
        pairs = [_term(f"terms[{k}][{i}]", term) for i, term in enumerate(listed)]
        wanted = _frequencies(f"terms[{k}]", [f for f, _ in pairs], size)
        images[k, 0] = sum(a * _cosine(f, size) for f, (_, a) in zip(wanted, pairs, strict=True))
    return images, np.eye(len(classes))


def power_law_images(shape: Sequence[int], n: int, *, exponent: float, rng: Rng) -> Floats:
    r"""Gaussian images with the power spectrum of natural images: ``⟨|x̂_f|²⟩ = c |f|^-exponent``.

    ``|f|`` is the distance of f to DC on the torus in cycles per image (:func:`lineardyn.fourier.radius`); DC, where
    the law diverges, gets the power of ``|f| = 1``; c makes the mean square of a pixel 1. Natural images have an
    exponent of about 2.

    Parameters
    ----------
    shape : (H, W)
    n : int
        How many images.
    exponent : float
        Between -100 and 100; 0 is white noise.
    rng : int or numpy.random.Generator

    Returns
    -------
    images : float64 (n, 1, H, W)

    Examples
    --------
    >>> power_law_images((8, 8), 3, exponent=2.0, rng=0).shape
    (3, 1, 8, 8)
    """
    size = _image_size(shape)
    count = check_count("n", n)
    alpha = check_number("exponent", exponent, minimum=-100.0, maximum=100.0)
    noise = as_generator(rng).standard_normal((count, *size))
    log_power = -alpha * np.log(np.maximum(radius(size), 1.0))
    power = np.exp(log_power - log_power.max())  # the largest is 1: nothing overflows before it is normalised
    power /= power.mean()
    images = ifft2(fft2(noise) * np.sqrt(power)).real
    return np.ascontiguousarray(images[:, None])


def planted_modes(
    shape: Sequence[int], singular_values: ArrayLike, *, rng: Rng, exponent: float = 2.0
) -> tuple[Floats, Floats]:
    r"""Power-law images made orthogonal and scaled, so that Σ^yx has exactly the singular values asked for.

    Class k has the one image ``x_k = K s_k v_k``, where the v_k are the orthonormal images nearest to K draws of
    :func:`power_law_images` (their polar factor: no class is treated before another). With one-hot targets
    ``Σ^yx = Σ_k s_k e_k v_kᵀ`` and ``d_k = K s_k²``: the modes are the classes.

    Parameters
    ----------
    shape : (H, W)
    singular_values : K numbers > 0, K <= H·W
        In the order of the classes.
    rng : int or numpy.random.Generator
    exponent : float
        Of the power spectrum; 2 is that of natural images (amplitudes ∝ 1/|f|).

    Returns
    -------
    images : float64 (K, 1, H, W)
    targets : float64 (K, K)
        The identity.

    Examples
    --------
    >>> import numpy as np
    >>> images, targets = planted_modes((8, 8), [4.0, 1.0], rng=0)
    >>> s = np.linalg.svd(targets.T @ images.reshape(2, -1) / 2, compute_uv=False)
    >>> [round(float(value), 12) for value in s]
    [4.0, 1.0]
    """
    size = _image_size(shape)
    s = check_array("singular_values", singular_values, shape=(None,), why="one number for each class")
    for k, value in enumerate(s):
        check_number(f"singular_values[{k}]", value, minimum=0.0, strict=True)
    if not 1 <= len(s) <= size[0] * size[1]:
        raise ArgumentError(
            f"singular_values has {len(s)} numbers, expected 1 to {size[0] * size[1]}: "
            f"images of shape {size} hold no more orthogonal ones"
        )
    draws = power_law_images(size, len(s), exponent=exponent, rng=rng).reshape(len(s), -1)
    left, spread, right = np.linalg.svd(draws, full_matrices=False)
    if spread[-1] < 1e-8 * spread[0]:
        raise ArgumentError(
            f"exponent is {exponent:g}, expected a flatter spectrum for {len(s)} modes on {size} images: "
            f"all the power lies in fewer frequencies; lower abs(exponent) or the number of singular values"
        )
    images = (len(s) * s)[:, None] * (left @ right)
    return images.reshape(len(s), 1, *size), np.eye(len(s))


def _image_size(shape: Sequence[int]) -> tuple[int, int]:
    height, width = check_shape("shape", shape, 2, "(H, W)")
    return height, width


def _sequence(name: str, value: Any, meaning: str) -> list[Any]:
    try:
        items = list(value)
    except TypeError:
        raise ArgumentError(f"{name} is {value!r}, expected {meaning}") from None
    if not items:
        raise ArgumentError(f"{name} is empty, expected {meaning}")
    return items


def _term(name: str, value: Any) -> tuple[Any, float]:
    try:
        frequency, amplitude = value
    except (TypeError, ValueError):
        raise ArgumentError(f"{name} is {value!r}, expected ((u, v), amplitude)") from None
    height = check_number(f"the amplitude of {name}", amplitude)
    if height == 0:
        raise ArgumentError(f"the amplitude of {name} is 0, expected a number that is not 0: leave the term out")
    return _frequency(f"the frequency of {name}", frequency), height


def _frequencies(name: str, values: Sequence[Any], size: tuple[int, int]) -> list[Frequency]:
    """Pairs of integers modulo ``size``, none equal to another or to its conjugate."""
    pairs = [_frequency(f"{name}[{k}]", f) for k, f in enumerate(_sequence(name, values, "pairs of integers (u, v)"))]
    seen: dict[Frequency, int] = {}
    for k, (u, v) in enumerate(pairs):
        f = (u % size[0], v % size[1])
        representative = min(f, conjugate_frequency(f, size))
        if representative in seen:
            first = seen[representative]
            raise ArgumentError(
                f"{name} names {pairs[k]} at {k} and {pairs[first]} at {first}, the same cosine on {size} images, "
                f"expected frequencies that differ modulo {size} and up to sign: f and -f are one cosine"
            )
        seen[representative] = k
    return pairs


def _frequency(name: str, value: Any) -> Frequency:
    pair = _sequence(name, value, "a pair of integers (u, v)")
    if len(pair) != 2 or any(isinstance(n, bool) or not isinstance(n, int | np.integer) for n in pair):
        raise ArgumentError(f"{name} is {value!r}, expected a pair of integers (u, v), in cycles per image")
    u, v = (int(n) for n in pair)
    return u, v


def _cosine(frequency: Frequency, size: tuple[int, int]) -> Floats:
    """``cos(2π(u i/H + v j/W))``; the phase is reduced in integers, so that half a turn gives exactly -1."""
    (u, v), (height, width) = frequency, size
    i, j = np.arange(height)[:, None], np.arange(width)
    turns = ((u % height) * i * width + (v % width) * j * height) % (height * width)
    return np.cos(2.0 * np.pi * turns / (height * width))

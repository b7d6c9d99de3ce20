"""The cyclic network in pixel space, from its definition: the other side of the bottleneck claims.

``α_0 = x; z_l = W_l α_{l-1} + b_l; α_l = M σ_a(z_l)`` for l < L, ``f = z_L`` (theory, section 4). Filters are dense
block-circulant matrices, the pooling a dense circulant one, derivatives products of them. Pixels of a grid are
numbered in C order; every function takes leading axes, one network each. Nothing of :mod:`proofs_check.cbn` is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from proofs_check.verdict import Instance

__all__ = [
    "GRIDS",
    "NETWORK",
    "RECONSTRUCTED",
    "balanced_filters",
    "blocks",
    "constant_network",
    "dft",
    "draw_grid",
    "draw_pooling",
    "even",
    "jacobians",
    "layer_sizes",
    "operator",
    "pooling_matrix",
    "preactivations",
    "singular_values",
    "squared_norm",
    "weighted_cost",
]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

GRIDS = ((1,), (2,), (3,), (4,), (5,), (6,), (2, 2), (2, 3), (3, 2), (1, 4), (3, 3))
"""One and two dimensions, odd, even and flat, down to a single pixel."""
RECONSTRUCTED = "Wen & Jacot, reconstructed: the paper's own formula was not available"
NETWORK = ("filters as large as the image, circular", "pooling translation-invariant, 0 < |m_ω| ≤ 1, m_0 = 1")
KEPT = 1e-11
"""Singular values below this share of the product of the layers' norms are round-off, which ``s^{2/L}`` blows up."""


def draw_grid(rng: np.random.Generator, *, max_pixels: int = 9) -> tuple[int, ...]:
    """One of :data:`GRIDS`."""
    fitting = [grid for grid in GRIDS if np.prod(grid) <= max_pixels]
    return fitting[int(rng.integers(len(fitting)))]


@lru_cache(maxsize=64)
def dft(grid: tuple[int, ...]) -> Complexes:
    """The unitary DFT ``(n, n)`` over the pixels, from its definition."""
    matrix = np.ones((1, 1), dtype=complex)
    for size in grid:
        k = np.arange(size)
        matrix = np.kron(matrix, np.exp(-2j * np.pi * (np.outer(k, k) % size) / size) / np.sqrt(size))
    return matrix


@lru_cache(maxsize=64)
def _differences(grid: tuple[int, ...]) -> NDArray[np.int64]:
    """Number of the pixel ``i - j`` for all pixels i, j."""
    places = np.array(np.unravel_index(np.arange(int(np.prod(grid))), grid))
    apart = (places[:, :, None] - places[:, None, :]) % np.array(grid)[:, None, None]
    return np.asarray(np.ravel_multi_index(tuple(apart), grid))


def operator(filters: Floats, grid: Sequence[int]) -> Floats:
    """Block-circulant ``(.., C_out·n, C_in·n)`` of filters ``(.., C_out, n, C_in)``: entry ``w[o, i - j, c]``."""
    dense = np.moveaxis(filters[..., _differences(tuple(grid)), :], -1, -2)  # (.., o, i, c, j)
    n = filters.shape[-2]
    shape = (*filters.shape[:-3], filters.shape[-3] * n, filters.shape[-1] * n)
    return np.asarray(dense.reshape(shape))


def pooling_matrix(eigenvalues: Floats, grid: Sequence[int]) -> Floats:
    """``M[i, j] = (1/n) Σ_ω m_ω cos(2π ω·(i - j)/n)`` ``(.., n, n)`` of even eigenvalues ``(.., n)``."""
    waves = dft(tuple(grid))
    return np.asarray(((waves.conj().T * eigenvalues[..., None, :]) @ waves).real)


def preactivations(network: Instance, image: Floats) -> list[Floats]:
    """``z_1 .. z_L`` ``(.., C, n)`` at images ``(.., C, n)``, dense; keys as in :func:`constant_network`."""
    weights, grid = network["weights"], network["grid"]
    pooling = pooling_matrix(network["pooling"], grid)
    slope = np.asarray(network["slope"])[..., None, None]
    found, hidden = [], image
    for layer in range(weights.shape[-4]):
        filters = weights[..., layer, :, :, :]
        flat = operator(filters, grid) @ hidden.reshape(*hidden.shape[:-2], -1, 1)
        z = flat.reshape(*hidden.shape[:-2], filters.shape[-3], filters.shape[-2])
        z = z + network["biases"][..., layer, :, None]
        found.append(z)
        hidden = np.where(z > 0, z, slope * z) @ pooling  # M is symmetric
    return found


def jacobians(network: Instance, image: Floats) -> list[Floats]:
    """``∂f/∂z_l`` ``(.., C n, C n)`` for l = 0..L, where ``z_0`` is the image: ``W_L M D_{L-1} W_{L-1} .. M D_l``.

    At ``z = 0`` the derivative of the activation is taken as its slope below.
    """
    weights, grid = network["weights"], network["grid"]
    pooling = pooling_matrix(network["pooling"], grid)
    channels, n = weights.shape[-3:-1]
    slope = np.asarray(network["slope"])[..., None, None]
    z = preactivations(network, image)
    back = np.broadcast_to(np.eye(channels * n), (*weights.shape[:-4], channels * n, channels * n))
    found = [back]
    for layer in reversed(range(weights.shape[-4])):
        back = back @ operator(weights[..., layer, :, :, :], grid)
        if layer > 0:
            back = back.reshape(*back.shape[:-1], channels, n) @ pooling[..., None, :, :]
            gain = np.where(z[layer - 1] > 0, 1.0, slope).reshape(*back.shape[:-3], 1, channels * n)
            back = back.reshape(*back.shape[:-2], channels * n) * gain
        found.append(back)
    return found[::-1]


def blocks(matrix: Floats, grid: Sequence[int]) -> Complexes:
    """Diagonal blocks ``(.., n, C_out, C_in)`` of ``F A F^H``, of a dense ``(.., C_out n, C_in n)``.

    For a block-circulant matrix these are the *unnormalised* DFT of its filter.
    """
    waves = dft(tuple(grid))
    n = len(waves)
    split = matrix.reshape(*matrix.shape[:-2], matrix.shape[-2] // n, n, matrix.shape[-1] // n, n)
    half = np.moveaxis(split, -3, -2) @ waves.conj().T  # (.., o, c, i, w)
    return np.asarray(np.moveaxis((half * waves.T).sum(axis=-2), -1, -3))


def squared_norm(network: Instance) -> Floats:
    """``‖θ‖² = Σ_l (‖W_l‖_F² + n‖b_l‖²)``, of the dense matrices."""
    weights, biases = network["weights"], network["biases"]
    n = weights.shape[-2]
    dense = operator(weights, network["grid"])
    return np.asarray((dense**2).sum(axis=(-3, -2, -1)) + n * (biases**2).sum(axis=(-2, -1)))


def singular_values(matrices: NDArray[Any], largest: ArrayLike) -> Floats:
    """Of each matrix; 0 where they are round-off of a product whose factors have norms of the product ``largest``."""
    found = np.linalg.svd(matrices, compute_uv=False)
    floor = KEPT * np.asarray(largest, dtype=np.float64)
    return np.where(found > floor.reshape(floor.shape + (1,) * (found.ndim - floor.ndim)), found, 0.0)


def weighted_cost(
    singular: Floats,
    pooling: Floats,
    depth: int,
    *,
    pooling_power: float = 2.0,
    power: float = 2.0,
    layers: float = 0.0,
) -> Floats:
    """``(L + layers) Σ_ω |m_ω|^{-pooling_power (L-1)/L} Σ_i s_i^{power/L}`` of ``(.., n, r)``, with 0^p = 0."""
    kept = singular > 0
    terms = np.where(kept, np.where(kept, singular, 1.0) ** (power / depth), 0.0).sum(axis=-1)
    weights = np.abs(pooling) ** (-pooling_power * (depth - 1) / depth)
    return np.asarray((depth + layers) * (weights * terms).sum(axis=-1))


def layer_sizes(weights: Floats, grid: Sequence[int]) -> Floats:
    """Product of the layers' Frobenius norms: the size of what round-off leaves in their product."""
    return np.asarray(np.prod(np.sqrt((operator(weights, grid) ** 2).sum(axis=(-2, -1))), axis=-1))


def even(values: NDArray[Any], grid: Sequence[int]) -> NDArray[Any]:
    """Half the sum of ``values[.., ω]`` and ``values[.., -ω]``."""
    turned = _differences(tuple(grid))[0]  # the pixel 0 - j
    return np.asarray((values + values[..., turned]) / 2)


def draw_pooling(rng: np.random.Generator, grid: Sequence[int], n: int) -> Floats:
    """``n`` sets of even eigenvalues with ``m_0 = 1``: none, global, local, any, with negative ones."""
    pixels = int(np.prod(grid))
    places = np.array(np.unravel_index(np.arange(pixels), tuple(grid)))
    waves = np.mean(np.cos(2 * np.pi * places / np.array(grid)[:, None]), axis=0)
    beta = rng.uniform(0.05, 0.45, (n, 1))
    choices = np.array(
        [
            np.ones((n, pixels)),
            np.broadcast_to(1 - beta, (n, pixels)),
            1 - beta + beta * waves,
            0.2 + 0.8 * even(rng.random((n, pixels)), grid),
            np.sign(even(rng.standard_normal((n, pixels)), grid)) * (0.3 + 0.7 * even(rng.random((n, pixels)), grid)),
        ]
    )
    found = choices[rng.integers(len(choices), size=n), np.arange(n)]
    found[:, 0] = 1.0
    return np.asarray(found)


def balanced_filters(target: NDArray[Any], pooling: Floats, depth: int, grid: Sequence[int]) -> Floats:
    """Real filters ``(.., L, C, n, C)`` with ``Ŵ_L m Ŵ_{L-1} .. m Ŵ_1 = Â`` that attain the cost, ``Â (.., n, C, C)``.

    With ``Â = U S V^H``: ``|m|^{-(L-1)/L} V S^{1/L} V^H`` the first L - 1, and the last U for V on the left. These are
    functions of Â, whatever basis the SVD chooses, so that the filters are real.
    """
    left, values, right = np.linalg.svd(target)
    roots = np.where(values > 1e-12 * values.max(axis=(-2, -1), keepdims=True), values, 0.0) ** (1 / depth)
    share = np.abs(pooling) ** ((1 - depth) / depth)
    first = share[..., None, None] * (np.swapaxes(right, -1, -2).conj() * roots[..., None, :] @ right)
    last = (np.sign(pooling) ** (depth - 1) * share)[..., None, None] * (left * roots[..., None, :] @ right)
    spectra = np.stack([*[first] * (depth - 1), last], axis=-4)  # (.., L, n, C, C)
    waves = dft(tuple(grid))
    filters = np.einsum("wi,...woc->...oic", waves.conj(), spectra) / np.sqrt(len(waves))
    return np.asarray(filters.real)


def constant_network(
    rng: np.random.Generator,
    n: int,
    *,
    max_pixels: int = 9,
    max_depth: int = 5,
    isometric: bool = False,
    pooled: float = 1.0,
) -> Instance:
    """``n`` networks of one shape, and a constant image: near the least cost, or any.

    Keys: ``grid``, ``weights (n, L, C, pixels, C)``, ``biases (n, L, C)``, ``pooling (n, pixels)``, ``slope (n,)``,
    ``level (n, C)`` (the constant image) and ``ripple (n, C, pixels)`` (what may be added to it). Half of them are
    balanced, with all pre-activations of one sign at the image, up to noise of size 0, 0.01 or 0.3: there the lower
    bounds are equalities (a negative sign: up to the slope). A quarter of these has frequencies that vanish.
    ``isometric``: the map of the balanced ones has the singular values ``1/|m_ω|`` or 0; ``pooled``: the share of those
    that pool.
    """
    grid = draw_grid(rng, max_pixels=max_pixels)
    pixels, channels, depth = int(np.prod(grid)), int(rng.integers(1, 4)), int(rng.integers(1, max_depth + 1))
    pooling = np.where(rng.random((n, 1)) < pooled, draw_pooling(rng, grid, n), 1.0)
    target = rng.standard_normal((n, channels, pixels, channels))
    spectra = np.einsum("wi,...oic->...woc", dft(grid), target) * np.sqrt(pixels)
    mute = (rng.random((n, 1)) < 0.25) & (even(rng.random((n, pixels)), grid) < 0.5)
    gains = rng.uniform(0.3, 3.0, (n, 1, channels))
    if isometric:
        left, _, right = np.linalg.svd(spectra)
        spectra, gains = left @ right / np.abs(pooling)[..., None, None], np.ones((n, 1, channels))
    spectra = np.where(mute[..., None, None], 0.0, spectra)
    spectra[:, 0] = np.eye(channels) * gains
    size = rng.choice([0.0, 0.01, 0.3], n)
    scale = np.ones(n) if isometric else 10.0 ** rng.uniform(-1, 1, n)
    near = balanced_filters(scale[:, None, None, None] * spectra, pooling, depth, grid)
    noise = rng.standard_normal(near.shape) / np.sqrt(pixels * channels)
    free = rng.random(n) < 0.5
    share = np.where(free, 1.0, size)
    weights = np.where(free, 0.0, 1.0)[:, None, None, None, None] * near + share[:, None, None, None, None] * noise
    slope = rng.choice([0.0, 0.1, -0.5, 0.9], n)
    negative = (rng.random(n) < 0.25) & ((slope != 0.0) | free)  # a dead layer would put the next one on its kink
    return {
        "grid": grid,
        "weights": weights,
        "biases": 0.5 * share[:, None, None] * rng.standard_normal((n, depth, channels)),
        "pooling": pooling,
        "slope": slope,
        "level": rng.uniform(0.5, 2.0, (n, channels)) * np.where(negative, -1.0, 1.0)[:, None],
        "ripple": 0.1 * share[:, None, None] * rng.standard_normal((n, channels, pixels)),
    }

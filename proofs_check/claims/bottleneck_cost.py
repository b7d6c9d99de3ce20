"""Claims about the norm of cyclic networks and the cost of a linear one (theory, section 4, T1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofs_check.cbn import cost_expansion, representation_cost
from proofs_check.claim import Claim, excess
from proofs_check.claims.cyclic_space import (
    NETWORK,
    RECONSTRUCTED,
    balanced_filters,
    blocks,
    constant_network,
    dft,
    draw_grid,
    draw_pooling,
    layer_sizes,
    operator,
    pooling_matrix,
    singular_values,
    weighted_cost,
)
from proofs_check.instances import draw_scale
from proofs_check.verdict import Instance, Outcome
from solvers.penalties import penalty_weight, schatten_power

__all__ = ["COST_CLAIMS"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


def product_of_layers(instance: Instance) -> Floats:
    """``W_L M W_{L-1} .. M W_1`` as a dense matrix."""
    weights, grid = instance["weights"], instance["grid"]
    channels, depth = weights.shape[-1], weights.shape[-4]
    pooling = pooling_matrix(instance["pooling"], grid)
    many = np.zeros((*pooling.shape[:-2], channels, pooling.shape[-1], channels, pooling.shape[-1]))
    many[..., range(channels), :, range(channels), :] = pooling
    wide = many.reshape(*pooling.shape[:-2], *[channels * pooling.shape[-1]] * 2)
    total = operator(weights[..., 0, :, :, :], grid)
    for layer in range(1, depth):
        total = operator(weights[..., layer, :, :, :], grid) @ wide @ total
    return np.asarray(total)


def norm_sides(instance: Instance, *, convention: str = "n", transform: float = 0.0) -> tuple[Any, Any]:
    """``‖W‖_F² + n‖b‖²`` of the dense layers, with their first entries; and from spectra, and from filters."""
    weights, biases, grid = instance["weights"], instance["biases"], instance["grid"]
    n = weights.shape[-2]
    dense = (operator(weights, grid) ** 2).sum(axis=(-3, -2, -1)) + n * (biases**2).sum(axis=(-2, -1))
    spectra = np.einsum("wi,...oic->...woc", dft(tuple(grid)), weights) * np.sqrt(n) * n**transform
    from_spectra = (np.abs(spectra) ** 2).sum(axis=(-4, -3, -2, -1)) + n * (biases**2).sum(axis=(-2, -1))
    copies = {"n": n, "1": 1, "√n": np.sqrt(n)}[convention]
    from_filters = copies * ((weights**2).sum(axis=(-4, -3, -2, -1)) + (biases**2).sum(axis=(-2, -1)))
    return np.stack([dense, dense], -1), np.stack([from_spectra, from_filters], -1)


def factor_sides(instance: Instance, **formula: float) -> tuple[Any, Any]:
    """The cost of the product of the layers, and ``Σ_l ‖W_l‖_F²``: the first is not to exceed the second."""
    weights, grid = instance["weights"], instance["grid"]
    found = singular_values(blocks(product_of_layers(instance), grid), layer_sizes(weights, grid))
    squares = (operator(weights, grid) ** 2).sum(axis=(-3, -2, -1))
    return weighted_cost(found, instance["pooling"], weights.shape[-4], **formula), squares


def draw_factors(rng: np.random.Generator, n: int) -> Instance:
    """``n`` linear networks of one shape, half of them near the least cost."""
    network = constant_network(rng, n)
    return {name: network[name] for name in ("grid", "weights", "pooling")}


def draw_map(rng: np.random.Generator) -> Instance:
    """An equivariant map as filters ``(C_out, n, C_in)``, some of their frequencies of low rank or empty."""
    grid = draw_grid(rng)
    n, c_in, c_out = int(np.prod(grid)), int(rng.integers(1, 4)), int(rng.integers(1, 4))
    spectra = np.einsum("wi,oic->woc", dft(grid), rng.standard_normal((c_out, n, c_in)))
    inner = min(c_in, c_out) - int(rng.integers(2))
    if inner > 0 and rng.random() < 0.5:  # of rank ``inner`` at every frequency
        narrow = np.einsum("wi,oic->woc", dft(grid), rng.standard_normal((inner, n, c_in)))
        wide = np.einsum("wi,oic->woc", dft(grid), rng.standard_normal((c_out, n, inner)))
        spectra = wide @ narrow
    if n > 1 and rng.random() < 0.3:
        spectra[0] = 0.0
    filters = draw_scale(rng, decades=2.0) * np.einsum("wi,woc->oic", dft(grid).conj(), spectra).real
    pooling = draw_pooling(rng, grid, 1)[0]
    return {"grid": grid, "filters": filters, "pooling": pooling, "depth": int(rng.integers(1, 9))}


def on_grid(values: NDArray[Any], instance: Instance) -> NDArray[Any]:
    """``(n, ..)`` as ``(*grid, ..)``."""
    return values.reshape(*instance["grid"], *values.shape[1:])


def map_blocks(instance: Instance) -> Complexes:
    """Â_ω ``(n, C_out, C_in)``, the unnormalised DFT, cleaned of round-off."""
    filters = instance["filters"]
    spectra = np.einsum("wi,oic->woc", dft(tuple(instance["grid"])), filters) * np.sqrt(filters.shape[1])
    left, s, right = np.linalg.svd(spectra, full_matrices=False)
    s = np.where(s > 1e-12 * s.max(initial=0.0), s, 0.0)
    return np.asarray(left * s[:, None, :] @ right)


def wide_blocks(found: Complexes) -> Complexes:
    """Square blocks, zeros added: a network of one width computes the map."""
    width = max(found.shape[1:])
    wide = np.zeros((len(found), width, width), dtype=complex)
    wide[:, : found.shape[1], : found.shape[2]] = found
    return wide


def attained_sides(
    instance: Instance, *, pooling_power: float = 1.0, layers: int = 0, factor: float = 1.0, transform: float = 0.0
) -> tuple[Any, Any]:
    """Norm of a network built from the polar factors, and how far its map is off, times it; and the cost, and 0."""
    found, pooling, grid, depth = map_blocks(instance), instance["pooling"], instance["grid"], instance["depth"]
    weights = balanced_filters(wide_blocks(found), pooling, depth, grid)
    wanted = np.zeros((*[weights.shape[1]] * 2, *[weights.shape[2]] * 2))
    c_out, n, c_in = instance["filters"].shape
    wanted[:c_out, :c_in] = operator(instance["filters"], grid).reshape(c_out, n, c_in, n).transpose(0, 2, 1, 3)
    dense = product_of_layers({"weights": weights, "pooling": pooling, "grid": grid})
    error = np.linalg.norm(dense - wanted.transpose(0, 2, 1, 3).reshape(dense.shape))
    norm = float((operator(weights, grid) ** 2).sum())
    cost = representation_cost(
        on_grid(n**transform * found, instance),
        depth=depth + layers,
        pooling=on_grid(np.sign(pooling) * np.abs(pooling) ** pooling_power, instance),
    )
    return [norm, norm * error / max(float(np.linalg.norm(wanted)), 1e-300)], [factor * cost, 0.0]


def expansion_sides(
    instance: Instance,
    *,
    pooling_power: float = 1.0,
    factor: float = 1.0,
    transform: float = 0.0,
    halved: bool = False,
) -> tuple[Any, Any]:
    """``g(0), g'(0), g''(0)/2`` of ``g(1/L) = R(L)/L`` by differences of 60 digits; and R⁽⁰⁾, R⁽¹⁾, R⁽²⁾."""
    import mpmath

    found, n = map_blocks(instance), instance["filters"].shape[1]
    singular = np.linalg.svd(found, compute_uv=False)
    floor = 1e-12 * singular.max(initial=0.0)
    pairs = [
        (float(m), float(s)) for m, row in zip(instance["pooling"], singular, strict=True) for s in row if s > floor
    ]
    with mpmath.workdps(60):
        step = mpmath.mpf(10) ** -12

        def per_layer(x: Any) -> Any:
            terms = [abs(mpmath.mpf(m)) ** (2 * x - 2) * mpmath.mpf(s) ** (2 * x) for m, s in pairs]
            return mpmath.fsum(terms)

        above, at, below = (per_layer(x) for x in (step, mpmath.mpf(0), -step))
        left = [float(at), float((above - below) / (2 * step)), float((above - 2 * at + below) / (2 * step**2))]
    pooling = np.sign(instance["pooling"]) * np.abs(instance["pooling"]) ** pooling_power
    right = cost_expansion(on_grid(factor * n**transform * found, instance), pooling=on_grid(pooling, instance))
    scale = np.array([max(abs(number), left[0], 1e-300) for number in left])  # each relative to its own size
    values = np.array([right.R0, right.R1, right.R2 * (0.5 if halved else 1.0)])
    return np.array(left) / scale, values / scale


def expansion_identities(
    *, pooling_power: float = 1.0, factor: float = 1.0, transform: float = 0.0, halved: bool = False
) -> Sequence[Any]:
    """Of one singular value s at one frequency of pooling m, with n pixels: the Taylor coefficients in 1/L."""
    import sympy

    m, s, n, x = sympy.symbols("m s n x", positive=True)
    exact = sympy.nsimplify
    pooled, value = m ** exact(pooling_power), exact(factor) * n ** exact(transform) * s
    term = m ** (2 * x - 2) * s ** (2 * x)
    claimed = [
        pooled**-2,
        2 * pooled**-2 * sympy.log(pooled * value),
        (1 if halved else 2) * pooled**-2 * sympy.log(pooled * value) ** 2,
    ]
    found = [sympy.diff(term, x, order).subs(x, 0) / sympy.factorial(order) for order in range(3)]
    return [sympy.simplify(sympy.expand_log(a - b, force=True)) for a, b in zip(found, claimed, strict=True)]


def readout_sides(
    instance: Instance, *, transform: float = 0.5, layers: int = 0, copies: float = 1.0
) -> tuple[Any, Any]:
    """Cost of an equivariant map over n, without pooling; and what weight decay costs its readout at one pixel.

    Section 3 has a dense last layer: ``f(x)_k = Σ_i a[k, -i] x[i]`` is the map's output at pixel 0, and
    ``v̂_ω = Â_ω/√n`` by the definition ``f(x) = Σ_ω v̂_ω x̂_ω``.
    """
    found, depth, n = map_blocks(instance), instance["depth"], instance["filters"].shape[1]
    left = representation_cost(on_grid(found, instance), depth=depth) / n**copies
    # the predictor in pixel space, and the conjugate of its unitary DFT
    filters = instance["filters"]
    first_row = operator(filters, instance["grid"]).reshape(len(filters), n, filters.shape[2], n)[:, 0]
    predictor = np.einsum("wi,kci->wkc", dft(tuple(instance["grid"])), first_row).conj() * n ** (0.5 - transform)
    u, s, v = np.linalg.svd(predictor, full_matrices=False)
    clean = u * np.where(s > 1e-12 * s.max(initial=0.0), s, 0.0)[:, None, :] @ v
    return left, penalty_weight(1.0, depth=depth + layers, n_pixels=n) * schatten_power(clean, depth=depth + layers)


HALF = {
    "text": "n = 1, f(x) = x/2, L = 2",
    "grid": (1,),
    "filters": np.array([[[0.5]]]),
    "pooling": np.ones(1),
    "depth": 2,
}
NYQUIST = {
    "text": "n = 2, f(x) = (x₀ - x₁, x₁ - x₀), L = 3, m = (1, 1/2)",
    "grid": (2,),
    "filters": np.array([[[1.0], [-1.0]]]),
    "pooling": np.array([1.0, 0.5]),
    "depth": 3,
}

COST_CLAIMS = (
    Claim(
        id="operator-norm",
        title="The norm of a cyclic network in its three forms",
        statement="‖θ‖² = Σ_l (‖W_l‖_F² + n‖b_l‖²) = Σ_l (Σ_ω ‖Ŵ_{l,ω}‖_F² + n‖b_l‖²) = n Σ_l (‖w_l‖² + ‖b_l‖²)",
        source=RECONSTRUCTED,
        hypotheses=("filters as large as the image, circular", "Ŵ the unnormalised DFT of the filter"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "filter convention (1 for n)": {"convention": "1"},
            "√n for n": {"convention": "√n"},
            "unitary DFT": {"transform": -0.5},
            "exponent of n 1% off": {"transform": 0.005},
        },
        tolerance=1e-12,
        tolerance_reason="sums of at most L·(nC)² ≤ 3700 squares in float64: 4e-13 at the very worst, 1e-14 seen",
        draw=lambda rng, n: constant_network(rng, n),
        sides=norm_sides,
        quantity="‖θ‖²",
        batched=True,
        attacked=("weights", "biases"),
    ),
    Claim(
        id="linear-cost-bound",
        title="No factorisation of a linear map is cheaper than its cost",
        statement="Σ_l ‖W_l‖_F² ≥ L Σ_ω |m_ω|^{-2(L-1)/L} Σ_i s_i(Â_ω)^{2/L}, Â the product of the layers",
        source=RECONSTRUCTED,
        hypotheses=("identity activation, no biases", *NETWORK),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "|m|^{-3} for |m|^{-2}": {"pooling_power": 3.0},
            "L + 1 for L": {"layers": 1.0},
            "exponent of s 1% off": {"power": 2.02},
            "exponent of m 1% off": {"pooling_power": 2.02},
        },
        tolerance=1e-9,
        tolerance_reason=(
            "singular values below 1e-11 of the layers' norms are left out, which only lowers the bound; the others "
            "carry at most 1e-16/1e-11 of relative error, of weight (1e-11)^{2/5}: 1e-9·(2/5)"
        ),
        draw=draw_factors,
        sides=factor_sides,
        distance=excess,
        quantity="cost of the product, and Σ‖W_l‖²:",
        batched=True,
        attacked=("weights",),
    ),
    Claim(
        id="linear-cost",
        title="The cost of a linear map is attained",
        statement=(
            "min Σ_l ‖W_l‖_F² = L Σ_ω |m_ω|^{-2(L-1)/L} Σ_i s_i(Â_ω)^{2/L}: by Ŵ_l = |m_ω|^{-(L-1)/L} (Â^HÂ)^{1/2L}, "
            "the last times the unitary factor of Â"
        ),
        source=RECONSTRUCTED,
        hypotheses=("identity activation, no biases, widths ≥ rank Â_ω", *NETWORK),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "pooling dropped": {"pooling_power": 0.0},
            "|m|^{-1} for |m|^{-2}": {"pooling_power": 0.5},
            "L + 1 for L": {"layers": 1},
            "unitary DFT": {"transform": -0.5},
            "exponent of m 1% off": {"pooling_power": 1.01},
            "√2": {"factor": float(np.sqrt(2))},
        },
        tolerance=1e-10,
        tolerance_reason=(
            "singular values above 1e-12 of the largest to 1e-4 of relative error at worst, of weight (1e-12)^{2/8}; "
            "a map off by eight products of ≤ 1e-14 each"
        ),
        draw=draw_map,
        sides=attained_sides,
        quantity="‖θ‖²",
        smallest=(HALF, NYQUIST),
    ),
    Claim(
        id="cost-expansion",
        title="The cost of a linear map for many layers",
        statement=(
            "R = L R⁽⁰⁾ + R⁽¹⁾ + R⁽²⁾/L + .., R⁽⁰⁾ = Σ|m_ω|^{-2} rank Â_ω, R⁽¹⁾ = 2Σ|m_ω|^{-2} Σ log(|m_ω|s_i), "
            "R⁽²⁾ = 2Σ|m_ω|^{-2} Σ log²(|m_ω|s_i)"
        ),
        source=RECONSTRUCTED,
        hypotheses=("identity activation, no biases, widths ≥ rank Â_ω", *NETWORK),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "|m|^{-1} for |m|^{-2}": {"pooling_power": 0.5},
            "√2 s for s": {"factor": float(np.sqrt(2))},
            "unitary DFT": {"transform": -0.5},
            "R⁽²⁾ halved": {"halved": True},
            "exponent of m 1% off": {"pooling_power": 1.01},
        },
        tolerance=1e-10,
        tolerance_reason="differences of 60 digits over 1e-12: errors (1e-12 log s)² and 1e-60/1e-24; sums in float64",
        draw=draw_map,
        sides=expansion_sides,
        symbolic=expansion_identities,
        quantity="R⁽⁰⁾, R⁽¹⁾ or R⁽²⁾, relative,",
        smallest=(HALF, NYQUIST),
    ),
    Claim(
        id="cost-is-the-penalty",
        title="Without pooling the cost is what weight decay costs the readout",
        statement="R_lin/n = L n^{-(L-1)/L} Σ_ω ‖v̂_ω‖_{2/L}^{2/L} of the output at one pixel, v̂_ω = Â_ω/√n",
        source="new; Wen & Jacot's cost (reconstructed) and Godfrey et al. thm 4.9, corrected, are one formula",
        hypotheses=("identity activation, no biases, M = I", "filters as large as the image, circular"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "unnormalised DFT": {"transform": 0.0},
            "L + 1 for L": {"layers": 1},
            "operator norm (1 for n)": {"copies": 0.0},
            "exponent of n 1% off": {"transform": 0.505},
        },
        tolerance=1e-10,
        tolerance_reason=(
            "singular values above 1e-12 of the largest to 1e-4 of relative error at worst, of weight (1e-12)^{2/8}; "
            "those of full size to 1e-15"
        ),
        draw=draw_map,
        sides=readout_sides,
        quantity="cost in the filter convention",
        smallest=(HALF,),
    ),
)

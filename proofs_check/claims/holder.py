"""Claims about singular values of products: Horn, weak log-majorisation, Schatten-Hölder (G conjecture 4.13).

Batches of instances: ``chain (n, k, size, size)`` holds the factors, of which ``dims`` says the shapes; its entries
beyond them take no part. ``exponents (n, k)`` are the p_i, or the powers r.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofs_check.claim import Claim, excess
from proofs_check.claims.schatten import (
    CUT,
    draw_matrices,
    draw_unitaries,
    exact_matrix,
    exact_singular_values,
    in_extended_precision,
    over_operator_norm,
    powers,
    product,
    singular_values,
    well_conditioned,
    with_singular_values,
    without_round_off,
)
from proofs_check.verdict import Instance, Outcome

__all__ = ["EXACT_REASON", "HOELDER_CLAIMS", "SIZE", "draw_pair", "factors_of", "pack_chain"]

Floats = NDArray[np.float64]
Matrices = NDArray[Any]
SIZE = 4
"""Largest dimension of a factor."""

EXACT_REASON = (
    "float64 decides where no singular value is below 1e-3 of the largest, with an error below 1e-11; beyond 1e-10 "
    "60 digits decide the others"
)


# --- Instances ------------------------------------------------------------------------------------------------------


def factors_of(instance: Instance) -> list[Matrices]:
    """The factors ``(n, d_{i-1}, d_i)`` of a batch, or those of one instance."""
    chain, dims = instance["chain"], instance["dims"]
    return [chain[..., i, : dims[i], : dims[i + 1]] for i in range(len(dims) - 1)]


def pack_chain(factors: list[Matrices], dims: list[int]) -> Instance:
    """The inverse of :func:`factors_of`, for a batch."""
    chain = np.zeros((len(factors[0]), len(factors), SIZE, SIZE), dtype=np.complex128)
    for i, factor in enumerate(factors):
        chain[:, i, : dims[i], : dims[i + 1]] = factor
    return {"chain": chain, "dims": dims}


def _draw_dims(rng: np.random.Generator, count: int) -> list[int]:
    dims = rng.integers(2, SIZE + 1, size=count)
    if rng.random() < 0.15:  # a vector: then every rank is 1
        dims[rng.integers(count)] = 1
    return [int(d) for d in dims]


def _draw_exponents(rng: np.random.Generator, n: int, count: int) -> Floats:
    """From 0.1 to 10, all equal in a third of the cases, as those of a network of ``count`` layers in some."""
    drawn = 10.0 ** rng.uniform(-1.0, 1.0, size=(n, count))
    kind = rng.integers(6, size=n)[:, None]
    return np.select([kind == 0, kind == 1], [np.full((n, count), 2.0), np.repeat(drawn[:, :1], count, axis=1)], drawn)


def _draw_scales(rng: np.random.Generator, n: int) -> Floats:
    return np.where(rng.random(n) < 0.5, 1.0, 10.0 ** rng.uniform(-3.0, 3.0, size=n))[:, None, None]


def _aligned_factors(rng: np.random.Generator, exponents: Floats, dims: list[int]) -> list[Matrices]:
    """``A_l = U_l S^{r/p_l} U_{l+1}^*``, the case of equality; S of any rank, within a factor 300."""
    n, smallest = len(exponents), min(dims)
    values = np.sort(10.0 ** -rng.uniform(0.0, 2.5, size=(n, smallest)))[:, ::-1]
    ranks = np.where(rng.random(n) < 0.8, smallest, rng.integers(1, smallest + 1, size=n))
    values = values * (np.arange(smallest) < ranks[:, None])
    shares = (1.0 / exponents) / (1.0 / exponents).sum(axis=1, keepdims=True)
    unitaries = [draw_unitaries(rng, n, d) for d in dims]
    return [
        with_singular_values(unitaries[i], powers(values, shares[:, i]), unitaries[i + 1]) for i in range(len(dims) - 1)
    ]


def draw_chain(rng: np.random.Generator, n: int) -> Instance:
    """Two to four factors: any, those of equality, and these a little moved."""
    count = int(rng.integers(2, 5))
    dims, exponents = _draw_dims(rng, count + 1), _draw_exponents(rng, n, count)
    aligned = _aligned_factors(rng, exponents, dims)
    loose = [draw_matrices(rng, n, dims[i], dims[i + 1]) for i in range(count)]
    kind = rng.integers(4, size=n)[:, None, None]
    moved = 10.0 ** -rng.uniform(1.0, 4.0, size=(n, 1, 1))
    factors = [
        _draw_scales(rng, n) * np.select([kind == 0, kind == 1], [a, a + moved * b], b)
        for a, b in zip(aligned, loose, strict=True)
    ]
    return pack_chain(factors, dims) | {"exponents": exponents}


def draw_aligned_chain(rng: np.random.Generator, n: int) -> Instance:
    """Factors of equality, each of a scale of its own."""
    count = int(rng.integers(2, 5))
    dims, exponents = _draw_dims(rng, count + 1), _draw_exponents(rng, n, count)
    factors = [_draw_scales(rng, n) * factor for factor in _aligned_factors(rng, exponents, dims)]
    return pack_chain(factors, dims) | {"exponents": exponents}


def draw_pair(
    rng: np.random.Generator, n: int, *, low: float = 0.1, high: float = 5.0, size: int | None = None
) -> Instance:
    """Two factors, of any shape or square of this size, and a power r; a quarter of them share singular vectors."""
    dims = _draw_dims(rng, 3) if size is None else [size] * 3
    loose = [draw_matrices(rng, n, dims[i], dims[i + 1]) for i in range(2)]
    aligned = _aligned_factors(rng, np.ones((n, 2)), dims)
    share = (rng.integers(4, size=n) == 0)[:, None, None]
    factors = [_draw_scales(rng, n) * np.where(share, a, b) for a, b in zip(aligned, loose, strict=True)]
    return pack_chain(factors, dims) | {"power": rng.uniform(low, high, size=n)}


# --- Schatten-Hölder ------------------------------------------------------------------------------------------------


def _joint_exponent(exponents: Floats, rule: str, shift: float) -> Floats:
    """r: ``1/r = shift · Σ 1/p_i``, or ``min p_i / k`` for the rule "smallest"."""
    if rule == "smallest":
        return np.asarray(exponents.min(axis=1) / exponents.shape[1])
    return np.asarray(1.0 / (shift * (1.0 / exponents).sum(axis=1)))


def _norm(values: Floats, exponent: Floats) -> Floats:
    """``‖·‖_{S_p}`` of singular values ``(n, m)``; powers ``(n,)``. The largest is taken out: nothing overflows."""
    top = values.max(axis=1)
    shares = values / np.where(top > 0.0, top, 1.0)[:, None]
    return np.where(top > 0.0, top * np.maximum(powers(shares, exponent).sum(axis=1), 1.0) ** (1.0 / exponent), 0.0)


def hoelder_sides(
    instance: Instance, *, constant: float = 1.0, rule: str = "harmonic", shift: float = 1.0, last: str = "S_p"
) -> tuple[Floats, Floats]:
    """``‖A_1⋯A_k‖_{S_r}`` and ``constant · Π ‖A_i‖_{S_{p_i}}``, both over ``Π ‖A_i‖_op``.

    ``last`` "operator": the operator norm of the last factor.
    """
    factors, exponents = factors_of(instance), instance["exponents"]
    units, spectra = zip(*map(over_operator_norm, factors), strict=True)
    right = np.full(len(exponents), constant)
    for i in range(len(factors) - (last == "operator")):
        right = right * _norm(spectra[i], exponents[:, i])
    values = without_round_off(singular_values(product(units)))
    return _norm(values, _joint_exponent(exponents, rule, shift)), right


@in_extended_precision(lambda instance: well_conditioned(factors_of(instance)), hoelder_sides)
def exact_hoelder_sides(
    instance: Instance, *, constant: float = 1.0, rule: str = "harmonic", shift: float = 1.0, last: str = "S_p"
) -> tuple[list[Any], list[Any]]:
    """:func:`hoelder_sides` with 60 digits."""
    import mpmath

    factors = [exact_matrix(factor) for factor in factors_of(instance)]
    exponents = [mpmath.mpf(float(p)) for p in instance["exponents"]]
    singular = [exact_singular_values(factor) for factor in factors]
    if not all(singular):  # a factor is 0
        return [mpmath.mpf(0)], [mpmath.mpf(0)]
    total, bound = factors[0], singular[0][0]
    for factor, values in zip(factors[1:], singular[1:], strict=True):
        total, bound = total * factor, bound * values[0]
    r = min(exponents) / len(factors) if rule == "smallest" else 1 / (shift * sum(1 / p for p in exponents))
    right = mpmath.mpf(constant)
    for i, (p, values) in enumerate(zip(exponents, singular, strict=True)):
        alone = last == "operator" and i == len(factors) - 1
        right *= values[0] if alone else sum(s**p for s in values) ** (1 / p)
    return [sum(s**r for s in exact_singular_values(total, bound)) ** (1 / r)], [right]


# --- Horn, and what follows from it ---------------------------------------------------------------------------------


def _three_spectra(instance: Instance) -> tuple[Floats, Floats, Floats]:
    """Singular values of AB, A and B, as many as the smallest dimension, over the operator norms of A and B."""
    (a, of_a), (b, of_b) = map(over_operator_norm, factors_of(instance))
    of_ab, count = without_round_off(singular_values(a @ b)), min(instance["dims"])
    return of_ab[:, :count], of_a[:, :count], of_b[:, :count]


def horn_sides(
    instance: Instance, *, constant: float = 1.0, exponent: float = 1.0, order: str = "descending"
) -> tuple[Floats, Floats]:
    """``Π_{i≤k} s_i(AB) / Π_{i≤k} (s_i(A) s_i(B))^exponent`` for k = 1, 2, .., and ``constant``.

    ``order`` "one reversed": the singular values of B from the smallest on. Where the right side is round-off, k is
    left out: 0 against ``constant``.
    """
    ab, a, b = _three_spectra(instance)
    b = b[:, ::-1] if order == "one reversed" else b
    below = np.cumprod((a * b) ** exponent, axis=1)
    known = below > CUT
    ratios = np.where(known, np.cumprod(ab, axis=1) / np.where(known, below, 1.0), 0.0)
    return ratios, np.full(ratios.shape, constant)


@in_extended_precision(lambda instance: well_conditioned(factors_of(instance)), horn_sides)
def exact_horn_sides(
    instance: Instance, *, constant: float = 1.0, exponent: float = 1.0, order: str = "descending"
) -> tuple[list[Any], list[Any]]:
    """:func:`horn_sides` with 60 digits."""
    import mpmath

    ab, a, b = _exact_spectra(instance)
    b = b[::-1] if order == "one reversed" else b
    above, below, ratios = mpmath.mpf(1), mpmath.mpf(1), []
    for i in range(min(len(ab), len(a), len(b))):
        above, below = above * ab[i], below * (a[i] * b[i]) ** exponent
        ratios.append(above / below)
    return ratios, [mpmath.mpf(constant)] * len(ratios)


def _exact_spectra(instance: Instance) -> tuple[list[Any], list[Any], list[Any]]:
    a, b = (exact_matrix(factor) for factor in factors_of(instance))
    count = min(instance["dims"])
    of_a, of_b = exact_singular_values(a), exact_singular_values(b)
    bound = of_a[0] * of_b[0] if of_a and of_b else 0
    return exact_singular_values(a * b, bound)[:count], of_a[:count], of_b[:count]


def majorisation_sides(
    instance: Instance, *, constant: float = 1.0, shift: float = 1.0, order: str = "descending"
) -> tuple[Floats, Floats]:
    """``Σ_{i≤k} s_i(AB)^r`` over ``Σ_{i≤k} s_i(A)^{r·shift} s_i(B)^{r·shift}`` for each k, and ``constant``."""
    ab, a, b = _three_spectra(instance)
    r = instance["power"]
    b = b[:, ::-1] if order == "one reversed" else b
    above, below = np.cumsum(powers(ab, r), axis=1), np.cumsum(powers(a * b, shift * r), axis=1)
    ratios = np.divide(above, below, out=np.zeros_like(above), where=below > 0.0)
    return ratios, np.full(ratios.shape, constant)


@in_extended_precision(lambda instance: well_conditioned(factors_of(instance)), majorisation_sides)
def exact_majorisation_sides(
    instance: Instance, *, constant: float = 1.0, shift: float = 1.0, order: str = "descending"
) -> tuple[list[Any], list[Any]]:
    """:func:`majorisation_sides` with 60 digits, for matrices of unit operator norm."""
    import mpmath

    spectra = _exact_spectra(instance)
    _, a, b = spectra
    if not a or not b:
        return [mpmath.mpf(0)], [mpmath.mpf(constant)]
    r, count = mpmath.mpf(float(instance["power"])), min(instance["dims"])
    ab, a, b = (
        [s / top for s in values] + [mpmath.mpf(0)] * (count - len(values))
        for values, top in zip(spectra, (a[0] * b[0], a[0], b[0]), strict=True)
    )
    b = b[::-1] if order == "one reversed" else b
    above, below, ratios = mpmath.mpf(0), mpmath.mpf(0), []
    for i in range(count):
        above, below = above + ab[i] ** r, below + (a[i] * b[i]) ** (shift * r)
        ratios.append(above / below if below > 0 else mpmath.mpf(0))
    return ratios, [mpmath.mpf(constant)] * count


HOELDER_HYPOTHESES = ("matrices of any sizes that multiply, real or complex", "any p_i > 0")

HOELDER_CLAIMS = (
    Claim(
        id="schatten-hoelder",
        title="Hölder's inequality for Schatten (quasi-)norms",
        statement="‖A_1⋯A_k‖_{S_r} ≤ Π ‖A_i‖_{S_{p_i}}, 1/r = Σ 1/p_i, for all p_i > 0",
        source="Godfrey et al. conjecture 4.13 (eq 4.14): a theorem (Shang, Liu, Cheng, arXiv 1606.00668)",
        hypotheses=HOELDER_HYPOTHESES,
        expected=Outcome.NOT_REFUTED,
        mutants={
            "1% below": {"constant": 0.99},
            "1/r 1% larger": {"shift": 1.01},
            "r = min p_i/k": {"rule": "smallest"},
            "operator norm of the last factor": {"last": "operator"},
        },
        tolerance=1e-10,
        tolerance_reason=EXACT_REASON,
        draw=draw_chain,
        sides=hoelder_sides,
        distance=excess,
        quantity="‖A_1⋯A_k‖_{S_r}/Π‖A_i‖",
        batched=True,
        extended=exact_hoelder_sides,
        attacked=("chain",),
    ),
    Claim(
        id="schatten-hoelder-equality",
        title="Where Hölder's inequality is an equality",
        statement="A_l = U_l S^{r/p_l} U_{l+1}^* with orthonormal columns: ‖A_1⋯A_k‖_{S_r} = Π ‖A_i‖_{S_{p_i}}",
        source="new; behind the equivalent problem of Godfrey et al. theorem 4.9",
        hypotheses=HOELDER_HYPOTHESES,
        expected=Outcome.NOT_REFUTED,
        mutants={
            "√2": {"constant": float(np.sqrt(2))},
            "1/r 1% larger": {"shift": 1.01},
            "r = min p_i/k": {"rule": "smallest"},
            "operator norm of the last factor": {"last": "operator"},
        },
        tolerance=1e-10,
        tolerance_reason="singular values within a factor 1000 of the largest have a relative error below 1e-12",
        draw=draw_aligned_chain,
        sides=hoelder_sides,
        quantity="‖A_1⋯A_k‖_{S_r}/Π‖A_i‖",
        batched=True,
    ),
    Claim(
        id="horn",
        title="Horn's inequality",
        statement="Π_{i≤k} s_i(AB) ≤ Π_{i≤k} s_i(A) s_i(B) for every k",
        source="Horn 1950; the first step to Godfrey et al. conjecture 4.13",
        hypotheses=HOELDER_HYPOTHESES[:1],
        expected=Outcome.NOT_REFUTED,
        mutants={
            "1% below": {"constant": 0.99},
            "exponent 1% off": {"exponent": 1.01},
            "s_i(B) from the smallest on": {"order": "one reversed"},
        },
        tolerance=1e-10,
        tolerance_reason=EXACT_REASON,
        draw=draw_pair,
        sides=horn_sides,
        distance=excess,
        quantity="Π s_i(AB)/Π s_i(A)s_i(B)",
        batched=True,
        extended=exact_horn_sides,
        attacked=("chain",),
    ),
    Claim(
        id="weak-log-majorisation",
        title="Powers of singular values of a product",
        statement="Σ_{i≤k} s_i(AB)^r ≤ Σ_{i≤k} s_i(A)^r s_i(B)^r for every k and every r > 0",
        source="Weyl, Horn; the second step to Godfrey et al. conjecture 4.13",
        hypotheses=(*HOELDER_HYPOTHESES[:1], "any r > 0"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "1% below": {"constant": 0.99},
            "exponent 1% off": {"shift": 1.01},
            "s_i(B) from the smallest on": {"order": "one reversed"},
        },
        tolerance=1e-10,
        tolerance_reason=EXACT_REASON,
        draw=draw_pair,
        sides=majorisation_sides,
        distance=excess,
        quantity="Σ s_i(AB)^r/Σ s_i(A)^r s_i(B)^r",
        batched=True,
        extended=exact_majorisation_sides,
        attacked=("chain",),
    ),
)

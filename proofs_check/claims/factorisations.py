"""Claims about the factors of one block: what weight decay costs it, and what it makes of it where Σ^xx is τ·1.

``v̂ = P^{(L-1)/2} B A_{L-1}⋯A_1``; ``chain (n, L, size, size)`` holds B first, ``dims`` = (K, C_{L-1}, .., C_1, C).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofs_check.claim import Claim, excess
from proofs_check.claims.holder import EXACT_REASON, SIZE, factors_of, pack_chain
from proofs_check.claims.penalties import landing_and_jump
from proofs_check.claims.schatten import (
    draw_matrices,
    exact_matrix,
    exact_singular_values,
    in_extended_precision,
    product,
    singular_values,
    well_conditioned,
    without_round_off,
)
from proofs_check.claims.shrinkage import shrink
from proofs_check.verdict import Instance, Outcome

__all__ = ["FACTOR_CLAIMS"]

Floats = NDArray[np.float64]
Matrices = NDArray[Any]

PIXELS = (1, 2, 3, 4, 9, 16)


def _draw_dims(rng: np.random.Generator, depth: int) -> list[int]:
    dims = rng.integers(2, SIZE + 1, size=depth + 1)
    if rng.random() < 0.3:
        dims[rng.integers(depth + 1)] = 1
    return [int(d) for d in dims]


def balanced_factors(blocks: Matrices, dims: Sequence[int], n_pixels: int) -> list[Matrices]:
    """``B = U σ, A_l = σ, A_1 = σ V^*`` with ``σ = (S P^{-(L-1)/2})^{1/L}``, of blocks ``(n, K, C)``.

    Of the singular values the largest, as many as fit.
    """
    depth, kept = len(dims) - 1, min(dims)
    left, values, right = np.linalg.svd(blocks, full_matrices=False)
    roots = (without_round_off(values, values[:, :1])[:, :kept] * n_pixels ** (-(depth - 1) / 2)) ** (1.0 / depth)
    if depth == 1:
        return [(left[:, :, :kept] * roots[:, None]) @ right[:, :kept]]
    factors = [np.zeros((len(blocks), dims[i], dims[i + 1]), dtype=np.complex128) for i in range(depth)]
    index = np.arange(kept)
    factors[0][:, :, :kept] = left[:, :, :kept] * roots[:, None]
    for hidden in factors[1:-1]:
        hidden[:, index, index] = roots
    factors[-1][:, :kept] = roots[:, :, None] * right[:, :kept]
    return factors


# --- What a block costs ---------------------------------------------------------------------------------------------


def draw_factors(rng: np.random.Generator, n: int) -> Instance:
    """Any factors, balanced ones, and balanced ones a little moved."""
    depth, n_pixels = int(rng.integers(1, 5)), int(rng.choice(PIXELS))
    dims = _draw_dims(rng, depth)
    loose = [draw_matrices(rng, n, dims[i], dims[i + 1]) for i in range(depth)]
    balanced = balanced_factors(draw_matrices(rng, n, dims[0], dims[-1]), dims, n_pixels)
    kind = rng.integers(4, size=n)[:, None, None]
    moved = 10.0 ** -rng.uniform(1.0, 4.0, (n, 1, 1))
    scale = np.where(rng.random(n) < 0.5, 1.0, 10.0 ** rng.uniform(-3.0, 3.0, n))[:, None, None]
    factors = [
        scale * np.select([kind == 0, kind == 1], [a, a + moved * b], b) for a, b in zip(balanced, loose, strict=True)
    ]
    return pack_chain(factors, dims) | {"n_pixels": n_pixels}


def cost_sides(
    instance: Instance, *, power_of_p: float = 1.0, factor: float = 1.0, exponent: float = 1.0
) -> tuple[Floats, Floats]:
    """``factor · L P^{-power (L-1)/L} ‖v̂‖_{S_p}^p``, p = 2/L, over ``Σ ‖A_l‖²``; and 1."""
    factors, n_pixels = factors_of(instance), instance["n_pixels"]
    depth = len(factors)
    paid = _paid(factors)
    root = np.sqrt(np.where(paid > 0.0, paid, 1.0))[:, None, None]  # the unit, in which every layer is below 1
    units = [layer / root for layer in factors]
    tops = np.prod([singular_values(unit)[:, 0] for unit in units], axis=0)
    values = n_pixels ** ((depth - 1) / 2.0) * without_round_off(singular_values(product(units)), tops[:, None])
    cost = factor * depth * n_pixels ** (-power_of_p * (depth - 1) / depth)
    return cost * (values ** (exponent * 2.0 / depth)).sum(axis=1), np.ones(len(paid))


def _paid(factors: Sequence[Matrices]) -> Floats:
    """``Σ_l ‖A_l‖²``."""
    return np.asarray(np.sum([(np.abs(layer) ** 2).sum(axis=(1, 2)) for layer in factors], axis=0))


@in_extended_precision(lambda instance: well_conditioned(factors_of(instance)), cost_sides)
def exact_cost_sides(
    instance: Instance, *, power_of_p: float = 1.0, factor: float = 1.0, exponent: float = 1.0
) -> tuple[list[Any], list[Any]]:
    """:func:`cost_sides` with 60 digits."""
    import mpmath

    factors = [exact_matrix(layer) for layer in factors_of(instance)]
    depth, n_pixels = len(factors), mpmath.mpf(instance["n_pixels"])
    paid = sum(abs(entry) ** 2 for layer in factors for entry in layer)
    tops = [next(iter(exact_singular_values(layer)), mpmath.mpf(0)) for layer in factors]
    total = factors[0]
    for layer in factors[1:]:
        total = total * layer
    if min(tops) == 0:
        return [mpmath.mpf(0)], [mpmath.mpf(1)]
    unit = n_pixels ** ((depth - 1) / mpmath.mpf(2)) / mpmath.sqrt(paid) ** depth
    values = exact_singular_values(total, mpmath.fprod(tops))
    powers = [(unit * s) ** (2 * mpmath.mpf(exponent) / depth) for s in values]
    cost = factor * depth * n_pixels ** (-power_of_p * mpmath.mpf(depth - 1) / depth)
    return [cost * sum(powers)], [mpmath.mpf(1)]


def cost_symbolic(*, power_of_p: float = 1.0, factor: float = 1.0, exponent: float = 1.0) -> Sequence[Any]:
    """One number, L = 2 and 3: balanced layers cost the formula, and what others pay more is a sum of squares."""
    import sympy

    x, y, z, root, pixels = sympy.symbols("x y z s P", positive=True)  # s = σ, the size of every balanced layer
    wrong = [sympy.nsimplify(number) for number in (power_of_p, factor, exponent)]
    squares = (x - y) ** 2 + (y - z) ** 2 + (z - x) ** 2
    found = [
        sympy.expand(x**2 + y**2 - 2 * x * y - (x - y) ** 2),
        sympy.expand(x**3 + y**3 + z**3 - 3 * x * y * z - (x + y + z) * squares / 2),
    ]
    for depth in (2, 3):
        v = pixels ** sympy.Rational(depth - 1, 2) * root**depth
        formula = wrong[1] * depth * pixels ** (-wrong[0] * sympy.Rational(depth - 1, depth))
        formula *= sympy.powdenest(v ** (wrong[2] * sympy.Rational(2, depth)), force=True)
        found.append(sympy.simplify(sympy.powsimp(depth * root**2 - formula, force=True)))
    return found


# --- What weight decay makes of a block -----------------------------------------------------------------------------


def draw_regression(rng: np.random.Generator, n: int) -> Instance:
    """A block v_LS, τ, λ and the width of the last hidden layer; factors of the minimiser, moved or not."""
    depth, n_pixels = int(rng.integers(1, 5)), int(rng.choice(PIXELS))
    dims = _draw_dims(rng, depth)
    least = draw_matrices(rng, n, dims[0], dims[-1])
    tau = 10.0 ** rng.uniform(-1.0, 1.0, n)
    top = singular_values(least)[:, 0]
    at_one = landing_and_jump(1.0, depth)[1] if depth > 2 else 1.0
    share = 10.0 ** rng.uniform(-0.3, 1.5, n)  # the largest singular value over the jump
    u = (top / (share * at_one)) ** (2.0 - 2.0 / depth) if depth > 1 else 1.0 / share
    lam = 2.0 * tau * u / _penalty_weight(depth, n_pixels)
    width = rng.integers(1, min(dims) + 1, n) if depth > 1 else np.full(n, min(dims))
    instance = {"least": least, "tau": tau, "lam": lam, "n_pixels": n_pixels, "width": width}
    best = balanced_factors(_minimiser(instance, depth), dims, n_pixels)
    loose = [draw_matrices(rng, n, dims[i], dims[i + 1]) for i in range(depth)]
    moved = np.where(rng.random(n) < 0.7, 10.0 ** -rng.uniform(0.5, 4.0, n), 0.0)[:, None, None]
    size = (top * n_pixels ** (-(depth - 1) / 2.0)) ** (1.0 / depth)
    factors = [a + moved * size[:, None, None] * b for a, b in zip(best, loose, strict=True)]
    return pack_chain(factors, dims) | instance


def _penalty_weight(depth: int, n_pixels: int, power_of_p: float = 1.0) -> float:
    """μ/λ."""
    return float(depth * n_pixels ** (-power_of_p * (depth - 1) / depth))


def _minimiser(instance: Instance, depth: int, *, power_of_p: float = 1.0, rule: str = "largest") -> Matrices:
    """The formula: each singular value shrinks, the c largest are kept.

    ``rule``: "all" ignores c, "smallest" keeps the c smallest, "entries" shrinks entries in place of singular values.
    """
    least, tau, lam, n_pixels = (instance[name] for name in ("least", "tau", "lam", "n_pixels"))
    mu = lam * _penalty_weight(depth, n_pixels, power_of_p)
    if rule == "entries":
        entries = _shrink_all(np.abs(least).reshape(len(least), -1), tau, mu, depth).reshape(least.shape)
        return np.asarray(np.exp(1j * np.angle(least)) * entries)
    left, values, right = np.linalg.svd(least, full_matrices=False)
    shrunk = _shrink_all(values, tau, mu, depth)
    count, width = values.shape[1], instance["width"][:, None]
    first = {"all": 0, "largest": 0, "smallest": count - width}[rule]
    index = np.arange(count)
    kept = np.where((index >= first) & (index < first + (count if rule == "all" else width)), shrunk, 0.0)
    block: Matrices = (left * kept[:, None]) @ right
    return block


def _shrink_all(values: Floats, tau: Floats, mu: Floats, depth: int) -> Floats:
    """Each of the columns, at any depth."""
    if depth == 1:
        return values * (tau / (tau + mu))[:, None]
    if depth == 2:
        return np.maximum(0.0, values - (mu / (2.0 * tau))[:, None])
    return np.stack([shrink(column, tau, mu, depth) for column in values.T], axis=1)


def regression_sides(
    instance: Instance, *, power_of_p: float = 1.0, rule: str = "largest", factor: float = 1.0
) -> tuple[Floats, Floats]:
    """The formula's objective over that of the factors, the objective of its own factors over it; and 1 twice.

    Objectives are ``τ‖v̂ - v_LS‖² + λ Σ ‖A_l‖²`` of factors, ``+ factor μ ‖v̂‖_{S_p}^p`` of the formula.
    """
    factors, dims = factors_of(instance), instance["dims"]
    least, tau, lam, n_pixels = (instance[name] for name in ("least", "tau", "lam", "n_pixels"))
    depth = len(factors)
    exists = np.arange(dims[1]) < instance["width"][:, None] if depth > 1 else np.ones((1, dims[1]), dtype=bool)

    def of_network(layers: Sequence[Matrices]) -> Floats:
        layers = [np.where(exists[:, None], layers[0], 0.0), *layers[1:]]
        gap = n_pixels ** ((depth - 1) / 2.0) * product(layers) - least
        return np.asarray(tau * (np.abs(gap) ** 2).sum(axis=(1, 2)) + lam * _paid(layers))

    best = _minimiser(instance, depth, power_of_p=power_of_p, rule=rule)
    values = singular_values(best)
    values = without_round_off(values, values[:, :1])
    mu = factor * lam * _penalty_weight(depth, n_pixels)
    formula = tau * (np.abs(best - least) ** 2).sum(axis=(1, 2)) + mu * (values ** (2.0 / depth)).sum(axis=1)
    own = of_network(balanced_factors(best, dims, n_pixels))
    return np.stack([formula / of_network(factors), own / formula], axis=1), np.ones((len(tau), 2))


FACTOR_CLAIMS = (
    Claim(
        id="variational-identity",
        title="What weight decay costs a predictor",
        statement="Σ_l ‖A_l‖² ≥ L P^{−(L−1)/L} ‖v̂_f‖_{S_{2/L}}^{2/L} if v̂_f = P^{(L−1)/2} B A_{L−1}⋯A_1",
        source="Godfrey et al. eq B.14, which assumes conjecture 4.13, with the P^{−(L−1)/L} of their v̂; any widths",
        hypotheses=("one frequency", "any depth and widths", "complex factors"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "P^{-(L-1)/L} dropped": {"power_of_p": 0.0},
            "1% larger": {"factor": 1.01},
            "√2": {"factor": float(np.sqrt(2))},
            "p 1% off": {"exponent": 1.01},
        },
        tolerance=1e-10,
        tolerance_reason=EXACT_REASON,
        draw=draw_factors,
        sides=cost_sides,
        distance=excess,
        quantity="cost/Σ‖A_l‖²",
        batched=True,
        extended=exact_cost_sides,
        attacked=("chain",),
        symbolic=cost_symbolic,
    ),
    Claim(
        id="block-shrinkage",
        title="Each singular value shrinks, the largest are kept",
        statement=(
            "with Σ^{x̂x̂}_ff = τ·1 the minimum over all layers has the singular vectors of v_LS, its singular values "
            "shrunk one by one, and of them the c largest, c the narrowest width; its balanced factors attain it"
        ),
        source="new; theory, section 3",
        hypotheses=("one frequency", "Gram block τ·1", "any depth and widths"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "rank bound ignored": {"rule": "all"},
            "the smallest kept": {"rule": "smallest"},
            "entries for singular values": {"rule": "entries"},
            "P^{-(L-1)/L} dropped": {"power_of_p": 0.0},
            "½ of the penalty": {"factor": 0.5},
        },
        tolerance=1e-11,
        tolerance_reason="objectives of blocks up to 4×4, relative: a few roundings, some 1e-15",
        draw=draw_regression,
        sides=regression_sides,
        distance=excess,
        quantity="objective, relative",
        batched=True,
        attacked=("chain",),
    ),
)

"""Claims about statistics that are diagonal in frequency: what weight decay makes of one coefficient or one block.

The other side is the network itself at one frequency: ``τ|P^{(L-1)/2} b a_{L-1}⋯a_1 - v_LS|² + λ Σ|a_l|²``, minimised
by brute force over its layers, so that no constant of the equivalent penalty is taken for granted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofs_check.claim import Claim, absolute_distance
from proofs_check.claims.brute_force import lowest, lowest_from_zero
from proofs_check.claims.penalties import landing_and_jump
from proofs_check.instances import draw_shape
from proofs_check.verdict import Instance, Outcome
from solvers import power_law

__all__ = [
    "BRUTE_REASON",
    "ONE_BY_TWO_THRESHOLD",
    "SHRINKAGE_CLAIMS",
    "draw_coefficient",
    "shrink",
    "soft_threshold_sides",
]

Floats = NDArray[np.float64]
BRUTE_REASON = "a minimum on zooming grids is known to round-off in height, and to its root, 1e-8, in place"


def network_minimum(least: Any, tau: Any, lam: Any, *, n_pixels: int, depth: int) -> tuple[Any, Floats]:
    """The predictor and the objective of the best network at one frequency, for ``v_LS (n,)`` complex.

    The first layer is a, all others are b: ``a b^{L-1} = P^{-(L-1)/2} m e^{iφ}``, ``a/b = e^ρ``. Modulus m, phase φ and
    ratio ρ are minimised one after the other, as the best φ and ρ are the same for every m.
    """
    size, layers = np.abs(least), depth - 1
    column = least[:, None]
    phase, _ = lowest(lambda t: np.abs(size[:, None] * np.exp(1j * t) - column), *_ends(size, -4.0, 2 * np.pi - 4.0))
    share = layers / depth

    def of_ratio(rho: Any) -> Any:  # Σ|a_l|², over the squared root of a b^{L-1}
        return np.exp(2.0 * share * rho) + layers * np.exp(-2.0 / depth * rho)

    _, weights = lowest(of_ratio, *_ends(size, -2.9, 3.1))
    direction = np.exp(1j * phase)[:, None]

    def of_modulus(m: Any) -> Any:
        root = (m / n_pixels ** (layers / 2.0)) ** (2.0 / depth)
        return tau[:, None] * np.abs(m * direction - column) ** 2 + lam[:, None] * root * weights[:, None]

    modulus, height = lowest_from_zero(of_modulus, 1.05 * size)
    return modulus * direction[:, 0], height


def _ends(like: Floats, low: float, high: float) -> tuple[Floats, Floats]:
    return np.full(like.shape, low), np.full(like.shape, high)


def shrink(
    least: Floats, tau: Floats, mu: Floats, depth: int, *, exponent: float = 1.0, root: str = "largest"
) -> Floats:
    """Minimiser of ``τ(s - s_LS)² + μ s^p``, p = 2/L, as the theory writes it for L ≥ 3.

    0 below v*, above it the root of ``2τ(s - s_LS) + μ p s^{p-1} = 0`` in ``[s*, s_LS]``, by bisection. Planted errors:
    ``root`` "kept": no jump, the root wherever there is one; p off by ``exponent``.
    """
    p = exponent * 2.0 / depth
    u = mu / (2.0 * tau)
    landing, jump = landing_and_jump(u, depth)
    inflection = (p * (1.0 - p) * u) ** (1.0 / (2.0 - p))  # the larger root lies above it
    low, high = np.minimum(inflection if root == "kept" else landing, least), least.copy()
    for _ in range(60):
        middle = 0.5 * (low + high)
        above = middle - least + u * p * np.where(middle > 0.0, middle, 1.0) ** (p - 1.0) > 0.0
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    exists = inflection - least + u * p * inflection ** (p - 1.0) < 0.0
    return np.where(exists if root == "kept" else least > jump, 0.5 * (low + high), 0.0)


# --- One coefficient ------------------------------------------------------------------------------------------------


def draw_coefficient(rng: np.random.Generator, n: int, *, depths: Sequence[int] = (2,)) -> Instance:
    """v_LS and τ of any size, λ from little to what leaves nothing; a third near the jump."""
    shape, depth = draw_shape(rng), int(rng.choice(depths))
    n_pixels = shape[0] * shape[1]
    size = np.where(rng.random(n) < 0.5, 1.0, 10.0 ** rng.uniform(-2.0, 2.0, n)) * rng.uniform(0.5, 1.5, n)
    phase = np.where(rng.random(n) < 0.3, rng.choice([0.0, np.pi], n), rng.uniform(0.0, 2.0 * np.pi, n))
    tau = 10.0 ** rng.uniform(-2.0, 2.0, n)
    near = 1.0 + rng.choice([-1.0, 1.0], n) * 10.0 ** -rng.uniform(1.0, 3.0, n)
    share = np.where(rng.random(n) < 0.33, near, 10.0 ** rng.uniform(-0.7, 1.5, n))  # |v_LS| over the jump
    p = 2.0 / depth
    at_one = 1.0 if depth <= 2 else landing_and_jump(1.0, depth)[1]
    mu = 2.0 * tau * (size / (share * at_one)) ** (2.0 - p) if depth > 1 else tau / share
    lam = mu / (depth * n_pixels ** ((1.0 - depth) / depth))
    return {"least": size * np.exp(1j * phase), "tau": tau, "lam": lam, "n_pixels": n_pixels, "depth": depth}


def draw_single_layer(rng: np.random.Generator, n: int) -> Instance:
    """For ridge."""
    return draw_coefficient(rng, n, depths=(1,))


def draw_deep(rng: np.random.Generator, n: int) -> Instance:
    """Three layers and more."""
    return draw_coefficient(rng, n, depths=(3, 3, 4, 4, 5, 8))


def ridge_sides(instance: Instance, *, factor: float = 1.0, power_of_p: float = 0.0, exponent: float = 1.0) -> Any:
    """``v / v_LS``: the best single layer, and ``τ/(λ + τ)``."""
    least, tau, lam, n_pixels = (instance[name] for name in ("least", "tau", "lam", "n_pixels"))
    best, _ = network_minimum(least, tau, lam, n_pixels=n_pixels, depth=1)
    ratio = factor * n_pixels**power_of_p * (lam / tau) ** exponent
    return best / least, 1.0 / (1.0 + ratio) + 0j


def ridge_symbolic(*, factor: float = 1.0, power_of_p: float = 0.0, exponent: float = 1.0) -> Sequence[Any]:
    """The slope of ``τ(v - v_LS)² + λv²`` at the formula."""
    import sympy

    v, least, tau, lam, pixels = sympy.symbols("v v_LS tau lambda P", positive=True)
    wrong = [sympy.nsimplify(number) for number in (factor, power_of_p, exponent)]
    formula = least / (1 + wrong[0] * pixels ** wrong[1] * (lam / tau) ** wrong[2])
    return [sympy.simplify(sympy.diff(tau * (v - least) ** 2 + lam * v**2, v).subs(v, formula))]


def soft_threshold_sides(instance: Instance, *, power_of_p: float, factor: float = 1.0, conjugate: bool = False) -> Any:
    """``v / |v_LS|``: the best two layers, and the soft threshold at ``λ/(P^power τ)``."""
    least, tau, lam, n_pixels = (instance[name] for name in ("least", "tau", "lam", "n_pixels"))
    best, _ = network_minimum(least, tau, lam, n_pixels=n_pixels, depth=2)
    size = np.abs(least)
    kept = np.maximum(0.0, 1.0 - factor * lam / (n_pixels**power_of_p * tau * size))
    return _parts(best / size), _parts((least.conj() if conjugate else least) / size * kept)


def _parts(numbers: Any) -> Floats:
    """Real and imaginary parts, side by side."""
    return np.stack([numbers.real, numbers.imag], axis=-1)


def soft_threshold_symbolic(*, power_of_p: float, factor: float = 1.0) -> Sequence[Any]:
    """Slopes of ``τ(√P ab - v_LS)² + λ(a² + b²)`` in a and b at ``a = b``, ``√P ab`` the formula."""
    import sympy

    a, b, size, tau, level, pixels = sympy.symbols("a b v tau l P", positive=True)
    lam = level * tau * size  # λ in units of τ|v_LS|
    height = tau * (sympy.sqrt(pixels) * a * b - size) ** 2 + lam * (a**2 + b**2)
    wrong = sympy.nsimplify(factor), sympy.nsimplify(power_of_p)
    product = size * (1 - wrong[0] * level / pixels ** wrong[1]) / sympy.sqrt(pixels)
    slopes = [sympy.diff(height, one).subs({a: sympy.sqrt(product), b: sympy.sqrt(product)}) for one in (a, b)]
    return [sympy.simplify(slope / sympy.sqrt(product)) for slope in slopes]


def deep_sides(
    instance: Instance, *, power_of_p: float = 1.0, factor: float = 1.0, exponent: float = 1.0, root: str = "largest"
) -> Any:
    """The objective over ``τ|v_LS|²``: of the best network by brute force, and of the formula in its place.

    μ is ``factor · λ L P^{-power (L-1)/L}``.
    """
    least, tau, lam, n_pixels, depth = (instance[name] for name in ("least", "tau", "lam", "n_pixels", "depth"))
    size = np.abs(least)
    _, height = network_minimum(least, tau, lam, n_pixels=n_pixels, depth=depth)
    layers = depth - 1
    mu = factor * lam * depth * n_pixels ** (-power_of_p * layers / depth)
    s = shrink(size, tau, mu, depth, exponent=exponent, root=root)
    each = (s / n_pixels ** (layers / 2.0)) ** (1.0 / depth)  # of every layer, balanced
    formula = tau * (n_pixels ** (layers / 2.0) * each**depth - size) ** 2 + lam * depth * each**2
    unit = tau * size**2
    return height / unit, formula / unit


# --- The power law --------------------------------------------------------------------------------------------------


def draw_power_law(rng: np.random.Generator) -> Instance:
    """A predictor of one channel and output, and a spectrum."""
    shape = draw_shape(rng, min_pixels=2, max_pixels=12)
    least = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    gamma, alpha, beta = 10.0 ** rng.uniform(-1.0, 1.0), rng.uniform(0.5, 3.0), rng.uniform(0.5, 3.0)
    lam = gamma * 10.0 ** rng.uniform(-2.0, 0.5)
    numbers = {"gamma": float(gamma), "alpha": float(alpha), "beta": float(beta), "lam": float(lam)}
    return {"least": least, "depth": int(rng.integers(1, 5)), **numbers}


def power_law_sides(
    instance: Instance, *, gamma: float = 1.0, lam: float = 1.0, root_of_p: bool = False, swapped: bool = False
) -> Any:
    """The predictor by brute force at each frequency, v_LS at DC, and the library's; planted factors of γ and λ."""
    least, depth = instance["least"], instance["depth"]
    height, width = least.shape
    u, v = (np.minimum(np.arange(n), n - np.arange(n)).astype(float) for n in (height, width))
    tau = instance["gamma"] / np.maximum(u[:, None] ** instance["alpha"] + v ** instance["beta"], 1e-300)
    away = np.arange(least.size) > 0
    decay = np.full(least.size - 1, instance["lam"])
    best, _ = network_minimum(least.ravel()[away], tau.ravel()[away], decay, n_pixels=least.size, depth=depth)
    left = np.concatenate([least.ravel()[:1], best])
    names = ("beta", "alpha") if swapped else ("alpha", "beta")
    formula = power_law(
        least[:, :, None, None],
        lam * instance["lam"] * (np.sqrt(least.size) if root_of_p else 1.0),
        depth=depth,
        gamma=gamma * instance["gamma"],
        alpha=instance[names[0]],
        beta=instance[names[1]],
    )
    return left, formula.ravel()


# --- One output, several channels of unequal power ------------------------------------------------------------------


def draw_channels(rng: np.random.Generator, n: int) -> Instance:
    """One output, two to four channels whose powers differ, two layers."""
    shape, channels = draw_shape(rng), int(rng.integers(2, 5))
    least = rng.standard_normal((n, channels)) + 1j * rng.standard_normal((n, channels))
    least *= 10.0 ** rng.uniform(-1.0, 1.0, (n, 1))
    tau = 10.0 ** rng.uniform(-1.0, 1.0, (n, channels))
    n_pixels = shape[0] * shape[1]
    vanishing = np.sqrt(n_pixels) * np.linalg.norm(tau * least, axis=1)  # λ from which nothing is left
    lam = vanishing * np.where(rng.random(n) < 0.9, rng.uniform(0.02, 0.98, n), 1.1)
    return {"least": least, "tau": tau, "lam": lam, "n_pixels": n_pixels}


def group_sides(instance: Instance, *, formula: str = "group", power_of_p: float = 0.5, factor: float = 1.0) -> Any:
    """The objective over ``Σ τ_c|v_LS,c|²``: of the best two layers, and of the group lasso or of one by one.

    For a given last layer b the first is linear algebra: ``a_c = τ_c √P b v_c/(τ_c P b² + λ)``.
    """
    least, tau, lam, n_pixels = (instance[name] for name in ("least", "tau", "lam", "n_pixels"))
    size = np.abs(least)

    def of_last_layer(b: Any) -> Any:
        gains = tau[:, None] * n_pixels * b[:, :, None] ** 2
        kept = (tau * size**2)[:, None] * lam[:, None, None] / (gains + lam[:, None, None])
        return kept.sum(axis=2) + lam[:, None] * b**2

    _, height = lowest_from_zero(of_last_layer, 1.2 * np.sqrt(np.linalg.norm(size, axis=1) / np.sqrt(n_pixels)))
    mu = factor * 2.0 * lam / n_pixels**power_of_p
    v = _one_by_one(size, tau, mu) if formula == "one by one" else _group_shrink(size, tau, mu)
    exact = 2.0 * lam / np.sqrt(n_pixels)
    value = (tau * (size - v) ** 2).sum(axis=1) + exact * np.linalg.norm(v, axis=1)
    unit = (tau * size**2).sum(axis=1)
    return height / unit, value / unit


def _one_by_one(size: Floats, tau: Floats, mu: Floats) -> Floats:
    """A soft threshold for each coefficient, as if the channels did not couple."""
    return np.maximum(0.0, size - mu[:, None] / (2.0 * tau))


def _group_shrink(size: Floats, tau: Floats, mu: Floats) -> Floats:
    """``v_c = τ_c v_LS,c/(τ_c + μ/2‖v‖)``, 0 if ``‖τ v_LS‖ ≤ μ/2``; the norm by bisection."""
    low, high = np.zeros(len(size)), np.linalg.norm(size, axis=1)

    def at(norm: Floats) -> Floats:
        return tau * size * norm[:, None] / (tau * norm[:, None] + 0.5 * mu[:, None])

    for _ in range(80):
        middle = 0.5 * (low + high)
        short = np.linalg.norm(at(middle), axis=1) > middle
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    alive = np.linalg.norm(tau * size, axis=1) > 0.5 * mu
    return np.where(alive[:, None], at(0.5 * (low + high)), 0.0)


ONE_BY_TWO_THRESHOLD = {
    "text": "1×2, τ = 1, v_LS = 1, λ = ½",
    "least": np.array(1.0 + 0j),
    "tau": np.array(1.0),
    "lam": np.array(0.5),
    "n_pixels": 2,
    "depth": 2,
}
TWO_CHANNELS = {
    "text": "P = 1, τ = (1, 4), v_LS = (1, 1), λ = 1",
    "least": np.array([1.0 + 0j, 1.0]),
    "tau": np.array([1.0, 4.0]),
    "lam": np.array(1.0),
    "n_pixels": 1,
}
DIAGONAL = ("⟨x̂_g x̂_f^*⟩ = τ_f δ_fg",)

SHRINKAGE_CLAIMS = (
    Claim(
        id="ridge-shrinkage",
        title="One layer shrinks each coefficient",
        statement="v = v_LS τ/(λ + τ)",
        source="Godfrey et al. eq 4.18",
        hypotheses=(*DIAGONAL, "L = 1"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "½λ for λ": {"factor": 0.5},
            "λ/√P for λ": {"power_of_p": -0.5},
            "exponent 1% off": {"exponent": 1.01},
        },
        tolerance=1e-6,
        tolerance_reason=BRUTE_REASON,
        draw=draw_single_layer,
        sides=ridge_sides,
        quantity="v/v_LS",
        batched=True,
        symbolic=ridge_symbolic,
    ),
    Claim(
        id="soft-threshold",
        title="Two layers: a soft threshold with 1/√P, phase kept",
        statement="v = v_LS max(0, 1 − λ/(√P τ|v_LS|))",
        source="Godfrey et al. eq A.6-A.9, corrected: printed without √P, for real signs only (see E5)",
        hypotheses=(*DIAGONAL, "C = K = 1", "L = 2"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "√P dropped": {"power_of_p": 0.0},
            "P for √P": {"power_of_p": 1.0},
            "½λ for λ": {"factor": 0.5},
            "conj(v_LS) for v_LS": {"conjugate": True},
        },
        tolerance=1e-6,
        tolerance_reason=BRUTE_REASON + "; in units of |v_LS|",
        draw=draw_coefficient,
        sides=soft_threshold_sides,
        distance=absolute_distance,
        formula={"power_of_p": 0.5},
        quantity="v/|v_LS|",
        smallest=(ONE_BY_TWO_THRESHOLD,),
        batched=True,
        symbolic=soft_threshold_symbolic,
        counterpart="E5",
    ),
    Claim(
        id="deep-shrinkage",
        title="Three layers and more: a jump, then the largest root",
        statement=(
            "v = 0 for |v_LS| < v* = s*(2−p)/(2(1−p)), s* = ((1−p)μ/τ)^{1/(2−p)}, μ = λLP^{−(L−1)/L}; above it the "
            "largest root of 2τ(s − |v_LS|) + μp s^{p−1} = 0, with the phase of v_LS"
        ),
        source="new; theory, section 3",
        hypotheses=(*DIAGONAL, "C = K = 1", "L ≥ 3"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "P^{-(L-1)/L} dropped": {"power_of_p": 0.0},
            "√2 μ": {"factor": float(np.sqrt(2))},
            "p 1% off": {"exponent": 1.01},
            "no jump: the root wherever there is one": {"root": "kept"},
        },
        tolerance=1e-11,
        tolerance_reason="heights on both sides: known to round-off, some 1e-15 of τ|v_LS|²",
        draw=draw_deep,
        sides=deep_sides,
        quantity="objective/τ|v_LS|²",
        batched=True,
    ),
    Claim(
        id="power-law-shrinkage",
        title="Weight decay under a power law",
        statement="with τ = γ/(|u|^α + |v|^β) every depth shrinks as for diagonal statistics; DC, τ = ∞, stays v_LS",
        source="Godfrey et al. eq 4.20 (L = 1), A.9 corrected (L = 2), new (L ≥ 3)",
        hypotheses=(*DIAGONAL, "u, v in cycles per image, on the torus", "C = K = 1"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "√P dropped": {"root_of_p": True},
            "½λ for λ": {"lam": 0.5},
            "γ 1% off": {"gamma": 1.01},
            "α and β exchanged": {"swapped": True},
        },
        tolerance=1e-6,
        tolerance_reason=BRUTE_REASON,
        draw=draw_power_law,
        sides=power_law_sides,
        quantity="v",
    ),
    Claim(
        id="channels-couple",
        title="One output, two layers, several channels: a group lasso",
        statement=(
            "min Σ_c τ_c|v_c − v_LS,c|² + (2λ/√P)‖v‖_2: v_c = τ_c v_LS,c/(τ_c + λ/(√P‖v‖)), no formula for each "
            "coefficient alone"
        ),
        source="new; theory, section 3",
        hypotheses=("⟨x̂_cf x̂_c'g^*⟩ = τ_cf δ_cc' δ_fg", "K = 1", "L = 2"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "a soft threshold for each coefficient": {"formula": "one by one"},
            "√P dropped": {"power_of_p": 0.0},
            "½λ for λ": {"factor": 0.5},
        },
        tolerance=1e-11,
        tolerance_reason="heights on both sides: known to round-off, some 1e-15 of Σ τ_c|v_LS,c|²",
        draw=draw_channels,
        sides=group_sides,
        quantity="objective",
        smallest=(TWO_CHANNELS,),
        batched=True,
    ),
)

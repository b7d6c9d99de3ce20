"""Claims about the end of learning of modes on disjoint frequencies: the winners, the power law, the exception."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofs_check.claim import Claim, absolute_distance
from proofs_check.claims.clocks import answer, rotated, time_constant
from proofs_check.claims.disjoint import DISJOINT, draw_balanced, draw_unbalanced, in_pixels, modes_of, turned_apart
from proofs_check.claims.integration import extrapolated, pixel_flow
from proofs_check.verdict import Instance, Outcome

__all__ = ["WINNER_CLAIMS"]

Floats = NDArray[np.float64]

OPPOSED_STEPS = 12
END_STEPS = 56


def draw_end(rng: np.random.Generator, n: int) -> Instance:
    """One class whose |q_f| are within a factor 3, a start of order one, and a time at which it is learned."""
    instance = draw_unbalanced(rng, n, max_classes=1, sizes=(0.3, 0.6))
    images = instance["images"]
    spectra = np.fft.fft2(images, norm="ortho")
    size = np.abs(spectra)
    largest = size.max(axis=(1, 2, 3), keepdims=True)
    lifted = np.where(size > 1e-9, np.clip(size, 0.33 * largest, None) / np.where(size > 0, size, 1.0), 0.0)
    return {**instance, "images": np.fft.ifft2(lifted * spectra, norm="ortho").real}


def draw_opposed(rng: np.random.Generator, n: int) -> Instance:
    """The exceptional start ``a_f(0) = -κ_f(0)`` on every frequency of every mode, and a time."""
    instance = draw_balanced(rng, n, sizes=(0.02, 0.2, 0.5, 1.0))
    opposed = {**instance, "dense": -instance["dense"]}
    return {**opposed, "horizon": rng.uniform(0.3, 4.0, n) * time_constant(opposed)}


def draw_competition(rng: np.random.Generator, n: int) -> Instance:
    """One mode of two to five frequencies: ``c_1 > c_f``, relative starts r within a factor 4, s and d."""
    count = int(rng.integers(1, 5))
    largest = rng.uniform(0.5, 3.0, (n, 1))
    return {
        "c": np.concatenate([largest, largest * rng.uniform(0.05, 0.85, (n, count))], axis=1),
        "r": rng.uniform(0.5, 2.0, (n, count + 1)),
        "s": rng.uniform(0.3, 2.0, n),
        "d": rng.uniform(0.3, 2.0, n),
    }


def root_of(excess: Callable[[Floats], Floats], low: Floats, high: Floats) -> Floats:
    """The root of an increasing function between low and high, by bisection: 200 halvings."""
    for _ in range(200):
        middle = 0.5 * (low + high)
        above = excess(middle) > 0
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    root: Floats = 0.5 * (low + high)
    return root


def end_sides(instance: Instance, *, d_factor: float = 1.0, conjugate: bool = False) -> tuple[Any, Any]:
    """κ and a on the mode's frequencies after a long flow in pixel space, and at the root of ``s = b(Θ)``."""
    shifts, targets, kernel, dense = in_pixels(instance)
    modes = modes_of(instance["images"])
    kappa, a = turned_apart(instance, modes, conjugate=conjugate)
    positive = np.where(modes.c > 0, modes.c, np.inf).min(axis=(1, 2))
    reach = (6.0 + 12.0 / (positive / modes.c.max(axis=(1, 2)))) * time_constant(instance)
    later, rows = pixel_flow(shifts, targets, kernel, dense, reach, steps=END_STEPS)
    moved = {"kernel": later.reshape(instance["kernel"].shape), "dense": rows.reshape(instance["dense"].shape)}
    left = np.concatenate(turned_apart(moved, modes, conjugate=conjugate), axis=-1)

    def excess(theta: Floats) -> Floats:
        return answer(*rotated(kappa, a, modes.c, theta), modes, d_factor) - modes.s

    far = 20.0 / modes.c.max(axis=-1)
    theta = root_of(excess, -far, far)
    right = np.concatenate(rotated(kappa, a, modes.c, theta), axis=-1)
    scale = np.abs(left).max(axis=(1, 2), keepdims=True)
    return left / scale, right / scale


def opposed_sides(instance: Instance, *, sign: float = -1.0, d_factor: float = 1.0) -> tuple[Any, Any]:
    """``|κ_f|`` at a time from the pixel-space flow, and ``|κ_f(0)| exp(-c_fΘ)``, ``dΘ/dt = s + d Σ c|κ|² > 0``."""
    shifts, targets, kernel, dense = in_pixels(instance)
    modes = modes_of(instance["images"])
    later, rows = pixel_flow(shifts, targets, kernel, dense, instance["horizon"], steps=OPPOSED_STEPS)
    moved = {"kernel": later.reshape(instance["kernel"].shape), "dense": rows.reshape(instance["dense"].shape)}
    size, left = (np.abs(turned_apart(z, modes)[0]) for z in (instance, moved))

    def pace(theta: Floats) -> Floats:
        power = size**2 * np.exp(-2 * modes.c * theta[..., None])
        rate: Floats = modes.s + d_factor * modes.d * (modes.c * power).sum(axis=-1)
        return rate

    theta = extrapolated(pace, np.zeros_like(modes.s), instance["horizon"], steps=OPPOSED_STEPS)
    scale = size.max(axis=(1, 2), keepdims=True)
    return left / scale, size * np.exp(sign * modes.c * theta[..., None]) / scale


def opposed_form(*, sign: float = -1.0, d_factor: float = 1.0) -> list[Any]:
    """``a = -κ`` solves ``dκ/dt = c a (s - b)``, ``da/dt = c κ (s - b)``, ``κ = κ(0) exp(-cΘ)``; b < 0, so Θ → ∞."""
    import sympy as sp

    t = sp.Symbol("t", real=True)
    c, s, d, start, clock_end = sp.symbols("c s d kappa0 T", positive=True)
    clock = sp.Function("Theta")(t)
    kappa = start * sp.exp(sp.nsimplify(sign) * c * clock)
    a = -kappa
    pace = s + sp.nsimplify(d_factor) * d * c * kappa**2
    residual = s - d * c * a * kappa
    slope = sp.diff(kappa, t).subs(sp.Derivative(clock, t), pace)
    reading = {clock: sp.Symbol("Theta", real=True)}
    return [
        sp.simplify((slope - c * a * residual).subs(reading)),
        sp.limit(kappa.subs(clock, clock_end), clock_end, sp.oo),
    ]


def power_law_sides(instance: Instance, *, power: float = 1.0, offset: float = 1.0) -> tuple[Any, Any]:
    """Slope of ``ln|κ_f/κ_1|`` over ``ln σ`` at the root of ``s = b(Θ)``, σ = 1e-60 and 1e-80; and ``1 - c_f/c_1``."""
    c, r, s, d = (instance[name] for name in "crsd")
    scales = np.log(10.0) * np.array([-60.0, -80.0])
    ratios = []
    for log_scale in scales:
        start = log_scale + np.log(r)

        def excess(theta: Floats, start: Floats = start) -> Floats:
            exponents = np.log(c) + 2 * (start + c * theta[:, None])
            top = exponents.max(axis=1, keepdims=True)
            total: Floats = (top + np.log(np.exp(exponents - top).sum(axis=1, keepdims=True)))[:, 0] - np.log(s / d)
            return total

        theta = root_of(excess, np.zeros_like(s), -2 * log_scale / c[:, 0])
        size = start + c * theta[:, None]
        ratios.append(size[:, 1:] - size[:, :1])
    left = (ratios[1] - ratios[0]) / (scales[1] - scales[0])
    return left, offset - (c[:, 1:] / c[:, :1]) ** power


def power_law_form(*, power: float = 1.0, offset: float = 1.0) -> list[Any]:
    """The root to leading order, ``s = d c_1 r_1² σ² e^{2c_1Θ}``: slope of ``ln κ_2/κ_1``, loser's share → 0."""
    import sympy as sp

    c1, ratio, r1, r2, s, d, log_scale = sp.symbols("c1 rho r1 r2 s d lambda", positive=True)
    c2 = ratio * c1  # ρ < 1, σ = e^{-λ}
    theta = (sp.log(s / (d * c1)) / 2 - sp.log(r1) + log_scale) / c1
    logs = [sp.log(r1) - log_scale + c1 * theta, sp.log(r2) - log_scale + c2 * theta]
    slope = sp.expand(-sp.diff(logs[1] - logs[0], log_scale))
    loser = sp.limit(sp.exp(-2 * log_scale * slope.subs(ratio, sp.Rational(1, 2))), log_scale, sp.oo)
    return [slope - (sp.nsimplify(offset) - ratio ** sp.nsimplify(power)), loser]


WINNER_CLAIMS = (
    Claim(
        id="end-of-learning",
        title="The end of learning is the root of s = b(Θ)",
        statement="t → ∞: Θ → Θ(∞), the only root of s = b(Θ); κ_f, a_f there by cosh and sinh: the winners",
        source="new; solves Pinson et al. eq 15-16, 23-24 at t = ∞",
        hypotheses=(DISJOINT, "A_γf(0) = 0 for γ ≠ α on F_α", "a_f(0) ≠ −κ_f(0) for some f"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "d 1% off": {"d_factor": 1.01},
            "conj(q) for q": {"conjugate": True},
        },
        tolerance=1e-5,
        tolerance_reason="s − b decays at the rate 2 s min c_f at least, by e^{−12} or more; 56 steps keep 1e-6",
        draw=draw_end,
        sides=end_sides,
        distance=absolute_distance,
        quantity="κ_f or a_f at the end",
        batched=True,
        max_instances=64,
    ),
    Claim(
        id="never-learned",
        title="The one start from which a mode is never learned",
        statement="a_f(0) = −κ_f(0) for all f ∈ F_α ⇒ κ_f = κ_f(0) e^{−c_fΘ} = −a_f, dΘ/dt = s + d Σ c_f|κ_f|²: κ → 0",
        source="new",
        hypotheses=(DISJOINT, "A_γf(0) = 0 for γ ≠ α on F_α", "gradient flow"),
        expected=Outcome.NOT_REFUTED,
        mutants={"growth": {"sign": 1.0}, "√2 d for d": {"d_factor": float(np.sqrt(2))}},
        tolerance=1e-7,
        tolerance_reason="order 12; what round-off adds to a + κ grows by e^{cΘ} ≤ e^4; checked against halved steps",
        draw=draw_opposed,
        sides=opposed_sides,
        distance=absolute_distance,
        quantity="|κ_f(t)|",
        batched=True,
        max_instances=640,
        symbolic=opposed_form,
    ),
    Claim(
        id="power-law",
        title="The dominant frequency's lead is a power of the initial scale",
        statement="|κ_f/κ_1| ∝ σ^(1 − |q_f|/|q_1|) at the end of learning, as the scale σ of the start goes to 0",
        source="new",
        hypotheses=(DISJOINT, "balanced, aligned start |κ_f(0)| = σ r_f, r_f > 0 fixed", "|q_1| > |q_f|, the largest"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "exponent |q_f|/|q_1|": {"power": 1.0, "offset": 0.0},
            "exponent 1": {"power": 1000.0},
            "exponent 1 − |q_f|²/|q_1|²": {"power": 2.0},
            "power 1% off": {"power": 1.01},
        },
        tolerance=1e-10,
        tolerance_reason=(
            "the losers' share of b is ≤ 4·16·σ^(2·0.15) ≤ 1e-16 at σ = 1e-60; else logarithms of ≤ 400 in float64, "
            "over ln 10²⁰: 400·ε/46"
        ),
        draw=draw_competition,
        sides=power_law_sides,
        distance=absolute_distance,
        quantity="slope",
        batched=True,
        symbolic=power_law_form,
    ),
)

"""Claims about the sigmoid of a pure cosine: its equation and its inverse, what it depends on, other networks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineardyn.closed_form import learning_time, sigmoid
from lineardyn.fourier import multiplicity
from proofs_check.claim import Claim, absolute_distance
from proofs_check.claims.cosines import (
    CORNERS,
    HYPOTHESES,
    RECURSION_REASON,
    class_constants,
    descend,
    draw_steps,
    with_steps,
)
from proofs_check.claims.integration import extrapolated
from proofs_check.claims.pixel_space import balanced_start, effective_singular_values, gradient, shift_matrices
from proofs_check.instances import draw_scale
from proofs_check.verdict import Instance, Outcome

__all__ = ["COSINE_LAW_CLAIMS"]

Floats = NDArray[np.float64]

SIGMOID_STEPS = 24


# --- The sigmoid and its inverse --------------------------------------------------------------------------------------


def draw_response(rng: np.random.Generator, n: int) -> Instance:
    """``s``, ``d``, P, m, a start below, at or above s or at 0, of any scale, and a time."""
    pixels = rng.choice([1, 2, 3, 4, 12, 1024], n)
    m = np.where(pixels < 3, 1, rng.integers(1, 3, n))
    s, d = draw_scale(rng) * rng.uniform(0.3, 3.0, (2, n))
    kinds = (np.zeros(n), 10.0 ** rng.uniform(-6, -0.05, n), np.ones(n), rng.uniform(1.1, 4.0, n))
    ratio = np.choose(rng.choice(4, n, p=[0.1, 0.6, 0.1, 0.2]), kinds)
    speed = np.sqrt(pixels / m) * s * np.maximum(ratio, 1.0)
    return {"pixels": pixels, "m": m, "s": s, "d": d, "ratio": ratio, "t": rng.uniform(0.1, 8.0, n) / speed}


def sigmoid_sides(
    instance: Instance, *, speed: float = 1.0, power_of_p: int = 1, delay: bool = True
) -> tuple[Any, Any]:
    """``b(t)/s`` from ``dκ/dt = c κ (s - d m c κ²)``, integrated; and from the sigmoid."""
    pixels, m, s, d = (instance[name] for name in ("pixels", "m", "s", "d"))
    c = np.sqrt(pixels / m)
    start = np.sqrt(instance["ratio"] * s / (d * m * c))

    def slope(kappa: Floats) -> Floats:
        rate: Floats = c * kappa * (s - d * m * c * kappa**2)
        return rate

    kappa = extrapolated(slope, start, instance["t"], steps=SIGMOID_STEPS)
    right = sigmoid(
        speed * instance["t"],
        s=s,
        b0=instance["ratio"] * s,
        n_pixels=pixels**power_of_p,
        multiplicity=m if delay else np.ones_like(m),
    )
    return d * m * c * kappa**2 / s, right / s


def sigmoid_form(*, speed: float = 1.0, power_of_p: int = 1, delay: bool = True) -> list[Any]:
    """The sigmoid solves its equation, starts at b₀ and ends at s; and the form with expit is the same function."""
    import sympy as sp

    t, s, b0, p, m = sp.symbols("t s b0 P m", positive=True)
    rate = 2 * sp.sqrt(p / m)
    used = 2 * sp.sqrt(p**power_of_p / (m if delay else 1)) * sp.nsimplify(speed)
    b = s / (1 + (s / b0 - 1) * sp.exp(-used * s * t))
    growing = s * (b0 / (s - b0)) * sp.exp(used * s * t) / (1 + b0 / (s - b0) * sp.exp(used * s * t))
    end = b.subs(sp.exp(-used * s * t), 0) - s  # the exponential vanishes as t → ∞
    return [
        sp.simplify(sp.diff(b, t) - rate * b * (s - b)),
        sp.simplify(b.subs(t, 0) - b0),
        sp.simplify(b - growing),
        end,
    ]


def draw_interval(rng: np.random.Generator, n: int) -> Instance:
    """``s``, P, m, and two values of b on one side of s, the later one nearer to it."""
    drawn = draw_response(rng, n)
    start = np.where(rng.random(n) < 0.7, 10.0 ** rng.uniform(-6, -0.05, n), rng.uniform(1.1, 1e3, n))
    left = rng.uniform(0.05, 0.9, n)  # of the logarithmic way to s
    return {**{k: drawn[k] for k in ("pixels", "m", "s")}, "start": start, "end": start**left}


def time_sides(instance: Instance, *, speed: float = 1.0, power_of_p: int = 1, delay: bool = True) -> tuple[Any, Any]:
    """``∫ db/ḃ`` by Gauss's rule in ln b on eight panels, and the logarithm."""
    pixels, m, s = (instance[name] for name in ("pixels", "m", "s"))
    nodes, weights = np.polynomial.legendre.leggauss(60)
    first, last = np.log(instance["start"]), np.log(instance["end"])
    edges = first + (last - first) * np.arange(9)[:, None] / 8
    half = 0.5 * np.diff(edges, axis=0)
    u = edges[:-1] + half * (1 + nodes[:, None, None])  # (nodes, panels, n)
    pace = 2 * np.sqrt(pixels / m) * s * -np.expm1(u)  # d ln b/dt
    left = (weights[:, None, None] * half / pace).sum(axis=(0, 1))
    right = learning_time(
        instance["end"] * s,
        s=s,
        b0=instance["start"] * s,
        n_pixels=pixels**power_of_p,
        multiplicity=m if delay else np.ones_like(m),
    )
    return left * s, right * s / speed


def time_form(*, speed: float = 1.0, power_of_p: int = 1, delay: bool = True) -> list[Any]:
    """``t(b(t)) = t``: what stands in the logarithm, at the sigmoid, is ``exp(2√P s t/√m)``."""
    import sympy as sp

    t, s, b0, p, m = sp.symbols("t s b0 P m", positive=True)
    rate = 2 * sp.sqrt(p / m)
    used = 2 * sp.sqrt(p**power_of_p / (m if delay else 1)) * sp.nsimplify(speed)
    b = s / (1 + (s / b0 - 1) * sp.exp(-rate * s * t))
    inside = sp.simplify(b * (s - b0) / (b0 * (s - b)))
    return [sp.simplify(sp.expand_log(sp.log(inside), force=True) / (used * s) - t)]


# --- What it depends on -----------------------------------------------------------------------------------------------


def fully_connected_path(instance: Instance, learning_rate: float) -> Floats:
    """``b/s`` ``(steps + 1, K)`` of a balanced two-layer fully connected network with K hidden units, by descent."""
    s, b0, _ = class_constants(instance)
    x = instance["images"].reshape(len(s), -1)
    k, norms = len(s), np.linalg.norm(x, axis=1)
    d = norms**2 / k
    first = np.sqrt(b0 / d)[:, None] * x / norms[:, None]
    second = np.diag(np.sqrt(b0 / d))
    path = [b0]
    for _ in instance["draws"]:
        hidden = x @ first.T
        error = hidden @ second.T - np.eye(k)
        to_first, to_second = second.T @ error.T @ x / k, error.T @ hidden / k
        first, second = first - learning_rate * to_first, second - learning_rate * to_second
        path.append(s * np.diag(x @ first.T @ second.T))
    return np.array(path) / s


def fully_connected_sides(
    instance: Instance, *, power_of_p: float = 0.5, delay: bool = True, rate_factor: float = 1.0
) -> tuple[Any, Any]:
    """``b/s`` of each class under descent: the CNN at η, and a fully connected network at ``η√P/√m``."""
    m = class_constants(instance)[2]
    factor = rate_factor * instance["images"][0].size ** power_of_p / np.sqrt(m if delay else np.ones(len(m)))
    rates = instance["learning_rate"] * factor
    paths = {rate: fully_connected_path(instance, rate) for rate in set(rates.tolist())}
    right = [paths[rate][:, a] for a, rate in enumerate(rates.tolist())]
    return descend(instance, one_sample=False), np.array(right).T


def fully_connected_form(*, power_of_p: float = 0.5, delay: bool = True, rate_factor: float = 1.0) -> list[Any]:
    """``κ ← κ(1 + ηc(s - b))``, b = d m c κ², and ``σ ← σ(1 + η'(s - b))``, b = d σ², take the same step of b."""
    import sympy as sp

    eta, p, m, d, s, b = sp.symbols("eta P m d s b", positive=True)
    c = sp.sqrt(p / m)
    kappa, sigma = sp.sqrt(b / (d * m * c)), sp.sqrt(b / d)
    other = sp.nsimplify(rate_factor) * eta * p ** sp.nsimplify(power_of_p) / sp.sqrt(m if delay else 1)
    left = d * m * c * (kappa * (1 + eta * c * (s - b))) ** 2
    return [sp.simplify(sp.expand(left - d * (sigma * (1 + other * (s - b))) ** 2))]


def draw_few_steps(rng: np.random.Generator) -> Instance:
    """Cosines and twelve steps."""
    return draw_steps(rng, steps=12)


def draw_power(rng: np.random.Generator) -> Instance:
    """Steps on cosines, and for each class a factor of its images, targets divided by it: another d, the same s."""
    instance = draw_few_steps(rng)
    return {**instance, "stretch": rng.uniform(0.4, 2.5, len(instance["images"]))}


def with_stretch(instance: Instance) -> Instance:
    """A corner case with images twice as large."""
    return {**with_steps(instance), "stretch": np.full(len(instance["images"]), 2.0)}


def power_sides(instance: Instance, *, start_power: float = -1.0, s_factor: float = 1.0) -> tuple[Any, Any]:
    """``b/s`` under descent, and that of stretched images, ``|κ_f(0)|`` stretched so that b(0) is the same."""
    images, stretch = instance["images"], instance["stretch"]
    s, _, _ = class_constants(instance)
    k, shape = len(images), images.shape[1:]
    scale = np.full(shape, instance["scale"])
    for (u, v), g in zip(instance["frequencies"], stretch, strict=True):
        scale[u, v] *= g**start_power
        if multiplicity((int(u), int(v)), shape) == 2:
            scale[-u % shape[0], -v % shape[1]] *= g**start_power
    bigger = images * stretch[:, None, None]
    kernel, dense = balanced_start(bigger, scale, instance["kernel"])
    shifts, targets = shift_matrices(bigger), s_factor * np.diag(1 / stretch)
    k_flat, w_flat, rate = kernel.ravel(), dense.reshape(k, -1), instance["learning_rate"]
    path = [effective_singular_values(shifts, k_flat, w_flat)]
    for _ in instance["draws"]:
        to_kernel, to_dense = gradient(shifts, targets, k_flat, w_flat)
        k_flat, w_flat = k_flat - rate * to_kernel, w_flat - rate * to_dense
        path.append(effective_singular_values(shifts, k_flat, w_flat))
    return descend(instance, one_sample=False), np.array(path) / s


def power_form(*, start_power: float = -1.0, s_factor: float = 1.0) -> list[Any]:
    """The step of b from that of κ does not depend on d at fixed b; and b(0) not on g, d = g²d, κ(0) = κ(0)/g."""
    import sympy as sp

    eta, c, m, d, s, b, g, kappa = sp.symbols("eta c m d s b g kappa", positive=True)
    at = sp.sqrt(b / (d * m * c))
    goal = sp.nsimplify(s_factor) * s
    step = d * m * c * (at * (1 + eta * c * (goal - b))) ** 2
    start = g**2 * d * m * c * (kappa * g ** sp.nsimplify(start_power)) ** 2 - d * m * c * kappa**2
    return [sp.simplify(step - b * (1 + eta * c * (s - b)) ** 2), sp.simplify(start), sp.simplify(sp.diff(step, d))]


def draw_decay(rng: np.random.Generator) -> Instance:
    """Steps on cosines (of which the start alone is used) and a weight decay between 0 and 2 s√(P/m)."""
    instance = draw_few_steps(rng)
    s, _, m = class_constants(instance)
    largest = np.max(s * np.sqrt(instance["images"][0].size / np.array(m)))
    return {**instance, "weight_decay": float(rng.uniform(0.0, 2.0) * largest)}


def with_decay(instance: Instance) -> Instance:
    """A corner case with weight decay 0.3."""
    return {**instance, "weight_decay": 0.3}


def decay_sides(
    instance: Instance, *, power_of_p: float = -0.5, delay: bool = True, decays: float = 1.0
) -> tuple[Any, Any]:
    """``ḃ/b`` by an exact derivative in pixel space, and ``(2√P/√m)(s - λ√(m/P) - b)``; over the terms."""
    kernel, dense = instance["kernel"].ravel(), instance["dense"].reshape(len(instance["dense"]), -1)
    shifts, n_pixels, decay = shift_matrices(instance["images"]), kernel.size, instance["weight_decay"]
    slopes = gradient(shifts, np.eye(len(shifts)), kernel, dense)
    k_dot, w_dot = -slopes[0] - decay * kernel, -slopes[1] - decay * dense
    b = effective_singular_values(shifts, kernel, dense)
    b_dot = effective_singular_values(shifts, k_dot, dense) + effective_singular_values(shifts, kernel, w_dot)
    s, _, m = class_constants(instance)
    rate = 2 * np.sqrt(n_pixels / np.array(m))
    shift = decays * decay * n_pixels**power_of_p * np.sqrt(m if delay else np.ones(len(m)))
    scale = rate * s + 2 * decay
    return b_dot / b / scale, rate * (s - shift - b) / scale


def decay_form(*, power_of_p: float = -0.5, delay: bool = True, decays: float = 1.0) -> list[Any]:
    """From ``dκ/dt = cκ(s - b) - λκ``, b = d m c κ²."""
    import sympy as sp

    p, m, d, s, kappa, decay = sp.symbols("P m d s kappa lambda", positive=True)
    c = sp.sqrt(p / m)
    b = d * m * c * kappa**2
    shift = sp.nsimplify(decays) * decay * p ** sp.nsimplify(power_of_p) * sp.sqrt(m if delay else 1)
    slope = sp.diff(b, kappa) * (c * kappa * (s - b) - decay * kappa)
    return [sp.simplify(slope - 2 * sp.sqrt(p / m) * b * (s - shift - b))]


RATE_MUTANTS: dict[str, dict[str, Any]] = {
    "√m dropped": {"delay": False},
    "P for √P": {"power_of_p": 2},
    "√P dropped": {"power_of_p": 0},
    "rate 1% off": {"speed": 1.01},
}

COSINE_LAW_CLAIMS = (
    Claim(
        id="sigmoid-equation",
        title="The sigmoid solves the equation of a pure cosine from any start",
        statement=(
            "b = d√P Σ_f |q_f||κ_f|², d|κ|/dt = c|κ|(s − b) ⇒ b(t) = s/(1 + (s/b₀ − 1) e^{−2√P s t/√m}) "
            "= s·expit(2√P s t/√m − ln(s/b₀ − 1)) for 0 < b₀ < s; the first form for b₀ > s, 0 for b₀ = 0"
        ),
        source="Pinson et al. eq 22, S.161-S.165, exception corrected (see E6); the stable forms: new",
        hypotheses=("one frequency and its conjugate, |q| = 1/√m", "balanced, aligned start of any size"),
        expected=Outcome.NOT_REFUTED,
        mutants=RATE_MUTANTS,
        tolerance=1e-9,
        tolerance_reason="order 12 with steps of ≤ 1/(3 c max(s, b₀)): halved steps move b/s by 1e-12",
        draw=draw_response,
        sides=sigmoid_sides,
        distance=absolute_distance,
        quantity="b(t)/s",
        batched=True,
        symbolic=sigmoid_form,
    ),
    Claim(
        id="learning-time",
        title="The learning time inverts the sigmoid",
        statement="time from b₀ to b: √m/(2√P s) · ln[b (s − b₀)/(b₀ (s − b))], below s and above it",
        source="Pinson et al. §3, S.164, exception corrected (see E6); above s: new",
        hypotheses=("ḃ = (2√P/√m) b (s − b)", "b between b₀ and s", "b₀ > 0"),
        expected=Outcome.NOT_REFUTED,
        mutants=RATE_MUTANTS,
        tolerance=1e-11,
        tolerance_reason=(
            "60 Gauss nodes on each of 8 panels, s a twentieth of the way off: 1e-20; "
            "the values of b are rounded, ε/|1 − b/s| ≤ 4e-14, and s t is compared"
        ),
        draw=draw_interval,
        sides=time_sides,
        quantity="s t",
        batched=True,
        symbolic=time_form,
    ),
    Claim(
        id="fully-connected-rate",
        title="The CNN is a fully connected network that learns √P/√m times faster",
        statement="b of the CNN at learning rate η = b of the fully connected network at η√P/√m, step by step",
        source="Pinson et al. §2.4 and §3 (Saxe et al.); at finite learning rate: new",
        hypotheses=(*HYPOTHESES, "the same b(0)", "two layers each"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "the same learning rate": {"power_of_p": 0.0, "delay": False},
            "√m dropped": {"delay": False},
            "P for √P": {"power_of_p": 1.0},
            "learning rate 1% off": {"rate_factor": 1.01},
        },
        tolerance=1e-11,
        tolerance_reason=RECURSION_REASON,
        draw=draw_few_steps,
        sides=fully_connected_sides,
        distance=absolute_distance,
        quantity="b/s",
        smallest=tuple(with_steps(corner) for corner in CORNERS),
        symbolic=fully_connected_form,
    ),
    Claim(
        id="power-enters-at-the-start",
        title="The power of the data enters through the start alone",
        statement="images g_α x_α, targets y_α/g_α, |κ_f(0)|/g_α: d_α → g_α² d_α, the same s and b₀, so the same b",
        source="new; Pinson et al. eq 22",
        hypotheses=HYPOTHESES,
        expected=Outcome.NOT_REFUTED,
        mutants={
            "the same |κ(0)|": {"start_power": 0.0},
            "|κ(0)|/g²": {"start_power": -2.0},
            "exponent 1% off": {"start_power": -1.01},
            "√2 s": {"s_factor": float(np.sqrt(2))},
        },
        tolerance=1e-11,
        tolerance_reason=RECURSION_REASON,
        draw=draw_power,
        sides=power_sides,
        distance=absolute_distance,
        quantity="b/s",
        smallest=tuple(with_stretch(corner) for corner in CORNERS),
        symbolic=power_form,
    ),
    Claim(
        id="decayed-cosine",
        title="Weight decay shifts the singular value of a pure cosine",
        statement="ḃ = (2√P/√m) b (s − λ√(m/P) − b) under weight decay λ",
        source="new",
        hypotheses=(*HYPOTHESES, "½λ(‖k‖² + ‖W‖²) added to the loss"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "λ for λ√(m/P)": {"power_of_p": 0.0, "delay": False},
            "√m dropped": {"delay": False},
            "2λ": {"decays": 2.0},
            "λ 1% off": {"decays": 1.01},
        },
        tolerance=1e-12,
        tolerance_reason="one gradient in float64: P·K·ε ≈ 1e-14 of the terms' size",
        draw=draw_decay,
        sides=decay_sides,
        distance=absolute_distance,
        quantity="ḃ/b",
        smallest=tuple(with_decay(corner) for corner in CORNERS),
        symbolic=decay_form,
    ),
)

"""Claims about modes on disjoint frequency sets (P eq 23-24): one clock a mode, from any start along the mode."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofs_check.claim import Claim, absolute_distance
from proofs_check.claims.disjoint import (
    DISJOINT,
    ModesOfImages,
    draw_balanced,
    draw_unbalanced,
    in_pixels,
    modes_of,
    turned_apart,
)
from proofs_check.claims.integration import extrapolated, pixel_flow
from proofs_check.claims.pixel_space import effective_singular_values, gradient
from proofs_check.claims.two_layers import ROUND_OFF, ROUND_OFF_REASON, size_of, spectra_of
from proofs_check.verdict import Instance, Outcome

__all__ = ["BALANCED", "CLOCK_CLAIMS", "answer", "rotated", "time_constant"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

STEPS = 12
FLOW_REASON = "order 12, steps of half the shortest time constant: halved steps move no number by 1e-9"
BALANCED = "balanced, aligned start"
ALONG = "A_γf(0) = 0 for γ ≠ α on F_α; else any start"


def draw_for_flow(rng: np.random.Generator, n: int) -> Instance:
    """An unbalanced start, and a time at which the first modes may be learned, the last ones not."""
    instance = draw_unbalanced(rng, n)
    return {**instance, "horizon": rng.uniform(0.3, 5.0, n) * time_constant(instance)}


def draw_balanced_flow(rng: np.random.Generator, n: int) -> Instance:
    """A balanced start, and such a time."""
    instance = draw_balanced(rng, n)
    return {**instance, "horizon": rng.uniform(0.3, 5.0, n) * time_constant(instance)}


def draw_readings(rng: np.random.Generator, n: int) -> Instance:
    """An unbalanced start, a reading ``cΘ`` of each clock between -2 and 2, and an advance of it."""
    instance = draw_unbalanced(rng, n, sizes=(0.02, 1.0, 50.0))
    largest = modes_of(instance["images"]).c.max(axis=-1)
    readings = np.stack([rng.uniform(-2, 2, largest.shape), rng.uniform(0.01, 2, largest.shape)], axis=1)
    return {**instance, "theta": readings / largest[:, None]}


def time_constant(instance: Instance) -> Floats:
    """The shortest: of growth, ``1/(c_f s)``, or of relaxation, ``1/(d Σ c_f² (|κ_f|² + |a_f|²))``; ``(n,)``."""
    modes = modes_of(instance["images"])
    kappa, a = turned_apart(instance, modes)
    relaxing = modes.d * (modes.c**2 * (np.abs(kappa) ** 2 + np.abs(a) ** 2)).sum(axis=-1)
    fastest = np.maximum((modes.c * modes.s[..., None]).max(axis=(1, 2)), relaxing.max(axis=1))
    return np.asarray(1.0 / fastest)


# --- Balanced starts --------------------------------------------------------------------------------------------------


def growth_sides(
    instance: Instance, *, c_power: float = 1.0, power_of_p: float = 0.5, d_factor: float = 1.0
) -> tuple[Any, Any]:
    """``d|κ_f|/dt`` by the exact gradient in pixel space, and P eq 23-24; over ``√P(s + b)‖κ‖``."""
    shifts, targets, kernel, dense = in_pixels(instance)
    modes = modes_of(instance["images"])
    to_kernel, _ = gradient(shifts, targets, kernel, dense)
    kappa, _ = spectra_of(instance["kernel"], instance["dense"])
    slope, _ = spectra_of(-to_kernel.reshape(instance["kernel"].shape), instance["dense"])
    size = np.abs(kappa)
    left = np.where(size > 0, (kappa.conj() * slope).real / np.where(size > 0, size, 1.0), 0.0)
    c = kernel.shape[-1] ** power_of_p * np.abs(modes.q) ** c_power
    b = d_factor * modes.d * (c * size[:, None] ** 2).sum(axis=-1)
    right = (c * size[:, None] * (modes.s - b)[..., None]).sum(axis=1)
    scale = np.sqrt(kernel.shape[-1]) * size_of(kappa)[:, 0] * (modes.s + b).max(axis=1, keepdims=True)
    return left / scale, right / scale


def growth_form(*, c_power: float = 1.0, power_of_p: float = 0.5, d_factor: float = 1.0) -> list[Any]:
    """P eq 15 with ``A = κ exp(-i(arg κ + arg q))`` at two frequencies: ``dκ_f/dt`` is radial, of the rate claimed."""
    import sympy as sp

    size, q, phase, turn = (sp.symbols(f"{name}:2", positive=True) for name in ("kappa", "q", "phi", "psi"))
    s, d, p = sp.symbols("s d P", positive=True)
    # phase and turn stand for e^{i arg κ} and e^{i arg q}, whose conjugates are their inverses
    kappa = [size[f] * phase[f] for f in range(2)]
    wave = [q[f] * turn[f] for f in range(2)]
    a = [size[f] / (phase[f] * turn[f]) for f in range(2)]
    residual = s - sp.sqrt(p) * d * sum(a[f] * kappa[f] * wave[f] for f in range(2))
    c = [p ** sp.nsimplify(power_of_p) * q[f] ** sp.nsimplify(c_power) for f in range(2)]
    b = sp.nsimplify(d_factor) * d * sum(c[f] * size[f] ** 2 for f in range(2))
    slopes = [sp.sqrt(p) * size[f] * phase[f] * turn[f] * residual * q[f] / turn[f] for f in range(2)]
    return [sp.expand(slopes[f] - c[f] * kappa[f] * (s - b)) for f in range(2)]


def equal_growth_sides(instance: Instance, *, power: float = 1.0, logarithm: bool = True) -> tuple[Any, Any]:
    """``ln(|κ_f(t)|/|κ_f(0)|)/|q_αf|`` on F_α, and its value at the largest ``|q_αf|``; κ(t) from pixel space."""
    shifts, targets, kernel, dense = in_pixels(instance)
    modes = modes_of(instance["images"])
    later, rows = pixel_flow(shifts, targets, kernel, dense, instance["horizon"], steps=STEPS)
    ratio = np.abs(spectra_of(later.reshape(instance["kernel"].shape), rows.reshape(instance["dense"].shape))[0])
    ratio = ratio / np.abs(spectra_of(instance["kernel"], instance["dense"])[0])
    q = np.abs(modes.q)
    growth = (np.log(ratio) if logarithm else ratio - 1.0)[:, None] / np.where(q > 0, q, 1.0) ** power
    first = np.take_along_axis(growth, q.argmax(axis=-1)[..., None], axis=-1)
    return np.where(q > 0, growth, 0.0), np.where(q > 0, first, 0.0)


# --- Any start along the modes ----------------------------------------------------------------------------------------


def rotated(
    kappa: Complexes, a: Complexes, c: Floats, theta: Floats, *, sign: float = 1.0
) -> tuple[Complexes, Complexes]:
    """``κ cosh cΘ + a sinh cΘ`` and ``a cosh cΘ ± κ sinh cΘ``; theta ``(n, K)``."""
    cosh, sinh = np.cosh(c * theta[..., None]), np.sinh(c * theta[..., None])
    return kappa * cosh + a * sinh, a * cosh + sign * kappa * sinh


def answer(kappa: Complexes, a: Complexes, modes: ModesOfImages, d_factor: float = 1.0) -> Floats:
    """``b = d Σ_f c_f Re(conj(a_f) κ_f)`` ``(n, K)``."""
    b: Floats = d_factor * modes.d * (modes.c * (a.conj() * kappa).real).sum(axis=-1)
    return b


def hyperbolic_sides(
    instance: Instance, *, speed: float = 1.0, d_factor: float = 1.0, sign: float = 1.0, conjugate: bool = False
) -> tuple[Any, Any]:
    """κ and a on F_α at a time: from the pixel-space flow, and from the scalar clocks; over the largest."""
    shifts, targets, kernel, dense = in_pixels(instance)
    modes = modes_of(instance["images"])
    later, rows = pixel_flow(shifts, targets, kernel, dense, instance["horizon"], steps=STEPS)
    shapes = {name: instance[name].shape for name in ("kernel", "dense")}
    moved = {"kernel": later.reshape(shapes["kernel"]), "dense": rows.reshape(shapes["dense"])}
    left = np.concatenate(turned_apart(moved, modes, conjugate=conjugate), axis=-1)
    kappa, a = turned_apart(instance, modes, conjugate=conjugate)

    def pace(theta: Floats) -> Floats:
        return modes.s - answer(*rotated(kappa, a, modes.c, theta), modes, d_factor)

    theta = extrapolated(pace, np.zeros_like(modes.s), speed * instance["horizon"], steps=STEPS)
    right = np.concatenate(rotated(kappa, a, modes.c, theta, sign=sign), axis=-1)
    scale = np.abs(left).max(axis=(1, 2), keepdims=True)
    return left / scale, right / scale


def hyperbolic_form(
    *, speed: float = 1.0, d_factor: float = 1.0, sign: float = 1.0, conjugate: bool = False
) -> list[Any]:
    """``dκ/dt = c a (s - b)``, ``da/dt = c κ (s - b)``, ``dΘ/dt = s - b``, for one frequency's real parts.

    cosh and sinh of cΘ are symbols that turn into each other, with cosh² = 1 + sinh² not even needed.
    """
    import sympy as sp

    k0, a0 = sp.symbols("kappa0 a0", real=True)
    c, s, d, cosh, sinh = sp.symbols("c s d C S", positive=True)
    kappa, a = k0 * cosh + a0 * sinh, a0 * cosh + sp.nsimplify(sign) * k0 * sinh
    pace = sp.nsimplify(speed) * (s - sp.nsimplify(d_factor) * d * c * a * kappa)
    residual = s - d * c * a * kappa
    if conjugate:
        a = -a  # the imaginary part of conj(a)
    slopes = [c * (sp.diff(z, cosh) * sinh + sp.diff(z, sinh) * cosh) * pace for z in (kappa, a)]
    return [sp.expand(slope - c * z * residual) for slope, z in zip(slopes, (a, kappa), strict=True)]


def increment_sides(
    instance: Instance, *, fading: float = 1.0, rate: float = 2.0, d_factor: float = 1.0
) -> tuple[Any, Any]:
    """``b(Θ_2) - b(Θ_1)`` of the network in pixel space, and a sum of terms ≥ 0 for Θ_2 > Θ_1; over a bound of b."""
    modes = modes_of(instance["images"])
    kappa, a = turned_apart(instance, modes)
    first, second = instance["theta"][:, 0], instance["theta"].sum(axis=1)
    values = [_in_pixel_space(instance, *rotated(kappa, a, modes.c, z), modes) for z in (first, second)]
    grow, fade = np.abs(kappa + a) ** 2, np.abs(kappa - a) ** 2
    exponents = [rate * modes.c * z[..., None] for z in (first, second)]
    up = np.exp(exponents[0]) * np.expm1(exponents[1] - exponents[0])
    down = -np.exp(-exponents[0]) * np.expm1(exponents[0] - exponents[1])
    right = 0.25 * d_factor * modes.d * (modes.c * (grow * up + fading * fade * down)).sum(axis=-1)
    farthest = 2 * modes.c * np.maximum(np.abs(first), np.abs(second))[..., None]
    size = modes.d * (modes.c * (np.abs(kappa) + np.abs(a)) ** 2 * np.exp(farthest)).sum(axis=-1)
    return (values[1] - values[0]) / size, right / size


def _in_pixel_space(instance: Instance, kappa: Complexes, a: Complexes, modes: ModesOfImages) -> Floats:
    """``b_α`` of the network whose spectra on the modes' frequencies are these, from its outputs."""
    images = instance["images"]
    size = np.abs(modes.q)
    phase = np.where(size > 0, modes.q / np.where(size > 0, size, 1.0), 0.0)
    kernel = np.fft.ifft2(kappa.sum(axis=1).reshape(instance["kernel"].shape), norm="ortho").real
    rows = np.fft.ifft2((a * phase).reshape(images.shape), norm="ortho").real  # conj(A) = a q/|q|
    moved = {"images": images, "kernel": kernel, "dense": rows}
    shifts, _, flat, dense = in_pixels(moved)
    return effective_singular_values(shifts, flat, dense)


def increment_form(*, fading: float = 1.0, rate: float = 2.0, d_factor: float = 1.0) -> list[Any]:
    """One frequency of complex κ(0), a(0): ``c Re(conj(a)κ)(Θ) = ¼c(|κ+a|² e^{2cΘ} - |κ-a|² e^{-2cΘ})``, E = e^{cΘ}."""
    import sympy as sp

    x, y, u, v = sp.symbols("x y u v", real=True)
    c, d, e = sp.symbols("c d E", positive=True)
    cosh, sinh = (e + 1 / e) / 2, (e - 1 / e) / 2
    b = d * c * sum((p * cosh + r * sinh) * (r * cosh + p * sinh) for p, r in ((x, u), (y, v)))
    grow, fade = (x + u) ** 2 + (y + v) ** 2, (x - u) ** 2 + (y - v) ** 2
    power = e ** sp.nsimplify(rate)
    right = sp.nsimplify(d_factor) * d * c * (grow * power - sp.nsimplify(fading) * fade / power) / 4
    return [sp.expand(e * sp.diff(b - right, e))]


CLOCK_CLAIMS = (
    Claim(
        id="kernel-growth",
        title="Frequencies of a mode grow at their own rates",
        statement="d|κ_f|/dt = c_f |κ_f| (s_α − d_α Σ_{g∈F_α} c_g |κ_g|²), c_f = √P |q_αf|",
        source="Pinson et al. eq 23-24",
        hypotheses=(DISJOINT, BALANCED),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "√P dropped": {"power_of_p": 0.0},
            "P for √P": {"power_of_p": 1.0},
            "|q|² for |q|": {"c_power": 2.0},
            "exponent of |q| 1% off": {"c_power": 1.01},
            "√2 d for d": {"d_factor": float(np.sqrt(2))},
        },
        tolerance=ROUND_OFF,
        tolerance_reason=ROUND_OFF_REASON,
        draw=draw_balanced,
        sides=growth_sides,
        distance=absolute_distance,
        quantity="d|κ_f|/dt",
        batched=True,
        symbolic=growth_form,
    ),
    Claim(
        id="equal-growth",
        title="One clock for all frequencies of a mode",
        statement="ln(|κ_f(t)|/|κ_f(0)|)/|q_αf| is the same for all f ∈ F_α at every time",
        source="new; from Pinson et al. eq 23-24",
        hypotheses=(DISJOINT, BALANCED, "κ_f(0) ≠ 0", "gradient flow"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "ln(..)/|q|²": {"power": 2.0},
            "exponent of |q| 1% off": {"power": 1.01},
            "growth without the logarithm": {"logarithm": False},
        },
        tolerance=1e-8,
        tolerance_reason=FLOW_REASON + "; divided by |q| ≥ 0.05",
        draw=draw_balanced_flow,
        sides=equal_growth_sides,
        distance=absolute_distance,
        quantity="ln(|κ_f|/|κ_f(0)|)/|q_f|",
        batched=True,
        max_instances=640,
    ),
    Claim(
        id="hyperbolic-clock",
        title="The clock turns kernel and dense layer into each other",
        statement=(
            "κ_f = κ_f(0) cosh c_fΘ + a_f(0) sinh c_fΘ, a_f = a_f(0) cosh c_fΘ + κ_f(0) sinh c_fΘ, "
            "dΘ/dt = s − d Σ_f c_f Re(conj(a_f) κ_f), a_f = conj(A_αf q_αf/|q_αf|)"
        ),
        source="new; solves Pinson et al. eq 15-16 for unbalanced starts",
        hypotheses=(DISJOINT, ALONG, "gradient flow"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "time 1% off": {"speed": 1.01},
            "d 1% off": {"d_factor": 1.01},
            "−κ sinh (a rotation)": {"sign": -1.0},
            "conj(q) for q": {"conjugate": True},
        },
        tolerance=1e-8,
        tolerance_reason=FLOW_REASON,
        draw=draw_for_flow,
        sides=hyperbolic_sides,
        distance=absolute_distance,
        quantity="κ_f or a_f",
        batched=True,
        max_instances=640,
        symbolic=hyperbolic_form,
    ),
    Claim(
        id="clock-increases",
        title="The response increases with the clock",
        statement=(
            "b(Θ₂) − b(Θ₁) = ¼ d Σ_f c_f [|κ_f+a_f|² (e^{2c_fΘ₂} − e^{2c_fΘ₁})"
            " + |κ_f−a_f|² (e^{−2c_fΘ₁} − e^{−2c_fΘ₂})], "
            "> 0 for Θ₂ > Θ₁: s = b(Θ) has one root at most"
        ),
        source="new",
        hypotheses=(DISJOINT, ALONG, "κ and a not both 0 on all of F_α"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "the fading part with the other sign": {"fading": -1.0},
            "e^{cΘ} for e^{2cΘ}": {"rate": 1.0},
            "√2": {"d_factor": float(np.sqrt(2))},
        },
        tolerance=ROUND_OFF,
        tolerance_reason=ROUND_OFF_REASON + "; relative to d Σ c (|κ| + |a|)² e^{2c max|Θ|}, which bounds both b",
        draw=draw_readings,
        sides=increment_sides,
        distance=absolute_distance,
        quantity="b(Θ₂) − b(Θ₁)",
        batched=True,
        symbolic=increment_form,
    ),
)

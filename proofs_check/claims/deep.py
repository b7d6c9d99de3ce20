"""Claims about deeper networks of one hidden channel a layer, pure cosines and disjoint modes, at L = 2, .., 5."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineardyn.closed_form import learning_time
from proofs_check.claim import Claim, absolute_distance
from proofs_check.claims.cosine_laws import draw_interval
from proofs_check.claims.cosines import RECURSION_REASON
from proofs_check.claims.disjoint import DISJOINT, draw_balanced, modes_of
from proofs_check.claims.pixel_space import draw_cosines, effective_singular_values, gradient, shift_matrices
from proofs_check.claims.two_layers import ROUND_OFF, ROUND_OFF_REASON
from proofs_check.verdict import Instance, Outcome

__all__ = ["DEEP_CLAIMS"]

Floats = NDArray[np.float64]

HYPOTHESES = ("L layers of one hidden channel", DISJOINT, "balanced, aligned start")


# --- The deep network in pixel space ------------------------------------------------------------------------------


def composed(kernels: list[Floats], shape: tuple[int, ...]) -> Floats:
    """The convolution ``(n, P)`` of all kernels ``(n, P)``; a unit impulse if there is none."""
    impulse = np.zeros(shape)
    impulse[..., 0, 0] = 1.0
    result = impulse.reshape(len(impulse), -1)
    for kernel in kernels:
        result = (shift_matrices(kernel.reshape(shape)) @ result[..., None])[..., 0]
    return result


def deep_gradient(
    shifts: Floats, targets: Floats, kernels: list[Floats], dense: Floats, shape: tuple[int, ...]
) -> tuple[list[Floats], Floats]:
    """Gradient of ``½⟨‖y - W (k_{L-1} ∗ .. ∗ k_1 ∗ x)‖²⟩``: that of the composed kernel, through the other kernels."""
    to_whole, to_dense = gradient(shifts, targets, composed(kernels, shape), dense)
    slopes = []
    for layer in range(len(kernels)):
        others = composed(kernels[:layer] + kernels[layer + 1 :], shape)
        slopes.append((shift_matrices(others.reshape(shape)).swapaxes(-1, -2) @ to_whole[..., None])[..., 0])
    return slopes, to_dense


def aligned(instance: Instance) -> tuple[Floats, Floats, list[Floats], Floats, tuple[int, ...]]:
    """Shifts, targets, L - 1 kernels and the dense layer, balanced and aligned, of the magnitudes of ``scale``."""
    images, phases = instance["images"], instance["phases"]
    n, k, height, width = images.shape
    scale = instance["scale"]
    turns = [np.fft.fft2(phases[:, i]) for i in range(phases.shape[1])]
    turns = [z / np.abs(z) for z in turns]
    spectra = np.fft.fft2(images, norm="ortho")
    size = np.abs(spectra)
    wave = np.where(size > 1e-9, spectra / np.where(size > 0, size, 1.0), 0.0)
    rows = scale[:, None] * np.prod(turns, axis=0)[:, None] * wave  # conj(A_αf)
    dense = np.fft.ifft2(rows, norm="ortho").real.reshape(n, k, -1)
    kernels = [np.fft.ifft2(scale * z, norm="ortho").real.reshape(n, -1) for z in turns]
    return shift_matrices(images), np.eye(k), kernels, dense, (n, height, width)


def _with_layers(rng: np.random.Generator, images: Floats, depth: int, size: Any) -> Instance:
    """Random phases of L - 1 kernels, and magnitudes: ``size`` times numbers within a factor 2, even in f."""
    n, _, height, width = images.shape
    level = 0.5 + np.exp(-np.abs(np.fft.fft2(rng.standard_normal((n, height, width)), norm="ortho")))
    return {
        "images": images,
        "phases": rng.standard_normal((n, depth - 1, height, width)),
        "scale": size * level,
    }


def draw_deep(rng: np.random.Generator, n: int) -> Instance:
    """Disjoint modes at a depth from 2 to 5, of b(0)/s between about 1e-4 and 1, a learning rate and six steps."""
    depth = int(rng.integers(2, 6))
    images = draw_balanced(rng, n)["images"]
    modes = modes_of(images)
    n_pixels = modes.c.shape[-1]
    # b = d P^{(L-1)/2} Σ|q||κ|^L = s for one |κ|
    typical = (modes.s / (modes.d * n_pixels ** (0.5 * (depth - 1)) * np.abs(modes.q).sum(axis=-1))).max(axis=1)
    size = typical ** (1 / depth) * rng.choice([0.1, 0.4, 0.6], n)
    instance = _with_layers(rng, images, depth, size[:, None, None])
    # ηcκ^{L-2}(b - s) < 1 from the start, where b may lie above s, to the end, where one frequency may have all of b
    c = n_pixels ** (0.5 * (depth - 1)) * np.abs(modes.q)
    at_start = instance["scale"].reshape(n, 1, -1)
    b0 = modes.d * (c * at_start**depth).sum(axis=-1)
    at_end = (modes.s / modes.d)[..., None] ** (1 / depth) * np.where(c > 0, c, np.inf) ** (-1 / depth)
    fastest = c * np.maximum(at_start, at_end) ** (depth - 2) * np.maximum(modes.s, b0)[..., None]
    return {**instance, "learning_rate": rng.uniform(0.05, 0.3, n) / fastest.max(axis=(1, 2))}


def draw_deep_cosines(rng: np.random.Generator, n: int) -> Instance:
    """The same with one pure cosine a class."""
    depth = int(rng.integers(2, 6))
    drawn = draw_cosines(rng)["images"]
    images = drawn * rng.uniform(0.7, 1.4, (n, 1, 1, 1))
    modes = modes_of(images)
    bound = modes.d * modes.c.shape[-1] ** (0.5 * (depth - 1)) * np.abs(modes.q).sum(axis=-1)
    size = (modes.s / bound).max(axis=1) ** (1 / depth) * rng.choice([0.1, 0.4, 0.6], n)
    return _with_layers(rng, images, depth, np.array(size)[:, None, None])


# --- Frequencies of a mode ------------------------------------------------------------------------------------------


def growth_sides(
    instance: Instance, *, shift: int = 0, power_of_p: float = 1.0, c_power: float = 1.0
) -> tuple[Any, Any]:
    """``d|κ_{l,f}|/dt`` of every kernel by the gradient in pixel space, and ``c_f |κ_f|^{L-1} (s - b)``; over terms."""
    shifts, targets, kernels, dense, shape = aligned(instance)
    slopes, _ = deep_gradient(shifts, targets, kernels, dense, shape)
    depth = len(kernels) + 1
    modes = modes_of(instance["images"])
    spectra, rates = (
        np.stack([np.fft.fft2(z.reshape(shape), norm="ortho") for z in layers], axis=1) for layers in (kernels, slopes)
    )
    left = -((spectra.conj() * rates).real / np.abs(spectra)).reshape(len(dense), depth - 1, -1)
    size = instance["scale"].reshape(len(dense), 1, -1)
    c = dense.shape[-1] ** (0.5 * power_of_p * (depth - 1)) * np.abs(modes.q) ** c_power
    b = modes.d * (c * size**depth).sum(axis=-1)
    right = (c * size ** (depth - 1 + shift) * (modes.s - b)[..., None]).sum(axis=1)
    terms = (c * size ** (depth - 1) * (modes.s + b)[..., None]).sum(axis=1).max(axis=1)[:, None, None]
    return left / terms, np.broadcast_to(right[:, None] / terms, left.shape)


def growth_form(*, shift: int = 0, power_of_p: float = 1.0, c_power: float = 1.0) -> list[Any]:
    """From the rate claimed: ``d(κ^{2-L})/dΘ = -(L-2) c`` for L = 3, 4, 5, and ``d ln κ/dΘ = c`` for L = 2."""
    import sympy as sp

    kappa, q, p = sp.symbols("kappa q P", positive=True)
    differences = []
    for depth in (2, 3, 4, 5):
        c = sp.sqrt(p) ** (depth - 1) * q
        claimed = p ** (sp.nsimplify(power_of_p) * (depth - 1) / 2) * q ** sp.nsimplify(c_power)
        rate = claimed * kappa ** (depth - 1 + shift)  # dκ/dΘ, dΘ = (s - b) dt
        position = sp.log(kappa) if depth == 2 else kappa ** (2 - depth)
        slope = c if depth == 2 else -(depth - 2) * c
        differences.append(sp.simplify(sp.diff(position, kappa) * rate - slope))
    return differences


def descent_sides(instance: Instance, *, rate_factor: float = 1.0, shift: int = 0) -> tuple[Any, Any]:
    """``|κ_{l,f}|`` of every kernel after six steps of descent in pixel space, and by the recursion; over max|·|."""
    shifts, targets, kernels, dense, shape = aligned(instance)
    rate, depth = instance["learning_rate"], len(kernels) + 1
    for _ in range(6):
        slopes, to_dense = deep_gradient(shifts, targets, kernels, dense, shape)
        kernels = [k - rate[:, None] * slope for k, slope in zip(kernels, slopes, strict=True)]
        dense = dense - rate[:, None, None] * to_dense
    left = np.stack([np.abs(np.fft.fft2(z.reshape(shape), norm="ortho")) for z in kernels], axis=1)
    modes = modes_of(instance["images"])
    c = dense.shape[-1] ** (0.5 * (depth - 1)) * np.abs(modes.q)
    size = instance["scale"].reshape(len(dense), 1, -1)
    for _ in range(6):
        gap = modes.s - modes.d * (c * size**depth).sum(axis=-1)
        step = (c * size ** (depth - 1 + shift) * gap[..., None]).sum(axis=1, keepdims=True)
        size = size + rate_factor * rate[:, None, None] * step
    scale = left.max(axis=(1, 2, 3))[:, None, None]
    left = left.reshape(len(dense), depth - 1, -1) / scale
    return left, np.broadcast_to(size / scale, left.shape)


# --- Pure cosines ---------------------------------------------------------------------------------------------------


def cosine_sides(
    instance: Instance, *, layers: int = 0, delay: bool = True, d_power: float = 1.0, b_power: float = 1.0
) -> tuple[Any, Any]:
    """``ḃ`` by exact derivatives in pixel space, and ``L (P/m)^{1-1/L} d^{2/L-1} b^{2-2/L} (s - b)``.

    Both over the factor of (s - b), and over s + b; ``layers`` is added to L there.
    """
    shifts, targets, kernels, dense, shape = aligned(instance)
    slopes, to_dense = deep_gradient(shifts, targets, kernels, dense, shape)
    b = effective_singular_values(shifts, composed(kernels, shape), dense)
    b_dot = -effective_singular_values(shifts, composed(kernels, shape), to_dense)
    for layer, slope in enumerate(slopes):  # b is linear in each layer
        moved = [*kernels[:layer], slope, *kernels[layer + 1 :]]
        b_dot = b_dot - effective_singular_values(shifts, composed(moved, shape), dense)
    depth = len(kernels) + 1
    modes = modes_of(instance["images"])
    m = (modes.c > 0).sum(axis=-1) if delay else np.ones_like(modes.s)
    ratio = modes.c.shape[-1] / m
    pace = (depth + layers) * ratio ** (1 - 1 / depth) * modes.d ** (d_power * (2 / depth - 1))
    pace = pace * np.abs(b) ** (b_power * (2 - 2 / depth))
    return b_dot / (pace * (modes.s + np.abs(b))), (modes.s - b) / (modes.s + np.abs(b))


def cosine_form(*, layers: int = 0, delay: bool = True, d_power: float = 1.0, b_power: float = 1.0) -> list[Any]:
    """From ``dκ/dt = c κ^{L-1} (s - b)``, ``b = d m c κ^L``, ``c = P^{(L-1)/2}/√m``, for L = 2, 3, 4."""
    import sympy as sp

    kappa, p, m, d = sp.symbols("kappa P m d", positive=True)
    differences = []
    for depth in (2, 3, 4):
        c = sp.sqrt(p) ** (depth - 1) / sp.sqrt(m)
        b = d * m * c * kappa**depth
        slope = sp.diff(b, kappa) * c * kappa ** (depth - 1)  # over s - b
        ratio = p / (m if delay else 1)
        pace = (depth + layers) * ratio ** (1 - sp.Rational(1, depth))
        pace *= d ** (sp.nsimplify(d_power) * (sp.Rational(2, depth) - 1))
        pace *= b ** (sp.nsimplify(b_power) * (2 - sp.Rational(2, depth)))
        differences.append(sp.simplify(sp.expand_power_base(slope / pace, force=True) - 1))
    return differences


def draw_deep_interval(rng: np.random.Generator, n: int) -> Instance:
    """Depth, s, d, P, m, and two values of b on one side of s."""
    drawn = draw_interval(rng, n)
    start = np.where(drawn["start"] > 1, np.minimum(drawn["start"], 20.0), np.maximum(drawn["start"], 1e-4))
    left = np.log(drawn["end"]) / np.log(drawn["start"])
    return {
        **drawn,
        "d": rng.uniform(0.3, 3.0, n),
        "start": start,
        "end": start**left,
        "depth": int(rng.integers(3, 6)),
    }


def time_sides(instance: Instance, *, speed: float = 1.0, delay: bool = True, d_given: bool = True) -> tuple[Any, Any]:
    """``∫ db/ḃ`` by Gauss's rule in ln b on eight panels, and the elementary time; times the rate at s."""
    pixels, m, s, d, depth = (instance[name] for name in ("pixels", "m", "s", "d", "depth"))
    nodes, weights = np.polynomial.legendre.leggauss(60)
    first, last = np.log(instance["start"]), np.log(instance["end"])
    edges = first + (last - first) * np.arange(9)[:, None] / 8
    half = 0.5 * np.diff(edges, axis=0)
    u = edges[:-1] + half * (1 + nodes[:, None, None])  # ln(b/s)
    at_end = depth * (pixels / m) ** (1 - 1 / depth) * d ** (2 / depth - 1) * s ** (2 - 2 / depth)
    pace = np.exp((1 - 2 / depth) * u) * -np.expm1(u)  # d ln b/dt, over at_end
    left = (weights[:, None, None] * half / pace).sum(axis=(0, 1))
    right = learning_time(
        instance["end"] * s,
        s=s,
        b0=instance["start"] * s,
        n_pixels=pixels,
        multiplicity=m if delay else np.ones_like(m),
        depth=depth,
        d=d if d_given else np.ones_like(d),
    )
    right = at_end * right / speed
    return left / (left + right), right / (left + right)


DEEP_CLAIMS = (
    Claim(
        id="deep-growth",
        title="At depth L every layer of a frequency grows as |κ|^{L−1}",
        statement=(
            "d|κ_{l,f}|/dt = c_f |κ_f|^{L−1} (s_α − b_α), b_α = d_α Σ_g c_g|κ_g|^L, c_f = P^{(L−1)/2}|q_αf|; "
            "so κ_f^{2−L} falls linearly in the clock for L ≥ 3"
        ),
        source="new",
        hypotheses=HYPOTHESES,
        expected=Outcome.NOT_REFUTED,
        mutants={
            "|κ|^L for |κ|^{L−1}": {"shift": 1},
            "√P for P^{(L−1)/2}": {"power_of_p": 0.5},
            "exponent of |q| 1% off": {"c_power": 1.01},
        },
        tolerance=ROUND_OFF,
        tolerance_reason=ROUND_OFF_REASON,
        draw=draw_deep,
        sides=growth_sides,
        distance=absolute_distance,
        quantity="d|κ_f|/dt",
        batched=True,
        symbolic=growth_form,
    ),
    Claim(
        id="deep-descent",
        title="Deep sums of cosines under full-batch descent, exactly",
        statement="|κ_f| ← |κ_f| + η c_f |κ_f|^{L−1} (s − d Σ_g c_g|κ_g|^L) at each step of learning rate η",
        source="new",
        hypotheses=(*HYPOTHESES, "η c_f |κ_f|^{L−2} (b − s) < 1, so that no |κ_f| passes 0"),
        expected=Outcome.NOT_REFUTED,
        mutants={"|κ|^L for |κ|^{L−1}": {"shift": 1}, "learning rate 1% off": {"rate_factor": 1.01}},
        tolerance=1e-11,
        tolerance_reason=RECURSION_REASON,
        draw=draw_deep,
        sides=descent_sides,
        distance=absolute_distance,
        quantity="|κ_f|",
        batched=True,
    ),
    Claim(
        id="deep-cosine",
        title="The equation of a pure cosine at depth L",
        statement="ḃ = L (P/m)^{1−1/L} d^{2/L−1} b^{2−2/L} (s − b)",
        source="new; L = 2: Pinson et al. eq 22; fully connected: Saxe et al.",
        hypotheses=(*HYPOTHESES, "one pure cosine a class"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "L + 1 for L": {"layers": 1},
            "m dropped": {"delay": False},
            "d dropped": {"d_power": 0.0},
            "exponent of b 1% off": {"b_power": 1.01},
        },
        tolerance=1e-11,
        tolerance_reason="b ≥ 1e-5 of the largest by L products of ≤ 20 pixels: 5·20·ε·(b_max/b)^{..} ≤ 1e-12",
        draw=draw_deep_cosines,
        sides=cosine_sides,
        distance=absolute_distance,
        quantity="ḃ over the formula without (s − b)",
        batched=True,
        symbolic=cosine_form,
    ),
    Claim(
        id="deep-learning-time",
        title="The learning time at depth L is elementary",
        statement=(
            "time from y₀ to y = (b/s)^{1/L}: [y^{2−L}/(2−L) − (1/L) Σ_j ω_j² ln(1 − y/ω_j)] from y₀ to y, over "
            "((P/m)^{1−1/L} d^{2/L−1} s^{2−2/L}), ω_j the L-th roots of unity, L ≥ 3"
        ),
        source="new",
        hypotheses=("the equation of deep-cosine", "b between b₀ and s", "b₀ > 0"),
        expected=Outcome.NOT_REFUTED,
        mutants={"m dropped": {"delay": False}, "d dropped": {"d_given": False}, "1% off": {"speed": 1.01}},
        tolerance=1e-11,
        tolerance_reason="60 Gauss nodes on each of 8 panels: 1e-20; b is rounded, ε/|1 − b/s| ≤ 4e-14",
        draw=draw_deep_interval,
        sides=time_sides,
        distance=absolute_distance,
        quantity="share of the time",
        batched=True,
    ),
)

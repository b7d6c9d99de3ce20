"""Claims about starts that are not aligned (P appendix G): other outputs let go of a mode, alignment and balance."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofs_check.claim import Claim, Kind, absolute_distance
from proofs_check.claims.disjoint import DISJOINT, draw_balanced, in_pixels, modes_of
from proofs_check.claims.integration import extrapolated
from proofs_check.claims.pixel_space import gradient, predict
from proofs_check.claims.two_layers import ROUND_OFF, ROUND_OFF_REASON, spectra_of
from proofs_check.verdict import Instance, Outcome

__all__ = ["ALIGNMENT_CLAIMS"]

Floats = NDArray[np.float64]

STEPS = 64
"""Of the flow from a small random start, and as many looks at it."""


def draw_random_start(rng: np.random.Generator, n: int) -> Instance:
    """Two classes on disjoint frequencies, and random weights of order one."""
    images = draw_balanced(rng, n, min_classes=2, max_classes=2)["images"]
    k, shape = images.shape[1], images.shape[2:]
    return {
        "images": images,
        "kernel": rng.standard_normal((n, *shape)),
        "dense": rng.standard_normal((n, k, *shape)),
    }


def draw_any_start(rng: np.random.Generator, n: int) -> Instance:
    """Two or three classes on disjoint frequencies, any weights."""
    images = draw_balanced(rng, n, min_classes=2)["images"]
    shape, size = images.shape[2:], rng.choice([0.01, 1.0, 10.0], (n, 1, 1))
    return {
        "images": images,
        "kernel": size * rng.standard_normal((n, *shape)),
        "dense": size[..., None] * rng.standard_normal(images.shape),
    }


def responses(shifts: Floats, kernel: Floats, dense: Floats, s: Floats) -> Floats:
    """``B_γα = s_α f_γ(x_α)`` ``(n, K, K)``: one image a class, orthogonal."""
    b: Floats = np.swapaxes(predict(shifts, kernel, dense), -1, -2) * s[:, None]
    return b


def letting_go_sides(instance: Instance, *, d_power: float = -1.0, factor: float = 2.0) -> tuple[Any, Any]:
    """``d/dt Σ_{f∈F_α}|A_γf|²`` for γ ≠ α by the gradient in pixel space, and ``-2B_γα²/d_α``; over ‖A‖‖dA/dt‖."""
    shifts, targets, kernel, dense = in_pixels(instance)
    modes = modes_of(instance["images"])
    to_dense = gradient(shifts, targets, kernel, dense)[1]
    rows = instance["dense"].shape
    _, a = spectra_of(instance["kernel"], instance["dense"])
    _, a_dot = spectra_of(instance["kernel"], -to_dense.reshape(rows))
    mine = (modes.c > 0)[:, None]  # (n, 1, α, P)
    left = 2 * np.where(mine, (a.conj() * a_dot).real[:, :, None], 0.0).sum(axis=-1)
    right = -factor * responses(shifts, kernel, dense, modes.s) ** 2 * modes.d[:, None] ** d_power
    others = 1.0 - np.eye(rows[1])
    size = [np.linalg.norm(z.reshape(len(z), -1), axis=1) for z in (a, a_dot)]
    scale = (size[0] * size[1])[:, None, None]
    return others * left / scale, others * right / scale


def letting_go_form(*, d_power: float = -1.0, factor: float = 2.0) -> list[Any]:
    """From P eq 16 for γ ≠ α, ``E_γα = -B_γα``, at two frequencies and their conjugates."""
    import sympy as sp

    p, d = sp.symbols("P d", positive=True)
    a, kappa, q = (sp.symbols(f"{name}:2", complex=True) for name in ("A", "kappa", "q"))
    a, kappa, q = ([*z, *map(sp.conjugate, z)] for z in (a, kappa, q))
    b = sp.sqrt(p) * d * sum(a[f] * kappa[f] * q[f] for f in range(4))
    slopes = [-sp.sqrt(p) * sp.conjugate(kappa[f]) * b * sp.conjugate(q[f]) for f in range(4)]
    left = sum(sp.conjugate(a[f]) * slopes[f] + a[f] * sp.conjugate(slopes[f]) for f in range(4))
    return [sp.expand(left + sp.nsimplify(factor) * b**2 * d ** sp.nsimplify(d_power))]


def small_start_sides(
    instance: Instance, *, measure: str, scale: float = 1e-3, shared: bool = False
) -> tuple[Any, Any]:
    """At the first look at which ``B_αα ≥ s_α/2``: off-diagonals ``|B_γα|/s_α``, or ``|A_αf|/|κ_f|``; and 0, or 1.

    At the frequency of F_α with the largest |κ_f|. Nothing is compared for a mode that the flow does not reach.
    ``shared``: two images that share all their frequencies.
    """
    if shared:
        x = instance["images"]
        size = np.linalg.norm(x, axis=(2, 3), keepdims=True)
        v = x / size
        instance = {**instance, "images": size / np.sqrt(2) * np.stack([v[:, 0] + v[:, 1], v[:, 0] - v[:, 1]], axis=1)}
    shifts, targets, kernel, dense = in_pixels(instance)
    modes = modes_of(instance["images"])
    n, k = modes.s.shape
    lead = modes.c.max(axis=-1) * modes.s
    typical = 1 / np.sqrt(modes.c.max(axis=(1, 2)) * modes.d.max(axis=1) / modes.s.max(axis=1))
    factor = scale * typical[:, None]
    horizon = (3.0 - np.log(scale)) / lead.min(axis=1)

    def slope(state: Floats) -> Floats:
        to_kernel, to_dense = gradient(shifts, targets, state[:, 0], state[:, 1:])
        return -np.concatenate([to_kernel[:, None], to_dense], axis=1)

    state = np.concatenate([(factor * kernel)[:, None], factor[..., None] * dense], axis=1)
    left = np.full((n, k), 0.0 if measure == "off-diagonal" else 1.0)
    waiting = np.ones((n, k), dtype=bool)
    for _ in range(STEPS):
        state = extrapolated(slope, state, horizon / STEPS, steps=1)
        b = responses(shifts, state[:, 0], state[:, 1:], modes.s)
        now = waiting & (np.diagonal(b, axis1=1, axis2=2) >= 0.5 * modes.s)
        found = _measured(instance, state, b, modes.c, modes.s, measure)
        left = np.where(now, found, left)
        waiting &= ~now
    return left, np.full((n, k), 0.0 if measure == "off-diagonal" else 1.0)


def _measured(instance: Instance, state: Floats, b: Floats, c: Floats, s: Floats, measure: str) -> Floats:
    k = s.shape[1]
    if measure == "off-diagonal":
        off: Floats = (np.abs(b) * (1 - np.eye(k))).max(axis=1) / s
        return off
    kappa, a = (np.abs(z) for z in spectra_of(
        state[:, 0].reshape(instance["kernel"].shape), state[:, 1:].reshape(instance["dense"].shape)
    ))  # fmt: skip
    own = np.where(c > 0, kappa[:, None], 0.0)
    first = own.argmax(axis=-1)[..., None]
    ratio: Floats = (np.take_along_axis(a, first, axis=-1) / np.take_along_axis(own, first, axis=-1))[..., 0]
    return ratio


ALIGNMENT_CLAIMS = (
    Claim(
        id="other-outputs-let-go",
        title="Outputs that do not ask for a mode only let go of it",
        statement="d/dt Σ_{f∈F_α} |A_γf|² = −2 B_γα²/d_α ≤ 0 for γ ≠ α, from any start",
        source="new; behind the transient off-diagonals of Pinson et al. appendix G",
        hypotheses=(DISJOINT, "any start: neither balanced nor aligned"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "d for 1/d": {"d_power": 1.0},
            "√2 for 2": {"factor": float(np.sqrt(2))},
            "growth": {"factor": -2.0},
        },
        tolerance=ROUND_OFF,
        tolerance_reason=ROUND_OFF_REASON,
        draw=draw_any_start,
        sides=letting_go_sides,
        distance=absolute_distance,
        quantity="d/dt Σ|A_γf|²",
        batched=True,
        symbolic=letting_go_form,
    ),
    Claim(
        id="alignment",
        title="From small random starts a mode is aligned before it is learned",
        statement="when B_αα first reaches s_α/2, |B_γα| ≤ s_α/50 for γ ≠ α",
        source="Pinson et al. appendix G, figure S.1; here with numbers",
        hypotheses=(DISJOINT, "two classes", "Gaussian weights of 1e-3 of the learned ones"),
        expected=Outcome.NOT_REFUTED,
        kind=Kind.OBSERVED,
        mutants={"a start of a tenth of the size": {"scale": 0.1}, "shared frequencies": {"shared": True}},
        tolerance=0.02,
        tolerance_reason="A_γf only shrinks: |B_γα|/s_α ≤ O(1e-3) √P times a ratio of Gaussians, rarely above 10",
        draw=draw_random_start,
        sides=small_start_sides,
        formula={"measure": "off-diagonal"},
        distance=absolute_distance,
        quantity="|B_γα|/s_α",
        batched=True,
        max_instances=32,
    ),
    Claim(
        id="balance-before-learning",
        title="From small random starts a mode is balanced before it is learned",
        statement="when B_αα first reaches s_α/2, |A_αf|/|κ_f| is 1 within 0.1% at the mode's strongest frequency",
        source="Pinson et al. appendix G, figure S.2; here with numbers",
        hypotheses=(DISJOINT, "two classes", "Gaussian weights of 1e-3 of the learned ones"),
        expected=Outcome.NOT_REFUTED,
        kind=Kind.OBSERVED,
        mutants={"a start of a tenth of the size": {"scale": 0.1}, "shared frequencies": {"shared": True}},
        tolerance=1e-3,
        tolerance_reason="|κ_f|² − Σ_γ|A_γf|² stays as it was: 1e-6 of the learned |κ_f|² times squared Gaussians",
        draw=draw_random_start,
        sides=small_start_sides,
        formula={"measure": "balance"},
        distance=absolute_distance,
        quantity="|A_αf|/|κ_f|",
        batched=True,
        max_instances=32,
    ),
)

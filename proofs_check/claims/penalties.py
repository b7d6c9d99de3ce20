"""Claims about the penalty of weight decay on one number or one block: its prox, the jump, the minimum at 0.

Batches: ``z (n,)`` complex, ``u (n,)``, one ``depth`` for all; ``h(x) = ½|x - z|² + u|x|^p`` with p = 2/L.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofs_check.claim import Claim, excess
from proofs_check.claims.brute_force import lowest, lowest_from_zero
from proofs_check.claims.schatten import draw_matrices, over_operator_norm
from proofs_check.verdict import Instance, Outcome
from solvers import jump, prox

__all__ = ["PENALTY_CLAIMS", "landing_and_jump"]

Floats = NDArray[np.float64]
POINTS = 64
"""That the prox has to beat, in one instance."""


def landing_and_jump(u: Any, depth: int) -> tuple[Any, Any]:
    """``s*`` and ``v*`` for L ≥ 3, as the theory writes them."""
    p = 2.0 / depth
    landing = (2.0 * (1.0 - p) * u) ** (1.0 / (2.0 - p))
    return landing, landing * (2.0 - p) / (2.0 * (1.0 - p))


# --- The prox of one number -----------------------------------------------------------------------------------------


def _draw_depth(rng: np.random.Generator, *, least: int = 1) -> int:
    return int(rng.choice([depth for depth in (1, 2, 3, 3, 4, 4, 5, 6, 20) if depth >= least]))


def draw_prox(rng: np.random.Generator, n: int, *, least: int = 1) -> Instance:
    """z of any size, u from far below to far above the jump, a third of them within 1e-2 to 1e-6 of it."""
    depth = _draw_depth(rng, least=least)
    size = np.where(rng.random(n) < 0.5, 1.0, 10.0 ** rng.uniform(-3.0, 3.0, n))
    phase = np.where(rng.random(n) < 0.3, rng.choice([0.0, np.pi], n), rng.uniform(0.0, 2 * np.pi, n))
    z = size * rng.uniform(0.3, 1.7, n) * np.exp(1j * phase)
    at_one = landing_and_jump(1.0, depth)[1] if depth > 2 else 1.0
    near = 1.0 + rng.choice([-1.0, 1.0], n) * 10.0 ** rng.uniform(-6.0, -2.0, n)
    share = np.where(rng.random(n) < 0.33, near, 10.0 ** rng.uniform(-1.5, 1.5, n))  # |z| over v*
    u = (np.abs(z) / (share * at_one)) ** (2.0 - 2.0 / depth) if depth > 1 else share
    return {"z": z, "u": np.asarray(u), "depth": depth}


def draw_prox_and_points(rng: np.random.Generator, n: int) -> Instance:
    """With points on the line through 0 and z, a quarter of them off it."""
    instance = draw_prox(rng, n)
    share = rng.uniform(-0.1, 1.1, (n, POINTS))
    off = np.where(rng.random((n, POINTS)) < 0.25, 0.3 * rng.standard_normal((n, POINTS)), 0.0)
    return instance | {"points": instance["z"][:, None] * share * np.exp(1j * off)}


def objective(x: Any, z: Any, u: Any, depth: int) -> Any:
    """``½|x - z|² + u|x|^{2/L}``."""
    return 0.5 * np.abs(x - z) ** 2 + u * np.abs(x) ** (2.0 / depth)


def _proxes(instance: Instance, *, level: float = 1.0, layers: int = 0, conjugate: bool = False) -> Any:
    """The library's prox, with planted errors: thresholds times ``level``, ``layers`` more of them, conj(z)."""
    z = instance["z"].conj() if conjugate else instance["z"]
    return prox(z, level * instance["u"], depth=instance["depth"] + layers)


def beats_points_sides(instance: Instance, **errors: Any) -> tuple[Floats, Floats]:
    """``h(prox) / h(x)`` at every point x, and 1."""
    z, u, depth = instance["z"][:, None], instance["u"][:, None], instance["depth"]
    lowest_height = objective(_proxes(instance, **errors)[:, None], z, u, depth)
    others = objective(instance["points"], z, u, depth)
    ratios = np.divide(lowest_height, others, out=np.ones_like(others), where=others > 0.0)
    return ratios, np.ones_like(ratios)


def brute_prox_sides(instance: Instance, **errors: Any) -> tuple[Floats, Floats]:
    """The least h on zooming grids, over the modulus and over the phase, and ``h(prox)``; both over ``½|z|²``."""
    z, u, depth = instance["z"], instance["u"], instance["depth"]
    phase, _ = lowest(lambda t: np.abs(np.exp(1j * t) * np.abs(z)[:, None] - z[:, None]), *_circle(len(z)))
    along = np.exp(1j * phase)[:, None]
    _, height = lowest_from_zero(lambda x: objective(x * along, z[:, None], u[:, None], depth), 1.1 * np.abs(z))
    unit = 0.5 * np.abs(z) ** 2
    return height / unit, objective(_proxes(instance, **errors), z, u, depth) / unit


def _circle(n: int) -> tuple[Floats, Floats]:
    """Phases of one turn, from -4 on: the ends are no favourite place."""
    return np.full(n, -4.0), np.full(n, -4.0 + 2.0 * np.pi)


def stationarity_sides(
    instance: Instance, *, level: float = 1.0, exponent: float = 1.0, conjugate: bool = False
) -> tuple[Any, Any]:
    """``x + u p |x|^{p-1} x/|x|`` at the library's prox x, and z; where x = 0, z cut to the jump."""
    z, u, depth = instance["z"], level * instance["u"], instance["depth"]
    p = exponent * 2.0 / depth
    x = _proxes(instance, conjugate=conjugate)
    size = np.abs(x)
    kept = size > 0.0
    safe = np.where(kept, size, 1.0)
    pulled = x * (1.0 + u * p * safe ** (p - 2.0))
    edge = landing_and_jump(u, depth)[1] if depth > 2 else u
    cut = z * np.minimum(1.0, edge / np.abs(z))
    return np.where(kept, pulled, cut), z


def stationarity_symbolic(*, level: float = 1.0, exponent: float = 1.0) -> Sequence[Any]:
    """``h'(x) = 0`` at ``z = x + u p x^{p-1}``, for three and four layers and x > 0."""
    import sympy

    x, u, z = sympy.symbols("x u z", positive=True)
    wrong = sympy.nsimplify(level), sympy.nsimplify(exponent)
    found = []
    for depth in (3, 4):
        p = sympy.Rational(2, depth)
        height = (x - z) ** 2 / 2 + u * x**p
        pulled = x + wrong[0] * u * wrong[1] * p * x ** (wrong[1] * p - 1)
        found.append(sympy.simplify(sympy.diff(height, x).subs(z, pulled)))
    return found


# --- The jump -------------------------------------------------------------------------------------------------------


def draw_thresholds(rng: np.random.Generator, n: int) -> Instance:
    """Depths from 3 on; three and four layers in most."""
    return {"u": 10.0 ** rng.uniform(-4.0, 4.0, n), "depth": _draw_depth(rng, least=3)}


def jump_sides(
    instance: Instance, *, constants: Sequence[float] = (2.0, 1.5), power: float = 1.0, landing: float = 1.0
) -> tuple[Floats, Floats]:
    """v* by brute force, the library's v* and s*, and the height at s*; the formulas.

    ``h(x) < h(0)`` somewhere if and only if ``|z| > x/2 + u x^{p-1}`` there, so v* is the least of these.
    ``constants`` of ``2 (2u/3)^{3/4}`` (L = 3) and ``1.5 u^{2/3}`` (L = 4), which are printed so.
    """
    u, depth = instance["u"], instance["depth"]
    p = 2.0 / depth
    unit = u ** (1.0 / (2.0 - p))
    ends = np.full(len(u), np.log(1e-3)), np.full(len(u), np.log(1e2))
    _, brute = lowest(lambda t: 0.5 * np.exp(t) + np.exp((p - 1.0) * t), *ends)
    s, v = landing_and_jump(u**power, depth)
    if depth in (3, 4):
        v = constants[0] * (2.0 * u**power / 3.0) ** 0.75 if depth == 3 else constants[1] * u ** (power * 2.0 / 3.0)
    s = landing * s
    from_library = np.array([jump(float(level), depth=depth) for level in u])
    height = np.sqrt(2.0 * objective(s, v, u, depth))
    left = np.stack([brute * unit, from_library[:, 0], from_library[:, 1], height], axis=1)
    return left / unit[:, None], np.stack([v, v, s, v], axis=1) / unit[:, None]


def jump_symbolic(
    *, constants: Sequence[float] = (2.0, 1.5), power: float = 1.0, landing: float = 1.0
) -> Sequence[Any]:
    """``h(s*) - h(0)`` and ``h'(s*)`` at ``z = v*``, for three and four layers."""
    import sympy

    w, x, z = sympy.symbols("w x z", positive=True)
    exact = [sympy.nsimplify(number) for number in (*constants, power, landing)]
    found = []
    for depth, level in ((3, sympy.Rational(3, 2) * w**4), (4, w**3)):  # u, such that the roots are whole powers
        p = sympy.Rational(2, depth)
        level_used = sympy.powdenest(level ** exact[2], force=True)
        s = exact[3] * (2 * (1 - p) * level_used) ** (1 / (2 - p))
        three = exact[0] * (2 * level_used / 3) ** sympy.Rational(3, 4)
        v = three if depth == 3 else exact[1] * level_used ** sympy.Rational(2, 3)
        height = (x - z) ** 2 / 2 + level * x**p
        at = {x: s, z: v}
        found.append(sympy.simplify(sympy.powdenest((height - z**2 / 2).subs(at), force=True)))
        found.append(sympy.simplify(sympy.powdenest(sympy.diff(height, x).subs(at), force=True)))
    return found


# --- Small thresholds, and the minimum at 0 -------------------------------------------------------------------------


def draw_small_thresholds(rng: np.random.Generator, n: int) -> Instance:
    """``u = 1e-5 |z|^{2-p}``."""
    instance = draw_prox(rng, n)
    return instance | {"u": 1e-5 * np.abs(instance["z"]) ** (2.0 - 2.0 / instance["depth"])}


def small_threshold_sides(instance: Instance, *, constant: float = 1.0, exponent: float = 1.0) -> tuple[Any, Any]:
    """``(z - prox)/u`` and ``p |z|^{p-1} z/|z|``."""
    z, u, depth = instance["z"], instance["u"], instance["depth"]
    p = 2.0 / depth
    size = np.abs(z)
    unit = size ** (p - 1.0)
    return (z - _proxes(instance)) / (u * unit), constant * p * size ** (exponent * p - 1.0) * z / size / unit


def draw_block(rng: np.random.Generator, n: int) -> Instance:
    """A slope G, a direction Z and how far to go along it; Z of rank one and along G in a third."""
    depth = _draw_depth(rng, least=3)
    rows, columns = (int(d) for d in rng.integers(1, 4, 2))
    slope = draw_matrices(rng, n, rows, columns)
    direction = draw_matrices(rng, n, rows, columns)
    left, values, right = np.linalg.svd(slope, full_matrices=False)
    rank_one = values[:, :1, None] * left[:, :, :1] * right[:, :1]
    kind = rng.integers(3, size=n)[:, None, None]
    scale = 10.0 ** rng.uniform(-2.0, 2.0, n)[:, None, None]
    slope = scale * np.where(kind == 0, rank_one, slope)
    share = np.where(rng.random(n) < 0.5, 1.0, rng.random(n))
    direction = np.where(kind == 0, rank_one, np.where(kind == 1, slope, direction))
    level = 10.0 ** rng.uniform(-2.0, 1.0, n) * np.linalg.norm(slope, axis=(1, 2))
    return {"slope": slope, "direction": direction, "share": share, "u": level, "depth": depth}


def block_at_zero_sides(
    instance: Instance, *, radius: float = 1.0, exponent: float = 1.0, power_of_slope: float = 1.0
) -> tuple[Floats, Floats]:
    """``Re⟨Z, G⟩ / (u ‖Z‖_{S_p}^p)``, by which Z lowers the loss and raises the penalty, and 1.

    ``‖Z‖ = share · radius · (u/‖G‖)^{1/(1-p)}``.
    """
    slope, direction, u, depth = (instance[name] for name in ("slope", "direction", "u", "depth"))
    p = 2.0 / depth
    steep = np.linalg.norm(slope, axis=(1, 2))
    reach = instance["share"] * radius * (u / steep**power_of_slope) ** (exponent / (1.0 - p))
    units, spectra = over_operator_norm(direction)
    length = np.linalg.norm(units, axis=(1, 2))
    gain = np.einsum("nij,nij->n", units.conj(), slope).real / length * reach
    cost = u * ((spectra / length[:, None] * reach[:, None]) ** p).sum(axis=1)
    return gain / cost, np.ones(len(gain))


BRUTE_REASON = "grids that zoom find the least height to round-off, some 1e-15 of ½|z|²"

PENALTY_CLAIMS = (
    Claim(
        id="prox-beats-every-point",
        title="No point is lower than the prox",
        statement="½|prox − z|² + u|prox|^{2/L} ≤ ½|x − z|² + u|x|^{2/L} for every x",
        source="new; theory, section 3",
        hypotheses=("u ≥ 0", "z real or complex", "any depth L ≥ 1"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "2u for u (no ½)": {"level": 2.0},
            "u 10% off": {"level": 1.1},
            "conj(z) for z": {"conjugate": True},
            "one layer more": {"layers": 1},
        },
        tolerance=1e-13,
        tolerance_reason="two heights of a few roundings each, relative to the larger",
        draw=draw_prox_and_points,
        sides=beats_points_sides,
        distance=excess,
        quantity="h(prox)/h(x)",
        batched=True,
        attacked=("points", "z"),
    ),
    Claim(
        id="prox-global-minimum",
        title="The prox is the global minimum",
        statement="min_x ½|x − z|² + u|x|^{2/L} is attained at the prox: 0 up to the jump, the largest root above it",
        source="new; theory, section 3",
        hypotheses=("u ≥ 0", "z real or complex", "any depth L ≥ 1"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "√2 u": {"level": float(np.sqrt(2))},
            "u 1% off": {"level": 1.01},
            "conj(z) for z": {"conjugate": True},
            "one layer more": {"layers": 1},
        },
        tolerance=1e-12,
        tolerance_reason=BRUTE_REASON,
        draw=draw_prox,
        sides=brute_prox_sides,
        quantity="least h over ½|z|²",
        batched=True,
    ),
    Claim(
        id="prox-stationarity",
        title="The root that the prox is",
        statement="x + u p|x|^{p−1} x/|x| = z where x = prox(z, u) ≠ 0, p = 2/L; |z| ≤ v* where x = 0",
        source="new; theory, section 3",
        hypotheses=("u ≥ 0", "z real or complex", "any depth L ≥ 1"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "√2 u": {"level": float(np.sqrt(2))},
            "p 1% off": {"exponent": 1.01},
            "conj(z) for z": {"conjugate": True},
        },
        tolerance=1e-13,
        tolerance_reason="the prox has a relative error below 2e-15; the root at the jump is simple",
        draw=draw_prox,
        sides=stationarity_sides,
        quantity="z",
        batched=True,
        symbolic=stationarity_symbolic,
    ),
    Claim(
        id="prox-jump",
        title="Where the prox jumps",
        statement="v* = s*(2−p)/(2(1−p)), s* = (2(1−p)u)^{1/(2−p)}: v* = 1.5 u^{2/3} at L = 4, 2(2u/3)^{3/4} at L = 3",
        source="new; theory, section 3",
        hypotheses=("L ≥ 3", "u > 0"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "√2": {"constants": (2.0 * 2**0.5, 1.5 * 2**0.5), "landing": float(np.sqrt(2))},
            "v* 1% off": {"constants": (2.02, 1.515)},
            "s* 1% off": {"landing": 1.01},
            "exponent 1% off": {"power": 1.01},
        },
        tolerance=1e-12,
        tolerance_reason="the least of x/2 + u x^{p−1} on zooming grids is flat: some roundings of v*",
        draw=draw_thresholds,
        sides=jump_sides,
        quantity="v*, s*",
        batched=True,
        symbolic=jump_symbolic,
    ),
    Claim(
        id="prox-small-threshold",
        title="What little weight decay does to a coefficient",
        statement="(z − prox(z, u))/u → p|z|^{p−1} z/|z| as u → 0",
        source="new; theory, section 3",
        hypotheses=("u = 1e-5 |z|^{2−p}", "z real or complex", "any depth L ≥ 1"),
        expected=Outcome.NOT_REFUTED,
        mutants={"½ forgotten": {"constant": 2.0}, "√2": {"constant": float(np.sqrt(2))}, "1% off": {"constant": 1.01}},
        tolerance=3e-5,
        tolerance_reason="the next term is u p|p−1||z|^{p−2} ≤ 2e-5 of the first",
        draw=draw_small_thresholds,
        sides=small_threshold_sides,
        quantity="(z − prox)/u",
        batched=True,
    ),
    Claim(
        id="zero-is-a-local-minimum",
        title="At depth 3 and more a block at 0 stays",
        statement="Re⟨Z, G⟩ ≤ u‖Z‖_{S_p}^p for ‖Z‖ ≤ (u/‖G‖)^{1/(1−p)}, p = 2/L: no convex loss of slope −G gains",
        source="new, with the radius; theory, section 3",
        hypotheses=("L ≥ 3", "u > 0", "any slope G of the loss in the block"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "radius 2% larger": {"radius": 1.02},
            "exponent 1 for 1/(1−p)": {"exponent": 0.5},
            "‖G‖² for ‖G‖": {"power_of_slope": 2.0},
        },
        tolerance=1e-12,
        tolerance_reason="norms of blocks up to 3×3 and one power each: below 1e-14",
        draw=draw_block,
        sides=block_at_zero_sides,
        distance=excess,
        quantity="Re⟨Z, G⟩/(u‖Z‖_p^p)",
        batched=True,
        attacked=("direction", "slope"),
    ),
)

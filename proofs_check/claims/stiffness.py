"""Claims about the structure of the flow: a symmetric Jacobian, and exact rotations while the residual is frozen."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from proofs_check.claim import Claim, absolute_distance, relative_distance
from proofs_check.claims.pixel_space import gradient, predict, pulled_back
from proofs_check.claims.two_layers import THREE_PIXELS, draw_coherent, flat_weights, in_modes, spectra_of
from proofs_check.instances import draw_shape
from proofs_check.verdict import Instance, Outcome

__all__ = ["STIFFNESS_CLAIMS"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


# --- Instances ------------------------------------------------------------------------------------------------------


def draw_samples(rng: np.random.Generator, n: int) -> Instance:
    """Any few images, targets and weights."""
    shape = draw_shape(rng, max_pixels=9)
    n_samples, n_outputs = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    return {
        "images": rng.standard_normal((n, n_samples, *shape)),
        "targets": rng.standard_normal((n, n_samples, n_outputs)),
        "kernel": rng.standard_normal((n, *shape)),
        "dense": rng.standard_normal((n, n_outputs, *shape)),
    }


def draw_frozen(rng: np.random.Generator, n: int) -> Instance:
    """Coherent classes, weights, a weight decay and a step, in units of the fastest turn."""
    instance = draw_coherent(rng, n, max_pixels=6)
    return {**instance, "units": rng.uniform(0.05, 3.0, n), "decay": rng.choice([0.1, 1.0, 3.0], n)}


def draw_residuals(rng: np.random.Generator, n: int) -> Instance:
    """Coherent classes, weights, and a frozen residual and a step for each of six turns."""
    instance = draw_coherent(rng, n)
    k = instance["goals"].shape[1]
    scale = 10.0 ** rng.uniform(-2, 2, (n, 6, 1, 1))
    return {**instance, "E": scale * rng.standard_normal((n, 6, k, k)), "units": rng.uniform(0.05, 3.0, (n, 6))}


# --- The Jacobian ---------------------------------------------------------------------------------------------------


def jacobian_sides(
    instance: Instance, *, residual: float = 1.0, kernel_speed: float = 1.0, samples: bool = False
) -> tuple[Any, Any]:
    """Jacobian of ``-∇ℒ`` in all weights, by complex steps through the gradient; and minus the Hessian, a formula."""
    shifts, kernel, dense = flat_weights(instance)
    n, n_pixels = kernel.shape
    k, targets = dense.shape[1], instance["targets"]
    steps = np.eye(n_pixels * (1 + k)).reshape(-1, 1 + k, n_pixels) * 1e-30j
    moved = np.concatenate([kernel[:, None], dense], axis=1)[:, None] + steps
    to_kernel, to_dense = gradient(shifts[:, None], targets[:, None], moved[:, :, 0], moved[:, :, 1:])
    slopes = np.concatenate([kernel_speed * to_kernel[:, :, None], to_dense], axis=2).reshape(n, len(steps), -1)
    left = -slopes.imag.swapaxes(1, 2) / 1e-30
    right = -_hessian(shifts, residual * (predict(shifts, kernel, dense) - targets), kernel, dense)
    return left, right * (shifts.shape[1] if samples else 1)


def _hessian(shifts: Floats, error: Floats, kernel: Floats, dense: Floats) -> Floats:
    """Of ``½⟨‖W X_n k - y_n‖²⟩`` with ``e_n = f(x_n) - y_n``: symmetric, block by block."""
    n, n_samples, n_pixels, _ = shifts.shape
    k = dense.shape[1]
    by_kernel = dense[:, None] @ shifts  # (n, N, K, P)
    hidden = np.einsum("bnpm,bm->bnp", shifts, kernel)
    whole = np.empty((n, n_pixels * (1 + k), n_pixels * (1 + k)))
    whole[:, :n_pixels, :n_pixels] = np.einsum("bnkp,bnkq->bpq", by_kernel, by_kernel)
    power = np.einsum("bnp,bnq->bpq", hidden, hidden)
    whole[:, n_pixels:, n_pixels:] = np.einsum("kl,bpq->bkplq", np.eye(k), power).reshape(n, k * n_pixels, -1)
    mixed = np.einsum("bnkm,bnp->bmkp", by_kernel, hidden) + np.einsum("bnk,bnpm->bmkp", error, shifts)
    whole[:, :n_pixels, n_pixels:] = mixed.reshape(n, n_pixels, -1)
    whole[:, n_pixels:, :n_pixels] = whole[:, :n_pixels, n_pixels:].swapaxes(1, 2)
    hessian: Floats = whole / n_samples
    return hessian


# --- Turns with a frozen residual -------------------------------------------------------------------------------------


def turned(
    kappa: Complexes, a: Complexes, drive: Complexes, step: Floats, *, circular: bool = False
) -> tuple[Complexes, Complexes]:
    """``dκ = g·a dt, da = κ conj(g) dt`` with g frozen, exactly: κ ``(n, P)``, ``a = conj(A)`` and g ``(n, K, P)``.

    A hyperbolic rotation of κ and of the component of a along conj(g); what is across it stays.
    """
    size = np.sqrt((np.abs(drive) ** 2).sum(axis=1))
    unit = drive / np.where(size > 0, size, 1.0)[:, None]
    along = (unit * a).sum(axis=1)
    angle = size * step[:, None]
    cosh, sinh = (np.cos(angle), np.sin(angle)) if circular else (np.cosh(angle), np.sinh(angle))
    change = along * (cosh - 1.0) + kappa * sinh
    return kappa * cosh + along * sinh, a + unit.conj() * change[:, None]


def rotation_sides(
    instance: Instance,
    *,
    decays: float,
    circular: bool = False,
    conjugate: bool = False,
    power_of_p: float = 0.5,
    step_factor: float = 1.0,
    first_order: bool = False,
) -> tuple[Any, Any]:
    """The frozen linear system of all pixels by its matrix exponential, and a rotation of each frequency; over max|·|.

    ``decays``: weight decay, as a multiple of the instance's; ``first_order``: ``1 - λh`` for ``exp(-λh)``.
    """
    shifts, kernel, dense = flat_weights(instance)
    n, n_pixels = kernel.shape
    kappa, a, q, _, _, u, targets = in_modes(instance)
    norms = np.linalg.norm(instance["images"], axis=(-2, -1))
    error = targets - predict(shifts, kernel, dense)
    k = error.shape[-1]
    residual = np.swapaxes(error @ u, -1, -2) * norms[:, None] / k  # E = Uᵀ ⟨(y - f) xᵀ⟩ V
    drive = n_pixels**power_of_p * (residual @ (q if conjugate else q.conj()))
    fastest = np.sqrt(n_pixels) * np.sqrt((np.abs(residual @ q.conj()) ** 2).sum(axis=1)).max(axis=1)
    step = instance["units"] / fastest
    decay = instance["decay"] * fastest / 3.0 if decays else np.zeros(n)
    basis = np.eye(n_pixels * (1 + k)).reshape(-1, 1 + k, n_pixels)
    pulled = pulled_back(shifts[:, None], error[:, None], basis[:, 0], basis[:, 1:])
    matrix = np.concatenate([pulled[0][:, :, None], pulled[1]], axis=2).reshape(n, len(basis), -1).swapaxes(1, 2)
    matrix = (matrix - decay[:, None, None] * np.eye(len(basis))) * step[:, None, None]
    state = np.concatenate([kernel[:, None], dense], axis=1).reshape(n, -1, 1)
    later = (scipy.linalg.expm(matrix) @ state).reshape(n, 1 + k, *instance["kernel"].shape[1:])
    final, rows = spectra_of(later[:, 0], later[:, 1:])
    left = np.concatenate([final[:, None], (np.swapaxes(u, -1, -2) @ rows).conj()], axis=1)
    right = _stack(*turned(kappa, a.conj(), drive, step_factor * step, circular=circular))
    fading = 1 - decays * decay * step if first_order else np.exp(-decays * decay * step)
    scale = np.abs(left).max(axis=(1, 2), keepdims=True)
    return left / scale, fading[:, None, None] * right / scale


def _stack(kappa: Complexes, a: Complexes) -> Complexes:
    return np.concatenate([kappa[:, None], a], axis=1)


def rotation_form(
    *,
    decays: float,
    circular: bool = False,
    conjugate: bool = False,
    power_of_p: float = 0.5,
    step_factor: float = 1.0,
    first_order: bool = False,
) -> list[Any]:
    """Two outputs: the rotation solves ``dκ = g·a, da = κ conj(g)``, each less λ times itself.

    ĝ = (x, y) and its conjugate (X, Y) with xX + yY = 1; cosh and sinh are symbols that turn into each other.
    """
    import sympy as sp

    w, h, decay, p, cosh, sinh, fade = sp.symbols("w h lambda P C S F", positive=True)
    kappa, first, second, x, y, x_conj = sp.symbols("kappa a0 a1 x y X")
    unit, other = [x, y], [x_conj, (1 - x * x_conj) / y]
    speed = w * p ** (sp.nsimplify(power_of_p) - sp.Rational(1, 2)) * sp.nsimplify(step_factor)
    rate = sp.nsimplify(decays) * decay
    fading = 1 - rate * h if first_order else fade

    def slope(z: Any) -> Any:
        turn = speed * (sp.diff(z, cosh) * sinh * (-1 if circular else 1) + sp.diff(z, sinh) * cosh)
        return turn - rate * fade * sp.diff(z, fade) + sp.diff(z, h)

    e, e_conj = (other, unit) if conjugate else (unit, other)
    along = e[0] * first + e[1] * second
    moved = [kappa * cosh + along * sinh]
    moved += [a + z * (along * (cosh - 1) + kappa * sinh) for a, z in zip((first, second), e_conj, strict=True)]
    moved = [fading * z for z in moved]
    lost = decay if decays else 0
    wanted = [w * (unit[0] * moved[1] + unit[1] * moved[2]) - lost * moved[0]]
    wanted += [w * z * moved[0] - lost * a for z, a in zip(other, moved[1:], strict=True)]
    return [sp.cancel(sp.expand(slope(z) - right)) for z, right in zip(moved, wanted, strict=True)]


def composition_sides(instance: Instance, *, step: str = "rotation", factor: float = 1.0) -> tuple[Any, Any]:
    """``|κ_f|² - Σ_γ|A_γf|²`` after six turns, each with a residual of its own, and at the start; over the sizes.

    ``step``: "rotation", "circular", or "Euler".
    """
    kappa, a, q, *_ = in_modes(instance)
    first, a = kappa, a.conj()
    start = np.abs(first) ** 2 - factor * (np.abs(a) ** 2).sum(axis=1)
    size = np.abs(first) ** 2 + (np.abs(a) ** 2).sum(axis=1)
    for i in range(instance["E"].shape[1]):
        drive = np.sqrt(kappa.shape[-1]) * (instance["E"][:, i] @ q.conj())
        rate = np.sqrt((np.abs(drive) ** 2).sum(axis=1)).max(axis=1)
        h = instance["units"][:, i] / np.where(rate > 0, rate, 1.0)
        if step == "Euler":
            moved = (drive * a).sum(axis=1), kappa[:, None] * drive.conj()
            kappa, a = kappa + h[:, None] * moved[0], a + h[:, None, None] * moved[1]
        else:
            kappa, a = turned(kappa, a, drive, h, circular=step == "circular")
        size = np.maximum(size, np.abs(kappa) ** 2 + (np.abs(a) ** 2).sum(axis=1))
    left = np.abs(kappa) ** 2 - factor * (np.abs(a) ** 2).sum(axis=1)
    size = np.where(size > 0, size, 1.0)
    return left / size, start / size


def composition_form(*, step: str = "rotation", factor: float = 1.0) -> list[Any]:
    """One output: ``|κ|² - |a|²`` of one step less that of the start; across conj(g) nothing moves.

    κ, a and their conjugates K, A; ĝ = e and 1/e; cosh² = 1 + sinh² (cos² = 1 - sin²).
    """
    import sympy as sp

    w, h, cosh, sinh = sp.symbols("w h C S", positive=True)
    kappa, kappa_conj, a, a_conj, e = sp.symbols("kappa K a A e")
    across, along = (h * w, 1) if step == "Euler" else (sinh, cosh)
    moved = kappa * along + e * a * across, a * along + kappa / e * across
    conjugates = kappa_conj * along + a_conj / e * across, a_conj * along + e * kappa_conj * across
    weight = sp.nsimplify(factor)
    later = moved[0] * conjugates[0] - weight * moved[1] * conjugates[1]
    start = kappa * kappa_conj - weight * a * a_conj
    square = 1 - sinh**2 if step == "circular" else 1 + sinh**2
    return [sp.expand(sp.expand(later - start).subs(cosh**2, square))]


THREE_FROZEN = {**THREE_PIXELS, "units": np.array(1.0), "decay": np.array(1.0)}
FROZEN = ("two layers, one hidden channel, coherent classes", "E frozen: g_γf = √P Σ_β E_γβ conj(q_βf), a = conj(A)")
ROTATION_MUTANTS: dict[str, dict[str, Any]] = {
    "circular rotation": {"circular": True},
    "q for conj(q)": {"conjugate": True},
    "√P dropped": {"power_of_p": 0.0},
    "step 1% off": {"step_factor": 1.01},
}
EXPONENTIAL_REASON = (
    "scipy's exponential of a matrix of norm ≤ 6 in float64: 6·e⁶·ε ≈ 5e-13 of the largest entry at most"
)

STIFFNESS_CLAIMS = (
    Claim(
        id="symmetric-jacobian",
        title="The Jacobian of gradient flow is minus a Hessian",
        statement="∂(−∇ℒ)/∂w = −∇²ℒ, symmetric: the spectrum is real at every point",
        source="new in this form; standard for gradient flows",
        hypotheses=("two layers, one input and one hidden channel, any data and weights",),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "Gauss-Newton (without the residual)": {"residual": 0.0},
            "the residual's sign": {"residual": -1.0},
            "a kernel 1% faster": {"kernel_speed": 1.01},
        },
        tolerance=1e-12,
        tolerance_reason="complex steps are exact; sums of ≤ 4·9·3 products in float64: 108·ε ≈ 2e-14",
        draw=draw_samples,
        sides=jacobian_sides,
        distance=relative_distance,
        quantity="entry of the Jacobian",
        batched=True,
        attacked=("images", "targets", "kernel", "dense"),
    ),
    Claim(
        id="frozen-rotation",
        title="With a frozen residual each frequency turns hyperbolically",
        statement=(
            "κ(h) = κ cosh|g|h + ĝ·a sinh|g|h, a(h) = a + conj(ĝ)[ĝ·a (cosh|g|h − 1) + κ sinh|g|h], ĝ = g_f/|g_f|"
        ),
        source="new",
        hypotheses=FROZEN,
        expected=Outcome.NOT_REFUTED,
        mutants=ROTATION_MUTANTS,
        tolerance=1e-11,
        tolerance_reason=EXPONENTIAL_REASON,
        draw=draw_frozen,
        sides=rotation_sides,
        formula={"decays": 0.0},
        distance=absolute_distance,
        quantity="κ_f or conj(A_γf)",
        smallest=(THREE_FROZEN,),
        batched=True,
        symbolic=rotation_form,
    ),
    Claim(
        id="frozen-decay",
        title="Weight decay multiplies the rotation by exp(−λh)",
        statement="with a frozen residual and weight decay λ, (κ, a)(h) = e^{−λh} × the rotation of λ = 0",
        source="new",
        hypotheses=(*FROZEN, "½λ(‖k‖² + ‖W‖²) added to the loss"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "exp(−2λh)": {"decays": 2.0},
            "exp(−λh/2)": {"decays": 0.5},
            "1 − λh": {"first_order": True},
            "circular rotation": {"circular": True},
        },
        tolerance=1e-11,
        tolerance_reason=EXPONENTIAL_REASON,
        draw=draw_frozen,
        sides=rotation_sides,
        formula={"decays": 1.0},
        distance=absolute_distance,
        quantity="κ_f or conj(A_γf)",
        smallest=(THREE_FROZEN,),
        batched=True,
        symbolic=rotation_form,
    ),
    Claim(
        id="rotations-conserve",
        title="Composed rotations keep every conservation law at any step",
        statement="|κ_f|² − Σ_γ|A_γf|² is the same after any sequence of rotations, whatever E and the steps are",
        source="new",
        hypotheses=FROZEN,
        expected=Outcome.NOT_REFUTED,
        mutants={
            "Euler's steps": {"step": "Euler"},
            "circular rotations": {"step": "circular"},
            "√2 on A": {"factor": float(np.sqrt(2))},
        },
        tolerance=1e-12,
        tolerance_reason="six turns in float64, relative to the largest |κ_f|² + Σ|A_γf|² on the way: 6·K·ε ≈ 5e-15",
        draw=draw_residuals,
        sides=composition_sides,
        distance=absolute_distance,
        quantity="|κ_f|² − Σ|A_γf|²",
        batched=True,
        attacked=("E", "kernel", "dense"),
        symbolic=composition_form,
    ),
)

"""Claims about theorem 4.9 of G: the network trained with weight decay, and the problem in the predictor.

The network stands in pixel space, from its definition, with real weights ``(C_l, P, C_{l-1})``; nothing of the other
side's Fourier coordinates is in it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from lineardyn import SecondMoments
from lineardyn.errors import Status
from proofs_check.claim import Claim
from proofs_check.instances import draw_scale, draw_shape
from proofs_check.verdict import Instance, Outcome
from solvers import RegularizedProblem, factorize, solve

__all__ = [
    "EQUIVALENCE_CLAIMS",
    "EQUIVALENCE_REASON",
    "IDENTITY_OF_TWO",
    "ONE_BY_TWO_PREDICTOR",
    "WEIGHTS_REASON",
    "draw_narrow_problem",
    "draw_predictor",
    "equivalence_sides",
    "least_weights_sides",
]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Weights = list[Floats]

N_STARTS = 6
"""Networks trained from random weights, for one instance."""


# --- The network in pixel space -------------------------------------------------------------------------------------


def _sums(shape: tuple[int, int]) -> NDArray[np.intp]:
    """``(P, P)``: the pixel p + m, of pixels p and m of a torus, all counted row by row."""
    height, width = shape
    rows, columns = np.divmod(np.arange(height * width), width)
    return np.asarray((rows[:, None] + rows) % height * width + (columns[:, None] + columns) % width)


def pixel_predictor(weights: Sequence[Floats], sums: NDArray[np.intp]) -> list[Floats]:
    """``(K, P, C_l)`` for l = L-1, .., 0: what the outputs are in the activations of layer l; the last is of images.

    A layer ``h'[o, q] = Σ w[o, m, c] h[c, q - m]`` is pulled back: ``r[k, p, c] = Σ r'[k, p + m, o] w[o, m, c]``.
    """
    pulled = [weights[-1]]
    for layer in reversed(weights[:-1]):
        pulled.append(np.einsum("kpmo,omc->kpc", pulled[-1][:, sums], layer))
    return pulled


def objective_and_gradient(
    flat: Floats, shapes: Sequence[tuple[int, int, int]], sums: NDArray[np.intp], moments: Instance, lam: float
) -> tuple[float, Floats]:
    """``⟨‖y - f(x)‖²⟩ + λ Σ‖w_l‖²`` and its gradient."""
    weights = split(flat, shapes)
    pulled = pixel_predictor(weights, sums)
    predictor = pulled[-1].reshape(len(pulled[-1]), -1)
    applied = predictor @ moments["xx"]
    loss = moments["yy"] - 2.0 * np.vdot(moments["yx"], predictor) + np.vdot(applied, predictor)
    slope = 2.0 * (applied - moments["yx"]).reshape(pulled[-1].shape)
    slopes: Weights = []
    for layer, above in zip(weights[:-1], reversed(pulled[:-1]), strict=True):
        slopes.append(np.einsum("kpmo,kpc->omc", above[:, sums], slope))
        back = np.zeros(above.shape)
        for m in range(len(sums)):  # r'[k, p + m, o] takes from r[k, p, c]; p ↦ p + m is a permutation
            back[:, sums[:, m]] += slope @ layer[:, m].T
        slope = back
    slopes.append(slope)
    gradient = np.concatenate([s.ravel() for s in slopes]) + 2.0 * lam * flat
    return float(loss + lam * np.vdot(flat, flat)), gradient


def split(flat: Floats, shapes: Sequence[tuple[int, int, int]]) -> Weights:
    """Weights, layer 1 first."""
    cuts = np.cumsum([0] + [int(np.prod(shape)) for shape in shapes])
    return [flat[a:b].reshape(shape) for a, b, shape in zip(cuts[:-1], cuts[1:], shapes, strict=True)]


def _descend(start: Floats, *arguments: Any) -> float:
    options = {"maxiter": 3000, "maxfun": 6000, "maxcor": 20, "ftol": 1e-15, "gtol": 1e-10}
    found = minimize(objective_and_gradient, start, arguments, jac=True, method="L-BFGS-B", options=options)
    return float(found.fun)


# --- What a predictor costs -----------------------------------------------------------------------------------------


def draw_predictor(rng: np.random.Generator) -> Instance:
    """A predictor in pixels ``(H, W, K, C)``, of full rank or not at each frequency, and a depth."""
    shape, depth = draw_shape(rng, max_pixels=12), int(rng.integers(1, 6))
    outputs, channels = (int(d) for d in rng.integers(1, 4, 2))
    image = draw_scale(rng, decades=3.0) * rng.standard_normal((*shape, outputs, channels))
    if rng.random() < 0.3:  # rank one at every frequency
        image = image[..., :1] * rng.standard_normal(channels)
    return {"image": image, "depth": depth}


def least_weights_sides(
    instance: Instance, *, power_of_p: float, factor: float = 1.0, exponent: float = 1.0
) -> tuple[float, float]:
    """``Σ‖w_l‖²`` of real weights of the predictor in pixel space, and ``L P^{-power (L-1)/L} Σ_f ‖v̂_f‖_{S_p}^p``.

    NaN if the weights, convolved pixel by pixel, do not give the predictor.
    """
    image, depth = instance["image"], instance["depth"]
    height, width, outputs, channels = image.shape
    predictor = np.fft.fft2(image, axes=(0, 1), norm="ortho").conj()
    hidden = (min(outputs, channels) + 1,) * (depth - 1)
    weights = [w.reshape(len(w), -1, w.shape[-1]) for w in factorize(predictor, hidden)]
    reached = pixel_predictor(weights, _sums((height, width)))[-1].transpose(1, 0, 2).reshape(image.shape)
    if not np.allclose(reached, image, rtol=0.0, atol=1e-10 * np.abs(image).max()):
        return float("nan"), 0.0
    values = np.linalg.svd(predictor, compute_uv=False)
    values = np.where(values > 1e-12 * values[..., :1], values, 0.0)
    formula = depth * (height * width) ** (-power_of_p * (depth - 1) / depth)
    formula *= factor * (values ** (exponent * 2.0 / depth)).sum()
    return float(sum((w**2).sum() for w in weights)), float(formula)


# --- The two problems -----------------------------------------------------------------------------------------------


def draw_problem(rng: np.random.Generator) -> Instance:
    """Correlated images of at most four pixels; hidden layers as wide as min(C, K) or wider."""
    kind = rng.choice(["convex", "certified", "search"], p=[0.6, 0.3, 0.1])
    channels, outputs = (int(d) for d in rng.integers(1, 3, 2))
    depth, largest = 2, 4
    if kind == "certified":  # one channel, one output: at every depth the solver proves its minimum
        depth, channels, outputs = int(rng.integers(3, 5)), 1, 1
    elif kind == "search":
        depth, channels, outputs, largest = 3, 2, 2, 2
    width = min(channels, outputs) + int(rng.integers(2))
    return _problem(rng, draw_shape(rng, max_pixels=largest), channels, outputs, depth, width)


def draw_narrow_problem(rng: np.random.Generator) -> Instance:
    """The same with hidden layers of one channel, two channels and two outputs or more."""
    outputs = int(rng.integers(2, 4))
    return _problem(rng, draw_shape(rng, max_pixels=2), 2, outputs, int(rng.choice([2, 2, 3])), 1, lam=0.05)


def _problem(
    rng: np.random.Generator,
    shape: tuple[int, int],
    channels: int,
    outputs: int,
    depth: int,
    width: int,
    *,
    lam: float = 0.1,
) -> Instance:
    size = channels * shape[0] * shape[1]
    n = 2 * size + 4
    mixing = np.eye(size) + 0.4 * rng.standard_normal((size, size)) / np.sqrt(size)
    images = rng.standard_normal((n, size)) @ mixing
    targets = images @ rng.standard_normal((size, outputs)) / np.sqrt(size) + 0.3 * rng.standard_normal((n, outputs))
    widths = (channels, *[width] * (depth - 1), outputs)
    count = sum(a * b for a, b in itertools.pairwise(widths)) * shape[0] * shape[1]
    return {
        "images": images.reshape(n, channels, *shape),
        "targets": targets,
        "lam": float(lam * 10.0 ** rng.uniform(-1.0, 0.5)),
        "depth": depth,
        "width": width,
        "starts": rng.standard_normal((N_STARTS, count)),
    }


def equivalence_sides(
    instance: Instance, *, rank: str = "kept", power_of_p: float = 1.0, factor: float = 1.0
) -> tuple[float, float]:
    """Least ``⟨‖y - f(x)‖²⟩ + λ Σ‖w_l‖²`` over networks, and the minimum over predictors with the penalty.

    The network starts from random weights, and from those that the other side's minimiser has: it may end lower than
    that side says, never higher if that is attained. ``rank`` "ignored" leaves out the bound of narrow layers.
    """
    images, targets, depth, width = (instance[name] for name in ("images", "targets", "depth", "width"))
    channels, height, wide = images.shape[1:]
    outputs, n_pixels, lam = targets.shape[1], height * wide, instance["lam"]
    narrow = depth > 1 and width < min(channels, outputs)
    other = factor * lam * n_pixels ** ((1.0 - power_of_p) * (depth - 1) / depth)
    problem = RegularizedProblem(
        SecondMoments.from_data(images, targets),
        depth=depth,
        lam=other,
        rank=width if narrow and rank == "kept" else None,
    )
    solution = solve(problem, n_starts=3, rng=0, tol=1e-9, throw=False)
    if solution.status not in (Status.SUCCESS, Status.MAX_STEPS):
        return float("nan"), 0.0
    trained = _trained(*(_Bytes(instance[name]) for name in ("images", "targets", "starts")), lam, depth, width)
    if not narrow or rank == "kept":
        weights = factorize(solution.predictor, (width,) * (depth - 1))
        arguments = _training(images, targets, depth, width, lam)
        trained = min(trained, _descend(np.concatenate([w.ravel() for w in weights]), *arguments))
    return trained, solution.objective


class _Bytes:
    """An array that can be looked up: the trained network is the same for every planted error."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array
        self.key = (array.shape, array.tobytes())

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Bytes) and self.key == other.key


def _training(images: Floats, targets: Floats, depth: int, width: int, lam: float) -> tuple[Any, ...]:
    """Arguments of :func:`objective_and_gradient` after the weights."""
    channels, height, wide = images.shape[1:]
    rows = images.transpose(0, 2, 3, 1).reshape(len(images), -1)  # (N, P C)
    moments = {
        "xx": rows.T @ rows / len(rows),
        "yx": targets.T @ rows / len(rows),
        "yy": float((targets**2).sum() / len(rows)),
    }
    widths = (channels, *[width] * (depth - 1), targets.shape[1])
    shapes = [(out, height * wide, into) for into, out in itertools.pairwise(widths)]
    return shapes, _sums((height, wide)), moments, lam


@lru_cache(maxsize=64)
def _trained(images: _Bytes, targets: _Bytes, starts: _Bytes, lam: float, depth: int, width: int) -> float:
    """The best of the networks trained from random weights of several scales."""
    arguments = _training(images.array, targets.array, depth, width, lam)
    scales = np.geomspace(0.3, 1.5, len(starts.array))
    return min(_descend(scale * start, *arguments) for scale, start in zip(scales, starts.array, strict=True))


ONE_BY_TWO_PREDICTOR = {
    "text": "1×2, C = K = 1, L = 2, v̂ = (1, 0)",
    "image": np.full((1, 2, 1, 1), np.sqrt(0.5)),
    "depth": 2,
}
IDENTITY_OF_TWO = {
    "text": "P = 1, C = K = 2, C_1 = 1, Σ^xx = 1, v_LS = 1, λ = 0.1",
    "images": np.sqrt(2.0) * np.eye(2)[:, :, None, None],
    "targets": np.sqrt(2.0) * np.eye(2),
    "lam": 0.1,
    "depth": 2,
    "width": 1,
    "starts": np.array([[1.0, 0.2, 0.9, 0.1], [0.3, -1.0, 0.2, 0.8]]),
}
WEIGHTS_REASON = "sums of powers of singular values, those below 1e-12 of the largest left out: some 1e-14"
EQUIVALENCE_REASON = (
    "the solver ends within 1e-8 of its minimum and L-BFGS within 1e-9; a wrong constant moves it by 1e-3"
)

EQUIVALENCE_CLAIMS = (
    Claim(
        id="least-weights",
        title="Real weights that cost the least",
        statement="min Σ_l ‖w_l‖² over real weights of v̂ = L P^{−(L−1)/L} Σ_f ‖v̂_f‖_{S_{2/L}}^{2/L}, attained",
        source="Godfrey et al. eq 4.10 (B.9), corrected: printed without P^{−(L−1)/L} (see E3)",
        hypotheses=("hidden widths ≥ rank v̂_f", "real images", "any depth"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "P^{-(L-1)/L} dropped": {"power_of_p": 0.0},
            "√2": {"factor": float(np.sqrt(2))},
            "p 1% off": {"exponent": 1.01},
            "exponent of P 1% off": {"power_of_p": 1.01},
        },
        tolerance=1e-10,
        tolerance_reason=WEIGHTS_REASON,
        draw=draw_predictor,
        sides=least_weights_sides,
        formula={"power_of_p": 1.0},
        quantity="Σ‖w_l‖²",
        smallest=(ONE_BY_TWO_PREDICTOR,),
        counterpart="E3",
    ),
    Claim(
        id="equivalence",
        title="Weight decay on the layers is a penalty on the predictor",
        statement=(
            "min_w ⟨‖y − f(x)‖²⟩ + λ Σ‖w_l‖² = min_v̂ ⟨‖y − Σ v̂_f x̂_f‖²⟩ + λ L P^{−(L−1)/L} Σ_f ‖v̂_f‖_{S_{2/L}}^{2/L}"
        ),
        source="Godfrey et al. theorem 4.9, corrected: the constant; any C, K and L, as conjecture 4.13 is a theorem",
        hypotheses=("hidden widths ≥ min(C, K)", "real images"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "P^{-(L-1)/L} dropped": {"power_of_p": 0.0},
            "½λ for λ": {"factor": 0.5},
            "λ 1% off": {"factor": 1.01},
        },
        tolerance=1e-6,
        tolerance_reason=EQUIVALENCE_REASON,
        draw=draw_problem,
        sides=equivalence_sides,
        quantity="minimum",
        max_instances=8,
    ),
    Claim(
        id="narrow-layers",
        title="Layers narrower than min(C, K) bound the rank",
        statement="the same with rank v̂_f ≤ c = min_l C_l at every frequency",
        source="Godfrey et al. theorem 4.9 (ii), corrected: false without the rank constraint (see E4)",
        hypotheses=("hidden widths below min(C, K)", "real images"),
        expected=Outcome.NOT_REFUTED,
        mutants={
            "rank constraint dropped": {"rank": "ignored"},
            "λ 1% off": {"factor": 1.01},
        },
        tolerance=1e-6,
        tolerance_reason=EQUIVALENCE_REASON,
        draw=draw_narrow_problem,
        sides=equivalence_sides,
        formula={"rank": "kept"},
        quantity="minimum",
        smallest=(IDENTITY_OF_TWO,),
        max_instances=4,
        counterpart="E4",
    ),
)

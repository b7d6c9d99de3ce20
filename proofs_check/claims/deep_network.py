"""The deep linear CNN in pixel space, from its definition, and the formulas of G §3-4 for its spectra.

``f(x) = w_L · (w_{L-1} * ... * (w_1 * x))``. In pixel space there is no Fourier transform, nothing of lineardyn's
networks and no derivative worked out by hand: gradients are complex steps, exact to round-off as every loss here is a
polynomial of the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofs_check.claims.arithmetic import FLOAT, Arithmetic
from proofs_check.claims.definitions import convolution_matrix, kernel_spectrum
from proofs_check.instances import draw_scale, draw_shape
from proofs_check.verdict import Instance

__all__ = [
    "adjoint",
    "blocks",
    "complex_step_gradient",
    "draw_layers",
    "draw_problem",
    "effective_predictor",
    "flat",
    "formula_rates",
    "forward",
    "layers_of",
    "size_of_outputs",
    "size_of_terms",
    "squared_error",
    "squared_norm",
]

Floats = NDArray[np.float64]
STEP = 1e-30


def forward(weights: Sequence[NDArray[Any]], images: NDArray[Any]) -> NDArray[Any]:
    """``f(x)`` ``(n, N, K)`` of n networks: weights ``(n, C_l, H, W, C_{l-1})``, images ``(n, N, C, H, W)``."""
    hidden = images.reshape(*images.shape[:2], -1)
    for w in weights[:-1]:
        matrix = convolution_matrix(w)
        n, c_out, n_pixels, c_in, _ = matrix.shape
        hidden = hidden @ matrix.reshape(n, c_out * n_pixels, c_in * n_pixels).swapaxes(1, 2)
    last = weights[-1].transpose(0, 1, 4, 2, 3)
    outputs: NDArray[Any] = hidden @ last.reshape(*last.shape[:2], -1).swapaxes(1, 2)
    return outputs


def flat(weights: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """All weights in one row."""
    return np.concatenate([w.ravel() for w in weights])


def squared_error(weights: Sequence[NDArray[Any]], images: Floats, targets: Floats) -> NDArray[Any]:
    """``⟨‖y - f(x)‖²⟩`` ``(n,)``: the average over samples of the sum over outputs."""
    gap = targets - forward(weights, images[None])
    error: NDArray[Any] = np.mean(np.sum(gap * gap, axis=2), axis=1)
    return error


def squared_norm(weights: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """``Σ_l ‖w_l‖²`` ``(n,)``."""
    total: Any = 0.0
    for w in weights:
        total = total + np.sum(w * w, axis=(1, 2, 3, 4))
    return np.asarray(total)


def complex_step_gradient(
    loss: Callable[[Sequence[NDArray[Any]]], NDArray[Any]], weights: Sequence[Floats]
) -> list[Floats]:
    """The gradient of ``loss`` (weights with a leading axis to numbers ``(n,)``), all entries of a layer at once.

    ``∂loss/∂w = Im loss(w + ih)/h``: no difference is taken, so that h can be 1e-30 and the result is exact.
    """
    gradients = []
    for layer, w in enumerate(weights):
        steps = 1j * STEP * np.eye(w.size).reshape(w.size, *w.shape)
        moved = [one[None] + steps if i == layer else one[None] for i, one in enumerate(weights)]
        gradients.append(np.imag(loss(moved)).reshape(w.shape) / STEP)
    return gradients


def size_of_outputs(weights: Sequence[Floats], images: Floats) -> float:
    """A bound on ``⟨‖f(x)‖²⟩^½``: the product of the norms, times ``P^{(L-1)/2}``."""
    n_pixels = images.shape[-2] * images.shape[-1]
    product = float(np.prod([np.linalg.norm(w) for w in weights]))
    size_of_images = float(np.sqrt(np.sum(images**2) / len(images)))
    return float(product * n_pixels ** ((len(weights) - 1) / 2) * size_of_images)


def size_of_terms(weights: Sequence[Floats], images: Floats, targets: Floats, decay: float) -> float:
    """A bound on the terms of a gradient: what its round-off is measured against, for they cancel."""
    norms = [float(np.linalg.norm(w)) for w in weights]
    outputs, y = size_of_outputs(weights, images), float(np.sqrt(np.sum(targets**2) / len(targets)))
    return outputs * (outputs + y) / min(norms) + decay * max(norms)


def blocks(
    weights: Sequence[NDArray[Any]],
    arithmetic: Arithmetic = FLOAT,
    *,
    conjugate_last: bool = True,
    dense: bool = False,
) -> list[NDArray[Any]]:
    """``A_1, .., A_{L-1}, B``: ``ŵ_l`` ``(n, P, C_l, C_{l-1})`` each, of the last layer the conjugate."""
    spectra = [kernel_spectrum(w, arithmetic, dense=dense) for w in weights]
    return [*spectra[:-1], spectra[-1].conj() if conjugate_last else spectra[-1]]


def effective_predictor(
    a: Sequence[NDArray[Any]], arithmetic: Arithmetic = FLOAT, *, power_of_p: float = 0.5, extra: float = 0.0
) -> NDArray[Any]:
    """``v̂_f = P^{(L-1)/2} B_f A_{L-1}[f] ... A_1[f]`` ``(n, P, K, C)``; formula: ``power_of_p`` a hidden layer."""
    product = a[0]
    for above in a[1:]:
        product = above @ product
    predictor: NDArray[Any] = arithmetic.power(a[0].shape[1], power_of_p * (len(a) - 1) + extra) * product
    return predictor


def adjoint(matrix: NDArray[Any]) -> NDArray[Any]:
    """``Aᴴ`` over the last two axes."""
    flipped: NDArray[Any] = matrix.conj().swapaxes(-1, -2)
    return flipped


def formula_rates(
    a: Sequence[NDArray[Any]], residual: NDArray[Any], decay: Any, constant: Any, *, adjoints: bool = True
) -> list[NDArray[Any]]:
    """``dA_l/dt = constant (A_L ⋯ A_{l+1})ᴴ E (A_{l-1} ⋯ A_1)ᴴ - λ A_l``, over the leading axes; ᵀ without adjoints."""
    turn = adjoint if adjoints else (lambda matrix: matrix.swapaxes(-1, -2))
    rates = []
    for layer, matrix in enumerate(a):
        rate = residual
        for above in reversed(a[layer + 1 :]):
            rate = turn(above) @ rate
        for below in a[:layer]:
            rate = rate @ turn(below)
        rates.append(constant * rate - decay * matrix)
    return rates


def layers_of(instance: Instance) -> list[NDArray[Any]]:
    """The arrays ``w1, w2, ..`` of a batch, layer 1 first."""
    names = (f"w{layer}" for layer in count(1))
    weights = []
    while (name := next(names)) in instance:
        weights.append(instance[name])
    return weights


def draw_layers(
    rng: np.random.Generator, n: int, *, max_pixels: int = 8, max_depth: int = 4, n_samples: int = 1
) -> Instance:
    """Networks of one depth 1..4 and one shape, widths 1..3, weights of any scale, with ``n_samples`` samples each."""
    height, width = draw_shape(rng, max_pixels=max_pixels)
    sizes = rng.integers(1, 4, size=int(rng.integers(1, max_depth + 1)) + 1)
    instance: Instance = {}
    for layer, (into, out) in enumerate(pairwise(sizes.tolist()), start=1):
        instance[f"w{layer}"] = _scales(rng, n, 5) * rng.standard_normal((n, out, height, width, into))
    instance["images"] = _scales(rng, n, 5) * rng.standard_normal((n, n_samples, int(sizes[0]), height, width))
    instance["targets"] = _scales(rng, n, 3) * rng.standard_normal((n, n_samples, int(sizes[-1])))
    return instance


def _scales(rng: np.random.Generator, n: int, axes: int) -> Floats:
    """1 half of the time, else between 1e-3 and 1e3."""
    scales = np.where(rng.random(n) < 0.5, 1.0, 10.0 ** rng.uniform(-3, 3, n))
    return scales.reshape(n, *[1] * (axes - 1))


def draw_problem(rng: np.random.Generator, *, max_pixels: int = 9, classes: bool = False) -> Instance:
    """One network of depth 1..4 with its data ``(N, C, H, W)``, ``(N, K)`` and a weight decay, of one scale.

    With ``classes`` half of the data sets are coherent: one image a class, repeated, one-hot targets.
    """
    shape = (int(rng.integers(1, 3)), *draw_shape(rng, max_pixels=max_pixels))
    n_outputs, n_samples = int(rng.integers(1, 4)), int(rng.integers(1, 6))
    images, targets = rng.standard_normal((n_samples, *shape)), rng.standard_normal((n_samples, n_outputs))
    if classes and rng.random() < 0.5:
        copies = int(rng.integers(1, 3))
        images = np.repeat(rng.standard_normal((n_outputs, *shape)), copies, axis=0)
        targets = np.repeat(np.eye(n_outputs), copies, axis=0)
    sizes = [shape[0], *rng.integers(1, 3, size=int(rng.integers(0, 4))).tolist(), n_outputs]
    return {
        "images": draw_scale(rng, decades=1.0) * images,
        "targets": targets,
        "weights": [rng.standard_normal((out, *shape[1:], into)) for into, out in pairwise(sizes)],
        "weight_decay": float(rng.choice([0.0, 0.3, 2.0])),
    }

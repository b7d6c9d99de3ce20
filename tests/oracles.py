"""Slow, obvious references, written from the definitions and sharing no code with the library.

Everything about networks is done in pixel space, with explicit sums and matrices; the Fourier transform is a matrix.
Nothing here imports lineardyn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

Array = NDArray[np.float64]
Weights = list[Array]

EPS = float(np.finfo(np.float64).eps)


def error(got: object, wanted: object) -> float:
    """Largest deviation relative to the largest entry wanted (to 1 where all of them are zero)."""
    a, b = np.asarray(got), np.asarray(wanted)
    assert a.shape == b.shape, f"shapes {a.shape} and {b.shape}"
    if a.size == 0:
        return 0.0
    scale = float(np.abs(b).max())
    return float(np.abs(a - b).max() / (scale if scale > 0 else 1.0))


def worst(got: Iterable[object], wanted: Iterable[object]) -> float:
    """The largest :func:`error` of two lists of arrays, for instance weights."""
    return max(error(a, b) for a, b in zip(got, wanted, strict=True))


# --- Fourier ---------------------------------------------------------------------------------------------------------


def dft_matrix(n: int) -> NDArray[np.complex128]:
    """The unitary DFT of length n as a matrix."""
    k = np.arange(n)
    return np.exp(-2j * np.pi * (np.outer(k, k) % n) / n) / np.sqrt(n)


def dft2(x: NDArray) -> NDArray[np.complex128]:
    """Unitary DFT over the last two axes, by two matrix products."""
    return dft_matrix(x.shape[-2]) @ x @ dft_matrix(x.shape[-1])


def convolve_loops(kernel: Array, image: Array) -> Array:
    """``(w*x)[o,i,j] = Σ_{c,m,n} w[o,m,n,c] x[c,i-m,j-n]``, index by index."""
    n_out, height, width, n_in = kernel.shape
    result = np.zeros((n_out, height, width))
    for o, i, j in product(range(n_out), range(height), range(width)):
        for c, m, n in product(range(n_in), range(height), range(width)):
            result[o, i, j] += kernel[o, m, n, c] * image[c, (i - m) % height, (j - n) % width]
    return result


# --- Networks, in pixel space ----------------------------------------------------------------------------------------


def is_cnn(weights: Weights) -> bool:
    """Kernels have four axes, the matrices of a fully connected network two."""
    return weights[0].ndim == 4


def layer_matrices(weights: Weights) -> Weights:
    """Each layer as a matrix on vectors ``(C·H·W)`` in C order: circulant sums for kernels, a dot product last."""
    if not is_cnn(weights):
        return list(weights)
    matrices = []
    for kernel in weights[:-1]:
        n_out, height, width, n_in = kernel.shape
        matrix = np.zeros((n_out, height, width, n_in, height, width))
        for i, j in product(range(height), range(width)):  # row (i, j) at column (i', j'): w[i - i', j - j']
            rows, columns = (i - np.arange(height)) % height, (j - np.arange(width)) % width
            matrix[:, i, j] = kernel[:, rows][:, :, columns].transpose(0, 3, 1, 2)
        matrices.append(matrix.reshape(n_out * height * width, n_in * height * width))
    last = weights[-1]
    matrices.append(last.transpose(0, 3, 1, 2).reshape(len(last), -1))
    return matrices


def predict(weights: Weights, images: Array) -> Array:
    """``f(x)`` for each image, ``(N, K)``."""
    activations = images.reshape(len(images), -1)
    for matrix in layer_matrices(weights):
        activations = activations @ matrix.T
    return activations


def loss(weights: Weights, images: Array, targets: Array, weight_decay: float = 0.0) -> float:
    """``½⟨‖y - f(x)‖²⟩ + ½ λ Σ‖w‖²``."""
    residual = targets - predict(weights, images)
    return float(0.5 * (residual**2).sum() / len(images) + 0.5 * weight_decay * sum((w**2).sum() for w in weights))


def gradient(weights: Weights, images: Array, targets: Array, weight_decay: float = 0.0) -> Weights:
    """Backward pass in pixel space: ``∂ℒ/∂w_l[o,m,n,c] = ⟨Σ_ij δ_l[o,i,j] a_{l-1}[c,i-m,j-n]⟩ + λ w_l``."""
    matrices, count = layer_matrices(weights), len(images)
    activations = [images.reshape(count, -1)]
    for matrix in matrices:
        activations.append(activations[-1] @ matrix.T)
    delta = (activations[-1] - targets) / count
    gradients: Weights = []
    for depth in range(len(weights) - 1, -1, -1):
        of_matrix = delta.T @ activations[depth]
        gradients.insert(0, _to_kernel(of_matrix, weights[depth], last=depth == len(weights) - 1))
        delta = delta @ matrices[depth]
    return [g + weight_decay * w for g, w in zip(gradients, weights, strict=True)]


def _to_kernel(of_matrix: Array, like: Array, *, last: bool) -> Array:
    """The derivative with respect to a kernel, from that with respect to its matrix."""
    if like.ndim == 2:
        return of_matrix
    n_out, height, width, n_in = like.shape
    if last:
        return of_matrix.reshape(n_out, n_in, height, width).transpose(0, 2, 3, 1)
    blocks = of_matrix.reshape(n_out, height, width, n_in, height, width)
    result = np.zeros_like(like)
    i, j = np.indices((height, width))
    for m, n in product(range(height), range(width)):
        result[:, m, n, :] = blocks[:, i, j, :, (i - m) % height, (j - n) % width].sum(axis=(0, 1))
    return result


def finite_differences(function: Callable[[Weights], float], weights: Weights, h: float = 1e-5) -> Weights:
    """Central differences of ``function``, one weight at a time."""
    result = []
    for layer, w in enumerate(weights):
        slope = np.zeros_like(w)
        for index in np.ndindex(w.shape):
            values = []
            for sign in (1.0, -1.0):
                moved = [x.copy() for x in weights]
                moved[layer][index] += sign * h
                values.append(function(moved))
            slope[index] = (values[0] - values[1]) / (2 * h)
        result.append(slope)
    return result


def descend(
    weights: Weights,
    images: Array,
    targets: Array,
    *,
    learning_rate: float,
    batches: Iterable[NDArray[np.int64] | None],
    weight_decay: float = 0.0,
) -> list[Weights]:
    """Gradient descent in pixel space; a batch is a list of sample numbers, ``None`` the full data."""
    states = [[w.copy() for w in weights]]
    for batch in batches:
        chosen = slice(None) if batch is None else batch
        step = gradient(states[-1], images[chosen], targets[chosen], weight_decay)
        states.append([w - learning_rate * g for w, g in zip(states[-1], step, strict=True)])
    return states


# --- Gradient flow ---------------------------------------------------------------------------------------------------


def flow(
    weights: Weights, images: Array, targets: Array, times: Array, *, weight_decay: float = 0.0, rtol: float = 1e-11
) -> list[Weights]:
    """``dw/dt = -∇ℒ`` in pixel space by scipy's DOP853, the state at each of the times."""
    return _descend_along(lambda w: gradient(w, images, targets, weight_decay), weights, times, rtol)


def flow_of_moments(
    weights: Weights, yx: Array, xx: Array, times: Array, *, weight_decay: float = 0.0, rtol: float = 1e-11
) -> list[Weights]:
    """The same for any second moments."""
    return _descend_along(lambda w: gradient_from_moments(w, yx, xx, weight_decay), weights, times, rtol)


def _descend_along(slope: Callable[[Weights], Weights], weights: Weights, times: Array, rtol: float) -> list[Weights]:
    shapes = [w.shape for w in weights]
    cuts = np.cumsum([w.size for w in weights])[:-1]

    def split(state: Array) -> Weights:
        return [part.reshape(s) for part, s in zip(np.split(state, cuts), shapes, strict=True)]

    def rhs(_: float, state: Array) -> Array:
        return -np.concatenate([g.ravel() for g in slope(split(state))])

    start = np.concatenate([w.ravel() for w in weights])
    end = max(float(times[-1]), 1e-300)
    with np.errstate(over="ignore", invalid="ignore"):  # a first step that scipy guesses too long, and rejects
        solution = solve_ivp(rhs, (0.0, end), start, method="DOP853", t_eval=times, rtol=rtol, atol=1e-14)
    assert solution.success, solution.message
    return [split(state) for state in solution.y.T]


def textbook_flow(
    kappa: NDArray[np.complex128],
    dense: NDArray[np.complex128],
    *,
    s: Array,
    d: Array,
    q: NDArray[np.complex128],
    times: Array,
    rtol: float = 1e-10,
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """P eq 15-16 over the full complex spectrum: κ ``(P,)``, A ``(R, P)``, q ``(R, P)``; returns both at the times.

    ``dκ_f = √P Σ_{γβ} conj(A_γf) E_γβ conj(q_βf)``, ``dA_γf = √P conj(κ_f) Σ_β E_γβ conj(q_βf)``, ``E = S - B``,
    ``B_αβ = √P Σ_f A_αf κ_f q_βf d_β``.
    """
    count, n_modes = kappa.size, len(s)

    def rhs(_: float, state: NDArray[np.complex128]) -> NDArray[np.complex128]:
        k, a = state[:count], state[count:].reshape(n_modes, count)
        b = np.sqrt(count) * ((a * k) @ q.T) * d
        pulled = (np.diag(s) - b.real) @ q.conj()
        dk = np.sqrt(count) * (a.conj() * pulled).sum(axis=0)
        da = np.sqrt(count) * k.conj() * pulled
        return np.concatenate([dk, da.ravel()])

    start = np.concatenate([kappa, dense.ravel()]).astype(np.complex128)
    solution = solve_ivp(rhs, (0.0, float(times[-1])), start, method="DOP853", t_eval=times, rtol=rtol, atol=1e-14)
    assert solution.success, solution.message
    return solution.y[:count].T, solution.y[count:].T.reshape(-1, n_modes, count)


# --- Second moments --------------------------------------------------------------------------------------------------


def second_moments(images: Array, targets: Array) -> tuple[Array, Array, float]:
    """``Σ^yx (K, C·H·W)``, ``Σ^xx`` and ``⟨‖y‖²⟩``, sample by sample in extended precision."""
    n = len(images)
    x, y = images.reshape(n, -1).astype(np.longdouble), targets.astype(np.longdouble)
    yx = sum(np.outer(y[i], x[i]) for i in range(n)) / n
    xx = sum(np.outer(x[i], x[i]) for i in range(n)) / n
    return np.asarray(yx, float), np.asarray(xx, float), float(sum(y[i] @ y[i] for i in range(n)) / n)


def gradient_from_moments(weights: Weights, yx: Array, xx: Array, weight_decay: float = 0.0) -> Weights:
    """The gradient for any second moments, by the pixel-space products of the layers' matrices."""
    matrices = layer_matrices(weights)
    whole = np.eye(matrices[0].shape[1])
    before = [whole]
    for matrix in matrices:
        before.append(matrix @ before[-1])
    residual = before[-1] @ xx - yx
    after, gradients = np.eye(len(residual)), []
    for depth in range(len(weights) - 1, -1, -1):
        of_matrix = after.T @ residual @ before[depth].T
        gradients.insert(0, _to_kernel(of_matrix, weights[depth], last=depth == len(weights) - 1))
        after = after @ matrices[depth]
    return [g + weight_decay * w for g, w in zip(gradients, weights, strict=True)]


# --- Closed form, P eq 22 --------------------------------------------------------------------------------------------


def sigmoid(t: Array, s: float, b0: float, n_pixels: int, m: int) -> Array:
    """``b(t) = s / (1 + (s/b0 - 1) exp(-2 √P s t / √m))``."""
    return s / (1 + (s / b0 - 1) * np.exp(-2 * np.sqrt(n_pixels) * s * np.asarray(t) / np.sqrt(m)))

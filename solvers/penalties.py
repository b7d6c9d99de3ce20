r"""What weight decay costs the predictor: the power, its weight, and the jump that follows (theory, section 3).

    ``min_w loss + λ Σ_l ‖w_l‖²  =  min_v̂ loss + μ Σ_f ‖v̂_f‖_{S_p}^p``,   ``p = 2/L``,   ``μ = λ L P^{-(L-1)/L}``

where ``‖·‖_{S_p}^p`` is the sum of the p-th powers of the singular values.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError
from lineardyn.validation import check_count, check_number
from solvers._prox_kernels import landing

__all__ = ["jump", "penalty_power", "penalty_weight", "schatten_power", "thresholds"]

Floats = NDArray[np.float64]


def penalty_power(depth: int) -> float:
    """``p = 2/L``: 2 is ridge, 1 the nuclear norm, below 1 the penalty is not convex.

    Examples
    --------
    >>> [penalty_power(depth) for depth in (1, 2, 4)]
    [2.0, 1.0, 0.5]
    """
    return 2.0 / check_depth(depth)


def penalty_weight(lam: float, *, depth: int, n_pixels: int) -> float:
    """``μ = λ L P^{-(L-1)/L}``, what weight decay λ of L layers on P pixels weighs in the predictor.

    Godfrey et al. theorem 4.9 with the factor ``P^{-(L-1)/L}`` that is missing there (theory 3a).

    Parameters
    ----------
    lam
        λ >= 0, of ``λ Σ_l ‖w_l‖²``.
    depth
        L, the number of layers.
    n_pixels
        P = H·W.

    Raises
    ------
    ArgumentError
        λ negative or not finite; ``depth`` or ``n_pixels`` no integer >= 1.

    Examples
    --------
    >>> penalty_weight(0.5, depth=1, n_pixels=16), penalty_weight(0.5, depth=2, n_pixels=16)
    (0.5, 0.25)
    """
    layers = check_depth(depth)
    pixels = check_count("n_pixels", n_pixels)
    return check_number("lam", lam, minimum=0.0) * layers * math.pow(pixels, 1.0 / layers - 1.0)


def thresholds(mu: float, self_conjugate: ArrayLike, *, depth: int) -> Floats:
    """``u_f = ½ μ m_f``, the threshold of each block in coordinates that count a conjugate pair once.

    A pair is one block ``√2 v̂_f``, so that lengths are those of all frequencies; its two penalties are
    ``2 μ ‖v̂_f‖^p = m_f μ ‖√2 v̂_f‖^p`` with ``m_f = 2^{1-p/2}``; a self-conjugate frequency has ``m_f = 1``. The ½ is
    that of ``½(x - z)²``.

    Parameters
    ----------
    mu
        μ >= 0, of :func:`penalty_weight`.
    self_conjugate
        For each block, whether its frequency is its own conjugate; booleans.
    depth
        L.

    Raises
    ------
    ArgumentError
        μ negative or not finite; ``self_conjugate`` not of booleans; ``depth`` no integer >= 1.

    Examples
    --------
    >>> thresholds(1.0, [True, False], depth=1).tolist(), thresholds(1.0, [True, False], depth=2).round(4).tolist()
    ([0.5, 0.5], [0.5, 0.7071])
    """
    alone = np.asarray(self_conjugate)
    if alone.dtype != bool:
        raise ArgumentError(f"self_conjugate has dtype {alone.dtype}, expected booleans: one for each block")
    weight = check_number("mu", mu, minimum=0.0)
    return 0.5 * weight * np.where(alone, 1.0, 2.0 ** (1.0 - 0.5 * penalty_power(depth)))


def jump(u: float, *, depth: int) -> tuple[float, float]:
    r"""Where the prox of ``u |x|^{2/L}`` leaves 0, and where it lands: ``v*`` and ``s*``.

    The minimiser of ``½(x - z)² + u|x|^p`` is 0 for ``|z| < v*`` and at least ``s*`` long for ``|z| > v*``; at
    ``|z| = v*`` both 0 and ``s*`` minimise. With ``p < 1``

        ``s* = (2(1-p)u)^{1/(2-p)}``,   ``v* = s* (2-p)/(2(1-p)) = s* (L-1)/(L-2)``

    (theory 3); ``v* = u``, ``s* = 0`` for L = 2, and both are 0 for L = 1.

    Parameters
    ----------
    u
        Threshold >= 0.
    depth
        L >= 1.

    Returns
    -------
    ``(v*, s*)``, each within two units in the last place.

    Raises
    ------
    ArgumentError
        u negative or not finite; ``depth`` no integer >= 1.

    Examples
    --------
    >>> jump(8.0, depth=4)  # 1.5 u^{2/3} and u^{2/3}
    (6.0, 4.0)
    >>> jump(8.0, depth=2)
    (8.0, 0.0)
    """
    level = check_number("u", u, minimum=0.0)
    layers = check_depth(depth)
    if layers <= 2:
        return (level if layers == 2 else 0.0), 0.0
    to = float(landing(level, layers))
    return to * ((layers - 1.0) / (layers - 2.0)), to


def schatten_power(matrices: ArrayLike, *, depth: int) -> float:
    """``Σ_f ‖Z_f‖_{S_p}^p``, p = 2/L, over matrices ``(..., K, C)``, real or complex.

    Singular values below ``max(K, C) · 2.2e-16`` of their matrix's largest count as 0: a small power makes much of
    round-off (``1e-17^{2/L}`` is 0.02 for L = 20).

    Raises
    ------
    ArgumentError
        Fewer than two axes, NaN or infinity; ``depth`` no integer >= 1.

    Examples
    --------
    >>> round(schatten_power([[3.0, 0.0], [0.0, 4.0]], depth=1), 12), round(schatten_power([[9.0, 0.0]], depth=4), 12)
    (25.0, 3.0)
    """
    blocks = as_matrices("matrices", matrices)
    values = singular_values(blocks)
    floor = values.max(axis=-1, keepdims=True, initial=0.0) * max(blocks.shape[-2:]) * np.finfo(float).eps
    return float(np.sum(values[values > floor] ** penalty_power(depth)))


def singular_values(matrices: NDArray[Any]) -> Floats:
    """Singular values over the last two axes; of a row or a column its norm, without LAPACK."""
    if min(matrices.shape[-2:]) == 1:
        norms: Floats = np.linalg.norm(matrices, axis=(-2, -1), keepdims=True)[..., 0]
        return norms
    values: Floats = np.linalg.svd(matrices, compute_uv=False)
    return values


def check_depth(value: int) -> int:
    """Return ``value`` as a number of layers that fits in 64 bits: beyond 2^62, 2/L is 0 to round-off."""
    return min(check_count("depth", value), 2**62)


def as_matrices(name: str, value: ArrayLike) -> NDArray[Any]:
    """Return ``value`` as finite float64 or complex128 ``(..., K, C)``."""
    array = as_numbers(name, value)
    if array.ndim < 2:
        raise ArgumentError(f"{name} has shape {array.shape}, expected (..., K, C): matrices over the last two axes")
    return array


def as_numbers(name: str, value: ArrayLike) -> NDArray[Any]:
    """Return ``value`` as a finite array of float64 or complex128."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ArgumentError(f"{name} is no array ({error}), expected numbers of one regular shape") from None
    if array.dtype.kind not in "biufc":
        raise ArgumentError(f"{name} has dtype {array.dtype}, expected real or complex numbers")
    if not np.isfinite(array).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ArgumentError(
            f"{name} holds {array[place]} at index {place}, expected finite numbers: remove or replace it"
        )
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def check_thresholds(value: ArrayLike, shape: tuple[int, ...], of: str) -> Floats:
    """Return ``value`` as thresholds >= 0, one for all (shape ``(1,)``) or spread over ``shape`` and flat."""
    array = as_numbers("u", value)
    if array.dtype.kind == "c":
        raise ArgumentError("u has dtype complex128, expected real numbers >= 0")
    if array.size and array.min() < 0.0:
        raise ArgumentError(f"u holds {array.min():g}, expected numbers >= 0: the penalty is u|x|^(2/depth)")
    if array.size == 1 and array.ndim <= len(shape):
        return array.reshape(1)
    try:
        return np.broadcast_to(array, shape).flatten()  # a copy: numba compiles again for what is read-only
    except ValueError:
        raise ArgumentError(
            f"u has shape {array.shape}, expected one number or a shape that broadcasts to {shape}, that of {of}"
        ) from None

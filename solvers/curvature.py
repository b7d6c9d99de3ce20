r"""The second-order test on the support: the Hessian of h along predictors whose blocks keep their ranks.

At depth ≥ 3 a singular value that is 0 stays 0 nearby, for its penalty has infinite slope there. So a stationary point
is a local minimum where h is convex to second order along the manifold of blocks ``Z_b = U S V^H`` of the same ranks.
A direction ``ξ = U M V^H + U_⊥ B V^H + U N V_⊥^H`` has the curve
``Z(t) = Z + tξ + t² U_⊥ B S^{-1} N V_⊥^H + O(t³)`` in the manifold, along which

    ``½ d²/dt² loss = ⟨ξG, ξ⟩ - 2 Re⟨U_⊥^H A V_⊥, B S^{-1} N⟩``,   ``A = c - VG``,

    ``d²/dt² ‖Z‖_p^p = Σ_ij (p_ij^- |sym M_ij|² + p_ij^+ |skew M_ij|²) + Σ_i p s_i^{p-2} (‖B e_i‖² + ‖e_i^T N‖²)``,

``p_ij^± = p (s_i^{p-1} ± s_j^{p-1})/(s_i ± s_j)``, and ``p_ii^- = p(p-1) s_i^{p-2}``: the second derivative of a
spectral function [Lewis, Sendov 2001] of the matrix ``[[0, Z], [Z^H, 0]]`` whose eigenvalues are ±s_i. For K = C = 1
this is ``G + u p |z|^{p-2} (I + (p-2) ẑẑᵀ)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg
import scipy.sparse.linalg
from numpy.typing import NDArray

from solvers.stationarity import Point

__all__ = ["Curvature", "curvature"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
LARGEST_DENSE = 2_000
"""Directions up to which the Hessian is formed."""
DENSE_NUMBERS = 30_000_000
"""Numbers in the directions up to which it is formed."""
LANCZOS_STEPS = 300
ROUND_OFF = 1e-10
"""Of the largest eigenvalue of a block's Gram matrix: what counts as zero curvature."""


@dataclass(frozen=True)
class Curvature:
    """The lowest curvature found.

    Attributes
    ----------
    lowest : smallest eigenvalue of the Hessian; an upper bound of it where not ``certain``
    certain : whether no lower one can have been missed
    n_directions : dimension of the manifold
    convex : whether ``lowest`` is not below 0, up to round-off
    """

    lowest: float
    certain: bool
    n_directions: int
    convex: bool


def curvature(point: Point) -> Curvature:
    """The Hessian of h on predictors of the same ranks: eigenvalues up to 2000 directions, Lanczos above."""
    hessian = _Hessian(point)
    n = hessian.size
    slack = ROUND_OFF * float(point.steepness.max())
    if n == 0:
        return Curvature(np.inf, True, 0, True)
    if n <= LARGEST_DENSE and n * point.values.size <= DENSE_NUMBERS:
        matrix = hessian.apply(np.eye(n))
        lowest = float(scipy.linalg.eigvalsh((matrix + matrix.T) / 2, subset_by_index=(0, 0))[0])
        return Curvature(lowest, True, n, lowest >= -slack)
    lowest, certain = _lanczos(hessian)
    return Curvature(lowest, certain, n, lowest >= -slack)


def _lanczos(hessian: _Hessian) -> tuple[float, bool]:
    """The lowest eigenvalue, or the lowest Rayleigh quotient that was met where the iteration does not converge."""
    met = np.inf

    def product(x: Floats) -> Floats:
        nonlocal met
        image: Floats = hessian.apply(x.reshape(1, -1))[0]
        met = min(met, float(x.ravel() @ image) / float(x.ravel() @ x.ravel()))
        return image

    operator = scipy.sparse.linalg.LinearOperator((hessian.size,) * 2, matvec=product, dtype=np.float64)
    start = np.ones(hessian.size)  # bit-reproducible
    try:
        found = scipy.sparse.linalg.eigsh(
            operator, k=1, which="SA", v0=start, tol=1e-3, maxiter=LANCZOS_STEPS // 20, return_eigenvectors=False
        )
        return min(met, float(found[0])), True
    except scipy.sparse.linalg.ArpackNoConvergence:
        return met, False


class _Hessian:
    """The symmetric operator on the free real numbers of M, B and N of every block."""

    def __init__(self, point: Point) -> None:
        self.point = point
        ranks = point.ranks[:, None, None]
        k, c = point.blocks.shape[1:]
        rows, columns = np.arange(k)[:, None], np.arange(c)
        self.inner = (rows < ranks) & (columns < ranks)
        self.below = (rows >= ranks) & (columns < ranks)
        self.right = (rows < ranks) & (columns >= ranks)
        tangent = self.inner | self.below | self.right
        paired = point.problem.coordinates.paired[:, None, None]
        self.free = np.stack([tangent, tangent & paired], axis=-1)  # Re and Im of every entry
        self.size = int(self.free.sum())

    def apply(self, directions: Floats) -> Floats:
        """Images ``(n, size)`` of rows ``(n, size)``."""
        point, n = self.point, len(directions)
        f, k, c = point.blocks.shape
        parts = np.zeros((n, f, k, c, 2))
        parts[:, self.free] = directions
        x = np.ascontiguousarray((parts[..., 0] + 1j * parts[..., 1]).swapaxes(0, 1))  # (F, n, K, C), in singular bases
        image = self._loss(x) + self._bend(x) + self._penalty(x)
        return np.ascontiguousarray(np.stack([image.real, image.imag], axis=-1).swapaxes(0, 1))[:, self.free]

    def _loss(self, x: Complexes) -> Complexes:
        """``ξ ↦ ξG`` in the singular bases."""
        point, columns = self.point, self.point.problem.coordinates
        f, n, k, c = x.shape
        u, vh = point.u[:, None], point.vh[:, None]
        values = columns.from_blocks((u @ x @ vh).reshape(f, n * k, c))
        image = columns.blocks(point.problem.quadratic.apply(values)).reshape(f, n, k, c)
        return np.asarray(u.conj().swapaxes(2, 3) @ image @ vh.conj().swapaxes(2, 3))

    def _bend(self, x: Complexes) -> Complexes:
        """Of ``-2 Re⟨U_⊥^H A V_⊥, B S^{-1} N⟩``: the manifold bends towards the slope that is left outside it."""
        inverse, outside = self._outside
        m = inverse.shape[-1]
        below, right = x * self.below[:, None], x * self.right[:, None]
        image = np.zeros_like(x)
        image[..., :m] -= (outside @ right[:, :, :m].conj().swapaxes(2, 3)) * inverse[:, None, None, :]
        image[:, :, :m] -= inverse[:, None, :, None] * (below[..., :m].conj().swapaxes(2, 3) @ outside)
        return image

    @cached_property
    def _outside(self) -> tuple[Floats, Complexes]:
        """``S^{-1}``, 0 where s is; ``U_⊥^H A V_⊥`` ``(F, 1, K, C)``, 0 elsewhere."""
        point = self.point
        inverse = np.divide(1.0, point.s, out=np.zeros_like(point.s), where=point.s > 0)
        slope = point.u.conj().swapaxes(1, 2) @ point.slope_blocks @ point.vh.conj().swapaxes(1, 2)
        return inverse, np.asarray((slope * ~(self.inner | self.below | self.right))[:, None])

    def _penalty(self, x: Complexes) -> Complexes:
        """``u_b`` times the second derivative of ``‖Z‖_p^p``."""
        symmetric, skew, outer = self._weights
        m = symmetric.shape[-1]
        square = (x * self.inner[:, None])[:, :, :m, :m]
        mirrored = square.conj().swapaxes(2, 3)
        image = x * outer[:, None]
        image[:, :, :m, :m] += 0.5 * (symmetric[:, None] * (square + mirrored) + skew[:, None] * (square - mirrored))
        return image

    @cached_property
    def _weights(self) -> tuple[Floats, Floats, Floats]:
        """``u p^-``, ``u p^+`` ``(F, m, m)`` and ``u p s^{p-2}`` on B and N ``(F, K, C)``, 0 where nothing is kept."""
        point, p = self.point, self.point.problem.power
        m, weight = point.s.shape[1], p * point.problem.thresholds[:, None, None]
        kept = point.s > 0
        s = np.where(kept, point.s, 1.0)
        both = kept[:, :, None] & kept[:, None, :]
        a, b = s[:, :, None], s[:, None, :]
        skew = np.where(both, weight * (a ** (p - 1) + b ** (p - 1)) / (a + b), 0.0)
        symmetric = np.where(both, weight * _divided_difference(a, b, p - 1), 0.0)
        single = np.where(kept, s ** (p - 2), 0.0)
        outer = np.zeros(point.blocks.shape)
        outer[:, :, :m] += single[:, None, :] * self.below[:, :, :m]
        outer[:, :m] += single[:, :, None] * self.right[:, :m]
        return symmetric, skew, weight * outer


def _divided_difference(a: Floats, b: Floats, power: float) -> Floats:
    """``(a^q - b^q)/(a - b)``, its limit where a = b, without cancellation nearby."""
    larger, smaller = np.maximum(a, b), np.minimum(a, b)
    log = np.log(smaller / larger)
    ratio = np.where(log < 0, np.expm1(power * log) / np.where(log < 0, np.expm1(log), 1.0), power)
    return np.asarray(larger ** (power - 1) * ratio)

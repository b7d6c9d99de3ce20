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

from solvers.quadratic import LARGEST_GRAM
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
    lowest : smallest eigenvalue of the Hessian; an upper bound of it where not ``certain``; only a lower bound, the
        round-off below 0, where ``curvature`` was asked for no more than a sign
    certain : whether no lower one can have been missed
    n_directions : dimension of the manifold
    convex : whether ``lowest`` is not below 0, up to round-off
    """

    lowest: float
    certain: bool
    n_directions: int
    convex: bool


def curvature(point: Point, *, exact: bool = True) -> Curvature:
    """The Hessian of h on predictors of the same ranks: eigenvalues up to 2000 directions, Lanczos above.

    Not ``exact``: where a Cholesky factorisation proves that it is convex, no eigenvalue is computed.
    """
    hessian = _Hessian(point)
    n = hessian.size
    slack = ROUND_OFF * float(point.steepness.max())
    if n == 0:
        return Curvature(np.inf, True, 0, True)
    if n <= LARGEST_DENSE and n * point.values.size <= DENSE_NUMBERS:
        matrix = hessian.apply(np.eye(n))
        matrix = (matrix + matrix.T) / 2
        if not exact and _is_positive(matrix, slack):
            return Curvature(-slack, True, n, True)
        lowest = float(scipy.linalg.eigvalsh(matrix, subset_by_index=(0, 0))[0])
        return Curvature(lowest, True, n, lowest >= -slack)
    lowest, certain = _lanczos(hessian)
    return Curvature(lowest, certain, n, lowest >= -slack)


def _is_positive(matrix: Floats, slack: float) -> bool:
    """Whether no eigenvalue is below ``-slack``."""
    try:
        scipy.linalg.cholesky(matrix + slack * np.eye(len(matrix)), overwrite_a=True, check_finite=False)
    except scipy.linalg.LinAlgError:
        return False
    return True


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
    """The symmetric operator on the free real numbers of M, B and N of every block; those of rank 0 have none."""

    def __init__(self, point: Point) -> None:
        self.point = point
        self.live = np.flatnonzero(point.ranks)
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
        self.inner, self.below, self.right = (part[self.live] for part in (self.inner, self.below, self.right))

    def apply(self, directions: Floats) -> Floats:
        """Images ``(n, size)`` of rows ``(n, size)``."""
        n, (k, c) = len(directions), self.point.blocks.shape[1:]
        free = self.free[self.live]
        parts = np.zeros((n, len(self.live), k, c, 2))
        parts[:, free] = directions
        x = np.ascontiguousarray((parts[..., 0] + 1j * parts[..., 1]).swapaxes(0, 1))  # (F, n, K, C), in singular bases
        image = self._loss(x) + self._bend(x) + self._penalty(x)
        return np.ascontiguousarray(np.stack([image.real, image.imag], axis=-1).swapaxes(0, 1))[:, free]

    def _loss(self, x: Complexes) -> Complexes:
        """``ξ ↦ ξG`` in the singular bases, on the live blocks."""
        point, (f, n, k, c) = self.point, x.shape
        u, vh = point.u[self.live, None], point.vh[self.live, None]
        moved = (u @ x @ vh).reshape(f, n * k, c)
        there = self._there
        values = np.concatenate([moved.real, moved.imag], axis=2).swapaxes(0, 1)[:, there]
        image = np.zeros((n * k, f, 2 * c))
        image[:, there] = self._product(values)
        blocks = (image[..., :c] + 1j * image[..., c:]).swapaxes(0, 1).reshape(f, n, k, c)
        return np.asarray(u.conj().swapaxes(2, 3) @ blocks @ vh.conj().swapaxes(2, 3))

    @cached_property
    def _there(self) -> NDArray[np.bool_]:
        """``(F, 2C)``: Re and Im of each channel, but for the Im of a real number."""
        widths = np.diff(self.point.problem.coordinates.starts)[self.live]
        return np.asarray(np.arange(2 * self.point.blocks.shape[2]) < widths[:, None])

    @cached_property
    def _columns(self) -> NDArray[np.int64]:
        """``(d,)``: their places among the columns of V."""
        first = self.point.problem.coordinates.starts[:-1][self.live]
        return np.asarray((first[:, None] + np.arange(self._there.shape[1]))[self._there])

    def _product(self, values: Floats) -> Floats:
        """``ξG`` ``(n, d)`` of ``(n, d)``, both on the live columns alone."""
        if self._gram is not None:
            return np.asarray(values @ self._gram)
        wide = np.zeros((len(values), self.point.values.shape[1]))
        wide[:, self._columns] = values
        return self.point.problem.quadratic.apply(wide)[:, self._columns]

    @cached_property
    def _gram(self) -> Floats | None:
        """G on them, where its lines have been computed."""
        loss = self.point.problem.quadratic
        if loss.coordinates.size > LARGEST_GRAM or not loss.lines.formed[self.live].all():
            return None
        return np.asarray(loss.lines.lines[np.ix_(self._columns, self._columns)])

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
        point, s = self.point, self.point.s[self.live]
        inverse = np.divide(1.0, s, out=np.zeros_like(s), where=s > 0)
        u, vh = point.u[self.live], point.vh[self.live]
        slope = u.conj().swapaxes(1, 2) @ point.slope_blocks[self.live] @ vh.conj().swapaxes(1, 2)
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
        m, weight = point.s.shape[1], p * point.problem.thresholds[self.live, None, None]
        kept = point.s[self.live] > 0
        s = np.where(kept, point.s[self.live], 1.0)
        both = kept[:, :, None] & kept[:, None, :]
        a, b = s[:, :, None], s[:, None, :]
        skew = np.where(both, weight * (a ** (p - 1) + b ** (p - 1)) / (a + b), 0.0)
        symmetric = np.where(both, weight * _divided_difference(a, b, p - 1), 0.0)
        single = np.where(kept, s ** (p - 2), 0.0)
        outer = np.zeros((len(self.live), *point.blocks.shape[1:]))
        outer[:, :, :m] += single[:, None, :] * self.below[:, :, :m]
        outer[:, :m] += single[:, :, None] * self.right[:, :m]
        return symmetric, skew, weight * outer


def _divided_difference(a: Floats, b: Floats, power: float) -> Floats:
    """``(a^q - b^q)/(a - b)``, its limit where a = b, without cancellation nearby."""
    larger, smaller = np.maximum(a, b), np.minimum(a, b)
    log = np.log(smaller / larger)
    ratio = np.where(log < 0, np.expm1(power * log) / np.where(log < 0, np.expm1(log), 1.0), power)
    return np.asarray(larger ** (power - 1) * ratio)

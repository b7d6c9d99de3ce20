"""One factorisation of a Gram matrix that serves every λ: Householder's reduction to a tridiagonal matrix."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy.linalg import lapack

__all__ = ["Tridiagonal", "tridiagonal"]

Floats = NDArray[np.float64]
PANEL = 64
"""Reflections that LAPACK applies at once, for the size of its workspace."""


@dataclass(frozen=True)
class Tridiagonal:
    """``G = Q T Qᵀ``: Q a product of n-1 reflections, T tridiagonal; make it with :func:`tridiagonal`.

    It takes a quarter of the time of the eigenvectors, which a path of λ does not need: ``(T + λ)^{-1}`` of a row costs
    n operations, and the rows of all λ go through Q at once.
    """

    reflectors: Floats
    scales: Floats
    diagonal: Floats
    off_diagonal: Floats

    @property
    def cutoff(self) -> float:
        """``n ε tr G``: eigenvalues below are round-off."""
        return float(len(self.diagonal) * np.finfo(float).eps * self.diagonal.sum())

    def into(self, rows: Floats) -> Floats:
        """``rows Q``."""
        return self._reflect(rows, "T")

    def back(self, rows: Floats) -> Floats:
        """``rows Qᵀ``."""
        return self._reflect(rows, "N")

    def solve(self, rows: Floats, lam: float) -> Floats:
        """``rows (T + λ)^{-1}``; where λ is under the cutoff, the pseudo-inverse."""
        if lam <= self.cutoff:
            return self._pseudo_solve(rows, lam)
        *_, solution, info = lapack.dptsv(self.diagonal + lam, self.off_diagonal, rows.T)
        # T is positive semidefinite to round-off, which a λ above the cutoff makes up for
        return solution.T if info == 0 else self._pseudo_solve(rows, lam)

    def is_semidefinite(self) -> bool:
        """Whether no eigenvalue is below round-off."""
        if self.cutoff == 0.0:
            return not self.diagonal.any()
        return int(lapack.dpttrf(self.diagonal + self.cutoff, self.off_diagonal)[2]) == 0

    def lowest(self) -> float:
        """The smallest eigenvalue."""
        values = scipy.linalg.eigvalsh_tridiagonal(self.diagonal, self._link, select="i", select_range=(0, 0))
        return float(values[0])

    @property
    def _link(self) -> Floats:
        return self.off_diagonal[: len(self.diagonal) - 1]

    @cached_property
    def _eigen(self) -> tuple[Floats, Floats]:
        values, vectors = scipy.linalg.eigh_tridiagonal(self.diagonal, self._link)
        return values, vectors

    def _pseudo_solve(self, rows: Floats, lam: float) -> Floats:
        values, vectors = self._eigen
        live = values > len(values) * np.finfo(float).eps * values[-1]
        basis = vectors[:, live]
        solution: Floats = ((rows @ basis) / (values[live] + lam)) @ basis.T
        return solution

    def _reflect(self, rows: Floats, side: str) -> Floats:
        if len(self.diagonal) == 1:
            return rows.copy()
        turned = np.array(rows, dtype=np.float64)
        # the first coordinate stays as it is; below it the reflections are stored as those of a QR factorisation
        below, _, _ = lapack.dormqr("L", side, self.reflectors, self.scales, turned[:, 1:].T, max(1, PANEL * len(rows)))
        turned[:, 1:] = below.T
        return turned


def tridiagonal(gram: Floats) -> Tridiagonal:
    """The reduction of a symmetric matrix.

    >>> gram = np.array([[2.0, 1.0, 0.5], [1.0, 3.0, 0.2], [0.5, 0.2, 1.0]])
    >>> reduced = tridiagonal(gram)
    >>> solution = reduced.back(reduced.solve(reduced.into(np.eye(3)), 0.1))
    >>> bool(np.allclose(solution, np.linalg.inv(gram + 0.1 * np.eye(3))))
    True
    """
    size = len(gram)
    if size == 1:
        return Tridiagonal(np.empty((0, 0)), np.empty(0), gram[0].copy(), np.zeros(1))
    work, _ = lapack.dsytrd_lwork(size, lower=1)
    packed, diagonal, off_diagonal, scales, _ = lapack.dsytrd(gram, lower=1, lwork=int(work))
    return Tridiagonal(np.asfortranarray(packed[1:, :-1]), scales, diagonal, off_diagonal)

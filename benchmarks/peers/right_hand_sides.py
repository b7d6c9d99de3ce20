"""Right-hand sides of the peers in numpy: the textbook one, and the best that packing makes of it.

Each class turns weights into a flat state, says its derivative, and reads B from it. Both forms of the statistics.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.problems import Complexes, Floats, FlowProblem


class Textbook:
    """Pinson et al. eq 15-16 as printed: complex, every frequency of the full spectrum."""

    name = "textbook complex, full spectrum"

    def __init__(self, problem: FlowProblem) -> None:
        self.problem = problem
        self.root = np.sqrt(problem.n_pixels)
        self.q_conj = problem.q.conj()
        self.qd = problem.q.T * problem.d
        self.target = problem.s[:, None] * self.q_conj

    def state(self, weights: list[Floats]) -> Complexes:
        """``(κ, A)`` flat, complex."""
        kappa, a = self.problem.spectra(weights)
        return np.concatenate([kappa, a.ravel()])

    def split(self, y: Complexes) -> tuple[Complexes, Complexes]:
        """Views of κ (P,) and A (K, P)."""
        p = self.problem.n_pixels
        return y[:p], y[p:].reshape(-1, p)

    def __call__(self, t: float, y: Complexes) -> Complexes:
        kappa, a = self.split(y)
        if self.problem.gram is None:
            b = self.root * (a * kappa) @ self.qd
            pull = (np.diag(self.problem.s) - b) @ self.q_conj
        else:
            pull = self.target - self.root * (a * kappa) @ self.problem.gram
        dkappa = self.root * (a.conj() * pull).sum(axis=0)
        da = self.root * kappa.conj() * pull
        return np.concatenate([dkappa, da.ravel()])

    def effective(self, y: Complexes) -> Floats:
        """B of one state."""
        return self.problem.effective(*self.split(y))


class Packed:
    """One frequency of each conjugate pair; products real, elementwise work complex on views of the same memory.

    The state is real, Re and Im interleaved, so that ``view(complex)`` costs nothing and numpy's complex loops do the
    per-frequency work in three passes. (Tried too: Re and Im in separate halves, a dozen real passes: 1.4-2.7× slower.)
    """

    name = "packed real half spectrum"

    def __init__(self, problem: FlowProblem) -> None:
        self.problem = problem
        self.indices, weights = half_spectrum(problem.shape)
        root = np.sqrt(problem.n_pixels)
        k, f = problem.n_outputs, len(self.indices)
        q = np.ascontiguousarray(problem.q[:, self.indices])
        self.q_conj = (root * q.conj()).view(np.float64)
        if problem.gram is None:
            measured = root * problem.d[:, None] * weights * q.conj()  # Re(z q) = Re z Re q̄ + Im z Im q̄
            self.to_b = np.ascontiguousarray(measured.view(np.float64).T)
            self.s = np.diag(problem.s)
        else:
            self.target = problem.s[:, None] * self.q_conj
            self.gram = problem.n_pixels * packed_gram(problem.gram, self.indices, problem.shape)
        self.z = np.empty((k, f), dtype=np.complex128)
        self.pull = np.empty((k, 2 * f))

    def state(self, weights: list[Floats]) -> Floats:
        """``(κ, A)`` on the half spectrum, flat, real."""
        kappa, a = self.problem.spectra(weights)
        half = np.concatenate([kappa[self.indices], a[:, self.indices].ravel()])
        return half.view(np.float64)

    def split(self, y: Floats) -> tuple[Complexes, Complexes]:
        """Views of κ (F,) and A (K, F)."""
        z = y.view(np.complex128).reshape(-1, len(self.indices))
        return z[0], z[1:]

    def __call__(self, t: float, y: Floats) -> Floats:
        kappa, a = self.split(y)
        np.multiply(a, kappa, out=self.z)
        if self.problem.gram is None:
            np.dot(self.s - self.z.view(np.float64) @ self.to_b, self.q_conj, out=self.pull)
        else:
            np.dot(self.z.view(np.float64), self.gram, out=self.pull)
            np.subtract(self.target, self.pull, out=self.pull)
        pull = self.pull.view(np.complex128)
        dy = np.empty_like(y)
        dkappa, da = self.split(dy)
        np.multiply(pull, kappa.conj(), out=da)
        np.conjugate(a, out=self.z)
        np.einsum("kf,kf->f", self.z, pull, out=dkappa)
        return dy

    def effective(self, y: Floats) -> Floats:
        """B of one state, from the full spectrum."""
        kappa, a = self.split(np.ascontiguousarray(y))
        return self.problem.effective(self.unpack(kappa), self.unpack(a))

    def unpack(self, half: Complexes) -> Complexes:
        """The full conjugate-symmetric spectrum ``(..., P)``."""
        full = np.empty((*half.shape[:-1], self.problem.n_pixels), dtype=np.complex128)
        full[..., partner(self.problem.shape)[self.indices]] = half.conj()
        full[..., self.indices] = half
        return full


def partner(shape: tuple[int, int]) -> NDArray[np.int64]:
    """Flat index of the conjugate of each frequency."""
    height, width = shape
    u, v = np.divmod(np.arange(height * width), width)
    return (-u % height) * width + (-v % width)


def half_spectrum(shape: tuple[int, int]) -> tuple[NDArray[np.int64], Floats]:
    """Indices of one frequency of each conjugate pair, and how many each stands for."""
    mirror = partner(shape)
    indices = np.flatnonzero(np.arange(len(mirror)) <= mirror)
    return indices, np.where(mirror[indices] == indices, 1.0, 2.0)


def packed_gram(gram: Complexes, indices: NDArray[np.int64], shape: tuple[int, int]) -> Floats:
    """Real ``M (2F, 2F)`` with ``(z M)_f = Σ_g z_g Σ^x̂x̂_gf`` on interleaved half spectra z of conjugate symmetry.

    ``Σ_g z_g G_gf = Σ_half (z_g G_gf + conj(z_g) G_g*f)``, the second term absent where g = g*.
    """
    mirror = partner(shape)
    direct = gram[np.ix_(indices, indices)]
    other = np.where((mirror[indices] == indices)[:, None], 0.0, gram[np.ix_(mirror[indices], indices)])
    from_real, from_imag = direct + other, 1j * (direct - other)
    rows = np.stack([from_real, from_imag], axis=1).reshape(2 * len(indices), -1)
    return np.ascontiguousarray(rows).view(np.float64)

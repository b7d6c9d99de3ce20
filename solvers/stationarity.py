r"""Where a predictor stands among its neighbours: block by block, by the prox map and by a descent of one block alone.

Nothing here is shared with the solvers: this prox goes through numpy's singular values and Newton's method, theirs
through compiled closed forms. In the coordinates of :mod:`solvers.coordinates`, with ``A = c - VG`` and the block's own
Gram matrix G_b,

    ``h(V + Δ_b) = h(V) + ½⟨Δ_b G_b, Δ_b⟩ - ⟨A_b, Δ_b⟩ + u_b (‖Z_b + Δ_b‖_p^p - ‖Z_b‖_p^p)``,

so that with ``ℓ_b`` the largest eigenvalue of G_b (largest of all blocks where a frequency has no power, and G_b = 0)
``prox(Z_b + A_b/ℓ_b)`` minimises an upper bound of h over block b that is exact at Z_b. Hence a predictor that no
single block can improve is a fixed point; and one that is none can be improved by any block that moves.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvers.problem import RegularizedProblem
from solvers.quadratic import Quadratic

__all__ = ["Point", "prox_blocks", "shrink"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
EPS = float(np.finfo(float).eps)
ZERO = 64 * EPS
"""Singular values up to this share of the largest count as 0: raised to a small power, round-off would cost."""
TIE = 1e-9
"""At the jump the prox has two values; this close to it, relative, a singular value may stay where it is."""
SURE = 1e-9
"""Relative, by which a bound must exclude a gain: less than that, two descents look for it."""
NEWTON_STEPS = 60
DESCENT_STEPS = 60


@dataclass(frozen=True, eq=False)
class Point:
    """A predictor as blocks with their singular value decompositions, and the slope of the loss there.

    Attributes
    ----------
    blocks : (F, K, C), real where a frequency is its own conjugate
    u, s, vh : (F, K, K), (F, min(K, C)) descending, (F, C, C)
    """

    problem: RegularizedProblem
    blocks: Complexes
    u: Complexes
    s: Floats
    vh: Complexes

    @staticmethod
    def of(
        problem: RegularizedProblem, values: Floats, *, slope: Floats | None = None, curvatures: Floats | None = None
    ) -> Point:
        """The predictor with coordinates ``(K, D)``, less what is round-off in it.

        ``slope = VG - c`` and ℓ of some blocks (NaN: of others), where passes over the data have given them, are not
        computed again.
        """
        blocks = problem.coordinates.blocks(values)
        n, k, c = blocks.shape
        u, vh = np.empty((n, k, k), complex), np.empty((n, c, c), complex)
        s = np.empty((n, min(k, c)))
        paired = problem.coordinates.paired
        for where, part in ((paired, blocks), (~paired, blocks.real)):  # real singular vectors of a real block
            u[where], s[where], vh[where] = _svd(part[where])
        s[s <= ZERO * s.max(initial=0.0)] = 0.0
        m = s.shape[1]
        point = Point(problem, (u[:, :, :m] * s[:, None, :]) @ vh[:, :m], u, s, vh)
        if slope is not None:
            point.__dict__["slope"] = -slope
        if curvatures is not None:
            point.__dict__["steepness"] = np.where(np.isnan(curvatures), point.least_steepness, curvatures)
        return point

    @cached_property
    def values(self) -> Floats:
        """``(K, D)``."""
        return self.problem.coordinates.from_blocks(self.blocks)

    @cached_property
    def ranks(self) -> NDArray[np.int64]:
        """``(F,)``."""
        return np.asarray((self.s > 0).sum(axis=1))

    @cached_property
    def slope(self) -> Floats:
        """``c - VG`` ``(K, D)``, minus half the gradient of the loss."""
        return -self.problem.quadratic.gradient(self.values)

    @cached_property
    def slope_blocks(self) -> Complexes:
        """The same as blocks ``(F, K, C)``."""
        return self.problem.coordinates.blocks(self.slope)

    @cached_property
    def loss(self) -> float:
        """``⟨‖y - Vx‖²⟩``."""
        return self.problem.quadratic.loss(self.values, -self.slope)

    @cached_property
    def penalties(self) -> Floats:
        """``(F,)``: ``u_b ‖Z_b‖_p^p``."""
        return np.asarray(self.problem.thresholds * (self.s**self.problem.power).sum(axis=1))

    @property
    def objective(self) -> float:
        """Loss and penalty."""
        return self.loss + 2.0 * float(self.penalties.sum())

    @property
    def size(self) -> float:
        """What the objective is compared with: ⟨‖y‖²⟩, or the objective where that is 0."""
        return self.problem.quadratic.target_power or self.objective or 1.0

    @cached_property
    def steepness(self) -> Floats:
        """``(F,)``: ℓ_b."""
        return _of_blocks(self.problem.quadratic).steepness

    @property
    def least_steepness(self) -> Floats:
        """``(F,)``, at most ℓ_b: ``‖⟨ρ xᵀ⟩_b‖² ≤ ⟨‖ρ‖²⟩ ℓ_b`` for the residual ρ = y - Vx; 1 where that is 0.

        A block at zero moves by ``(‖A_b‖ - u_b)²/ℓ_b``, if at all: taken for ℓ_b this makes the residual no smaller.
        """
        squares = np.asarray(np.sum(np.abs(self.slope_blocks) ** 2, axis=(1, 2)))
        least: Floats = np.ones_like(squares)
        np.divide(squares, self.loss, out=least, where=(squares > 0) & (self.loss > 0))
        return least

    @cached_property
    def proximal_step(self) -> Complexes:
        """``prox(Z + A/ℓ)`` of every block ``(F, K, C)``, where two values tie the one at hand."""
        steep = self.steepness[:, None, None]
        problem = self.problem
        ratios = problem.thresholds / self.steepness
        return prox_blocks(self.blocks + self.slope_blocks / steep, ratios, problem.power, problem.max_rank, self.s > 0)

    @property
    def residual(self) -> float:
        """``(Σ_b ℓ_b ‖Z_b - prox(Z_b + A_b/ℓ_b)‖²)^½`` relative to √⟨‖y‖²⟩."""
        moved = np.sum(np.abs(self.blocks - self.proximal_step) ** 2, axis=(1, 2))
        return float(np.sqrt(self.steepness @ moved / self.size))

    @property
    def slope_on_support(self) -> float:
        """The part of the gradient of h along matrices of the same ranks, in the units of :attr:`residual`.

        Zero at every local minimum, whether other places of a block are lower or not.
        """
        m = self.s.shape[1]
        inside = self.u.conj().swapaxes(1, 2) @ self.slope_blocks @ self.vh.conj().swapaxes(1, 2)
        power, kept = self.problem.power, self.s > 0
        pull = np.zeros_like(self.s)
        np.power(self.s, power - 1, out=pull, where=kept)
        diagonal = np.arange(m)
        inside[:, diagonal, diagonal] -= (self.problem.thresholds[:, None] * power) * pull
        k, c = inside.shape[1:]
        tangent = (np.arange(k)[:, None] < self.ranks[:, None, None]) | (np.arange(c) < self.ranks[:, None, None])
        parts = np.sum(np.abs(inside * tangent) ** 2, axis=(1, 2))
        return float(np.sqrt((parts / self.steepness).sum() / self.size))

    def gains(self) -> tuple[Floats, Complexes]:
        """What the objective loses ``(F,)`` when one block alone goes where it likes, and that place ``(F, K, C)``.

        Each block descends by its prox map from zero and from its least-squares value, but for those of which
        :meth:`_held` proves that they stay. A gain is certain; that there is none is certain of those, and where
        ``G_b = ℓ_b``; otherwise as far as these two descents see.
        """
        known, channels = _of_blocks(self.problem.quadratic), self.blocks.shape[2]
        here = _reals(self.blocks)
        pull = _reals(self.slope_blocks) + here @ known.grams
        most, place = np.zeros(len(here)), self.blocks.copy()
        free = np.flatnonzero(~self._held(pull))
        alone = _Alone(self.problem, free, known.grams[free], known.steepness[free], pull[free])
        height = alone.height(here[free])
        for start in (np.zeros_like(here[free]), pull[free] @ known.inverses[free]):
            x = alone.descend(start, 1e-20 * self.size)
            gain = 2.0 * (height - alone.height(x))
            better = gain > most[free]
            most[free[better]], place[free[better]] = gain[better], _complexes(x, channels)[better]
        return most, place

    def _held(self, pull: Floats) -> NDArray[np.bool_]:
        """``(F,)``: blocks at zero that no step of theirs can leave with a gain.

        ``½⟨ZG_b, Z⟩ - ⟨pull, Z⟩ + u‖Z‖_p^p`` is nowhere negative where ``u ≥ κ (4E)^{1-p} ‖pull‖_op^p``, κ and
        ``E = ½⟨pull G_b⁺, pull⟩`` as in :mod:`solvers.bounds`; for p ≤ 1. Where ``G_b = ℓ_b`` no other block is held.
        """
        p = self.problem.power
        if p > 1.0:
            return np.zeros(len(pull), dtype=bool)
        explained = 0.5 * np.sum((pull @ _of_blocks(self.problem.quadratic).inverses) * pull, axis=(1, 2))
        norms = _svd(_complexes(pull, self.blocks.shape[2]))[1][:, 0]
        kappa = ((1.0 - p) / (2.0 - p)) ** (1.0 - p) / (2.0 - p)
        needed = kappa * (4.0 * np.maximum(explained, 0.0)) ** (1.0 - p) * norms**p
        return np.asarray((self.ranks == 0) & (self.problem.thresholds >= needed * (1.0 + SURE)))


@dataclass(frozen=True)
class _BlockData:
    """What the data say of each block by itself.

    ``grams (F, 2C, 2C)``: its own part of Σ^xx, Re then Im, zero where a real number has no Im; their pseudo-inverses;
    ``steepness (F,)``: their largest eigenvalues, the largest of all where a frequency has no power.
    """

    grams: Floats
    inverses: Floats
    steepness: Floats


_known: weakref.WeakKeyDictionary[Quadratic, _BlockData] = weakref.WeakKeyDictionary()


def _of_blocks(loss: Quadratic) -> _BlockData:
    """Once for each data set."""
    known = _known.get(loss)
    if known is None:
        grams = loss.diagonal_blocks
        largest = np.linalg.eigvalsh(grams)[:, -1]
        most = float(largest.max())
        steep = np.where(largest > len(largest) * EPS * most, largest, most) if most else np.ones(len(largest))
        inverses = np.linalg.pinv(grams, rcond=1e-10, hermitian=True)
        known = _known[loss] = _BlockData(grams, np.asarray(inverses), steep)
    return known


@dataclass(frozen=True)
class _Alone:
    """Some blocks, each moved with all others as they are: ``½⟨ZG_b, Z⟩ - ⟨pull, Z⟩ + u_b‖Z‖_p^p``, Z ``(K, 2C)``."""

    problem: RegularizedProblem
    which: NDArray[np.int64]
    grams: Floats
    steepness: Floats
    pull: Floats

    def height(self, x: Floats) -> Floats:
        """h of each ``(n,)``, up to a constant."""
        s = _svd(_complexes(x, x.shape[2] // 2))[1].copy()
        s[s <= ZERO * s.max(axis=1, keepdims=True, initial=0.0)] = 0.0
        penalty = self.problem.thresholds[self.which] * (s**self.problem.power).sum(axis=1)
        return np.asarray(np.sum((0.5 * (x @ self.grams) - self.pull) * x, axis=(1, 2)) + penalty)

    def descend(self, x: Floats, enough: float) -> Floats:
        """From ``x (n, K, 2C)`` by the prox map, until the squares of the moves are ``enough``."""
        problem, channels = self.problem, x.shape[2] // 2
        ratios, none = problem.thresholds[self.which] / self.steepness, np.zeros((len(x), 1), dtype=bool)
        for _ in range(DESCENT_STEPS):
            y = x + (self.pull - x @ self.grams) / self.steepness[:, None, None]
            moved = _reals(prox_blocks(_complexes(y, channels), ratios, problem.power, problem.max_rank, none))
            change = float((self.steepness * np.sum((moved - x) ** 2, axis=(1, 2))).sum())
            x = moved
            if change <= enough:
                break
        return x


def _reals(blocks: Complexes) -> Floats:
    """``(F, K, 2C)``: Re, then Im."""
    return np.concatenate([blocks.real, blocks.imag], axis=2)


def _complexes(reals: Floats, channels: int) -> Complexes:
    """Inverse of :func:`_reals`."""
    return np.asarray(reals[:, :, :channels] + 1j * reals[:, :, channels:])


def _svd(blocks: NDArray[Any]) -> tuple[NDArray[Any], Floats, NDArray[Any]]:
    """``np.linalg.svd``; numbers have theirs at once."""
    if blocks.shape[1:] != (1, 1):
        u, s, vh = np.linalg.svd(blocks)
        return u, s, vh
    s = np.abs(blocks[:, :, 0])
    u = np.divide(blocks, s[:, :, None], out=np.ones_like(blocks), where=s[:, :, None] > 0)
    return u, s, np.ones_like(blocks)


def prox_blocks(blocks: Complexes, u: Floats, power: float, rank: int, kept: NDArray[np.bool_]) -> Complexes:
    """The minimiser of ``½‖Z - Y‖² + u ‖Z‖_p^p`` over rank Z ≤ ``rank`` for each of ``(F, K, C)``."""
    left, s, right = _svd(blocks)
    left, right = left[:, :, : s.shape[1]], right[:, : s.shape[1]]
    shrunk = shrink(s, u[:, None], power, kept)
    shrunk[:, rank:] = 0.0
    return np.asarray((left * shrunk[:, None, :]) @ right)


def shrink(z: Floats, u: Floats, power: float, kept: NDArray[np.bool_]) -> Floats:
    """The minimiser of ``½(x - z)² + u x^p`` over x ≥ 0; within ``TIE`` of the jump not 0 where ``kept``."""
    if power == 2:
        return np.asarray(z / (1.0 + 2.0 * u))
    if power == 1:
        return np.maximum(z - u, 0.0)
    u = np.broadcast_to(u, z.shape)
    landing = (2.0 * (1.0 - power) * u) ** (1.0 / (2.0 - power))
    jump = landing * (2.0 - power) / (2.0 * (1.0 - power))
    live = (z > jump * np.where(kept, 1.0 - TIE, 1.0 + TIE)) & (z > 0)
    x, target, weight = z[live], z[live], (power * u)[live]
    # the derivative is convex and increasing from its inflection, which lies below the root: Newton falls to the root
    for _ in range(NEWTON_STEPS):
        pull = weight * x ** (power - 1.0)
        step = (x - target + pull) / (1.0 + (power - 1.0) * pull / x)
        x = x - step
        if np.all(np.abs(step) <= 2 * EPS * x):
            break
    shrunk = np.zeros_like(z)
    shrunk[live] = x
    return shrunk

r"""The global minimum, certified: branch and bound for one output and one channel.

    ``min_x h(x) = ½xᵀGx - cᵀx + Σ_b u_b |z_b|^p``,   ``p = 2/L``,   theory notes, section 3

over real x in blocks of one or two columns (the real and imaginary part of a frequency). For L ≥ 3 the penalty is
concave in ``r = |z_b|``, zero is a local minimum in every block, and no local rule proves anything; this search does.

**Nodes.** A node confines every ``|z_b|`` to ``{0}``, ``[l, U]`` or ``{0} ∪ [l, U]``.

**Landing.** A block of a global minimiser is 0, or at least where the prox lands behind its jump,

    ``|z_b| ≥ (2(1-p) u_b / τ_b)^{1/(2-p)}``,   ``τ_b`` the largest eigenvalue of ``G_bb``.

Proof: along the ray ``t z_b`` h is ``½At² - Bt + Ct^p`` with ``A = z_bᵀG_bb z_b ≤ τ_b r²``, ``C = u_b r^p``, least at
t = 1: so ``A - B + pC = 0``, and the value is not above that at t = 0, ``½A - B + C ≤ 0``; hence ``(1-p)C ≤ ½A``.

**Reach.** With ``q(x) = ½xᵀGx - cᵀx`` and h* the best value known, ``u_b |z_b|^p ≤ h* - min q`` and
``|z_b - z_b^LS|² ≤ 2(h* - min q) ‖(G⁻¹)_bb‖``: the first U.

**Relaxation.** ``G = Q + Δ``, ``Δ = σ diag(τ_b)`` with a σ that keeps Q positive definite on the blocks that may be
nonzero (anew whenever a block is fixed at zero; 0 where G is singular there). ``u r^p + ½δr²`` is bounded from below
by its secant in u r^p over [l, U]; below l by a constant, or by the tangent through 0 where 0 is allowed. The result
e_b is convex, and ``½xᵀQx - cᵀx + Σ_b e_b(|z_b|)`` a group lasso with boxes. Where its solution lies below l, its value
is above h there, so that the best point known already excludes the node: no hole need be cut out.

**Bound.** Convexity of ``½xᵀQx`` alone gives, for *any* x̂ and ``g = Qx̂ - c``,

    ``h(x) ≥ -½x̂ᵀQx̂ + Σ_b min_{0≤r≤U} (e_b(r) - |g_b| r)``,

with equality at the relaxation's solution: no bound rests on convergence. A margin covers the round-off of g. What a
term leaves above the best value is cut from its interval, or decides between zero and not.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lineardyn.errors import ArgumentError
from lineardyn.validation import check_array, check_count, check_number
from solvers import _exhaustive_kernels as kernels

__all__ = ["MAX_BLOCKS", "Bounds", "minimise_globally"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Progress = Callable[[float, float, int], object]

MAX_BLOCKS = 26
"""Blocks that the search accepts: about 24 are mostly done within seconds, the cost doubles with every second one."""

INDEFINITE = 1e-10
"""An eigenvalue of G below minus this share of the largest is no round-off."""

FARTHEST = 1e60
"""A magnitude beyond which the penalty over the interval tells nothing in float64."""

ROOM = 2**29
"""Bytes of open nodes."""

PAUSE = 0.1
"""Seconds of compiled search, about, between two looks at the clock, at Ctrl-C and at ``progress``."""


@dataclass(frozen=True)
class Bounds:
    """Between what the minimum of h lies, proved.

    Attributes
    ----------
    lower, upper
        ``lower ≤ min h ≤ upper = h(x)``, up to round-off; ``lower`` holds whatever the status.
    x
        The best point found, ``(D,)``: a local minimum of h, the global one up to ``gap``.
    n_nodes, seconds
        Nodes whose bound was computed; the time it took.
    status
        ``"closed"``: the gap is what was asked for; ``"out of time"``, ``"out of nodes"``: it is what it is.
    """

    lower: float
    upper: float
    x: Floats
    n_nodes: int
    seconds: float
    status: str

    @property
    def gap(self) -> float:
        """``upper - lower``; half of the gap of the objective ``⟨‖y‖²⟩ + 2h``."""
        return self.upper - self.lower


def minimise_globally(
    gram: ArrayLike,
    cross: ArrayLike,
    starts: ArrayLike,
    thresholds: ArrayLike,
    depth: int,
    *,
    scale: float,
    tol: float = 1e-7,
    max_nodes: int = 2_000_000,
    time_limit: float = 60.0,
    start: ArrayLike | None = None,
    progress: Progress | None = None,
) -> Bounds:
    r"""Global minimum of ``½xᵀGx - cᵀx + Σ_b u_b |z_b|^{2/L}`` with a proof: branch and bound.

    Parameters
    ----------
    gram, cross
        G ``(D, D)``, positive semidefinite, it may be singular (eigenvalues down to -1e-10 of the largest count as
        zero); c ``(D,)`` in its range.
    starts
        ``(B+1,)``: block b is the columns ``starts[b]:starts[b+1]``, one or two; at most ``MAX_BLOCKS`` blocks.
    thresholds
        u ``(B,)``, positive.
    depth
        L ≥ 2; for L = 1 there is ridge.
    scale
        ``⟨‖y‖²⟩``, the objective ``scale + 2h`` at zero: what ``tol`` is relative to.
    tol
        The search ends when the gap of the objective is at most ``tol · scale``.
    max_nodes, time_limit
        It also ends after so many nodes (or half a GB of open ones) or seconds (looked at every 0.1 s).
    start
        A point ``(D,)`` to begin with, for instance what another solver found; its descent is tried first.
    progress
        Called about ten times a second with ``lower, upper, n_nodes``.

    Returns
    -------
    Bounds

    Raises
    ------
    ArgumentError
        Shapes that do not match, G not symmetric or not positive semidefinite (names the eigenvalue), c not in its
        range, thresholds, scale, tol or limits not positive, L < 2, too many blocks (says what it would cost), a depth
        at which magnitudes may leave float64.

    Notes
    -----
    Theory notes, section 3; why the bounds hold is at the head of :mod:`solvers.exhaustive`. The landing and the
    reach hold for minimisers, so that ``lower`` bounds the minimum, not h on every set. Bit-reproducible where neither
    ``time_limit`` nor Ctrl-C ends it.

    Examples
    --------
    One coefficient at L = 4, ``½x² - 2x + u √|x|``: the jump is at ``1.5 u^{2/3} = 2``.

    >>> u = (2 / 1.5) ** 1.5
    >>> for factor in (0.99, 1.01):
    ...     found = minimise_globally([[1.0]], [2.0], [0, 1], [factor * u], 4, scale=4.0)
    ...     print(found.status, found.x.round(3), found.gap <= 2e-7)
    closed [1.342] True
    closed [0.] True
    """
    began = time.perf_counter()
    depth = check_count("depth", depth, minimum=2)
    scale = check_number("scale", scale, minimum=0.0, strict=True)
    tol = check_number("tol", tol, minimum=0.0, strict=True)
    max_nodes = check_count("max_nodes", max_nodes)
    time_limit = check_number("time_limit", time_limit, minimum=0.0, strict=True)
    problem, inverse, least_squares = _checked(gram, cross, starts, thresholds, depth)
    first = None if start is None else check_array("start", start, shape=(len(problem[1]),), why="D columns")
    tree = _Tree(problem, tolerance=0.4999 * tol * scale)  # h is half of it, and round-off must not show
    tree.offer_starts(least_squares, first)
    tree.plant(inverse, least_squares)
    status = tree.grow(max_nodes, began + time_limit, progress)
    upper = _value(problem, tree.best)
    return Bounds(min(tree.lower, upper), upper, tree.best, tree.n_nodes, time.perf_counter() - began, status)


def _value(problem: tuple[Any, ...], x: Floats) -> float:
    """``h(x)``, not by the kernels."""
    gram, cross, starts, _, thresholds, power, _ = problem
    magnitudes = np.sqrt(np.add.reduceat(x * x, starts[:-1]))
    return float(0.5 * x @ gram @ x - cross @ x + thresholds @ magnitudes**power)


class _Tree:
    """The open nodes, the best point, and what the kernels count."""

    def __init__(self, problem: tuple[Any, ...], tolerance: float) -> None:
        self.problem = problem
        self.best = np.zeros(len(problem[1]))
        self._floats = np.array([0.0, tolerance])  # h(0) = 0
        self._counts = np.zeros(kernels.COUNTS, np.int64)
        self._nodes: tuple[Any, ...] = ()
        self._enlarge(256)

    @property
    def n_nodes(self) -> int:
        return int(self._counts[kernels.NODES])

    @property
    def lower(self) -> float:
        """All that was discarded is above the best value less the tolerance, the rest above the lowest open bound."""
        lower = self._floats[kernels.UPPER] - self._floats[kernels.TOLERANCE]
        if self._counts[kernels.OPEN]:
            bounds, heap = self._nodes[4], self._nodes[6]
            lower = min(lower, bounds[heap[0]])
        return float(lower)

    def _nothing_is_low(self) -> bool:
        """Whether all open nodes would be discarded."""
        cut = self._floats[kernels.UPPER] - self._floats[kernels.TOLERANCE]
        return not self._counts[kernels.OPEN] or bool(self._nodes[4][self._nodes[6][0]] >= cut)

    def offer_starts(self, least_squares: Floats, start: Floats | None) -> None:
        """Descend to the first best point: from ``start``, ridge solutions and zero."""
        gram, cross = self.problem[:2]
        level = np.trace(gram) / len(cross)
        points = [] if start is None else [start]
        points += [least_squares, np.zeros(len(cross))]
        points += [np.linalg.solve(gram + a * level * np.eye(len(cross)), cross) for a in (1e-3, 0.1, 1.0) if level > 0]
        for point in points:
            kernels.offer(self.problem, np.ascontiguousarray(point), self.best, self._floats)

    def plant(self, inverse: Floats | None, least_squares: Floats) -> None:
        """Bound the root, twice where its solution leads to a better point, and open it."""
        cross, thresholds = self.problem[1], self.problem[4]
        minimum = -0.5 * float(cross @ least_squares)
        table = np.empty((kernels.ROWS, len(thresholds)))
        for _ in range(2):
            upper = self._floats[kernels.UPPER]
            low, high = _first_box(self.problem, upper - minimum, inverse, least_squares)
            optional, x, slope = np.ones(len(low), bool), self.best.copy(), np.empty(len(cross))
            cut = upper - self._floats[kernels.TOLERANCE]
            bound, share = kernels.evaluate(self.problem, 0.0, optional, low, high, x, slope, table, cut)
            self._counts[kernels.NODES] += 1
            if bound >= cut:
                return
            kernels.offer(self.problem, x, self.best, self._floats)
            if self._floats[kernels.UPPER] == upper:
                break
        kernels.push(self._nodes, self._counts, optional, low, high, x, max(bound, minimum), share)

    def grow(self, max_nodes: int, deadline: float, progress: Progress | None) -> str:
        """Search in pieces of about ``PAUSE`` seconds: the status."""
        budget = 16
        while True:
            began = time.perf_counter()
            state = kernels.search(self.problem, self._nodes, self.best, self._floats, self._counts, budget)
            now = time.perf_counter()
            if progress is not None:
                progress(self.lower, float(self._floats[kernels.UPPER]), self.n_nodes)
            if state == kernels.CLOSED or self._nothing_is_low():
                return "closed"
            if now > deadline:
                return "out of time"
            if self.n_nodes >= max_nodes or (state == kernels.FULL and not self._enlarge(2 * len(self._nodes[0]))):
                return "out of nodes"
            pace = (now - began) / budget if state == kernels.BUDGET else PAUSE
            wanted = min(PAUSE, max(deadline - now, 0.0)) / max(pace, 1e-9)
            budget = int(max(1, min(wanted, 4 * budget, (max_nodes - self.n_nodes + 1) // 2)))

    def _enlarge(self, rows: int) -> bool:
        """Make room for ``rows`` nodes; False where that is more than ``ROOM``."""
        blocks, width = len(self.problem[4]), len(self.problem[1])
        if rows * (17 * blocks + 8 * width + 32) > ROOM:
            return False
        shapes = [(blocks, bool), (blocks, float), (blocks, float), (width, float), (0, float), (0, float)]
        new = [np.zeros((rows, n) if n else rows, kind) for n, kind in shapes]
        new += [np.zeros(rows, np.int64), np.zeros(rows, np.int64)]
        old = len(self._nodes[0]) if self._nodes else 0
        for fresh, had in zip(new, self._nodes, strict=False):
            fresh[:old] = had
        free = int(self._counts[kernels.FREE])
        new[7][free : free + rows - old] = np.arange(rows - 1, old - 1, -1)
        self._counts[kernels.FREE] += rows - old
        self._nodes = tuple(new)
        return True


def _first_box(
    problem: tuple[Any, ...], room: float, inverse: Floats | None, least_squares: Floats
) -> tuple[Floats, Floats]:
    """Landing and reach of every block, where ``room = h* - min q``."""
    _, _, starts, lipschitz, thresholds, power, _ = problem
    room = max(room, 0.0)
    with np.errstate(over="ignore", divide="ignore"):
        low = np.where(lipschitz > 0, (2 * (1 - power) * thresholds / lipschitz) ** (1 / (2 - power)), np.inf)
        by_penalty = (room / thresholds) ** (1 / power)
    high = by_penalty
    if inverse is not None:
        for b, (i, j) in enumerate(pairwise(starts)):
            ellipsoid = np.sqrt(2 * room * np.linalg.norm(inverse[i:j, i:j], 2))
            high[b] = min(high[b], np.linalg.norm(least_squares[i:j]) + ellipsoid)
    high *= 1 + 1e-9
    low = low * (1 - 1e-12)
    high[high < low] = 0.0
    if high.max() > FARTHEST:
        raise ArgumentError(
            f"depth is {round(2 / power)}: with this gram, singular or nearly so, magnitudes up to {high.max():.0e} "
            f"cannot be excluded, which float64 does not bound: expected a smaller depth or larger thresholds"
        )
    return low, np.where(lipschitz > 0, high, 0.0)


def _checked(
    gram: ArrayLike, cross: ArrayLike, starts: ArrayLike, thresholds: ArrayLike, depth: int
) -> tuple[tuple[Any, ...], Floats | None, Floats]:
    """The problem as the kernels read it, a bound on the inverse of G (None where singular), least squares."""
    vector = check_array("cross", cross, shape=(None,))
    width = len(vector)
    matrix = check_array("gram", gram, shape=(width, width), why="D is the length of cross")
    blocks = _check_blocks(starts, width)
    weights = check_array("thresholds", thresholds, shape=(len(blocks) - 1,), why="one for each block of starts")
    if not (weights > 0).all():
        b = int(np.argmin(weights))
        raise ArgumentError(f"thresholds[{b}] is {weights[b]:g}, expected numbers > 0: every block is penalised")
    largest = np.abs(matrix).max()
    if np.abs(matrix - matrix.T).max() > INDEFINITE * largest:
        raise ArgumentError("gram is not symmetric, expected second moments: use (gram + gram.T) / 2 if that is meant")
    matrix, inverse, least_squares = _spectral(0.5 * (matrix + matrix.T), vector)
    lipschitz = np.array([max(0.0, np.linalg.eigvalsh(matrix[i:j, i:j])[-1]) for i, j in pairwise(blocks)])
    widths = np.diff(blocks)
    root = np.repeat(np.where(lipschitz > 0, 1 / np.sqrt(np.where(lipschitz > 0, lipschitz, 1.0)), 0.0), widths)
    scaled = matrix * root * root[:, None]
    return (matrix, vector, blocks, lipschitz, weights, 2.0 / depth, scaled), inverse, least_squares


def _check_blocks(starts: ArrayLike, width: int) -> Integers:
    array = np.asarray(starts)
    if array.ndim != 1 or array.dtype.kind not in "iu" or len(array) < 2:
        raise ArgumentError(f"starts has shape {array.shape} and dtype {array.dtype}, expected integers (B+1,)")
    blocks = np.ascontiguousarray(array, dtype=np.int64)
    sizes = np.diff(blocks)
    if blocks[0] != 0 or blocks[-1] != width or sizes.min() < 1 or sizes.max() > 2:
        raise ArgumentError(
            f"starts is {blocks.tolist()}, expected 0, .., {width} in steps of 1 or 2: one or two columns a block "
            f"(one output, one channel)"
        )
    if len(sizes) > MAX_BLOCKS:
        magnitude = round(1 + 0.15 * (len(sizes) - 24))
        raise ArgumentError(
            f"starts has {len(sizes)} blocks, expected at most {MAX_BLOCKS}: the search is exponential, a case of this "
            f"size may take 10^{magnitude} seconds where 24 blocks take 10; use a local solver"
        )
    return blocks


def _spectral(gram: Floats, cross: Floats) -> tuple[Floats, Floats | None, Floats]:
    """G without negative eigenvalues, a matrix above its inverse (None where it is singular), least squares."""
    values, vectors = np.linalg.eigh(gram)
    top = max(values[-1], 0.0)
    if values[0] < -INDEFINITE * top:
        raise ArgumentError(
            f"gram has the eigenvalue {values[0]:.3g} where the largest is {values[-1]:.3g}, expected a positive "
            f"semidefinite matrix: second moments of data have no negative eigenvalue beyond round-off"
        )
    noise = len(values) * 2.2e-16 * top
    kept = values > noise
    coordinates = vectors.T @ cross
    outside, size = np.linalg.norm(coordinates[~kept]), np.linalg.norm(cross)
    if outside > 1e-7 * size:
        raise ArgumentError(
            f"cross has the part {outside:.3g} of its norm {size:.3g} where gram vanishes, expected moments of the "
            f"same data: h would have no minimum"
        )
    least_squares = vectors[:, kept] @ (coordinates[kept] / values[kept])
    if kept.all():
        return gram, (vectors / (values - noise)) @ vectors.T, least_squares
    if values[0] < -noise:  # the bounds rest on convexity: what stands for zero must be zero
        gram = (vectors * np.maximum(values, 0.0)) @ vectors.T
        gram = 0.5 * (gram + gram.T)
    return gram, None, least_squares

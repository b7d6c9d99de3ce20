r"""From which weight decay on nothing is learned.

Depth 2: 0 is the minimum exactly where no block of Σ^yx is above its threshold, ``‖c_b‖_op ≤ u_b``. Depth ≥ 3 (p < 1):
along a line, ``h(tV) = t²M - ta + t^p Q`` with ``M = ½⟨VG, V⟩``, ``a = ⟨c, V⟩``, ``Q = Σ u_b‖Z_b‖_p^p`` is nowhere
negative exactly where

    ``Q ≥ κ a^{2-p} M^{p-1}``,   ``κ = ((1-p)/(2-p))^{1-p}/(2-p)``.

*Together*: ``a² ≤ 4EM`` with ``E = ½⟨cG^{-1}, c⟩``, half of what least squares explains, and
``a^p ≤ Σ_b ‖c_b‖_op^p ‖Z_b‖_p^p`` (p ≤ 1), so that ``u_b ≥ κ (4E)^{1-p} ‖c_b‖_op^p`` for every b suffices. *Apart*:
where ``G ⪰ diag(τ_b)``, h is at least a sum over singular values (von Neumann) of ``½τ_b s² - ‖c_b‖_op s + u_b s^p``,
so that ``u_b ≥ κ (2/τ_b)^{1-p} ‖c_b‖_op^{2-p}`` suffices. The second is exact where all blocks of Σ^xx are τ_f·I and no
two frequencies correlate; the first where one frequency explains everything.
"""

from __future__ import annotations

import weakref
from itertools import pairwise

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from solvers.problem import RegularizedProblem, check_problem
from solvers.quadratic import Quadratic

__all__ = ["lambda_max", "leaves_zero"]

Floats = NDArray[np.float64]
EPS = float(np.finfo(float).eps)
LARGEST, SMALL = 4096, 256
"""Columns up to which Σ^xx is factorised for a better bound: where it is given, and where it must first be formed."""


def lambda_max(problem: RegularizedProblem) -> float:
    r"""The weight decay from which on the predictor 0 is the global minimum.

    Parameters
    ----------
    problem
        Its λ is not read.

    Returns
    -------
    Depth 2: exactly the threshold. Depth ≥ 3: proven to be enough, and exact where Σ^xx is diagonal in frequency with
    blocks τ_f·I (up to the round-off of its eigenvalues); otherwise 0 may be the minimum from a smaller λ on. Depth 1:
    ``inf``, ridge never vanishes. 0 where ``Σ^yx = 0``: nothing is learned at any λ.

    Raises
    ------
    ArgumentError
        ``problem`` of another type.

    Notes
    -----
    Theory section 3, completed: the proofs stand at the top of this module. 0 is a *local* minimum for every λ > 0 at
    depth ≥ 3. A bound on the rank changes nothing at depth 2 (a matrix of rank 1 is what leaves 0 first), nor where
    the bound for depth ≥ 3 is exact.

    Examples
    --------
    >>> from lineardyn import SecondMoments
    >>> from solvers import RegularizedProblem
    >>> moments = SecondMoments.from_data([[[[2.0, 0.0]]], [[[0.0, 2.0]]]], [[1.0], [1.0]])  # τ = 2, v_LS = (√2/2, 0)
    >>> round(lambda_max(RegularizedProblem(moments, depth=2, lam=1.0)), 12)  # √P τ |v_LS|
    2.0
    """
    check_problem(problem)
    loss = problem.quadratic
    norms = np.linalg.svd(problem.coordinates.blocks(loss.cross), compute_uv=False)[:, 0]
    if not norms.any():
        return 0.0
    if problem.depth == 1:
        return float("inf")
    weights = problem.with_lam(1.0).thresholds  # not u_b/λ: no bit of the answer may depend on λ
    if problem.depth == 2:
        return float((norms / weights).max())
    p = problem.power
    kappa = ((1 - p) / (2 - p)) ** (1 - p) / (2 - p)
    explained, curved = _factorised(loss)
    together = (4 * explained) ** (1 - p) * norms**p
    apart = np.where(norms > 0, np.inf, 0.0)
    np.divide(norms ** (2 - p) * 2 ** (1 - p), curved ** (1 - p), out=apart, where=curved > 0)
    return float(kappa * min((together / weights).max(), (apart / weights).max()))


def leaves_zero(problem: RegularizedProblem) -> bool:
    """Whether some block alone lowers h from the predictor 0: a cheap proof that 0 is not the minimum.

    Block b at ``s`` times the leading singular vectors of c_b changes h by at most ``½ℓ_b s² - ‖c_b‖ s + u_b s^p``.
    At depth ≥ 3 that goes below 0 where ``‖c_b‖/ℓ_b`` is beyond the jump of the prox with threshold ``u_b/ℓ_b``.
    """
    norms = problem.coordinates.singular_values(problem.quadratic.cross).max(axis=1)
    if problem.depth == 1:
        return bool(norms.any())
    if problem.depth == 2:
        return bool(np.any(norms > problem.thresholds * (1 + 16 * EPS)))
    steep = problem.quadratic.curvatures
    live = steep > 0
    ratios, p = problem.thresholds[live] / steep[live], problem.power
    jump = (2 - p) / (2 * (1 - p)) * (2 * (1 - p) * ratios) ** (1 / (2 - p))
    return bool(np.any(norms[live] / steep[live] > jump * (1 + 16 * EPS)))


_known: weakref.WeakKeyDictionary[Quadratic, tuple[float, Floats]] = weakref.WeakKeyDictionary()


def _factorised(loss: Quadratic) -> tuple[float, Floats]:
    """E and τ, once for each data set; ``½⟨‖y‖²⟩`` and zeros where a factorisation is too much."""
    known = _known.get(loss)
    if known is None:
        most = LARGEST if loss.moments.statistics.dense else SMALL
        if loss.coordinates.size <= most:
            known = _explained(loss), _block_curvatures(loss)
        else:
            known = 0.5 * loss.target_power, np.zeros(loss.coordinates.n_blocks)
        _known[loss] = known
    return known


def _explained(loss: Quadratic) -> float:
    """E, half of what least squares explains."""
    half = 0.5 * loss.target_power
    values, vectors = scipy.linalg.eigh(loss.gram)
    values = np.maximum(values, len(values) * EPS * values[-1])  # below it Σ^xx is round-off
    return min(half, 0.5 * float(((loss.cross @ vectors) ** 2 / values).sum()))


def _block_curvatures(loss: Quadratic) -> Floats:
    """``(F,)`` τ_b with ``G ⪰ diag(τ_b)``: the smallest eigenvalue of each block of G, times one factor ≤ 1 for all."""
    columns = loss.coordinates
    parts = [slice(*ends) for ends in pairwise(columns.starts)]
    lowest = np.array([scipy.linalg.eigvalsh(loss.gram[part, part])[0] for part in parts])
    power = np.array([np.trace(loss.gram[part, part]) for part in parts])
    live = power > columns.size * EPS * power.max()  # where no image has power, Σ^xx and Σ^yx are 0
    if np.any(lowest[live] <= columns.size * EPS * power[live]):
        return np.zeros(columns.n_blocks)
    there = live[columns.block_of_column]
    root = np.sqrt(lowest[columns.block_of_column][there])
    scaled = scipy.linalg.eigvalsh(loss.gram[np.ix_(there, there)] / root / root[:, None])
    share = float(scaled[0] - 4 * EPS * scaled[-1])
    return np.where(live, max(share, 0.0) * lowest, 0.0)

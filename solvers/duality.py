r"""A lower bound of the convex problems, from their dual.

Of ``½⟨‖y - Vx‖²⟩ + Ω(V)`` the dual is ``max_θ ⟨yθ⟩ - ½⟨‖θ‖²⟩ - Ω*(⟨θ xᵀ⟩)``. Scaled residuals ``θ = t (y - Vx)`` have
``⟨θ xᵀ⟩ = tA``, ``A = c - VG``, and need second moments alone: with ``⟨y·(y - Vx)⟩ = loss + ⟨V, A⟩`` the gap comes to

    ``objective - 2·dual = (1 - t)² loss + 2 [Ω(V) - t⟨V, A⟩ + Ω*(tA)]``,

a sum of terms that are not negative (Fenchel), in which nothing cancels near the minimum.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from solvers.stationarity import Point

__all__ = ["duality_gap"]

Floats = NDArray[np.float64]


def duality_gap(point: Point) -> float:
    """Objective minus the best of these lower bounds; depth 1 or 2, whether the rank is bounded or not.

    At depth 2, ``Ω* = 0`` where every block of ``tA`` has operator norm ≤ u_b, else ∞; at depth 1,
    ``Ω*(A) = ‖A‖²/(2λ)``. A bound on the rank only adds to the minimum.
    """
    return _ridge_gap(point) if point.problem.depth == 1 else _norm_gap(point)


def _ridge_gap(point: Point) -> float:
    lam, slope = point.problem.lam, point.slope
    along = float(np.sum(point.values * slope))
    dual = float(np.sum(slope**2)) / lam
    scale = (point.loss + along) / (point.loss + dual) if point.loss + dual > 0 else 1.0
    return (1.0 - scale) ** 2 * point.loss + float(np.sum((lam * point.values - scale * slope) ** 2)) / lam


def _norm_gap(point: Point) -> float:
    blocks = point.slope_blocks
    vectors = min(blocks.shape[1:]) == 1  # whose norm is their one singular value
    norms = np.linalg.norm(blocks, axis=(1, 2)) if vectors else np.linalg.svd(blocks, compute_uv=False)[:, 0]
    widest = float((norms / point.problem.thresholds).max())
    along = np.sum(point.blocks.real * point.slope_blocks.real + point.blocks.imag * point.slope_blocks.imag, (1, 2))
    scale = 1.0 + float(along.sum()) / point.loss if point.loss > 0 else 0.0
    if abs(scale) * widest > 1.0:
        scale = float(np.copysign(1.0 / widest, scale))
    unmatched = np.maximum(point.penalties - scale * along, 0.0)  # block by block, each not negative
    return (1.0 - scale) ** 2 * point.loss + 2.0 * float(unmatched.sum())

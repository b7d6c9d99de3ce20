"""The prox from its definition, in forty digits, and the objectives that it minimises."""

from __future__ import annotations

import mpmath
import numpy as np

DIGITS = 40


def landing(u: float, depth: int) -> mpmath.mpf:
    """``s* = (2(1-p)u)^{1/(2-p)}`` for depth >= 3."""
    p = mpmath.mpf(2) / depth
    return (2 * (1 - p) * mpmath.mpf(u)) ** (1 / (2 - p))


def threshold(u: float, depth: int) -> mpmath.mpf:
    """``v* = s*(2-p)/(2(1-p))``, u for depth 2, 0 for depth 1."""
    if depth <= 2:
        return mpmath.mpf(u if depth == 2 else 0)
    p = mpmath.mpf(2) / depth
    return landing(u, depth) * (2 - p) / (2 * (1 - p))


def prox(z: float, u: float, depth: int) -> mpmath.mpf:
    """The minimiser for z >= 0: the largest root of ``x = z - u p x^{p-1}`` above the jump, by Newton's steps."""
    if depth == 1:
        return mpmath.mpf(z) / (1 + 2 * mpmath.mpf(u))
    if mpmath.mpf(z) <= threshold(u, depth):
        return mpmath.mpf(0)
    p, x = mpmath.mpf(2) / depth, mpmath.mpf(z)
    for _ in range(200):  # from the right of a convex function: they go down to the root
        pull = u * p * x ** (p - 1)
        step = (x - z + pull) / (1 - (1 - p) * pull / x)
        x -= step
        if abs(step) <= x * mpmath.mpf(10) ** (8 - DIGITS):
            return x
    raise AssertionError(f"no root for z={z}, u={u}, depth={depth}")


def objective(x: np.ndarray, z: complex, u: float, depth: int) -> np.ndarray:
    """``½|x - z|² + u|x|^{2/depth}``."""
    return 0.5 * np.abs(x - z) ** 2 + u * np.abs(x) ** (2.0 / depth)


def schatten_objective(x: np.ndarray, z: np.ndarray, u: float, depth: int) -> float:
    """``½‖X - Z‖² + u Σ s_i^{2/depth}``; singular values of round-off count as 0."""
    values = np.linalg.svd(x, compute_uv=False)
    values = values[values > 1e-13 * np.linalg.norm(z)]
    return float(0.5 * np.linalg.norm(x - z) ** 2 + u * (values ** (2.0 / depth)).sum())

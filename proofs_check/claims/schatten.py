"""Singular values for the claims about Schatten norms: batches of matrices, cut where they are round-off, and exact.

Round-off zeros are the trap of small powers: ``(1e-17)^0.1`` is 0.02, which fakes a violation. In float64 a singular
value of a product counts as 0 below :data:`CUT` times the product of the factors' operator norms, by which round-off is
bounded; a residual that still exceeds its tolerance is judged with 60 digits (mpmath).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CUT",
    "adjoint",
    "draw_matrices",
    "draw_unitaries",
    "exact_matrix",
    "exact_singular_values",
    "in_extended_precision",
    "over_operator_norm",
    "powers",
    "product",
    "singular_values",
    "well_conditioned",
    "with_singular_values",
    "without_round_off",
]

Floats = NDArray[np.float64]
Matrices = NDArray[Any]

CUT = 1e-13
"""Bound of the round-off in a product of at most four 4×4 matrices and its SVD, over its factors' operator norms."""
DIGITS = 60
"""Of the extended computation."""
EXACT_CUT = 1e-50
"""What is 0 there."""
CONDITION = 1e3
"""Up to which float64 decides."""


def adjoint(matrices: Matrices) -> Matrices:
    """``A^*`` over the last two axes."""
    return matrices.conj().swapaxes(-1, -2)


def singular_values(matrices: Matrices) -> Floats:
    """Descending, over the last axis; as many as the smaller dimension."""
    values: Floats = np.linalg.svd(matrices, compute_uv=False)
    return values


def product(factors: Sequence[Matrices]) -> Matrices:
    """``A_1 A_2 ⋯`` of batches."""
    total = factors[0]
    for factor in factors[1:]:
        total = total @ factor
    return total


def over_operator_norm(matrices: Matrices) -> tuple[Matrices, Floats]:
    """Matrices ``(n, ., .)`` over their operator norms, and their singular values; 0 stays 0."""
    values = singular_values(matrices)
    top = np.where(values[:, :1] > 0.0, values[:, :1], 1.0)
    return matrices / top[:, :, None], without_round_off(values / top)


def without_round_off(values: Floats, bound: Floats | float = 1.0) -> Floats:
    """Singular values with those up to ``CUT · bound`` set to 0; the bound is the product of the operator norms."""
    return np.where(values > CUT * bound, values, 0.0)


def powers(values: Floats, exponent: Floats) -> Floats:
    """``s^r`` of singular values ``(n, m)`` with exponents ``(n,)``; 0 stays 0."""
    raised: Floats = values ** exponent[:, None]
    return raised


def draw_matrices(rng: np.random.Generator, n: int, rows: int, columns: int) -> Matrices:
    """``(n, rows, columns)`` complex: normal, real, of few distinct singular values, of low rank, of any condition."""
    normal = rng.standard_normal((n, rows, columns)) + 1j * rng.standard_normal((n, rows, columns))
    smaller = min(rows, columns)
    kinds = rng.choice(5, size=n, p=[0.3, 0.2, 0.3, 0.1, 0.1])  # the last two need extended precision, which is slow
    tied = 10.0 ** -rng.integers(0, 2, size=(n, smaller)).astype(float)
    low_rank = np.where(np.arange(smaller) < rng.integers(1, smaller + 1, size=n)[:, None], 1.0, 0.0)
    spread = 10.0 ** -rng.uniform(0.0, 6.0, size=(n, smaller))
    values = np.select([(kinds == 2)[:, None], (kinds == 3)[:, None]], [tied, low_rank], spread)
    shaped = with_singular_values(
        draw_unitaries(rng, n, rows), np.sort(values)[:, ::-1], draw_unitaries(rng, n, columns)
    )
    kind = kinds[:, None, None]
    return np.select([kind == 0, kind == 1], [normal, normal.real + 0j], shaped)


def draw_unitaries(rng: np.random.Generator, n: int, size: int) -> Matrices:
    """``(n, size, size)``, complex."""
    normal = rng.standard_normal((n, size, size)) + 1j * rng.standard_normal((n, size, size))
    unitary: Matrices = np.linalg.qr(normal)[0]
    return unitary


def with_singular_values(left: Matrices, values: Floats, right: Matrices) -> Matrices:
    """``U S V^*`` with the leading columns of unitary U and V."""
    count = values.shape[-1]
    return (left[..., :, :count] * values[..., None, :]) @ adjoint(right[..., :, :count])


def exact_matrix(array: Matrices) -> Any:
    """A matrix of mpmath, without rounding."""
    import mpmath

    return mpmath.matrix([[mpmath.mpc(complex(entry)) for entry in row] for row in array])


def exact_singular_values(matrix: Any, bound: Any = 0) -> list[Any]:
    """Of a matrix of mpmath; those up to ``EXACT_CUT · bound`` are left out."""
    import mpmath

    values = mpmath.svd_c(matrix, compute_uv=False)
    floor = EXACT_CUT * max(bound, values[0])
    return [values[i] for i in range(len(values)) if values[i] > floor]


def in_extended_precision(
    float64_decides: Callable[[Any], bool], sides: Callable[..., Any]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Run with :data:`DIGITS` digits; the two sides come back as floats, over the largest number of the right one.

    Instances that float64 decides, with an error far below any tolerance, keep their ``sides``.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def run(instance: Any, **formula: Any) -> tuple[Floats, Floats]:
            import mpmath

            if float64_decides(instance):
                left, right = sides(
                    {k: v[None] if isinstance(v, np.ndarray) else v for k, v in instance.items()}, **formula
                )
                return left[0], right[0]
            with mpmath.workdps(DIGITS):
                left, right = function(instance, **formula)
                scale = max((abs(number) for number in right), default=0) or 1
                return np.array([float(a / scale) for a in left]), np.array([float(b / scale) for b in right])

        return run

    return decorate


def well_conditioned(factors: Sequence[Matrices]) -> bool:
    """Whether every singular value of the factors and of their product is within :data:`CONDITION` of the top, or 0.

    Its relative error is then below ``1e-14 · CONDITION``; 0 is what float64 cannot tell from it.
    """
    units = [factor / max(float(np.linalg.norm(factor, 2)), 1e-300) for factor in factors]
    spectra = np.concatenate([singular_values(matrix) for matrix in (*units, product(units))])
    return bool(np.all((spectra > 1.0 / CONDITION) | (spectra <= CUT)))

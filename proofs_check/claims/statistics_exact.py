"""The claims about second moments in exact form: over symbols, with no random number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["coherent_spectrum_exactly", "diagonal_exactly"]


def coherent_spectrum_exactly(*, factor: str, exponent: float = 2.0) -> Sequence[Any]:
    """``Σ^xx x_α - factor s_α^exponent x_α`` for any two orthogonal images of two pixels, and three along the axes.

    ``Σ^yx`` has the orthogonal rows ``x_k/K``, so that ``s_k = ‖x_k‖/K`` and ``v_k = x_k/‖x_k‖``.
    """
    import sympy

    a, b, c = sympy.symbols("a b c", positive=True)
    gaps: list[Any] = []
    for images in (sympy.Matrix([[a, b], [-c * b, c * a]]), sympy.diag(a, b, c)):
        k = images.rows
        moment = images.T * images / k
        scale = {"K": sympy.Integer(k), "1": sympy.Integer(1), "√K": sympy.sqrt(k)}[factor]
        for row in range(k):
            x = images[row, :].T
            squared = x.dot(x) / sympy.Integer(k) ** 2  # s², so that no root is taken
            gaps += list(moment * x - scale * squared ** (sympy.Rational(str(exponent)) / 2) * x)
    return gaps


def diagonal_exactly(*, counted: float = 1.0, power_of_p: float = 0.5, conjugate: bool = True) -> Sequence[Any]:
    """``B`` minus its formula on 1×2 and 1×3 for K = 1: any Σ^xx, with V = δ_0, any kernel and dense layer.

    ``B = p Σ^xx v``, ``p = Σ_j W_j k_{j-·}``; for K = 1 ``VᵀΣ^xxV`` is a number, so diagonal, whatever Σ^xx is.
    """
    import sympy

    from proofs_check.claims.arithmetic import EXACT
    from proofs_check.claims.definitions import dft_matrix

    gaps = []
    for n in (2, 3):
        kernel, dense = (sympy.Matrix([sympy.Symbol(f"{name}{i}", real=True) for i in range(n)]) for name in "kw")
        column = sympy.Matrix([sympy.Symbol(f"m{i}", real=True) for i in range(n)])  # Σ^xx v
        dft = sympy.Matrix(dft_matrix((1, n), EXACT))
        v = sympy.Matrix([1] + [0] * (n - 1))
        kappa, w, q = dft * kernel, dft * dense, dft * v
        a = w.conjugate() if conjugate else w
        root = sympy.Integer(n) ** sympy.Rational(str(power_of_p))
        formula = root * sum(a[f] * kappa[f] * q[f] for f in range(n)) * column[0]
        predictor = [sum(dense[j] * kernel[(j - p) % n] for j in range(n)) for p in range(n)]
        gap = column - v * column[0]
        weight = sympy.nsimplify(counted)
        rest = sum(predictor[p] * gap[p] for p in range(n))
        gaps.append(sum(predictor[p] * column[p] for p in range(n)) - formula - weight * rest)
    return gaps

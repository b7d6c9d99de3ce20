"""Claims about the way to Schatten-Hölder that G suggests: powers of the polar factors (theory, section 3).

With ``A_1 = U_1 |A_1|`` and ``A_2 = |A_2^*| U_2``, ``‖A_1 A_2‖_r^r`` is compared to ``‖|A_1|^r |A_2^*|^r‖_1``: Araki,
Lieb and Thirring order the two by whether r exceeds 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofs_check.claim import Claim, excess
from proofs_check.claims.holder import EXACT_REASON, SIZE, draw_pair, factors_of
from proofs_check.claims.schatten import (
    adjoint,
    exact_matrix,
    exact_singular_values,
    in_extended_precision,
    over_operator_norm,
    powers,
    singular_values,
    well_conditioned,
    without_round_off,
)
from proofs_check.verdict import Instance, Outcome

__all__ = [
    "ALT_CLAIMS",
    "LINES_AT_45_DEGREES",
    "NILPOTENT",
    "draw_square_pair",
    "draw_square_pair_above_one",
    "draw_square_pair_below_one",
    "exact_trace_power_sides",
    "trace_power_sides",
]

Floats = NDArray[np.float64]
Matrices = NDArray[Any]


def draw_square_pair(rng: np.random.Generator, n: int) -> Instance:
    """Two square matrices and a power from 0.1 to 3."""
    return draw_pair(rng, n, low=0.1, high=3.0, size=int(rng.integers(1, SIZE + 1)))


def draw_square_pair_below_one(rng: np.random.Generator, n: int) -> Instance:
    """Two square matrices and a power below 1."""
    return draw_pair(rng, n, low=0.1, high=0.95, size=int(rng.integers(1, SIZE + 1)))


def draw_square_pair_above_one(rng: np.random.Generator, n: int) -> Instance:
    """Two square matrices and a power from 1 on."""
    return draw_pair(rng, n, low=1.0, high=4.0, size=int(rng.integers(1, SIZE + 1)))


def _polar_power(matrices: Matrices, exponent: Floats) -> Matrices:
    """``|A|^r`` of a batch; singular values of round-off are 0."""
    _, values, right = np.linalg.svd(matrices)
    raised = powers(without_round_off(values), exponent)
    power: Matrices = adjoint(right) @ (raised[:, :, None] * right)
    return power


def trace_power_sides(
    instance: Instance, *, second: str = "adjoint", order: str = "by r", constant: float = 1.0, shift: float = 1.0
) -> tuple[Floats, Floats]:
    """``‖A_1 A_2‖_r^r`` and ``‖|A_1|^{r·shift} H_2^r‖_1`` for matrices of unit operator norm, the smaller one first.

    ``second``: H_2 is ``|A_2^*|`` ("adjoint") or ``|A_2|`` ("literal"). ``order``: which is said to be the smaller,
    the first ("first") or the first for r ≥ 1 and the second below ("by r"). ``constant`` multiplies the larger one.
    """
    (a, _), (b, _) = map(over_operator_norm, factors_of(instance))
    r = instance["power"]
    of_product = powers(without_round_off(singular_values(a @ b)), r).sum(axis=1)
    polar = _polar_power(a, shift * r) @ _polar_power(adjoint(b) if second == "adjoint" else b, r)
    of_powers = without_round_off(singular_values(polar)).sum(axis=1)
    turned = (r < 1.0) & (order == "by r")
    return np.where(turned, of_powers, of_product), constant * np.where(turned, of_product, of_powers)


@in_extended_precision(lambda instance: well_conditioned(factors_of(instance)), trace_power_sides)
def exact_trace_power_sides(
    instance: Instance, *, second: str = "adjoint", order: str = "by r", constant: float = 1.0, shift: float = 1.0
) -> tuple[list[Any], list[Any]]:
    """:func:`trace_power_sides` with 60 digits."""
    import mpmath

    a, b = (exact_matrix(factor) for factor in factors_of(instance))
    tops = [next(iter(exact_singular_values(matrix)), None) for matrix in (a, b)]
    if None in tops:  # a factor is 0
        return [mpmath.mpf(0)], [mpmath.mpf(0)]
    a, b, r = a / tops[0], b / tops[1], mpmath.mpf(float(instance["power"]))
    of_product = sum(s**r for s in exact_singular_values(a * b, 1))
    polar = _exact_polar_power(a, shift * r) * _exact_polar_power(b.H if second == "adjoint" else b, r)
    of_powers = sum(exact_singular_values(polar, 1))
    if order == "by r" and r < 1:
        of_product, of_powers = of_powers, of_product
    return [mpmath.mpf(of_product)], [constant * mpmath.mpf(of_powers)]


def _exact_polar_power(matrix: Any, exponent: Any) -> Any:
    import mpmath

    _, values, right = mpmath.svd_c(matrix)
    size = len(values)
    raised = [values[i] ** exponent if values[i] > mpmath.mpf("1e-50") else mpmath.mpf(0) for i in range(size)]
    return right.H * mpmath.diag(raised) * right


def _pair(text: str, a: list[list[float]], b: list[list[float]], power: float) -> Instance:
    chain = np.zeros((2, SIZE, SIZE), dtype=np.complex128)
    size = len(a)
    chain[0, :size, :size], chain[1, :size, :size] = a, b
    return {"text": text, "chain": chain, "dims": [size] * 3, "power": np.array(power)}


LINES_AT_45_DEGREES = _pair(
    "projections on two lines at 45°, r = ½", [[1.0, 0.0], [0.0, 0.0]], [[0.5, 0.5], [0.5, 0.5]], 0.5
)
NILPOTENT = _pair(
    "A_1 = diag(1, 0), A_2 = [[0, 1], [0, 0]], r = 1", [[1.0, 0.0], [0.0, 0.0]], [[0.0, 1.0], [0.0, 0.0]], 1.0
)

ALT_HYPOTHESES = ("square matrices, real or complex",)
ALT_MUTANTS: Mapping[str, Mapping[str, Any]] = {
    "1% off": {"constant": 0.99},
    "|A_2| for |A_2^*|": {"second": "literal"},
}

ALT_CLAIMS = (
    Claim(
        id="araki-lieb-thirring",
        title="Powers of polar factors, r ≥ 1",
        statement="‖A_1A_2‖_r^r ≤ ‖|A_1|^r |A_2^*|^r‖_1 for r ≥ 1",
        source="Godfrey et al., the way to conjecture 4.13, corrected: |A_2^*| and r ≥ 1 (Araki, Lieb, Thirring)",
        hypotheses=(*ALT_HYPOTHESES, "r ≥ 1"),
        expected=Outcome.NOT_REFUTED,
        mutants={**ALT_MUTANTS, "exponent of |A_1| 1% off": {"shift": 1.01}},
        tolerance=1e-10,
        tolerance_reason=EXACT_REASON,
        draw=draw_square_pair_above_one,
        sides=trace_power_sides,
        distance=excess,
        quantity="‖A_1A_2‖_r^r",
        batched=True,
        extended=exact_trace_power_sides,
        attacked=("chain",),
        counterpart="E8-literal",
    ),
    Claim(
        id="araki-lieb-thirring-reversed",
        title="Powers of polar factors, r < 1",
        statement="‖A_1A_2‖_r^r ≥ ‖|A_1|^r |A_2^*|^r‖_1 for 0 < r < 1",
        source="Godfrey et al., the way to conjecture 4.13, corrected: the reverse (Araki, Lieb, Thirring; see E8)",
        hypotheses=(*ALT_HYPOTHESES, "0 < r < 1"),
        expected=Outcome.NOT_REFUTED,
        mutants={**ALT_MUTANTS, "exponent of |A_1| 1% off": {"shift": 0.99}, "≤ for ≥": {"order": "first"}},
        tolerance=1e-10,
        tolerance_reason=EXACT_REASON,
        draw=draw_square_pair_below_one,
        sides=trace_power_sides,
        distance=excess,
        quantity="the smaller one",
        smallest=(LINES_AT_45_DEGREES,),
        batched=True,
        extended=exact_trace_power_sides,
        attacked=("chain",),
        counterpart="E8",
    ),
)

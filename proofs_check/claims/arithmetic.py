"""One code for three kinds of numbers: float64 for many instances, 60 digits for the doubtful ones, symbols for all.

The sides of a claim that take ``arithmetic`` are tried on random arrays in float64; where round-off could refute, the
same two sides are computed with mpmath; over arrays of symbols, with exact roots of unity, they are equal identically.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofs_check.verdict import Instance

__all__ = ["EXACT", "EXTENDED", "FLOAT", "Arithmetic", "exactly", "in_extended_precision", "size", "unit"]

DIGITS = 60
GROSS = 1e-6
Case = Mapping[str, "tuple[int, ...] | NDArray[np.int64]"]


@dataclass(frozen=True)
class Arithmetic:
    """Kind of the numbers in an array: ``"float"``, ``"extended"`` (mpmath) or ``"exact"`` (sympy)."""

    kind: str

    def roots(self, n: int) -> NDArray[Any]:
        """``exp(-2πi k/n)``, k = 0..n-1.

        >>> FLOAT.roots(4).round(12) + 0
        array([ 1.+0.j,  0.-1.j, -1.+0.j,  0.+1.j])
        """
        return _roots(self.kind, n)

    def power(self, base: int, exponent: float) -> Any:
        """``base^exponent``; an exact exponent is the rational number that is written down.

        >>> EXACT.power(2, 0.5)
        sqrt(2)
        """
        if self.kind == "float":
            return float(base) ** exponent
        if self.kind == "extended":
            return _context().mpf(base) ** exponent
        import sympy

        return sympy.Integer(base) ** sympy.Rational(str(exponent))


FLOAT = Arithmetic("float")
EXTENDED = Arithmetic("extended")
EXACT = Arithmetic("exact")


@lru_cache(maxsize=1)
def _context() -> Any:
    """A context of its own: mpmath's global precision belongs to others, and to other threads."""
    import mpmath

    context = mpmath.MPContext()
    context.dps = DIGITS
    return context


@lru_cache(maxsize=256)
def _roots(kind: str, n: int) -> NDArray[Any]:
    if kind == "float":
        roots: NDArray[Any] = np.exp(-2j * np.pi * np.arange(n) / n)
    elif kind == "extended":
        context = _context()
        roots = np.array([context.expjpi(-2 * context.mpf(k) / n) for k in range(n)])
    else:
        import sympy

        roots = np.array([sympy.exp(-2 * sympy.pi * sympy.I * k / n).expand(complex=True) for k in range(n)])
    roots.setflags(write=False)
    return roots


def size(array: NDArray[Any], arithmetic: Arithmetic = FLOAT) -> NDArray[Any]:
    """Euclidean norm of each instance ``(n,)``, 1 for zeros: what round-off is measured against (1 over symbols)."""
    flat = array.reshape(len(array), -1)
    if arithmetic is EXACT:
        return np.ones(len(flat), dtype=object)
    norms = np.sum(flat * np.conj(flat), axis=1) ** 0.5
    if arithmetic is FLOAT:
        norms = norms.real
    return np.where(norms == 0, 1, norms)


def unit(array: NDArray[Any], arithmetic: Arithmetic = FLOAT) -> NDArray[Any]:
    """Each instance divided by its norm."""
    divided: NDArray[Any] = array / size(array, arithmetic).reshape(-1, *[1] * (array.ndim - 1))
    return divided


def in_extended_precision(sides: Callable[..., tuple[Any, Any]]) -> Callable[..., tuple[Any, Any]]:
    """``Claim.extended`` of batched ``sides`` that take ``arithmetic``: one instance in 60 digits, then rounded.

    For sides of order one (arrays of norm 1): where they differ by more than :data:`GROSS` in float64, which no
    round-off does, they are left as they are, so that planted errors stay cheap.
    """

    def extended(instance: Instance, **formula: Any) -> tuple[Any, Any]:
        arrays = {name: value for name, value in instance.items() if isinstance(value, np.ndarray)}
        left, right = sides({name: array[None] for name, array in arrays.items()}, **formula)
        if not np.max(np.abs(np.subtract(left, right)), initial=0.0) > GROSS:
            batch = {name: _extend(array)[None] for name, array in arrays.items()}
            left, right = sides(batch, **formula, arithmetic=EXTENDED)
        return _rounded(left), _rounded(right)

    return extended


def _rounded(side: Any) -> NDArray[np.complex128]:
    """The one instance of a batch of one, as complex128."""
    return np.asarray(np.asarray(side)[0], dtype=np.complex128)


def _extend(array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind in "iub":
        return array
    number = _context().mpc if array.dtype.kind == "c" else _context().mpf
    extended = np.empty(array.shape, dtype=object)
    extended.ravel()[:] = [number(value) for value in array.ravel().tolist()]
    return extended


def exactly(sides: Callable[..., tuple[Any, Any]], *cases: Case) -> Callable[..., Sequence[Any]]:
    """``Claim.symbolic`` of batched ``sides`` that take ``arithmetic``: left minus right over arrays of symbols.

    Each case gives the array of every name: a shape, for real symbols, or the integers themselves. A name that begins
    with ``complex`` stands for complex symbols.
    """

    def symbolic(**formula: Any) -> Sequence[Any]:
        gaps: list[Any] = []
        for case in cases:
            instance = {
                name: (value if isinstance(value, np.ndarray) else _symbols(name, value))[None]
                for name, value in case.items()
            }
            left, right = sides(instance, **formula, arithmetic=EXACT)
            gaps += list((np.asarray(left) - np.asarray(right)).ravel())
        return gaps

    return symbolic


def _symbols(name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Real symbols ``name_i``; complex numbers are two real symbols each, so that conjugates are explicit."""
    import sympy

    count = int(np.prod(shape))
    symbols = np.array([sympy.Symbol(f"{name}_{i}", real=True) for i in range(count)], dtype=object)
    if name.startswith("complex"):
        symbols = symbols + sympy.I * np.array([sympy.Symbol(f"{name}_{i}i", real=True) for i in range(count)])
    return symbols.reshape(shape)

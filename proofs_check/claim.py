"""A claim: one statement of the papers, as an object that can be tried on instances and that knows its own mutants."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineardyn.errors import ArgumentError, ComputationError
from proofs_check.verdict import Instance, Outcome

__all__ = ["Claim", "absolute_distance", "excess", "relative_distance"]

Sides = tuple[Any, Any]


def relative_distance(left: Any, right: Any) -> float:
    """``max|left - right| / max(|left|, |right|)`` over all entries; 0 where both vanish.

    >>> relative_distance([1.0, 2.0], [1.0, 1.0])
    0.5
    """
    gap, scale = _largest(_gap(left, right)), max(_largest(_flat(left)), _largest(_flat(right)))
    return gap / scale if scale > 0 else gap


def absolute_distance(left: Any, right: Any) -> float:
    """``max|left - right|``: for numbers that have a scale of their own, such as an order of convergence."""
    return _largest(_gap(left, right))


def excess(left: Any, right: Any) -> float:
    """By how much ``left ≤ right`` fails, relative to ``|right|``; 0 where it holds."""
    gap, scale = _gap(left, right).real, _largest(_flat(right))
    largest = float(np.max(gap, initial=0.0))
    return largest / scale if scale > 0 else largest


def _flat(value: Any) -> NDArray[Any]:
    return np.atleast_1d(np.asarray(value)).ravel()


def _gap(left: Any, right: Any) -> NDArray[Any]:
    """``left - right``; NaN where a number is infinite or NaN, without a warning: that is judged, not hidden."""
    with np.errstate(invalid="ignore", over="ignore"):
        difference: NDArray[Any] = _flat(left) - _flat(right)
        return np.where(np.isfinite(difference), difference, np.nan)


def _largest(values: NDArray[Any]) -> float:
    return float(np.max(np.abs(values), initial=0.0))


@dataclass(frozen=True, eq=False)
class Claim:
    """A statement with its hypotheses, its instances, its two sides and the errors that it must detect.

    Attributes
    ----------
    id, title, statement, source
        What it says and where from: a paper and its equation, or "corrected", "new", "reconstructed".
    hypotheses
        What an instance has to satisfy; ``draw`` constructs instances that do.
    expected
        NOT_REFUTED, or REFUTED for an erratum.
    mutants
        Name to the changes of the formula (keyword arguments of ``sides``): planted errors, each to be refuted.
    tolerance, tolerance_reason
        The largest residual that does not refute, and where it comes from.
    sides
        ``sides(instance, **formula)`` returns the two sides of the statement, each a number or an array.
    distance
        The residual from the two sides: :func:`relative_distance` (default), :func:`absolute_distance`, :func:`excess`.
    draw
        ``draw(rng)`` returns a random instance, hard cases among them.
    smallest
        Instances tried before all random ones: the smallest known witnesses and the corner cases.
    formula
        Keyword arguments of ``sides`` that make it the statement's own formula.
    quantity
        What the two sides are, for the text of a witness.
    max_instances
        Upper bound on the instances of one check, for claims that integrate or optimise.
    counterpart
        The corrected claim of an erratum, or the erratum that a claim corrects.
    """

    id: str
    title: str
    statement: str
    source: str
    hypotheses: tuple[str, ...]
    expected: Outcome
    mutants: Mapping[str, Mapping[str, Any]]
    tolerance: float
    tolerance_reason: str
    draw: Callable[[np.random.Generator], Instance] = field(repr=False)
    sides: Callable[..., Sides] = field(repr=False)
    distance: Callable[[Any, Any], float] = field(default=relative_distance, repr=False)
    smallest: tuple[Instance, ...] = field(default=(), repr=False)
    formula: Mapping[str, Any] = field(default_factory=dict)
    quantity: str = ""
    max_instances: int | None = None
    counterpart: str | None = None

    def instance(self, index: int, seed: int) -> Instance:
        """Instance number ``index`` of the stream ``seed``: the same on every machine and in every order of calls.

        The generator is Philox, seeded by (seed, claim, index), so that no instance depends on any other.
        """
        if index < len(self.smallest):
            return self.smallest[index]
        sequence = np.random.SeedSequence(seed, spawn_key=(zlib.crc32(self.id.encode()), index))
        return self.draw(np.random.Generator(np.random.Philox(sequence)))

    def both_sides(self, instance: Instance, *, mutant: str | None = None) -> Sides:
        """The two sides of the statement, or of one of its mutants."""
        return self.sides(instance, **{**self.formula, **self._changes(mutant)})

    def residual_of(self, instance: Instance, *, mutant: str | None = None) -> float:
        """The distance of the two sides; NaN where a computation inside did not reach its end."""
        try:
            left, right = self.both_sides(instance, mutant=mutant)
        except (ComputationError, np.linalg.LinAlgError, FloatingPointError):
            return float("nan")
        residual = self.distance(left, right)
        return residual if np.isfinite(residual) else float("nan")

    def _changes(self, mutant: str | None) -> Mapping[str, Any]:
        if mutant is None:
            return {}
        if mutant not in self.mutants:
            known = ", ".join(map(repr, self.mutants))
            raise ArgumentError(f"mutant is {mutant!r}, expected one of claim {self.id}'s planted errors: {known}")
        return self.mutants[mutant]

"""A claim: one statement of the papers, as an object that can be tried on instances and that knows its own mutants."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineardyn.errors import ArgumentError, ComputationError
from proofs_check.verdict import Instance, Outcome, instance_size

__all__ = ["BATCH", "Claim", "Kind", "absolute_distance", "excess", "relative_distance"]

Sides = tuple[Any, Any]
Floats = NDArray[np.float64]

BATCH = 32
"""Instances that a claim with ``batched=True`` draws at once: of one shape, so not too many."""

_JUDGED: Any = {"over": "ignore", "invalid": "ignore", "divide": "ignore"}
"""A planted error may blow up: what is not finite is judged as such, and not warned of as well."""


class Kind(Enum):
    """What stands behind a statement; a check adds evidence, never a proof."""

    PROVED = "proved"
    OBSERVED = "observed"
    CONJECTURE = "conjecture"
    ERRATUM = "erratum"


def relative_distance(left: Any, right: Any, *, n_instances: int | None = None) -> Any:
    """``max|left - right| / max(|left|, |right|)`` over all entries; 0 where both vanish.

    With ``n_instances`` the leading axis counts instances, and there is one distance for each.

    >>> relative_distance([1.0, 2.0], [1.0, 1.0])
    0.5
    """
    a, b = _rows(left, n_instances), _rows(right, n_instances)
    return _one_or_all(_over(_largest(_gap(a, b)), np.maximum(_largest(a), _largest(b))), n_instances)


def absolute_distance(left: Any, right: Any, *, n_instances: int | None = None) -> Any:
    """``max|left - right|``: for numbers that have a scale of their own, such as an order of convergence."""
    return _one_or_all(_largest(_gap(_rows(left, n_instances), _rows(right, n_instances))), n_instances)


def excess(left: Any, right: Any, *, n_instances: int | None = None) -> Any:
    """By how much ``left ≤ right`` fails, relative to ``|right|``; 0 where it holds."""
    a, b = _rows(left, n_instances), _rows(right, n_instances)
    return _one_or_all(_over(np.max(_gap(a, b).real, axis=1, initial=0.0), _largest(b)), n_instances)


def _rows(value: Any, n_instances: int | None) -> NDArray[Any]:
    """``(instances, entries)``."""
    array = np.asarray(value)
    return array.reshape(1, -1) if n_instances is None else array.reshape(n_instances, -1)


def _one_or_all(distances: Floats, n_instances: int | None) -> Any:
    return float(distances[0]) if n_instances is None else distances


def _gap(left: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
    """``left - right``; NaN where a number is infinite or NaN, without a warning: that is judged, not hidden."""
    with np.errstate(invalid="ignore", over="ignore"):
        difference: NDArray[Any] = left - right
        return np.where(np.isfinite(difference), difference, np.nan)


def _largest(rows: NDArray[Any]) -> Floats:
    return np.asarray(np.max(np.abs(rows), axis=1, initial=0.0))


def _over(gaps: Floats, scales: Floats) -> Floats:
    return gaps / np.where(scales > 0, scales, 1.0)


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
    kind
        Proved, observed (seen in experiments, with no proof), a conjecture, or an erratum.
    batched
        ``draw(rng, n)`` returns ``n`` instances of one shape: every array has them along its leading axis, all else is
        common to them; ``sides`` takes such a batch and returns arrays with the same leading axis. For claims of which
        millions of instances are tried; :data:`BATCH` instances are drawn at once.
    extended
        ``sides`` in extended precision (mpmath), for one instance: judges the instances whose residual exceeds the
        tolerance in float64, so that round-off refutes nothing.
    attacked
        The arrays of an instance that an adversary may move to raise the residual (:mod:`proofs_check.adversary`);
        the hypotheses must hold whatever their entries are. An instance may lack some, as a shallow network does.
    symbolic
        ``symbolic(**formula)`` returns expressions of sympy that are zero if the statement is true: the exact form,
        of small cases or of all.
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
    draw: Callable[..., Instance] = field(repr=False)
    sides: Callable[..., Sides] = field(repr=False)
    distance: Callable[..., Any] = field(default=relative_distance, repr=False)
    smallest: tuple[Instance, ...] = field(default=(), repr=False)
    formula: Mapping[str, Any] = field(default_factory=dict)
    quantity: str = ""
    max_instances: int | None = None
    counterpart: str | None = None
    kind: Kind = Kind.PROVED
    batched: bool = False
    extended: Callable[..., Sides] | None = field(default=None, repr=False)
    attacked: tuple[str, ...] = ()
    symbolic: Callable[..., Sequence[Any]] | None = field(default=None, repr=False)

    def instance(self, index: int, seed: int) -> Instance:
        """Instance number ``index`` of the stream ``seed``: the same on every machine and in every order of calls.

        The generator is Philox, seeded by (seed, claim, index), or by the number of its batch, so that no instance
        depends on any other.
        """
        if index < len(self.smallest):
            return self.smallest[index]
        if not self.batched:
            return self.draw(self._generator(index, seed))
        number, row = divmod(index - len(self.smallest), BATCH)
        return {name: _row(value, row) for name, value in self._batch(number, seed).items()}

    def residuals(self, indices: Sequence[int], seed: int, *, mutant: str | None = None) -> list[tuple[float, int]]:
        """Residual and size (count of numbers) of each instance; batches are computed as such."""
        found: list[tuple[float, int]] = []
        for number, group in groupby(indices, self._batch_number):
            if number is None:
                for index in group:
                    instance = self.instance(index, seed)
                    found.append((self.residual_of(instance, mutant=mutant), instance_size(instance)))
                continue
            batch = self._batch(number, seed)
            values, size = self._residuals_of_batch(batch, mutant).tolist(), instance_size(batch) // BATCH
            found += [(values[(index - len(self.smallest)) % BATCH], size) for index in group]
        return found

    def both_sides(self, instance: Instance, *, mutant: str | None = None) -> Sides:
        """The two sides of the statement, or of one of its mutants."""
        if not self.batched:
            return self.sides(instance, **self.arguments(mutant))
        left, right = self.sides(_alone(instance), **self.arguments(mutant))
        return np.asarray(left)[0], np.asarray(right)[0]

    def residual_of(self, instance: Instance, *, mutant: str | None = None) -> float:
        """The distance of the two sides; NaN where a computation inside did not reach its end.

        Where it exceeds the tolerance in float64 and there is an ``extended`` form, that one decides.
        """
        try:
            with np.errstate(**_JUDGED):
                residual = self.distance(*self.both_sides(instance, mutant=mutant))
            if self.extended is not None and not residual <= self.tolerance:
                residual = self.distance(*self.extended(instance, **self.arguments(mutant)))
        except (ComputationError, np.linalg.LinAlgError, FloatingPointError):
            return float("nan")
        return float(residual) if np.isfinite(residual) else float("nan")

    def arguments(self, mutant: str | None = None) -> dict[str, Any]:
        """The formula's keyword arguments, with the changes of a mutant."""
        if mutant is None:
            return dict(self.formula)
        if mutant not in self.mutants:
            known = ", ".join(map(repr, self.mutants))
            raise ArgumentError(f"mutant is {mutant!r}, expected one of claim {self.id}'s planted errors: {known}")
        return {**self.formula, **self.mutants[mutant]}

    def _generator(self, number: int, seed: int) -> np.random.Generator:
        sequence = np.random.SeedSequence(seed, spawn_key=(zlib.crc32(self.id.encode()), number))
        return np.random.Generator(np.random.Philox(sequence))

    def _batch_number(self, index: int) -> int | None:
        """The batch that an instance belongs to, if any."""
        drawn = index - len(self.smallest)
        return drawn // BATCH if self.batched and drawn >= 0 else None

    def _batch(self, number: int, seed: int) -> Instance:
        return self.draw(self._generator(number, seed), BATCH)

    def _residuals_of_batch(self, batch: Instance, mutant: str | None) -> Floats:
        """One residual a row; rows that exceed the tolerance, or all if the batch fails, are looked at alone."""
        try:
            with np.errstate(**_JUDGED):
                left, right = self.sides(batch, **self.arguments(mutant))
            values = np.asarray(self.distance(left, right, n_instances=BATCH))
            doubtful = ~(values <= self.tolerance) if self.extended is not None else ~np.isfinite(values)
        except (ComputationError, np.linalg.LinAlgError, FloatingPointError):
            values, doubtful = np.full(BATCH, np.nan), np.ones(BATCH, dtype=bool)
        for row in np.flatnonzero(doubtful).tolist():
            alone = {name: _row(value, row) for name, value in batch.items()}
            values[row] = self.residual_of(alone, mutant=mutant)
        return values


def _row(value: Any, row: Any) -> Any:
    """One instance of a batch; numbers stay arrays, so that :func:`_alone` knows them."""
    return np.array(value[row]) if isinstance(value, np.ndarray) else value


def _alone(instance: Instance) -> Instance:
    """A batch of one."""
    return {name: value[None] if isinstance(value, np.ndarray) else value for name, value in instance.items()}

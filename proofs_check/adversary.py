"""An adversary: it moves the arrays of an instance to make a statement fail, where random instances would not find how.

An inequality is tight on a set that random instances miss; a constant that is 1% wrong then looks right for ever. From
many instances the adversary climbs the signed residual, with L-BFGS and random steps, and what it finds is judged as
any other instance.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from lineardyn.errors import ArgumentError, ComputationError
from lineardyn.validation import Rng, as_generator, check_count
from proofs_check.checking import witness_from
from proofs_check.claim import BATCH, Claim, excess
from proofs_check.verdict import Instance, Outcome, Verdict, instance_size

__all__ = ["attack", "signed_residual"]

Floats = NDArray[np.float64]

CANDIDATES = 4
"""Instances drawn for one start of a claim that is not batched."""
CLIMBS = 60
"""Steps of L-BFGS."""
STEP = 1e-7
"""Of finite differences, relative to the size of an array: the root of round-off."""
ROUNDS = 24
"""Of random steps after each climb."""
TRIES = 16
"""Random steps in a round."""
RANGE = 10.0
"""How far the norm of an array may move, as a factor either way."""
WORST = -1e3
"""The height of what has none: further down than any residual matters."""


def attack(claim: Claim | str, *, n_starts: int, rng: Rng, mutant: str | None = None) -> Verdict:
    r"""Try to refute a claim by moving the arrays that it names as ``attacked``.

    Each start is the worst of some drawn instances, or in turn any of them. From it the signed residual climbs:
    ``log(left/right)`` of an inequality (:func:`signed_residual`), the residual itself of an equality; first by L-BFGS
    with finite differences, then by random steps that shrink. Every array keeps its norm within a factor
    :data:`RANGE`, and everything ends after a fixed number of steps.

    Parameters
    ----------
    claim
        A :class:`Claim`, or the id of a registered one, with ``attacked`` arrays.
    n_starts
        Instances to climb from.
    rng
        A seed, or a Generator from which one is drawn. The verdict depends on the seed, the claim and ``n_starts``.
    mutant
        Attack this planted error in place of the claim.

    Returns
    -------
    Verdict
        Its residuals are those of the ends of all climbs; its witness has no index, and replays from its numbers.

    Raises
    ------
    ArgumentError
        A claim that names no arrays to move; an unknown id or mutant; ``n_starts`` < 1; an ``rng`` that is no seed.

    Examples
    --------
    >>> attack("horn", n_starts=2, rng=0).outcome
    <Outcome.NOT_REFUTED: 'not refuted'>
    """
    from proofs_check.claims import get

    target = get(claim) if isinstance(claim, str) else claim
    check_count("n_starts", n_starts)
    if not target.attacked:
        raise ArgumentError(
            f"claim is {target.id!r}, which names no arrays that may be moved, expected one with some: use check"
        )
    target.arguments(mutant)  # refuses what is no mutant
    generator = as_generator(rng)
    seed = int(generator.integers(2**53)) if isinstance(rng, np.random.Generator) else int(rng)
    started = time.perf_counter()
    ends = [_climb(target, mutant, np.random.default_rng([seed, start]), start) for start in range(n_starts)]
    return _judge(target, mutant, seed, ends, time.perf_counter() - started)


def signed_residual(claim: Claim, left: Any, right: Any, *, n_instances: int) -> Floats:
    """How far each of ``n_instances`` is from refuting, below 0 where it is not: what the adversary raises.

    Of an inequality ``log(left/right)`` where both are one positive number, else ``max(left - right)/max|right|``; of
    an equality the residual.
    """
    a, b = (np.asarray(side).reshape(n_instances, -1) for side in (left, right))
    if claim.distance is not excess:
        return np.asarray(claim.distance(left, right, n_instances=n_instances))
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        scale = np.max(np.abs(b), axis=1)
        heights: Floats = np.max((a - b).real, axis=1) / np.where(scale > 0.0, scale, 1.0)
        if a.shape[1] == b.shape[1] == 1:
            positive = (a[:, 0].real > 0.0) & (b[:, 0].real > 0.0)
            logarithms = np.log(np.where(positive, a[:, 0].real / np.where(positive, b[:, 0].real, 1.0), 1.0))
            heights = np.where(positive, logarithms, heights)
    return heights


class _Landscape:
    """The signed residual over the entries of the attacked arrays of one instance, as a real vector."""

    def __init__(self, claim: Claim, mutant: str | None, instance: Instance) -> None:
        self.claim = claim
        self.mutant = mutant
        self.instance = {name: value for name, value in instance.items() if name != "text"}
        self.names = [name for name in claim.attacked if name in self.instance]
        arrays = [np.asarray(self.instance[name]) for name in self.names]
        self.complex = [np.iscomplexobj(array) for array in arrays]
        self.shapes = [array.shape for array in arrays]
        parts = [_as_reals(array) for array in arrays]
        self.sizes = [float(np.linalg.norm(part)) for part in parts]
        self.cuts = np.cumsum([0] + [len(part) for part in parts])
        self.start = np.concatenate([part / self._unit(i) for i, part in enumerate(parts)])

    def _unit(self, i: int) -> float:
        """Root mean square of array i, in which its entries are counted."""
        count = max(int(self.cuts[i + 1] - self.cuts[i]), 1)
        return self.sizes[i] / math.sqrt(count) if self.sizes[i] > 0 else 1.0

    def arrays(self, x: Floats) -> dict[str, NDArray[Any]]:
        """The attacked arrays of points ``(n, entries)``, each brought back to an allowed norm."""
        found: dict[str, NDArray[Any]] = {}
        for i, name in enumerate(self.names):
            part = x[:, self.cuts[i] : self.cuts[i + 1]] * self._unit(i)
            norms = np.linalg.norm(part, axis=1, keepdims=True)
            size = self.sizes[i] if self.sizes[i] > 0 else 1.0
            allowed = np.clip(norms, size / RANGE, size * RANGE)
            part = part * np.where(norms > 0.0, allowed / np.where(norms > 0.0, norms, 1.0), 1.0)
            if self.complex[i]:
                part = part[:, 0::2] + 1j * part[:, 1::2]
            found[name] = part.reshape(len(x), *self.shapes[i])
        return found

    def instance_at(self, x: Floats) -> Instance:
        """The instance at one point."""
        return self.instance | {name: np.array(array[0]) for name, array in self.arrays(x[None]).items()}

    def heights(self, x: Floats) -> Floats:
        """At each of the points ``(n, entries)``."""
        moved = self.arrays(x)
        if self.claim.batched:
            return self._of_batch(moved, len(x))
        one = [self.instance | {name: np.array(array[i]) for name, array in moved.items()} for i in range(len(x))]
        return np.array([self._of_one(instance) for instance in one])

    def _of_batch(self, moved: dict[str, NDArray[Any]], n: int) -> Floats:
        batch = {
            name: np.repeat(value[None], n, axis=0) if isinstance(value, np.ndarray) else value
            for name, value in self.instance.items()
        } | moved
        try:
            left, right = self.claim.sides(batch, **self.claim.arguments(self.mutant))
        except (ComputationError, np.linalg.LinAlgError, FloatingPointError):
            return np.full(n, WORST)
        return _finite(signed_residual(self.claim, left, right, n_instances=n))

    def _of_one(self, instance: Instance) -> float:
        try:
            left, right = self.claim.sides(instance, **self.claim.arguments(self.mutant))
        except (ComputationError, np.linalg.LinAlgError, FloatingPointError):
            return WORST
        return float(_finite(signed_residual(self.claim, [left], [right], n_instances=1))[0])

    def minus_height_and_slope(self, x: Floats) -> tuple[float, Floats]:
        """For a minimiser: minus the height, and its gradient by forward differences, all points in one call."""
        heights = self.heights(x + np.vstack([np.zeros_like(x), STEP * np.eye(len(x))]))
        slope = (heights[1:] - heights[0]) / STEP
        return -float(heights[0]), -np.where(np.abs(slope) < 1.0 / STEP, slope, 0.0)


def _as_reals(array: NDArray[Any]) -> Floats:
    if not np.iscomplexobj(array):
        return np.asarray(array, dtype=float).ravel()
    return np.stack([array.real, array.imag], axis=-1).ravel()


def _finite(heights: Floats) -> Floats:
    return np.where(np.isfinite(heights), np.maximum(heights, WORST), WORST)


def _climb(claim: Claim, mutant: str | None, generator: np.random.Generator, start: int) -> Instance:
    """The instance at which one climb ends."""
    landscape = _Landscape(claim, mutant, _choose(claim, mutant, generator, any_of_them=start % 2 == 1))
    x = landscape.start
    options = {"maxiter": CLIMBS, "maxfun": 2 * CLIMBS, "maxls": 10}
    top = minimize(landscape.minus_height_and_slope, x, jac=True, method="L-BFGS-B", options=options).x
    points = np.stack([x, top if np.isfinite(top).all() else x])
    heights = landscape.heights(points)
    best, height = points[int(np.argmax(heights))], float(heights.max())
    radius = 0.1
    for _ in range(ROUNDS):
        tried = best + radius * generator.standard_normal((TRIES, len(best)))
        heights = landscape.heights(tried)
        if heights.max() > height:
            best, height, radius = tried[int(np.argmax(heights))], float(heights.max()), 1.5 * radius
        else:
            radius *= 0.4
    return landscape.instance_at(best)


def _choose(claim: Claim, mutant: str | None, generator: np.random.Generator, *, any_of_them: bool) -> Instance:
    """The worst of some drawn instances, or the first."""
    drawn: Sequence[Instance]
    if claim.batched:
        batch = claim.draw(generator, BATCH)
        drawn = [
            {name: np.array(value[row]) if isinstance(value, np.ndarray) else value for name, value in batch.items()}
            for row in range(BATCH)
        ]
    else:
        drawn = [claim.draw(generator) for _ in range(1 if any_of_them else CANDIDATES)]
    if any_of_them:
        return drawn[0]
    landscapes = [_Landscape(claim, mutant, one) for one in drawn]
    heights = [float(landscape.heights(landscape.start[None])[0]) for landscape in landscapes]
    return drawn[int(np.argmax(heights))]


def _judge(claim: Claim, mutant: str | None, seed: int, ends: list[Instance], seconds: float) -> Verdict:
    residuals = [claim.residual_of(end, mutant=mutant) for end in ends]
    finite = [i for i, residual in enumerate(residuals) if not math.isnan(residual)]
    refuting = [i for i in finite if residuals[i] > claim.tolerance]
    worst = max(finite, key=lambda i: residuals[i], default=None)
    evidence: int | None = None
    if refuting:
        outcome, evidence = Outcome.REFUTED, min(refuting, key=lambda i: (instance_size(ends[i]), -residuals[i], i))
        reason = f"{len(refuting)} of {len(ends)} attacks exceed the tolerance {claim.tolerance:g}"
    elif len(finite) < len(ends):
        outcome = Outcome.INCONCLUSIVE
        evidence = next(i for i in range(len(ends)) if i not in finite)
        reason = f"{len(ends) - len(finite)} of {len(ends)} attacks end without a finite residual"
    else:
        outcome = Outcome.NOT_REFUTED
        reason = f"none of {len(ends)} attacks exceeds the tolerance {claim.tolerance:g}"

    def witness(i: int | None) -> Any:
        if i is None:
            return None
        lead = f"adversary, start {i} of seed {seed} ({instance_size(ends[i])} numbers)"
        return witness_from(claim, ends[i], lead=lead, seed=seed, index=None, mutant=mutant)

    return Verdict(
        claim_id=claim.id,
        outcome=outcome,
        expected=claim.expected if mutant is None else Outcome.REFUTED,
        worst=math.nan if worst is None else residuals[worst],
        tolerance=claim.tolerance,
        n=len(ends),
        n_refuting=len(refuting),
        seed=seed,
        reason=reason,
        witness=witness(evidence),
        worst_case=witness(worst),
        residuals=tuple(None if math.isnan(residual) else residual for residual in residuals),
        mutant=mutant,
        seconds=seconds,
    )

"""Try a claim on many instances, serially or on any executor, with the same verdict."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineardyn.errors import ComputationError
from lineardyn.validation import Rng, as_generator, check_count
from proofs_check.claim import Claim
from proofs_check.verdict import Instance, Outcome, Verdict, Witness, instance_size, round_off_bound

__all__ = [
    "block_edges",
    "check",
    "judged",
    "preferred",
    "reference",
    "residuals_of_block",
    "seed_of",
    "witness_from",
    "witness_of",
]

BLOCK, BATCHED_BLOCK = 16, 256
"""Instances in one task of an executor. Fixed, so that the verdict does not depend on the number of workers."""

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def check(
    claim: Claim | str,
    *,
    n: int,
    rng: Rng,
    executor: Executor | None = None,
    mutant: str | None = None,
    power: bool = False,
) -> Verdict:
    """Try a claim on ``n`` instances and say what came of it.

    Parameters
    ----------
    claim
        A :class:`Claim` or the id of a registered one.
    n
        Instances to try, the claim's smallest cases first; a dear claim may try fewer (``Verdict.n`` says how many).
    rng
        A seed, or a Generator from which one is drawn. Instance ``i`` depends on the seed, the claim and ``i`` alone.
    executor
        Any ``concurrent.futures.Executor``; the verdict is the same as without. Processes need a registered claim.
    mutant
        Try this planted error in place of the claim (its verdict should be REFUTED).
    power
        Also try every planted error on the same instances: ``Verdict.power`` counts the refuting ones.

    Raises
    ------
    ArgumentError
        An unknown id or mutant, ``n`` < 1, or an ``rng`` that is neither seed nor Generator.

    Examples
    --------
    >>> check("E1", n=1, rng=0).outcome
    <Outcome.REFUTED: 'refuted'>
    """
    from proofs_check.claims import get

    target = get(claim) if isinstance(claim, str) else claim
    check_count("n", n)
    seed = seed_of(rng)
    verdict = _try(target, n, seed, executor, mutant)
    if power:
        counts = {name: _try(target, n, seed, executor, name).n_refuting for name in target.mutants}
        verdict = replace(verdict, power=counts)
    return verdict


def seed_of(rng: Rng) -> int:
    """The seed itself, or one drawn from a Generator."""
    generator = as_generator(rng)  # also refuses what is no seed
    return int(generator.integers(2**53)) if isinstance(rng, np.random.Generator) else int(rng)


def _try(claim: Claim, n: int, seed: int, executor: Executor | None, mutant: str | None) -> Verdict:
    started = time.perf_counter()
    count = n if claim.max_instances is None else min(n, claim.max_instances)
    edges = block_edges(claim, 0, count, BATCHED_BLOCK if claim.batched else BLOCK)
    blocks = [range(first, stop) for first, stop in pairwise(edges)]
    if executor is None:
        parts: Any = [residuals_of_block(claim, seed, block, mutant) for block in blocks]
    else:
        sent = reference(claim)
        parts = _gather([executor.submit(residuals_of_block, sent, seed, block, mutant) for block in blocks])
    residuals, sizes = (np.concatenate(column) for column in zip(*parts, strict=True))
    return _judge(claim, seed, mutant, residuals, sizes, time.perf_counter() - started)


def block_edges(claim: Claim, first: int, stop: int, length: int) -> list[int]:
    """``first``, ``stop`` and the ends of blocks between them, which lie where they would for any ``first``.

    The claim's smallest cases are in the first block, and no batch is in two.

    >>> from proofs_check import get
    >>> block_edges(get("parseval"), 0, 40, 16), len(get("parseval").smallest)
    ([0, 19, 35, 40], 3)
    >>> block_edges(get("parseval"), 20, 40, 16)
    [20, 35, 40]
    """
    origin = len(claim.smallest)
    before = max(0, (first - origin) // length)
    return [first, *range(origin + (before + 1) * length, stop, length), stop]


def _gather(futures: list[Future[Any]]) -> list[Any]:
    """All results in order; what has not begun is cancelled when one fails or on Ctrl-C."""
    try:
        return [future.result() for future in futures]
    except BaseException:
        for future in futures:
            future.cancel()
        raise


def reference(claim: Claim) -> Claim | str:
    """The id of a registered claim, which any process can look up; else the claim itself."""
    from proofs_check.claims import claims

    return claim.id if any(known is claim for known in claims()) else claim


def residuals_of_block(
    claim: Claim | str, seed: int, indices: Sequence[int], mutant: str | None
) -> tuple[Floats, Integers]:
    """Residual and size of each instance: all that has to travel, as the index gives the instance back."""
    from proofs_check.claims import get

    rows = get(claim).residuals(indices, seed, mutant=mutant)
    return np.array([residual for residual, _ in rows]), np.array([size for _, size in rows], dtype=np.int64)


def preferred(indices: Integers, residuals: Floats, sizes: Integers, n_smallest: int) -> int:
    """The place of the simplest witness: the claim's own cases, fewest numbers, largest residual, first index."""
    return int(np.lexsort((indices, -residuals, sizes, indices >= n_smallest))[0])


def judged(
    n: int, n_refuting: int, n_undecided: int, tolerance: float, first_undecided: int | None
) -> tuple[Outcome, str]:
    """The outcome, and why."""
    if n_refuting:
        return Outcome.REFUTED, f"{n_refuting} of {n} instances exceed the tolerance {tolerance:g}"
    if n_undecided:
        where = f"the first: index {first_undecided}"
        return Outcome.INCONCLUSIVE, f"{n_undecided} of {n} instances have no finite residual ({where})"
    return Outcome.NOT_REFUTED, f"none of {n} instances exceeds the tolerance {tolerance:g}"


def _judge(claim: Claim, seed: int, mutant: str | None, residuals: Floats, sizes: Integers, seconds: float) -> Verdict:
    undecided = np.flatnonzero(np.isnan(residuals))
    refuting = np.flatnonzero(residuals > claim.tolerance)
    worst = None if len(undecided) == len(residuals) else int(np.nanargmax(residuals))
    first_undecided = int(undecided[0]) if len(undecided) else None
    outcome, reason = judged(len(residuals), len(refuting), len(undecided), claim.tolerance, first_undecided)
    evidence = first_undecided
    if len(refuting):
        best = preferred(refuting, residuals[refuting], sizes[refuting], len(claim.smallest))
        evidence = int(refuting[best])
    return Verdict(
        claim_id=claim.id,
        outcome=outcome,
        expected=claim.expected if mutant is None else Outcome.REFUTED,
        worst=float(residuals[worst]) if worst is not None else math.nan,
        tolerance=claim.tolerance,
        n=len(residuals),
        n_refuting=len(refuting),
        seed=seed,
        reason=reason,
        witness=None if evidence is None else witness_of(claim, seed, evidence, mutant),
        worst_case=None if worst is None else witness_of(claim, seed, worst, mutant),
        residuals=tuple(None if math.isnan(residual) else residual for residual in residuals.tolist()),
        mutant=mutant,
        seconds=seconds,
    )


def witness_of(claim: Claim, seed: int, index: int, mutant: str | None) -> Witness:
    """One instance with all that a witness says of it."""
    instance = claim.instance(index, seed)
    lead = instance.get("text", f"instance {index} of seed {seed} ({instance_size(instance)} numbers)")
    return witness_from(claim, instance, lead=lead, seed=seed, index=index, mutant=mutant)


def witness_from(
    claim: Claim, instance: Instance, *, lead: str, seed: int, index: int | None, mutant: str | None
) -> Witness:
    """The witness that an instance is, with its residual and the two numbers that differ most."""
    residual = claim.residual_of(instance, mutant=mutant)
    left, right = _numbers(claim, instance, mutant)
    quantity = f"{claim.quantity} " if claim.quantity else ""
    known = None if math.isnan(residual) else residual
    return Witness(
        claim_id=claim.id,
        instance=instance,
        residual=known,
        tolerance=claim.tolerance,
        left=left,
        right=right,
        text=f"{lead}: {quantity}{left} against {right}",
        seed=seed,
        index=index,
        mutant=mutant,
        round_off=round_off_bound(known, claim.tolerance),
    )


def _numbers(claim: Claim, instance: Instance, mutant: str | None) -> tuple[str, str]:
    """The entry at which the two sides differ most, as text."""
    try:
        left, right = claim.both_sides(instance, mutant=mutant)
    except (ComputationError, np.linalg.LinAlgError, FloatingPointError) as error:
        return f"no value ({type(error).__name__})", "no value"
    a, b = (np.atleast_1d(np.asarray(side)).ravel() for side in (left, right))
    a, b = np.broadcast_arrays(a, b)
    at = int(np.argmax(np.abs(a - b)))
    zero = 1e-12 * max(abs(a[at]), abs(b[at]))
    return _format(a[at], zero), _format(b[at], zero)


def _format(number: Any, zero: float) -> str:
    value = complex(number)
    real = 0.0 if abs(value.real) <= zero else value.real
    if abs(value.imag) <= zero:
        return f"{real:.7g}"
    return f"{real:.7g}{value.imag:+.7g}i"

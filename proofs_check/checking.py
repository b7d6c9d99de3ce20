"""Try a claim on many instances, serially or on any executor, with the same verdict."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import replace
from typing import Any

import numpy as np

from lineardyn.errors import ComputationError
from lineardyn.validation import Rng, as_generator, check_count
from proofs_check.claim import Claim
from proofs_check.verdict import Instance, Outcome, Verdict, Witness, instance_size

__all__ = ["check", "witness_of"]

BLOCK = 16
"""Instances in one task of an executor. Fixed, so that the verdict does not depend on the number of workers."""


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
    seed = _seed(rng)
    verdict = _try(target, n, seed, executor, mutant)
    if power:
        counts = {name: _try(target, n, seed, executor, name).n_refuting for name in target.mutants}
        verdict = replace(verdict, power=counts)
    return verdict


def _seed(rng: Rng) -> int:
    generator = as_generator(rng)  # also refuses what is no seed
    return int(generator.integers(2**53)) if isinstance(rng, np.random.Generator) else int(rng)


def _try(claim: Claim, n: int, seed: int, executor: Executor | None, mutant: str | None) -> Verdict:
    started = time.perf_counter()
    count = n if claim.max_instances is None else min(n, claim.max_instances)
    blocks = [range(i, min(i + BLOCK, count)) for i in range(0, count, BLOCK)]
    reference = _reference(claim)
    if executor is None:
        parts: Any = [_block(claim, seed, block, mutant) for block in blocks]
    else:
        parts = _gather([executor.submit(_block, reference, seed, block, mutant) for block in blocks])
    rows = [row for part in parts for row in part]
    return _judge(claim, seed, mutant, rows, time.perf_counter() - started)


def _gather(futures: list[Future[Any]]) -> list[Any]:
    """All results in order; what has not begun is cancelled when one fails or on Ctrl-C."""
    try:
        return [future.result() for future in futures]
    except BaseException:
        for future in futures:
            future.cancel()
        raise


def _reference(claim: Claim) -> Claim | str:
    """The id of a registered claim, which any process can look up; else the claim itself."""
    from proofs_check.claims import claims

    return claim.id if any(known is claim for known in claims()) else claim


def _block(claim: Claim | str, seed: int, indices: Sequence[int], mutant: str | None) -> list[tuple[float, int]]:
    """Residual and size of each instance: all that has to travel, as the index gives the instance back."""
    from proofs_check.claims import get

    target = get(claim) if isinstance(claim, str) else claim
    return target.residuals(indices, seed, mutant=mutant)


def _judge(claim: Claim, seed: int, mutant: str | None, rows: list[tuple[float, int]], seconds: float) -> Verdict:
    residuals = [residual for residual, _ in rows]
    finite = [i for i, residual in enumerate(residuals) if not math.isnan(residual)]
    undecided = [i for i, residual in enumerate(residuals) if math.isnan(residual)]
    refuting = [i for i in finite if residuals[i] > claim.tolerance]
    worst = max(finite, key=lambda i: (residuals[i], -i), default=None)
    evidence: int | None
    if refuting:
        outcome, evidence = (
            Outcome.REFUTED,
            min(refuting, key=lambda i: (i >= len(claim.smallest), rows[i][1], -residuals[i], i)),
        )
        reason = f"{len(refuting)} of {len(rows)} instances exceed the tolerance {claim.tolerance:g}"
    elif undecided:
        outcome, evidence = Outcome.INCONCLUSIVE, undecided[0]
        reason = f"{len(undecided)} of {len(rows)} instances have no finite residual (the first: index {undecided[0]})"
    else:
        outcome, evidence = Outcome.NOT_REFUTED, None
        reason = f"none of {len(rows)} instances exceeds the tolerance {claim.tolerance:g}"
    return Verdict(
        claim_id=claim.id,
        outcome=outcome,
        expected=claim.expected if mutant is None else Outcome.REFUTED,
        worst=residuals[worst] if worst is not None else math.nan,
        tolerance=claim.tolerance,
        n=len(rows),
        n_refuting=len(refuting),
        seed=seed,
        reason=reason,
        witness=None if evidence is None else _witness(claim, seed, evidence, mutant),
        worst_case=None if worst is None else _witness(claim, seed, worst, mutant),
        residuals=tuple(None if math.isnan(residual) else residual for residual in residuals),
        mutant=mutant,
        seconds=seconds,
    )


def _witness(claim: Claim, seed: int, index: int, mutant: str | None) -> Witness:
    instance = claim.instance(index, seed)
    lead = instance.get("text", f"instance {index} of seed {seed} ({instance_size(instance)} numbers)")
    return witness_of(claim, instance, lead=lead, seed=seed, index=index, mutant=mutant)


def witness_of(
    claim: Claim, instance: Instance, *, lead: str, seed: int, index: int | None, mutant: str | None
) -> Witness:
    """The witness that an instance is, with its residual and the two numbers that differ most."""
    residual = claim.residual_of(instance, mutant=mutant)
    left, right = _numbers(claim, instance, mutant)
    quantity = f"{claim.quantity} " if claim.quantity else ""
    return Witness(
        claim_id=claim.id,
        instance=instance,
        residual=None if math.isnan(residual) else residual,
        tolerance=claim.tolerance,
        left=left,
        right=right,
        text=f"{lead}: {quantity}{left} against {right}",
        seed=seed,
        index=index,
        mutant=mutant,
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

"""Some thousand instances of one claim, tried in one go: all that a campaign keeps of them, in one row."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lineardyn.ensembles.threads import one_blas_thread
from lineardyn.errors import ArgumentError
from lineardyn.executors import look_at
from proofs_check.campaigns.fingerprint import fingerprint
from proofs_check.checking import block_edges, preferred, residuals_of_block
from proofs_check.claim import Claim

__all__ = ["HISTOGRAM_EDGES", "Block", "Evidence", "merged", "try_block"]

HISTOGRAM_EDGES = tuple(float(f"1e{power}") for power in range(-18, 4))
"""Residuals below the first (0 among them), in ``[edge, next edge)``, and from the last on: 23 counts."""

FIRST = 8
"""Refuting instances whose indices are kept."""

PIECE, BATCHED_PIECE = 4, 256
"""Instances between two looks at whether the work is still wanted."""

LOOK = 0.1
"""Seconds between such looks: they ask the file system."""

Floats = NDArray[np.float64]


class Evidence(NamedTuple):
    """An instance and what makes it the simplest witness: the smallest such tuple is preferred."""

    drawn: bool
    size: int
    minus_residual: float
    at: int


@dataclass(frozen=True)
class Block:
    """Instances ``first, .., stop - 1`` of a claim, or of one of its mutants.

    Attributes
    ----------
    worst, worst_index
        The largest finite residual and the first instance that has it; None if there is none.
    histogram
        Counts of the finite residuals between :data:`HISTOGRAM_EDGES`.
    refuting
        Indices of the first refuting instances, eight at most.
    undecided
        The first instance without finite residual, or None.
    witness
        The simplest refuting instance (as in :class:`proofs_check.Verdict`), or None.
    digest
        The sum, modulo 2^64, of a mix of index and residual over the instances: it differs where a bit of a residual
        does, or where an instance is missing or counted twice; how instances were cut into blocks does not matter.
    seconds
        What it took: no part of the ledger.
    """

    claim_id: str
    mutant: str | None
    first: int
    stop: int
    n_refuting: int
    n_undecided: int
    worst: float | None
    worst_index: int | None
    histogram: tuple[int, ...]
    refuting: tuple[int, ...]
    undecided: int | None
    witness: Evidence | None
    digest: int
    seconds: float = field(default=0.0, compare=False)

    @property
    def n(self) -> int:
        """Instances."""
        return self.stop - self.first


def try_block(
    claim: Claim | str,
    version: str,
    seed: int,
    mutant: str | None,
    first: int,
    stop: int,
    flag: Path | None = None,
    _: int = 0,
) -> Block:
    """Try the instances ``first, .., stop - 1``: what a worker does.

    Raises
    ------
    ArgumentError
        This worker has another version of the claim than the one that sent it.
    """
    from proofs_check.claims import get

    target = get(claim)
    if fingerprint(target) != version:
        raise ArgumentError(
            f"executor has workers with another version of claim {target.id} ({fingerprint(target)}, expected "
            f"{version}): install the same version of lineardyn everywhere and start the workers anew"
        )
    started = look = time.perf_counter()
    look_at(flag)
    edges = block_edges(target, first, stop, BATCHED_PIECE if target.batched else PIECE)
    parts = []
    with one_blas_thread():  # the executor runs others beside it; and the bits do not depend on the cores
        for a, b in pairwise(edges):
            if time.perf_counter() - look > LOOK:
                look_at(flag)
                look = time.perf_counter()
            parts.append(_tried(target, seed, range(a, b), mutant))
    residuals, sizes = (np.concatenate(column) for column in zip(*parts, strict=True))
    return _summary(target, mutant, first, residuals, sizes, time.perf_counter() - started)


def _tried(claim: Claim, seed: int, indices: range, mutant: str | None) -> tuple[Floats, NDArray[np.int64]]:
    try:
        return residuals_of_block(claim, seed, indices, mutant)
    except Exception as error:  # a fault of the claim: said where, as it may be hours after the start
        planted = "" if mutant is None else f", mutant {mutant!r}"
        error.add_note(f"claim {claim.id}{planted}: among instances {indices.start}..{indices.stop - 1} of seed {seed}")
        raise


def _summary(
    claim: Claim, mutant: str | None, first: int, residuals: Floats, sizes: NDArray[np.int64], seconds: float
) -> Block:
    indices = np.arange(first, first + len(residuals))
    finite = ~np.isnan(residuals)
    refuting = np.flatnonzero(residuals > claim.tolerance)
    worst = int(np.nanargmax(residuals)) if finite.any() else None
    witness = None
    if len(refuting):
        n_smallest = len(claim.smallest)
        row = refuting[preferred(indices[refuting], residuals[refuting], sizes[refuting], n_smallest)]
        index = int(indices[row])
        witness = Evidence(index >= n_smallest, int(sizes[row]), -float(residuals[row]), index)
    bins = np.searchsorted(HISTOGRAM_EDGES, residuals[finite], side="right")
    undecided = indices[~finite]
    return Block(
        claim_id=claim.id,
        mutant=mutant,
        first=first,
        stop=first + len(residuals),
        n_refuting=len(refuting),
        n_undecided=len(undecided),
        worst=None if worst is None else float(residuals[worst]),
        worst_index=None if worst is None else int(indices[worst]),
        histogram=tuple(np.bincount(bins, minlength=len(HISTOGRAM_EDGES) + 1).tolist()),
        refuting=tuple(indices[refuting[:FIRST]].tolist()),
        undecided=int(undecided[0]) if len(undecided) else None,
        witness=witness,
        digest=_digest(indices, residuals),
        seconds=seconds,
    )


def _digest(indices: NDArray[np.int64], residuals: Floats) -> int:
    bits = np.where(np.isnan(residuals), np.nan, residuals + 0.0).view(np.uint64)  # one NaN, one zero
    return int(np.sum(_mixed(_mixed(indices.astype(np.uint64)) ^ bits), dtype=np.uint64))


def _mixed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64: each bit of the result depends on all bits of a word."""
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = words ^ (words >> np.uint64(31))
    return mixed


def merged(blocks: Sequence[Block]) -> Block:
    """All blocks of one claim as one, whatever their order; ``stop - first`` is the number of instances."""
    return reduce(_pair, sorted(blocks, key=lambda block: block.first))


def _pair(a: Block, b: Block) -> Block:
    worst = min((a, b), key=_how_bad)
    return Block(
        claim_id=a.claim_id,
        mutant=a.mutant,
        first=a.first,
        stop=a.stop + b.n,
        n_refuting=a.n_refuting + b.n_refuting,
        n_undecided=a.n_undecided + b.n_undecided,
        worst=worst.worst,
        worst_index=worst.worst_index,
        histogram=tuple(x + y for x, y in zip(a.histogram, b.histogram, strict=True)),
        refuting=tuple(sorted((*a.refuting, *b.refuting)))[:FIRST],
        undecided=min((i for i in (a.undecided, b.undecided) if i is not None), default=None),
        witness=min((e for e in (a.witness, b.witness) if e is not None), default=None),
        digest=(a.digest + b.digest) % 2**64,
        seconds=a.seconds + b.seconds,
    )


def _how_bad(block: Block) -> tuple[float, int]:
    """The smallest first: the largest residual, and among equal ones the first index."""
    if block.worst is None or block.worst_index is None:
        return float("inf"), 0
    return -block.worst, block.worst_index

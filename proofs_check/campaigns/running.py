"""Try claims on many instances, on any executor, into a store that survives whatever happens to the work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from lineardyn.errors import ArgumentError, ComputationError, Status
from lineardyn.executors import ExecutorLike, Submission
from lineardyn.progress import progress_bar
from lineardyn.validation import Rng, check_count, check_path
from proofs_check.campaigns.block import Block, try_block
from proofs_check.campaigns.executors import open_executor
from proofs_check.campaigns.fingerprint import fingerprint
from proofs_check.campaigns.ledger import Ledger, row_of
from proofs_check.campaigns.store import Store
from proofs_check.checking import block_edges, reference, seed_of
from proofs_check.claim import Claim

__all__ = ["campaign"]

LENGTHS = {"batched": 4096, "single": 256, "dear": 8}
"""Instances in a block: seconds of work at most for most claims, so that an interruption costs no more."""

IN_FLIGHT = 256
"""Blocks that are with the executor at once: more than any cluster of ours has workers."""

OnBlock = Callable[[Block], object]


def campaign(
    chosen: Sequence[Claim | str] | None = None,
    *,
    n: int,
    rng: Rng,
    executor: ExecutorLike | str | None = None,
    store: str | Path | None = None,
    power: bool = False,
    dear: bool = False,
    progress: bool = False,
    on_block: OnBlock | None = None,
) -> Ledger:
    """Try claims on instances ``0, .., n - 1`` of a seed, and say what came of each.

    What the store holds already is not tried again: the same call goes on where it was interrupted, a larger ``n`` adds
    instances. The ledger does not depend on the executor, the number of its workers or their deaths.

    Parameters
    ----------
    chosen
        Claims or their ids; all registered ones if None.
    n
        Instances of each claim, its smallest cases first; where the claim is dear, at most ``Claim.max_instances``.
    rng
        A seed, or a Generator from which one is drawn.
    executor
        Any ``concurrent.futures.Executor`` or a function that makes one (then a pool that broke is made anew), or one
        of ``"threads"``, ``"threads:N"``, ``"processes:N"``, ``"dask://HOST:PORT"``; None: here, one by one. A block
        whose worker dies is tried again, three times in all.
    store
        An SQLite file, made if it is not there; None: in memory. It belongs to one seed.
    power
        Also try every planted error on the same instances, each of which should be REFUTED.
    dear
        Try all ``n`` instances of dear claims too.
    progress
        Show a bar.
    on_block
        Called in this thread with each :class:`Block` once it is committed.

    Raises
    ------
    ArgumentError
        An unknown id, ``n`` < 1, an executor that cannot be used or reached, or whose workers have another version.
    DataFileError
        A store that is locked, damaged, full, or of another campaign (seed, or version of a claim); what was committed
        to it is whole.
    ComputationError
        WORKER_LOST: some blocks killed their worker at every try; ``result`` is the Ledger of all others.

    Examples
    --------
    >>> ledger = campaign(["convolution-theorem", "E1"], n=300, rng=0, executor="threads:2")
    >>> for row in ledger:
    ...     print(row.claim_id, row.n, row.outcome.value)
    convolution-theorem 300 not refuted
    E1 300 refuted
    >>> ledger["E1"].witness().text
    '1×2, w = x = δ_0: (w∗x)^_f/(‖w‖‖x‖) 0.7071068 against 0.5'
    """
    from proofs_check.claims import claims, get

    check_count("n", n)
    seed = seed_of(rng)
    targets = list(claims()) if chosen is None else list(dict.fromkeys(get(claim) for claim in _listed(chosen)))
    variants = [(claim, mutant) for claim in targets for mutant in (None, *(claim.mutants if power else ()))]
    path = None if store is None else check_path(store, "store")
    with open_executor(executor) as pool, Store(path, seed) as kept:
        kept.register(targets)
        work = _Work(kept, _planned(kept, variants, n, dear), on_block or (lambda _: None))
        with progress_bar("campaign", work.instances, shown=progress) as report:
            work.report = report or (lambda _: None)
            if pool is None:
                work.run_here()
            else:
                _Blocks(work, pool).run()
        ledger = _ledger(kept, variants)
    if work.lost:
        raise ComputationError(Status.WORKER_LOST, _lost_text(work), ledger)
    return ledger


def _listed(chosen: Any) -> list[Claim | str]:
    if isinstance(chosen, str | Claim):
        raise ArgumentError(
            f"chosen is one claim, expected a list of claims or ids: [{getattr(chosen, 'id', chosen)!r}]"
        )
    return list(chosen)


@dataclass(frozen=True)
class _Task:
    """Instances ``first, .., stop - 1`` that are to be tried."""

    claim: Claim
    mutant: str | None
    first: int
    stop: int


def _planned(store: Store, variants: Sequence[tuple[Claim, str | None]], n: int, dear: bool) -> list[_Task]:
    return [
        _Task(claim, mutant, first, stop)
        for claim, mutant in variants
        for a, b in _missing(
            store, claim, mutant, n if dear or claim.max_instances is None else min(n, claim.max_instances)
        )
        for first, stop in pairwise(block_edges(claim, a, b, _length(claim)))
    ]


def _missing(store: Store, claim: Claim, mutant: str | None, count: int) -> Iterator[tuple[int, int]]:
    """The gaps between the blocks that are there."""
    at = 0
    for block in store.blocks(claim.id, mutant):
        if at < block.first:
            yield at, min(block.first, count)
        at = block.stop
        if at >= count:
            return
    if at < count:
        yield at, count


def _length(claim: Claim) -> int:
    return LENGTHS["batched" if claim.batched else "single" if claim.max_instances is None else "dear"]


class _Work:
    """Tasks, and what becomes of their blocks: committed, then told."""

    def __init__(self, store: Store, tasks: list[_Task], on_block: OnBlock) -> None:
        self.store, self.tasks, self.on_block = store, tasks, on_block
        self.instances = sum(task.stop - task.first for task in tasks)
        self.done = 0
        self.fresh: list[Block] = []
        self.lost: list[_Task] = []
        self.report: Callable[[float], None] = lambda _: None

    def call(self, task: _Task) -> tuple[Any, ...]:
        sent = reference(task.claim)
        return sent, fingerprint(task.claim), self.store.seed, task.mutant, task.first, task.stop

    def commit(self) -> None:
        """Together what came together: a commit waits for the disk."""
        fresh, self.fresh = self.fresh, []
        self.store.append(fresh)
        for block in fresh:
            self.done += block.n
            self.on_block(block)
        if fresh:
            self.report(self.done)

    def run_here(self) -> None:
        for task in self.tasks:
            self.fresh.append(try_block(*self.call(task)))
            self.commit()


class _Blocks(Submission):
    """The same over an executor."""

    def __init__(self, work: _Work, executor: ExecutorLike) -> None:
        self.work = work
        super().__init__(len(work.tasks), executor, IN_FLIGHT)

    def call(self, chunk: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return try_block, self.work.call(self.work.tasks[chunk])

    def keep(self, chunk: int, result: Block) -> None:
        self.work.fresh.append(result)

    def settle(self) -> None:
        self.work.commit()

    def give_up(self, chunk: int) -> None:
        self.work.lost.append(self.work.tasks[chunk])


def _ledger(store: Store, variants: Sequence[tuple[Claim, str | None]]) -> Ledger:
    held = {claim.id: claim for claim in store.claims()}
    rows = [row_of(store, held[claim.id], mutant, claim) for claim, mutant in variants]
    return Ledger(tuple(row for row in rows if row is not None), store.seed)


def _lost_text(work: _Work) -> str:
    first = work.lost[0]
    return (
        f"campaign: {len(work.lost)} of {len(work.tasks)} blocks killed their worker at every try, the first of claim "
        f"{first.claim.id}, instances {first.first}..{first.stop - 1}: {Status.WORKER_LOST.value} Store "
        f"{work.store.name} keeps all others; the same command tries these again."
    )

"""What came of a campaign, claim by claim: counted over all that its store holds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lineardyn.errors import ArgumentError, DataFileError
from lineardyn.validation import check_path
from proofs_check.campaigns.block import HISTOGRAM_EDGES, Block, merged
from proofs_check.campaigns.fingerprint import fingerprint
from proofs_check.campaigns.store import Store, StoredClaim, stored_seed
from proofs_check.checking import judged, witness_of
from proofs_check.claim import Claim
from proofs_check.verdict import Outcome, Witness

__all__ = ["Ledger", "LedgerRow", "row_of"]


@dataclass(frozen=True)
class LedgerRow:
    """A claim, or one of its mutants, and what all its instances said.

    Attributes
    ----------
    outcome, reason, expected
        As in :class:`proofs_check.Verdict`.
    total
        The counts of all blocks: ``n``, ``n_refuting``, ``n_undecided``, ``worst``, ``worst_index``, ``histogram``,
        ``refuting`` (the first eight indices), ``digest``.
    seed
        Of the instances: with an index it gives each of them back.
    fingerprint
        The version of the claim that was tried.
    """

    claim: Claim | str
    seed: int
    expected: Outcome
    tolerance: float
    total: Block
    fingerprint: str

    @property
    def claim_id(self) -> str:
        """The claim's id."""
        return self.total.claim_id

    @property
    def mutant(self) -> str | None:
        """Which planted error was tried, if any."""
        return self.total.mutant

    @property
    def n(self) -> int:
        """Instances tried."""
        return self.total.n

    @property
    def worst(self) -> float | None:
        """The largest finite residual."""
        return self.total.worst

    @property
    def outcome(self) -> Outcome:
        """What the instances say."""
        return self._judged()[0]

    @property
    def reason(self) -> str:
        """Why, with numbers."""
        return self._judged()[1]

    @property
    def as_expected(self) -> bool:
        """Whether the outcome is the expected one: of a mutant REFUTED."""
        return self.outcome is self.expected

    def witness(self) -> Witness | None:
        """The simplest refuting instance (else one without residual, if there is one), computed anew from its index."""
        evidence = self.total.undecided if self.total.witness is None else self.total.witness.at
        return self._rebuilt(evidence)

    def worst_case(self) -> Witness | None:
        """The instance with the largest residual, computed anew from its index."""
        return self._rebuilt(self.total.worst_index)

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON-able data."""
        total = self.total
        return {
            "claim": self.claim_id, "mutant": self.mutant, "outcome": self.outcome.name,
            "expected": self.expected.name, "as_expected": self.as_expected, "reason": self.reason, "seed": self.seed,
            "n": self.n, "n_refuting": total.n_refuting, "n_undecided": total.n_undecided, "worst": total.worst,
            "worst_index": total.worst_index, "tolerance": self.tolerance,
            "histogram": {"edges": list(HISTOGRAM_EDGES), "counts": list(total.histogram)},
            "refuting": list(total.refuting), "witness_index": total.witness.at if total.witness else None,
            "digest": f"{total.digest:016x}", "fingerprint": self.fingerprint, "seconds": total.seconds,
        }  # fmt: skip

    def _judged(self) -> tuple[Outcome, str]:
        total = self.total
        return judged(total.n, total.n_refuting, total.n_undecided, self.tolerance, total.undecided)

    def _rebuilt(self, index: int | None) -> Witness | None:
        from proofs_check.claims import get

        if index is None:
            return None
        claim = get(self.claim)
        if fingerprint(claim) != self.fingerprint:
            raise DataFileError(
                f"claim {claim.id} has changed ({fingerprint(claim)}, its row has {self.fingerprint}): index {index} "
                f"no longer gives the same instance; go back to that version"
            )
        return witness_of(claim, self.seed, index, self.mutant)


@dataclass(frozen=True)
class Ledger(Sequence[LedgerRow]):
    """The rows of a campaign, in the order of the claims, each claim before its mutants.

    Two campaigns with one seed have equal ledgers, to the bit of every residual (``digest``), whatever workers they
    had and however often they were interrupted, on machines that compute alike. Times are no part of it.
    """

    rows: tuple[LedgerRow, ...]
    seed: int

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        """By number, or by id of the claim (its mutants as ``(id, name)``)."""
        if isinstance(index, int | slice):
            return self.rows[index]
        wanted = index if isinstance(index, tuple) else (index, None)
        for row in self.rows:
            if (row.claim_id, row.mutant) == wanted:
                return row
        raise ArgumentError(f"claim is {index!r}, expected one of the ledger's: {', '.join(self._ids())}")

    def __iter__(self) -> Iterator[LedgerRow]:
        return iter(self.rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ledger) and _compared(self) == _compared(other)

    def __hash__(self) -> int:
        return hash(_compared(self))

    @property
    def as_expected(self) -> bool:
        """Whether every row is."""
        return all(row.as_expected for row in self.rows)

    @property
    def n(self) -> int:
        """Instances of all rows."""
        return sum(row.n for row in self.rows)

    @property
    def seconds(self) -> float:
        """What all blocks took, added up over the workers."""
        return sum(row.total.seconds for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """The ledger as JSON-able data."""
        return {"seed": self.seed, "as_expected": self.as_expected, "rows": [row.to_dict() for row in self.rows]}

    @classmethod
    def load(cls, path: str | Path) -> Ledger:
        """All that is in a store, also of claims that are not registered here.

        Raises
        ------
        DataFileError
            There is no such file, or it is damaged, locked or no store.
        """
        file = check_path(path)
        with Store(file, stored_seed(file)) as store:
            rows = [
                row
                for claim in store.claims()
                for mutant in (None, *store.mutants(claim.id))
                if (row := row_of(store, claim, mutant)) is not None
            ]
        return cls(tuple(rows), store.seed)

    def _ids(self) -> list[str]:
        return [row.claim_id if row.mutant is None else repr((row.claim_id, row.mutant)) for row in self.rows]


def _compared(ledger: Ledger) -> str:
    rows = [{key: value for key, value in row.to_dict().items() if key != "seconds"} for row in ledger]
    return json.dumps([ledger.seed, *sorted(json.dumps(row, sort_keys=True) for row in rows)])


def row_of(store: Store, claim: StoredClaim, mutant: str | None, known: Claim | None = None) -> LedgerRow | None:
    """The row of a claim or mutant; None if the store has no block of it."""
    blocks = store.blocks(claim.id, mutant)
    if not blocks:
        return None
    return LedgerRow(
        claim=known or claim.id,
        seed=store.seed,
        expected=claim.expected if mutant is None else Outcome.REFUTED,
        tolerance=claim.tolerance,
        total=merged(blocks),
        fingerprint=claim.fingerprint,
    )

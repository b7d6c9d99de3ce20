"""Section 5: every claim of the papers, tried."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from proofs_check.checking import check
from proofs_check.claim import Claim
from proofs_check.claims import claims
from proofs_check.report.section import Section
from proofs_check.verdict import Outcome, Verdict

__all__ = ["Entry", "compute", "section"]


@dataclass(frozen=True)
class Entry:
    """A claim and what came of it."""

    claim: Claim
    verdict: Verdict
    power_n: int
    """Instances on which the planted errors were tried."""

    @property
    def found(self) -> int:
        """How many of the planted errors were refuted."""
        return sum(count > 0 for count in (self.verdict.power or {}).values())

    @property
    def as_expected(self) -> bool:
        """Whether the outcome is the one that the claim's author expects: an erratum is to be refuted."""
        return self.verdict.as_expected


def compute(
    *, n: int, seed: int, advance: Callable[[], None] = lambda: None, chosen: Sequence[Claim] | None = None
) -> list[Entry]:
    """Try each claim, and each of its planted errors, on up to ``n`` instances."""
    entries = []
    for claim in claims() if chosen is None else chosen:
        verdict = check(claim, n=n, rng=seed, power=True)
        entries.append(Entry(claim, verdict, verdict.n))
        advance()
    return entries


def section(entries: Sequence[Entry]) -> Section:
    """The ledger; the template draws its table from ``numbers``."""
    refuted = [e for e in entries if e.verdict.outcome is Outcome.REFUTED]
    odd = [e.claim.id for e in entries if not e.as_expected]
    text = (
        f"{len(entries)} claims were tried. {len(entries) - len(refuted)} were not refuted; {len(refuted)} were: each "
        "with its witness, one case that anyone can compute. A check never says “proved”."
    )
    if odd:
        text += f" Not as expected: {', '.join(odd)}."
    return Section(
        id="ledger",
        title="5 · Ledger of claims",
        paragraphs=[text],
        numbers={"claims": [{**_words(e.claim), **e.verdict.to_dict()} for e in entries]},
    )


def _words(claim: Claim) -> dict[str, object]:
    return {
        "id": claim.id,
        "title": claim.title,
        "statement": claim.statement,
        "source": claim.source,
        "hypotheses": list(claim.hypotheses),
        "tolerance_reason": claim.tolerance_reason,
    }

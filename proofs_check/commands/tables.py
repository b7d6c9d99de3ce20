"""Verdicts and ledgers as tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from proofs_check.campaigns import Ledger
from proofs_check.verdict import Outcome, Verdict

__all__ = ["ledger_table", "power_table", "verdict_table"]

COLOURS = {Outcome.NOT_REFUTED: "green", Outcome.REFUTED: "yellow", Outcome.INCONCLUSIVE: "red"}
TITLED = 120
"""Columns of a terminal that has room for whole titles."""


def verdict_table(rows: Sequence[tuple[str, Verdict]], width: int) -> Table:
    """The ledger of claims; titles where the terminal is wide enough."""
    titled = width >= TITLED
    table = _table("Ledger of claims", ("claim", *(("",) if titled else ())), ("cases", "worst", "tolerance"))
    for title, verdict in rows:
        table.add_row(
            escape(verdict.claim_id), *((escape(title),) if titled else ()), str(verdict.n), f"{verdict.worst:.1e}",
            f"{verdict.tolerance:.0e}", _coloured(verdict.outcome, verdict.as_expected),
        )  # fmt: skip
    return table


def power_table(verdicts: Sequence[Verdict]) -> Table:
    """How many instances notice each planted error."""
    table = _table("Power: planted errors", ("claim", "planted error"), ("refuted in", "of"))
    for verdict in verdicts:
        for name, count in (verdict.power or {}).items():
            outcome = Outcome.REFUTED if count else Outcome.NOT_REFUTED
            table.add_row(
                escape(verdict.claim_id),
                escape(name),
                str(count),
                str(verdict.n),
                _coloured(outcome, outcome is Outcome.REFUTED),
            )
    return table


def ledger_table(ledger: Ledger, titles: dict[str, str], width: int) -> Table:
    """The rows of a campaign."""
    titled = width >= TITLED
    names = ("claim", *(("",) if titled else ()))
    table = _table("Ledger of the campaign", names, ("cases", "refuting", "worst", "tolerance"))
    for row in ledger:
        words = titles.get(row.claim_id, "") if row.mutant is None else f"planted: {row.mutant}"
        name = row.claim_id if row.mutant is None or titled else f"  {row.mutant}"
        worst = "none" if row.worst is None else f"{row.worst:.1e}"
        table.add_row(
            escape(name), *((escape(words),) if titled else ()), f"{row.n:,}", f"{row.total.n_refuting:,}", worst,
            f"{row.tolerance:.0e}", _coloured(row.outcome, row.as_expected),
        )  # fmt: skip
    return table


def _table(title: str, texts: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for i, name in enumerate(texts):
        table.add_column(name, no_wrap=True, overflow="ellipsis" if i else "fold")
    for name in numbers:
        table.add_column(name, no_wrap=True, justify="right")
    table.add_column("verdict")
    return table


def _coloured(outcome: Outcome, as_expected: bool) -> str:
    mark = "" if as_expected else ", not as expected"
    return f"[{COLOURS[outcome]}]{outcome.value}{mark}[/]"

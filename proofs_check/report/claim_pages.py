"""A page for each claim: its statement, its residuals, its worst case drawn, the planted errors that it found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import jinja2

from proofs_check.report.drawings import Tile, histogram, numbers_of, tiles_of
from proofs_check.report.ledger import Entry
from proofs_check.verdict import Witness

__all__ = ["page_of", "write_claim_pages"]


def page_of(claim_id: str) -> str:
    """The page's path, as a link from the report."""
    return f"claims/{claim_id}.html"


def write_claim_pages(
    entries: Sequence[Entry], folder: Path, environment: jinja2.Environment, advance: Callable[[], None]
) -> None:
    """Write ``claims/ID.html``, and the witness, or else the worst case, as ``claims/ID.json`` to replay."""
    (folder / "claims").mkdir()
    template = environment.get_template("claim.html")
    for i, entry in enumerate(entries):
        case = entry.verdict.witness or entry.verdict.worst_case
        html = template.render(
            entry=entry,
            before=entries[i - 1].claim if i else None,
            after=entries[i + 1].claim if i + 1 < len(entries) else None,
            histogram=histogram(entry.verdict.residuals, entry.verdict.tolerance),
            case=case,
            tiles=_tiles(case),
            numbers=[] if case is None else numbers_of(case.instance),
        )
        (folder / page_of(entry.claim.id)).write_text(html, encoding="utf-8", newline="\n")
        if case is not None:
            case.save(folder / "claims" / f"{entry.claim.id}.json")
        advance()


def _tiles(case: Witness | None) -> list[Tile]:
    return [] if case is None else tiles_of(case.instance)

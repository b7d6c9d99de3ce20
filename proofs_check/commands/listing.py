"""``list``: the claims, what stands behind each, and what is expected of it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from proofs_check.claim import Claim
from proofs_check.commands.output import add_json, write_json
from proofs_check.verdict import Outcome

__all__ = ["HELP", "add_arguments", "page", "run"]

HELP = "the claims, what stands behind each, and what is expected of it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the list."""
    add_json(parser)
    parser.add_argument("--markdown", action="store_true", help="as a page with all statements: docs/ledger.md")


def run(options: argparse.Namespace, console: Console) -> int:
    """Print the claims."""
    from proofs_check.claims import claims

    if options.json:
        write_json([_words(claim) for claim in claims()])
        return 0
    if options.markdown:
        sys.stdout.write(page(claims()))
        return 0
    table = Table()
    for name in ("id", "kind", "claim", "source", "expected"):
        table.add_column(name, no_wrap=name == "id")
    for claim in claims():
        row = (claim.id, claim.kind.value, claim.title, claim.source, claim.expected.value)
        table.add_row(*map(escape, row))
    console.print(table)
    return 0


def page(claims: Sequence[Claim]) -> str:
    """The ledger in Markdown: what is false first, then the statements of each file in the order of the theory."""
    lines = [
        "# The ledger",
        "",
        "Written by `python -m proofs_check list --markdown`; a test keeps it current. `python -m proofs_check check "
        "ID` tries a claim, `report` shows each with its residuals, worst case and planted errors. A check never "
        "proves: *proved* says that a proof is known, *observed* that there is none.",
    ]
    false = [claim for claim in claims if claim.expected is Outcome.REFUTED]
    lines += _part("False, each with a witness", false)
    subjects: dict[str, list[Claim]] = {}
    for claim in claims:
        if claim.expected is not Outcome.REFUTED:
            subjects.setdefault(_subject(claim), []).append(claim)
    for subject, those in subjects.items():
        lines += _part(subject, those)
    return "\n".join(lines) + "\n"


def _part(title: str, claims: Sequence[Claim]) -> list[str]:
    head = ["", f"## {title}", "", "| id | kind | statement | source |", "|---|---|---|---|"]
    return head + [
        f"| `{c.id}` | {c.kind.value} | {_cell(c.title)}: {_cell(c.statement)} | {_cell(c.source)} |" for c in claims
    ]


def _cell(text: str) -> str:
    """Bars would end the cell, stars and underscores would set type."""
    for mark in "\\`*_<":
        text = text.replace(mark, f"\\{mark}")
    return text.replace("|", "⎮")


def _subject(claim: Claim) -> str:
    """The name of the file that holds the claim's two sides."""
    return claim.sides.__module__.rsplit(".", 1)[-1].replace("_", " ").capitalize()


def _words(claim: Claim) -> dict[str, Any]:
    return {
        "id": claim.id, "kind": claim.kind.value, "title": claim.title, "statement": claim.statement,
        "source": claim.source, "hypotheses": list(claim.hypotheses), "expected": claim.expected.name,
        "counterpart": claim.counterpart, "mutants": list(claim.mutants), "tolerance": claim.tolerance,
        "tolerance_reason": claim.tolerance_reason, "max_instances": claim.max_instances,
    }  # fmt: skip

"""``list``: the claims, what stands behind each, and what is expected of it."""

from __future__ import annotations

import argparse
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from proofs_check.claim import Claim
from proofs_check.commands.output import add_json, write_json

__all__ = ["HELP", "add_arguments", "run"]

HELP = "the claims, what stands behind each, and what is expected of it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the list."""
    add_json(parser)


def run(options: argparse.Namespace, console: Console) -> int:
    """Print the claims."""
    from proofs_check.claims import claims

    if options.json:
        write_json([_words(claim) for claim in claims()])
        return 0
    table = Table()
    for name in ("id", "kind", "claim", "source", "expected"):
        table.add_column(name, no_wrap=name == "id")
    for claim in claims():
        row = (claim.id, claim.kind.value, claim.title, claim.source, claim.expected.value)
        table.add_row(*map(escape, row))
    console.print(table)
    return 0


def _words(claim: Claim) -> dict[str, Any]:
    return {
        "id": claim.id, "kind": claim.kind.value, "title": claim.title, "statement": claim.statement,
        "source": claim.source, "hypotheses": list(claim.hypotheses), "expected": claim.expected.name,
        "counterpart": claim.counterpart, "mutants": list(claim.mutants), "tolerance": claim.tolerance,
        "tolerance_reason": claim.tolerance_reason, "max_instances": claim.max_instances,
    }  # fmt: skip

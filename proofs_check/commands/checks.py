"""``check``: try claims on random instances."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console

from lineardyn.progress import progress_bar
from proofs_check.commands.output import add_trial, check_trial, save_witnesses, write_json
from proofs_check.verdict import Verdict, Witness

__all__ = ["HELP", "add_arguments", "run"]

HELP = "try claims on random instances"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a check."""
    add_trial(parser, 200)


def run(options: argparse.Namespace, console: Console) -> int:
    """Check the claims; 1 if one did not come out as expected, or a planted error was not noticed."""
    from proofs_check.checking import check
    from proofs_check.claims import claims, get

    check_trial(options)
    chosen = [get(name) for name in options.claims] or list(claims())
    verdicts = []
    with progress_bar("check", len(chosen), shown=sys.stderr.isatty()) as report:
        for claim in chosen:
            verdicts.append(check(claim, n=options.n, rng=options.seed, power=options.power))
            if report is not None:
                report(len(verdicts))
    saved = [] if options.witness is None else save_witnesses(options.witness, map(_named, verdicts))
    if options.json:
        write_json([verdict.to_dict() for verdict in verdicts])
    else:
        _show(console, [claim.title for claim in chosen], verdicts)
        for path in saved:
            console.print(f"saved {path}", soft_wrap=True, highlight=False, markup=False)
    return 0 if all(v.as_expected and all((v.power or {}).values()) for v in verdicts) else 1


def _named(verdict: Verdict) -> tuple[str, Witness | None]:
    if verdict.witness is not None:
        return verdict.claim_id, verdict.witness
    return f"{verdict.claim_id}.worst", verdict.worst_case


def _show(console: Console, titles: list[str], verdicts: list[Verdict]) -> None:
    from proofs_check.commands.tables import power_table, verdict_table

    console.print(verdict_table(list(zip(titles, verdicts, strict=True)), console.width))
    if any(verdict.power is not None for verdict in verdicts):
        console.print(power_table(verdicts))
    for verdict in verdicts:
        if verdict.witness is not None:
            console.print(f"{verdict.claim_id}: {verdict.witness.text}", highlight=False, markup=False)

"""``campaign``: millions of instances, on any executor, into a store."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from rich.console import Console

from lineardyn.errors import ComputationError
from proofs_check.campaigns import Ledger, LedgerRow
from proofs_check.claim import Claim
from proofs_check.commands.output import add_trial, check_trial, save_witnesses, write_json
from proofs_check.verdict import Witness

__all__ = ["HELP", "add_arguments", "run"]

HELP = "try claims on very many instances, on many workers, and go on where it was interrupted"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a campaign."""
    add_trial(parser, 10000)
    parser.add_argument(
        "--executor", metavar="WHERE", help="threads, threads:N, processes:N or dask://HOST:PORT (default: one process)"
    )
    parser.add_argument(
        "--store", type=Path, metavar="FILE", help="SQLite file of the campaign: the same command resumes, a larger "
        "--n goes on (default: in memory)",
    )  # fmt: skip
    parser.add_argument(
        "--dear", action="store_true", help="all instances of dear claims too (default: as many as check tries)"
    )


def run(options: argparse.Namespace, console: Console) -> int:
    """Run the campaign; 1 if a claim did not come out as expected, or a block was lost."""
    from proofs_check.campaigns import campaign
    from proofs_check.claims import claims, get

    check_trial(options)
    chosen = [get(name) for name in options.claims] or list(claims())
    started, lost = time.perf_counter(), None
    try:
        ledger = campaign(
            chosen, n=options.n, rng=options.seed, executor=options.executor, store=options.store, power=options.power,
            dear=options.dear, progress=sys.stderr.isatty(),
        )  # fmt: skip
    except ComputationError as error:
        if not isinstance(error.result, Ledger):
            raise
        ledger, lost = error.result, error
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_interrupted(options.store)) from None
    saved = [] if options.witness is None else save_witnesses(options.witness, map(_named, ledger))
    if options.json:
        write_json(ledger.to_dict())
    else:
        _show(console, ledger, chosen, time.perf_counter() - started)
        for path in saved:
            console.print(f"saved {path}", soft_wrap=True, highlight=False, markup=False)
    if lost is not None:
        raise lost
    return 0 if ledger.as_expected else 1


def _interrupted(store: Path | None) -> str:
    if store is None:
        return "interrupted: nothing was kept, as there is no --store"
    return f"interrupted: store {store} is whole, and the same command goes on from there"


def _named(row: LedgerRow) -> tuple[str, Witness | None]:
    from proofs_check.claims import get

    number = "" if row.mutant is None else f".mutant-{list(get(row.claim_id).mutants).index(row.mutant) + 1}"
    witness = row.witness()
    return (f"{row.claim_id}{number}", witness) if witness else (f"{row.claim_id}{number}.worst", row.worst_case())


def _show(console: Console, ledger: Ledger, chosen: list[Claim], seconds: float) -> None:
    from proofs_check.commands.tables import ledger_table

    console.print(ledger_table(ledger, {claim.id: claim.title for claim in chosen}, console.width))
    console.print(f"{ledger.n:,} instances of seed {ledger.seed} in the ledger; this call took {seconds:.1f} s",
                  highlight=False)  # fmt: skip
    for row in ledger:
        witness = row.witness() if row.mutant is None else None
        if witness is not None:
            console.print(f"{row.claim_id}: {witness.text}", highlight=False, markup=False)

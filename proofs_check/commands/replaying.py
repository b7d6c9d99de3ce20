"""``replay``: the residual of a witness, computed again."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from rich.console import Console

from proofs_check.commands.output import add_json, write_json
from proofs_check.verdict import Witness

__all__ = ["HELP", "add_arguments", "run"]

HELP = "compute the residual of a witness again, from its file alone"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a replay."""
    parser.add_argument("witness", type=Path, metavar="WITNESS.json", help="a file that check --witness saved")
    add_json(parser)


def run(options: argparse.Namespace, console: Console) -> int:
    """Replay; 1 if the residual is not the stored one within its round-off bound."""
    witness = Witness.load(options.witness)
    residual = witness.replay()
    agrees = witness.agrees(residual)
    if options.json:
        write_json(_told(witness, residual, agrees))
        return 0 if agrees else 1
    planted = "" if witness.mutant is None else f", planted error {witness.mutant!r}"
    if witness.origin:
        console.print(f"note: {witness.origin}", highlight=False, markup=False)
    console.print(f"{witness.claim_id}{planted}: {witness.text}", highlight=False, markup=False)
    console.print(
        f"residual {_number(residual)}, stored {_number(witness.residual)}: "
        f"{'the same' if agrees else 'NOT the same'} within round-off {witness.round_off:.1e}; "
        f"{'refutes' if residual > witness.tolerance else 'does not refute'} at the tolerance {witness.tolerance:g}",
        highlight=False, markup=False,
    )  # fmt: skip
    return 0 if agrees else 1


def _number(residual: float | None) -> str:
    return "none" if residual is None or math.isnan(residual) else f"{residual:.17g}"


def _told(witness: Witness, residual: float, agrees: bool) -> dict[str, object]:
    return {
        "claim": witness.claim_id,
        "mutant": witness.mutant,
        "residual": None if math.isnan(residual) else residual,
        "stored": witness.residual,
        "round_off": witness.round_off,
        "agrees": agrees,
        "tolerance": witness.tolerance,
        "refutes": residual > witness.tolerance,
        "version": witness.version,
        "note": witness.origin,
        "text": witness.text,
    }

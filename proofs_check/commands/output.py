"""What the verbs share: JSON on the standard output, witnesses in a folder, the numbers that they all take."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lineardyn.errors import ArgumentError
from lineardyn.validation import check_count
from proofs_check.verdict import Witness

__all__ = ["add_json", "add_trial", "check_trial", "make_folder", "save_witnesses", "write_json"]


def add_json(parser: argparse.ArgumentParser) -> None:
    """The option ``--json``."""
    parser.add_argument("--json", action="store_true", help="JSON on the standard output instead of a table")


def add_trial(parser: argparse.ArgumentParser, n: int) -> None:
    """What ``check`` and ``campaign`` have in common."""
    parser.add_argument("claims", nargs="*", metavar="ID", help="ids from the list (default: all)")
    parser.add_argument("--n", type=int, default=n, help=f"instances of each claim (default: {n})")
    parser.add_argument("--seed", type=int, default=0, help="of the instances (default: 0)")
    parser.add_argument(
        "--power", action="store_true", help="also try the planted errors of each claim: each should be refuted"
    )
    parser.add_argument(
        "--witness",
        type=Path,
        metavar="DIR",
        help="save there the witness of each claim, its worst case if it has none",
    )
    add_json(parser)


def check_trial(options: argparse.Namespace) -> None:
    """Refuse numbers and a folder that cannot be used before anything is tried."""
    check_count("--n", options.n)
    check_count("--seed", options.seed, minimum=0)
    if options.witness is not None:
        make_folder(options.witness)


def make_folder(path: Path) -> None:
    """Make the folder for witnesses."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ArgumentError(f"--witness {path} cannot be made ({reason}), expected a folder: choose another") from None


def save_witnesses(folder: Path, named: Iterable[tuple[str, Witness | None]]) -> list[Path]:
    """Save them as ``NAME.json``, each whole or not at all."""
    try:
        return [witness.save(folder / f"{name}.json") for name, witness in named if witness is not None]
    except OSError as error:
        reason = error.strerror or error
        raise ArgumentError(f"--witness {folder} cannot be written ({reason}): make room, or choose another") from None


def write_json(data: Any) -> None:
    """One document."""
    sys.stdout.write(json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n")

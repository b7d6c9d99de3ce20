"""The command line: ``python -m proofs_check report|list|check``."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.table import Table

from lineardyn.errors import ArgumentError, ComputationError, DataFileError, LineardynError
from proofs_check.verdict import Outcome, Verdict

__all__ = ["main"]

BAD_INPUT, INTERRUPTED = 2, 130
_COLOURS = {Outcome.NOT_REFUTED: "green", Outcome.REFUTED: "yellow", Outcome.INCONCLUSIVE: "red"}


class _Parser(argparse.ArgumentParser):
    """Errors in one line, without the usage text before it."""

    def error(self, message: str) -> NoReturn:
        raise ArgumentError(f"{message[0].lower()}{message[1:]}; see python -m proofs_check --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m proofs_check", description="Theory of linear CNNs, checked: a report, or single claims."
    )
    verbs = parser.add_subparsers(dest="verb", metavar="report|list|check", required=True)
    report = verbs.add_parser("report", help="images in, one page with pictures and verdicts out")
    report.add_argument(
        "--data", metavar="NAME|FILE.npz",
        help="shapes, patches, cosines, digits, cifar10, mnist, or a file with images (N, C, H, W) and labels (N,); "
             "default: shapes and patches",
    )  # fmt: skip
    report.add_argument("--root", type=Path, help="folder of cifar10 or mnist (default: the variable LINEARDYN_DATA)")
    report.add_argument("--classes", help="which classes, in this order, for instance 0,1,2,3")
    report.add_argument("--size", type=int, help="side of the images in pixels (default: 32, or as in the files)")
    report.add_argument("--runs", type=int, default=10, help="random starts of each network (default: 10)")
    report.add_argument("--instances", type=int, default=50, help="cases of each claim (default: 50)")
    report.add_argument("--seed", type=int, default=0, help="of everything random (default: 0)")
    report.add_argument("--out", type=Path, default=Path("report"), help="folder to write (default: report)")
    verbs.add_parser("list", help="the claims, and what is expected of each")
    check = verbs.add_parser("check", help="try claims on random instances")
    check.add_argument("claims", nargs="*", metavar="ID", help="ids from the list (default: all)")
    check.add_argument("--n", type=int, default=200, help="instances of each claim (default: 200)")
    check.add_argument("--seed", type=int, default=0, help="of the instances (default: 0)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, 1 (a claim or a computation failed), 2 (bad input), 130 (Ctrl-C)."""
    console = Console()
    try:
        options = _parser().parse_args(arguments)
        verb = {"report": _report, "list": _list, "check": _check}[options.verb]
        return verb(options, console)
    except (ArgumentError, DataFileError) as error:
        return _complain(str(error), BAD_INPUT)
    except OSError as error:  # a full disk, for instance
        place = f" at {error.filename}" if error.filename else ""
        reason = error.strerror or error
        return _complain(
            f"--out: the report cannot be written{place} ({reason}): make room, or choose another", BAD_INPUT
        )
    except (ComputationError, LineardynError, MemoryError) as error:
        return _complain(str(error) or "not enough memory: use --size or fewer classes", 1)
    except KeyboardInterrupt:
        status = _complain("interrupted: nothing was written", INTERRUPTED)
        _leave_if_threads_run(status)
        return status


def _complain(text: str, status: int) -> int:
    print(f"error: {text}" if status != INTERRUPTED else text, file=sys.stderr)
    return status


def _leave_if_threads_run(status: int) -> None:
    """Compiled code in a thread cannot be interrupted: do not make the user wait for it."""
    from proofs_check.report.runs import THREADS

    ours = any(t.name.startswith(f"{THREADS}_") for t in threading.enumerate())
    if ours and threading.current_thread() is threading.main_thread():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _report(options: argparse.Namespace, console: Console) -> int:
    from proofs_check.report.options import DEFAULT_DATA, ReportOptions, parse_classes

    wanted = ReportOptions(
        data=DEFAULT_DATA if options.data is None else (options.data,),
        root=options.root,
        classes=None if options.classes is None else parse_classes(options.classes),
        size=options.size,
        runs=options.runs,
        instances=options.instances,
        seed=options.seed,
        out=options.out,
    )
    from proofs_check.report.make import make_report
    from proofs_check.report.progress import Steps

    with Steps(console) as steps:
        page, entries = make_report(wanted, steps)
    console.print(_verdicts([(e.claim.title, e.verdict) for e in entries], console.width))
    console.print(f"The report is in {page}", soft_wrap=True, highlight=False)
    return 0 if all(e.as_expected for e in entries) else 1


def _list(options: argparse.Namespace, console: Console) -> int:
    from proofs_check.claims import claims

    table = Table("id", "claim", "source", "expected")
    for claim in claims():
        table.add_row(claim.id, claim.title, claim.source, claim.expected.value)
    console.print(table)
    return 0


def _check(options: argparse.Namespace, console: Console) -> int:
    from proofs_check.checking import check
    from proofs_check.claims import claims, get

    chosen = [get(name) for name in options.claims] or list(claims())
    verdicts = [(claim.title, check(claim, n=options.n, rng=options.seed)) for claim in chosen]
    console.print(_verdicts(verdicts, console.width))
    for _, verdict in verdicts:
        if verdict.witness is not None:
            console.print(f"{verdict.claim_id}: {verdict.witness.text}", highlight=False, markup=False)
    return 0 if all(v.as_expected for _, v in verdicts) else 1


def _verdicts(rows: Sequence[tuple[str, Verdict]], width: int) -> Table:
    """The ledger; titles where the terminal is wide enough for whole ones."""
    titled = width >= 120
    table = Table(title="Ledger of claims", title_justify="left")
    table.add_column("claim", no_wrap=True)
    if titled:
        table.add_column("", no_wrap=True, overflow="ellipsis")
    for name in ("cases", "worst", "tolerance"):
        table.add_column(name, no_wrap=True, justify="right")
    table.add_column("verdict")
    for title, verdict in rows:
        mark = "" if verdict.as_expected else ", not as expected"
        table.add_row(
            verdict.claim_id, *((title,) if titled else ()), str(verdict.n), f"{verdict.worst:.1e}",
            f"{verdict.tolerance:.0e}", f"[{_COLOURS[verdict.outcome]}]{verdict.outcome.value}{mark}[/]",
        )  # fmt: skip
    return table


if __name__ == "__main__":
    sys.exit(main())

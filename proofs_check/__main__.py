"""The command line: ``python -m proofs_check report|list|check|campaign|replay``."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Sequence
from typing import NoReturn

from rich.console import Console

from lineardyn.errors import ArgumentError, ComputationError, DataFileError, LineardynError
from proofs_check.commands import campaigning, checks, listing, replaying, reports

__all__ = ["main"]

BAD_INPUT, INTERRUPTED = 2, 130
VERBS = {"report": reports, "list": listing, "check": checks, "campaign": campaigning, "replay": replaying}


class _Parser(argparse.ArgumentParser):
    """Errors in one line, without the usage text before it."""

    def error(self, message: str) -> NoReturn:
        raise ArgumentError(f"{message[0].lower()}{message[1:]}; see python -m proofs_check --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m proofs_check", description="Theory of linear CNNs, checked: a report, or single claims."
    )
    verbs = parser.add_subparsers(dest="verb", metavar="|".join(VERBS), required=True)
    for name, verb in VERBS.items():
        verb.add_arguments(verbs.add_parser(name, help=verb.HELP))
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, 1 (a claim or a computation failed), 2 (bad input), 130 (Ctrl-C)."""
    console = Console()
    try:
        options = _parser().parse_args(arguments)
        status: int = VERBS[options.verb].run(options, console)
        return status
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
    except KeyboardInterrupt as interrupt:
        status = _complain(str(interrupt) or "interrupted: nothing was written", INTERRUPTED)
        _leave_if_threads_run(status)
        return status


def _complain(text: str, status: int) -> int:
    print(f"error: {text}" if status != INTERRUPTED else text, file=sys.stderr)
    return status


def _leave_if_threads_run(status: int) -> None:
    """Compiled code in a thread cannot be interrupted: do not make the user wait for it."""
    from proofs_check.campaigns import executors
    from proofs_check.report import runs

    ours = any(t.name.startswith((f"{runs.THREADS}_", f"{executors.THREADS}_")) for t in threading.enumerate())
    if ours and threading.current_thread() is threading.main_thread():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    sys.exit(main())

"""``report``: images in, a page out."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

__all__ = ["HELP", "add_arguments", "run"]

HELP = "images in, one page with pictures and verdicts out"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the report."""
    parser.add_argument(
        "--data", metavar="NAME|FILE.npz",
        help="shapes, patches, cosines, digits, cifar10, mnist, or a file with images (N, C, H, W) and labels (N,); "
             "default: shapes and patches",
    )  # fmt: skip
    parser.add_argument("--root", type=Path, help="folder of cifar10 or mnist (default: the variable LINEARDYN_DATA)")
    parser.add_argument("--classes", help="which classes, in this order, for instance 0,1,2,3")
    parser.add_argument("--size", type=int, help="side of the images in pixels (default: 32, or as in the files)")
    parser.add_argument("--runs", type=int, default=10, help="random starts of each network (default: 10)")
    parser.add_argument("--instances", type=int, default=50, help="cases of each claim (default: 50)")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default: 0)")
    parser.add_argument("--out", type=Path, default=Path("report"), help="folder to write (default: report)")


def run(options: argparse.Namespace, console: Console) -> int:
    """Make the report; 1 if a claim did not come out as expected."""
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
    from proofs_check.commands.tables import verdict_table
    from proofs_check.report.make import make_report
    from proofs_check.report.progress import Steps

    with Steps(console) as steps:
        page, entries = make_report(wanted, steps)
    console.print(verdict_table([(e.claim.title, e.verdict) for e in entries], console.width))
    console.print(f"The report is in {page}", soft_wrap=True, highlight=False)
    return 0 if all(e.as_expected for e in entries) else 1

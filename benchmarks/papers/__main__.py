"""``python -m benchmarks.papers FIGURE…|all [--scale tiny|cpu|full] [--out DIR]``: figures of the three papers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.papers.figure import SCALES
from benchmarks.papers.making import make_all
from benchmarks.papers.registry import FIGURES, chosen
from lineardyn.errors import LineardynError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if all were made, 1 if one failed, 2 for bad input (an unknown figure, absent data), 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.papers",
        description="Make figures of the papers: numbers (JSON) and pictures (SVG) beside what the paper reports.",
        epilog="; ".join(f"{figure.id}: {figure.title}" for figure in FIGURES.values()),
    )
    parser.add_argument("figures", nargs="+", metavar="FIGURE", help=f"{', '.join(FIGURES)}, or all")
    parser.add_argument(
        "--scale", choices=SCALES, default="cpu",
        help="tiny: generated data, seconds; cpu (default): the files in LINEARDYN_DATA, up to 20 minutes a figure on "
             "2 cores; full: the paper's setting",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("figures"), help="folder to write (default: figures)")
    parser.add_argument("--fresh", action="store_true", help="make again what is there already")
    options = parser.parse_args(arguments)
    try:
        wanted = chosen(options.figures)
        missing = make_all(
            wanted, options.scale, options.out, fresh=options.fresh, say=lambda text: print(text, flush=True)
        )
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    except LineardynError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; what is finished stays, the same command goes on from there", file=sys.stderr)
        return 130
    return 2 if missing else 0


if __name__ == "__main__":
    sys.exit(main())

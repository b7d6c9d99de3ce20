"""The command line that the benchmarks share: ``--out``, ``--fresh``, ``--tiny``, one thread on one core."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers import machine


def command(
    name: str,
    run: Callable[..., Any],
    config: Any,
    tiny: Any,
    about: str | None,
    arguments: Sequence[str] | None,
    *,
    folder: str = "peers",
) -> int:
    """Run ``benchmarks.FOLDER.NAME`` from the command line, in a process of one thread."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    module = f"benchmarks.{folder}.{name}"
    results = machine.RESULTS.parents[1] / folder / "results"
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=(about or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=results / f"{name}.json")
    parser.add_argument("--fresh", action="store_true", help="measure everything again")
    parser.add_argument("--tiny", action="store_true", help="seconds; to see that it runs")
    options = parser.parse_args(given)
    code = machine.run_pinned(module, given)
    if code is not None:
        return code
    run(tiny if options.tiny else config, options.out, fresh=options.fresh, say=lambda text: print(text, flush=True))
    return 0

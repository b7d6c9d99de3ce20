"""Tables and figures from the committed JSON: ``python -m benchmarks.peers.render`` writes docs/benchmarks.md."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.peers.machine import RESULTS
from benchmarks.peers.pictures import PICTURES
from benchmarks.peers.regression_tables import PAPER_TABLES, REGRESSION_TABLES
from benchmarks.peers.tables import TABLES, sessions

PAGE = TABLES | REGRESSION_TABLES
PAPERS = RESULTS.parents[1] / "papers" / "results"
DOCS = Path(__file__).parents[2] / "docs"


def page(found: Mapping[str, Any]) -> str:
    """The markdown page, from what has been measured: JSON by name."""
    parts = [
        "# Benchmarks against other libraries",
        "Made by `python -m benchmarks.peers.render` from `benchmarks/peers/results/*.json`; each of them is measured "
        f"by `python -m benchmarks.peers.NAME`, NAME one of {', '.join(f'`{name}`' for name in PAGE)}, and "
        f"by `python -m benchmarks.papers.NAME`: {', '.join(f'`{name}`' for name in PAPER_TABLES)}. Wall times "
        "are medians, compilation apart, of flows over different starts; each solver runs at the fastest tolerance at "
        "which every timed call keeps the error asked for, `max_t ‖B(t) - B_ref(t)‖_F / s_1`. A ratio above 1 means "
        "that we are faster. Regularised predictors (from *Ridge* on) are compared at equal objective or duality gap, "
        "recomputed in pixels from the predictor, by seconds of the CPU.",
    ]
    for name, tables in (PAGE | PAPER_TABLES).items():
        if name not in found:
            continue
        made = [table(found[name]) for table in tables]
        if name in PICTURES:
            file, words, _ = PICTURES[name]
            made.insert(1 if name != "flows" else 0, f"![{words}]({file})")
        parts += [*made, sessions(found[name])]
    return "\n\n".join(part for part in parts if part) + "\n"


def main(results: Path = RESULTS, docs: Path = DOCS, papers: Path = PAPERS) -> int:
    """Write the page and the figures."""
    files = {name: results / f"{name}.json" for name in PAGE}
    files |= {name: papers / f"{name}.json" for name in PAPER_TABLES}
    found = {name: json.loads(path.read_text(encoding="utf-8")) for name, path in files.items() if path.exists()}
    docs.mkdir(parents=True, exist_ok=True)
    (docs / "benchmarks.md").write_text(page(found), encoding="utf-8")
    for name, (file, _, draw) in PICTURES.items():
        if name in found:
            draw(found[name], docs / file)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

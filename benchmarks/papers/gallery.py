"""``python -m benchmarks.papers.gallery``: docs/figures.md, the page of the figures that lie in docs/figures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.papers.registry import FIGURES

__all__ = ["FOLDER", "PAGE", "page"]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "figures.md"
FOLDER = PAGE.with_suffix("")

HEAD = """# The papers' figures

Made by `python -m benchmarks.papers FIGURE --out docs/figures`, this page by `python -m benchmarks.papers.gallery`.
Each stands beside what the paper reports and a statement of agreement with its number; the JSON beside each SVG has all
numbers, seeds and versions.
"""


def page(folder: Path = FOLDER) -> str:
    """The page, from what is in the folder, in the order of the papers."""
    found = [json.loads(path.with_suffix(".json").read_text(encoding="utf-8")) for path in folder.glob("*.svg")]
    order = list(FIGURES)
    return "\n".join([HEAD, *(_entry(data) for data in sorted(found, key=lambda data: order.index(data["id"])))])


def _entry(data: Mapping[str, Any]) -> str:
    name, machine, versions = data["id"], data["machine"], data["versions"]
    return f"""## {name.upper()}: {data["title"]}

![{data["title"]}](figures/{name}.svg)

*{data["paper_says"]}*

{data["agreement"]["text"]}

Scale {data["scale"]}: {data["setting"]} {machine["system"]}, {machine["processor"]},
{machine["cores_of_the_machine"]} cores; Python {versions["python"]}, numpy {versions["numpy"]}, numba
{versions["numba"]}.
[Numbers](figures/{name}.json).
"""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

"""From sections to one HTML file with everything in it, and to figures and numbers beside it."""

from __future__ import annotations

import base64
import json
import platform
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import jinja2
import markupsafe

from lineardyn.plots import save_figure
from proofs_check.report.claim_pages import page_of, write_claim_pages
from proofs_check.report.ledger import Entry
from proofs_check.report.output import MARK
from proofs_check.report.section import Picture, Section, plain
from proofs_check.report.summary import Fact

__all__ = ["Page", "mathematics", "versions", "write"]

MARKS = (("_", "sub"), (r"\^", "sup"))
LARGEST_SVG = 400_000
"""Bytes above which the page embeds the PNG: scatter plots of thousands of dots."""


@dataclass(frozen=True)
class Page:
    """All that the template shows."""

    title: str
    command: str
    date: str
    facts: Sequence[Fact]
    sections: Sequence[Section]
    entries: Sequence[Entry]
    arguments: dict[str, Any]
    seconds: dict[str, float]


def versions() -> dict[str, str]:
    """Python and the packages whose version can change a number."""
    found = {"python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}"}
    for name in ("lineardyn", "numpy", "scipy", "numba", "matplotlib"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # run from a clone that is not installed
            found[name] = "not installed"
    return found


def write(page: Page, folder: Path, advance: Callable[[], None]) -> None:
    """Write ``index.html``, ``figures/``, ``claims/`` and ``numbers.json`` into ``folder``."""
    sources: dict[str, str] = {}
    sizes: dict[str, tuple[int, int]] = {}
    for picture in (p for section in page.sections for p in section.pictures):
        sources[picture.name], sizes[picture.name] = _draw(picture, folder / "figures")
        advance()
    environment = _environment()
    html = environment.get_template("report.html").render(
        page=page, sources=sources, sizes=sizes, versions=versions(), page_of=page_of
    )
    (folder / "index.html").write_text(html, encoding="utf-8", newline="\n")
    write_claim_pages(page.entries, folder, environment, advance)
    numbers = json.dumps(plain(_numbers(page)), indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "numbers.json").write_text(numbers + "\n", encoding="utf-8", newline="\n")


def _environment() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(Path(__file__).parent.parent / "templates")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["mathematics"] = mathematics
    return environment


def mathematics(text: str) -> markupsafe.Markup:
    """``κ_f``, ``q_αf``, ``10^-9`` with their indices set below or above the line; everything else escaped.

    >>> str(mathematics("|κ_f| < 10^-9"))
    '|κ<sub>f</sub>| &lt; 10<sup>-9</sup>'
    """
    escaped, before = str(markupsafe.escape(text)), ""
    while escaped != before:  # from the innermost braces outwards
        before = escaped
        for mark, tag in MARKS:
            escaped = re.sub(mark + r"\{([^{}]{1,60})\}", rf"<{tag}>\1</{tag}>", escaped)
    for mark, tag in MARKS:
        escaped = re.sub(
            rf"(?<=[^\s_]){mark}([−-]?[0-9.]*[0-9]|[A-Za-zα-ω·∞*]{{1,2}})(?![A-Za-z_])", rf"<{tag}>\1</{tag}>", escaped
        )
    return markupsafe.Markup(escaped)


def _numbers(page: Page) -> dict[str, Any]:
    return {
        "program": MARK,
        "command": page.command,
        "date": page.date,
        "arguments": page.arguments,
        "versions": versions(),
        "seconds": {name: round(value, 2) for name, value in page.seconds.items()},
        "sections": {section.id: section.numbers for section in page.sections},
    }


def _draw(picture: Picture, folder: Path) -> tuple[str, tuple[int, int]]:
    """The picture as a data URI, and its size in CSS pixels."""
    figure = picture.draw()
    svg, png = save_figure(figure, folder / picture.name)
    kind, file = ("svg+xml", svg) if svg.stat().st_size <= LARGEST_SVG else ("png", png)
    width, height = (round(96 * float(side)) for side in figure.get_size_inches())
    data = base64.b64encode(file.read_bytes()).decode("ascii")
    return f"data:image/{kind};base64,{data}", (width, height)

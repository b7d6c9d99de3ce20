"""A page of pictures with words beside them, as one SVG: each picture keeps its lines, the words stay text."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from lineardyn.plots.style import INK, MUTED, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Sheet"]

COLUMN, GAP = 270.0, 16.0
STYLES = {"title": (15.0, "bold", INK), "head": (11.0, "bold", INK), "text": (11.0, "normal", INK)}
CAPTION = (9.0, "normal", MUTED)
LEADING, CHARACTER = 1.35, 0.6  # of the size of the type: lines, and a wide average letter
DPI = 150  # of the parts that matplotlib draws as pixels

Placed = tuple[str, float]
"""Elements, and how much height they take."""


@dataclass(frozen=True)
class Sheet:
    """``words``: (text, "title" | "head" | "text") in a column on the left; ``pictures``: (figure, caption)."""

    words: Sequence[tuple[str, str]]
    pictures: Sequence[tuple[Figure, str]]

    def svg(self) -> str:
        """The whole page; the same figures give the same text."""
        body, height = self._column()
        columns = 1 if len(self.pictures) < 3 else 2
        tops, width = [GAP] * columns, COLUMN + 2 * GAP
        inches = [figure.get_size_inches() for figure, _ in self.pictures]
        cell = max((72.0 * float(size[0]) for size in inches), default=0.0)
        for i, ((figure, caption), size) in enumerate(zip(self.pictures, inches, strict=True)):
            column = min(range(columns), key=tops.__getitem__)
            x, y = COLUMN + 2 * GAP + column * (cell + GAP), tops[column]
            body += _nested(_svg_of(figure), f"p{i}-", x, y)
            told, used = _lines(caption, CAPTION, x, y + 72.0 * float(size[1]) + 4, cell)
            body += told
            tops[column] = y + 72.0 * float(size[1]) + used + GAP
            width = max(width, x + cell + GAP)
        height = max(height, *tops)
        size_text = f'width="{width:.0f}pt" height="{height:.0f}pt" viewBox="0 0 {width:.0f} {height:.0f}"'
        return (
            '<?xml version="1.0" encoding="utf-8"?>\n<svg xmlns="http://www.w3.org/2000/svg" '
            f'xmlns:xlink="http://www.w3.org/1999/xlink" {size_text} font-family="DejaVu Sans, sans-serif">\n'
            f'<rect width="100%" height="100%" fill="white"/>\n{body}</svg>\n'
        )

    def _column(self) -> Placed:
        body, y = "", GAP
        for text, style in self.words:
            told, used = _lines(text, STYLES[style], GAP, y, COLUMN)
            body += told
            y += used + (2 if style == "head" else 10)
        return body, y


def _lines(text: str, style: tuple[float, str, str], x: float, top: float, width: float) -> Placed:
    size, weight, ink = style
    rows = textwrap.wrap(text, max(8, int(width / (CHARACTER * size))))
    spans = "".join(
        f'<tspan x="{x:.1f}" y="{top + (i + 0.9) * LEADING * size:.1f}">{escape(row)}</tspan>'
        for i, row in enumerate(rows)
    )
    return (
        f'<text font-size="{size:g}" font-weight="{weight}" fill="{ink}">{spans}</text>\n', len(rows) * LEADING * size
    )  # fmt: skip


@styled
def _svg_of(figure: Figure) -> str:
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None}, dpi=DPI)
    return file.getvalue()


def _nested(svg: str, prefix: str, x: float, y: float) -> str:
    """As an element at (x, y), its names made its own: two pictures may both have an ``axes_1``."""
    inside = svg[svg.index("<svg") :].replace("<svg ", f'<svg x="{x:.1f}" y="{y:.1f}" ', 1)
    inside = re.sub(r'(width|height)="([\d.]+)pt"', r'\1="\2"', inside, count=2)
    inside = re.sub(r'\bid="', f'id="{prefix}', inside)
    return re.sub(r'(url\(#|xlink:href="#)', rf"\g<1>{prefix}", inside)

"""The figures that there are. A new one is a line here."""

from __future__ import annotations

import difflib

from benchmarks.papers import cosines, covariance, deep, digits, disentangling, learned, sensitivities, shapes
from benchmarks.papers.figure import PaperFigure
from lineardyn.errors import ArgumentError

__all__ = ["FIGURES", "chosen"]

FIGURES: dict[str, PaperFigure] = {
    figure.id: figure
    for figure in (
        shapes.P2,
        cosines.P3,
        cosines.P4,
        learned.P5,
        deep.P6,
        learned.S1,
        learned.S2,
        shapes.S4,
        learned.S5,
        covariance.G1,
        sensitivities.G2,
        sensitivities.G3,
        sensitivities.G4,
        sensitivities.G5,
        sensitivities.G6,
        sensitivities.G7,
        digits.W1,
        digits.W2,
        disentangling.W3,
        disentangling.W4,
    )
}


def chosen(names: list[str]) -> list[PaperFigure]:
    """The figures with these ids, each once, in the order asked for; ``all`` of them.

    Raises
    ------
    ArgumentError
        For an unknown id; it names the nearest one.
    """
    found: dict[str, PaperFigure] = {}
    for name in names:
        key = name.lower()
        if key == "all":
            found |= FIGURES
        elif key in FIGURES:
            found[key] = FIGURES[key]
        else:
            near = difflib.get_close_matches(key, [*FIGURES, "all"], n=1, cutoff=0.0)
            raise ArgumentError(f"FIGURE is {name!r}, expected {', '.join(FIGURES)} or all: did you mean {near[0]}?")
    return list(found.values())

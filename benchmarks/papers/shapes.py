"""P fig 2 and fig S.4: the modes of a data set, by the report's section 1."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.papers.datasets import cifar4, geometric
from benchmarks.papers.figure import Agreement, Findings, PaperFigure, Run
from lineardyn import SecondMoments
from proofs_check.report import structure
from proofs_check.report.datasets import Dataset

__all__ = ["P2", "S4"]


def modes_of(data: Dataset) -> tuple[structure.Structure, dict[str, Any]]:
    """The section's results, and its numbers."""
    found = structure.compute(data, SecondMoments.from_data(data.images, data.targets))
    return found, found.numbers()


def shapes(run: Run) -> Findings:
    """Modes of geometric shapes: as many as classes, each with ``d_α = K s_α²``."""
    data = geometric(run.scale)
    found, numbers = modes_of(data)
    modes = found.modes
    ratios = modes.d / (len(modes.s) * modes.s**2)
    away = float(np.abs(ratios - 1).max())
    agreement = Agreement(
        "with one image a class Σˣˣ is diagonal in the modes of Σʸˣ, which go from broad to fine distinctions",
        "the largest |d_α / (K s_α²) − 1|",
        away,
        (float(np.abs(ratios - 1).min()), away),
        "over the modes",
        away < 1e-9 and bool((np.diff(modes.s) < 0).all()),
    )
    pictures = [p for p in structure.section(found).pictures if not p.name.endswith("power-spectrum")]
    return Findings(numbers, agreement, data.description, [0], pictures)


def centred(run: Run) -> Findings:
    """Modes of CIFAR-4 without its mean: one of them is null."""
    data = cifar4(run.scale)
    found, numbers = modes_of(data)
    s, classes = found.modes.s, data.targets.shape[1]
    null = float(s[-1] / s[0])
    agreement = Agreement(
        f"without the mean image {classes - 1} modes remain for {classes} classes",
        "the last singular value over the first",
        null,
        (null, float(s[-2] / s[0])),
        "the last one and the one before it",
        null < 1e-12 and int((~found.modes.null).sum()) == classes - 1,
    )
    return Findings(
        {**numbers, "singular_values": s}, agreement, data.description, [0], structure.section(found).pictures
    )


P2 = PaperFigure(
    "p2",
    "Geometric shapes and their modes",
    "Pinson et al., fig 2: the singular value decomposition of the input-output correlation of a data set of geometric "
    "shapes: right singular vectors as images, singular values, and coefficients of each class; from broader to finer "
    "distinctions between the classes.",
    shapes,
)
S4 = PaperFigure(
    "s4",
    "Modes of CIFAR-4, the mean subtracted",
    "Pinson et al., fig S.4: with the average image subtracted, only the three modes that are needed to distinguish "
    "between four classes remain.",
    centred,
    ("CIFAR-10",),
)

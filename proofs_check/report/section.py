"""What a part of the report is: numbers first, then pictures and tables of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Picture", "Section", "Table", "plain"]


@dataclass(frozen=True)
class Picture:
    """A figure with a file name, what to see in it, and the figure of the paper it corresponds to."""

    name: str
    caption: str
    draw: Callable[[], Figure] = field(repr=False)
    source: str = ""
    wide: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of text under a header."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""


@dataclass(frozen=True)
class Section:
    """One part of the report; ``numbers`` goes to numbers.json as it is."""

    id: str
    title: str
    paragraphs: Sequence[str]
    numbers: Mapping[str, Any]
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    notes: Sequence[str] = ()


def plain(value: Any) -> Any:
    """JSON-able: arrays to lists, numpy scalars to Python's, NaN and infinities to None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value

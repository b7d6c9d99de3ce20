"""What a planted error is, and the check that must notice it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Check:
    """A test function ``test`` of ``tests/<module>``, and its arguments (``data``: those of ``make_data``).

    ``before``: a function of the same module that changes something first, with a ``MonkeyPatch``, as a fixture would.
    """

    module: str
    test: str
    case: tuple[tuple[str, Any], ...]
    before: str | None = None


@dataclass(frozen=True)
class Planted:
    """In ``module``, the text ``line``, found ``times`` times, becomes ``wrong``."""

    module: str
    line: str
    wrong: str
    check: Check
    times: int = 1

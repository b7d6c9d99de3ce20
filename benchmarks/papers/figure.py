"""What a figure of a paper is: what the paper reports, what is measured here, and how far the two agree."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.papers.sheet import Sheet
from benchmarks.peers import machine
from proofs_check.report.section import Picture, plain

__all__ = ["SCALES", "Agreement", "Findings", "PaperFigure", "Result", "Run"]

SCALES = ("tiny", "cpu", "full")
"""Generated data, seconds in all; the real files, at most 20 minutes a figure on two cores; the paper's setting."""
PACKAGES = ("lineardyn", "numpy", "scipy", "numba", "matplotlib", "torch")


def silent(text: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Run:
    """How a figure is to be made: at which scale, where what it has trained so far is kept, whom to tell."""

    scale: str = "tiny"
    folder: Path | None = None
    say: Callable[[str], None] = silent

    def kept(self, name: str) -> Path | None:
        """The file in which trainings that several figures share are kept."""
        return None if self.folder is None else self.folder / f"{name}-{self.scale}.trained.json"


@dataclass(frozen=True)
class Agreement:
    """The paper's statement in one number: ``value``, an interval and what that is of; None where it is not decided."""

    statement: str
    quantity: str
    value: float
    interval: tuple[float, float]
    interval_of: str
    holds: bool | None
    reason: str = ""

    @property
    def text(self) -> str:
        """In one sentence."""
        low, high = self.interval
        verdict = {True: "Agrees", False: "Does not agree", None: "Not decided"}[self.holds]
        number = f"is {self.value:.3g} ({low:.3g} to {high:.3g}, {self.interval_of})"
        measured = number if math.isfinite(self.value) else "has no value"
        return f"{verdict}: {self.statement}: {self.quantity} {measured}. {self.reason}".rstrip()


@dataclass(frozen=True)
class Findings:
    """What a figure's own function returns: numbers, how far they agree, the setting in a sentence, pictures."""

    numbers: Mapping[str, Any]
    agreement: Agreement
    setting: str
    seeds: Sequence[int]
    pictures: Sequence[Picture] = field(repr=False)


@dataclass(frozen=True)
class Result:
    """What is written to ``<id>.json``; the pictures are drawn from the findings."""

    id: str
    title: str
    paper_says: str
    numbers: Mapping[str, Any]
    agreement: Agreement
    scale: str
    setting: str
    seeds: Sequence[int]
    machine: Mapping[str, Any]
    versions: Mapping[str, Any]
    seconds: float
    pictures: Sequence[Picture] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, without the pictures: their captions stay."""
        names = ("id", "title", "paper_says", "numbers", "scale", "setting", "seeds", "machine", "versions", "seconds")
        told = {name: getattr(self, name) for name in names}
        told["agreement"] = {**asdict(self.agreement), "text": self.agreement.text}
        told["pictures"] = [{"caption": p.caption, "source": p.source} for p in self.pictures]
        found: dict[str, Any] = plain(told)
        return found


@dataclass(frozen=True)
class PaperFigure:
    """One figure of a paper; ``needs`` names the data files that every scale but *tiny* reads."""

    id: str
    title: str
    paper_says: str
    measure: Callable[[Run], Findings]
    needs: tuple[str, ...] = ()
    torch: bool = False

    def run(self, run: Run) -> Result:
        """Measure it."""
        begin = time.perf_counter()
        found = self.measure(run)
        about = machine.describe()
        versions = {name: about["versions"].get(name) or _version(name) for name in PACKAGES}
        return Result(
            self.id, self.title, self.paper_says, found.numbers, found.agreement, run.scale, found.setting,
            list(found.seeds), {name: about[name] for name in ("system", "processor", "cores_of_the_machine")},
            {"python": platform.python_version(), **versions}, time.perf_counter() - begin, found.pictures,
        )  # fmt: skip

    def draw(self, result: Result) -> Sheet:
        """The pictures beside the sentence of what the paper reports."""
        words = [
            (f"{result.id.upper()} · {result.title}", "title"),
            ("What the paper reports", "head"), (result.paper_says, "text"),
            ("What is found here", "head"), (result.agreement.text, "text"),
            ("Setting", "head"), (f"Scale {result.scale}: {result.setting}", "text"),
        ]  # fmt: skip
        return Sheet(words, [(p.draw(), p.caption) for p in result.pictures])


def _version(name: str) -> str | None:
    return machine._version(name)

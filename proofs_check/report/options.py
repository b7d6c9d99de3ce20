"""What the user asked for, checked before any work starts."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lineardyn.errors import ArgumentError

__all__ = ["DATA_NAMES", "ReportOptions", "parse_classes"]

DATA_NAMES = ("shapes", "patches", "cosines", "digits", "cifar10", "mnist")
DEFAULT_DATA = ("shapes", "patches")
_WITH_CLASSES = ("digits", "cifar10", "mnist")
_WITH_ROOT = ("cifar10", "mnist")
_MAX_SIZE = 256


@dataclass(frozen=True)
class ReportOptions:
    """The arguments of ``python -m proofs_check report``; ``size=None`` is 32, or the size of the files read."""

    data: tuple[str, ...] = DEFAULT_DATA
    root: Path | None = None
    classes: tuple[int, ...] | None = None
    size: int | None = None
    runs: int = 10
    instances: int = 50
    seed: int = 0
    out: Path = Path("report")

    def __post_init__(self) -> None:
        for name in self.data:
            check_data_name(name)
        _check_range("--size", self.size, 8, _MAX_SIZE)
        _check_range("--runs", self.runs, 1, 1000)
        _check_range("--instances", self.instances, 1, 10**6)
        _check_range("--seed", self.seed, 0, 2**63 - 1)
        self._check_companions()

    def _check_companions(self) -> None:
        reads_files = [n for n in self.data if n.endswith(".npz")]
        if self.classes is not None and not reads_files and not set(self.data) & set(_WITH_CLASSES):
            raise ArgumentError(
                f"--classes goes with data that have many classes, came with --data {' and '.join(self.data)}, "
                f"expected one of {', '.join(_WITH_CLASSES)} or FILE.npz: leave --classes out"
            )
        if self.root is not None and not set(self.data) & set(_WITH_ROOT):
            raise ArgumentError(
                f"--root names the folder of downloaded data, came with --data {' and '.join(self.data)}, "
                f"expected {' or '.join(_WITH_ROOT)}: leave --root out"
            )
        if self.root is not None and not self.root.is_dir():
            raise ArgumentError(
                f"--root {self.root} is no folder, expected the folder of the data files: check the path"
            )

    @property
    def pixels(self) -> int:
        """The side of images that are made here."""
        return 32 if self.size is None else self.size

    def to_dict(self) -> dict[str, Any]:
        """The arguments as JSON-able data."""
        return {
            "data": list(self.data),
            "root": None if self.root is None else str(self.root),
            "classes": None if self.classes is None else list(self.classes),
            "size": self.size,
            "runs": self.runs,
            "instances": self.instances,
            "seed": self.seed,
        }


def check_data_name(name: str) -> None:
    """A known name, or a path that ends in .npz and exists."""
    if name in DATA_NAMES:
        return
    if name.lower().endswith(".npz"):
        if not Path(name).is_file():
            state = "is a folder" if Path(name).is_dir() else "does not exist"
            raise ArgumentError(f"--data {name} {state}, expected an .npz file with images and labels: check the path")
        return
    if Path(name).is_file():
        raise ArgumentError(
            f"--data {name} is no .npz file, expected one with images (N, C, H, W) and labels (N,): numpy.savez"
        )
    near = difflib.get_close_matches(name.lower(), DATA_NAMES, n=1)
    hint = f": did you mean {near[0]}?" if near else ""
    raise ArgumentError(f"--data is {name!r}, expected {', '.join(DATA_NAMES)} or a path FILE.npz{hint}")


def parse_classes(text: str) -> tuple[int, ...]:
    """``"0,1,2,3"`` to integers, at least two, all different.

    >>> parse_classes("3, 5")
    (3, 5)
    """
    try:
        classes = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ArgumentError(
            f"--classes is {text!r}, expected integers with commas between: for instance 0,1,2,3"
        ) from None
    if len(classes) < 2 or len(set(classes)) != len(classes) or min(classes) < 0:
        raise ArgumentError(
            f"--classes is {text!r}, expected at least two different integers >= 0: for instance 0,1,2,3"
        )
    return classes


def _check_range(name: str, value: int | None, low: int, high: int) -> None:
    if value is not None and not low <= value <= high:
        raise ArgumentError(f"{name} is {value}, expected an integer from {low} to {high}")

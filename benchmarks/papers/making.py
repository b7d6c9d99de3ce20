"""Figures into a folder: ``<id>.json`` and ``<id>.svg``, whole or not at all; what is finished is not done again."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.papers.figure import PaperFigure, Run
from lineardyn.data.standard import load_cifar10, load_mnist
from lineardyn.errors import ArgumentError, DataFileError

__all__ = ["finished", "make", "make_all"]

LOADERS = {"CIFAR-10": load_cifar10, "MNIST": load_mnist}
SOURCES = {
    "CIFAR-10": "the python version, cifar-10-python.tar.gz, from https://www.cs.toronto.edu/~kriz/cifar.html",
    "MNIST": "the four idx-ubyte files, gzipped or not, of the MNIST database",
}


def make_all(
    figures: Sequence[PaperFigure], scale: str, folder: Path, *, fresh: bool, say: Callable[[str], None]
) -> int:
    """Make all that can be made; return how many could not, for lack of data or of PyTorch."""
    _check_folder(folder)
    missing = 0
    for i, figure in enumerate(figures):
        head = f"[{i + 1}/{len(figures)}] {figure.id}"
        if not fresh and finished(folder, figure, scale):
            say(f"{head}: there already")
            continue
        reason = why_not(figure, scale)
        if reason:
            say(f"{head}: not made. {reason}")
            missing += 1
            continue
        say(f"{head}: {figure.title}")
        told = make(figure, Run(scale, folder, lambda text: say(f"    {text}")))
        say(f"    {told['agreement']['text']} {told['seconds']:.1f} s")
    return missing


def make(figure: PaperFigure, run: Run) -> dict[str, Any]:
    """Measure, draw, write; the JSON comes last, so that where it is the picture is too."""
    assert run.folder is not None
    run.folder.mkdir(parents=True, exist_ok=True)
    result = figure.run(run)
    told = result.to_dict()
    page = figure.draw(result).svg()
    target = run.folder / f"{figure.id}.json"
    target.unlink(missing_ok=True)
    _write(run.folder / f"{figure.id}.svg", page)
    _write(target, json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return told


def finished(folder: Path, figure: PaperFigure, scale: str) -> bool:
    """Whether both files are there, of this figure at this scale."""
    try:
        told = json.loads((folder / f"{figure.id}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    known = isinstance(told, dict) and (told.get("id"), told.get("scale")) == (figure.id, scale)
    return known and (folder / f"{figure.id}.svg").is_file()


def why_not(figure: PaperFigure, scale: str) -> str:
    """Why a figure cannot be made here, or an empty text."""
    if figure.torch:
        try:
            import torch  # noqa: F401
        except ImportError:
            return "PyTorch is not installed: pip install 'lineardyn[torch]'"
    for name in figure.needs if scale != "tiny" else ():
        try:
            LOADERS[name](classes=(0, 1), split="test")
        except DataFileError as error:
            return f"{error}. Get {SOURCES[name]}; or take --scale tiny, which needs no files"
    return ""


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _check_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ArgumentError(
            f"--out {folder} cannot be written ({error.strerror}), expected a folder of yours: choose another"
        ) from None

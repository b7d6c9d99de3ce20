"""The report's folder, written whole or not at all: everything goes to a hidden sibling that is renamed at the end."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType

from lineardyn.errors import ArgumentError

__all__ = ["MARK", "ReportFolder"]

MARK = "proofs_check report"
"""The value of "program" in numbers.json, by which a folder is known as an earlier report."""


class ReportFolder:
    """Context manager: ``folder.path`` is where to write; :meth:`finish` puts it in the place asked for.

    Without :meth:`finish` (an error, Ctrl-C) nothing is left, and an earlier report stays as it was.
    """

    def __init__(self, target: Path) -> None:
        try:
            self.target = target.expanduser().absolute()
            self.target.exists()
        except (OSError, ValueError, RuntimeError) as error:  # too long, or an unknown ~user
            raise _no_folder(target, error) from None
        self.path = Path()
        self._made: list[Path] = []

    def __enter__(self) -> ReportFolder:
        _check_target(self.target)
        try:
            self._make_parents()
            self.path = Path(tempfile.mkdtemp(prefix=f".{self.target.name}-", dir=self.target.parent))
            (self.path / "figures").mkdir()
        except (OSError, ValueError) as error:
            self._remove()
            raise _no_folder(self.target, error) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def _make_parents(self) -> None:
        missing = [p for p in self.target.parents if not p.exists()]
        for parent in reversed(missing):
            parent.mkdir()
            self._made.append(parent)

    def _remove(self) -> None:
        if self.path != Path():
            shutil.rmtree(self.path, ignore_errors=True)
        for parent in reversed(self._made):
            try:
                parent.rmdir()  # only if empty: the finished report keeps its parents
            except OSError:
                break

    def finish(self) -> Path:
        """Rename to the place asked for; an earlier report there is replaced, and restored if that fails."""
        _check_target(self.target)
        self.path.chmod(0o755)
        old = None
        if self.target.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{self.target.name}-old-", dir=self.target.parent)) / "report"
            self.target.rename(old)
        try:
            self.path.rename(self.target)
        except OSError:
            if old is not None:
                old.rename(self.target)
            raise
        finally:
            if old is not None:
                shutil.rmtree(old.parent, ignore_errors=True)
        self.path = Path()
        return self.target


def _no_folder(target: Path, error: Exception) -> ArgumentError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else error
    return ArgumentError(
        f"--out {str(target)[:200]} cannot be written ({reason}), expected a folder in a place where you may write: "
        "choose another with --out"
    )


def _check_target(target: Path) -> None:
    if target == Path.cwd() or target in Path.cwd().parents:
        raise ArgumentError(
            f"--out {target} is the current folder or above it, expected a folder of its own: for instance report"
        )
    if not target.exists():
        return
    if not target.is_dir():
        raise ArgumentError(f"--out {target} is a file, expected a folder: choose another name")
    if any(target.iterdir()) and not _is_report(target):
        raise ArgumentError(
            f"--out {target} holds files that are no earlier report, expected an empty or new folder: nothing there is "
            f"touched; choose another with --out"
        )
    if not os.access(target, os.W_OK):
        raise ArgumentError(f"--out {target} may not be written, expected a folder of yours: choose another with --out")


def _is_report(folder: Path) -> bool:
    try:
        numbers = json.loads((folder / "numbers.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(numbers, dict) and numbers.get("program") == MARK

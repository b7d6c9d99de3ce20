"""Plant errors in the source of the library, one at a time, and see whether the test named for each one fails.

``python -m tests.planting NAME ..`` writes ``{name: what happened}`` as JSON. Each error gets its own import of library
and tests, in one process; compilation is switched off, so that errors in kernels are as quick to plant as others: the
problems of these tests are small enough for the interpreter.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest

from tests.planted import PLANTED
from tests.planted.error import Check, Planted

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 120
"""Of CPU time for one check: a planted error may make a loop long."""


def place(error: Planted) -> Path:
    """The file that holds the line; a module that has become a package is searched whole."""
    stem = ROOT.joinpath(*error.module.split("."))
    files = [stem.with_suffix(".py"), *sorted(stem.rglob("*.py"))]
    counts = {file: file.read_text(encoding="utf-8").count(error.line) for file in files if file.is_file()}
    found = [file for file, count in counts.items() if count]
    if len(found) == 1 and counts[found[0]] == error.times:
        return found[0]
    folder = ROOT / error.module.split(".")[0]
    elsewhere = [
        str(file.relative_to(ROOT))
        for file in sorted(folder.rglob("*.py"))
        if error.line in file.read_text(encoding="utf-8")
    ]
    raise LookupError(
        f"the line moved: {error.module} holds {error.line!r} {sum(counts.values())} times, expected {error.times} in "
        f"one file (it is in: {', '.join(elsewhere) or 'no file'}): update the table in tests/planted"
    )


@cache
def _compiled(file: Path, line: str = "", wrong: str = "") -> CodeType:
    """The file, with the error in it; what is imported for every error is compiled once."""
    source = file.read_text(encoding="utf-8")
    return compile(source.replace(line, wrong) if line else source, str(file), "exec")


class _Loader(SourceFileLoader):
    """Neither reads nor writes byte code."""

    error: Planted | None

    def get_code(self, fullname: str) -> CodeType:
        error = self.error
        return _compiled(Path(self.path)) if error is None else _compiled(Path(self.path), error.line, error.wrong)


class _Planter(MetaPathFinder):
    """Finds library and tests, one file of them with the error."""

    def __init__(self, error: Planted | None) -> None:
        self.error, self.file = error, error and place(error)

    def find_spec(self, fullname: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if not _is_ours(fullname):
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is None or spec.origin is None:
            return None
        loader = _Loader(fullname, spec.origin)
        loader.error = self.error if Path(spec.origin).resolve() == self.file else None
        return importlib.util.spec_from_file_location(
            fullname, spec.origin, loader=loader, submodule_search_locations=spec.submodule_search_locations
        )


def _is_ours(module: str) -> bool:
    return module.split(".")[0] in ("lineardyn", "solvers", "proofs_check") or module.startswith("tests.")


def _forget() -> None:
    """The next import of the library and of its tests is a new one."""
    for name in list(sys.modules):
        if _is_ours(name):
            del sys.modules[name]


def _run(check: Check) -> str:
    """``"passed"``, or the type of the exception and its first line."""
    try:
        module = importlib.import_module(f"tests.{check.module}")
        test = getattr(module, check.test)
        test = getattr(test, "hypothesis", test)
        test = getattr(test, "inner_test", test)
        case = dict(check.case)
        if check.before is not None:
            getattr(module, check.before)(pytest.MonkeyPatch())
        if "data" in case:
            case["data"] = importlib.import_module("tests.strategies").make_data(*case["data"])
        if "monkeypatch" in case:
            case["monkeypatch"] = pytest.MonkeyPatch()  # nothing to undo: what it changes is forgotten
        test(**case)
    except (Exception, pytest.fail.Exception) as failure:  # the latter where no exception comes that should
        return f"{type(failure).__name__}: {str(failure).strip().splitlines()[0] if str(failure).strip() else ''}"
    return "passed"


@contextmanager
def _limited() -> Iterator[None]:
    """A check that takes longer fails with a TimeoutError. Windows has no such timers."""

    def give_up(*_: object) -> None:
        raise TimeoutError(f"more than {SECONDS} s of CPU time")

    if not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGVTALRM, give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        signal.signal(signal.SIGVTALRM, before)


def outcome(check: Check, error: Planted | None) -> str:
    """What the check says of the library with the error in it, or without one."""
    planter = _Planter(error)
    _forget()
    sys.meta_path.insert(0, planter)
    try:
        with _limited():
            return _run(check)
    finally:
        sys.meta_path.remove(planter)
        _forget()


def outcomes(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """``with`` and ``without`` the error; a check that many errors share is run once without."""
    without: dict[str, str] = {}
    results = {}
    for name in names:
        error = PLANTED[name]
        key = repr(error.check)
        if key not in without:
            without[key] = outcome(error.check, None)
        try:
            results[name] = {"without": without[key], "with": outcome(error.check, error)}
        except LookupError as moved:
            results[name] = {"without": without[key], "with": str(moved)}
    return results


def _without_compilation() -> None:
    """Also for the intrinsics, which no interpreter can call: what each of them comes to."""
    assert os.environ.get("NUMBA_DISABLE_JIT") == "1", "start with NUMBA_DISABLE_JIT=1"
    from numba import extending

    meanings = {
        "borrowed": lambda array: array,
        "peek": lambda array, i, stream: array[i],
        "poke": lambda array, i, value, stream: array.__setitem__(i, value),
    }
    extending.intrinsic = lambda function: meanings[function.__name__]


if __name__ == "__main__":
    _without_compilation()
    json.dump(outcomes(sys.argv[1:]), sys.stdout)

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
import sys
from collections.abc import Iterable
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from tests.planted import PLANTED, Check, Planted

ROOT = Path(__file__).resolve().parents[1]


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
        f"one file (it is in: {', '.join(elsewhere) or 'no file'}): update the table in tests/planted.py"
    )


class _Loader(SourceFileLoader):
    """Compiles the file with the error in it; no byte code is read or written."""

    error: Planted

    def get_code(self, fullname: str) -> CodeType:
        source = Path(self.path).read_text(encoding="utf-8").replace(self.error.line, self.error.wrong)
        return compile(source, self.path, "exec")


class _Planter(MetaPathFinder):
    """Hands the one file of the error to :class:`_Loader`."""

    def __init__(self, error: Planted) -> None:
        self.error, self.file = error, place(error)

    def find_spec(self, fullname: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if not fullname.startswith(self.error.module.split(".")[0]):
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is None or spec.origin is None or Path(spec.origin).resolve() != self.file:
            return None
        loader = _Loader(fullname, spec.origin)
        loader.error = self.error
        return importlib.util.spec_from_file_location(
            fullname, spec.origin, loader=loader, submodule_search_locations=spec.submodule_search_locations
        )


def _forget() -> None:
    """The next import of the library and of its tests is a new one."""
    for name in list(sys.modules):
        if name.split(".")[0] in ("lineardyn", "solvers") or name.startswith("tests."):
            del sys.modules[name]


def _run(check: Check) -> str:
    """``"passed"``, or the type of the exception and its first line."""
    try:
        module = importlib.import_module(f"tests.{check.module}")
        test = getattr(module, check.test)
        test = getattr(test, "hypothesis", test)
        test = getattr(test, "inner_test", test)
        case = dict(check.case)
        if "data" in case:
            case["data"] = importlib.import_module("tests.strategies").make_data(*case["data"])
        test(**case)
    except Exception as failure:
        return f"{type(failure).__name__}: {str(failure).strip().splitlines()[0] if str(failure).strip() else ''}"
    return "passed"


def outcome(error: Planted) -> str:
    """What the check says of the library with the error in it."""
    _forget()
    planter = _Planter(error)
    sys.meta_path.insert(0, planter)
    try:
        return _run(error.check)
    finally:
        sys.meta_path.remove(planter)
        _forget()


def outcomes(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """``with`` and ``without`` the error; a check that many share is run once without."""
    without: dict[str, str] = {}
    results = {}
    for name in names:
        error = PLANTED[name]
        key = repr(error.check)
        if key not in without:
            _forget()
            without[key] = _run(error.check)
        try:
            results[name] = {"without": without[key], "with": outcome(error)}
        except LookupError as moved:
            results[name] = {"without": without[key], "with": str(moved)}
    return results


def _without_compilation() -> None:
    """Also for the one intrinsic, which no interpreter can call: the array itself."""
    assert os.environ.get("NUMBA_DISABLE_JIT") == "1", "start with NUMBA_DISABLE_JIT=1"
    from numba import extending

    extending.intrinsic = lambda function: lambda array: array


if __name__ == "__main__":
    _without_compilation()
    json.dump(outcomes(sys.argv[1:]), sys.stdout)

"""docs/equations.md is true: every function can be imported, every test exists and is collected under that name."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROWS = [
    [cell.strip() for cell in line.strip("| ").split(" | ")]
    for line in (ROOT / "docs" / "equations.md").read_text(encoding="utf-8").splitlines()
    if "::" in line and line.startswith("|")
]


def resolve(dotted: str) -> Any:
    """Import the longest module prefix of ``dotted`` and read the rest, at least one name, as attributes.

    A package's function may have the name of its file: ``solvers.prox`` is the function.
    """
    parts = dotted.split(".")
    for n in range(len(parts) - 1, 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:n]))
        except ModuleNotFoundError as error:
            if error.name is None or not dotted.startswith(error.name):
                raise
            continue
        for name in parts[n:]:
            found = getattr(found, name)
        return found
    raise ModuleNotFoundError(dotted)


def names_of_tests(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_the_table_is_there():
    assert len(ROWS) >= 25
    assert all(len(row) == 4 for row in ROWS), [row for row in ROWS if len(row) != 4]


@pytest.mark.parametrize("row", ROWS, ids=[row[1] for row in ROWS])
def test_function_and_test_of_each_row_exist(row):
    _, source, functions, tests = row
    assert re.search(r"[PGW] |theory|E\d", source), "the source is a paper or a section of the theory"
    dotted = re.findall(r"`([\w.]+)`", functions)
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", tests)
    assert dotted
    assert named
    for name in dotted:
        assert callable(resolve(name)) or isinstance(resolve(name), property), name
    for path, test in named:
        assert test in names_of_tests(path), f"{path} has no {test}"

"""What an installed copy must hold, what importing it may load, and that the files that state a version agree."""

from __future__ import annotations

import ast
import configparser
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("lineardyn", "solvers", "proofs_check")


@pytest.fixture(scope="module")
def setup() -> configparser.ConfigParser:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    return config


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_say_that_they_are_typed(package):
    assert (ROOT / package / "py.typed").is_file()


def test_importing_proofs_check_loads_no_framework():
    heavy = ["matplotlib", "cvxpy", "torch", "dask", "jax"]
    script = f"import sys, proofs_check; print(*[name for name in {heavy} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


def test_torch_is_in_one_extra_and_unbounded_above(setup):
    extras = setup["options.extras_require"]
    assert extras["torch"].split() == ["torch>=2.4"]
    required = [setup["options"]["install_requires"], *(extras[name] for name in extras if name != "torch")]
    assert not any(line.startswith("torch") for text in required for line in text.split())


def test_every_dependency_is_pinned(setup):
    pinned = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line
    }
    required = [setup["options"]["install_requires"], *setup["options.extras_require"].values()]
    names = {line.split(">=")[0].split("[")[0].lower() for text in required for line in text.split() if ">=" in line}
    assert names
    assert names <= pinned


def test_versions_agree(setup):
    version = setup["metadata"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\n## {version} " in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_public_names_exist_once():
    for package in PACKAGES:
        module = __import__(package)
        assert all(hasattr(module, name) for name in module.__all__), package
        assert len(set(module.__all__)) == len(module.__all__), package


def test_files_stay_small():
    for path in (p for package in (*PACKAGES, "benchmarks") for p in (ROOT / package).rglob("*.py")):
        limit = 1200 if path.name[0] == "_" != path.name[1] else 400  # jitted functions must share a file
        assert len(path.read_text(encoding="utf-8").splitlines()) <= limit, path


def test_public_modules_have_docstrings():
    for path in (p for package in PACKAGES for p in (ROOT / package).rglob("*.py")):
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path

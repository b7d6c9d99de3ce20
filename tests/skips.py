"""Which tests may be skipped, a pytest plugin: ``--full`` admits no skip that hides work, ``--light`` leaves torch out.

``--full`` (``make test``): the run fails if a test was skipped because a package could not be imported, or because of
data that are there. ``--light`` (``make test-light``): tests marked ``torch`` are skipped by name, and counted at the
end. Tests marked ``data("cifar10")`` are skipped where those files are not found, in every run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from pathlib import Path

import pytest

DATA_FILES = {"cifar10": "data_batch_1", "mnist": "train-images-idx3-ubyte*"}
_LIGHT = "PyTorch is left out (--light)"
_IMPORT_FAILED = ("could not import", "not installed", "no module named")


def missing_data(name: str) -> str:
    """Return why the data set ``name`` cannot be read, or an empty string where it is there.

    >>> missing_data("cifar10") == "" or "LINEARDYN_DATA" in missing_data("cifar10")
    True
    """
    root = os.environ.get("LINEARDYN_DATA", "")
    if not root:
        return f"no data: LINEARDYN_DATA is not set, {name} cannot be found"
    if next(_search(Path(root), DATA_FILES[name]), None) is None:
        return f"no data: {DATA_FILES[name]} of {name} is not below LINEARDYN_DATA={root}"
    return ""


def _search(root: Path, pattern: str) -> Iterator[Path]:
    """The folder of the files may be ``root`` or lie one or two levels below it."""
    for level in ("", "*/", "*/*/"):
        yield from root.glob(level + pattern)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("skips")
    group.addoption("--full", action="store_true", help="fail if a test was skipped for a package or data that matter")
    group.addoption("--light", action="store_true", help="skip the tests that need PyTorch, by name, and count them")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("full") and config.getoption("light"):
        raise pytest.UsageError("--full and --light exclude each other: --light skips what --full demands")
    if config.getoption("light"):
        sys.meta_path.insert(0, _NoTorch())
    config.pluginmanager.register(_Ledger(config), "skip-ledger")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if config.getoption("light") and item.get_closest_marker("torch"):
            item.add_marker(pytest.mark.skip(reason=_LIGHT))
        for marker in item.iter_markers("data"):
            reason = missing_data(*marker.args)
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


class _NoTorch(MetaPathFinder):
    """Makes PyTorch absent where it is installed, so that a light run is the same everywhere."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname == "torch":
            raise ModuleNotFoundError(_LIGHT, name=fullname)


class _Ledger:
    """Every skip of a run with its reason; says at the end which of them may not be."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.skips: list[tuple[str, str]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            where = report.longrepr
            self.skips.append((report.nodeid, str(where[2] if isinstance(where, tuple) else where)))

    @property
    def forbidden(self) -> list[tuple[str, str]]:
        return [skip for skip in self.skips if self.config.getoption("full") and hides_work(skip[1])]

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.forbidden and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        say = terminalreporter
        left_out = [f"{name}: {reason}" for name, reason in self.skips if "torch" in reason.lower()]
        if self.config.getoption("light"):
            say.section("tests that need PyTorch, left out by --light")
            for name in left_out:
                say.write_line(name)
            say.write_line(
                f"{len(left_out)} test{'s' * (len(left_out) != 1)} left out for lack of PyTorch: make test runs them"
            )
        if self.forbidden:
            say.section("skips that --full does not admit", red=True)
            for name, reason in self.forbidden:
                say.write_line(f"{name}: {reason}", red=True)
            say.write_line(
                "The run fails: install the extras test and torch, or repair the lookup of the data.", red=True
            )


def hides_work(reason: str) -> bool:
    """Whether a skip for this reason means that something which should be there was not found.

    A package of the extras ``bench``, ``bench-solvers`` and ``bench-numbalsoda`` may be missing: those tests run where
    it is installed. So may pandas, whose frames scikit-learn's own checks would pass to an estimator.
    """
    text = reason.lower()
    if any(peer in text for peer in ("diffrax", "jax", "numbalsoda", "celer", "skglm", "pandas")):
        return False
    if "torch" in text or any(phrase in text for phrase in _IMPORT_FAILED):
        return True
    about = [name for name in DATA_FILES if name in text or name.rstrip("10") in text]
    if not about and "data" in text:
        about = list(DATA_FILES)
    return any(not missing_data(name) for name in about)

"""Where a benchmark runs: threads pinned before any import of numpy, machine and versions told, results kept."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PINNED = "LINEARDYN_BENCHMARK_PINNED"
THREAD_VARIABLES = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
    "JAX_ENABLE_X64": "1",
}
PACKAGES = (
    "lineardyn", "numpy", "scipy", "numba", "numbalsoda", "jax", "jaxlib", "diffrax", "torch", "scikit-learn", "celer",
    "skglm", "cvxpy", "clarabel", "scs",
)  # fmt: skip
RESULTS = Path(__file__).parent / "results"


def run_pinned(module: str, arguments: Sequence[str], *, cores: int = 1) -> int | None:
    """Start ``module`` again in a process with ``cores`` threads a library and wait; None if this is that process.

    The variables are read when numpy, numba or jax is first imported, so setting them here would come too late.
    """
    if os.environ.get(PINNED) == "1":
        bind_to_cores(cores)
        return None
    threads = {name: str(cores) for name in THREAD_VARIABLES if name.endswith("_THREADS")}
    environment = os.environ | THREAD_VARIABLES | threads | {PINNED: "1"}
    return subprocess.run([sys.executable, "-m", module, *arguments], env=environment, check=False).returncode


def bind_to_cores(n: int) -> None:
    """Keep this process on the last n cores it may use (Linux; elsewhere the variables must do)."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-n:])


def describe() -> dict[str, Any]:
    """Machine, versions, and the thread settings as this process sees them."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores_of_the_machine": os.cpu_count(),
        "bound_to_cores": cores,
        "load_at_start": load,
        "pinned": os.environ.get(PINNED) == "1",
        "threads": {name: os.environ.get(name) for name in THREAD_VARIABLES},
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "this checkout" if name == "lineardyn" else None


class Record:
    """Results in one JSON file, written whole after every cell: a run that was killed goes on where it stopped.

    Cells belong to a configuration; a file of another configuration is not continued but replaced. Each cell names
    the session that measured it, so that a ratio of two sessions can be seen for what it is.
    """

    def __init__(self, path: Path | None, config: Mapping[str, Any], *, fresh: bool = False) -> None:
        self.path = path
        self.session = uuid.uuid4().hex[:8]
        self.data: dict[str, Any] = {"config": dict(config), "sessions": {}, "cells": {}}
        if path is not None and path.exists() and not fresh:
            old = json.loads(path.read_text(encoding="utf-8"))
            if old.get("config") == json.loads(json.dumps(config)):
                self.data = old
        self.data["sessions"][self.session] = describe()

    def __contains__(self, key: str) -> bool:
        return key in self.data["cells"]

    def __getitem__(self, key: str) -> dict[str, Any]:
        cell: dict[str, Any] = self.data["cells"][key]
        return cell

    def keep(self, key: str, cell: Mapping[str, Any]) -> None:
        """Store one cell and write the file."""
        self.data["cells"][key] = {**cell, "session": self.session}
        self.write()

    def write(self) -> None:
        """Write the file, whole or not at all."""
        if self.path is None:
            return
        used = {cell["session"] for cell in self.data["cells"].values()} | {self.session}
        self.data["sessions"] = {name: about for name, about in self.data["sessions"].items() if name in used}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(self.data, indent=1) + "\n", encoding="utf-8")
        partial.replace(self.path)

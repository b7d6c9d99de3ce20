"""The first flow in a new process, its compiled code on disk: ``python -m benchmarks.peers.first_call [--fresh]``.

Wall time of ``python -c "..."`` from the start of the interpreter to its end, as a user sees it: imports, statistics of
32²×4 pixels and classes, one ``gradient_flow``. One run writes numba's cache and is not counted. Beside the whole: its
parts as the process itself saw them, and the dearest imports (``-X importtime``).
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers import machine
from benchmarks.peers.command import command

PROGRAM = """
import time
begin = time.perf_counter()
import json
import numpy as np
numpy_loaded = time.perf_counter()
import numba
numba_loaded = time.perf_counter()
from lineardyn import LinearCNN, SecondMoments, gradient_flow
loaded = time.perf_counter()
rng = np.random.default_rng(0)
side, classes = {side}, {classes}
images = np.linalg.qr(rng.standard_normal((side * side, classes)))[0].T.reshape(classes, 1, side, side)
scales = 0.25 * side * np.geomspace(1.0, {ratio}, classes)
moments = SecondMoments.from_data(scales[:, None, None, None] * images, np.eye(classes))
network = LinearCNN((1, side, side), n_outputs=classes)
start = network.init_small(1e-3, rng=0)
prepared = time.perf_counter()
times = np.linspace(0.0, {horizon}, 20)
method = gradient_flow(network, moments, start, times, method="{method}").stats["method"]
first = time.perf_counter()
gradient_flow(network, moments, start, times, method="{method}")
second = time.perf_counter()
parts = {{"numpy": numpy_loaded - begin, "numba": numba_loaded - numpy_loaded, "lineardyn": loaded - numba_loaded,
    "statistics": prepared - loaded, "first flow": first - prepared, "second flow": second - first}}
print(json.dumps({{"parts": parts, "method": method}}))
"""


@dataclass(frozen=True)
class Config:
    """``cases``: method, s_min/s_max and horizon; the last one is stiff, so that ``auto`` loads RKC as well."""

    side: int = 32
    classes: int = 4
    cases: tuple[tuple[str, float, float], ...] = (("dop853", 0.5, 8.0), ("auto", 0.5, 8.0), ("auto", 1 / 16, 400.0))
    n_runs: int = 5
    n_imports: int = 12


TINY = Config(side=6, classes=2, cases=(("dop853", 0.5, 2.0),), n_runs=1, n_imports=3)


def run(
    config: Config, path: Path | None = None, *, fresh: bool = False, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Measure what is missing from ``path`` and return the record."""
    record = machine.Record(path, asdict(config), fresh=fresh)
    for method, ratio, horizon in config.cases:
        key = f"{config.side}²×{config.classes}, s_max/s_min = {1 / ratio:g}|{method}"
        if key not in record:
            words = {"side": config.side, "classes": config.classes, "ratio": ratio}
            program = PROGRAM.format(method=method, horizon=horizon, **words)
            record.keep(key, _measure(program, config.n_runs))
            say(f"{key}: {record[key]['median_seconds']:.2f} s")
    if "import" not in record:
        record.keep("import", {"milliseconds": _imports(config.n_imports)})
    record.write()
    return record.data


def _measure(program: str, n_runs: int) -> dict[str, Any]:
    _call(["-c", program])  # compiles what is not on disk yet
    runs = []
    for _ in range(n_runs):
        begin = time.perf_counter()
        told = json.loads(_call(["-c", program]).stdout)
        runs.append({"seconds": time.perf_counter() - begin, **told})
    parts = {name: statistics.median(one["parts"][name] for one in runs) for name in runs[0]["parts"]}
    seconds = statistics.median(one["seconds"] for one in runs)
    parts["interpreter, start and end"] = seconds - sum(parts.values())
    return {"median_seconds": seconds, "parts": parts, "method": runs[0]["method"], "runs": runs}


def _call(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True)


def _imports(n: int) -> dict[str, float]:
    """Milliseconds of the dearest modules, those they import included; the tracing itself costs as well."""
    found: dict[str, float] = {}
    for line in _call(["-X", "importtime", "-c", "import lineardyn"]).stderr.splitlines():
        name, cumulative = line.split("|")[-1].strip(), line.split("|")[-2].strip()
        if line.startswith("import time:") and cumulative.isdigit():
            found[name] = int(cumulative) / 1e3
    return dict(sorted(found.items(), key=lambda item: -item[1])[:n])


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    return command("first_call", run, Config(), TINY, __doc__, arguments)


if __name__ == "__main__":
    raise SystemExit(main())

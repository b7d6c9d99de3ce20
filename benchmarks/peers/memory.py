"""Memory of a gradient flow in units of its state and statistics: ``python -m benchmarks.peers.memory [--fresh]``.

Each cell is a process of its own, so that no run sees what another one left. The flow runs once to load its kernels;
then a run is watched for its peak of resident memory (Linux) and another one for its peak of traced allocations
(numpy's; numba's own are small). ``multiple = (statistics + state + growth) / (statistics + state)``, where the growth
is the traced peak without the record asked for: states at the output times.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import machine
from benchmarks.peers.command import command
from benchmarks.peers.problems import Floats

FIXED_ALLOCATION = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
"""glibc returns large arrays to the system at once, else a second run would grow into what the first one freed."""


@dataclass(frozen=True)
class Case:
    """Statistics of ``n_images`` coherent (modes) or 1/f images."""

    name: str
    form: str
    image_shape: tuple[int, int, int]
    n_outputs: int
    n_images: int


@dataclass(frozen=True)
class Config:
    """Every method on every case, up to ``most_steps`` steps or the time ``horizon / s_1``: ``auto`` switches in it.

    A case that takes more than ``seconds`` is a failure.
    """

    cases: tuple[Case, ...] = (
        Case("modes 64²×10", "modes", (1, 64, 64), 10, 10),
        Case("modes 128²×10", "modes", (1, 128, 128), 10, 10),
        Case("dense 3×32²×10", "dense", (3, 32, 32), 10, 2000),
        Case("samples 3×32²×10, 500 images", "samples", (3, 32, 32), 10, 500),
    )
    methods: tuple[str, ...] = ("dop853", "rkc", "auto")
    start_scale: float = 0.03
    most_steps: int = 200
    horizon: float = 50.0
    n_times: int = 3
    seconds: float = 600.0


TINY = Config(cases=(Case("modes 8²×2", "modes", (1, 8, 8), 2, 2),), methods=("rkc",), most_steps=20)


def run(
    config: Config, path: Path | None = None, *, fresh: bool = False, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Measure what is missing from ``path`` and return the record."""
    record = machine.Record(path, asdict(config), fresh=fresh)
    for case in config.cases:
        for method in config.methods:
            key = f"{case.name}|{method}"
            if key not in record:
                record.keep(key, _in_a_process(config, case, method))
                say(f"{key}: {record[key].get('multiple', record[key].get('failure'))}")
    record.write()
    return record.data


def _in_a_process(config: Config, case: Case, method: str) -> dict[str, Any]:
    task = {"case": asdict(case), "method": method}
    task |= {name: getattr(config, name) for name in ("start_scale", "most_steps", "horizon", "n_times")}
    environment = os.environ | machine.THREAD_VARIABLES | FIXED_ALLOCATION
    line = [sys.executable, "-m", "benchmarks.peers.memory", "--cell", json.dumps(task)]
    try:
        done = subprocess.run(
            line, env=environment, capture_output=True, text=True, check=False, timeout=config.seconds
        )
    except subprocess.TimeoutExpired:
        return {"failure": f"not done after {config.seconds:g} s"}
    if done.returncode:
        return {"failure": (done.stderr.strip().splitlines() or ["no message"])[-1][:300]}
    cell: dict[str, Any] = json.loads(done.stdout)
    return cell


def images_of(case: Case) -> Floats:
    """1/f noise, made orthogonal for the modes form; root mean square ½ a pixel."""
    rng = np.random.default_rng(0)
    channels, height, width = case.image_shape
    rings = np.hypot(*np.meshgrid(np.fft.fftfreq(height) * height, np.fft.fftfreq(width) * width, indexing="ij"))
    noise = np.fft.fft2(rng.standard_normal((case.n_images, channels, height, width))) / np.maximum(rings, 1.0)
    images = np.fft.ifft2(noise).real
    if case.form == "modes":
        images = np.linalg.qr(images.reshape(case.n_images, -1).T)[0].T.reshape(images.shape)
        images *= np.geomspace(1.0, 0.5, case.n_images)[:, None, None, None]
    return 0.5 * images / images.std()


def measure_cell(task: dict[str, Any]) -> dict[str, Any]:
    """Bytes of one case; in a fresh process."""
    from lineardyn import LinearCNN, SecondMoments, gradient_flow

    case = Case(**{**task["case"], "image_shape": tuple(task["case"]["image_shape"])})
    images = images_of(case)
    targets = np.eye(case.n_outputs)[np.arange(case.n_images) % case.n_outputs]
    moments = SecondMoments.from_data(images, targets, form=case.form)
    del images
    network = LinearCNN(case.image_shape, n_outputs=case.n_outputs)
    start = network.init_small(task["start_scale"], rng=0)
    times = np.linspace(0.0, task["horizon"] / moments.modes().s[0], task["n_times"])

    def flow() -> dict[str, Any]:
        options: dict[str, Any] = {"method": task["method"], "max_steps": task["most_steps"], "throw": False}
        return gradient_flow(network, moments, start, times, **options).stats

    stats = flow()
    resident = _resident_growth(flow)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    flow()
    traced = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    state = int(network.pack(start).nbytes)
    statistics = sum(np.asarray(part).nbytes for part in moments.statistics[1:])
    record = state * task["n_times"]
    growth = max(0, traced - record)
    return {
        "method": stats["method"],
        "n_steps": stats["n_steps"],
        "bytes": {
            "state": state, "statistics": statistics, "record": record, "traced": traced, "resident": resident,
            "growth": growth,
        },
        "growth_in_states": growth / state,
        "multiple": (statistics + state + growth) / (statistics + state),
    }  # fmt: skip


def _resident_growth(call: Callable[[], Any]) -> int | None:
    """Peak of resident memory during a call above that before it; None where the system does not tell."""
    status, refs = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not refs.exists():
        return None
    before = _kilobytes(status, "VmRSS")
    refs.write_text("5")  # the peak begins again at the present value
    call()
    return 1024 * max(0, _kilobytes(status, "VmHWM") - before)


def _kilobytes(status: Path, name: str) -> int:
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(name))


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["--cell"]:
        print(json.dumps(measure_cell(json.loads(given[1]))))
        return 0
    return command("memory", run, Config(), TINY, __doc__, arguments)


if __name__ == "__main__":
    raise SystemExit(main())

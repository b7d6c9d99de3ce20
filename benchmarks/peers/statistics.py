"""Second moments of many images against what they cannot do without: ``python -m benchmarks.peers.statistics``.

*samples* against the bare FFTs of the same images, *modes* against the same (it needs two passes, and no FFT), *dense*
against the bare symmetric product ``XᵀX`` by BLAS. Then images of 3×224×224 in the modes form, made on the fly:
seconds, and the largest memory that the process ever held, with a gradient flow on the moments.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import machine

MEBIBYTE = 2**20
Batch = tuple[NDArray[np.float32], NDArray[np.int64]]


@dataclass(frozen=True)
class Config:
    """``small``: images (C, H, W) of which all forms are made; ``large``: those whose memory is measured."""

    small: tuple[int, int, int] = (3, 32, 32)
    n_small: int = 20_000
    n_classes: int = 10
    batch: int = 500
    n_calls: int = 3
    large: tuple[int, int, int] = (3, 224, 224)
    n_large: int = 4_000
    large_classes: tuple[int, ...] = (10, 100)
    large_batch: int = 64
    flow_steps: int = 5


TINY = Config(
    small=(2, 6, 5), n_small=60, batch=16, n_calls=1, large=(3, 8, 8), n_large=40, large_classes=(3,), flow_steps=2
)


def run(
    config: Config, path: Path | None = None, *, fresh: bool = False, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Measure what is missing from ``path`` and return the record."""
    record = machine.Record(path, asdict(config), fresh=fresh)
    for form in ("samples", "modes", "dense"):
        if form not in record:
            record.keep(form, measure_form(config, form))
            cell = record[form]
            say(f"{form}: {cell['seconds']:.2f} s, {cell['ratio']:.2f} × {cell['bare']} ({cell['bare_seconds']:.2f} s)")
    for k in config.large_classes:
        key = "×".join(map(str, config.large)) + f", {k} classes"
        if key not in record:
            record.keep(key, measure_large_apart(config, k))
            cell = record[key]
            say(f"{key}: {cell['streaming_seconds']:.1f} s, at most {cell['peak_mebibytes']:.0f} MiB")
    record.write()
    return record.data


def batches_of(shape: tuple[int, int, int], n: int, n_classes: int, size: int) -> Iterator[Batch]:
    """``n`` float32 images in [0, 1], noise on one image of each class, the same at each call."""
    rng = np.random.default_rng(0)
    classes = rng.random((n_classes, *shape), dtype=np.float32)
    for start in range(0, n, size):
        labels = np.arange(start, min(n, start + size)) % n_classes
        images = rng.random((len(labels), *shape), dtype=np.float32)
        images += classes[labels]
        images *= 0.5
        yield images, labels


def measure_form(config: Config, form: str) -> dict[str, Any]:
    """Seconds of one form and of its bare work, in turn, so that a change of load meets both."""
    from lineardyn import SecondMoments

    batches = list(batches_of(config.small, config.n_small, config.n_classes, config.batch))
    name, bare = ("XᵀX", _bare_products) if form == "dense" else ("the bare FFTs", _bare_transforms)
    ours, theirs = [], []
    for _ in range(config.n_calls + 1):  # the first warms up
        ours.append(_seconds(lambda: SecondMoments.from_batches(batches, form=form)))
        theirs.append(_seconds(lambda: bare(batches)))
    seconds, bare_seconds = statistics.median(ours[1:]), statistics.median(theirs[1:])
    return {
        "seconds": seconds,
        "bare": name,
        "bare_seconds": bare_seconds,
        "ratio": seconds / bare_seconds,
        "samples": {"ours": ours, "bare": theirs},
    }


def _seconds(function: Callable[[], object]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def _bare_transforms(batches: Sequence[Batch]) -> None:
    """In float64 and in pieces that stay in the cache; the spectra are dropped."""
    import scipy.fft

    from lineardyn.sources import PIECE_BYTES

    step = max(1, PIECE_BYTES // (8 * batches[0][0][0].size))
    for images, _ in batches:
        for start in range(0, len(images), step):
            scipy.fft.rfft2(images[start : start + step].astype(np.float64), norm="ortho")


def _bare_products(batches: Sequence[Batch]) -> None:
    """One ``dsyrk`` of all images, which are there in float64 before: its rate in large pieces."""
    from scipy.linalg.blas import dsyrk

    size = batches[0][0][0].size
    total = np.zeros((size, size), order="F")
    images = np.concatenate([images for images, _ in batches]).reshape(-1, size)
    for start in range(0, len(images), 4096):
        dsyrk(1.0, images[start : start + 4096].astype(np.float64).T, beta=1.0, c=total, overwrite_c=1)


def measure_large_apart(config: Config, n_classes: int) -> dict[str, Any]:
    """:func:`measure_large` in a process of its own, whose memory is then that of this work alone."""
    command = [sys.executable, "-m", "benchmarks.peers.statistics", "--large", json.dumps([asdict(config), n_classes])]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=Path(__file__).parents[2])
    cell: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return cell


def measure_large(config: Config, n_classes: int) -> dict[str, Any]:
    """Two passes over images made on the fly, the modes, and a few steps of a flow; seconds and peak memory."""
    from lineardyn import LinearCNN, SecondMoments, gradient_flow

    def batches() -> Iterator[Batch]:
        return batches_of(config.large, config.n_large, n_classes, config.large_batch)

    marks: dict[str, float] = {"imports": _peak()}
    making = 2 * _seconds(lambda: [None for _ in batches()])
    begin = time.perf_counter()
    moments = SecondMoments.from_batches(batches, form="modes")
    streaming = time.perf_counter() - begin
    marks["streaming"] = _peak()
    begin = time.perf_counter()
    modes = moments.modes()
    decomposing = time.perf_counter() - begin
    marks["modes"] = _peak()
    network = LinearCNN(config.large, n_outputs=n_classes)
    start = network.init_small(1e-4, rng=0)
    horizon = 1e3 / (modes.s[0] * float(np.prod(config.large)) ** 0.5)
    begin = time.perf_counter()
    flow = gradient_flow(network, moments, start, [horizon], max_steps=config.flow_steps, throw=False)
    flowing = time.perf_counter() - begin
    marks["flow"] = _peak()
    return {
        "n_images": config.n_large,
        "making_seconds": making,
        "streaming_seconds": streaming,
        "seconds_beyond_making": streaming - making,
        "modes_seconds": decomposing,
        "flow_seconds": flowing,
        "flow_right_hand_sides": flow.stats["n_rhs"],
        "image_mebibytes": 8 * float(np.prod(config.large)) * config.n_large / MEBIBYTE,
        "peaks_mebibytes": marks,
        "peak_mebibytes": _peak(),
    }


def _peak() -> float:
    """Largest resident memory of this process so far, in MiB; Linux and macOS."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux's getrusage would tell the parent's, from before this program was loaded
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MEBIBYTE


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.statistics", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=machine.RESULTS / "statistics.json")
    parser.add_argument("--fresh", action="store_true", help="measure everything again")
    parser.add_argument("--tiny", action="store_true", help="seconds; to see that it runs")
    parser.add_argument("--large", help=argparse.SUPPRESS)
    options = parser.parse_args(given)
    if options.large:
        config, n_classes = json.loads(options.large)
        print(json.dumps(measure_large(Config(**{n: _tuples(v) for n, v in config.items()}), n_classes)))
        return 0
    code = machine.run_pinned("benchmarks.peers.statistics", given)
    if code is not None:
        return code
    run(TINY if options.tiny else Config(), options.out, fresh=options.fresh, say=lambda text: print(text, flush=True))
    return 0


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


if __name__ == "__main__":
    raise SystemExit(main())

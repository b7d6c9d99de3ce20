"""The closed-form clock against our own integrators, 100 output times: ``python -m benchmarks.peers.clock [--fresh]``.

Coherent classes whose images share no frequency, a balanced start, even times up to 95% of the slowest mode and up to
eight times that (as long as the theory notes' table of stiffness took its flows). ``clock`` makes B at all times from a
ModeClock, ``weights`` all weights in pixel space; ``build`` is the time from the weights of the start to B there, with
which the clock's tables are made. The flows make the states at the same times by ``gradient_flow``; neither B nor
weights of them are timed. ``error``: largest ``‖B - B_clock‖_F / s_1``.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import machine
from benchmarks.peers.command import command
from benchmarks.peers.problems import Floats
from benchmarks.peers.right_hand_sides import partner


@dataclass(frozen=True)
class Config:
    """Ratios s_max/s_min; horizons in times to 95% of the slowest mode; (method, rtol) of the flows, atol = 1e-3 rtol:
    the default and the tightest of use.
    """

    side: int = 32
    n_classes: int = 10
    ratios: tuple[float, ...] = (2.0, 16.0)
    horizons: tuple[float, ...] = (1.0, 8.0)
    flows: tuple[tuple[str, float], ...] = (("auto", 1e-6), ("dop853", 1e-6), ("dop853", 1e-9), ("dop853", 1e-12))
    start_scale: float = 1e-3
    n_times: int = 100
    repeats: int = 5  # of a flow
    clock_repeats: int = 200


TINY = Config(
    side=6, n_classes=3, ratios=(2.0,), flows=(("auto", 1e-6), ("dop853", 1e-9)), n_times=10, repeats=1, clock_repeats=1
)


def disjoint_images(side: int, n_classes: int, ratio: float) -> Floats:
    """One image a class, each random on its own frequencies; norms as in ``problems.coherent_problem``."""
    rng = np.random.default_rng(side * 1000 + n_classes)
    mirror = partner((side, side))
    owner = rng.integers(n_classes, size=side * side)
    first = rng.permutation(np.unique(np.minimum(np.arange(len(mirror)), mirror)))[:n_classes]
    owner[first] = np.arange(n_classes)  # none goes without
    owner = owner[np.minimum(np.arange(len(mirror)), mirror)].reshape(side, side)
    noise = np.fft.fft2(rng.standard_normal((n_classes, side, side)))
    images = np.fft.ifft2(noise * (owner == np.arange(n_classes)[:, None, None])).real
    norms = 0.5 * side * np.geomspace(1.0, 1.0 / ratio, n_classes)
    scale = norms / np.linalg.norm(images, axis=(1, 2))
    return (scale[:, None, None] * images)[:, None]


def run(
    config: Config, path: Path | None = None, *, fresh: bool = False, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Measure what is missing from ``path`` and return the record."""
    record = machine.Record(path, asdict(config), fresh=fresh)
    for ratio, horizon in itertools.product(config.ratios, config.horizons):
        key = f"{config.side}²×{config.n_classes}, s_max/s_min = {ratio:g}, to {horizon:g}T"
        if key not in record:
            record.keep(key, _measure(config, ratio, horizon))
            for name, flow in record[key]["flows"].items():
                say(f"{key}: {name} {flow['ratio']:.0f} times the clock, error {flow['error']:.1e}")
    record.write()
    return record.data


def _measure(config: Config, ratio: float, horizon: float) -> dict[str, Any]:
    from lineardyn import LinearCNN, ModeClock, SecondMoments, gradient_flow

    images = disjoint_images(config.side, config.n_classes, ratio)
    moments = SecondMoments.from_data(images, np.eye(config.n_classes), form="modes")
    network = LinearCNN(images.shape[1:], n_outputs=config.n_classes)
    start = network.init_balanced(moments, config.start_scale, rng=0)
    modes = moments.modes()

    def build() -> ModeClock:
        clock = ModeClock(modes, network, start)
        clock.effective_singular_values(0.0)
        return clock

    clock = build()
    times = np.linspace(0.0, horizon * clock.learning_time(0.95).max(), config.n_times)
    exact = clock.effective_singular_values(times)
    cell: dict[str, Any] = {
        "build_seconds": _median(build, config.clock_repeats),
        "clock_seconds": _median(lambda: clock.effective_singular_values(times), config.clock_repeats),
        "weights_seconds": _median(lambda: clock.at(times), config.repeats),
        "flows": {},
    }
    for method, rtol in config.flows:
        options: dict[str, Any] = {"method": method, "rtol": rtol, "atol": 1e-3 * rtol}
        flow = gradient_flow(network, moments, start, times, **options)
        values = flow.effective_singular_values
        seconds = _median(lambda o=options: gradient_flow(network, moments, start, times, **o), config.repeats)
        cell["flows"][f"{method}, rtol {rtol:g}"] = {
            "seconds": seconds,
            "n_rhs": int(flow.stats["n_rhs"]),
            "error": float(np.linalg.norm(values - exact, axis=(1, 2)).max() / modes.s[0]),
            "ratio": seconds / cell["clock_seconds"],
            "ratio_with_build": seconds / (cell["clock_seconds"] + cell["build_seconds"]),
        }
    return cell


def _median(call: Callable[[], Any], repeats: int) -> float:
    """Median wall time; the first call apart."""
    call()
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    return command("clock", run, Config(), TINY, __doc__, arguments)


if __name__ == "__main__":
    raise SystemExit(main())

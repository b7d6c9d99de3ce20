"""The mode clock against our own integrator, on data whose modes share no frequency: B at 100 times.

Both begin with weights in pixel space and end with B. The integrator is given the loosest tolerance whose error is
within the one asked for; the reference is the adaptive quadrature of Θ, put into the formula of theory 2.2.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import machine
from lineardyn import LinearCNN, ModeClock, SecondMoments, gradient_flow
from lineardyn.fourier import fft2, half_spectrum, ifft2

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Config:
    """Sizes (side, classes), ratios s_1/s_K, errors to reach relative to s_1, and how often each is timed."""

    sizes: tuple[tuple[int, int], ...] = ((16, 4), (32, 10), (64, 10))
    ratios: tuple[float, ...] = (2.0, 16.0)
    errors: tuple[float, ...] = (1e-3, 1e-6, 1e-9)
    ladder: tuple[float, ...] = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11)
    scale: float = 1e-3
    n_times: int = 100
    repeats: int = 20
    seed: int = 0


TINY = Config(sizes=((6, 2),), ratios=(2.0,), errors=(1e-3,), ladder=(1e-3, 1e-5), n_times=5, repeats=2)


def disjoint_data(side: int, n_classes: int, ratio: float, seed: int) -> tuple[Floats, Floats]:
    """Class images of random spectra on frequencies of their own; singular values log-spaced."""
    rng = np.random.default_rng(seed)
    half = half_spectrum((side, side))
    owner = rng.permutation(np.arange(half.size) % n_classes)
    images = np.empty((n_classes, 1, side, side))
    for k in range(n_classes):
        mask = half.unpack(np.stack([owner == k, np.zeros(half.size)]).astype(float))
        image = ifft2(fft2(rng.standard_normal((1, side, side))) * mask).real
        images[k] = image / np.linalg.norm(image) * n_classes * ratio ** (-k / max(1, n_classes - 1))
    return images, np.eye(n_classes)


def run(
    config: Config, out: Path | None = None, *, fresh: bool = False, say: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Every size and ratio: seconds of clock and integrator at each error, and how many times faster the clock is."""
    record = machine.Record(out, asdict(config), fresh=fresh)
    for side, k in config.sizes:
        for ratio in config.ratios:
            key = f"{side}²×{k}, s_1/s_K = {ratio:g}"
            if key not in record:
                record.keep(key, _measure(config, side, k, ratio))
            if say is not None:
                faster = {e: round(cell.get("times_faster", 0.0)) for e, cell in record[key]["targets"].items()}
                say(f"{key}: clock {1e3 * record[key]['clock_seconds']:.3f} ms, times faster at each error {faster}")
    return record.data


def _measure(config: Config, side: int, k: int, ratio: float) -> dict[str, Any]:
    moments = SecondMoments.from_data(*disjoint_data(side, k, ratio, config.seed))
    modes, network = moments.modes(), LinearCNN((1, side, side), n_outputs=k)
    start = network.init_balanced(moments, config.scale, rng=config.seed)
    clock = ModeClock(modes, network, start)
    t = np.linspace(0.0, float(clock.learning_time(0.99).max()), config.n_times)
    c = side * np.linalg.norm(modes.q, axis=1).reshape(k, -1)  # √P ‖q_αf‖
    growth = np.exp(2.0 * c * clock.theta(t)[:, :, None])
    reference = modes.d * (c * config.scale**2 * growth).sum(axis=-1)

    def from_weights() -> Floats:
        return ModeClock(modes, network, start).effective_singular_values(t)

    def flow(rtol: float) -> Floats:
        return gradient_flow(network, moments, start, t, rtol=rtol, atol=1e-3 * rtol).effective_singular_values

    def error(b: Floats) -> float:
        return float(np.abs(b - reference[:, :, None] * np.eye(k)).max() / modes.s[0])

    scan = {rtol: error(flow(rtol)) for rtol in config.ladder}
    cell: dict[str, Any] = {"clock_error": error(from_weights()), "scan": list(scan.items()), "targets": {}}
    cell["clock_seconds"] = _seconds(from_weights, config.repeats)
    cell["evaluation_seconds"] = _seconds(lambda: clock.effective_singular_values(t), config.repeats)
    for wanted in config.errors:
        enough = [rtol for rtol, reached in scan.items() if reached <= wanted]
        if enough:
            seconds = _seconds(lambda rtol=enough[0]: flow(rtol), config.repeats)
            result = {"rtol": enough[0], "flow_seconds": seconds, "times_faster": seconds / cell["clock_seconds"]}
        else:
            result = {"failure": "no tolerance of the ladder reaches this error"}
        cell["targets"][f"{wanted:g}"] = result
    return cell


def _seconds(work: Callable[[], Floats], repeats: int) -> float:
    """Median of ``repeats`` calls after one that warms up."""
    samples = []
    work()
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        samples.append(time.perf_counter() - begin)
    return statistics.median(samples)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.clocks", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=machine.RESULTS / "clocks.json")
    parser.add_argument("--fresh", action="store_true", help="measure everything again")
    parser.add_argument("--tiny", action="store_true", help="seconds; to see that it runs")
    options = parser.parse_args(given)
    code = machine.run_pinned("benchmarks.peers.clocks", given)
    if code is not None:
        return code
    run(TINY if options.tiny else Config(), options.out, fresh=options.fresh, say=lambda text: print(text, flush=True))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Gradient descent against PyTorch, one sample a step and full batch: ``python -m benchmarks.peers.training``.

Same network, same start, same samples in the same order, float64, one thread; all forms must end at the same weights.
One sample a step is timed against the faster of PyTorch's FFT and conv2d forms; the full batch is for information.
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
from benchmarks.peers.problems import Floats

Trainer = Callable[[list[Floats], int, int], list[Floats]]  # (start, seed, n_steps) -> weights
AGREEMENT = 1e-10
"""Largest relative difference of the weights allowed: much round-off, far below any real difference."""


@dataclass(frozen=True)
class Config:
    """Each call takes about ``seconds_a_call``, at most ``most_steps``; times are given per step."""

    sizes: tuple[tuple[int, int], ...] = ((16, 4), (16, 10), (32, 4), (32, 10))
    n_images: int = 100
    seconds_a_call: float = 0.5
    most_steps: int = 50_000
    n_compare: tuple[int, int] = (100, 5)  # steps after which weights are compared: one sample, full batch
    n_calls: int = 5
    start_scale: float = 1e-2


TINY = Config(sizes=((6, 2),), n_images=8, seconds_a_call=0.01, n_compare=(20, 5), n_calls=2)


def run(
    config: Config, path: Path | None = None, *, fresh: bool = False, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Measure what is missing from ``path`` and return the record; raises if the trained weights differ."""
    record = machine.Record(path, asdict(config), fresh=fresh)
    for side, k in config.sizes:
        for batch in ("one sample", "full batch"):
            key = f"{side}²×{k}|{batch}"
            if key not in record:
                record.keep(key, _measure(config, side, k, batch))
                cell = record[key]
                say(f"{key}: ours {cell['ours']['microseconds_a_step']:.2f} µs a step, ratio {cell['ratio']:.1f}")
    record.write()
    return record.data


def _samples(config: Config, side: int, k: int) -> tuple[Floats, Floats]:
    """Centred 1/f noise images of mean square 1/4, one-hot targets of k classes."""
    rng = np.random.default_rng(side * 100 + k)
    rings = np.hypot(*np.meshgrid(np.fft.fftfreq(side) * side, np.fft.fftfreq(side) * side, indexing="ij"))
    noise = rng.standard_normal((config.n_images, 1, side, side))
    images = np.fft.ifft2(np.fft.fft2(noise) / np.maximum(rings, 1.0)).real
    images *= 0.5 / images.std()
    return images, np.eye(k)[rng.integers(k, size=config.n_images)]


def _measure(config: Config, side: int, k: int, batch: str) -> dict[str, Any]:
    images, targets = _samples(config, side, k)
    rate = 0.02 / side  # well below the stability limit of these images, so that no weight overflows
    trainers = _trainers(images, targets, batch, rate)
    n_compare = config.n_compare[0 if batch == "one sample" else 1]
    cell: dict[str, Any] = {"disagreement": _disagreement(config, trainers, side, k, n_compare)}
    for name, trainer in trainers.items():
        cell[name] = _timed(config, trainer, side, k)
    theirs = {name: cell[name]["microseconds_a_step"] for name in trainers if name != "ours"}
    cell["faster_peer"] = min(theirs, key=lambda name: theirs[name])
    cell["ratio"] = theirs[cell["faster_peer"]] / cell["ours"]["microseconds_a_step"]
    return cell


def _start(config: Config, side: int, k: int, seed: int) -> list[Floats]:
    rng = np.random.default_rng([7, seed])
    return [config.start_scale * rng.standard_normal(shape) for shape in ((1, side, side, 1), (k, side, side, 1))]


def _trainers(images: Floats, targets: Floats, batch: str, rate: float) -> dict[str, Trainer]:
    """Ours from (images, statistics packed once, as PyTorch's tensors are) and both forms of PyTorch."""
    from benchmarks.peers.torch_peer import FORMS, TorchTraining
    from lineardyn import LinearCNN, SecondMoments, gradient_descent

    one = batch == "one sample"
    network = LinearCNN(images.shape[1:], widths=(1,), n_outputs=targets.shape[1])
    moments = SecondMoments.from_data(images, targets, form="samples" if one else "auto")

    def ours(start: list[Floats], seed: int, n_steps: int) -> list[Floats]:
        options: dict[str, Any] = {"batch_size": 1, "rng": seed} if one else {}
        run_ = gradient_descent(
            network, moments, start, learning_rate=rate, n_steps=n_steps, record_every=n_steps, **options
        )
        return run_.weights(-1)

    def peer(form: str) -> Trainer:
        training = TorchTraining(form, images, targets)
        return lambda start, seed, n: training.train(start, _order(seed, len(images), n) if one else None, n, rate)

    return {"ours": ours} | {form: peer(form) for form in FORMS}


def _order(seed: int, n_images: int, n_steps: int) -> NDArray[np.int64]:
    """The samples that ``gradient_descent`` draws from this seed."""
    order: NDArray[np.int64] = np.random.default_rng(seed).integers(n_images, size=(n_steps, 1))[:, 0]
    return order


def _disagreement(config: Config, trainers: dict[str, Trainer], side: int, k: int, n_compare: int) -> dict[str, float]:
    """Relative difference of each peer's weights to ours after ``n_compare`` steps."""
    start = _start(config, side, k, 0)
    ended = {name: trainer(start, 11, n_compare) for name, trainer in trainers.items()}
    differences = {}
    for name in ended:
        if name == "ours":
            continue
        pairs = list(zip(ended[name], ended["ours"], strict=True))
        differences[name] = max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs)
        if not differences[name] <= AGREEMENT:
            raise RuntimeError(f"{name} ends {differences[name]:.1e} away from ours: not the same network")
    return differences


def _timed(config: Config, trainer: Trainer, side: int, k: int) -> dict[str, Any]:
    """Median over calls from different starts and draws; the first call (compilation, warm-up) apart."""
    first = _seconds(trainer, _start(config, side, k, 0), 0, 2)
    n_steps = _steps_of_a_call(config, trainer, _start(config, side, k, 0))
    calls = range(1, config.n_calls + 1)
    seconds = [_seconds(trainer, _start(config, side, k, call), call, n_steps) for call in calls]
    return {
        "first_call_seconds": first,
        "seconds": seconds,
        "n_steps": n_steps,
        "microseconds_a_step": statistics.median(seconds) / n_steps * 1e6,
    }


def _seconds(trainer: Trainer, start: list[Floats], seed: int, n_steps: int) -> float:
    begin = time.perf_counter()
    trainer(start, seed, n_steps)
    return time.perf_counter() - begin


def _steps_of_a_call(config: Config, trainer: Trainer, start: list[Floats]) -> int:
    """Double until a call takes a quarter of the time wanted, then scale."""
    n = 1
    while True:
        taken = _seconds(trainer, start, 0, n)
        if taken >= config.seconds_a_call / 4 or n >= config.most_steps:
            return int(min(config.most_steps, max(1, n * config.seconds_a_call / taken)))
        n *= 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.training", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=machine.RESULTS / "training.json")
    parser.add_argument("--fresh", action="store_true", help="measure everything again")
    parser.add_argument("--tiny", action="store_true", help="seconds; to see that it runs")
    options = parser.parse_args(given)
    code = machine.run_pinned("benchmarks.peers.training", given)
    if code is not None:
        return code
    run(TINY if options.tiny else Config(), options.out, fresh=options.fresh, say=lambda text: print(text, flush=True))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

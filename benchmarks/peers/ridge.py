"""One layer (ridge), a path of λ, against scikit-learn: ``python -m benchmarks.peers.ridge [--fresh]``.

``Ridge`` is fitted at every λ, by each of its exact solvers; ``RidgeCV`` once with all λ, by each of its modes: it
chooses one λ by leaving out one image at a time and gives that one's predictor. Ours is timed from the raw images to
the predictors of all λ. The predictors of all exact solvers are compared.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import machine
from benchmarks.peers.command import command
from benchmarks.peers.reach import timed
from benchmarks.peers.regression_problems import Complexes, Floats, Regression, power_law, two_classes

PEERS = ("Ridge auto", "Ridge cholesky", "RidgeCV auto", "RidgeCV svd")
AGREEMENT = 1e-8
"""Of objectives, relative: what the condition of the Gram matrix may cost."""


@dataclass(frozen=True)
class Config:
    """What to measure; ``ratio``: the last λ over the first, which is the largest eigenvalue of Σ^xx."""

    n_images: int = 10_000
    synthetic: tuple[int, int] = (32, 32)
    n_lams: int = 100
    ratio: float = 1e-6
    repeats: int = 5
    repeats_of_peers: int = 1
    cifar: bool = True


TINY = Config(n_images=60, synthetic=(4, 5), n_lams=5, repeats=1, cifar=False)


def run(
    config: Config, path: Path | None = None, *, fresh: bool = False, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Measure what is missing from ``path`` and return the record, with the ratios."""
    record = machine.Record(path, asdict(config), fresh=fresh)
    for build in _problems(config):
        _measure(record, config, build(), say)
    record.data["ratios"] = ratios(record.data["cells"])
    record.write()
    return record.data


def _problems(config: Config) -> Iterable[Callable[[], Regression]]:
    yield partial(power_law, config.synthetic, config.n_images)
    root = os.environ.get("LINEARDYN_DATA")
    if config.cifar and root:
        yield partial(two_classes, Path(root), config.n_images)


def _measure(record: machine.Record, config: Config, problem: Regression, say: Callable[[str], None]) -> None:
    pixels = problem.images.reshape(problem.n_images, -1)
    lams = np.linalg.norm(pixels, 2) ** 2 / problem.n_images * np.geomspace(1.0, config.ratio, config.n_lams)
    for name in ("ours", *PEERS):
        key = f"{problem.name}|{name}"
        if key in record:
            continue
        try:
            cell = _cell(config, problem, lams, name)
        except ImportError as error:
            cell = {"failure": f"not installed: {error.name}"}
        record.keep(key, cell)
        say(f"{key}: " + (cell.get("failure") or f"{cell['median_seconds']:.3f} s"))


def _cell(config: Config, problem: Regression, lams: Floats, name: str) -> dict[str, Any]:
    if name == "ours":
        from benchmarks.peers.our_solvers import ridge_path_from_images

        seconds, predictors = timed(lambda: ridge_path_from_images(problem, lams), config.repeats)
        return {**_median(seconds), "objectives": _objectives(problem, predictors, lams)}
    import sklearn.linear_model  # noqa: F401  (here, so that it is not in the time)

    pixels, targets = problem.images.reshape(problem.n_images, -1), problem.targets[:, 0]
    kind, option = name.split()
    if kind == "Ridge":
        seconds, images = timed_once(config, partial(ridge_each, pixels, targets, lams, option))
        predictors = [_predictor(problem, image) for image in images]
        return {**_median(seconds), "objectives": _objectives(problem, predictors, lams)}
    seconds, chosen = timed_once(config, partial(ridge_cv, pixels, targets, lams, option))
    return {**_median(seconds), "chosen_lam": chosen}


def timed_once(config: Config, work: Callable[[], Any]) -> tuple[list[float], Any]:
    """Nothing of scikit-learn compiles: minutes need no first call."""
    seconds = []
    for _ in range(config.repeats_of_peers):
        begin = time.process_time()
        result = work()
        seconds.append(time.process_time() - begin)
    return seconds, result


def ridge_each(pixels: Floats, targets: Floats, lams: Floats, solver: str) -> list[Floats]:
    """scikit-learn's ``‖y - Xw‖² + α ‖w‖²``: α = N λ."""
    from sklearn.linear_model import Ridge

    n = len(pixels)
    fits = (Ridge(alpha=n * lam, fit_intercept=False, solver=solver).fit(pixels, targets) for lam in lams)
    return [fit.coef_ for fit in fits]


def ridge_cv(pixels: Floats, targets: Floats, lams: Floats, mode: str) -> float:
    """The λ that leave-one-out prefers."""
    from sklearn.linear_model import RidgeCV

    fit = RidgeCV(alphas=len(pixels) * lams, fit_intercept=False, gcv_mode=mode).fit(pixels, targets)
    return float(fit.alpha_) / len(pixels)


def _predictor(problem: Regression, image: Floats) -> Complexes:
    """v̂ of a linear function of pixels: the conjugate of its spectrum."""
    spectrum = np.fft.fft2(image.reshape(problem.images.shape[1:]), norm="ortho").conj()
    return spectrum.transpose(1, 2, 0)[:, :, None, :]


def _objectives(problem: Regression, predictors: Iterable[Complexes], lams: Floats) -> list[float]:
    return [problem.objective(predictor, 1, lam) for predictor, lam in zip(predictors, lams, strict=True)]


def _median(seconds: list[float]) -> dict[str, Any]:
    return {"seconds": seconds, "median_seconds": statistics.median(seconds)}


def ratios(cells: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Problem → peer → ``theirs / ours``; RuntimeError if two exact solvers disagree."""
    table: dict[str, dict[str, float]] = {}
    for key, cell in cells.items():
        problem, name = key.split("|")
        ours = cells.get(f"{problem}|ours", {})
        if name == "ours" or "median_seconds" not in cell or "median_seconds" not in ours:
            continue
        if "objectives" in cell:
            apart = np.abs(np.array(ours["objectives"]) / np.array(cell["objectives"]) - 1.0).max()
            if apart > AGREEMENT:
                raise RuntimeError(f"{key}: objectives differ from ours by {apart:.1e}, expected {AGREEMENT:g}")
        table.setdefault(problem, {})[name] = cell["median_seconds"] / ours["median_seconds"]
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    return command("ridge", run, Config(), TINY, __doc__, arguments)


if __name__ == "__main__":
    raise SystemExit(main())

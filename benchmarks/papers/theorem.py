r"""Theorem 4.9 of Godfrey et al., both sides: ``python -m benchmarks.papers.theorem [--fresh]``.

Left: linear CNNs trained with weight decay from many starts. Right: the minimum over predictors that ``solve`` finds,

    ``min (1/N) Σ‖y - Σ_f v̂_f x̂_f‖² + λ L P^{-(L-1)/L} Σ_f ‖v̂_f‖_p^p``,   p = 2/L, rank v̂_f ≤ the narrowest layer,

and the same with the constant that the paper prints, without ``P^{-(L-1)/L}``. Images of a power-law spectrum, targets
of a teacher that sees half of the frequencies, λ at shares of ``lambda_max`` (of ``⟨‖x‖²⟩`` at depth 1). One cell of
the JSON holds one case; :func:`summary` counts them. Cases are measured in a random order of a fixed seed, so that the
first cases are a fair sample of all; ``LINEARDYN_THEOREM_SECONDS`` ends a run early, and the next one goes on.
"""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import machine
from benchmarks.peers.command import command
from lineardyn import SecondMoments, power_law_images
from solvers import RegularizedProblem, lambda_max, solve, train_factorized

AGREE = 1e-5
"""Relative difference of the two sides that counts as none."""
ORDER_SEED = 0
"""Of the order in which cases are measured."""
NETWORKS_SEED = 1000
"""Of the networks: ``solve``, which starts from a few trained networks of its own, has another."""
SLACK = 1e-8
"""By how much the trained network may fall below the minimum over predictors."""


@dataclass(frozen=True)
class Config:
    """Cases are all combinations; widths "below", "at" and "above" min(C, K) where there are such."""

    shapes: tuple[tuple[int, int], ...] = tuple(itertools.product((3, 4, 5, 6), (3, 4, 5)))
    depths: tuple[int, ...] = (1, 2, 3, 4, 5)
    channels_outputs: tuple[tuple[int, int], ...] = tuple(itertools.product((1, 2, 3), (1, 2, 3)))
    shares: tuple[float, ...] = (0.1, 0.02)
    n_starts: int = 80
    n_solver_starts: int = 16
    seed: int = 1


TINY = Config(
    shapes=((3, 3),), depths=(1, 2, 3), channels_outputs=((1, 1), (2, 2)), shares=(0.1,), n_starts=40, n_solver_starts=8
)


@dataclass(frozen=True)
class Case:
    """One data set and one network."""

    shape: tuple[int, int]
    depth: int
    channels: int
    outputs: int
    widths: tuple[int, ...]
    share: float

    @property
    def key(self) -> str:
        """Of the cell."""
        height, width = self.shape
        return (
            f"{height}×{width}, C={self.channels}, K={self.outputs}, L={self.depth}, widths={self.widths}, "
            f"λ={self.share:g} λ_max"
        )

    def problem(self, seed: int = 0) -> RegularizedProblem:
        """The right side."""
        rng = np.random.default_rng([seed, *self.shape, self.channels, self.outputs])
        n = 2 * self.channels * self.shape[0] * self.shape[1]
        images = power_law_images(self.shape, n * self.channels, exponent=1.0, rng=rng)
        images = images.reshape(n, self.channels, *self.shape)
        moments = SecondMoments.from_data(images, self.targets(images, rng))
        full = min(self.channels, self.outputs)
        narrowest = min(self.widths, default=full)
        rank = narrowest if narrowest < full else None
        free = RegularizedProblem(moments, depth=self.depth, lam=1.0, rank=rank)
        return free.with_lam(self.share * (lambda_max(free) if self.depth > 1 else float(moments.image_power)))

    def targets(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Linear in the images, through the cosines of half of the frequencies, and noise."""
        spectrum = np.fft.fft2(rng.standard_normal((self.outputs, *images.shape[1:])), norm="ortho")
        spectrum *= rng.uniform(size=self.shape) < 0.5
        teacher = np.fft.ifft2(spectrum, norm="ortho").real
        clean = np.einsum("kchw,nchw->nk", teacher, images)
        noisy: np.ndarray = clean + 0.3 * clean.std() * rng.standard_normal(clean.shape)
        return noisy / noisy.std()


def cases(config: Config) -> Iterator[Case]:
    """All of them."""
    for shape, (channels, outputs), depth in itertools.product(config.shapes, config.channels_outputs, config.depths):
        full = min(channels, outputs)
        choices = sorted({max(full - 1, 1), full, full + 1}) if depth > 1 else [full]
        for width, share in itertools.product(choices, config.shares):
            yield Case(shape, depth, channels, outputs, (width,) * (depth - 1), share)


def run(
    config: Config,
    path: Path | None = None,
    *,
    fresh: bool = False,
    seconds: float = math.inf,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Measure what is missing from ``path``, for no more than ``seconds``, and return the record with its summary."""
    record = machine.Record(path, asdict(config), fresh=fresh)
    todo, begin = list(cases(config)), time.perf_counter()
    for i in np.random.default_rng(ORDER_SEED).permutation(len(todo)):
        case = todo[i]
        if time.perf_counter() - begin > seconds:
            break
        if case.key not in record:
            record.keep(case.key, measure(config, case))
            cell = record[case.key]
            if abs(cell["excess"]) > AGREE * cell["predictor"]:
                say(f"{case.key}: network {cell['network']:.9g}, predictor {cell['predictor']:.9g}")
    if record.data["cells"]:
        record.data["summary"] = summary(record.data["cells"]) | {"of_cases": len(todo)}
        say(str(record.data["summary"]))
    record.write()
    return record.data


def measure(config: Config, case: Case) -> dict[str, Any]:
    """Both sides of one case, and the right side with the printed constant."""
    problem = case.problem(config.seed)
    begin = time.perf_counter()
    trained = train_factorized(problem, case.widths, n_starts=config.n_starts, rng=NETWORKS_SEED)
    between = time.perf_counter()
    solution = solve(problem, n_starts=config.n_solver_starts, rng=0, throw=False)
    end = time.perf_counter()
    pixels = case.shape[0] * case.shape[1]
    printed = problem.with_lam(problem.lam * pixels ** ((case.depth - 1) / case.depth))
    return {
        "network": trained.objective,
        "predictor": solution.objective,
        "printed": solve(printed, n_starts=config.n_solver_starts, rng=0, throw=False).objective,
        "excess": trained.objective - solution.objective,
        "starts_that_reach_it": int((trained.objectives <= solution.objective * (1 + AGREE)).sum()),
        "target_power": problem.quadratic.target_power,
        "certificate": solution.certificate.kind,
        "network_seconds": between - begin,
        "predictor_seconds": end - between,
    }


def summary(cells: dict[str, Any]) -> dict[str, Any]:
    """How many agree; the rest with both values; how far the printed constant is off."""
    values = list(cells.values())
    off = {
        key: (cell["network"], cell["predictor"])
        for key, cell in cells.items()
        if abs(cell["excess"]) > AGREE * cell["predictor"]
    }
    deep = [cell for key, cell in cells.items() if "L=1," not in key]
    return {
        "cases": len(values),
        "agree": 1.0 - len(off) / len(values),
        "networks_below": sum(cell["excess"] < -SLACK for cell in values),
        "printed_constant_agrees": sum(abs(c["printed"] - c["network"]) <= AGREE * c["network"] for c in deep),
        "of_deep_cases": len(deep),
        "disagree": off,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    # an environment variable, as the command line is the same for all benchmarks
    seconds = float(os.environ.get("LINEARDYN_THEOREM_SECONDS", math.inf))
    return command("theorem", partial(run, seconds=seconds), Config(), TINY, __doc__, arguments, folder="papers")


if __name__ == "__main__":
    raise SystemExit(main())

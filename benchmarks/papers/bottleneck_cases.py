"""What :mod:`benchmarks.papers.bottleneck` trains: configuration, cases, data, and the best start of each depth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.papers import bottleneck_depth
from proofs_check.cbn import pooling_eigenvalues

__all__ = ["BETA", "TINY", "Case", "Config", "best_of", "cases", "data", "eigenvalues", "target_blocks"]

BETA = 0.3
"""Of local pooling."""


@dataclass(frozen=True)
class Config:
    """All trainings: targets × poolings, depths × poolings × starts, linear depths × poolings, learning rates."""

    n: int = 6
    kept: tuple[int, ...] = (0, 1, 5)
    width: int = 5
    weight_decay: float = 2e-3
    n_images: int = 64
    depths: tuple[int, ...] = (3, 4, 6, 8, 12, 16)
    poolings: tuple[str, ...] = ("none", "local")
    starts: tuple[str, ...] = ("random 0", "random 1", "built")
    linear_depths: tuple[int, ...] = (2, 3, 4, 8, 16)
    rates: tuple[float, ...] = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02)
    n_steps: int = 3000
    n_polish: int = 40
    n_plain: int = 20000
    depth: bottleneck_depth.DepthPart = field(default_factory=bottleneck_depth.DepthPart)


TINY = Config(
    n_images=12,
    depths=(3, 4),
    poolings=("local",),
    starts=("random 0", "built"),
    linear_depths=(2,),
    rates=(0.002, 1.0),
    n_steps=40,
    n_polish=2,
    n_plain=50,
    depth=bottleneck_depth.DepthPart(depths=(3, 5), n_images=12, n_starts=1, n_first=60, n_steps=20, n_polish=2),
)


@dataclass(frozen=True)
class Case:
    """One training."""

    part: str
    pooling: str = "none"
    depth: int = 3
    start: str = "random 0"
    rate: float = 0.0
    target: str = ""

    @property
    def key(self) -> str:
        """Of the cell."""
        if self.part == "rate":
            return f"rate, η={self.rate:g}"
        if self.part == "depth":
            return f"depth, {self.pooling} pooling, {self.target}"
        tail = f", {self.start}" if self.part == "relu" else ""
        return f"{self.part}, {self.pooling} pooling, L={self.depth}{tail}"


def cases(config: Config) -> Iterator[Case]:
    """All of them."""
    for pooling in config.poolings:
        for target in bottleneck_depth.TARGETS:
            yield Case("depth", pooling, target=target)
        for depth in config.depths:
            for start in config.starts:
                yield Case("relu", pooling, depth, start)
        for depth in config.linear_depths:
            yield Case("linear", pooling, depth)
    for rate in config.rates:
        yield Case("rate", rate=rate)


def target_blocks(config: Config) -> np.ndarray:
    """Of the projection."""
    blocks = np.zeros((config.n, 1, 1))
    blocks[list(config.kept)] = 1.0
    return blocks


def eigenvalues(config: Config, case: Case) -> np.ndarray:
    """``m_ω``."""
    return pooling_eigenvalues((config.n,), case.pooling, BETA)


def data(config: Config) -> tuple[np.ndarray, np.ndarray]:
    """Normal images, and their projections."""
    x = np.random.default_rng(0).standard_normal((config.n_images, 1, config.n))
    return x, np.fft.ifft(np.fft.fft(x) * target_blocks(config)[:, 0, 0]).real


def best_of(config: Config, cells: dict[str, Any], pooling: str, depth: int) -> dict[str, Any]:
    """The start with the smallest objective."""
    found: list[dict[str, Any]] = [cells[Case("relu", pooling, depth, start).key] for start in config.starts]
    return min(found, key=lambda cell: cell["objective"])

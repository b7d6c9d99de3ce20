r"""Norm against depth where the minimum is known: part ``depth`` of :mod:`benchmarks.papers.bottleneck`.

Images whose constant part dominates, and linear targets f of blocks ``Â_ω ⪰ 0``: the network that attains T1 keeps all
its activations positive, so that the ReLU costs nothing, ``R ≤ R_lin``; A1 (without pooling) and A2 (at a constant
image without kinks) give ``R ≥ R_lin``. So ``R = L Rank + R⁽¹⁾ + R⁽²⁾/L + ..`` with the numbers of T1. The same holds
for the target *kinked*, which is not linear: the positive part of the mean of one channel, beside such an f on another;
its Jacobian where that mean is positive is a linear map of the same cost.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from proofs_check.cbn import cost_expansion, lower_bound, pooling_eigenvalues, representation_cost
from proofs_check.cbn.continuation import fit_depths, train_depths
from proofs_check.cbn.training import TrainedCyclic

__all__ = ["TARGETS", "DepthPart", "draw", "draw_residuals", "fits", "measure", "pooled"]

TARGETS = ("projection", "gains", "kinked")
GAINS = {"projection": (1.0, 1.0), "gains": (2.0, 0.5), "kinked": (2.0, 0.5)}
"""Of the constant and of ±1."""
KINKED = 1.5
"""Gain of the positive part of the mean."""
SPREAD = 0.7
"""Pixels are ``1 + SPREAD·u``, |u| ≤ 1: the projection on 0, ±1 of 6 pixels has ``Σ|kernel| = 4/3 < 1/SPREAD``."""


@dataclass(frozen=True)
class DepthPart:
    """Every depth from ``depths[0]`` to ``depths[1]``; ``n_starts`` random starts at the smallest."""

    depths: tuple[int, int] = (3, 16)
    n: int = 6
    width: int = 3
    weight_decay: float = 1e-4
    n_images: int = 64
    n_starts: int = 3
    n_first: int = 1500
    n_steps: int = 300
    n_polish: int = 30
    beta: float = 0.3

    @property
    def all_depths(self) -> range:
        """Of the networks."""
        return range(self.depths[0], self.depths[1] + 1)

    def pooling(self, kind: str) -> np.ndarray:
        """``m_ω``."""
        return pooling_eigenvalues((self.n,), kind, self.beta)


def target_blocks(part: DepthPart, target: str) -> np.ndarray:
    """``(n, C, C)``: of f, and where the mean of the first channel is positive of *kinked*."""
    constant, wave = GAINS[target]
    linear = np.zeros((part.n, 1, 1))
    linear[[0, 1, -1], 0, 0] = constant, wave, wave
    if target != "kinked":
        return linear
    blocks = np.zeros((part.n, 2, 2))
    blocks[0, 0, 0], blocks[:, 1, 1] = KINKED, linear[:, 0, 0]
    return blocks


def data(part: DepthPart, target: str) -> tuple[np.ndarray, np.ndarray]:
    """Positive images, for *kinked* a channel of any sign before them, and their targets."""
    rng = np.random.default_rng(0)
    x = 1.0 + SPREAD * rng.uniform(-1.0, 1.0, (part.n_images, 1, part.n))
    if target == "kinked":
        signed = rng.uniform(-1.0, 1.0, (part.n_images, 1, part.n)) + rng.uniform(-1.0, 1.0, (part.n_images, 1, 1))
        x = np.concatenate([signed, x], axis=1)
    spectra = np.einsum("woi,niw->now", target_blocks(part, target), np.fft.fft(x))
    y = np.fft.ifft(spectra).real
    if target == "kinked":
        y[:, 0] = np.maximum(y[:, 0], 0.0)
    return x, y


def measure(part: DepthPart, target: str, kind: str) -> dict[str, Any]:
    """All depths of one target; ``cost`` is T1's of the target, ``bound`` the largest of A1 and A2 of each network."""
    x, y = data(part, target)
    m = part.pooling(kind)
    found = train_depths(
        y, images=x, depths=part.all_depths, width=part.width, weight_decay=part.weight_decay, rng=0, pooling=m,
        n_starts=part.n_starts, n_first=part.n_first, n_steps=part.n_steps, n_polish=part.n_polish,
    )  # fmt: skip
    blocks = target_blocks(part, target)
    return {
        "norm": found[-1].norm,
        "fit": found[-1].fit,
        "norms": [trained.norm for trained in found],
        "fits": [trained.fit for trained in found],
        "costs": [representation_cost(blocks, depth=depth, pooling=m) for depth in part.all_depths],
        "bounds": [largest_bound(trained, x) for trained in found],
    }


def largest_bound(trained: TrainedCyclic, x: np.ndarray) -> float:
    """Of A1 at eight images, and of A2 at constant ones."""
    constants = [np.full(x.shape[1:], level) for level in (0.5, 1.0, 1.5)]
    bounds = [lower_bound(trained.network, image) for image in [*x[:8], *constants]]
    return max(max(bound.jacobian, bound.frequency or 0.0) for bound in bounds)


def fits(part: DepthPart, target: str, kind: str, cell: dict[str, Any]) -> dict[str, Any]:
    """``‖θ‖²`` and T1's cost, both fitted by ``slope L + intercept + remainder/L``, beside Rank, R⁽¹⁾ and R⁽²⁾."""
    terms = cost_expansion(target_blocks(part, target), pooling=part.pooling(kind))
    return {
        "trained": asdict(fit_depths(part.all_depths, cell["norms"])),
        "cost": asdict(fit_depths(part.all_depths, cell["costs"])),
        "rank": terms.R0,
        "first_correction": terms.R1,
        "second_correction": terms.R2,
        "largest_excess_over_cost": float(np.subtract(cell["norms"], cell["costs"]).max()),
        "least_excess_over_cost": float(np.subtract(cell["norms"], cell["costs"]).min()),
        "least_norm_over_bound": float(np.divide(cell["norms"], cell["bounds"]).min()),
        "largest_fit": max(cell["fits"]),
    }


def draw(axes: Any, part: DepthPart, kind: str, cells: dict[str, dict[str, Any]]) -> None:
    """Against 1/L, so that the limits stand at 0: ``‖θ‖²/L`` on the first of two axes, ``‖θ‖² - L Rank`` on the other.

    Points are trained networks, lines T1, bars at 0 Rank and R⁽¹⁾.
    """
    depths = np.array(part.all_depths, dtype=np.float64)
    smooth = np.geomspace(depths[0], 1000.0, 60).astype(int)
    for i, (target, cell) in enumerate(cells.items()):
        blocks, m = target_blocks(part, target), part.pooling(kind)
        terms, norms, colour = cost_expansion(blocks, pooling=m), np.array(cell["norms"]), f"C{i}"
        costs = np.array([representation_cost(blocks, depth=int(depth), pooling=m) for depth in smooth])
        trained = fit_depths(part.all_depths, norms)
        pairs = (
            (norms / depths, costs / smooth, terms.R0, f"{target}: {trained.slope:.4f} of {terms.R0:.4f}"),
            (norms - depths * terms.R0, costs - smooth * terms.R0, terms.R1,
             f"{target}: {trained.intercept:.3f} of {terms.R1:.3f}"),
        )  # fmt: skip
        for ax, (points, line, limit, label) in zip(axes, pairs, strict=True):
            ax.plot(1.0 / depths, points, ".", color=colour, label=label)
            ax.plot(1.0 / smooth, line, "-", color=colour, lw=0.7)
            ax.plot([0.0], [limit], "_", color=colour, ms=12, mew=2)
    names = (("‖θ‖²/L", "slope and Rank"), ("‖θ‖² - L·Rank", "intercept and R⁽¹⁾"))
    for ax, (name, title) in zip(axes, names, strict=True):
        ax.set(xlabel="1/L", ylabel=name, title=f"{title}, {pooled(kind)}")
        ax.set_xlim(left=-0.01)
        ax.legend(frameon=False, fontsize=7)


def draw_residuals(ax: Any, part: DepthPart, kind: str, cells: dict[str, dict[str, Any]]) -> None:
    """Trained networks less their fit, and less T1: what λ takes is below 0, what is not yet minimal above."""
    depths = part.all_depths
    for i, (target, cell) in enumerate(cells.items()):
        fit = fit_depths(depths, cell["norms"])
        ax.plot(
            depths, np.array(cell["norms"]) - [fit.at(depth) for depth in depths], ".-", color=f"C{i}", label=target
        )
        ax.plot(depths, np.subtract(cell["norms"], cell["costs"]), ":", color=f"C{i}")
    ax.axhline(0.0, color="black", lw=0.5)
    ax.set(xlabel="depth L", ylabel="‖θ‖² less fit (–), less T1 (:)", title=f"residuals, {pooled(kind)}")
    ax.legend(frameon=False, fontsize=7)


def pooled(kind: str) -> str:
    """In words."""
    return "no pooling" if kind == "none" else f"{kind} pooling"

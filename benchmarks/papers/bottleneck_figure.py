"""The figure of :mod:`benchmarks.papers.bottleneck`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.papers import bottleneck_depth
from benchmarks.papers.bottleneck_cases import BETA, Case, Config, best_of, cases, data, target_blocks
from proofs_check.cbn import cost_expansion, pooling_eigenvalues

__all__ = ["draw"]


def draw(config: Config, cells: dict[str, Any], path: Path) -> None:
    """A row for each pooling: limits of great depth; normal images; layers. Below: learning rates, residuals."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "lineardyn", "svg.fonttype": "none"})
    import matplotlib.pyplot as plt

    rows = len(config.poolings)
    figure, axes = plt.subplots(rows + 1, 4, figsize=(15, 3.4 * (rows + 1)), layout="constrained", squeeze=False)
    draw_rates(axes[-1][0], config, cells)
    for i, pooling in enumerate(config.poolings):
        known = {target: cells[Case("depth", pooling, target=target).key] for target in bottleneck_depth.TARGETS}
        bottleneck_depth.draw(axes[i][:2], config.depth, pooling, known)
        draw_depths(axes[i][2], config, cells, pooling)
        draw_layers(axes[i][3], config, cells, pooling)
        bottleneck_depth.draw_residuals(axes[-1][i + 1], config.depth, pooling, known)
    for ax in axes[-1][rows + 1 :]:
        ax.remove()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def draw_depths(ax: Any, config: Config, cells: dict[str, Any], pooling: str) -> None:
    """Best norm of each depth, the largest lower bound, L·Rank, and the linear networks."""
    best = [best_of(config, cells, pooling, depth) for depth in config.depths]
    m = pooling_eigenvalues((config.n,), pooling, BETA)
    rank = cost_expansion(target_blocks(config), pooling=m).R0
    ax.plot(config.depths, [cell["norm"] for cell in best], "o-", color="black", label="trained, ReLU")
    bounds = [max(cell["jacobian_bound"], cell["frequency_bound"] or 0.0) for cell in best]
    ax.plot(config.depths, bounds, "v--", color="tab:orange", label="lower bound (A1, A2)")
    ax.plot(config.depths, rank * np.array(config.depths), ":", color="tab:blue", label="L · Rank")
    ax.set(xlabel="depth L", ylabel="‖θ‖²", title=f"normal images, {bottleneck_depth.pooled(pooling)}")
    ax.legend(frameon=False, fontsize=8)


def draw_layers(ax: Any, config: Config, cells: dict[str, Any], pooling: str) -> None:
    """Singular values by layer, one colour a frequency; dashed: ``1/|m_ω|``."""
    depth = config.depths[-1]
    values = np.array([np.pad(layer, ((0, 0), (0, config.width)))[:, : config.width]
                       for layer in best_of(config, cells, pooling, depth)["singular_values"]])  # fmt: skip
    m = pooling_eigenvalues((config.n,), pooling, BETA)
    for frequency in range(config.n // 2 + 1):
        colour = f"C{frequency}"
        for i in range(config.width):
            label = f"ω = {frequency}" if i == 0 else None
            ax.plot(range(1, depth + 1), values[:, frequency, i], ".-", color=colour, lw=0.7, label=label)
        ax.axhline(1 / abs(m[frequency]), color=colour, ls="--", lw=0.7)
    ax.set(xlabel="layer l", ylabel="singular values", title=f"normal images, L = {depth}")
    ax.legend(frameon=False, fontsize=8)


def draw_rates(ax: Any, config: Config, cells: dict[str, Any]) -> None:
    """Activations and sharpness at the end, and 2/η, where anything was learned: beyond, all neurons are dead."""
    power = float((data(config)[1] ** 2).sum(axis=(1, 2)).mean())
    done = [cells[case.key] | {"rate": case.rate} for case in cases(config) if case.part == "rate"]
    done = [cell for cell in done if cell["status"] == "SUCCESS" and cell["fit"] < 0.9 * power]
    rates = [cell["rate"] for cell in done]
    ax.loglog(rates, [cell["activation"] for cell in done], "o-", color="black", label="largest Σ‖α_l‖²")
    ax.loglog(rates, [cell["sharpness"] for cell in done], "s-", color="tab:green", label="λ_max(H)")
    ax.loglog(rates, [cell["limit"] for cell in done], ":", color="tab:blue", label="2/η")
    ax.set(xlabel="learning rate η", title="plain descent")
    ax.legend(frameon=False, fontsize=8)

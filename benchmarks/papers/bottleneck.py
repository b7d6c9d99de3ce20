r"""The bottleneck in trained networks (W, reconstructed): ``python -m benchmarks.papers.bottleneck [--fresh]``.

Cyclic ReLU networks of few pixels with weight decay. Four parts, one cell of the JSON a training (of ``depth``: a
target, its depths each trained from the one before):

- ``depth``: ``‖θ‖²`` against every depth where ``R`` is known, fitted by ``slope L + intercept + remainder/L``, beside
  Rank, ``R⁽¹⁾`` and the same fit of the exact cost (:mod:`benchmarks.papers.bottleneck_depth`).
- ``relu``: the projection on few frequencies, of normal images, from random and from constructed starts. What positive
  activations cost here (biases, and at moderate depth one dimension of DC more) is in no formula: slope and intercept,
  over the deep ones, stand between those of A2 and of the construction. Also the singular values of every layer by
  frequency, beside ``1/|m_ω|``; the distance of the weights from the bottleneck and its bound.
- ``linear``: the same architecture without activation, one channel, whose cost is known exactly.
- ``rate``: gradient descent without weight decay from an unbalanced start, at several learning rates: activations,
  sharpness, and 2/η.

The JSON is written first, then the figure beside it (SVG). Wen & Jacot's own formulas were not available.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.papers import bottleneck_depth
from benchmarks.peers import machine
from benchmarks.peers.command import command
from lineardyn.errors import ArgumentError, Status
from proofs_check.cbn import (
    CyclicCNN,
    bottleneck_gap,
    cost_expansion,
    lower_bound,
    pooling_eigenvalues,
    representation_cost,
)
from proofs_check.cbn.construction import build_bottleneck
from proofs_check.cbn.curvature import sharpness
from proofs_check.cbn.training import TrainedCyclic, train_cyclic

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


def run(
    config: Config, path: Path | None = None, *, fresh: bool = False, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Train what is missing from ``path`` and return the record; draw the figure beside it."""
    record = machine.Record(path, asdict(config), fresh=fresh)
    measures = {"depth": depths, "relu": relu, "linear": linear, "rate": rate}
    for case in cases(config):
        if case.key not in record:
            begin = time.perf_counter()
            cell = measures[case.part](config, case)
            record.keep(case.key, {**cell, "seconds": time.perf_counter() - begin})
            say(f"{case.key}: ‖θ‖² = {record[case.key]['norm']:.6g}, fit {record[case.key]['fit']:.3g}")
    record.write()
    say(str(summary(config, record.data["cells"])))
    if path is not None:
        draw(config, record.data["cells"], path.with_suffix(".svg"))
    return record.data


def depths(config: Config, case: Case) -> dict[str, Any]:
    """All depths of one target."""
    return bottleneck_depth.measure(config.depth, case.target, case.pooling)


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


def relu(config: Config, case: Case) -> dict[str, Any]:
    """One ReLU network, and all that is said of it."""
    x, y = data(config)
    start = built_start(config, case) if case.start == "built" else None
    seed = 0 if start is not None else int(case.start.split()[1])
    result = train_cyclic(
        y,
        images=x,
        depth=case.depth,
        widths=config.width,
        pooling=eigenvalues(config, case),
        weight_decay=config.weight_decay,
        rng=seed,
        start=start,
        n_steps=config.n_steps,
        n_polish=config.n_polish,
    )
    return {**common(result), **structure(result.network, x)}


def built_start(config: Config, case: Case) -> CyclicCNN:
    """The constructed network, on ``width`` channels, with a little noise on all."""
    m, blocks = eigenvalues(config, case), target_blocks(config)
    built = build_bottleneck(blocks, blocks, depth=case.depth, radius=np.sqrt(config.n), pooling=m).network
    rng, widths = np.random.default_rng(7), (1, *[config.width] * (case.depth - 1), 1)
    weights, biases = [], []
    for w, b, c_in, c_out in zip(built.weights, built.biases, widths[:-1], widths[1:], strict=True):
        full = 0.02 * rng.standard_normal((c_out, config.n, c_in))
        full[: w.shape[0], :, : w.shape[2]] += w
        weights.append(full)
        biases.append(np.concatenate([b, np.zeros(c_out - len(b))]))
    return CyclicCNN(weights, biases, pooling=m)


def common(result: TrainedCyclic) -> dict[str, Any]:
    """What every cell has."""
    return {"norm": result.norm, "fit": result.fit, "objective": result.objective, "status": result.status.name}


def structure(network: CyclicCNN, x: np.ndarray) -> dict[str, Any]:
    """Lower bounds (the largest over images), singular values ``[layer][ω]``, distance from the bottleneck."""
    constants = [np.full(x.shape[1:], level) for level in (0.5, 1.0, -0.5, -1.0)]
    bounds = [lower_bound(network, image) for image in [*x[:8], *constants]]
    gaps = []
    for image in constants:
        try:
            gaps.append(bottleneck_gap(network, image))
        except ArgumentError:  # a dead channel: the image is at a kink
            continue
    values = [np.linalg.svd(blocks, compute_uv=False).round(6).tolist() for blocks in network.operator_blocks()]
    return {
        "jacobian_bound": max(bound.jacobian for bound in bounds),
        "frequency_bound": max((bound.frequency for bound in bounds if bound.frequency is not None), default=None),
        "distance": min((float(gap.layers.sum()) for gap in gaps), default=None),
        "distance_bound": min((float(gap.bound) for gap in gaps), default=None),
        "singular_values": values,
    }


def linear(config: Config, case: Case) -> dict[str, Any]:
    """One linear network of one channel, beside the exact cost of the map it found."""
    x, y = data(config)
    m = eigenvalues(config, case)
    result = train_cyclic(
        y,
        images=x,
        depth=case.depth,
        widths=1,
        slope=1.0,
        pooling=m,
        weight_decay=config.weight_decay,
        rng=0,
        start=linear_start(config, case),
        n_steps=config.n_steps,
        n_polish=config.n_polish,
    )
    pulse = np.eye(config.n)[:1]
    found = np.fft.fft(result.network(pulse)[0] - result.network(0 * pulse)[0])[:, None, None]
    return {**common(result), "cost": representation_cost(found, depth=case.depth, pooling=m)}


def linear_start(config: Config, case: Case) -> CyclicCNN:
    """Near the identity: from a random start deep linear networks stay on a plateau."""
    rng, m = np.random.default_rng(1), eigenvalues(config, case)
    pulse = np.eye(config.n)[0][None, :, None]
    noise = [0.05 * rng.standard_normal((1, config.n, 1)) for _ in range(case.depth)]
    return CyclicCNN([pulse + w for w in noise], pooling=m, slope=1.0)


def rate(config: Config, case: Case) -> dict[str, Any]:
    """Plain descent of a three-layer ReLU network whose first layer is ten times its last."""
    x, y = data(config)
    drawn = CyclicCNN.random((config.n,), (1, config.width, config.width, 1), rng=3, scale=1.4)
    start = CyclicCNN([3.0 * drawn.weights[0], drawn.weights[1], 0.3 * drawn.weights[2]], drawn.biases)
    result = train_cyclic(
        y,
        images=x,
        depth=3,
        widths=config.width,
        weight_decay=0.0,
        rng=0,
        method="plain",
        learning_rate=case.rate,
        start=start,
        n_steps=config.n_plain,
        record_every=100,
        throw=False,
    )
    finite = result.status is Status.SUCCESS
    return {
        **common(result),
        "activation": float(result.history["activation"][-1]),
        "activation_at_start": float(result.history["activation"][0]),
        "sharpness": sharpness(result.network, (x, y)) if finite else None,
        "limit": 2 / case.rate,
    }


def summary(config: Config, cells: dict[str, Any]) -> dict[str, Any]:
    """Slopes and intercepts, bounds that failed (none may), and what large steps do."""
    counted: dict[str, Any] = {"below_a_bound": below(cells), "depth": {}, "poolings": {}}
    for case in cases(config):
        if case.part == "depth":
            fitted = bottleneck_depth.fits(config.depth, case.target, case.pooling, cells[case.key])
            counted["depth"][f"{case.target}, {case.pooling} pooling"] = fitted
    for pooling in config.poolings:
        m = pooling_eigenvalues((config.n,), pooling, BETA)
        terms = cost_expansion(target_blocks(config), pooling=m)
        best = {depth: best_of(config, cells, pooling, depth) for depth in config.depths}
        deep = [depth for depth in config.depths if depth >= 6] or list(config.depths)
        slope, intercept = line(deep, [best[depth]["norm"] for depth in deep])
        built = build_bottleneck(
            target_blocks(config), target_blocks(config), depth=deep[-1], radius=np.sqrt(config.n), pooling=m
        )
        costs = [cells[Case("linear", pooling, depth).key] for depth in config.linear_depths]
        counted["poolings"][pooling] = {
            "rank": terms.R0,
            "slope": slope,
            "intercept": intercept,
            "first_correction_of_the_linear_map": terms.R1,
            "intercept_of_the_construction": built.intercept,
            "norm_over_depth": {depth: best[depth]["norm"] / depth for depth in config.depths},
            "linear_norm_over_cost": max((cell["norm"] / cell["cost"] for cell in costs), default=None),
        }
    counted["rates"] = {
        f"{case.rate:g}": {
            name: cells[case.key][name] for name in ("status", "activation", "sharpness", "limit", "fit")
        }
        for case in cases(config)
        if case.part == "rate"
    }
    return counted


def below(cells: dict[str, Any]) -> list[str]:
    """Cells whose norm is below one of their lower bounds, or whose weights are further off than the bound."""
    found = []
    for key, cell in cells.items():
        if "bounds" in cell and (np.array(cell["norms"]) < np.array(cell["bounds"]) * (1 - 1e-9)).any():
            found.append(key)
        if "jacobian_bound" in cell:
            least = max(cell["jacobian_bound"], cell["frequency_bound"] or 0.0)
            far = cell["distance"] is not None and cell["distance"] > cell["distance_bound"] + 1e-8 * cell["norm"]
            if cell["norm"] < least * (1 - 1e-9) or far:
                found.append(key)
    return found


def best_of(config: Config, cells: dict[str, Any], pooling: str, depth: int) -> dict[str, Any]:
    """The start with the smallest objective."""
    found: list[dict[str, Any]] = [cells[Case("relu", pooling, depth, start).key] for start in config.starts]
    return min(found, key=lambda cell: cell["objective"])


def line(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """Slope and intercept of least squares; through the origin with one point."""
    if len(x) == 1:
        return y[0] / x[0], 0.0
    slope, intercept = np.polyfit(x, y, 1)
    return float(slope), float(intercept)


def draw(config: Config, cells: dict[str, Any], path: Path) -> None:
    """A row for each pooling: limits of great depth; normal images; layers of the deepest. Below: learning rates."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "lineardyn", "svg.fonttype": "none"})
    import matplotlib.pyplot as plt

    rows = len(config.poolings)
    figure, axes = plt.subplots(rows + 1, 4, figsize=(15, 3.4 * (rows + 1)), layout="constrained", squeeze=False)
    for row, pooling in zip(axes, config.poolings, strict=False):
        known = {target: cells[Case("depth", pooling, target=target).key] for target in bottleneck_depth.TARGETS}
        bottleneck_depth.draw(row[:2], config.depth, pooling, known)
        draw_depths(row[2], config, cells, pooling)
        draw_layers(row[3], config, cells, pooling)
    draw_rates(axes[-1][0], config, cells)
    for ax in axes[-1][1:]:
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
    ax.set(xlabel="depth L", ylabel="‖θ‖²", title=f"normal images, {pooling} pooling")
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    return command("bottleneck", run, Config(), TINY, __doc__, arguments, folder="papers")


if __name__ == "__main__":
    raise SystemExit(main())

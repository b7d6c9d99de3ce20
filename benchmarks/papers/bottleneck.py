r"""The bottleneck in trained networks (W, reconstructed): ``python -m benchmarks.papers.bottleneck [--fresh]``.

Cyclic ReLU networks of few pixels with weight decay. Four parts, one cell of the JSON a training (of ``depth``: a
target, its depths each trained from the one before):

- ``depth``: ``‖θ‖²`` against every depth where ``R`` is known, fitted by ``slope L + intercept + remainder/L``, beside
  Rank, ``R⁽¹⁾`` and the same fit of the exact cost (:mod:`benchmarks.papers.bottleneck_depth`).
- ``relu``: the projection on few frequencies, of normal images, from random and from constructed starts. What positive
  activations cost there (biases, and at moderate depth one dimension of DC more) is in no formula: slope and intercept
  over the deep ones stand beside Rank, the linear map's ``R⁽¹⁾`` and the construction's intercept. Also the singular
  values of every layer by frequency, beside ``1/|m_ω|``; the distance of the weights from the bottleneck and its bound.
- ``linear``: the same architecture without activation, one channel, whose cost is known exactly.
- ``rate``: gradient descent without weight decay from an unbalanced start, at several learning rates: activations,
  sharpness, and 2/η.

The JSON is written first, then the figure beside it (SVG). Wen & Jacot's own formulas were not available.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.papers import bottleneck_depth
from benchmarks.papers.bottleneck_cases import (
    BETA,
    TINY,
    Case,
    Config,
    best_of,
    cases,
    data,
    eigenvalues,
    target_blocks,
)
from benchmarks.papers.bottleneck_figure import draw
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


def line(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """Slope and intercept of least squares; through the origin with one point."""
    if len(x) == 1:
        return y[0] / x[0], 0.0
    slope, intercept = np.polyfit(x, y, 1)
    return float(slope), float(intercept)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    return command("bottleneck", run, Config(), TINY, __doc__, arguments, folder="papers")


if __name__ == "__main__":
    raise SystemExit(main())

"""The figures of docs/benchmarks.md, each made from one JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.stiffness_map import best

Data = Mapping[str, Any]
PEERS = (
    "scipy textbook", "scipy packed", "scipy compiled", "numbalsoda", "numbalsoda steps", "diffrax split",
    "diffrax four", "ours dop853", "ours rkc",
)  # fmt: skip


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "lineardyn", "svg.fonttype": "none"})
    import matplotlib.pyplot as plt

    return plt


def _save(plt: Any, chart: Any, path: Path) -> None:
    chart.savefig(path, metadata={"Date": None})
    plt.close(chart)


def peers(flows: Data, path: Path) -> None:
    """Bars of theirs / ours for every problem, at error 1e-3 where it was asked for."""
    plt = _pyplot()
    problems = list(flows["ratios"])
    rows = {name: flows["ratios"][name].get("0.001") or next(iter(flows["ratios"][name].values())) for name in problems}
    names = [n for n in PEERS if any(n in row for row in rows.values())]
    chart, axes = plt.subplots(figsize=(1.3 * len(problems) + 2, 4.2), layout="constrained")
    width = 0.85 / max(1, len(names))
    for j, name in enumerate(names):
        heights = [rows[problem].get(name, np.nan) for problem in problems]
        places = [i + (j - (len(names) - 1) / 2) * width for i in range(len(problems))]
        axes.bar(places, heights, width, label=name, color=plt.cm.tab10(j))
    axes.axhline(1.0, color="black", linewidth=0.8)
    axes.set_yscale("log")
    axes.grid(axis="y", linewidth=0.3)
    axes.set_axisbelow(True)
    axes.set_xticks(range(len(problems)), [name.replace(", ", ",\n").replace(" grey", "\ngrey") for name in problems])
    axes.set_ylabel("time of the peer / ours")
    axes.set_title("Gradient flow at equal error, one thread")
    axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    _save(plt, chart, path)


def stiffness(data: Data, path: Path) -> None:
    """The fastest method of each cell, stiffness × error, and the time of ``auto`` over it."""
    plt = _pyplot()
    errors, ratios = data["config"]["errors"], data["config"]["ratios"]
    methods = [name for name in data["config"]["methods"] if name not in ("auto", "geometric")]  # steps of auto
    chart, axes = plt.subplots(figsize=(1.1 * len(errors) + 1.5, 0.7 * len(ratios) + 1.2), layout="constrained")
    for row, ratio in enumerate(ratios):
        for column, error in enumerate(errors):
            seconds = best(data["cells"], ratio, error)
            named = {name: seconds[name] for name in methods if name in seconds}
            text, colour = "none", "white"
            if named:
                fastest = min(named, key=lambda name: named[name])
                loss = f"auto ×{seconds['auto'] / named[fastest]:.2f}" if "auto" in seconds else "auto: not reached"
                text, colour = f"{fastest}\n{loss}", plt.cm.Pastel1(methods.index(fastest))
            axes.add_patch(plt.Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=colour, edgecolor="white"))
            axes.text(column, row, text, ha="center", va="center", fontsize=7)
    axes.set(xlim=(-0.5, len(errors) - 0.5), ylim=(-0.5, len(ratios) - 0.5))
    axes.set_xticks(range(len(errors)), [f"{error:g}" for error in errors])
    axes.set_yticks(range(len(ratios)), [f"{ratio:g}" for ratio in ratios])
    axes.set(xlabel="largest error of B, over s_1", ylabel="s_max / s_min", title="Fastest method")
    _save(plt, chart, path)


def scaling(data: Data, path: Path) -> None:
    """Time of one right-hand side over pixels and over classes."""
    plt = _pyplot()
    chart, both = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
    for axes, (name, power) in zip(both, data["exponents"].items(), strict=True):
        cells = [cell for key, cell in data["cells"].items() if key.split("|")[0] == name]
        sizes = [cell["size"] for cell in cells]
        axes.loglog(sizes, [cell["seconds"]["rhs"] * 1e6 for cell in cells], "o-", label="right-hand side")
        bare = [min(cell["seconds"][n] for n in ("products_transposed", "products_tall")) * 1e6 for cell in cells]
        axes.loglog(sizes, bare, "s--", label="its two products")
        axes.set(xlabel=name, ylabel="µs", title=f"∝ {name}^{power:.2f}")
        axes.legend(fontsize=7)
    _save(plt, chart, path)


PICTURES: dict[str, tuple[str, str, Callable[[Data, Path], None]]] = {
    "flows": ("benchmarks.svg", "Time of every peer over ours", peers),
    "scaling": ("benchmarks-scaling.svg", "Time of one right-hand side over pixels and over classes", scaling),
    "stiffness_map": ("benchmarks-methods.svg", "The fastest method at each stiffness and error", stiffness),
}
"""File, words for those who do not see it, and maker of the figure of a JSON."""

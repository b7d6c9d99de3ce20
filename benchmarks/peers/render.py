"""Table and figure from the committed JSON: ``python -m benchmarks.peers.render`` writes docs/benchmarks.md."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.peers.machine import RESULTS

DOCS = Path(__file__).parents[2] / "docs"
FIGURE = "benchmarks.svg"
PEERS = ("scipy textbook", "scipy packed", "diffrax split", "diffrax four", "ours dop853", "ours rkc", "ours auto")
Data = Mapping[str, Any]


def page(flows: Data | None, training: Data | None, ensembles: Data | None = None) -> str:
    """The markdown page, from what has been measured."""
    parts = [
        "# Benchmarks against other libraries",
        "Made by `python -m benchmarks.peers.render` from `benchmarks/peers/results/*.json`; measured by "
        "`python -m benchmarks.peers.flows`, `.training` and `.ensembles`. Wall times are medians over "
        "different starts, compilation apart; each solver runs at the fastest tolerance at which every timed call "
        "keeps the error asked for, `max_t ‖B(t) - B_ref(t)‖_F / s_1`. A ratio above 1 means that we are faster.",
    ]
    if flows:
        parts += [f"![Ratios to peers]({FIGURE})", _products(flows["cells"]), _flows(flows), _sessions(flows)]
    if training:
        parts += [_training(training["cells"]), _sessions(training)]
    if ensembles:
        parts += [_ensembles(ensembles), _sessions(ensembles)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def _products(cells: Data) -> str:
    rows = []
    for key, cell in cells.items():
        if key.endswith("|products"):
            seconds = cell["seconds"]
            bare = min(seconds["products_transposed"], seconds["products_tall"])
            times = [f"{seconds['rhs'] * 1e6:.1f}", f"{bare * 1e6:.1f}", f"{cell['ratio']:.2f}"]
            rates = [f"{cell['gflops_rhs']:.1f}", f"{cell['gflops_dgemm']:.1f}", f"{100 * cell['share_of_dgemm']:.0f}%"]
            rows.append([key.split("|")[0], *times, *rates])
    header = ["pixels×classes", "right-hand side, µs", "two products, µs", "ratio", "GFLOP/s", "dgemm GFLOP/s", "share"]
    return "## One right-hand side, one thread\n\n" + _table(header, rows) if rows else ""


def _flows(flows: Data) -> str:
    rows = []
    for key, cell in flows["cells"].items():
        problem, solver = key.split("|")
        for target, timed in cell.get("targets", {}).items():
            ratio = flows["ratios"].get(problem, {}).get(target, {}).get(solver)
            rows.append([problem, solver, target, *_timing(timed), f"{ratio:.1f}" if ratio else ""])
        if "failure" in cell:
            rows.append([problem, solver, "", "", "", "", cell["failure"]])
    header = ["problem", "solver", "error", "ms", "right-hand sides", "rtol", "theirs / ours"]
    return "## Whole flows at equal error\n\n" + _table(header, rows)


def _timing(timed: Data) -> list[str]:
    if "failure" in timed:
        return [timed["failure"], "", ""]
    return [f"{timed['median_seconds'] * 1e3:.2f}", f"{timed['n_rhs']:.0f}", f"{timed['rtol']:.1e}"]


def _training(cells: Data) -> str:
    rows = []
    for key, cell in cells.items():
        times = [f"{cell[name]['microseconds_a_step']:.1f}" for name in ("ours", "fft", "conv2d")]
        rows.append([*key.split("|"), *times, f"{cell['ratio']:.0f}"])
    header = ["pixels×classes", "step", "ours, µs", "torch FFT, µs", "torch conv2d, µs", "faster torch / ours"]
    return "## Gradient descent\n\n" + _table(header, rows)


def _ensembles(ensembles: Data) -> str:
    small, dense, config = ensembles["cells"]["small"], ensembles["cells"]["dense"], ensembles["config"]
    one, several = (statistics.median(small["seconds"][name]) for name in ("one thread", "several"))
    loops = "; ".join(
        f"{name} {peer['seconds_of_all']:.1f} s ({small['ratio'][name]:.0f} times one thread), "
        f"{peer['timed']} of them timed"
        for name, peer in small["peers"].items()
    )
    side, k = config["small"]
    gflops = dense["gflops"]
    return "\n\n".join(
        [
            "## Many runs at once",
            f"{config['n_runs']} flows of {side}²×{k} at error {config['target']:g}: {one:.3f} s on one thread, "
            f"{several:.3f} s on {config['cores']} ({small['speed_up']:.2f} times as fast). A Python loop: {loops}.",
            f"{config['n_dense_runs']} flows over dense statistics of width {dense['width']}: {gflops['flow']:.1f} "
            f"GFLOP/s in whole flows on {config['cores']} threads, {100 * dense['share_of_dgemm']:.0f}% of a large "
            f"square dgemm ({gflops['square']:.1f}), {100 * dense['share_of_the_product']:.0f}% of the bare product.",
        ]
    )


def _sessions(data: Data) -> str:
    lines = []
    for name, about in data["sessions"].items():
        versions = ", ".join(f"{package} {version}" for package, version in about["versions"].items() if version)
        threads = ", ".join(f"{variable}={value}" for variable, value in about["threads"].items() if value)
        cells = sum(cell["session"] == name for cell in data["cells"].values())
        lines.append(
            f"Session {name} ({cells} measurements), {about['date']}: {about['system']}, {about['processor']}, "
            f"{about['cores_of_the_machine']} cores, bound to {about['bound_to_cores']}, load at start "
            f"{about['load_at_start']}; Python {about['python']}, {versions}; {threads}."
        )
    return "\n\n".join(lines)


def figure(flows: Data, path: Path) -> None:
    """Bars of theirs / ours for every problem and the loosest error asked for."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "lineardyn", "svg.fonttype": "none"})
    import matplotlib.pyplot as plt

    chart, axes = plt.subplots(figsize=(8, 3.8), layout="constrained")
    problems = list(flows["ratios"])
    names = [n for n in PEERS if any(n in row for rows in flows["ratios"].values() for row in rows.values())]
    width = 0.8 / max(1, len(names))
    for j, name in enumerate(names):
        heights = [next(iter(flows["ratios"][problem].values())).get(name, 0.0) for problem in problems]
        places = [i + (j - (len(names) - 1) / 2) * width for i in range(len(problems))]
        axes.bar_label(axes.bar(places, heights, width, label=name), fmt="{:.1f}".format, fontsize=6)
    axes.axhline(1.0, color="black", linewidth=0.8)
    axes.set_yscale("log")
    axes.set_xticks(range(len(problems)), [name.replace(", ", ",\n").replace(" grey", "\ngrey") for name in problems])
    axes.set_ylabel("time of the peer / ours")
    axes.set_title("Gradient flow at equal error, one thread")
    axes.legend(fontsize=7, ncols=2, loc="upper left")
    chart.savefig(path, metadata={"Date": None})
    plt.close(chart)


def main(results: Path = RESULTS, docs: Path = DOCS) -> int:
    """Write the page and the figure."""
    found = {name: _load(results / f"{name}.json") for name in ("flows", "training", "ensembles")}
    docs.mkdir(parents=True, exist_ok=True)
    (docs / "benchmarks.md").write_text(page(found["flows"], found["training"], found["ensembles"]), encoding="utf-8")
    if found["flows"] and found["flows"].get("ratios"):
        figure(found["flows"], docs / FIGURE)
    return 0


def _load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


if __name__ == "__main__":
    raise SystemExit(main())

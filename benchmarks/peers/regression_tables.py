"""The tables of docs/benchmarks.md on regularised predictors, each made from one JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.peers.tables import table

Data = Mapping[str, Any]


def ridge(data: Data) -> str:
    """Seconds of a whole path, and of leave-one-out."""
    rows = []
    for key, cell in data["cells"].items():
        problem, solver = key.split("|")
        ratio = data["ratios"].get(problem, {}).get(solver)
        rows.append([problem, solver, _seconds(cell), _times(ratio)])
    config = data["config"]
    note = (
        f"{config['n_lams']} λ from the largest eigenvalue of Σ^xx down to {config['ratio']:g} of it, "
        f"{config['n_images']} images, no intercept. Ours: from the raw images to the predictors of all λ. `Ridge`: "
        "one fit a λ, by its solver `auto` or `cholesky`; the objectives agree to 1e-8. `RidgeCV`: one fit with all λ, "
        "by its mode `auto` or `svd`; it gives one of the predictors, chosen by leaving out one image at a time. Its "
        "default mode, `auto`, is the one that counts: `svd`, which a user has to ask for, is there to see."
    )
    return f"## Ridge, a path of λ\n\n{note}\n\n" + table(["problem", "solver", "s", "theirs / ours"], rows)


def group_lasso(data: Data) -> str:
    """Seconds of a path at one gap."""
    config, rows = data["config"], []
    for key, cell in data["cells"].items():
        problem, solver, *mode = key.split("|")
        row = data["ratios"].get(problem, {}).get(mode[0], {}) if mode else {}
        both = [_times(row.get(solver)), _times(row.get(f"{solver}, columns counted"))]
        rows.append([problem, solver, *(mode or [""]), _seconds(cell), _number(cell.get("error")), *both])
    header = ["problem", "solver", "start", "s", "largest gap", "theirs / ours", "with columns"]
    note = (
        f"K = C = 1, {config['n_images']} images, {config['n_lams']} λ from λ_max down to {config['ratio']:g} of it, "
        f"every one at a relative duality gap of {config['gap']:g}, recomputed from the predictor. *warm*: from one λ "
        "to the next; *cold*: each from zero. Ours: from the raw images (`statistics` is a part of it). The peers: on "
        "real columns in groups, whose making (`columns`) counts in the last column only. `reduced`: on 1024 rows "
        "that have the Gram matrix of the images, with the time of reducing them: our idea, not theirs."
    )
    return f"## Group lasso (L = 2), a path of λ\n\n{note}\n\n" + table(header, rows)


def nonconvex(data: Data) -> str:
    """Objectives and seconds beside skglm's."""
    config, rows = data["config"], []
    for key, cell in data["cells"].items():
        problem, depth, solver = key.split("|")
        compared = data["comparison"].get(f"{problem}|{depth}", {})
        last: list[str] = ["", "", ""]
        if solver == "ours" and compared:
            both = _times(compared["ratio"].get("both paths"))
            last = [f"{compared['largest_excess']:.1e}", f"{compared['lower_on']}, {compared['higher_on']}", both]
        elif compared:
            last[2] = _times(compared["ratio"].get(solver.removeprefix("skglm ")))
        rows.append([problem, depth, solver, _seconds(cell), *last])
    header = ["problem", "L", "solver", "s", "largest excess", "lower on, higher on", "theirs / ours"]
    note = (
        f"Images averaged with their reflection, {config['n_images']} of them, {config['n_lams']} λ down to "
        f"{config['ratio']:g} of the λ at which a first frequency enters. `largest excess`: of our objective over the "
        "least of skglm's four, relative; `lower on, higher on`: at how many λ (by more than 1e-9). `theirs / ours`: "
        "beside ours, skglm's two paths together, for which of them leads lower is known after both. Ours: from the "
        "raw images; skglm: on columns that are there, least squares too."
    )
    return f"## ℓ_{{2/3}} and ℓ_{{1/2}} (L = 3, 4), a path of λ\n\n{note}\n\n" + table(header, rows)


def nuclear(data: Data) -> str:
    """Seconds of one λ beside cvxpy's solvers."""
    rows = []
    for key, cell in data["cells"].items():
        problem, fraction, solver = key.split("|")
        if solver == "minimum":
            continue
        ratio = data["ratios"].get(problem, {}).get(fraction, {}).get(solver)
        theirs = cell.get("solver", {}).get("solve_time")
        seconds = _seconds(cell) if theirs is None else f"{theirs:.4f}"
        rows.append([problem, fraction, solver, seconds, _number(cell.get("error")), _times(ratio)])
    config = data["config"]
    note = (
        f"K = 10, C = 3, {config['n_images']} images. Seconds: ours, the solve on statistics that are there (at the "
        f"largest size from the raw images); of cvxpy, the `solve_time` that it reports. `off`: from the minimum, "
        f"relative ({config['accuracy']:g} is asked for; at the largest size the recomputed duality gap)."
    )
    header = ["problem", "λ_max / λ", "solver", "s", "off", "theirs / ours"]
    return f"## Nuclear norms (L = 2, several outputs and channels)\n\n{note}\n\n" + table(header, rows)


def oracle(data: Data) -> str:
    """Counts against the certified optimum."""
    found, rows = data["counts"], []
    for name, words in (("ours", "ours"), ("search", "ours, search alone"), ("reweighted", "reweighted least squares")):
        cell = found[name]
        row = [words, str(cell["within"]), _number(cell["largest_excess"]), str(cell.get("above_reweighted", ""))]
        times = [f"{cell[key]:.3f}" if key in cell else "" for key in ("median_seconds", "largest_seconds")]
        rows.append([*row, *times])
    note = (
        f"{found['instances']} small instances, {found['certified']} of them certified by branch and bound (at most "
        f"{found['largest_proof_seconds']:.1f} s each). `within`: on how many of these the objective is within 1e-6 of "
        f"the optimum; `above`: on how many of all it is above that of reweighted least squares from "
        f"{data['config']['n_starts']} starts. `ours` proves small problems itself."
    )
    header = ["solver", "within", "largest excess", "above", "median s", "largest s"]
    return f"## Against the certified optimum (L = 3 to 8)\n\n{note}\n\n" + table(header, rows)


def theorem(data: Data) -> str:
    """How many cases agree, by depth, and those that do not."""
    cells, counted, rows = data["cells"], data["summary"], []
    for depth in data["config"]["depths"]:
        some = [cell for key, cell in cells.items() if f"L={depth}," in key]
        off = [abs(cell["excess"]) / cell["predictor"] for cell in some]
        printed = sum(abs(cell["printed"] - cell["network"]) <= 1e-5 * cell["network"] for cell in some)
        agree = sum(value <= 1e-5 for value in off)
        rows.append([str(depth), str(len(some)), str(agree), _number(max(off, default=None)), str(printed)])
    note = (
        f"{counted['cases']} of {counted['of_cases']} cases (shapes 3×3 to 6×5, C, K ≤ 3, widths below, at and above "
        f"min(C, K), two λ), in random order; networks trained from {data['config']['n_starts']} starts against "
        f"`solve`. `agree`: to 1e-5 of the objective, {100 * counted['agree']:.1f}% of all; in "
        f"{counted['networks_below']} the network is more than 1e-8 below. `printed`: how many agree with the "
        "constant as printed (at L = 1 it is the same)."
    )
    header = ["L", "cases", "agree", "largest difference", "printed"]
    parts = [f"## Theorem 4.9, both sides\n\n{note}", table(header, rows)]
    if counted["disagree"]:
        pairs = [[key, *(f"{value:.9g}" for value in values)] for key, values in counted["disagree"].items()]
        parts.append(table(["those that differ", "network", "predictor"], pairs))
    return "\n\n".join(parts)


def _seconds(cell: Data) -> str:
    return f"{cell['median_seconds']:.4f}" if "median_seconds" in cell else str(cell.get("failure", ""))


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.1f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1e}"


REGRESSION_TABLES: dict[str, tuple[Callable[[Data], str], ...]] = {
    "ridge": (ridge,),
    "group_lasso": (group_lasso,),
    "nonconvex": (nonconvex,),
    "nuclear": (nuclear,),
    "oracle": (oracle,),
}
"""The tables of each JSON, in the order of the page."""
PAPER_TABLES: dict[str, tuple[Callable[[Data], str], ...]] = {"theorem": (theorem,)}
"""The same of ``benchmarks/papers``."""

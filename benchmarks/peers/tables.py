"""The tables of docs/benchmarks.md, each made from one JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

from benchmarks.peers.stiffness_map import best

Data = Mapping[str, Any]


def table(header: list[str], rows: list[list[str]]) -> str:
    """A markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def products(flows: Data) -> str:
    """One right-hand side against its two bare products."""
    rows = []
    for key, cell in flows["cells"].items():
        if key.endswith("|products"):
            rows.append([key.split("|")[0], *_products_row(cell)])
    header = ["pixels×classes", "right-hand side, µs", "two products, µs", "ratio", "GFLOP/s", "dgemm GFLOP/s", "share"]
    return "## One right-hand side, one thread\n\n" + table(header, rows) if rows else ""


def _products_row(cell: Data) -> list[str]:
    seconds = cell["seconds"]
    bare = min(seconds["products_transposed"], seconds["products_tall"])
    times = [f"{seconds['rhs'] * 1e6:.1f}", f"{bare * 1e6:.1f}", f"{cell['ratio']:.2f}"]
    return [*times, f"{cell['gflops_rhs']:.1f}", f"{cell['gflops_dgemm']:.1f}", f"{100 * cell['share_of_dgemm']:.0f}%"]


def scaling(data: Data) -> str:
    """Right-hand side over sizes, and the exponents."""
    rows = [[*key.split("|"), *_products_row(cell)[:3]] for key, cell in data["cells"].items()]
    powers = " and ".join(f"{name}^{power:.2f}" for name, power in data["exponents"].items())
    header = ["series", "pixels×classes", "right-hand side, µs", "two products, µs", "ratio"]
    return f"## Growth with size\n\nTime of one right-hand side ∝ {powers} (least squares).\n\n" + table(header, rows)


def whole_flows(flows: Data) -> str:
    """Every problem, solver and error."""
    rows = []
    for key, cell in flows["cells"].items():
        problem, solver = key.split("|")
        for target, timed in cell.get("targets", {}).items():
            ratio = flows["ratios"].get(problem, {}).get(target, {}).get(solver)
            rows.append([problem, solver, target, *_timing(timed), f"{ratio:.1f}" if ratio else ""])
        if "failure" in cell:
            rows.append([problem, solver, "", cell["failure"], "", "", ""])
    header = ["problem", "solver", "error", "ms", "right-hand sides", "rtol", "theirs / ours"]
    note = (
        "Ours is `auto` on multi-scale problems and on CIFAR-10, else `dop853`. `numbalsoda` and `scipy compiled` call "
        "our own compiled right-hand side; `numbalsoda steps` is its time without any output. Flows end where the "
        "slowest mode is at 95% of its singular value; `long` ones go on for "
        f"{flows['config']['multi_scale_stretch']:g} times as long (CIFAR-4: {flows['config']['cifar_stretch']:g}), "
        "which is what the counts of right-hand sides in section 2.4 of the theory amount to."
    )
    return f"## Whole flows at equal error\n\n{note}\n\n" + table(header, rows)


def _timing(timed: Data) -> list[str]:
    if "failure" in timed:
        return [timed["failure"], "", ""]
    return [f"{timed['median_seconds'] * 1e3:.2f}", f"{timed['n_rhs']:.0f}", f"{timed['rtol']:.1e}"]


def right_hand_sides(flows: Data) -> str:
    """Right-hand sides of our methods at equal error, and how many times fewer than our DOP853."""
    ours = {key: cell["targets"] for key, cell in flows["cells"].items() if "|ours " in key and "targets" in cell}
    errors = sorted({target for targets in ours.values() for target in targets}, key=float, reverse=True)
    rows = []
    for key, targets in ours.items():
        problem, method = key.split("|ours ")
        if method != "dop853":
            explicit = ours.get(f"{problem}|ours dop853", {})
            rows.append([problem, method, *(_fewer(targets.get(e, {}), explicit.get(e, {})) for e in errors)])
    header = ["problem", "method", *(f"error {error}" for error in errors)]
    note = "In brackets: right-hand sides of our DOP853 over those of the method."
    return f"## Right-hand sides at equal error\n\n{note}\n\n" + table(header, rows) if rows else ""


def _fewer(timed: Data, explicit: Data) -> str:
    if "n_rhs" not in timed:
        return "not reached" if "failure" in timed else ""
    factor = f" ({explicit['n_rhs'] / timed['n_rhs']:.1f})" if "n_rhs" in explicit else ""
    return f"{timed['n_rhs']:.0f}{factor}"


def stiffness(data: Data) -> str:
    """The fastest method at each stiffness and error, and what ``auto`` loses to it."""
    errors, ratios = data["config"]["errors"], data["config"]["ratios"]
    rows = []
    for ratio in ratios:
        rows.append([f"{ratio:g}", *(_fastest(best(data["cells"], ratio, error)) for error in errors)])
    header = ["s_max/s_min", *(f"error {error:g}" for error in errors)]
    side, k = data["config"]["size"]
    note = (
        f"{side}²×{k}, to 95% of the slowest mode: the method that keeps the error in least time, its milliseconds, "
        "and in brackets the time of `auto` over it (`geometric`, which takes the steps of `auto`, is left out)."
    )
    return f"## Which method where\n\n{note}\n\n" + table(header, rows)


def _fastest(seconds: Mapping[str, float]) -> str:
    named = {name: value for name, value in seconds.items() if name not in ("auto", "geometric")}
    if not named:
        return "not reached"
    name = min(named, key=lambda n: named[n])
    auto = f"{seconds['auto'] / named[name]:.2f}" if "auto" in seconds else "not reached"
    return f"{name}, {named[name] * 1e3:.1f} ({auto})"


def clock(data: Data) -> str:
    """The clock against the flows."""
    rows = []
    for key, cell in data["cells"].items():
        exact = [f"{cell[name] * 1e3:.3f}" for name in ("clock_seconds", "build_seconds")]
        exact.append(f"{cell['weights_seconds'] * 1e3:.1f}")
        for name, flow in cell["flows"].items():
            measured = [f"{flow['seconds'] * 1e3:.2f}", f"{flow['n_rhs']}", f"{flow['error']:.0e}"]
            rows.append([key, name, *measured, *exact, f"{flow['ratio']:.0f}", f"{flow['ratio_with_build']:.0f}"])
    header = ["problem", "flow", "ms", "right-hand sides", "error"]
    header += ["clock, ms", "to build it, ms", "its weights, ms", "flow / clock", "with building"]
    note = (
        "T: the time to 95% of the slowest mode; the output times are even from 0 to the end. `error`: of the flow, "
        "against the clock, whose own is about 1e-13. `clock`: B at all times; `to build it`: from the weights of the "
        "start to B there; `its weights`: all weights in pixel space at all times. Of the flow, neither is timed."
    )
    return f"## The closed-form clock, {data['config']['n_times']} times\n\n{note}\n\n" + table(header, rows)


def memory(data: Data) -> str:
    """Memory in units of state and statistics."""
    rows = []
    for key, cell in data["cells"].items():
        if "failure" in cell:
            rows.append([*key.split("|"), "", "", "", "", "", cell["failure"]])
            continue
        sizes = cell["bytes"]
        resident = "" if sizes["resident"] is None else f"{sizes['resident'] / 1e6:.1f}"
        given = [f"{sizes[name] / 1e6:.2f}" for name in ("state", "statistics", "growth")]
        rows.append([*key.split("|"), *given, resident, f"{cell['growth_in_states']:.1f}", f"{cell['multiple']:.2f}"])
    header = ["problem", "method", "state, MB", "statistics, MB", "growth, MB", "resident, MB"]
    header += ["growth / state", "multiple"]
    note = (
        "Growth: the most that numpy held at a time during `gradient_flow`, without the record asked for (`resident` "
        "has it). Multiple: all of it over state and statistics."
    )
    return f"## Memory\n\n{note}\n\n" + table(header, rows)


def first_call(data: Data) -> str:
    """The first flow in a new process."""
    cells = {key: cell for key, cell in data["cells"].items() if "parts" in cell}
    names = list(next(iter(cells.values()))["parts"])
    rows = []
    for key, cell in cells.items():
        parts = [f"{cell['parts'][name] * 1e3:.0f}" for name in names]
        rows.append([*key.split("|"), cell["method"], f"{cell['median_seconds'] * 1e3:.0f}", *parts])
    header = ["problem", "method", "went by", "whole process, ms", *(f"{name}, ms" for name in names)]
    dear = data["cells"].get("import", {}).get("milliseconds", {})
    listed = ", ".join(f"`{name}` {value:.0f}" for name, value in dear.items())
    tail = f"\n\nThe dearest imports, with all that they import, ms under tracing: {listed}." if listed else ""
    return "## First flow in a new process, compiled code on disk\n\n" + table(header, rows) + tail


def training(data: Data) -> str:
    """Gradient descent against PyTorch."""
    rows = []
    for key, cell in data["cells"].items():
        times = [f"{cell[name]['microseconds_a_step']:.1f}" for name in ("ours", "fft", "conv2d")]
        rows.append([*key.split("|"), *times, f"{cell['ratio']:.0f}"])
    header = ["pixels×classes", "step", "ours, µs", "torch FFT, µs", "torch conv2d, µs", "faster torch / ours"]
    return "## Gradient descent\n\n" + table(header, rows)


def sessions(data: Data) -> str:
    """Machine, versions and threads of the measurements."""
    lines = []
    for name, about in data["sessions"].items():
        cells = sum(cell["session"] == name for cell in data["cells"].values())
        if not cells:
            continue
        versions = ", ".join(f"{package} {version}" for package, version in about["versions"].items() if version)
        threads = ", ".join(f"{variable}={value}" for variable, value in about["threads"].items() if value)
        lines.append(
            f"Session {name} ({cells} measurements), {about['date']}: {about['system']}, {about['processor']}, "
            f"{about['cores_of_the_machine']} cores, bound to {about['bound_to_cores']}, load at start "
            f"{about['load_at_start']}; Python {about['python']}, {versions}; {threads}."
        )
    return "\n\n".join(lines)


def many_runs(data: Data) -> str:
    """Ensembles: small flows on threads against a loop over scipy, a dense batch against dgemm."""
    small, dense, config = data["cells"]["small"], data["cells"]["dense"], data["config"]
    one, several = (median(small["seconds"][name]) for name in ("one thread", "several"))
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


def proxes(data: Data) -> str:
    """Proxes of numbers and of matrices."""
    numbers, matrices = [], []
    for key, cell in data["cells"].items():
        kind, *names = key.split("|")
        if kind == "numbers":
            rates = (cell[f"millions_a_second{way}"] for way in ("_kernel", "", "_many"))
            peer = (
                [f"{cell['millions_a_second_skglm']:.0f}", f"{cell['error_skglm']:.0e}"]
                if "ratio" in cell
                else ["", ""]
            )
            numbers.append([*names, *(f"{rate:.0f}" for rate in rates), f"{cell['error']:.1e}", *peer])
        else:
            times = (cell[name] for name in ("microseconds", "microseconds_lapack"))
            matrices.append([*names, *(f"{t:.2f}" for t in times), f"{cell['ratio']:.1f}", f"{cell['difference']:.0e}"])
    header = ["layers", "kernel", "prox", "prox, a threshold each", "error", "skglm", "its error"]
    note = "Millions a second, half of the numbers above the jump; errors relative, against forty digits."
    of_matrices = ["K×C", "layers", "µs a matrix", "LAPACK, µs", "ratio", "difference"]
    return f"## Proxes, one thread\n\n{note}\n\n{table(header, numbers)}\n\n{table(of_matrices, matrices)}"


TABLES: dict[str, tuple[Callable[[Data], str], ...]] = {
    "flows": (products, whole_flows, right_hand_sides),
    "scaling": (scaling,),
    "stiffness_map": (stiffness,),
    "clock": (clock,),
    "memory": (memory,),
    "first_call": (first_call,),
    "training": (training,),
    "ensembles": (many_runs,),
    "proxes": (proxes,),
}
"""The tables of each JSON, in the order of the page."""

"""Every other benchmark runs in a size of seconds, says what it should, and is found on the page."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers import clock, first_call, machine, memory, pictures, render, scaling, stiffness_map
from benchmarks.peers.problems import coherent_problem
from benchmarks.peers.solvers import reference, solver_named


def quiet(text: str) -> None:
    pass


def test_stiffness_map_measures_every_method(tmp_path: Path) -> None:
    config = stiffness_map.TINY
    data = stiffness_map.run(config, tmp_path / "map.json", say=quiet)
    for ratio in config.ratios:
        found = stiffness_map.best(data["cells"], ratio, 1e-3)
        assert set(found) == set(config.methods)  # rtol 1e-7 is enough for each of them
        assert min(found.values()) > 0
    assert "| 4 |" in render.page({"stiffness_map": data})
    pictures.stiffness(data, tmp_path / "map.svg")
    assert (tmp_path / "map.svg").stat().st_size > 0


def test_best_is_the_least_that_keeps_the_error() -> None:
    calls = [
        {"seconds": 1.0, "error": 1e-2}, {"seconds": 3.0, "error": 1e-5}, {"seconds": 2.0, "error": 1e-4},
        {"failure": "no"},
    ]  # fmt: skip
    cells = {"4|rkc": {"calls": calls}, "4|bs32": {"calls": calls[:1]}, "8|rkc": {"calls": []}}
    assert stiffness_map.best(cells, 4.0, 1e-3) == {"rkc": 2.0}
    assert stiffness_map.best(cells, 4.0, 1e-2) == {"rkc": 1.0, "bs32": 1.0}
    assert stiffness_map.best(cells, 8.0, 1e-2) == {}


def test_scaling_runs_and_finds_the_slope(tmp_path: Path) -> None:
    data = scaling.run(scaling.TINY, tmp_path / "scaling.json", say=quiet)
    assert {key.split("|")[0] for key in data["cells"]} == {"pixels", "classes"}
    assert "pixels^" in render.page({"scaling": data})
    pictures.scaling(data, tmp_path / "scaling.svg")
    cells = {f"pixels|{n}": {"size": n, "seconds": {"rhs": 3.0 * n**1.25}} for n in (10, 100, 1000)}
    assert scaling.exponent(cells, "pixels") == pytest.approx(1.25, abs=1e-12)  # an exact power: round-off of logs


def test_the_clock_and_the_flows_agree(tmp_path: Path) -> None:
    data = clock.run(clock.TINY, tmp_path / "clock.json", say=quiet)
    assert [key.split(", ")[-1] for key in data["cells"]] == ["to 1T", "to 8T"]
    for cell in data["cells"].values():
        assert cell["flows"]["dop853, rtol 1e-09"]["error"] < 1e-6  # local tolerance 1e-9, errors grow while modes do
        assert cell["flows"]["auto, rtol 1e-06"]["error"] < 1e-3
        assert all(0 < flow["ratio_with_build"] < flow["ratio"] for flow in cell["flows"].values())
    short, long = (cell["flows"]["dop853, rtol 1e-09"]["n_rhs"] for cell in data["cells"].values())
    assert long > short
    assert "to 8T | dop853, rtol 1e-09" in render.page({"clock": data})


def test_disjoint_images_share_no_frequency() -> None:
    for side in (5, 6):
        images = clock.disjoint_images(side, 4, 8.0)
        power = np.abs(np.fft.fft2(images[:, 0]))
        assert ((power > 1e-12 * power.max()).sum(axis=0) <= 1).all()  # round-off of one FFT
        norms = np.linalg.norm(images.reshape(4, -1), axis=1)
        assert norms[0] / norms[-1] == pytest.approx(8.0, rel=1e-12)


def test_memory_of_a_flow_is_found(tmp_path: Path) -> None:
    data = memory.run(memory.TINY, tmp_path / "memory.json", say=quiet)
    (cell,) = data["cells"].values()
    sizes = cell["bytes"]
    assert sizes["state"] == 3 * 2 * 34 * 8  # a kernel and two rows of 34 frequencies (4 are real), Re and Im
    assert sizes["record"] == 3 * sizes["state"]
    assert sizes["traced"] >= 6 * sizes["state"]  # RKC alone keeps 7 rows
    assert cell["multiple"] > 1
    assert "modes 8²×2" in render.page({"memory": data})


def test_memory_keeps_a_failure(tmp_path: Path) -> None:
    case = memory.Case("impossible", "dense", (1, 2, 2), 0, 3)
    data = memory.run(memory.Config(cases=(case,), methods=("rkc",)), tmp_path / "memory.json", say=quiet)
    assert "Error" in data["cells"]["impossible|rkc"]["failure"]
    assert "Error" in render.page({"memory": data})


def test_first_call_adds_up(tmp_path: Path) -> None:
    data = first_call.run(first_call.TINY, tmp_path / "first.json", say=quiet)
    (cell,) = (cell for cell in data["cells"].values() if "parts" in cell)
    assert sum(cell["parts"].values()) == pytest.approx(cell["median_seconds"], rel=1e-9)  # a sum of floats
    assert cell["parts"]["first flow"] > cell["parts"]["second flow"] > 0
    assert "numba" in render.page({"first_call": data})


def test_the_page_is_made_of_the_json_alone(tmp_path: Path) -> None:
    results, docs = tmp_path / "results", tmp_path / "docs"
    scaling.run(scaling.TINY, results / "scaling.json", say=quiet)
    assert render.main(results, docs) == 0
    made = (docs / "benchmarks.md").read_text(encoding="utf-8")
    assert "benchmarks-scaling.svg" in made
    assert (docs / "benchmarks-scaling.svg").exists()
    about = json.loads((results / "scaling.json").read_text(encoding="utf-8"))["sessions"]
    assert all(name in made for name in about)


def test_every_committed_result_is_on_the_committed_page() -> None:
    page = (render.DOCS / "benchmarks.md").read_text(encoding="utf-8")
    for path in machine.RESULTS.glob("*.json"):
        for session in json.loads(path.read_text(encoding="utf-8"))["sessions"]:
            assert session in page, (path.name, "run python -m benchmarks.peers.render")


@pytest.mark.parametrize("name", ["scipy compiled", "numbalsoda", "numbalsoda steps"])
def test_compiled_peers_solve_the_same_problem(name: str) -> None:
    if name.startswith("numbalsoda"):
        pytest.importorskip("numbalsoda", reason="numbalsoda is not installed (it needs a Fortran compiler)")
    problem = coherent_problem(6, 2, ratio=2.0, start_scale=1e-2, name="small")
    weights = problem.start(np.random.default_rng(0))
    times, b = reference(problem, weights, n_times=5, rtol=1e-11)
    solved = solver_named(name, problem).solve(weights, times, 1e-9, 1e-12)
    assert problem.error(solved.b, b) < 1e-6  # local tolerance 1e-9, errors grow while modes do
    assert solved.n_rhs > 12
    assert math.isfinite(solved.seconds)

"""The benchmarks of regularised predictors run, in a size of seconds, and the peers solve the same problems."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers import group_lasso, nonconvex, nuclear, oracle, reach, render, ridge
from benchmarks.peers.regression_problems import Regression, centred, even, power_law

SHAPES = [(5, 6), (4, 4), (3, 5), (1, 7)]


def quiet(text: str) -> None:
    pass


def random_predictor(problem: Regression, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    values = np.random.default_rng(seed).standard_normal((problem.targets.shape[1], problem.blocks.starts[-1]))
    return values, problem.blocks.predictor(values)


@pytest.mark.parametrize("shape", SHAPES)
def test_columns_give_the_outputs_and_keep_norms(shape: tuple[int, int]) -> None:
    problem = power_law(shape, 20, n_outputs=3, n_channels=2)
    values, predictor = random_predictor(problem)
    # sums of up to 60 terms of order 1 to 10
    assert problem.residual(predictor) == pytest.approx(problem.targets - problem.columns @ values.T, abs=1e-12)
    assert np.linalg.norm(predictor) == pytest.approx(np.linalg.norm(values), rel=1e-14)
    assert (problem.blocks.values(problem.blocks.matrices(values)) == values).all()
    assert problem.columns.flags.f_contiguous


@pytest.mark.parametrize("depth", [1, 2, 3, 8])
@pytest.mark.parametrize("shape", SHAPES)
def test_weights_of_pairs_give_the_penalty_over_all_frequencies(shape: tuple[int, int], depth: int) -> None:
    problem = power_law(shape, 20, n_outputs=3, n_channels=2)
    values, predictor = random_predictor(problem)
    p, lam = 2.0 / depth, 0.3
    norms = (np.linalg.svd(problem.blocks.matrices(values), compute_uv=False) ** p).sum(axis=1)
    loss = ((problem.targets - problem.columns @ values.T) ** 2).sum() / 20
    expected = loss + lam * depth * np.prod(shape) ** (1 / depth - 1) * (problem.blocks.weights(p) @ norms)
    assert problem.objective(predictor, depth, lam) == pytest.approx(expected, rel=1e-13)  # round-off of 30 terms


def test_gap_is_zero_at_lam_max_and_bounds_the_objective() -> None:
    problem = power_law((4, 3), 30, n_outputs=2, n_channels=2)
    zero = np.zeros((4, 3, 2, 2))
    assert abs(problem.relative_gap(zero, problem.lam_max)) < 1e-14
    lam = 0.2 * problem.lam_max
    assert problem.relative_gap(zero, lam) > 1e-2  # zero is no longer the answer: one frequency enters by a fifth
    best = nuclear.proximal_gradient(problem, lam)
    assert 0.0 < problem.relative_gap(best, lam) + 1e-14 < 1e-12
    minimum = problem.objective(best, 2, lam)
    for seed in range(5):
        near = best + 0.01 * random_predictor(problem, seed)[1]
        value = problem.objective(near, 2, lam)
        assert value - minimum <= problem.relative_gap(near, lam) * value * (1.0 + 1e-12)


@pytest.mark.parametrize("depth", [3, 4])
@pytest.mark.parametrize("shape", SHAPES)
def test_rescaled_columns_make_skglms_problem_ours(shape: tuple[int, int], depth: int) -> None:
    problem = even(power_law(shape, 20))
    spectra = np.fft.fft2(problem.images, norm="ortho")
    assert np.abs(spectra.imag).max() < 1e-13  # round-off of one FFT of numbers of order 1 to 10
    given = nonconvex.Unweighted(problem, depth)
    p, lam = 2.0 / depth, 0.3
    u, v = problem.blocks.frequencies.T
    factor = np.where(problem.blocks.paired, 2.0 ** (1.0 - 1.0 / p), 1.0)
    assert given.columns == pytest.approx(spectra.real[:, 0, u, v] * factor, rel=1e-12, abs=1e-14)
    z = np.random.default_rng(1).standard_normal(given.columns.shape[1])
    loss = ((given.targets - given.columns @ z) ** 2).sum() / (2 * problem.n_images)
    theirs = loss + given.alpha(lam) * (np.abs(z) ** p).sum()
    assert 2.0 * theirs == pytest.approx(problem.objective(given.predictor(z), depth, lam), rel=1e-12)


@pytest.mark.parametrize("depth", [3, 4])
def test_zero_and_the_first_coordinate_tie_at_lam_max(depth: int) -> None:
    given = nonconvex.Unweighted(even(power_law((4, 5), 30)), depth)
    size, steps = given.columns.shape[1], np.linspace(0.0, 3.0, 3001)
    power = (given.targets**2).mean()
    for factor, gains in ((1.001, False), (0.999, True)):
        alpha = given.alpha(factor * given.lam_max)
        values = []
        for column in range(size):
            slope = given.columns[:, column] @ given.targets / len(given.targets)
            x = steps[:, None] * np.array([1.0, -1.0]) * abs(slope) / (given.columns[:, column] ** 2).mean()
            half = 0.5 * (given.columns[:, column] ** 2).mean() * x**2 - slope * x + alpha * np.abs(x) ** (2 / depth)
            values.append(half.min())
        assert (min(values) < -1e-9 * power) == gains


def test_ridge_runs_and_every_solver_agrees(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra 'sklearn')")
    data = ridge.run(ridge.TINY, tmp_path / "ridge.json", say=quiet)
    assert set(data["ratios"]["power law 4×5"]) == set(ridge.PEERS)
    again = ridge.run(ridge.TINY, tmp_path / "ridge.json", say=lambda text: pytest.fail(f"measured again: {text}"))
    assert "RidgeCV svd" in render.page({"ridge": again})


def test_ridge_notices_a_peer_of_another_objective() -> None:
    cells = {
        "p|ours": {"objectives": [1.0, 2.0], "median_seconds": 1.0},
        "p|Ridge auto": {"objectives": [1.0, 2.0 + 1e-7], "median_seconds": 3.0},
    }
    with pytest.raises(RuntimeError, match="objectives differ"):
        ridge.ratios(cells)
    cells["p|Ridge auto"]["objectives"] = [1.0, 2.0]
    assert ridge.ratios(cells) == {"p": {"Ridge auto": 3.0}}


def test_group_lasso_runs_and_every_solver_reaches_the_gap(tmp_path: Path) -> None:
    pytest.importorskip("celer", reason="celer is not installed (extra 'bench-solvers')")
    pytest.importorskip("skglm", reason="skglm is not installed (extra 'bench-solvers')")
    data = group_lasso.run(group_lasso.TINY, tmp_path / "lasso.json", say=quiet)
    solvers = {key.split("|")[1] for key in data["cells"]} - {"columns", "statistics"}
    assert solvers == {"ours", *group_lasso.PEERS, *(f"{peer}, reduced" for peer in group_lasso.PEERS)}
    for key, cell in data["cells"].items():
        if key.split("|")[1] not in ("columns", "statistics"):
            assert cell["error"] <= group_lasso.TINY.gap, key
    assert data["ratios"]["power law 5×6"]["cold"]["celer"] > 0
    assert "celer pruned" in render.page({"group_lasso": data})


@pytest.mark.parametrize("peer", ["celer", "skglm"])
def test_a_peer_that_is_not_installed_is_a_failure(peer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, peer, None)
    problem = power_law((2, 3), 20)
    cell = group_lasso._cell(group_lasso.TINY, problem, problem.lams(2, 0.1), f"{peer}, reduced", True)
    assert cell == {"failure": f"not installed: {peer}"}
    page = {"config": asdict(group_lasso.TINY), "sessions": {}, "cells": {f"p|{peer}|warm": cell}, "ratios": {}}
    assert f"not installed: {peer}" in render.page({"group_lasso": page})


def test_reduced_rows_keep_the_objective() -> None:
    problem = power_law((3, 4), 50)
    rows = group_lasso.Rows(problem.columns, problem.targets[:, 0], problem.blocks)
    fewer = rows.reduced()
    assert fewer.columns.shape == (12, 12)
    rng = np.random.default_rng(0)

    def loss(some: group_lasso.Rows, w: np.ndarray) -> float:
        return float(((some.targets - some.columns @ w) ** 2).mean())

    one, other = rng.standard_normal((2, 12))
    expected = loss(rows, one) - loss(rows, other)
    # the ridge of 1e-14 of the trace, times ‖w‖² ~ 12
    assert loss(fewer, one) - loss(fewer, other) == pytest.approx(expected, rel=1e-11)


def test_nonconvex_runs_and_compares_objectives(tmp_path: Path) -> None:
    pytest.importorskip("skglm", reason="skglm is not installed (extra 'bench-solvers')")
    data = nonconvex.run(nonconvex.TINY, tmp_path / "nonconvex.json", say=quiet)
    assert len(data["comparison"]) == len(nonconvex.TINY.seeds) * len(nonconvex.TINY.depths)
    for compared in data["comparison"].values():
        assert compared["n_lams"] == nonconvex.TINY.n_lams
        assert set(compared["ratio"]) == {*nonconvex.RUNS, "both paths"}
        assert compared["largest_excess"] < 1e-6  # what a loose tolerance may miss
    for cell in data["cells"].values():
        objectives = np.array(cell["objectives"])
        assert (np.diff(objectives) < 0).all()  # λ falls
    assert "each from least squares" in render.page({"nonconvex": data})


def test_comparison_is_with_the_least_of_skglm() -> None:
    def cell(values: list[float], seconds: float) -> dict[str, object]:
        return {"objectives": values, "median_seconds": seconds}

    cells = {
        "p|3|ours": cell([1.0, 1.0, 1.0], 1.0),
        "p|3|skglm path from zero": cell([1.0, 2.0, 0.5], 3.0),
        "p|3|skglm each from zero": cell([1.5, 1.25, 2.0], 4.0),
    }
    (found,) = nonconvex.comparison(cells).values()
    assert found["largest_excess"] == 1.0
    assert (found["lower_on"], found["higher_on"]) == (1, 1)
    assert found["ratio"] == {"path from zero": 3.0, "each from zero": 4.0}


def test_nuclear_norms_run_at_equal_objective(tmp_path: Path) -> None:
    cvxpy = pytest.importorskip("cvxpy", reason="cvxpy is not installed (extra 'test')")
    data = nuclear.run(nuclear.TINY, tmp_path / "nuclear.json", say=quiet)
    assert data["cells"]["power law 2×3|5|minimum"]["relative_gap"] < 1e-10  # of an iteration to 1e-13
    installed = set(nuclear.SOLVERS) & set(cvxpy.installed_solvers())
    assert installed
    assert set(data["ratios"]["power law 2×3"]["5"]) == installed
    for name in ("ours", *installed):
        assert data["cells"][f"power law 2×3|5|{name}"]["error"] <= nuclear.TINY.accuracy
    assert "SCS" in render.page({"nuclear": data})


def test_oracle_runs_and_counts(tmp_path: Path) -> None:
    data = oracle.run(oracle.TINY, tmp_path / "oracle.json", say=quiet)
    found = data["counts"]
    assert found["instances"] == found["certified"] == found["ours"]["within"] == oracle.TINY.n_instances
    assert found["ours"]["above_reweighted"] == 0
    for cell in data["cells"].values():
        # nothing can be below the certified optimum by more than its gap
        assert min(cell["ours"], cell["search"], cell["reweighted"]) >= cell["certified"] - cell["gap"] - 1e-12
    assert "4 of them certified by branch and bound" in render.page({"oracle": data})


@pytest.mark.parametrize("depth", [3, 5, 8])
def test_reweighted_least_squares_finds_the_minimum_of_two_blocks(depth: int) -> None:
    rng = np.random.default_rng(depth)
    problem = centred("two columns", rng.standard_normal((10, 1, 1, 2)), rng.standard_normal((10, 1)))
    lam = 0.3 * problem.lam(depth, 2.0 * oracle.Quadratic.of(problem, depth).alpha_max())
    found = problem.objective(oracle.best_of_reweighted(problem, depth, lam, 10, 60), depth, lam)
    grid = np.linspace(-1.5, 1.5, 301)  # the predictor's two real numbers; steps of 0.01
    values = np.stack(np.meshgrid(grid, grid, indexing="ij"), axis=-1).reshape(-1, 2)
    loss = ((problem.targets.T - values @ problem.columns.T) ** 2).mean(axis=1)
    brute = (loss + problem.mu(depth, lam) * (np.abs(values) ** (2.0 / depth)).sum(axis=1)).min()
    assert brute - 1e-3 < found <= brute + 1e-12  # half a step, squared, times a curvature of order 1 to 10


@pytest.mark.parametrize("shape", SHAPES)
def test_half_of_the_objective_is_that_of_the_images(shape: tuple[int, int]) -> None:
    problem, depth, lam = power_law(shape, 20), 5, 0.3
    values, predictor = random_predictor(problem)
    half = oracle.Quadratic.of(problem, depth).value(values[0], 0.5 * problem.mu(depth, lam))
    expected = 2.0 * half + (problem.targets**2).mean()
    assert problem.objective(predictor, depth, lam) == pytest.approx(expected, rel=1e-12)  # cancelling sums


def test_reach_times_the_fastest_that_is_good_enough() -> None:
    cell = reach.reach(lambda tol: tol, lambda result: result, (1e-1, 1e-3, 1e-5), 1e-2, reach.Limits(repeats=2))
    assert cell["tolerance"] in (1e-3, 1e-5)
    assert len(cell["seconds"]) == 2
    assert cell["error"] <= 1e-2
    missed = reach.reach(lambda tol: tol, lambda result: result, (1e-1,), 1e-2)
    assert "no tolerance" in missed["failure"]

    def broken(tol: float) -> float:
        raise FloatingPointError("no")

    assert reach.reach(broken, float, (1e-1,), 1e-2)["scan"][0]["failure"] == "FloatingPointError: no"

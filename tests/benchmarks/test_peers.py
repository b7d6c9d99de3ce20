"""The benchmarks run, in a size of seconds, and the peers that they time solve the same problem."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers import (
    ensembles,
    flows,
    machine,
    measure,
    pictures,
    problems,
    proxes,
    render,
    statistics,
    training,
)
from benchmarks.peers.right_hand_sides import Packed, Textbook

SHAPES = [(5, 6), (6, 6), (5, 5)]


def problem_of(shape: tuple[int, int], *, coherent: bool) -> problems.FlowProblem:
    rng = np.random.default_rng(0)
    if coherent:
        orthonormal = np.linalg.qr(rng.standard_normal((math.prod(shape), 3)))[0].T
        images = (np.array([2.0, 1.5, 1.0])[:, None] * orthonormal).reshape(3, 1, *shape)
        dense = problems.from_samples("coherent", images, np.eye(3), 0.3)
        return problems.FlowProblem(**{**dense.__dict__, "gram": None})
    return problems.from_samples("dense", rng.standard_normal((20, 1, *shape)), np.eye(3)[np.arange(20) % 3], 0.3)


def pixel_loss(problem: problems.FlowProblem, weights: list[np.ndarray]) -> float:
    """½⟨‖y - f(x)‖²⟩ by convolution in pixel space."""
    hidden = np.fft.ifft2(np.fft.fft2(weights[0][0, :, :, 0]) * np.fft.fft2(problem.images[:, 0])).real
    outputs = np.einsum("kij,nij->nk", weights[1][..., 0], hidden)
    return float(0.5 * ((problem.targets - outputs) ** 2).sum(axis=1).mean())


@pytest.mark.parametrize("coherent", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_textbook_is_minus_the_gradient(shape: tuple[int, int], coherent: bool) -> None:
    problem = problem_of(shape, coherent=coherent)
    weights = problem.start(np.random.default_rng(1))
    rhs = Textbook(problem)
    kappa, a = rhs.split(rhs(0.0, rhs.state(weights)))
    rng = np.random.default_rng(2)
    direction = [rng.standard_normal(w.shape) for w in weights]
    step = 1e-5
    ends = [pixel_loss(problem, [w + s * step * v for w, v in zip(weights, direction, strict=True)]) for s in (1, -1)]
    slope = -(ends[0] - ends[1]) / (2 * step)
    dk, da = problem.spectra(direction)
    inner = (kappa * dk.conj()).sum().real + (a * da.conj()).sum().real
    # central differences: h²·f'''/6 ~ 1e-10·1e2 and round-off 1e-16·10/h ~ 1e-10, against slopes of order 1 to 10
    assert inner == pytest.approx(slope, abs=1e-7)


@pytest.mark.parametrize("coherent", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_packed_equals_textbook(shape: tuple[int, int], coherent: bool) -> None:
    problem = problem_of(shape, coherent=coherent)
    weights = problem.start(np.random.default_rng(1))
    full, half = Textbook(problem), Packed(problem)
    y, packed = full.state(weights), half.state(weights)
    for expected, got in zip(full.split(full(0.0, y)), half.split(half(0.0, packed)), strict=True):
        assert half.unpack(got) == pytest.approx(expected, abs=1e-13)  # sums of 36 terms of order 1 to 10
    assert half.effective(packed) == pytest.approx(full.effective(y), abs=1e-13)


@pytest.mark.parametrize("coherent", [True, False])
@pytest.mark.parametrize("variant", ["split", "four"])
def test_diffrax_right_hand_side_equals_packed(variant: str, coherent: bool) -> None:
    pytest.importorskip("diffrax", reason="diffrax is not installed (extra 'bench')")
    import jax

    from benchmarks.peers.diffrax_peer import DiffraxFlow

    problem = problem_of((5, 6), coherent=coherent)
    weights = problem.start(np.random.default_rng(1))
    flow, packed = DiffraxFlow(problem, variant=variant), Packed(problem)
    y = packed.state(weights)
    halves = packed(0.0, y).reshape(-1, len(packed.indices), 2).transpose(0, 2, 1)
    expected = halves.ravel() if variant == "split" else (halves[0, 0], halves[0, 1], halves[1:, 0], halves[1:, 1])
    got = flow.field(flow.state(weights))
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert np.asarray(one) == pytest.approx(np.asarray(other), abs=1e-13)
    states = jax.tree.map(lambda part: np.asarray(part)[None], flow.state(weights))
    assert flow.effective(states)[0] == pytest.approx(packed.effective(y), abs=1e-13)


def test_flows_run_and_every_solver_reaches_the_error(tmp_path: Path) -> None:
    config = flows.TINY
    path = tmp_path / "flows.json"
    data = flows.run(config, path, say=lambda text: None)
    for key, cell in data["cells"].items():
        for target, timed in cell.get("targets", {}).items():
            assert timed.get("worst_error", math.inf) <= float(target), (key, timed)
    reached = {key.split("|")[1] for key, cell in data["cells"].items() if "targets" in cell}
    absent = {key.split("|")[1] for key, cell in data["cells"].items() if "targets" not in cell} - {"products"}
    assert reached >= {"ours auto", "ours dop853", "ours rkc", "scipy textbook", "scipy packed", "scipy compiled"}
    assert not any(_installed(solver.split()[0]) for solver in absent)
    assert data["ratios"]["6²×2"]["0.001"]["scipy textbook"] > 0
    assert data["ratios"]["multi-scale"]["0.001"]["ours dop853"] > 0  # there ours is auto
    assert json.loads(path.read_text(encoding="utf-8"))["cells"].keys() == data["cells"].keys()
    again = flows.run(config, path, say=lambda text: pytest.fail(f"measured again: {text}"))
    assert again["ratios"] == data["ratios"]
    page = render.page({"flows": again})
    assert "scipy textbook" in page
    assert "6²×2" in page
    pictures.peers(again, tmp_path / "figure.svg")


def test_a_solver_that_fails_is_kept_as_a_failure() -> None:
    problem = problem_of((5, 5), coherent=True)

    class Broken:
        def solve(self, *arguments: object) -> None:
            raise FloatingPointError("no")

    start = flows._start(problem, flows.TINY, 0, 1.0)
    cell = measure.measure(Broken(), problem, [start, start], (1e-3,), (1e-3,))  # type: ignore[arg-type]
    assert cell["scan"][0]["failure"] == "FloatingPointError: no"
    assert "failure" in cell["targets"]["0.001"]


def test_a_record_of_another_configuration_is_not_continued(tmp_path: Path) -> None:
    record = machine.Record(tmp_path / "r.json", {"n": 1})
    record.keep("a", {"x": 1})
    assert "a" in machine.Record(tmp_path / "r.json", {"n": 1})
    assert "a" not in machine.Record(tmp_path / "r.json", {"n": 2})
    assert "a" not in machine.Record(tmp_path / "r.json", {"n": 1}, fresh=True)


def test_ensembles_run_at_equal_error(tmp_path: Path) -> None:
    path = tmp_path / "ensembles.json"
    data = ensembles.run(ensembles.TINY, path, say=lambda text: None)
    small, dense = data["cells"]["small"], data["cells"]["dense"]
    assert small["worst_error"] <= ensembles.TINY.target
    assert all(peer["worst_error"] <= ensembles.TINY.target for peer in small["peers"].values())
    assert small["speed_up"] > 0
    assert set(small["ratio"]) == set(ensembles.TINY.peers)
    assert (dense["rows"], dense["width"]) == (6, 20)  # 3 runs of 2 outputs; 10 of 16 frequencies, Re and Im
    assert dense["share_of_dgemm"] > 0
    again = ensembles.run(ensembles.TINY, path, say=lambda text: pytest.fail(f"measured again: {text}"))
    assert "6 flows of 6²×2" in render.page({"ensembles": again})


@pytest.mark.torch
def test_training_runs_and_peers_end_at_the_same_weights(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")
    data = training.run(training.TINY, tmp_path / "training.json", say=lambda text: None)
    for cell in data["cells"].values():
        assert max(cell["disagreement"].values()) <= training.AGREEMENT
        assert cell["ratio"] > 0
    assert "faster torch" in render.page({"training": data})


@pytest.mark.torch
def test_training_notices_a_peer_of_another_network() -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")
    images, targets = training._samples(training.TINY, 6, 2)
    trainers = training._trainers(images, targets, "one sample", 1e-2)
    correlation = trainers["fft"]
    trainers["fft"] = lambda start, seed, n: correlation([start[0][:, ::-1], start[1]], seed, n)
    with pytest.raises(RuntimeError, match="fft ends"):
        training._disagreement(training.TINY, trainers, 6, 2, 5)


def test_statistics_run_and_say_how_much_memory_they_took(tmp_path: Path) -> None:
    pytest.importorskip("resource", reason="there is no getrusage on Windows")
    data = statistics.run(statistics.TINY, tmp_path / "statistics.json", say=lambda text: None)
    assert all(data["cells"][form]["ratio"] > 0 for form in ("samples", "modes", "dense"))
    cell = data["cells"]["3×8×8, 3 classes"]
    peaks = cell["peaks_mebibytes"]
    assert 10 < peaks["imports"] < 500  # an interpreter with numpy, and not the process that started it
    assert peaks["imports"] <= peaks["streaming"] <= peaks["modes"] <= peaks["flow"] <= cell["peak_mebibytes"]
    assert cell["flow_right_hand_sides"] > 0
    assert (
        json.loads((tmp_path / "statistics.json").read_text(encoding="utf-8"))["cells"].keys() == data["cells"].keys()
    )


def test_proxes_run_and_are_accurate(tmp_path: Path) -> None:
    pytest.importorskip("mpmath", reason="mpmath is not installed (extra 'test')")
    path = tmp_path / "proxes.json"
    data = proxes.run(proxes.TINY, path, say=lambda text: None)
    for key, cell in data["cells"].items():
        if key.startswith("numbers"):
            assert cell["error"] <= 1e-15, key  # the bar; about 7e-16 is the most that was ever seen
            assert key == "numbers|1" or 0.4 < cell["above_the_jump"] < 0.6
        else:
            assert cell["difference"] <= 1e-13, key  # LAPACK's round-off
    again = proxes.run(proxes.TINY, path, say=lambda text: pytest.fail(f"measured again: {text}"))
    assert "LAPACK" in render.page({"proxes": again})


def test_proxes_notice_a_wrong_one() -> None:
    pytest.importorskip("mpmath", reason="mpmath is not installed (extra 'test')")
    z = proxes.numbers(proxes.TINY, 3)[:50]
    from solvers import prox

    assert proxes.worst_error(prox(z, 0.7, depth=3), z, 0.7, 3) <= 1e-15
    assert proxes.worst_error(prox(z, 0.7001, depth=3), z, 0.7, 3) > 1e-6


def _installed(name: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(name) is not None

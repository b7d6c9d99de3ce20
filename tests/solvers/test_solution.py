"""What the solvers give back: predictor, image and prediction say the same; files come back whole or not at all."""

from __future__ import annotations

import pickle
import sys
from dataclasses import fields, replace

import numpy as np
import pytest

from lineardyn import SecondMoments
from lineardyn.errors import ComputationError, DataFileError, Status
from solvers import PathResult, RegularizedProblem, Solution, certify, coordinate, lambda_max, path, solve
from tests import oracles
from tests import strategies as own

DATA = own.make_data("incoherent", (2, 3, 4), 3, 0)
MOMENTS = SecondMoments.from_data(DATA.images, DATA.targets)


@pytest.fixture(scope="module", params=[1, 2, 3])
def solution(request):
    return solve(RegularizedProblem(MOMENTS, depth=request.param, lam=0.05), n_starts=1)  # any local minimum


@pytest.fixture(scope="module")
def result():
    return path(RegularizedProblem(MOMENTS, depth=2, lam=1.0), [0.05, 0.5, 0.01])


def same(one: Solution, other: Solution) -> bool:
    rest = {"certificate", *(field.name for field in fields(Solution))} - {"predictor", "prove"}
    return (
        np.array_equal(one.predictor, other.predictor)
        and one.predictor.dtype == other.predictor.dtype
        and all(getattr(one, name) == getattr(other, name) for name in rest)
    )


def test_predictions_are_sums_over_the_full_spectrum(solution):
    wanted = np.einsum("hwkc,nchw->nk", solution.predictor, oracles.dft2(DATA.images))
    assert np.abs(wanted).max() > 0.1
    np.testing.assert_allclose(solution.predict(DATA.images), wanted.real, rtol=0, atol=1e-13)
    assert np.abs(wanted.imag).max() < 1e-13  # real functions have conjugate symmetric predictors


def test_the_image_is_the_predictor_in_pixels(solution):
    k, c = 1, 1
    spectrum = oracles.dft2(solution.image[k, c])
    np.testing.assert_allclose(spectrum, solution.predictor[:, :, k, c].conj(), rtol=0, atol=1e-14)
    assert solution.image.shape == (3, 2, 3, 4)


def test_objective_is_loss_and_penalty(solution):
    """With C, K > 1: the Schatten norm of each v̂_f, and μ = λ L P^{-(L-1)/L}."""
    loss = np.mean(np.sum((DATA.targets - solution.predict(DATA.images)) ** 2, axis=1))
    assert solution.loss == pytest.approx(loss, rel=1e-12)
    depth = solution.depth
    singular = np.linalg.svd(solution.predictor, compute_uv=False)
    singular[singular < 1e-13 * singular.max(axis=-1, keepdims=True)] = 0.0
    penalty = 0.05 * depth * 12 ** (-(depth - 1) / depth) * (singular ** (2 / depth)).sum()
    # a singular value that is round-off, 1e-16, is 2e-11 to the power 2/3
    assert solution.penalty == pytest.approx(penalty, rel=1e-9)
    assert solution.objective == pytest.approx(loss + penalty, rel=1e-10)


def test_active_frequencies_are_those_that_change_the_prediction():
    problem = RegularizedProblem(MOMENTS, depth=2, lam=1.0)
    strong = solve(problem.with_lam(0.7 * lambda_max(problem)))
    assert 0 < strong.active.sum() < 12
    for u, v in np.ndindex(3, 4):
        wave = np.cos(2 * np.pi * (u * np.arange(3)[:, None] / 3 + v * np.arange(4) / 4))
        turned = np.sin(2 * np.pi * (u * np.arange(3)[:, None] / 3 + v * np.arange(4) / 4))
        images = np.array([[w, z] for wave_ in (wave, turned) for w, z in ((wave_, 0 * wave_), (0 * wave_, wave_))])
        assert strong.active[u, v] == (np.abs(strong.predict(images)).max() > 1e-12)


def test_one_coefficient_makes_a_frequency_active(result):
    predictor = np.zeros_like(result[0].predictor)
    predictor[0, 1, 2, 1] = 1j
    predictor[0, 3, 2, 1] = -1j
    assert np.argwhere(replace(result[0], predictor=predictor).active).tolist() == [[0, 1], [0, 3]]


def test_a_path_is_a_sequence(result):
    assert len(result) == 3
    assert isinstance(result, PathResult)
    assert list(result.lams) == [0.05, 0.5, 0.01]
    assert [s.lam for s in result] == list(result.lams)
    assert [s.lam for s in reversed(result)] == [0.01, 0.5, 0.05]
    assert result[-1] is result.solutions[2]
    part = result[1:]
    assert isinstance(part, PathResult)
    assert list(part.lams) == [0.5, 0.01]
    assert list(result[::-2].lams) == [0.01, 0.05]
    assert result.predictors.shape == (3, 3, 4, 3, 2)
    np.testing.assert_array_equal(result.predictors[1], result[1].predictor)
    np.testing.assert_array_equal(result.objectives, [s.objective for s in result])
    assert result[1] in result
    assert result.index(result[2]) == 2
    with pytest.raises(IndexError):
        result[3]


def test_certificates_of_a_path_are_made_when_asked_for_and_let_the_statistics_go(monkeypatch):
    """Those of certify; a pickle holds the certificate and not the problem, before it was asked for too."""
    problem, lams = RegularizedProblem(MOMENTS, depth=3, lam=1.0), [0.1, 0.02]
    made = []
    module = sys.modules["solvers.solve"]  # solvers.solve is the function
    real = module.certify
    monkeypatch.setattr(module, "certify", lambda *a, **k: made.append(1) or real(*a, **k))
    result = path(problem, lams)
    assert made == []
    for found, lam in zip(result, lams, strict=True):
        wanted = certify(problem.with_lam(lam), found.predictor)
        assert any(isinstance(a, RegularizedProblem) for a in found.prove.args)
        again = pickle.loads(pickle.dumps(found))
        assert found.certificate == again.certificate == wanted
        assert not any(isinstance(a, RegularizedProblem) for s in (found, again) for a in s.prove.args)
    assert made == [1, 1]
    solve(problem.with_lam(0.1), n_starts=1)
    assert made == [1, 1, 1]  # one solution has its certificate at once


def test_equality_is_identity(solution, tmp_path):
    """A comparison of arrays has no truth value; and a solution can be a key."""
    solution.save(tmp_path / "one.npz")
    again = Solution.load(tmp_path / "one.npz")
    assert solution != again
    assert len({solution, again, solution}) == 2


@pytest.mark.parametrize("method", ["auto", "coordinate", "proximal", "irls", "search"])
@pytest.mark.parametrize("depth", [1, 3])
def test_files_hold_all_of_a_solution(method, depth, tmp_path):
    problem = RegularizedProblem(MOMENTS, depth=depth, lam=0.1, rank=None if depth == 1 else 1)
    one = solve(problem, method=method, n_starts=3)
    one.save(tmp_path / "one.npz")
    assert same(Solution.load(tmp_path / "one.npz"), one)
    assert [file.name for file in tmp_path.iterdir()] == ["one.npz"]


def test_files_hold_all_of_a_path(result, tmp_path):
    result.save(tmp_path / "path.npz")
    again = PathResult.load(str(tmp_path / "path.npz"))
    assert len(again) == 3
    assert all(same(a, b) for a, b in zip(again, result, strict=True))
    with pytest.raises(DataFileError, match=r"holds 3 solutions, expected one: PathResult\.load"):
        Solution.load(tmp_path / "path.npz")
    result[1].save(tmp_path / "path.npz")  # writes over
    assert len(PathResult.load(tmp_path / "path.npz")) == 1


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_what_was_there(result, tmp_path, monkeypatch, error):
    target = tmp_path / "one.npz"
    result[0].save(target)
    before = target.read_bytes()

    def half(file, **arrays):
        file.write(b"PK half of it")
        raise error

    monkeypatch.setattr(np, "savez", half)
    wanted = DataFileError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(wanted):
        result[1].save(target)
    assert target.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["one.npz"]


def test_a_folder_that_is_not_there_is_said(result, tmp_path):
    with pytest.raises(DataFileError, match=r"cannot be written .* choose a folder that can"):
        result.save(tmp_path / "none" / "path.npz")
    with pytest.raises(DataFileError, match="cannot be read"):
        Solution.load(tmp_path / "none.npz")


WRONG = {
    "empty": lambda path, _: path.write_bytes(b""),
    "text": lambda path, _: path.write_text("no solution"),
    "truncated": lambda path, whole: path.write_bytes(whole[: len(whole) // 2]),
    "a byte": lambda path, whole: path.write_bytes(whole[:200] + bytes([whole[200] ^ 1]) + whole[201:]),
    # what numpy and zipfile themselves stumble over: an open bracket, a compression that nobody knows
    "open bracket": lambda path, whole: path.write_bytes(whole.replace(b"), }", b"), (")),
    "compression": lambda path, whole: path.write_bytes(
        whole[: (i := whole.rindex(b"PK\x01\x02") + 10)] + b"\x63" + whole[i + 1 :]
    ),
    "an array": lambda path, _: np.save(path.open("wb"), np.zeros(3)),
    "other arrays": lambda path, _: np.savez(path, a=np.zeros(3)),
    "other header": lambda path, _: np.savez(path, header='{"format": "trajectory 1"}', predictors=np.zeros(3)),
    "no json": lambda path, _: np.savez(path, header="{", predictors=np.zeros(3)),
    "a list": lambda path, _: np.savez(path, header="[]", predictors=np.zeros(3)),
    "fewer predictors": lambda path, _: np.savez(
        path, header='{"format": "lineardyn solutions 1", "solutions": [{}]}', predictors=np.zeros(0)
    ),
    "no fields": lambda path, _: np.savez(
        path, header='{"format": "lineardyn solutions 1", "solutions": [{}]}', predictors=np.zeros(1)
    ),
}


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("kind", sorted(WRONG))
def test_a_wrong_file_is_said(kind, result, tmp_path):
    file = tmp_path / "path.npz"
    result.save(file)
    WRONG[kind](file, file.read_bytes())
    for load in (Solution.load, PathResult.load):
        with pytest.raises(DataFileError, match=r"path\.npz' holds no solutions .*expected a file of Solution\.save"):
            load(file)


def test_damaged_bytes_are_noticed_or_harmless(result, tmp_path):
    """Every byte belongs to a checksum, or to the frame of the archive."""
    file = tmp_path / "path.npz"
    result.save(file)
    whole, rng = np.frombuffer(file.read_bytes(), dtype=np.uint8), np.random.default_rng(0)
    noticed = 0
    for _ in range(300):
        damaged = whole.copy()
        damaged[rng.integers(len(whole), size=2)] ^= rng.integers(1, 256, size=2).astype(np.uint8)
        file.write_bytes(damaged[: rng.integers(len(whole))].tobytes() if rng.random() < 0.2 else damaged.tobytes())
        try:
            again = PathResult.load(file)
        except DataFileError:
            noticed += 1
            continue
        assert all(same(a, b) for a, b in zip(again, result, strict=True))
    assert noticed > 200


def test_a_solver_that_stops_early_raises_with_what_it_has(monkeypatch):
    problem = RegularizedProblem(MOMENTS, depth=2, lam=0.05)
    monkeypatch.setattr(coordinate.Coordinate, "__init__", short(coordinate.Coordinate.__init__))
    with pytest.raises(ComputationError, match=r"largest number of iterations .* raise tol") as caught:
        solve(problem)
    partial = caught.value.result
    assert caught.value.status is partial.status is Status.MAX_ITERATIONS
    assert partial.objective < MOMENTS.target_power  # better than nothing
    assert partial.certificate.kind == "none"
    assert same_but_time(solve(problem, throw=False), partial)


def short(init):
    """A solver that may visit the blocks once."""

    def made(self, *args, **options):
        init(self, *args, **options)
        object.__setattr__(self, "max_sweeps", 1)

    return made


def same_but_time(one: Solution, other: Solution) -> bool:
    return np.array_equal(one.predictor, other.predictor) and one.certificate == other.certificate


@pytest.mark.parametrize("method", ["coordinate", "proximal", "irls", "search"])
@pytest.mark.parametrize("tol", [1e-4, 1e-9])
def test_other_methods_solve_ridge_to_their_tolerance(method, tol):
    """At depth 1 the duality gap of depth 2 bounds nothing: they ran on to their last sweep."""
    problem = RegularizedProblem(MOMENTS, depth=1, lam=0.05)
    best = solve(problem).objective  # from the normal equations
    found = solve(problem, method=method, tol=tol, n_starts=2)
    assert best * (1 - 1e-13) <= found.objective <= best * (1 + tol)
